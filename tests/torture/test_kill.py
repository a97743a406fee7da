"""A worker is killed with SIGKILL at twenty instants of its work, on either way of carrying.

    KILLS=200 python -m pytest tests/torture/test_kill.py

kills so many of each. After each kill what the worker had noted is compared with what had really crossed;
at the end both sides hold the same, and every object was applied once. `killing.py` has how.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.builders import NORTH_ID, SOUTH_ID
from tests.support.forking import a_mother
from tests.support.real_nodes import bring, past_indicators, two_real_nodes
from tests.support.served import live_server
from tests.torture.killing import (
    AT_START,
    HAVE,
    INSIDE_PLANTED_SECONDS,
    KEYS,
    KILLS,
    MOST_BYTES,
    OBJECTS,
    PAGE_SIZE,
    SENT,
    Exchange,
    Rows,
    ahead_of_the_objects,
    applied_once,
    begun,
    finish,
    keys,
    kill_all,
    one,
    settled_but_not_there,
    the_kills,
    told,
)

pytestmark = pytest.mark.timeout(300 + 10 * KILLS)  # programs are started, on a machine that may be busy


@pytest.fixture(scope="module")
def mother():
    """Whose copies are killed."""
    with a_mother() as one:
        yield one


@pytest.fixture
def pulling(_sqlite_template: Path, tmp_path: Path, mother):
    """North pulls what south gives, page by page."""
    north, south = two_real_nodes(
        _sqlite_template, tmp_path, giver="south", carry="pull", page_size=PAGE_SIZE
    )
    bring(south, past_indicators(SOUTH_ID, OBJECTS))
    with live_server(south.config, port=south.port), north.opened() as here, south.opened() as there:
        yield Exchange(north, here, there, mother)


@pytest.fixture
def pushing(_sqlite_template: Path, tmp_path: Path, mother):
    """North pushes what it gives to south, batch by batch."""
    north, south = two_real_nodes(
        _sqlite_template, tmp_path, giver="north", carry="push", max_content_length=MOST_BYTES
    )
    bring(north, past_indicators(NORTH_ID, OBJECTS))
    with live_server(south.config, port=south.port), north.opened() as here, south.opened() as there:
        yield Exchange(north, here, there, mother)


def test_a_pull_killed_anywhere_goes_on_and_applies_everything_once(pulling, tell):
    """N-SYNC-14, T2."""
    landed = kill_all(pulling, pulling.north, the_kills(1), ahead_of_the_objects)
    assert landed >= KILLS * 0.9
    finish(pulling, pulling.north)
    assert keys(pulling.north, KEYS) == keys(pulling.south, KEYS)
    applied_once(pulling.north, OBJECTS)
    tell(told("puller", pulling, landed))


def test_a_push_killed_anywhere_goes_on_and_applies_everything_once(pushing, tell):
    """N-SYNC-14, T3."""

    def wrong(exchange: Exchange) -> Rows:
        sent, have = one(exchange.north, SENT) or 0, one(exchange.south, HAVE) or 0
        assert sent <= have <= sent + 1, "one batch at most is under way"
        return settled_but_not_there(exchange)

    landed = kill_all(pushing, pushing.south, the_kills(2), wrong)
    assert landed >= KILLS * 0.9
    finish(pushing, pushing.south)
    assert keys(pushing.south, KEYS) == keys(pushing.north, KEYS)
    applied_once(pushing.south, OBJECTS)
    tell(told("pusher", pushing, landed))


def test_control_a_bookmark_in_a_transaction_of_its_own_is_found_ahead(pulling):
    pulling.module = "tests.torture.planted_bookmark"
    with pytest.raises(AssertionError, match="after kill"):
        kill_all(
            pulling, pulling.north, the_kills(1, INSIDE_PLANTED_SECONDS)[AT_START:], ahead_of_the_objects
        )
    # It is not found by the next round either: what lies before the bookmark is never asked for again.
    begun(pulling, real=False).wait()
    assert ahead_of_the_objects(pulling)


def test_control_a_batch_settled_before_its_answer_is_found_missing(pushing):
    pushing.module = "tests.torture.planted_settlement"
    with pytest.raises(AssertionError, match="after kill"):
        kill_all(
            pushing, pushing.south, the_kills(2, INSIDE_PLANTED_SECONDS)[AT_START:], settled_but_not_there
        )
