"""What an alert says, as a mail and as JSON.

Rule    Our own words, names of links and figures only: nothing of an object, nothing that a partner wrote.

Reads and writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from node.clock import MICROSECONDS, duration, local_time, taxii_time

FORMAT, MAJOR, MINOR = "stixnode.alert", 1, 0


class Event(StrEnum):
    """What has happened with a fault since it was last told."""

    FAULT = "fault"  # new
    MORE = "more"  # it concerns more links, or is worse
    AGAIN = "again"  # it lasts
    OVER = "over"
    NOTICE = "notice"  # something ends
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Message:
    """One alert.

    Args:
        about: The links concerned, each with its state.
        since: Since when it was so, in microseconds.
    """

    event: Event
    key: str
    state: str
    text: str
    command: str
    call: str = ""
    about: tuple[str, ...] = ()
    since: int | None = None


@dataclass(frozen=True, slots=True)
class Letterhead:
    """Who speaks: the node's name, whether it is an exercise, and the zone of its people."""

    node: str
    exercise: bool
    zone: str


def subject(message: Message, head: Letterhead) -> str:
    """One line: node, event, what it is about."""
    name = message.key.partition(":")[2].split(":")[0] or message.key
    what = {
        Event.FAULT: f"{name} {message.state.upper()}",
        Event.MORE: f"{name} {message.state.upper()}, more than before",
        Event.AGAIN: f"{name} still {message.state.upper()}",
        Event.OVER: f"{name} over",
        Event.NOTICE: message.text.partition(",")[0].partition(";")[0],
        Event.TEST: "test of alerts",
    }[message.event]
    return f"[{'EXERCISE ' if head.exercise else ''}stixnode {head.node}] {what}"


def letter(message: Message, head: Letterhead, *, now: int) -> str:
    """The text of a mail."""
    lines = [f"{head.node}, {local_time(now, head.zone)}{'   EXERCISE' if head.exercise else ''}", ""]
    lines += [message.text, ""]
    if message.since is not None:
        lasted = duration((now - message.since) // MICROSECONDS)
        word = "lasted" if message.event is Event.OVER else "since"
        tail = lasted if word == "lasted" else f"{local_time(message.since, head.zone)} ({lasted})"
        lines.append(f"{word:8} {tail}")
    if message.call:
        lines.append(f"{'call':8} {message.call}")
    if message.command:
        lines.append(f"{'begin':8} {message.command}")
    return "\n".join([*lines, ""])


def document(message: Message, head: Letterhead, *, now: int) -> Mapping[str, Any]:
    """The JSON of a webhook; unknown keys are for the reader to pass over."""
    return {
        "format": FORMAT,
        "major": MAJOR,
        "minor": MINOR,
        "node": head.node,
        "exercise": head.exercise,
        "at": taxii_time(now),
        "event": message.event,
        "key": message.key,
        "state": message.state,
        "title": subject(message, head),
        "text": message.text,
        "about": list(message.about),
        "since": None if message.since is None else taxii_time(message.since),
        "call": message.call,
        "command": message.command,
    }
