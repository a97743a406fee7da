"""Carry between two nodes of a test without HTTP: the partner's server as plain calls, with faults.

What `node/sync` sees of a partner (collection, page of objects, POST) is answered by the same functions of
the door that the TAXII face calls, in the same transactions, so that a history runs the real pull and push.
A fault loses the request, before the server has acted, or its answer, after.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from enum import Enum

import msgspec

from node.clock import parse_taxii_time, taxii_time
from node.errors import PartnerRefused, PartnerUnreachable
from node.exchange import egress, feeds, ingress, links, sessions
from node.exchange.ingress import Result, Source
from node.exchange.selection import Selection, Versions
from node.exchange.sessions import SessionIn
from node.sharing.links import Link
from node.stix import envelope
from node.store import catalog
from node.store.database import Tx
from node.sync.answers import CollectionFlags, FetchedPage, Status, read_status
from node.sync.refusals import Conflict
from node.taxii import statuses
from node.taxii.exchange_headers import place_in_session
from node.taxii.protocol import RequestRefused
from tests.support.nodes import Node

EPOCH, TERMS, BATCH = "X-Exchange-Epoch", "X-Exchange-Terms", "X-Exchange-Batch"


class Fault(Enum):
    """What happens to the one request that may go wrong."""

    NONE = "none"
    LOST_REQUEST = "lost request"
    LOST_ANSWER = "lost answer"


class InProcess:
    """The server of one node as the other's client sees it.

    Args:
        server: The node that answers.
        client: Name of the node that asks.
        now: The moment, shared by both.
        fault: What happens to the first page or POST.
        tap: Called with every body that crosses, and the link by which it leaves.
        page: Objects in a page.
    """

    kind = "stixnode"
    api_root = "https://in-process.example/api/"

    def __init__(
        self,
        server: Node,
        client: Node,
        *,
        now: Callable[[], int],
        fault: Fault,
        tap: Callable[[Node, Link, bytes], None],
        page: int = 3,
    ) -> None:
        self.server, self.client, self.now, self.fault, self.tap, self.page = (
            server,
            client,
            now,
            fault,
            tap,
            page,
        )

    def interrupt(self) -> None:
        """Nothing here lasts."""

    def max_content_length(self) -> int:
        """As large as any batch."""
        return 10**8

    def collection(self, collection: str, headers: Mapping[str, str]) -> CollectionFlags:
        """The collection as it is told to the client."""
        held = [one for one in self.server.door.partner_links(self.client.us) if self._is(one, collection)]
        link = next(one for one in held if one.direction == "in")
        row = self.server.collection(link.collection)
        epoch = egress.epoch_shown(row, link)
        return CollectionFlags(row.id, row.title, True, True, epoch, link.terms_digest.hex())

    def objects_page(
        self,
        collection: str,
        *,
        added_after: str | None,
        next: str | None,
        limit: int,
        headers: Mapping[str, str],
    ) -> FetchedPage:
        """A page of the client's feed."""
        fault = self._fault()
        link = self._link(collection, "out")
        row = self._open(link, headers)
        self._note_reader(link, headers[EPOCH])
        after = int(next) if next else None if added_after is None else parse_taxii_time(added_after)
        selection = Selection(
            min(limit, self.page), after=after, versions=Versions(every=True), spec_versions=("2.0", "2.1")
        )
        found = egress.read_feed(self.server.door, link, selection, now=self.now(), bodies=True)
        bodies = [record.body for record in found.records]
        for body in bodies:
            self.tap(self.server, link, body)
        if fault is Fault.LOST_ANSWER:
            raise _lost()
        dates = [taxii_time(record.added) for record in found.records]
        token = str(found.records[-1].added) if found.more else None
        page = envelope.join(bodies)
        return FetchedPage(
            len(page),
            hashlib.sha256(page).digest(),
            bodies,
            found.more,
            token,
            dates[0] if dates else None,
            dates[-1] if dates else None,
            egress.epoch_shown(row, link),
            link.terms_digest.hex(),
        )

    def add_objects(self, collection: str, body: bytes, headers: Mapping[str, str]) -> Status:
        """The status of a numbered batch."""
        fault = self._fault()
        link = self._link(collection, "in")
        self._open(link, headers)
        bodies = [] if body == b"{}" else envelope.split(body)
        sending = self.client.link(f"{self.server.us}/{link.flow}/out")
        for one in bodies:
            self.tap(self.client, sending, one)
        try:
            with self.server.database.writing() as tx:
                answer = self._applied(tx, link, headers, bodies)
        except RequestRefused as cause:
            raise Conflict(
                cause.problem, remedy=cause.remedy, code=cause.code or "", details=cause.details or {}
            ) from cause
        ingress.afterwards(self.server.door, now=self.now())
        if fault is Fault.LOST_ANSWER:
            raise _lost()
        return read_status(msgspec.json.decode(answer), {})

    def _applied(self, tx: Tx, link: Link, headers: Mapping[str, str], bodies: list[bytes]) -> bytes:
        collection = catalog.lock(tx, self.server.collection(link.collection).collection_id)
        started, number = (int(part) for part in headers[BATCH].split(";"))
        epoch, moment = headers[EPOCH], self.now()
        before = sessions.incoming(tx, link.name)
        if not place_in_session(before, (started, number), epoch):
            assert before is not None
            repeated = statuses.repeat(tx, before.status_id)
            assert repeated is not None
            return repeated
        links.note_partner_epoch(tx, link.name, epoch)
        source = Source("push", f"account:{self.client.us}", link, epoch=epoch)
        results: list[Result] = []
        if bodies:
            results = ingress.admit(
                tx, self.server.door, collection, bodies, source, arrival_id=None, now=moment
            ).results
        status_id = statuses.new_id()
        answer = statuses.write(
            tx,
            status_id=status_id,
            account=self.client.us,
            collection_id=collection.collection_id,
            results=results,
            now=moment,
        )
        sessions.note_incoming(tx, link.name, SessionIn(started, epoch, number, status_id))
        return answer

    def _note_reader(self, feed: Link, epoch: str) -> None:
        with self.server.database.writing() as tx:
            if links.note_partner_epoch(tx, feed.name, epoch):
                feeds.forget(tx, feed)

    def _open(self, link: Link, headers: Mapping[str, str]) -> catalog.Collection:
        row = self.server.collection(link.collection)
        if headers[TERMS] != link.terms_digest.hex():
            raise Conflict("The terms differ.", remedy="", code="terms_differ", details={})
        with self.server.database.reading() as tx:
            reason = egress.closed_reason(tx, link, row, now=self.now())
        if reason is not None:
            raise PartnerRefused(reason, remedy="", http_status=403)
        return row

    def _link(self, collection: str, direction: str) -> Link:
        held = self.server.door.partner_links(self.client.us, direction)
        return next(one for one in held if one.carrier == "them" and self._is(one, collection))

    def _is(self, link: Link, collection: str) -> bool:
        return self.server.collection(link.collection).id == collection

    def _fault(self) -> Fault:
        fault, self.fault = self.fault, Fault.NONE
        if fault is Fault.LOST_REQUEST:
            raise _lost()
        return fault


def _lost() -> PartnerUnreachable:
    return PartnerUnreachable("The line went dead.", remedy="It is tried again by itself.")
