"""Feeds: what is due is examined, what is permitted late is not missed, what is forbidden late goes out."""

from __future__ import annotations

from dataclasses import replace

from node.config_keys import MITRE
from node.exchange import feed_rows, feeds, links
from node.exchange.previewing import preview
from node.store.database import Database
from tests.support.agreements import a_flow
from tests.support.builders import (
    LATER,
    NORTH_ID,
    TLP_2,
    a_malware,
    a_marking_definition,
    a_relationship,
    a_tlp_marking,
    an_id,
    an_identity,
    an_indicator,
    an_ipv4,
)
from tests.support.nodes import IN, OUT, Node, a_node, digest_of

ID, MALWARE = an_id("indicator"), an_id("malware")
FIRST = an_indicator(tlp="green")
LAST_DATE = "2026-11-20T10:00:00.000Z"


class TestWhatEnters:
    def test_what_is_permitted_enters_and_the_rest_is_noted_with_its_reason(self, north: Node):
        north.bring(FIRST, an_indicator("red", tlp="red"), an_indicator("plain"))
        assert north.advance() == (3, 1, 2, True)
        assert [row.stix_id for row in north.feed()] == [ID]
        assert north.reasons(an_id("indicator", "red")) == ["above_ceiling"]
        assert north.reasons(an_id("indicator", "plain")) == ["unmarked"]

    def test_every_withheld_line_names_its_remedy(self, north: Node):
        north.bring(an_indicator("red", tlp="red"), an_indicator("plain"), an_identity(tlp="green"))
        north.advance()
        for stix_id in (an_id("indicator", "red"), an_id("indicator", "plain"), an_id("identity")):
            (line,) = north.withheld(stix_id)
            assert line.remedy
            assert line.detail

    def test_a_line_that_says_the_same_again_keeps_its_moment(self, north: Node):
        north.bring(an_indicator(tlp="red"))
        north.advance()
        before = north.withheld(ID)
        north.bring(an_indicator(tlp="red", modified=LATER))
        north.advance()
        assert before[0] in north.withheld(ID)
        assert len(north.withheld(ID)) == 2

    def test_offered_at_increases_and_is_never_before_now(self, north: Node):
        north.bring(*(an_indicator(number, tlp="green") for number in range(5)))
        north.advance()
        dates = [row.offered_at for row in north.feed()]
        assert dates == [north.now + 10 * step for step in range(5)]

    def test_offered_at_goes_on_when_the_clock_goes_back(self, north: Node):
        north.bring(FIRST)
        north.advance()
        north.bring(an_indicator("two", tlp="green"))
        feeds.advance(north.door, north.link(OUT), now=north.now - 3_600_000_000)
        first, second = north.feed()
        assert second.offered_at == first.offered_at + 10

    def test_what_a_partner_brought_does_not_go_back_to_it(self, hub: Node):
        hub.bring(FIRST, by=IN)
        assert hub.offered_ids(OUT) == set()
        assert hub.reasons(ID) == ["back_to_origin"]

    def test_what_a_partner_brought_goes_to_no_third_party_without_its_grant(self, hub: Node):
        hub.bring(FIRST, by=IN)
        assert hub.offered_ids("west/indicators/out") == set()
        assert hub.reasons(ID, "west/indicators/out") == ["onward_not_granted"]

    def test_what_a_partner_only_gives_back_goes_on_to_a_third_party(self, hub: Node):
        hub.bring(FIRST)
        hub.served(OUT)
        assert hub.bring(FIRST, by=IN) == ["duplicate"]
        assert hub.bring(FIRST, by=IN) == ["duplicate"]
        assert hub.offered_ids("west/indicators/out") == {ID}

    def test_what_a_partner_gives_back_stays_with_the_third_party_that_has_it(self, hub: Node):
        hub.bring(FIRST)
        hub.advance("west/indicators/out")
        hub.served(OUT)
        hub.bring(FIRST, by=IN)
        assert [record.stix_id for record in hub.served("west/indicators/out").records] == [ID]

    def test_what_a_partner_brought_of_its_own_accord_first_needs_its_grant_for_ever(self, hub: Node):
        hub.bring(FIRST)
        hub.bring(FIRST, by=IN, epoch="epoch-1")
        with hub.database.writing() as tx:
            links.note_partner_epoch(tx, IN, "epoch-2")
        assert [record.stix_id for record in hub.served(OUT).records] == [ID]
        hub.bring(FIRST, by=IN, epoch="epoch-2")
        assert hub.offered_ids("west/indicators/out") == set()
        assert hub.reasons(ID, "west/indicators/out") == ["onward_not_granted"]

    def test_ids_that_are_due_are_examined_in_steps(self, database: Database):
        north = a_node(database, validation="structure")
        ids = [an_id("indicator", number) for number in range(1_500)]
        north.bring(*(an_indicator(number, tlp="green") for number in range(1_500)))
        north.advance()
        with north.database.writing() as tx:
            feed_rows.add_due(tx, [(OUT, stix_id) for stix_id in ids])
        assert north.advance(at_most=1_000) == (1_000, 0, 0, False)
        assert north.advance(at_most=1_000) == (500, 0, 0, True)

    def test_a_version_of_ours_that_the_partner_also_brought_does_not_enter(self, north: Node):
        north.bring(FIRST)
        north.bring(FIRST, by=IN)
        north.advance()
        assert north.reasons(ID) == ["brought_by_partner"]

    def test_it_stays_in_the_feed_when_the_partner_brings_it_later(self, north: Node):
        north.bring(FIRST)
        north.advance()
        north.bring(FIRST, by=IN)
        north.bring(an_indicator(tlp="green", modified=LATER))
        assert len(north.offered()) == 2

    def test_a_large_collection_is_examined_in_steps(self, database: Database):
        north = a_node(database, validation="structure")
        north.bring(*(an_indicator(number, tlp="green") for number in range(2_100)))
        north.advance(at_most=1_000)
        assert len(north.feed()) < 2_100
        while not north.advance(at_most=1_000).complete:
            pass
        assert len(north.feed()) == 2_100

    def test_a_link_that_is_not_in_force_is_left_as_it_is(self, north: Node):
        north.bring(FIRST)
        link = north.link(OUT)
        over = replace(link, terms=replace(link.terms, ends=north.now))
        assert feeds.advance(north.door, over, now=north.now) == (0, 0, 0, False)
        assert north.feed() == []


