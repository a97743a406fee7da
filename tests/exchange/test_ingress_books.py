"""What `admit` does beside the table of arrivals: owner rows, agreement, quarantine, faults, batches."""

from __future__ import annotations

import pytest

from node.config_keys import MITRE
from node.errors import UsageError
from node.exchange import quarantine, worklist
from node.sharing.links import Stricter
from node.stix.markings import NO_TLP, TLP, UNKNOWN
from node.store.database import Database
from tests.support.agreements import a_flow
from tests.support.builders import (
    LATER,
    NORTH_ID,
    SOUTH_ID,
    a_malware,
    a_marking_definition,
    a_relationship,
    a_sighting,
    an_id,
    an_identity,
    an_indicator,
)
from tests.support.nodes import IN, SECOND, Node, a_node, digest_of

ID = an_id("indicator")
FIRST = an_indicator(tlp="green")
OTHER = an_indicator(tlp="green", description="Other words.")
NEWER = an_indicator(tlp="green", modified=LATER)
REVOKED = an_indicator(tlp="green", revoked=True)
BY_NORTH = an_indicator(tlp="green", author=NORTH_ID)
BY_SOUTH = an_indicator(tlp="green", author=SOUTH_ID)
BY_MITRE = an_indicator(tlp="green", author=MITRE)
DAY = 86_400 * SECOND


class TestOwnerRow:
    @pytest.mark.parametrize(
        ("body", "by", "owner"),
        [
            (FIRST, "", "local"),
            (FIRST, IN, "south"),
            (BY_NORTH, "", "local"),
            (BY_SOUTH, "", "south"),
            (BY_SOUTH, IN, "south"),
            (BY_MITRE, "", ""),
            (BY_MITRE, IN, ""),
        ],
    )
    def test_the_author_of_the_first_version_decides_before_its_origin(
        self, north: Node, body: bytes, by: str, owner: str
    ):
        north.bring(body, by=by)
        found = north.owner(ID)
        assert found is not None
        assert found.owner == owner

    def test_nobodys_object_may_be_edited_by_all(self, north: Node):
        north.bring(BY_MITRE, by=IN)
        assert north.bring(an_indicator(tlp="green", author=MITRE, modified=LATER)) == ["stored"]
        newest = an_indicator(tlp="green", author=MITRE, modified="2026-11-20T10:00:00.000Z")
        assert north.bring(newest, by=IN) == ["stored"]

    def test_a_partner_may_be_kept_from_bringing_public_objects(self, database: Database):
        north = a_node(database, stricter=Stricter(public_objects="refuse"))
        result = north.bring_one(BY_MITRE, by=IN)
        assert (result.outcome, result.reason) == ("refused", "public_refused")
        assert north.bring(BY_MITRE) == ["stored"]

    def test_it_holds_the_marking_of_the_newest_version_ever_stored(self, north: Node):
        north.bring(an_indicator(tlp="red", modified=LATER))
        north.bring(FIRST)
        assert [row.effective_rank for row in north.held(ID)] == [TLP.RED, TLP.RED]
        north.remove(ID)
        north.bring(FIRST)
        assert north.last(ID).effective_rank == TLP.RED

    def test_an_older_version_brought_late_does_not_loosen_it(self, north: Node):
        north.bring(an_indicator(tlp="amber", modified=LATER))
        north.bring(an_indicator(tlp="clear"))
        owner = north.owner(ID)
        assert owner is not None
        assert owner.rank == TLP.AMBER

    def test_it_reaches_the_rows_in_other_collections(self, database: Database):
        north = a_node(database, collections=("indicators", "archive"))
        north.bring(FIRST, into="archive")
        north.bring(an_indicator(tlp="red", modified=LATER))
        assert [row.effective_rank for row in north.held(ID, "archive")] == [TLP.RED]
        north.bring(an_indicator(tlp="clear", modified="2026-11-20T10:00:00.000Z"))
        assert [row.effective_rank for row in north.held(ID, "archive")] == [TLP.GREEN]


class TestAgreement:
    def test_a_type_that_was_not_agreed_is_set_aside(self, north: Node):
        assert north.bring_one(a_sighting(ID, tlp="green"), by=IN).reason == "type_not_agreed"

    def test_what_is_above_the_ceiling_is_set_aside(self, north: Node):
        assert north.bring_one(an_indicator(tlp="amber"), by=IN).reason == "above_ceiling"

    def test_an_unknown_marking_comes_in_as_unknown(self, north: Node):
        unknown = an_id("marking-definition", "theirs")
        assert north.bring(an_indicator(object_marking_refs=[unknown]), by=IN) == ["stored"]
        assert north.last(ID).rank == UNKNOWN

    def test_an_unmarked_object_comes_in(self, north: Node):
        assert north.bring(an_indicator(), by=IN) == ["stored"]
        assert north.last(ID).rank == NO_TLP

    def test_markings_and_organisations_come_in_whatever_the_types(self, north: Node):
        assert north.bring(a_marking_definition(), an_identity(id=SOUTH_ID, tlp="green"), by=IN) == [
            "stored",
            "stored",
        ]

    def test_a_variant_is_noted_even_when_it_is_above_the_ceiling(self, north: Node):
        north.bring(FIRST)
        assert north.bring(an_indicator(tlp="red"), by=IN) == ["variant"]


