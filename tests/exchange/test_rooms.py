"""A joint room: what stands in it belongs to both sides, and nothing else does."""

from __future__ import annotations

import pytest

from node.exchange import remarking
from node.exchange.egress import Reader
from node.store import owners
from node.store.database import Database
from tests.support.agreements import a_flow
from tests.support.builders import LATER, SOUTH_ID, TLP_2, a_marking_definition, an_id, an_indicator
from tests.support.nodes import IN, Node, a_node, digest_of

ID, MARKING = an_id("indicator"), an_id("marking-definition")
LAST = "2026-11-20T10:00:00.000Z"
ROOM = "south/room/in"
FIRST, NEWER = an_indicator(tlp="green"), an_indicator(tlp="green", modified=LATER)
RED = an_indicator(tlp="red", modified=LATER)
LOW = Reader(1, ("state-bodies",))


@pytest.fixture
def north(database: Database) -> Node:
    """North with a collection of its own giving and a room beside it."""
    return a_node(
        database,
        collections=("indicators", "room"),
        flow=[a_flow(), a_flow("room", either_may_edit=True)],
    )


def test_our_own_people_continue_a_partners_object_in_the_room(room: Node):
    room.bring(an_indicator(tlp="green", author=SOUTH_ID), by=IN)
    assert room.bring(NEWER) == ["stored"]
    assert room.last(ID).digest == digest_of(NEWER)


def test_a_partners_object_is_not_continued_in_a_room_where_it_never_was(north: Node):
    north.bring(an_indicator(tlp="green", author=SOUTH_ID), by=IN)
    assert north.bring_one(NEWER, into="room").reason == "not_owner"


def test_a_partner_may_not_bring_into_the_room_what_is_ours_and_never_was_there(north: Node):
    north.bring(FIRST, RED)
    assert north.bring_one(an_indicator(tlp="clear", modified=LAST), by=ROOM).reason == "foreign_edit"
    assert north.seen(LOW) == set()


def test_a_partner_may_continue_what_we_took_out_of_the_room(north: Node):
    north.bring(FIRST, into="room")
    north.remove(ID, alias="room")
    assert north.bring(NEWER, by=ROOM) == ["stored"]


def test_a_version_from_the_room_does_not_loosen_what_stands_elsewhere(north: Node):
    north.bring(FIRST, RED)
    north.bring(RED, into="room")
    assert north.bring(an_indicator(tlp="clear", modified=LAST), by=ROOM) == ["stored"]
    assert {row.effective_rank for row in north.held(ID)} == {4}
    assert north.seen(LOW) == set()


def test_a_definition_from_the_room_does_not_loosen_what_stands_elsewhere(north: Node):
    north.bring(FIRST)
    north.bring(FIRST, into="room")
    marked = an_indicator(object_marking_refs=[MARKING, TLP_2["clear"]], modified=LAST)
    north.bring(marked, by=ROOM)
    assert north.bring(a_marking_definition(), by=ROOM) == ["stored"]
    assert min(row.rank for row in north.held(ID, "room")) == 0
    remarking.work_in(north.door, now=north.moment())
    assert {row.effective_rank for row in north.held(ID)} == {5}


def test_our_own_newer_version_loosens_it_again(north: Node):
    north.bring(RED)
    north.bring(RED, into="room")
    north.bring(an_indicator(tlp="green", modified=LAST), into="room")
    owner = north.owner(ID)
    assert owner is not None
    assert owner.rank == 1


def test_a_tie_that_is_lost_again_and_again_is_kept_once(room: Node):
    """N-SYNC-9: in a room the smaller digest stands on both nodes."""
    texts = sorted((an_indicator(description=name) for name in "ab"), key=digest_of)
    room.bring(texts[1], by=IN)
    for _ in range(3):
        room.bring(texts[0], by=IN)
        room.bring(texts[1], by=IN)
    assert [digest for digest, _ in room.history(ID)] == [digest_of(texts[1])]


def test_a_definition_that_lost_a_tie_means_nothing_any_more(room: Node):
    texts = sorted(
        (a_marking_definition(definition={"statement": name}) for name in ("one", "two")), key=digest_of
    )
    room.bring(texts[1])
    assert room.bring(texts[0], by=IN) == ["restated"]
    with room.database.reading() as tx:
        assert [one.origin for one in owners.definitions(tx)] == ["south"]
