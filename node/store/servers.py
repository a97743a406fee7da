"""Which PostgreSQL server a process began with, and whether a new connection still leads to it.

Rule: a process works with one server, on one timeline, since one start of it. Whatever else a new
connection finds at the address may lack the last commits: it was promoted, put back, or restarted on
other files. So that connection is refused, and with it everything that goes on with what was read
before; who opened the database opens it anew, as at a start, where `highwater` judges what it finds.
A standby is refused too: it may be behind, and a connection to it would outlive its promotion unseen.

The timeline is the one that is written now: the control file tells a promotion only at its next checkpoint.

Reads   PostgreSQL's own functions, once for each connection. Writes nothing.
"""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

from node.errors import StoreBusy, StoreError

IDENTITY = (
    "select s.system_identifier::text || ':' || case when pg_is_in_recovery() then c.timeline_id"
    " else ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int end,"
    " pg_postmaster_start_time()::text, pg_is_in_recovery(),"
    " current_setting('synchronous_commit'), current_setting('fsync')"
    " from pg_control_system() s, pg_control_checkpoint() c"
)


class ServerChanged(StoreBusy):
    """The database's address leads to another server, or to one that was started anew, since we opened it."""


class StandbyRefused(StoreError):
    """The server only follows another one."""


class Server(NamedTuple):
    """What one connection found.

    Args:
        identity: `system_identifier:timeline`, which changes at a fail-over.
        started: When the server was started, in its own words.
        is_standby: It follows another server and takes no writes.
        synchronous_commit: As set.
        fsync: As set.
    """

    identity: str
    started: str
    is_standby: bool
    synchronous_commit: str
    fsync: str

    @property
    def fault(self) -> StoreError | None:
        """Why nobody may work with it; None when it is sound."""
        if self.is_standby:
            return StandbyRefused(
                "The PostgreSQL server is a standby, which may lack what was stored last.",
                remedy="Let url in [database] lead to the primary, or promote this one.",
            )
        if self.synchronous_commit == "off" or self.fsync == "off":
            return StoreError(
                f"PostgreSQL runs with synchronous_commit={self.synchronous_commit} and fsync={self.fsync},"
                f" which may lose acknowledged objects.",
                remedy="Set synchronous_commit = on and fsync = on in postgresql.conf.",
            )
        return None


class Faithful:
    """One process's faith in the server that it began with; lost once, it does not come back."""

    def __init__(self) -> None:
        self.is_lost = False
        self._lock = threading.Lock()
        self._first: Server | None = None

    def meet(self, cursor: Any) -> None:
        """Look at the server of a new connection.

        Args:
            cursor: The driver's.

        Raises:
            ServerChanged: It is not the one of before.
            StoreError: Nobody may work with it.
        """
        cursor.execute(IDENTITY)
        found = Server(*cursor.fetchone())
        with self._lock:
            first = self._first
            if first is not None and (first.identity, first.started) != (found.identity, found.started):
                self.is_lost = True
            self.check()
            if (fault := found.fault) is not None:
                raise fault
            self._first = found

    def check(self) -> None:
        """Raise `ServerChanged` once another server was met."""
        if self.is_lost:
            raise ServerChanged(
                "The database's address leads to another server than before, or to one that was restarted.",
                remedy="Nothing was stored; run it again. Server and worker begin anew by themselves.",
            )
