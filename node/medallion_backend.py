"""medallion's Backend over our door: medallion's own application, serving one named recipient of ours.

    "backend": {"module": "node.medallion_backend", "module_class": "NodeBackend",
                "config": "config.toml", "recipient": "NAME"}

Rule    medallion does not tell a backend who asks, so everybody whom its own list of users lets in reads and
        writes as the recipient, an account of ours: its grants, clearance and audience, or the feed and
        links of its partner, asked for anew in each call. It needs no token. All passes the door.

        A partner that runs stixnode is no recipient: sessions, terms and epochs travel in headers, which
        medallion drops.

Lost on the way through medallion's HTTP layer, which cannot be repaired from here: the exact bytes of
objects (they are parsed and printed again, so spelling and duplicate keys go, digests stay); Accept and
Content-Type in any spelling but one (W-1, W-2); errors of its framework and 401 as TAXII resources (W-3);
paths without the last slash (W-4); a repeated parameter (W-10); bodies without Content-Length (W-15); HEAD.
Healed here: W-5 to W-9 and W-11 to W-14, W-16. `next` and dates are ours.

Reads   the configuration; through `node.exchange.egress`
Writes  through `node.exchange.ingress`; status resources; read positions
"""

from __future__ import annotations

import json
import logging
import os
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
from medallion.backends.base import Backend
from medallion.exceptions import ProcessingError

from node import clock, web
from node.access import accounts, gate
from node.access.tokens import Principal
from node.config import Settings, load_settings
from node.errors import ConfigError, NodeError
from node.exchange import egress, ingress
from node.exchange.egress import Record, Selection, Versions
from node.exchange.ingress import Source
from node.stix.decoding import decode_kept
from node.store import catalog
from node.store.database import Database, Tx
from node.taxii import cursors, pages, queries, rights, statuses
from node.taxii import objects as taxii_objects
from node.taxii.body import cut
from node.taxii.cursors import Scope
from node.taxii.discovery import resource_of
from node.taxii.face import Face, Visit, note
from node.taxii.protocol import API_ROOT, MEDIA_TYPE, RequestRefused
from node.taxii.rights import Right

ROOT = API_ROOT.strip("/")

_GIVEN = {"module", "module_class", "config", "recipient"}

_log = logging.getLogger(__name__)

Resource = dict[str, Any]
Filters = Mapping[str, str]
Page = tuple[Resource, dict[str, str]]
Printed = Callable[[Sequence[Record], str | None], Resource]