class TestLatePermission:
    def test_a_marking_that_arrives_late_lets_its_objects_go(self, database: Database):
        north = a_node(database, flow=[a_flow(unmarked="green")])
        north.bring(an_indicator(object_marking_refs=[an_id("marking-definition")]))
        north.advance()
        assert north.reasons(ID) == ["unknown_marking"]
        north.bring(a_marking_definition())
        assert north.offered_ids() == {ID, an_id("marking-definition")}
        assert north.reasons(ID) == []

    def test_a_widened_agreement_appends(self, north: Node):
        north.bring(FIRST, an_indicator("amber", tlp="amber"))
        north.advance()
        (before,) = north.feed()
        north.agree(flow=[a_flow(max_tlp="amber")])
        north.advance()
        kept, added = north.feed()
        assert kept == before
        assert added.stix_id == an_id("indicator", "amber")
        assert north.reasons(added.stix_id) == []

    def test_a_neighbour_that_becomes_permitted_lets_go_what_waited_for_it(self, north: Node):
        relationship = a_relationship(ID, MALWARE, tlp="green")
        waiting = an_id("relationship", f"{ID} {MALWARE}")
        north.bring(FIRST, a_malware(tlp="red"), relationship)
        north.advance()
        (line,) = north.withheld(waiting)
        assert (line.reason, line.waits_for) == ("waits_for_reference", MALWARE)
        north.bring(a_malware(tlp="green", modified=LATER))
        assert waiting in north.offered_ids()
        assert north.withheld(waiting) == []

    def test_a_neighbour_that_is_deleted_holds_nothing_back(self, north: Node):
        north.bring(a_malware(tlp="red"), a_relationship(ID, MALWARE, tlp="green"))
        assert north.offered_ids() == set()
        north.remove(MALWARE)
        assert north.offered_ids() == {an_id("relationship", f"{ID} {MALWARE}")}

    def test_a_neighbour_that_the_partner_brought_holds_nothing_back(self, north: Node):
        north.bring(a_malware(), by=IN)
        north.bring(a_relationship(ID, MALWARE, tlp="green"))
        assert north.offered_ids() == {an_id("relationship", f"{ID} {MALWARE}")}

    def test_a_lowered_marking_lets_the_older_version_go_again(self, north: Node):
        north.bring(FIRST)
        north.bring(an_indicator(tlp="red", modified=LATER))
        assert north.offered() == set()
        north.bring(an_indicator(tlp="green", modified=LAST_DATE))
        assert {digest for _, digest in north.offered()} == {
            digest_of(FIRST),
            digest_of(an_indicator(tlp="green", modified=LAST_DATE)),
        }

    def test_a_partner_that_lost_its_history_is_offered_again_what_it_had_brought(self, north: Node):
        north.bring(FIRST)
        north.bring(FIRST, by=IN, epoch="epoch-1")
        north.advance()
        with north.database.writing() as tx:
            links.note_partner_epoch(tx, IN, "epoch-2")
        assert north.offered_ids() == {ID}

    def test_so_it_is_when_the_loss_shows_on_the_other_link_first(self, north: Node):
        with north.database.writing() as tx:
            links.note_partner_epoch(tx, OUT, "feed-1")
        north.bring(FIRST)
        north.bring(FIRST, by=IN, epoch="epoch-1")
        north.advance()
        with north.database.writing() as tx:
            assert links.note_partner_epoch(tx, OUT, "feed-2")
            feeds.forget(tx, north.link(OUT))
        assert north.offered_ids() == {ID}


