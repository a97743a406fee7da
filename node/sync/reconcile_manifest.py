"""Reconcile with other software: our books against its manifest, which is all that it says of what it has.

Rule    Only a listing that came to its end says anything. A manifest knows an object by id and version alone,
        and may print the version shorter than it was written, or list the newest one only: neither is a
        difference. What was given to us and is listed no more is marked and kept; when more than a fifth
        vanish at once, rather a right or a database was lost, so it is told, and nothing is marked.

Reads   feed, ledger, bookmark; the partner's manifest
Writes  marks, through `exchange.vanished`
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from node.clock import MICROSECONDS, parse_taxii_time
from node.errors import PartnerUnreachable, Refused
from node.exchange import books_told, feed_rows, feeds, ledger, vanished
from node.exchange.books_told import START, Line, Place, Word
from node.exchange.door import Door
from node.exchange.ledger import Key
from node.sharing.links import Link
from node.store.catalog import Collection
from node.sync import bookmarks
from node.sync.answers import ManifestPage, ManifestRecord
from node.sync.bookmarks import Bookmark
from node.sync.client import Partner
from node.sync.comparing import Compared, Finding, Group, Why, agreed, explained, unexplained

ROWS = 10_000
PAGE = 1_000
MOST_PAGES = 20_000
MOST_RECORDS = 1_000_000
MOST_SECONDS = 1_800
VANISHED_PERCENT = 20
_EMPTY_PAGES = 3
_IDS_AT_ONCE = 1_000
_LONGEST_ID, _LONGEST_DATE = 300, 40
# Servers print microseconds, milliseconds or seconds of what was written finer.
_UNITS = (1, 1_000, 1_000_000, 1_000_000_000)


@dataclass(slots=True)
class Seen:
    """What the manifest came to.

    Args:
        held: Why nothing may be repaired or marked; "" when it may.
    """

    compared: Compared
    held: str = ""
    notes: list[str] = field(default_factory=list)


class Listed:
    """Which versions a manifest names, found by id; what can be no id is passed over, however long it is."""

    def __init__(self, records: Iterable[ManifestRecord]) -> None:
        self.records: dict[str, dict[int | None, str]] = {}
        for one in records:
            if 0 < len(one.stix_id) <= _LONGEST_ID and one.stix_id.isprintable():
                self.records.setdefault(one.stix_id, {})[one.version] = one.date_added[:_LONGEST_DATE]

    def has(self, key: Key) -> bool:
        """Whether a version of ours is named; by its id alone, where one of them has no instant."""
        versions = self.records.get(key.stix_id)
        if not versions:
            return False
        if key.version == 0 or not key.spec_version or None in versions:
            return True
        return any(key.version - key.version % unit in versions for unit in _UNITS)

    def has_newer(self, key: Key) -> bool:
        """Whether a later version of the same id is named, as by a server that lists the newest alone."""
        versions = self.records.get(key.stix_id, {})
        return any(each is not None and each > key.version for each in versions)


def compare(
    door: Door,
    link: Link,
    client: Partner,
    collection: Collection,
    *,
    now: Callable[[], int],
    closed: Callable[[], None],
) -> Seen:
    """A link that we carry against the partner's whole manifest.

    Args:
        door: What the door judges by.
        link: Of a partner of another kind than ours.
        client: The partner.
        collection: Ours.
        now: Microseconds.
        closed: Asked before each page; raises when the walk must end.

    Raises:
        Refused: The partner does not let us read there.
        PartnerError: No answer, or a manifest without an end.
    """
    remote = link.remote or collection.id
    if not client.collection(remote).can_read:
        raise Refused(
            f"{link.partner} does not let us read its collection {remote}, so nobody can see what it has.",
            remedy=f"Ask {link.partner} for the right to read it.",
        )
    # Before the manifest: rounds go on while it is read, and what they carry meanwhile is on its way.
    with door.database.reading() as tx:
        bookmark = bookmarks.read(tx, link.name)
    began, under_way = now(), _under_way(door, link)
    listed = Listed(_walked(link, client, remote, now=now, closed=closed))
    seen = Seen(Compared("manifest"))
    if link.direction == "out":
        for given in _given(door, link, listed, under_way):
            seen.compared.add(given)
    else:
        _received(door, link, collection, listed, bookmark, seen, began=began, now=now())
    return seen


def _walked(
    link: Link, client: Partner, remote: str, *, now: Callable[[], int], closed: Callable[[], None]
) -> Iterator[ManifestRecord]:
    """Every record of a manifest, to its end."""
    position: str | None = None
    after: str | None = None
    began, number, empty = now(), 0, 0
    seen: set[tuple[str | None, int]] = set()
    for _ in range(MOST_PAGES):
        if number > MOST_RECORDS or now() - began > MOST_SECONDS * MICROSECONDS:
            break
        closed()
        page = client.manifest_page(remote, ids=(), next=position, limit=PAGE, added_after=after)
        number += len(page.records)
        yield from page.records
        if not page.more:
            return
        empty = 0 if page.records else empty + 1
        sign = (page.next, hash(tuple(page.records)))  # some servers keep one `next` for a whole walk
        if empty >= _EMPTY_PAGES or sign in seen:
            break
        seen.add(sign)
        position, after = _onward(page, after)
        if position is None and after is None:
            break
    raise PartnerUnreachable(
        f"The manifest of {link.partner} did not come to its end, so nothing can be said by it.",
        remedy=f"Nothing was changed. See how it pages with: stixnode doctor {link.partner}",
    )


def _onward(page: ManifestPage, after: str | None) -> tuple[str | None, str | None]:
    """Where to go on: the server's `next`, or the last date, a little earlier because of ties."""
    if page.next is not None:
        return page.next, after
    dates = [each.date_added for each in page.records if each.date_added]
    return None, bookmarks.earlier(dates[-1]) if dates else None


