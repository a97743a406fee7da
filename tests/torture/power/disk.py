"""What a disk keeps when its power fails, as a model.

Rule    What was synced is there. Of every write that was not, each sector of 512 bytes is dropped, kept or
        torn for itself, in any order; a cut (truncate) happened or not; a file's name came or went only for
        certain when its folder was synced. Bytes beside those that were written stay as they are, which is
        what SQLite assumes too (powersafe overwrite).

It is harsher than most disks: a folder is not synced along with its files, and each name fails for itself.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

SECTOR = 512
TORN = 0.2  # of the sectors that were not kept
KEEPING = (0.0, 0.1, 0.5, 0.9, 1.0)  # share of the sectors kept; one of these for each power cut


@dataclass(frozen=True, slots=True)
class Create:
    """A new, empty file of a name; `file` is its number, never given again."""

    name: str
    file: int


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes at an offset of a file."""

    file: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """A file has this size from now on."""

    file: int
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    """Everything in a file so far is safe."""

    file: int


@dataclass(frozen=True, slots=True)
class Delete:
    """A name is gone."""

    name: str


@dataclass(frozen=True, slots=True)
class SyncFolder:
    """Every name so far is safe."""


Call = Create | Write | Cut | Sync | Delete | SyncFolder


@dataclass(slots=True)
class _File:
    safe: bytearray
    pending: list[Write | Cut] = field(default_factory=list)


class Disk:
    """The disk of a node, call by call.

    Args:
        files: What lies there in the beginning, all of it safe; they have the numbers 0, 1, 2 ...
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = {number: _File(bytearray(data)) for number, data in enumerate(files.values())}
        # What each name stood for since its folder was last synced; the first is safe, the last is now.
        self._names: dict[str, list[int | None]] = {name: [number] for number, name in enumerate(files)}

    def carry_out(self, call: Call) -> None:
        """One call, as the program that makes it sees it."""
        match call:
            case Create(name, file):
                self._files[file] = _File(bytearray())
                self._names.setdefault(name, [None]).append(file)
            case Delete(name):
                self._names[name].append(None)
            case SyncFolder():
                self._names = {name: seen[-1:] for name, seen in self._names.items()}
            case Sync(file):
                found = self._files[file]
                for waiting in found.pending:
                    _apply(found.safe, waiting)
                found.pending.clear()
            case Write(file) | Cut(file):
                self._files[file].pending.append(call)

    def after_power_cut(self, chance: random.Random) -> dict[str, bytes]:
        """The files that are found when the power comes back; the disk itself goes on as it was."""
        keeping = chance.choice(KEEPING)
        found: dict[str, bytes] = {}
        for name, seen in sorted(self._names.items()):
            file = chance.choice(seen)
            if file is not None:
                found[name] = _survived(self._files[file], keeping, chance)
        return found


def _survived(file: _File, keeping: float, chance: random.Random) -> bytes:
    content = bytearray(file.safe)
    for waiting in file.pending:
        if isinstance(waiting, Cut):
            if chance.random() < keeping:
                _apply(content, waiting)
            continue
        for start, end in _sectors(waiting):
            piece = waiting.data[start:end]
            if chance.random() >= keeping:
                if chance.random() >= TORN:
                    continue
                piece = piece[: chance.randrange(len(piece))]
            _apply(content, Write(waiting.file, waiting.offset + start, piece))
    return bytes(content)


def _sectors(write: Write) -> list[tuple[int, int]]:
    """Where the sectors that a write touches begin and end in its data."""
    first = SECTOR - write.offset % SECTOR
    ends = [*range(first, len(write.data), SECTOR), len(write.data)]
    return list(zip([0, *ends], ends, strict=False))


def _apply(content: bytearray, call: Write | Cut) -> None:
    until = call.size if isinstance(call, Cut) else call.offset
    if len(content) < until:
        content.extend(bytes(until - len(content)))
    if isinstance(call, Cut):
        del content[until:]
    else:
        content[until : until + len(call.data)] = call.data