class TestTakenOut:
    def test_a_raised_marking_takes_the_older_version_out(self, north: Node):
        north.bring(FIRST)
        north.advance()
        north.bring(an_indicator(tlp="red", modified=LATER))
        assert north.offered() == set()
        assert north.reasons(ID) == ["above_ceiling", "above_ceiling"]

    def test_a_marking_raised_in_another_collection_takes_it_out(self, database: Database):
        north = a_node(database, collections=("indicators", "archive"))
        north.bring(FIRST)
        north.advance()
        north.bring(an_indicator(tlp="red", modified=LATER), into="archive")
        assert north.offered() == set()

    def test_a_narrowed_agreement_takes_out_and_says_why(self, north: Node):
        north.bring(FIRST)
        north.advance()
        north.agree(flow=[a_flow(max_tlp="clear")])
        assert north.offered() == set()
        assert north.reasons(ID) == ["above_ceiling"]

    def test_a_deleted_object_leaves_the_feed_without_a_line(self, north: Node):
        north.bring(FIRST)
        north.advance()
        north.remove(ID)
        assert north.offered() == set()
        assert north.withheld(ID) == []

    def test_a_deleted_object_leaves_the_withheld_lines(self, north: Node):
        north.bring(an_indicator(tlp="red"))
        north.advance()
        north.remove(ID)
        north.advance()
        assert north.withheld(ID) == []

    def test_a_restated_text_replaces_the_one_before(self, north: Node):
        north.bring(FIRST)
        north.advance()
        other = an_indicator(tlp="green", description="Other words.")
        north.bring(other, restate=True)
        assert north.offered() == {(ID, digest_of(other))}

    def test_a_text_restated_back_is_offered_again_although_it_was_sent(self, north: Node):
        north.bring(FIRST)
        sent = north.served().records[-1].added
        north.bring(an_indicator(tlp="green", description="Other words."), restate=True)
        north.served()
        north.bring(FIRST, restate=True)
        (record,) = north.served().records
        assert record.body == FIRST
        assert record.added > sent

    def test_a_definition_that_is_deleted_takes_out_what_names_it(self, database: Database):
        north = a_node(database, flow=[a_flow(unmarked="green")])
        north.bring(a_marking_definition(), an_indicator(object_marking_refs=[an_id("marking-definition")]))
        assert ID in north.offered_ids()
        north.remove(an_id("marking-definition"))
        assert north.offered() == set()
        assert north.reasons(ID) == ["unknown_marking"]


class TestCompanions:
    def test_the_organisation_and_the_markings_of_an_object_go_with_it_and_before_it(self, north: Node):
        north.bring(
            an_identity(id=NORTH_ID, tlp="green"),
            a_tlp_marking("green"),
            an_indicator(tlp="green", author=NORTH_ID),
        )
        north.advance()
        assert [row.stix_id for row in north.feed()] == [TLP_2["green"], NORTH_ID, ID]
        assert [row.companion for row in north.feed()] == [True, True, False]

    def test_an_organisation_that_nothing_names_is_withheld(self, north: Node):
        north.bring(an_identity(id=NORTH_ID, tlp="green"), FIRST)
        assert north.offered_ids() == {ID}
        assert north.reasons(NORTH_ID) == ["type_not_agreed"]

    def test_a_new_version_of_a_companion_goes_too(self, north: Node):
        north.bring(an_identity(id=NORTH_ID, tlp="green"), an_indicator(tlp="green", author=NORTH_ID))
        north.advance()
        newer = an_identity(id=NORTH_ID, tlp="green", modified=LATER)
        north.bring(newer)
        assert (NORTH_ID, digest_of(newer)) in north.offered()

    def test_an_organisation_that_is_stored_late_follows_what_it_wrote(self, north: Node):
        north.bring(an_indicator(tlp="green", author=NORTH_ID))
        assert north.offered_ids() == {ID}
        north.bring(an_identity(id=NORTH_ID, tlp="green"))
        assert north.offered_ids() == {ID, NORTH_ID}
        assert north.withheld(NORTH_ID) == []

    def test_a_companion_stands_by_its_own_marking(self, north: Node):
        north.bring(an_identity(id=NORTH_ID, tlp="red"), an_indicator(tlp="green", author=NORTH_ID))
        assert north.offered_ids() == {ID}
        assert north.reasons(NORTH_ID) == ["above_ceiling"]

    def test_an_unmarked_companion_goes(self, north: Node):
        north.bring(an_identity(id=NORTH_ID), an_indicator(tlp="green", author=NORTH_ID))
        assert north.offered_ids() == {ID, NORTH_ID}

    def test_a_companion_may_lie_in_another_collection(self, database: Database):
        north = a_node(database, collections=("indicators", "organisations"))
        north.bring(an_identity(id=NORTH_ID), into="organisations")
        north.bring(an_indicator(tlp="green", author=NORTH_ID))
        assert north.offered_ids() == {ID, NORTH_ID}
        assert {record.stix_id for record in north.served().records} == {ID, NORTH_ID}

    def test_a_person_is_no_companion(self, north: Node):
        person = an_identity(id=NORTH_ID, identity_class="individual", tlp="green")
        north.bring(person, an_indicator(tlp="green", author=NORTH_ID))
        assert north.offered_ids() == {ID}

    def test_lines_of_versions_that_were_not_examined_stay(self, north: Node):
        north.bring(an_identity(id=NORTH_ID), an_identity(id=NORTH_ID, modified=LATER))
        north.advance()
        assert len(north.withheld(NORTH_ID)) == 2
        north.bring(an_indicator(tlp="green", author=NORTH_ID))
        assert north.offered_ids() == {ID, NORTH_ID}
        standing = {digest for stix_id, digest in north.offered() if stix_id == NORTH_ID}
        assert len(standing) + len(north.withheld(NORTH_ID)) == 2


