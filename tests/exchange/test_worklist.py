"""node/exchange/worklist.py and corrections.py: what a person does with what was set aside."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.audit import log
from node.errors import InvalidObject, UsageError
from node.exchange import compromise, feeds, ledger, links, quarantine, situation, worklist
from node.exchange.compromise import Suspect
from node.exchange.quarantine import Entry
from node.exchange.worklist import Tried
from node.sharing.links import Link
from node.stix.markings import TLP
from tests.support.agreements import a_flow
from tests.support.builders import (
    LATER,
    NORTH_ID,
    SOUTH_ID,
    an_id,
    an_indicator,
)
from tests.support.nodes import IN, OUT, Node, a_node, digest_of

ID = an_id("indicator")
BAD = an_indicator(tlp="green", author=SOUTH_ID, confidence="high")
GOOD = an_indicator(tlp="green", author=SOUTH_ID, confidence=80)
PLANTED = an_indicator(tlp="green", author=SOUTH_ID, description="planted")
AMBER = an_indicator(tlp="amber")
WEST = "west/indicators/out"


def entry_of(node: Node, stix_id: str = ID) -> Entry:
    with node.database.reading() as tx:
        return quarantine.of_id(tx, stix_id)[-1]


def aside(node: Node, body: bytes = BAD) -> Entry:
    assert node.bring(body, by=IN) == ["quarantined"]
    return entry_of(node)


def correct(node: Node, body: bytes = GOOD, reason: str = "by phone") -> str:
    with node.database.writing() as tx:
        how = {"actor": "person:eve", "reason": reason, "now": node.moment()}
        return worklist.edit(tx, node.door, entry_of(node).entry, body, **how).outcome.value


def accepted(node: Node) -> str:
    with node.database.writing() as tx:
        how = {"actor": "person:eve", "reason": "asked", "now": node.moment()}
        return worklist.accept(tx, node.door, entry_of(node).entry, **how).outcome.value


def tried(node: Node, *names: str) -> list[Tried]:
    with node.database.writing() as tx:
        return worklist.retry(tx, node.door, names, actor="person:eve", now=node.moment())


def to_west(node: Node) -> Link:
    """A link by which north may pass on to west what south brings."""
    link = node.link(OUT)
    return replace(link, name=WEST, partner="west", granted_by=(("south", "indicators"),))


def compromised(node: Node, since: int) -> None:
    compromise.take_out(
        node.door, Suspect("south", since), actor="os:op", now=node.moment, step=lambda _: None
    )


def offered_to_west(node: Node) -> set[bytes]:
    feeds.advance(node.door, to_west(node), now=node.moment())
    return {row.digest for row in node.feed(WEST)}


class TestRetry:
    def test_what_the_agreement_permits_now_is_stored_as_the_partners(self, north: Node):
        entry = aside(north, AMBER)
        north.agree(flow=[a_flow(max_tlp="amber")])
        (one,) = tried(north, entry.entry)
        assert (one.outcome, one.waits) == ("stored", False)
        assert (north.last(ID).origin, north.last(ID).rank) == ("south", TLP.AMBER)
        closed = entry_of(north)
        assert (closed.state, closed.decided_by) == ("closed", "person:eve")

    def test_what_does_not_pass_waits_for_its_newer_reason_and_keeps_its_first_arrival(self, north: Node):
        entry = aside(north, AMBER)
        north.agree(flow=[a_flow(types=["malware"])])
        (one,) = tried(north, entry.entry)
        after = entry_of(north)
        assert (one.waits, one.reason, after.reason) == (True, "type_not_agreed", "type_not_agreed")
        assert (after.state, after.at, after.arrival_id) == ("waiting", entry.at, entry.arrival_id)

    def test_it_is_judged_as_if_it_came_now_not_as_accepted(self, north: Node):
        entry = aside(north, AMBER)
        assert [(each.waits, each.reason) for each in tried(north, entry.entry)] == [(True, "above_ceiling")]
        assert north.held(ID) == []

    def test_what_is_explained_meanwhile_is_closed(self, north: Node):
        entry = aside(north, AMBER)
        north.bring(an_indicator(tlp="amber", description="ours"))
        assert [each.outcome for each in tried(north, entry.entry)] == ["variant"]
        assert entry_of(north).state == "closed"

    def test_what_a_compromised_partner_brought_is_let_in_by_no_retry(self, north: Node):
        entry = aside(north, AMBER)
        north.agree(flow=[a_flow(max_tlp="amber")])
        with north.database.writing() as tx:
            quarantine.wait_for(tx, entry.entry, reason="compromised", detail="stopped")
        (one,) = tried(north, entry.entry)
        assert (one.waits, one.reason, north.held(ID)) == (True, "compromised", [])
        assert accepted(north) == "stored"

    def test_nothing_is_tried_over_a_link_that_is_stopped(self, north: Node):
        entry = aside(north, AMBER)
        north.agree(flow=[a_flow(max_tlp="amber")])
        with north.database.writing() as tx:
            links.set_paused(tx, "south", paused=True, reason="stopped by person:eve", now=north.now)
        assert [each.reason for each in tried(north, entry.entry)] == ["link_closed"]
        assert entry_of(north).reason == "above_ceiling"

    def test_what_no_retry_lets_in_does_not_wait_for_the_link(self, north: Node):
        entry = aside(north, AMBER)
        with north.database.writing() as tx:
            quarantine.wait_for(tx, entry.entry, reason="compromised", detail="stopped")
            links.set_paused(tx, "south", paused=True, reason="compromised", now=north.now)
        assert [each.reason for each in tried(north, entry.entry)] == ["compromised"]

    def test_what_waits_no_more_is_passed_over(self, north: Node):
        entry = aside(north, AMBER)
        assert accepted(north) == "stored"
        assert tried(north, entry.entry) == []

    def test_the_ledger_keeps_the_partners_epoch(self, north: Node):
        entry = aside(north, AMBER)
        north.agree(flow=[a_flow(max_tlp="amber")])
        tried(north, entry.entry)
        with north.database.reading() as tx:
            (line,) = ledger.received(tx, [ID])[ID]
        assert (line.outcome, line.epoch) == ("stored", "epoch-1")


class TestLook:
    def test_it_says_what_a_retry_would_do_and_does_nothing(self, north: Node):
        entry = aside(north, AMBER)
        north.agree(flow=[a_flow(max_tlp="amber")])
        before = north.collection()
        _, seen = worklist.look(north.door, entry.entry, now=north.moment())
        assert seen.tried is not None
        assert (seen.tried.outcome, seen.tried.waits) == ("stored", False)
        assert (north.collection(), entry_of(north), north.held(ID)) == (before, entry, [])

    def test_it_finds_the_place_of_the_fault(self, north: Node):
        _, seen = worklist.look(north.door, aside(north).entry, now=north.moment())
        assert seen.fault is not None
        assert seen.at is not None
        assert (seen.fault.pointer, seen.text[seen.at :].startswith('"high"')) == ("/confidence", True)

    def test_our_version_stands_beside_theirs(self, north: Node):
        north.bring(an_indicator(author=NORTH_ID))
        newer = an_indicator(author=NORTH_ID, modified=LATER, description="Theirs")
        _, seen = worklist.look(north.door, aside(north, newer).entry, now=north.moment())
        assert seen.beside is not None
        assert (seen.beside.same, seen.beside.owner) == (False, "ours")
        assert [each.name for each in seen.beside.others] == ["description", "modified"]


class TestAccept:
    def test_a_version_of_another_owner_is_not_replaced(self, north: Node):
        newer = an_indicator(author=NORTH_ID, modified=LATER, description="theirs")
        north.bring(an_indicator(author=NORTH_ID))
        aside(north, newer)
        north.bring(an_indicator(author=NORTH_ID, modified=LATER, description="ours"))
        before = north.digests(ID)
        with pytest.raises(InvalidObject, match="the object is ours"):
            accepted(north)
        assert (north.digests(ID), entry_of(north).state) == (before, "waiting")

    def test_each_act_has_its_leaf_with_person_and_reason(self, north: Node):
        aside(north)
        correct(north)
        with north.database.reading() as tx:
            (leaf,) = [one for one in log.leaves(tx, limit=9) if one.act == "quarantine.edit"]
        assert (leaf.actor, leaf.details["reason"]) == ("person:eve", "by phone")
        assert leaf.details["original"] == f"d1:{entry_of(north).digest.hex()}"
        assert leaf.details["edited"] == f"d1:{digest_of(GOOD).hex()}"


class TestEdit:
    def test_the_corrected_text_is_stored_as_the_partners_and_the_entry_keeps_the_original(self, north: Node):
        aside(north)
        assert correct(north) == "stored"
        row, entry = north.last(ID), entry_of(north)
        assert (row.origin, row.digest, north.owner(ID).owner) == ("south", digest_of(GOOD), "south")
        assert (entry.state, entry.body, entry.edited) == ("accepted", BAD, digest_of(GOOD))

    def test_the_original_is_an_explained_variant_when_it_comes_again(self, north: Node):
        aside(north)
        correct(north)
        again = north.bring_one(BAD, by=IN)
        assert (again.outcome, again.reason, again.failed) == ("variant", "corrected", False)
        assert (entry_of(north).state, north.digests(ID)) == ("accepted", {digest_of(GOOD)})

    def test_so_is_an_original_that_the_agreement_kept_out(self, north: Node):
        aside(north, AMBER)
        correct(north, an_indicator(tlp="amber", description="mended"))
        assert north.bring_one(AMBER, by=IN).reason == "corrected"
        assert entry_of(north).state == "accepted"

    def test_a_control_without_that_memory_sets_it_aside_again(
        self, north: Node, monkeypatch: pytest.MonkeyPatch
    ):
        aside(north)
        correct(north)
        monkeypatch.setattr(situation.Known, "corrected", lambda *_: False)
        assert north.bring(BAD, by=IN) == ["quarantined"]
        assert entry_of(north).state == "waiting"

    def test_once_the_corrected_text_is_gone_the_original_waits_again(self, north: Node):
        aside(north)
        correct(north)
        north.remove(ID)
        assert north.bring(BAD, by=IN) == ["quarantined"]
        assert (entry_of(north).state, entry_of(north).edited) == ("waiting", None)

    def test_the_partners_next_version_is_the_last(self, north: Node):
        aside(north)
        correct(north)
        newer = an_indicator(tlp="green", author=SOUTH_ID, modified=LATER)
        assert north.bring(newer, by=IN) == ["stored"]
        assert north.last(ID).digest == digest_of(newer)

    def test_the_partners_own_text_of_the_version_replaces_ours(self, north: Node):
        aside(north)
        correct(north)
        own = an_indicator(tlp="green", author=SOUTH_ID, confidence=70)
        assert north.bring(own, by=IN) == ["restated"]
        assert north.digests(ID) == {digest_of(own)}

    def test_no_partner_gets_it(self, north: Node):
        aside(north)
        correct(north)
        assert (north.offered(), offered_to_west(north)) == (set(), set())
        assert (north.reasons(ID), north.reasons(ID, WEST)) == (["back_to_origin"], ["edited_here"])

    def test_a_control_that_forgets_the_mark_gives_it_to_a_third(
        self, north: Node, monkeypatch: pytest.MonkeyPatch
    ):
        aside(north)
        with monkeypatch.context() as planted:
            planted.setattr(ledger, "EDITED", "")
            correct(north)
        assert offered_to_west(north) == {digest_of(GOOD)}

    def test_no_partner_gets_it_after_it_was_taken_out_and_let_in_again(self, north: Node):
        since = north.moment()
        aside(north)
        correct(north)
        compromised(north, since)
        assert north.held(ID) == []
        with north.database.writing() as tx:
            (entry,) = quarantine.entries(tx)
            how = {"actor": "person:eve", "reason": "seen", "now": north.moment()}
            worklist.accept(tx, north.door, entry.entry, **how)
        assert north.digests(ID) == {digest_of(GOOD)}
        assert (offered_to_west(north), north.reasons(ID, WEST)) == (set(), ["edited_here"])

    def test_no_partner_gets_it_after_it_stands_again_in_place_of_another_text(self, north: Node):
        aside(north)
        correct(north)
        since = north.moment()
        north.bring(PLANTED, by=IN)
        assert north.digests(ID) == {digest_of(PLANTED)}
        compromised(north, since)
        assert north.digests(ID) == {digest_of(GOOD)}
        assert (offered_to_west(north), north.reasons(ID, WEST)) == (set(), ["edited_here"])

    def test_what_the_partner_sends_itself_goes_on(self, north: Node):
        aside(north)
        correct(north)
        own = an_indicator(tlp="green", author=SOUTH_ID, modified=LATER)
        assert north.bring(GOOD, own, by=IN) == ["duplicate", "stored"]
        assert offered_to_west(north) == {digest_of(GOOD), digest_of(own)}

    def test_a_text_that_is_not_valid_changes_nothing_and_names_its_place(self, north: Node):
        aside(north)
        with pytest.raises(InvalidObject, match="/confidence") as caught:
            correct(north, an_indicator(tlp="green", author=SOUTH_ID, confidence=101))
        assert (caught.value.place, north.held(ID), entry_of(north).state) == (("confidence",), [], "waiting")

    def test_the_same_text_again_is_no_correction(self, north: Node):
        aside(north, AMBER)
        with pytest.raises(UsageError, match="says what the original"):
            correct(north, b" " + AMBER)

    def test_what_the_partner_mended_itself_is_not_marked_as_ours(self, north: Node):
        aside(north)
        north.bring(GOOD, by=IN)
        with pytest.raises(InvalidObject, match="duplicate"):
            correct(north)
        with north.database.reading() as tx:
            lines = ledger.received(tx, [ID])[ID]
        assert {line.reason for line in lines if line.digest == digest_of(GOOD)} == {""}

    def test_it_is_decided_once(self, north: Node):
        aside(north)
        correct(north)
        with pytest.raises(UsageError, match="accepted already"):
            correct(north)

    def test_a_collection_that_asks_for_structure_takes_what_only_the_schemas_refuse(self, database):
        node = a_node(database, validation="structure")
        aside(node)
        assert correct(node, an_indicator(tlp="green", author=SOUTH_ID, pattern_type=7)) == "stored"
