"""One round of one link: do what its direction and carrier ask, and keep the link's state.

    in,  carried by us    pull
    out, carried by us    push
    out, carried by them  advance the feed; the partner fetches
    in,  carried by them  nothing; the partner brings

Rule    A round that found nothing new writes the link's state row and nothing else; any other enters the
        history. A round that failed is tried again with growing distance, at least as late as the partner
        asks, and at most a quarter of an hour (an hour, if the partner says so). Links wait for different
        times by their name, so that many do not come back at once. What is urgent does not wait for a
        link's time, only for what a failure says.

Reads   link states; writes through `exchange.links`, `exchange.activity`, `exchange.history` and the
        two carriers
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable

from node.clock import MICROSECONDS
from node.errors import PartnerRefused, PartnerUnreachable
from node.exchange import activity, feeds, history, links
from node.exchange.door import Door
from node.exchange.history import Run
from node.exchange.links import LinkState
from node.sharing.links import Link
from node.store import catalog
from node.store.database import Tx
from node.sync.client import Partner
from node.sync.leases import Hold, held_already
from node.sync.listing import Limits
from node.sync.own_kind import stop_if_closed
from node.sync.pull import pull
from node.sync.push import push
from node.sync.reports import PassiveReport, PullReport, PushReport, Report, ServeReport, Stop

FIRST_WAIT_SECONDS = 5.0
LONGEST_WAIT_SECONDS = 900.0
URGENT_SECONDS = 5.0
_STEP_ROWS = 1_000


def carry(
    door: Door,
    link: Link,
    client: Partner | None,
    *,
    now: Callable[[], int],
    pause: Callable[[float], bool],
    limits: Limits | None = None,
    hold: Hold = held_already,
) -> Report:
    """What one round of a link did.

    Args:
        door: What the door judges by.
        link: Any link.
        client: Its partner; needed for the links that we carry.
        now: Microseconds.
        pause: Waits some seconds; True when the run must end.
        limits: Of a pull.
        hold: Called before anything but the link's state is written, and before anything is sent.

    Raises:
        LockHeld: Another run has begun to act for the partner meanwhile.
    """
    if link.carrier == "them":
        return serve(door, link, now=now()) if link.direction == "out" else PassiveReport(link.name)
    if client is None:
        raise AssertionError(f"{link.name} is carried by us and needs a client")
    report: PullReport | PushReport
    began, before = now(), client.traffic
    if link.direction == "in":
        report = pull(door, link, client, now=now, limits=limits, hold=hold)
    else:
        report = push(door, link, client, now=now, pause=pause, hold=hold)
    if report.unfinished and pause(0):
        report.error = None
        report.stop(Stop.INTERRUPTED, "The run was ended.", "Nothing is lost; the next round goes on.")
    requests, size = (after - this for after, this in zip(client.traffic, before, strict=True))
    run = _run_of(link, report, began, now())._replace(requests=requests, bytes=size)
    if report.stopped in (Stop.CLOSED, Stop.INTERRUPTED):
        if report.noteworthy:
            door.database.retrying(lambda tx: _enter(tx, report, run))
        return report
    _note(door, link, report, run, now=now())
    return report


def serve(door: Door, link: Link, *, now: int, ended: Callable[[], bool] = lambda: False) -> ServeReport:
    """Advance the feed of an outgoing link, so that the GET or the push that comes finds all decided.

    Args:
        door: What the door judges by.
        link: Any outgoing link.
        now: Microseconds.
        ended: Whether the run must end; asked between two steps.
    """
    report = ServeReport(link.name)
    with door.database.reading() as tx:
        collection = catalog.find_collection(tx, link.collection)
        if collection is None:
            return report
        stop_if_closed(tx, report, link, collection, now=now)
        behind = feeds.is_behind(tx, link, collection)
    while behind and report.stopped is None and not ended():
        step = feeds.advance(door, link, now=now, at_most=_STEP_ROWS)
        report.considered += step.examined
        report.entered += step.entered
        report.withheld += step.withheld
        behind = not step.complete and step.examined > 0
    if report.noteworthy:

        def note(tx: Tx) -> None:
            # What we carry ourselves is new when it is brought.
            activity.note(tx, link.name, report.entered if link.carrier == "them" else 0, now=now)
            history.enter(tx, _run_of(link, report, now, now))

        door.database.retrying(note)
    return report


def due(
    candidates: Iterable[Link],
    states: dict[str, LinkState],
    *,
    now: int,
    urgent: Collection[str] = (),
) -> list[Link]:
    """The links whose turn it is, those first that bring something in.

    Args:
        candidates: Links.
        states: As they are kept.
        now: Microseconds.
        urgent: Names of links with something to bring that must not wait for their time.
    """
    turns = {link.name: _next_turn(link, states.get(link.name), link.name in urgent) for link in candidates}
    ready = [link for link in candidates if turns[link.name] <= now]
    return sorted(ready, key=lambda link: (link.direction != "in", link.name))


def wait_after(name: str, failures: int, retry_after_seconds: float | None) -> float:
    """Seconds until a failed link is tried again: 5, 10, 20 ... 900, less up to a half by its name.

    Args:
        name: Of the link.
        failures: How often in a row it has failed, this time included.
        retry_after_seconds: What the partner asked for; already bounded.
    """
    longest = min(FIRST_WAIT_SECONDS * float(1 << min(max(failures - 1, 0), 20)), LONGEST_WAIT_SECONDS)
    # Not chance but the name spreads the links: the same history always waits the same time.
    share = hashlib.sha256(f"{name}:{failures}".encode()).digest()[0] / 510
    wait = max(longest * (1 - share), FIRST_WAIT_SECONDS)
    return max(wait, retry_after_seconds or 0.0)


def _next_turn(link: Link, state: LinkState | None, urgent: bool) -> int:
    if state is None or state.paused or link.paused:
        return 2**62
    if state.next_try is not None:
        return state.next_try
    if state.last_try is None:
        return 0
    # Where the last round was not let through (an agreement has ended), nothing is urgent enough.
    quick = urgent and state.last_try == state.last_success
    seconds = min(link.every_seconds, URGENT_SECONDS) if quick else link.every_seconds
    return state.last_try + int(seconds * MICROSECONDS)


def _run_of(link: Link, report: Report, began: int, ended: int) -> Run:
    """What the history says of a round."""
    counts, named = report.counts, {name: ids for name, ids in report.named.items() if ids}
    run = Run(0, link.name, "offer", link.carrier, began, ended, 1, "", "", "", counts, named, ())
    if isinstance(report, PullReport):
        arrivals = () if report.arrival is None else (report.arrival,)
        run = run._replace(kind="pull", arrivals=arrivals, pages=report.pages, problem=report.listed_again)
    elif isinstance(report, PushReport):
        run = run._replace(kind="push", pages=report.batches, problem=report.new_session)
    if report.error is not None:
        return run._replace(reason=_word(report), problem=report.error.problem, remedy=report.error.remedy)
    if report.stopped is not None:
        return run._replace(reason=report.stopped.value, problem=report.detail, remedy=report.remedy)
    return run


def _word(report: Report) -> str:
    error = report.error
    if isinstance(error, PartnerRefused) and error.http_status:
        return f"refused_{error.http_status}"
    return "unreachable" if isinstance(error, PartnerUnreachable) else "error"


def _enter(tx: Tx, report: Report, run: Run, *, well_at: int = 0) -> None:
    history.enter(tx, run, well_at=well_at)
    if isinstance(report, PushReport):
        history.count(tx, run.link, {"unconfirmed": report.uncounted}, now=run.ended)


def _note(door: Door, link: Link, report: Report, run: Run, *, now: int) -> None:
    def success(tx: Tx) -> None:
        links.note_success(tx, link.name, now=now, new=report.moved > 0)
        activity.note(tx, link.name, report.moved, now=now)
        if report.noteworthy:
            _enter(tx, report, run)

    def failure(tx: Tx) -> None:
        state = links.state(tx, link.name)
        failures = 1 if state is None else state.failures + 1
        asked = report.error.retry_after_seconds if isinstance(report.error, PartnerUnreachable) else None
        seconds = wait_after(link.name, failures, asked)
        error = report.detail if report.error is None else report.error.problem
        links.note_failure(tx, link.name, now=now, error=error, next_try=now + int(seconds * MICROSECONDS))
        _enter(tx, report, run, well_at=0 if state is None else state.last_success or 0)

    door.database.retrying(failure if report.unfinished else success)
