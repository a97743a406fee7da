"""In which state a link is, told by time alone.

    ended    the agreement is over
    paused   closed here: by a person, the configuration, or the node itself
    failing  attempts are made and fail, or the partner asks and does not read on
    stale    nobody asks any more: our worker, or the partner that fetches from us
    silent   all works, and there is nothing new where at this hour of the week there always was
    idle     all works, and there never was anything new
    ok       all works

Rule    The first that fits holds. Nothing here needs a running worker: a state is worked out from what was
        written down and from the moment at which it is asked for. What a person should act on has a
        command to begin with; it is an alarm when it came without a person's doing.

Reads and writes nothing; `node/sync/standing.py` gathers the facts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from node.clock import MICROSECONDS, ago, duration, taxii_time

HOUR_SECONDS, DAY_SECONDS, WEEK_HOURS = 3_600, 86_400, 168
_HOUR = HOUR_SECONDS * MICROSECONDS

FAILURES = 3  # in a row, before a person is called
FAILING_SECONDS = 3_600  # without success, likewise
ROUNDS_MISSED, ROUND_SECONDS = 3, 600  # our own round is late by so many, and by so long
LONG_ROUND_SECONDS = 6 * HOUR_SECONDS  # a first listing may take so long
POLLS_MISSED, POLL_SECONDS = 12, 2 * HOUR_SECONDS  # the partner's visit likewise
WEEKS, WEEKS_NEEDED, BUSY_HOURS = 8, 3, 12

FULL = "so much of theirs waits in quarantine that nothing more is taken"

# What was written down of a failure: in short, and what to do if no further attempt mends it.
_CAUSES: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (re.compile(r"The terms of \S+ differ"), "the terms differ", "stixnode agreement show {agreement}"),
    (
        re.compile(r"answered .* with 401\b"),
        "it does not take our credential (401)",
        "ask {partner} for a new token for password_file",
    ),
    (re.compile(r"answered .* with 403\b"), "it says no (403)", "call the duty desk of {partner}"),
    (re.compile(r"does not let us (read|write)"), "we lack the right", "stixnode agreement show {agreement}"),
    (re.compile(r"answered .* with (\d{3})\b"), "it answers {0}", ""),
    (
        re.compile(r"CERTIFICATE_VERIFY_FAILED"),
        "we do not accept its certificate",
        "stixnode doctor {partner}",
    ),
    (re.compile(r"gave no usable answer"), "it gives no usable answer", ""),
    (re.compile(r"The quarantine of \S+ is full"), FULL, "stixnode quarantine list {partner}"),
)


class State(StrEnum):
    """The states, worst last."""

    OK = "ok"
    IDLE = "idle"
    PAUSED = "paused"
    ENDED = "ended"
    SILENT = "silent"
    STALE = "stale"
    FAILING = "failing"


FAULTS = frozenset({State.SILENT, State.STALE, State.FAILING})


@dataclass(frozen=True, slots=True)
class Closed:
    """Why a link is closed here.

    Args:
        why: A sentence.
        command: What a person should do; "" when the closing was meant.
        alarm: Whether the node closed it by itself.
    """

    why: str
    command: str = ""
    alarm: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one link; moments in microseconds, None where it never happened.

    Args:
        outgoing, ours: Its direction, and whether we are the carrier.
        ends: The first moment after the agreement.
        now_there: The moment by which the agreement is judged: never before the newest date.
        closed: None when it is open.
        opened: When it was last opened, as far as that is known.
        at_work: A run for this partner is under way.
        has_account: Whether the partner could come, where it is the one who carries.
        last_poll: When the partner last asked for this collection.
        oldest_waiting: When what waits longest was offered; asked for only where it matters.
        other_terms: It came by other terms of the agreement and was refused.
        full: Nothing more of the partner's is taken that would have to wait in quarantine.
        hours: Hours since 1970 -> objects that were new in it, of the last nine weeks.
    """

    partner: str
    agreement: str
    outgoing: bool
    ours: bool
    every_seconds: int
    ends: int
    now_there: int
    closed: Closed | None = None
    opened: int | None = None
    last_try: int | None = None
    last_success: int | None = None
    last_new: int | None = None
    next_try: int | None = None
    failures: int = 0
    last_error: str = ""
    at_work: bool = False
    has_account: bool = True
    last_poll: int | None = None
    waiting: int = 0
    oldest_waiting: int | None = None
    other_terms: bool = False
    full: bool = False
    hours: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Health:
    """The state of a link and what follows from it.

    Args:
        text: Why, in our own words; nothing that a partner wrote is in it.
        detail: What the partner or the network said; for the operator's eyes only.
        command: What a person should begin with; "" when nobody needs to act.
        alarm: Whether somebody must be told although no one asks.
        since: Since when it is so, as far as that is known.
    """

    state: State
    text: str
    detail: str = ""
    command: str = ""
    alarm: bool = False
    since: int | None = None


