"""Import a file of STIX: read forward once, put in order on disk, admitted in steps.

Rule    Of the whole file markings come first, then identities, objects, relationships, so that an object
        never stands in the node before what it names. What is held in memory is one step, whatever the
        size of the file; the order is made in files of the data folder that have no name.

        A file that breaks off is refused before anything is stored. A run that is cut short has stored
        whole steps, and may be run again: what is there already is a duplicate, which costs nothing.

        `importing_medallion` reads another form of file and admits by the same steps.

Reads   a bundle, an envelope or lines of objects, gzip or not; writes through `exchange.ingress`
"""

from __future__ import annotations

import gzip
import io
import struct
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple, cast

from node.cli.printing import Printer, Step, Value
from node.errors import InvalidObject
from node.exchange import ingress
from node.exchange.door import Door
from node.exchange.ingress import Result, Source
from node.stix.envelope import split_stream
from node.stix.objects import read, sort_order
from node.store import catalog
from node.store.database import Tx

STEP_OBJECTS = 1_000
STEP_BYTES = 8 * 1024 * 1024
CHUNK_BYTES = 256 * 1024
LAST = 4  # after every known type: what cannot be read
SHOWN = 20  # refusals that people are shown; --json has them all
LONGEST_BYTES = 64 * 1024 * 1024  # above this a file is not cut further; below it one object is refused

_GZIP = b"\x1f\x8b"
_HEAD = struct.Struct("<QQ")  # number in the file, length


class Refusal(NamedTuple):
    """An object that was not taken; `number` counts from 1 in the order of the file."""

    number: int
    stix_id: str
    version: str
    reason: str
    message: str


@dataclass(slots=True)
class Imported:
    """What became of a file; the counts sum to what was read.

    Args:
        arrival_id: The number by which the import is known; 0 for a file without objects.
    """

    read: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    arrival_id: int = 0
    refusals: list[Refusal] = field(default_factory=list)


class Spool:
    """Objects of a file, by the order of work in which they must be admitted.

    Args:
        folder: Where the nameless files are made.
    """

    def __init__(self, folder: Path) -> None:
        self._open = ExitStack()
        self._files: dict[int, IO[bytes]] = {}
        self._folder = folder
        self.number = 0

    def __enter__(self) -> Spool:
        """The spool itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let the files go; the system removes them."""
        self._open.close()

    def put(self, body: bytes) -> None:
        """Add the next object of the file."""
        self.number += 1
        file = self._file(_class(body))
        file.write(_HEAD.pack(self.number, len(body)))
        file.write(body)

    def steps(self) -> Iterator[list[tuple[int, bytes]]]:
        """(number, body) in the order of work, in steps that fit into memory."""
        step: list[tuple[int, bytes]] = []
        size = 0
        for number, body in self._in_order():
            if step and (len(step) == STEP_OBJECTS or size + len(body) > STEP_BYTES):
                yield step
                step, size = [], 0
            step.append((number, body))
            size += len(body)
        if step:
            yield step

    def _in_order(self) -> Iterator[tuple[int, bytes]]:
        for order in sorted(self._files):
            file = self._files[order]
            file.seek(0)
            while head := file.read(_HEAD.size):
                number, length = _HEAD.unpack(head)
                yield number, file.read(length)

    def _file(self, order: int) -> IO[bytes]:
        if order not in self._files:
            made = tempfile.TemporaryFile(dir=self._folder, buffering=CHUNK_BYTES)  # noqa: SIM115 - closed together
            self._files[order] = self._open.enter_context(made)
        return self._files[order]


def import_stream(
    door: Door,
    collection_id: int,
    stream: BinaryIO,
    source: Source,
    *,
    folder: Path,
    now: Callable[[], int],
    reading: Step,
    storing: Callable[[int], Step],
) -> Imported:
    """What became of the objects of a file.

    Args:
        door: What the door judges by.
        collection_id: Where they go.
        stream: The file, read forward once.
        source: Who brings them; its kind is `import`.
        folder: Where the order is made on disk.
        now: Microseconds; each step takes its own moment.
        reading: Told of the bytes read.
        storing: Given the number of objects, gives what is told of those stored.

    Raises:
        InvalidObject: The file is not STIX in one of the three forms, or breaks off; nothing is stored.
    """
    found = Imported()
    with Spool(folder) as spool:
        for body in split_stream(chunks(stream, reading), max_object_bytes=LONGEST_BYTES):
            spool.put(body)
        found.read = spool.number
        stored = storing(spool.number)
        for step in spool.steps():
            admit_step(door, collection_id, step, source, found, now=now)
            ingress.afterwards(door, now=now())
            stored(len(step))
    found.refusals.sort()
    return found


