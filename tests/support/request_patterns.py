"""The requests of clients in the field, re-implemented from what they do: what they send, keep and go on by.

    wire = Wire(node.app, soc)                a client's way to the node; `fault=`: a broken server between
    feed = OpenCti(wire, INDICATORS)          each keeps its state between runs, as the product does
    feed.run()                                the ids that one run took

Each class is one product as read from its source, or, where there is none to read, from what is documented;
its docstring says which. A client that would ask for ever ends with `Endless`.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from flask import Flask
from werkzeug.test import Client, TestResponse

from node.clock import parse_taxii_time
from node.taxii.protocol import MEDIA_TYPE
from tests.support.served import Client as Account

LAST = "X-TAXII-Date-Added-Last"
MOST_REQUESTS = 200
Fault = Callable[[Callable[..., Iterable[bytes]]], Callable[..., Iterable[bytes]]]


class Endless(Exception):
    """A client asked so often that it would do so for ever."""


class Refused(Exception):
    """A client was refused, or gave up at an answer."""


class Wire:
    """How a client reaches the node: its own headers, a count of requests, perhaps a fault between."""

    def __init__(self, app: Flask, account: Account, fault: Fault | None = None) -> None:
        self._client = Client(app.wsgi_app if fault is None else fault(app.wsgi_app), TestResponse)
        self.account = account
        self.requests = 0
        self.queries: list[dict[str, str]] = []

    def get(self, path: str, headers: Mapping[str, str], **params: str | None) -> TestResponse:
        """A GET; parameters that are None are left out, as HTTP libraries do."""
        self.requests += 1
        if self.requests > MOST_REQUESTS:
            raise Endless(path)
        query = {_name(name): value for name, value in params.items() if value is not None}
        self.queries.append(query)
        return self._client.get(path, query_string=query, headers=dict(headers))

    def objects(self, collection: str, headers: Mapping[str, str], **params: str | None) -> TestResponse:
        """A page of objects that was answered with 200."""
        answer = self.get(f"/api/collections/{collection}/objects/", headers, **params)
        if answer.status_code != 200:
            raise Refused(answer.text)
        return answer

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> TestResponse:
        """A POST."""
        return self._client.post(path, data=body, headers=dict(headers))

    def basic(self, scheme: str = "Basic") -> dict[str, str]:
        """The account's credentials, the scheme spelled as the client does."""
        given = b64encode(f"{self.account.name}:{self.account.token}".encode()).decode()
        return {"Authorization": f"{scheme} {given}"}


