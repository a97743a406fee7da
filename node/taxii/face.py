"""What every endpoint is given, and what every answer carries.

Rule: a request is authenticated before anything else of it is read, by the one statement that the
access module has for it; the answer to a stranger is the same everywhere. Moments and ids come from
the `Face`, so that a test can hold them.

Reads   the tables of accounts, through `node.access`
Writes  reading positions, through `node.access`, at most once a minute for each
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from flask import Response, current_app, g, request

from node.access.accounts import READING_SECONDS, note_reading
from node.access.tokens import Credentials, Principal
from node.clock import MICROSECONDS
from node.errors import StoreBusy
from node.exchange.door import Door
from node.store.catalog import Collection
from node.store.database import Tx
from node.taxii.protocol import MEDIA_TYPE, RequestRefused, accepts
from node.taxii.queries import Query, read_query
from node.taxii.rates import Rates

EXTENSION = "stixnode"
CHALLENGE = 'Basic realm="stixnode", charset="UTF-8"'


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
        readings: When each (account, collection) was last noted as reading; memory of this process.
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
    readings: dict[tuple[str, int], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Visit:
    """One authenticated request: who asks, when, and a reader of the database."""

    face: Face
    tx: Tx
    principal: Principal
    now: int


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
        principal = ours.credentials.authenticate(tx, request.headers.get("Authorization"), now=now)
        if principal is None:
            ours.rates.failed(request.remote_addr or "", now=now)
            raise RequestRefused(
                "This server asks who you are.",
                remedy="Send the account's name and token with HTTP Basic, or the token as a Bearer token.",
                status=401,
                headers={"WWW-Authenticate": CHALLENGE},
            )
        held = ExitStack()
        held.enter_context(ours.rates.admit(principal.account, now=now))
        g.held = held
        yield Visit(ours, tx, principal, now)


def release(_error: BaseException | None = None) -> None:
    """Count the present request as no longer under way, whatever became of it."""
    held: ExitStack | None = g.pop("held", None)
    if held is not None:
        held.close()


def negotiate() -> None:
    """Refuse a request that takes no answer of ours.

    Raises:
        RequestRefused: 406.

    Source:
        TAXII 2.1 section 3.1.
    """
    header = request.headers.get("Accept")
    if not accepts(header):
        raise RequestRefused(
            "None of the media types asked for is served here.",
            remedy=f"Send Accept: {MEDIA_TYPE}",
            status=406,
        )


def query(fields: frozenset[str]) -> Query:
    """What the query string of the present request asks for; `fields` are the `match[]` that count."""
    ours = face()
    raw = request.environ.get("QUERY_STRING", "")
    return read_query(raw, fields=fields, page_size=ours.page_size, most=ours.most)


def carry(headers: Mapping[str, str]) -> None:
    """Let the answer to the present request have these headers, also if it becomes an error."""
    g.carried = dict(headers)


def answer(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in our media type."""
    response = Response(body, status=status, content_type=MEDIA_TYPE)
    for name, value in (headers or {}).items():
        response.headers[name] = value
    return response


def guard(response: Response, *, secure: bool) -> Response:
    """The answer with the headers that all carry: nothing is kept on the way, nothing is guessed."""
    for name, value in g.get("carried", {}).items():
        response.headers[name] = value
    response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = "Accept, Authorization"
    response.headers["X-Content-Type-Options"] = "nosniff"
    if secure:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    return response


def note(visit: Visit, collection: Collection, served: int) -> None:
    """Remember how far an account has read a collection.

    Args:
        visit: Who read.
        collection: What was read.
        served: `date_added` of the last entry served, in microseconds; 0 for an empty page.
    """
    key = (visit.principal.account, collection.collection_id)
    if visit.now - visit.face.readings.get(key, 0) < READING_SECONDS * MICROSECONDS:
        return
    visit.face.readings[key] = visit.now
    try:
        with visit.face.door.database.writing() as tx:
            note_reading(tx, key[0], key[1], now=visit.now, served=served)
    except StoreBusy:
        # The page matters more than the note of it; the next page brings another chance.
        visit.face.readings.pop(key, None)
