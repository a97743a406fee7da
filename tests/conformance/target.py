"""A server under test, as its clients and its operator see it.

    target.member                        an account that may do with each place what the place's name says
    rw = target.place("rw")              a new, empty collection: "rw", "r", "w", "none" (shown, no right),
                                         "hidden" (not shown, no right)
    target.seed(rw, [an_indicator()])    objects that are there already, by POST of an account that may
    target.member.get(rw.objects, limit=1, match_type="indicator")
    target.allow(rw, read=False)         the operator changes the member's rights
    target.later(hours=25)               time passes; `target.restart()` starts the server anew

Rule: everything a test learns it learns by HTTP, through werkzeug's client in this process. The servers
themselves are in `servers.py`. A test gets new collections in a server that its module shares;
`fresh_target` is a server of its own, for tests that list what the server has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from werkzeug.test import Client as HttpClient
from werkzeug.test import TestResponse
from werkzeug.wrappers import Response

from tests.support.served import an_envelope

MT = "application/taxii+json;version=2.1"
FIRST, LAST = "X-TAXII-Date-Added-First", "X-TAXII-Date-Added-Last"
RIGHTS = {"rw": (True, True), "r": (True, False), "w": (False, True), "none": (False, False)}


@dataclass(frozen=True, slots=True)
class Place:
    """A collection of the server and its addresses.

    Args:
        root: Path of the API root.
        id: UUID.
        alias: Its other name.
        title: As the list shows it.
    """

    root: str
    id: str
    alias: str
    title: str

    @property
    def path(self) -> str:
        """The collection resource."""
        return f"{self.root}collections/{self.id}/"

    @property
    def by_alias(self) -> str:
        """The collection resource, by its alias."""
        return f"{self.root}collections/{self.alias}/"

    @property
    def objects(self) -> str:
        """Get Objects, and Add Objects."""
        return f"{self.path}objects/"

    @property
    def manifest(self) -> str:
        """Get Object Manifests."""
        return f"{self.path}manifest/"

    def object(self, object_id: str) -> str:
        """Get an Object, and Delete an Object."""
        return f"{self.objects}{object_id}/"

    def versions(self, object_id: str) -> str:
        """Get Object Versions."""
        return f"{self.object(object_id)}versions/"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who asks, with or without credentials; paths are absolute."""

    target: Target
    name: str
    authorization: str

    def get(self, path: str, headers: Mapping[str, str] | None = None, **params: object) -> TestResponse:
        """A GET; parameters as keywords, `match_type=` for `match[type]`."""
        return self.send("GET", path, headers=headers, query_string=_query(params))

    def post(
        self,
        place: Place | str,
        objects: Sequence[bytes] = (),
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> TestResponse:
        """Objects to a collection, as an envelope unless `body` says otherwise."""
        path = place.objects if isinstance(place, Place) else place
        sent = an_envelope(objects) if body is None else body
        return self.send("POST", path, headers={"Content-Type": MT, **(headers or {})}, data=sent)

    def delete(self, path: str, **params: object) -> TestResponse:
        """A DELETE."""
        return self.send("DELETE", path, query_string=_query(params))

    def send(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> TestResponse:
        """Any request; a header given as "" is left out, `query_string` may be raw text."""
        given = {"Accept": MT, "Authorization": self.authorization, **(headers or {})}
        kept = {name: value for name, value in given.items() if value != ""}
        return HttpClient(self.target.application, Response).open(path, method=method, headers=kept, **more)

    def listed(self, path: str, **params: object) -> list[Any]:
        """The entries of one page; its answer must be 200."""
        page = self.get(path, **params)
        assert page.status_code == 200, page.text
        return entries(page)

    def pages(self, path: str, **params: object) -> Iterator[TestResponse]:
        """Every page of a listing by `next`, from the one that the parameters ask for."""
        more: dict[str, object] = {}
        for _ in range(1_000):
            page = self.get(path, None, **{**params, **more})
            assert page.status_code == 200, page.text
            yield page
            if not page.json.get("more"):
                return
            more = {"next": page.json["next"]}
        raise AssertionError("the walk does not end")

    def walk(self, path: str, **params: object) -> list[Any]:
        """Every entry of a listing, page by page."""
        return [entry for page in self.pages(path, **params) for entry in entries(page)]


class Target(Protocol):
    """What tests may ask of a server.

    Args:
        name: `sqlite`, `postgresql` or `medallion`.
        application: The WSGI application.
        root: Path of its API root, with both slashes.
        page_size: Entries of a page when nobody names a limit, and the most of one page.
        max_content_length: As its API root says.
        member: May do with each place what its name says.
        colleague: May read and write every place but the hidden ones: another account of the same rights.
        outsider: An account without any right.
        stranger: Brings no credentials.
        impostor: The member's name with a wrong password.
    """

    name: str
    application: Any
    root: str
    page_size: int
    max_content_length: int
    member: Caller
    colleague: Caller
    outsider: Caller
    stranger: Caller
    impostor: Caller

    def place(self, rights: str = "rw") -> Place:
        """A new, empty collection."""

    def seed(self, place: Place, objects: Sequence[bytes]) -> None:
        """Add objects by one POST, whatever the member may do there."""

    def allow(self, place: Place, *, read: bool | None = None, write: bool | None = None) -> None:
        """Set what the member may do; None leaves it."""

    def later(self, *, seconds: float = 0, hours: float = 0) -> None:
        """Let time pass."""

    def restart(self) -> None:
        """Start the server anew with what it has on its disk."""


def entries(page: TestResponse) -> list[Any]:
    """The objects, records or versions of a page."""
    found: list[Any] = page.json.get("objects", page.json.get("versions", []))
    return found


def ids(found: Sequence[Any]) -> list[str]:
    """The ids of objects or records, in their order."""
    return [one["id"] for one in found]


def named(found: Sequence[Any]) -> list[tuple[str, str]]:
    """(id, version) of objects or records, in their order; "" where an object has no version of its own."""
    return [
        (one["id"], one.get("version") or one.get("modified") or one.get("created") or "") for one in found
    ]


def _query(params: Mapping[str, object]) -> dict[str, str]:
    return {
        (f"match[{name.removeprefix('match_')}]" if name.startswith("match_") else name): str(value)
        for name, value in params.items()
    }
