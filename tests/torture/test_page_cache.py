"""A remembered page is the database's page at every moment, whoever writes meanwhile.

Two writing processes, and two reading ones with two threads each (`paging.py`), on both databases. The
controls forget a part of what a page depends on, and are found out.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from node.store.database import Database
from tests.support.nodes import a_node
from tests.support.real_nodes import ROOT
from tests.support.served import a_served
from tests.torture.crowd import TERMS
from tests.torture.paging import Found, Plan

SECONDS = 120


def found_by(database: Database, folder: Path, **changes: object) -> Found:
    """What all reading processes found together."""
    node = a_node(database, collections=("indicators", "techniques"), **TERMS)
    served = a_served(database, folder, definitions=())
    served.collections = {alias: node.collection(alias) for alias in ("indicators", "techniques")}
    readers = [
        served.account(f"soc{number}", read=["indicators"], clearance=clearance)
        for number, clearance in enumerate((4, 1))
    ]
    names, tokens = zip(*((each.name, each.token) for each in readers), strict=True)
    plan = Plan(database.url, str(folder), names, tokens, **changes)
    file = folder / "plan.json"
    file.write_text(json.dumps(asdict(plan)), encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "tests.torture.paging", str(file)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        cwd=ROOT,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    each = [Found(**json.loads(line)) for line in ended.stdout.splitlines()]
    return Found(
        sum(one.compared for one in each),
        sum(one.wrong for one in each),
        sum(one.disturbed for one in each),
        tuple(example for one in each for example in one.examples),
    )


def test_no_remembered_page_is_wrong_while_two_write_and_four_read(database, tmp_path):
    found = found_by(database, tmp_path)

    assert (found.wrong, found.examples) == (0, ())
    assert found.compared > 20, found


@pytest.mark.parametrize("fault", ["generations", "position"])
def test_control_a_memory_that_forgets_what_a_page_depends_on_shows_wrong_pages(
    sqlite_database, tmp_path, fault
):
    assert found_by(sqlite_database, tmp_path, fault=fault).wrong > 0
