"""node/cli/importing.py: the order over a whole file, and memory that does not grow with it."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from typing import BinaryIO, cast

from node.cli.importing import STEP_BYTES, STEP_OBJECTS, Spool, import_stream
from node.exchange.ingress import Source
from node.store import catalog
from tests.cli.desk import Desk, moment, old_indicator
from tests.support.builders import a_marking_definition, a_relationship, an_id, an_identity

MEGABYTE = 1024 * 1024


class Lines(io.RawIOBase):
    """A stream of many lines that never stands in memory as a whole."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines, self._rest = lines, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:
        while len(self._rest) < len(buffer) and (line := next(self._lines, b"")):
            self._rest += line
        taken = self._rest[: len(buffer)]
        self._rest = self._rest[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


def imported(desk: Desk, stream: BinaryIO):
    with desk.open() as opened:
        with opened.database.reading() as tx:
            collection = catalog.find_collection(tx, "indicators")
        assert collection is not None
        return import_stream(
            opened.door,
            collection.collection_id,
            stream,
            Source("import", "os:test"),
            folder=desk.folder,
            now=moment,
            reading=lambda _units: None,
            storing=lambda _number: lambda _units: None,
        )


def test_markings_come_first_then_identities_objects_relationships_and_what_cannot_be_read(tmp_path):
    bodies = [
        b"{}",
        a_relationship(an_id("indicator"), an_id("malware")),
        old_indicator(),
        an_identity(),
        a_marking_definition(),
    ]
    with Spool(tmp_path) as spool:
        for body in bodies:
            spool.put(body)
        (step,) = spool.steps()

    assert [number for number, _ in step] == [5, 4, 3, 2, 1]
    assert [body for _, body in step] == bodies[::-1]


def test_a_step_is_bounded_in_objects_and_in_bytes(tmp_path):
    with Spool(tmp_path) as spool:
        for _ in range(STEP_OBJECTS + 1):
            spool.put(b"{}")
        counts = [len(step) for step in spool.steps()]
    with Spool(tmp_path) as spool:
        for _ in range(3):
            spool.put(b" " * (STEP_BYTES // 2))
        sizes = [len(step) for step in spool.steps()]

    assert counts == [STEP_OBJECTS, 1]
    assert sizes == [2, 1]
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_file(desk: Desk):
    # Refused by the schema, so that what is measured is the import and not the database.
    body = old_indicator(1, description="x" * 20_000, pattern=7) + b"\n"
    small = _peak(desk, 1_200, body)
    large = _peak(desk, 2_400, body)

    assert 2_400 * len(body) > 45 * MEGABYTE
    assert large < small + 4 * MEGABYTE


def test_the_counts_sum_to_what_was_read(desk: Desk):
    lines = [old_indicator(1), old_indicator(1), old_indicator(2), b'{"type":"x"}']

    found = imported(desk, io.BytesIO(b"\n".join(lines)))

    assert found.read == sum(found.counts.values()) == 4
    assert found.counts == {"stored": 2, "duplicate": 1, "refused": 1}
    assert [one.number for one in found.refusals] == [4]


def test_a_file_without_objects_is_no_arrival(desk: Desk):
    found = imported(desk, io.BytesIO(b'{"objects":[]}'))

    assert (found.read, found.arrival_id, found.counts) == (0, 0, {})


def _peak(desk: Desk, number: int, body: bytes) -> int:
    stream = cast("BinaryIO", io.BufferedReader(Lines(iter([body] * number))))
    tracemalloc.start()
    try:
        found = imported(desk, stream)
        assert found.read == number
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
