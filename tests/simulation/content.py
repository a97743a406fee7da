"""The texts that people of the simulated nodes write: few ids, several versions, several texts of each.

A text is made from a small tuple, so that a history stays readable and can be drawn and shortened.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import NamedTuple

from node.clock import parse_stix_time, taxii_time
from node.config_keys import MITRE
from node.stix.objects import read
from tests.support.agreements import WEST_ID
from tests.support.builders import (
    CREATED,
    NORTH_ID,
    SOUTH_ID,
    TLP_2,
    a_marking_definition,
    a_relationship,
    an_id,
    an_indicator,
    an_ipv4,
)

AUTHORS = {"north's": NORTH_ID, "south's": SOUTH_ID, "west's": WEST_ID, "public": MITRE}
NAMES = (
    "nobody's",
    "other",
    "north's",
    "south's",
    "west's",
    "public",
    "address",
    "tie",
    "marked",
    "statement",
)
LEVELS = {TLP_2["clear"]: 0, TLP_2["green"]: 1, TLP_2["amber"]: 2, TLP_2["amber+strict"]: 3, TLP_2["red"]: 4}
STATEMENT = json.loads(a_marking_definition("simulated"))["id"]
MINUTE = 60_000_000


class Text(NamedTuple):
    """One text of one version of one object.

    Args:
        name: One of `NAMES`.
        step: Which version, in minutes after the first.
        variant: Which of several texts of that version.
        tlp: Its marking.
        revoked: Whether it takes the object back.
    """

    name: str
    step: int = 0
    variant: int = 0
    tlp: str = "green"
    revoked: bool = False


class Facts(NamedTuple):
    """What an oracle needs of some bytes; `level` is None where there is no TLP."""

    stix_id: str
    type: str
    author: str | None
    level: int | None
    statement: bool
    refs: tuple[str, ...]
    digest: bytes


@lru_cache(maxsize=4096)
def body_of(text: Text) -> bytes:
    """The bytes of a text."""
    if text.name == "address":
        return an_ipv4(tlp=text.tlp, defanged=True if text.variant else None)
    if text.name == "statement":
        return a_marking_definition("simulated", tlp="clear")
    changes: dict[str, object] = {
        "modified": taxii_time(parse_stix_time(CREATED) // 1000 + text.step * MINUTE),
        "tlp": text.tlp,
        "author": AUTHORS.get(text.name),
        "description": f"text {text.variant}",
        "revoked": True if text.revoked else None,
    }
    if text.name == "tie":
        ends = an_id("indicator", "nobody's"), an_id("indicator", "north's")
        return a_relationship(*ends, "tie", **changes)
    if text.name == "marked":
        changes["tlp"] = None
        changes["object_marking_refs"] = [TLP_2[text.tlp], STATEMENT]
    return an_indicator(text.name, **changes)


def id_of(name: str) -> str:
    """The id of one of `NAMES`."""
    return facts_of(body_of(Text(name))).stix_id


@lru_cache(maxsize=8192)
def facts_of(body: bytes) -> Facts:
    """What an oracle needs of some bytes, read without the rules that are judged by it."""
    one = json.loads(body)
    marks = one.get("object_marking_refs", [])
    levels = [LEVELS[mark] for mark in marks if mark in LEVELS]
    ends = [one[key] for key in ("source_ref", "target_ref") if key in one]
    level = max(levels) if levels else None
    return Facts(
        one["id"],
        one["type"],
        one.get("created_by_ref"),
        level,
        STATEMENT in marks,
        tuple(ends),
        read(body).digest,
    )
