"""What `node.store.database` speaks to in place of pysqlite3: SQLite by apsw, over a file system of ours.

    Database(url, driver=Driver(vfs.name, committed))

It has as much of the interface of Python's `sqlite3` as SQLAlchemy and the node use. A connection is
always in autocommit mode, as the node asks for; `commit` and `rollback` end what a `begin` began.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import apsw

CHANGES = ("insert", "update", "delete", "replace")

Values = Sequence[Any] | Mapping[str, Any]


class Driver:
    """Looks like the module `pysqlite3`.

    Args:
        vfs: Name of the file system that connections use.
        committed: Is given the connection after each commit that changed something.
    """

    apilevel, threadsafety, paramstyle = "2.0", 1, "qmark"
    sqlite_version = apsw.sqlite_lib_version()
    sqlite_version_info = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    Error = DatabaseError = OperationalError = InternalError = NotSupportedError = apsw.Error
    InterfaceError = DataError = apsw.Error
    IntegrityError = apsw.ConstraintError
    ProgrammingError = apsw.BindingsError
    Binary = bytes

    def __init__(self, vfs: str, committed: Callable[[Connection], None]) -> None:
        self._vfs, self._committed = vfs, committed

    def connect(
        self, path: str, *, timeout: float, isolation_level: None, check_same_thread: bool
    ) -> Connection:
        """A connection to the database in a file."""
        return Connection(apsw.Connection(path, vfs=self._vfs), timeout, self._committed)

    def register_adapter(self, kind: type, adapt: Callable[[Any], Any]) -> None:
        """Nothing: apsw binds flags, bytes and None as they are."""


class Connection:
    """Looks like a `sqlite3.Connection`."""

    def __init__(
        self, inner: apsw.Connection, timeout: float, committed: Callable[[Connection], None]
    ) -> None:
        inner.set_busy_timeout(int(timeout * 1000))
        self.isolation_level: str | None = None
        self._inner, self._committed = inner, committed
        self._told = inner.total_changes()

    @property
    def in_transaction(self) -> bool:
        """Whether a `begin` is open."""
        return self._inner.in_transaction

    def cursor(self) -> Cursor:
        """A new cursor."""
        return Cursor(self._inner)

    def execute(self, statement: str, values: Values = ()) -> Cursor:
        """A cursor that has carried out a statement."""
        return self.cursor().execute(statement, values)

    def commit(self) -> None:
        """End the transaction, if there is one."""
        if self.in_transaction:
            self.execute("commit")
            if self._inner.total_changes() != self._told:
                self._told = self._inner.total_changes()
                self._committed(self)

    def rollback(self) -> None:
        """Take the transaction back, if there is one."""
        if self.in_transaction:
            self.execute("rollback")

    def close(self) -> None:
        """Close."""
        self._inner.close()

    def create_function(
        self, name: str, arguments: int, function: Callable[..., Any], *, deterministic: bool = False
    ) -> None:
        """Let statements call a function of ours."""
        self._inner.create_scalar_function(name, function, arguments, deterministic=deterministic)


class Cursor:
    """Looks like a `sqlite3.Cursor`."""

    arraysize = 1

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._inner = connection.cursor()
        self._inner.exec_trace = self._begun
        self.description: tuple[Any, ...] | None = None
        self.rowcount = -1

    @property
    def lastrowid(self) -> int:
        """The number of the row that was last put in."""
        return self._connection.last_insert_rowid()

    def execute(self, statement: str, values: Values = ()) -> Cursor:
        """Carry out a statement."""
        return self._count(statement, lambda: self._inner.execute(statement, values))

    def executemany(self, statement: str, rows: Iterable[Values]) -> Cursor:
        """Carry out a statement for each row of values."""
        return self._count(statement, lambda: self._inner.executemany(statement, rows))

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows that are left."""
        return self._inner.fetchall()

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row."""
        return self._inner.fetchone()

    def fetchmany(self, size: int = 1) -> list[tuple[Any, ...]]:
        """Some rows."""
        return [row for row in (self.fetchone() for _ in range(size)) if row is not None]

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._inner)

    def close(self) -> None:
        """Close, whatever rows are left."""
        self._inner.close(True)

    def _count(self, statement: str, work: Callable[[], object]) -> Cursor:
        self.description = None
        before = self._connection.total_changes()
        work()
        changes = statement.lstrip().lower().startswith(CHANGES)
        self.rowcount = self._connection.total_changes() - before if changes else -1
        return self

    def _begun(self, cursor: apsw.Cursor, _statement: str, _values: object) -> bool:
        # Only now: apsw does not describe a statement that is over, as one without rows is at once.
        columns = cursor.get_description()
        self.description = tuple((name, *[None] * 6) for name, *_ in columns) or None
        return True
