"""One transaction, or one autocommit reader: what every function of the node is given.

SQLAlchemy puts each statement into the words of the driver once (`statements`); then the driver carries it
out itself and its tuples come back, which costs a fifth. Its errors become those of the node.

Reads and writes what it is told to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from node.errors import StoreBusy, StoreError
from node.metrics import present
from node.store.statements import WORDINGS, Statement

_ESCAPED = re.compile(r'["\\]')
KEPT_CURSORS, KEPT_ROWS, KEPT_BYTES = 64, 200, 256 * 1024

Row = tuple[Any, ...]


class Tx:
    """One transaction, or one autocommit reader: what every function of the node is given.

    Args:
        connection: An open connection.
        dialect: `sqlite` or `postgresql`.
        keeping: Whether it is used for many requests, and its cursors with it.
    """

    __slots__ = ("_driver", "_kept", "_words", "connection", "dialect", "is_sound")

    def __init__(self, connection: Connection, dialect: str, *, keeping: bool = False) -> None:
        self.connection = connection
        self.dialect = dialect
        self.is_sound = True
        self._driver: Any = connection.connection.driver_connection
        self._words = WORDINGS[dialect].of
        self._kept: dict[str, Any] | None = {} if keeping and dialect == "postgresql" else None

    @property
    def socket(self) -> int | None:
        """Number of the socket to the server; None where there is none."""
        return None if self.dialect == "sqlite" else int(self._driver.fileno())

    def close(self) -> None:
        """End the connection of a reader, so that no pool gives it to somebody else."""
        self.connection.invalidate()
        self.connection.close()

    def rows(self, statement: Statement, **values: Any) -> list[Row]:
        """All rows of a query, as the driver's tuples."""
        text, constants = self._words(statement)
        if constants:
            values = constants | values
        began = perf_counter()
        try:
            if self._kept is not None:
                return self._rows_of_kept(text, values)
            if self.dialect == "sqlite":
                found: list[Row] = self._driver.execute(text, values).fetchall()
                return found
            with self._driver.cursor(binary=True) as cursor:  # bytea as text costs three times as much
                found = cursor.execute(text, values).fetchall()
                return found
        except self.connection.dialect.loaded_dbapi.Error as cause:
            self.is_sound = False
            raise translated(cause) from cause
        finally:
            present.carried_out(began)

    def _rows_of_kept(self, text: str, values: dict[str, Any]) -> list[Row]:
        # A cursor knows how to read the columns of its last answer; a new one would find out again.
        assert self._kept is not None
        cursor = self._kept.pop(text, None) or self._driver.cursor(binary=True)
        found: list[Row] = cursor.execute(text, values).fetchall()
        if len(self._kept) < KEPT_CURSORS and _is_light(found):  # a cursor holds its last answer
            self._kept[text] = cursor
        return found

    def row(self, statement: Statement, **values: Any) -> Row | None:
        """The first row of a query, or None."""
        rows = self.rows(statement, **values)
        return rows[0] if rows else None

    def run(self, statement: Statement, **values: Any) -> int:
        """Carry out one writing statement; the number of rows it touched."""
        with self._cursor() as cursor:
            text, constants = self._words(statement)
            cursor.execute(text, constants | values)
            return int(cursor.rowcount)

    def many(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> int:
        """Carry out one writing statement for each row of values; the number of rows touched in all."""
        if not rows:
            return 0
        text, constants = self._words(statement)
        with self._cursor() as cursor:
            cursor.executemany(text, [{**constants, **row} for row in rows] if constants else rows)
            return int(cursor.rowcount)

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
        """A list as one bound value: JSON text for SQLite's `json_each`, an array's text for PostgreSQL.

        The driver for PostgreSQL would put a list together value by value, which takes 50 times as long.
        """
        if self.dialect == "sqlite":
            return json.dumps(list(values))
        quoted = [
            str(value) if isinstance(value, int) else '"' + _ESCAPED.sub(r"\\\g<0>", value) + '"'
            for value in values
        ]
        return "{" + ",".join(quoted) + "}"

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        # SQLAlchemy does not see the driver's own cursor, and so does not wrap its errors.
        began = perf_counter()
        try:
            if self.dialect == "sqlite":
                yield self._driver.cursor()
            else:
                with self._driver.cursor(binary=True) as cursor:  # bytea as text costs three times as much
                    yield cursor
        except self.connection.dialect.loaded_dbapi.Error as cause:
            self.is_sound = False
            raise translated(cause) from cause
        finally:
            present.carried_out(began)


def _is_light(rows: Sequence[Row]) -> bool:
    if len(rows) > KEPT_ROWS:
        return False
    # What may be long is the body of an object, and that stands last wherever it is asked for.
    return sum(len(row[-1]) for row in rows if type(row[-1]) is bytes) <= KEPT_BYTES


def translated(cause: Exception) -> StoreError:
    """The error of the node for one of SQLAlchemy or of a driver."""
    driver = cause.orig if isinstance(cause, DBAPIError) else cause
    text = str(driver)
    state = getattr(driver, "sqlstate", None)
    by_sqlite = not hasattr(driver, "sqlstate") and "locked" in text
    if by_sqlite or state in ("40001", "40P01", "55P03"):
        return StoreBusy(f"The database is busy: {text}.", remedy="Nothing was stored; try again.")
    return StoreError(
        f"The database refused: {text}.",
        remedy="Run stixnode check, then run it again: a step is stored whole or not at all.",
    )


_POSTGRESQL_TYPES = {
    "BigInteger": "int8",
    "Integer": "int4",
    "SmallInteger": "int2",
    "Boolean": "bool",
    "Text": "text",
    "LargeBinary": "bytea",
}
