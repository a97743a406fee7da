"""Every table of the node, once, for both databases.

The definitions here are what the migrations create and what the statements of the owning modules
are built from. Each table has exactly one writing module, named beside it; a test reads the code
and holds it to that.

Small columns come first and `body` last, because SQLite walks a row from its start. Moments are
microseconds, instants nanoseconds, both since 1970 in UTC. `collection_id` stands for the internal
number of a collection: it leads every key, so that a distributed database can hold the tables later.
"""

from __future__ import annotations

from sqlalchemy import Index, Table

from node.store.books import (
    acknowledgement,
    alert,
    alert_channel,
    allowance,
    arrival,
    bookmark,
    daily_total,
    feed,
    feed_due,
    feed_row,
    intake,
    lease,
    link,
    link_activity,
    object_value,
    object_value_mark,
    quarantine,
    received,
    run,
    session_in,
    session_out,
    status,
    vanished,
    withdrawal,
    withheld,
)
from node.store.columns import big, flag, metadata, number, octets, small, text

__all__ = [
    "account",
    "acknowledgement",
    "alert",
    "alert_channel",
    "allowance",
    "arrival",
    "bookmark",
    "collection",
    "daily_total",
    "feed",
    "feed_due",
    "feed_row",
    "flow",
    "grant",
    "intake",
    "leaf",
    "lease",
    "link",
    "link_activity",
    "marking",
    "metadata",
    "node",
    "object_",
    "object_history",
    "object_value",
    "object_value_mark",
    "owner",
    "person",
    "quarantine",
    "rank_task",
    "reading",
    "received",
    "run",
    "session_in",
    "session_out",
    "status",
    "token",
    "tombstone",
    "vanished",
    "withdrawal",
    "withheld",
]

# One row: what belongs to the node as a whole. Written by store/catalog.py.
node = Table(
    "node",
    metadata,
    number("one", key=True),  # always 1
    text("instance"),  # random id of this database's history
    octets("secret"),  # signs `next`; renewed at restore
    big("accounts_generation"),
    big("markings_generation"),
    big("flows_generation"),  # moves when a flow is new or has another audience
    text("server_identity"),  # PostgreSQL system_identifier:timeline; "" on SQLite
)

# Written by store/catalog.py.
collection = Table(
    "collection",
    metadata,
    number("collection_id", key=True),
    text("id"),  # the UUID that TAXII shows
    text("alias"),
    text("title"),
    text("description"),
    text("validation"),  # structure | schema | full
    number("keep_days"),  # 0: for ever
    flag("listed"),  # shown, with both flags false, to accounts without rights
    text("epoch"),
    big("last_added"),
    big("rewritten"),  # generation: delete, restate, rank
    big("superseded"),  # generation: flags of versions
    Index("collection_uuid", "id", unique=True),
    Index("collection_alias", "alias", unique=True),
    Index("collection_title", "title", unique=True),
)

# Where rows of a flow may be read here. Written by store/catalog.py.
flow = Table(
    "flow",
    metadata,
    number("flow_id", key=True),  # 0 is "local", readable by all
    text("name"),  # "AGR-2026-01/indicators/south": agreement, collection, giver
    text("audience"),  # JSON list of audience names
    number("keep_days"),  # 0 for "local"; stays when the agreement is gone
    Index("flow_name", "name", unique=True),
)

