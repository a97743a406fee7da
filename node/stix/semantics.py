"""Check T2: what the standard demands and a schema cannot say, as far as one object alone shows it.

Asked of objects that have passed T0 and the schemas, in collections with `validation = "full"`.

Rule    A MUST of the standard and nothing else: no vocabulary, no best practice. Where the text of
        the standard leaves a doubt, the object passes.
Reads   the decoded value; node.stix.patterns; the tables of node.stix.reference_types
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Final

from node.clock import parse_stix_time
from node.stix import patterns
from node.stix.decoding import shown
from node.stix.objects import OBSERVABLES
from node.stix.reference_types import NO_OBSERVABLE, Fault, Value, author, observed, references

_LARGEST: Final = 2**53 - 1
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{2,249}|id")
_STEP: Final = re.compile(r"\[([0-9]+)\]")
_LANGUAGE: Final = re.compile(
    r"(?:[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4,8})(?:-[a-z]{4})?(?:-(?:[a-z]{2}|[0-9]{3}))?"
    r"(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*(?:-[a-wy-z0-9](?:-[a-z0-9]{2,8})+)*(?:-x(?:-[a-z0-9]{1,8})+)?"
    r"|x(?:-[a-z0-9]{1,8})+"
    # RFC 5646 keeps these, which came before it: "irregular" in its grammar
    r"|en-gb-oed|sgn-(?:be-fr|be-nl|ch-de)"
    r"|i-(?:ami|bnn|default|enochian|hak|klingon|lux|mingo|navajo|pwn|tao|tay|tsu)",
    re.IGNORECASE | re.ASCII,
)

_DATES: Final[Mapping[str, tuple[str, ...]]] = {
    "campaign": ("first_seen", "last_seen"),
    "directory": ("ctime", "mtime", "atime"),
    "email-message": ("date",),
    "file": ("ctime", "mtime", "atime"),
    "infrastructure": ("first_seen", "last_seen"),
    "intrusion-set": ("first_seen", "last_seen"),
    "language-content": ("object_modified",),
    "malware": ("first_seen", "last_seen"),
    "malware-analysis": ("submitted", "analysis_started", "analysis_ended"),
    "network-traffic": ("start", "end"),
    "observed-data": ("first_observed", "last_observed"),
    "process": ("created_time",),
    "relationship": ("start_time", "stop_time"),
    "report": ("published",),
    "sighting": ("first_seen", "last_seen"),
    "threat-actor": ("first_seen", "last_seen"),
    "user-account": (
        "account_created", "account_expires", "credential_last_changed", "account_first_login",
        "account_last_login",
    ),
    "windows-registry-key": ("modified_time",),
    "x509-certificate": ("validity_not_before", "validity_not_after"),
}  # fmt: skip
"""Timestamps besides those that check T0 reads."""

# later, earlier, whether both may be the same instant
_SEEN: Final = ("last_seen", "first_seen", True)
_ORDERS: Final[Mapping[str, tuple[str, str, bool]]] = {
    "campaign": _SEEN,
    "indicator": ("valid_until", "valid_from", False),
    "infrastructure": _SEEN,
    "intrusion-set": _SEEN,
    "malware": _SEEN,
    "network-traffic": ("end", "start", True),
    "observed-data": ("last_observed", "first_observed", True),
    "relationship": ("stop_time", "start_time", False),
    "sighting": _SEEN,
    "threat-actor": _SEEN,
}

_FOREIGN: Final[Mapping[str, tuple[str, ...]]] = {
    "marking-definition": ("modified", "revoked", "labels", "confidence", "lang"),
    "extension-definition": ("confidence", "lang", "extensions"),
    **dict.fromkeys(
        OBSERVABLES,
        (
            "created", "modified", "revoked", "created_by_ref", "labels", "confidence", "lang",
            "external_references",
        ),
    ),
}  # fmt: skip


def fault(value: Value, type: str, spec_version: str) -> Fault | None:  # the names of STIX
    """The first thing that the standard does not permit in an object, or None.

    Args:
        value: The decoded body of an object that has passed the schemas.
        type: Its type.
        spec_version: `2.0` or `2.1`, as in `StixObject.spec_version`.
    """
    rules = _RULES_2_1 if spec_version == "2.1" else _RULES_2_0
    return next(chain.from_iterable(rule(value, type) for rule in rules), None)


def _form(value: Value, _: str) -> Iterator[Fault]:
    """No null, no empty list or dictionary, no integer that a double cannot hold, at any depth.

    Source:
        STIX 2.1 sections 2.3, 2.8, 2.12 and 3.1; STIX 2.0 part 1 sections 2.4, 2.5 and 2.8.
    """
    waiting: list[tuple[str, object]] = [("", value)]
    while waiting:
        place, item = waiting.pop()
        if isinstance(item, (dict, list)):
            if not item:
                what = "dictionary" if isinstance(item, dict) else "list"
                yield place, f"is an empty {what}, which STIX does not have: leave the property out"
            pairs = item.items() if isinstance(item, dict) else enumerate(item)
            waiting.extend((f"{place}/{step}" if place else str(step), inner) for step, inner in pairs)
        elif item is None:
            yield place, "is null, which STIX does not have: leave the property out"
        elif isinstance(item, int) and not -_LARGEST <= item <= _LARGEST:
            yield place, f"{shown(item)} is beyond the integers of STIX, from -(2^53-1) to 2^53-1"


def _names(value: Value, _: str) -> Iterator[Fault]:
    """Names of properties: 3 to 250 of a-z, 0-9 and '_', beginning with a letter.

    Source:
        STIX 2.1 sections 3.1 and 11.1.
    """
    for name in value:
        if _NAME.fullmatch(name) is None:
            yield name, "is no name of a property: 3 to 250 of a-z, 0-9 and '_', a letter first"


def _belonging(value: Value, type: str) -> Iterator[Fault]:
    """Common properties that a type does not have, or must have; extensions may bring any.

    Source:
        STIX 2.1 section 3.2 (the table of common properties) and 7.3.
    """
    if type == "extension-definition" and "created_by_ref" not in value:
        yield "created_by_ref", "is missing: an extension-definition names the identity that made it"
    if _extended(value):
        return
    foreign = _FOREIGN.get(type, ())
    if type in NO_OBSERVABLE:
        foreign = (*foreign, "defanged")
    for name in foreign:
        if name in value:
            yield name, f"is no property of {type}: leave it out, or bring it by an extension"


def _extended(value: Value) -> bool:
    extensions = value.get("extensions")
    return isinstance(extensions, dict) and any(
        isinstance(one, dict) and one.get("extension_type") == "toplevel-property-extension"
        for one in extensions.values()
    )


def _dates(value: Value, type: str) -> Iterator[Fault]:
    """Timestamps that name an instant.

    Source:
        STIX 2.1 section 2.16.
    """
    for name in _DATES.get(type, ()):
        if name in value and _instant(value[name]) is None:
            yield name, f"{shown(value[name])} is no instant: write one like 2026-11-21T08:00:00Z"


def _order(value: Value, type: str) -> Iterator[Fault]:
    """The later of two timestamps is later.

    Source:
        STIX 2.1 sections 4.2, 4.7, 4.8, 4.9, 4.11, 4.14, 4.17, 5.1, 5.2 and 6.12.
    """
    if type not in _ORDERS:
        return
    later, earlier, same = _ORDERS[type]
    one, other = _instant(value.get(later)), _instant(value.get(earlier))
    if one is None or other is None or one > other or (same and one == other):
        return
    wanted = "at or after" if same else "after"
    yield (
        later,
        f"{shown(value[later])} should be {wanted} {earlier}, {shown(value[earlier])}: correct one of them",
    )


def _instant(text: object) -> tuple[int, str] | None:
    """An instant that compares exactly, however many digits it is written with."""
    if not isinstance(text, str):
        return None
    head, _, digits = text.removesuffix("Z").partition(".")
    cut = f"{head}.{digits[:9]}Z" if digits else text
    try:
        return parse_stix_time(cut), digits[9:].rstrip("0")
    except ValueError:
        return None


def _markings(value: Value, type: str) -> Iterator[Fault]:
    """Granular markings select what is there, and no marking-definition marks itself.

    Source:
        STIX 2.1 sections 7.2.1 and 7.2.3; STIX 2.0 part 1 section 4.
    """
    granular = [one for one in value.get("granular_markings", ()) if isinstance(one, dict)]
    for number, one in enumerate(granular):
        place = f"granular_markings/{number}"
        if ("lang" in one) == ("marking_ref" in one):
            yield place, "should have marking_ref or lang, and not both"
        for selector in one.get("selectors", ()):
            if not _selects(value, selector):
                yield f"{place}/selectors", f"{shown(selector)} selects nothing in this object"
    if type == "marking-definition":
        refs = [*value.get("object_marking_refs", ()), *(one.get("marking_ref") for one in granular)]
        if value.get("id") in refs:
            yield "object_marking_refs", "names this marking-definition itself: a marking cannot mark itself"


def _selects(value: object, selector: str) -> bool:
    for step in selector.split("."):
        index = _STEP.fullmatch(step)
        if index is not None:
            if not isinstance(value, list) or len(index[1]) > 9 or int(index[1]) >= len(value):
                return False
            value = value[int(index[1])]
        elif isinstance(value, dict) and step in value:
            value = value[step]
        else:
            return False
    return True


def _languages(value: Value, type: str) -> Iterator[Fault]:
    """Languages are written as RFC 5646 has them; whether such a language is registered is not asked.

    Source:
        STIX 2.1 sections 3.2, 6.14, 7.1 and 7.2.3.1.
    """
    said = [("lang", value.get("lang"))]
    for number, one in enumerate(value.get("granular_markings", ())):
        said.append((f"granular_markings/{number}/lang", one.get("lang")))
    if type == "software":
        said += [(f"languages/{number}", tag) for number, tag in enumerate(value.get("languages", ()))]
    contents = value.get("contents")
    if type == "language-content" and isinstance(contents, dict):
        for key, translated in contents.items():
            said.append((f"contents/{key}", key))
            if not isinstance(translated, dict):
                yield f"contents/{key}", "should be a dictionary of the translated properties"
    for place, text in said:
        if isinstance(text, str) and (len(text) > 100 or _LANGUAGE.fullmatch(text) is None):
            yield place, f"{shown(text)} is no language tag: write one like en or pt-BR"


def pattern_of(value: Value) -> tuple[str, str] | None:
    """The STIX pattern of an indicator with the version of its grammar; None where there is none.

    Source:
        STIX 2.1 section 4.7; STIX 2.0 part 2 section 2.5, where every pattern is a STIX pattern.
    """
    pattern = value.get("pattern")
    if value.get("type") != "indicator" or not isinstance(pattern, str):
        return None
    if value.get("spec_version", "2.0") == "2.0":
        return pattern, "2.0"
    if value.get("pattern_type") != "stix":
        return None
    return pattern, "2.0" if value.get("pattern_version") == "2.0" else "2.1"


def _pattern(value: Value, _: str) -> Iterator[Fault]:
    """A STIX pattern can be read.

    Source:
        STIX 2.1 section 9; STIX 2.0 part 5.
    """
    found = pattern_of(value)
    problem = None if found is None else patterns.fault(*found)
    if problem is not None:
        yield "pattern", f"it {problem}"


_RULES_2_1: Final = (
    _form, _names, _belonging, _dates, _order, author, references("2.1"), observed, _markings, _languages,
    _pattern,
)  # fmt: skip
_RULES_2_0: Final = (_form, _dates, author, references("2.0"), observed, _markings, _pattern)
