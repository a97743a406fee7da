"""What a plan says of limits and of files, and how alerts tell that a limit holds something back."""

from __future__ import annotations

from collections import Counter

import pytest

from node.exchange import quotas
from node.sharing.links import Stricter
from node.sync.alerts import limit_faults
from node.sync.plan import plan, plan_file
from node.sync.pull import pull
from tests.support.builders import NORTH_ID, an_id, an_indicator, an_ipv4
from tests.support.partner import a_receiver, simulated_partner
from tests.support.two_nodes import BOTH_PUSH, two_nodes

THEIRS = [an_indicator(n) for n in range(10)]
OURS = [
    an_indicator("goes", tlp="green", author=NORTH_ID),
    an_indicator("amber", tlp="amber", author=NORTH_ID),
    an_ipv4(tlp="green"),
    an_indicator("nobody's", tlp="green"),
]


@pytest.fixture
def flooding():
    with simulated_partner() as west:
        west.page_most = 3
        west.hold(*THEIRS)
        yield west


def braked(database, west, **brakes):
    return a_receiver(database, west, stricter=Stricter(**brakes))


def planned(north):
    client = north.client()
    try:
        return plan(north.door, north.link("in"), client, now=north.clock)
    finally:
        client.close()


def pulled(north):
    client = north.client()
    try:
        return pull(north.door, north.link("in"), client, now=north.clock)
    finally:
        client.close()


@pytest.mark.parametrize("allowed", [0, 2])
def test_what_one_page_used_up_is_gone_for_the_next(database, flooding, allowed):
    north = braked(database, flooding, max_new_in_per_day=5)
    with north.database.writing() as tx:
        quotas.allow(tx, "west", quotas.NEW, allowed, actor="person:op", now=north.clock())
    found = planned(north)

    assert found.counts() == {"stored": 5 + allowed, "daily_limit": 5 - allowed}
    assert found.limited == 5 - allowed
    report = pulled(north)
    assert report.outcomes == {"stored": 5 + allowed, "quarantined": 5 - allowed}


def test_control_a_plan_that_forgets_each_page_says_something_else(sqlite_database, flooding, monkeypatch):
    north = braked(sqlite_database, flooding, max_new_in_per_day=5)
    monkeypatch.setattr(quotas.Tally, "add", lambda *_: None)

    assert planned(north).counts() == {"stored": 10}


def test_a_plan_ends_where_the_quarantine_would_be_full(sqlite_database, flooding):
    north = braked(sqlite_database, flooding, max_new_in_per_day=1, max_quarantine_objects=4)
    found, report = planned(north), pulled(north)

    assert Counter(step.outcome for step in found.steps) == report.outcomes == {"stored": 1, "quarantined": 5}
    assert (found.complete, type(found.error)) == (False, type(report.error))


def test_a_plan_of_a_file_ends_there_too_and_keeps_what_it_saw(database, flooding):
    north = braked(database, flooding, max_new_in_per_day=1, max_quarantine_objects=4)
    parts = [THEIRS[:3], THEIRS[3:6], THEIRS[6:9], THEIRS[9:]]
    found = plan_file(north.door, north.link("in"), parts, now=north.clock())

    assert Counter(step.outcome for step in found.steps) == {"stored": 1, "quarantined": 5}
    assert (found.complete, "would wait in quarantine" in found.error.problem) == (False, True)


def test_a_plan_says_how_the_partner_stands_today(database, flooding):
    north = braked(database, flooding, max_new_in_per_day=50)
    pulled(north)

    limits = planned(north).limits
    assert (limits.today.objects, limits.most_objects, limits.allowed_new) == (10, 50, 0)


@pytest.mark.parametrize("direction", ["in", "out"])
def test_a_plan_of_a_file_writes_nothing(two_databases, tmp_path, direction):
    pair = two_nodes(two_databases, tmp_path, flow_carry=BOTH_PUSH)
    pair.north.bring(an_indicator("before", tlp="green", author=NORTH_ID))
    pair.round()
    before = pair.north.tables()
    (link,) = pair.north.door.partner_links("south", direction)
    found = plan_file(pair.north.door, link, [OURS[:2], OURS[2:]], now=pair.clock())

    assert len(found.steps) == len(OURS)
    assert pair.north.tables() == before


def test_what_a_plan_of_a_file_says_is_what_goes(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path, flow_carry=BOTH_PUSH)
    (link,) = pair.north.door.partner_links("south", "out")
    found = plan_file(pair.north.door, link, [OURS], now=pair.clock())
    reasons = {step.stix_id: step.reason for step in found.steps if not step.goes}
    pair.north.bring(*OURS)
    pair.round()

    assert {step.stix_id for step in found.steps if step.goes} == pair.south.ids()
    assert reasons == {an_id("indicator", "amber"): "above_ceiling"}


def test_an_alert_names_the_limit_the_command_and_whom_to_call(sqlite_database, flooding):
    north = braked(sqlite_database, flooding, max_new_in_per_day=5)
    pulled(north)
    with north.database.reading() as tx:
        (fault,) = limit_faults(quotas.held_back(tx), {"west": "+1 23"})

    assert fault.key == "limit:west:daily_limit"
    assert fault.text == "west brought more than we take in a day: 5 wait"
    assert fault.command == "stixnode quarantine list west --reason daily_limit"
    assert fault.call == "+1 23"
