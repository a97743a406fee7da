"""Two real nodes, north and south, each with a database of its own, wired without a network.

    pair = two_nodes(databases, folder)                both pull from each other
    pair.north.bring(an_indicator(tlp="green"))        as an import by its own people
    reports = pair.south.sync()                        one round of south's links
    pair.south.ids()                                   what lies there now

The client of each speaks to the other's real application through a `Wire`, a transport that hands the
request to the application as WSGI. A wire can lose an answer after it was given. The clock is one for
both and stands still unless a test moves it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import sqlalchemy as sa
from flask import Flask
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from node.access import accounts, tokens
from node.config import Settings, load_settings
from node.exchange import ingress, links
from node.exchange.door import Door
from node.exchange.ingress import AdmitReport, Source
from node.exchange.links import LinkState
from node.store import catalog
from node.store.database import Database, Tx
from node.sync import worker
from node.sync.client import Partner
from node.sync.pull import Limits
from node.sync.reports import Report
from node.taxii.face import EXTENSION
from node.web import create_app
from tests.support.agreements import a_flow, agreement_text, toml_text
from tests.support.served import DEFINITIONS, HeldClock

BOTH_PULL = "pull"
BOTH_PUSH = "push"
TYPES = ["indicator", "malware", "identity", "observables", "relationship"]


class AnswerLost(requests.ConnectionError):
    """The other side did its work, and its answer never came."""


class Wire(HTTPAdapter):
    """A transport to an application in this process.

    Args:
        app: Whom the request reaches.
    """

    def __init__(self, app: Callable[[], Flask]) -> None:
        super().__init__()
        self.app = app
        self.asked: list[tuple[str, str, int]] = []
        self.lost_answers = 0
        self.before: Callable[[requests.PreparedRequest], None] = lambda _request: None

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        self.before(request)
        parts = urlsplit(str(request.url))
        given = (
            self.app()
            .test_client()
            .open(
                parts.path,
                method=str(request.method),
                query_string=parts.query,
                headers=list(request.headers.items()),
                data=request.body,
            )
        )
        self.asked.append((str(request.method), parts.path, given.status_code))
        if self.lost_answers and request.method == "POST":
            self.lost_answers -= 1
            raise AnswerLost("the connection ended before the answer")
        raw = HTTPResponse(
            io.BytesIO(given.data),
            headers=list(given.headers),
            status=given.status_code,
            preload_content=False,
        )
        return self.build_response(request, raw)


@dataclass
class Centre:
    """One of the two nodes."""

    name: str
    other: str
    database: Database
    folder: Path
    clock: HeldClock
    settings: Settings
    app: Flask
    wire: Wire
    pauses: list[float] = field(default_factory=list)

    @property
    def door(self) -> Door:
        """What its door judges by."""
        found: Door = self.app.extensions[EXTENSION].door
        return found

    def client(self, _partner: str = "") -> Partner:
        """A client for the other node."""
        (binding,) = self.settings.partners
        return Partner(binding, now=self.clock, transport=self.wire)

    def sync(self, direction: str | None = None, *, limits: Limits | None = None) -> list[Report]:
        """One round of its links, of one direction if given."""
        chosen = self.door.partner_links(self.other, direction)
        return worker.sync_once(
            self.door,
            chosen,
            self.client,
            holder=f"{self.name}-test",
            now=self.clock,
            pause=self._pause,
            limits=limits,
        )

    def bring(self, *bodies: bytes, alias: str = "indicators", restate: bool = False) -> AdmitReport:
        """Objects that its own people import."""
        door = self.door

        def work(tx: Tx) -> AdmitReport:
            found = catalog.find_collection(tx, alias)
            assert found is not None
            collection = catalog.lock(tx, found.collection_id)
            source = Source("import", "os:test", restate=restate)
            return ingress.admit(tx, door, collection, bodies, source, arrival_id=None, now=self.clock())

        report = self.database.retrying(work)
        ingress.afterwards(door, now=self.clock())
        return report

    def bodies(self) -> list[bytes]:
        """Everything that lies there, in the order of ids and versions."""
        with self.database.reading() as tx:
            return [bytes(row[0]) for row in tx.rows(_BODIES)]

    def ids(self) -> set[str]:
        """The ids of everything that lies there."""
        return {json.loads(body)["id"] for body in self.bodies()}

    def state(self, link: str) -> LinkState:
        """The state row of one of its links."""
        with self.database.reading() as tx:
            found = links.state(tx, link)
        assert found is not None
        return found

    def tables(self, *, without: Sequence[str] = ()) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table, to see that nothing was written."""
        with self.database.reading() as tx:
            names = [row[0] for row in tx.rows(_TABLES[self.database.dialect])]
            return {
                name: sorted(map(repr, tx.rows(sa.text(f'select * from "{name}"'))))  # type: ignore[misc]
                for name in sorted(names)
                if name not in without
            }

    def restart(self, agreement: str | None = None) -> None:
        """Start the application again, by another agreement if given."""
        if agreement is not None:
            (self.folder / "agreement.toml").write_text(agreement, encoding="utf-8")
        self.settings = load_settings(self.folder / "config.toml", {})
        self.app = create_app(self.settings, self.database)
        _hold_clock(self.app, self.clock)
        self.resume()

    def resume(self) -> None:
        """Open its links."""
        with self.database.writing() as tx:
            links.set_paused(tx, None, paused=False, reason="")

    def _pause(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        self.clock.now += int(seconds * 1_000_000)
        return False


@dataclass
class TwoNodes:
    """North and south; `north.other` is `south`."""

    north: Centre
    south: Centre
    clock: HeldClock

    def tick(self, seconds: float = 60) -> None:
        """Time passes for both."""
        self.clock.now += int(seconds * 1_000_000)

    def round(self) -> list[Report]:
        """A minute later, one round of all links of both nodes."""
        self.tick()
        return [*self.north.sync(), *self.south.sync()]

    def agree(self, **changes: object) -> None:
        """Both go by another agreement from now on."""
        text = an_exchange_text(**changes)
        self.north.restart(text)
        self.south.restart(text)


def an_exchange_text(**changes: Any) -> str:
    """An agreement on indicators in both directions up to GREEN; `flow_` changes are those of the flow.

    `carry` is `pull`, `push` or a table of giver -> one of them.
    """
    flow_changes = {
        key.removeprefix("flow_"): changes.pop(key) for key in list(changes) if key.startswith("flow_")
    }
    flow = a_flow(**{"types": TYPES, "max_tlp": "green", "carry": BOTH_PULL, "onward": None, **flow_changes})
    return agreement_text(**{"flow": [flow], **changes})


def two_nodes(databases: Sequence[Database], folder: Path, **changes: Any) -> TwoNodes:
    """North and south with open links under `an_exchange_text(**changes)`.

    Args:
        databases: Two, migrated, with the node's row.
        folder: Where their configurations go.
        changes: As in `an_exchange_text`.
    """
    clock = HeldClock()
    text = an_exchange_text(**changes)
    apps: dict[str, Flask] = {}
    centres: dict[str, Centre] = {}
    for name, other, database in zip(("north", "south"), ("south", "north"), databases, strict=True):
        place = folder / name
        place.mkdir()
        settings = _configured(place, name, other, text)
        with database.writing() as tx:
            for each in DEFINITIONS:
                catalog.add_collection(tx, each, epoch=f"{name}-epoch-{each.alias}")
        apps[name] = create_app(settings, database)
        _hold_clock(apps[name], clock)
        wire = Wire(lambda other=other: centres[other].app)  # type: ignore[misc]
        centres[name] = Centre(name, other, database, place, clock, settings, apps[name], wire)
        centres[name].resume()
    for centre in centres.values():
        _give_account(centre, centres[centre.other])
    return TwoNodes(centres["north"], centres["south"], clock)


def renew_history(centre: Centre, epoch: str) -> None:
    """What a restore does to the collections: another history."""
    with centre.database.writing() as tx:
        for each in catalog.collections(tx):
            catalog.renew_epoch(
                tx, each.collection_id, epoch=f"{epoch}-{each.alias}", at_least=each.last_added
            )


_BODIES = sa.text('select body from "object" order by stix_id, version, digest')
_TABLES = {
    "sqlite": sa.text("select name from sqlite_master where type = 'table'"),
    "postgresql": sa.text("select tablename from pg_tables where schemaname = 'public'"),
}


def _hold_clock(app: Flask, clock: HeldClock) -> None:
    app.testing = False
    app.extensions[EXTENSION] = replace(app.extensions[EXTENSION], now=clock)


def _configured(folder: Path, name: str, other: str, agreement: str) -> Settings:
    (folder / "agreement.toml").write_text(agreement, encoding="utf-8")
    (folder / "password").write_text("not yet given", encoding="utf-8")
    document: Mapping[str, object] = {
        "format": 1,
        "node": {"name": name, "title": f"Cyber Centre {name.title()}"},
        "limits": {"requests_per_second": 0, "concurrent_requests": 0, "failed_logins_per_minute": 0},
        "partner": {
            other: {
                "agreements": ["agreement.toml"],
                "api_root": f"https://{other}.example/api/",
                "username": f"{name}-node",
                "password_file": "password",
            }
        },
    }
    path = folder / "config.toml"
    path.write_text(toml_text(document), encoding="utf-8")
    return load_settings(path, {})


def _give_account(host: Centre, guest: Centre) -> None:
    account = f"{guest.name}-node"
    with host.database.writing() as tx:
        accounts.add_account(
            tx,
            account,
            actor="os:test",
            now=host.clock.now,
            clearance=0,
            audience=(),
            partner=guest.name,
            expires=None,
        )
        text, _ = tokens.issue_token(tx, account=account, actor="os:test", now=host.clock.now)
    (guest.folder / "password").write_text(text, encoding="utf-8")
