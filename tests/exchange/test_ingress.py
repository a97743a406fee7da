"""The table of arrivals of design section 4, row by row, through the real `admit`."""

from __future__ import annotations

import pytest

from node.clock import taxii_time
from node.config_keys import MITRE
from node.errors import UsageError
from node.exchange import ingress, quarantine, retention
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
    an_ipv4,
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


class TestSuppressed:
    def test_what_was_deleted_here_is_not_brought_back_by_a_partner(self, north: Node):
        north.bring(FIRST, by=IN)
        north.remove(ID)
        result = north.bring_one(FIRST, by=IN)
        assert (result.outcome, result.reason) == ("suppressed", "deleted_here")
        assert north.held(ID) == []

    def test_what_was_erased_by_retention_is_suppressed_as_erased(self, database: Database):
        north = a_node(database, keep_days=1)
        north.bring(FIRST, by=IN)
        retention.erase_due(north.door, now=north.now + 2 * DAY)
        result = north.bring_one(FIRST, by=IN)
        assert (result.outcome, result.reason) == ("suppressed", "erased")

    def test_other_bytes_of_a_deleted_version_are_not_suppressed(self, north: Node):
        north.bring(FIRST, by=IN)
        north.remove(ID)
        assert north.bring(OTHER, by=IN) == ["stored"]

    def test_a_local_import_lifts_the_tombstone_of_our_own_object(self, north: Node):
        north.bring(FIRST)
        north.remove(ID)
        assert north.bring(FIRST) == ["stored"]
        north.remove(ID)
        with north.database.writing() as tx:
            assert len(ingress.undelete(tx, ID, actor="os:tester", now=north.moment())) == 1

    def test_undelete_lets_the_next_listing_bring_it_again(self, north: Node):
        north.bring(FIRST, by=IN)
        north.remove(ID)
        with north.database.writing() as tx:
            ingress.undelete(tx, ID, actor="os:tester", now=north.moment())
        assert north.bring(FIRST, by=IN) == ["stored"]

    def test_an_observable_is_suppressed_by_its_digest(self, north: Node):
        north.bring(an_ipv4(tlp="green"), by=IN)
        stix_id = north.page().records[0].stix_id
        north.remove(stix_id)
        assert north.bring(an_ipv4(tlp="green"), an_ipv4(tlp="clear"), by=IN) == ["suppressed", "stored"]


class TestDuplicate:
    @pytest.mark.parametrize("by", ["", IN])
    def test_the_same_bytes_take_no_new_date(self, north: Node, by: str):
        north.bring(FIRST)
        before = north.held(ID)
        assert north.bring(FIRST, by=by) == ["duplicate"]
        assert north.held(ID) == before

    def test_another_spelling_of_the_instant_is_the_same_version(self, north: Node):
        north.bring(an_indicator(modified="2026-11-20T08:00:00.100Z", tlp="green"), by=IN)
        again = an_indicator(modified="2026-11-20T08:00:00.100000Z", tlp="green")
        assert north.bring(again, by=IN) == ["restated"]
        assert len(north.held(ID)) == 1

    def test_the_second_of_two_equal_bodies_in_one_batch_is_a_duplicate(self, north: Node):
        assert north.bring(FIRST, FIRST) == ["stored", "duplicate"]

    def test_the_same_bytes_from_a_stranger_to_the_object_are_a_duplicate(self, hub: Node):
        hub.bring(FIRST, by=IN)
        assert hub.bring(FIRST, by="west/indicators/in") == ["duplicate"]
        owner = hub.owner(ID)
        assert owner is not None
        assert owner.owner == "south"


