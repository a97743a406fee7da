"""`make bench`: what this node costs, as ratios against floors of the same run, as a Markdown table.

    python -m tests.bench                  all of ATT&CK on SQLite, some minutes
    python -m tests.bench --postgresql     the same on PostgreSQL, which comes by pip
    python -m tests.bench --scale 1000000  a collection of so many objects that are made up
    python -m tests.bench --quick          few objects and few rounds: whether it works, not how well

Rule    No figure fails: the aims of the design stand beside the ratios, and a person judges. A ratio
        within a tenth of its aim is not decided by one run.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from node.stix.objects import read
from tests.bench import finding, scale, serving, starting, syncing, writing
from tests.bench.measuring import Row, print_heading, print_row
from tests.bench.stand import a_stand, databases
from tests.support.data import attack


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: each `every`-th object of ATT&CK, and turns of each kind."""

    every: int
    rounds: int
    posts: int
    parsed: int
    starts: int
    pages: int


FULL = Size(every=1, rounds=15, posts=10, parsed=20_000, starts=5, pages=50)
QUICK = Size(every=120, rounds=1, posts=1, parsed=100, starts=1, pages=2)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few objects and few rounds")
    parser.add_argument("--postgresql", action="store_true", help="on PostgreSQL instead of SQLite")
    parser.add_argument("--scale", type=int, metavar="N", help="a collection of N objects that are made up")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part alone; may be given again")
    given = parser.parse_args()
    kind = "postgresql" if given.postgresql else "sqlite"
    print_heading()
    if given.scale:
        with databases(kind) as (folder, make):
            small = min(10_000, given.scale // 2)
            rounds = 1 if given.quick else 10
            for row in scale.rows(folder, make, number=given.scale, small=small, rounds=rounds):
                print_row(row)
        return
    for row in all_rows(kind, QUICK if given.quick else FULL, given.only or PARTS):
        print_row(row)


PARTS = ("serving", "writing", "finding", "syncing", "starting")


def all_rows(kind: str, size: Size, parts: list[str] | tuple[str, ...]) -> Iterator[Row]:
    """Every line of the table.

    Args:
        kind: `sqlite` or `postgresql`.
        size: How much is measured.
        parts: Which of `PARTS`.
    """
    bodies = attack(size.every)
    with databases(kind) as (folder, make):
        if "writing" in parts:
            yield from writing.rows(folder, make, bodies, rounds=size.posts)
        if {"serving", "finding", "syncing", "starting"}.isdisjoint(parts):
            return
        with a_stand(folder, make, "north", bodies) as north:
            north.bring(bodies)
            north.settle()
            if "serving" in parts:
                yield from serving.rows(north, read(bodies[-1]).id, len(bodies), rounds=size.rounds)
            if "finding" in parts:
                yield from finding.rows(north, objects=len(bodies), rounds=size.rounds)
            if "starting" in parts:
                yield from starting.rows(folder, north, rounds=size.starts, pages=size.pages)
            if "syncing" in parts:
                yield from syncing.rows(folder, make, north, bodies, parsed=size.parsed, rounds=size.rounds)


if __name__ == "__main__":
    main()
