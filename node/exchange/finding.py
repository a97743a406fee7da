"""All that is known of an object, or of whatever names a value: for `find` at three in the morning.

Rule    Told is what the books and the rows say now; nothing is decided again. Who was given something, who
        has read past it and why somebody did not get it stand beside one another, so that one look is enough.
        Every look-up is by key, so that a million objects make no difference.

Reads   objects, owner rows, tombstones, ledger, feeds, read positions, quarantine, arrivals, statuses
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import sqlalchemy as sa

from node.errors import InvalidObject
from node.exchange import arrivals, ledger, links, readership
from node.exchange.arrivals import Arrival
from node.exchange.door import Door
from node.exchange.ledger import ReceivedLine, WithheldLine
from node.exchange.readership import Given, Readership
from node.exchange.value_index import AT_ONCE, naming, rows_naming
from node.stix.decoding import ID, decode_kept
from node.stix.values import Named, forms, named_values
from node.store import catalog, objects, owners
from node.store.database import Tx, spelled
from node.store.objects import Held, HeldBody
from node.store.owners import Tombstone

MOST_ENTRIES = 10_000
"""Entries of the quarantine in each state whose bodies are searched, the newest."""
SEARCHED = ("waiting", "discarded")
SEARCHED_AT_ONCE = 100
LABEL = 80

Item = TypeVar("Item")


class SetAside(NamedTuple):
    """An entry of the quarantine; `body` is empty once it was erased."""

    entry: str
    link: str
    stix_id: str
    state: str
    reason: str
    detail: str
    at: int
    body: bytes


_ENTRY = re.compile(r"q-[0-9a-f]{10}")
_STATUS_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_COLUMNS = ", ".join("q." + name for name in SetAside._fields)
_ENTRIES_OF = spelled(
    f"select {_COLUMNS} from json_each(:ids) j cross join link l cross join quarantine q"
    " on q.link = l.name and q.stix_id = j.value",
    # Pair by pair: a table that statistics know as empty would be read whole.
    f"select {_COLUMNS} from link l cross join unnest(cast(:ids as text[])) j(id) cross join lateral"
    " (select * from quarantine e where e.link = l.name and e.stix_id = j.id offset 0) q",
)
_NEWEST_ENTRIES = sa.text(
    "select q.entry from quarantine q where q.state = :state order by q.at desc limit :n"
)
_BY_NAMES = spelled(
    f"select {_COLUMNS} from json_each(:entries) j cross join quarantine q on q.entry = j.value",
    f"select {_COLUMNS} from quarantine q where q.entry = any(cast(:entries as text[]))",
)
_BY_NAME = sa.text(f"select {_COLUMNS} from quarantine q where q.entry = :entry")
_STATUS = sa.text("select account, at, body from status where status_id = :id")


class Shown(NamedTuple):
    """One version that lies here, the newest of its collection, with what stands in its body.

    Args:
        collection: Alias.
        names: The values by which it was found; empty where the newest version does not name what was
            looked for, or nothing was.
        others: Further versions of the id in the same collection.
    """

    row: Held
    collection: str
    confidence: int | None
    valid_until: str
    names: tuple[Named, ...]
    others: int
    arrival: Arrival | None


@dataclass(frozen=True, slots=True)
class Known:
    """Everything that is known of one id.

    Args:
        label: Its name, else the first value that it names.
        owner: `local`, a partner, "" for nobody; None where there is no owner row.
        older: Values by which only an older version was found, which still lies here.
    """

    stix_id: str
    label: str
    owner: str | None
    shown: list[Shown]
    older: tuple[Named, ...] = ()
    given: list[Given] = field(default_factory=list)
    withheld: list[WithheldLine] = field(default_factory=list)
    readers: list[Readership] = field(default_factory=list)
    received: list[ReceivedLine] = field(default_factory=list)
    entries: list[SetAside] = field(default_factory=list)
    removed: list[Tombstone] = field(default_factory=list)

    @property
    def is_anything(self) -> bool:
        """Whether any book knows the id."""
        return bool(
            self.shown or self.given or self.withheld or self.received or self.entries or self.removed
        )


class PostStatus(NamedTuple):
    """The status resource of a POST: who posted, when, and the resource as it was answered."""

    account: str
    at: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found.

    Args:
        kind: What was looked for: `id`, `entry` or `value`.
        total: How many objects there are; `known` may be cut.
        complete: False: there are more rows, or entries of the quarantine, than were looked at.
        status: What was looked for is also the id of a TAXII status.
    """

    kind: str
    known: list[Known]
    total: int
    complete: bool
    status: PostStatus | None = None


