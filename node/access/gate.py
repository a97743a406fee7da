"""Who asks, for what, and with which rights: the one statement by which every request begins.

It reads the row of the node, the collection that is named and the account's grant for it, at one moment,
before anything else. So what is remembered of accounts, flows and pages can be compared with the present,
and a collection that is hidden costs and says exactly what one that does not exist does.

Reads   node, collection, account_grant, rank_task; writes nothing
"""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa

from node.access.accounts import Grant
from node.access.tokens import Credentials, Generation, Principal
from node.errors import StoreError
from node.store.catalog import Collection
from node.store.database import Tx

_NODE = "n.instance, n.secret, n.accounts_generation, n.flows_generation"
_COLLECTION = ", ".join("c." + name for name in Collection.__slots__)
_WITH_COLLECTION = sa.text(
    f"select {_NODE}, exists (select 1 from rank_task), g.can_read, g.can_write, {_COLLECTION}"
    " from node n"
    " left join collection c on c.collection_id = coalesce("
    "(select i.collection_id from collection i where i.id = :name),"
    " (select a.collection_id from collection a where a.alias = :name))"
    " left join account_grant g on g.account = :account and g.collection_id = c.collection_id"
    " where n.one = 1"
)
_WITHOUT = sa.text(f"select {_NODE} from node n where n.one = 1")
_LISTED = Collection.__slots__.index("listed")


class Gate(NamedTuple):
    """What stood there when a request began.

    Args:
        instance: Random id of the database's history.
        secret: Signs `next`.
        accounts: Generation of the accounts.
        flows: Generation of the flows and their audiences.
        ranking: Rows wait to be ranked again, so that no remembered page may be shown.
        collection: The one that was named, whoever may see it; None when there is none or none was named.
        grant: What the account may do with it.
    """

    instance: str
    secret: bytes
    accounts: int
    flows: int
    ranking: bool = False
    collection: Collection | None = None
    grant: Grant | None = None


class Entry(NamedTuple):
    """Somebody known who asks, and what stood there then."""

    principal: Principal
    gate: Gate


def enter(
    tx: Tx, credentials: Credentials, header: str | None, name: str | None, *, now: int
) -> Entry | None:
    """Who asks and what the gate says; None when the header shows nobody, whatever the cause.

    Args:
        tx: A reader that has read nothing yet.
        credentials: Those found good in this process.
        header: `Authorization`.
        name: Id or alias of the collection that the address names; None when it names none.
        now: Microseconds.
    """
    guess = credentials.recall(header)
    expected = "" if guess.known is None else guess.known.principal.account
    gate = read(tx, name, expected)
    principal = credentials.settle(tx, guess, now=now, state=Generation(gate.instance, gate.accounts))
    if principal is None:
        return None
    if name is not None and principal.account != expected:
        gate = read(tx, name, principal.account)
    return Entry(principal, gate)


def read(tx: Tx, name: str | None, account: str) -> Gate:
    """What stands there now; `account` is whose grant is read."""
    row = tx.row(_WITHOUT) if name is None else tx.row(_WITH_COLLECTION, name=name, account=account)
    if row is None:
        raise StoreError(
            "The database has tables, but no node was created in it.", remedy="Run stixnode init."
        )
    instance, secret, accounts, flows, *rest = row
    if not rest or rest[3] is None:
        return Gate(instance, bytes(secret), accounts, flows)
    ranking, can_read, can_write, *fields = rest
    fields[_LISTED] = bool(fields[_LISTED])  # SQLite has no booleans
    collection = Collection(*fields)
    grant = Grant(collection.collection_id, bool(can_read), bool(can_write))
    return Gate(instance, bytes(secret), accounts, flows, bool(ranking), collection, grant)
