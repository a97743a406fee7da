"""Alerts: from how things stand to who must be told of what, once.

Rule    What is wrong with one partner is one fault, however many links it concerns. A channel is told of a
        fault once, again when it grows or has lasted for long, and once when it is over. What will end
        (an agreement, a certificate, an account) is told 30, 14 and 3 days before, and when it has ended.
        A channel that fails is told what it missed later; it never stops the worker. No alert carries
        anything of an object, nor a word that a partner wrote.

Reads   what `standing`, `endings` and `alert_book` read; writes through `alert_book`
"""

from __future__ import annotations

import functools
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from node.clock import MICROSECONDS, local_time
from node.errors import LockHeld, NodeError
from node.exchange import quotas
from node.exchange.quotas import HeldBack
from node.sharing.links import Link, PartnerBinding
from node.store.database import Database, Tx
from node.sync import alert_book, endings, withdraw
from node.sync.alert_book import Broken, Told
from node.sync.alert_messages import Event, Message
from node.sync.endings import Ending
from node.sync.health import FAULTS, State
from node.sync.leases import lease
from node.sync.standing import LinkStanding, duty_desk, standing_of
from node.sync.withdraw import Overdue

SETTLE_SECONDS = 900  # after a start, partners are given so long to come back
CHANNEL_SECONDS = 300  # so long a channel may fail before the others speak of it
MOST_LINES = 20

