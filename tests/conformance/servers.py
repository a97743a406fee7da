"""The servers that the suite is run against: our node, and medallion as it is installed.

Rule: what a `Target` promises and nothing more; tests see these through `tests.conformance.target` alone.

Writes  accounts, grants and collections of our node; the memory of medallion's backend
"""

from __future__ import annotations

import itertools
import json
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from werkzeug.test import TestResponse

from node.access import accounts, tokens
from node.clock import MICROSECONDS
from node.store import catalog
from node.store.catalog import Definition
from node.store.database import Database
from node.taxii.face import EXTENSION
from node.web import create_app
from tests.conformance.target import MT, RIGHTS, Caller, Place
from tests.support.served import Served, a_served, basic

MAX_CONTENT_LENGTH = 1_000_000
PAGE_SIZE = 50
PASSWORD = "correct horse: battery"  # with a colon, as RFC 7617 allows

_numbers = itertools.count(1)


@dataclass
class Ours:
    """Our node; made by `open_ours`."""

    name: str
    served: Served
    page_size: int
    max_content_length: int
    root: str = "/api/"
    application: Any = None

    def __post_init__(self) -> None:
        """Give it its accounts."""
        self.application = self.served.app
        self.member, self.colleague, self.outsider = (
            self._account(name) for name in ("member", "colleague", "outsider")
        )
        self.stranger = Caller(self, "", "")
        self.impostor = Caller(self, "member", basic("member", "wrong"))

    def place(self, rights: str = "rw") -> Place:
        """A new collection; hidden ones are not listed and nobody has a grant."""
        number = next(_numbers)
        place = Place(self.root, str(uuid.uuid4()), f"{rights}-{number}", f"Place {number}")
        listed = rights == "none"
        definition = Definition(alias=place.alias, title=place.title, id=place.id, listed=listed)
        now = self.served.clock()
        with self.served.database.writing() as tx:
            added = catalog.add_collection(tx, definition, epoch=f"epoch-{number}")
            self.served.collections[place.alias] = added
            for caller, granted in (("member", RIGHTS.get(rights)), ("colleague", RIGHTS["rw"])):
                if granted and any(granted) and rights != "hidden":
                    read, write = granted
                    accounts.allow(
                        tx, caller, added.collection_id, read=read, write=write, actor="os:test", now=now
                    )
        return place

    def seed(self, place: Place, objects: Sequence[bytes]) -> None:
        """Add objects by a POST of the colleague."""
        _seeded(self.colleague.post(place, objects), len(objects))

    def allow(self, place: Place, *, read: bool | None = None, write: bool | None = None) -> None:
        """Change the member's grant."""
        for given, change in ((True, self.served.allow), (False, self.served.deny)):
            if given in (read, write):
                change("member", place.alias, read=read is given, write=write is given)

    def later(self, *, seconds: float = 0, hours: float = 0) -> None:
        """Move the held clock."""
        self.served.clock.now += int((seconds + 3600 * hours) * MICROSECONDS)

    def restart(self) -> None:
        """A new application over the same database."""
        face = self.served.face
        self.application = create_app(self.served.settings, self.served.database)
        self.application.testing = False
        self.application.extensions[EXTENSION] = replace(self.application.extensions[EXTENSION], now=face.now)

    def _account(self, name: str) -> Caller:
        now = self.served.clock()
        with self.served.database.writing() as tx:
            accounts.add_account(tx, name, actor="os:test", now=now, clearance=4)
            text, _ = tokens.issue_token(tx, account=name, actor="os:test", now=now)
        return Caller(self, name, basic(name, text))


def open_ours(name: str, database: Database, folder: Path, **limits: object) -> Ours:
    """Our node over a migrated, empty database; `limits` are further keys of [limits]."""
    wanted = {"page_size": PAGE_SIZE, "max_content_length": MAX_CONTENT_LENGTH, **limits}
    wanted.setdefault("max_object_bytes", wanted["max_content_length"])
    served = a_served(database, folder, definitions=(), limits=wanted)
    return Ours(name, served, int(str(wanted["page_size"])), int(str(wanted["max_content_length"])))


