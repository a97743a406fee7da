"""Every behaviour of the two lists has a test that carries its number, one elsewhere, or a written reason."""

from __future__ import annotations

import ast
import re

import pytest

from tests.conformance.numbers import TESTS, carriers, in_text
from tests.hostile.elsewhere import ELSEWHERE, UNTESTED
from tests.support.data import FOLDER

REFERENCE = FOLDER.parent / "reference"
NUMBER = re.compile(r"(?<![\w-])(?:H\d+|PEER-\d+)(?!\w)")
SHORTEST_REASON = 40


@pytest.fixture(scope="module")
def listed():
    hostile = (REFERENCE / "reliability.md").read_text(encoding="utf-8")
    peers = (REFERENCE / "peers.md").read_text(encoding="utf-8").partition("## Appendix A.")[2]
    defects = peers.partition("\n## ")[0]
    return [
        *re.findall(r"^\| (H\d+) \|", hostile, re.MULTILINE),
        *(f"PEER-{number}" for number in re.findall(r"^(\d+)\. ", defects, re.MULTILINE)),
    ]


@pytest.fixture(scope="module")
def carried():
    return {number for one in carriers(TESTS / "hostile", NUMBER) for number in one.numbers}


def test_both_lists_are_read_whole(listed):
    assert listed == [*(f"H{n}" for n in range(1, 41)), *(f"PEER-{n}" for n in range(1, 40))]


def test_every_number_has_a_test_or_a_reason(listed, carried):
    known = carried | set(ELSEWHERE) | set(UNTESTED)

    assert [number for number in listed if number not in known] == []


def test_no_number_is_of_no_list_and_none_stands_twice(listed, carried):
    assert sorted((carried | set(ELSEWHERE) | set(UNTESTED)) - set(listed)) == []
    assert sorted(carried & set(UNTESTED)) == []
    assert sorted(set(ELSEWHERE) & (carried | set(UNTESTED))) == []


def test_every_reason_is_one():
    assert [number for number, reason in UNTESTED.items() if len(reason) < SHORTEST_REASON] == []


@pytest.mark.parametrize("number", ELSEWHERE)
def test_every_test_that_is_named_elsewhere_is_there(number):
    for place in ELSEWHERE[number]:
        path, _, name = place.partition("::")
        module = ast.parse((TESTS / path).read_text(encoding="utf-8"))
        assert name in {one.name for one in ast.walk(module) if isinstance(one, ast.FunctionDef)}, place


def test_control_numbers_are_read_to_their_end():
    assert in_text("H1, H12 PEER-3: H4x aH5 T-H6 PEER-7", NUMBER) == ["H1", "H12", "PEER-3", "PEER-7"]
