"""One run of the suite in a process of its own, test by test.

Writes  a file of results in the folder that the caller gives
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SUITE = "tests/conformance"
INTEROP = ("tests/interop/test_interop_document.py", "tests/interop/test_interop_filters.py")
# What asks no target: the list itself, servers of our own in processes of their own, and who calls this.
APART = ("test_numbers.py", "test_medallion_fails.py", "test_live_*.py")


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one test.

    Args:
        test: Its name as pytest has it.
        numbers: The numbers that it carries.
        passed: Set-up, test and clean-up, all of them.
    """

    test: str
    numbers: tuple[str, ...]
    passed: bool


def run(
    folder: Path, target: str = "", paths: Sequence[str] = (SUITE,), *, processes: int = 1
) -> list[Result]:
    """The results of the suite, in the order in which its tests ended.

    Args:
        folder: For the file of results.
        target: `sqlite`, `postgresql` or `medallion`; "" for ours on both databases.
        paths: What is run.
        processes: How many of pytest share the work.

    Raises:
        AssertionError: Nothing ran.
    """
    report = folder / "results.jsonl"
    report.unlink(missing_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {"CONFORMANCE_TARGET": target, "CONFORMANCE_REPORT": str(report)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=no", "-rN", *paths]
    command += [f"--ignore-glob=*{name}" for name in APART]
    if processes > 1:
        command += ["-n", str(processes), "--dist", "loadfile"]
    ended = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert report.is_file(), f"no test ran:\n{ended.stdout[-2000:]}\n{ended.stderr[-2000:]}"
    return read(report)


def read(report: Path) -> list[Result]:
    """The results in a file; a test that failed in any of its parts has failed."""
    found: dict[str, Result] = {}
    for line in report.read_text(encoding="utf-8").splitlines():
        said = json.loads(line)
        before = found.get(said["test"])
        passed = said["passed"] and (before is None or before.passed)
        found[said["test"]] = Result(said["test"], tuple(said["numbers"]), passed)
    return list(found.values())


def failed_numbers(results: Sequence[Result]) -> set[str]:
    """The numbers of which at least one test failed."""
    return {number for result in results if not result.passed for number in result.numbers}
