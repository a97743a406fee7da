"""What a partner of our own kind may try here: whether we reach it, and what would become of an object.

Rule: for accounts of partners of kind stixnode; for everybody else there is nothing at these addresses.
Neither leaves a trace in what we hold. `/exchange/reach/` makes one request, to the address and with the
credential of our own configuration: nothing of the partner's request decides where it goes, and each partner
gets one in ten seconds. `/exchange/trial/` judges one object as a POST would, in a transaction that is
undone, and answers with the status that the POST would have had; a link that is closed, or goes by other
terms, is closed for it too.

Reads   the configuration of partners, the file with our credential there; all that a POST reads
Writes  nothing
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from flask import Flask, Response, request
from werkzeug.exceptions import NotFound

from node.clock import MICROSECONDS
from node.errors import ConfigError, PartnerError, PartnerRefused
from node.exchange import ingress
from node.exchange.ingress import Source
from node.sharing.links import Link, PartnerBinding
from node.store import catalog
from node.store.catalog import Collection
from node.store.database import Tx
from node.taxii import exchange_headers, rights, statuses
from node.taxii.body import cut, read_body
from node.taxii.face import Visit, answer, carry, negotiate, visit
from node.taxii.protocol import MEDIA_TYPE, RequestRefused, takes

if TYPE_CHECKING:
    from requests.adapters import BaseAdapter

EXTENSION = "stixnode.reach"
REACH, TRIAL = "/exchange/reach/", "/exchange/trial/"
EVERY_SECONDS, MOST_SECONDS, MOST_ANSWER = 10, 8.0, 1024 * 1024
LONGEST_BODY = 65_536


class Reach:
    """The two answers of one process.

    Args:
        partners: Where they are, and our credential there.
    """

    def __init__(self, partners: Sequence[PartnerBinding]) -> None:
        self._partners: Mapping[str, PartnerBinding] = {one.name: one for one in partners}
        self._tried: dict[str, int] = {}
        self._lock = threading.Lock()
        self.transport: BaseAdapter | None = None  # stands in for the network in tests

    def register(self, app: Flask) -> None:
        """Serve the two addresses."""
        app.extensions[EXTENSION] = self
        app.add_url_rule(REACH, "post_reach", self._post_reach, methods=["POST"])
        app.add_url_rule(f"{TRIAL}<name>/", "post_trial", self._post_trial, methods=["POST"])

    def _post_reach(self) -> Response:
        """Whether we reach the partner that asks, at the address that we have for it."""
        with visit() as here:
            binding = self._own_kind(here)
            negotiate()
        # The database is let go before anything is asked of another server.
        read_body(request.environ, most=LONGEST_BODY)
        self._wait_in_turn(binding.name, here.now)
        return answer(msgspec.json.encode(self._tried_now(binding, here.face.now())))

    def _post_trial(self, name: str) -> Response:
        """The status that a POST of one object would have had; nothing is kept of it."""
        with visit() as here:
            self._own_kind(here)
            right = rights.to_write(here, name)
            link = right.inlet
            if link is None:
                raise NotFound
            said = exchange_headers.told(request.headers, link)
            exchange_headers.refuse_other_terms(here, said, (link,))
            carry(exchange_headers.shown(right.collection, link))
            negotiate()
            if not takes(request.environ.get("CONTENT_TYPE")):
                raise RequestRefused(
                    "A body of this Content-Type is not read here.",
                    remedy=f"Send Content-Type: {MEDIA_TYPE}",
                    status=415,
                )
        bodies = cut(read_body(request.environ, most=LONGEST_BODY), empty_allowed=False)
        if len(bodies) > 1:
            raise RequestRefused(
                "One object is judged at a time.", remedy="Send an envelope with one object.", status=422
            )
        return answer(_judged(here, right.collection, link, bodies))

    def _own_kind(self, here: Visit) -> PartnerBinding:
        """The partner that asks, if it is of our own kind."""
        binding = self._partners.get(here.principal.partner or "")
        if binding is None or binding.kind != "stixnode":
            raise NotFound
        return binding

    def _wait_in_turn(self, partner: str, now: int) -> None:
        with self._lock:
            since = now - self._tried.get(partner, -EVERY_SECONDS * MICROSECONDS)
            if 0 <= since < EVERY_SECONDS * MICROSECONDS:
                wait = EVERY_SECONDS - since // MICROSECONDS
                raise RequestRefused(
                    "This was tried a moment ago.",
                    remedy=f"Wait {wait} s, then ask again.",
                    status=429,
                    headers={"Retry-After": str(wait)},
                )
            self._tried[partner] = now

    def _tried_now(self, binding: PartnerBinding, now: int) -> dict[str, object]:
        if binding.api_root is None:
            return {"api_root": "", "reached": False, "problem": "No address of yours is configured here."}
        # Loaded only when a partner asks: a server that is never asked does without a client.
        from node.sync.connection import Line, Patience  # noqa: PLC0415

        root = f"{binding.api_root.rstrip('/')}/"
        shown = (binding.tls_certificate, binding.tls_private_key)
        line = Line(
            binding.name,
            root,
            username=binding.username,
            password_file=binding.password_file,
            tls_ca=binding.tls_ca,
            shown=shown if shown[0] and shown[1] else None,  # type: ignore[arg-type]
            transport=self.transport,
            patience=Patience(connect=3.0, read=5.0, whole=MOST_SECONDS, most_bytes=MOST_ANSWER),
            now=lambda: now,
        )
        began = time.monotonic()
        try:
            found = line.exchange("GET", f"{root}collections/").body
        except ConfigError:
            # What is wrong in our files is for our own people, not for a partner.
            problem = "The configuration of this node cannot be used for that; ask its operator."
            return {"api_root": root, "reached": False, "problem": problem}
        except PartnerError as cause:
            status = cause.http_status if isinstance(cause, PartnerRefused) else None
            return {"api_root": root, "reached": False, "status": status, "problem": cause.problem}
        finally:
            line.close()
        seconds = round(time.monotonic() - began, 3)
        return {"api_root": root, "reached": True, "seconds": seconds, "collections": _number(found)}


class _Undone(Exception):
    """Ends a transaction without a trace, and carries what it would have answered."""

    def __init__(self, status: bytes) -> None:
        super().__init__()
        self.status = status


def _judged(here: Visit, collection: Collection, link: Link, bodies: Sequence[bytes]) -> bytes:
    door, account = here.face.door, here.principal.account
    ingress.look_ahead(collection, bodies)

    def work(tx: Tx) -> bytes:
        locked = catalog.lock(tx, collection.collection_id)
        now = here.face.now()
        rights.refuse_closed(tx, link, locked, now=now)
        source = Source("push", f"account:{account}", link)
        results = ingress.admit(tx, door, locked, bodies, source, arrival_id=None, now=now).results
        status = statuses.write(
            tx,
            status_id=statuses.new_id(),
            account=account,
            collection_id=locked.collection_id,
            results=statuses.for_partner(results),
            now=now,
        )
        raise _Undone(status)

    try:
        return door.database.retrying(work)
    except _Undone as done:
        return done.status


def _number(body: bytes) -> int:
    """How many collections are in an answer; 0 if it is something else."""
    try:
        found: Any = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return 0
    entries = found.get("collections") if isinstance(found, dict) else None
    return len(entries) if isinstance(entries, list) else 0
