"""The labels that a body bears: read from the bytes alone, for rules that look at nothing else of it.

Reads and writes nothing.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec


class _Labelled(msgspec.Struct):
    labels: list[str] = []


_DECODER = msgspec.json.Decoder(_Labelled)


def has_label(body: bytes, labels: Collection[str]) -> bool:
    """Whether a body bears one of some labels; upper and lower case are one.

    Args:
        body: The exact bytes of one version. Labels that are no list of texts are none.
        labels: In lower case.
    """
    if not labels:
        return False
    try:
        borne = _DECODER.decode(body).labels
    except (ValueError, RecursionError):
        return False
    return any(each.casefold() in labels for each in borne)
