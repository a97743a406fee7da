"""The parts of a search that run in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.acts import drawn
from tests.simulation.history import run
from tests.simulation.planted import planted
from tests.simulation.seeds import PLANTED

MOST_SEEDS = 2_000


def failing(seed: int) -> tuple[int, str]:
    """A seed, and the first thing that is wrong with it."""
    wrong = run(drawn(seed)).wrong
    return seed, wrong[0] if wrong else ""


def searches(faults: list[str], *, anew: bool) -> Iterator[tuple[str, range]]:
    """For each planted fault the seeds to try: the one that is kept, or all."""
    for name in faults:
        known = PLANTED.get(name, 0)
        yield name, range(MOST_SEEDS) if anew else range(known, known + 1)


def first_found(search: tuple[str, range]) -> tuple[str, int | None]:
    """A planted fault, and the first seed that finds it."""
    name, seeds = search
    with planted(name):
        return name, next((seed for seed in seeds if run(drawn(seed)).wrong), None)
