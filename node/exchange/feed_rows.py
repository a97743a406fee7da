"""The rows of the feeds: what each partner is offered, in which order, and how far that has come.

A row's `offered_at` is the partner's `date_added`. Rows are keyed by key and digest, so the same bytes
stand in a feed once, however often they enter it.

Writes  tables feed, feed_row, feed_due
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from node.exchange.ledger import Key
from node.store.database import Tx, spelled

OFFERED, SENT, SETTLED, FAILED, SET_ASIDE, OUT = 0, 1, 2, 3, 4, 9
STATE_NAMES = {
    OFFERED: "offered",
    SENT: "sent",
    SETTLED: "settled",
    FAILED: "failed",
    SET_ASIDE: "set aside",
    OUT: "taken out",
}
STEP = 10


class Feed(NamedTuple):
    """How far one outgoing link has examined its collection."""

    link: str
    collection_id: int
    examined: int
    last_offered: int
    epoch: str
    policy_digest: bytes


class FeedRow(NamedTuple):
    """One version that one partner is, or was, offered."""

    link: str
    offered_at: int
    version: int
    collection_id: int
    state: int
    companion: bool
    versionless: bool
    stix_id: str
    spec_version: str
    message: str
    digest: bytes
    rendition: bytes
    urgent: bool = False

    @property
    def key(self) -> Key:
        """The row's place in the books."""
        return Key(self.stix_id, self.spec_version, 0 if self.versionless else self.version, self.digest)


_ROW = ", ".join("f." + name for name in FeedRow._fields)
_FEED = "link, collection_id, examined, last_offered, epoch, policy_digest"

_NEW_FEED = sa.text(
    f"insert into feed ({_FEED}) values (:link, :collection_id, 0, 0, :epoch, :policy) on conflict"
    f" (link) do nothing"
)
_GET_FEED = sa.text(f"select {_FEED} from feed where link = :link")
_LOCK_FEED = spelled(
    f"select {_FEED} from feed where link = :link",
    f"select {_FEED} from feed where link = :link for update",
)
_SET_FEED = sa.text(
    "update feed set examined = :examined, last_offered = :last_offered, epoch = :epoch,"
    " policy_digest = :policy,"
    " collection_id = :collection_id where link = :link"
)
_AFTER = sa.text(
    f"select {_ROW} from feed_row f where f.link = :link and f.offered_at > :after and f.state < 9"
    " order by f.offered_at limit :n"
)
_LATEST = sa.text(
    f"select {_ROW} from feed_row f where f.link = :link and f.offered_at > :after and f.state < 9"
    " order by f.offered_at desc limit :n"
)
_TO_SEND = sa.text(
    f"select {_ROW} from feed_row f where f.link = :link and f.state < 2 order by f.offered_at limit :n"
)
# The sum hides that the index of all that is to be sent would do too, of which little is urgent.
_URGENT = sa.text(
    f"select {_ROW} from feed_row f where f.link = :link and f.urgent and f.state + 0 < 2"
    " order by f.offered_at limit :n"
)
_ANY_URGENT = sa.text(
    "select 1 from feed_row where link = :link and urgent and state + 0 < 2 order by offered_at limit 1"
)
_BY_IDS = spelled(
    f"select {_ROW} from json_each(:ids) j cross join feed_row f on f.link = :link and f.stix_id = j.value",
    # The link as an array: with a plain parameter a link that statistics do not know is read whole.
    f"select {_ROW} from unnest(array_fill(cast(:link as text), array[cardinality(cast(:ids as text[]))]),"
    " cast(:ids as text[])) j(link, id) join feed_row f on f.link = j.link and f.stix_id = j.id",
)
_OF_ID = sa.text(f"select {_ROW} from feed_row f where f.stix_id = :id order by f.link, f.offered_at")
_PUT = sa.text(
    "insert into feed_row (link, offered_at, version, collection_id, state, companion, versionless, stix_id,"
    " spec_version, message, digest, rendition, urgent) values (:link, :offered_at, :version, :collection_id,"
    " :state, :companion, :versionless, :stix_id, :spec_version, :message, :digest, :rendition, :urgent)"
    " on conflict (link, stix_id, spec_version, version, digest) do update set offered_at ="
    " excluded.offered_at,"
    " state = excluded.state, companion = excluded.companion, message = '', urgent = excluded.urgent,"
    " collection_id = excluded.collection_id"
)
_STATE = sa.text(
    "update feed_row set state = :state, message = :message where link = :link and offered_at ="
    " :offered_at and state < 9"
)
_SENT = sa.text("update feed_row set state = 1 where link = :link and offered_at = :offered_at and state = 0")
_ANY_FETCHED = sa.text(
    "select 1 from feed_row where link = :link and offered_at <= :until and state < 2 and state + 0 = 1"
    " limit 1"
)
_FETCHED = sa.text(
    "update feed_row set state = 2 where link = :link and offered_at <= :until and state < 2"
    " and state + 0 = 1"
)
_STATE_BY_KEY = sa.text(
    "update feed_row set state = :state, message = :message where link = :link and stix_id = :stix_id"
    " and spec_version = :spec_version and digest = :digest and (versionless or version = :version)"
    " and state < 9"
)
_TAKE_OUT = sa.text(
    "update feed_row set state = 9 where link = :link and offered_at = :offered_at and state between 1 and 8"
)
_DROP = sa.text("delete from feed_row where link = :link and offered_at = :offered_at and state = 0")
_AGAIN = sa.text("update feed_row set state = 0, message = '' where link = :link and state < 9")
_STATES = sa.text("select state, count(*), min(offered_at) from feed_row where link = :link group by state")
_COMPANIONS = sa.text(
    # The sum hides that the index of what stands would do too, of which few are companions.
    "select distinct stix_id from feed_row where link = :link and companion and state + 0 < 9"
)
_HURRY = sa.text(
    "update feed_row set urgent = true where link = :link and companion and state + 0 < 2 and not urgent"
)
# A wish that is there already is written again: who is just taking it is waited for, and takes it anew.
_DUE = sa.text(
    "insert into feed_due (link, stix_id) values (:link, :stix_id)"
    " on conflict (link, stix_id) do update set stix_id = excluded.stix_id"
)
_TAKE_DUE = spelled(
    "delete from feed_due where link = :link and stix_id in"
    " (select d.stix_id from feed_due d where d.link = :link order by d.stix_id limit :n) returning stix_id",
    "delete from feed_due where link = :link and stix_id = any(array("
    "select d.stix_id from feed_due d where d.link = :link order by d.stix_id limit :n for update))"
    " returning stix_id",
)
_SEE_DUE = sa.text("select stix_id from feed_due where link = :link")
_ANY_DUE = sa.text("select 1 from feed_due where link = :link limit 1")