# Written by store/objects.py.
object_ = Table(
    "object",
    metadata,
    number("collection_id", key=True),
    big("added", key=True),
    big("version"),  # instant; for objects without one, the date_added of their first row, in nanoseconds
    small("rank"),  # the row's own TLP: -1 none, 0 CLEAR .. 4 RED, 5 unknown
    small("effective_rank"),  # the stricter of the row's and its owner row's
    number("flow_id"),
    number("arrival_id"),
    flag("versionless"),
    flag("observable"),
    flag("organisation"),
    flag("revoked"),
    flag("flagged"),  # failed the schema in a collection that only checks structure
    flag("is_first"),
    flag("is_last"),
    flag("is_newest_spec"),
    small("confidence", empty=True),
    big("valid_until", empty=True),
    text("stix_id"),
    text("version_text"),
    text("type"),
    text("spec_version"),
    text("created_by", empty=True),
    text("origin"),  # "local" or the partner whose link brought it
    octets("digest"),
    octets("body"),
)
Index(
    "object_id",
    object_.c.collection_id,
    object_.c.stix_id,
    object_.c.spec_version,
    object_.c.version,
    unique=True,
)
Index("object_type", object_.c.collection_id, object_.c.type, object_.c.added)
Index(
    "object_live",
    object_.c.collection_id,
    object_.c.added,
    object_.c.effective_rank,
    sqlite_where=(object_.c.is_last & object_.c.is_newest_spec),
    postgresql_where=(object_.c.is_last & object_.c.is_newest_spec),
)
Index(
    "object_unknown",
    object_.c.collection_id,
    object_.c.added,
    sqlite_where=(object_.c.rank == 5),
    postgresql_where=(object_.c.rank == 5),
)

# Bytes that were replaced under their key, each once; never served. Written by store/objects.py.
object_history = Table(
    "object_history",
    metadata,
    number("collection_id", key=True),
    big("replaced_at", key=True),
    text("stix_id", key=True),
    big("added"),
    big("version"),
    text("spec_version"),
    text("origin"),
    text("reason"),  # restated | tie
    number("flow_id"),  # which brought these bytes
    octets("digest", key=True),
    octets("body"),
    Index("object_history_id", "collection_id", "stix_id", "digest"),
)

# Who may change an id, and how restricted it is. Written by store/owners.py.
owner = Table(
    "owner",
    metadata,
    text("stix_id", key=True),
    text("owner"),  # "local", a partner, or "" for nobody
    small("rank"),  # of the newest version ever stored, in any collection
    big("newest_version"),
)

# Deleted and erased versions. Written by store/owners.py.
tombstone = Table(
    "tombstone",
    metadata,
    number("collection_id", key=True),
    text("stix_id", key=True),
    text("spec_version", key=True),
    big("version", key=True),  # 0 for objects without an instant
    octets("digest", key=True),
    text("owner"),
    text("reason"),  # deleted_here | erased
    text("actor"),
    big("at"),
)

# What marking definitions held here mean. Written by store/owners.py.
marking = Table(
    "marking",
    metadata,
    text("stix_id", key=True),
    text("origin", key=True),
    text("author"),
    small("meaning"),
)

# Definitions and ids whose rows must be ranked again, collection by collection. Written by store/owners.py.
rank_task = Table(
    "rank_task",
    metadata,
    text("kind", key=True),  # marking | redefined | id
    text("stix_id", key=True),
    big("stamp"),  # when it was last asked for, so that work under way does not strike off a newer wish
)

# Written by access/accounts.py.
account = Table(
    "account",
    metadata,
    text("name", key=True),
    small("clearance"),
    text("audience"),  # JSON list
    text("partner"),  # "" for a SOC account
    big("expires", empty=True),
    big("created"),
)
grant = Table(
    "account_grant",
    metadata,
    text("account", key=True),
    number("collection_id", key=True),
    flag("can_read"),
    flag("can_write"),
)
reading = Table(
    "reading",
    metadata,
    text("account", key=True),
    number("collection_id", key=True),
    big("last_poll"),
    big("last_served"),
)

# Written by access/tokens.py. A token belongs to an account or to a person.
token = Table(
    "token",
    metadata,
    text("token_id", key=True),
    text("account", empty=True),
    text("person", empty=True),
    big("created"),
    big("expires", empty=True),
    octets("secret_hash"),
    Index("token_account", "account"),
    Index("token_person", "person"),
)

# Written by access/people.py.
person = Table(
    "person",
    metadata,
    text("name", key=True),
    text("roles"),  # JSON list
    big("created"),
)

# Written by audit/log.py: one unnumbered leaf for each act, in the act's own transaction.
leaf = Table(
    "leaf",
    metadata,
    text("leaf_id", key=True),
    big("at"),
    text("actor"),
    text("act"),
    text("subject"),
    text("details"),  # JSON
    Index("leaf_at", "at"),
)
