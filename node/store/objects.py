"""Object versions: rows by key and position, flags, and the pages that are read from them.

Only the rooms of the door (`node/exchange`) may import this module: whoever could read these rows
elsewhere could hand them out unjudged. The bytes in `body` are the sender's and are never decoded here.
Every function that writes is called under the collection's lock (`catalog.lock`).

Writes  tables object, object_history
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from node.store import schema
from node.store.database import Tx, spelled


class Held(NamedTuple):
    """One row without its body, in the order of `_HELD`."""

    collection_id: int
    added: int
    version: int
    rank: int
    effective_rank: int
    flow_id: int
    versionless: bool
    observable: bool
    organisation: bool
    revoked: bool
    is_first: bool
    is_last: bool
    is_newest_spec: bool
    stix_id: str
    version_text: str
    type: str
    spec_version: str
    created_by: str | None
    origin: str
    digest: bytes
    arrival_id: int


class HeldBody(NamedTuple):
    """A row and its bytes."""

    held: Held
    body: bytes


_HELD = ", ".join("o." + name for name in Held._fields)
WANTED_POSTGRESQL = (
    "unnest(array_fill(cast(:c as int4), array[cardinality(cast(:ids as text[]))]),"
    " cast(:ids as text[])) j(c, id)"
)

_LAST = 2**63 - 1
_BY_IDS = spelled(
    f"select {_HELD} from json_each(:ids) j cross join collection c cross join object o indexed by object_id"
    " where o.collection_id = c.collection_id and o.stix_id = j.value",
    # The offset keeps the pairs together: apart, the id alone would be looked for, in the whole index.
    f"select {_HELD} from (select c.collection_id, j.id from collection c"
    " cross join unnest(cast(:ids as text[])) j(id) offset 0) w"
    ' join "object" o on o.collection_id = w.collection_id and o.stix_id = w.id',
)
_BODIES_BY_IDS = spelled(
    f"select {_HELD}, o.body from json_each(:ids) j cross join object o indexed by object_id"
    " where o.collection_id = :c and o.stix_id = j.value order by o.added",
    # The collection as an array: with a plain parameter an unanalysed collection is read whole.
    f"select {_HELD}, o.body from {WANTED_POSTGRESQL}"
    ' join "object" o on o.collection_id = j.c and o.stix_id = j.id order by o.added',
)
_BODY = sa.text('select body from "object" where collection_id = :c and added = :a')
_WALK = sa.text(
    'select added, stix_id from "object" where collection_id = :c and added > :a order by added limit :n'
)
_WINDOW = sa.text(
    'select added from "object" where collection_id = :c and added > :a order by added limit 1 offset :n'
)
_WINDOW_UNKNOWN = sa.text(
    'select added from "object" where collection_id = :c and added > :a and rank = 5'
    " order by added limit 1 offset :n"
)
# The bytes are only searched, not decoded: an id may stand in them by chance, or in escapes, and no matter.
_NAMING_SQLITE = (
    f"select {_HELD}, o.body from object o where o.collection_id = :c and o.added > :a and o.added <= :until"
    " and (instr(o.body, cast('\\u' as blob)) > 0"
    " or exists (select 1 from json_each(:ids) j where instr(o.body, cast(j.value as blob)) > 0))"
)
_NAMING_POSTGRESQL = (
    f'select {_HELD}, o.body from "object" o where o.collection_id = :c and o.added > :a'
    " and o.added <= :until and (position(cast('\\x5c75' as bytea) in o.body) > 0 or exists (select 1 from"
    " unnest(cast(:ids as text[])) j(id) where position(convert_to(j.id, 'UTF8') in o.body) > 0))"
)
_NAMING = spelled(f"{_NAMING_SQLITE} order by o.added", f"{_NAMING_POSTGRESQL} order by o.added")
_NAMING_UNKNOWN = spelled(
    f"{_NAMING_SQLITE} and o.rank = 5 order by o.added",
    f"{_NAMING_POSTGRESQL} and o.rank = 5 order by o.added",
)
_ALL = sa.text(
    f'select {_HELD}, o.body from "object" o where o.collection_id = :c and o.added > :a order by'
    f" o.added limit :n"
)
_EXPIRED = sa.text(
    f'select {_HELD} from "object" o where o.collection_id = :c and o.added < :before and o.flow_id = :f'
    " order by o.added limit :n"
)
_BROUGHT = spelled(
    f'select {_HELD} from "object" o where o.collection_id = :c and o.added > :a'
    " and o.arrival_id in (select value from json_each(:arrivals)) order by o.added",
    f'select {_HELD} from "object" o where o.collection_id = :c and o.added > :a'
    " and o.arrival_id = any(cast(:arrivals as int8[])) order by o.added",
)
_REPLACED_UNDER = sa.text(
    "select collection_id, replaced_at, stix_id, added, version, spec_version, origin, reason, flow_id,"
    " digest, body from object_history where collection_id = :c and stix_id = :id"
    " and spec_version = :spec and version = :version and replaced_at >= :since"
    " and reason in ('restated', 'replaced') order by replaced_at desc"
)
_FLAGGED = sa.text(
    'select type, spec_version, body from "object" where collection_id = :c and added = :a and flagged'
)
_FLAGGED_AMOUNT = sa.text('select count(*) from "object" where collection_id = :c and flagged')
_AMOUNT = sa.text('select count(*), coalesce(sum(length(body)), 0) from "object" where collection_id = :c')
_FLAGS = sa.text(
    'update "object" set is_first = :is_first, is_last = :is_last, is_newest_spec = :is_newest_spec,'
    " added = :moved where collection_id = :c and added = :a"
)
_RANK = sa.text(
    'update "object" set rank = :rank, effective_rank = :effective, added = :moved where'
    " collection_id = :c and added = :a"
)
_TIGHTEN = spelled(
    "update object set effective_rank = :rank where effective_rank < :rank and not observable and rowid in"
    " (select o.rowid from collection c cross join object o indexed by object_id"
    "  where o.collection_id = c.collection_id and o.stix_id = :id and c.collection_id <> :c)",
    'update "object" o set effective_rank = :rank from (select collection_id from collection'
    " where collection_id <> :c offset 0) c where o.collection_id = c.collection_id and o.stix_id = :id"
    " and o.effective_rank < :rank and not o.observable",
)
_DELETE = sa.text('delete from "object" where collection_id = :c and added = :a')
_TO_HISTORY = sa.text(
    "insert into object_history (collection_id, replaced_at, stix_id, added, version, spec_version,"
    " origin, reason, flow_id, digest, body) values (:collection_id, :replaced_at, :stix_id, :added,"
    " :version, :spec_version, :origin, :reason, :flow_id, :digest, :body)"
)
_IN_HISTORY = sa.text(
    "select 1 from object_history where collection_id = :collection_id and stix_id = :stix_id"
    " and digest = :digest limit 1"
)
_ERASE_HISTORY = sa.text(
    "delete from object_history where collection_id = :c and flow_id = :f and added < :before"
)
_HISTORY_OF = sa.text(
    "select replaced_at, version, digest, origin, reason from object_history where stix_id = :id"
    " order by replaced_at"
)


def held_by_ids(tx: Tx, ids: Iterable[str]) -> dict[str, list[Held]]:
    """Every row of the given ids, in all collections of the node, without bodies."""
    found: dict[str, list[Held]] = {}
    wanted = sorted(set(ids))
    if wanted:
        for row in tx.rows(_BY_IDS, ids=tx.listed(wanted)):
            held = _held(row)
            found.setdefault(held.stix_id, []).append(held)
    return found


def bodies_by_ids(tx: Tx, collection_id: int, ids: Iterable[str]) -> list[HeldBody]:
    """Every row of the given ids in one collection with its bytes, in order of `date_added`."""
    wanted = sorted(set(ids))
    if not wanted:
        return []
    return [_with_body(row) for row in tx.rows(_BODIES_BY_IDS, ids=tx.listed(wanted), c=collection_id)]


def body_at(tx: Tx, collection_id: int, added: int) -> bytes | None:
    """The bytes of the row at one position."""
    row = tx.row(_BODY, c=collection_id, a=added)
    return None if row is None else bytes(row[0])


def walk(tx: Tx, collection_id: int, after: int, limit: int) -> list[tuple[int, str]]:
    """(date_added, id) of the rows after a position, in order."""
    return [(int(added), stix_id) for added, stix_id in tx.rows(_WALK, c=collection_id, a=after, n=limit)]


def naming(
    tx: Tx, collection_id: int, ids: Iterable[str], *, after: int, window: int, unknown: bool
) -> tuple[list[HeldBody], int | None]:
    """The rows that may name one of some ids, among those next in order.

    Args:
        tx: A transaction.
        collection_id: Which collection.
        ids: What is named, at any place in an object; rows that only seem to name it come too.
        after: A position.
        window: How many rows to look at.
        unknown: Look only at rows whose marking is unknown.

    Returns:
        The rows, and the position up to which rows were looked at; None when there are no more.
    """
    windows, rows = (_WINDOW_UNKNOWN, _NAMING_UNKNOWN) if unknown else (_WINDOW, _NAMING)
    last = tx.row(windows, c=collection_id, a=after, n=window - 1)
    until = None if last is None else int(last[0])
    found = tx.rows(
        rows,
        c=collection_id,
        a=after,
        until=_LAST if until is None else until,
        ids=tx.listed(sorted(set(ids))),
    )
    return [_with_body(row) for row in found], until


def all_after(tx: Tx, collection_id: int, after: int, limit: int) -> list[HeldBody]:
    """All rows after a position, with bodies."""
    return [_with_body(row) for row in tx.rows(_ALL, c=collection_id, a=after, n=limit)]


def expired(tx: Tx, collection_id: int, flow_id: int, before: int, limit: int) -> list[Held]:
    """Rows that one flow brought before a moment."""
    return [_held(row) for row in tx.rows(_EXPIRED, c=collection_id, f=flow_id, before=before, n=limit)]


def brought_after(tx: Tx, collection_id: int, after: int, arrivals: Sequence[int]) -> list[Held]:
    """Rows after a position that some arrivals brought, in order."""
    wanted = tx.listed(sorted(arrivals))
    return [_held(row) for row in tx.rows(_BROUGHT, c=collection_id, a=after, arrivals=wanted)]


def amount(tx: Tx, collection_id: int) -> tuple[int, int]:
    """How many rows a collection has and how many bytes of body they hold."""
    row = tx.row(_AMOUNT, c=collection_id)
    return (0, 0) if row is None else (int(row[0]), int(row[1]))


def flagged_at(tx: Tx, collection_id: int, added: int) -> tuple[str, str, bytes] | None:
    """Type, spec_version and bytes of the row at one position, if it was flagged when it came."""
    row = tx.row(_FLAGGED, c=collection_id, a=added)
    return None if row is None else (row[0], row[1], bytes(row[2]))


def flagged_amount(tx: Tx, collection_id: int) -> int:
    """How many rows of a collection were flagged when they came."""
    row = tx.row(_FLAGGED_AMOUNT, c=collection_id)
    return 0 if row is None else int(row[0])


class NewRow(NamedTuple):
    """A complete row, in the order of the table's columns."""

    collection_id: int
    added: int
    version: int
    rank: int
    effective_rank: int
    flow_id: int
    arrival_id: int
    versionless: bool
    observable: bool
    organisation: bool
    revoked: bool
    flagged: bool
    is_first: bool
    is_last: bool
    is_newest_spec: bool
    confidence: int | None
    valid_until: int | None
    stix_id: str
    version_text: str
    type: str
    spec_version: str
    created_by: str | None
    origin: str
    digest: bytes
    body: bytes


