"""What it takes to be there: memory of the server, and the time until it and the command line answer."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench import live
from tests.bench.live import ROOT
from tests.bench.measuring import Row, ms
from tests.bench.stand import OBJECTS, Stand
from tests.support.served import free_port

MIB = 1 << 20


def rows(folder: Path, stand: Stand, *, rounds: int, pages: int) -> Iterator[Row]:
    """The lines of the table on memory and start.

    Args:
        folder: For a fresh node.
        stand: A node with its objects.
        rounds: Starts of each kind.
        pages: Pages served before memory is looked at.
    """
    yield _memory(stand, pages)
    help_cpu = statistics.median(_cpu([sys.executable, "-m", "node", "--help"]) for _ in range(rounds))
    flask_cpu = statistics.median(_cpu([sys.executable, "-c", "import flask"]) for _ in range(rounds))
    yield Row(
        "stixnode --help",
        "< 0.3 s CPU",
        help_cpu / flask_cpu,
        f"CPU {ms(help_cpu)}",
        f"import flask: CPU {ms(flask_cpu)}",
    )
    if stand.database.dialect == "sqlite":
        yield _serve(folder, rounds)


def _memory(stand: Stand, pages: int) -> Row:
    with live.live("ours", stand.config, stand.url) as server:
        for _ in range(pages):
            if server.get(OBJECTS, stand.headers)[0] != 200:
                raise RuntimeError("the page was not served")
        ours = server.memory()
    with live.live("bare") as server:
        for _ in range(pages):
            server.get("/bare/prebuilt")
        floor = server.memory()
    return Row(
        f"memory after {pages} pages of 1,000",
        "<= 2",
        ours / floor,
        f"PSS {ours / MIB:.0f} MiB",
        f"bare Flask, same server and bytes: PSS {floor / MIB:.0f} MiB",
    )


def _serve(folder: Path, rounds: int) -> Row:
    home = folder / "fresh"
    told = [sys.executable, "-m", "node", "init", str(home), "--token-file", str(folder / "token")]
    subprocess.run(told, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def node() -> float:
        port = free_port()
        where = ["--config", str(home / "config.toml"), "--port", str(port)]
        with live.running([sys.executable, "-m", "node", "serve", *where], port, os.environ) as server:
            return server.awaited

    def bare() -> float:
        with live.live("bare") as server:
            return server.awaited

    ours = statistics.median(node() for _ in range(rounds))
    floor = statistics.median(bare() for _ in range(rounds))
    return Row(
        "stixnode serve until the first answer",
        "< 1.5 s",
        ours / floor,
        f"wall {ms(ours)}",
        f"bare Flask on granian: wall {ms(floor)}",
    )


def _cpu(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