def state_of(facts: Facts, *, now: int) -> Health:
    """The state of a link at a moment.

    Args:
        facts: What is known of it.
        now: Microseconds.
    """
    if facts.now_there >= facts.ends:
        text = f"the agreement {facts.agreement} ended at {taxii_time(facts.ends)}"
        return Health(State.ENDED, text, since=facts.ends)
    if facts.closed is not None:
        closed = facts.closed
        return Health(State.PAUSED, closed.why, "", closed.command, closed.alarm, facts.opened)
    found = _carried(facts, now) if facts.ours else _visited(facts, now)
    if found.state is State.OK and (usual := missing(facts.hours, facts.last_new, now=now)):
        return _silent(facts, usual, now)
    return found


def missing(hours: Mapping[int, int], last_new: int | None, *, now: int) -> list[int]:
    """How much was new in the weeks before, in the stretch of the week for which nothing has come now.

    The stretch is the whole hours since `last_new`. The silence is unusual when at least three weeks are
    known, something was new in this stretch in each of them, and together in twelve hours at least: so a
    weekend is no silence, one empty week before forgives another, and a thin flow needs a longer one.

    Args:
        hours: Hours since 1970 -> objects that were new.
        last_new: Microseconds.
        now: Microseconds.

    Returns:
        Objects in each week that was compared, the latest first; empty when the silence is usual.
    """
    if last_new is None or not hours:
        return []
    stretch = range(last_new // _HOUR + 1, now // _HOUR)
    if len(stretch) > WEEK_HOURS:
        stretch = range(stretch.stop - WEEK_HOURS, stretch.stop)
    first = min(hours)
    found: list[int] = []
    busy = 0
    for week in range(1, WEEKS + 1):
        back = week * WEEK_HOURS
        if stretch.start - back < first:
            break
        numbers = [hours[each - back] for each in stretch if each - back in hours]
        busy += len(numbers)
        found.append(sum(numbers))
    return found if len(found) >= WEEKS_NEEDED and min(found) > 0 and busy >= BUSY_HOURS else []


def _silent(facts: Facts, usual: list[int], now: int) -> Health:
    low, high = min(usual), max(usual)
    number = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    many = "object" if low == high == 1 else "objects"
    text = (
        f"nothing new for {duration(_seconds(facts.last_new, now))}; usually {number} {many} by this hour"
        f" of the week. {'Rounds' if facts.ours else 'Visits'} succeed."
    )
    command = "stixnode plan {partner}" if facts.outgoing else "call the duty desk of {partner}"
    return Health(
        State.SILENT, text, "", command.format(partner=facts.partner), alarm=True, since=facts.last_new
    )


def _carried(facts: Facts, now: int) -> Health:
    """The state of a link that we carry."""
    late = max(ROUNDS_MISSED * facts.every_seconds, ROUND_SECONDS)
    began = max(
        filter(None, (facts.last_success, facts.last_try, facts.next_try, facts.opened)), default=None
    )
    if facts.at_work:
        late = max(late, LONG_ROUND_SECONDS)
    if began is not None and _seconds(began, now) > late:
        rounds = f"no round since {ago(facts.last_try or facts.last_success, now)}"
        if facts.last_try is None and facts.last_success is None:
            rounds = f"open for {duration(_seconds(facts.opened, now))}, and no round yet"
        text = f"{rounds}; is the worker running?"
        return Health(State.STALE, text, facts.last_error, "stixnode run", True, began)
    if facts.failures:
        return _failing(facts, now)
    if facts.last_success is None:
        text = "open, and no round yet; is the worker running?"
        return Health(State.IDLE, text, command="" if facts.at_work else "stixnode run")
    done = f"{'pushed' if facts.outgoing else 'pulled'} {ago(facts.last_success, now)}"
    if facts.last_new is None:
        return Health(State.IDLE, f"{done}, nothing new yet")
    return Health(State.OK, f"{done}, newest object {ago(facts.last_new, now)}")


def _failing(facts: Facts, now: int) -> Health:
    short, known = _cause(facts)
    times = f"{facts.failures:,} failure{'' if facts.failures == 1 else 's'} in a row"
    text = f"{times}, last worked {ago(facts.last_success, now)}{short and f': {short}'}"
    worked = facts.last_success if facts.last_success is not None else facts.opened
    quiet = worked is not None and _seconds(worked, now) > FAILING_SECONDS
    calls = bool(known) or facts.failures >= FAILURES or quiet
    command = (known or f"call the duty desk of {facts.partner}") if calls else ""
    return Health(State.FAILING, text, facts.last_error, command, calls, worked)


def _cause(facts: Facts) -> tuple[str, str]:
    """What a failure is in our own words, and the command if only a person can mend it."""
    for pattern, short, command in _CAUSES:
        if (found := pattern.search(facts.last_error)) is not None:
            named = command.format(agreement=facts.agreement, partner=facts.partner)
            return short.format(*found.groups()), named
    return "", ""


def _visited(facts: Facts, now: int) -> Health:
    """The state of a link that the partner carries."""
    if not facts.has_account:
        text = f"{facts.partner} has no account here, so it can neither fetch nor bring"
        return Health(
            State.FAILING, text, "", f"stixnode account add {facts.partner} --partner {facts.partner}"
        )
    if facts.other_terms:
        text = f"the terms differ: {facts.partner} came by others, and nothing crosses"
        return Health(State.FAILING, text, "", f"stixnode agreement show {facts.agreement}", True)
    if not facts.outgoing:
        if facts.full:
            return Health(State.FAILING, FULL, "", f"stixnode quarantine list {facts.partner}", True)
        if facts.last_new is None:
            return Health(State.IDLE, "they have brought nothing yet")
        return Health(State.OK, f"they last brought something {ago(facts.last_new, now)}")
    call = f"call the duty desk of {facts.partner}"
    fetched = "they have never fetched"
    if facts.last_poll is not None:
        fetched = f"they fetched {ago(facts.last_poll, now)}"
    since = max(filter(None, (facts.last_poll, facts.opened)), default=None)
    if since is not None and _seconds(since, now) > patience(facts.every_seconds):
        usual = f"agreed is every {duration(facts.every_seconds)}"
        gone = fetched
        if facts.last_poll is not None:
            gone = f"they have not fetched for {duration(_seconds(facts.last_poll, now))}"
        return Health(State.STALE, f"{gone} ({usual})", "", call, True, since)
    waits = _seconds(facts.oldest_waiting, now)
    if facts.last_poll is not None and waits > DAY_SECONDS:
        text = f"{fetched}, and do not read on: the oldest that waits is from {duration(waits)} ago"
        return Health(State.FAILING, text, "", call, True, facts.oldest_waiting)
    return Health(State.IDLE if facts.last_poll is None else State.OK, fetched)


def patience(every_seconds: int) -> int:
    """Seconds after which a partner that should come so often is missed."""
    return max(POLLS_MISSED * every_seconds, POLL_SECONDS)


def reader_state(
    *,
    last_poll: int | None,
    created: int,
    expires: int | None,
    may_read: bool,
    oldest_waiting: int | None,
    now: int,
) -> State:
    """The state of a SOC account that reads one of our collections.

    Args:
        last_poll: When it last asked; None for never.
        created: When the account was made.
        expires: When it ends; None for never.
        may_read: Whether it has the right at all.
        oldest_waiting: `date_added` of the first object that it sees and has not read.
        now: Microseconds.
    """
    if expires is not None and now >= expires:
        return State.ENDED
    if not may_read:
        return State.PAUSED
    if _seconds(created if last_poll is None else last_poll, now) > DAY_SECONDS:
        return State.STALE
    if last_poll is None:
        return State.IDLE
    return State.FAILING if _seconds(oldest_waiting, now) > DAY_SECONDS else State.OK


def _seconds(moment: int | None, now: int) -> int:
    """Seconds since a moment; 0 for one that never was or is yet to come."""
    return 0 if moment is None else max(now - moment, 0) // MICROSECONDS
