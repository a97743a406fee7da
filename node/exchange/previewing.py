"""Preview: what an advance of a feed would decide, by the deciding half of the advance itself.

An advance sees in its later steps what its earlier ones let in. A preview writes nothing, so it says of a
version that was decided twice what let it go: an organisation goes once something that goes names it.

Reads   what `feeds` reads. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from node.exchange import feed_rows, feeds
from node.exchange.companions import Earlier
from node.exchange.door import Door
from node.exchange.feed_rows import OUT, Feed
from node.exchange.feeds import WINDOW, Decided, key_of
from node.exchange.ledger import Key
from node.sharing.links import Link
from node.store.catalog import Collection
from node.store.database import Tx

GONE = "not_held"


class Step(NamedTuple):
    """One version as a preview shows it.

    `already` is true for what stands in the feed as these very bytes, sent or not; it is taken out of the
    feed if it is not `allowed`.
    """

    stix_id: str
    version_text: str
    type: str
    allowed: bool
    already: bool
    reason: str
    detail: str
    remedy: str
    digest: bytes


def preview(tx: Tx, door: Door, link: Link, *, now: int, at_most: int = 100_000) -> tuple[list[Step], bool]:
    """What an advance would decide for everything that is due.

    Args:
        tx: A reader.
        door: What the door judges by.
        link: An outgoing link; its terms need not be those that the feed was examined by.
        now: Microseconds.
        at_most: Steps after which no further window is examined.

    Returns:
        One step for each version, and whether that is all.
    """
    collection = feeds.collection_of(tx, link)
    state = feed_rows.feed(tx, link.name) or Feed(link.name, collection.collection_id, 0, 0, "", b"")
    state = feeds.renewed(state, link, collection)
    found: dict[Key, Step] = {}
    past = _Past()
    due, complete = feed_rows.due(tx, link.name), False
    while len(found) < at_most and not complete:
        window = feeds.window_of(tx, collection, state.examined, due[:WINDOW])
        due = due[WINDOW:]
        _merge(found, _examined(tx, door, link, collection, window.ids, past, now=now))
        state, complete = state._replace(examined=window.examined), window.complete
    return list(found.values()), complete


def preview_of(tx: Tx, door: Door, link: Link, ids: Sequence[str], *, now: int) -> list[Step]:
    """The same for all versions of some ids, whether or not they are due."""
    collection = feeds.collection_of(tx, link)
    found: dict[Key, Step] = {}
    past = _Past()
    for start in range(0, len(ids), WINDOW):
        _merge(found, _examined(tx, door, link, collection, ids[start : start + WINDOW], past, now=now))
    return list(found.values())


@dataclass(slots=True)
class _Past:
    """The windows before this one: an advance would have written what they decided."""

    ids: set[str] = field(default_factory=set)
    authors: set[str] = field(default_factory=set)

    def add(self, ids: Iterable[str], decided: Iterable[Decided]) -> None:
        self.ids.update(ids)
        for one in decided:
            author = one.held.created_by
            if one.decision.allowed and not one.companion and author not in (None, one.held.stix_id):
                self.authors.add(author)


def _merge(found: dict[Key, Step], more: Iterable[tuple[Key, Step]]) -> None:
    for key, step in more:
        if key not in found or (step.allowed and not found[key].allowed):
            found[key] = step


def _examined(
    tx: Tx, door: Door, link: Link, collection: Collection, ids: Sequence[str], past: _Past, *, now: int
) -> Iterator[tuple[Key, Step]]:
    moment = max(now, collection.last_added)
    earlier = Earlier(past.ids, past.authors)
    decided = feeds.decide_ids(tx, door, link, collection, ids, now=moment, earlier=earlier)
    past.add(ids, decided)
    rows = feed_rows.by_ids(tx, link.name, {*ids, *(one.held.stix_id for one in decided)})
    standing = {row.key: row for row in rows if row.state != OUT}
    examined = set(ids)
    for one in decided:
        key = key_of(one.held)
        yield key, _step(one, already=standing.pop(key, None) is not None)
    for key, row in standing.items():
        if row.stix_id in examined:
            kind = row.stix_id.split("--")[0]
            yield key, Step(row.stix_id, "", kind, False, True, GONE, "It is held no more.", "", row.digest)


def _step(one: Decided, *, already: bool) -> Step:
    held, decision = one.held, one.decision
    reason = "" if decision.reason is None else decision.reason.value
    return Step(
        held.stix_id,
        held.version_text,
        held.type,
        decision.allowed,
        already,
        reason,
        decision.detail,
        decision.remedy,
        held.digest,
    )
