"""The node, its collections and its flows.

Whoever writes to a collection calls `lock` first and takes its dates with `take_dates` afterwards,
under the lock and only for rows that are written. So `date_added` is unique and strictly increasing
in the order of commits, and a reader who has seen one date never finds an earlier one appear.

Lock order: the row of the node, collections by number, then whatever lies above.

Reads and writes: the tables `node`, `collection` and `flow` (this module only).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy import bindparam

from node.errors import StoreError, UsageError
from node.store import schema
from node.store.database import Row, Tx
from node.store.definitions import Definition, load_definitions, problem_of

__all__ = [
    "LOCAL_FLOW",
    "Collection",
    "Definition",
    "NodeRow",
    "add_collection",
    "bump",
    "bump_accounts",
    "bump_markings",
    "collections",
    "create_node",
    "find_collection",
    "flow_days",
    "flow_number",
    "flows",
    "load_definitions",
    "lock",
    "lock_node",
    "node_row",
    "renew_epoch",
    "renew_node",
    "take_dates",
]

STEP = 10  # microseconds: 100 rows in each millisecond, so that clients that cut dates still move on
LOCAL_FLOW = 0

_node, _collection, _flow = schema.node.c, schema.collection.c, schema.flow.c

_NODE = sa.select(
    _node.instance,
    _node.secret,
    _node.accounts_generation,
    _node.markings_generation,
    _node.flows_generation,
    _node.server_identity,
)
_LOCK_NODE = sa.select(_node.one).with_for_update()
_BUMP_ACCOUNTS = sa.update(schema.node).values(accounts_generation=_node.accounts_generation + 1)
_BUMP_MARKINGS = sa.update(schema.node).values(markings_generation=_node.markings_generation + 1)
_BUMP_FLOWS = sa.update(schema.node).values(flows_generation=_node.flows_generation + 1)
_RENEW_NODE = sa.update(schema.node).values(
    instance=bindparam("new_instance"),
    secret=bindparam("new_secret"),
    server_identity=bindparam("new_identity"),
)

_ALL = sa.select(schema.collection).order_by(_collection.collection_id)
_FIND = sa.select(schema.collection).where(
    (_collection.id == bindparam("name")) | (_collection.alias == bindparam("name"))
)
_LOCK = sa.select(schema.collection).where(_collection.collection_id == bindparam("number")).with_for_update()
_NEXT_COLLECTION = sa.select(sa.func.coalesce(sa.func.max(_collection.collection_id), 0) + 1)
_TAKE = sa.text(
    "update collection"
    " set last_added = (case when last_added + :step > :now then last_added + :step else :now end) + :span"
    " where collection_id = :number returning last_added"
)
_BUMP = (
    sa.update(schema.collection)
    .where(_collection.collection_id == bindparam("number"))
    .values(
        rewritten=_collection.rewritten + bindparam("by_rewritten", type_=sa.BigInteger),
        superseded=_collection.superseded + bindparam("by_superseded", type_=sa.BigInteger),
    )
)
_RENEW_EPOCH = sa.text(
    "update collection set epoch = :epoch,"
    " last_added = case when last_added < :at_least then :at_least else last_added end"
    " where collection_id = :number"
)

_FLOWS = sa.select(_flow.flow_id, _flow.name, _flow.audience).order_by(_flow.flow_id)
_FLOW_DAYS = sa.select(_flow.flow_id, _flow.name, _flow.keep_days).order_by(_flow.flow_id)
_FLOW = sa.select(_flow.flow_id, _flow.audience, _flow.keep_days).where(_flow.name == bindparam("flow_name"))
_NEXT_FLOW = sa.select(sa.func.coalesce(sa.func.max(_flow.flow_id), 0) + 1)
_SET_FLOW = (
    sa.update(schema.flow)
    .where(_flow.flow_id == bindparam("number"))
    .values(audience=bindparam("new_audience"), keep_days=bindparam("new_days"))
)


@dataclass(frozen=True, slots=True)
class NodeRow:
    """What belongs to the node as a whole: see the table `node`."""

    instance: str
    secret: bytes
    accounts_generation: int
    markings_generation: int
    flows_generation: int
    server_identity: str


@dataclass(frozen=True, slots=True)
class Collection:
    """One hosted collection, as its row stood when it was read."""

    collection_id: int
    id: str
    alias: str
    title: str
    description: str
    validation: str
    keep_days: int
    listed: bool
    epoch: str
    last_added: int
    rewritten: int
    superseded: int


def create_node(tx: Tx, *, instance: str, secret: bytes, server_identity: str = "") -> None:
    """Write the one row of the node, and the flow that local objects belong to.

    Args:
        instance: Random id of this database's history.
        secret: 32 random bytes that sign `next`.
        server_identity: As `Database.server_identity` says; empty if it is learnt at the first start.
    """
    tx.insert(schema.node, [(1, instance, secret, 0, 0, 0, server_identity)])
    tx.insert(schema.flow, [(LOCAL_FLOW, "local", "[]", 0)])


def node_row(tx: Tx) -> NodeRow:
    """The row of the node.

    Raises:
        StoreError: `init` has not been run to its end.
    """
    row = tx.row(_NODE)
    if row is None:
        raise StoreError(
            "The database has tables, but no node was created in it.", remedy="Run stixnode init."
        )
    return NodeRow(row[0], bytes(row[1]), *row[2:])


def lock_node(tx: Tx) -> None:
    """Hold the node's row until the end of the transaction."""
    tx.rows(_LOCK_NODE)