class NodeBackend(Backend):  # type: ignore[misc]  # medallion ships no types
    """The node as medallion's backend.

    Args:
        given: The table `backend` of medallion's configuration: `config`, the path of the node's, and
            `recipient`, the name of an account.

    Raises:
        ConfigError: A key is missing or unknown, or that account cannot be served this way.
        StoreError: The database cannot be used.
    """

    def __init__(self, **given: Any) -> None:
        wrong = sorted(set(given) ^ _GIVEN)
        if wrong:
            fault = "unknown" if wrong[0] in given else "missing"
            raise ConfigError(
                f"The key {wrong[0]!r} of medallion's backend is {fault}.",
                remedy=f"Give {', '.join(sorted(_GIVEN))}, and nothing else.",
            )
        self._settings = load_settings(Path(given["config"]), os.environ)
        self._recipient = str(given["recipient"])
        self._opening = threading.Lock()
        self._face, self._partner = self._opened()

    def _opened(self) -> tuple[Face, str]:
        """The node as at a start, and whose account the recipient is."""
        settings = self._settings
        database = web.open_database(settings)
        try:
            ours = Face(
                door=web.prepare(settings, database),
                now=clock.now,
                title=settings.node.title,
                max_content_length=settings.limits.max_content_length,
                page_size=settings.limits.page_size,
                most=settings.limits.page_size,
            )
            with database.reading() as tx:
                return ours, _checked_recipient(tx, settings, self._recipient).partner
        except BaseException:
            database.close()
            raise

    @property
    def _database(self) -> Database:
        return self._face.door.database

    def close(self) -> None:
        """Close the database; medallion itself never does."""
        self._database.close()

    def server_discovery(self) -> Resource:
        """The discovery resource: our one API root, by its path (TAXII 2.1 section 4.1)."""
        return {"title": self._face.title, "default": API_ROOT, "api_roots": [API_ROOT]}

    def get_api_root_information(self, api_root: str) -> Resource | None:
        """The API root resource, or None for any other name (TAXII 2.1 section 4.2)."""
        if api_root != ROOT:
            return None
        length = self._face.max_content_length
        return {"title": self._face.title, "versions": [MEDIA_TYPE], "max_content_length": length}

    def get_collections(self, api_root: str) -> Resource:
        """What the recipient sees of our collections (TAXII 2.1 section 5.1)."""
        with self._visit(api_root) as here:
            found = [resource_of(right) for right in rights.visible(here)]
            return {"collections": found} if found else {}

    def get_collection(self, api_root: str, collection_id: str) -> Resource | None:
        """One collection, or None if the recipient does not see it (TAXII 2.1 section 5.2)."""
        try:
            with self._visit(api_root, collection_id) as here:
                return resource_of(rights.find(here, collection_id))
        except ProcessingError as cause:
            if cause.status == 404:
                return None
            raise

    def get_object_manifest(
        self, api_root: str, collection_id: str, asked: Filters, _: Any, limit: int
    ) -> Page:
        """A page of the manifest and its headers (TAXII 2.1 section 5.3)."""
        return self._page(api_root, collection_id, None, asked, limit, queries.LIST, _manifest)

    def get_objects(self, api_root: str, collection_id: str, asked: Filters, _: Any, limit: int) -> Page:
        """A page of objects and its headers (TAXII 2.1 section 5.4)."""
        return self._page(api_root, collection_id, None, asked, limit, queries.LIST, _envelope)

    def get_object(
        self, api_root: str, collection_id: str, object_id: str, asked: Filters, _: Any, limit: int
    ) -> Page:
        """One object and the page's headers (TAXII 2.1 section 5.6)."""
        return self._page(api_root, collection_id, object_id, asked, limit, queries.ONE, _envelope)

    def get_object_versions(
        self, api_root: str, collection_id: str, object_id: str, asked: Filters, _: Any, limit: int
    ) -> Page:
        """The versions of one object and the page's headers (TAXII 2.1 section 5.8)."""
        return self._page(api_root, collection_id, object_id, asked, limit, queries.VERSIONS, _versions)

    def get_status(self, api_root: str, status_id: str) -> Resource | None:
        """The status resource of a POST in the recipient's name, or None (TAXII 2.1 section 4.3)."""
        with self._visit(api_root) as here:
            body = None if "\0" in status_id else statuses.find(here.tx, status_id, account=self._recipient)
            return None if body is None else _decoded(body)

    def add_objects(self, api_root: str, collection_id: str, objs: Any, request_time: datetime) -> Resource:
        """Let objects in as the recipient's; the status resource (TAXII 2.1 section 5.5)."""
        with self._visit(api_root, collection_id) as here:
            right = rights.to_write(here, collection_id)
            bodies = cut(_printed_again(objs), empty_allowed=False)
        with _told():
            ingress.look_ahead(right.collection, bodies)
            status = self._database.retrying(lambda tx: self._admit(tx, right, bodies))
            ingress.afterwards(self._face.door, now=self._face.now())
            return _decoded(status)

    def delete_object(
        self, api_root: str, collection_id: str, object_id: str, asked: Filters, _: Any
    ) -> None:
        """Delete an object, all its versions unless some are named (TAXII 2.1 section 5.7)."""
        door = self._face.door
        with self._visit(api_root, collection_id, object_id) as here:
            right = rights.to_delete(here, collection_id)
            query = self._query(asked, self._face.most, queries.ONE)
            work = taxii_objects.removing(here, right, object_id, query)
        with _told():
            if not self._database.retrying(work):
                raise rights.no_object()
            ingress.afterwards(door, now=self._face.now())

    def _page(
        self,
        api_root: str,
        collection_id: str,
        object_id: str | None,
        asked: Filters,
        limit: int,
        fields: frozenset[str],
        printed: Printed,
    ) -> Page:
        with self._visit(api_root, collection_id, object_id or "") as here:
            right = rights.to_read(here, collection_id)
            query = self._query(asked, limit, fields)
            scope = _scope(here, right, object_id, query.filters)
            secret = catalog.node_row(here.tx).secret
            default = Versions(last=False, every=True) if fields == queries.VERSIONS else Versions()
            after = query.added_after
            if query.next is not None:
                after = cursors.read_next(query.next, scope, secret)
            ids = query.ids if object_id is None else (object_id,)
            versions = query.versions or default
            selection = Selection(query.limit, after, ids, query.types, versions, query.spec_versions)
            page = _read(here, right, selection, bodies=printed is _envelope)
            records = page.records
            if object_id is not None and not records and not rights.holds(here, right, object_id):
                raise rights.no_object()
            token = cursors.make_next(records[-1].added, scope, secret) if page.more and records else None
            served = records[-1].added if records and selection.ids is None else 0
            note(here, right.collection, served, end=not page.more)
            return printed(records, token), pages.dates([record.added for record in records])

    def _admit(self, tx: Tx, right: Right, bodies: Sequence[bytes]) -> bytes:
        collection = catalog.lock(tx, right.collection.collection_id)
        now, inlet = self._face.now(), right.inlet
        if inlet is not None:
            rights.refuse_closed(tx, inlet, collection, now=now)
        actor = f"account:{self._recipient}"
        source = Source("post" if inlet is None else "push", actor, inlet, place="medallion")
        report = ingress.admit(tx, self._face.door, collection, bodies, source, arrival_id=None, now=now)
        return statuses.write(
            tx,
            status_id=statuses.new_id(),
            account=self._recipient,
            collection_id=collection.collection_id,
            results=report.results if inlet is None else statuses.for_partner(report.results),
            now=now,
        )

    def _query(self, asked: Filters, limit: int, fields: frozenset[str]) -> queries.Query:
        # medallion gives the parameters decoded, and the limit cut to its own maximum beside them.
        given = {name: value for name, value in asked.items() if name != "limit"}
        raw = urlencode({**given, "limit": limit}, errors="surrogatepass")
        return queries.read_query(raw, fields=fields, page_size=self._face.page_size, most=self._face.most)

    def _database_of_today(self) -> Database:
        """Opened anew where its address leads to another server than before."""
        with self._opening:
            before = self._database
            if before.has_moved:
                self._face, self._partner = self._opened()
                before.close()
            return self._database

    @contextmanager
    def _visit(self, api_root: str, *names: str) -> Iterator[Visit]:
        """The recipient as it stands now, with a reader; what is refused becomes medallion's error."""
        with _told(), self._database_of_today().reading() as tx:
            now = self._face.now()
            account = accounts.find_account(tx, self._recipient)
            expired = account is not None and account.expires is not None and account.expires <= now
            if account is None or expired or account.partner != self._partner:
                raise RequestRefused(
                    "The recipient of this server has no account any more.",
                    remedy="Ask the operator of this server.",
                    status=403,
                )
            if api_root != ROOT or any("\0" in name for name in names):
                raise RequestRefused(
                    "There is no such API root, collection or object.",
                    remedy="Begin with the discovery resource.",
                    status=404,
                )
            principal = Principal(account.name, account.partner, account.clearance, account.audience)
            yield Visit(self._face, tx, principal, now, None, gate.read(tx, None, account.name))


