"""Told to stop, a worker ends within five seconds, wherever it is; and one slow partner delays no other."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest
import sqlalchemy as sa

from node import clock
from node.exchange import links
from node.exchange.door import Door
from node.sharing.links import PartnerBinding, derive_links, parties_of
from node.store import catalog
from node.sync import rounds, worker
from node.sync.client import Partner
from node.sync.worker import Worker
from tests.support.agreements import MITRE, a_flow, a_party, an_agreement
from tests.support.builders import an_indicator
from tests.support.partner import COLLECTION, Canned, simulated_partner
from tests.support.real_nodes import ROOT, RealNode, an_agreement_of_today, found_real_node

FIVE_SECONDS = 5.0
THEIRS = [
    an_indicator(n, created="2024-03-01T08:00:00.000Z", modified="2024-03-01T08:00:00.000Z") for n in range(4)
]
_LEASES = sa.text("select count(*) from lease")
_FAILURES = sa.text("select failures from link where name = 'west/indicators/in'")


def until(done: Callable[[], bool]) -> bool:
    for _ in range(3_000):
        if done():
            return True
        time.sleep(0.01)
    return False


class Running:
    """A worker in threads of this process."""

    def __init__(self, it: Worker) -> None:
        self.it = it
        self.thread = threading.Thread(target=it.run)
        self.thread.start()

    def end(self) -> float:
        """Stop it; how many seconds that took."""
        began = time.monotonic()
        self.it.stop()
        self.thread.join(30)
        assert not self.thread.is_alive()
        return time.monotonic() - began


def a_worker(receiver, **changes) -> Worker:
    usual = {"open_client": lambda _name: receiver.client(), "holder": "test", "now": clock.now}
    return Worker(receiver.door, **{**usual, "tick_seconds": 0.02, **changes})


def dripping_headers(out) -> None:
    out.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(200):
        out.write(b"X-%d: 1\r\n" % number)
        out.flush()
        time.sleep(0.05)


def in_the_middle(west, kind: str) -> Callable[[], bool]:
    """Let a partner keep a pull or push waiting; whether it does by now."""
    if kind == "back-off":
        west.answer = lambda _asked: Canned(503)
        return lambda: len(west.requests) >= 1
    if kind == "a status that stays pending":
        west.post_style = "pending"
        return lambda: west.polls >= 1
    if kind == "a page ahead":
        west.hold(*THEIRS)
        west.page_most = 1
        usual = west.answer
        west.answer = lambda asked: usual(asked) if len(west.pages_asked()) < 3 else Canned(how="silent")
        return lambda: len(west.pages_asked()) == 3
    if kind == "pages without end":
        west.next_style = "endless"
        return lambda: len(west.pages_asked()) >= 5
    answers = {
        "no answer": Canned(how="silent"),
        "headers that drip": Canned(raw=dripping_headers),
        "a body that drips": Canned(body=b" " * 5_000, how="drip"),
    }
    west.answer = lambda _asked: answers[kind]
    return lambda: len(west.requests) >= 1


WAITING = (
    "no answer",
    "headers that drip",
    "a body that drips",
    "back-off",
    "a status that stays pending",
    "a page ahead",
    "pages without end",
)


@pytest.mark.parametrize("kind", WAITING)
def test_a_worker_that_waits_for_a_partner_ends_at_once_and_leaves_nothing_behind(north, west, caplog, kind):
    reached = in_the_middle(west, kind)
    north.bring(an_indicator("ours", tlp="green"))
    running = Running(a_worker(north))
    assert until(reached)

    assert running.end() < FIVE_SECONDS
    assert "left behind" not in caplog.text
    with north.database.reading() as tx:
        assert tx.row(_LEASES) == (0,)
        assert kind == "back-off" or tx.row(_FAILURES) == (0,)


def test_control_an_interrupted_request_alone_ends_no_pull_of_many_pages(north, west, monkeypatch, caplog):
    monkeypatch.setattr(Partner, "end", lambda _self: None)
    monkeypatch.setattr(worker, "STOP_SECONDS", 0.5)
    reached = in_the_middle(west, "pages without end")
    running = Running(a_worker(north))
    assert until(reached)
    running.end()
    left = [thread for thread in threading.enumerate() if thread.name == "partner west"]
    asked = len(west.pages_asked())

    assert "left behind: partner west" in caplog.text
    assert until(lambda: len(west.pages_asked()) > asked)
    west.next_style = "none"
    west.answer = lambda _asked: Canned(503)
    assert until(lambda: not any(thread.is_alive() for thread in left))


@contextmanager
def a_full_port():
    """A port of this machine that takes no connection and refuses none."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    waiting = []
    for _ in range(4):
        one = socket.socket()
        one.setblocking(False)
        with suppress(BlockingIOError):
            one.connect(listener.getsockname())
        waiting.append(one)
    try:
        yield listener.getsockname()[1]
    finally:
        for one in (*waiting, listener):
            one.close()


def is_connecting(thread: threading.Thread) -> bool:
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and any(
        each.name == "create_connection" for each in traceback.extract_stack(frame)
    )