def admit_step(
    door: Door,
    collection_id: int,
    step: Sequence[tuple[int, bytes]],
    source: Source,
    found: Imported,
    *,
    now: Callable[[], int],
    dates: Sequence[int] | None = None,
) -> None:
    """Let one step of a file in, in one transaction, and add to `found` what became of it.

    Args:
        door: What the door judges by; the caller calls `ingress.afterwards`.
        collection_id: Where the objects go.
        step: (number in the file, body).
        source: Who brings them.
        found: Of the whole file.
        now: Microseconds.
        dates: The `date_added` that each had elsewhere; None for new ones.
    """

    def work(tx: Tx) -> ingress.AdmitReport:
        collection = catalog.lock(tx, collection_id)
        return ingress.admit(
            tx,
            door,
            collection,
            [body for _, body in step],
            source,
            arrival_id=found.arrival_id or None,
            now=now(),
            dates=dates,
        )

    with door.database.reading() as tx:
        into = next(one for one in catalog.collections(tx) if one.collection_id == collection_id)
    ingress.look_ahead(into, [body for _, body in step])
    report = door.database.retrying(work)
    found.arrival_id = report.arrival_id
    found.counts.update(report.counts)
    found.refusals.extend(
        _refusal(step[result.index][0], result) for result in report.results if result.failed
    )


def print_refusals(out: Printer, refusals: Sequence[Refusal], **more: Value) -> None:
    """Tell what was not taken and why; `more` stands in each line of JSON."""
    if refusals:
        cut = f", the first {SHOWN} of {len(refusals):,}" if len(refusals) > SHOWN else ""
        out.line(f"refused{cut}:")
    for one in refusals[:SHOWN]:
        out.line(f"  {one.stix_id}{f' of {one.version}' if one.version else ''}: {one.reason}")
        out.line(f"    {one.message}")
    for one in refusals:
        fields: dict[str, Value] = {"number": one.number, "id": one.stix_id, "version": one.version}
        out.record("refused", **fields, reason=one.reason, message=one.message, **more)


def _refusal(number: int, result: Result) -> Refusal:
    # What cannot be read has no name but its place in the file.
    known = not result.stix_id.startswith("unknown--index-")
    name = result.stix_id if known else f"object {number} of the file"
    return Refusal(number, name, result.version, result.reason, result.message)


def _class(body: bytes) -> int:
    try:
        return sort_order(read(body, max_object_bytes=len(body)).type)
    except InvalidObject:
        return LAST


def chunks(stream: BinaryIO, reading: Step) -> Iterator[bytes]:
    """The pieces of a file, unpacked if it is gzip.

    Raises:
        InvalidObject: The gzip file is damaged or breaks off.
    """
    counted = io.BufferedReader(_Counted(stream, reading), CHUNK_BYTES)
    packed = counted.peek(len(_GZIP))[: len(_GZIP)] == _GZIP
    plain = cast("BinaryIO", gzip.GzipFile(fileobj=counted)) if packed else counted
    try:
        while chunk := plain.read(CHUNK_BYTES):
            yield chunk
    except (gzip.BadGzipFile, EOFError, zlib.error) as cause:
        raise InvalidObject(
            f"The gzip file is damaged or breaks off: {cause}.",
            remedy="Nothing was stored. Fetch the file again, or unpack it and look.",
        ) from cause


class _Counted(io.RawIOBase):
    """A stream that tells how far it was read."""

    def __init__(self, stream: BinaryIO, reading: Step) -> None:
        self._stream = stream
        self._reading = reading

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self._reading(len(data))
        return len(data)