def insert(tx: Tx, rows: Sequence[NewRow]) -> None:
    """Store new rows; their keys and positions are free, which the collection's lock guarantees."""
    tx.insert(schema.object_, rows)


class Flagged(NamedTuple):
    """New flags of the row at `added`, which takes the position `moved` (the same, unless it moves)."""

    added: int
    is_first: bool
    is_last: bool
    is_newest_spec: bool
    moved: int


def set_flags(tx: Tx, collection_id: int, changes: Sequence[Flagged]) -> None:
    """Write the flags of rows whose flags changed."""
    tx.many(
        _FLAGS,
        [
            {
                "c": collection_id,
                "a": one.added,
                "is_first": one.is_first,
                "is_last": one.is_last,
                "is_newest_spec": one.is_newest_spec,
                "moved": one.moved,
            }
            for one in changes
        ],
    )


def set_rank(tx: Tx, held: Held, *, rank: int, effective: int, moved: int | None = None) -> None:
    """Write a row's own and effective rank; with `moved` the row takes that new `date_added`."""
    tx.run(
        _RANK,
        c=held.collection_id,
        a=held.added,
        rank=rank,
        effective=effective,
        moved=held.added if moved is None else moved,
    )


def tighten_elsewhere(tx: Tx, stix_id: str, *, rank: int, except_collection: int) -> int:
    """Raise the effective rank of an id's rows in the other collections; how many rows it raised."""
    return tx.run(_TIGHTEN, id=stix_id, rank=rank, c=except_collection)


