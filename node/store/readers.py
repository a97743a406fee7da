"""Connections that wait for their next reader, so that a small request opens, asks and resets nothing.

A reader is in autocommit and may not write, so nothing of one reader's stays behind for the next. What
was last used is used first. One whose server went away meanwhile is let go: its socket has something
to read, the end, although nobody asked anything.

Reads nothing, writes nothing.
"""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

MOST_WAITING = 16


class Reader(Protocol):
    """What waits here."""

    @property
    def is_sound(self) -> bool:
        """False after an error of its connection."""

    @property
    def socket(self) -> int | None:
        """Number of the socket to its server; None when there is none."""

    def close(self) -> None:
        """Let its connection go."""


R = TypeVar("R", bound=Reader)


class Waiting(Generic[R]):
    """The readers of one database that nobody uses just now.

    Args:
        opened: Opens another one.
    """

    def __init__(self, opened: Callable[[], R]) -> None:
        self._opened = opened
        self._idle: deque[R] = deque()

    def take(self) -> R:
        """A reader for its caller alone, until it is given back."""
        while True:
            try:
                reader = self._idle.pop()
            except IndexError:
                return self._opened()
            if not _has_ended(reader.socket):
                return reader
            reader.close()

    def give(self, reader: R) -> None:
        """Take a reader back; one that is not sound, or one too many, is let go."""
        if reader.is_sound and len(self._idle) < MOST_WAITING:
            self._idle.append(reader)
        else:
            reader.close()

    def close(self) -> None:
        """Let all go that wait."""
        while self._idle:
            self._idle.pop().close()


def _has_ended(socket: int | None) -> bool:
    if socket is None:
        return False
    watched = select.poll()
    watched.register(socket, select.POLLIN)
    return bool(watched.poll(0))