def _under_way(door: Door, link: Link) -> Callable[[Line], bool]:
    """Whether a row of the feed, as it stands later, was not there yet, or not confirmed, just now."""
    waiting: set[int] = set()  # by their positions: a row that is offered anew moves behind the last
    place: Place | None = START if link.direction == "out" else None
    last = START.at
    while place is not None:
        with door.database.reading() as tx:
            lines, place = books_told.given(tx, link.name, place, ROWS)
        waiting.update(line.at for line in lines if line.word in (Word.WAITING, Word.GIVEN))
        last = lines[-1].at if lines else last
    return lambda line: line.at > last or line.at in waiting


def _given(
    door: Door, link: Link, listed: Listed, under_way: Callable[[Line], bool]
) -> Iterator[Finding | None]:
    place: Place | None = START
    while place is not None:
        with door.database.reading() as tx:
            lines, place = books_told.given(tx, link.name, place, ROWS)
            out = [line.key.stix_id for line in lines if line.word is Word.OUT]
            withheld = frozenset(feeds.line_key(each) for each in ledger.withheld(tx, link.name, out))
        for line in lines:
            there = listed.has(line.key)
            if there or line.word in (Word.REFUSED, Word.SET_ASIDE, Word.WAITING):
                refused = line.word in (Word.REFUSED, Word.SET_ASIDE)
                yield None if there and refused else agreed(line, withheld)
            elif line.word is Word.GIVEN or (line.word is Word.CONFIRMED and under_way(line)):
                yield explained(line.key, Why.WAITING, line.at)
            elif line.word is Word.CONFIRMED:
                older = listed.has_newer(line.key)
                lost = unexplained(line.key, Group.ONLY_HERE, line.at, repairable=True)
                yield explained(line.key, Why.OLDER, line.at) if older else lost


