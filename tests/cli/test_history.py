"""node/cli/history.py: runs, one run, and the totals of each day."""

from __future__ import annotations

import pytest

from node.cli.moments import day_text, past_moment, utc_day
from node.clock import now
from node.errors import UsageError
from node.exchange import history
from tests.cli.desk import Desk, a_bundle, both_carried_by_north, old_indicator
from tests.support.builders import NOON, NORTH_ID, SOUTH_ID, an_id
from tests.support.partner import COLLECTION, Canned, simulated_partner

IN, OUT = "south/indicators/in", "south/indicators/out"
HOUR, DAY = 3_600_000_000, history.DAY


@pytest.fixture
def partner():
    with simulated_partner() as found:
        yield found


@pytest.fixture
def exchanged(desk: Desk, partner) -> Desk:
    """North has pulled two objects, of which one is set aside, and pushed one; then south was away twice."""
    more = f'kind = "taxii"\n[partner.south.their_ids]\nindicators = "{COLLECTION}"'
    desk.with_partner(api_root=partner.api_root, more=more, paper_signed=True, flow=both_carried_by_north())
    desk.run("resume", "south")
    partner.hold(old_indicator("theirs", author=SOUTH_ID), old_indicator("claims us", author=NORTH_ID))
    desk.run("import", "indicators", "-", stdin=a_bundle(old_indicator("ours", author=NORTH_ID)))
    desk.run("sync")
    for _ in range(2):
        partner.answer_next(Canned(503))
        desk.run("pull")
    return desk


def runs_of(desk: Desk, *arguments: str):
    return [
        (one["link"], one["way"], one["times"], one["counts"])
        for one in desk.run("history", *arguments, "--json").of("run")
    ]


def test_runs_are_listed_newest_first_and_end_with_what_to_look_at(exchanged: Desk):
    answer = exchanged.run("history")
    lines = answer.out.splitlines()

    assert answer.code == 0
    assert [line.split()[-1] for line in lines[1:-1]] == ["times", "withheld", "quarantined"]
    assert "no answer, 2 times" in lines[1]
    assert lines[-1].endswith(f"history show {lines[1].split()[0]}")


def test_a_quiet_round_is_no_run(exchanged: Desk):
    assert runs_of(exchanged) == [
        (IN, "pull", 2, {}),
        (OUT, "push", 1, {"sent": 1, "withheld": 1}),
        (IN, "pull", 1, {"stored": 1, "quarantined": 1}),
    ]
    exchanged.run("sync")  # south lists what it got from us
    before = runs_of(exchanged)
    exchanged.run("sync")

    assert runs_of(exchanged) == before


def test_one_link_a_limit_and_a_moment_can_be_asked_for(exchanged: Desk):
    assert [run[0] for run in runs_of(exchanged, OUT)] == [OUT]
    assert [run[0] for run in runs_of(exchanged, "list", "south", "--limit", "1")] == [IN]
    assert len(runs_of(exchanged, "--since", "1h")) == len(runs_of(exchanged, "--days", "1")) == 3
    assert runs_of(exchanged, "--since", "2099-01-01") == []
    assert "The newest 1 are shown" in exchanged.run("history", "--limit", "1").out


def test_nothing_carried_says_so(desk: Desk):
    answer = desk.with_partner().run("history")

    assert (answer.code, answer.out.splitlines()[0]) == (0, "Nothing was carried.")


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        (OUT, ["sent:", an_id("indicator", "ours"), "1 sent, 1 withheld", "4 requests"]),
        (
            IN,
            ["ended early: no answer", "answered GET", "Try: It is tried again by itself.", "2 times until"],
        ),
    ],
)
def test_one_run_is_shown_with_its_objects_and_its_end(exchanged: Desk, link, shown):
    name = exchanged.run("history", link, "--json").of("run")[0]["run"]
    answer = exchanged.run("history", "show", name)

    assert answer.code == 0
    for part in [name, link, *shown]:
        assert part in answer.out, answer.out


