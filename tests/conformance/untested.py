"""The numbers that no test here carries, each with the reason; `test_numbers.py` holds this to the tests."""

from __future__ import annotations

_TIERS = (
    "an optional row of the interop document: match fields that TAXII 2.1 does not define, known second-hand"
    " and served by no released server; a field that is unknown here is ignored (T-OBJ-10)"
)

UNTESTED = {
    "T-ROOT-6": "a node has one API root, so there are no two of different users; the standard allows it",
    "T-CLI-6": "the address of a partner stands in the configuration and is signed for with the agreement;"
    " our client asks no DNS for it, because who answers there would decide whom we trust",
    "I-3.13.2.1": _TIERS,
    "I-3.13.2.2": _TIERS,
    "I-3.13.2.3": _TIERS,
    "I-3.13.2.4": _TIERS,
    "I-3.13.2.5": _TIERS,
    "I-GAP": "a remark on what the interop document leaves out, which the other sections of the list ask for",
}
