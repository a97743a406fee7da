"""node/stix/withdrawing.py: a revoked version differs in two members only; a note is a valid STIX note."""

from __future__ import annotations

import json

import pytest

from node.stix.markings import NO_TLP, OFFICIAL, UNKNOWN
from node.stix.objects import read
from node.stix.validation import read_checked
from node.stix.withdrawing import notice, revoked_version
from tests.support.builders import NOON, NORTH_ID, an_id, an_indicator

UNTOUCHED = (
    b'{"type":"x-acme-thing", "id":"x-acme-thing--edfd6339-5f9b-44df-a26a-1e9f7d52d619","n":1.00,"big":123456'
    b'78901234567890,"text":"\\u00e9", "created":"2020-01-01T00:00:00.000Z",'
    b'"modified":"2020-01-01T00:00:00Z"}'
)


def note(**changes: object) -> dict[str, object]:
    values = {"author": NORTH_ID, "reason": "wrong", "markings": (), "rank": NO_TLP, "now": NOON, **changes}
    body = notice(an_id("note"), an_id("indicator"), **values)  # type: ignore[arg-type]
    assert read_checked(body, "full", max_object_bytes=100_000)[1] is None
    found: dict[str, object] = json.loads(body)
    return found


def test_members_keep_their_bytes_and_their_order():
    body = revoked_version(UNTOUCHED, version=read(UNTOUCHED).version or 0, now=NOON)

    for member in (b'"n":1.00', b'"big":12345678901234567890', b'"text":"\\u00e9"'):
        assert member in body
    assert [*json.loads(UNTOUCHED), "revoked"] == list(json.loads(body))


@pytest.mark.parametrize("ahead", [-1, 0, 999, 1_000, 3_600_000_000])
def test_it_is_later_than_the_version_before_whatever_the_clock_says(ahead: int):
    before = (NOON + ahead) * 1_000 + 1
    found = read(revoked_version(an_indicator(), version=before, now=NOON))

    assert found.revoked
    assert (found.version or 0) > before


@pytest.mark.parametrize("rank", sorted(set(OFFICIAL.values())))
def test_a_note_has_the_level_of_its_object_and_no_other_marking(rank: int):
    (ref,) = note(rank=rank, markings=["marking-definition--11111111-2222-4333-8444-555555555555"])[
        "object_marking_refs"
    ]  # type: ignore[misc]

    assert OFFICIAL[ref] == rank


def test_what_cannot_be_judged_is_taken_over_so_that_the_note_cannot_be_either():
    marks = ["marking-definition--11111111-2222-4333-8444-555555555555", "TLP-RED"]
    found = note(rank=UNKNOWN, markings=marks)

    assert (found["object_marking_refs"], found["labels"]) == (marks[:1], ["withdrawal-notice", "TLP-RED"])


def test_without_a_level_a_note_has_none():
    assert "object_marking_refs" not in note()