def bump_accounts(tx: Tx) -> None:
    """Make every process ask again who may do what."""
    tx.run(_BUMP_ACCOUNTS)


def bump_markings(tx: Tx) -> None:
    """Make every remembered decision about markings invalid."""
    tx.run(_BUMP_MARKINGS)


def renew_node(tx: Tx, *, instance: str, secret: bytes, server_identity: str) -> None:
    """Begin a new history of this database: after a restore, a rollback or a fail-over."""
    tx.run(_RENEW_NODE, new_instance=instance, new_secret=secret, new_identity=server_identity)


def add_collection(tx: Tx, definition: Definition, *, epoch: str, new_id: str = "") -> Collection:
    """The new collection.

    Args:
        definition: What it is to be.
        epoch: Random id of the collection's history.
        new_id: The UUIDv4 it gets if the definition names none.

    Raises:
        UsageError: Id, alias or title are taken, or a value cannot be; the problem says which.
    """
    wanted = definition.id or new_id
    problem = problem_of(replace(definition, id=wanted))
    if problem or not wanted:
        raise UsageError(
            f"The collection {definition.alias!r} cannot be added: {problem or 'it has no id'}.",
            remedy="Correct the definition; collections/README.md shows its form.",
        )
    lock_node(tx)
    for held in collections(tx):
        for what, value, other in (
            ("id", wanted, held.id),
            ("alias", definition.alias, held.alias),
            ("title", definition.title, held.title),
        ):
            if value == other:
                raise UsageError(
                    f"The {what} {value!r} belongs to the collection {held.alias} already.",
                    remedy=f"Choose another {what}; stixnode collection list shows what is there.",
                )
    number = int((tx.row(_NEXT_COLLECTION) or (1,))[0])
    added = Collection(
        number, wanted, definition.alias, definition.title, definition.description, definition.validation,
        definition.keep_days, definition.listed, epoch, 0, 0, 0,
    )  # fmt: skip
    tx.insert(schema.collection, [tuple(getattr(added, column.name) for column in schema.collection.columns)])
    return added


def collections(tx: Tx) -> list[Collection]:
    """Every collection, by number."""
    return [_as_collection(row) for row in tx.rows(_ALL)]


def find_collection(tx: Tx, id_or_alias: str) -> Collection | None:
    """The collection with this id or alias, or None."""
    row = tx.row(_FIND, name=id_or_alias)
    return _as_collection(row) if row else None


