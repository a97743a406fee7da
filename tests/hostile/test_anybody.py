"""Other software as it is: dates cut, tied, inclusive or missing, and positions that serve once."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from node.sync.listing import Limits
from tests.hostile.stand import GOOD, page
from tests.support.builders import NOON, NORTH_ID, an_identity, an_indicator
from tests.support.partner import SECOND, Canned

MANY = [an_indicator(f"many {n}") for n in range(23)]


@pytest.mark.parametrize("way", ["offset", "none"])
@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("digits", [0, 3, 6])
def test_ties_across_the_border_of_a_page_lose_nothing(stand, west, digits, inclusive, way):
    """PEER-7: whatever the dates look like, also two equal ones at the end, and no round loops."""
    west.digits, west.inclusive, west.next_style, west.page_most = digits, inclusive, way, 10_000
    for n, body in enumerate(MANY):
        west.hold(body, at=NOON + (n // 4) * SECOND + n)
    limits = Limits(page_objects=6)
    first = stand.round(limits=limits)
    asked = len(west.requests)
    again = stand.round(limits=limits)

    assert (first.error, first.stopped, again.error, again.stopped) == (None, None, None, None)
    assert sorted(stand.held()) == sorted(MANY)
    assert again.moved == 0
    assert len(west.requests) - asked <= 2


def test_a_position_that_serves_once_loses_no_page_when_its_answer_is_lost(stand, west):
    """medallion's: the page is gone with the answer, so the listing begins again at the last date."""
    west.hold(*MANY)
    west.page_most = 5
    usual, served = west.answer, set()

    def once(asked):
        place = tuple(asked.query.get(name, [""])[0] for name in ("added_after", "next"))
        if place[1] and place in served:
            return Canned(400, b'{"title":"Unknown next"}')
        served.add(place)
        answer = usual(asked)
        return replace(answer, how="cut") if place == ("", "10") else answer

    west.answer = once
    first = stand.round()
    second = stand.round()

    assert first.error is not None
    assert 0 < first.outcomes["stored"] < len(MANY)
    assert (second.error, sorted(stand.held())) == (None, sorted(MANY))


def test_a_position_that_was_forgotten_in_the_middle_is_made_up_for_in_the_same_round(stand, west):
    """The dates know where we were."""
    west.hold(*MANY)
    west.page_most = 5
    usual = west.answer
    west.answer = lambda asked: (
        Canned(404, b"{}")
        if asked.query.get("next") == ["10"] and "added_after" not in asked.query
        else usual(asked)
    )
    report = stand.round()

    assert (report.error, sorted(stand.held())) == (None, sorted(MANY))


def test_a_server_without_dates_and_with_positions_is_read_whole_each_time(stand, west):
    """Our own clock never takes the place of its dates."""
    west.hold(*MANY)
    west.date_headers, west.page_most = False, 5
    first, again = stand.round(), stand.round()

    assert (first.outcomes["stored"], again.outcomes) == (len(MANY), {"duplicate": len(MANY)})
    assert stand.bookmark() is None
    assert any("X-TAXII-Date-Added-Last" in each for each in first.warnings)
    stand.converges()


def test_a_limit_that_is_not_obeyed_is_no_obstacle(stand, west):
    """Some send all that they have."""
    report = stand.answered(page(*MANY), limits=Limits(page_objects=2))

    assert (report.error, report.outcomes["stored"]) == (None, len(MANY))


ODD = {
    "blanks": {"description": "  two  blanks  "},
    "another normal form": {"description": "e\u0301 \u212b \ufb01"},
    "a float": {"x_number": 1.0},
    "nanoseconds": {"modified": "2026-11-20T08:00:00.000000000Z"},
}


@pytest.mark.parametrize("how", ODD)
def test_an_odd_spelling_comes_and_goes_quietly_in_both_directions(stand, west, how):
    """PEER-38: it is stored as it is, offered as it is, and is nothing new afterwards."""
    theirs = an_indicator("theirs", **ODD[how])
    ours = an_indicator("ours", tlp="green", author=NORTH_ID, **ODD[how])
    west.hold(theirs)
    stand.north.bring(ours)
    first, out = stand.round(), stand.round("out")
    again, quiet = stand.round(), stand.round("out")

    assert (first.outcomes["stored"], out.sent) == (1, 1)
    assert (again.moved, quiet.considered) == (0, 0)
    assert json.loads(west.requests[-1].body or b"{}") == {}
    assert set(stand.held()) == {theirs, ours}


def test_one_bad_object_at_the_end_is_told_once_and_every_round_after_is_quiet(stand, west):
    """What waits for a person is nothing new, although it is listed again within the overlap."""
    west.hold(*GOOD, an_indicator("claimed", author=NORTH_ID))
    first = stand.round()
    rows = [stand.north.count(table) for table in ("object", "received", "arrival", "leaf", "quarantine")]
    again = stand.round()

    assert (first.outcomes["quarantined"], again.moved) == (1, 0)
    assert [
        stand.north.count(each) for each in ("object", "received", "arrival", "leaf", "quarantine")
    ] == rows


def test_control_another_object_within_the_overlap_is_new(stand, west):
    """The same date, other bytes."""
    west.hold(*GOOD, an_indicator("claimed", author=NORTH_ID))
    stand.round()
    west.hold(an_identity("late"), at=west.held[-1].added)

    assert stand.round().outcomes["stored"] == 1
