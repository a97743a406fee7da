"""Many objects move in the memory of a few, and a run that fails half-way is not begun again.

    OBJECTS=100000 python -m pytest tests/torture/test_flat_memory.py

moves so many instead of three thousand. Worker and server are processes of their own, as operators run them;
what they hold is read from /proc while they work.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from node.store.database import Database
from tests.bench.generator import objects
from tests.bench.live import children
from tests.support.builders import NORTH_ID, SOUTH_ID
from tests.support.fault_proxy import FINE, Asked, Fault, FaultProxy, fault_proxy
from tests.support.forking import ROOT
from tests.support.real_nodes import RealNode, bring, two_real_nodes
from tests.support.served import live_server
from tests.torture.badly import GIVEN, through
from tests.torture.killing import HAVE, count, one

OBJECTS = int(os.environ.get("OBJECTS", "3000"))
PAGE, BATCH_BYTES = (1_000, 1_000_000) if OBJECTS > 20_000 else (250, 250_000)
METHOD = {"pull": "GET", "push": "POST"}
WARM = 10_000  # at most half of them; so many may take what is taken once: caches, pools, the heap's spare
GROWTH = (12 if OBJECTS <= 20_000 else 24) * 1024 * 1024  # bytes added after that: SQLite's pages, at most
FAILS_AT = 0.2
TYPES = ["course-of-action", "indicator", "malware", "observables", "relationship", "sighting", "identity"]

pytestmark = pytest.mark.timeout(120 + OBJECTS // 50)

Curve = list[tuple[int, int, int]]
"""Objects there, bytes of the worker, bytes of the server."""
WORKER, SERVER = 1, 2


def resident(pid: int) -> int:
    """Bytes of a process and of those below it; 0 when it has ended."""
    total = 0
    for each in (pid, *children(pid)):
        for line in Path(f"/proc/{each}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1]) * 1024
    return total


def server_pid(port: int) -> int:
    """The process below this one that serves on a port."""
    for pid in children(os.getpid()):
        if str(port) in Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8"):
            return pid
    raise AssertionError("no server")


class Move:
    """Everything that one node has goes to the other, through a proxy.

    Memory is read whenever a page is asked for or a batch is sent, so a slow machine changes nothing.

    Args:
        carry: `pull` or `push`: how north does it.
        north, south: Real nodes; south is served.
        proxy: Between north and south.
        taken: The database of the one that takes.
    """

    def __init__(
        self, carry: str, north: RealNode, south: RealNode, proxy: FaultProxy, taken: Database
    ) -> None:
        self.carry, self.north, self.proxy, self.taken = carry, north, proxy, taken
        self.server, self.worker = server_pid(south.port), 0
        self.curve: Curve = []
        self.fails_at: int | None = None
        proxy.script = self._script

    def work(self, module: str = "node") -> tuple[int, Curve]:
        """The exit code of one run, and the memory meanwhile."""
        self.curve = []
        process = subprocess.Popen(
            [sys.executable, "-m", module, "work", "--once", "--json", "--config", str(self.north.config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
        )
        self.worker = process.pid
        return process.wait(), self.curve

    def _script(self, asked: Asked) -> Fault:
        if asked.method != METHOD[self.carry] or "/objects/" not in asked.target:
            return FINE
        there = count(self.taken)
        self.curve.append((there, resident(self.worker), resident(self.server)))
        if self.fails_at is None or there < self.fails_at:
            return FINE
        self.fails_at = None
        return Fault(cut_answer=-100)


@pytest.fixture(params=["pull", "push"])
def move(request: pytest.FixtureRequest, _sqlite_template: Path, tmp_path: Path) -> Iterator[Move]:
    """North carries what one of the two has, none of which has crossed yet."""
    giver, how = GIVEN[request.param]
    north, south = two_real_nodes(
        _sqlite_template,
        tmp_path,
        giver=giver,
        carry=how,
        page_size=PAGE,
        max_content_length=BATCH_BYTES,
        types=TYPES,
        flow_changes={"max_tlp": "red", "unmarked": "clear"},
    )
    source, author = (south, SOUTH_ID) if request.param == "pull" else (north, NORTH_ID)
    for block in objects(OBJECTS):
        bring(source, [body.replace(NORTH_ID.encode(), author.encode()) for body in block])
    taker = north if request.param == "pull" else south
    with (
        live_server(south.config, port=south.port),
        fault_proxy(south.port) as proxy,
        taker.opened() as taken,
    ):
        through(north, proxy)
        yield Move(request.param, north, south, proxy, taken)


def moved(move: Move, module: str = "node", meanwhile: str = "select 1") -> tuple[Curve, int]:
    """Everything moves, in a run that fails and one that does not.

    Args:
        move: From where to where.
        module: What runs as the worker.
        meanwhile: A statement for north's database between the two runs.

    Returns:
        The memory of the second run, and by how many requests the two had more than they needed.
    """
    move.fails_at = int(OBJECTS * FAILS_AT)
    code, first = move.work(module)
    assert code != 0
    there = count(move.taken)
    assert OBJECTS * FAILS_AT <= there < OBJECTS
    with move.north.opened() as database, database.writing() as tx:
        tx.run(sa.text(meanwhile))
    code, second = move.work(module)
    assert code == 0
    assert count(move.taken) == OBJECTS
    if move.carry == "pull":
        return second, len(second) - math.ceil((OBJECTS - there) / PAGE)
    return second, len(first) + len(second) - int(str(one(move.taken, HAVE)))


def growth(curve: Curve, column: int) -> int:
    """Bytes that came after the first objects of a run: the most ever, without the most until then."""
    began = curve[0][0]
    warm = began + min(WARM, (OBJECTS - began) // 2)
    before = max(each[column] for each in curve if each[0] <= warm)
    return max(each[column] for each in curve) - before


def test_many_objects_move_in_flat_memory_and_a_failure_costs_one_page(move, tell):
    """Issue 4, 7."""
    curve, extra = moved(move)
    assert growth(curve, WORKER) < GROWTH
    assert growth(curve, SERVER) < GROWTH
    assert extra <= 1
    points = [curve[number] for number in range(0, len(curve), max(1, len(curve) // 12))]
    shape = ", ".join(f"{there:,}: {ours >> 20}/{theirs >> 20}" for there, ours, theirs in points)
    grown = f"{growth(curve, WORKER) >> 10} and {growth(curve, SERVER) >> 10} KiB"
    tell(f"{move.carry} of {OBJECTS:,}, MiB of worker/server: {shape}; grown {grown}; {extra} more requests")


@pytest.mark.parametrize("move", ["pull"], indirect=True)
def test_control_a_worker_that_keeps_what_it_stored_and_begins_again_is_found(move):
    curve, extra = moved(move, "tests.torture.planted_hoard", meanwhile="delete from bookmark")
    assert growth(curve, WORKER) > GROWTH
    assert extra > 1
