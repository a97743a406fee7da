"""Where one JSON value ends, in a stream of any size: the cutter behind `envelope.split_stream`.

It finds the ends of values and looks no further: whether a value is sound is asked by whoever
gets it. It does not recurse, so nesting cannot exhaust it, and it holds one value at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from node.errors import InvalidObject

REMEDY: Final = "Save what came and look at that place; what came before it was read in order."

# The least that is read at once; a longer value doubles it, so that no byte is looked at often.
_CHUNK_BYTES: Final = 65_536

_SPACE: Final = re.compile(rb"[ \t\r\n]*+")
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_SCALAR: Final = re.compile(rb'[^ \t\r\n,:"\[\]{}]++')
# Everything up to and with the next bracket that is not inside a string.
_TO_BRACKET: Final = re.compile(rb'(?:[^"\[\]{}]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+([\[\]{}])', re.DOTALL)


class Source:
    """A stream of JSON text, read forward once.

    Args:
        chunks: The stream, in pieces of any size.
        max_value_bytes: The longest value taken in one piece.
    """

    def __init__(self, chunks: Iterable[bytes], max_value_bytes: int) -> None:
        self.place = "The stream"
        """What is being read, for problems; the caller moves it on."""
        self._chunks = iter(chunks)
        self._max = max_value_bytes
        self._buffer = b""
        self._at = 0
        self._mark: int | None = None
        self._ended = False

    def peek(self) -> bytes:
        """The next byte that is not white space, without taking it; empty at the end of the stream."""
        while True:
            match = _SPACE.match(self._buffer, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._buffer):
                return self._buffer[self._at : self._at + 1]
            if not self._more():
                return b""

    def skip(self, wanted: bytes) -> None:
        """Take the next byte, which must be one of `wanted`."""
        self.take_one_of(wanted)

    def take_one_of(self, wanted: bytes) -> bytes:
        """The next byte that is not white space, which must be one of `wanted`."""
        found = self.peek()
        if not found:
            raise self.problem("breaks off")
        if found not in wanted:
            raise self.problem(f"has {found!r} where {' or '.join(map(repr, map(chr, wanted)))} should be")
        self._at += 1
        return found

    def take_value(self) -> bytes:
        """The next JSON value, exactly as it came.

        Raises:
            InvalidObject: It is missing, cut off, or longer than the limit.
        """
        self.peek()
        while True:
            end = self._end_of_value()
            if end is not None:
                value = self._buffer[self._at : end]
                if len(value) > self._max:
                    raise self._too_long()
                self._at = end
                return value
            if not self._more():
                raise self.problem("breaks off")

    def take_line(self) -> bytes | None:
        """The rest of the present line without its end, or None at the end of the stream.

        Lines end at the byte 0x0A alone: U+2028 and its like may stand inside strings.
        """
        while True:
            end = self._buffer.find(b"\n", self._at)
            if end >= 0 or not self._more():
                break
        if end < 0 and self._at == len(self._buffer):
            return None
        stop = end if end >= 0 else len(self._buffer)
        line = self._buffer[self._at : stop]
        self._at = stop + 1 if end >= 0 else stop
        if len(line) > self._max:
            raise self._too_long()
        return line

    def mark(self) -> None:
        """Keep everything from here on, for `take_marked`."""
        self._mark = self._at

    def take_marked(self) -> bytes:
        """What was read since `mark`, which ends."""
        kept = self._buffer[self._mark or 0 : self._at]
        self._mark = None
        if len(kept) > self._max:
            raise self._too_long()
        return kept

    def problem(self, what: str) -> InvalidObject:
        """The refusal of the stream at the present place."""
        return InvalidObject(f"{self.place} {what}.", remedy=REMEDY)

    def _more(self) -> bool:
        """Read on; False when nothing is left."""
        if self._ended:
            return False
        start = self._at if self._mark is None else self._mark
        pending = len(self._buffer) - start
        if pending > self._max:
            raise self._too_long()
        pieces, wanted = [self._buffer[start:]], max(_CHUNK_BYTES, pending)
        while wanted > 0:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._ended = True
                break
            pieces.append(chunk)
            wanted -= len(chunk)
        self._at -= start
        self._mark = None if self._mark is None else 0
        before, self._buffer = pending, b"".join(pieces)
        return len(self._buffer) > before

    def _end_of_value(self) -> int | None:
        """Where the value at the present place ends, or None when more must be read to know."""
        buffer, at = self._buffer, self._at
        first = buffer[at : at + 1]
        if first == b'"':
            match = _STRING.match(buffer, at)
            return match.end() if match else None
        if first in (b"{", b"["):
            return _end_of_brackets(buffer, at)
        match = _SCALAR.match(buffer, at)
        if match is None:
            if first:
                raise self.problem(f"has {first!r} where a value should be")
            return None
        return match.end() if match.end() < len(buffer) or self._ended else None

    def _too_long(self) -> InvalidObject:
        return self.problem(f"is longer than {self._max:,} bytes")


def _end_of_brackets(buffer: bytes, at: int) -> int | None:
    depth = 0
    match_bracket = _TO_BRACKET.match
    while match := match_bracket(buffer, at):
        at = match.end()
        if buffer[at - 1] in b"[{":
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                return at
    return None
