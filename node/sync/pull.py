"""Pull: fetch what a partner offers on one link, page by page, each page whole or not at all.

Rule    Objects, quarantine, ledger, arrival and bookmark of a page are one transaction; then the next
        page. The bookmark is the partner's own text. When the partner's history (epoch) or our incoming
        policy has changed, the listing starts again: duplicates are free, a missed object is not.
        A round with nothing new is one request and writes nothing here.

A partner is other software until proven otherwise: it may page badly, tie, cut or omit its dates, and
never end. What cannot go forward stops, keeps what is stored, and says so (`reliability.md` H1 to H4).

Reads   link states, bookmarks; writes through `exchange.ingress`, bookmarks, `exchange.links`
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from node.clock import MICROSECONDS
from node.errors import InvalidObject, NodeError, PartnerRefused, UsageError
from node.exchange import ingress, ledger, links
from node.exchange.door import Door
from node.sharing.links import Link
from node.stix import objects
from node.store import catalog
from node.store.catalog import Collection
from node.store.database import Tx
from node.sync import bookmarks
from node.sync.answers import FetchedPage
from node.sync.bookmarks import Bookmark
from node.sync.client import Partner
from node.sync.own_kind import headers_of, same_terms, stop_for_terms, stop_if_closed
from node.sync.refusals import AnswerTooLarge, Conflict
from node.sync.reports import PullReport, Stop

MOST_OBJECTS = 10_000
_EMPTY_PAGES = 3
_MOST_LISTINGS = 2
_HELD = ("stored", "duplicate", "restated", "echo")


@dataclass(frozen=True, slots=True)
class Limits:
    """Where one run ends although there is more; the next run goes on from there."""

    pages: int = 10_000
    bytes: int = 2 * 1024**3
    seconds: int = 1800
    page_objects: int = 1000


@dataclass(frozen=True, slots=True)
class _Cursor:
    """What to ask for: the same `added_after` for as long as `next` lasts."""

    added_after: str | None
    next: str | None
    limit: int


@dataclass(slots=True)
class _Run:
    door: Door
    link: Link
    client: Partner
    now: Callable[[], int]
    limits: Limits
    collection: Collection
    remote: str
    headers: dict[str, str]
    bookmark: Bookmark | None
    known_epoch: str
    started: int
    report: PullReport
    arrival_id: int | None = None
    position: str | None = None
    overlapping: bool = False
    size: int = 0
    empty: int = 0
    fell_back: bool = False
    listings: int = 0
    seen: set[tuple[str, bytes]] = field(default_factory=set)

    @property
    def ours(self) -> bool:
        return self.link.partner_kind == "stixnode"


def pull(
    door: Door, link: Link, client: Partner, *, now: Callable[[], int], limits: Limits | None = None
) -> PullReport:
    """What one run brought; an error of the partner ends it and is part of the report.

    Args:
        door: What the door judges by.
        link: An incoming link that we carry.
        client: Its partner.
        now: Microseconds.
        limits: Where the run ends although there is more.
    """
    report = PullReport(link.name)
    try:
        run = _begin(door, link, client, now, limits or Limits(), report)
        cursor: _Cursor | None = None if report.stopped else _start(run)
        while cursor is not None:
            cursor = _step(run, cursor)
    except NodeError as cause:
        report.error = cause
    report.check()
    if report.moved:
        ingress.afterwards(door, now=now())
    return report


def _begin(
    door: Door, link: Link, client: Partner, now: Callable[[], int], limits: Limits, report: PullReport
) -> _Run:
    with door.database.reading() as tx:
        collection = catalog.find_collection(tx, link.collection)
        if collection is None:
            raise UsageError(
                f"The flow {link.flow} goes to the collection {link.collection}, which is not there.",
                remedy=f"Run: stixnode collection add {link.collection}",
            )
        stop_if_closed(tx, report, link, collection, now=now())
        bookmark = bookmarks.read(tx, link.name)
        state = links.state(tx, link.name)
    return _Run(
        door=door,
        link=link,
        client=client,
        now=now,
        limits=limits,
        collection=collection,
        remote=link.remote or collection.id,
        headers=headers_of(collection, link),
        bookmark=bookmark,
        known_epoch="" if state is None else state.partner_epoch,
        started=now(),
        report=report,
    )


def _start(run: _Run) -> _Cursor:
    bookmark, limit = run.bookmark, run.limits.page_objects
    if bookmark is not None and bookmark.policy_digest != run.link.policy_digest:
        run.report.listed_again = "what we take by this link has changed"
        bookmark = run.bookmark = None
    if bookmark is None:
        return _Cursor(None, None, limit)
    run.position = run.report.bookmark = bookmark.added_after
    run.overlapping = not run.ours
    return _Cursor(_asked(run, bookmark.added_after), None, limit)


def _asked(run: _Run, text: str) -> str:
    return text if run.ours else bookmarks.earlier(text)


def _step(run: _Run, cursor: _Cursor) -> _Cursor | None:
    """One page; where to go on, or None at the end."""
    try:
        page = run.client.objects_page(
            run.remote,
            added_after=cursor.added_after,
            next=cursor.next,
            limit=cursor.limit,
            headers=run.headers,
        )
    except AnswerTooLarge:
        if cursor.limit == 1:
            raise
        return replace(cursor, limit=max(cursor.limit // 4, 1))
    except Conflict as cause:
        if cause.code != "terms_differ":
            raise
        stop_for_terms(run.report, run.link, str(cause.details.get("terms", "")))
        return None
    except PartnerRefused as cause:
        # A position may be forgotten by a server (medallion keeps it for 30 s); its dates are not.
        if (
            cursor.next is None
            or cause.http_status not in (400, 404)
            or run.fell_back
            or run.position is None
        ):
            raise
        run.fell_back = True
        return _Cursor(_asked(run, run.position), None, cursor.limit)
    run.report.pages += 1
    run.size += len(page.body)
    if run.ours and not same_terms(run.report, run.link, page):
        return None
    if run.ours and _other_history(run, page):
        return _Cursor(None, None, run.limits.page_objects)
    _take(run, page)
    return _onward(run, cursor, page)


def _other_history(run: _Run, page: FetchedPage) -> bool:
    """Note the partner's epoch; True when the listing must start again."""
    before = run.known_epoch if run.bookmark is None else run.bookmark.epoch
    run.known_epoch, changed = page.epoch, page.epoch != run.known_epoch
    again = run.bookmark is not None and page.epoch != before
    if changed or again:
        run.door.database.retrying(lambda tx: _note_epoch(tx, run, page.epoch, again=again))
    if again:
        run.listings += 1
        if run.listings > _MOST_LISTINGS:
            raise PartnerRefused(
                f"{run.link.partner} changes its epoch from page to page.",
                remedy=f"Ask {run.link.partner} whether two databases stand behind one address.",
            )
        run.report.listed_again = "the partner's history or what it gives us has changed"
        run.bookmark, run.position, run.report.bookmark = None, None, None
        run.seen.clear()
    return again


