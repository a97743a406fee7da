"""One round of one link: the state it leaves, and when the next one is due."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.exchange import history, links
from node.sync import rounds
from node.sync.reports import PassiveReport, ServeReport, Stop
from tests.support.agreements import a_link
from tests.support.builders import NORTH_ID, an_indicator
from tests.support.partner import SECOND, Canned
from tests.support.two_nodes import BOTH_PULL, BOTH_PUSH, two_nodes


def carry(north, direction="in"):
    client = north.client()
    try:
        return rounds.carry(north.door, north.link(direction), client, now=north.clock, pause=north.pause)
    finally:
        client.close()


def state_of(north, direction="in"):
    with north.database.reading() as tx:
        return links.state(tx, north.link(direction).name)


def due(north):
    with north.database.reading() as tx:
        return [one.direction for one in rounds.due(north.door.links, links.states(tx), now=north.clock())]


def test_a_good_round_is_noted_with_whether_it_brought_anything(north, west):
    west.hold(an_indicator())
    carry(north)
    first = state_of(north)
    assert (first.last_success, first.last_new) == (north.clock(), north.clock())
    north.clock.now += SECOND
    carry(north)
    second = state_of(north)
    assert (second.last_success, second.last_new) == (north.clock(), first.last_new)


def test_a_failed_round_is_tried_again_later_and_later(north, west):
    """T-CLI-17."""
    waits = []
    for _ in range(12):
        west.answer_next(Canned(503))
        carry(north)
        waits.append((state_of(north).next_try - north.clock()) / SECOND)
    assert waits[0] == 5.0
    assert 450 <= waits[-1] <= 900
    assert max(waits) <= 900
    assert state_of(north).failures == 12
    carry(north)
    assert (state_of(north).failures, state_of(north).next_try) == (0, None)


def test_two_outages_with_good_rounds_between_are_two_runs_of_the_history(north, west):
    """Quiet rounds enter nothing, and one row would say that the partner was away all the time between."""
    for _ in range(2):
        west.answer_next(Canned(503), Canned(503))
        carry(north)
        north.clock.now += 7_200 * SECOND
        carry(north)  # still the same outage
        north.clock.now += 60 * SECOND
        carry(north)
        assert state_of(north).failures == 0
        north.clock.now += 86_400 * SECOND
    with north.database.reading() as tx:
        found = history.runs(tx, [north.link("in").name])
    assert [(one.reason, one.times) for one in found] == [("unreachable", 2)] * 2


def test_a_link_that_comes_and_goes_within_an_hour_does_not_fill_the_history(north, west):
    for _ in range(5):
        west.answer_next(Canned(503))
        for _ in range(2):
            carry(north)
            north.clock.now += 60 * SECOND
    with north.database.reading() as tx:
        (found,) = history.runs(tx, [north.link("in").name])
    assert found.times == 5


def test_retry_after_is_obeyed(north, west):
    """T-CLI-17."""
    west.answer_next(Canned(429, headers={"Retry-After": "120"}))
    carry(north)
    assert state_of(north).next_try == north.clock() + 120 * SECOND


def test_an_endless_retry_after_is_bounded_to_an_hour(north, west):
    west.answer_next(Canned(429, headers={"Retry-After": "100000000"}))
    carry(north)
    assert state_of(north).next_try == north.clock() + 3600 * SECOND


def test_a_stop_by_rule_is_noted_with_its_reason(north, west):
    west.next_style = "empty"
    carry(north)
    assert "empty pages" in state_of(north).last_error


def test_a_paused_link_asks_nothing_and_keeps_its_state(north, west):
    with north.database.writing() as tx:
        links.set_paused(tx, "west", paused=True, reason="by hand")
    before = state_of(north)
    report = carry(north)
    assert (report.stopped, west.requests, state_of(north)) == (Stop.CLOSED, [], before)


def test_a_round_that_was_ended_from_outside_is_no_failure(north, west):
    west.answer_next(Canned(503))
    client = north.client()
    report = rounds.carry(north.door, north.link("in"), client, now=north.clock, pause=lambda _: True)
    client.close()
    assert report.stopped is Stop.INTERRUPTED
    assert state_of(north).failures == 0


def test_links_are_due_when_their_time_has_come_and_what_comes_in_first(north, west):
    assert due(north) == ["in", "out"]
    carry(north)
    assert due(north) == ["out"]
    carry(north, "out")
    assert due(north) == []
    north.clock.now += north.link("in").every_seconds * SECOND
    assert due(north) == ["in", "out"]


def test_paused_links_are_never_due(north):
    with north.database.writing() as tx:
        links.set_paused(tx, "west", paused=True, reason="by hand")
    assert due(north) == []


def test_a_link_paused_by_the_configuration_is_never_due(north):
    with north.database.reading() as tx:
        states = links.states(tx)
    assert (
        rounds.due([replace(one, paused=True) for one in north.door.links], states, now=north.clock()) == []
    )


@pytest.mark.parametrize("failures", range(1, 40))
def test_links_wait_for_different_times_within_bounds(failures):
    waits = {rounds.wait_after(f"p{n}/indicators/in", failures, None) for n in range(50)}
    assert 5.0 <= min(waits) <= max(waits) <= 900.0
    assert len(waits) > 20 or failures == 1


def test_what_the_partner_fetches_is_only_advanced(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path, flow_carry=BOTH_PULL)
    pair.north.bring(
        an_indicator("a", tlp="green", author=NORTH_ID), an_indicator("b", tlp="amber", author=NORTH_ID)
    )
    (report,) = pair.north.sync("out")
    assert isinstance(report, ServeReport)
    assert (report.entered, report.withheld) == (1, 1)
    assert pair.north.wire.asked == []
    before = pair.north.tables()
    (again,) = pair.north.sync("out")
    assert (again.entered, pair.north.tables()) == (0, before)


def test_what_the_partner_brings_needs_nothing_here(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path, flow_carry=BOTH_PUSH)
    (report,) = pair.north.sync("in")
    assert isinstance(report, PassiveReport)
    assert pair.north.wire.asked == []


def test_a_link_that_we_carry_needs_a_client(north):
    with pytest.raises(AssertionError):
        rounds.carry(north.door, a_link("in", carrier="us"), None, now=north.clock, pause=north.pause)
