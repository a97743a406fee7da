"""Open the database, and give transactions that behave alike on SQLite and PostgreSQL.

Two engines: a writer, whose transactions begin with `BEGIN IMMEDIATE` on SQLite, and a reader in
autocommit. Durability is asserted on every connection (WAL and `synchronous=FULL`; READ COMMITTED
and `synchronous_commit`), because a setting that is only hoped for loses acknowledged objects. So is the
server of each connection to PostgreSQL (`servers`): once it is another one than at first, nothing more is
read or written here, and whoever opened the database opens it anew (`again`).

What is given to the functions of the node is a `Tx` (`tx`); statements are put into words in `statements`;
readers wait for their next use in `readers`.
Engines are opened after a server process has started, never before a fork.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import DBAPIError

from node.errors import StoreBusy, StoreError
from node.metrics import present
from node.store.readers import Waiting
from node.store.servers import IDENTITY, Faithful
from node.store.statements import Spelled, Statement, spelled
from node.store.tx import Row, Tx, translated

__all__ = ["Database", "Row", "Spelled", "Statement", "Tx", "spelled"]

OLDEST_SQLITE = (3, 51, 3)
BUSY_SECONDS = 15
ATTEMPTS = 5
WAL_ATTEMPTS = 100

# A server whose machine went off says nothing, and a request would wait for it for a quarter of an hour.
PATIENCE = {
    "connect_timeout": BUSY_SECONDS,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}

T = TypeVar("T")

_IDENTITY = sa.text(IDENTITY)


class Database:
    """The node's database: opened once in each process, closed at its end.

    Args:
        url: `sqlite:///FILE` or `postgresql://USER@HOST/NAME`.
        password: Of the user at PostgreSQL.
        driver: What speaks to SQLite, by the names of Python's `sqlite3`; None for pysqlite3. Another one may
            put another disk under SQLite; pragmas, transactions and statements stay these.
    """

    def __init__(self, url: str, *, password: str | None = None, driver: Any = None) -> None:
        parsed = self._address = _driver_url(url, password)
        self._driver = driver
        self._server = Faithful()
        self.url = parsed.render_as_string(hide_password=True)
        self.dialect = parsed.get_backend_name()
        if self.dialect == "sqlite":
            self._writer, self._reader = _sqlite_engines(parsed, driver)
        else:
            self._writer, self._reader = _postgresql_engines(parsed, self._server)
        self._readers: Waiting[Tx] = Waiting(self._opened_reader)

    @property
    def has_moved(self) -> bool:
        """Whether another server was met than at first: all that is asked here now raises `ServerChanged`."""
        return self._server.is_lost

    def again(self) -> Database:
        """The same database opened anew, whichever server is there now."""
        return Database(self._address.render_as_string(hide_password=False), driver=self._driver)

    @contextmanager
    def reading(self) -> Iterator[Tx]:
        """A reader: every statement sees what is committed when it starts."""
        self._server.check()
        reader = self._readers.take()
        try:
            yield reader
        except DBAPIError as cause:
            reader.is_sound = False  # SQLAlchemy asked on its own, and has let the connection go
            raise translated(cause) from cause
        finally:
            if self.has_moved:
                reader.is_sound = False
            self._readers.give(reader)

    @contextmanager
    def writing(self) -> Iterator[Tx]:
        """A writing transaction: committed at the end of the block, rolled back by an exception.

        Raises:
            StoreBusy: The lock was not to be had in time, or the database asks to try again.
            StoreError: The disk or the server refused.
        """
        self._server.check()
        try:
            began = time.perf_counter()
            with self._writer.begin() as connection:
                present.lock_seconds += time.perf_counter() - began
                yield Tx(connection, self.dialect)
                began = time.perf_counter()
            present.commit_seconds += time.perf_counter() - began
        except DBAPIError as cause:
            raise translated(cause) from cause

    def retrying(self, work: Callable[[Tx], T]) -> T:
        """The result of `work` in a transaction of its own, begun again when the database asks for it.

        Args:
            work: Given the transaction; must be safe to begin anew, having done nothing outside it.
        """
        for attempt in range(ATTEMPTS):
            try:
                with self.writing() as tx:
                    return work(tx)
            except StoreBusy:
                if attempt == ATTEMPTS - 1 or self.has_moved:
                    raise
                time.sleep(0.02 * 2**attempt)
        raise AssertionError("unreachable")

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """A bare writing connection for the migrations."""
        try:
            with self._writer.begin() as connection:
                yield connection
        except DBAPIError as cause:
            raise translated(cause) from cause

    def server_identity(self) -> str:
        """`system_identifier:timeline` of PostgreSQL, which changes at a fail-over; empty on SQLite."""
        if self.dialect == "sqlite":
            return ""
        with self.reading() as tx:
            row = tx.row(_IDENTITY)
        return str(row[0]) if row else ""

    def close(self) -> None:
        """Close every connection of this process."""
        self._readers.close()
        self._writer.dispose()
        self._reader.dispose()

    def _opened_reader(self) -> Tx:
        try:
            return Tx(self._reader.connect(), self.dialect, keeping=True)
        except DBAPIError as cause:
            raise translated(cause) from cause


def _driver_url(url: str, password: str | None) -> URL:
    try:
        parsed = make_url(url)
    except sa.exc.ArgumentError as cause:
        raise StoreError(
            f"{url!r} is not a database address.",
            remedy="Write sqlite:///FILE or postgresql://USER@HOST/NAME.",
        ) from cause
    name = parsed.get_backend_name()
    if name == "sqlite":
        if parsed.database in (None, "", ":memory:"):
            raise StoreError(
                "A database in memory keeps nothing and cannot be shared by writers and readers.",
                remedy="Write sqlite:///FILE.",
            )
        return parsed.set(drivername="sqlite")
    if name != "postgresql":
        raise StoreError(
            f"The database {name!r} is not one that stixnode can use.",
            remedy="Write sqlite:///FILE or postgresql://USER@HOST/NAME.",
        )
    parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed if password is None else parsed.set(password=password)


def _sqlite_engines(url: URL, driver: Any) -> tuple[Engine, Engine]:
    if driver is None:
        import pysqlite3  # noqa: PLC0415  PostgreSQL nodes need not load it

        driver = pysqlite3
    if driver.sqlite_version_info < OLDEST_SQLITE:
        raise StoreError(
            f"SQLite {driver.sqlite_version} can lose committed data (the WAL-reset bug).",
            remedy="Install pysqlite3 0.6.1 or newer, which brings SQLite 3.51.3 or newer.",
        )
    # Otherwise the driver looks in vain how to adapt each flag, digest and gap, which doubles an insert.
    for plain, kept in ((bool, int), (bytes, bytes), (type(None), lambda nothing: nothing)):
        driver.register_adapter(plain, kept)
    Path(url.database or "").parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(url.database or "", os.O_RDWR | os.O_CREAT, 0o600))  # SQLite would follow the umask
    arguments = {"isolation_level": None, "check_same_thread": False, "timeout": BUSY_SECONDS}
    writer = sa.create_engine(url, module=driver, connect_args=arguments, pool_size=4, max_overflow=60)
    reader = sa.create_engine(
        url,
        module=driver,
        connect_args=arguments,
        pool_size=16,
        max_overflow=60,
        isolation_level="AUTOCOMMIT",
        pool_reset_on_return=None,
    )
    for engine in (writer, reader):
        sa.event.listen(engine, "connect", _prepare_sqlite)
    # A write by a reader would be committed on its own, outside every transaction.
    sa.event.listen(reader, "connect", lambda connection, _: connection.execute("pragma query_only=on"))
    sa.event.listen(writer, "begin", lambda connection: connection.exec_driver_sql("begin immediate"))
    return writer, reader


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    _use_wal(cursor)
    for pragma in (
        "synchronous=full",
        "trusted_schema=off",
        "cell_size_check=on",
        "cache_size=-16000",
    ):
        cursor.execute(f"pragma {pragma}")
    journal = cursor.execute("pragma journal_mode").fetchone()[0]
    level = cursor.execute("pragma synchronous").fetchone()[0]
    cursor.close()
    if level != 2 or journal != "wal":
        raise StoreError(
            f"SQLite opened with journal_mode={journal} and synchronous={level}, which may lose"
            f" acknowledged objects.",
            remedy="Put the database on a local disk; network file systems cannot hold it.",
        )


def _use_wal(cursor: Any) -> None:
    """Two processes may open a new file at once; SQLite does not wait for a change of journal by itself."""
    for attempt in range(WAL_ATTEMPTS):
        try:
            cursor.execute("pragma journal_mode=wal")
        except UnicodeDecodeError as cause:  # SQLite quotes what stands where its schema should be
            raise StoreError(
                "The database refused: its schema is malformed.",
                remedy="Put a backup in its place: stixnode restore BACKUP DIR",
            ) from cause
        except Exception as cause:
            if "locked" not in str(cause) or attempt == WAL_ATTEMPTS - 1:
                raise
            time.sleep(0.05)
        else:
            return


def _postgresql_engines(url: URL, server: Faithful) -> tuple[Engine, Engine]:
    options = {name: value for name, value in PATIENCE.items() if name not in url.query}
    writer = sa.create_engine(
        url,
        connect_args=options,
        pool_size=8,
        max_overflow=56,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
    )
    reader = sa.create_engine(
        url,
        connect_args=options,
        pool_size=16,
        max_overflow=48,
        isolation_level="AUTOCOMMIT",
        pool_reset_on_return=None,
    )
    for engine in (writer, reader):
        sa.event.listen(engine, "connect", lambda connection, _: _prepare_postgresql(connection, server))
    sa.event.listen(reader, "connect", _forbid_writes)
    return writer, reader


def _forbid_writes(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("set default_transaction_read_only = on")
    connection.commit()


def _prepare_postgresql(connection: Any, server: Faithful) -> None:
    try:
        with connection.cursor() as cursor:
            server.meet(cursor)
            cursor.execute("set time zone 'UTC'")
            cursor.execute("set lock_timeout = '15s'")
            cursor.execute(";".join(f"set {wrong} = off" for wrong in _UNWANTED_PLANS))
        connection.commit()
    except BaseException:
        connection.close()  # the pool has not taken it yet, and would forget it open
        raise


# Our statements find rows by the keys of their tables. Without statistics, or with old ones that know
# nothing of a new collection, the planner would rather read whole tables, sort them or compile.
_UNWANTED_PLANS = ("enable_hashjoin", "enable_mergejoin", "enable_seqscan", "enable_bitmapscan", "jit")
