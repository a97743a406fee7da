"""What refers to something that is not there: rows of the books without what they speak of.

The tables know no foreign keys, because rows outlive what they speak of on purpose: an agreement ends, a
link goes, content is erased. What is asked here holds all the same, at every moment.

Reads   all tables of the node. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

import sqlalchemy as sa

from node.store.database import Tx

MOST = 20  # of each kind: nobody reads on


class Damage(NamedTuple):
    """One place where the database is not what it must be: of which kind, where, and what is wrong."""

    kind: str
    place: str
    text: str


def _without(table: str, column: str, target: str, key: str, where: str = "true") -> str:
    """Rows of a table whose column names no row of another."""
    return (
        f'select t.{column} from "{table}" t where {where}'
        f' and not exists (select 1 from "{target}" r where r.{key} = t.{column}) limit {MOST}'
    )


# what is wrong -> the values that name nothing
_LOOSE = {
    f"{table} speaks of a {noun} that is not there": sa.text(_without(table, column, target, key, where))
    for table, column, target, key, noun, where in (
        ("object", "collection_id", "collection", "collection_id", "collection", "true"),
        ("object", "flow_id", "flow", "flow_id", "flow", "true"),
        ("object", "arrival_id", "arrival", "arrival_id", "arrival", "true"),
        ("object_history", "collection_id", "collection", "collection_id", "collection", "true"),
        ("object_history", "flow_id", "flow", "flow_id", "flow", "true"),
        ("tombstone", "collection_id", "collection", "collection_id", "collection", "true"),
        ("quarantine", "collection_id", "collection", "collection_id", "collection", "true"),
        ("quarantine", "arrival_id", "arrival", "arrival_id", "arrival", "true"),
        ("received", "arrival_id", "arrival", "arrival_id", "arrival", "true"),
        ("arrival", "collection_id", "collection", "collection_id", "collection", "true"),
        ("status", "collection_id", "collection", "collection_id", "collection", "true"),
        ("feed", "link", "link", "name", "link", "true"),
        ("feed_row", "link", "feed", "link", "feed", "true"),
        ("feed_row", "collection_id", "collection", "collection_id", "collection", "true"),
        ("account_grant", "account", "account", "name", "account", "true"),
        ("account_grant", "collection_id", "collection", "collection_id", "collection", "true"),
        ("reading", "account", "account", "name", "account", "true"),
        ("token", "account", "account", "name", "account", "t.account is not null"),
        ("token", "person", "person", "name", "person", "t.person is not null"),
    )
}

_FEEDS = sa.text(
    "select f.link, f.last_offered, case when f.examined >= c.last_added and f.epoch = c.epoch then 1 else 0"
    " end from feed f join collection c on c.collection_id = f.collection_id order by f.link"
)
_TOO_LATE = sa.text(
    f"select stix_id from feed_row where link = :link and offered_at > :last order by offered_at limit {MOST}"
)
_NOT_HELD = sa.text(
    "select f.stix_id from feed_row f where f.link = :link and f.state < 9"
    ' and not exists (select 1 from "object" o where o.collection_id = f.collection_id'
    "  and o.stix_id = f.stix_id and o.spec_version = f.spec_version and o.digest = f.digest"
    "  and (f.versionless or o.version = f.version))"
    " and not exists (select 1 from feed_due d where d.link = f.link and d.stix_id = f.stix_id)"
    f" limit {MOST}"
)


def find(tx: Tx, links: Collection[str]) -> Iterator[Damage]:
    """Everything that refers to nothing, at most some of each kind.

    Args:
        tx: A reader that stands still.
        links: Names of the links that are configured; what stands in the feeds of others is nobody's care.
    """
    for wrong, statement in _LOOSE.items():
        for (value,) in tx.rows(statement):
            yield Damage("reference", str(value), wrong)
    for link, last, is_abreast in tx.rows(_FEEDS):
        for (stix_id,) in tx.rows(_TOO_LATE, link=link, last=last):
            yield Damage("dates", f"{link}: {stix_id}", "it stands in the feed after the last one offered")
        if is_abreast and link in links:
            for (stix_id,) in tx.rows(_NOT_HELD, link=link):
                yield Damage("reference", f"{link}: {stix_id}", "it stands in the feed and is not held")
