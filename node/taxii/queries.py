"""The query string of a TAXII request, read once into values.

Rule: what is malformed is refused with 400, never ignored and never guessed; what the standard does
not define is ignored, as long as it is text. A repeated parameter is refused. `match[]` fields that
an endpoint does not have are ignored there, and can never widen its answer.

Reads nothing, writes nothing.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from node.clock import parse_stix_time, parse_taxii_time
from node.exchange.egress import Versions
from node.taxii.protocol import RequestRefused

LIST = frozenset({"id", "type", "version", "spec_version"})
ONE = frozenset({"version", "spec_version"})
VERSIONS = frozenset({"spec_version"})
LONGEST_QUERY = 65_536
LONGEST_REMEMBERED = 1_024  # half a megabyte in all
MOST_VALUES = {"match[id]": 2_000}
MOST_OTHERS = 100  # each type is a query of its own

_KNOWN = frozenset({"added_after", "limit", "next"})
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_SPEC_VERSION = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}", re.ASCII)
_INT64 = 2**63


@dataclass(frozen=True, slots=True)
class Query:
    """What one request asks for.

    Args:
        limit: Entries on a page, already within our maximum.
        added_after: Microseconds, or None.
        next: The token of the previous page, or None.
        ids: `match[id]`, or None.
        types: `match[type]`, or None.
        versions: `match[version]`, or None when it was not given.
        spec_versions: `match[spec_version]`, or None.
        filters: Digest of all `match[]` that count here, whatever the order of their values.
    """

    limit: int
    added_after: int | None
    next: str | None
    ids: tuple[str, ...] | None
    types: tuple[str, ...] | None
    versions: Versions | None
    spec_versions: tuple[str, ...] | None
    filters: bytes


def read_query(raw: str, *, fields: frozenset[str], page_size: int, most: int) -> Query:
    """What a query string asks for.

    Args:
        raw: The query string as the server gives it: percent-encoded, bytes as Latin-1.
        fields: The `match[]` fields that the endpoint has.
        page_size: The limit when none is asked for.
        most: The largest limit; more is cut to it, because real clients ask for 15,000.

    Raises:
        RequestRefused: 400 for anything malformed, 414 for a query that is too long.

    Source:
        TAXII 2.1 sections 3.4 and 3.4.1.
    """
    given = parameters(raw, _KNOWN | {f"match[{field}]" for field in fields})
    match = {
        field: _values(f"match[{field}]", given[f"match[{field}]"])
        for field in fields
        if f"match[{field}]" in given
    }
    versions = _versions(match["version"]) if "version" in match else None
    spec_versions = match.get("spec_version")
    for value in spec_versions or ():
        if _SPEC_VERSION.fullmatch(value) is None:
            raise _malformed("match[spec_version]", "Write versions such as 2.0,2.1.")
    return Query(
        limit=_limit(given["limit"], most) if "limit" in given else min(page_size, most),
        added_after=_added_after(given["added_after"]) if "added_after" in given else None,
        next=given.get("next") or None,
        ids=match.get("id"),
        types=match.get("type"),
        versions=versions,
        spec_versions=spec_versions,
        filters=_digest(match),
    )


_remembered = lru_cache(maxsize=512)(read_query)


def recall_query(raw: str, *, fields: frozenset[str], page_size: int, most: int) -> Query:
    """The same as `read_query`, from memory if it was read before and is not long."""
    read = _remembered if len(raw) <= LONGEST_REMEMBERED else read_query
    return read(raw, fields=fields, page_size=page_size, most=most)


def parameters(raw: str, counted: frozenset[str]) -> dict[str, str]:
    """The parameters of a query string that count, decoded; others are read and ignored.

    Args:
        raw: The query string as the server gives it.
        counted: Their names.

    Raises:
        RequestRefused: 400 for what is no text, or given twice; 414 for a query that is too long.
    """
    if len(raw) > LONGEST_QUERY:
        raise RequestRefused(
            f"The query has {len(raw)} characters.",
            remedy=f"Ask for fewer ids at a time; {LONGEST_QUERY} characters are read.",
            status=414,
        )
    given: dict[str, str] = {}
    for pair in raw.split("&"):
        if not pair:
            continue
        name, value = map(_decoded, pair.partition("=")[::2])
        if name not in counted:
            continue
        if name in given:
            raise _malformed(name, "Give it once, with its values separated by commas.")
        given[name] = value
    return given


def _decoded(text: str) -> str:
    if _ESCAPE.search(text):
        raise _malformed("query", "Write % as %25; a percent sign needs two hexadecimal digits.")
    try:
        decoded = unquote_to_bytes(text.replace("+", " ").encode("latin-1")).decode()
    except UnicodeError:
        raise _malformed("query", "Encode the query as UTF-8.") from None
    if "\0" in decoded:
        raise _malformed("query", "Take the NUL character out.")
    return decoded


def _values(name: str, text: str) -> tuple[str, ...]:
    values = text.split(",")
    most = MOST_VALUES.get(name, MOST_OTHERS)
    if len(values) > most:
        raise _malformed(name, f"Ask for at most {most} at a time.")
    for value in values:
        if not value or any(sign.isspace() for sign in value):
            raise _malformed(name, "Separate values by a comma alone, and give at least one.")
    return tuple(dict.fromkeys(values)) if name != "match[version]" else tuple(values)


def _limit(text: str, most: int) -> int:
    if _DIGITS.fullmatch(text) is None or not text.strip("0"):
        raise _malformed("limit", "Give a whole number of 1 or more.")
    return most if len(text.lstrip("0")) > 9 else min(int(text), most)


def _added_after(text: str) -> int:
    try:
        return parse_taxii_time(text[:64])
    except ValueError:
        raise _malformed(
            "added_after", "Write a moment in UTC such as 2026-11-21T08:00:00.000000Z."
        ) from None


def _versions(values: tuple[str, ...]) -> Versions:
    remedy = (
        "Write all, or first, last and version times such as 2026-11-21T08:00:00.000Z, each at most once."
    )
    words = [value for value in values if value in ("first", "last", "all")]
    instants: list[int] = []
    for value in values:
        if value in words:
            continue
        try:
            instants.append(parse_stix_time(value[:64]))
        except ValueError:
            raise _malformed("match[version]", remedy) from None
    if (
        len(set(words)) < len(words)
        or len(set(instants)) < len(instants)
        or ("all" in words and len(values) > 1)
    ):
        raise _malformed("match[version]", remedy)
    return Versions(
        first="first" in words,
        last="last" in words,
        every="all" in words,
        # No stored version lies outside 64 bits; the databases could not even be asked.
        instants=tuple(i if -_INT64 < i < _INT64 else -_INT64 for i in instants),
    )


def _digest(match: dict[str, tuple[str, ...]]) -> bytes:
    # No value has a space or a line end in it, so that no two questions have one text.
    text = "\n".join(f"{field} {' '.join(sorted(match[field]))}" for field in sorted(match))
    return hashlib.sha256(text.encode()).digest()


def _malformed(name: str, remedy: str) -> RequestRefused:
    return RequestRefused(f"The parameter {name} is malformed.", remedy=remedy, status=400)
