"""The control of the suite: medallion 3.0.0, as installed, fails where it is known to, and nowhere else."""

from __future__ import annotations

import re

import pytest

from tests.conformance.medallion_faults import FAULTS, NOT_SEEN, explained
from tests.conformance.numbers import LIST, NUMBER
from tests.conformance.running import failed_numbers, run


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Every test of the suite against medallion."""
    return run(tmp_path_factory.mktemp("medallion"), "medallion")


@pytest.fixture(scope="module")
def failing(results):
    return failed_numbers(results)


def test_every_failure_is_explained_by_a_known_fault(results, failing):
    unexplained = {
        number: sorted({one.test for one in results if number in one.numbers and not one.passed})[:3]
        for number in sorted(failing - set(explained()))
    }

    assert unexplained == {}, "say in medallion_faults.py which fault breaks these numbers"


def test_every_known_fault_is_found(failing):
    """A number that is said to fail and passes: a test finds too little, or the fault is none."""
    missed = {fault.name: sorted(set(fault.numbers.split()) - failing) for fault in FAULTS}

    assert {name: numbers for name, numbers in missed.items() if numbers} == {}


def test_the_rest_passes_and_is_the_larger_part(results, failing):
    """So that the suite does not fail medallion for what it does right."""
    passing = {number for one in results for number in one.numbers} - failing

    assert len(passing) > len(failing)
    assert {
        "T-DISC-1",
        "T-ROOT-1",
        "T-STAT-1",
        "T-COL-1",
        "T-OBJ-1",
        "T-PAGE-1",
        "T-POST-1",
        "T-MAN-1",
    } <= passing


def test_every_fault_of_the_list_is_found_or_said_to_be_out_of_sight():
    listed = re.findall(r"^- \*\*(W-\d+)\*\*", LIST.read_text(encoding="utf-8"), re.MULTILINE)
    of_medallion = {name for name in listed if int(name[2:]) <= 18}

    assert {fault.name for fault in FAULTS if fault.name.startswith("W-")} | set(NOT_SEEN) == of_medallion


def test_the_table_names_each_fault_once_and_numbers_alone():
    names = [fault.name for fault in FAULTS]

    assert len(names) == len(set(names))
    assert all(NUMBER.fullmatch(number) for number in explained())
    assert all(fault.numbers and fault.text for fault in FAULTS)
