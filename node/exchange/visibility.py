"""What a SOC account sees of a collection, what it does not see and why, and how far behind it is.

Rule    Counted are the newest versions: what a listing without filters would bring. The rank of every row
        stands in an index and is counted whole; which flow brought a row does not, so where an audience
        counts, only the newest rows are looked at, and the answer says so. A row above the clearance is
        counted there, whoever brought it.

Reads   tables object, flow, tombstone. Writes nothing; no body is touched
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from node.exchange.egress import Reader, eyes
from node.exchange.selection import Versions, chosen
from node.stix.markings import TLP, UNKNOWN
from node.store import catalog, objects, owners
from node.store.catalog import Collection
from node.store.database import Tx, spelled
from node.store.objects import Held
from node.store.owners import Tombstone

NEWEST = 50_000
"""Rows that are looked at one by one at most, to count by flow: some tenths of a second."""

ABOVE, UNKNOWN_MARKING, OTHER_AUDIENCE = "clearance", "unknown_marking", "audience"

_LIVE = "o.collection_id = :c and o.is_last = 1 and o.is_newest_spec = 1"
_LIVE_POSTGRESQL = "o.collection_id = :c and o.is_last and o.is_newest_spec"
_RANKS = spelled(
    f"select o.effective_rank, count(*) from object o indexed by object_live where {_LIVE} group by 1",
    f'select o.effective_rank, count(*) from "object" o where {_LIVE_POSTGRESQL} group by 1',
)
_NEWEST_BY_FLOW = spelled(
    "select w.effective_rank, w.flow_id, count(*) from (select o.effective_rank, o.flow_id"
    f" from object o indexed by object_live where {_LIVE} order by o.added desc limit :n) w group by 1, 2",
    "select w.effective_rank, w.flow_id, count(*) from (select o.effective_rank, o.flow_id"
    f' from "object" o where {_LIVE_POSTGRESQL} order by o.added desc limit :n) w group by 1, 2',
)
_AFTER = spelled(
    "select w.effective_rank, 0, count(*), min(w.added) from (select o.effective_rank, o.added"
    f" from object o indexed by object_live where {_LIVE} and o.added > :a order by o.added limit :n) w"
    " group by 1",
    "select w.effective_rank, 0, count(*), min(w.added) from (select o.effective_rank, o.added"
    f' from "object" o where {_LIVE_POSTGRESQL} and o.added > :a order by o.added limit :n) w group by 1',
)
_AFTER_BY_FLOW = spelled(
    "select w.effective_rank, w.flow_id, count(*), min(w.added) from"
    " (select o.effective_rank, o.flow_id, o.added from object o indexed by object_live"
    f" where {_LIVE} and o.added > :a order by o.added limit :n) w group by 1, 2",
    "select w.effective_rank, w.flow_id, count(*), min(w.added) from"
    f' (select o.effective_rank, o.flow_id, o.added from "object" o where {_LIVE_POSTGRESQL}'
    " and o.added > :a order by o.added limit :n) w group by 1, 2",
)


@dataclass(frozen=True, slots=True)
class Share:
    """How much of a collection an account sees.

    Args:
        total: Newest versions in the collection.
        looked_at: How many of them, the last added, the other figures are about; mostly all.
        seen: What it sees.
        above: Hidden by its clearance, by rank.
        unknown: Hidden because a marking cannot be judged here; only RED sees those.
        other_audience: Hidden by its audience, by the name of the flow that brought it.
    """

    total: int
    looked_at: int
    seen: int
    above: Mapping[int, int]
    unknown: int
    other_audience: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Behind:
    """What was added for an account since a date.

    Args:
        count: Objects that it sees and has not read.
        oldest: `date_added` of the first of them, in microseconds; None if there is none.
        exact: False: there are more rows than were looked at.
    """

    count: int
    oldest: int | None
    exact: bool


@dataclass(frozen=True, slots=True)
class SeenVersion:
    """One version of an object in a collection, and whether an account sees it.

    Args:
        flow: Name of the flow that brought it; "local" for our own.
        audience: Who may read what that flow brings.
        cause: Why it is hidden (`clearance`, `unknown_marking`, `audience`); "" when it is seen.
        by_default: It comes without `match[version]`.
    """

    held: Held
    flow: str
    audience: tuple[str, ...]
    cause: str
    by_default: bool


@dataclass(frozen=True, slots=True)
class ObjectSeen:
    """Everything that is known of one id for an account and a collection."""

    versions: list[SeenVersion]
    elsewhere: list[str] = field(default_factory=list)
    removed: list[Tombstone] = field(default_factory=list)


def share(tx: Tx, collection: Collection, reader: Reader, *, at_most: int = NEWEST) -> Share:
    """How much of a collection an account sees, and what hides the rest.

    Args:
        tx: A reader.
        collection: Which collection.
        reader: The account's eyes.
        at_most: Rows that are looked at one by one, where its audience does not open every flow.
    """
    ranks = {int(rank): int(count) for rank, count in tx.rows(_RANKS, c=collection.collection_id)}
    closed = _closed_flows(tx, reader)
    if closed:
        rows = tx.rows(_NEWEST_BY_FLOW, c=collection.collection_id, n=at_most)
    else:
        rows = [(rank, 0, count) for rank, count in ranks.items()]
    above, audience = Counter[int](), Counter[str]()
    seen = unknown = looked_at = 0
    for rank, flow, count in rows:
        looked_at += int(count)
        cause = _cause(int(rank), int(flow), reader, closed)
        if cause == UNKNOWN_MARKING:
            unknown += int(count)
        elif cause == ABOVE:
            above[int(rank)] += int(count)
        elif cause == OTHER_AUDIENCE:
            audience[closed[int(flow)]] += int(count)
        else:
            seen += int(count)
    return Share(sum(ranks.values()), looked_at, seen, above, unknown, audience)


def behind(tx: Tx, collection: Collection, reader: Reader, since: int, *, at_most: int) -> Behind:
    """What an account has not read yet.

    Args:
        tx: A reader.
        collection: Which collection, as its row stands now.
        reader: The account's eyes.
        since: Microseconds: the date up to which it has read.
        at_most: Rows that are looked at, whether it sees them or not.
    """
    if collection.last_added <= since:
        return Behind(0, None, exact=True)
    closed = _closed_flows(tx, reader)
    statement = _AFTER_BY_FLOW if closed else _AFTER
    rows = tx.rows(statement, c=collection.collection_id, a=since, n=at_most)
    theirs = [row for row in rows if not _cause(int(row[0]), int(row[1]), reader, closed)]
    return Behind(
        sum(int(row[2]) for row in theirs),
        min((int(row[3]) for row in theirs), default=None),
        exact=sum(int(row[2]) for row in rows) < at_most,
    )


def one_object(tx: Tx, collection: Collection, reader: Reader, stix_id: str) -> ObjectSeen:
    """Which versions of an id an account sees in a collection, and why not the others."""
    rows = objects.held_by_ids(tx, [stix_id]).get(stix_id, [])
    here = sorted(
        (row for row in rows if row.collection_id == collection.collection_id), key=lambda row: row.added
    )
    flows, closed, sees = catalog.flows(tx), _closed_flows(tx, reader), eyes(tx, reader)
    default = {row.added for row in chosen([row for row in here if sees(row)], Versions(), None)}
    aliases = {one.collection_id: one.alias for one in catalog.collections(tx)}
    return ObjectSeen(
        [
            SeenVersion(
                row,
                *flows.get(row.flow_id, ("", ())),
                "" if sees(row) else _cause(row.effective_rank, row.flow_id, reader, closed),
                row.added in default,
            )
            for row in here
        ],
        sorted({aliases[row.collection_id] for row in rows if row not in here}),
        [one for one in owners.tombstones_of(tx, stix_id) if one.collection_id == collection.collection_id],
    )


def _closed_flows(tx: Tx, reader: Reader) -> dict[int, str]:
    """The flows whose rows the reader does not see, by number."""
    return {
        number: name
        for number, (name, audience) in catalog.flows(tx).items()
        if number != catalog.LOCAL_FLOW and not set(audience) & set(reader.audience)
    }


def _cause(rank: int, flow: int, reader: Reader, closed: Mapping[int, str]) -> str:
    """What hides a row from a reader; "" if nothing does."""
    if rank == UNKNOWN and reader.clearance < TLP.RED:
        return UNKNOWN_MARKING
    if rank != UNKNOWN and rank > reader.clearance:
        return ABOVE
    return OTHER_AUDIENCE if flow in closed else ""
