"""What objects refer to, remembered from one decision to the next.

Rule    Only what follows from the bytes alone is remembered, by their digest: what an object refers to. It
        can never grow stale. Everything else that a decision rests on (rank, owner row, terms, clock, who
        brought it, whether an end may go) is asked each time, because each of it may have become stricter.

A row is judged when it enters a feed and when it leaves; reading its bytes is a third of that.

Reads and writes nothing.
"""

from __future__ import annotations

from node.stix import objects
from node.store.objects import HeldBody

MOST_BYTES = 16 * 1024 * 1024
_ENTRY_BYTES, _ID_BYTES = 220, 110


class References:
    """What the objects judged last refer to; made once in each process, used by all its threads.

    Two halves: when the young one is full it becomes the old one, and what was old is forgotten.

    Args:
        most_bytes: About how much memory it takes.
    """

    __slots__ = ("_bytes", "_half", "_old", "_young")

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._half = most_bytes // 2
        self._bytes = 0
        self._young: dict[bytes, tuple[str, ...]] = {}
        self._old: dict[bytes, tuple[str, ...]] = {}

    def of(self, row: HeldBody) -> tuple[str, ...]:
        """As `node.stix.objects.references` of the row's bytes."""
        digest = row.held.digest
        found = self._young.get(digest)
        if found is not None:
            return found
        found = self._old.get(digest)
        if found is None:
            found = objects.references(row.body)
        size = _ENTRY_BYTES + _ID_BYTES * len(found)
        if self._bytes + size > self._half:
            self._old, self._young, self._bytes = self._young, {}, 0
        if size <= self._half:
            self._young[digest] = found
            self._bytes += size
        return found

    def __len__(self) -> int:
        """How many objects are remembered."""
        return len(self._young) + len(self._old)
