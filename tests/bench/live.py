"""Servers in processes of their own, all under granian with the node's own settings for it.

`both` answers as the node and, below `/bare/`, as the bare application, so that the two are measured in
the same process; `ours` and `bare` are each alone, for memory and start.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flask import Flask

from node.config import load_settings
from node.store.database import Database
from node.taxii import logs
from node.web import THREADS, create_app
from tests.bench.bare import Counted, bare_app
from tests.support.served import free_port

ROOT = Path(__file__).resolve().parents[2]
CONFIG, DATABASE = "STIXNODE_BENCH_CONFIG", "STIXNODE_BENCH_DATABASE"
_CODE = (
    "import sys; from granian import Granian; from granian.constants import HTTPModes, Interfaces;"
    " from granian.log import LogLevels;"
    " Granian(sys.argv[1], address='127.0.0.1', port=int(sys.argv[2]), interface=Interfaces.WSGI,"
    " workers=int(sys.argv[3]),"
    f" blocking_threads={THREADS}, http=HTTPModes.http1, websockets=False, log_level=LogLevels.error,"
    " factory=True).serve()"
)


def ours() -> Flask:
    """The node's application, over the database that the environment names, with its log."""
    limits = {name: value for name, value in os.environ.items() if name.startswith("STIXNODE_LIMITS__")}
    settings = load_settings(Path(os.environ[CONFIG]), limits)
    logs.to_stderr(requests=settings.server.log_requests)
    return create_app(settings, Database(os.environ[DATABASE]))


def bare() -> Flask:
    """The bare application alone."""
    return bare_app(None)


def both() -> Counted:
    """The node, and the bare application below `/bare/`."""
    counted: Counted = bare_app(os.environ[DATABASE]).extensions["counted"]
    counted.ours = ours()
    return counted


class Server:
    """A running server and a connection to it that is kept open.

    Args:
        pid: The process that was started; workers are its children.
        port: On loopback.
        awaited: Seconds from its start to its first answer.
    """

    def __init__(self, pid: int, port: int) -> None:
        self.pid, self.port, self.awaited = pid, port, 0.0
        self._line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def get(
        self, path: str, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body."""
        self._line.request("GET", path, headers=dict(headers or {}))
        answer = self._line.getresponse()
        return answer.status, answer.headers, answer.read()

    def cpu(self) -> float:
        """Processor seconds of the worker so far."""
        return float(self.get("/bare/cpu")[2].split()[0])

    def requests(self) -> int:
        """Requests that the node has answered."""
        return int(self.get("/bare/cpu")[2].split()[1])

    def memory(self) -> int:
        """PSS of the server and its workers, in bytes; what they share counts once."""
        return sum(pss(pid) for pid in (self.pid, *children(self.pid)))

    def another(self) -> Server:
        """The same server, by a connection of its own."""
        return Server(self.pid, self.port)

    def close(self) -> None:
        """Let the connection go."""
        self._line.close()


@contextlib.contextmanager
def live(
    factory: str, config: Path | None = None, url: str = "", *, remembering: bool = True, workers: int = 1
) -> Iterator[Server]:
    """A server under granian.

    Args:
        factory: `both`, `ours` or `bare`.
        config: The node's configuration.
        url: Its database.
        remembering: Whether the node keeps pages in memory.
        workers: Processes that answer.
    """
    port = free_port()
    environ = os.environ | {CONFIG: str(config or ""), DATABASE: url}
    if not remembering:
        environ["STIXNODE_LIMITS__PAGE_CACHE_BYTES"] = "0"
    command = [sys.executable, "-c", _CODE, f"tests.bench.live:{factory}", str(port), str(workers)]
    with running(command, port, environ) as server:
        yield server


@contextlib.contextmanager
def running(command: list[str], port: int, environ: Mapping[str, str]) -> Iterator[Server]:
    """A process that serves on a port, from its first answer on."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=ROOT, env=dict(environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    server = Server(process.pid, port)
    try:
        _await(process, port)
        server.awaited = time.perf_counter() - start
        yield server
    finally:
        server.close()
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[Any], port: int) -> None:
    while True:
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            line.request("GET", "/bare/empty")
            line.getresponse().read()
        except OSError as cause:
            if process.poll() is not None:
                raise RuntimeError(f"the server ended with {process.returncode}, unasked") from cause
            time.sleep(0.01)
        else:
            return
        finally:
            line.close()


def pss(pid: int) -> int:
    """Bytes of a process; what it shares counts in part."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"process {pid} has no memory")


def children(pid: int) -> list[int]:
    """The processes below a process."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text(encoding="ascii").split():
            found += [int(child), *children(int(child))]
    return found
