"""The table of arrivals of design section 4, row by row, through the real `admit`."""

from __future__ import annotations

import pytest

from node.clock import taxii_time
from node.config_keys import MITRE
from node.exchange import ingress, retention
from node.stix.markings import TLP
from node.store.database import Database
from tests.support.builders import (
    LATER,
    NORTH_ID,
    SOUTH_ID,
    an_id,
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
        """S-VER-5"""
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
        """S-VER-6: late older versions are taken."""
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
        """S-VER-9: of an observable, which has no version."""
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
        """S-VER-6"""
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
        """S-VER-6: nothing follows a revocation."""
        north.bring(REVOKED)
        result = north.bring_one(NEWER)
        assert (result.outcome, result.reason) == ("refused", "revoked")
