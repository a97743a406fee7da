"""What a partner's resources say: pages, manifests, statuses, collections; read tolerantly.

Rule    Other software leaves out what the standard requires and writes `null` where it means nothing,
        so every property is optional here and a wrong type counts as absent. What cannot be read at all
        is no answer (`PartnerUnreachable`): a maintenance page comes with status 200, too. Bodies of
        objects stay bytes.

Reads and writes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from node.errors import InvalidObject, PartnerRefused, PartnerUnreachable
from node.stix import envelope
from node.stix.objects import version_instant
from node.sync.connection import Answer
from node.sync.refusals import printable

LONGEST_NEXT = 4096
MOST_ENTRIES = 50_000
MOST_VALUES = 500_000
MOST_BESIDE = 1024 * 1024
_TYPES = ("application/taxii+json", "application/vnd.oasis.taxii+json")


@dataclass(frozen=True, slots=True)
class FetchedPage:
    """One page of objects, as the partner sent it.

    Args:
        size, digest: Of the whole answer, which is let go: the bodies are as much memory again.
        bodies: The exact bytes of each entry.
        more: Whether the partner says that there is more.
        next: Its position, or None.
        first, last: `X-TAXII-Date-Added-First` and `-Last`, in its own words; None without them.
        epoch, terms: `X-Exchange-Epoch` and `-Terms`; "" without them.
    """

    size: int
    digest: bytes
    bodies: list[bytes]
    more: bool
    next: str | None
    first: str | None
    last: str | None
    epoch: str
    terms: str


class ManifestRecord(NamedTuple):
    """One version that the partner says it has; `version` in nanoseconds, None if unreadable."""

    stix_id: str
    version: int | None
    date_added: str


@dataclass(frozen=True, slots=True)
class ManifestPage:
    """One page of a manifest."""

    records: list[ManifestRecord]
    more: bool
    next: str | None


@dataclass(frozen=True, slots=True)
class CollectionFlags:
    """What the partner says of a collection and of our rights in it."""

    id: str
    title: str
    can_read: bool
    can_write: bool
    epoch: str
    terms: str


class Word(NamedTuple):
    """What a status says of one object; `version` in nanoseconds, None if unreadable."""

    stix_id: str
    version: int | None
    message: str


@dataclass(frozen=True, slots=True)
class Status:
    """A status resource, as far as it says anything.

    Args:
        id: "" where the partner gives none.
        complete: Whether nothing is pending.
        failure_count: As counted by the partner, which may not list what it counts.
    """

    id: str
    complete: bool
    successes: list[Word] = field(default_factory=list)
    failures: list[Word] = field(default_factory=list)
    pendings: list[Word] = field(default_factory=list)
    failure_count: int = 0
    epoch: str = ""
    terms: str = ""


class _Head(msgspec.Struct):
    # Raw: a list of twenty million lists, as values, takes a gigabyte.
    more: msgspec.Raw = msgspec.Raw(b"null")
    next: msgspec.Raw = msgspec.Raw(b"null")
    objects: msgspec.Raw = msgspec.Raw(b"")


def read_page(partner: str, answer: Answer) -> FetchedPage:
    """The page in an answer.

    Raises:
        PartnerUnreachable: It is not an envelope.
        PartnerRefused: Its `next`, the number of its entries, or what stands beside them is beyond all
            measure.
    """
    check_type(partner, answer)
    next, more, bodies = _cut(partner, answer)
    if len(bodies) > MOST_ENTRIES:
        raise PartnerRefused(
            f"{partner} sent a page with more than {MOST_ENTRIES:,} entries; it was not read.",
            remedy=f"Ask {partner} to obey `limit`.",
        )
    headers = answer.headers
    return FetchedPage(
        size=len(answer.body),
        digest=hashlib.sha256(answer.body).digest(),
        bodies=bodies,
        more=more,
        next=next,
        first=_date(headers.get("X-TAXII-Date-Added-First")),
        last=_date(headers.get("X-TAXII-Date-Added-Last")),
        epoch=headers.get("X-Exchange-Epoch", ""),
        terms=headers.get("X-Exchange-Terms", ""),
    )


def _cut(partner: str, answer: Answer) -> tuple[str | None, bool, list[bytes]]:
    """Position, `more` and entries of an envelope; what is wrong inside an entry is judged at the door."""
    body = answer.body
    try:
        try:
            head = msgspec.json.decode(body, type=_Head)
            next = _next(partner, _position(partner, head.next))
            _check_beside(partner, len(body) - len(memoryview(head.objects)))
            return next, bytes(head.more).strip() == b"true", envelope.split(body, most=MOST_ENTRIES)
        except (msgspec.MsgspecError, InvalidObject, UnicodeDecodeError, RecursionError):
            # One entry that is no JSON, such as NaN, must not keep back all that comes after it.
            members, bodies = envelope.salvage(body, most=MOST_ENTRIES)
            next = _next(partner, _position(partner, members.get("next", b"null")))
            return next, members.get("more") == b"true", bodies
    except (msgspec.MsgspecError, InvalidObject, UnicodeDecodeError, RecursionError) as cause:
        raise _nonsense(partner, answer, "a page that is not a TAXII envelope") from cause


def read_manifest(partner: str, resource: Mapping[str, Any]) -> ManifestPage:
    """The manifest in a decoded resource."""
    entries = resource.get("objects")
    records = [
        ManifestRecord(str(one.get("id", "")), _instant(one.get("version")), str(one.get("date_added", "")))
        for one in (entries if isinstance(entries, list) else [])
        if isinstance(one, dict)
    ]
    return ManifestPage(records, resource.get("more") is True, _next(partner, resource.get("next")))


def read_collection(resource: Mapping[str, Any], headers: Mapping[str, str]) -> CollectionFlags:
    """The collection in a decoded resource."""
    return CollectionFlags(
        id=str(resource.get("id", "")),
        title=printable(str(resource.get("title", "")), 120),
        can_read=resource.get("can_read") is True,
        can_write=resource.get("can_write") is True,
        epoch=headers.get("X-Exchange-Epoch", ""),
        terms=headers.get("X-Exchange-Terms", ""),
    )


def read_status(resource: Mapping[str, Any], headers: Mapping[str, str]) -> Status:
    """The status in a decoded resource; counts that do not add up are simply not believed."""
    failures = resource.get("failure_count")
    pendings = _said(resource.get("pendings"))
    return Status(
        id=str(resource.get("id") or ""),
        complete=resource.get("status") == "complete" and not pendings,
        successes=_said(resource.get("successes")),
        failures=_said(resource.get("failures")),
        pendings=pendings,
        failure_count=failures if isinstance(failures, int) else 0,
        epoch=headers.get("X-Exchange-Epoch", ""),
        terms=headers.get("X-Exchange-Terms", ""),
    )


def read_resource(partner: str, answer: Answer) -> dict[str, Any]:
    """The JSON object in an answer.

    Raises:
        PartnerUnreachable: It is something else.
        PartnerRefused: It has more values than any resource.
    """
    check_type(partner, answer)
    if sum(map(answer.body.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise PartnerRefused(
            f"{partner} sent a resource of more than {MOST_VALUES:,} values; it was not read.",
            remedy=f"Ask {partner} what its server answers there, and to obey `limit`.",
        )
    try:
        value = msgspec.json.decode(answer.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as cause:
        raise _nonsense(partner, answer, "something that is not JSON") from cause
    if not isinstance(value, dict):
        raise _nonsense(partner, answer, "JSON that is not an object")
    return value


def check_type(partner: str, answer: Answer) -> None:
    """Refuse an answer that does not say it is TAXII; case, spacing, quotes and version do not matter.

    Raises:
        PartnerUnreachable: It says that it is something else, or nothing.
    """
    written = answer.headers.get("Content-Type", "")
    if written.split(";")[0].strip().lower() not in _TYPES:
        raise _nonsense(partner, answer, f"the type {printable(written, 60)!r}, not application/taxii+json")


def _nonsense(partner: str, answer: Answer, what: str) -> PartnerUnreachable:
    return PartnerUnreachable(
        f"{partner} answered with status {answer.status} and {what}; nothing was stored.",
        remedy="It is tried again by itself; if it lasts, check that api_root is its TAXII 2.1 API root.",
    )


def _position(partner: str, raw: msgspec.Raw | bytes) -> object:
    text = bytes(raw)
    if len(text) > 6 * LONGEST_NEXT + 2:  # so long at most with every character escaped
        raise _too_long(partner, len(text))
    return msgspec.json.decode(text)


def _check_beside(partner: str, size: int) -> None:
    if size > MOST_BESIDE:
        raise PartnerRefused(
            f"{partner} sent a page with {size:,} bytes beside its objects; it was not read.",
            remedy=f"Ask {partner} what its server puts there.",
        )


def _next(partner: str, value: object) -> str | None:
    if value is None or value == "" or isinstance(value, (bool, dict, list)):
        return None
    text = str(value)
    if len(text) > LONGEST_NEXT:
        raise _too_long(partner, len(text))
    return text


def _too_long(partner: str, length: int) -> PartnerRefused:
    return PartnerRefused(
        f"{partner} sent a `next` of {length} characters; it was not used.",
        remedy=f"Ask {partner} to repair its server; what came before is stored.",
    )


def _date(text: str | None) -> str | None:
    text = (text or "").strip()
    return text if text and len(text) <= 64 and text.isprintable() else None


def _said(entries: object) -> list[Word]:
    words: list[Word] = []
    for one in entries if isinstance(entries, list) else []:
        if isinstance(one, str):
            words.append(Word(one, None, ""))
        elif isinstance(one, dict):
            message = printable(str(one.get("message") or ""), 300)
            words.append(Word(str(one.get("id", "")), _instant(one.get("version")), message))
    return words


def _instant(text: object) -> int | None:
    try:
        return version_instant(str(text))
    except ValueError:
        return None
