"""tests/bench: every row is measured and printed; what it says is for people."""

from __future__ import annotations

import subprocess
import sys

from tests.bench.live import ROOT

WORKS = (
    "POST 103 new, T0",
    "POST 103 new, T0 (floor with owner rows)",
    "POST 103 known, T0",
    "POST 103 new, T1",
    "POST 103 new, T1 (floor with owner rows)",
    "POST 103 known, T1",
    "import of 207 objects, T1",
    "page of 1,000 by a SOC account",
    "collection",
    "empty poll",
    "object by id",
    "full pull, first, of 207 objects",
    "the same page again",
    "the same page again, in gzip",
    "full pull, again, of 207 objects",
    "pages a second, 2 workers, 8 connections",
    "page of 1,000, WSGI alone",
    "collection, WSGI alone",
    "empty poll, WSGI alone",
    "object by id, WSGI alone",
    "index of the values of 207 objects",
    "find a value among 207",
    "memory after 2 pages of 1,000",
    "stixnode --help",
    "stixnode serve until the first answer",
    "feed: 207 objects judged and offered",
    "pull of 207 into an empty node, judged",
    "sync with nothing new",
    "page of 1,000 of a feed, judged again",
)


def test_a_quick_run_prints_a_line_for_every_work():
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert done.returncode == 0, done.stderr[-2_000:]
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[2:]]
    assert [row[0] for row in rows] == list(WORKS)
    assert {len(row) for row in rows} == {5}


def test_a_run_at_scale_prints_every_work_at_both_sizes():
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--scale", "2000", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert done.returncode == 0, done.stderr[-2_000:]
    works = [line.strip("| ").split(" | ")[0] for line in done.stdout.splitlines()[2:]]
    assert [work for work in works if work.startswith("middle page")] == [
        "middle page, of 2,000",
        "middle page: 2,000 beside 1,000",
    ]
    assert works[-1] == "POST of 1,000 new ones, T1, into 2,000"
