"""`stixnode run` on both sides, as operators have it, with a bad network between: all is there, once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.bench.live import children
from tests.support.builders import NORTH_ID, SOUTH_ID, an_indicator
from tests.support.fault_proxy import FINE, Asked, Fault, Script, fault_proxy
from tests.support.forking import ROOT
from tests.support.real_nodes import PAST, RealNode, bring, two_real_nodes
from tests.torture.badly import GIVEN, through
from tests.torture.killing import HISTORY, KEYS, keys, one, outcomes

OBJECTS = 40
DATED = {"created": PAST, "modified": PAST, "valid_from": PAST, "tlp": "green"}
PATIENCE_SECONDS, LOOK_SECONDS = 60, 0.05

pytestmark = pytest.mark.timeout(200)


@pytest.fixture
def two(_sqlite_template: Path, tmp_path: Path) -> tuple[RealNode, RealNode]:
    """North, which pulls and pushes, and south."""
    givers, carry = GIVEN["both"]
    return two_real_nodes(_sqlite_template, tmp_path, giver=givers, carry=carry)


@contextmanager
def a_run(node: RealNode) -> Iterator[subprocess.Popen[bytes]]:
    """`stixnode run`; whatever is left of it at the end is killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "node", "run", "--config", str(node.config)],
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def lives(pid: int) -> bool:
    """Whether a process is there, and not only its remains."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def is_open(port: int) -> bool:
    """Whether something listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until(found: Callable[[], bool], what: str) -> None:
    """Look again and again until something is so."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not found():
        assert time.monotonic() < until, what
        time.sleep(LOOK_SECONDS)


def once_each() -> tuple[list[Asked], Script]:
    """A fault for the first pull and one for the first push; then none."""
    failed: list[Asked] = []

    def script(asked: Asked) -> Fault:
        carries = "/objects/" in asked.target
        if not carries or any(each.method == asked.method for each in failed):
            return FINE
        failed.append(asked)
        return Fault(cut_answer=700) if asked.method == "GET" else Fault(cut_answer=0)

    return failed, script


def test_two_runs_exchange_through_faults_and_end_with_their_parent(two):
    """T7 between two real processes; a run that is killed leaves nothing behind that holds its port."""
    north, south = two
    for node, author in ((north, NORTH_ID), (south, SOUTH_ID)):
        bring(node, [an_indicator(f"{node.name} {each}", author=author, **DATED) for each in range(OBJECTS)])
    with ExitStack() as held:
        proxy = held.enter_context(fault_proxy(south.port))
        through(north, proxy)
        failed, proxy.script = once_each()
        here, there = held.enter_context(north.opened()), held.enter_context(south.opened())
        runs = [held.enter_context(a_run(south))]
        wait_until(
            lambda: is_open(south.port), "south does not serve"
        )  # or north's first try would fail by itself
        runs.append(held.enter_context(a_run(north)))
        wait_until(lambda: len(keys(here, KEYS)) == len(keys(there, KEYS)) == 2 * OBJECTS, "not converged")
        assert keys(here, KEYS) == keys(there, KEYS)
        assert {each.method for each in failed} == {"GET", "POST"}
        assert one(here, HISTORY) == one(there, HISTORY) == 0
        assert outcomes(here) == outcomes(there) == {"stored": OBJECTS}
        processes = [pid for run in runs for pid in children(run.pid)]
        assert len(processes) >= 5, "two servers with a worker process each, and two workers"
        for run in runs:
            os.kill(run.pid, signal.SIGKILL)
            run.wait()
        wait_until(lambda: not any(map(lives, processes)), "what a killed run began goes on")