def find(tx: Tx, door: Door, what: str, *, limit: int) -> Finding:
    """Everything about a value, a name, an object's id or an entry of the quarantine.

    Args:
        tx: A reader, after `value_index.catch_up`.
        door: The node.
        what: As typed; values and names also made harmless.
        limit: Objects that are told of, the newest.
    """
    what = what.strip()
    if ID.fullmatch(what):
        known = describe(tx, door, [what])
        return Finding("id", known, len(known), complete=True)
    if _ENTRY.fullmatch(what) and (named := _entry(tx, what)) is not None:
        known = describe(tx, door, [named.stix_id], entries=[named])
        return Finding("entry", known, len(known), complete=True)
    search = rows_naming(tx, what)
    entries, all_searched = _entries_naming(tx, forms(what))
    ids = list(
        dict.fromkeys([*(one.row.stix_id for one in search.rows), *(entry.stix_id for entry in entries)])
    )
    return Finding(
        "value",
        describe(tx, door, ids[:limit], wanted=forms(what), entries=entries),
        len(ids),
        complete=search.complete and all_searched,
        status=_status(tx, what),
    )


def ids_of(tx: Tx, what: str, *, limit: int) -> list[str]:
    """The ids that a value, a name or an id stands for, the newest first; after `value_index.catch_up`.

    Also ids of which only an older version names it, or that are only set aside.
    """
    if ID.fullmatch(what.strip()):
        return [what.strip()]
    found = dict.fromkeys(
        one.row.stix_id for one in rows_naming(tx, what, at_most=max(AT_ONCE, 4 * limit)).rows
    )
    found |= dict.fromkeys(entry.stix_id for entry in _entries_naming(tx, forms(what))[0])
    return list(found)[:limit]


def describe(
    tx: Tx,
    door: Door,
    ids: Sequence[str],
    *,
    wanted: Iterable[str] = (),
    entries: Sequence[SetAside] = (),
) -> list[Known]:
    """Everything that is known of some ids, in their order; ids that no book knows are left out.

    Args:
        tx: A reader.
        door: The node.
        ids: Object ids, some hundred at most.
        wanted: Normal forms of what was looked for.
        entries: Entries of the quarantine that are shown although no id leads to them.
    """
    if not ids:
        return []
    rooms = catalog.collections(tx)
    aliases = {one.collection_id: one.alias for one in rooms}
    held: dict[str, list[HeldBody]] = {}
    removed: dict[str, list[Tombstone]] = {}
    for number in aliases:
        for one in objects.bodies_by_ids(tx, number, ids):
            held.setdefault(one.held.stix_id, []).append(one)
        for stix_id, stones in owners.tombstones(tx, number, ids).items():
            removed.setdefault(stix_id, []).extend(stones)
    owned, received = owners.owners(tx, ids), ledger.received(tx, ids)
    every = [one.held for rows in held.values() for one in rows]
    given = _by_id(readership.given_to(tx, ids, offered=True), lambda one: one.key.stix_id)
    readers = _by_id(readership.readers_of(tx, door, every), lambda one: one.stix_id)
    lines = [line for name in links.states(tx) for line in ledger.withheld(tx, name, ids)]
    withheld = _by_id(lines, lambda one: one.stix_id)
    set_aside = _by_id(_with(_entries_of(tx, ids), entries), lambda one: one.stix_id)
    brought: dict[int, Arrival | None] = {}
    sought = frozenset(wanted)
    found: list[Known] = []
    for stix_id in ids:
        rows = held.get(stix_id, [])
        shown = [_shown(tx, group, aliases, sought, brought) for group in _by_collection(rows)]
        older = () if any(one.names for one in shown) or not sought else _first_naming(rows, sought)
        found.append(
            Known(
                stix_id,
                _label(rows, set_aside.get(stix_id, [])),
                owned[stix_id].owner if stix_id in owned else None,
                shown,
                older,
                given.get(stix_id, []),
                withheld.get(stix_id, []),
                readers.get(stix_id, []),
                sorted(received.get(stix_id, []), key=lambda line: line.at),
                set_aside.get(stix_id, []),
                removed.get(stix_id, []),
            )
        )
    return [one for one in found if one.is_anything]


