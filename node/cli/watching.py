"""Alerts as the worker tells them and as `stixnode check --alerts` tries them: wired from the settings.

Reads   the settings; writes through `node.sync.alerts`
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence

from node import clock
from node.cli.exits import ERROR
from node.cli.file_checks import Finding
from node.config import Settings
from node.errors import NodeError
from node.store.database import Database
from node.sync import alerts
from node.sync.alert_messages import Event, Letterhead, Message
from node.sync.alerts import Desk
from node.sync.channels import Heartbeat, channels_of


def alerting(
    settings: Settings, database: Database, holder: str, *, started: int | None = None
) -> Callable[[], int]:
    """What tells the alerts that are due, and how many were taken.

    Args:
        settings: The configuration.
        database: Open.
        holder: Who we are, for the lease.
        started: When the worker began; None for a single turn.
    """
    certificate = settings.server.tls_certificate
    heartbeat = settings.alerts.heartbeat
    desk = Desk(
        database=database,
        links=settings.links,
        partners=settings.partners,
        certificates=() if certificate is None else (certificate,),
        channels=channels_of(settings.alerts, letterhead(settings)),
        beat=None if heartbeat is None else Heartbeat(heartbeat).beat,
        zone=settings.node.time_zone,
        holder=holder,
        repeat_minutes=settings.alerts.repeat_minutes,
        started=started,
    )
    return lambda: alerts.turn(desk, now=clock.now)


def letterhead(settings: Settings) -> Letterhead:
    """Who speaks in our alerts."""
    return Letterhead(settings.node.name, settings.node.exercise, settings.node.time_zone)


def try_channels(settings: Settings, *, now: int) -> Iterator[Finding]:
    """Send a test by each way that the configuration names."""
    message = Message(
        Event.TEST,
        "test:alerts",
        "test",
        "This is a test: alerts of this node arrive. Nothing is wrong.",
        "stixnode status",
        since=None,
    )
    for each in channels_of(settings.alerts, letterhead(settings)):
        give = functools.partial(each.give, message, now=now)
        yield _tried(each.name, "took a test; has the duty officer got it?", give)
    if settings.alerts.heartbeat is not None:
        beat = Heartbeat(settings.alerts.heartbeat).beat
        yield _tried("heartbeat", "answered", lambda: beat() or ())
    if not settings.alerts.channels:
        remedy = "Set mail_to or webhook_url in [alerts]."
        yield Finding("alerts", "nobody is told when something is wrong", note=True, remedy=remedy)


def _tried(name: str, well: str, work: Callable[[], Sequence[str]]) -> Finding:
    try:
        missed = work()
    except NodeError as cause:
        remedy = (
            cause.remedy if "--alerts" not in cause.remedy else f"Correct {name} in [alerts], then again."
        )
        return Finding(name, cause.problem, ERROR, remedy)
    if missed:
        remedy = f"Correct {name}_to in [alerts]."
        return Finding(name, f"the server takes nothing for {', '.join(missed)}", ERROR, remedy)
    return Finding(name, well)
