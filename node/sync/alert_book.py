"""What each channel was told, so that a fault is told once, again only after a while, and once when over.

Each channel has rows of its own: one that was away is told what it missed and still lasts, and nobody
is told twice because another channel failed.

Writes  tables alert, alert_channel
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa

from node.store.database import Tx

_TOLD = sa.text("select key, channel, about, since, told, words from alert order by key, channel")
_TELL = sa.text(
    "insert into alert (key, channel, about, since, told, words)"
    " values (:key, :channel, :about, :since, :told, :words) on conflict (key, channel) do update set"
    " about = excluded.about, told = excluded.told, words = excluded.words"
)
_OVER = sa.text("delete from alert where key = :key and channel = :channel")
_BROKEN = sa.text("select channel, since, error from alert_channel order by channel")
_BREAKS = sa.text(
    "insert into alert_channel (channel, since, error) values (:channel, :now, :error)"
    " on conflict (channel) do update set error = excluded.error where alert_channel.error <> excluded.error"
)
_WORKS = sa.text("delete from alert_channel where channel = :channel")


class Told(NamedTuple):
    """One fault that one channel was told and that was not told to be over.

    `about` are the links concerned when it was told; moments in microseconds.
    """

    key: str
    channel: str
    about: tuple[str, ...]
    since: int
    told: int
    words: str


class Broken(NamedTuple):
    """A channel that does not take what it is given, since when, and what it said last."""

    channel: str
    since: int
    error: str


def told(tx: Tx) -> list[Told]:
    """All that was told and lasts, by key and channel."""
    return [
        Told(key, channel, tuple(json.loads(about)), *rest) for key, channel, about, *rest in tx.rows(_TOLD)
    ]


def tell(tx: Tx, key: str, channel: str, *, about: Sequence[str], words: str, since: int, now: int) -> None:
    """A channel has taken an alert."""
    tx.run(_TELL, key=key, channel=channel, about=json.dumps(list(about)), since=since, told=now, words=words)


def over(tx: Tx, key: str, channel: str) -> None:
    """A channel need not be told of this any more."""
    tx.run(_OVER, key=key, channel=channel)


def broken(tx: Tx) -> list[Broken]:
    """The channels that fail, by name."""
    return [Broken._make(row) for row in tx.rows(_BROKEN)]


def note_failure(tx: Tx, channel: str, error: str, *, now: int) -> None:
    """A channel did not take something; since when stays as it was."""
    tx.run(_BREAKS, channel=channel, error=error[:300], now=now)


def note_success(tx: Tx, channel: str) -> None:
    """A channel works."""
    tx.run(_WORKS, channel=channel)
