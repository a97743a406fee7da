"""Deletion: what goes, what is left behind, and how it comes back."""

from __future__ import annotations

from node.exchange.selection import Versions
from node.store import owners
from node.store.database import Database
from tests.support.builders import LATER, an_id, an_indicator, an_ipv4
from tests.support.nodes import IN, Node, a_node, digest_of

ID = an_id("indicator")
FIRST, NEWER = an_indicator(tlp="green"), an_indicator(tlp="green", modified=LATER)


def test_without_a_choice_every_version_goes(north: Node):
    north.bring(FIRST, NEWER)
    assert north.remove(ID) == 2
    assert north.held(ID) == []


def test_the_chosen_version_goes_and_the_flags_follow(north: Node):
    north.bring(FIRST, NEWER)
    assert north.remove(ID, Versions()) == 1
    (row,) = north.held(ID)
    assert row.digest == digest_of(FIRST)
    assert (row.is_first, row.is_last) == (True, True)


def test_what_is_not_there_is_not_removed(north: Node):
    assert north.remove(ID) == 0


def test_each_version_leaves_a_tombstone_with_owner_actor_and_moment(north: Node):
    north.bring(FIRST, by=IN)
    north.remove(ID)
    with north.database.reading() as tx:
        (stone,) = owners.tombstones_of(tx, ID)
    assert (stone.digest, stone.owner, stone.reason, stone.actor, stone.at) == (
        digest_of(FIRST),
        "south",
        "deleted_here",
        "os:tester",
        north.now,
    )


def test_the_owner_row_survives(north: Node):
    north.bring(FIRST, by=IN)
    north.remove(ID)
    owner = north.owner(ID)
    assert owner is not None
    assert owner.owner == "south"


def test_another_collection_keeps_its_rows(database: Database):
    north = a_node(database, collections=("indicators", "archive"))
    north.bring(FIRST)
    north.bring(FIRST, into="archive")
    assert north.remove(ID) == 1
    assert len(north.held(ID, "archive")) == 1


def test_an_observable_that_was_deleted_may_be_imported_again(north: Node):
    north.bring(an_ipv4())
    stix_id = north.page().records[0].stix_id
    north.remove(stix_id)
    assert north.bring(an_ipv4()) == ["stored"]
    with north.database.reading() as tx:
        assert owners.tombstones_of(tx, stix_id) == []


def test_remembered_pages_become_invalid(north: Node):
    north.bring(FIRST)
    before = north.collection().rewritten
    north.remove(ID)
    assert north.collection().rewritten > before
