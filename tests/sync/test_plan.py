"""A plan shows what the next round does, and does nothing itself."""

from __future__ import annotations

import pytest

from node.sync.connection import Patience
from node.sync.explain import explain
from node.sync.plan import plan
from node.sync.pull import pull
from node.sync.reports import Stop
from tests.support.builders import LATER, NOON, NORTH_ID, SOUTH_ID, an_id, an_indicator
from tests.support.two_nodes import BOTH_PULL, BOTH_PUSH, an_exchange_text, renew_history, two_nodes

GREEN = [an_indicator(n, tlp="green", author=NORTH_ID) for n in range(3)]
AMBER = an_indicator("amber", tlp="amber", author=NORTH_ID)
CLAIM = an_indicator("claims to be south's", tlp="green", author=SOUTH_ID)


def planned(centre, direction):
    (link,) = centre.door.partner_links(centre.other, direction)
    client = centre.client()
    try:
        return plan(centre.door, link, client, now=centre.clock)
    finally:
        client.close()


def explained(centre, stix_id, link=None):
    with centre.database.reading() as tx:
        return explain(tx, centre.door, stix_id, None if link is None else centre.door.link(link))


@pytest.mark.parametrize("carry", [BOTH_PULL, BOTH_PUSH])
def test_what_is_planned_to_go_is_what_goes(two_databases, tmp_path, carry):
    pair = two_nodes(two_databases, tmp_path, flow_carry=carry)
    pair.north.bring(*GREEN, AMBER)
    found = planned(pair.north, "out")
    going = {step.stix_id for step in found.steps if step.goes}
    pair.round()
    pair.round()
    assert going == pair.south.ids() == {an_id("indicator", n) for n in range(3)}


def test_a_plan_names_the_reason_and_the_remedy_of_what_stays(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path)
    pair.north.bring(AMBER)
    (step,) = planned(pair.north, "out").steps
    assert (step.goes, step.outcome, step.reason) == (False, "withheld", "above_ceiling")
    assert step.remedy


def test_what_comes_in_is_planned_with_its_outcome(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path)
    pair.north.bring(*GREEN, CLAIM)
    found = planned(pair.south, "in")
    assert found.counts() == {"stored": 3, "foreign_edit": 1}
    (report,) = pair.south.sync("in")
    assert (report.outcomes["stored"], report.outcomes["quarantined"]) == (3, 1)


@pytest.mark.parametrize("direction", ["in", "out"])
def test_a_plan_writes_nothing(two_databases, tmp_path, direction):
    pair = two_nodes(two_databases, tmp_path)
    pair.north.bring(*GREEN, AMBER)
    pair.south.bring(an_indicator("s", tlp="green", author=SOUTH_ID))
    before = pair.north.tables()
    planned(pair.north, direction)
    assert pair.north.tables() == before


def test_nothing_is_planned_after_everything_has_crossed(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path, flow_carry=BOTH_PUSH)
    pair.north.bring(*GREEN)
    pair.round()
    assert planned(pair.north, "out").changes == 0


def test_what_stands_in_the_feed_unsent_is_planned_to_go(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path, flow_carry=BOTH_PUSH)
    pair.north.bring(*GREEN)
    pair.north.wire.before = _no_line
    pair.north.sync("out")
    assert planned(pair.north, "out").changes == 3


def test_a_plan_of_a_paused_link_says_so(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path)
    pair.north.bring(*GREEN)
    assert planned(pair.north, "out").closed == ""
    pair.clock.now = pair.north.door.links[0].terms.ends
    assert "ended" in planned(pair.north, "out").closed


def test_explain_tells_where_an_object_lies_and_who_has_it(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path, flow_carry=BOTH_PUSH)
    pair.north.bring(GREEN[0])
    pair.round()
    told = explained(pair.north, an_id("indicator", 0))
    assert told[0].startswith("Lies in indicators: version 2026-11-20T08:00:00.000Z")
    assert "The object is ours." in told
    assert any("south has it and confirmed it" in line for line in told)
    there = explained(pair.south, an_id("indicator", 0))
    assert any(line.startswith("Received from north by north/indicators/in") for line in there)
    assert "The object is north's." in there


