"""What the node knows of an id beyond its rows: owner, restriction, tombstones, marking definitions.

An owner row stands for one id on the whole node and survives deletion and retention: it says who may
change the id, and how restricted the newest version ever stored was. Observables have none: nobody
owns them, and each row stands by its own marking.

Writes  tables owner, tombstone, marking, rank_task
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from node.store.database import Tx, spelled


class Owner(NamedTuple):
    """The owner row of an id."""

    stix_id: str
    owner: str
    rank: int
    newest_version: int


class Tombstone(NamedTuple):
    """A version that was deleted or erased here; `version` is 0 for objects without an instant."""

    collection_id: int
    stix_id: str
    spec_version: str
    version: int
    digest: bytes
    owner: str
    reason: str
    actor: str
    at: int


_OWNERS = spelled(
    "select o.stix_id, o.owner, o.rank, o.newest_version from json_each(:ids) j cross join owner o"
    " on o.stix_id = j.value",
    "select o.stix_id, o.owner, o.rank, o.newest_version from unnest(cast(:ids as text[])) j(id)"
    " join owner o on o.stix_id = j.id",
)
_HOLD = spelled(
    # SQLite's writer holds the whole database already.
    "select o.stix_id, o.owner, o.rank, o.newest_version from json_each(:ids) j cross join owner o"
    " on o.stix_id = j.value",
    "select o.stix_id, o.owner, o.rank, o.newest_version from unnest(cast(:ids as text[])) j(id)"
    " join owner o on o.stix_id = j.id order by o.stix_id for update of o",
)
_ADD_OWNER = sa.text(
    "insert into owner (stix_id, owner, rank, newest_version) values (:stix_id, :owner, :rank,"
    " :newest_version) on conflict (stix_id) do nothing"
)
_PUT_OWNER = sa.text(
    "insert into owner (stix_id, owner, rank, newest_version) values (:stix_id, :owner, :rank,"
    " :newest_version)"
    " on conflict (stix_id) do update set rank = excluded.rank, newest_version = excluded.newest_version"
    " where excluded.newest_version >= owner.newest_version"
)
_SET_BACK = sa.text(
    "update owner set rank = :rank, newest_version = :newest_version where stix_id = :stix_id"
    " and owner = :owner"
)
_TOMBSTONES = spelled(
    "select t.* from json_each(:ids) j cross join tombstone t on t.collection_id = :c and t.stix_id"
    " = j.value",
    "select t.* from unnest(cast(:ids as text[])) j(id) join tombstone t on t.collection_id = :c and"
    " t.stix_id = j.id",
)
_TOMBSTONES_OF = sa.text("select * from tombstone where stix_id = :id")
_BURY = sa.text(
    "insert into tombstone (collection_id, stix_id, spec_version, version, digest, owner, reason, actor, at)"
    " values (:collection_id, :stix_id, :spec_version, :version, :digest, :owner, :reason, :actor, :at)"
    " on conflict (collection_id, stix_id, spec_version, version, digest)"
    " do update set reason = excluded.reason, actor = excluded.actor, at = excluded.at"
)
_LIFT = sa.text(
    "delete from tombstone where collection_id = :collection_id and stix_id = :stix_id"
    " and spec_version = :spec_version and version = :version and digest = :digest"
)
_MARKINGS = sa.text("select stix_id, origin, author, meaning from marking")
_PUT_MARKING = sa.text(
    "insert into marking (stix_id, origin, author, meaning) values (:stix_id, :origin, :author, :meaning)"
    " on conflict (stix_id, origin) do update set author = excluded.author, meaning = excluded.meaning"
)
_DROP_MARKING = sa.text("delete from marking where stix_id = :stix_id and origin = :origin")
_TASKS = sa.text("select kind, stix_id, stamp from rank_task order by kind, stix_id")
_PUT_TASK = sa.text(
    "insert into rank_task (kind, stix_id, stamp) values (:kind, :stix_id, :stamp)"
    " on conflict (kind, stix_id) do update set stamp ="
    " case when excluded.stamp > rank_task.stamp then excluded.stamp else rank_task.stamp + 1 end"
)
_END_TASK = sa.text("delete from rank_task where kind = :kind and stix_id = :stix_id and stamp = :stamp")


def owners(tx: Tx, ids: Iterable[str]) -> dict[str, Owner]:
    """The owner rows of the given ids."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    return {row[0]: Owner(*row) for row in tx.rows(_OWNERS, ids=tx.listed(wanted))}


def hold_owners(tx: Tx, ids: Iterable[str]) -> dict[str, Owner]:
    """The owner rows of the given ids, held against every other writer until the transaction ends.

    An id may stand in several collections, whose locks do not keep two writers of one id apart; its owner
    row does. What was read of the id before must be compared with what comes back.
    """
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    return {row[0]: Owner(*row) for row in tx.rows(_HOLD, ids=tx.listed(wanted))}


