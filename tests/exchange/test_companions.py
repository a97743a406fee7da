"""Companions: they go while something names them, wherever they are held, and no longer."""

from __future__ import annotations

import pytest

from node.store.database import Database
from tests.support.builders import LATER, NORTH_ID, a_marking_definition, an_id, an_identity, an_indicator
from tests.support.nodes import Node, a_node, digest_of

ID = an_id("indicator")
FIRST = an_indicator(author=NORTH_ID, tlp="green")
ORGANISATION = an_identity(id=NORTH_ID)
NEWER = an_identity(id=NORTH_ID, modified=LATER)


@pytest.fixture
def split(database: Database) -> Node:
    """North, with a collection of its own for organisations that no flow carries."""
    return a_node(database, collections=("indicators", "library"))


def test_an_organisation_stored_late_in_another_collection_follows_what_it_wrote(split: Node):
    split.bring(FIRST)
    split.advance()
    split.bring(ORGANISATION, into="library")
    assert split.offered_ids() == {ID, NORTH_ID}


def test_a_new_version_of_an_organisation_in_another_collection_goes_too(split: Node):
    split.bring(ORGANISATION, into="library")
    split.bring(FIRST)
    split.advance()
    split.bring(NEWER, into="library")
    assert (NORTH_ID, digest_of(NEWER)) in split.offered()


def test_an_organisation_elsewhere_that_nothing_names_does_not_go(split: Node):
    split.bring(an_indicator(tlp="green"))
    split.bring(ORGANISATION, into="library")
    assert split.offered_ids() == {ID}
    assert split.withheld(NORTH_ID) == []


def test_an_organisation_deleted_in_another_collection_leaves_the_feed(split: Node):
    split.bring(ORGANISATION, into="library")
    split.bring(FIRST)
    split.advance()
    split.remove(NORTH_ID, alias="library")
    assert split.offered_ids() == {ID}


def test_a_person_in_another_collection_makes_nothing_due(split: Node):
    split.bring(FIRST)
    split.advance()
    split.bring(an_identity(identity_class="individual"), into="library")
    assert split.advance() == (0, 0, 0, True)


def test_a_definition_deleted_in_another_collection_leaves_the_feed(split: Node):
    definition = an_id("marking-definition")
    split.agree(every_flow={"max_tlp": "green", "unmarked": "green", "audience": []})
    split.bring(a_marking_definition(), into="library")
    split.bring(an_indicator(object_marking_refs=[definition]))
    assert split.offered_ids() == {ID, definition}
    split.remove(definition, alias="library")
    assert split.offered_ids() == set()


def test_an_organisation_leaves_with_the_last_object_that_names_it(north: Node):
    north.bring(ORGANISATION, FIRST, an_indicator("two", author=NORTH_ID, tlp="green"))
    north.advance()
    north.remove(ID)
    assert NORTH_ID in north.offered_ids()
    north.remove(an_id("indicator", "two"))
    assert north.offered_ids() == set()
    assert north.reasons(NORTH_ID) == ["type_not_agreed"]


def test_a_new_version_of_an_organisation_that_nothing_names_any_more_stays_here(north: Node):
    north.bring(ORGANISATION, FIRST)
    north.advance()
    north.remove(ID)
    north.bring(NEWER)
    assert (NORTH_ID, digest_of(NEWER)) not in north.offered()


def test_an_organisation_does_not_hold_itself_in_the_feed_as_its_own_author(north: Node):
    north.bring(an_identity(id=NORTH_ID, author=NORTH_ID), FIRST)
    assert NORTH_ID in north.offered_ids()
    north.remove(ID)
    assert north.offered_ids() == set()
