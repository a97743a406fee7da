"""Bodies that come slowly: how long, and how many at once.

The server below reads a body only when it is asked for, and then waits for as many bytes as were asked,
for ever; there is no timeout that could be set. So a body is read in small pieces, with a look at the clock
after each, and fewer are read at once than there are threads: who stops in the middle of a body may hold
one of those, never the last one that would have answered a reader. Whose connection is gone is let go by
the keep-alive of the system (`node.web`).

Reads `wsgi.input`; writes nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from node.taxii.protocol import RequestRefused

PATIENCE_SECONDS = 30.0
SLOWEST = 4_096  # bytes a second that a long body may come at
PIECE = 512  # measured: small pieces cost no more than large ones


class Uploads:
    """The bodies that are under way in one process.

    Args:
        most: How many may be read at once.
        clock: Seconds that only go forward.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._places = threading.BoundedSemaphore(most)
        self._clock = clock

    def of(self, stream: Any) -> Upload:
        """The same body, read with patience that ends."""
        return Upload(stream, self._places, self._clock)


class Upload:
    """One body; takes a place when it is first read, and gives it back at its end or at `close`."""

    def __init__(self, stream: Any, places: threading.BoundedSemaphore, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._places = places
        self._clock = clock
        self._holds = False
        self._begun = False
        self._began = 0.0
        self._received = 0

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size` of them; none at the end of the body.

        Raises:
            RequestRefused: 503: too many bodies at once; 408: this one comes too slowly.
        """
        self._take()
        pieces: list[bytes] = []
        left = size
        while left > 0:
            piece = self._stream.read(min(left, PIECE))
            if not piece:
                self.close()
                break
            pieces.append(piece)
            left -= len(piece)
            self._received += len(piece)
            if self._clock() - self._began > PATIENCE_SECONDS + self._received / SLOWEST:
                raise _too_slow()
        return b"".join(pieces)

    def close(self) -> None:
        """Give the place back, if one is held."""
        if self._holds:
            self._holds = False
            self._places.release()

    def _take(self) -> None:
        if self._begun:
            return
        if not self._places.acquire(blocking=False):
            raise RequestRefused(
                "Too many bodies are on their way to this server.",
                remedy="Nothing was stored. Send the request again in a few seconds.",
                status=503,
                headers={"Retry-After": "5"},
            )
        self._begun = self._holds = True
        self._began = self._clock()


def _too_slow() -> RequestRefused:
    return RequestRefused(
        "The body came too slowly.",
        remedy=f"Nothing was stored. Send smaller envelopes, or at least {SLOWEST} bytes a second.",
        status=408,
        headers={"Connection": "close"},
    )
