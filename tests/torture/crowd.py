"""A crowd of processes on one collection: writers that let objects in, readers that follow them.

    python -m tests.torture.crowd PLAN.json

Each process opens the database for itself, after it began. A writer does what a POST does (`ingress.admit`
under the collection's lock); a reader does what a client does, through `egress.read_collection`: it goes
on by `next` or by `added_after` as it pleases, with pages of any size, and repeats requests. Or it reads as
a partner does, through `egress.read_feed`, and every reader advances the one feed. When all writers have
ended, the readers read to the end. One line of JSON for each reader says what it saw.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from node import clock
from node.clock import parse_taxii_time, taxii_time
from node.exchange import ingress
from node.exchange.door import Door
from node.exchange.egress import Page, Reader, read_collection, read_feed
from node.exchange.ingress import Source
from node.exchange.selection import Selection, Versions
from node.sharing.links import PartnerBinding, derive_links, parties_of
from node.store import catalog
from node.store.catalog import Collection
from node.store.database import Database, Tx
from node.taxii import cursors
from node.taxii.cursors import Scope
from tests.support.agreements import an_agreement
from tests.support.builders import an_id, an_indicator
from tests.support.nodes import OUT
from tests.support.real_nodes import ENDS, PAST, STARTS

MOST_IN_BATCH = 6
REPEATS = 0.2
IDLE_SECONDS = 0.01
SECRET = b"a key of the crowd's own, as long"


@dataclass(frozen=True)
class Plan:
    """What the crowd does.

    Args:
        url: Of a database with a collection `indicators`.
        folder: For the readers' reports.
        writers, readers: Processes.
        batches: Transactions of each writer, with one to six objects.
        outside: The fault of the control: dates are taken before the lock is, as many servers do.
        feed: The readers read the feed to a partner, not the collection.
    """

    url: str
    folder: str
    writers: int = 16
    readers: int = 4
    batches: int = 20
    outside: bool = False
    feed: bool = False
    seed: int = 1

    def sizes(self, writer: int) -> list[int]:
        """How many objects each transaction of a writer brings."""
        chance = random.Random(f"{self.seed} {writer}")
        return [chance.randint(1, MOST_IN_BATCH) for _ in range(self.batches)]

    def ids(self) -> set[str]:
        """Every id that the writers bring."""
        return {
            an_id("indicator", f"{writer} {number}")
            for writer in range(self.writers)
            for number in range(sum(self.sizes(writer)))
        }


@dataclass(frozen=True)
class Seen:
    """What one reader saw: objects read, and what must all be none."""

    read: int
    missing: int
    repeated: int
    disordered: int
    unsteady: int
    requests: int


TERMS = {"starts": STARTS, "ends": ENDS, "review_on": None}
"""Of the node's agreement with south, which holds whenever a test runs."""


def the_door(database: Database) -> Door:
    """North's door; its one partner is south, to which all that the writers bring may go."""
    bindings = [PartnerBinding("south", agreements=(an_agreement(**TERMS),))]
    parties = parties_of("north", bindings, (), ())
    return Door(database, parties, derive_links("north", bindings, parties))


def a_body(writer: int, number: int) -> bytes:
    """One of a writer's objects."""
    name = f"{writer} {number}"
    return an_indicator(name, created=PAST, modified=PAST, valid_from=PAST, tlp="green")


def write(plan: Plan, writer: int) -> None:
    """Bring the objects of one writer."""
    database = Database(plan.url)
    door = the_door(database)
    number = 0
    for size in plan.sizes(writer):
        bodies = [a_body(writer, each) for each in range(number, number + size)]
        number += size
        if plan.outside:
            _admit_outside(door, bodies, writer)
        else:
            _admit(door, bodies)
        ingress.afterwards(door, now=clock.now())
    database.close()


def _admit(door: Door, bodies: list[bytes]) -> None:
    def work(tx: Tx) -> None:
        collection = catalog.lock(tx, 1)
        _store(tx, door, collection, bodies, now=clock.now())

    door.database.retrying(work)