_OVER = {"limit": "nothing waits any more", "withdrawal": "nothing is overdue any more"}
_WORST = {state: number for number, state in enumerate(State)}
_log = logging.getLogger("stixnode.worker")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that somebody must be told.

    Args:
        key: What it is; a fault keeps its key while it lasts.
        about: What is concerned, and how: what is new in here makes it a greater fault.
        state: The worst state among them, or `ends`.
        text: What is wrong, line by line.
        command: What to begin with.
        call: Whom to call.
        since: Microseconds, as far as it is known.
        notice: Told once, and never told to be over.
    """

    key: str
    about: tuple[str, ...]
    state: str
    text: str
    command: str
    call: str = ""
    since: int | None = None
    notice: bool = False


@dataclass(frozen=True, slots=True)
class Outlook:
    """What must be told at a moment, and how each thing is that a fault was about."""

    faults: Sequence[Fault]
    words: Mapping[str, str] = field(default_factory=dict)


class Channel(Protocol):
    """A way to somebody."""

    name: str

    def give(self, message: Message, *, now: int) -> Sequence[str]:
        """Hand a message over; those among many whom it does not reach.

        Raises:
            NodeError: It was not taken.
        """


@dataclass(frozen=True, slots=True)
class Desk:
    """What an alert turn works with.

    Args:
        database: The node's.
        links, partners, certificates: What is looked at.
        channels: Where alerts go.
        beat: Tells a watch elsewhere that this node lives; None without one.
        zone: Of the people here.
        holder: Who we are, for the lease.
        repeat_minutes: 0 for never.
        started: When the worker began, in microseconds; None for a single turn.
    """

    database: Database
    links: Sequence[Link]
    partners: Sequence[PartnerBinding]
    certificates: Sequence[Path]
    channels: Sequence[Channel]
    beat: Callable[[], None] | None
    zone: str
    holder: str
    repeat_minutes: int = 60
    started: int | None = None


def turn(desk: Desk, *, now: Callable[[], int]) -> int:
    """Tell what is to be told; how many messages were taken.

    The heartbeat goes out at the end, unless no channel works: then its silence calls for help.
    """
    taken = 0
    with desk.database.reading() as tx:
        waits = any(_due(desk, tx, each, now=now()) for each in desk.channels)
    if waits:
        try:
            with lease(desk.database, "alerts", desk.holder, now=now):
                taken = sum(_serve(desk, each, now=now) for each in desk.channels)
        except LockHeld:
            _log.info("another worker tells the alerts")
    if desk.beat is not None:
        with desk.database.reading() as tx:
            silent = {one.channel for one in alert_book.broken(tx)}
        if not desk.channels or any(each.name not in silent for each in desk.channels):
            _kept(desk, "heartbeat", desk.beat, was_broken="heartbeat" in silent, now=now())
    return taken


def due(
    faults: Sequence[Fault], told: Sequence[Told], *, now: int, repeat_minutes: int
) -> list[tuple[Event, Fault]]:
    """What a channel has to be told of what lasts.

    Args:
        faults: All there are now.
        told: What this channel was told before.
        now: Microseconds.
        repeat_minutes: 0 for never again.
    """
    before = {one.key: one for one in told}
    found: list[tuple[Event, Fault]] = []
    for each in faults:
        known = before.get(each.key)
        if known is None:
            found.append((Event.NOTICE if each.notice else Event.FAULT, each))
        elif each.notice:
            continue
        elif set(each.about) - set(known.about):
            found.append((Event.MORE, each))
        elif repeat_minutes and now - known.told >= repeat_minutes * 60 * MICROSECONDS:
            found.append((Event.AGAIN, each))
    return found


def over(faults: Sequence[Fault], told: Sequence[Told]) -> list[Told]:
    """What a channel was told and is no more."""
    lasting = {each.key for each in faults}
    return [one for one in told if one.key not in lasting]


def outlook(desk: Desk, tx: Tx, *, now: int) -> Outlook:
    """How things stand, as faults."""
    standings = standing_of(tx, desk.links, now=now, count=False)
    desks = {one.name: duty_desk(one, now=now) for one in desk.partners}
    settled = desk.started is None or now - desk.started > SETTLE_SECONDS * MICROSECONDS
    ending = endings.endings(tx, desk.partners, desk.certificates, now=now)
    return Outlook(
        [
            *link_faults(standings, desks, settled=settled),
            *notices(ending, zone=desk.zone, now=now),
            *channel_faults(alert_book.broken(tx), now=now),
            *limit_faults(quotas.held_back(tx), desks),
            *withdrawal_faults(withdraw.overdue(tx, desk.links, desk.partners, now=now), desks),
        ],
        _words(standings),
    )


def link_faults(standings: Sequence[LinkStanding], desks: Mapping[str, str], *, settled: bool) -> list[Fault]:
    """One fault for each partner with whom something is wrong.

    Args:
        standings: All links.
        desks: Partner -> whom to call.
        settled: Partners had time to come since we started; before that none of them is missed.
    """
    wrong: dict[str, list[LinkStanding]] = defaultdict(list)
    for each in standings:
        waits = each.health.state is State.STALE and each.link.carrier == "them" and not settled
        if each.health.alarm and not waits:
            wrong[each.link.partner].append(each)
    found: list[Fault] = []
    for partner, group in wrong.items():
        worst = max(group, key=lambda each: _WORST[each.health.state])
        lines = [f"{each.link.name}: {each.health.state.upper()}, {each.health.text}" for each in group]
        rest = len(lines) - MOST_LINES
        if rest > 0:
            lines[MOST_LINES:] = [f"and {rest} more"]
        moments = [each.health.since for each in group if each.health.since is not None]
        found.append(
            Fault(
                key=f"partner:{partner}",
                about=tuple(sorted(f"{each.link.name} {each.health.state}" for each in group)),
                state=worst.health.state,
                text="\n".join(lines),
                command=worst.health.command,
                call=desks.get(partner, ""),
                since=min(moments, default=None),
            )
        )
    return found


def notices(ending: Sequence[Ending], *, zone: str, now: int) -> list[Fault]:
    """What ends soon or has ended, each under the notice that is due now."""
    found: list[Fault] = []
    for one in ending:
        days = endings.days_of_notice(one.ends, now=now)
        if days is not None:
            text = endings.sentence(one, local_time(one.ends, zone), now=now)
            key = f"notice:{one.name}:{one.ends}:{days}"
            found.append(Fault(key, (one.name,), "ends", text, one.command, notice=True))
    return found


def channel_faults(broken: Sequence[Broken], *, now: int) -> list[Fault]:
    """Channels that have failed for some minutes, for the others to tell."""
    return [
        Fault(
            key=f"channel:{one.channel}",
            about=(one.channel,),
            state=State.FAILING,
            text=f"alerts by {one.channel} are not taken",
            command="stixnode check --alerts",
            since=one.since,
        )
        for one in broken
        if now - one.since > CHANNEL_SECONDS * MICROSECONDS
    ]


def limit_faults(held_back: Sequence[HeldBack], desks: Mapping[str, str]) -> list[Fault]:
    """Partners that brought or took back more than a person expects; it lasts while something of it waits."""
    return [
        Fault(
            key=f"limit:{one.partner}:{one.reason}",
            about=(one.reason,),
            state="waits",
            text=f"{one.partner} {quotas.told(one)}",
            command=f"stixnode quarantine list {one.partner} --reason {one.reason}",
            call=desks.get(one.partner, ""),
            since=one.oldest,
        )
        for one in held_back
    ]


def withdrawal_faults(owing: Sequence[Overdue], desks: Mapping[str, str]) -> list[Fault]:
    """Partners that have not acknowledged in time what was withdrawn."""
    return [
        Fault(
            key=f"withdrawal:{one.partner}",
            about=(one.partner,),
            state="waits",
            text=withdraw.not_acknowledged(one),
            command="stixnode withdraw list --overdue",
            call=desks.get(one.partner, ""),
            since=one.oldest,
        )
        for one in owing
    ]


def _words(standings: Sequence[LinkStanding]) -> dict[str, str]:
    states: dict[str, set[State]] = defaultdict(set)
    for each in standings:
        states[f"partner:{each.link.partner}"].add(each.health.state)
    return {
        key: "closed here" if found <= {State.PAUSED, State.ENDED} and not found & FAULTS else "works again"
        for key, found in states.items()
    }


def _due(desk: Desk, tx: Tx, channel: Channel, *, now: int) -> bool:
    seen, told = outlook(desk, tx, now=now), _told(tx, channel)
    faults = _for(channel, seen.faults)
    broken = any(one.channel == channel.name for one in alert_book.broken(tx))
    return bool(
        broken or due(faults, told, now=now, repeat_minutes=desk.repeat_minutes) or over(faults, told)
    )


def _serve(desk: Desk, channel: Channel, *, now: Callable[[], int]) -> int:
    """Tell one channel what it does not know yet; how much it took. The first failure ends it for now."""
    moment = now()
    with desk.database.reading() as tx:
        seen, told = outlook(desk, tx, now=moment), _told(tx, channel)
        broken = next((one for one in alert_book.broken(tx) if one.channel == channel.name), None)
    faults = _for(channel, seen.faults)
    taken = 0
    work: list[tuple[Message, Callable[[Tx], None]]] = []
    for event, fault in due(faults, told, now=moment, repeat_minutes=desk.repeat_minutes):
        work.append((_message(event, fault), _telling(fault, channel, moment)))
    for one in over(faults, told):
        done = _forgetting(one)
        if one.key.startswith("notice:"):
            desk.database.retrying(done)
        else:
            word = seen.words.get(one.key) or _OVER.get(one.key.partition(":")[0], "works again")
            text = f"{word}; it was: {one.words}"
            message = Message(Event.OVER, one.key, "over", text, "stixnode status", since=one.since)
            work.append((message, done))
    if broken is not None and not work:
        text = f"alerts by {channel.name} are taken again"
        message = Message(
            Event.OVER, f"channel:{channel.name}", "over", text, "stixnode status", since=broken.since
        )
        work.append((message, lambda _tx: None))
    for message, done in work:
        give = functools.partial(_give, channel, message, now=moment)
        if not _kept(desk, channel.name, give, was_broken=broken is not None, now=moment):
            return taken
        desk.database.retrying(done)
        taken += 1
    return taken


def _give(channel: Channel, message: Message, *, now: int) -> None:
    missed = channel.give(message, now=now)
    if missed:
        _log.warning("the %s of an alert is not taken for %s", channel.name, ", ".join(missed))


def _kept(desk: Desk, channel: str, work: Callable[[], None], *, was_broken: bool, now: int) -> bool:
    """Whether a channel took something; in the books only where that changes."""
    try:
        work()
    except NodeError as cause:
        error = cause.problem
        _log.warning("%s %s", cause.problem, cause.remedy)
        desk.database.retrying(lambda tx: alert_book.note_failure(tx, channel, error, now=now))
        return False
    if was_broken:
        desk.database.retrying(lambda tx: alert_book.note_success(tx, channel))
    return True


def _for(channel: Channel, faults: Sequence[Fault]) -> list[Fault]:
    return [each for each in faults if each.key != f"channel:{channel.name}"]


def _told(tx: Tx, channel: Channel) -> list[Told]:
    return [one for one in alert_book.told(tx) if one.channel == channel.name]


def _message(event: Event, fault: Fault) -> Message:
    return Message(
        event, fault.key, fault.state, fault.text, fault.command, fault.call, fault.about, fault.since
    )


def _telling(fault: Fault, channel: Channel, now: int) -> Callable[[Tx], None]:
    since = now if fault.since is None else fault.since
    words = fault.text.split("\n")[0]
    return lambda tx: alert_book.tell(
        tx, fault.key, channel.name, about=fault.about, words=words, since=since, now=now
    )


def _forgetting(one: Told) -> Callable[[Tx], None]:
    return lambda tx: alert_book.over(tx, one.key, one.channel)
