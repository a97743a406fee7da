"""A bad network between two nodes: a TCP proxy on this machine that does to each exchange what a script says.

    with fault_proxy(server.port) as proxy:
        proxy.script = first("POST", Fault(cut_answer=100))
        ...                                       the client's api_root has proxy.port
        proxy.asked                               every request with its moment

Plain HTTP/1.1 inside: a request is read whole, then passed on, and so is its answer; what is cut is cut at a
byte of the whole message, headers included. The client's connection is kept, the server gets a new one for
each exchange.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

PATIENCE_SECONDS = 60.0
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_NO_LINGER = struct.pack("ii", 1, 0)


class Asked(NamedTuple):
    """One request: number from 1, seconds (by the proxy's clock), method, target, and its connection."""

    number: int
    moment: float
    method: str
    target: str
    connection: int


class Passed(NamedTuple):
    """An exchange that the server answered: bytes of the request and of the answer, and of their headers."""

    method: str
    request: int
    request_head: int
    answer: int
    answer_head: int


@dataclass(frozen=True)
class Fault:
    """What becomes of one exchange; each at its own place, so that several may be set.

    Args:
        lost: The request reaches nobody, and the connection ends.
        cut_request, cut_answer: Only so many bytes go on, and the connection ends; below zero: all but
            so many.
        length: What a cut message says of its length: `as it was`, `right` (that of what is left), or
            `missing`.
        reset: Where a connection ends, it ends with RST.
        silent: Where it would end, nothing more comes, until the client has enough.
        delay: Seconds before the answer goes back.
        twice: The request reaches the server twice; the client gets the `first` or the `second` answer.
        again_after: It comes once more after so many further requests; nobody hears the answer.
        busy: It is answered with 503 here, with this `Retry-After` ("" for none); None to pass it on.
    """

    lost: bool = False
    cut_request: int | None = None
    cut_answer: int | None = None
    length: str = "as it was"
    reset: bool = False
    silent: bool = False
    delay: float = 0.0
    twice: str = ""
    again_after: int | None = None
    busy: str | None = None


FINE = Fault()
Script = Callable[[Asked], Fault]


def _fine(_asked: Asked) -> Fault:
    return FINE


def always(fault: Fault) -> Script:
    """The same for every exchange."""
    return lambda _asked: fault


def first(method: str, *faults: Fault) -> Script:
    """The faults of the first exchanges of a method, in turn; then none."""
    left = list(faults)
    return lambda asked: left.pop(0) if left and asked.method == method else FINE


@dataclass
class FaultProxy:
    """A running proxy.

    Args:
        target: The port of the server.
        now: Seconds; for the moments of requests.
        script: What becomes of each exchange; may be changed at any time.
    """

    target: int
    now: Callable[[], float] = time.monotonic
    script: Script = _fine
    asked: list[Asked] = field(default_factory=list)
    passed: list[Passed] = field(default_factory=list)
    port: int = 0
    _later: list[tuple[int, bytes]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _open: set[socket.socket] = field(default_factory=set)
    _ended: bool = False

    def serve(self, listener: socket.socket) -> None:
        """Take connections until the listener is closed."""
        self.port = listener.getsockname()[1]
        number = 0
        while not self._ended:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            number += 1
            with self._lock:
                self._open.add(line)
            threading.Thread(target=self._connection, args=(line, number), daemon=True).start()

    def end(self) -> None:
        """End every connection."""
        self._ended = True
        with self._lock:
            lines = list(self._open)
        for each in lines:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _connection(self, line: socket.socket, number: int) -> None:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError), line:
            while request := _message(line):
                fault = self._noted(request, number)
                if not self._exchange(line, request, fault):
                    break
        with self._lock:
            self._open.discard(line)

    def _noted(self, request: bytes, connection: int) -> Fault:
        method, target, _ = request.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
        with self._lock:
            asked = Asked(len(self.asked) + 1, self.now(), method, target, connection)
            self.asked.append(asked)
            fault = self.script(asked)
            due = [each for after, each in self._later if after <= asked.number]
            self._later = [(after, each) for after, each in self._later if after > asked.number]
            if fault.again_after is not None:
                self._later.append((asked.number + fault.again_after, request))
        for each in due:
            self._passed(each)
        return fault

    def _exchange(self, line: socket.socket, request: bytes, fault: Fault) -> bool:
        """One exchange; whether the client's connection goes on."""
        if fault.busy is not None:
            line.sendall(_busy(fault.busy))
            return True
        if fault.lost:
            return _end(line, fault)
        sent = request if fault.cut_request is None else _cut(request, fault.cut_request, fault.length)
        answer = self._passed(sent, ends=fault.cut_request is not None, reset=fault.reset)
        if fault.twice:
            again = self._passed(request)
            answer = answer if fault.twice == "first" else again
        if answer:
            method = request.split(b" ", 1)[0].decode("latin-1")
            heads = head_length(request), head_length(answer)
            self.passed.append(Passed(method, len(request), heads[0], len(answer), heads[1]))
        time.sleep(fault.delay)
        if fault.cut_request is not None and fault.length == "as it was":
            return _end(line, fault)
        if fault.cut_answer is not None:
            line.sendall(_cut(answer, fault.cut_answer, fault.length))
            return _end(line, fault) if fault.length != "right" or fault.cut_answer < len(answer) else True
        line.sendall(answer)
        return bool(answer)

    def _passed(self, request: bytes, *, ends: bool = False, reset: bool = False) -> bytes:
        """The server's answer to what reaches it; empty if none comes.

        Args:
            request: Or the beginning of one.
            ends: Whether nothing follows.
            reset: Whether it ends with RST.
        """
        if not request:
            return b""
        try:
            with socket.create_connection(("127.0.0.1", self.target), timeout=PATIENCE_SECONDS) as server:
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                server.sendall(request)
                if ends and reset:
                    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                    return b""
                if ends:
                    server.shutdown(socket.SHUT_WR)
                return _message(server)
        except OSError:
            return b""


@contextmanager
def fault_proxy(target: int, *, now: Callable[[], float] = time.monotonic) -> Iterator[FaultProxy]:
    """A proxy to a port of this machine, on a free port, for the length of a block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = FaultProxy(target, now, port=listener.getsockname()[1])
        thread = threading.Thread(target=proxy.serve, args=(listener,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.end()
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE_SECONDS)


def head_length(message: bytes) -> int:
    """The bytes of its headers, with the empty line."""
    return message.index(b"\r\n\r\n") + 4


def _message(line: socket.socket) -> bytes:
    """One request or answer, whole; what there is of it when the connection ends."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (part := line.recv(65_536)):
            return data
        data += part
    end = head_length(data)
    assert not _CHUNKED.search(data[:end]), "nobody here sends in chunks"
    found = _LENGTH.search(data[:end])
    parts, left = [data], end + (int(found[1]) if found else 0) - len(data)
    while left > 0 and (part := line.recv(min(left, 1 << 20))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _cut(message: bytes, at: int, length: str) -> bytes:
    at = at if at >= 0 else len(message) + at
    if not message or length == "as it was" or at < head_length(message):
        return message[:at]
    end = head_length(message)
    head, body = message[:end], message[end:at]
    told = b"\r\ncontent-length: %d" % len(body) if length == "right" else b""
    return _LENGTH.sub(told, head) + body


def _end(line: socket.socket, fault: Fault) -> bool:
    if fault.silent:
        line.settimeout(PATIENCE_SECONDS)
        while line.recv(65_536):
            pass
    elif fault.reset:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    return False


def _busy(retry_after: str) -> bytes:
    body = b'{"title":"busy"}'
    asked = f"retry-after: {retry_after}\r\n" if retry_after else ""
    head = f"HTTP/1.1 503 Busy\r\ncontent-type: application/taxii+json;version=2.1\r\n{asked}"
    return head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body
