"""Open the database, and give transactions that behave alike on SQLite and PostgreSQL.

Two engines: a writer, whose transactions begin with `BEGIN IMMEDIATE` on SQLite, and a reader in
autocommit. Durability is asserted on every connection (WAL and `synchronous=FULL`; READ COMMITTED
and `synchronous_commit`), because a setting that is only hoped for loses acknowledged objects.

Statements are built once, at import, by the modules that own the tables; a statement that the two
databases must spell differently is a `Spelled` pair. SQLAlchemy puts each into the words of the driver
once; then the driver carries it out itself and its tuples come back, which costs a fifth.
Engines are opened after a server process has started, never before a fork.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg as PostgreSQL
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite as SQLite
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.elements import TextClause

from node.errors import StoreBusy, StoreError

OLDEST_SQLITE = (3, 51, 3)
BUSY_SECONDS = 15
ATTEMPTS = 5
WAL_ATTEMPTS = 100

T = TypeVar("T")
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Spelled:
    """One statement in the words of both databases; lists are bound through `Tx.listed`."""

    sqlite: TextClause
    postgresql: TextClause


def spelled(sqlite: str, postgresql: str) -> Spelled:
    """A `Spelled` pair from two texts with `:name` parameters."""
    return Spelled(sa.text(sqlite), sa.text(postgresql))


Statement = sa.Executable | Spelled


class Tx:
    """One transaction, or one autocommit reader: what every function of the node is given.

    Args:
        connection: An open connection.
        dialect: `sqlite` or `postgresql`.
    """

    __slots__ = ("_driver", "connection", "dialect")

    def __init__(self, connection: Connection, dialect: str) -> None:
        self.connection = connection
        self.dialect = dialect
        self._driver: Any = connection.connection.driver_connection

    def rows(self, statement: Statement, **values: Any) -> list[Row]:
        """All rows of a query, as the driver's tuples."""
        with self._cursor() as cursor:
            cursor.execute(*self._said(statement, values))
            found: list[Row] = cursor.fetchall()
            return found

    def row(self, statement: Statement, **values: Any) -> Row | None:
        """The first row of a query, or None."""
        rows = self.rows(statement, **values)
        return rows[0] if rows else None

    def run(self, statement: Statement, **values: Any) -> int:
        """Carry out one writing statement; the number of rows it touched."""
        with self._cursor() as cursor:
            cursor.execute(*self._said(statement, values))
            return int(cursor.rowcount)

    def many(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> None:
        """Carry out one writing statement for each row of values."""
        if rows:
            text, constants = self._said(statement, {})
            with self._cursor() as cursor:
                cursor.executemany(text, [{**constants, **row} for row in rows] if constants else rows)

    def insert(self, table: sa.Table, rows: Sequence[Row]) -> None:
        """Put many complete rows into a table, fast.

        Args:
            table: One of `schema`.
            rows: Tuples with a value for every column, in the table's order.
        """
        if not rows:
            return
        names = ", ".join(f'"{column.name}"' for column in table.columns)
        with self._cursor() as cursor:
            if self.dialect == "sqlite":
                marks = ", ".join("?" * len(table.columns))
                words = f'insert into "{table.name}" ({names}) values ({marks})'
                cursor.executemany(words, map(tuple, rows))  # the driver is quicker with nothing but tuples
                return
            types = [_POSTGRESQL_TYPES[type(column.type).__name__] for column in table.columns]
            with cursor.copy(f'copy "{table.name}" ({names}) from stdin (format binary)') as copy:
                copy.set_types(types)
                for row in rows:
                    copy.write_row(row)

    def listed(self, values: Sequence[str] | Sequence[int]) -> Any:
        """A list as one bound value: JSON text for SQLite's `json_each`, an array for PostgreSQL."""
        return json.dumps(list(values)) if self.dialect == "sqlite" else list(values)

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        # SQLAlchemy does not see the driver's own cursor, and so does not wrap its errors.
        try:
            if self.dialect == "sqlite":
                yield self._driver.cursor()
            else:
                with self._driver.cursor(binary=True) as cursor:  # bytea as text costs three times as much
                    yield cursor
        except self.connection.dialect.loaded_dbapi.Error as cause:
            raise _translated(cause) from cause

    def _said(self, statement: Statement, values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        if isinstance(statement, Spelled):
            statement = statement.sqlite if self.dialect == "sqlite" else statement.postgresql
        text, constants = _driver_words(statement, self.dialect)
        return text, (constants | values if constants else values)


@lru_cache(maxsize=1024)
def _driver_words(statement: sa.Executable, dialect: str) -> tuple[str, dict[str, Any]]:
    """A statement in the words of a driver, and the values that are written into it."""
    compiled: Any = statement.compile(dialect=_DIALECTS[dialect])  # type: ignore[attr-defined]
    return str(compiled), {name: bound.value for name, bound in compiled.binds.items() if not bound.required}


class Database:
    """The node's database: opened once in each process, closed at its end."""

    def __init__(self, url: str, *, password: str | None = None) -> None:
        parsed = _driver_url(url, password)
        self.url = parsed.render_as_string(hide_password=True)
        self.dialect = parsed.get_backend_name()
        if self.dialect == "sqlite":
            self._writer, self._reader = _sqlite_engines(parsed)
        else:
            self._writer, self._reader = _postgresql_engines(parsed)

    @contextmanager
    def reading(self) -> Iterator[Tx]:
        """A reader: every statement sees what is committed when it starts."""
        try:
            with self._reader.connect() as connection:
                yield Tx(connection, self.dialect)
        except DBAPIError as cause:
            raise _translated(cause) from cause

    @contextmanager
    def writing(self) -> Iterator[Tx]:
        """A writing transaction: committed at the end of the block, rolled back by an exception.

        Raises:
            StoreBusy: The lock was not to be had in time, or the database asks to try again.
            StoreError: The disk or the server refused.
        """
        try:
            with self._writer.begin() as connection:
                yield Tx(connection, self.dialect)
        except DBAPIError as cause:
            raise _translated(cause) from cause

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
                if attempt == ATTEMPTS - 1:
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
            raise _translated(cause) from cause

    def server_identity(self) -> str:
        """`system_identifier:timeline` of PostgreSQL, which changes at a fail-over; empty on SQLite."""
        if self.dialect == "sqlite":
            return ""
        with self.reading() as tx:
            row = tx.row(
                sa.text(
                    "select s.system_identifier::text || ':' || c.timeline_id::text"
                    " from pg_control_system() s, pg_control_checkpoint() c"
                )
            )
        return str(row[0]) if row else ""

    def close(self) -> None:
        """Close every connection of this process."""
        self._writer.dispose()
        self._reader.dispose()


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


def _sqlite_engines(url: URL) -> tuple[Engine, Engine]:
    import pysqlite3  # noqa: PLC0415  the one driver; PostgreSQL nodes need not load it

    if pysqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StoreError(
            f"SQLite {pysqlite3.sqlite_version} can lose committed data (the WAL-reset bug).",
            remedy="Install pysqlite3 0.6.1 or newer, which brings SQLite 3.51.3 or newer.",
        )
    # Otherwise the driver looks in vain how to adapt each flag, digest and gap, which doubles an insert.
    for plain, kept in ((bool, int), (bytes, bytes), (type(None), lambda nothing: nothing)):
        pysqlite3.register_adapter(plain, kept)
    Path(url.database or "").parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(url.database or "", os.O_RDWR | os.O_CREAT, 0o600))  # SQLite would follow the umask
    arguments = {"isolation_level": None, "check_same_thread": False, "timeout": BUSY_SECONDS}
    writer = sa.create_engine(url, module=pysqlite3, connect_args=arguments, pool_size=4, max_overflow=60)
    reader = sa.create_engine(
        url,
        module=pysqlite3,
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
        except Exception as cause:
            if "locked" not in str(cause) or attempt == WAL_ATTEMPTS - 1:
                raise
            time.sleep(0.05)
        else:
            return


def _postgresql_engines(url: URL) -> tuple[Engine, Engine]:
    options = {"connect_timeout": BUSY_SECONDS}
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
        pool_pre_ping=True,
    )
    for engine in (writer, reader):
        sa.event.listen(engine, "connect", _prepare_postgresql)
    sa.event.listen(reader, "connect", _forbid_writes)
    return writer, reader


def _forbid_writes(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("set default_transaction_read_only = on")
    connection.commit()


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("set time zone 'UTC'")
        cursor.execute("set lock_timeout = '15s'")
        cursor.execute(";".join(f"set {wrong} = off" for wrong in _UNWANTED_PLANS))
        cursor.execute("select current_setting('synchronous_commit'), current_setting('fsync')")
        commit, fsync = cursor.fetchone()
    connection.commit()
    if commit == "off" or fsync == "off":
        raise StoreError(
            f"PostgreSQL runs with synchronous_commit={commit} and fsync={fsync}, which may lose"
            f" acknowledged objects.",
            remedy="Set synchronous_commit = on and fsync = on in postgresql.conf.",
        )


def _translated(cause: Exception) -> StoreError:
    driver = cause.orig if isinstance(cause, DBAPIError) else cause
    text = str(driver)
    state = getattr(driver, "sqlstate", None)
    by_sqlite = type(driver).__module__.startswith("pysqlite3") and "locked" in text
    if by_sqlite or state in ("40001", "40P01", "55P03"):
        return StoreBusy(f"The database is busy: {text}.", remedy="Nothing was stored; try again.")
    return StoreError(
        f"The database refused: {text}.", remedy="Run stixnode check; nothing of this step was stored."
    )


# Named marks on both, so that values are given by name.
_DIALECTS: dict[str, Any] = {"sqlite": SQLite(paramstyle="named"), "postgresql": PostgreSQL()}  # type: ignore[no-untyped-call]
# Our statements find rows by the keys of their tables. Without statistics, or with old ones that know
# nothing of a new collection, the planner would rather read whole tables, sort them or compile.
_UNWANTED_PLANS = ("enable_hashjoin", "enable_mergejoin", "enable_seqscan", "enable_bitmapscan", "jit")
_POSTGRESQL_TYPES = {
    "BigInteger": "int8",
    "Integer": "int4",
    "SmallInteger": "int2",
    "Boolean": "bool",
    "Text": "text",
    "LargeBinary": "bytea",
}
