"""One round of one link: do what its direction and carrier ask, and keep the link's state.

    in,  carried by us    pull
    out, carried by us    push
    out, carried by them  advance the feed; the partner fetches
    in,  carried by them  nothing; the partner brings

Rule    A round that found nothing new writes the link's state row and nothing else. A round that failed
        is tried again with growing distance, at least as late as the partner asks, and at most a quarter
        of an hour (an hour, if the partner says so). Links wait for different times by their name, so
        that many do not come back at once.

Reads   link states; writes through `exchange.links`, `exchange.activity` and the two carriers
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

from node.clock import MICROSECONDS
from node.errors import PartnerUnreachable
from node.exchange import activity, feeds, links
from node.exchange.door import Door
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
from node.sync.reports import PassiveReport, Report, ServeReport, Stop

FIRST_WAIT_SECONDS = 5.0
LONGEST_WAIT_SECONDS = 900.0


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
    report: Report
    if link.direction == "in":
        report = pull(door, link, client, now=now, limits=limits, hold=hold)
    else:
        report = push(door, link, client, now=now, pause=pause, hold=hold)
    if report.stopped is Stop.CLOSED:
        return report
    if report.unfinished and pause(0):
        report.stop(Stop.INTERRUPTED, "The run was ended.", "Nothing is lost; the next round goes on.")
        return report
    _note(door, link, report, now=now())
    return report


def serve(door: Door, link: Link, *, now: int) -> ServeReport:
    """Advance the feed of a link that the partner fetches, so that its GET finds everything decided."""
    report = ServeReport(link.name)
    with door.database.reading() as tx:
        collection = catalog.find_collection(tx, link.collection)
        if collection is None:
            return report
        stop_if_closed(tx, report, link, collection, now=now)
        behind = feeds.is_behind(tx, link, collection)
    while behind and report.stopped is None:
        step = feeds.advance(door, link, now=now)
        report.considered += step.examined
        report.entered += step.entered
        report.withheld += step.withheld
        behind = not step.complete and step.examined > 0
    if report.entered:
        door.database.retrying(lambda tx: activity.note(tx, link.name, report.entered, now=now))
    return report


def due(candidates: Iterable[Link], states: dict[str, LinkState], *, now: int) -> list[Link]:
    """The links whose turn it is, those first that bring something in."""
    ready = [link for link in candidates if _next_turn(link, states.get(link.name)) <= now]
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


def _next_turn(link: Link, state: LinkState | None) -> int:
    if state is None or state.paused or link.paused:
        return 2**62
    if state.next_try is not None:
        return state.next_try
    return 0 if state.last_try is None else state.last_try + link.every_seconds * MICROSECONDS


def _note(door: Door, link: Link, report: Report, *, now: int) -> None:
    def success(tx: Tx) -> None:
        links.note_success(tx, link.name, now=now, new=report.moved > 0)
        activity.note(tx, link.name, report.moved, now=now)

    def failure(tx: Tx) -> None:
        state = links.state(tx, link.name)
        failures = 1 if state is None else state.failures + 1
        asked = report.error.retry_after_seconds if isinstance(report.error, PartnerUnreachable) else None
        seconds = wait_after(link.name, failures, asked)
        error = report.detail if report.error is None else report.error.problem
        links.note_failure(tx, link.name, now=now, error=error, next_try=now + int(seconds * MICROSECONDS))

    door.database.retrying(failure if report.unfinished else success)