def _received(
    door: Door,
    link: Link,
    collection: Collection,
    listed: Listed,
    bookmark: Bookmark | None,
    seen: Seen,
    *,
    began: int,
    now: int,
) -> None:
    known: dict[str, set[int]] = {}
    gone: list[Line] = []
    standing = 0
    place: Place | None = START
    while place is not None:
        with door.database.reading() as tx:
            lines, place = books_told.received(tx, link.name, collection.collection_id, place, ROWS, epoch="")
        for line in lines:
            known.setdefault(line.key.stix_id, set()).add(line.key.version if line.key.spec_version else 0)
            plain = line.word is Word.TAKEN and not line.reason
            standing += plain
            if plain and line.at > began and not listed.has(line.key):
                seen.compared.add(explained(line.key, Why.WAITING, line.at))
            elif plain and not listed.has(line.key):
                gone.append(line)
            else:
                seen.compared.add(_one_received(line, listed))
    _take_gone(door, link, listed, gone, standing, seen, now=now)
    for unknown in _unknown(door, link, listed, known):
        seen.compared.add(_one_listed(unknown, listed.records[unknown.stix_id], bookmark, link))


def _one_received(line: Line, listed: Listed) -> Finding | None:
    if line.word is Word.MISSING:
        return unexplained(line.key, Group.ONLY_THERE, line.at, repairable=listed.has(line.key))
    return agreed(line)


def _take_gone(
    door: Door, link: Link, listed: Listed, gone: list[Line], standing: int, seen: Seen, *, now: int
) -> None:
    """What is held from them and listed no more: marked, unless it is too much to be believed."""
    lost: list[Key] = []
    for line in gone:
        if listed.has_newer(line.key):
            seen.compared.add(explained(line.key, Why.OLDER, line.at))
        else:
            lost.append(line.key)
            seen.compared.add(explained(line.key, Why.VANISHED, line.at))
    if len(lost) > max(1, standing * VANISHED_PERCENT // 100):
        seen.held = (
            f"{len(lost):,} of the {standing:,} objects held from {link.partner} are not in its manifest any"
            f" more; that is more than {VANISHED_PERCENT} %, so nothing is marked or repaired."
        )
        return
    with door.database.reading() as tx:
        marked = {one.key for one in vanished.of_link(tx, link.name)}
    if marked != set(lost):
        door.database.retrying(lambda tx: vanished.note(tx, link.name, lost, now=now))


def _unknown(door: Door, link: Link, listed: Listed, known: dict[str, set[int]]) -> Iterator[Key]:
    """The records of which our ledger has no word, and which are not what we gave them ourselves."""
    found: list[Key] = []
    for stix_id, versions in listed.records.items():
        ours = known.get(stix_id, set())
        if ours and (0 in ours or None in versions):
            continue
        cut = {each - each % unit for each in ours for unit in _UNITS}
        found.extend(Key(stix_id, "", each or 0, b"") for each in versions if each is None or each not in cut)
    back = door.link_of(link.partner, link.collection, "out")
    for start in range(0, len(found), _IDS_AT_ONCE):
        some = found[start : start + _IDS_AT_ONCE]
        released: dict[str, set[int]] = {}
        if back is not None:
            with door.database.reading() as tx:
                for row in feed_rows.by_ids(tx, back.name, {key.stix_id for key in some}):
                    released.setdefault(row.stix_id, set()).add(row.key.version)
        yield from (key for key in some if not _is_ours(key, released.get(key.stix_id, set())))


def _is_ours(key: Key, released: set[int]) -> bool:
    return 0 in released or any(each - each % unit == key.version for each in released for unit in _UNITS)


def _one_listed(key: Key, dates: dict[int | None, str], bookmark: Bookmark | None, link: Link) -> Finding:
    date = dates.get(key.version or None, dates.get(key.version, ""))
    try:
        moment = parse_taxii_time(date)
    except ValueError:
        moment = 0
    current = bookmark is not None and bookmark.policy_digest == link.policy_digest
    if bookmark is None or not current or (moment and bookmarks.is_later(date, bookmark.added_after)):
        return explained(key, Why.WAITING, moment)
    return unexplained(key, Group.ONLY_THERE, moment, repairable=True)