class OpenCti:
    """OpenCTI's own TAXII ingestion (ingestionManager.ts): one page each run, its cursor in its database."""

    def __init__(self, wire: Wire, collection: str, *, clock: Callable[[], int] | None = None) -> None:
        self.wire, self.collection = wire, collection
        self.cursor: str | None = None
        self.added_after: str | None = None
        self._clock = clock

    def run(self) -> list[str]:
        """The ids of one page; a refusal changes nothing of what it keeps."""
        headers = {"Accept": MEDIA_TYPE, **self.wire.basic()}
        try:
            answer = self.wire.objects(
                self.collection, headers, next=self.cursor, added_after=self.added_after
            )
        except Refused:
            return []
        page = answer.json or {}
        if not page.get("objects"):
            self.cursor = None
            return []
        if page.get("more") and page.get("next"):
            self.cursor = page["next"]
        else:
            self.cursor = None
            self.added_after = self._date(answer.headers.get(LAST))
        return _ids(page)

    def _date(self, header: str | None) -> str:
        """As JavaScript prints a date: milliseconds, the rest cut off; its own clock without a header."""
        if header is None:
            assert self._clock is not None, "no date header, and no clock to fall back to"
        moment = parse_taxii_time(header) if header is not None else self._clock()  # type: ignore[misc]
        when = datetime.fromtimestamp(moment // 1_000_000, UTC)
        return f"{when:%Y-%m-%dT%H:%M:%S}.{moment // 1000 % 1000:03d}Z"


class OpenCtiConnector:
    """The connector `taxii2` of OpenCTI (taxii2.py): no memory but when it ran last."""

    def __init__(self, wire: Wire, collection: str, since: str) -> None:
        self.wire, self.collection, self.since = wire, collection, since

    def run(self) -> list[str]:
        """The ids of one run; `since` is its look-back."""
        headers = {"Accept": MEDIA_TYPE, "User-Agent": "taxii2-client/2.3.0", **self.wire.basic()}
        params: dict[str, str | None] = {"added_after": self.since}
        page = self.wire.objects(self.collection, headers, **params).json
        if not page.get("objects"):
            return []
        found: list[str] = []
        if page["objects"][0]["spec_version"] == "2.0":
            raise Refused("no object of ours says so: STIX 2.0 has no such property")
        while True:
            found += _ids(page)
            if not page.get("more"):
                return found
            params["next"] = page["next"]
            page = self.wire.objects(self.collection, headers, **params).json


class Xsoar:
    """Cortex XSOAR, TAXII 2 Feed (TAXII2ApiModule.py, FeedTAXII2.py), which walks as taxii2-client does."""

    TYPES = ("indicator", "malware", "relationship")

    def __init__(
        self, wire: Wire, title: str, *, incremental: bool = False, first: str | None = None
    ) -> None:
        self.wire, self.title, self.incremental = wire, title, incremental
        self.newest_modified: str | None = first

    def run(self) -> list[str]:
        """The ids of one fetch."""
        headers = {"Accept": MEDIA_TYPE, "User-Agent": "taxii2-client/2.3.0", **self.wire.basic()}
        roots = self.wire.get("/taxii2/", headers).json["api_roots"]
        root = next(each for each in roots if each.split("/")[-2] == "api")
        path = f"{_path(root)}collections/"
        rooms = self.wire.get(path, headers).json.get("collections", [])
        room = next((each["id"] for each in rooms if each["title"] == self.title), None)
        if room is None:
            raise Refused(f"Could not find the provided Collection name {self.title}")
        after = self.newest_modified if self.incremental else None
        found: list[str] = []
        for page in as_pages(self.wire, room, headers, per_request=100, added_after=after, types=self.TYPES):
            if not page.get("objects"):
                break
            found += _ids(page)
            for each in page["objects"]:
                if each.get("modified"):
                    self.newest_modified = max(self.newest_modified or "", each["modified"])
        return found


class Misp:
    """MISP's TAXII servers (TaxiiServer.php): pages of 50 that somebody looks at, `basic` in lower case."""

    def __init__(self, wire: Wire, collection: str) -> None:
        self.wire, self.collection = wire, collection
        self.headers = {"Accept": MEDIA_TYPE, "Content-type": MEDIA_TYPE, **wire.basic("basic")}

    def collections(self) -> list[str]:
        """The titles that its screen lists."""
        found = (self.wire.get("/api/collections/", self.headers).json or {}).get("collections")
        if not found:
            raise Refused("No collections found.")
        return [each["title"] for each in found]

    def run(self) -> list[str]:
        """The ids of all pages, one after the other."""
        found: list[str] = []
        token: str | None = None
        while True:
            page = self.wire.objects(self.collection, self.headers, limit="50", next=token).json
            if not page.get("objects"):
                raise Refused("No objects found in collection with the given query parameters.")
            found += _ids(page)
            token = page.get("next")
            if token is None:
                return found


class Sentinel:
    """Microsoft Sentinel, as documented: API root, collection id, Basic. Its page size is not known.

    Args:
        by_next: It goes on by `next`; else by the date header, as a client may where `next` is absent.
    """

    def __init__(self, wire: Wire, collection: str, *, by_next: bool = True) -> None:
        self.wire, self.collection, self.by_next = wire, collection, by_next
        self.added_after: str | None = None

    def run(self) -> list[str]:
        """The ids of one poll."""
        headers = {"Accept": "application/taxii+json; version=2.1", **self.wire.basic()}
        if self.wire.get("/api/", headers).status_code != 200:
            raise Refused("the API root cannot be reached")
        found: list[str] = []
        token: str | None = None
        while True:
            after = self.added_after
            answer = self.wire.objects(self.collection, headers, limit="5", added_after=after, next=token)
            page = answer.json
            found += _ids(page)
            seen = answer.headers.get(LAST)
            if not page.get("more"):
                self.added_after = seen or self.added_after
                return found
            if self.by_next:
                token = page["next"]
            else:
                self.added_after = seen or self.added_after


class MineMeld:
    """MineMeld's TAXII 2 poller (taxii2.py): begins with TAXII 2.0, sorts by `modified`, keeps the date.

    Args:
        by_modified: As it was before pull request 400: it goes on from the newest STIX `modified`.
    """

    TYPES = ("indicator", "attack-pattern", "relationship")

    def __init__(self, wire: Wire, collection: str, *, by_modified: bool = False) -> None:
        self.wire, self.collection, self.by_modified = wire, collection, by_modified
        self.date_added_last: str | None = None

    def run(self) -> list[str]:
        """The ids of one poll, of the types that it keeps."""
        headers = {"Accept": "application/vnd.oasis.taxii+json; version=2.0", **self.wire.basic()}
        if self.wire.get("/taxii2/", headers).status_code != 406:
            raise Refused("it takes us for a TAXII 2.0 server")
        headers["Accept"] = "application/taxii+json; version=2.1"
        roots = self.wire.get("/taxii2/", headers).json["api_roots"]
        root = next(url for url in roots if url[:-1].endswith("/api"))
        rooms = self.wire.get(f"{_path(root)}collections/", headers).json["collections"]
        room = next(each["id"] for each in rooms if each["id"] == self.collection)
        kept: list[dict[str, Any]] = []
        params: dict[str, str | None] = {"limit": "100", "added_after": self.date_added_last}
        while True:
            answer = self.wire.objects(room, headers, **params)
            page = answer.json
            kept += [each for each in page.get("objects", []) if each["type"] in self.TYPES]
            kept.sort(key=lambda each: datetime.strptime(each["modified"], "%Y-%m-%dT%H:%M:%S.%fZ"))  # noqa: DTZ007
            if kept and self.by_modified:
                params["added_after"] = self.date_added_last = kept[-1]["modified"]
            elif kept:
                self._go_on(page, answer, params)
            if page.get("more") is not True:
                return [each["id"] for each in kept]

    def _go_on(self, page: Mapping[str, Any], answer: TestResponse, params: dict[str, str | None]) -> None:
        after = self.date_added_last
        if "next" in page:
            params["next"] = page["next"]
        elif LAST in answer.headers:
            params.pop("next", None)
            after = answer.headers[LAST]
        elif page.get("objects"):
            raise Refused("Server does not appear to use the date header or next, cannot paginate.")
        params["added_after"] = self.date_added_last = after


class Poller:
    """EclecticIQ and Trellix as documented: a limit of their own, dates since 1970, `next` in a poll."""

    def __init__(self, wire: Wire, collection: str, limit: str) -> None:
        self.wire, self.collection, self.limit = wire, collection, limit
        self.added_after = "1970-01-01T00:00:00.000000Z"

    def run(self) -> list[str]:
        """The ids of one poll."""
        headers = {"Accept": MEDIA_TYPE, **self.wire.basic()}
        found: list[str] = []
        token: str | None = None
        while True:
            answer = self.wire.objects(
                self.collection, headers, limit=self.limit, added_after=self.added_after, next=token
            )
            found += _ids(answer.json)
            token = answer.json.get("next")
            if not answer.json.get("more"):
                self.added_after = answer.headers.get(LAST, self.added_after)
                return found


def as_pages(
    wire: Wire,
    collection: str,
    headers: Mapping[str, str],
    *,
    per_request: int,
    added_after: str | None = None,
    types: Iterable[str] | None = None,
    resource: str = "objects",
) -> Iterable[dict[str, Any]]:
    """The pages as taxii2-client 2.3.0 walks them: `limit` becomes what the first page had."""
    path = f"/api/collections/{collection}/{resource}/"
    params: dict[str, str | None] = {"added_after": added_after, "limit": str(per_request)}
    params["match_type"] = None if types is None else ",".join(types)
    while True:
        answer = wire.get(path, headers, **params)
        if answer.status_code != 200:
            raise Refused(answer.text)
        if answer.headers["Content-Type"].replace(" ", "") != MEDIA_TYPE:
            raise Refused(f"Unexpected Response Content-Type {answer.headers['Content-Type']}")
        page = answer.json
        yield page
        if not page.get("more"):
            return
        params["next"] = page.get("next")
        params["limit"] = str(len(page.get("objects", [])))


def without_dates(inner: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """A server that sends no date headers."""

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        def begin(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            kept = [each for each in headers if not each[0].lower().startswith("x-taxii-date-added")]
            return start(status, kept, *rest)

        return inner(environ, begin)

    return app


def with_null_next(inner: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """A server that says `more` with `next` null."""

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        begun: list[tuple[str, list[tuple[str, str]]]] = []

        def begin(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
            begun.append((status, headers))

        body = b"".join(inner(environ, begin))
        status, headers = begun[-1]
        if status.startswith("200"):
            page = json.loads(body)
            if "next" in page:
                body = json.dumps({**page, "next": None}).encode()
        kept = [each for each in headers if each[0].lower() != "content-length"]
        start(status, [*kept, ("Content-Length", str(len(body)))])
        return [body]

    return app


def inclusive(inner: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """A server that takes `added_after` as "at or after"."""

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        pairs = []
        for pair in environ.get("QUERY_STRING", "").split("&"):
            name, _, value = pair.partition("=")
            if name == "added_after":
                moment = parse_taxii_time(value.replace("%3A", ":")) - 1
                when = datetime.fromtimestamp(moment // 1_000_000, UTC)
                pair = f"added_after={when:%Y-%m-%dT%H:%M:%S}.{moment % 1_000_000:06d}Z"
            pairs.append(pair)
        return inner({**environ, "QUERY_STRING": "&".join(pairs)}, start)

    return app


def _ids(page: Mapping[str, Any]) -> list[str]:
    return [each["id"] for each in page.get("objects", [])]


def _name(parameter: str) -> str:
    return f"match[{parameter.removeprefix('match_')}]" if parameter.startswith("match_") else parameter


def _path(url: str) -> str:
    return "/" + url.split("/", 3)[3] if url.startswith("http") else url
