"""Writers and readers on one collection: every page that came from memory is held against the database.

    python -m tests.torture.paging PLAN.json

Two processes write, as people and imports do: further objects, newer and older versions, restated bytes,
deletions, stricter versions of the same ids in another collection. Two others read through the real
application, each with two threads that share one memory of pages. After each page that came from memory the
same is asked of the database alone; it counts where nothing was written meanwhile, which the gate tells. One
line of JSON for each reading process says what it found.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from flask import Flask

from node import clock
from node.access import gate
from node.exchange import ingress
from node.exchange.ingress import Source
from node.store import catalog
from node.store.database import Database, Tx
from node.taxii.cache import Key, Sheet, Sheets
from node.taxii.face import EXTENSION
from tests.support.builders import an_id, an_indicator
from tests.support.real_nodes import PAST
from tests.support.served import Client, a_served
from tests.torture.crowd import begin, end, the_door

WRITING, READING, PAUSE = 2, 2, 0.004
LEVELS = ("clear", "green", "amber", "red")
QUESTIONS = (
    "limit=3",
    "limit=20",
    "",
    "limit=5&match[version]=all",
    "limit=5&match[version]=first",
    "limit=4&match[type]=indicator,malware",
)
FAULTS = ("", "generations", "position")
"""What memory forgets: nothing, or in the controls the generations or the last position."""


@dataclass(frozen=True)
class Plan:
    """What is done.

    Args:
        url: Of a database with the collections `indicators` and `techniques`, and readers' accounts.
        folder: For the configuration.
        names, tokens: The accounts, one for each thread of a process.
        writes: Transactions of each writer.
        ids: How many ids they write about.
        fault: One of `FAULTS`.
    """

    url: str
    folder: str
    names: Sequence[str]
    tokens: Sequence[str]
    writes: int = 50
    ids: int = 25
    fault: str = ""
    seed: int = 1


@dataclass
class Found:
    """What one reading process found: pages from memory that were compared, and those that were wrong."""

    compared: int = 0
    wrong: int = 0
    disturbed: int = 0
    examples: tuple[str, ...] = ()


class Remembering(Sheets):
    """A memory that says whether this thread's last page came from it, and may forget part of the key."""

    def __init__(self, fault: str) -> None:
        super().__init__(1 << 22)
        self._fault = fault
        self.last = threading.local()

    def find(self, key: Key, newest: int) -> Sheet | None:
        """The page, if it is remembered."""
        held = self._sheets.get(self._short(key))
        found = super().find(
            self._short(key), held.newest if held is not None and self._fault == "position" else newest
        )
        self.last.hit = found is not None
        return found

    def keep(self, key: Key, sheet: Sheet) -> None:
        """Remember it."""
        super().keep(self._short(key), sheet)

    def _short(self, key: Key) -> Key:
        return key._replace(rewritten=0, superseded=0) if self._fault == "generations" else key


def write(plan: Plan, writer: int) -> None:
    """Write as people and imports do, in no order."""
    database = Database(plan.url)
    door = the_door(database)
    chance = random.Random(f"{plan.seed} {writer}")
    with database.reading() as tx:
        found = {one.alias: one.collection_id for one in catalog.collections(tx)}
    for number in range(plan.writes):
        name = chance.randrange(plan.ids)
        where = found["techniques" if chance.random() < 0.2 else "indicators"]
        changes: dict[str, object] = {"tlp": chance.choice(LEVELS)}
        if chance.random() < 0.3:
            changes["description"] = f"{writer} {number}"
        if chance.random() < 0.6:
            changes["modified"] = f"2024-03-01T09:{chance.randrange(60):02}:{chance.randrange(60):02}.000Z"
        body = an_indicator(name, **{"created": PAST, "modified": PAST, "valid_from": PAST, **changes})
        deletes = chance.random() < 0.25

        def work(
            tx: Tx, where: int = where, body: bytes = body, name: int = name, deletes: bool = deletes
        ) -> None:
            collection = catalog.lock(tx, where)
            now = clock.now()
            if deletes:
                ingress.remove(
                    tx,
                    door,
                    collection,
                    an_id("indicator", name),
                    versions=None,
                    spec_versions=None,
                    actor="os:crowd",
                    now=now,
                )
            else:
                source = Source("import", "os:crowd", restate=True)
                ingress.admit(tx, door, collection, [body], source, arrival_id=None, now=now)

        database.retrying(work)
        if chance.random() < 0.5:  # whoever comes next works in what this one left
            ingress.afterwards(door, now=clock.now())
        time.sleep(chance.random() * PAUSE)
    ingress.afterwards(door, now=clock.now())
    database.close()


