"""Reconcile: a link's feed against the other side's books, or its manifest; and bring again what was lost.

Rule    Nothing that is explained is ever queued again, and nothing at all by a listing that was not complete.
        What differs must differ twice: books are read step by step while rounds go on, so what was on its
        way the first time is looked at once more. Nothing is deleted; a repair offers or lists again.

With our own kind 256 sums are compared, then the lines of the buckets that differ (`books_asked`). Of other
software there is the manifest alone (`reconcile_manifest`).

Reads   feeds, ledger, bookmarks; what the partner says
Writes  with a repair, feeds through `exchange.books_told`, or a bookmark; the audit log
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from node.audit import log
from node.clock import parse_taxii_time
from node.errors import PartnerRefused, Refused, UsageError
from node.exchange import books_told, egress, feeds, ledger, links
from node.exchange.books_told import BUCKETS, START, Line, Place, Sum, Word, bucket_of
from node.exchange.door import Door
from node.exchange.ledger import Key
from node.sharing.links import Link
from node.store import catalog
from node.store.catalog import Collection
from node.store.database import Tx
from node.sync import bookmarks, reconcile_manifest
from node.sync.books_asked import Asked, Books, Header
from node.sync.client import Partner
from node.sync.comparing import (
    MOST_NAMED,
    Compared,
    Finding,
    Reach,
    Why,
    agreed,
    compare_given,
    compare_received,
    explained,
)
from node.sync.leases import turn
from node.sync.own_kind import headers_of

ROWS = 10_000
LINES_AT_ONCE = 50_000
OFFERED_AT_ONCE = 1_000


def _never(_seconds: float) -> bool:
    return True


@dataclass(slots=True)
class Reconciled:
    """What became of one link.

    Args:
        buckets, unequal: How many were compared, and how many had to be looked into; 0 by manifest.
        held: Why nothing may be repaired although something differs; "" when it may.
        notes: What else to know.
        repaired: How many versions are offered again; for an incoming link, how many are awaited.
    """

    link: str
    compared: Compared
    buckets: int = 0
    unequal: int = 0
    held: str = ""
    notes: list[str] = field(default_factory=list)
    repaired: int = 0

    @property
    def repairable(self) -> list[Finding]:
        """What a repair would bring; nothing when it is held."""
        return [] if self.held else [each for each in self.compared.different if each.repairable]


@dataclass(slots=True)
class _Ours:
    """Our own book, added up; what is not plain is kept by bucket, as far as it is to be named."""

    sums: dict[int, Sum] = field(default_factory=dict)
    plain: Counter[int] = field(default_factory=Counter)
    aside: dict[int, list[Finding]] = field(default_factory=dict)
    more: dict[int, Counter[Why]] = field(default_factory=dict)
    kept: int = 0

    def add(self, line: Line, withheld: frozenset[Key]) -> None:
        """One line more."""
        bucket, found = bucket_of(line.key.stix_id), agreed(line, withheld)
        if found is None:
            self.plain[bucket] += 1
        elif self.kept < MOST_NAMED or found.why is None:
            self.aside.setdefault(bucket, []).append(found)
            self.kept += 1
        else:
            self.more.setdefault(bucket, Counter())[found.why] += 1

    def size(self, bucket: int) -> int:
        """How many lines a bucket has."""
        aside = len(self.aside.get(bucket, ())) + self.more.get(bucket, Counter()).total()
        return self.plain[bucket] + aside


def reconcile(
    door: Door,
    link: Link,
    client: Partner,
    *,
    now: Callable[[], int],
    pause: Callable[[float], bool] = _never,
) -> Reconciled:
    """How a link's books and the partner's agree; nothing is changed but marks of what vanished.

    Args:
        door: What the door judges by.
        link: Any link of a partner of our own kind; of other software one that we carry.
        client: Its partner.
        now: Microseconds.
        pause: Waits some seconds where the partner asks for a few; True when it must end.

    Raises:
        Refused: The link is closed, or the flow is one whose other side cannot be looked at.
        PartnerError: The partner gave no answer, or no whole one.
    """
    with door.database.reading() as tx:
        collection = catalog.find_collection(tx, link.collection)
        if collection is None:
            raise UsageError(
                f"The flow {link.flow} has no collection {link.collection} here.",
                remedy=f"Run: stixnode collection add {link.collection}",
            )
        behind = link.direction == "out" and feeds.is_behind(tx, link, collection)
    _refuse_closed(door, link, now=now())
    if link.partner_kind != "stixnode":
        _refuse_unseen(link)
        seen = reconcile_manifest.compare(
            door, link, client, collection, now=now, closed=lambda: _refuse_closed(door, link, now=now())
        )
        found = Reconciled(link.name, seen.compared, held=seen.held, notes=seen.notes)
    else:
        books = Books(
            client,
            link,
            link.remote or collection.id,
            headers_of(collection, link),
            lambda: _refuse_closed(door, link, now=now()),
            pause,
        )
        found = _by_books(door, link, books, collection)
    if behind:
        found.notes.append(f"Not all is examined for this link yet. Run: stixnode sync {link.name}")
    return found


def repair(
    door: Door, link: Link, found: Reconciled, *, actor: str, holder: str, now: Callable[[], int]
) -> int:
    """Have what is lost brought again; how many versions.

    Args:
        door: What the door judges by.
        link: As for `reconcile`, whose result is `found`.
        actor: Who wants it, for the audit log.
        holder: Who we are, for the lease: a text that no other process has.
        now: Microseconds.

    Raises:
        LockHeld: Another run acts for the partner.
    """
    keys = [each.key for each in found.repairable]
    if not keys:
        return 0
    with turn(door.database, f"partner:{link.partner}", holder, now=now) as ours:
        ours.hold()
        if link.direction == "in":
            door.database.retrying(lambda tx: _list_again(tx, link, len(keys), actor=actor, now=now()))
            found.repaired = len(keys)
            return found.repaired
        for start in range(0, len(keys), OFFERED_AT_ONCE):
            some = keys[start : start + OFFERED_AT_ONCE]
            found.repaired += door.database.retrying(
                lambda tx, some=some: _offer_again(tx, link, some, actor=actor, now=now())  # type: ignore[misc]
            )
    return found.repaired


def _list_again(tx: Tx, link: Link, number: int, *, actor: str, now: int) -> None:
    bookmarks.forget(tx, link.name)
    _record(tx, link, {"listed_again_for": number}, actor=actor, now=now)


def _offer_again(tx: Tx, link: Link, keys: Sequence[Key], *, actor: str, now: int) -> int:
    offered = books_told.offer_again(tx, link.name, keys, now=now)
    if offered:
        _record(tx, link, {"offered_again": offered}, actor=actor, now=now)
    return offered


def _record(tx: Tx, link: Link, details: log.Details, *, actor: str, now: int) -> None:
    log.record(tx, now=now, actor=actor, act="reconcile.repair", subject=link.name, details=details)


def _refuse_closed(door: Door, link: Link, *, now: int) -> None:
    with door.database.reading() as tx:
        collection = catalog.find_collection(tx, link.collection)
        why = None if collection is None else egress.closed_reason(tx, link, collection, now=now)
    if why is not None:
        raise Refused(
            why, remedy=f"Nothing is asked until then. Open it with: stixnode resume {link.partner}"
        )


def is_unseen(link: Link) -> bool:
    """Whether what the other side holds cannot be looked at: it is other software, and carries the flow."""
    return link.partner_kind != "stixnode" and link.carrier != "us"


def _refuse_unseen(link: Link) -> None:
    if not is_unseen(link):
        return
    what = "fetches from us" if link.direction == "out" else "brings us"
    raise Refused(
        f"{link.partner} is other software and {what} by {link.name}; what it holds cannot be looked at.",
        remedy="Ask its operators; or compare by hand: stixnode export COLLECTION",
    )


def _by_books(door: Door, link: Link, books: Books, collection: Collection) -> Reconciled:
    asked = _first(books, link)
    ours = _Ours()
    for chunk, withheld in _walk(door, link, collection, asked.header):
        ours.sums = books_told.together(ours.sums, books_told.add_up(chunk))
        for line in chunk:
            ours.add(line, withheld)
    empty = Sum(0, 0)
    unequal = {
        bucket for bucket in range(BUCKETS) if ours.sums.get(bucket, empty) != asked.sums.get(bucket, empty)
    }
    found = Reconciled(link.name, Compared(), BUCKETS, len(unequal))
    for bucket in range(BUCKETS):
        if bucket not in unequal:
            _take_equal(found.compared, ours, bucket)
    sizes = {bucket: max(ours.size(bucket), asked.sums.get(bucket, empty).number) for bucket in unequal}
    _look_into(door, books, collection, _parts(sizes), found.compared)
    if found.compared.different:
        _look_again(door, books, collection, sizes, found.compared)
    return found


def _first(books: Books, link: Link) -> Asked:
    try:
        asked = books.sums()
    except PartnerRefused as cause:
        if cause.http_status != 404:
            raise
        raise PartnerRefused(
            f"{link.partner} tells no books of this flow: {cause.problem}",
            remedy=f"See whether it lets us in: stixnode doctor {link.partner}; if so, ask it whether we are"
            " of kind stixnode in its config.toml, and its version.",
            http_status=404,
        ) from cause
    if not asked.header.epoch:
        raise PartnerRefused(
            f"{link.partner} answers without its epoch, so it does not speak as a stixnode.",
            remedy=f'Write kind = "taxii" under [partner.{link.partner}], or ask what stands between us.',
        )
    return asked


def _take_equal(compared: Compared, ours: _Ours, bucket: int) -> None:
    compared.same += ours.plain[bucket]
    compared.explained.update(ours.more.get(bucket, {}))
    for each in ours.aside.get(bucket, ()):
        compared.add(each)


def _look_into(
    door: Door, books: Books, collection: Collection, parts: Iterable[set[int]], compared: Compared
) -> None:
    """Compare the lines of some buckets, so many at once that they fit."""
    link = books.link
    for part in parts:
        asked = books.lines(part)
        reach = _reach(door, link, asked.header)
        ours: dict[Key, Line] = {}
        withheld: set[Key] = set()
        for chunk, kept_back in _walk(door, link, collection, asked.header, part):
            withheld |= kept_back
            ours.update((line.key, line) for line in chunk)
        for each in _compared(link, ours, asked, reach, frozenset(withheld)):
            compared.add(each)


def _compared(
    link: Link, ours: Mapping[Key, Line], asked: Asked, reach: Reach, withheld: frozenset[Key]
) -> Iterator[Finding | None]:
    if link.direction == "out":
        return compare_given(ours, asked.lines, reach, withheld)
    return compare_received(ours, asked.lines, asked.marks, reach)


def _look_again(
    door: Door, books: Books, collection: Collection, sizes: Mapping[int, int], compared: Compared
) -> None:
    """Keep only what differs still; the rest was on its way while the books were read."""
    buckets = {bucket_of(each.key.stix_id) for each in compared.different}
    again = Compared()
    _look_into(door, books, collection, _parts({bucket: sizes[bucket] for bucket in buckets}), again)
    still = {(each.key, each.group): each for each in again.different}
    first, compared.different = compared.different, []
    for each in first:
        if (each.key, each.group) in still:
            compared.different.append(still[each.key, each.group])
        else:
            compared.add(explained(each.key, Why.WAITING, each.at))


def _parts(sizes: Mapping[int, int]) -> list[set[int]]:
    """Buckets in parts of a bounded number of lines; a bucket is never cut."""
    parts: list[set[int]] = []
    room = 0
    for bucket in sorted(sizes):
        if not parts or sizes[bucket] > room:
            parts.append(set())
            room = LINES_AT_ONCE
        parts[-1].add(bucket)
        room -= sizes[bucket]
    return parts


def _walk(
    door: Door, link: Link, collection: Collection, header: Header, buckets: Set[int] | None = None
) -> Iterator[tuple[list[Line], frozenset[Key]]]:
    """Our own book in steps, with what of it is withheld since it was given."""
    place: Place | None = START
    while place is not None:
        withheld: frozenset[Key] = frozenset()
        with door.database.reading() as tx:
            if link.direction == "in":
                lines, place = books_told.received(
                    tx,
                    link.name,
                    collection.collection_id,
                    place,
                    ROWS,
                    epoch=header.epoch,
                    buckets=buckets,
                )
            else:
                lines, place = books_told.given(tx, link.name, place, ROWS, buckets=buckets)
                out = [line.key.stix_id for line in lines if line.word is Word.OUT]
                withheld = frozenset(feeds.line_key(each) for each in ledger.withheld(tx, link.name, out))
        yield lines, withheld


def _reach(door: Door, link: Link, header: Header) -> Reach:
    fetches = (link.direction == "in") == (link.carrier == "us")
    with door.database.reading() as tx:
        state = links.state(tx, link.name)
        bookmark = bookmarks.read(tx, link.name)
    again = state is None or state.partner_epoch != header.epoch
    if link.direction == "out":
        return Reach(fetches, again, header.read_to)
    if not fetches:
        return Reach(fetches, again, None)
    current = (
        bookmark is not None
        and bookmark.epoch == header.epoch
        and bookmark.policy_digest == link.policy_digest
    )
    return Reach(fetches, again, _moment(bookmark.added_after) if bookmark is not None and current else None)


def _moment(text: str) -> int | None:
    try:
        return parse_taxii_time(text)
    except ValueError:
        return None
