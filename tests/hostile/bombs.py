"""Answers that are made to take memory or time, written straight to the socket."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Callable, Iterable
from typing import BinaryIO

from tests.support.partner import MEDIA, Canned

MIB = 1024 * 1024
PIECE = 65_536
DATES = (
    "X-TAXII-Date-Added-First: 2026-11-21T12:00:01.000000Z\r\n"
    "X-TAXII-Date-Added-Last: 2026-11-21T12:00:01.000000Z\r\n"
)
Writer = Callable[[BinaryIO], None]


def head(*lines: str, status: str = "200 OK") -> bytes:
    """The head of an answer, with these lines in it."""
    text = f"HTTP/1.1 {status}\r\nContent-Type: {MEDIA}\r\n" + "".join(f"{line}\r\n" for line in lines)
    return text.encode() + b"\r\n"


def raw(*parts: bytes | Iterable[bytes]) -> Canned:
    """An answer of these parts, some of which may never end."""

    def write(socket: BinaryIO) -> None:
        for part in parts:
            for piece in (part,) if isinstance(part, bytes) else part:
                socket.write(piece)

    return Canned(raw=write)


def chunked(pieces: Iterable[bytes]) -> Iterable[bytes]:
    """Pieces as chunks of HTTP, and the last one."""
    for piece in pieces:
        yield b"%x\r\n" % len(piece) + piece + b"\r\n"
    yield b"0\r\n\r\n"


def of_size(before: bytes, filling: bytes, after: bytes, size: int) -> Canned:
    """An answer of about `size` bytes: one filling again and again between a beginning and an end."""
    most = max(PIECE // len(filling), 1)
    count = (size - len(before) - len(after)) // (most * len(filling))
    body = itertools.chain([before], itertools.repeat(filling * most, count), [after])
    length = len(before) + count * most * len(filling) + len(after)
    return raw(head(f"Content-Length: {length}"), body)


def gzipped(size: int) -> bytes:
    """So many zeros, which take a thousandth of that on the wire."""
    return gzip.compress(bytes(size), 6)
