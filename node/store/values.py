"""Which rows name a value: a hint for `find`, made after the fact, by date, collection by collection.

Rule    Complete up to each collection's mark: whatever stands at or before it has its lines, because a row
        whose bytes change takes a new date, and dates are in commit order. Never exact: lines of rows that
        moved or went stay until they are swept out, and two values may share a hash. So every hit is held
        against the body of its row.

Writes  tables object_value, object_value_mark
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from node.store.database import Tx, spelled


class Line(NamedTuple):
    """The row at `added` names a value of this hash."""

    hash: int
    added: int


_FIRST, _LAST = -(2**63), 2**63 - 1

_PUT = sa.text(
    "insert into object_value (collection_id, hash, added) values (:c, :hash, :added)"
    " on conflict (collection_id, hash, added) do nothing"
)
_MARKS = sa.text("select collection_id, position from object_value_mark")
_SET_MARK = sa.text(
    "insert into object_value_mark (collection_id, position, swept) values (:c, :position, :first)"
    " on conflict (collection_id) do update set position ="
    " case when excluded.position > object_value_mark.position then excluded.position"
    " else object_value_mark.position end"
)
_HITS = spelled(
    "select v.collection_id, v.added from json_each(:hashes) j cross join object_value_mark m"
    " cross join object_value v on v.collection_id = m.collection_id and v.hash = j.value"
    " order by v.added desc limit :n",
    # Pair by pair: a table that statistics know as empty would be read whole.
    "select v.collection_id, v.added from object_value_mark m"
    " cross join unnest(cast(:hashes as int8[])) j(hash) cross join lateral (select * from object_value w"
    " where w.collection_id = m.collection_id and w.hash = j.hash offset 0) v"
    " order by v.added desc limit :n",
)
_SWEPT = sa.text("select swept from object_value_mark where collection_id = :c")
_SLICE = sa.text(
    "select hash from object_value where collection_id = :c and hash > :after order by hash limit 1 offset :n"
)
_SWEEP = spelled(
    "delete from object_value where collection_id = :c and hash > :after and hash <= :until and not exists"
    " (select 1 from object o where o.collection_id = :c and o.added = object_value.added)",
    "delete from object_value v where v.collection_id = :c and v.hash > :after and v.hash <= :until"
    ' and not exists (select 1 from "object" o where o.collection_id = v.collection_id'
    " and o.added = v.added)",
)
_ANY_GONE = spelled(
    "select 1 from object_value v where v.collection_id = :c and not exists"
    " (select 1 from object o where o.collection_id = v.collection_id and o.added = v.added) limit 1",
    "select 1 from object_value v where v.collection_id = :c and not exists"
    ' (select 1 from "object" o where o.collection_id = v.collection_id and o.added = v.added) limit 1',
)
_SET_SWEPT = sa.text("update object_value_mark set swept = :swept where collection_id = :c")


def hash_of(form: str) -> int:
    """The hash of a value's normal form: 8 bytes as a whole number with a sign."""
    digest = hashlib.blake2b(form.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def marks(tx: Tx) -> dict[int, int]:
    """The date up to which each collection is in the index; collections that never were are missing."""
    return {int(number): int(position) for number, position in tx.rows(_MARKS)}


def put(tx: Tx, collection_id: int, lines: Iterable[Line], *, mark: int) -> None:
    """Add the lines of the rows after a collection's mark, as far as its new mark.

    Args:
        tx: A transaction.
        collection_id: Whose rows they are.
        lines: Of every row between the mark and the new one; those that are there already are passed over.
        mark: A date; an indexer that was overtaken by another does not take it back.
    """
    # In the order of the key: neighbours lie on one page.
    ordered = sorted(set(lines))
    tx.many(_PUT, [{"c": collection_id, "hash": line.hash, "added": line.added} for line in ordered])
    tx.run(_SET_MARK, c=collection_id, position=mark, first=_FIRST)


def hits(tx: Tx, hashes: Iterable[int], *, limit: int) -> list[tuple[int, int]]:
    """(collection, date) of rows that may name one of some values, newest first."""
    found = tx.rows(_HITS, hashes=tx.listed(sorted(set(hashes))), n=limit)
    return list(dict.fromkeys((int(number), int(added)) for number, added in found))


def is_swept(tx: Tx, collection_id: int, *, at_most: int) -> bool:
    """Whether a collection has so few lines that they were looked at, and none is of a row that went.

    Of a larger index it is not known: each turn of `sweep` looks at its next part.
    """
    row = tx.row(_SWEPT, c=collection_id)
    if row is None:
        return True
    if int(row[0]) != _FIRST or tx.row(_SLICE, c=collection_id, after=_FIRST, n=at_most - 1) is not None:
        return False
    return tx.row(_ANY_GONE, c=collection_id) is None


def sweep(tx: Tx, collection_ids: Sequence[int], *, at_most: int) -> bool:
    """Take out lines of rows that went, in the next part of each collection's index.

    Each call goes on where the one before it ended, and after the end begins anew.

    Args:
        tx: A transaction.
        collection_ids: Of which collections.
        at_most: Lines that are looked at in each of them, or so.

    Returns:
        Whether the end of every index was reached.
    """
    ended = True
    for number in collection_ids:
        row = tx.row(_SWEPT, c=number)
        if row is None:
            continue
        last = tx.row(_SLICE, c=number, after=int(row[0]), n=at_most - 1)
        until = _LAST if last is None else int(last[0])
        tx.run(_SWEEP, c=number, after=int(row[0]), until=until)
        tx.run(_SET_SWEPT, c=number, swept=_FIRST if last is None else until)
        ended &= last is None
    return ended
