"""Objects by the values that they name: the index is made after the fact, and asked only when it is complete.

Rule    Writing an object costs nothing here: who looks for a value first reads on from each collection's
        mark, and the worker does the same every minute, so that little is left. What the index gives is held
        against the bodies, so a row that moved, went or only shares a hash is never an answer.

Reads   objects; writes through store.values
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from node.errors import InvalidObject, Refused
from node.exchange.door import Door
from node.stix.values import Named, forms, named_values
from node.store import catalog, objects, values
from node.store.database import Tx, spelled
from node.store.objects import Held, HeldBody
from node.store.values import Line

CHUNK = 100
"""Rows that are read at once, with their bodies: each may have a megabyte."""
MOST_LINES, MOST_ROWS = 20_000, 2_000
"""Of so many the lines are written together: an object may name thousands of values."""
AT_ONCE = 5_000
"""Rows that may name a value and are looked at, the newest, where the caller sets no bound."""
SWEPT = 20_000

_IDS_AT = spelled(
    "select distinct o.stix_id from json_each(:places) j cross join object o"
    " on o.collection_id = :c and o.added = j.value",
    # The collection as an array: with a plain parameter one that statistics do not know is read whole.
    "select distinct o.stix_id from unnest(array_fill(cast(:c as int4), array[cardinality("
    'cast(:places as int8[]))]), cast(:places as int8[])) j(c, added) join "object" o'
    " on o.collection_id = j.c and o.added = j.added",
)


class Naming(NamedTuple):
    """A row that names what was looked for, and how."""

    row: Held
    named: tuple[Named, ...]


@dataclass(frozen=True, slots=True)
class Search:
    """What names a value.

    Args:
        rows: Newest first; every version that names it.
        complete: False: there are more rows than were looked at.
    """

    rows: list[Naming]
    complete: bool


def catch_up(door: Door, *, at_most: int | None = None, step: Callable[[int], None] | None = None) -> int:
    """Read on from each collection's mark, in transactions of its own; how many rows were read.

    Args:
        door: The node.
        at_most: Stop after so many rows; None for all.
        step: Told of the rows of each step.

    Raises:
        StoreBusy: Somebody holds the database for long; what was done so far stands.
    """
    done = 0
    with door.database.reading() as tx:
        collections, marks = catalog.collections(tx), values.marks(tx)
    for collection in collections:
        number, mark = collection.collection_id, marks.get(collection.collection_id, -1)
        waiting = _Waiting(door, number)
        while mark < collection.last_added and (at_most is None or done < at_most):
            with door.database.reading() as tx:
                rows = objects.all_after(tx, number, mark, CHUNK)
            for one in rows:
                mark = one.held.added
                waiting.add(_lines(one), mark)
            if len(rows) < CHUNK:
                # What was given before the look at the collection is there; what came later is met next time.
                mark = max(collection.last_added, mark)
                waiting.put(mark)
            done += len(rows)
            if step is not None:
                step(len(rows))
        if waiting.rows:
            waiting.put(mark)
    return done


class _Waiting:
    """Lines of one collection that are not written yet; there are never many."""

    def __init__(self, door: Door, number: int) -> None:
        self._door, self._number = door, number
        self._lines: list[Line] = []
        self.rows = 0

    def add(self, lines: Iterable[Line], mark: int) -> None:
        """The lines of one row more, the one at the mark."""
        self._lines += lines
        self.rows += 1
        if len(self._lines) >= MOST_LINES or self.rows >= MOST_ROWS:
            self.put(mark)

    def put(self, mark: int) -> None:
        """Write them all, as the last ones up to the mark."""
        self._door.database.retrying(lambda tx: values.put(tx, self._number, self._lines, mark=mark))
        self._lines, self.rows = [], 0


def tend(door: Door, *, at_most: int = 100_000) -> None:
    """What the worker does every minute: read on, and take out some lines of rows that went.

    Retention erases what was kept; what the index knows of it goes with a later turn.
    """
    catch_up(door, at_most=at_most)
    with door.database.reading() as tx:
        numbers = [one.collection_id for one in catalog.collections(tx)]
        idle = {number for number in numbers if values.is_swept(tx, number, at_most=SWEPT)}
    for number in numbers:
        if number not in idle:
            door.database.retrying(
                lambda tx, number=number: values.sweep(tx, [number], at_most=SWEPT)  # type: ignore[misc]
            )


def rows_naming(tx: Tx, text: str, *, at_most: int = AT_ONCE) -> Search:
    """The rows that name a value, as far as the index has been made: call `catch_up` first.

    Args:
        tx: A reader.
        text: A value as a person has it, also made harmless (`hxxp`, `[.]`).
        at_most: Rows that are looked at, the newest.
    """
    wanted = forms(text)
    places = values.hits(tx, [values.hash_of(form) for form in wanted], limit=at_most + 1)
    by_collection: dict[int, list[int]] = {}
    for number, added in places[:at_most]:
        by_collection.setdefault(number, []).append(added)
    found: list[Naming] = []
    for number, dates in by_collection.items():
        ids = [row[0] for row in tx.rows(_IDS_AT, places=tx.listed(dates), c=number)]
        for start in range(0, len(ids), CHUNK):
            for row in objects.bodies_by_ids(tx, number, ids[start : start + CHUNK]):
                named = naming(row.body, wanted)
                if named:
                    found.append(Naming(row.held, named))
    found.sort(key=lambda one: one.row.added, reverse=True)
    return Search(found, len(places) <= at_most)


def ids_naming(door: Door, text: str, *, at_most: int = 100_000) -> list[str]:
    """The ids of which a version that stands as the newest in its collection names a value, sorted.

    Args:
        door: The node; the index is made complete first.
        text: As in `rows_naming`.
        at_most: Rows that are looked at.

    Raises:
        Refused: There are more.
    """
    catch_up(door)
    with door.database.reading() as tx:
        search = rows_naming(tx, text, at_most=at_most)
    if not search.complete:
        raise Refused(
            f"More than {at_most:,} rows may name {text!r}.",
            remedy="Nothing was changed. Look for a value that fewer have, or name the ids.",
        )
    return sorted({one.row.stix_id for one in search.rows if one.row.is_last})


def naming(body: bytes, wanted: Iterable[str]) -> tuple[Named, ...]:
    """The values of a body of which a form is among those wanted; none of a body that cannot be read."""
    sought = frozenset(wanted)
    return tuple(one for one in _named(body) if not sought.isdisjoint(forms(one.text)))


def _lines(one: HeldBody) -> list[Line]:
    hashes = {values.hash_of(form) for named in _named(one.body) for form in forms(named.text)}
    return [Line(each, one.held.added) for each in hashes]


def _named(body: bytes) -> list[Named]:
    try:
        return named_values(body)
    except InvalidObject:  # damaged, or set aside because it cannot be read: `check` tells of the first
        return []
