"""As many STIX objects as one likes, the same ones each time: a shared collection after years.

Rule    An object follows from its number and the seed alone, so that the first thousand of a million are
        the thousand of a thousand, and any block can be made without the ones before it.

The mix: indicators and their relationships to a few families, observables, sightings, later versions, and
a rare type; TLP from CLEAR to RED; 600 to 1,000 bytes each.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from tests.support.builders import NORTH_ID, TLP_2

BLOCK = 1_000
FAMILIES = 200
RARE = "course-of-action"
TYPES = ("course-of-action", "indicator", "ipv4-addr", "malware", "relationship", "sighting", "url")
_FIRST = datetime(2016, 1, 1, tzinfo=UTC)
_NAMESPACE = uuid.UUID("9d1c2a5e-6b1b-5c57-8a43-0d2f6c7b8e90")
_LEVELS = ("clear", "green", "green", "green", "amber", "amber", "amber+strict", "red")
_WORDS = (
    "beacon", "loader", "mailbox", "invoice", "courier", "ledger", "harbour", "lantern", "relay", "archive",
    "operator", "staging", "domain", "wallet", "exchange", "gateway", "payload", "campaign", "cluster",
)  # fmt: skip


def objects(number: int, seed: int = 1, start: int = 0) -> Iterator[list[bytes]]:
    """The objects `start` to `number`, in blocks of 1,000 (the last one may be shorter).

    Args:
        number: Where to end.
        seed: Another seed, other objects.
        start: Where to begin; a multiple of 1,000.
    """
    for first in range(start, number, BLOCK):
        draw = random.Random(f"{seed} {first}")
        yield [_one(each, draw) for each in range(first, min(first + BLOCK, number))]


def family(number: int) -> str:
    """The id of a malware family; the first 200 objects are these."""
    return _id("malware", number)


def _one(number: int, draw: random.Random) -> bytes:
    if number < FAMILIES:
        return _dated("malware", number, number, draw, f'"name":"Family {number}","is_family":true')
    if number % 500 == 499:
        return _dated(RARE, number, number, draw, f'"name":"Advice {number}"')
    kind = number % 20
    if kind < 10:
        return _indicator(number, number, draw)
    if kind < 13:
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        return _plain("ipv4-addr", number, draw, f'"value":"{address}"')
    if kind < 15:
        return _plain("url", number, draw, f'"value":"https://{number:x}.example/{_text(draw, 6, "/")}"')
    if kind < 18:
        ends = f'"relationship_type":"indicates","source_ref":"{_id("indicator", number - 10)}"'
        return _dated(
            "relationship", number, number, draw, f'{ends},"target_ref":"{family(number % FAMILIES)}"'
        )
    if kind == 18:
        seen = _id("indicator", number - 10)
        return _dated(
            "sighting", number, number, draw, f'"sighting_of_ref":"{seen}","count":{number % 90 + 1}'
        )
    return _indicator(number - 10, number, draw)  # a later version of the indicator ten before


def _indicator(of: int, number: int, draw: random.Random) -> bytes:
    words = f'"name":"Indicator {of}","indicator_types":["malicious-activity"],"pattern_type":"stix"'
    pattern = f"[domain-name:value = 'host{of:x}.example' OR url:value = 'https://host{of:x}.example/a']"
    since = f'"valid_from":"{_moment(of)}","confidence":{of % 101}'
    return _dated("indicator", of, number, draw, f'{words},"pattern":"{pattern}",{since}')


def _dated(type: str, of: int, number: int, draw: random.Random, properties: str) -> bytes:
    dates = f'"created":"{_moment(of)}","modified":"{_moment(number)}","created_by_ref":"{NORTH_ID}"'
    return _object(type, of, draw, f'{dates},{properties},"description":"{_text(draw, 42)}"')


def _plain(type: str, number: int, draw: random.Random, properties: str) -> bytes:
    return _object(type, number, draw, f'{properties},"x_note":"{_text(draw, 50)}"')


def _object(type: str, of: int, draw: random.Random, properties: str) -> bytes:
    marking = TLP_2[draw.choice(_LEVELS)]
    head = f'{{"type":"{type}","spec_version":"2.1","id":"{_id(type, of)}",{properties}'
    return f'{head},"object_marking_refs":["{marking}"]}}'.encode()


def _id(type: str, number: int) -> str:
    return f"{type}--{uuid.uuid5(_NAMESPACE, f'{type} {number}')}"


def _moment(number: int) -> str:
    return f"{_FIRST + timedelta(seconds=300 * number):%Y-%m-%dT%H:%M:%S}.{number % 1000:03}Z"


def _text(draw: random.Random, words: int, between: str = " ") -> str:
    return between.join(draw.choices(_WORDS, k=words))
