"""A worker is killed with SIGKILL, at drawn instants of its work; what it noted is held against what crossed.

The instants are drawn once and spread over the work: some while the program starts, the others when a drawn
number of objects has crossed, and a drawn moment later, so that they fall anywhere inside a page or a batch.
Most of the killed programs are copies of a loaded one (`support.forking`), which costs a tenth; those that
are killed while they start, and those whose start is measured, begin as an operator begins them.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from node.clock import parse_taxii_time
from node.store.database import Database
from tests.support.forking import Child, Mother
from tests.support.real_nodes import RealNode, begin_work

KILLS = int(os.environ.get("KILLS", "20"))
AT_START = 3
EVERY_REAL = 20  # of the kills, one finds a program that was begun as an operator begins it
EACH = 100  # objects between two kills
OBJECTS = KILLS * EACH
PAGE_SIZE = 25
MOST_BYTES = 12_000  # some twenty objects in a batch
LAST_KILL_AT = 0.9  # of the work, so that no run ends before its kill
START_SECONDS = 0.7  # the program needs about that long before its first request
INSIDE_SECONDS = 0.015  # a page or a batch takes about that long
INSIDE_PLANTED_SECONDS = 0.15  # the planted faults hold their gap open for 0.1
READY_SECONDS = 5.0
PATIENCE_SECONDS = 60

COUNT = sa.text('select count(*) from "object"')
KEYS = sa.text('select stix_id, version, digest from "object"')
HISTORY = sa.text("select count(*) from object_history")
SENT = sa.text("select sent from session_out")
HAVE = sa.text("select have from session_in")
_BOOKMARK = sa.text("select added_after from bookmark")
_OFFERED = sa.text("select stix_id, version, digest from feed_row where offered_at <= :until and state < 9")
_SETTLED = sa.text("select stix_id, version, digest from feed_row where state = 2")
_END_WAITING = sa.text("update link set next_try = null")
_ARRIVALS = sa.text("select kind, counts from arrival")

Rows = set[tuple[object, ...]]


@dataclass
class Exchange:
    """Who works and is killed (north), and the databases of both sides.

    Args:
        mother: Of what is killed.
        module: What is killed; a control puts another one in place of the program.
        ready: Seconds from a real start to the first object that crossed.
    """

    worker: RealNode
    north: Database
    south: Database
    mother: Mother
    module: str = "node"
    ready: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Kill:
    """One instant: when so many objects are there, and so many seconds later."""

    objects: int
    seconds: float
    real: bool = False


def the_kills(seed: int, inside: float = INSIDE_SECONDS) -> list[Kill]:
    """The instants of one run."""
    chance = random.Random(seed)
    early = [Kill(0, chance.uniform(0.05, START_SECONDS), real=True) for _ in range(AT_START)]
    reached = sorted(chance.sample(range(1, int(OBJECTS * LAST_KILL_AT)), KILLS - AT_START))
    return early + [
        Kill(number, chance.uniform(0, inside), real=place % EVERY_REAL == EVERY_REAL - 1)
        for place, number in enumerate(reached)
    ]


def end_waiting(database: Database) -> None:
    """No link waits after a failure; the lease of the worker that was killed is left to the next one."""
    with database.writing() as tx:
        tx.run(_END_WAITING)


def keys(database: Database, statement: sa.TextClause, **values: object) -> Rows:
    """The rows of a statement."""
    with database.reading() as tx:
        return set(tx.rows(statement, **values))


def one(database: Database, statement: sa.TextClause) -> object:
    """The one value of a statement; None without a row."""
    with database.reading() as tx:
        row = tx.row(statement)
    return None if row is None else row[0]


def count(database: Database) -> int:
    """How many versions lie there."""
    return int(str(one(database, COUNT)))


def ahead_of_the_objects(exchange: Exchange) -> Rows:
    """What the partner's feed has up to north's bookmark and north does not hold."""
    mark = one(exchange.north, _BOOKMARK)
    if mark is None:
        return set()
    offered = keys(exchange.south, _OFFERED, until=parse_taxii_time(str(mark)))
    assert offered  # a bookmark before the first object would be one that is never ahead
    return offered - keys(exchange.north, KEYS)


def settled_but_not_there(exchange: Exchange) -> Rows:
    """What north counts as done and south does not hold."""
    return keys(exchange.north, _SETTLED) - keys(exchange.south, KEYS)


def kill_worker(exchange: Exchange, taker: Database, kill: Kill) -> bool:
    """Whether the worker was still at work when it was killed."""
    before, started = count(taker), time.monotonic()
    process = begun(exchange, real=kill.real)
    try:
        until, moved = started + PATIENCE_SECONDS, 0.0
        wanted = max(kill.objects, before + 1) if kill.objects else 0  # it may be there from before
        while process.poll() is None and (there := count(taker)) < wanted:
            assert time.monotonic() < until, "the work does not get on"
            if there > before and not moved:
                moved = time.monotonic() - started
            time.sleep(0.002)
        if kill.real and moved:
            exchange.ready.append(moved)
        time.sleep(kill.seconds)
        landed = process.poll() is None
    finally:
        process.kill()
        said = process.said() if isinstance(process, Child) else process.communicate()[1]
    assert landed or process.returncode == 0, said
    end_waiting(exchange.north)
    return landed


def begun(exchange: Exchange, *, real: bool) -> Child | subprocess.Popen[str]:
    """`stixnode work --once` of the worker's node."""
    if real:
        return begin_work(exchange.worker, exchange.module)
    arguments = ["work", "--once", "--json", "--config", str(exchange.worker.config)]
    return exchange.mother.begin(exchange.module, arguments)


