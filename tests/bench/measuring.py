"""Measure works beside their floors, and print what came out.

Rule    A figure stands beside another one of the same run, taken in turns with it, so that a slow
        moment of the machine falls on both. Medians, after one round that is thrown away. What a ratio
        should be is printed beside it and never asserted: this machine is not the reader's.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

Meter = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Figure:
    """What one work costs: median seconds of processor and of wall clock."""

    cpu: float
    wall: float


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Args:
        work: What was done.
        aim: What design section 11 asks of the ratio; "-" where it asks nothing.
        ratio: Ours by the floor's, or the floor's by ours for a rate: `aim` says which.
        ours, floor: In absolute terms, for context; the floor with what it is.
    """

    work: str
    aim: str
    ratio: float | None
    ours: str
    floor: str


def interleaved(
    works: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    times: int = 1,
    cpu: Meter = time.process_time,
) -> dict[str, Figure]:
    """The cost of one run of each work; they take turns.

    Args:
        works: By name.
        rounds: Turns of each that count; one more goes before them.
        times: Runs in a turn.
        cpu: Processor seconds so far of the process that does the work.
    """
    taken: dict[str, list[Figure]] = {name: [] for name in works}
    for _ in range(rounds + 1):
        for name, work in works.items():
            taken[name].append(measured(work, times=times, cpu=cpu))
    return {name: median(figures[1:]) for name, figures in taken.items()}


def measured(work: Callable[[], object], *, times: int = 1, cpu: Meter = time.process_time) -> Figure:
    """The cost of one run of a work, from several in a row."""
    gc.collect()
    gc.freeze()  # what this process holds for measuring is walked by no collection of the work's
    before, start = cpu(), time.perf_counter()
    for _ in range(times):
        work()
    took = time.perf_counter() - start
    return Figure((cpu() - before) / times, took / times)


def median(figures: Iterable[Figure]) -> Figure:
    """The medians of processor and wall clock, each for itself."""
    listed = list(figures)
    cpu, wall = [each.cpu for each in listed], [each.wall for each in listed]
    return Figure(statistics.median(cpu), statistics.median(wall))


def ms(seconds: float) -> str:
    """Milliseconds for people."""
    return f"{seconds * 1000:.3g} ms"


def rate(objects: int, seconds: float) -> str:
    """Objects a second for people."""
    return f"{objects / seconds:,.0f} objects/s"


def print_heading() -> None:
    """The head of the table."""
    print("| work | aim | ratio | ours | floor |")
    print("|---|---|---|---|---|", flush=True)


def print_row(row: Row) -> None:
    """One row of the table, as soon as it is known."""
    ratio = "-" if row.ratio is None else f"**{row.ratio:.2f}**"
    print(f"| {row.work} | {row.aim} | {ratio} | {row.ours} | {row.floor} |", flush=True)
