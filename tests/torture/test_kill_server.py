"""The server is killed with SIGKILL under load: nothing acknowledged is lost, no envelope is halved.

    KILLS=200 python -m pytest tests/torture/test_kill_server.py

kills it so often instead of twenty times. The load: clients that post envelopes of many sizes, and a partner
that pushes and pulls without a pause. Half of the kills come just after a request was sent, the others at a
drawn moment; most take all of the server, some only its one worker process, or only the process over it.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa

from node import clock
from node.access import accounts, tokens
from node.exchange.door import Door
from node.store import catalog
from node.store.database import Database
from node.sync import worker
from node.sync.client import Partner
from node.taxii.protocol import MEDIA_TYPE
from node.web import prepare
from tests.bench.live import children
from tests.support.builders import NORTH_ID, SOUTH_ID, an_id, an_indicator
from tests.support.forking import ROOT, Child, Mother, a_mother
from tests.support.real_nodes import PAST, RealNode, bring, two_real_nodes
from tests.support.served import INDICATORS, an_envelope, basic
from tests.torture.killing import EVERY_REAL, HISTORY, KEYS, KILLS, count, in_time, keys, one

pytestmark = pytest.mark.timeout(300 + 10 * KILLS)

CLIENTS, MOST_OBJECTS = 4, 200 if KILLS > 20 else 40
BROUGHT = 10  # by the pusher's own people, before each of its rounds
GIVEN_UP = 0.3  # of what was not acknowledged is not posted again
MOST_ACKS, INSIDE_SECONDS = 4, 0.03
PARTS = {"all": 0.8, "worker": 0.1, "over it": 0.1}
LOOK_SECONDS, PATIENCE_SECONDS = 0.005, 60

_ARRIVALS = sa.text("select kind, counts from arrival")
_INTEGRITY = sa.text("pragma integrity_check")


@dataclass
class Books:
    """What the clients know: envelopes by what became of them, each as the names of its objects."""

    acknowledged: list[Sequence[str]] = field(default_factory=list)
    unknown: list[Sequence[str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class Load:
    """Clients and a partner, at work as long as the server is there.

    Args:
        north, south: The partner, and the node that is killed.
        token: Of a SOC account at south that writes.
    """

    def __init__(self, north: RealNode, south: RealNode, token: str) -> None:
        self.north, self.south, self.token = north, south, token
        self.books, self.up, self.sent, self.over = Books(), threading.Event(), threading.Event(), False
        self._threads = [threading.Thread(target=self._client, args=(n,)) for n in range(CLIENTS)]
        self._threads.append(threading.Thread(target=self._partner))

    @contextmanager
    def running(self) -> Iterator[None]:
        """At work for the length of a block; then what is under way comes to its end."""
        for each in self._threads:
            each.start()
        try:
            yield
        finally:
            self.over = True
            self.up.set()
            for each in self._threads:
                each.join()

    def _client(self, number: int) -> None:
        chance = random.Random(f"client {number}")
        made, again = 0, None
        while not self.over:
            self.up.wait()
            size = chance.randint(1, MOST_OBJECTS)
            names = again or [f"{number} {made + each}" for each in range(size)]
            made += 0 if again else size
            again = None
            if self._posted(names):
                self.books.acknowledged.append(names)
            elif chance.random() < GIVEN_UP:
                self.books.unknown.append(names)
            else:
                again = names
                time.sleep(LOOK_SECONDS)
        if again:
            self.books.unknown.append(again)

    def _posted(self, names: Sequence[str]) -> bool:
        line = http.client.HTTPConnection("127.0.0.1", self.south.port, timeout=PATIENCE_SECONDS)
        headers = {
            "Accept": MEDIA_TYPE,
            "Content-Type": MEDIA_TYPE,
            "Authorization": basic("soc", self.token),
        }
        bodies = [an_indicator(each, author=SOUTH_ID, **DATED) for each in names]
        try:
            line.request(
                "POST", f"/api/collections/{INDICATORS}/objects/", an_envelope(bodies), headers=headers
            )
            self.sent.set()
            answer = line.getresponse()
            said = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            return False
        finally:
            line.close()
        if answer.status != 202 or said["success_count"] != len(names):
            self.books.wrong.append(f"{answer.status}: {said}")
        return True

    def _partner(self) -> None:
        with self.north.opened() as database:
            door = prepare(self.north.settings, database)
            brought = 0
            while not self.over:
                self.up.wait()
                bodies = [
                    an_indicator(f"north {brought + each}", author=NORTH_ID, **DATED)
                    for each in range(BROUGHT)
                ]
                bring(self.north, bodies)
                brought += BROUGHT
                one_round(self.north, door)


DATED = {"created": PAST, "modified": PAST, "valid_from": PAST, "tlp": "green"}


def one_round(node: RealNode, door: Door) -> list[object]:
    """One round of all links; what moved, or the errors."""
    (binding,) = node.settings.partners
    reports = worker.sync_once(
        door,
        door.links,
        lambda _name: Partner(binding, now=clock.now),
        holder="torture",
        now=clock.now,
        pause=lambda _seconds: False,
    )
    return [report.error or report.moved for report in reports]


class Server:
    """South's server, begun and killed again and again."""

    def __init__(self, south: RealNode, mother: Mother) -> None:
        self.south, self.mother = south, mother
        self.ready: list[float] = []
        self._process: Child | subprocess.Popen[bytes] | None = None

    def begin(self, *, real: bool) -> None:
        """Begin it, and wait until it answers."""
        started = time.monotonic()
        arguments = ["serve", "--config", str(self.south.config)]
        if real:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "node", *arguments],
                stderr=subprocess.DEVNULL,
                cwd=ROOT,
                start_new_session=True,
            )
        else:
            self._process = self.mother.begin("node", arguments)
        while not self._answers():
            assert self._process.poll() is None, self._process
            assert time.monotonic() < started + PATIENCE_SECONDS, "the server does not answer"
            time.sleep(LOOK_SECONDS)
        if real:
            self.ready.append(time.monotonic() - started)

    def kill(self, part: str) -> None:
        """Kill it, or a part of it, of which the rest ends by itself."""
        assert self._process is not None
        pid = self._process.pid
        workers = children(pid)
        assert workers
        if part == "worker":
            os.kill(workers[0], signal.SIGKILL)
        elif part == "over it":
            os.kill(pid, signal.SIGKILL)
        else:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        self._process.wait()
        until = time.monotonic() + in_time()
        while self._answers() and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
        assert not self._answers(), f"after {part} was killed, the rest goes on"
        self._process = None

    def end(self) -> None:
        """Whatever runs still."""
        if self._process is not None and self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _answers(self) -> bool:
        line = http.client.HTTPConnection("127.0.0.1", self.south.port, timeout=PATIENCE_SECONDS)
        try:
            line.request("GET", "/taxii2/")
            return line.getresponse().status < 500
        except (OSError, http.client.HTTPException):
            return False
        finally:
            line.close()