class TestTie:
    def test_the_smaller_digest_stands_whichever_came_first(self, room: Node):
        small, large = sorted((FIRST, OTHER), key=digest_of)
        assert room.bring(large) == ["stored"]
        assert room.bring(small, by=IN) == ["restated"]
        assert room.digests(ID) == {digest_of(small)}
        assert room.bring(large, by=IN) == ["variant"]
        assert room.digests(ID) == {digest_of(small)}

    def test_the_loser_goes_to_the_history(self, room: Node):
        small, large = sorted((FIRST, OTHER), key=digest_of)
        room.bring(small)
        result = room.bring_one(large, by=IN)
        assert (result.outcome, result.reason) == ("variant", "tie")
        assert room.history(ID) == [(digest_of(large), "tie")]

    def test_the_revoked_text_stands_against_a_smaller_digest(self, room: Node):
        revoked = [an_indicator(tlp="green", revoked=True, description=f"Text {n}.") for n in range(8)]
        loses = max(revoked, key=digest_of)
        plain = [an_indicator(tlp="green", description=f"Text {n}.") for n in range(8)]
        wins = min(plain, key=digest_of)
        assert digest_of(wins) < digest_of(loses)
        room.bring(wins)
        assert room.bring(loses, by=IN) == ["restated"]
        assert room.bring(wins, by=IN) == ["variant"]
        assert room.last(ID).revoked

    def test_either_may_bring_a_further_version(self, room: Node):
        room.bring(FIRST)
        assert room.bring(NEWER, by=IN) == ["stored"]
        assert room.last(ID).origin == "south"


class TestRestated:
    def test_the_owners_new_text_takes_a_new_date_and_the_old_one_goes_to_the_history(self, north: Node):
        north.bring(FIRST, by=IN)
        before = north.last(ID).added
        result = north.bring_one(OTHER, by=IN)
        assert (result.outcome, result.reason) == ("restated", "restated")
        assert north.digests(ID) == {digest_of(OTHER)}
        assert north.last(ID).added > before
        assert north.history(ID) == [(digest_of(FIRST), "restated")]

    def test_replaced_bytes_are_never_served(self, north: Node):
        north.bring(FIRST, by=IN)
        north.bring(OTHER, by=IN)
        assert [record.body for record in north.page().records] == [OTHER]

    def test_restated_back_again_is_restated_again(self, north: Node):
        north.bring(FIRST, by=IN)
        north.bring(OTHER, by=IN)
        assert north.bring(FIRST, by=IN) == ["restated"]
        assert north.digests(ID) == {digest_of(FIRST)}

    def test_an_import_may_restate_what_is_ours(self, north: Node):
        north.bring(FIRST)
        assert north.bring(OTHER, restate=True) == ["restated"]

    def test_an_import_may_not_restate_what_is_a_partners(self, north: Node):
        north.bring(FIRST, by=IN)
        result = north.bring_one(OTHER, restate=True)
        assert (result.outcome, result.reason) == ("refused", "version_exists")

    def test_two_texts_of_one_version_in_one_batch_leave_the_later(self, north: Node):
        assert north.bring(FIRST, OTHER, by=IN) == ["stored", "restated"]
        assert north.digests(ID) == {digest_of(OTHER)}
        assert [digest for digest, _ in north.history(ID)] == [digest_of(FIRST)]


class TestEcho:
    def test_our_own_rendition_that_comes_back_changes_nothing(self, north: Node):
        north.bring(FIRST)
        north.served()
        north.bring(OTHER, restate=True)
        before = north.held(ID)
        assert north.bring(FIRST, by=IN) == ["echo"]
        assert north.held(ID) == before

    def test_what_was_only_offered_and_never_left_is_no_echo(self, north: Node):
        north.bring(FIRST)
        north.advance()
        north.bring(OTHER, restate=True)
        assert north.bring(FIRST, by=IN) == ["variant"]

    def test_other_bytes_of_a_version_that_we_released_are_no_echo(self, north: Node):
        north.bring(FIRST)
        north.served()
        assert north.bring(OTHER, by=IN) == ["variant"]

    def test_what_went_to_one_partner_is_no_echo_from_another(self, hub: Node):
        hub.bring(FIRST)
        hub.served("south/indicators/out")
        hub.bring(OTHER, restate=True)
        assert hub.bring(FIRST, by="west/indicators/in") == ["variant"]


