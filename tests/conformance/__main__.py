"""Count the suite: `python -m tests.conformance [--target medallion]`.

Prints, for each section of the list, its numbers, how many a test carries, how many tests of the whole
repository carry one, and of the tests of this suite how many passed on each target. Ends with 1 when a
test failed or a number has neither test nor reason; with `--target medallion` it says which numbers fail.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.conformance.medallion_faults import explained
from tests.conformance.numbers import carriers, requirements, section, sections
from tests.conformance.running import INTEROP, SUITE, Result, failed_numbers, run
from tests.conformance.untested import UNTESTED

LINE = "{:<10}{:>8}{:>12}{:>8}{:>12}{:>14}"


def main(given: Sequence[str] | None = None) -> int:
    """Run, print, and say whether all is well."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--target", choices=["ours", "sqlite", "postgresql", "medallion"], default="ours")
    parser.add_argument("--processes", type=int, default=2)
    chosen = parser.parse_args(given)
    target = "" if chosen.target == "ours" else chosen.target
    paths = [SUITE] if target == "medallion" else [SUITE, *INTEROP]
    with tempfile.TemporaryDirectory() as folder:
        results = run(Path(folder), target, paths, processes=chosen.processes)
    return _told_of_medallion(results) if target == "medallion" else _told_of_ours(results)


def _told_of_ours(results: Sequence[Result]) -> int:
    numbers, held = requirements(), list(carriers())
    carried = {number for carrier in held for number in carrier.numbers}
    kinds = sorted({_target_of(result) for result in results} - {""}, reverse=True)
    _say(
        LINE.format("section", "numbers", "with test", "tests", *(f"{kind}" for kind in [*kinds, "", ""][:2]))
    )
    for name, listed in sections(numbers).items():
        tests = sum(any(section(number) == name for number in carrier.numbers) for carrier in held)
        passed = [_passed(results, name, kind) for kind in kinds]
        _say(
            LINE.format(
                name, len(listed), sum(one in carried for one in listed), tests, *[*passed, "", ""][:2]
            )
        )
    missing = [number for number in numbers if number not in carried and number not in UNTESTED]
    failed = [result.test for result in results if not result.passed]
    of_list = sum(number in carried for number in numbers)
    _say(f"\n{len(numbers)} numbers: {of_list} with a test, {len(UNTESTED)} with a reason instead.")
    for kind in kinds:
        mine = [result for result in results if _target_of(result) == kind]
        _say(f"{kind}: {sum(result.passed for result in mine)} of {len(mine)} tests passed.")
    for line in [*(f"failed: {test}" for test in failed), *(f"no test: {number}" for number in missing)]:
        _say(line)
    return 1 if failed or missing else 0


def _told_of_medallion(results: Sequence[Result]) -> int:
    failed, known = failed_numbers(results), explained()
    carried = {number for result in results for number in result.numbers}
    _say(LINE.format("section", "numbers", "failing", "tests", "passed", ""))
    for name, listed in sections(_in_order(carried)).items():
        mine = [result for result in results if name in {section(number) for number in result.numbers}]
        failing = sum(number in failed for number in listed)
        _say(LINE.format(name, len(listed), failing, len(mine), sum(one.passed for one in mine), ""))
    _say(f"\n{len(failed)} of {len(carried)} numbers fail:")
    for name, listed in sections(_in_order(failed)).items():
        _say(f"  {name}: " + ", ".join(f"{one} ({', '.join(known.get(one, ['?']))})" for one in listed))
    return 0 if failed == set(known) else 1


def _in_order(numbers: Iterable[str]) -> list[str]:
    wanted = set(numbers)
    return [number for number in requirements() if number in wanted]


def _target_of(result: Result) -> str:
    inside = result.test.partition("[")[2]
    return next((kind for kind in ("sqlite", "postgresql") if inside.startswith(kind)), "")


def _passed(results: Sequence[Result], name: str, kind: str) -> str:
    mine = [
        result
        for result in results
        if _target_of(result) == kind and name in {section(number) for number in result.numbers}
    ]
    return f"{sum(result.passed for result in mine)}/{len(mine)}" if mine else "-"


def _say(line: str) -> None:
    sys.stdout.write(f"{line.rstrip()}\n")


if __name__ == "__main__":
    sys.exit(main())
