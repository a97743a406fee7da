"""A TAXII 2.1 server of other software, in this process on a loopback socket, that behaves as badly as told.

    with simulated_partner() as partner:
        partner.hold(an_indicator(), an_indicator("two"))
        partner.next_style = "none"          # `more: true`, and no `next`
        partner.answer_next(Canned(429, headers={"Retry-After": "7"}))

It is plain HTTP, so that it can cut its bodies, drip them, or lie about their length. Everything asked of
it is in `requests`. `a_receiver` is a node of ours that has the simulated partner as partner `west`.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, BinaryIO, cast
from urllib.parse import parse_qs, urlsplit

from node.clock import parse_stix_time, taxii_time
from node.exchange import ingress, links
from node.exchange.door import Door
from node.exchange.ingress import Source
from node.sharing.links import Link, PartnerBinding, derive_links, parties_of
from node.store import catalog
from node.store.catalog import Definition
from node.store.database import Database, Tx
from node.sync.client import Partner
from node.sync.connection import Patience
from tests.support.agreements import MITRE, a_flow, a_party, an_agreement
from tests.support.builders import NOON
from tests.support.served import HeldClock

MEDIA = "application/taxii+json;version=2.1"
COLLECTION = "6d2f0c1e-9a7b-4c3d-8e5f-0a1b2c3d4e5f"
STATUS_ID = "2d086da7-4bdc-4f91-900e-d77486753710"
SECOND = 1_000_000


@dataclass(frozen=True)
class Canned:
    """An answer in place of the real one; `how` tells how it is sent.

    `whole`, `cut` (fewer bytes than promised), `drip` (a byte now and then), `silent` (nothing at all).
    With `raw` all of it, status line included, is written by that function, and the connection ends.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str | None = MEDIA
    how: str = "whole"
    raw: Callable[[BinaryIO], None] | None = None


@dataclass(frozen=True)
class Held:
    """One version that the partner has."""

    added: int
    id: str
    version: str
    body: bytes