def test_explain_tells_why_an_object_stays_and_what_to_do(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path)
    pair.north.bring(AMBER)
    pair.round()
    told = explained(pair.north, an_id("indicator", "amber"))
    (at,) = [n for n, line in enumerate(told) if "withheld" in line]
    assert "above_ceiling" in told[at]
    assert told[at + 1].startswith("  ")


def test_explain_tells_what_was_set_aside_and_the_command(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path)
    pair.north.bring(CLAIM)
    pair.round()
    told = explained(pair.south, an_id("indicator", "claims to be south's"))
    assert any("stixnode quarantine show q-" in line for line in told)


def test_explain_keeps_to_one_link_when_asked(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path)
    pair.north.bring(AMBER)
    pair.round()
    told = explained(pair.north, an_id("indicator", "amber"), "south/indicators/in")
    assert not any("withheld" in line for line in told)


def test_explain_says_that_an_id_is_unknown(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path)
    (line,) = explained(pair.north, an_id("indicator", "never seen"))
    assert "Nothing is known" in line


def test_explain_names_every_version(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path)
    pair.north.bring(GREEN[0])
    pair.north.bring(an_indicator(0, tlp="green", author=NORTH_ID, modified=LATER))
    told = explained(pair.north, an_id("indicator", 0))
    assert [line.count("the newest") for line in told if line.startswith("Lies")] == [0, 1]


def planned_with(north, **changes):
    client = north.client(**changes)
    try:
        return plan(north.door, north.link("in"), client, now=north.clock)
    finally:
        client.close()


@pytest.mark.parametrize("style", ["empty", "same"])
def test_a_plan_ends_where_a_round_would_find_no_way_on(north, west, style):
    west.next_style = style
    west.hold(*[an_indicator(n) for n in range(3)])
    found = planned_with(north)
    assert (found.stopped, found.complete) == (Stop.NO_PROGRESS, False)
    assert found.detail
    assert found.remedy


def test_a_plan_of_what_never_ends_is_bounded(north, west):
    west.next_style = "endless"
    client = north.client()
    found = plan(north.door, north.link("in"), client, now=north.clock, at_most=5)
    client.close()
    assert (len(found.steps), found.complete, found.stopped) == (6, False, None)


def test_a_plan_asks_other_software_from_a_little_before_the_bookmark(north, west):
    west.digits = 3
    west.hold(an_indicator(0), at=NOON)
    client = north.client()
    pull(north.door, north.link("in"), client, now=north.clock)
    client.close()
    west.hold(an_indicator(1), at=NOON + 100)
    found = planned_with(north)
    assert [step.stix_id for step in found.steps if step.goes] == [an_id("indicator", 1)]


def test_a_plan_asks_for_fewer_objects_when_an_answer_is_too_large(north, west):
    west.hold(*[an_indicator(n) for n in range(20)])
    assert planned_with(north, patience=Patience(most_bytes=4000)).changes == 20


def test_a_plan_says_that_the_terms_differ(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path)
    pair.north.bring(*GREEN)
    pair.south.restart(an_exchange_text(flow_keep_days=10))
    found = planned(pair.south, "in")
    assert (found.stopped, found.steps, found.complete) == (Stop.TERMS_DIFFER, [], False)
    assert "differ" in found.detail


def test_a_plan_starts_again_when_the_partner_has_another_history_and_notes_nothing(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path)
    pair.north.bring(*GREEN)
    pair.south.sync("in")
    renew_history(pair.north, "restored")
    pair.south.client().collection("indicators")
    before = pair.south.tables()
    assert planned(pair.south, "in").counts() == {"duplicate": 3}
    assert pair.south.tables() == before


def _no_line(_request: object) -> None:
    raise ConnectionResetError("no line")
