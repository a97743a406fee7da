"""What both ways of pushing share: a batch, what the partner's words say of it, and the books.

Rule    A word of a status settles exactly the versions that it names, and only those we sent: an id with
        another version, or a stranger's id, settles nothing. What no word names stays unconfirmed. Our
        own kind answers for one numbered batch, so there the only word of an id that was sent once is
        meant for it, whatever version it names.

Reads   `exchange.feeds`. Writes nothing; its callers settle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from node.exchange import egress, feed_rows, feeds, history
from node.exchange.door import Door
from node.exchange.egress import Item
from node.exchange.ledger import Key
from node.sharing.links import Link
from node.stix import envelope
from node.store import catalog
from node.store.database import Tx
from node.sync.answers import Status, Word
from node.sync.client import Partner
from node.sync.leases import Hold
from node.sync.own_kind import stop_if_closed
from node.sync.reports import PushReport

MOST_BYTES = 8 * 1024 * 1024
ENVELOPE_BYTES = 256
SET_ASIDE = "set_aside"


@dataclass(slots=True)
class Delivery:
    """One push under way.

    Args:
        remote: The partner's id of the collection.
        headers: Of our own kind; empty for others.
        pause: Waits some seconds; True when the run must end.
        hold: Called before anything is sent, or written but the feed.
        failures: How often in succession the link has failed before this round.
        last_success: When a round last ended well, in microseconds; None before the first.
    """

    door: Door
    link: Link
    client: Partner
    now: Callable[[], int]
    remote: str
    headers: dict[str, str]
    report: PushReport
    pause: Callable[[float], bool]
    hold: Hold
    failures: int = 0
    last_success: int | None = None

    @property
    def hurry(self) -> bool:
        """Whether the next batch begins with what is urgent: every second one begins at the front.

        Failures count too: or a partner that takes one batch a round would never get anything else.
        """
        return (self.failures + self.report.batches) % 2 == 0

    def count(self, tx: Tx, **counts: int) -> None:
        """Add to the link's totals, as the last that a transaction writes."""
        history.count(tx, self.link.name, counts, now=self.now())

    def unanswered(self, items: Sequence[Item]) -> None:
        """Nobody knows what became of some objects; they are counted when the round ends."""
        self.report.considered += len(items)
        self.report.unconfirmed += len(items)
        self.report.uncounted += len(items)

    def most_bytes(self) -> int:
        """How large a batch may be for this partner."""
        return max(min(MOST_BYTES, self.client.max_content_length()) - ENVELOPE_BYTES, 1)

    def closed(self, tx: Tx) -> bool:
        """Whether the link was closed meanwhile; then the round ends."""
        collection = catalog.find_collection(tx, self.link.collection)
        return collection is not None and stop_if_closed(
            tx, self.report, self.link, collection, now=self.now()
        )


@dataclass(slots=True)
class Sorted:
    """The keys of a batch by what the partner said of them, with its words for failures."""

    taken: list[Key]
    held_before: list[Key]
    failed: list[tuple[Key, str]]
    unknown: list[Key]


def advance(delivery: Delivery) -> None:
    """Let the feed examine all that is due; a feed that is up to date is not even locked."""
    door, link, report = delivery.door, delivery.link, delivery.report
    with door.database.reading() as tx:
        collection = catalog.find_collection(tx, link.collection)
        behind = collection is not None and feeds.is_behind(tx, link, collection)
    while behind:
        step = feeds.advance(door, link, now=delivery.now())
        report.considered += step.withheld
        report.withheld += step.withheld
        behind = not step.complete and step.examined > 0


def next_items(delivery: Delivery, *, besides: int = 0, bytes_besides: int = 0, at_most: int) -> list[Item]:
    """What to bring next, what is urgent first and else in the order offered; empty when nothing waits.

    Args:
        besides, bytes_besides: Number and size of items that wait and that the caller passes over.
        at_most: Objects at most, beside those.
    """
    door, link = delivery.door, delivery.link
    while True:
        with door.database.reading() as tx:
            waiting = len(feed_rows.to_send(tx, link.name, besides + 1)) > besides
        if not waiting:
            return []
        items = egress.next_batch(
            door,
            link,
            now=delivery.now(),
            at_most=at_most + besides,
            max_bytes=delivery.most_bytes() + bytes_besides,
            hurry=delivery.hurry,
        )
        if items:
            return items  # an empty batch: all of it was taken out of the feed, so the next one is further on


def told_apart(items: Sequence[Item], *, alone: Collection[str] = ()) -> list[Item]:
    """The longest beginning of a batch in which a status can tell every object from every other.

    A status names id and version; objects without a version of their own are told apart by id alone,
    and so are 2.0 and 2.1 texts of one instant, so a second one waits for the next batch.

    Args:
        items: In the order offered.
        alone: ids of which the batch may have one version only.
    """
    seen: set[tuple[str, int]] = set()
    ids: set[str] = set()
    for count, item in enumerate(items):
        if (item.stix_id, item.version) in seen or (item.stix_id, 0) in seen:
            return list(items[:count])
        if item.stix_id in ids and item.stix_id in alone:
            return list(items[:count])
        seen.add((item.stix_id, item.version))
        ids.add(item.stix_id)
    return list(items)


def envelope_of(items: Iterable[Item]) -> bytes:
    """The envelope to send: the bytes as they are; `{}` without any."""
    return envelope.join([item.body for item in items])


def sort_by(status: Status, keys: Sequence[Key], *, whole: bool = False) -> Sorted:
    """What a status says of each key of a batch.

    Args:
        status: The partner's words.
        keys: The batch.
        whole: Whether the status is that of this very batch and no other, so that the only word of an
            id that stands in it once is meant for it.
    """
    said = Counter(word.stix_id for word in (*status.failures, *status.successes))
    only = {stix_id for stix_id, count in said.items() if count == 1} if whole else set()
    failures, successes = _Words(status.failures, only), _Words(status.successes, only)
    found = Sorted([], [], [], [])
    alone = _alone(keys)
    for key in keys:
        failure = failures.of(key, alone=key.stix_id in alone)
        success = successes.of(key, alone=key.stix_id in alone)
        if failure is not None:
            found.failed.append((key, failure.message or "the partner gave no reason"))
        elif success is None:
            found.unknown.append(key)
        elif "already" in success.message.lower() or success.message.startswith("duplicate"):
            found.held_before.append(key)
        else:
            found.taken.append(key)
    return found


def _alone(keys: Sequence[Key]) -> set[str]:
    counts: dict[str, int] = {}
    for key in keys:
        counts[key.stix_id] = counts.get(key.stix_id, 0) + 1
    return {stix_id for stix_id, count in counts.items() if count == 1}


class _Words:
    """The words of a status by id and version, and by id for those whose version says nothing to us.

    Args:
        words: Successes or failures.
        only: ids of which the version named does not matter.
    """

    def __init__(self, words: Sequence[Word], only: Collection[str]) -> None:
        self._exact = {(word.stix_id, word.version): word for word in words}
        self._by_id = {word.stix_id: word for word in words}
        self._unsaid = {word.stix_id: word for word in words if word.version is None or word.stix_id in only}

    def of(self, key: Key, *, alone: bool) -> Word | None:
        if key.version == 0:  # its version is the partner's date, which we do not know
            return self._by_id.get(key.stix_id)
        exact = self._exact.get((key.stix_id, key.version))
        return exact if exact is not None or not alone else self._unsaid.get(key.stix_id)