@contextmanager
def _told() -> Iterator[None]:
    """Make what is refused an error of medallion's, with nothing of the inside in it."""
    try:
        yield
    except ProcessingError:
        raise
    except RequestRefused as cause:
        refused = ProcessingError(f"{cause.problem} {cause.remedy}".removesuffix("."), cause.status)
        refused.headers = cause.headers
        raise refused from None
    except Exception as cause:
        # medallion's own answer to these fails, or shows the message; messages of the database hold values.
        where = "".join(traceback.format_tb(cause.__traceback__))
        _log.error("a call of medallion failed: %s\n%s", type(cause).__name__, where)
        status = 503 if isinstance(cause, NodeError) else 500
        raise ProcessingError("The server could not carry out this request; try later", status) from cause


def _checked_recipient(tx: Tx, settings: Settings, name: str) -> accounts.Account:
    account = accounts.find_account(tx, name)
    if account is None:
        raise ConfigError(
            f"There is no account {name!r} to be medallion's recipient.",
            remedy=f"stixnode account add {name}",
        )
    kinds = {binding.name: binding.kind for binding in settings.partners}
    if account.partner and kinds.get(account.partner) == "stixnode":
        raise ConfigError(
            f"{name} is the account of {account.partner}, which runs stixnode; medallion drops the headers"
            " by which two stixnodes compare their terms.",
            remedy=f'Serve it by stixnode serve, or write kind = "taxii" in [partner.{account.partner}].',
        )
    return account


def _read(here: Visit, right: Right, selection: Selection, *, bodies: bool) -> egress.Page:
    if right.feed is not None:
        return egress.read_feed(here.face.door, right.feed, selection, now=here.now, bodies=bodies)
    return egress.read_collection(here.tx, right.collection, here.reader, selection, bodies=bodies)


def _scope(here: Visit, right: Right, object_id: str | None, filters: bytes) -> Scope:
    principal, link = here.principal, right.feed
    seen = f"{principal.clearance} {','.join(sorted(principal.audience))}"
    return Scope(
        place=f"medallion {right.collection.id if link is None else link.name} {object_id or ''}",
        epoch=right.collection.epoch,
        filters=filters,
        visibility=seen if link is None else link.policy_digest.hex(),
    )


def _envelope(records: Sequence[Record], token: str | None) -> Resource:
    if not records:
        return {}
    more = {} if token is None else {"more": True, "next": token}
    return {**more, "objects": [decode_kept(record.body) for record in records]}


def _manifest(records: Sequence[Record], token: str | None) -> Resource:
    return _decoded(pages.manifest(records, token))


def _versions(records: Sequence[Record], token: str | None) -> Resource:
    return _decoded(pages.versions(records, token))


def _decoded(body: bytes) -> Resource:
    found: Resource = msgspec.json.decode(body)
    return found


def _printed_again(objs: Any) -> bytes:
    """The posted resource as JSON once more; what medallion's parser let through, ours refuses."""
    try:
        text = json.dumps(objs, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "surrogatepass")
    except RecursionError as cause:
        raise RequestRefused(
            "The body is nested too deep.", remedy="Send less in one another.", status=400
        ) from cause
