"""Pages that were served before, to be served again: within a bound of bytes, for SOC accounts alone.

Rule: a page is remembered under all that it depends on, as it was read in the statement that let the
request in, before the page: the collection and its history, the two generations that move when a row goes,
changes or is no longer what it was among its versions, the place, the filters, and the eyes of the reader.
A full page can then never be another one: what is added stands behind it. Any other page also needs that
nothing was added. A writer between that statement and the page makes a newer page stand under an older key,
which nobody asks for again. While rows wait to be ranked again nothing is taken from here, nor put here:
rows of other collections were made stricter in place, before the generations of these could be moved.

Kept in memory of one process; what partners read is judged anew each time and never comes here.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from node.taxii.compression import SHORTEST, compressed

OVERHEAD = 1_500  # bytes of a key and of what holds a page, about


class Key(NamedTuple):
    """What a page depends on.

    Args:
        printed: Objects or manifest.
        instance, epoch: The history of the database and of the collection.
        collection: Its number.
        rewritten, superseded: Its generations.
        after: The page begins behind this moment, in microseconds; None for the start.
        limit: Entries at most.
        filters: Digest of the `match[]`.
        visibility: Clearance and audience, to which the page's `next` is bound.
        flows: Whose rows the audience shows; None for all.
    """

    printed: str
    instance: str
    epoch: str
    collection: int
    rewritten: int
    superseded: int
    after: int | None
    limit: int
    filters: bytes
    visibility: str
    flows: tuple[int, ...] | None


@dataclass(slots=True)
class Sheet:
    """A page as it goes out.

    Args:
        body: Its bytes.
        dates: The headers that say when its first and last entry were added.
        more: Whether it is full and others follow.
        last: `date_added` of its last entry, in microseconds; 0 when it has none.
        entries: How many it has.
        newest: The collection's last position when it was read.
        packed: The bytes in gzip, once they were asked for; None where packing saves nothing.
    """

    body: bytes
    dates: dict[str, str]
    more: bool
    last: int
    entries: int
    newest: int
    packed: bytes | None = None

    @property
    def size(self) -> int:
        """Bytes of memory, about."""
        return len(self.body) + len(self.packed or b"") + OVERHEAD


class Sheets:
    """The remembered pages of one process; the one that was not asked for longest goes first.

    Args:
        most: Bytes in all; 0 to remember nothing.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._bytes = 0
        self._sheets: OrderedDict[Key, Sheet] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes that are kept now, about."""
        return self._bytes

    def __len__(self) -> int:
        """How many pages are kept."""
        return len(self._sheets)

    def find(self, key: Key, newest: int) -> Sheet | None:
        """The page under a key, if it still stands.

        Args:
            key: As the request found things.
            newest: The collection's last position then.
        """
        with self._lock:
            sheet = self._sheets.get(key)
            if sheet is None or not (sheet.more or sheet.newest == newest):
                return None
            self._sheets.move_to_end(key)
            return sheet

    def keep(self, key: Key, sheet: Sheet) -> None:
        """Remember a page; one that would push out most of the others is not."""
        if sheet.size > self._most // 4:
            return
        with self._lock:
            self._drop(key)
            self._sheets[key] = sheet
            self._bytes += sheet.size
            self._shrink()

    def packed(self, key: Key, sheet: Sheet) -> bytes | None:
        """A page's bytes in gzip, remembered with the page if that is; None if it is too small for it."""
        if sheet.packed is None and len(sheet.body) >= SHORTEST:
            packed = compressed(sheet.body)
            with self._lock:
                if self._sheets.get(key) is sheet and sheet.packed is None:
                    self._bytes += len(packed)
                sheet.packed = packed
                self._shrink()
        return sheet.packed

    def _drop(self, key: Key) -> None:
        sheet = self._sheets.pop(key, None)
        if sheet is not None:
            self._bytes -= sheet.size

    def _shrink(self) -> None:
        while self._bytes > self._most:
            self._drop(next(iter(self._sheets)))
