"""A worker is killed with SIGKILL at twenty instants of its work, on either way of carrying.

The instants are drawn once and spread over the work: three while the program starts, the others when a
drawn number of objects has crossed, and a drawn moment later, so that they fall anywhere inside a page or
a batch. After each kill what the worker had noted is compared with what had really crossed; at the end
both sides hold the same, and every object was applied once.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from node.clock import parse_taxii_time
from node.store.database import Database
from tests.support.builders import NORTH_ID, SOUTH_ID
from tests.support.real_nodes import (
    RealNode,
    begin_work,
    bring,
    end_leases,
    past_indicators,
    two_real_nodes,
    work_once,
)
from tests.support.served import live_server

pytestmark = pytest.mark.timeout(300)  # forty programs are started, on a machine that may be busy

OBJECTS = 2_000
KILLS, AT_START = 20, 3
PAGE_SIZE = 25
MOST_BYTES = 12_000  # some twenty objects in a batch
LAST_KILL_AT = 0.9  # of the work, so that no run ends before its kill
START_SECONDS = 0.7  # the program needs about that long before its first request
INSIDE_SECONDS = 0.06  # a page or a batch takes about that long
INSIDE_PLANTED_SECONDS = 0.15  # the planted faults hold their gap open for 0.1
PATIENCE_SECONDS = 60

_COUNT = sa.text('select count(*) from "object"')
_KEYS = sa.text('select stix_id, version, digest from "object"')
_BOOKMARK = sa.text("select added_after from bookmark")
_OFFERED = sa.text("select stix_id, version, digest from feed_row where offered_at <= :until and state < 9")
_SETTLED = sa.text("select stix_id, version, digest from feed_row where state = 2")
_SENT = sa.text("select sent from session_out")
_HAVE = sa.text("select have from session_in")
_HISTORY = sa.text("select count(*) from object_history")
_ARRIVALS = sa.text("select kind, counts from arrival")


@dataclass(frozen=True)
class Exchange:
    """Who works and is killed (north), and the databases of both sides."""

    worker: RealNode
    north: Database
    south: Database
    module: str = "node"


@dataclass(frozen=True)
class Kill:
    """One instant: when so many objects are there, and so many seconds later."""

    objects: int
    seconds: float


def the_kills(seed: int, inside: float = INSIDE_SECONDS) -> list[Kill]:
    chance = random.Random(seed)
    early = [Kill(0, chance.uniform(0.05, START_SECONDS)) for _ in range(AT_START)]
    reached = sorted(chance.sample(range(1, int(OBJECTS * LAST_KILL_AT)), KILLS - AT_START))
    return early + [Kill(number, chance.uniform(0, inside)) for number in reached]


def keys(database: Database, statement: sa.TextClause, **values: object) -> set[tuple[object, ...]]:
    with database.reading() as tx:
        return set(tx.rows(statement, **values))


def one(database: Database, statement: sa.TextClause) -> object:
    with database.reading() as tx:
        row = tx.row(statement)
    return None if row is None else row[0]


def ahead_of_the_objects(exchange: Exchange) -> set[tuple[object, ...]]:
    """What the partner's feed has up to north's bookmark and north does not hold."""
    mark = one(exchange.north, _BOOKMARK)
    if mark is None:
        return set()
    offered = keys(exchange.south, _OFFERED, until=parse_taxii_time(str(mark)))
    assert offered  # a bookmark before the first object would be one that is never ahead
    return offered - keys(exchange.north, _KEYS)


def settled_but_not_there(exchange: Exchange) -> set[tuple[object, ...]]:
    """What north counts as done and south does not hold."""
    return keys(exchange.north, _SETTLED) - keys(exchange.south, _KEYS)


def kill_worker(exchange: Exchange, taker: Database, kill: Kill) -> bool:
    """Whether the worker was still at work when it was killed."""
    process = begin_work(exchange.worker, exchange.module)
    try:
        until = time.monotonic() + PATIENCE_SECONDS
        while process.poll() is None and int(str(one(taker, _COUNT))) < kill.objects:
            assert time.monotonic() < until, "the work does not get on"
            time.sleep(0.002)
        time.sleep(kill.seconds)
        landed = process.poll() is None
    finally:
        process.kill()
        said = process.communicate()[1]
    assert landed or process.returncode == 0, said
    end_leases(exchange.north)
    return landed


def kill_all(
    exchange: Exchange,
    taker: Database,
    kills: Sequence[Kill],
    wrong: Callable[[Exchange], set[tuple[object, ...]]],
) -> int:
    """The number of kills that found the worker at work; nothing was wrong after any."""
    landed = 0
    for number, kill in enumerate(kills, 1):
        landed += kill_worker(exchange, taker, kill)
        assert wrong(exchange) == set(), f"after kill {number}, {kill}"
    return landed


def finish(exchange: Exchange) -> None:
    last = work_once(exchange.worker)
    assert last.code == 0, last
    quiet = work_once(exchange.worker)
    assert quiet.of("summary")[0]["moved"] == 0


def outcomes(taker: Database) -> dict[str, int]:
    """What became of everything that ever arrived, by the arrivals."""
    found: dict[str, int] = {}
    with taker.reading() as tx:
        for kind, counts in tx.rows(_ARRIVALS):
            if kind != "import":
                for name, number in json.loads(counts).items():
                    found[name] = found.get(name, 0) + number
    return found


def applied_once(taker: Database) -> None:
    assert one(taker, _COUNT) == OBJECTS
    assert one(taker, _HISTORY) == 0
    assert outcomes(taker) == {"stored": OBJECTS}


@pytest.fixture
def pulling(_sqlite_template: Path, tmp_path: Path):
    """North pulls what south gives, page by page."""
    north, south = two_real_nodes(
        _sqlite_template, tmp_path, giver="south", carry="pull", page_size=PAGE_SIZE
    )
    bring(south, past_indicators(SOUTH_ID, OBJECTS))
    with live_server(south.config, port=south.port), north.opened() as here, south.opened() as there:
        yield Exchange(north, here, there)


@pytest.fixture
def pushing(_sqlite_template: Path, tmp_path: Path):
    """North pushes what it gives to south, batch by batch."""
    north, south = two_real_nodes(
        _sqlite_template, tmp_path, giver="north", carry="push", max_content_length=MOST_BYTES
    )
    bring(north, past_indicators(NORTH_ID, OBJECTS))
    with live_server(south.config, port=south.port), north.opened() as here, south.opened() as there:
        yield Exchange(north, here, there)


def test_a_pull_killed_anywhere_goes_on_and_applies_everything_once(pulling):
    """N-SYNC-14."""
    landed = kill_all(pulling, pulling.north, the_kills(1), ahead_of_the_objects)
    assert landed >= KILLS - 2
    finish(pulling)
    assert keys(pulling.north, _KEYS) == keys(pulling.south, _KEYS)
    applied_once(pulling.north)


def test_a_push_killed_anywhere_goes_on_and_applies_everything_once(pushing):
    """N-SYNC-14."""

    def wrong(exchange: Exchange) -> set[tuple[object, ...]]:
        sent, have = one(exchange.north, _SENT) or 0, one(exchange.south, _HAVE) or 0
        assert sent <= have <= sent + 1, "one batch at most is under way"
        return settled_but_not_there(exchange)

    landed = kill_all(pushing, pushing.south, the_kills(2), wrong)
    assert landed >= KILLS - 2
    finish(pushing)
    assert keys(pushing.south, _KEYS) == keys(pushing.north, _KEYS)
    applied_once(pushing.south)


def test_control_a_bookmark_in_a_transaction_of_its_own_is_found_ahead(pulling):
    planted = Exchange(pulling.worker, pulling.north, pulling.south, "tests.torture.planted_bookmark")
    with pytest.raises(AssertionError, match="after kill"):
        kill_all(
            planted, planted.north, the_kills(1, INSIDE_PLANTED_SECONDS)[AT_START:], ahead_of_the_objects
        )
    # It is not found by the next round either: what lies before the bookmark is never asked for again.
    work_once(planted.worker)
    assert ahead_of_the_objects(planted)


def test_control_a_batch_settled_before_its_answer_is_found_missing(pushing):
    planted = Exchange(pushing.worker, pushing.north, pushing.south, "tests.torture.planted_settlement")
    with pytest.raises(AssertionError, match="after kill"):
        kill_all(
            planted, planted.south, the_kills(2, INSIDE_PLANTED_SECONDS)[AT_START:], settled_but_not_there
        )