class TestVariant:
    def test_our_text_stands_against_a_partners(self, north: Node):
        north.bring(FIRST)
        result = north.bring_one(OTHER, by=IN)
        assert (result.outcome, result.reason) == ("variant", "variant")
        assert north.digests(ID) == {digest_of(FIRST)}
        assert north.history(ID) == []

    def test_another_partners_text_of_the_owners_version_is_a_variant(self, hub: Node):
        hub.bring(FIRST, by=IN)
        assert hub.bring(OTHER, by="west/indicators/in") == ["variant"]
        assert hub.last(ID).origin == "south"

    def test_of_nobodys_object_the_revoked_text_stands(self, north: Node):
        north.bring(BY_MITRE)
        result = north.bring_one(an_indicator(tlp="green", author=MITRE, revoked=True), by=IN)
        assert (result.outcome, result.reason) == ("restated", "revoked_stands")
        assert north.bring(BY_MITRE, by=IN) == ["variant"]
        assert north.last(ID).revoked

    def test_a_partner_cannot_revoke_our_object_under_its_key(self, north: Node):
        north.bring(FIRST)
        assert north.bring(REVOKED, by=IN) == ["variant"]
        assert not north.last(ID).revoked


class TestLocalPost:
    def test_other_bytes_of_a_held_version_fail(self, north: Node):
        north.bring(FIRST)
        result = north.bring_one(OTHER)
        assert (result.outcome, result.reason) == ("refused", "version_exists")
        assert result.failed

    def test_a_version_of_a_partners_object_fails(self, north: Node):
        north.bring(FIRST, by=IN)
        result = north.bring_one(NEWER)
        assert (result.outcome, result.reason) == ("refused", "not_owner")


class TestForeignEdit:
    @pytest.mark.parametrize("modified", [LATER, "2026-11-20T08:00:00.000Z"])
    def test_a_partners_version_of_our_object_is_set_aside(self, north: Node, modified: str):
        north.bring(an_indicator(tlp="green", modified="2026-11-20T08:30:00.000Z"))
        result = north.bring_one(an_indicator(tlp="green", modified=modified), by=IN)
        assert (result.outcome, result.reason) == ("quarantined", "foreign_edit")
        assert result.message.startswith("set_aside: ")
        assert len(north.held(ID)) == 1

    def test_an_unknown_object_in_our_name_is_set_aside(self, north: Node):
        assert north.bring_one(BY_NORTH, by=IN).reason == "foreign_edit"

    def test_one_partner_may_not_edit_what_another_brought(self, hub: Node):
        hub.bring(FIRST, by=IN)
        assert hub.bring_one(NEWER, by="west/indicators/in").reason == "foreign_edit"

    def test_our_object_stays_ours_when_all_of_it_was_deleted(self, north: Node):
        north.bring(FIRST)
        north.remove(ID)
        assert north.bring_one(NEWER, by=IN).reason == "foreign_edit"

    def test_a_partners_object_stays_its_own_when_all_of_it_was_deleted(self, north: Node):
        north.bring(FIRST, by=IN)
        north.remove(ID)
        assert north.bring_one(NEWER).reason == "not_owner"
        assert north.bring(NEWER, by=IN) == ["stored"]


class TestAnyOtherVersion:
    def test_the_owners_newer_version_becomes_last(self, north: Node):
        north.bring(FIRST, by=IN)
        assert north.bring(NEWER, by=IN) == ["stored"]
        assert north.last(ID).digest == digest_of(NEWER)

    def test_a_late_older_version_is_stored_and_does_not_become_last(self, north: Node):
        north.bring(NEWER, by=IN)
        assert north.bring(FIRST, by=IN) == ["stored"]
        assert north.last(ID).digest == digest_of(NEWER)
        assert [row.digest for row in north.held(ID) if row.is_first] == [digest_of(FIRST)]
        assert len(north.held(ID)) == 2

    def test_of_both_spec_versions_the_newer_answers_by_default(self, database: Database):
        north = a_node(database, validation="structure")
        old = an_indicator(spec_version=None, pattern_type=None, labels=["c2"], modified=LATER, tlp="green")
        north.bring(old, FIRST)
        flags = {row.spec_version: (row.is_first, row.is_last, row.is_newest_spec) for row in north.held(ID)}
        assert flags == {"2.0": (True, True, False), "2.1": (True, True, True)}

    def test_an_object_of_ours_that_a_partner_also_has_stays_ours(self, north: Node):
        north.bring(FIRST)
        north.bring(FIRST, by=IN)
        assert north.bring(NEWER) == ["stored"]


