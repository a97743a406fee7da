"""Objects with one fault each (and some with none), made from the valid specimens.

    mutations()   ("2.1 indicator drop pattern", the object), each name once

Made by rule for every property of every type; what only some types can do wrong stands in `by_hand`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from tests.stix.by_hand import BY_HAND
from tests.support.builders import CREATED, LATER, an_id
from tests.support.specimens import Specimen, specimens

# Mutated in one type of each kind alone, since all share them.
_COMMON = {
    "type", "spec_version", "id", "created", "modified", "created_by_ref", "revoked", "labels", "confidence",
    "lang", "external_references", "object_marking_refs", "granular_markings", "defanged",
}  # fmt: skip
_FOR_COMMON = {("2.1", "indicator"), ("2.1", "ipv4-addr"), ("2.0", "indicator")}

_DATES = {
    "impossible": "2026-02-30T08:00:00.000Z",
    "with a blank": "2026-11-20 08:00:00.000Z",
    "with an offset": "2026-11-20T08:00:00.000+00:00",
    "in a leap second": "2016-12-31T23:59:60.000Z",
    "of twelve digits": "2026-11-20T08:00:00.000000000001Z",
}
_NAMED = ("bundle", "indicator", "ipv4-addr", "marking-definition", "relationship", "x-thing")
_UUID = an_id("any")[5:]
_IDS = {
    "of another type": f"tool--{_UUID}",
    "without a UUID": "{type}--1",
    "in upper case": "{type}--" + _UUID.upper(),
    "of version 1": "{type}--6f0d6a0e-7a63-1f0b-9c1f-1d2f3b4a5c6d",
    "of version 7": "{type}--019aa1c0-7a63-7f0b-9c1f-1d2f3b4a5c6d",
    "of no variant": "{type}--6f0d6a0e-7a63-4f0b-0c1f-1d2f3b4a5c6d",
    "of zeros": "{type}--00000000-0000-0000-0000-000000000000",
}
_NAMES = ("ab", "Name", "nameNOT", "name-not", "9name", "_name", "n" * 251, "x_name")


def mutations() -> Iterator[tuple[str, Specimen]]:
    """Every mutation with its name."""
    for version in ("2.1", "2.0"):
        for type, one in specimens(version).items():
            for name, changed in _of(version, type, one):
                yield f"{version} {type} {name}", changed
    for type, changes in BY_HAND.items():
        version, _, kind = type.partition(" ")
        for name, change in changes.items():
            yield f"{version} {kind} {name}", _changed(specimens(version)[kind], change)


def _of(version: str, type: str, one: Specimen) -> Iterator[tuple[str, Specimen]]:
    yield "as it is", one
    common = (version, type) in _FOR_COMMON
    for name, value in one.items():
        if name in _COMMON and not common:
            continue
        yield f"drop {name}", _without(one, name)
        for what, other in _others(name, value):
            yield f"{what} {name}", one | {name: other}
    if common:
        for what, text in _IDS.items():
            yield f"id {what}", one | {"id": text.format(type=type)}
        for name in _NAMES:
            yield f"name {name[:10]}", one | {name: "A"}
        for what, inner in (("null", None), ("empty list", []), ("empty dictionary", {}), ("large", 2**60)):
            yield f"{what} inside", one | {"x_deep": {"inner": [{"other": inner}]}}


def _others(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    yield "null", None
    if name == "spec_version":
        yield "another", "2.2"
    if isinstance(value, str):
        yield "number", 1
    elif isinstance(value, list):
        yield "text", "A"
        yield "empty", []
        yield "numbers", [1]
    elif isinstance(value, dict):
        yield "text", "A"
        yield "empty", {}
    elif isinstance(value, bool):
        yield "text", "true"
    else:
        yield "text", "1"
        yield "negative", -value
    if value in (CREATED, LATER):
        yield from ((f"date {what}", text) for what, text in _DATES.items())
    if name.endswith("_ref"):
        yield "text", "A"
        yield from ((f"{kind} as", an_id(kind)) for kind in _NAMED)
    if name.endswith("_refs"):
        yield "texts", ["A"]
        yield from ((f"{kind} in", [an_id(kind)]) for kind in _NAMED)


def _without(one: Specimen, *names: str) -> Specimen:
    return {name: value for name, value in one.items() if name not in names}


def _changed(one: Specimen, change: Specimen) -> Specimen:
    """The specimen with other properties; None leaves one out."""
    changed = copy.deepcopy(one) | change
    return {name: value for name, value in changed.items() if value is not None}