def lock(tx: Tx, collection_id: int) -> Collection:
    """The collection, held against every other writer until the transaction ends.

    This must be the first statement of every transaction that writes to a collection. On SQLite the
    transaction holds the whole database already.

    Raises:
        UsageError: There is no such collection.
    """
    row = tx.row(_LOCK, number=collection_id)
    if row is None:
        raise _no_collection(collection_id)
    return _as_collection(row)


def take_dates(tx: Tx, collection_id: int, count: int, *, now: int) -> list[int]:
    """The `date_added` of that many new rows, in order: each later than any given before.

    Args:
        count: How many rows are really written; 0 leaves the collection as it is.
        now: The present moment, taken after `lock`. The dates run ahead of it on bulk imports.

    Returns:
        Moments in microseconds, 10 apart.

    Source:
        TAXII 2.1 section 3.4 (date added decides the order).
    """
    if count <= 0:
        return []
    span = STEP * (count - 1)
    row = tx.row(_TAKE, step=STEP, now=now, span=span, number=collection_id)
    if row is None:
        raise _no_collection(collection_id)
    last = int(row[0])
    return list(range(last - span, last + 1, STEP))


def bump(tx: Tx, collection_id: int, *, rewritten: bool = False, superseded: bool = False) -> None:
    """Make remembered pages of a collection invalid.

    Args:
        rewritten: Rows went away, changed their bytes or their rank.
        superseded: Rows lost or gained a flag of versions.
    """
    if rewritten or superseded:
        tx.run(_BUMP, number=collection_id, by_rewritten=int(rewritten), by_superseded=int(superseded))


def renew_epoch(tx: Tx, collection_id: int, *, epoch: str, at_least: int) -> None:
    """Begin a new history of a collection, whose dates start above a mark.

    Args:
        epoch: Random id of the new history.
        at_least: No later date will be at or below this moment.
    """
    if not tx.run(_RENEW_EPOCH, epoch=epoch, at_least=at_least, number=collection_id):
        raise _no_collection(collection_id)


def flow_number(tx: Tx, name: str, audience: Iterable[str], *, keep_days: int = 0) -> int:
    """The number of a flow, which is added, or given its new audience and time, if need be.

    Args:
        name: Agreement, collection and giver, such as `AGR-2026-01/indicators/south`.
        audience: Who of our side may read what the flow brings.
        keep_days: After so many days what it brought is erased; 0 keeps it for ever.
    """
    wanted = json.dumps(sorted(set(audience)), ensure_ascii=False)
    row = tx.row(_FLOW, flow_name=name)
    if row is None:
        lock_node(tx)  # two writers may meet a new flow together
        row = tx.row(_FLOW, flow_name=name)
    if row is None:
        number = int((tx.row(_NEXT_FLOW) or (1,))[0])
        tx.insert(schema.flow, [(number, name, wanted, keep_days)])
        tx.run(_BUMP_FLOWS)
        return number
    if row[1:] != (wanted, keep_days):
        tx.run(_SET_FLOW, number=row[0], new_audience=wanted, new_days=keep_days)
        tx.run(_BUMP_FLOWS)
    return int(row[0])


def flows(tx: Tx) -> dict[int, tuple[str, tuple[str, ...]]]:
    """Every flow by number: its name and its audience."""
    return {number: (name, tuple(json.loads(audience))) for number, name, audience in tx.rows(_FLOWS)}


def flow_days(tx: Tx) -> dict[int, tuple[str, int]]:
    """Every flow by number: its name, and the days that what it brought is kept; 0 is for ever."""
    return {number: (name, int(days)) for number, name, days in tx.rows(_FLOW_DAYS)}


def _as_collection(row: Row) -> Collection:
    values = list(row)
    values[7] = bool(values[7])  # SQLite has no booleans
    return Collection(*values)


def _no_collection(collection_id: int) -> UsageError:
    return UsageError(
        f"There is no collection number {collection_id}.",
        remedy="stixnode collection list shows what is there.",
    )
