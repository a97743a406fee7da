"""Whether the database can do its work now, in words that say nothing of the inside.

Looks and changes nothing: a check that writes would wait for the writer of the moment, and strangers may
ask for it.

Reads   the database; the marks, the file and the disk of the data folder
"""

from __future__ import annotations

import os
from pathlib import Path

import sqlalchemy as sa

from node.errors import NodeError
from node.store import catalog, highwater, migrate
from node.store.catalog import Collection
from node.store.database import Database, Tx

LEAST_FREE = 32 * 1024 * 1024

_IN_RECOVERY = sa.text("select pg_is_in_recovery()")


def faults(database: Database, data_dir: Path | None) -> tuple[list[str], list[Collection]]:
    """What keeps the database from its work, and its collections.

    Args:
        database: Of this process.
        data_dir: The node's data folder; None where there are no marks (tests).

    Returns:
        Words: `database` (not to be reached), `schema` (of another version), `read-only`, `disk` (nearly
        full), `history` (it went back in time).
    """
    try:
        marks = highwater.marks(data_dir) if data_dir else {}  # read before the collections, see there
        if migrate.current(database) != migrate.REVISIONS[-1]:
            return ["schema"], []
        with database.reading() as tx:
            collections = catalog.collections(tx)
            found = ["read-only"] if _is_read_only(tx, database) else []
    except NodeError:
        return ["database"], []
    if data_dir and _free(data_dir) < LEAST_FREE:
        found.append("disk")
    if highwater.behind(marks, collections):
        found.append("history")
    return found, collections


def _is_read_only(tx: Tx, database: Database) -> bool:
    if tx.dialect == "postgresql":
        row = tx.row(_IN_RECOVERY)
        return row is None or bool(row[0])
    file = Path(database.url.removeprefix("sqlite:///"))
    return not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK))


def _free(folder: Path) -> int:
    try:
        disk = os.statvfs(folder)
    except OSError:
        return 0
    return disk.f_bavail * disk.f_frsize
