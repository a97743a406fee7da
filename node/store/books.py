"""The tables of the exchange: arrivals, ledger, feeds, quarantine, sessions, bookmarks, statuses.

The second half of `schema.py`, which names them all; read there how tables are written and owned.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, Table
from sqlalchemy import text as sql_text

from node.store.columns import big, flag, metadata, number, octets, small, text

# Which import, POST, pull or push brought rows. Written by exchange/arrivals.py.
arrival = Table(
    "arrival",
    metadata,
    Column("arrival_id", Integer, primary_key=True, autoincrement=True),
    big("at"),
    text("kind"),  # import | post | pull | push | accept | withdraw | restore | retry | edit
    number("collection_id"),
    text("link"),  # "" unless it came by a link
    text("actor"),  # account:NAME, person:NAME or os:NAME
    text("source"),  # file name or partner address
    text("counts"),  # JSON: outcome -> number
    Index("arrival_link", "link", "at"),
)

# What partners brought, by key and digest, with what became of it. Written by exchange/ledger.py.
received = Table(
    "received",
    metadata,
    text("stix_id", key=True),
    text("spec_version", key=True),
    big("version", key=True),  # 0 for objects without an instant
    octets("digest", key=True),
    text("link", key=True),
    text("partner"),
    text("outcome"),
    text("reason"),
    text("epoch"),  # the partner's epoch when it last brought it
    number("arrival_id"),
    big("at"),
    Index("received_link", "link", "at"),
)

# What a partner does not get, and why. Written by exchange/ledger.py.
withheld = Table(
    "withheld",
    metadata,
    text("link", key=True),
    text("stix_id", key=True),
    text("spec_version", key=True),
    big("version", key=True),
    octets("digest", key=True),
    text("reason"),
    text("detail"),
    text("remedy"),
    text("waits_for", empty=True),
    big("at"),
    Index("withheld_waits", "waits_for"),
)

# One row for each link of ours. Written by exchange/links.py.
link = Table(
    "link",
    metadata,
    text("name", key=True),
    text("partner"),
    flag("paused"),
    text("pause_reason"),
    text("partner_epoch"),  # the other side's history, as it last told us
    big("last_try", empty=True),
    big("last_success", empty=True),
    big("last_new", empty=True),
    big("next_try", empty=True),
    number("failures"),
    text("last_error"),
    big("since", empty=True),  # when a person or the node itself last opened or closed it
    text("other_terms"),  # digest of the terms by which the partner last came, if they are not ours; else ""
)
# In which hours a link had something new: what is usual for it at this time of the week.
# Written by exchange/activity.py.
link_activity = Table(
    "link_activity",
    metadata,
    text("link", key=True),
    number("hour", key=True),  # hours since 1970 in UTC
    number("new"),  # objects
    big("at"),  # of the last of them
)

# Rounds that moved something or failed, and what partners fetched or brought: the newest of each link.
# Written by exchange/history.py.
run = Table(
    "run",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    text("link"),
    text("kind"),  # pull | push | offer | fetch | bring
    text("carrier"),  # us | them
    big("started"),
    big("ended"),  # of the last time
    number("times"),  # how often it came out the same, one after the other
    text("reason"),  # why it ended early, in a word; "" when it did not
    text("problem"),
    text("remedy"),
    text("counts"),  # JSON: counter -> number
    text("named"),  # JSON: counter -> the first ids
    text("arrivals"),  # JSON list of arrival_id
    number("pages"),
    number("requests"),
    big("bytes"),
    Index("run_link", "link", "number"),
    Index("run_ended", "ended"),
)
# How many objects each link moved on each day, for ever. Written by exchange/history.py.
daily_total = Table(
    "daily_total",
    metadata,
    text("link", key=True),
    number("day", key=True),  # days since 1970 in UTC
    text("counter", key=True),
    big("number"),
    Index("daily_total_day", "day"),
)

# Outgoing links. Written by exchange/feed_rows.py.
feed = Table(
    "feed",
    metadata,
    text("link", key=True),
    number("collection_id"),
    big("examined"),  # date_added up to which the collection has been examined
    big("last_offered"),
    text("epoch"),  # the collection's epoch when it was examined
    octets("policy_digest"),
)
feed_row = Table(
    "feed_row",
    metadata,
    text("link", key=True),
    big("offered_at", key=True),
    big("version"),
    number("collection_id"),
    small("state"),  # 0 offered, 1 sent, 2 settled, 3 failed, 4 set aside, 9 taken out
    flag("companion"),
    flag("versionless"),
    text("stix_id"),
    text("spec_version"),
    text("message"),
    octets("digest"),
    octets("rendition"),
    flag("urgent"),  # a revoked version, or labelled as the terms call urgent: it leaves first
    Index("feed_row_key", "link", "stix_id", "spec_version", "version", "digest", unique=True),
)
Index(
    "feed_row_to_send",
    feed_row.c.link,
    feed_row.c.offered_at,
    sqlite_where=(feed_row.c.state < 2),
    postgresql_where=(feed_row.c.state < 2),
)
# Spelled so that of all indexes this one alone will do: the others may lead through a long backlog.
Index(
    "feed_row_urgent",
    feed_row.c.link,
    feed_row.c.offered_at,
    sqlite_where=sql_text("urgent and state + 0 < 2"),
    postgresql_where=sql_text("urgent and state + 0 < 2"),
)
# What stands in a feed, for its pages: what was taken out stays known, and may be much.
Index(
    "feed_row_standing",
    feed_row.c.link,
    feed_row.c.offered_at,
    sqlite_where=(feed_row.c.state < 9),
    postgresql_where=(feed_row.c.state < 9),
)
Index(
    "feed_row_companion",
    feed_row.c.link,
    feed_row.c.stix_id,
    sqlite_where=feed_row.c.companion,
    postgresql_where=feed_row.c.companion,
)
# Ids that a feed must examine again although none of their rows here is new.
feed_due = Table(
    "feed_due",
    metadata,
    text("link", key=True),
    text("stix_id", key=True),
)

# Objects set aside for a person. Written by exchange/quarantine.py.
quarantine = Table(
    "quarantine",
    metadata,
    text("entry", key=True),  # q-<first 10 hex of the hash of (link, key, digest)>
    text("link"),
    number("collection_id"),
    text("stix_id"),
    text("spec_version"),
    big("version"),
    text("reason"),
    text("detail"),
    text("state"),  # waiting | accepted | discarded | closed
    text("decided_by"),
    text("decision_reason"),
    big("decided_at", empty=True),
    number("arrival_id"),
    big("at"),
    big("size"),  # of the body
    octets("digest"),
    octets("body"),  # as it came, for ever: what a person corrected stands among the objects
    octets("edited", empty=True),  # digest of the text that a person here put in its place
    Index("quarantine_key", "stix_id", "link", "digest"),
    Index("quarantine_link", "link", "at"),
    Index("quarantine_state", "state", "at"),
    Index("quarantine_load", "state", "link", "size"),
)

# What each partner brought on each day (UTC), as far as it was written here, and what it took back of what
# we held from it. Written by exchange/quotas.py.
intake = Table(
    "intake",
    metadata,
    text("partner", key=True),
    number("day", key=True),  # days since 1970
    number("objects"),  # versions and restated texts
    big("bytes"),
    number("firsts"),  # ids that a collection did not hold before
    number("revoked"),  # ids that stood in a collection until then
)
# What a person let a partner bring beyond its limits, until a moment. Written by exchange/quotas.py.
allowance = Table(
    "allowance",
    metadata,
    text("partner", key=True),
    text("kind", key=True),  # new | revoked
    number("remaining"),  # objects
    big("until"),
    text("actor"),
)

# What this node has withdrawn, and who acknowledged it by word. Written by exchange/withdrawals.py.
withdrawal = Table(
    "withdrawal",
    metadata,
    text("stix_id", key=True),
    big("at"),
    text("kind"),  # revoked | buried | notice
    text("actor"),
    text("reason"),
    text("notice_id"),  # of the note that tells partners; "" for revoked
    Index("withdrawal_at", "at", "stix_id"),
)
acknowledgement = Table(
    "acknowledgement",
    metadata,
    text("stix_id", key=True),
    text("partner", key=True),
    big("at"),
    text("actor"),
    text("words"),
)

# Incoming pushes: how far a partner's session has been applied. Written by exchange/sessions.py.
session_in = Table(
    "session_in",
    metadata,
    text("link", key=True),
    big("started"),
    text("epoch"),
    big("have"),
    text("status_id"),
)
# Outgoing pushes: the session and its one outstanding batch. Written by exchange/sessions.py.
session_out = Table(
    "session_out",
    metadata,
    text("link", key=True),
    big("started"),
    text("epoch"),
    big("sent"),  # number of the last batch that is settled
    octets("batch", empty=True),  # JSON list of feed keys, stored before sending
)

# How far each incoming link has read, in the partner's own words. Written by sync/bookmarks.py.
bookmark = Table(
    "bookmark",
    metadata,
    text("link", key=True),
    text("added_after"),
    text("epoch"),
    octets("policy_digest"),
    big("at"),
    big("listed_at"),  # when the partner was last listed from its start
)

# One worker at a time does the same work. Written by sync/leases.py.
lease = Table(
    "lease",
    metadata,
    text("work", key=True),
    text("holder"),
    big("until"),
)

# What each channel was told and not yet told to be over. Written by sync/alert_book.py.
alert = Table(
    "alert",
    metadata,
    text("key", key=True),
    text("channel", key=True),  # mail | webhook
    text("about"),  # JSON list of the links or things concerned, as they were told
    big("since"),
    big("told"),
    text("words"),  # the sentence that was told
)
# Channels that do not take what they are given; none while all do. Written by sync/alert_book.py.
alert_channel = Table(
    "alert_channel",
    metadata,
    text("channel", key=True),  # mail | webhook | heartbeat
    big("since"),
    text("error"),
)

# Which rows name a value, by 8 bytes of its hash: a hint that is held against the body when it is used, so
# that lines of rows that moved or went may stay a while. Written by store/values.py.
object_value = Table(
    "object_value",
    metadata,
    number("collection_id", key=True),
    big("hash", key=True),
    big("added", key=True),
    sqlite_with_rowid=False,
)
# How far `object_value` is true: every row up to that date is in it. Written by store/values.py.
object_value_mark = Table(
    "object_value_mark",
    metadata,
    number("collection_id", key=True),
    big("position"),
    big("swept"),  # the hash up to which lines of rows that went have been taken out
)

# What foreign partners gave us once and their complete listing does not name any more; kept, and marked.
# Written by exchange/vanished.py.
vanished = Table(
    "vanished",
    metadata,
    text("link", key=True),
    text("stix_id", key=True),
    text("spec_version", key=True),
    big("version", key=True),
    octets("digest", key=True),
    big("since"),
    Index("vanished_id", "stix_id"),
)

# TAXII status resources. Written by taxii/statuses.py.
status = Table(
    "status",
    metadata,
    text("status_id", key=True),
    text("account"),
    number("collection_id"),
    big("at"),
    octets("body"),
    Index("status_at", "at"),
)
