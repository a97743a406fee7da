"""What should become of a file, worked out from the file alone, to stand beside what became of it.

The rules of STIX and of markings are asked here directly (`node.stix`), without store, feed or sync, so
that a fault in those shows as two numbers that differ.

Reads   a file of STIX. Writes nothing.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from node.config_keys import MITRE
from node.errors import InvalidObject, UsageError
from node.stix.envelope import split_stream
from node.stix.markings import UNKNOWN, rank
from node.stix.objects import StixObject, references
from node.stix.validation import read_checked

_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Known:
    """One sound object of a file, without its body."""

    stix_id: str
    bytes_digest: bytes
    marking_refs: tuple[str, ...]
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileContent:
    """What a file holds.

    Args:
        read: Objects in it.
        unsound: Ids of those that a node must refuse, in the order of the file.
        sound: The others.
        definitions: id -> meaning of its marking-definitions of public authors.
    """

    name: str
    read: int
    unsound: tuple[str, ...]
    sound: tuple[Known, ...]
    definitions: Mapping[str, int]

    @property
    def digests(self) -> set[bytes]:
        """SHA-256 of the bytes of each sound object."""
        return {one.bytes_digest for one in self.sound}


@dataclass(frozen=True, slots=True)
class Forecast:
    """Which objects of a file stay, by reason: the SHA-256 of their bytes."""

    unknown_marking: frozenset[bytes]
    above_ceiling: frozenset[bytes]
    waits_for_reference: frozenset[bytes]

    @property
    def staying(self) -> frozenset[bytes]:
        """All that stay."""
        return self.unknown_marking | self.above_ceiling | self.waits_for_reference


def content_of(file: Path) -> FileContent:
    """What a file holds; gzip is noticed.

    Raises:
        UsageError: It cannot be read as STIX.
    """
    read, unsound, sound = 0, [], []
    definitions: dict[str, int] = {}
    try:
        for number, body in enumerate(_bodies(file), start=1):
            read = number
            try:
                one, fault = read_checked(body, "schema")
            except InvalidObject as cause:
                unsound.append(cause.object_id or f"object {number} of the file")
                continue
            if fault is not None:
                unsound.append(one.id)
                continue
            if one.meaning is not None and one.created_by in (MITRE, None):
                definitions[one.id] = one.meaning
            sound.append(_known(one))
    except (OSError, EOFError, InvalidObject) as cause:
        raise UsageError(
            f"{file} cannot be read as STIX: {str(cause).rstrip('.')}.",
            remedy="Give a bundle, an envelope or lines of objects; gzip is noticed.",
        ) from cause
    return FileContent(file.name, read, tuple(unsound), tuple(sound), definitions)


def forecast(content: FileContent, definitions: Mapping[str, int], ceiling: int) -> Forecast:
    """Which objects of a file stay with the giver, in a flow where what has no TLP counts as CLEAR.

    Args:
        content: The file.
        definitions: id -> meaning of the marking-definitions that the giver knows.
        ceiling: Highest TLP level that goes.
    """
    ranks = [(one, rank(one.marking_refs, definitions)) for one in content.sound]
    unknown = {one.bytes_digest for one, found in ranks if found == UNKNOWN}
    above = {one.bytes_digest for one, found in ranks if ceiling < found < UNKNOWN}
    # What one version of an object may do is enough for those that refer to it.
    going = {one.stix_id for one, found in ranks if found <= ceiling}
    staying = {one.stix_id for one, _ in ranks} - going
    waiting = {
        one.bytes_digest for one, found in ranks if found <= ceiling and staying.intersection(one.references)
    }
    return Forecast(frozenset(unknown), frozenset(above), frozenset(waiting))


def digests(bodies: Iterable[bytes]) -> set[bytes]:
    """SHA-256 of each body."""
    return {hashlib.sha256(body).digest() for body in bodies}


def _known(one: StixObject) -> Known:
    return Known(one.id, hashlib.sha256(one.body).digest(), one.marking_refs, references(one.body))


def _bodies(file: Path) -> Iterator[bytes]:
    with file.open("rb") as plain:
        packed = plain.peek(len(_GZIP))[: len(_GZIP)] == _GZIP
        stream = cast("BinaryIO", gzip.GzipFile(fileobj=plain)) if packed else plain
        yield from split_stream(iter(lambda: stream.read(_CHUNK), b""))
