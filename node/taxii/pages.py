"""A page of objects, manifest records or versions, as JSON with its headers.

Rule: bodies are joined as they are, never decoded. `more` stands in every page that has entries, and
`next` with it when it is true: no `next` without more, no more without a way to go on. An empty page
is `{}` without date headers.

Reads nothing, writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from node.clock import taxii_time
from node.exchange.egress import Record
from node.stix import envelope

FIRST = "X-TAXII-Date-Added-First"
LAST = "X-TAXII-Date-Added-Last"


class _Line(msgspec.Struct):
    id: str
    date_added: str
    version: str
    media_type: str


class _Manifest(msgspec.Struct, omit_defaults=True):
    more: bool | None = None
    next: str | None = None
    objects: list[_Line] = msgspec.field(default_factory=list)


class _Versions(msgspec.Struct, omit_defaults=True):
    more: bool | None = None
    next: str | None = None
    versions: list[str] = msgspec.field(default_factory=list)


def objects(records: Sequence[Record], next_token: str | None) -> bytes:
    """The envelope of a page.

    Args:
        records: With their bodies, by date added.
        next_token: Where the next page begins; None when there is none.

    Source:
        TAXII 2.1 section 3.7.
    """
    return bodies([record.body for record in records], next_token)


def bodies(found: Sequence[bytes], next_token: str | None) -> bytes:
    """The same, of the bytes alone."""
    return envelope.join(found, more=_more(found, next_token), next=next_token)


def manifest(records: Sequence[Record], next_token: str | None) -> bytes:
    """The manifest of a page; version texts are the senders' own.

    Source:
        TAXII 2.1 section 5.3.1; `next` is our addition, for clients that need it to go on.
    """
    lines = [
        _Line(
            record.stix_id,
            taxii_time(record.added),
            record.version_text,
            f"application/stix+json;version={record.spec_version}",
        )
        for record in records
    ]
    return msgspec.json.encode(_Manifest(_more(records, next_token), next_token, lines))


def versions(records: Sequence[Record], next_token: str | None) -> bytes:
    """The versions of one object, by date added.

    Source:
        TAXII 2.1 section 5.8.1; `next` as in the manifest.
    """
    texts = [record.version_text for record in records]
    return msgspec.json.encode(_Versions(_more(records, next_token), next_token, texts))


def dates(added: Sequence[int]) -> dict[str, str]:
    """The headers that say when the first and the last entry of the page were added.

    Args:
        added: When each entry was, in microseconds.

    Source:
        TAXII 2.1 section 3.2; an empty page has no dates.
    """
    if not added:
        return {}
    first = taxii_time(added[0])
    return {FIRST: first, LAST: first if len(added) == 1 else taxii_time(added[-1])}


def _more(records: Sequence[object], next_token: str | None) -> bool | None:
    return next_token is not None if records else None
