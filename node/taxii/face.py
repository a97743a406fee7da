"""What every endpoint is given, and what every answer carries.

Rule: a request is authenticated before anything else of it is read, by the one statement that the
access module has for it; the answer to a stranger is the same everywhere. Moments and ids come from
the `Face`, so that a test can hold them.

Reads   the tables of accounts, through `node.access`
Writes  reading positions, through `node.access`, at most once a minute for each
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from flask import Response, current_app, request
from werkzeug.datastructures import Headers

from node.access import gate
from node.access.accounts import READING_SECONDS, note_reading
from node.access.gate import Gate
from node.access.tokens import Credentials, Principal
from node.clock import MICROSECONDS
from node.errors import StoreError
from node.exchange import egress
from node.exchange.door import Door
from node.exchange.egress import Reader, Sight
from node.metrics import present
from node.store.catalog import Collection
from node.store.database import Tx
from node.taxii.cache import Sheets
from node.taxii.protocol import MEDIA_TYPE, RequestRefused, accepts
from node.taxii.queries import Query, recall_query
from node.taxii.rates import Rates

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

EXTENSION = "stixnode"
CHALLENGE = 'Basic realm="stixnode", charset="UTF-8"'
MOST_SIGHTS = 1_000
_HELD, _CARRIED = "stixnode.held", "stixnode.carried"
_NOTHING: Mapping[str, str] = {}

# Nothing is kept on the way, nothing is guessed; what is asked in another coding is another answer.
ON_ALL = (
    ("Cache-Control", "no-store"),
    ("Vary", "Accept, Accept-Encoding, Authorization"),
    ("X-Content-Type-Options", "nosniff"),
)
_takes_ours = lru_cache(maxsize=256)(accepts)


@dataclass(frozen=True, slots=True)
class Face:
    """The node as its TAXII face sees it; made once in each process.

    Args:
        door: The one way to objects.
        now: The clock, in microseconds.
        title: Of the discovery resource and the API root.
        public_url: How others reach us, without a last slash; "" when only this machine does.
        max_content_length: Longest body of a POST, in bytes.
        page_size: Entries of a page when the client names no limit.
        most: The largest page.
        secure: Answers travel over TLS.
        rates: How much one account may ask.
        credentials: Those found good, in memory of this process.
        readings: When each (account, collection) was last noted as reading, and whether it had come to
            the end then; memory of this process.
        sheets: Pages that were served before; memory of this process.
        sights: What each kind of reader may see; memory of this process.
    """

    door: Door
    now: Callable[[], int]
    title: str
    public_url: str = ""
    max_content_length: int = 100 * 1024 * 1024
    page_size: int = 1000
    most: int = 1000
    secure: bool = False
    rates: Rates = field(default_factory=Rates)
    credentials: Credentials = field(default_factory=Credentials)
    readings: dict[tuple[str, int], tuple[int, bool]] = field(default_factory=dict)
    sheets: Sheets = field(default_factory=lambda: Sheets(0))
    sights: dict[tuple[str, int, int, tuple[str, ...]], Sight] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Visit:
    """One authenticated request.

    Args:
        face: What it came to.
        tx: A reader of the database.
        principal: Who asks.
        now: When it came, in microseconds.
        name: The collection that its address names, by id or alias; None when it names none.
        gate: What stood in the database when it came.
        environ: The request as WSGI has it; empty where it did not come that way.
    """

    face: Face
    tx: Tx
    principal: Principal
    now: int
    name: str | None
    gate: Gate
    environ: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reader(self) -> Reader:
        """The account as one who reads a collection."""
        return Reader(self.principal.clearance, self.principal.audience)


def face() -> Face:
    """The face of the running application."""
    found: Face = current_app.extensions[EXTENSION]
    return found


@contextmanager
def visit() -> Iterator[Visit]:
    """The present request, authenticated.

    Raises:
        RequestRefused: 401: no credentials, or none that hold; 429: too many requests.

    Source:
        TAXII 2.1 section 1.6.9; RFC 7617.
    """
    ours = face()
    now = ours.now()
    with ours.door.database.reading() as tx:
        asked = request
        environ, name = asked.environ, (asked.view_args or {}).get("name")
        entry = gate.enter(tx, ours.credentials, environ.get("HTTP_AUTHORIZATION"), name, now=now)
        if entry is None:
            ours.rates.failed(asked.remote_addr or "", now=now)
            raise RequestRefused(
                "This server asks who you are: no account with this token was named, or it has ended.",
                remedy="Send the account's name and token with HTTP Basic, or the token as a Bearer token.",
                status=401,
                headers={"WWW-Authenticate": CHALLENGE},
            )
        account = present.account = entry.principal.account
        ours.rates.begin(account, now=now)
        environ[_HELD] = (ours.rates, account)
        yield Visit(ours, tx, entry.principal, now, name, entry.gate, environ)


def release(_error: BaseException | None = None) -> None:
    """Count the present request as no longer under way, whatever became of it."""
    held: tuple[Rates, str] | None = request.environ.pop(_HELD, None)
    if held is not None:
        rates, account = held
        rates.end(account)


def sight(visit: Visit) -> Sight:
    """What the SOC account of this request may see, mostly from memory."""
    who, known = visit.principal, visit.face.sights
    key = (visit.gate.instance, visit.gate.flows, who.clearance, who.audience)
    found = known.get(key)
    if found is None:
        if len(known) >= MOST_SIGHTS:
            known.clear()
        found = known[key] = egress.sight(visit.tx, visit.reader)
    return found


def negotiate() -> None:
    """Refuse a request that takes no answer of ours.

    Raises:
        RequestRefused: 406.

    Source:
        TAXII 2.1 section 3.1.
    """
    if not _takes_ours(request.environ.get("HTTP_ACCEPT")):
        raise RequestRefused(
            "None of the media types asked for is served here.",
            remedy=f"Send Accept: {MEDIA_TYPE}",
            status=406,
        )


def query(fields: frozenset[str]) -> Query:
    """What the query string of the present request asks for; `fields` are the `match[]` that count."""
    ours = face()
    raw = request.environ.get("QUERY_STRING", "")
    return recall_query(raw, fields=fields, page_size=ours.page_size, most=ours.most)


def carry(headers: Mapping[str, str]) -> None:
    """Let the answer to the present request have these headers, also if it becomes an error."""
    request.environ[_CARRIED] = dict(headers)


class _Headers(Headers):
    """Headers that we wrote ourselves, and that need not be looked through for line ends one by one."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._list = pairs


