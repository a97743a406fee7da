"""The way out: which stored versions a recipient gets, and as which bytes.

Whatever leaves this node passes here: TAXII objects, versions and manifest, a push, an export. A SOC
account reads a collection with its own eyes (clearance and audience); a partner reads its feed, and every
row is judged again by the terms in force at the moment it leaves; while rows wait to be ranked again after
a definition changed, none does. The record is committed before the first byte leaves: we may hand over
twice, never without a trace.

Reads   through store.pages and `feed_rows`; writes feed states and withheld lines
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from node.clock import taxii_time
from node.exchange import feed_rows, feeds, history, ledger, links, remarking
from node.exchange.door import Door
from node.exchange.feed_rows import FeedRow
from node.exchange.judging import Candidate, judge
from node.exchange.ledger import Key, WithheldLine
from node.exchange.selection import Selection, Versions, chosen
from node.exchange.sight import Reader, Sight, eyes, sight
from node.sharing.links import Link
from node.store import catalog, objects, pages
from node.store.catalog import Collection
from node.store.database import Tx
from node.store.objects import HeldBody
from node.store.pages import Record

__all__ = [
    "Item",
    "Page",
    "Reader",
    "Record",
    "Selection",
    "Sight",
    "Versions",
    "eyes",
    "read_collection",
    "read_feed",
    "sight",
]

R = TypeVar("R", bound=tuple[Any, ...])
CLOCK_DOUBT = 600 * 1_000_000
_BEFORE_ALL = -(2**62)


@dataclass(frozen=True, slots=True)
class Page:
    """Records in order, and whether more follow; the next page starts after the last record."""

    records: list[Record]
    more: bool


class Item(NamedTuple):
    """One version that a push brings."""

    offered_at: int
    stix_id: str
    spec_version: str
    version: int
    digest: bytes
    body: bytes

    @property
    def key(self) -> Key:
        """Its place in the books."""
        return Key(self.stix_id, self.spec_version, self.version, self.digest)


def read_collection(
    tx: Tx, collection: Collection, reader: Reader | Sight, selection: Selection, *, bodies: bool
) -> Page:
    """A page of a collection as a SOC account may see it.

    Args:
        tx: A reader.
        collection: Read before this, and before or with what the reader may see. What is added later, perhaps
            by a flow that nobody has heard of yet, waits for the next page.
        reader: Whose eyes.
        selection: What it asks for.
        bodies: Whether the bytes are wanted, or only the manifest.
    """
    rows = _read(tx, pages.read, collection, reader, selection, bodies=bodies)
    return Page(rows[: selection.limit], len(rows) > selection.limit)


def read_bodies(
    tx: Tx, collection: Collection, reader: Reader | Sight, selection: Selection
) -> tuple[list[tuple[int, bytes]], bool]:
    """The same page as (date_added, bytes), without the names; and whether more follow."""
    rows = _read(tx, pages.read_bodies, collection, reader, selection, bodies=True)
    return rows[: selection.limit], len(rows) > selection.limit


def _read(
    tx: Tx,
    read: Callable[[Tx, pages.Question], list[R]],
    collection: Collection,
    reader: Reader | Sight,
    selection: Selection,
    *,
    bodies: bool,
) -> list[R]:
    seen = reader if isinstance(reader, Sight) else sight(tx, reader)
    kinds = selection.types or (None,)
    found = [read(tx, _question(collection, seen, selection, kind, bodies=bodies)) for kind in kinds]
    return found[0] if len(kinds) == 1 else sorted(itertools.chain.from_iterable(found))


def read_feed(
    door: Door, link: Link, selection: Selection, *, now: int, bodies: bool, handed: bool = True
) -> Page:
    """A page of a partner's feed, judged now and noted as sent.

    Args:
        door: What the door judges by.
        link: The outgoing link; the caller has seen that it is open (`closed_reason`).
        selection: What the partner asks for; its dates are the feed's own.
        now: Microseconds.
        bodies: Whether the bytes are wanted, or only the manifest.
        handed: Whether they are handed over with the answer: not for a HEAD.
    """
    _advance_if_behind(door, link, now=now)
    records: list[Record] = []
    sent: list[FeedRow] = []
    failing: list[tuple[FeedRow, WithheldLine | None]] = []
    position = _BEFORE_ALL if selection.after is None else selection.after
    step = max(200, selection.limit + 1)
    with door.database.reading() as tx:
        while len(records) <= selection.limit:
            chunk = _chunk(tx, link, selection, position, step)
            found = _released(tx, door, link, chunk, selection, failing, now=now)
            if feeds.are_ranks_stale(tx):
                break
            for row, one in found:
                records.append(
                    Record(row.offered_at, row.stix_id, one.held.version_text, row.spec_version, one.body)
                )
                sent.append(row)
            if len(chunk) < step:
                break
            position = chunk[-1].offered_at
    more = len(records) > selection.limit
    records, sent = records[: selection.limit], sent[: selection.limit]
    _note(door, link, sent if bodies and handed else [], failing, now=now)
    if not bodies:
        records = [record._replace(body=b"") for record in records]
    return Page(records, more)


def _chunk(tx: Tx, link: Link, selection: Selection, position: int, limit: int) -> list[FeedRow]:
    """Rows of the feed after a position; where ids are named, theirs alone, without walking the feed."""
    if selection.ids is None:
        return feed_rows.after(tx, link.name, position, limit)
    rows = feed_rows.by_ids(tx, link.name, selection.ids)
    later = [row for row in rows if row.state != feed_rows.OUT and row.offered_at > position]
    return sorted(later, key=lambda row: row.offered_at)[:limit]


def holds(
    tx: Tx,
    door: Door,
    collection: Collection,
    stix_id: str,
    *,
    reader: Reader | Sight | None = None,
    link: Link | None = None,
) -> bool:
    """Whether a recipient may see any version of an id: the difference between 404 and an empty answer."""
    if link is not None:
        return any(row.state != feed_rows.OUT for row in feed_rows.by_ids(tx, link.name, [stix_id]))
    assert reader is not None  # either a partner's link or an account's eyes
    rank, flows = reader if isinstance(reader, Sight) else sight(tx, reader)
    return pages.exists(tx, collection.collection_id, stix_id, rank=rank, flows=flows)


def next_batch(
    door: Door, link: Link, *, now: int, at_most: int, max_bytes: int, hurry: bool = True
) -> list[Item]:
    """What a push brings next, in the order offered, judged now; what may not leave is taken out.

    Args:
        door: What the door judges by.
        link: An outgoing link whose carrier we are.
        now: Microseconds.
        at_most: Objects at most.
        max_bytes: Bytes of body at most, but never less than one object.
        hurry: Whether what is urgent comes first.
    """
    remarking.work_in(door, now=now)
    with door.database.reading() as tx:
        rows = feed_rows.to_send(tx, link.name, at_most, hurry=hurry)
        failing: list[tuple[FeedRow, WithheldLine | None]] = []
        found = _released(tx, door, link, rows, None, failing, now=now)
        if feeds.are_ranks_stale(tx):
            return []
    items: list[Item] = []
    size = 0
    for row, one in found:
        size += len(one.body) + 1
        if items and size > max_bytes:
            break
        items.append(_item(row, one))
    _note(door, link, [], failing, now=now)
    return items


def bodies_of(door: Door, link: Link, keys: Sequence[Key], *, now: int) -> list[Item]:
    """Those of a stored batch that may still leave, as the very bytes that were stored in it.

    A row that left the feed meanwhile and entered it again is not among them: the partner may have applied
    the batch without it, and would answer for it without a word about it; it goes with a later batch.
    """
    wanted = set(keys)
    remarking.work_in(door, now=now)
    with door.database.reading() as tx:
        known = feed_rows.by_ids(tx, link.name, [key.stix_id for key in keys])
        sent = [row for row in known if row.key in wanted and row.state == feed_rows.SENT]
        rows = sorted(sent, key=lambda row: row.offered_at)
        failing: list[tuple[FeedRow, WithheldLine | None]] = []
        found = _released(tx, door, link, rows, None, failing, now=now)
        if feeds.are_ranks_stale(tx):
            return []
    _note(door, link, [], failing, now=now)
    return [_item(row, one) for row, one in found]


def note_sent(tx: Tx, link: Link, items: Sequence[Item]) -> None:
    """Note what leaves now, in the transaction that stores the batch, before its first byte goes."""
    keys = {item.key for item in items}
    rows = feed_rows.by_ids(tx, link.name, [item.stix_id for item in items])
    feed_rows.note_sent(tx, [row for row in rows if row.key in keys])


def amount(tx: Tx, collection: Collection) -> tuple[int, int]:
    """How many versions a collection holds, and how many bytes of body."""
    return objects.amount(tx, collection.collection_id)


def export_bodies(door: Door, collection: Collection) -> Iterator[bytes]:
    """Every body of a collection in order of `date_added`, for our own operator."""
    position = _BEFORE_ALL
    while True:
        with door.database.reading() as tx:
            rows = objects.all_after(tx, collection.collection_id, position, 1_000)
        for row in rows:
            yield row.body
        if len(rows) < 1_000:
            return
        position = rows[-1].held.added


def epoch_shown(collection: Collection, link: Link) -> str:
    """The epoch that a partner is shown: another history or other terms, and it lists again."""
    return hashlib.sha256(collection.epoch.encode() + b"\n" + link.policy_digest).hexdigest()[:32]


def closed_reason(tx: Tx, link: Link, collection: Collection, *, now: int) -> str | None:
    """Why nothing crosses by a link just now, as a sentence for the partner; None when it is open."""
    state = links.state(tx, link.name)
    if link.paused or state is None or state.paused:
        why = "" if state is None else state.pause_reason
        return f"The link {link.flow} with {link.partner} is paused here{f' ({why})' if why else ''}."
    if collection.last_added > now + CLOCK_DOUBT:
        return (
            f"The clock of this node ({taxii_time(now)}) is behind its newest object"
            f" ({taxii_time(collection.last_added)}), so nothing crosses until a person has looked."
        )
    moment = max(now, collection.last_added)
    if moment < link.terms.starts:
        return f"The agreement {link.terms.agreement} is not in force before {taxii_time(link.terms.starts)}."
    if moment >= link.terms.ends:
        return f"The agreement {link.terms.agreement} ended at {taxii_time(link.terms.ends)}."
    return None


def _released(
    tx: Tx,
    door: Door,
    link: Link,
    rows: Sequence[FeedRow],
    selection: Selection | None,
    failing: list[tuple[FeedRow, WithheldLine | None]],
    *,
    now: int,
) -> list[tuple[FeedRow, HeldBody]]:
    """The rows that may leave now, with their bytes; those that may not are added to `failing`."""
    if selection is not None:
        rows = [
            row
            for row in rows
            if (selection.ids is None or row.stix_id in selection.ids)
            and (selection.types is None or row.stix_id.split("--")[0] in selection.types)
        ]
    collection = catalog.find_collection(tx, link.collection)
    if not rows or collection is None:
        return []
    bodies = feeds.bodies_of_rows(tx, rows)
    present = [(row, bodies[row.key]) for row in rows if row.key in bodies]
    failing.extend((row, None) for row in rows if row.key not in bodies)
    if selection is not None:
        present = _selected(tx, link, present, selection)
    moment = max(now, collection.last_added)
    decisions = judge(
        tx,
        door,
        link,
        [Candidate(one, companion=row.companion) for row, one in present],
        now=moment,
        entering=False,
    )
    allowed: list[tuple[FeedRow, HeldBody]] = []
    for (row, one), decision in zip(present, decisions, strict=True):
        if decision.allowed:
            allowed.append((row, one))
        else:
            failing.append((row, feeds.withheld_line(link, one.held, decision, now=now)))
    return allowed


def _selected(
    tx: Tx, link: Link, present: Sequence[tuple[FeedRow, HeldBody]], selection: Selection
) -> list[tuple[FeedRow, HeldBody]]:
    """Which versions the partner asked for, among those that stand in its feed."""
    if selection.versions.every and set(selection.spec_versions or ()) == {"2.0", "2.1"}:
        return list(present)
    ids = {row.stix_id for row, _ in present}
    standing = {row.key for row in feed_rows.by_ids(tx, link.name, ids) if row.state != feed_rows.OUT}
    wanted: set[Key] = set()
    for stix_id, rows in objects.held_by_ids(tx, ids).items():
        seen = {feeds.key_of(row): row for row in rows if feeds.key_of(row) in standing}
        picked = chosen(list(seen.values()), selection.versions, selection.spec_versions)
        wanted.update(feeds.key_of(row) for row in picked if row.stix_id == stix_id)
    return [(row, one) for row, one in present if row.key in wanted]


def _note(
    door: Door,
    link: Link,
    sent: Sequence[FeedRow],
    failing: Sequence[tuple[FeedRow, WithheldLine | None]],
    *,
    now: int,
) -> None:
    fresh = [row for row in sent if row.state == feed_rows.OFFERED]
    if not fresh and not failing:
        return

    def work(tx: Tx) -> None:
        handed = feed_rows.note_sent(tx, fresh)
        feed_rows.take_out(tx, [row for row, _ in failing])
        ledger.withhold(tx, [line for _, line in failing if line is not None])
        feed_rows.add_due(tx, [(link.name, row.stix_id) for row, _ in failing])
        history.note_fetched(tx, link, handed, [row.stix_id for row in fresh], now=now)

    door.database.retrying(work)


def _advance_if_behind(door: Door, link: Link, *, now: int) -> None:
    with door.database.reading() as tx:
        collection = catalog.find_collection(tx, link.collection)
        behind = collection is not None and feeds.is_behind(tx, link, collection)
    if behind:
        feeds.advance(door, link, now=now)


def _question(
    collection: Collection, seen: Sight, selection: Selection, kind: str | None, *, bodies: bool
) -> pages.Question:
    versions = selection.versions
    return pages.Question(
        collection_id=collection.collection_id,
        after=_BEFORE_ALL if selection.after is None else selection.after,
        until=collection.last_added,
        limit=selection.limit + 1,
        rank=seen.rank,
        flows=seen.flows,
        ids=selection.ids,
        type=kind,
        spec_versions=selection.spec_versions,
        first=versions.first,
        last=versions.last,
        every=versions.every,
        instants=versions.instants,
        bodies=bodies,
    )


def _item(row: FeedRow, one: HeldBody) -> Item:
    return Item(row.offered_at, *row.key[:3], row.digest, one.body)
