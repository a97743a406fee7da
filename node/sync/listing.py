"""Listing: what a partner offers, walked page by page, by whoever takes the pages.

Rule    One way to walk, whether the pages are stored (`pull`) or only shown (`plan`), so that a plan sees
        what a round would see. A partner is other software until proven otherwise: it may page badly,
        tie, cut or omit its dates, and never end. What cannot go forward stops and says so
        (`reliability.md` H1 to H4).

        Other software has no epoch by which we could see that a collection was made anew or put back.
        But each round asks from a little before the bookmark, so it shows what we read last as well: where
        that is gone, we list from the start. And once a day we look through all of it, for what came
        in behind the bookmark: a clock that was set back, a date that was given before a late commit.

Reads   nothing but the partner's pages; what is written is its taker's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from node.clock import MICROSECONDS
from node.errors import PartnerRefused, UsageError
from node.exchange import links
from node.sharing.links import Link
from node.store import catalog
from node.store.catalog import Collection
from node.store.database import Tx
from node.sync import bookmarks
from node.sync.ahead import Ahead
from node.sync.answers import FetchedPage
from node.sync.bookmarks import Bookmark
from node.sync.client import Partner
from node.sync.own_kind import have_of, headers_of, same_terms, stop_for_terms
from node.sync.refusals import AnswerTooLarge, Conflict
from node.sync.reports import PullReport, Stop

MOST_OBJECTS = 10_000
_EMPTY_PAGES = 3
_MOST_WHILE_AHEAD = 4 * 1024 * 1024  # a larger page is stored alone: two at once would be too much memory
_MOST_LISTINGS = 2
LOOK_AGAIN_SECONDS = 24 * 3600
GONE_SECONDS = 6 * 3600  # a server whose dates mean something else would be listed whole in each round


@dataclass(frozen=True, slots=True)
class Limits:
    """Where one run ends although there is more; the next run goes on from there."""

    pages: int = 10_000
    bytes: int = 2 * 1024**3
    seconds: int = 1800
    page_objects: int = 1000


@dataclass(frozen=True, slots=True)
class Cursor:
    """What to ask for: the same `added_after` for as long as `next` lasts."""

    added_after: str | None
    next: str | None
    limit: int


@dataclass(slots=True)
class Listing:
    """One walk under way.

    Args:
        collection: Ours, where the pages go.
        bookmark: Up to where the partner was read; its taker moves it.
        known_epoch: The partner's epoch as noted with the link; "" before the first.
        report: Told how far the walk came and why it ended.
        pages: Where pages come from.
        listed_at: When the partner was last listed from its start.
        overlapping: What is listed may be known, and then nothing of it is written.
        looking_again: All of it is listed once more, and the bookmark stays where it is.
    """

    link: Link
    client: Partner
    now: Callable[[], int]
    limits: Limits
    collection: Collection
    bookmark: Bookmark | None
    known_epoch: str
    started: int
    listed_at: int
    report: PullReport
    pages: Ahead[Cursor, FetchedPage]
    position: str | None = None
    overlapping: bool = False
    looking_again: bool = False
    size: int = 0
    empty: int = 0
    fell_back: bool = False
    listings: int = 0
    seen: set[tuple[str, bytes]] = field(default_factory=set)

    @property
    def ours(self) -> bool:
        """Whether the partner is of our own kind."""
        return self.link.partner_kind == "stixnode"


@dataclass(frozen=True, slots=True)
class Taker:
    """What becomes of the pages.

    Args:
        take: Given each page in turn; it may end the walk by stopping its report.
        history: Told the partner's epoch when it is a new one, and whether the listing starts again.
        ahead: Whether the next page may be asked for while this one is taken.
        looked: Told that the partner is looked through again from the start.
    """

    take: Callable[[Listing, FetchedPage], None]
    history: Callable[[Listing, str, bool], None]
    ahead: Callable[[Listing], bool]
    looked: Callable[[Listing], None] = lambda _run: None


def open_listing(
    tx: Tx, link: Link, client: Partner, report: PullReport, *, now: Callable[[], int], limits: Limits
) -> Listing:
    """The walk of an incoming link, from where its bookmark stands.

    Raises:
        UsageError: The collection it goes to is not there.
    """
    collection = catalog.find_collection(tx, link.collection)
    if collection is None:
        raise UsageError(
            f"The flow {link.flow} goes to the collection {link.collection}, which is not there.",
            remedy=f"Run: stixnode collection add {link.collection}",
        )
    state = links.state(tx, link.name)
    bookmark, moment = bookmarks.read(tx, link.name), now()

    def fetch(cursor: Cursor) -> FetchedPage:
        return client.objects_page(
            link.remote or collection.id,
            added_after=cursor.added_after,
            next=cursor.next,
            limit=cursor.limit,
            headers=headers_of(collection, link) | have_of(bookmark),
        )

    return Listing(
        link=link,
        client=client,
        now=now,
        limits=limits,
        collection=collection,
        bookmark=bookmark,
        known_epoch="" if state is None else state.partner_epoch,
        started=moment,
        listed_at=moment if bookmark is None else bookmark.listed_at,
        report=report,
        pages=Ahead(fetch, client.interrupt),
    )


def start(run: Listing) -> Cursor:
    """Where a walk begins: at the bookmark, if it was read under the policy of today."""
    bookmark, limit = run.bookmark, run.limits.page_objects
    if bookmark is not None and bookmark.policy_digest != run.link.policy_digest:
        run.report.listed_again = "what we take by this link has changed"
        bookmark = run.bookmark = None
    if bookmark is None:
        run.listed_at = run.started
        return Cursor(None, None, limit)
    run.report.bookmark = bookmark.added_after
    run.overlapping = not run.ours
    if run.overlapping and _is_past(run, LOOK_AGAIN_SECONDS):
        run.looking_again = True
        return Cursor(None, None, limit)
    run.position = bookmark.added_after
    return Cursor(_asked(run, bookmark.added_after), None, limit)


def step(run: Listing, cursor: Cursor, taker: Taker) -> Cursor | None:
    """One page; where to go on, or None at the end."""
    try:
        page = run.pages.take(cursor)
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
        return Cursor(_asked(run, run.position), None, cursor.limit)
    run.report.pages += 1
    run.size += page.size
    if run.ours and not same_terms(run.report, run.link, page):
        return None
    if (run.ours and _other_history(run, page, taker)) or _is_made_anew(run, page, taker):
        return Cursor(None, None, run.limits.page_objects)
    onward = _onward(run, cursor, page)
    if onward is not None and page.bodies and page.size <= _MOST_WHILE_AHEAD and taker.ahead(run):
        run.pages.begin(onward)
    if page.bodies:
        taker.take(run, page)
    return None if run.report.stopped else onward


def _is_past(run: Listing, seconds: int) -> bool:
    return run.started - run.listed_at >= seconds * MICROSECONDS


def _is_made_anew(run: Listing, page: FetchedPage, taker: Taker) -> bool:
    """Whether what we read last is not there any more, so that the listing must start again."""
    bookmark = run.bookmark
    if not run.overlapping or bookmark is None or run.report.pages > 1:
        return False
    if run.looking_again:
        run.listed_at = run.started
        taker.looked(run)
        return False
    if page.bodies or page.more:
        gone = page.first is not None and bookmarks.is_later(page.first, bookmark.added_after)
    else:
        gone = True
    if not gone or not _is_past(run, GONE_SECONDS):
        return False
    taker.history(run, page.epoch, True)
    run.report.listed_again = "what we read last is not at the partner any more"
    run.bookmark = run.position = run.report.bookmark = None
    run.listed_at, run.overlapping = run.started, False
    return True


def _asked(run: Listing, text: str) -> str:
    return text if run.ours else bookmarks.earlier(text)


def _other_history(run: Listing, page: FetchedPage, taker: Taker) -> bool:
    """Note the partner's epoch; True when the listing must start again."""
    before = run.known_epoch if run.bookmark is None else run.bookmark.epoch
    changed, run.known_epoch = page.epoch != run.known_epoch, page.epoch
    again = run.bookmark is not None and page.epoch != before
    if changed or again:
        taker.history(run, page.epoch, again)
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


def _onward(run: Listing, cursor: Cursor, page: FetchedPage) -> Cursor | None:
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
        sign = (page.next, page.digest)
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
    return Cursor(_asked(run, page.last), None, cursor.limit)


def _at_limit(run: Listing) -> bool:
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


def _stop_stuck(run: Listing, what: str) -> Cursor | None:
    run.report.stop(
        Stop.NO_PROGRESS,
        f"{run.link.partner} {what}.",
        "What came before is stored. Tell the partner; the next round tries again.",
    )
    return None