class TestObservables:
    def test_other_bytes_are_a_further_version(self, north: Node):
        one, other = an_ipv4(tlp="green"), an_ipv4(tlp="green", defanged=True)
        assert north.bring(one, by=IN) == ["stored"]
        assert north.bring(other) == ["stored"]
        assert north.bring(one, by=IN) == ["duplicate"]
        rows = north.held(north.page().records[0].stix_id)
        assert [row.is_last for row in rows] == [False, True]

    def test_nobody_owns_one(self, north: Node):
        north.bring(an_ipv4(tlp="green"), by=IN)
        assert north.owner(north.page().records[0].stix_id) is None

    def test_each_row_stands_by_its_own_marking(self, north: Node):
        north.bring(an_ipv4(tlp="green"), an_ipv4(tlp="red"))
        rows = north.held(north.page().records[0].stix_id)
        assert [row.effective_rank for row in rows] == [TLP.GREEN, TLP.RED]


class TestFuture:
    def test_a_partners_version_of_the_day_after_tomorrow_is_set_aside(self, north: Node):
        ahead = an_indicator(tlp="green", modified=taxii_time(north.now + 2 * DAY))
        assert north.bring_one(ahead, by=IN).reason == "future_timestamp"

    def test_a_local_one_is_refused(self, north: Node):
        ahead = an_indicator(tlp="green", modified=taxii_time(north.now + 2 * DAY))
        result = north.bring_one(ahead)
        assert (result.outcome, result.reason) == ("refused", "future_timestamp")

    def test_less_than_a_day_ahead_is_stored(self, north: Node):
        ahead = an_indicator(tlp="green", modified=taxii_time(north.now + DAY // 2))
        assert north.bring(ahead, by=IN) == ["stored"]


class TestRevoked:
    def test_the_newest_revoked_version_is_last_for_ever(self, north: Node):
        north.bring(REVOKED, by=IN)
        assert north.bring(NEWER, by=IN) == ["stored"]
        assert north.last(ID).digest == digest_of(REVOKED)
        newer = an_indicator(tlp="green", modified="2026-11-20T10:00:00.000Z", revoked=True)
        north.bring(newer, by=IN)
        assert north.last(ID).digest == digest_of(newer)

    def test_a_late_older_revocation_becomes_last(self, north: Node):
        north.bring(NEWER, by=IN)
        north.bring(REVOKED, by=IN)
        assert north.last(ID).digest == digest_of(REVOKED)

    def test_a_local_version_after_the_revocation_fails(self, north: Node):
        north.bring(REVOKED)
        result = north.bring_one(NEWER)
        assert (result.outcome, result.reason) == ("refused", "revoked")


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
            result = ingress.accept(
                tx, north.door, self.entry(north), actor="person:eve", reason="asked", now=north.moment()
            )
        assert result.outcome == "stored"
        assert (north.last(ID).origin, north.last(ID).added) == ("south", north.now)

    def test_an_accepted_foreign_edit_becomes_a_version_of_our_object(self, north: Node):
        north.bring(FIRST)
        north.bring(NEWER, by=IN)
        with north.database.writing() as tx:
            ingress.accept(tx, north.door, self.entry(north), actor="person:eve", reason="", now=north.moment())
        assert north.last(ID).digest == digest_of(NEWER)
        owner = north.owner(ID)
        assert owner is not None
        assert owner.owner == "local"

    def test_an_entry_is_decided_once(self, north: Node):
        north.bring(an_indicator(tlp="amber"), by=IN)
        entry = self.entry(north)
        with north.database.writing() as tx:
            ingress.accept(tx, north.door, entry, actor="person:eve", reason="", now=north.moment())
        with pytest.raises(UsageError, match="accepted already"), north.database.writing() as tx:
            ingress.accept(tx, north.door, entry, actor="person:eve", reason="", now=north.moment())

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