def _admit_outside(door: Door, bodies: list[bytes], writer: int) -> None:
    # Dates of their own for each writer: the fault is their order, not that two are the same.
    early = clock.now() // 1_000 * 1_000 + writer * 2 * MOST_IN_BATCH

    def take_dates(tx: Tx, collection_id: int, count: int, *, now: int) -> list[int]:
        return [now + each for each in range(count)]

    def work(tx: Tx) -> None:
        collection = catalog.find_collection(tx, "indicators")
        assert collection is not None
        _store(tx, door, collection, bodies, now=early)

    catalog.take_dates = take_dates
    door.database.retrying(work)


def _store(tx: Tx, door: Door, collection: Collection, bodies: list[bytes], *, now: int) -> None:
    source = Source("post", "account:crowd")
    report = ingress.admit(tx, door, collection, bodies, source, arrival_id=None, now=now)
    assert report.counts == {"stored": len(bodies)}, report


def read(plan: Plan, number: int) -> None:
    """Follow the collection to its end and report."""
    database = Database(plan.url)
    page_of = _feed_pages(database) if plan.feed else _collection_pages(database)
    chance = random.Random(f"{plan.seed} reader {number}")
    versions = Versions(every=True) if number % 2 else Versions()
    dates: list[int] = []
    ids: list[str] = []
    unsteady = requests = 0
    after: int | None = None
    while True:
        ended = done_file(plan).exists()
        selection = Selection(chance.choice([1, 3, 20, 200]), after=after, versions=versions)
        page = page_of(selection)
        requests += 1
        if chance.random() < REPEATS:
            again = page_of(selection)
            requests += 1
            unsteady += again.records[: len(page.records)] != page.records
        dates += [record.added for record in page.records]
        ids += [record.stix_id for record in page.records]
        if page.records:
            after = _onward(page, chance)
        elif ended:
            break
        else:
            time.sleep(IDLE_SECONDS)
    database.close()
    seen = Seen(
        read=len(ids),
        missing=len(plan.ids() - set(ids)),
        repeated=len(ids) - len(set(ids)),
        disordered=sum(later <= earlier for earlier, later in itertools.pairwise(dates)),
        unsteady=unsteady,
        requests=requests,
    )
    (Path(plan.folder) / f"reader-{number}.json").write_text(json.dumps(asdict(seen)), encoding="utf-8")


def _collection_pages(database: Database) -> Callable[[Selection], Page]:
    def page_of(selection: Selection) -> Page:
        with database.reading() as tx:
            collection = catalog.find_collection(tx, "indicators")
            assert collection is not None
            return read_collection(tx, collection, Reader(4, ()), selection, bodies=True)

    return page_of


def _feed_pages(database: Database) -> Callable[[Selection], Page]:
    door = the_door(database)
    link = door.link(OUT)
    assert link is not None

    def page_of(selection: Selection) -> Page:
        return read_feed(door, link, selection, now=clock.now(), bodies=True)

    return page_of


def _onward(page: Page, chance: random.Random) -> int:
    """Where the next request starts: by the position in `next`, or by the text of a date."""
    last = page.records[-1].added
    if page.more and chance.random() < 0.5:
        scope = Scope("indicators", "epoch", b"", "4")
        return cursors.read_next(cursors.make_next(last, scope, SECRET), scope, SECRET)
    return parse_taxii_time(taxii_time(last))


def done_file(plan: Plan) -> Path:
    """There when all writers have ended."""
    return Path(plan.folder) / "done"


def begin(work: Callable[[Plan, int], None], plan: Plan, number: int) -> int:
    """The id of a process of its own for some work."""
    process = os.fork()
    if process:
        return process
    try:
        work(plan, number)
    except BaseException:  # noqa: BLE001  a forked process must end here, whatever happened
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def end(process: int) -> None:
    """Wait for a process, which must have done its work."""
    _, status = os.waitpid(process, 0)
    assert status == 0, f"process {process} ended with {status}"


def run(plan: Plan) -> list[Seen]:
    """What each reader saw."""
    readers = [begin(read, plan, number) for number in range(plan.readers)]
    writers = [begin(write, plan, number) for number in range(plan.writers)]
    for process in writers:
        end(process)
    done_file(plan).touch()
    for process in readers:
        end(process)
    reports = [Path(plan.folder) / f"reader-{number}.json" for number in range(plan.readers)]
    return [Seen(**json.loads(report.read_text(encoding="utf-8"))) for report in reports]


if __name__ == "__main__":
    chosen = Plan(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    sys.stdout.write("".join(json.dumps(asdict(each)) + "\n" for each in run(chosen)))