def kill_all(
    exchange: Exchange, taker: Database, kills: Sequence[Kill], wrong: Callable[[Exchange], Rows]
) -> int:
    """The number of kills that found the worker at work; nothing was wrong after any."""
    landed = 0
    for number, kill in enumerate(kills, 1):
        landed += kill_worker(exchange, taker, kill)
        assert wrong(exchange) == set(), f"after kill {number}, {kill}"
    return landed


def finish(exchange: Exchange, taker: Database) -> None:
    """Let the work be done; the program is ready within seconds, and then there is nothing more to do."""
    before, started = count(taker), time.monotonic()
    last = begun(exchange, real=True)
    assert isinstance(last, subprocess.Popen)
    while last.poll() is None and count(taker) == before:
        time.sleep(0.002)
    exchange.ready.append(time.monotonic() - started)
    out, said = last.communicate(timeout=PATIENCE_SECONDS)
    assert last.returncode == 0, out + said
    quiet = begun(exchange, real=False)
    assert isinstance(quiet, Child)
    assert quiet.wait() == 0, quiet.said()
    (summary,) = [line for line in map(json.loads, quiet.out().splitlines()) if line["type"] == "summary"]
    assert summary["moved"] == 0
    assert max(exchange.ready) < in_time()


def in_time() -> float:
    """Seconds within which a program must be ready: more where others have this machine, too."""
    return READY_SECONDS * max(1.0, max(os.getloadavg()) / (os.cpu_count() or 1))


def outcomes(taker: Database) -> dict[str, int]:
    """What became of everything that ever arrived from elsewhere, by the arrivals."""
    found: dict[str, int] = {}
    with taker.reading() as tx:
        for kind, counts in tx.rows(_ARRIVALS):
            if kind != "import":
                for name, number in json.loads(counts).items():
                    found[name] = found.get(name, 0) + number
    return found


def applied_once(taker: Database, objects: int) -> None:
    """Everything is there, and was stored once; what came again would be a duplicate, and none did."""
    assert count(taker) == objects
    assert one(taker, HISTORY) == 0
    assert outcomes(taker) == {"stored": objects}


def told(what: str, exchange: Exchange, landed: int) -> str:
    """The figures of one run."""
    longest = max(exchange.ready)
    return f"{what}: {landed} kills found it at work, 0 lost, 0 twice, ready in {longest:.2f} s at most"