def remove(tx: Tx, held: Held) -> None:
    """Take one row out of its collection."""
    tx.run(_DELETE, c=held.collection_id, a=held.added)


class Replaced(NamedTuple):
    """Bytes that stand under a key no longer, in the order of the history's columns.

    `added` is their `date_added`; where they never stood, the moment they came.
    """

    collection_id: int
    replaced_at: int
    stix_id: str
    added: int
    version: int
    spec_version: str
    origin: str
    reason: str
    flow_id: int
    digest: bytes
    body: bytes


def to_history(tx: Tx, replaced: Replaced) -> None:
    """Keep bytes that were replaced, or that lost a tie; they are never served. The same are kept once."""
    key = {"collection_id": replaced.collection_id, "stix_id": replaced.stix_id, "digest": replaced.digest}
    if tx.row(_IN_HISTORY, **key) is None:
        tx.run(_TO_HISTORY, **replaced._asdict())


def replaced_under(tx: Tx, held: Held, *, since: int) -> list[Replaced]:
    """The texts that stood under a row's key and were replaced since a moment, the last replaced first."""
    rows = tx.rows(
        _REPLACED_UNDER,
        c=held.collection_id,
        id=held.stix_id,
        spec=held.spec_version,
        version=held.version,
        since=since,
    )
    return [Replaced._make((*row[:9], bytes(row[9]), bytes(row[10]))) for row in rows]


def erase_history(tx: Tx, collection_id: int, flow_id: int, before: int) -> int:
    """Erase replaced bytes that one flow brought before a moment; how many."""
    return tx.run(_ERASE_HISTORY, c=collection_id, f=flow_id, before=before)


def history(tx: Tx, stix_id: str) -> list[tuple[int, int, bytes, str, str]]:
    """(replaced_at, version, digest, origin, reason) of an id's replaced bytes."""
    return [(int(a), int(v), bytes(d), o, r) for a, v, d, o, r in tx.rows(_HISTORY_OF, id=stix_id)]


def _held(row: Sequence[Any]) -> Held:
    return Held._make((*row[:6], *map(bool, row[6:13]), *row[13:19], bytes(row[19]), row[20]))


def _with_body(row: Sequence[Any]) -> HeldBody:
    return HeldBody(_held(row), bytes(row[-1]))
