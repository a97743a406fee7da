"""Pull: fetch what a partner offers on one link, page by page, each page whole or not at all.

Rule    Objects, quarantine, ledger, arrival and bookmark of a page are one transaction; then the next
        page. The bookmark is the partner's own text. When the partner's history (epoch) or our incoming
        policy has changed, the listing starts again: duplicates are free, a missed object is not.
        A round with nothing new is one request and writes nothing here. A link that is closed during a
        round ends it before the next page is asked for or stored.

How a listing is walked, and where it stops, is in `listing.py`.

Reads   link states, bookmarks; writes through `exchange.ingress`, bookmarks, `exchange.links`
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from node.errors import InvalidObject, LockHeld, NodeError
from node.exchange import history, ingress, ledger, links
from node.exchange.door import Door
from node.sharing.links import Link
from node.stix import objects
from node.store import catalog
from node.store.database import Tx
from node.sync import bookmarks, listing
from node.sync.answers import FetchedPage
from node.sync.bookmarks import Bookmark
from node.sync.client import Partner
from node.sync.leases import Hold, held_already
from node.sync.listing import Limits, Listing
from node.sync.own_kind import stop_if_closed
from node.sync.reports import PullReport

__all__ = ["Limits", "pull"]

# What is listed again within the overlap and was settled, or waits for a person, is nothing new.
_SETTLED = ("stored", "duplicate", "restated", "echo", "quarantined")


def pull(
    door: Door,
    link: Link,
    client: Partner,
    *,
    now: Callable[[], int],
    limits: Limits | None = None,
    hold: Hold = held_already,
) -> PullReport:
    """What one run brought; an error of the partner ends it and is part of the report.

    Args:
        door: What the door judges by.
        link: An incoming link that we carry.
        client: Its partner.
        now: Microseconds.
        limits: Where the run ends although there is more.
        hold: Called before anything is written.

    Raises:
        LockHeld: Another run acts for the partner, or has moved the bookmark since this one read it.
    """
    report = PullReport(link.name)
    try:
        with door.database.reading() as tx:
            run = listing.open_listing(tx, link, client, report, now=now, limits=limits or Limits())
        store = _Store(door, hold, run.bookmark)
        taker = listing.Taker(store.take, store.history, lambda run: not _closed(door, run), store.looked)
        cursor: listing.Cursor | None = listing.start(run)
        try:
            while cursor is not None and not _closed(door, run):
                cursor = listing.step(run, cursor, taker)
        finally:
            run.pages.close()
    except LockHeld:
        raise
    except NodeError as cause:
        report.error = cause
    report.check()
    if report.moved:
        ingress.afterwards(door, now=now())
    return report


def _closed(door: Door, run: Listing) -> bool:
    with door.database.reading() as tx:
        collection = catalog.find_collection(tx, run.link.collection) or run.collection
        return stop_if_closed(tx, run.report, run.link, collection, now=run.now())


@dataclass(slots=True)
class _Store:
    """Stores the pages of one run, as one arrival; `began` is the bookmark from which the run set out."""

    door: Door
    hold: Hold
    began: Bookmark | None
    arrival_id: int | None = None

    def history(self, run: Listing, epoch: str, again: bool) -> None:
        """Note the partner's epoch with the link."""
        self._begin(run)

        def work(tx: Tx) -> None:
            links.note_partner_epoch(tx, run.link.name, epoch)
            if again:
                bookmarks.forget(tx, run.link.name)

        self.door.database.retrying(work)

    def looked(self, run: Listing) -> None:
        """Note at its beginning that the partner is looked through again: if a page fails, it waits a day."""
        assert run.bookmark is not None
        mark = run.bookmark = replace(run.bookmark, listed_at=run.listed_at)
        self._begin(run)
        self.door.database.retrying(lambda tx: bookmarks.advance(tx, run.link.name, mark))

    def take(self, run: Listing, page: FetchedPage) -> None:
        """Store one page with everything that belongs to it; nothing once the link is closed."""
        if run.overlapping and _all_known(self.door, run, page):
            run.report.received += len(page.bodies)
            run.report.outcomes["duplicate"] += len(page.bodies)
            run.report.overlap += len(page.bodies)
            return
        self._begin(run)
        moment = run.now()
        mark = _mark_after(run, page, moment)
        source = ingress.Source("pull", "worker", run.link, place=run.client.api_root, epoch=page.epoch)

        def store(tx: Tx) -> ingress.AdmitReport | None:
            collection = catalog.lock(tx, run.collection.collection_id)
            if stop_if_closed(tx, run.report, run.link, collection, now=moment):
                return None
            stored = ingress.admit(
                tx, self.door, collection, page.bodies, source, arrival_id=self.arrival_id, now=moment
            )
            if mark is not None:
                bookmarks.advance(tx, run.link.name, mark)
            history.count(tx, run.link.name, stored.counts, now=moment)
            return stored

        ingress.look_ahead(run.collection, page.bodies)
        admitted = self.door.database.retrying(store)
        if admitted is None:
            return
        self.arrival_id = run.report.arrival = admitted.arrival_id
        run.report.received += len(page.bodies)
        run.report.outcomes.update(admitted.counts)
        came = ((each.outcome.value, each.stix_id) for each in admitted.results)
        for outcome, ids in history.first_named(came).items():
            run.report.name(outcome, ids)
        if mark is not None:
            run.bookmark, run.report.bookmark = mark, mark.added_after

    def _begin(self, run: Listing) -> None:
        if not self.hold():
            return
        with self.door.database.reading() as tx:
            found = bookmarks.read(tx, run.link.name)
        if found != self.began:
            raise LockHeld(
                f"Another run has read {run.link.name} on meanwhile.",
                remedy="Nothing was stored; the next round goes on from there.",
            )


def _mark_after(run: Listing, page: FetchedPage, moment: int) -> Bookmark | None:
    if page.last is None:
        run.report.warn(
            f"{run.link.partner} gives no X-TAXII-Date-Added-Last; the next round lists from here again."
        )
        return None
    if run.bookmark is not None and not bookmarks.is_later(page.last, run.bookmark.added_after):
        return None
    return Bookmark(page.last, page.epoch, run.link.policy_digest, moment, run.listed_at)


def _all_known(door: Door, run: Listing, page: FetchedPage) -> bool:
    """Whether the ledger has every object of an overlapping page from this very link, held or set aside."""
    keys: list[ledger.Key] = []
    try:
        for body in page.bodies:
            one = objects.read(body)
            keys.append(ledger.Key(one.id, one.spec_version, one.version or 0, one.digest))
    except InvalidObject:
        return False
    with door.database.reading() as tx:
        lines = ledger.received(tx, {key.stix_id for key in keys})
    known = {
        ledger.Key(*line[:4])
        for found in lines.values()
        for line in found
        if line.link == run.link.name and line.outcome in _SETTLED
    }
    return known.issuperset(keys)