def read(plan: Plan) -> Found:
    """Ask the same again and again until the writers have ended, and once more."""
    database = Database(plan.url)
    folder = Path(tempfile.mkdtemp(dir=plan.folder))
    served = a_served(database, folder, definitions=())
    sheets = Remembering(plan.fault)
    apps = {True: served.app, False: a_served(database, folder, definitions=()).app}
    _fit(apps[True], sheets)
    _fit(apps[False], Sheets(0))
    found = Found()
    threads = [
        threading.Thread(target=_read_on, args=(plan, number, database, apps, sheets, found))
        for number in range(len(plan.names))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    database.close()
    return found


def _fit(app: Flask, sheets: Sheets) -> None:
    app.extensions[EXTENSION] = replace(app.extensions[EXTENSION], sheets=sheets, now=clock.now)


_counting = threading.Lock()


def _read_on(
    plan: Plan,
    number: int,
    database: Database,
    apps: dict[bool, Flask],
    sheets: Remembering,
    found: Found,
) -> None:
    chance = random.Random(f"{plan.seed} {os.getpid()} {number}")
    clients = {kept: Client(app, plan.names[number], plan.tokens[number]) for kept, app in apps.items()}
    while True:
        last = _done(plan).exists()
        for question in QUESTIONS:
            kind = chance.choice(("objects", "manifest"))
            path = f"indicators/{kind}/?{question}"
            before = _state(database)
            remembered = clients[True].send("GET", path)
            if not sheets.last.hit:
                continue
            true = clients[False].send("GET", path)
            same = (remembered.status_code, remembered.data) == (true.status_code, true.data)
            steady = before == _state(database)
            with _counting:
                found.compared += steady
                found.disturbed += not steady
                if steady and not same:
                    found.wrong += 1
                    found.examples = (*found.examples, path)[:3]
        if last:
            return


def _state(database: Database) -> tuple[object, ...]:
    with database.reading() as tx:
        now = gate.read(tx, "indicators", "")
    assert now.collection is not None
    one = now.collection
    # With a task that waits, rows may change place by place while it is worked in.
    return now.instance, now.ranking, one.last_added, one.rewritten, one.superseded


def run(plan: Plan) -> list[Found]:
    """What each reading process found."""
    readers = [begin(_report, plan, number) for number in range(READING)]
    writers = [begin(write, plan, number) for number in range(WRITING)]
    for process in writers:
        end(process)
    _done(plan).touch()
    for process in readers:
        end(process)
    return [Found(**json.loads(_report_of(plan, number).read_text())) for number in range(READING)]


def _report(plan: Plan, number: int) -> None:
    _report_of(plan, number).write_text(json.dumps(asdict(read(plan))), encoding="utf-8")


def _report_of(plan: Plan, number: int) -> Path:
    return Path(plan.folder) / f"found-{number}.json"


def _done(plan: Plan) -> Path:
    """There when all writers have ended."""
    return Path(plan.folder) / "done"


if __name__ == "__main__":
    chosen = Plan(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    sys.stdout.write("".join(json.dumps(asdict(each)) + "\n" for each in run(chosen)))