def add_owners(tx: Tx, rows: Sequence[Owner]) -> bool:
    """Write the owner rows of ids that the node never held; whether all of them are new indeed.

    Another writer may have brought an id meanwhile: its row stands then, and is waited for.
    """
    return tx.many(_ADD_OWNER, [row._asdict() for row in sorted(rows)]) == len(rows)


def put_owners(tx: Tx, rows: Sequence[Owner]) -> None:
    """Write owner rows; an existing one keeps its owner and never goes back to an older version."""
    tx.many(_PUT_OWNER, [row._asdict() for row in sorted(rows)])


def set_back(tx: Tx, rows: Sequence[Owner]) -> None:
    """Write the rank and newest version of ids of which newer versions were taken out by a person."""
    tx.many(_SET_BACK, [row._asdict() for row in sorted(rows)])


def tombstones(tx: Tx, collection_id: int, ids: Iterable[str]) -> dict[str, list[Tombstone]]:
    """The tombstones of the given ids in one collection."""
    found: dict[str, list[Tombstone]] = {}
    wanted = sorted(set(ids))
    if wanted:
        for row in tx.rows(_TOMBSTONES, ids=tx.listed(wanted), c=collection_id):
            found.setdefault(row[1], []).append(_tombstone(row))
    return found


def tombstones_of(tx: Tx, stix_id: str) -> list[Tombstone]:
    """The tombstones of one id in all collections."""
    return [_tombstone(row) for row in tx.rows(_TOMBSTONES_OF, id=stix_id)]


def bury(tx: Tx, rows: Sequence[Tombstone]) -> None:
    """Leave tombstones."""
    tx.many(_BURY, [row._asdict() for row in rows])


def lift(tx: Tx, row: Tombstone) -> None:
    """Take one tombstone away."""
    tx.run(
        _LIFT,
        collection_id=row.collection_id,
        stix_id=row.stix_id,
        spec_version=row.spec_version,
        version=row.version,
        digest=row.digest,
    )


class Definition(NamedTuple):
    """What one marking definition means, as one origin brought it."""

    stix_id: str
    origin: str
    author: str
    meaning: int


def definitions(tx: Tx) -> list[Definition]:
    """Every marking definition held, by origin."""
    return [Definition(*row) for row in tx.rows(_MARKINGS)]


def put_definition(tx: Tx, definition: Definition, *, now: int) -> None:
    """Note what a marking definition means, and that rows naming it must be ranked again."""
    before = {one.origin: one for one in definitions(tx) if one.stix_id == definition.stix_id}
    tx.run(_PUT_MARKING, **definition._asdict())
    if before.get(definition.origin) != definition:
        add_task(tx, "redefined" if before else "marking", definition.stix_id, now=now)


def drop_definition(tx: Tx, stix_id: str, origin: str, *, now: int) -> None:
    """Forget a marking definition that is no longer held, and have rows naming it ranked again."""
    tx.run(_DROP_MARKING, stix_id=stix_id, origin=origin)
    add_task(tx, "redefined", stix_id, now=now)


class Task(NamedTuple):
    """Rows to rank again.

    `marking`: those that wait for a new definition; `redefined`: all that may name one that changed or
    went; `id`: those of one object id.
    """

    kind: str
    stix_id: str
    stamp: int


def add_task(tx: Tx, kind: str, stix_id: str, *, now: int) -> None:
    """Have rows ranked again."""
    tx.run(_PUT_TASK, kind=kind, stix_id=stix_id, stamp=now)


def tasks(tx: Tx) -> list[Task]:
    """What must be ranked again."""
    return [Task(*row) for row in tx.rows(_TASKS)]


def end_task(tx: Tx, task: Task) -> None:
    """Strike off one task, unless it was asked for again meanwhile."""
    tx.run(_END_TASK, **task._asdict())


def meanings_for(
    known: Sequence[Definition], origin: str, *, public: frozenset[str], created_by: str | None = None
) -> Mapping[str, int]:
    """The marking definitions that count for rows of one origin and author.

    Our own count for every row. A partner's count for the rows it brought itself, and, if its author is a
    public identity, for public objects: otherwise a partner could lower what others marked, for it may
    write whatever author it likes.

    Args:
        known: All definitions held.
        origin: `local` or the partner that brought the row.
        public: Identities whose objects belong to nobody.
        created_by: The author of the row.

    Returns:
        id -> rank; the strictest where several count.
    """
    counted: dict[str, int] = {}
    for one in known:
        mine = one.origin in ("local", origin)
        if mine or (one.author in public and created_by in public):
            counted[one.stix_id] = max(one.meaning, counted.get(one.stix_id, one.meaning))
    return counted


def _tombstone(row: Sequence[Any]) -> Tombstone:
    return Tombstone._make((*row[:4], bytes(row[4]), *row[5:]))