class Answer(Response):
    """An answer of one piece that has all its headers already, so that the server is given it as it is."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """WSGI."""
        if environ["REQUEST_METHOD"] == "HEAD" or not isinstance(self.response, list):
            return super().__call__(environ, start_response)
        start_response(self.status, self.headers.to_wsgi_list())
        return self.response


def answer(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in our media type."""
    listed = [("Content-Type", MEDIA_TYPE), ("Content-Length", str(len(body))), *ON_ALL]
    if headers:
        listed += headers.items()
    return Answer([body], status=status, headers=_Headers(listed))


def guard(response: Response, *, secure: bool) -> Response:
    """The answer with the headers that all carry: nothing is kept on the way, nothing is guessed."""
    for name, value in request.environ.get(_CARRIED, _NOTHING).items():
        response.headers[name] = value
    if not isinstance(response, Answer):
        for name, value in ON_ALL:
            response.headers[name] = value
    if secure:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    return response


def note(visit: Visit, collection: Collection, served: int, *, end: bool = False) -> None:
    """Remember how far an account has read a collection: once a minute, and where a walk comes to its end.

    Args:
        visit: Who read.
        collection: What was read.
        served: The date up to which it was served, in microseconds; 0 if nothing can be said of that.
        end: No page follows.
    """
    key = (visit.principal.account, collection.collection_id)
    noted, ended = visit.face.readings.get(key, (0, True))
    if visit.now - noted < READING_SECONDS * MICROSECONDS and (ended or not end):
        return
    visit.face.readings[key] = (visit.now, end)
    try:
        with visit.face.door.database.writing() as tx:
            note_reading(tx, key[0], key[1], now=visit.now, served=served)
    except StoreError:
        # The page matters more than the note of it, also on a full disk; the next minute is another chance,
        # and no page of this one waits for the same lock again.
        return
