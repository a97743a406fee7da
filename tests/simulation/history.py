"""Run one history, and make a failing one short."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from functools import lru_cache
from multiprocessing.util import Finalize
from pathlib import Path
from typing import NamedTuple

from tests.simulation.acting import carry_out
from tests.simulation.acts import Act, Plan
from tests.simulation.converged import faults_of
from tests.simulation.settling import settle
from tests.simulation.stage import current

MEMORY = Path("/dev/shm")


class Ran(NamedTuple):
    """How a history went.

    Args:
        wrong: What it broke; empty when all held.
        digest: Of its record.
        lines: The record.
        acts: How many acts were carried out before the first violation.
    """

    wrong: tuple[str, ...]
    digest: str
    lines: tuple[str, ...]
    acts: int


def run(plan: Plan) -> Ran:
    """What becomes of a history."""
    done = 0
    with current(plan, folder(), carry_out) as world:
        for act in plan.acts:
            carry_out(world, act)
            done += 1
            if world.wrong:
                break
        if not world.wrong:
            settle(world)
        if not world.wrong:
            world.wrong += faults_of(world)
        return Ran(tuple(world.wrong), world.digest(), tuple(world.lines), done)


def shortened(plan: Plan, fails: Callable[[Plan], bool] | None = None) -> Plan:
    """The same failing history, with every part left out that it fails without."""
    breaks = fails or (lambda each: bool(run(each).wrong))
    acts = list(plan.acts[: run(plan).acts] if fails is None else plan.acts)
    place = 0
    while place < len(acts):
        without = [*acts[:place], *acts[place + 1 :]]
        if breaks(plan._replace(acts=tuple(without))):
            acts = without
            continue
        for simpler in _simpler(acts[place]):
            changed = [*acts[:place], simpler, *acts[place + 1 :]]
            if breaks(plan._replace(acts=tuple(changed))):
                acts = changed
                break
        else:
            place += 1
    return plan._replace(acts=tuple(acts))


def _simpler(act: Act) -> list[Act]:
    found = [act._replace(faults=act.faults[:n] + act.faults[n + 1 :]) for n in range(len(act.faults))]
    found += [
        act._replace(meanwhile=act.meanwhile[:n] + act.meanwhile[n + 1 :]) for n in range(len(act.meanwhile))
    ]
    if act.what in ("write", "post") and len(act.how[0]) > 1:
        texts = act.how[0]
        found += [act._replace(how=(texts[:n] + texts[n + 1 :], *act.how[1:])) for n in range(len(texts))]
    return found


@lru_cache(maxsize=1)
def folder() -> Path:
    """Where this process has the files of its sites; removed at its end."""
    place = MEMORY if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) else None
    found = Path(tempfile.mkdtemp(prefix="stixnode-simulation-", dir=place))
    Finalize(None, shutil.rmtree, args=(found, True), exitpriority=1)  # `atexit` is not asked in a pool
    return found
