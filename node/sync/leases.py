"""Leases: one run at a time acts for a partner.

Rule    Whoever begins a round looks whether another run is at work, and takes the lease before it writes or
        sends anything; so a round with nothing new takes none. A lease is renewed while its work lasts, and
        free again at once when its holder is known to be gone, else within a minute. What was read before
        a lease was taken may have been overtaken by another run: it is read again, or the round ends.

Writes  table lease
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from node.clock import MICROSECONDS
from node.errors import LockHeld, NodeError
from node.store.database import Database, Tx
from node.sync.holders import is_gone

LEASE_SECONDS = 60
RENEW_SECONDS = 20

Hold = Callable[[], bool]
"""Makes sure that no other run acts for the partner; True when that was not so from the start."""

_TAKE = sa.text(
    "insert into lease (work, holder, until) values (:work, :holder, :until)"
    " on conflict (work) do update set holder = excluded.holder, until = excluded.until"
    " where lease.holder = excluded.holder or lease.until <= :now"
)
_RENEW = sa.text("update lease set until = :until where work = :work and holder = :holder")
_RELEASE = sa.text("delete from lease where work = :work and holder = :holder")
_HOLDER = sa.text("select holder, until from lease where work = :work")

_log = logging.getLogger("stixnode.worker")


def take_lease(tx: Tx, work: str, holder: str, *, now: int) -> bool:
    """Whether the lease of a work is now `holder`'s, for a minute from now."""
    row = tx.row(_HOLDER, work=work)
    if row is not None and is_gone(str(row[0])):
        release_lease(tx, work, str(row[0]))
    return tx.run(_TAKE, work=work, holder=holder, until=now + LEASE_SECONDS * MICROSECONDS, now=now) == 1


def renew_lease(tx: Tx, work: str, holder: str, *, now: int) -> bool:
    """Whether a lease that `holder` took is its own still, and now for another minute."""
    return tx.run(_RENEW, work=work, holder=holder, until=now + LEASE_SECONDS * MICROSECONDS) == 1


def release_lease(tx: Tx, work: str, holder: str) -> None:
    """Give a lease back; somebody else's is left alone."""
    tx.run(_RELEASE, work=work, holder=holder)


def held_already() -> bool:
    """The `Hold` of who need not take a lease."""
    return False


class Turn:
    """The turn of one run at a work: its lease is taken when it is needed, and given back at the end.

    Args:
        database: Where leases are.
        work: What must not be done twice at a time.
        holder: Who we are: a text that no other process has.
        now: Microseconds.
    """

    def __init__(self, database: Database, work: str, holder: str, *, now: Callable[[], int]) -> None:
        self._database, self._work, self._holder, self._now = database, work, holder, now
        self._done = threading.Event()
        self._renewer: threading.Thread | None = None
        self._until = 0
        self._lost = False

    def look(self) -> None:
        """See that no other run is at work; nothing is written.

        Raises:
            LockHeld: One is.
        """
        with self._database.reading() as tx:
            row = tx.row(_HOLDER, work=self._work)
        if row is None or row[0] == self._holder or int(row[1]) <= self._now():
            return
        if not is_gone(str(row[0])):
            raise self._held(str(row[0]))

    def hold(self) -> bool:
        """Have the lease, renewed from a thread of its own; whether it was taken only now.

        Raises:
            LockHeld: Another run has it, or had it: this process slept, or had no database, for a minute.
        """
        if self._renewer is not None:
            if self._now() >= self._until:
                self._renew_once()
            if self._lost:
                raise self._held_by_another()
            return False
        until = self._now() + LEASE_SECONDS * MICROSECONDS
        if not self._database.retrying(lambda tx: take_lease(tx, self._work, self._holder, now=self._now())):
            raise self._held_by_another()
        self._until = until
        self._renewer = threading.Thread(target=self._renew, name=f"lease {self._work}", daemon=True)
        self._renewer.start()
        return True

    def end(self) -> None:
        """Give the lease back, if it was taken."""
        if self._renewer is None:
            return
        self._done.set()
        self._renewer.join()
        self._database.retrying(lambda tx: release_lease(tx, self._work, self._holder))

    def _renew(self) -> None:
        while not self._lost and not self._done.wait(RENEW_SECONDS):
            try:
                self._renew_once()
            except NodeError as cause:
                _log.warning("the lease of %s was not renewed: %s", self._work, cause.problem)

    def _renew_once(self) -> None:
        # Never taken again: whoever had it in between may have overtaken what was read before.
        now = self._now()
        if self._database.retrying(lambda tx: renew_lease(tx, self._work, self._holder, now=now)):
            self._until = now + LEASE_SECONDS * MICROSECONDS
        else:
            self._lost = True

    def _held_by_another(self) -> LockHeld:
        with self._database.reading() as tx:
            row = tx.row(_HOLDER, work=self._work)
        return self._held(str(row[0]) if row else "just ended")

    def _held(self, holder: str) -> LockHeld:
        return LockHeld(
            f"Another run ({holder}) is at work on {self._work}.",
            remedy="Let it finish; if it died, its lease ends by itself within a minute.",
        )


@contextmanager
def turn(database: Database, work: str, holder: str, *, now: Callable[[], int]) -> Iterator[Turn]:
    """A turn at a work for the length of a block; its lease is not taken yet.

    Raises:
        LockHeld: Another run is at work.
    """
    one = Turn(database, work, holder, now=now)
    one.look()
    try:
        yield one
    finally:
        one.end()


@contextmanager
def lease(database: Database, work: str, holder: str, *, now: Callable[[], int]) -> Iterator[None]:
    """Hold the lease of a work for the length of a block.

    Raises:
        LockHeld: Another run has it.
    """
    with turn(database, work, holder, now=now) as one:
        one.hold()
        yield