def _shown(
    tx: Tx,
    rows: Sequence[HeldBody],
    aliases: dict[int, str],
    wanted: frozenset[str],
    brought: dict[int, Arrival | None],
) -> Shown:
    """The version of a collection that readers get: the last one of the newest STIX version."""
    newest = max(rows, key=lambda one: (one.held.is_last, one.held.is_newest_spec, one.held.added))
    body = _decoded(newest.body)
    confidence, until = body.get("confidence"), body.get("valid_until")
    number = newest.held.arrival_id
    if number not in brought:
        brought[number] = arrivals.find(tx, number)
    return Shown(
        newest.held,
        aliases[newest.held.collection_id],
        confidence if isinstance(confidence, int) else None,
        until if isinstance(until, str) else "",
        naming(newest.body, wanted),
        len(rows) - 1,
        brought[number],
    )


def _first_naming(rows: Sequence[HeldBody], wanted: frozenset[str]) -> tuple[Named, ...]:
    return next((named for one in reversed(rows) if (named := naming(one.body, wanted))), ())


def _by_collection(rows: Sequence[HeldBody]) -> list[list[HeldBody]]:
    return list(_by_id(rows, lambda one: str(one.held.collection_id)).values())


def _label(rows: Sequence[HeldBody], entries: Sequence[SetAside]) -> str:
    bodies = [one.body for one in reversed(rows)] or [one.body for one in entries if one.body]
    for body in bodies:
        try:
            named = named_values(body)
        except InvalidObject:
            continue
        if named:
            return named[0].text[:LABEL]
    return ""


def _decoded(body: bytes) -> dict[str, object]:
    try:
        return decode_kept(body)
    except InvalidObject:  # a damaged page: `check --read-data` tells of it
        return {}


def _entries_naming(tx: Tx, wanted: frozenset[str]) -> tuple[list[SetAside], bool]:
    """Entries whose body names a value, the newest first, and whether all of them were searched."""
    found: list[SetAside] = []
    complete = True
    for state in SEARCHED:
        names = [row[0] for row in tx.rows(_NEWEST_ENTRIES, state=state, n=MOST_ENTRIES + 1)]
        complete &= len(names) <= MOST_ENTRIES
        for start in range(0, min(len(names), MOST_ENTRIES), SEARCHED_AT_ONCE):
            part = names[start : min(start + SEARCHED_AT_ONCE, MOST_ENTRIES)]
            rows = map(SetAside._make, tx.rows(_BY_NAMES, entries=tx.listed(part)))
            found += [one for one in rows if naming(one.body, wanted)]
    return sorted(found, key=lambda one: -one.at), complete


def _by_id(items: Iterable[Item], id_of: Callable[[Item], str]) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = {}
    for item in items:
        found.setdefault(id_of(item), []).append(item)
    return found


def _entry(tx: Tx, name: str) -> SetAside | None:
    rows = tx.rows(_BY_NAME, entry=name)
    return SetAside._make(rows[0]) if rows else None


def _entries_of(tx: Tx, ids: Sequence[str]) -> list[SetAside]:
    found = [SetAside._make(row) for row in tx.rows(_ENTRIES_OF, ids=tx.listed(sorted(set(ids))))]
    return sorted(found, key=lambda one: (one.at, one.entry))


def _with(found: Sequence[SetAside], more: Sequence[SetAside]) -> list[SetAside]:
    return list({one.entry: one for one in (*found, *more)}.values())


def _status(tx: Tx, what: str) -> PostStatus | None:
    if not _STATUS_ID.fullmatch(what.lower()):
        return None
    row = tx.row(_STATUS, id=what.lower())
    return None if row is None else PostStatus(row[0], int(row[1]), bytes(row[2]))
