"""Deletion: what goes, what is left behind, and how it comes back."""

from __future__ import annotations

from node.exchange import removal
from node.exchange.selection import Selection, Versions
from node.store import catalog, owners
from node.store.database import Database
from tests.support.builders import LATER, an_id, an_indicator, an_ipv4
from tests.support.nodes import ALL_EYES, IN, Node, a_node, digest_of

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
    """T-DEL-10: so that what is deleted here does not come back by itself."""
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


def resumed(north: Node, position: int) -> set[str]:
    """What a reader finds who has read as far as a date: version texts."""
    page = north.page(ALL_EYES, Selection(1_000, after=position))
    return {record.version_text for record in page.records}


def test_an_older_version_that_becomes_last_again_is_found_by_a_reader_past_it(north: Node):
    north.bring(FIRST)
    north.bring(NEWER)
    position = north.page().records[-1].added
    old = north.held(ID)[0]
    north.remove(ID, Versions(last=True))
    assert resumed(north, position) == {old.version_text}


def test_a_version_that_becomes_last_by_a_restate_is_found_by_a_reader_past_it(north: Node):
    north.bring(an_indicator(tlp="green", revoked=True), by=IN)
    north.bring(NEWER, by=IN)
    position = north.page().records[-1].added
    newer = north.held(ID)[-1]
    assert north.bring(an_indicator(tlp="green", revoked=False), by=IN) == ["restated"]
    assert newer.version_text in resumed(north, position)


def test_the_other_rendition_is_found_when_that_of_the_newer_standard_goes(database: Database):
    north = a_node(database, validation="structure")
    old = an_indicator(spec_version=None, tlp=None, pattern_type=None, labels=["malicious-activity"])
    assert north.bring(old) == ["stored"]
    assert north.bring(FIRST) == ["stored"]
    position = north.page().records[-1].added
    with north.database.writing() as tx:
        collection = catalog.lock(tx, north.collection().collection_id)
        removal.remove(
            tx,
            north.door,
            collection,
            ID,
            versions=None,
            spec_versions=("2.1",),
            actor="os:tester",
            now=north.moment(),
        )
    page = north.page(ALL_EYES, Selection(1_000, after=position))
    assert [record.spec_version for record in page.records] == ["2.0"]


def test_a_late_older_version_gives_no_other_row_a_new_date(north: Node):
    north.bring(NEWER)
    (before,) = north.held(ID)
    north.bring(FIRST)
    assert before.added in {row.added for row in north.held(ID)}


def test_what_goes_below_the_last_gives_no_other_row_a_new_date(north: Node):
    north.bring(FIRST)
    north.bring(NEWER)
    last = north.last(ID).added
    north.remove(ID, Versions(first=True, last=False))
    assert north.last(ID).added == last


def test_what_a_partner_brought_of_that_version_and_was_not_kept_is_removed_with_it(north: Node):
    north.bring(FIRST)
    other = an_indicator(tlp="green", description="theirs")
    assert north.bring(other, by=IN) == ["variant"]
    north.remove(ID)
    assert north.bring(other, by=IN) == ["suppressed"]
    assert north.held(ID) == []


def test_control_without_that_the_next_listing_would_store_it(north: Node, monkeypatch):
    monkeypatch.setattr(removal, "_other_texts", lambda *_arguments: [])
    north.bring(FIRST)
    other = an_indicator(tlp="green", description="theirs")
    north.bring(other, by=IN)
    north.remove(ID)
    assert north.bring(other, by=IN) != ["suppressed"]