def ids(names: Sequence[str]) -> set[str]:
    """The ids of posted objects."""
    return {an_id("indicator", name) for name in names}


def harm(south: RealNode, books: Books) -> list[str]:
    """What was lost, what was halved, and what is broken."""
    with south.opened() as database:
        held = {str(row[0]) for row in keys(database, KEYS)}
        with database.reading() as tx:
            found = [f"broken: {row[0]}" for row in tx.rows(_INTEGRITY) if row[0] != "ok"]
    found += [f"{names} is lost" for names in list(books.acknowledged) if not ids(names) <= held]
    found += [
        f"{names} is halved" for names in list(books.unknown) if 0 < len(ids(names) & held) < len(names)
    ]
    return found + books.wrong


def applied(database: Database) -> dict[str, dict[str, int]]:
    """What became of everything that arrived, by the way it came."""
    found: dict[str, dict[str, int]] = {}
    with database.reading() as tx:
        for kind, counts in tx.rows(_ARRIVALS):
            by_kind = found.setdefault(str(kind), {})
            for name, number in json.loads(counts).items():
                by_kind[name] = by_kind.get(name, 0) + number
    return found


@pytest.fixture
def load(_sqlite_template: Path, tmp_path: Path):
    """Clients of south, and north, which pushes what is its own and pulls what south has."""
    north, south = two_real_nodes(
        _sqlite_template,
        tmp_path,
        giver=("north", "south"),
        carry={"north": "push", "south": "pull"},
        page_size=100,
    )
    with south.opened() as database, database.writing() as tx:
        at = clock.now()
        accounts.add_account(
            tx, "soc", actor="os:test", now=at, clearance=4, audience=(), partner="", expires=None
        )
        token, _ = tokens.issue_token(tx, account="soc", actor="os:test", now=at)
        where = catalog.find_collection(tx, "indicators")
        assert where is not None
        accounts.allow(tx, "soc", where.collection_id, read=True, write=True, actor="os:test", now=at)
    return Load(north, south, token)


def kill_again_and_again(load: Load, server: Server, looked: Callable[[int], None]) -> None:
    """Begin the server, and kill it under load, as often as wanted."""
    chance = random.Random(3)
    for number in range(KILLS):
        server.begin(real=number % EVERY_REAL == 0)
        before = len(load.books.acknowledged)
        load.up.set()
        wanted, until = before + chance.randint(0, MOST_ACKS), time.monotonic() + PATIENCE_SECONDS
        while len(load.books.acknowledged) < wanted:
            assert time.monotonic() < until, "the work does not get on"
            time.sleep(0.001)
        if chance.random() < 0.5:
            load.sent.clear()
            assert load.sent.wait(PATIENCE_SECONDS)
            time.sleep(chance.uniform(0, INSIDE_SECONDS / 5))
        else:
            time.sleep(chance.uniform(0, INSIDE_SECONDS))
        load.up.clear()
        (part,) = chance.choices(list(PARTS), list(PARTS.values()))
        server.kill(part)
        looked(number)


def test_a_server_killed_anywhere_loses_and_halves_nothing_and_is_ready_again_in_seconds(load, tell):
    """T1."""

    def looked(number: int) -> None:
        if number % 2:  # after the others it is the server itself that finds what was left
            assert harm(load.south, load.books) == [], f"after kill {number}"

    with a_mother() as mother:
        server = Server(load.south, mother)
        try:
            with load.running():
                kill_again_and_again(load, server, looked)
                server.begin(real=True)
            assert harm(load.south, load.books) == []
            assert max(server.ready) < in_time()
            converged(load)
        finally:
            server.end()
    sizes = len(load.books.acknowledged), len(load.books.unknown)
    tell(
        f"server: {KILLS} kills, {sizes[0]} envelopes acknowledged and {sizes[1]} not, 0 lost, 0 halved,"
        f" ready in {max(server.ready):.2f} s at most"
    )


def converged(load: Load) -> None:
    """What the partner pushes and pulls is the same on both sides, and was applied once."""
    with load.north.opened() as here, load.south.opened() as there:
        door = prepare(load.north.settings, here)
        while one_round(load.north, door) != [0, 0]:
            pass
        assert keys(here, KEYS) == keys(there, KEYS)
        assert one(there, HISTORY) == one(here, HISTORY) == 0
        taken, brought = applied(there), applied(here)
        assert taken["push"] == {"stored": brought["import"]["stored"]}
        assert taken["push"]["stored"] + taken["post"]["stored"] == count(there)
        assert brought["pull"] == {"stored": taken["post"]["stored"]}
