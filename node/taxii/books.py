"""The books of a flow, told to the other party: what we received from it, and what we gave it.

Beside the TAXII API root, and for accounts of partners of kind stixnode alone; for everybody else there is
nothing at this address. So a partner sees that all arrived: by 256 sums, and the lines of those that differ.

Rule: what closes a link closes its books; the terms are compared first. What is told of a line, and what is
not, is in `exchange/books_told.py`. A request looks at so many rows and no more; `next` goes on.

Reads   the ledger, feeds and bookmarks
Writes  nothing, but that a feed which is behind is advanced first, as by any read of it
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import msgspec
from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from node.clock import taxii_time
from node.exchange import books_told, feeds
from node.exchange.books_told import Line, Place, Word
from node.sharing.links import Link
from node.store.catalog import Collection
from node.sync import bookmarks
from node.taxii import exchange_headers, rights
from node.taxii.exchange_headers import Told
from node.taxii.face import Visit, answer, carry, negotiate, visit
from node.taxii.protocol import RequestRefused
from node.taxii.queries import parameters

blueprint = Blueprint("books", __name__)

ADDRESS = "/exchange/books/"
DIRECTIONS = {"received": "in", "given": "out"}
ROWS_ADDED_UP, ROWS_LISTED = 20_000, 5_000
BUSY_SECONDS = 5

_COUNTED = frozenset({"buckets", "next"})
_BUCKETS = re.compile(r"[0-9a-f]{2}(?:,[0-9a-f]{2}){0,255}", re.ASCII)
_INT64 = 2**63


class SumTold(msgspec.Struct):
    """How many lines a bucket has in this stretch of the walk, and the sum of their digests."""

    count: int
    sum: str


class LineTold(msgspec.Struct, omit_defaults=True):
    """One version: `version` in nanoseconds, 0 for one without an instant; `date_added` in a feed alone."""

    id: str
    spec_version: str
    version: int
    digest: str
    word: str
    date_added: str = ""
    earlier: bool = False


class MarkTold(msgspec.Struct):
    """One version that is not named: only who has it knows the mark."""

    mark: str
    word: str


class BooksTold(msgspec.Struct, omit_defaults=True):
    """One stretch of a walk: sums, or the lines of the buckets that were named."""

    side: str
    next: str = ""
    read_to: str = ""
    buckets: dict[str, SumTold] = {}
    lines: list[LineTold] = []
    marks: list[MarkTold] = []


@blueprint.get(f"{ADDRESS}<name>/<side>/")
def get_books(name: str, side: str) -> Response:
    """What our books say of a flow with the asking partner, from where the walk stands."""
    try:
        with visit() as here:
            link, collection, said = _asked_of(here, name, side)
            negotiate()
            buckets, after = _query(request.environ.get("QUERY_STRING", ""))
            if side == "given":  # at each step: who asks writes the place from which it goes on
                _bring_up_to_date(here, link, collection)
            lines, onward = _lines(here, link, collection, said, after, buckets)
            told = BooksTold(side, next="" if onward is None else _token(onward))
            if side == "received" and link.carrier == "us":
                told.read_to = _read_to(here, link, said)
            if buckets is None:
                sums = books_told.add_up(lines)
                told.buckets = {
                    f"{bucket:02x}": SumTold(one.number, f"{one.total:064x}") for bucket, one in sums.items()
                }
            else:
                _tell(told, lines, link)
            return answer(msgspec.json.encode(told))
    except RequestRefused as refused:
        if refused.status == 401:
            raise NotFound from refused
        raise


def _asked_of(here: Visit, name: str, side: str) -> tuple[Link, Collection, Told]:
    """The link whose book is asked for, once it is clear that it may be told; else there is nothing here."""
    try:
        right = rights.find(here, name)
    except RequestRefused as cause:
        raise NotFound from cause
    links = [one for one in right.links if one.direction == DIRECTIONS.get(side)]
    if not links or links[0].partner_kind != "stixnode":
        raise NotFound
    link = links[0]
    said = exchange_headers.told(request.headers, link)
    exchange_headers.refuse_other_terms(here, said, (link,))
    carry(exchange_headers.shown(right.collection, link))
    rights.refuse_closed(here.tx, link, right.collection, now=here.now)
    return link, right.collection, said


def _query(raw: str) -> tuple[frozenset[int] | None, Place]:
    given = parameters(raw, _COUNTED)
    text = given.get("buckets", "")
    if text and _BUCKETS.fullmatch(text) is None:
        raise _malformed("buckets", "Write buckets such as 00,3f: two digits 0-9 or a-f each.")
    buckets = frozenset(int(each, 16) for each in text.split(",")) if text else None
    token = given.get("next", "")
    return buckets, _place(token) if token else books_told.START


def _bring_up_to_date(here: Visit, link: Link, collection: Collection) -> None:
    """What has become due is judged first, so that nothing is named that may not go any more."""
    if feeds.is_behind(here.tx, link, collection):
        done = feeds.advance(here.face.door, link, now=here.now)
        if not done.complete:
            raise _busy()
    if feeds.are_ranks_stale(here.tx):
        raise _busy()


def _lines(
    here: Visit,
    link: Link,
    collection: Collection,
    said: Told,
    after: Place,
    buckets: frozenset[int] | None,
) -> tuple[list[Line], Place | None]:
    number = collection.collection_id
    limit = ROWS_ADDED_UP if buckets is None else ROWS_LISTED
    if link.direction == "out":
        return books_told.given(here.tx, link.name, after, limit, buckets=buckets)
    return books_told.received(here.tx, link.name, number, after, limit, epoch=said.epoch, buckets=buckets)


def _read_to(here: Visit, link: Link, said: Told) -> str:
    """Up to where we have read its feed, in its own words; "" when we shall list it from the start."""
    bookmark = bookmarks.read(here.tx, link.name)
    if bookmark is None or bookmark.policy_digest != link.policy_digest or bookmark.epoch != said.epoch:
        return ""
    return bookmark.added_after


def _tell(told: BooksTold, lines: list[Line], link: Link) -> None:
    for line in lines:
        key, word = line.key, line.word
        if word is Word.OUT or (word is Word.WAITING and link.carrier == "us"):
            told.marks.append(MarkTold(books_told.mark_of(key), word.value))
            continue
        date = taxii_time(line.at) if link.direction == "out" else ""
        told.lines.append(
            LineTold(
                key.stix_id, key.spec_version, key.version, key.digest.hex(), word.value, date, line.earlier
            )
        )


def _token(place: Place) -> str:
    values = [place.at, place.stix_id, place.spec_version, place.version, place.digest.hex()]
    return base64.urlsafe_b64encode(msgspec.json.encode(values)).decode().rstrip("=")


def _place(token: str) -> Place:
    # It opens nothing: whoever writes one of his own begins somewhere else in his own lines.
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        values = msgspec.json.decode(raw, type=tuple[int, str, str, int, str])
        digest = bytes.fromhex(values[4])
    except (binascii.Error, UnicodeError, ValueError, msgspec.MsgspecError, RecursionError) as cause:
        raise _other_walk() from cause
    numbers_fit = all(-_INT64 <= each < _INT64 for each in (values[0], values[3]))
    if not numbers_fit or "\0" in values[1] + values[2]:
        raise _other_walk()
    return Place(values[0], values[1], values[2], values[3], digest)


def _other_walk() -> RequestRefused:
    return _malformed("next", "Send the next of the answer before, or begin without it.")


def _malformed(name: str, remedy: str) -> RequestRefused:
    return RequestRefused(f"The parameter {name} is malformed.", remedy=remedy, status=400)


def _busy() -> RequestRefused:
    headers: dict[str, Any] = {"Retry-After": str(BUSY_SECONDS)}
    return RequestRefused(
        "What has become due for this link is still being judged.",
        remedy="Send the request again in a few seconds.",
        status=503,
        headers=headers,
    )
