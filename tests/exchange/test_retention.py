"""Retention: content goes when its time is over, the books stay."""

from __future__ import annotations

from dataclasses import replace

from node.exchange import ledger, quarantine, retention
from node.store import owners
from node.store.database import Database
from tests.support.agreements import a_flow
from tests.support.builders import NORTH_ID, an_id, an_indicator
from tests.support.nodes import IN, SECOND, Node, a_node, key_of

ID = an_id("indicator")
FIRST = an_indicator(tlp="green")
DAY = 86_400 * SECOND


def erase(node: Node, days: float) -> int:
    return retention.erase_due(node.door, now=node.now + int(days * DAY))


def test_what_is_kept_for_ever_stays(north: Node):
    north.bring(FIRST)
    assert erase(north, 10_000) == 0


def test_our_own_rows_go_after_the_collections_days(database: Database):
    north = a_node(database, keep_days=30)
    north.bring(FIRST)
    assert erase(north, 29) == 0
    assert erase(north, 31) == 1
    assert north.held(ID) == []


def test_what_a_flow_brought_goes_after_the_flows_days(database: Database):
    north = a_node(database, flow=[a_flow(keep_days=10)])
    north.bring(FIRST, by=IN)
    north.bring(an_indicator("ours"))
    assert erase(north, 11) == 1
    assert north.held(ID) == []


def test_the_smaller_of_the_two_counts(database: Database):
    north = a_node(database, keep_days=5, flow=[a_flow(keep_days=10)])
    north.bring(FIRST, by=IN)
    assert erase(north, 6) == 1


def test_tombstone_owner_row_and_ledger_stay(database: Database):
    north = a_node(database, flow=[a_flow(keep_days=1)])
    north.bring(FIRST, by=IN)
    erase(north, 2)
    with north.database.reading() as tx:
        (stone,) = owners.tombstones_of(tx, ID)
        (line,) = ledger.received(tx, [ID])[ID]
    assert (stone.reason, stone.actor) == ("erased", "worker")
    assert line.digest == stone.digest
    assert north.owner(ID) is not None


def test_more_rows_than_one_step_takes_all_go(database: Database):
    north = a_node(database, validation="structure", keep_days=1)
    number = retention.CHUNK + 5
    north.bring(*(an_indicator(each) for each in range(number)))
    assert erase(north, 2) == number
    assert erase(north, 2) == 0


def test_what_was_erased_leaves_the_feed(database: Database):
    north = a_node(database, keep_days=1)
    north.bring(FIRST)
    north.advance()
    erase(north, 2)
    assert north.offered() == set()


def test_what_was_replaced_goes_too(database: Database):
    north = a_node(database, flow=[a_flow(keep_days=10)])
    north.bring(FIRST, by=IN)
    north.bring(an_indicator(tlp="green", description="new"), by=IN)
    assert erase(north, 9) == 0
    assert erase(north, 11) == 2
    assert north.history(ID) == []


def test_what_we_replaced_of_our_own_stays_when_a_flows_time_is_over(database: Database):
    north = a_node(database, flow=[a_flow(keep_days=10)])
    north.bring(FIRST)
    north.bring(an_indicator(tlp="green", description="new"), restate=True)
    assert erase(north, 11) == 0
    assert len(north.history(ID)) == 1


def test_a_body_set_aside_goes_and_its_entry_is_closed(database: Database):
    north = a_node(database, flow=[a_flow(keep_days=10)])
    foreign = an_indicator(author=NORTH_ID)
    north.bring(foreign, by=IN)
    assert erase(north, 9) == 0
    assert erase(north, 11) == 1
    with north.database.reading() as tx:
        entry = quarantine.find(tx, quarantine.name_of(IN, key_of(foreign)))
    assert (entry.body, entry.state, entry.decision_reason) == (b"", "closed", "erased")


def test_a_body_that_is_set_aside_again_after_its_time_waits_again(database: Database):
    north = a_node(database, flow=[a_flow(keep_days=10)])
    foreign = an_indicator(author=NORTH_ID)
    north.bring(foreign, by=IN)
    erase(north, 11)
    north.clock.now += 11 * DAY
    north.bring(foreign, by=IN)
    assert erase(north, 1) == 0
    with north.database.reading() as tx:
        (entry,) = quarantine.entries(tx)
    assert (entry.body, entry.at) == (foreign, north.now)


def test_a_discarded_body_goes_and_is_remembered(database: Database):
    north = a_node(database, flow=[a_flow(keep_days=10)])
    foreign = an_indicator(author=NORTH_ID)
    north.bring(foreign, by=IN)
    name = quarantine.name_of(IN, key_of(foreign))
    with north.database.writing() as tx:
        quarantine.decide(tx, name, state="discarded", actor="person:eve", reason="", now=north.now)
    assert erase(north, 11) == 1
    assert north.bring_one(foreign, by=IN).reason == "discarded"


def test_what_a_flow_brought_goes_after_its_days_when_the_agreement_is_gone(database: Database):
    north = a_node(database, flow=[a_flow(keep_days=10)])
    north.bring(FIRST, by=IN)
    north.bring(an_indicator("q", author=NORTH_ID), by=IN)
    north.door = replace(north.door, links=())
    assert erase(north, 9) == 0
    assert erase(north, 11) == 2
    assert north.held(ID) == []
