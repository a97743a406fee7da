"""Who has had an object: which of our SOC accounts have read past it, and which partners were given it.

Rule    An account "has read past" a row when its read position in the collection lies at or after the row's
        date and it may see the row today. Whether it kept it, or asked for this very type, is nobody's
        knowledge here; one that asked for a single object, and never listed, has no position. So the answer
        may name one too many, and is said in those words everywhere.

Reads   tables account, reading, flow, feed, feed_row; writes nothing
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from node.access import accounts
from node.exchange import feed_rows
from node.exchange.door import Door
from node.exchange.ledger import Key
from node.exchange.sight import Reader, eyes
from node.store import catalog
from node.store.database import Tx, spelled
from node.store.objects import Held

WORDS = {
    feed_rows.OFFERED: "offered, not handed over yet",
    feed_rows.SENT: "handed over",
    feed_rows.SETTLED: "handed over and confirmed",
    feed_rows.FAILED: "handed over and refused there",
    feed_rows.SET_ASIDE: "handed over and set aside there",
    feed_rows.OUT: "handed over; no longer offered",
}
"""What the state of a feed row says to people."""


class Readership(NamedTuple):
    """One SOC account that has read past one version.

    Args:
        version: The sender's text of the version.
        collection: Alias.
        last_poll: When the account last asked, in microseconds.
        last_served: The date up to which it was served; at or after the row's own.
    """

    stix_id: str
    version: str
    collection: str
    account: str
    last_poll: int
    last_served: int


class Given(NamedTuple):
    """One version in one partner's feed: it was handed over, or (only if asked for) waits to be.

    Args:
        state: As in `feed_rows`; `WORDS` has it in words.
        message: The partner's words.
    """

    link: str
    partner: str
    key: Key
    state: int
    offered_at: int
    message: str


# The feeds lead, because no index begins with the id.
_GIVEN = spelled(
    "select r.link, r.stix_id, r.spec_version, case when r.versionless then 0 else r.version end, r.digest,"
    " r.state, r.offered_at, r.message from json_each(:ids) j cross join feed f cross join feed_row r"
    " on r.link = f.link and r.stix_id = j.value",
    # Pair by pair: a table that statistics know as empty would be read whole.
    "select r.link, r.stix_id, r.spec_version, case when r.versionless then 0 else r.version end, r.digest,"
    " r.state, r.offered_at, r.message from feed f cross join unnest(cast(:ids as text[])) j(id)"
    " cross join lateral (select * from feed_row e where e.link = f.link and e.stix_id = j.id offset 0) r",
)


def readers_of(tx: Tx, door: Door, rows: Sequence[Held]) -> list[Readership]:
    """The SOC accounts that have read past some rows, by id, version, collection and account.

    Args:
        tx: A reader.
        door: The node.
        rows: Rows that stand now; a row that took a new date is past only for who read on since.
    """
    del door  # sight is a matter of the tables alone
    if not rows:
        return []
    aliases = {one.collection_id: one.alias for one in catalog.collections(tx)}
    soc = {one.name: one for one in accounts.list_accounts(tx) if not one.partner}
    sees = {name: eyes(tx, Reader(one.clearance, one.audience)) for name, one in soc.items()}
    found = {
        Readership(
            row.stix_id,
            row.version_text,
            aliases[row.collection_id],
            at.account,
            at.last_poll,
            at.last_served,
        )
        for at in accounts.readings(tx)
        if at.account in sees
        for row in rows
        if row.collection_id == at.collection_id and row.added <= at.last_served and sees[at.account](row)
    }
    return sorted(found)


def given_to(tx: Tx, ids: Iterable[str], *, offered: bool = False) -> list[Given]:
    """What partners were given of some ids, by link and place in the feed.

    Args:
        tx: A reader.
        ids: Object ids.
        offered: Also what stands in a feed and was not handed over yet.
    """
    wanted = sorted(set(ids))
    if not wanted:
        return []
    found = [
        Given(
            row[0],
            row[0].partition("/")[0],
            Key(row[1], row[2], int(row[3]), bytes(row[4])),
            int(row[5]),
            int(row[6]),
            row[7],
        )
        for row in tx.rows(_GIVEN, ids=tx.listed(wanted))
    ]
    return sorted(
        (one for one in found if offered or one.state != feed_rows.OFFERED),
        key=lambda one: (one.link, one.offered_at),
    )
