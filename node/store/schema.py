"""Every table of the node, once, for both databases.

The definitions here are what the migrations create and what the statements of the owning modules
are built from. Each table has exactly one writing module, named beside it; a test reads the code
and holds it to that.

Small columns come first and `body` last, because SQLite walks a row from its start. Moments are
microseconds, instants nanoseconds, both since 1970 in UTC. `collection_id` stands for the internal
number of a collection: it leads every key, so that a distributed database can hold the tables later.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
)

metadata = MetaData()


def _big(name: str, *, key: bool = False, empty: bool = False) -> Column[int]:
    return Column(name, BigInteger, primary_key=key, nullable=empty, autoincrement=False)


def _text(name: str, *, key: bool = False, empty: bool = False) -> Column[str]:
    return Column(name, Text, primary_key=key, nullable=empty)


def _number(name: str, *, key: bool = False, empty: bool = False) -> Column[int]:
    return Column(name, Integer, primary_key=key, nullable=empty, autoincrement=False)


def _small(name: str, *, empty: bool = False) -> Column[int]:
    return Column(name, SmallInteger, nullable=empty)


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False)


def _bytes(name: str, *, key: bool = False, empty: bool = False) -> Column[bytes]:
    return Column(name, LargeBinary, primary_key=key, nullable=empty)


# One row: what belongs to the node as a whole. Written by store/catalog.py.
node = Table(
    "node",
    metadata,
    _number("one", key=True),  # always 1
    _text("instance"),  # random id of this database's history
    _bytes("secret"),  # signs `next`; renewed at restore
    _big("accounts_generation"),
    _big("markings_generation"),
    _text("server_identity"),  # PostgreSQL system_identifier:timeline; "" on SQLite
)

# Written by store/catalog.py.
collection = Table(
    "collection",
    metadata,
    _number("collection_id", key=True),
    _text("id"),  # the UUID that TAXII shows
    _text("alias"),
    _text("title"),
    _text("description"),
    _text("validation"),  # structure | schema
    _number("keep_days"),  # 0: for ever
    _flag("listed"),  # shown, with both flags false, to accounts without rights
    _text("epoch"),
    _big("last_added"),
    _big("rewritten"),  # generation: delete, restate, rank
    _big("superseded"),  # generation: flags of versions
    Index("collection_uuid", "id", unique=True),
    Index("collection_alias", "alias", unique=True),
    Index("collection_title", "title", unique=True),
)

# Where rows of a flow may be read here. Written by store/catalog.py.
flow = Table(
    "flow",
    metadata,
    _number("flow_id", key=True),  # 0 is "local", readable by all
    _text("name"),  # "AGR-2026-01/indicators/south": agreement, collection, giver
    _text("audience"),  # JSON list of audience names
    Index("flow_name", "name", unique=True),
)

# Written by store/objects.py.
object_ = Table(
    "object",
    metadata,
    _number("collection_id", key=True),
    _big("added", key=True),
    _big("version"),  # instant; for objects without one, the date_added of their first row, in nanoseconds
    _small("rank"),  # the row's own TLP: -1 none, 0 CLEAR .. 4 RED, 5 unknown
    _small("effective_rank"),  # the stricter of the row's and its owner row's
    _number("flow_id"),
    _number("arrival_id"),
    _flag("versionless"),
    _flag("observable"),
    _flag("organisation"),
    _flag("revoked"),
    _flag("flagged"),  # failed the schema in a collection that only checks structure
    _flag("is_first"),
    _flag("is_last"),
    _flag("is_newest_spec"),
    _small("confidence", empty=True),
    _big("valid_until", empty=True),
    _text("stix_id"),
    _text("version_text"),
    _text("type"),
    _text("spec_version"),
    _text("created_by", empty=True),
    _text("origin"),  # "local" or the partner whose link brought it
    _bytes("digest"),
    _bytes("body"),
)
Index("object_id", object_.c.collection_id, object_.c.stix_id, object_.c.spec_version, object_.c.version, unique=True)
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

# Bytes that were replaced under their key; never served. Written by store/objects.py.
object_history = Table(
    "object_history",
    metadata,
    _number("collection_id", key=True),
    _big("replaced_at", key=True),
    _text("stix_id", key=True),
    _big("added"),
    _big("version"),
    _text("spec_version"),
    _text("origin"),
    _text("reason"),  # restated | tie
    _bytes("digest", key=True),
    _bytes("body"),
)

# Who may change an id, and how restricted it is. Written by store/owners.py.
owner = Table(
    "owner",
    metadata,
    _text("stix_id", key=True),
    _text("owner"),  # "local", a partner, or "" for nobody
    _small("rank"),  # of the newest version ever stored, in any collection
    _big("newest_version"),
)

# Deleted and erased versions. Written by store/owners.py.
tombstone = Table(
    "tombstone",
    metadata,
    _number("collection_id", key=True),
    _text("stix_id", key=True),
    _text("spec_version", key=True),
    _big("version", key=True),  # 0 for objects without an instant
    _bytes("digest", key=True),
    _text("owner"),
    _text("reason"),  # deleted_here | erased
    _text("actor"),
    _big("at"),
)

# What marking definitions held here mean. Written by store/owners.py.
marking = Table(
    "marking",
    metadata,
    _text("stix_id", key=True),
    _text("origin", key=True),
    _text("author"),
    _small("meaning"),
)

# Definitions and ids whose rows must be ranked again, collection by collection. Written by store/owners.py.
rank_task = Table(
    "rank_task",
    metadata,
    _text("kind", key=True),  # marking | redefined | id
    _text("stix_id", key=True),
    _big("stamp"),  # when it was last asked for, so that work under way does not strike off a newer wish
)

# Written by access/accounts.py.
account = Table(
    "account",
    metadata,
    _text("name", key=True),
    _small("clearance"),
    _text("audience"),  # JSON list
    _text("partner"),  # "" for a SOC account
    _big("expires", empty=True),
    _big("created"),
)
grant = Table(
    "account_grant",
    metadata,
    _text("account", key=True),
    _number("collection_id", key=True),
    _flag("can_read"),
    _flag("can_write"),
)
reading = Table(
    "reading",
    metadata,
    _text("account", key=True),
    _number("collection_id", key=True),
    _big("last_poll"),
    _big("last_served"),
)

# Written by access/tokens.py. A token belongs to an account or to a person.
token = Table(
    "token",
    metadata,
    _text("token_id", key=True),
    _text("account", empty=True),
    _text("person", empty=True),
    _big("created"),
    _big("expires", empty=True),
    _bytes("secret_hash"),
    Index("token_account", "account"),
    Index("token_person", "person"),
)

# Written by access/people.py.
person = Table(
    "person",
    metadata,
    _text("name", key=True),
    _text("roles"),  # JSON list
    _big("created"),
)

# Written by audit/log.py: one unnumbered leaf for each act, in the act's own transaction.
leaf = Table(
    "leaf",
    metadata,
    _text("leaf_id", key=True),
    _big("at"),
    _text("actor"),
    _text("act"),
    _text("subject"),
    _text("details"),  # JSON
)

# Which import, POST, pull or push brought rows. Written by exchange/arrivals.py.
arrival = Table(
    "arrival",
    metadata,
    Column("arrival_id", Integer, primary_key=True, autoincrement=True),
    _big("at"),
    _text("kind"),  # import | post | pull | push
    _number("collection_id"),
    _text("link"),  # "" unless it came by a link
    _text("actor"),  # account:NAME, person:NAME or os:NAME
    _text("source"),  # file name or partner address
    _text("counts"),  # JSON: outcome -> number
)

# What partners brought, by key and digest, with what became of it. Written by exchange/ledger.py.
received = Table(
    "received",
    metadata,
    _text("stix_id", key=True),
    _text("spec_version", key=True),
    _big("version", key=True),  # 0 for objects without an instant
    _bytes("digest", key=True),
    _text("link", key=True),
    _text("partner"),
    _text("outcome"),
    _text("reason"),
    _text("epoch"),  # the partner's epoch when it last brought it
    _number("arrival_id"),
    _big("at"),
    Index("received_link", "link", "at"),
)

# What a partner does not get, and why. Written by exchange/ledger.py.
withheld = Table(
    "withheld",
    metadata,
    _text("link", key=True),
    _text("stix_id", key=True),
    _text("spec_version", key=True),
    _big("version", key=True),
    _bytes("digest", key=True),
    _text("reason"),
    _text("detail"),
    _text("remedy"),
    _text("waits_for", empty=True),
    _big("at"),
    Index("withheld_waits", "waits_for"),
)

# One row for each link of ours. Written by exchange/links.py.
link = Table(
    "link",
    metadata,
    _text("name", key=True),
    _text("partner"),
    _flag("paused"),
    _text("pause_reason"),
    _text("partner_epoch"),  # the other side's history, as it last told us
    _big("last_try", empty=True),
    _big("last_success", empty=True),
    _big("last_new", empty=True),
    _big("next_try", empty=True),
    _number("failures"),
    _text("last_error"),
)

# Outgoing links. Written by exchange/feeds.py.
feed = Table(
    "feed",
    metadata,
    _text("link", key=True),
    _number("collection_id"),
    _big("examined"),  # date_added up to which the collection has been examined
    _big("last_offered"),
    _text("epoch"),  # the collection's epoch when it was examined
    _bytes("policy_digest"),
)
feed_row = Table(
    "feed_row",
    metadata,
    _text("link", key=True),
    _big("offered_at", key=True),
    _big("version"),
    _number("collection_id"),
    _small("state"),  # 0 offered, 1 sent, 2 settled, 3 failed, 4 set aside, 9 taken out
    _flag("companion"),
    _flag("versionless"),
    _text("stix_id"),
    _text("spec_version"),
    _text("message"),
    _bytes("digest"),
    _bytes("rendition"),
    Index("feed_row_key", "link", "stix_id", "spec_version", "version", "digest", unique=True),
)
# Ids that a feed must examine again although none of their rows here is new.
feed_due = Table(
    "feed_due",
    metadata,
    _text("link", key=True),
    _text("stix_id", key=True),
)

# Objects set aside for a person. Written by exchange/quarantine.py.
quarantine = Table(
    "quarantine",
    metadata,
    _text("entry", key=True),  # q-<first 10 hex of the hash of (link, key, digest)>
    _text("link"),
    _number("collection_id"),
    _text("stix_id"),
    _text("spec_version"),
    _big("version"),
    _text("reason"),
    _text("detail"),
    _text("state"),  # waiting | accepted | discarded | closed
    _text("decided_by"),
    _text("decision_reason"),
    _big("decided_at", empty=True),
    _number("arrival_id"),
    _big("at"),
    _bytes("digest"),
    _bytes("body"),
    Index("quarantine_key", "link", "stix_id", "digest"),
    Index("quarantine_state", "state", "at"),
)

# Incoming pushes: how far a partner's session has been applied. Written by exchange/sessions.py.
session_in = Table(
    "session_in",
    metadata,
    _text("link", key=True),
    _big("started"),
    _text("epoch"),
    _big("have"),
    _text("status_id"),
)
# Outgoing pushes: the session and its one outstanding batch. Written by exchange/sessions.py.
session_out = Table(
    "session_out",
    metadata,
    _text("link", key=True),
    _big("started"),
    _text("epoch"),
    _big("sent"),  # number of the last batch that is settled
    _bytes("batch", empty=True),  # JSON list of feed keys, stored before sending
)

# How far each incoming link has read, in the partner's own words. Written by sync/bookmarks.py.
bookmark = Table(
    "bookmark",
    metadata,
    _text("link", key=True),
    _text("added_after"),
    _text("epoch"),
    _bytes("policy_digest"),
    _big("at"),
)

# One worker at a time does the same work. Written by sync/worker.py.
lease = Table(
    "lease",
    metadata,
    _text("work", key=True),
    _text("holder"),
    _big("until"),
)

# TAXII status resources. Written by taxii/statuses.py.
status = Table(
    "status",
    metadata,
    _text("status_id", key=True),
    _text("account"),
    _number("collection_id"),
    _big("at"),
    _bytes("body"),
    Index("status_at", "at"),
)