def feed(tx: Tx, link: str) -> Feed | None:
    """The state of one feed, or None before it was first advanced."""
    row = tx.row(_GET_FEED, link=link)
    return None if row is None else _feed(row)


def held(tx: Tx, link: str) -> Feed | None:
    """The state of one feed, held until the transaction ends, so that an advance under way is waited for."""
    row = tx.row(_LOCK_FEED, link=link)
    return None if row is None else _feed(row)


def lock(tx: Tx, link: str, *, collection_id: int, epoch: str, policy: bytes) -> Feed:
    """The state of one feed, held until the transaction ends; a new one has examined nothing."""
    tx.run(_NEW_FEED, link=link, collection_id=collection_id, epoch=epoch, policy=policy)
    row = tx.row(_LOCK_FEED, link=link)
    assert row is not None  # inserted above
    return _feed(row)


def save(tx: Tx, one: Feed) -> None:
    """Write the state of a feed that this transaction holds."""
    tx.run(
        _SET_FEED,
        link=one.link,
        collection_id=one.collection_id,
        examined=one.examined,
        last_offered=one.last_offered,
        epoch=one.epoch,
        policy=one.policy_digest,
    )


def after(tx: Tx, link: str, position: int, limit: int) -> list[FeedRow]:
    """Rows that stand in the feed after a position, in order."""
    return [_row(row) for row in tx.rows(_AFTER, link=link, after=position, n=limit)]


def latest(tx: Tx, link: str, position: int, limit: int) -> list[FeedRow]:
    """The last rows that stand in the feed after a position, the newest first."""
    return [_row(row) for row in tx.rows(_LATEST, link=link, after=position, n=limit)]


def to_send(tx: Tx, link: str, limit: int, *, hurry: bool = False) -> list[FeedRow]:
    """Rows that a push has still to bring, in order; to `hurry` is to have the urgent ones first."""
    rows = [_row(row) for row in tx.rows(_TO_SEND, link=link, n=limit)]
    first = urgent_to_send(tx, link, limit) if hurry else []
    if not first:
        return rows
    taken = {row.offered_at for row in first}
    return [*first, *(row for row in rows if row.offered_at not in taken)][:limit]


def urgent_to_send(tx: Tx, link: str, limit: int) -> list[FeedRow]:
    """Rows that must leave before all others, in order."""
    return [_row(row) for row in tx.rows(_URGENT, link=link, n=limit)]


def is_urgent(tx: Tx, link: str) -> bool:
    """Whether a push has anything to bring that must not wait for its time."""
    return tx.row(_ANY_URGENT, link=link) is not None


def hurry_companions(tx: Tx, link: str) -> None:
    """Let what others name leave before all that is not urgent: something urgent may name it."""
    tx.run(_HURRY, link=link)