@dataclass
class Asked:
    """One request that reached the partner; header names in lower case."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


class SimulatedPartner:
    """The partner's state and manners.

    Attributes:
        page_most: Its largest page.
        digits: Of its dates: 6, 3 or 0.
        inclusive: `added_after` includes the date itself.
        date_headers: Whether it sends X-TAXII-Date-Added-*.
        next_style: `offset`, `none`, `same` (the first page again for ever), `endless` (more, with new
            objects, for ever), `empty` (more, without objects).
        post_style: `complete`, `pending` (for ever), `slow` (pending twice), `forgotten` (404 for the
            status), `liar` (counts, and no lists), `duplicates_fail`, `strangers` (names ids never sent).
        stores: Whether what is posted is kept.
        refuses: ids that it refuses, with the message.
        post_most: Objects in one POST; more is 413. `never` are ids that make a POST 422.
    """

    def __init__(self) -> None:
        self.held: list[Held] = []
        self.requests: list[Asked] = []
        self.canned: list[Canned] = []
        self.page_most, self.digits, self.inclusive, self.date_headers = 100, 6, False, True
        self.next_style, self.post_style = "offset", "complete"
        self.can_read = self.can_write = self.stores = True
        self.refuses: dict[str, str] = {}
        self.never: set[str] = set()
        self.post_most = 10_000
        self.max_content_length: object = 10_000_000
        self.polls = 0
        self.last_status: dict[str, Any] = {}
        self.clock = NOON
        self.port = 0

    @property
    def api_root(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}/api/"

    def hold(self, *bodies: bytes, at: int | None = None) -> None:
        """It has these, each a second after the one before, or all at one moment."""
        for body in bodies:
            self.clock += SECOND
            one = json.loads(body)
            self.held.append(
                Held(at or self.clock, one["id"], one.get("modified") or one.get("created") or "", body)
            )

    def answer_next(self, *answers: Canned) -> None:
        """Its next answers, whatever is asked."""
        self.canned += answers

    def pages_asked(self) -> list[Asked]:
        """The GETs of objects so far."""
        return [one for one in self.requests if one.method == "GET" and one.path.endswith("/objects/")]

    def posts(self) -> list[list[str]]:
        """The ids of each POST so far."""
        return [
            [each["id"] for each in json.loads(one.body).get("objects", [])]
            for one in self.requests
            if one.method == "POST"
        ]

    def answer(self, asked: Asked) -> Canned:
        """What it says to a request."""
        if self.canned:
            return self.canned.pop(0)
        if asked.method == "POST":
            return self._post(asked)
        if asked.path.startswith("/api/status/"):
            return self._status()
        if asked.path.endswith("/objects/"):
            return self._page(asked)
        if asked.path.endswith("/manifest/"):
            return self._manifest(asked)
        if asked.path == "/api/":
            return _json(
                {"title": "West", "versions": [MEDIA], "max_content_length": self.max_content_length}
            )
        return _json({"id": COLLECTION, "title": "W", "can_read": self.can_read, "can_write": self.can_write})

    def date(self, added: int) -> str:
        """A date as it prints it."""
        text = taxii_time(added)
        return text[:19] + ("" if self.digits == 0 else text[19 : 20 + self.digits]) + "Z"

    def _after(self, asked: Asked) -> list[Held]:
        given = asked.query.get("added_after")
        if not given:
            return list(self.held)
        after = parse_stix_time(given[0])
        shown = [(parse_stix_time(self.date(one.added)), one) for one in self.held]
        return [one for date, one in shown if date > after or (self.inclusive and date == after)]

    def _page(self, asked: Asked) -> Canned:
        if not self.can_read:
            return _error(403)
        found = self._after(asked)
        size = min(self.page_most, int(asked.query.get("limit", ["100"])[0]))
        start = 0 if self.next_style == "same" else int(asked.query.get("next", ["0"])[0])
        page = found[start : start + size]
        more = start + size < len(found) or self.next_style in ("same", "endless", "empty")
        if self.next_style == "endless":
            serial = len(self.pages_asked())
            page = [_fresh(f"{serial} {each}", self.clock + serial) for each in range(2)]
        if self.next_style == "empty":
            page = []
        words: dict[str, Any] = {"more": True} if more else {}
        if more and self.next_style != "none":
            words["next"] = str(start + size)
        head = json.dumps(words)[:-1].encode()
        comma = b"," if words and page else b""
        body = (
            head
            + comma
            + (b'"objects":[' + b",".join(one.body for one in page) + b"]" if page else b"")
            + b"}"
        )
        headers = {}
        if page and self.date_headers:
            headers = {
                "X-TAXII-Date-Added-First": self.date(page[0].added),
                "X-TAXII-Date-Added-Last": self.date(page[-1].added),
            }
        return Canned(body=body, headers=headers)

    def _manifest(self, asked: Asked) -> Canned:
        if not self.can_read:
            return _error(403)
        wanted = asked.query.get("match[id]", [""])[0].split(",")
        if wanted == [""]:
            return self._whole_manifest(asked)
        found = [one for one in self.held if one.id in wanted]
        records = [
            {"id": one.id, "version": one.version or self.date(one.added), "date_added": self.date(one.added)}
            for one in found
        ]
        return _json({"objects": records} if records else {})

    def _whole_manifest(self, asked: Asked) -> Canned:
        """A page of it, as of the objects; versions as it prints them."""
        found, start = self._after(asked), int(asked.query.get("next", ["0"])[0])
        page = found[start : start + self.page_most]
        more = start + self.page_most < len(found) or self.next_style in ("same", "endless", "empty")
        dates = [self.date(one.added) for one in page]
        records = [
            {"id": one.id, "version": self.version(one) if one.version else date, "date_added": date}
            for one, date in zip(page, dates, strict=True)
        ]
        words: dict[str, Any] = {"objects": records} if records and self.next_style != "empty" else {}
        if more:
            words |= {"more": True}
        if more and self.next_style != "none":
            words |= {"next": str(start + (0 if self.next_style == "same" else self.page_most))}
        return _json(words)

    def version(self, one: Held) -> str:
        """A version as its manifest prints it: with as many digits as its dates."""
        return self.date(parse_stix_time(one.version) // 1000)

    def _post(self, asked: Asked) -> Canned:
        if not self.can_write:
            return _error(403)
        objects = json.loads(asked.body).get("objects", [])
        if len(objects) > self.post_most:
            return _error(413)
        if self.never & {one["id"] for one in objects}:
            return _error(422)
        successes, failures = [], []
        for one in objects:
            version = one.get("modified") or one.get("created") or "2026-11-21T12:00:00.000Z"
            known = any(each.id == one["id"] and each.version == version for each in self.held)
            word = {"id": one["id"], "version": version}
            if one["id"] in self.refuses:
                failures.append({**word, "message": self.refuses[one["id"]]})
            elif known and self.post_style == "duplicates_fail":
                failures.append({**word, "message": "Unable to process object"})
            else:
                successes.append(word)
                if self.stores and not known:
                    self.clock += SECOND
                    self.held.append(Held(self.clock, one["id"], version, json.dumps(one).encode()))
        self.last_status = _status_resource(successes, failures)
        if self.post_style == "strangers":
            return _json(_status_resource([{"id": "indicator--" + STATUS_ID, "version": version}], []), 202)
        if self.post_style == "liar":
            return _json({"id": STATUS_ID, "status": "complete", "total_count": 99, "success_count": 1}, 202)
        if self.post_style in ("pending", "slow", "forgotten"):
            return _json({**_status_resource([], []), "status": "pending", "pendings": successes}, 202)
        return _json(self.last_status, 202)

    def _status(self) -> Canned:
        self.polls += 1
        if self.post_style == "forgotten":
            return _error(404)
        if self.post_style == "pending" or (self.post_style == "slow" and self.polls < 2):
            return _json({**_status_resource([], []), "status": "pending", "pending_count": 1})
        return _json(self.last_status)


@contextlib.contextmanager
def simulated_partner(tls: ssl.SSLContext | None = None) -> Iterator[SimulatedPartner]:
    """A partner that listens on a free port of this machine, over TLS if given a context."""
    partner = SimulatedPartner()
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or the body of each answer waits 40 ms for the client

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, parts.path, parse_qs(parts.query), headers, body)
            partner.requests.append(asked)
            self._say(partner.answer(asked))

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            return

        def _say(self, canned: Canned) -> None:
            if canned.raw is not None:
                self.close_connection = True
                with contextlib.suppress(OSError):
                    canned.raw(cast(BinaryIO, self.wfile))
                return
            if canned.how == "silent":
                ended.wait(20)
                self.close_connection = True
                return
            self.send_response(canned.status)
            if canned.content_type is not None:
                self.send_header("Content-Type", canned.content_type)
            for name, value in canned.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(canned.body)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self._send_body(canned)

        def _send_body(self, canned: Canned) -> None:
            if canned.how == "cut":
                self.wfile.write(canned.body[: len(canned.body) // 2])
                self.close_connection = True
            elif canned.how == "drip":
                for each in canned.body:
                    self.wfile.write(bytes([each]))
                    if ended.wait(0.05):
                        break
                self.close_connection = True
            else:
                self.wfile.write(canned.body)

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: object) -> None:
            return

    server = Server(("127.0.0.1", 0), Handler)
    partner.port = server.server_address[1]
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield partner
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


@dataclass
class Receiver:
    """A node of ours whose partner `west` is simulated; its clock stands still unless waited on."""

    database: Database
    door: Door
    binding: PartnerBinding
    clock: HeldClock
    pauses: list[float] = field(default_factory=list)

    def link(self, direction: str) -> Link:
        """Its link with west in one direction."""
        (found,) = self.door.partner_links("west", direction)
        return found

    def client(self, patience: Patience | None = None) -> Partner:
        """A client for west."""
        return Partner(self.binding, now=self.clock, patience=patience)

    def pause(self, seconds: float) -> bool:
        """Waits on its clock alone."""
        self.pauses.append(seconds)
        self.clock.now += int(seconds * SECOND)
        return False

    def bring(self, *bodies: bytes, restate: bool = False) -> None:
        """Objects that its own people import."""

        def work(tx: Tx) -> None:
            found = catalog.find_collection(tx, "indicators")
            assert found is not None
            collection = catalog.lock(tx, found.collection_id)
            source = Source("import", "os:test", restate=restate)
            ingress.admit(tx, self.door, collection, bodies, source, arrival_id=None, now=self.clock())

        self.database.retrying(work)

    def count(self, table: str) -> int:
        """How many rows a table has."""
        import sqlalchemy as sa  # noqa: PLC0415  one statement of a helper

        with self.database.reading() as tx:
            return int(tx.rows(sa.text(f'select count(*) from "{table}"'))[0][0])


def a_receiver(database: Database, partner: SimulatedPartner, **changes: Any) -> Receiver:
    """North with the simulated partner west, which speaks for no identity of ours.

    Args:
        database: Migrated, with the node's row.
        partner: Whom its client asks.
        changes: Fields of the binding with other values.
    """
    flow = a_flow(
        "indicators",
        ("north", "west"),
        types=["indicator", "malware", "identity", "observables", "relationship"],
        max_tlp="green",
        unmarked="clear",
        carry={"north": "push", "west": "pull"},
    )
    parties = {"north": a_party("north"), "west": a_party("west")}
    agreement = an_agreement(flow=[flow], party=parties, paper_signed=True)
    binding = PartnerBinding(
        **{
            "name": "west",
            "kind": "taxii",
            "api_root": partner.api_root,
            "agreements": (agreement,),
            "their_ids": {"indicators": COLLECTION},
            **changes,
        }
    )
    known = parties_of("north", [binding], (), (MITRE,))
    door = Door(database, known, derive_links("north", [binding], known))
    with database.writing() as tx:
        definition = Definition(alias="indicators", title="Indicators", id=COLLECTION)
        catalog.add_collection(tx, definition, epoch="epoch-1")
        links.ensure(tx, door.links)
        links.set_paused(tx, None, paused=False, reason="")
    return Receiver(database, door, binding, HeldClock())


def _fresh(name: str, added: int) -> Held:
    body = json.loads(_AN_INDICATOR)
    hexed = name.encode().hex()[:12].rjust(12, "0")
    body["id"] = f"indicator--2d086da7-4bdc-4f91-900e-{hexed}"
    return Held(added, body["id"], body["modified"], json.dumps(body).encode())


_AN_INDICATOR = (
    '{"type":"indicator","spec_version":"2.1","id":"","created":"2026-11-20T08:00:00.000Z",'
    '"modified":"2026-11-20T08:00:00.000Z","pattern":"[ipv4-addr:value = \'192.0.2.1\']",'
    '"pattern_type":"stix","valid_from":"2026-11-20T08:00:00Z"}'
)


def _status_resource(successes: list[Any], failures: list[Any]) -> dict[str, Any]:
    return {
        "id": STATUS_ID,
        "status": "complete",
        "total_count": len(successes) + len(failures),
        "success_count": len(successes),
        "failure_count": len(failures),
        "pending_count": 0,
        "successes": successes,
        "failures": failures,
    }


def _json(resource: dict[str, Any], status: int = 200) -> Canned:
    return Canned(status, json.dumps(resource).encode())


def _error(status: int) -> Canned:
    return _json({"title": f"Refused with {status}", "http_status": str(status)}, status)
