"""The way out: what a SOC account sees, what a partner sees, what a push brings, at the moment it leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.exchange import egress, feed_rows, feeds, links, removal
from node.exchange.egress import Reader
from node.exchange.selection import Selection, Versions
from node.stix.markings import TLP
from node.store import catalog
from node.store.database import Database
from tests.support.agreements import MITRE, a_flow
from tests.support.builders import (
    LATER,
    TLP_2,
    a_malware,
    a_marking_definition,
    a_relationship,
    an_id,
    an_indicator,
)
from tests.support.nodes import ALL_EYES, EVERYTHING, IN, OUT, Node, a_node, key_of

ID = an_id("indicator")
FIRST, NEWER = an_indicator(tlp="green"), an_indicator(tlp="green", modified=LATER)
LEVELS = ("clear", "green", "amber", "amber+strict", "red")


class TestVisibility:
    @pytest.mark.parametrize("clearance", list(TLP))
    def test_an_account_sees_up_to_its_clearance(self, north: Node, clearance: TLP):
        north.bring(*(an_indicator(level, tlp=level) for level in LEVELS))
        expected = {an_id("indicator", level) for level in LEVELS[: clearance + 1]}
        assert north.seen(Reader(clearance, ())) == expected

    def test_unknown_markings_are_seen_with_clearance_red_only(self, north: Node):
        north.bring(an_indicator(object_marking_refs=[an_id("marking-definition", "theirs")]))
        assert north.seen(Reader(TLP.RED, ())) == {ID}
        assert north.seen(Reader(TLP.AMBER_STRICT, ())) == set()

    def test_an_unmarked_object_is_seen_by_all(self, north: Node):
        north.bring(an_indicator())
        assert north.seen(Reader(TLP.CLEAR, ())) == {ID}

    def test_what_a_flow_brought_is_seen_by_its_audience_and_local_rows_by_all(self, north: Node):
        north.bring(FIRST, by=IN)
        north.bring(a_malware(tlp="clear"))
        assert north.seen(Reader(TLP.RED, ("state-bodies",))) == {ID, an_id("malware")}
        assert north.seen(Reader(TLP.RED, ("banks",))) == {an_id("malware")}
        assert north.seen(Reader(TLP.RED, ())) == {an_id("malware")}

    def test_a_stricter_newer_version_hides_the_older_ones(self, north: Node):
        north.bring(FIRST)
        north.bring(an_indicator(tlp="red", modified=LATER))
        assert north.seen(Reader(TLP.GREEN, ())) == set()

    def test_a_loosened_row_takes_a_new_date_so_that_a_resumed_reader_gets_it(self, north: Node):
        north.bring(FIRST)
        north.bring(an_indicator(tlp="red", modified=LATER))
        north.bring(a_malware(tlp="green"))
        position = north.page().records[-1].added
        north.bring(an_indicator(tlp="green", modified="2026-11-20T10:00:00.000Z"))
        after = replace(EVERYTHING, after=position)
        assert FIRST in [record.body for record in north.page(Reader(TLP.GREEN, ()), after).records]

    def test_the_last_version_is_the_last_that_the_account_may_see(self, north: Node):
        first, newer = (
            a_malware(author=MITRE, tlp="green", **changes) for changes in ({}, {"modified": LATER})
        )
        north.bring(first)
        north.bring(newer, by=IN)
        stranger = Reader(TLP.RED, ())
        last = replace(EVERYTHING, versions=Versions(), spec_versions=None)
        assert [record.body for record in north.page(stranger, last).records] == [first]
        assert [record.body for record in north.page(ALL_EYES, last).records] == [newer]

    def test_types_that_are_read_one_by_one_end_at_one_moment(self, north: Node):
        north.bring(FIRST)
        with north.database.reading() as tx:
            before = catalog.find_collection(tx, "indicators")
            north.bring(a_malware(tlp="green"))
            asked = replace(EVERYTHING, types=("indicator", "malware"))
            page = egress.read_collection(tx, before, ALL_EYES, asked, bodies=True)
        assert [record.stix_id for record in page.records] == [ID]

    def test_a_tightened_row_keeps_its_date(self, north: Node):
        north.bring(FIRST)
        before = north.held(ID)[0].added
        north.bring(an_indicator(tlp="red", modified=LATER))
        assert north.held(ID)[0].added == before


class TestPages:
    def test_pages_follow_one_another_without_gap_or_repetition(self, north: Node):
        bodies = [an_indicator(number, tlp="green") for number in range(7)]
        north.bring(*bodies)
        seen: list[bytes] = []
        position: int | None = None
        for _ in range(4):
            page = north.page(ALL_EYES, Selection(2, after=position))
            seen += [record.body for record in page.records]
            position = page.records[-1].added
        assert not page.more
        assert seen == bodies

    def test_by_default_the_last_version_alone(self, north: Node):
        north.bring(FIRST, NEWER)
        assert [record.body for record in north.page(ALL_EYES, Selection(10)).records] == [NEWER]
        first = Selection(10, versions=Versions(first=True, last=False))
        assert [record.body for record in north.page(ALL_EYES, first).records] == [FIRST]

    def test_several_types_are_joined_in_order_of_date(self, north: Node):
        north.bring(a_malware(tlp="green"))
        north.bring(FIRST)
        chosen = Selection(10, types=("indicator", "malware"))
        assert [record.stix_id for record in north.page(ALL_EYES, chosen).records] == [an_id("malware"), ID]

    def test_an_export_has_every_body_in_order(self, north: Node):
        north.bring(FIRST, NEWER)
        north.bring(an_indicator("red", tlp="red"))
        bodies = list(egress.export_bodies(north.door, north.collection()))
        assert bodies == [FIRST, NEWER, an_indicator("red", tlp="red")]


class TestFeed:
    def test_a_partner_reads_its_feed_with_the_feeds_own_dates(self, north: Node):
        north.bring(an_indicator("red", tlp="red"), FIRST)
        (record,) = north.served().records
        (row,) = north.feed()
        assert (record.body, record.added) == (FIRST, row.offered_at)

    def test_what_is_read_is_noted_as_sent_and_a_manifest_notes_nothing(self, north: Node):
        north.bring(FIRST)
        assert north.served(bodies=False).records[0].body == b""
        assert north.feed()[0].state == feed_rows.OFFERED
        north.served()
        assert north.feed()[0].state == feed_rows.SENT

    def test_a_row_is_judged_again_when_it_leaves(self, north: Node):
        north.bring(FIRST)
        north.advance()
        link = north.link(OUT)
        narrow = replace(link, terms=replace(link.terms, max_tlp=TLP.CLEAR))
        page = egress.read_feed(north.door, narrow, EVERYTHING, now=north.moment(), bodies=True)
        assert page.records == []
        assert north.feed() == []
        assert north.reasons(ID) == ["above_ceiling"]

    def test_a_relationship_whose_end_was_tightened_after_it_entered_does_not_leave(self, north: Node):
        north.bring(a_malware(tlp="green"), a_relationship(ID, an_id("malware"), tlp="green"))
        assert len(north.offered()) == 2
        north.bring(a_malware(tlp="red", modified=LATER))
        assert north.served().records == []

    def test_pages_of_a_feed_have_no_gap(self, north: Node):
        bodies = [an_indicator(number, tlp="green") for number in range(5)]
        north.bring(*bodies)
        every = replace(EVERYTHING, limit=2)
        seen: list[bytes] = []
        more = True
        while more:
            page = north.served(selection=every)
            seen += [record.body for record in page.records]
            every, more = replace(every, after=page.records[-1].added), page.more
        assert seen == bodies

    def test_by_default_the_last_version_that_stands_in_the_feed(self, north: Node):
        north.bring(FIRST, NEWER)
        assert [record.body for record in north.served(selection=Selection(10)).records] == [NEWER]

    def test_an_account_of_a_partner_holds_only_what_stands_in_its_feed(self, north: Node):
        north.bring(FIRST, an_indicator("red", tlp="red"))
        north.advance()
        with north.database.reading() as tx:
            collection, link = north.collection(), north.link(OUT)
            assert egress.holds(tx, north.door, collection, ID, link=link)
            assert not egress.holds(tx, north.door, collection, an_id("indicator", "red"), link=link)
            assert not egress.holds(
                tx, north.door, collection, an_id("indicator", "red"), reader=Reader(TLP.GREEN, ())
            )


class TestPush:
    def test_a_batch_is_bounded_by_number_and_bytes_and_never_empty(self, north: Node):
        bodies = [an_indicator(number, tlp="green") for number in range(4)]
        north.bring(*bodies)
        assert [item.body for item in north.batch(at_most=2)] == bodies[:2]
        link = north.link(OUT)
        tiny = egress.next_batch(north.door, link, now=north.moment(), at_most=10, max_bytes=1)
        assert [item.body for item in tiny] == bodies[:1]

    def test_a_resend_brings_the_stored_rows_again(self, north: Node):
        north.bring(FIRST)
        items = north.batch()
        self.note(north)
        again = egress.bodies_of(
            north.door, north.link(OUT), [item.key for item in items], now=north.moment()
        )
        assert again == items

    def test_a_resend_leaves_out_what_was_restated(self, north: Node):
        north.bring(FIRST)
        keys = self.note(north)
        north.bring(an_indicator(tlp="green", description="Other words."), restate=True)
        assert self.resent(north, keys) == []

    def test_a_resend_leaves_out_what_may_no_longer_leave(self, north: Node):
        north.bring(FIRST)
        keys = self.note(north)
        north.agree(flow=[a_flow(max_tlp="clear")])
        assert self.resent(north, keys) == []

    def test_a_resend_leaves_out_what_entered_the_feed_anew(self, north: Node):
        north.bring(FIRST)
        keys = self.note(north)
        north.bring(an_indicator(tlp="green", description="Other words."), restate=True)
        north.advance()
        north.bring(FIRST, restate=True)
        assert self.resent(north, keys) == []
        assert [item.key for item in north.batch()] == [key_of(FIRST)]

    def test_what_was_settled_is_not_brought_again(self, north: Node):
        north.bring(FIRST)
        (item,) = north.batch()
        with north.database.writing() as tx:
            feed_rows.settle(tx, OUT, [item.key], feed_rows.SETTLED)
        assert north.batch() == []

    def note(self, north: Node):
        items = north.batch()
        with north.database.writing() as tx:
            egress.note_sent(tx, north.link(OUT), items)
        return [item.key for item in items]

    def resent(self, north: Node, keys):
        feeds.advance(north.door, north.link(OUT), now=north.moment())
        return egress.bodies_of(north.door, north.link(OUT), keys, now=north.moment())


class TestClosed:
    def reason(self, north: Node, *, now: int | None = None) -> str | None:
        with north.database.reading() as tx:
            return egress.closed_reason(
                tx, north.link(OUT), north.collection(), now=north.now if now is None else now
            )

    def test_an_open_link_has_none(self, north: Node):
        assert self.reason(north) is None

    def test_a_paused_link_says_why(self, north: Node):
        with north.database.writing() as tx:
            links.set_paused(tx, "south", paused=True, reason="exercise")
        assert "paused" in str(self.reason(north))
        assert "exercise" in str(self.reason(north))

    def test_an_agreement_that_ended_or_has_not_begun_is_closed(self, north: Node):
        terms = north.link(OUT).terms
        assert "ended" in str(self.reason(north, now=terms.ends))
        assert "not in force" in str(self.reason(north, now=terms.starts - 1))

    def test_a_clock_set_back_does_not_revive_an_agreement(self, north: Node):
        ends = north.link(OUT).terms.ends
        north.admit(FIRST, now=ends)
        assert "ended" in str(self.reason(north, now=ends - 1))

    def test_a_clock_far_behind_the_newest_date_closes_it(self, north: Node):
        north.bring(FIRST)
        assert "clock" in str(self.reason(north, now=north.now - 700_000_000))
        assert self.reason(north, now=north.now - 500_000_000) is None


class TestEpochShown:
    def test_it_changes_with_the_history_and_with_the_policy_and_with_nothing_else(self, database: Database):
        north = a_node(database)
        before = egress.epoch_shown(north.collection(), north.link(OUT))
        north.bring(FIRST)
        assert egress.epoch_shown(north.collection(), north.link(OUT)) == before
        renewed = replace(north.collection(), epoch="another")
        assert egress.epoch_shown(renewed, north.link(OUT)) != before
        north.agree(flow=[a_flow(max_tlp="amber")])
        assert egress.epoch_shown(north.collection(), north.link(OUT)) != before


def test_what_an_account_does_not_see_it_does_not_delete(north: Node):
    first = a_malware(author=MITRE, tlp="green")
    newer = a_malware(author=MITRE, tlp="green", modified=LATER)
    north.bring(first)
    north.bring(newer, by=IN)
    with north.database.writing() as tx:
        collection = catalog.lock(tx, north.collection().collection_id)
        gone = removal.remove(
            tx,
            north.door,
            collection,
            an_id("malware"),
            versions=None,
            spec_versions=None,
            actor="account:stranger",
            now=north.now,
            sees=egress.eyes(tx, Reader(TLP.RED, ())),
        )
    assert (gone, [row.origin for row in north.held(an_id("malware"))]) == (1, ["south"])


def test_a_page_that_is_not_handed_over_is_not_noted_as_sent(north: Node):
    north.bring(FIRST)
    egress.read_feed(north.door, north.link(OUT), EVERYTHING, now=north.now, bodies=True, handed=False)
    assert [row.state for row in north.feed()] == [feed_rows.OFFERED]
    north.served()
    assert [row.state for row in north.feed()] == [feed_rows.SENT]


class TestWhileRanksAreStale:
    """A definition is gone, and the rows that name it have not been ranked again."""

    @pytest.fixture
    def split(self, database: Database) -> Node:
        """North, which holds an indicator and, in another collection, the definition that it names."""
        node = a_node(database, collections=("indicators", "library"))
        node.bring(a_marking_definition(), into="library")
        node.bring(an_indicator(object_marking_refs=[an_id("marking-definition"), TLP_2["green"]]))
        assert ID in node.offered_ids()
        return node

    @staticmethod
    def drop(node: Node) -> None:
        """Delete the definition and end there, as a process does that is killed."""
        with node.database.writing() as tx:
            library = catalog.lock(tx, node.collection("library").collection_id)
            removal.remove(
                tx,
                node.door,
                library,
                an_id("marking-definition"),
                versions=None,
                spec_versions=None,
                actor="os:tester",
                now=node.moment(),
            )

    @pytest.fixture
    def dropped_meanwhile(self, split: Node, monkeypatch) -> Node:
        """The definition goes while a page is being judged."""
        judge, once = egress.judge, []

        def judged(*given, **named):
            found = judge(*given, **named)
            if not once:
                once.append(found)
                self.drop(split)
            return found

        monkeypatch.setattr(egress, "judge", judged)
        return split

    def test_a_page_is_judged_by_the_new_ranks(self, split: Node):
        self.drop(split)
        assert split.served().records == []

    def test_a_push_is_judged_by_the_new_ranks(self, split: Node):
        self.drop(split)
        assert [item.stix_id for item in send(split)] == []

    def test_a_stored_batch_is_judged_by_the_new_ranks(self, split: Node):
        items = send(split)
        with split.database.writing() as tx:
            egress.note_sent(tx, split.link(OUT), items)
        self.drop(split)
        keys = [item.key for item in items]
        assert egress.bodies_of(split.door, split.link(OUT), keys, now=split.moment()) == []

    def test_a_page_is_empty_when_it_happens_meanwhile(self, dropped_meanwhile: Node):
        page = dropped_meanwhile.served()
        assert (page.records, page.more) == ([], False)

    def test_a_push_brings_nothing_when_it_happens_meanwhile(self, dropped_meanwhile: Node):
        assert send(dropped_meanwhile) == []


def send(node: Node) -> list[egress.Item]:
    """What a push brings, of what stands in the feed."""
    return egress.next_batch(node.door, node.link(OUT), now=node.moment(), at_most=100, max_bytes=10**6)
