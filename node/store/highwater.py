"""Notice a database that went back in time: a restored file, a rolled-back disk, a failed-over server.

Beside the keys, outside the database, one small file for each collection says how far its dates were
when we last looked. A collection whose dates are below its mark has lost what partners may have seen,
and would give the same dates twice: so it gets a new epoch, and dates above the mark.

The marks are written without fsync after each commit. A mark that a power cut took back only lets
one rollback go unseen; it never reports one that was not.

Reads and writes: files `highwater/<uuid>` in the data folder; `node` and `collection` through the catalog.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from node.store import catalog
from node.store.catalog import Collection, NodeRow
from node.store.database import Database, Tx

FOLDER = "highwater"

_MARK = re.compile(rb"([0-9]{20})\n")


@dataclass(frozen=True, slots=True)
class Recovery:
    """What `recover` found and did.

    Args:
        behind: Aliases of the collections whose dates were below their mark.
        other_server: The database is on another PostgreSQL server or timeline than before.
    """

    behind: tuple[str, ...]
    other_server: bool

    @property
    def new_history(self) -> bool:
        """Every collection got a new epoch, and every link waits for a person."""
        return bool(self.behind) or self.other_server


def note(data_dir: Path, collection_uuid: str, last_added: int) -> None:
    """Remember how far the dates of a collection are; call it after the commit that moved them.

    Args:
        data_dir: The node's data folder.
        collection_uuid: The id that TAXII shows.
        last_added: In microseconds; a mark that is higher already stays.
    """
    path = data_dir / FOLDER / collection_uuid
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # Two processes may come here in the other order than they committed.
        if last_added > _parsed(os.pread(file, 21, 0)):
            os.pwrite(file, b"%020d\n" % last_added, 0)
    finally:
        os.close(file)


def marks(data_dir: Path) -> dict[str, int]:
    """Every mark that can be read, by the id of its collection, in microseconds."""
    folder = data_dir / FOLDER
    if not folder.is_dir():
        return {}
    return {file.name: _parsed(file.read_bytes()) for file in folder.iterdir()}


def behind(marks: Mapping[str, int], collections: Iterable[Collection]) -> list[Collection]:
    """Those collections whose dates are below their mark.

    Args:
        marks: Read *before* the collections: a mark follows its commit, so the other order would
            take a collection that was written in between for one that went back.
        collections: As they stand in the database.
    """
    return [found for found in collections if found.last_added < marks.get(found.id, 0)]


def unmarked(marks: Mapping[str, int], collections: Iterable[Collection]) -> list[Collection]:
    """Those collections that hold something and have no mark: a copy of the database without its marks."""
    return [found for found in collections if found.last_added and found.id not in marks]


def recover(
    database: Database,
    data_dir: Path,
    *,
    now: int,
    new_id: Callable[[], str],
    new_secret: Callable[[], bytes],
    then: Callable[[Tx, Recovery], None] | None = None,
) -> Recovery:
    """Begin a new history if the database went back or is another server; call it whenever it is opened.

    Args:
        data_dir: The node's data folder, where the marks are.
        now: The present moment; new dates lie above it and above every mark.
        new_id: Random ids for epochs and for the instance.
        new_secret: 32 random bytes, so that no `next` of the lost history is taken again.
        then: What belongs to a new history beyond the store: every link is paused, the act recorded.
            It runs in the same transaction, or a crash in between would leave the links open.

    Returns:
        What was found.
    """
    identity = database.server_identity()
    known = marks(data_dir)
    with database.reading() as tx:
        node = catalog.node_row(tx)
        found = _judged(tx, node, known, identity)
        empty = [held for held in catalog.collections(tx) if not held.last_added]
    for held in empty:
        note(data_dir, held.id, 0)  # or a crash before its first mark would look like a copy without marks
    if not found.new_history and node.server_identity == identity:
        return found

    def work(tx: Tx) -> Recovery:
        catalog.lock_node(tx)  # another process may have started, and done it, at the same time
        node = catalog.node_row(tx)
        found = _judged(tx, node, known, identity)
        if found.new_history:
            catalog.renew_node(tx, instance=new_id(), secret=new_secret(), server_identity=identity)
            for held in catalog.collections(tx):
                catalog.lock(tx, held.collection_id)
                mark = max(now, known.get(held.id, 0))
                catalog.renew_epoch(tx, held.collection_id, epoch=new_id(), at_least=mark)
            if then is not None:
                then(tx, found)
        elif node.server_identity != identity:
            catalog.renew_node(tx, instance=node.instance, secret=node.secret, server_identity=identity)
        return found

    found = database.retrying(work)
    with database.reading() as tx:
        for held in catalog.collections(tx):
            note(data_dir, held.id, held.last_added)
    return found


def _judged(tx: Tx, node: NodeRow, known: Mapping[str, int], identity: str) -> Recovery:
    held = catalog.collections(tx)
    lost = behind(known, held)
    if tx.dialect == "sqlite":  # several hosts may share one PostgreSQL, each with marks of its own
        lost += unmarked(known, held)
    aliases = tuple(each.alias for each in lost)
    return Recovery(aliases, bool(node.server_identity) and node.server_identity != identity)


def _parsed(content: bytes) -> int:
    match = _MARK.fullmatch(content)
    return int(match[1]) if match else 0