def test_what_was_set_aside_leads_to_the_quarantine(exchanged: Desk):
    name = exchanged.run("history", IN, "--json").of("run")[-1]["run"]
    answer = exchanged.run("history", "show", name)

    assert an_id("indicator", "claims us") in answer.out
    assert answer.out.splitlines()[-1].endswith(f"quarantine list {IN}")
    (run,) = exchanged.run("history", "show", name, "--json").of("run")
    assert run["named"]["stored"] == [an_id("indicator", "theirs")]
    assert len(run["arrivals"]) == 1


def test_a_run_that_is_not_there_is_a_wrong_call(exchanged: Desk):
    answer = exchanged.run("history", "show", "r-9999")

    assert (answer.code, "stixnode" in answer.err and "history" in answer.err) == (2, True)


def test_totals_say_what_each_day_brought_and_took(exchanged: Desk):
    answer = exchanged.run("history", "totals", "south", "--json")
    found = {one["link"]: one for one in answer.of("total")}
    today = day_text(now() // DAY)

    assert (found[IN]["day"], found[OUT]["day"]) == (today, today)
    assert (found[IN]["received"], found[IN]["stored"], found[IN]["quarantined"]) == (2, 1, 1)
    assert (found[OUT]["considered"], found[OUT]["sent"], found[OUT]["withheld"]) == (2, 1, 1)
    lines = exchanged.run("history", "totals").out.splitlines()
    assert lines[1].split() == ["IN", "LINK", "RECEIVED", "STORED", "QUAR"]
    assert lines[2].split() == [today, IN, "2", "1", "1"]
    assert lines[3].split() == ["OUT", "LINK", "CONSIDERED", "SENT", "WITHHELD", "OFFERED"]


def test_several_days_are_added_up_in_a_last_line(exchanged: Desk):
    with exchanged.open() as node, node.database.writing() as tx:
        history.count(tx, IN, {"stored": 40}, now=now() - 2 * DAY)
    lines = exchanged.run("history", "totals", IN).out.splitlines()

    assert lines[-2].split() == ["all", "42", "41", "1"]


def test_totals_of_a_link_that_is_no_more_are_kept(exchanged: Desk):
    with exchanged.open() as node, node.database.writing() as tx:
        history.count(tx, "west/indicators/in", {"stored": 5}, now=now())

    assert exchanged.run("history", "totals", "west", "--json").of("total")[0]["stored"] == 5
    assert exchanged.run("history", "totals", "east").code == 2


def test_days_that_cannot_be_are_a_wrong_call(exchanged: Desk):
    assert exchanged.run("history", "totals", "--from", "2026-02-30").code == 2
    assert exchanged.run("history", "totals", "--from", "2099-01-01").code == 2
    assert exchanged.run("history", "--since", "soon").code == 2


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("6h", NOON - 6 * HOUR),
        ("2 days", NOON - 48 * HOUR),
        ("30min", NOON - HOUR // 2),
        ("2026-11-21", NOON - 14 * HOUR),
        ("2026-11-21 14:00", NOON),
        ("2026-11-21T12:00:00Z", NOON),
        ("2026-11-21T15:00+03:00", NOON),
    ],
)
def test_a_moment_is_read_in_the_zone_of_the_node(text, moment):
    assert past_moment(text, now=NOON, zone="Europe/Helsinki") == moment


@pytest.mark.parametrize("text", ["", "soon", "6", "h", "2026-13-01", "0h", "9999999d"])
def test_what_is_no_moment_is_a_wrong_call(text):
    with pytest.raises(UsageError):
        past_moment(text, now=NOON, zone="UTC")


def test_days_are_those_of_utc():
    assert utc_day("2026-11-21", now=NOON) == utc_day("today", now=NOON) == NOON // DAY
    assert day_text(utc_day("yesterday", now=NOON)) == "2026-11-20"
