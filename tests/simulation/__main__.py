"""Search histories from many seeds: `python -m tests.simulation --seeds 10000 [--first 0] [--jobs 2]`.

    --seed N      one history: its acts and its record
    --planted     see that each planted fault is found within 2,000 seeds, and by which first

Every violation is printed with its seed, the shortest history that still brings it, and the record of that.
The last line says how many histories ran, how many violations and planted faults were found, and how fast.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time

from tests.simulation.acts import Plan, drawn
from tests.simulation.history import Ran, run, shortened
from tests.simulation.planted import FAULTS
from tests.simulation.searching import failing, first_found, searches
from tests.simulation.seeds import PLANTED

MOST_SHOWN = 5
RECORD = 120


def main() -> int:
    """The exit code: 0 when nothing is wrong."""
    options = _options()
    if options.seed is not None:
        plan = drawn(options.seed)
        _print_history(plan, run(plan))
        return 0
    began = time.monotonic()
    seeds = range(options.first, options.first + options.seeds)
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
        broken: list[int] = []
        for seed, wrong in pool.imap_unordered(failing, seeds, chunksize=20):
            if wrong:
                broken.append(seed)
                _say(f"seed {seed}: {wrong}")
        seconds = time.monotonic() - began
        faults = list(FAULTS) if options.planted else list(PLANTED)
        found = dict(pool.imap_unordered(first_found, searches(faults, anew=options.planted)))
        pool.close()
        pool.join()  # so that each process removes its files
    for seed in sorted(broken)[:MOST_SHOWN]:
        _say(f"\nthe shortest history of seed {seed} that fails:")
        short = shortened(drawn(seed))
        _print_history(short, run(short))
    blind = sorted(name for name, seed in found.items() if seed is None)
    for name, seed in sorted(found.items()):
        _say(f"planted: {name}: {'not found' if seed is None else f'seed {seed}'}")
    _say(
        f"histories {len(seeds)}, violations {len(broken)}, planted bugs found {len(found) - len(blind)} of"
        f" {len(found)}, {len(seeds) / seconds:.1f} histories/s"
    )
    return 1 if broken or blind else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation", description="Search histories of nodes."
    )
    parser.add_argument("--seeds", type=int, default=1_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--planted", action="store_true")
    return parser.parse_args()


def _print_history(plan: Plan, ran: Ran) -> None:
    _say(str(plan._replace(acts=())))
    for act in plan.acts:
        _say(f"  {act}")
    for line in ran.lines[-RECORD:]:
        _say(f"    | {line}")
    for line in ran.wrong:
        _say(f"  wrong: {line}")
    _say(f"  record {ran.digest}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
