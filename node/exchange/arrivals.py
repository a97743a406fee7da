"""Which import, POST, pull or push brought rows, and how they were counted.

Writes  table arrival
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from node.store.database import Tx

_OPEN = sa.text(
    "insert into arrival (at, kind, collection_id, link, actor, source, counts)"
    " values (:at, :kind, :collection_id, :link, :actor, :source, :counts) returning arrival_id"
)
_COUNTS = sa.text("select counts from arrival where arrival_id = :a")
_SET_COUNTS = sa.text("update arrival set counts = :counts where arrival_id = :a")
_RECENT = sa.text(
    "select arrival_id, at, kind, collection_id, link, actor, source, counts from arrival order by"
    " arrival_id desc limit :n"
)
_ONE = sa.text(
    "select arrival_id, at, kind, collection_id, link, actor, source, counts from arrival where"
    " arrival_id = :a"
)
_SINCE = sa.text(
    "select arrival_id, at, kind, collection_id, link, actor, source, counts from arrival where"
    " link = :link and at >= :since order by at"
)
# A pull alone takes more than one transaction, and a link has one at a time.
_PULL_BEFORE = sa.text(
    "select arrival_id, at, kind, collection_id, link, actor, source, counts from arrival where"
    " link = :link and at < :since and kind = 'pull' order by at desc limit 1"
)
_NAME = re.compile(r"a-0*([0-9]{1,18})", re.ASCII)


class Arrival(NamedTuple):
    """One run that brought objects."""

    arrival_id: int
    at: int
    kind: str
    collection_id: int
    link: str
    actor: str
    source: str
    counts: Mapping[str, int]


def open_arrival(
    tx: Tx, *, kind: str, collection_id: int, link: str, actor: str, source: str, now: int
) -> int:
    """The number of a new arrival.

    Args:
        tx: The transaction that stores its first objects.
        kind: `import`, `post`, `pull` or `push`.
        collection_id: Where it goes.
        link: Name of the link, or `""`.
        actor: `account:NAME`, `person:NAME`, `os:NAME` or `worker`.
        source: File name or address, for people.
        now: Microseconds.
    """
    row = tx.row(
        _OPEN,
        at=now,
        kind=kind,
        collection_id=collection_id,
        link=link,
        actor=actor,
        source=source,
        counts="{}",
    )
    assert row is not None  # a RETURNING insert answers with its row
    return int(row[0])


def add_counts(tx: Tx, arrival_id: int, counts: Counter[str]) -> None:
    """Add what one transaction of an arrival did to its counts."""
    row = tx.row(_COUNTS, a=arrival_id)
    total = Counter(json.loads(row[0]) if row else {})
    total.update(counts)
    tx.run(_SET_COUNTS, a=arrival_id, counts=json.dumps(dict(sorted(total.items()))))


def recent(tx: Tx, limit: int = 50) -> list[Arrival]:
    """The last arrivals, newest first."""
    return [_arrival(row) for row in tx.rows(_RECENT, n=limit)]


def since(tx: Tx, link: str, moment: int) -> list[Arrival]:
    """What a link brought since a moment, and the last pull before, which may have been under way then."""
    return [
        _arrival(row) for each in (_PULL_BEFORE, _SINCE) for row in tx.rows(each, link=link, since=moment)
    ]


def name_of(arrival_id: int) -> str:
    """What people call an arrival: `a-0017`."""
    return f"a-{arrival_id:04d}"


def named(tx: Tx, text: str) -> Arrival | None:
    """The arrival that people call so; None if there is none."""
    match = _NAME.fullmatch(text.strip().lower())
    return None if match is None else find(tx, int(match[1]))


def find(tx: Tx, arrival_id: int) -> Arrival | None:
    """One arrival by its number."""
    row = tx.row(_ONE, a=arrival_id)
    return None if row is None else _arrival(row)


def _arrival(row: tuple[Any, ...]) -> Arrival:
    return Arrival._make((*row[:7], json.loads(row[7])))