def threads_of(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def test_a_worker_that_hangs_in_a_connect_is_left_behind_in_time(north, monkeypatch, caplog):
    monkeypatch.setattr(worker, "STOP_SECONDS", 0.5)
    with a_full_port() as port:
        binding = replace(north.binding, api_root=f"http://127.0.0.1:{port}/api/")
        running = Running(a_worker(north, open_client=lambda _name: Partner(binding, now=north.clock)))
        assert until(lambda: any(map(is_connecting, threads_of("partner west"))))
        left = threads_of("partner west")
        assert running.end() < FIVE_SECONDS - worker.STOP_SECONDS
        assert "left behind: partner west" in caplog.text
    assert until(lambda: not any(thread.is_alive() for thread in left))
    with north.database.reading() as tx:
        assert tx.row(_FAILURES) == (0,)


def test_a_worker_that_waits_for_the_database_is_left_behind_in_time(north, west, monkeypatch, caplog):
    """Its step is stored whole or not at all; a process that ends undoes it."""
    monkeypatch.setattr(worker, "STOP_SECONDS", 0.5)
    west.hold(*THEIRS)
    with north.database.writing():
        running = Running(a_worker(north))
        assert until(lambda: len(west.pages_asked()) >= 1)
        left = threads_of("partner west")
        assert running.end() < FIVE_SECONDS - worker.STOP_SECONDS
    assert until(lambda: not any(thread.is_alive() for thread in left))
    assert north.count("object") in (0, len(THEIRS))


def test_advancing_a_long_feed_ends_between_two_steps(north, monkeypatch):
    monkeypatch.setattr(rounds, "_STEP_ROWS", 1)
    monkeypatch.setattr("node.exchange.feeds.WINDOW", 1)
    north.bring(*(an_indicator(n, tlp="green") for n in range(5)))
    answers = iter([False, False, True])
    report = rounds.serve(north.door, north.link("out"), now=north.clock(), ended=lambda: next(answers))

    assert report.entered + report.withheld == 2


def a_process(tmp_path, template, west):
    """`stixnode work` of a node that pulls from west."""
    node = RealNode("north", tmp_path / "north", 1)
    flow = a_flow("indicators", ["west"], types=["indicator"], unmarked="clear")
    parties = {"north": a_party("north"), "west": a_party("west")}
    partner = {
        "kind": "taxii",
        "agreements": ["agreement.toml"],
        "api_root": west.api_root,
        "their_ids": {"indicators": COLLECTION},
    }
    text = an_agreement_of_today(flow=[flow], party=parties, paper_signed=True)
    found_real_node(template, node, {"west": partner}, text)
    process = subprocess.Popen(
        [sys.executable, "-m", "node", "work", "--config", str(node.config)],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    return node, process


@pytest.fixture
def template(_sqlite_template):
    """A migrated database with the node's row."""
    return _sqlite_template


@pytest.mark.parametrize("kind", ["a body that drips", "back-off"])
def test_the_process_of_a_worker_ends_within_five_seconds_of_sigterm(template, tmp_path, west, kind):
    reached = in_the_middle(west, kind)
    node, process = a_process(tmp_path, template, west)
    try:
        assert until(reached)
        if kind == "back-off":
            with node.opened() as database:
                assert until(lambda: failures(database) == 1)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
        took = time.monotonic() - began
    finally:
        process.kill()
        process.communicate()  # also closes the pipe, if something above has failed

    assert took < FIVE_SECONDS, said
    assert process.returncode == 0, said
    assert "stopped" in said
    assert "left behind" not in said


def failures(database) -> int:
    with database.reading() as tx:
        return int(tx.rows(_FAILURES)[0][0])


class OneAfterTheOther(Worker):
    """The control: all partners have their turn in one thread."""

    def run(self) -> None:
        while not self.stopping.is_set():
            for partner in ("west", "south"):
                ours = [
                    link for link in self.door.links if link.partner == partner and link.direction == "in"
                ]
                with self._unbroken("rounds"):
                    self._rounds_when_due(partner, ours)


def between_two(database, west, south):
    """A door with two partners that we pull from."""
    flow = a_flow("indicators", ["west", "south"], types=["indicator"], unmarked="clear")
    parties = {name: a_party(name) for name in ("north", "west", "south")}
    agreement = an_agreement(flow=[flow], party=parties)
    bindings = [
        PartnerBinding(
            name,
            kind="taxii",
            api_root=partner.api_root,
            agreements=(agreement,),
            their_ids={"indicators": COLLECTION},
        )
        for name, partner in (("west", west), ("south", south))
    ]
    known = parties_of("north", bindings, (), (MITRE,))
    door = Door(database, known, derive_links("north", bindings, known))
    with database.writing() as tx:
        definition = catalog.Definition(alias="indicators", title="Indicators", id=COLLECTION)
        catalog.add_collection(tx, definition, epoch="epoch-1")
        links.ensure(tx, door.links)
        links.set_paused(tx, None, paused=False, reason="")
    named = {binding.name: binding for binding in bindings}
    return door, lambda name: Partner(named[name], now=clock.now)


def is_brought_beside_a_slow_partner(database, west, kind: type[Worker], patience: float) -> bool:
    """Whether what south has is here before west has said a word."""
    with simulated_partner() as south:
        south.hold(*THEIRS)
        west.answer = lambda _asked: Canned(how="silent")
        door, open_client = between_two(database, west, south)
        arrived = threading.Event()
        it = kind(
            door, open_client, "test", clock.now, tick_seconds=0.02,
            on_report=lambda report: arrived.set() if report.link == "south/indicators/in" else None,
        )  # fmt: skip
        running = threading.Thread(target=it.run)
        running.start()
        until(lambda: len(west.requests) == 1)
        found = arrived.wait(patience)
        it.stop()
        for client in list(it.clients.values()):
            client.end()
        running.join(30)
        assert len(west.requests) == 1
        return found


def test_a_slow_partner_delays_no_other(sqlite_database, west):
    assert is_brought_beside_a_slow_partner(sqlite_database, west, Worker, 30)


def test_control_partners_one_after_the_other_wait_for_the_slow_one(sqlite_database, west):
    assert not is_brought_beside_a_slow_partner(sqlite_database, west, OneAfterTheOther, 1)