class TestIdle:
    def test_a_feed_that_has_examined_all_is_not_behind(self, north: Node):
        north.bring(FIRST)
        north.advance()
        with north.database.reading() as tx:
            assert not feeds.is_behind(tx, north.link(OUT), north.collection())

    def test_a_write_a_removal_and_another_policy_put_it_behind(self, north: Node):
        north.bring(FIRST)
        north.advance()

        def behind() -> bool:
            with north.database.reading() as tx:
                return feeds.is_behind(tx, north.link(OUT), north.collection())

        north.bring(an_indicator("two"))
        assert behind()
        north.advance()
        north.remove(ID)
        assert behind()
        north.advance()
        assert not behind()
        north.agree(flow=[a_flow(max_tlp="clear")])
        assert behind()

    def test_a_poll_with_nothing_new_writes_nothing(self, north: Node):
        north.bring(FIRST)
        north.served()
        with north.database.reading() as tx:
            before = feed_rows.feed(tx, OUT)
        assert north.served().records
        with north.database.reading() as tx:
            assert feed_rows.feed(tx, OUT) == before


class TestForget:
    def test_all_rows_are_offered_again_at_their_places(self, north: Node):
        north.bring(FIRST)
        north.served()
        (before,) = north.feed()
        assert before.state == feed_rows.SENT
        with north.database.writing() as tx:
            feeds.forget(tx, north.link(OUT))
        assert north.feed() == [before._replace(state=feed_rows.OFFERED)]
        north.advance()
        assert len(north.feed()) == 1


class TestPreview:
    def test_it_says_what_an_advance_would_decide_and_writes_nothing(self, north: Node):
        north.bring(FIRST, an_indicator("red", tlp="red"))
        with north.database.reading() as tx:
            steps, complete = preview(tx, north.door, north.link(OUT), now=north.now)
        assert complete
        assert {(step.stix_id, step.allowed, step.reason) for step in steps} == {
            (ID, True, ""),
            (an_id("indicator", "red"), False, "above_ceiling"),
        }
        assert north.feed() == []

    def test_it_tells_apart_what_stands_in_the_feed_already(self, north: Node):
        north.bring(FIRST)
        north.advance()
        north.agree(flow=[a_flow(max_tlp="amber")])
        with north.database.reading() as tx:
            (step,), _ = preview(tx, north.door, north.link(OUT), now=north.now)
        assert (step.allowed, step.already) == (True, True)


class TestOnward:
    def test_what_the_terms_grant_goes_on_to_the_third_party(self, database: Database):
        hub = a_node(database, flow=[a_flow(onward=["west"])])
        link = replace(hub.link(OUT), name="west/indicators/out", partner="west")
        granted = replace(link, granted_by=(("south", "indicators"),), policy_digest=b"other")
        hub.bring(FIRST, an_ipv4(tlp="green"), an_indicator("mitre", tlp="green", author=MITRE), by=IN)
        feeds.advance(hub.door, link, now=hub.moment())
        assert hub.feed(link.name) == []
        feeds.advance(hub.door, granted, now=hub.moment())
        assert len(hub.feed(link.name)) == 3
