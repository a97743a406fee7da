"""Whether the database can do its work now, in words that say nothing of the inside.

Looks and changes nothing: a check that writes would wait for the writer of the moment, and strangers may
ask for it.

Reads   the database; the marks, the file and the disk of the data folder
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

from node.errors import NodeError
from node.store import catalog, highwater, migrate
from node.store.catalog import Collection
from node.store.database import Database
from node.store.servers import ServerChanged, StandbyRefused

LEAST_FREE = 32 * 1024 * 1024


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
        found = ["read-only"] if _is_read_only(database) else []
    except ServerChanged:
        return [_of_the_other(database)], []
    except StandbyRefused:
        return ["read-only"], []
    except NodeError:
        return ["database"], []
    if data_dir and _free(data_dir) < LEAST_FREE:
        found.append("disk")
    if highwater.behind(marks, collections):
        found.append("history")
    return found, collections


def _of_the_other(database: Database) -> str:
    """What keeps us from the server that is there now."""
    with closing(database.again()) as there:
        try:
            there.server_identity()
        except StandbyRefused:
            return "read-only"
        except NodeError:
            pass
    return "database"


def _is_read_only(database: Database) -> bool:
    if database.dialect == "postgresql":
        return False  # a standby lets nobody in
    file = Path(database.url.removeprefix("sqlite:///"))
    return not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK))


def _free(folder: Path) -> int:
    try:
        disk = os.statvfs(folder)
    except OSError:
        return 0
    return disk.f_bavail * disk.f_frsize
