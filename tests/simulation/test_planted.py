"""The search is not blind: each planted fault is found, by its kept seed or by a named history."""

from __future__ import annotations

import pytest

from tests.simulation.acts import drawn
from tests.simulation.history import run
from tests.simulation.named import NAMED
from tests.simulation.planted import FAULTS, planted
from tests.simulation.seeds import PLANTED


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found_by_its_seed(fault: str):
    plan = drawn(PLANTED[fault])
    with planted(fault):
        assert run(plan).wrong


@pytest.mark.parametrize("fault", NAMED)
def test_a_planted_fault_is_found_by_a_history_that_breaks_nothing_without_it(fault: str):
    with planted(fault):
        assert run(NAMED[fault]).wrong
    assert run(NAMED[fault]).wrong == ()


def test_every_planted_fault_is_found_and_many_within_two_thousand_seeds():
    assert {*PLANTED, *NAMED} == set(FAULTS)
    assert len(PLANTED) >= 15
    assert max(PLANTED.values()) < 2_000


def test_a_fault_is_gone_after_its_block():
    fault, seed = next(iter(PLANTED.items()))
    with planted(fault):
        assert run(drawn(seed)).wrong
    assert not run(drawn(seed)).wrong
