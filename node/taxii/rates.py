"""How much one account may ask of this process: requests a second, requests at once, failed logins.

Rule: a limit slows the one who reaches it and nobody else. A good token is always let in, whatever
failed from the same address before: guessing one of 256 bits is hopeless, and a bad neighbour must
not lock a good client out. Each worker process counts for itself.

Keeps its counts in memory; reads and writes nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from node.clock import MICROSECONDS
from node.taxii.protocol import RequestRefused

REMEMBERED = 10_000
_MINUTE = 60 * MICROSECONDS

T = TypeVar("T")


@dataclass(slots=True)
class Rates:
    """The counts of one process.

    Args:
        requests_per_second: For each account, with bursts of as many; 0 for no limit.
        concurrent_requests: For each account; 0 for no limit.
        failed_logins_per_minute: For each address; 0 for no limit.
    """

    requests_per_second: int = 0
    concurrent_requests: int = 0
    failed_logins_per_minute: int = 0
    _spent: dict[str, tuple[float, int]] = field(default_factory=dict)
    _running: dict[str, int] = field(default_factory=dict)
    _failed: dict[str, tuple[int, int]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def admit(self, account: str, *, now: int) -> Iterator[None]:
        """Run one request of an account.

        Raises:
            RequestRefused: 429, with how long to wait.
        """
        self.begin(account, now=now)
        try:
            yield
        finally:
            self.end(account)

    def begin(self, account: str, *, now: int) -> None:
        """Count a request of an account that begins; its `end` must follow.

        Raises:
            RequestRefused: 429, with how long to wait; then it was not counted.
        """
        with self._lock:
            self._count(account, now)
            self._running[account] = self._running.get(account, 0) + 1

    def end(self, account: str) -> None:
        """Count a request of an account that is over."""
        with self._lock:
            left = self._running[account] - 1
            if left:
                self._running[account] = left
            else:
                del self._running[account]

    def failed(self, address: str, *, now: int) -> None:
        """Count a login that failed.

        Raises:
            RequestRefused: 429: too many from this address.
        """
        if not self.failed_logins_per_minute:
            return
        with self._lock:
            since, count = self._failed.pop(address, (now, 0))
            if not 0 <= now - since < _MINUTE:
                since, count = now, 0
            _keep(self._failed, address, (since, count + 1))
        if count >= self.failed_logins_per_minute:
            wait = max(1, (since + _MINUTE - now) // MICROSECONDS)
            raise _slow_down("Too many logins failed from this address.", wait)

    def _count(self, account: str, now: int) -> None:
        if self.concurrent_requests and self._running.get(account, 0) >= self.concurrent_requests:
            raise _slow_down("This account has too many requests under way.", 1)
        if not self.requests_per_second:
            return
        spent, since = self._spent.pop(account, (0.0, now))
        spent = max(0.0, spent - max(0, now - since) * self.requests_per_second / MICROSECONDS)
        refused = spent + 1 > self.requests_per_second
        _keep(self._spent, account, (spent if refused else spent + 1, now))
        if refused:
            raise _slow_down("This account asks too often.", 1)


def _keep(memory: dict[str, T], name: str, value: T) -> None:
    memory[name] = value
    if len(memory) > REMEMBERED:
        del memory[next(iter(memory))]


def _slow_down(problem: str, seconds: int) -> RequestRefused:
    return RequestRefused(
        problem,
        remedy=f"Wait {seconds} s, then go on.",
        status=429,
        headers={"Retry-After": str(seconds)},
    )
