"""A node behind its TAXII face: collections, accounts and links over a fresh database, with a held clock.

    node = a_served(sqlite_database, tmp_path)
    soc = node.account("soc", read=["indicators"], write=["indicators"])
    soc.post("indicators", [an_indicator()])
    soc.get("indicators/objects/", limit=5)

`live_server` runs the real server in a process of its own, for what a test client cannot show.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from flask import Flask
from werkzeug.test import TestResponse

from node.access import accounts, tokens
from node.config import Settings, load_settings
from node.exchange import egress, ingress, links
from node.exchange.ingress import AdmitReport, Source
from node.store import catalog
from node.store.catalog import Collection, Definition
from node.store.database import Database
from node.taxii.face import EXTENSION, Face
from node.taxii.protocol import MEDIA_TYPE
from node.web import create_app
from tests.support.agreements import agreement_text, toml_text
from tests.support.builders import NOON

INDICATORS = "2a4f1c6e-0b53-4b0f-8d4e-6a1f3c9d7e01"
TECHNIQUES = "1b5e2d7f-1c64-4c1a-9e5f-7b2a4d8e6f02"
DEFINITIONS = (
    Definition(alias="indicators", title="Indicators", id=INDICATORS),
    Definition(alias="techniques", title="Techniques", id=TECHNIQUES),
)


class HeldClock:
    """A clock that a test moves; microseconds."""

    def __init__(self, now: int = NOON) -> None:
        self.now = now

    def __call__(self) -> int:
        """The present moment."""
        return self.now


@dataclass
class Client:
    """An account as a TAXII client; paths are relative to the collections unless they begin with a slash."""

    app: Flask
    name: str
    token: str
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, headers: Mapping[str, str] | None = None, **params: object) -> TestResponse:
        """A GET; parameters as keywords, `match_type=` for `match[type]`."""
        query = {_parameter(name): str(value) for name, value in params.items()}
        return self.send("GET", path, headers=headers, query_string=query)

    def post(
        self,
        collection: str,
        objects: Sequence[bytes] = (),
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> TestResponse:
        """Objects to a collection, as an envelope unless `body` says otherwise."""
        sent = an_envelope(objects) if body is None else body
        given = {"Content-Type": MEDIA_TYPE, **(headers or {})}
        return self.send("POST", f"{collection}/objects/", headers=given, data=sent)

    def delete(self, path: str, **params: object) -> TestResponse:
        """A DELETE."""
        return self.send(
            "DELETE", path, query_string={_parameter(name): str(value) for name, value in params.items()}
        )

    def send(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> TestResponse:
        """Any request; headers given as "" are left out."""
        given = {
            "Accept": MEDIA_TYPE,
            "Authorization": basic(self.name, self.token),
            **self.headers,
            **(headers or {}),
        }
        kept = {name: value for name, value in given.items() if value != ""}
        return self.app.test_client().open(_path(path), method=method, headers=kept, **more)

    def walk(self, path: str, **params: object) -> list[Any]:
        """Every object of a listing, page by page."""
        found: list[Any] = []
        token: str | None = None
        for _ in range(10_000):
            page = self.get(path, **params, **({} if token is None else {"next": token}))
            assert page.status_code == 200, page.text
            found += page.json.get("objects", [])
            if not page.json.get("more"):
                return found
            token = page.json["next"]
        raise AssertionError("the walk does not end")


@dataclass
class Served:
    """A node, its application, and what a test does to it behind its back."""

    app: Flask
    database: Database
    settings: Settings
    clock: HeldClock
    collections: dict[str, Collection]

    @property
    def face(self) -> Face:
        """What its endpoints are given."""
        found: Face = self.app.extensions[EXTENSION]
        return found

    def account(
        self,
        name: str = "soc",
        *,
        read: Sequence[str] = (),
        write: Sequence[str] = (),
        clearance: int = 4,
        audience: Sequence[str] = (),
        partner: str = "",
        expires: int | None = None,
    ) -> Client:
        """A new account with these rights, as a client."""
        with self.database.writing() as tx:
            accounts.add_account(
                tx,
                name,
                actor="os:test",
                now=self.clock.now,
                clearance=clearance,
                audience=audience,
                partner=partner,
                expires=expires,
            )
            text, _ = tokens.issue_token(tx, account=name, actor="os:test", now=self.clock.now)
        for alias in {*read, *write}:
            self.allow(name, alias, read=alias in read, write=alias in write)
        return Client(self.app, name, text)

    def soc(self, name: str = "soc") -> Client:
        """An account that may read and write the indicators and see everything."""
        return self.account(name, read=["indicators"], write=["indicators"])

    def partner(self, name: str = "south-node", *, partner: str = "south") -> Client:
        """The account of a partner whose links are open."""
        self.resume(partner)
        return self.account(name, partner=partner)

    def allow(self, name: str, alias: str, *, read: bool = False, write: bool = False) -> None:
        """Give an account a right."""
        with self.database.writing() as tx:
            number = self.collections[alias].collection_id
            accounts.allow(tx, name, number, read=read, write=write, actor="os:test", now=self.clock.now)

    def deny(self, name: str, alias: str, *, read: bool = False, write: bool = False) -> None:
        """Take a right from an account."""
        with self.database.writing() as tx:
            number = self.collections[alias].collection_id
            accounts.deny(tx, name, number, read=read, write=write, actor="os:test", now=self.clock.now)

    def pause(self, partner: str = "south", *, reason: str = "for the test") -> None:
        """Close every link with a partner."""
        with self.database.writing() as tx:
            links.set_paused(tx, partner, paused=True, reason=reason)

    def resume(self, partner: str = "south") -> None:
        """Open every link with a partner."""
        with self.database.writing() as tx:
            links.set_paused(tx, partner, paused=False, reason="")

    def admit(self, objects: Sequence[bytes], alias: str = "indicators") -> AdmitReport:
        """Objects that an operator imports."""
        number = self.collections[alias].collection_id

        def work(tx: Any) -> AdmitReport:
            collection = catalog.lock(tx, number)
            source = Source("import", "os:test")
            return ingress.admit(
                tx, self.face.door, collection, objects, source, arrival_id=None, now=self.clock.now
            )

        report = self.database.retrying(work)
        ingress.afterwards(self.face.door, now=self.clock.now)
        return report

    def exported(self, alias: str = "indicators") -> list[bytes]:
        """The bytes of every version in a collection, by date added."""
        return list(egress.export_bodies(self.face.door, self.collections[alias]))


def a_served(
    database: Database,
    folder: Path,
    *,
    agreement: str | None = None,
    partner: Mapping[str, object] | None = None,
    limits: Mapping[str, object] | None = None,
    definitions: Sequence[Definition] = DEFINITIONS,
) -> Served:
    """The node north over a migrated database; with an agreement it has the partner south.

    Args:
        database: Migrated, with the node's row.
        folder: Where its configuration and its data go.
        agreement: Text of the agreement with south; None for a node without partners.
        partner: Keys of [partner.south] with other values.
        limits: Keys of [limits]; rates are off unless named.
        definitions: The collections it hosts.
    """
    settings = load_settings(write_config(folder, database.url, agreement, partner, limits), {})
    collections = add_collections(database, definitions)
    app = create_app(settings, database)
    app.testing = False  # what goes wrong must become an answer here too
    clock = HeldClock()
    app.extensions[EXTENSION] = replace(app.extensions[EXTENSION], now=clock)
    return Served(app, database, settings, clock, collections)


def an_exchange(database: Database, folder: Path, **changes: object) -> Served:
    """North with the partner south, which pulls what north gives and pushes what it gives itself."""
    flow = {
        "collection": "indicators",
        "from": ["north", "south"],
        "types": ["indicator", "malware", "identity", "observables", "relationship"],
        "max_tlp": "green",
        "unmarked": "clear",
        "carry": {"north": "pull", "south": "push"},
    }
    return a_served(database, folder, agreement=agreement_text(flow=[flow]), **changes)  # type: ignore[arg-type]


def add_collections(
    database: Database, definitions: Sequence[Definition] = DEFINITIONS
) -> dict[str, Collection]:
    """The collections of a node, by alias."""
    with database.writing() as tx:
        added = [catalog.add_collection(tx, each, epoch=f"epoch-{each.alias}") for each in definitions]
    return {each.alias: each for each in added}


def write_config(
    folder: Path,
    url: str,
    agreement: str | None = None,
    partner: Mapping[str, object] | None = None,
    limits: Mapping[str, object] | None = None,
    server: Mapping[str, object] | None = None,
) -> Path:
    """The configuration of north in a folder."""
    document: dict[str, object] = {
        "format": 1,
        "node": {"name": "north", "title": "Cyber Centre North"},
        "limits": {
            "requests_per_second": 0,
            "concurrent_requests": 0,
            "failed_logins_per_minute": 0,
            **(limits or {}),
        },
        # The application is given its database open; the address of a server would bring its password.
        "database": {"url": url if url.startswith("sqlite") else "postgresql://north@localhost/north"},
        "server": dict(server or {}),
    }
    if agreement is not None:
        (folder / "agreement.toml").write_text(agreement, encoding="utf-8")
        document["partner"] = {"south": {"agreements": ["agreement.toml"], **(partner or {})}}
    path = folder / "config.toml"
    path.write_text(toml_text(document), encoding="utf-8")
    return path


def an_envelope(objects: Sequence[bytes]) -> bytes:
    """A TAXII envelope of objects as they are."""
    return b'{"objects":[' + b",".join(objects) + b"]}"


def basic(name: str, token: str) -> str:
    """The value of an `Authorization` header."""
    return "Basic " + b64encode(f"{name}:{token}".encode()).decode("ascii")


def free_port() -> int:
    """A port of this machine that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def live_server(
    config: Path,
    *,
    port: int | None = None,
    workers: int = 1,
    said: list[str] | None = None,
    planted: str = "",
) -> Iterator[str]:
    """The address of a real server in a process of its own, which is stopped at the end.

    Args:
        config: The configuration of a node whose database is migrated and has its collections.
        port: Where to listen; a free one if not given.
        workers: Processes that answer.
        said: Gets every line of its stderr; complete when it has stopped.
        planted: Lines of Python that its process runs first: other constants, or a planted fault.
    """
    port = port or free_port()
    seen = [] if said is None else said
    code = (
        "import sys; from pathlib import Path\n"
        "from node.config import load_settings; from node.web import serve\n"
        f"{planted}\n"
        f"serve(load_settings(Path(sys.argv[1]), {{}}), '127.0.0.1', {port}, {workers})"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(config)],
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            seen.append(line)
            if line.startswith("serving "):
                address = line.removeprefix("serving ").strip()
                break
        else:
            raise AssertionError(f"the server did not start: {''.join(seen)}")
        # A pipe that nobody empties would hold the server at its next line.
        emptying = threading.Thread(target=_empty, args=(process.stderr, seen), daemon=True)
        emptying.start()
        try:
            yield address
        finally:
            process.terminate()
            emptying.join(timeout=15)
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stderr.close()


def _empty(pipe: IO[str], seen: list[str]) -> None:
    for line in pipe:
        seen.append(line)


def _parameter(name: str) -> str:
    return f"match[{name.removeprefix('match_')}]" if name.startswith("match_") else name


def _path(path: str) -> str:
    return path if path.startswith("/") else f"/api/collections/{path}"