def _note_epoch(tx: Tx, run: _Run, epoch: str, *, again: bool) -> None:
    links.note_partner_epoch(tx, run.link.name, epoch)
    if again:
        bookmarks.forget(tx, run.link.name)


def _take(run: _Run, page: FetchedPage) -> None:
    """Store one page with everything that belongs to it."""
    if not page.bodies:
        return
    if run.overlapping and _all_known(run, page):
        run.report.received += len(page.bodies)
        run.report.outcomes["duplicate"] += len(page.bodies)
        return
    moment = run.now()
    mark = _mark_after(run, page, moment)
    source = ingress.Source("pull", "worker", run.link, place=run.client.api_root, epoch=page.epoch)

    def store(tx: Tx) -> ingress.AdmitReport:
        collection = catalog.lock(tx, run.collection.collection_id)
        stored = ingress.admit(
            tx, run.door, collection, page.bodies, source, arrival_id=run.arrival_id, now=moment
        )
        if mark is not None:
            bookmarks.advance(tx, run.link.name, mark)
        return stored

    admitted = run.door.database.retrying(store)
    run.arrival_id = admitted.arrival_id
    run.report.received += len(page.bodies)
    run.report.outcomes.update(admitted.counts)
    if mark is not None:
        run.bookmark, run.report.bookmark = mark, mark.added_after


def _mark_after(run: _Run, page: FetchedPage, moment: int) -> Bookmark | None:
    if page.last is None:
        run.report.warn(
            f"{run.link.partner} gives no X-TAXII-Date-Added-Last; the next round lists from here again."
        )
        return None
    if run.bookmark is not None and not bookmarks.is_later(page.last, run.bookmark.added_after):
        return None
    return Bookmark(page.last, page.epoch, run.link.policy_digest, moment)


def _all_known(run: _Run, page: FetchedPage) -> bool:
    """Whether the ledger has every object of an overlapping page from this very link."""
    keys: list[ledger.Key] = []
    try:
        for body in page.bodies:
            one = objects.read(body)
            keys.append(ledger.Key(one.id, one.spec_version, one.version or 0, one.digest))
    except InvalidObject:
        return False
    with run.door.database.reading() as tx:
        lines = ledger.received(tx, {key.stix_id for key in keys})
    known = {
        ledger.Key(*line[:4])
        for found in lines.values()
        for line in found
        if line.link == run.link.name and line.outcome in _HELD
    }
    return known.issuperset(keys)


def _onward(run: _Run, cursor: _Cursor, page: FetchedPage) -> _Cursor | None:
    """Where the next page is; None at the end, or where no progress is possible."""
    before, run.position = run.position, page.last or run.position
    if not page.more:
        return None
    if _at_limit(run):
        return None
    run.empty = 0 if page.bodies else run.empty + 1
    if run.empty >= _EMPTY_PAGES:
        return _stop_stuck(run, "sends empty pages and says that there is more")
    if page.next is not None:
        sign = (page.next, hashlib.sha256(page.body).digest())
        if sign in run.seen:
            return _stop_stuck(run, "sends the same page and the same `next` again")
        run.seen.add(sign)
        return replace(cursor, next=page.next)
    if page.last is None:
        return _stop_stuck(run, "says that there is more, but neither where nor up to which date it came")
    if before is not None and not bookmarks.is_later(page.last, before):
        run.position = before
        if cursor.limit >= MOST_OBJECTS:
            return _stop_stuck(run, f"has more than {len(page.bodies)} objects of one date and no `next`")
        return replace(cursor, limit=min(cursor.limit * 2, MOST_OBJECTS))
    return _Cursor(_asked(run, page.last), None, cursor.limit)


def _at_limit(run: _Run) -> bool:
    limits, report = run.limits, run.report
    late = run.now() - run.started >= limits.seconds * MICROSECONDS
    if report.pages < limits.pages and run.size < limits.bytes and not late:
        return False
    report.stop(
        Stop.RUN_LIMIT,
        f"This run ended after {report.pages} pages and {run.size} bytes; there is more.",
        "The next round goes on from here by itself.",
    )
    return True


def _stop_stuck(run: _Run, what: str) -> _Cursor | None:
    run.report.stop(
        Stop.NO_PROGRESS,
        f"{run.link.partner} {what}.",
        "What came before is stored. Tell the partner; the next round tries again.",
    )
    return None
