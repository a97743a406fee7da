"""A copy of the whole database in one SQLite file, taken while the node runs, and a database made from one.

The copy shows one moment: SQLite writes it in a single reading transaction (`vacuum into`), PostgreSQL is
read table by table in a single repeatable one. It is an SQLite file for both, so either kind can be
restored from either. Writers do not wait for it.

Whoever restores a copy calls `begin_anew` in the transaction that first writes: other nodes and readers
have seen what lies after the copy.

Reads and writes: every table, whole; none of them by name, but through the modules that own them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from node.errors import StoreError, UsageError
from node.store import catalog, migrate, schema
from node.store.database import Database, Row, Tx

ROWS = 200  # read at once: an object has up to a megabyte

_BEGIN = {
    "sqlite": sa.text("begin"),
    "postgresql": sa.text("begin isolation level repeatable read read only"),
}
_END = sa.text("rollback")
_MAY_WRITE = sa.text("pragma query_only = off")
_MAY_NOT_WRITE = sa.text("pragma query_only = on")
_INTO = sa.text("vacuum into :file")
_OBJECTS_IN = sa.text('select count(*) from "object" where collection_id = :c')
_GO_ON_COUNTING = tuple(
    sa.text(
        f"select setval(pg_get_serial_sequence('{table}', '{column}'), max({column})) from {table}"
        f" having max({column}) is not null"
    )
    for table, column in (("arrival", "arrival_id"), ("run", "number"))
)


@contextmanager
def still(database: Database) -> Iterator[Tx]:
    """A reader for whom the database stands still: all its statements see the same moment."""
    with database.reading() as tx:
        tx.run(_BEGIN[database.dialect])
        try:
            yield tx
        finally:
            tx.run(_END)


def copy_out(database: Database, file: Path) -> None:
    """Write a copy of the database into a new file.

    Args:
        database: In use or not.
        file: Is not there yet; its folder is. Nothing of it is certain to be on the disk yet.

    Raises:
        StoreError: A page of the database cannot be read, or the disk is full.
    """
    if database.dialect == "sqlite":
        with database.reading() as tx:
            tx.run(_MAY_WRITE)  # readers may not; this writes another file
            try:
                tx.run(_INTO, file=str(file))
            finally:
                tx.run(_MAY_NOT_WRITE)
        return
    migrate.check_current(database)
    with closing(Database(f"sqlite:///{file}")) as copy:
        migrate.migrate(copy)
        with still(database) as source, copy.writing() as target:
            _copy_rows(source, target)


def copy_in(copy: Database, target: Database, *, then: Callable[[Tx], None]) -> None:
    """Fill an empty database with the rows of a copy, in one transaction.

    Args:
        copy: At the revision of this program.
        target: Has no node; its tables are made.
        then: What must be true before anybody may read it: `begin_anew`, and what lies above the store.
    """
    migrate.migrate(target)
    with still(copy) as source, target.writing() as tx:
        _copy_rows(source, tx)
        if target.dialect == "postgresql":
            for statement in _GO_ON_COUNTING:
                tx.rows(statement)
        then(tx)


def refuse_a_node(database: Database) -> None:
    """Return if no node lives in the database.

    Raises:
        UsageError: One does; or a restore broke off here at its very end.
    """
    if not migrate.current(database):
        return
    with database.reading() as tx:
        try:
            catalog.node_row(tx)
        except StoreError:
            return
    raise UsageError(
        f"The database {database.url} holds a node already.",
        remedy="Name an empty one with --database; what a restore left that broke off, drop and make anew.",
    )


def begin_anew(
    tx: Tx,
    *,
    server_identity: str,
    marks: Mapping[str, int],
    now: int,
    new_id: Callable[[], str],
    new_secret: Callable[[], bytes],
) -> dict[str, int]:
    """Begin a new history of a database that was restored: epochs, secret, dates above all marks.

    Args:
        tx: The transaction that first writes to it.
        server_identity: As `Database.server_identity` says of where it lies now.
        marks: Collection -> the highest date known to have been given.
        now: Microseconds; later dates are above it too.
        new_id: Random ids for epochs and for the instance.
        new_secret: 32 random bytes, so that no `next` of the lost history is taken again.

    Returns:
        Collection -> its highest date now, in microseconds.
    """
    catalog.lock_node(tx)
    catalog.renew_node(tx, instance=new_id(), secret=new_secret(), server_identity=server_identity)
    for held in catalog.collections(tx):
        catalog.lock(tx, held.collection_id)
        at_least = max(now, marks.get(held.id, 0))
        catalog.renew_epoch(tx, held.collection_id, epoch=new_id(), at_least=at_least)
    return {held.id: held.last_added for held in catalog.collections(tx)}


def amounts(tx: Tx) -> dict[str, int]:
    """Table -> how many rows it has."""
    counted = {table.name: tx.row(_COUNTS[table.name]) for table in schema.metadata.sorted_tables}
    return {name: int(row[0]) for name, row in counted.items() if row is not None}


def objects_in(tx: Tx, collection_id: int) -> int:
    """How many object versions a collection holds."""
    row = tx.row(_OBJECTS_IN, c=collection_id)
    return 0 if row is None else int(row[0])


def _copy_rows(source: Tx, target: Tx) -> None:
    for table in schema.metadata.sorted_tables:
        flags = [place for place, column in enumerate(table.columns) if isinstance(column.type, sa.Boolean)]
        for rows in _streamed(source, table):
            target.insert(table, [_with_flags(row, flags) for row in rows] if flags else rows)


def _with_flags(row: Row, flags: list[int]) -> Row:
    values = list(row)
    for place in flags:
        values[place] = bool(values[place])  # SQLite has no booleans, and PostgreSQL takes nothing else
    return tuple(values)


def _streamed(tx: Tx, table: sa.Table) -> Iterator[list[Row]]:
    """All rows of a table, some at a time; the driver does not hold the others either."""
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    driver: Any = tx.connection.connection.driver_connection
    options = {} if tx.dialect == "sqlite" else {"name": "copy", "binary": True}  # with a name it is streamed
    with closing(driver.cursor(**options)) as cursor:
        cursor.execute(f'select {names} from "{table.name}"')
        while rows := cursor.fetchmany(ROWS):
            yield rows


_COUNTS = {
    table.name: sa.text(f'select count(*) from "{table.name}"') for table in schema.metadata.sorted_tables
}