@dataclass
class Medallion:
    """medallion 3.0.0 with its memory backend: what a right is, it is for everybody who has a password."""

    page_size: int = PAGE_SIZE
    max_content_length: int = MAX_CONTENT_LENGTH
    name: str = "medallion"
    root: str = "/api/"
    application: Any = None

    def __post_init__(self) -> None:
        """Configure the one application that the package has."""
        import medallion  # noqa: PLC0415  # only the control pays for it
        from medallion.backends.memory_backend import MemoryBackend  # noqa: PLC0415

        app = medallion.application_instance
        if not app.blueprints:
            medallion.register_blueprints(app)
        app.testing = False
        for log in ("medallion", app.logger.name):
            logging.getLogger(log).setLevel(logging.CRITICAL + 1)  # it fails on purpose here, at length
        app.users_backend = dict.fromkeys(("member", "colleague", "outsider"), PASSWORD)
        information = {
            "title": "medallion",
            "versions": [MT],
            "max_content_length": self.max_content_length,
        }
        self._backend = MemoryBackend(check_interval=3600)
        self._backend.data = {
            "/discovery": {"title": "medallion", "api_roots": [self.root], "default": self.root},
            "api": {"information": information, "status": [], "collections": []},
        }
        self.application = _answering(app, self._backend, {"max_page_size": self.page_size})
        self.member, self.colleague, self.outsider = (
            Caller(self, name, basic(name, PASSWORD)) for name in ("member", "colleague", "outsider")
        )
        self.stranger = Caller(self, "", "")
        self.impostor = Caller(self, "member", basic("member", "wrong"))

    def place(self, rights: str = "rw") -> Place:
        """A new collection; it cannot hide one, so a hidden one is none."""
        number = next(_numbers)
        place = Place(self.root, str(uuid.uuid4()), f"{rights}-{number}", f"Place {number}")
        if rights != "hidden":
            read, write = RIGHTS[rights]
            self._backend.data["api"]["collections"].append(
                {
                    "id": place.id,
                    "title": place.title,
                    "alias": place.alias,
                    "can_read": read,
                    "can_write": write,
                    "media_types": ["application/stix+json;version=2.1"],
                    "objects": [],
                    "manifest": [],
                }
            )
        return place

    def seed(self, place: Place, objects: Sequence[bytes]) -> None:
        """Add objects by a POST, for which the collection is made writable."""
        held = next((one for one in self._collections() if one["id"] == place.id), None)
        if held is None:
            return
        could = held["can_write"]
        held["can_write"] = True
        _seeded(self.colleague.post(place, objects), len(objects))
        held["can_write"] = could

    def allow(self, place: Place, *, read: bool | None = None, write: bool | None = None) -> None:
        """Change the flags of the collection."""
        for one in self._collections():
            if one["id"] == place.id:
                one["can_read"] = one["can_read"] if read is None else read
                one["can_write"] = one["can_write"] if write is None else write

    def later(self, *, seconds: float = 0, hours: float = 0) -> None:
        """Date the walks under way back, and let it look for those that ended."""
        for walk in self._backend.next.values():
            walk["request_time"] -= seconds + 3600 * hours
        self._backend._pop_expired_sessions()

    def restart(self) -> None:
        """Its data is in its file; its walks are not."""
        self._backend.data = json.loads(json.dumps(self._backend.data))
        self._backend.next = {}

    def _collections(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._backend.data["api"]["collections"]
        return found


def _seeded(answer: TestResponse, count: int) -> None:
    assert answer.status_code == 202, answer.text
    assert answer.json["success_count"] == count, answer.text


def _answering(app: Any, backend: Any, limits: dict[str, int]) -> Any:
    # The package has one application for all. A failure inside its handler of failures leaves it; a
    # server makes 500 of that.
    def called(environ: dict[str, Any], start_response: Any) -> Any:
        app.medallion_backend, app.taxii_config = backend, limits
        try:
            return app(environ, start_response)
        except Exception:  # noqa: BLE001
            start_response("500 INTERNAL SERVER ERROR", [("Content-Type", "text/plain")])
            return [b"Internal Server Error"]

    return called
