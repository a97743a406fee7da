"""node/exchange/corrections.py: what a correction may change in a partner's object, and what not."""

from __future__ import annotations

import json

import pytest

from node.exchange import quarantine, worklist
from node.exchange.corrections import NotAllowed
from node.store.database import Database
from tests.support.builders import (
    CREATED,
    LATER,
    NORTH_ID,
    SOUTH_ID,
    TLP_2,
    a_marking_definition,
    an_id,
    an_indicator,
)
from tests.support.nodes import IN, Node, a_node

FAILS_THE_SCHEMA = an_indicator(tlp="green", author=SOUTH_ID, pattern_type=7)
UNREADABLE = an_indicator(tlp="green", author=SOUTH_ID, confidence="high")
MENDED = {"tlp": "green", "author": SOUTH_ID}


@pytest.fixture
def north(sqlite_database: Database) -> Node:
    """North, whose one partner is south."""
    return a_node(sqlite_database)


def corrected(node: Node, original: bytes, body: bytes) -> str:
    """What becomes of a correction of an object that south brings."""
    (result,) = node.admit(original, by=IN).results
    assert result.outcome == "quarantined"
    with node.database.writing() as tx:
        (entry,) = quarantine.entries(tx)
        how = {"actor": "person:eve", "reason": "by phone", "now": node.moment()}
        return worklist.edit(tx, node.door, entry.entry, body, **how).outcome.value


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"id": an_id("indicator", "two")}, "has the id", id="id"),
        pytest.param({"modified": LATER}, "is another version", id="version"),
        pytest.param({"author": NORTH_ID}, "another author", id="author"),
        pytest.param({"author": None}, "another author", id="no author"),
        pytest.param({"revoked": True}, "is revoked", id="revoked"),
        pytest.param({"tlp": None}, "lacks the marking", id="no marking"),
        pytest.param({"tlp": "clear"}, "lacks the marking", id="looser"),
    ],
)
@pytest.mark.parametrize("original", [FAILS_THE_SCHEMA, UNREADABLE], ids=["readable", "unreadable"])
def test_what_its_author_alone_may_say_stays(north: Node, original: bytes, changes: dict, said: str):
    with pytest.raises(NotAllowed, match=said):
        corrected(north, original, an_indicator(**{**MENDED, **changes}))
    assert north.held(an_id("indicator")) == []


@pytest.mark.parametrize("original", [FAILS_THE_SCHEMA, UNREADABLE], ids=["readable", "unreadable"])
def test_everything_else_may_be_mended(north: Node, original: bytes):
    body = an_indicator(**MENDED, confidence=5, description="mended", pattern_type="pcre", pattern="x")

    assert corrected(north, original, body) == "stored"


def test_a_marking_may_be_added(north: Node):
    refs = [TLP_2["green"], an_id("marking-definition", "terms")]

    assert corrected(north, UNREADABLE, an_indicator(author=SOUTH_ID, object_marking_refs=refs)) == "stored"


def test_of_two_texts_of_one_property_no_marking_is_dropped(north: Node):
    """M8: RED, then CLEAR under the same name; a decoder that takes the last would publish it."""
    twice = an_indicator(object_marking_refs=[TLP_2["red"]])[:-1]
    twice += b',"object_marking_refs":["' + TLP_2["clear"].encode() + b'"]}'

    with pytest.raises(NotAllowed, match=TLP_2["red"]):
        corrected(north, twice, an_indicator(tlp="clear"))


def test_a_tlp_label_of_stix_2_0_is_a_marking_too(north: Node):
    original = an_indicator(labels=["TLP:RED"], revoked="no")

    with pytest.raises(NotAllowed, match="tlp:red"):
        corrected(north, original, an_indicator(labels=["malicious"]))


@pytest.mark.parametrize("modified", ["yesterday", 7, None], ids=str)
def test_a_version_that_the_original_does_not_name_is_not_later_than_its_arrival(north: Node, modified):
    original = an_indicator(modified=modified, created="2026-13-01T00:00:00.000Z")
    with pytest.raises(NotAllowed, match="later than the original came"):
        corrected(north, original, an_indicator(modified="2026-11-22T08:00:00.000Z"))


def test_a_version_that_can_be_made_out_holds(north: Node):
    original = an_indicator(confidence="high", modified="2026-11-20T08:00:00Z")

    assert corrected(north, original, an_indicator(modified=CREATED)) == "stored"


@pytest.mark.parametrize(
    ("author", "taken"), [(SOUTH_ID, True), (NORTH_ID, False), (an_id("identity", "x"), False)]
)
def test_an_author_that_cannot_be_made_out_is_one_for_whom_the_partner_speaks(
    north: Node, author: str, taken: bool
):
    original = an_indicator(created_by_ref="South")
    if taken:
        assert corrected(north, original, an_indicator(author=author)) == "stored"
        return
    with pytest.raises(NotAllowed, match="south does not speak for"):
        corrected(north, original, an_indicator(author=author))


def test_what_was_revoked_stays_revoked(north: Node):
    original = json.loads(an_indicator(revoked=True)) | {"confidence": "high"}
    with pytest.raises(NotAllowed, match="is not revoked as the original is"):
        corrected(north, json.dumps(original).encode(), an_indicator())


def test_the_meaning_of_a_marking_is_not_mended_here(north: Node):
    bad = a_marking_definition(definition={"statement": 7})

    with pytest.raises(NotAllowed, match="its author's to say"):
        corrected(north, bad, a_marking_definition())
