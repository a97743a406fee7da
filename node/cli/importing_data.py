"""medallion's data file: what its memory backend saves, as collections with objects and dates.

Rule    A collection of theirs goes into ours of the same id, alias or title, or where `--map` says. What
        medallion has noted for itself inside an object (`_date_added`) is taken out; every other byte of
        the object stays as it is in the file.

Reads nothing but the bytes it is given; writes nothing
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from node.cli.printing import amount
from node.clock import parse_stix_time, parse_taxii_time
from node.errors import InvalidObject, UsageError
from node.stix.decoding import decode, readable_header
from node.stix.objects import sort_order
from node.store.catalog import Collection

HIDDEN = "_date_added"

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Line(msgspec.Struct):
    id: str
    date_added: str = ""
    version: str = ""


class _Held(msgspec.Struct):
    id: str
    title: str | None = None
    alias: str | None = None
    objects: list[msgspec.Raw] = []
    manifest: list[_Line] = []


class _Root(msgspec.Struct):
    collections: list[_Held] | None = None


_ROOT = msgspec.json.Decoder(_Root)


class Entry(NamedTuple):
    """An object of the file; `number` counts from 1 over the whole of it, `date` is None if it has none."""

    date: int | None
    order: int
    number: int
    body: msgspec.Raw


@dataclass(frozen=True, slots=True)
class Theirs:
    """A collection of medallion's, with what is in it."""

    root: str
    id: str
    title: str
    alias: str
    entries: tuple[Entry, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What `--map` may call it."""
        own = [name for name in (self.id, self.alias, self.title) if name]
        return (*own, *(f"{self.root}/{name}" for name in own))


def read_data(data: bytes, place: str) -> list[Theirs]:
    """The collections in a data file, by their place in it.

    Raises:
        UsageError: It is no data file of medallion.
    """
    found: list[Theirs] = []
    number = 0
    try:
        for name, raw in _MEMBERS.decode(data).items():
            root = _ROOT.decode(raw) if bytes(memoryview(raw)[:1]) == b"{" else _Root()
            for held in root.collections or ():
                entries = tuple(_entries(held, number))
                number += len(entries)
                found.append(Theirs(name, held.id, held.title or "", held.alias or "", entries))
    except (ValueError, RecursionError) as cause:
        raise _no_data_file(place, f"{cause}"[:200]) from cause
    if not found:
        raise _no_data_file(place, "it has no API root with collections")
    return found


def pair(
    theirs: Sequence[Theirs],
    ours: Sequence[Collection],
    given: Mapping[str, Collection],
    only: Sequence[str],
) -> tuple[list[tuple[Collection, list[Theirs]]], list[Theirs]]:
    """Which of ours takes which of theirs, and what is left out.

    Args:
        theirs: What is in the file.
        ours: All our collections.
        given: What `--map` says.
        only: Aliases of those to be filled; empty for all.

    Raises:
        UsageError: A collection with objects goes nowhere, `given` names none of theirs, or nothing goes
            into one of `only`.
    """
    strange = sorted(set(given) - {name for one in theirs for name in one.names})
    if strange:
        raise UsageError(
            f"The file has no collection {strange[0]!r}.",
            remedy=f"It has: {', '.join(_shown(one) for one in theirs)}.",
        )
    paired: dict[int, list[Theirs]] = {}
    by_number = {one.collection_id: one for one in ours}
    left: list[Theirs] = []
    homeless: list[Theirs] = []
    for one in theirs:
        home = _home(one, ours, given)
        if home is not None and (not only or home.alias in only):
            paired.setdefault(home.collection_id, []).append(one)
        elif home is None and one.entries and not only:
            homeless.append(one)
        else:
            left.append(one)
    if homeless:
        first = homeless[0]
        raise UsageError(
            "No collection here has the id, alias or title of: "
            f"{', '.join(_shown(one) for one in homeless)}.",
            remedy=f"Nothing was stored. Add --map '{first.title or first.id}=ALIAS' for each, or name those"
            " of our collections that alone shall be filled. To make one: stixnode collection add ALIAS"
            " --title TITLE --id ID",
        )
    empty = [alias for alias in only if not any(by_number[number].alias == alias for number in paired)]
    if empty:
        raise UsageError(
            f"Nothing in the file goes into {empty[0]}.",
            remedy=f"Add --map THEIRS={empty[0]}. The file has: {', '.join(_shown(one) for one in theirs)}.",
        )
    return [(by_number[number], parts) for number, parts in sorted(paired.items())], left


def _entries(held: _Held, before: int) -> Iterator[Entry]:
    versions: dict[tuple[str, int | None], int] = {}
    for line in held.manifest:
        date = _date(line.date_added)
        if date is not None:
            versions[line.id, _instant(line.version)] = date
            versions[line.id, None] = max(date, versions.get((line.id, None), date))
    for number, raw in enumerate(held.objects, before + 1):
        header = readable_header(bytes(raw))
        own = header.modified or header.created
        stix_id = header.id or ""
        yield Entry(
            versions.get((stix_id, None if own is None else _instant(own))),
            sort_order(stix_id.partition("--")[0]),
            number,
            raw,
        )


def plain(body: bytes) -> bytes:
    """The object without what medallion notes for itself in objects that have no version."""
    if HIDDEN.encode() not in body:
        return body
    try:
        decode(body, len(body))  # a name that stands twice would be lost below, and its fault with it
        members = _MEMBERS.decode(body)
    except (InvalidObject, ValueError, RecursionError):
        return body  # the door says what is wrong with it
    if members.pop(HIDDEN, None) is None:
        return body
    texts = (msgspec.json.encode(name) + b":" + bytes(raw) for name, raw in members.items())
    return b"{" + b",".join(texts) + b"}"


def _home(one: Theirs, ours: Sequence[Collection], given: Mapping[str, Collection]) -> Collection | None:
    for name in one.names:
        if name in given:
            return given[name]
    title = one.title.casefold()
    for held in ours:
        if held.id == one.id.lower():
            return held
    for held in ours:
        if held.alias in (one.alias, title) or held.title.casefold() == title:
            return held
    return None


def _shown(one: Theirs) -> str:
    return f"{one.title or one.id!r} ({one.id} of {one.root}, {amount(len(one.entries), 'object')})"


def _date(text: str) -> int | None:
    try:
        return parse_taxii_time(text)
    except ValueError:
        return None


def _instant(text: str) -> int | None:
    try:
        return parse_stix_time(text)
    except ValueError:
        return None


def _no_data_file(place: str, why: str) -> UsageError:
    return UsageError(
        f"{place} is no data file of medallion: {why}.",
        remedy="Nothing was stored. Give the file that its memory backend names as filename; for a bundle:"
        " stixnode import COLLECTION FILE",
    )
