"""Every number of the list has a test that carries it, or a written reason."""

from __future__ import annotations

import re

import pytest

from tests.conformance.numbers import (
    LIST,
    TESTS,
    Carrier,
    carriers,
    in_source,
    in_text,
    requirements,
    section,
)
from tests.conformance.untested import UNTESTED

SHORTEST_REASON = 40
READINGS = TESTS.parent / "docs" / "readings.md"
SECTIONS = """
T-DISC T-ROOT T-STAT T-COL T-OBJ T-PAGE T-POST T-OID T-DEL T-VER T-MAN T-HDR T-MT T-ERR T-NET T-TS T-CLI
S-ID S-VER S-SPEC S-JSON S-TLP N-SYNC I
"""


@pytest.fixture(scope="module")
def listed():
    return requirements()


@pytest.fixture(scope="module")
def carried():
    return {number for carrier in carriers() for number in carrier.numbers}


def test_the_list_is_read_whole(listed):
    """All its sections, and no number twice."""
    assert len(listed) == len(set(listed)) >= 396
    assert {section(number) for number in listed} == set(SECTIONS.split())


def test_every_number_has_a_test_or_a_reason(listed, carried):
    missing = [number for number in listed if number not in carried and number not in UNTESTED]

    assert missing == [], "write the number into the docstring of the test that proves it, or a reason"


def test_no_reason_stands_for_a_number_that_has_a_test(carried):
    assert sorted(carried & set(UNTESTED)) == []


def test_every_reason_is_one_and_is_for_a_number_of_the_list(listed):
    assert sorted(set(UNTESTED) - set(listed)) == []
    assert [number for number, reason in UNTESTED.items() if len(reason.strip()) < SHORTEST_REASON] == []


def test_every_number_that_a_test_carries_is_of_the_list(listed, carried):
    """A slip of the pen would count for nothing."""
    assert sorted(carried - set(listed)) == []


def test_a_list_that_is_not_there_is_said_to_be_missing(tmp_path):
    with pytest.raises(AssertionError, match="folder there"):
        requirements(tmp_path / "nothing.md")


SOURCE = '''
import pytest

MANY = [pytest.param("T-OBJ-5", id="T-OBJ-6")]
NAMED = {"T-OBJ-3 two": "T-OBJ-4"}
OTHER = {"T-OBJ-10": 1}

@pytest.mark.parametrize("x", [pytest.param(1, id="T-OBJ-2 one"), 2], ids=["S-ID-3", "n"])
@pytest.mark.parametrize("y", MANY)
@pytest.mark.parametrize("z", NAMED)
def test_one(x):
    """N-SYNC-4, I-3.13.1.10: said first.

    T-OBJ-9 is only spoken of here.
    """
    assert "T-OBJ-7"

def helper():
    """T-OBJ-8: not a test."""

def test_none():
    """Nothing."""
'''


def test_control_numbers_are_found_in_docstrings_and_ids_alone():
    """A number that code or a later paragraph speaks of is not carried."""
    assert list(in_source(SOURCE, "x.py")) == [
        Carrier("x.py", "test_one", ("N-SYNC-4", "I-3.13.1.10", "S-ID-3", "T-OBJ-2", "T-OBJ-6", "T-OBJ-3"))
    ]


TEXTS = [
    ("sqlite-T-MT-3 no version", ["T-MT-3"]),
    ("T-OBJ-20, T-OBJ-2: both", ["T-OBJ-20", "T-OBJ-2"]),
    ("A-1 W-3 XT-OBJ-1 T-OBJ-x T-obj-1 T-OBJ-1x", []),
    ("I-X-4 I-STIX-2 I-GAP I-3.1.1 I-4", ["I-X-4", "I-STIX-2", "I-GAP", "I-3.1.1"]),
]


@pytest.mark.parametrize(("text", "found"), TEXTS)
def test_a_number_is_read_to_its_end(text, found):
    assert in_text(text) == found


def test_every_open_question_of_the_standard_has_our_answer_for_users():
    """A row in docs/readings.md for each ambiguity that the list names."""
    listed = re.findall(r"^- \*\*(A-\d+)\*\*", LIST.read_text(encoding="utf-8"), re.MULTILINE)
    answered = re.findall(r"^\| (A-\d+) \|", READINGS.read_text(encoding="utf-8"), re.MULTILINE)

    assert answered == listed
    assert len(listed) == 17
