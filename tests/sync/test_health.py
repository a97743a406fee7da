"""node/sync/health.py: the state of a link, by time alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.clock import MICROSECONDS
from node.sync.health import (
    FAULTS,
    WEEK_HOURS,
    Closed,
    Facts,
    State,
    missing,
    patience,
    reader_state,
    state_of,
)
from tests.support.builders import NOON

MINUTE = 60 * MICROSECONDS
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NOW = NOON
THIS_HOUR = NOW // HOUR

PULLED = Facts(
    partner="south",
    agreement="AGR-2026-01",
    outgoing=False,
    ours=True,
    every_seconds=300,
    ends=NOW + 300 * DAY,
    now_there=NOW,
    opened=NOW - 100 * DAY,
    last_try=NOW - MINUTE,
    last_success=NOW - MINUTE,
    last_new=NOW - MINUTE,
)
SERVED = Facts(
    partner="south",
    agreement="AGR-2026-01",
    outgoing=True,
    ours=False,
    every_seconds=300,
    ends=NOW + 300 * DAY,
    now_there=NOW,
    opened=NOW - 100 * DAY,
    last_poll=NOW - MINUTE,
    last_new=NOW - MINUTE,
)
BROUGHT = replace(SERVED, outgoing=False, last_poll=None)


def failed(**changes: object) -> Facts:
    return replace(PULLED, failures=1, last_error="south gave no usable answer to GET x: refused.", **changes)


TABLE = {
    "all works": (PULLED, State.OK, False),
    "nothing new ever": (replace(PULLED, last_new=None), State.IDLE, False),
    "a partner that fetches came by other terms": (replace(SERVED, other_terms=True), State.FAILING, True),
    "a partner that brings came by other terms": (replace(BROUGHT, other_terms=True), State.FAILING, True),
    "no round yet": (
        replace(PULLED, last_try=None, last_success=None, last_new=None, opened=NOW - MINUTE),
        State.IDLE,
        False,
    ),
    "no round for long after it was opened": (
        replace(PULLED, last_try=None, last_success=None, last_new=None, opened=NOW - HOUR),
        State.STALE,
        True,
    ),
    "opened a minute ago after a long pause": (
        replace(PULLED, last_try=NOW - DAY, last_success=NOW - DAY, opened=NOW - MINUTE),
        State.OK,
        False,
    ),
    "worker gone": (replace(PULLED, last_try=NOW - HOUR, last_success=NOW - HOUR), State.STALE, True),
    "a long round under way": (
        replace(PULLED, last_try=NOW - HOUR, last_success=NOW - HOUR, at_work=True),
        State.OK,
        False,
    ),
    "a round that never ends": (
        replace(PULLED, last_try=NOW - 7 * HOUR, last_success=NOW - 7 * HOUR, at_work=True),
        State.STALE,
        True,
    ),
    "one failure": (failed(next_try=NOW + MINUTE), State.FAILING, False),
    "three failures": (replace(failed(), failures=3), State.FAILING, True),
    "one failure after an hour without success": (
        failed(last_success=NOW - 2 * HOUR, next_try=NOW + MINUTE),
        State.FAILING,
        True,
    ),
    "failing, then the worker ended": (
        failed(last_try=NOW - 3 * HOUR, last_success=NOW - 3 * HOUR, next_try=NOW - 2 * HOUR),
        State.STALE,
        True,
    ),
    "waiting as long as the partner asked": (
        failed(last_try=NOW - HOUR, last_success=NOW - 50 * MINUTE, next_try=NOW + MINUTE),
        State.FAILING,
        False,
    ),
    "they fetch": (SERVED, State.OK, False),
    "they have never fetched, and it is new": (
        replace(SERVED, last_poll=None, opened=NOW - MINUTE),
        State.IDLE,
        False,
    ),
    "they have never fetched": (replace(SERVED, last_poll=None), State.STALE, True),
    "they stopped fetching": (replace(SERVED, last_poll=NOW - 7 * HOUR), State.STALE, True),
    "they could not fetch until now": (
        replace(SERVED, last_poll=NOW - 7 * DAY, opened=NOW - MINUTE),
        State.OK,
        False,
    ),
    "they ask and do not read on": (
        replace(SERVED, waiting=4, oldest_waiting=NOW - 2 * DAY),
        State.FAILING,
        True,
    ),
    "they have no account": (replace(SERVED, has_account=False), State.FAILING, False),
    "they bring": (BROUGHT, State.OK, False),
    "they have brought nothing": (replace(BROUGHT, last_new=None), State.IDLE, False),
    "stopped by a person": (replace(PULLED, closed=Closed("a drill")), State.PAUSED, False),
    "closed by the node": (
        replace(PULLED, closed=Closed("it went back", "stixnode resume south", alarm=True)),
        State.PAUSED,
        True,
    ),
    "the agreement is over": (replace(PULLED, ends=NOW, closed=Closed("a drill")), State.ENDED, False),
}


@pytest.mark.parametrize(("facts", "state", "alarm"), TABLE.values(), ids=TABLE.keys())
def test_the_state_of_a_link_follows_from_its_timestamps(facts: Facts, state: State, alarm: bool):
    found = state_of(facts, now=NOW)

    assert (found.state, found.alarm) == (state, alarm)


def test_every_state_stands_in_the_table():
    assert {state for _, state, _ in TABLE.values()} | {State.SILENT} == set(State)


def test_the_same_facts_grow_stale_by_time_alone():
    later = [state_of(PULLED, now=NOW + minutes * MINUTE).state for minutes in (0, 5, 10, 15, 600)]

    assert later == [State.OK, State.OK, State.OK, State.STALE, State.STALE]


@pytest.mark.parametrize(
    ("error", "words", "command"),
    [
        ("The terms of AGR-2026-01 differ: ours 1, theirs 2.", "the terms differ", "stixnode agreement show"),
        ("south answered GET https://s/ with 401 (secret words).", "(401)", "ask south for a new token"),
        ("south answered GET https://s/ with 503 (secret words).", "it answers 503", ""),
        (
            "south gave no usable answer: [SSL: CERTIFICATE_VERIFY_FAILED] secret words",
            "certificate",
            "stixnode doctor south",
        ),
        ("secret words", "last worked", ""),
    ],
)
def test_an_alert_gives_the_cause_in_our_words_and_not_in_theirs(error: str, words: str, command: str):
    found = state_of(replace(PULLED, failures=1, last_error=error), now=NOW)

    assert words in found.text
    assert "secret words" not in found.text
    assert found.detail == error
    assert found.command.startswith(command)
    assert bool(found.command) == bool(command)


# silence


def office_hours(weeks: int, *, each: int = 5) -> dict[int, int]:
    """Eight hours of five days a week, up to the hour before the last new object."""
    monday = THIS_HOUR - (THIS_HOUR + 4 * 24 - 24 * 1) % WEEK_HOURS  # 1970 began on a Thursday
    found = {}
    for week in range(1, weeks + 1):
        for day in range(5):
            for hour in range(8, 16):
                found[monday - week * WEEK_HOURS + day * 24 + hour] = each
    return found


def a_week_day(day: int, hour: int) -> int:
    """A moment in this week; 0 is Monday."""
    monday = THIS_HOUR - (THIS_HOUR + 4 * 24 - 24 * 1) % WEEK_HOURS
    return (monday + day * 24 + hour) * HOUR


FRIDAY = a_week_day(4, 15) - WEEK_HOURS * HOUR


@pytest.mark.parametrize(
    ("day", "hour", "silent"),
    [(-1, 12, False), (0, 8, False), (0, 9, False), (0, 10, True), (1, 9, True)],
    ids=["Sunday", "Monday at eight", "Monday at nine", "Monday at ten", "Tuesday"],
)
def test_a_weekend_is_no_silence_and_a_monday_without_anything_is(day: int, hour: int, silent: bool):
    now = a_week_day(day, hour)

    assert bool(missing(office_hours(8), FRIDAY, now=now)) is silent


@pytest.mark.parametrize(("weeks", "silent"), [(1, False), (2, False), (4, True), (8, True)])
def test_silence_needs_three_weeks_to_compare_with(weeks: int, silent: bool):
    now = a_week_day(1, 15)

    assert bool(missing(office_hours(weeks), FRIDAY, now=now)) is silent


def test_a_week_that_was_as_quiet_before_forgives_a_silence():
    history = office_hours(8)
    holiday = {
        hour
        for hour in history
        if (a_week_day(0, 0) // HOUR - 3 * WEEK_HOURS) <= hour < (a_week_day(1, 0) // HOUR - 3 * WEEK_HOURS)
    }
    quiet_monday = {hour: number for hour, number in history.items() if hour not in holiday}

    assert len(holiday) == 8
    assert missing(history, FRIDAY, now=a_week_day(0, 14))
    assert not missing(quiet_monday, FRIDAY, now=a_week_day(0, 14))


def test_a_silent_link_says_what_is_usual_and_whom_to_call():
    facts = replace(PULLED, last_new=FRIDAY, hours=office_hours(8, each=5))
    now = a_week_day(0, 14)

    found = state_of(replace(facts, last_try=now, last_success=now, now_there=now), now=now)

    assert (found.state, found.alarm, found.since) == (State.SILENT, True, FRIDAY)
    assert "usually 30 objects by this hour of the week" in found.text
    assert found.command == "call the duty desk of south"


def test_a_link_that_fails_is_failing_and_not_silent():
    now = a_week_day(0, 14)
    facts = replace(
        failed(next_try=now), last_new=FRIDAY, hours=office_hours(8), last_try=now, last_success=now
    )

    assert state_of(facts, now=now).state is State.FAILING


@given(
    st.dictionaries(st.integers(THIS_HOUR - 9 * WEEK_HOURS, THIS_HOUR), st.integers(1, 100), max_size=60),
    st.integers(0, 60 * DAY),
)
def test_what_has_just_come_is_never_a_silence(hours: dict[int, int], quiet: int):
    found = missing(hours, NOW - quiet, now=NOW)

    assert all(each > 0 for each in found)
    assert not found or (len(found) >= 3 and quiet >= 2 * HOUR)


@given(
    st.builds(
        Facts,
        partner=st.just("south"),
        agreement=st.just("A"),
        outgoing=st.booleans(),
        ours=st.booleans(),
        every_seconds=st.integers(10, 86_400),
        ends=st.integers(NOW - DAY, NOW + DAY),
        now_there=st.just(NOW),
        closed=st.none() | st.just(Closed("why")),
        opened=st.none() | st.integers(NOW - 90 * DAY, NOW + DAY),
        last_try=st.none() | st.integers(NOW - 90 * DAY, NOW + DAY),
        last_success=st.none() | st.integers(NOW - 90 * DAY, NOW + DAY),
        last_new=st.none() | st.integers(NOW - 90 * DAY, NOW + DAY),
        next_try=st.none() | st.integers(NOW - 90 * DAY, NOW + DAY),
        failures=st.integers(0, 5),
        at_work=st.booleans(),
        has_account=st.booleans(),
        last_poll=st.none() | st.integers(NOW - 90 * DAY, NOW + DAY),
        oldest_waiting=st.none() | st.integers(NOW - 90 * DAY, NOW + DAY),
    )
)
def test_whatever_is_known_there_is_a_state_and_an_alarm_has_something_to_do(facts: Facts):
    found = state_of(facts, now=NOW)

    assert found.text
    assert not found.alarm or (found.command and found.state in FAULTS)
    assert (found.state is State.ENDED) == (facts.ends <= NOW)


# readers


@pytest.mark.parametrize(
    ("last_poll", "oldest", "expires", "may_read", "state"),
    [
        (NOW - HOUR, None, None, True, State.OK),
        (NOW - HOUR, NOW - HOUR, None, True, State.OK),
        (NOW - HOUR, NOW - 2 * DAY, None, True, State.FAILING),
        (NOW - 2 * DAY, None, None, True, State.STALE),
        (None, None, None, True, State.STALE),
        (NOW - HOUR, None, NOW, True, State.ENDED),
        (NOW - HOUR, None, None, False, State.PAUSED),
    ],
)
def test_the_state_of_a_reader(last_poll, oldest, expires, may_read, state):
    found = reader_state(
        last_poll=last_poll,
        created=NOW - 3 * DAY,
        expires=expires,
        may_read=may_read,
        oldest_waiting=oldest,
        now=NOW,
    )

    assert found is state


def test_a_reader_of_today_that_never_asked_is_idle():
    found = reader_state(
        last_poll=None, created=NOW - HOUR, expires=None, may_read=True, oldest_waiting=None, now=NOW
    )

    assert found is State.IDLE


def test_a_partner_is_given_twelve_visits_and_two_hours():
    assert (patience(300), patience(3_600)) == (7_200, 43_200)