def by_ids(tx: Tx, link: str, ids: Iterable[str]) -> list[FeedRow]:
    """All rows of some ids on one link, also those taken out."""
    wanted = sorted(set(ids))
    if not wanted:
        return []
    return [_row(row) for row in tx.rows(_BY_IDS, ids=tx.listed(wanted), link=link)]


def of_id(tx: Tx, stix_id: str) -> list[FeedRow]:
    """All rows of one id on all links."""
    return [_row(row) for row in tx.rows(_OF_ID, id=stix_id)]


def released(tx: Tx, link: str, ids: Iterable[str]) -> dict[Key, set[bytes]]:
    """The renditions of some ids that really went out by a link, by key (with an empty digest)."""
    found: dict[Key, set[bytes]] = {}
    for row in by_ids(tx, link, ids):
        if row.state != OFFERED:
            found.setdefault(row.key._replace(digest=b""), set()).add(row.rendition)
    return found


def put(tx: Tx, rows: Sequence[FeedRow]) -> None:
    """Append rows; a row of the same key and digest moves to its new place and is offered again."""
    tx.many(_PUT, [row._asdict() for row in rows])


def note_sent(tx: Tx, rows: Iterable[FeedRow]) -> int:
    """Rows leave now: noted before the first byte does; how many of them leave for the first time."""
    fresh = [{"link": row.link, "offered_at": row.offered_at} for row in rows if row.state == OFFERED]
    return tx.many(_SENT, fresh)


def is_unconfirmed(tx: Tx, link: str, until: int) -> bool:
    """Whether anything that was handed over up to a place in the feed is not confirmed."""
    return tx.row(_ANY_FETCHED, link=link, until=until) is not None


def confirm(tx: Tx, link: str, until: int) -> None:
    """The partner that fetches says that it has stored everything it was handed up to a place in the feed."""
    tx.run(_FETCHED, link=link, until=until)


def settle(tx: Tx, link: str, keys: Sequence[Key], state: int, message: str = "") -> None:
    """What the partner answered for some versions.

    Args:
        tx: A transaction.
        link: Name of the link.
        keys: The versions.
        state: OFFERED (to be sent again), SETTLED, FAILED or SET_ASIDE.
        message: The partner's words.
    """
    tx.many(
        _STATE_BY_KEY,
        [{"link": link, "state": state, "message": message[:300], **key._asdict()} for key in keys],
    )


def take_out(tx: Tx, rows: Iterable[FeedRow]) -> None:
    """Rows that may no longer leave; one that never left is forgotten, others stay known as released."""
    values = [{"link": row.link, "offered_at": row.offered_at} for row in rows]
    tx.many(_DROP, values)
    tx.many(_TAKE_OUT, values)


def companions(tx: Tx, link: str) -> list[str]:
    """The ids that stand in a feed because something else there names them."""
    return [row[0] for row in tx.rows(_COMPANIONS, link=link)]


def offer_again(tx: Tx, link: str) -> None:
    """The partner lost its history: every row in the feed is to be sent again."""
    tx.run(_AGAIN, link=link)


def states(tx: Tx, link: str) -> dict[int, tuple[int, int]]:
    """state -> (number, earliest offered_at) of one feed."""
    return {int(state): (int(number), int(oldest)) for state, number, oldest in tx.rows(_STATES, link=link)}


def add_due(tx: Tx, pairs: Iterable[tuple[str, str]]) -> None:
    """Have (link, id) examined again although no row of the id is new there."""
    tx.many(_DUE, [{"link": link, "stix_id": stix_id} for link, stix_id in sorted(set(pairs))])


def take_due(tx: Tx, link: str, limit: int) -> list[str]:
    """Take ids that are due on a link, at most so many at a time.

    They are deleted before anything is read of them: who asks for one again meanwhile waits for this
    transaction and then leaves a new wish; and who asked before it, but has not committed, is waited for
    here. So none is lost between reading and striking off.
    """
    return [row[0] for row in tx.rows(_TAKE_DUE, link=link, n=limit)]


def due(tx: Tx, link: str) -> list[str]:
    """The ids that are due on a link, left where they are."""
    return [row[0] for row in tx.rows(_SEE_DUE, link=link)]


def is_due(tx: Tx, link: str) -> bool:
    """Whether any id is due on a link."""
    return tx.row(_ANY_DUE, link=link) is not None


def _feed(row: Sequence[Any]) -> Feed:
    return Feed(row[0], int(row[1]), int(row[2]), int(row[3]), row[4], bytes(row[5]))


def _row(row: Sequence[Any]) -> FeedRow:
    flags, octets = (bool(row[5]), bool(row[6])), (bytes(row[10]), bytes(row[11]))
    return FeedRow._make((*row[:5], *flags, *row[7:10], *octets, bool(row[12])))