class TestQuarantine:
    def entry(self, north: Node) -> str:
        with north.database.reading() as tx:
            (found,) = quarantine.entries(tx)
        return found.entry

    def test_an_accepted_object_is_stored_as_the_partners_with_a_new_date(self, north: Node):
        north.bring(an_indicator(tlp="amber"), by=IN)
        with north.database.writing() as tx:
            result = worklist.accept(
                tx, north.door, self.entry(north), actor="person:eve", reason="asked", now=north.moment()
            )
        assert result.outcome == "stored"
        assert (north.last(ID).origin, north.last(ID).added) == ("south", north.now)

    def test_an_accepted_foreign_edit_becomes_a_version_of_our_object(self, north: Node):
        north.bring(FIRST)
        north.bring(NEWER, by=IN)
        with north.database.writing() as tx:
            worklist.accept(
                tx, north.door, self.entry(north), actor="person:eve", reason="", now=north.moment()
            )
        assert north.last(ID).digest == digest_of(NEWER)
        owner = north.owner(ID)
        assert owner is not None
        assert owner.owner == "local"

    def test_an_entry_is_decided_once(self, north: Node):
        north.bring(an_indicator(tlp="amber"), by=IN)
        entry = self.entry(north)
        with north.database.writing() as tx:
            worklist.accept(tx, north.door, entry, actor="person:eve", reason="", now=north.moment())
        with pytest.raises(UsageError, match="accepted already"), north.database.writing() as tx:
            worklist.accept(tx, north.door, entry, actor="person:eve", reason="", now=north.moment())

    def test_a_discarded_object_is_remembered_and_not_asked_about_again(self, north: Node):
        north.bring(an_indicator(tlp="amber"), by=IN)
        with north.database.writing() as tx:
            quarantine.decide(
                tx, self.entry(north), state="discarded", actor="person:eve", reason="", now=north.moment()
            )
        result = north.bring_one(an_indicator(tlp="amber"), by=IN)
        assert (result.outcome, result.reason) == ("quarantined", "discarded")
        with north.database.reading() as tx:
            assert quarantine.entries(tx) == []

    def test_the_same_bytes_again_add_no_entry(self, north: Node):
        north.bring(an_indicator(tlp="amber"), by=IN)
        north.bring(an_indicator(tlp="amber"), by=IN)
        self.entry(north)

    def test_an_entry_closes_itself_when_its_key_arrives_lawfully(self, north: Node):
        north.bring(an_indicator(tlp="amber"), by=IN)
        entry = self.entry(north)
        north.agree(flow=[a_flow(max_tlp="amber")])
        assert north.bring(an_indicator(tlp="amber"), by=IN) == ["stored"]
        with north.database.reading() as tx:
            assert quarantine.find(tx, entry).state == "closed"


class TestInvalid:
    def test_a_partners_object_that_fails_the_schema_is_set_aside(self, north: Node):
        assert north.bring_one(an_indicator(pattern=None), by=IN).reason == "invalid"

    def test_a_local_one_is_refused_with_the_fault(self, north: Node):
        result = north.bring_one(an_indicator(pattern=None))
        assert (result.outcome, result.reason) == ("refused", "invalid")
        assert "pattern" in result.message

    @pytest.mark.parametrize("by", ["", IN])
    def test_bytes_that_are_no_object_are_refused_and_counted(self, north: Node, by: str):
        report = north.admit(b"[1]", FIRST, by=by)
        assert [result.outcome.value for result in report.results] == ["refused", "stored"]
        assert report.counts.total() == 2

    def test_a_collection_that_checks_structure_only_flags_the_fault(self, database: Database):
        north = a_node(database, validation="structure")
        assert north.bring(an_indicator(pattern=None)) == ["stored"]


class TestBatch:
    def test_dates_increase_and_results_keep_the_order_of_the_bodies(self, north: Node):
        bodies = [
            a_relationship(ID, an_id("malware"), tlp="green"),
            a_malware(tlp="green"),
            FIRST,
            a_marking_definition(),
        ]
        report = north.admit(*bodies)
        assert [result.index for result in report.results] == [0, 1, 2, 3]
        records = north.page().records
        assert [record.body for record in records] == [bodies[3], bodies[1], bodies[2], bodies[0]]
        added = [record.added for record in records]
        assert added == [added[0] + 10 * step for step in range(4)]

    def test_what_a_batch_defines_counts_for_its_later_objects(self, north: Node):
        marked = an_indicator(object_marking_refs=[an_id("marking-definition")])
        north.bring(marked, a_marking_definition(), by=IN)
        assert north.last(ID).rank == NO_TLP

    def test_dates_never_go_back_with_the_clock(self, north: Node):
        north.bring(FIRST)
        before = north.last(ID).added
        north.admit(NEWER, now=north.now - 3600 * SECOND)
        assert north.last(ID).added == before + 10

    def test_the_counts_of_an_arrival_are_the_sum_of_what_came(self, north: Node):
        report = north.admit(FIRST, FIRST, OTHER, an_indicator("two", tlp="red"), b"{}", by=IN)
        assert report.counts == {"stored": 1, "duplicate": 1, "restated": 1, "quarantined": 1, "refused": 1}

    def test_a_batch_that_stores_nothing_leaves_the_collection_untouched(self, north: Node):
        north.bring(FIRST)
        before = north.collection()
        north.bring(FIRST, OTHER)
        assert north.collection() == before
