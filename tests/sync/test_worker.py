"""The worker: one at a time for a partner, nobody delayed by another, and a quick end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from node import clock
from node.errors import LockHeld
from node.exchange import links
from node.sync import leases, worker
from node.sync.leases import lease, release_lease, take_lease
from node.sync.worker import Worker, sync_once
from tests.support.builders import NOON, an_indicator
from tests.support.partner import SECOND, Canned
from tests.support.two_nodes import two_nodes

MINUTE = 60 * SECOND


def test_a_lease_has_one_holder_at_a_time(database):
    with database.writing() as tx:
        assert take_lease(tx, "partner:west", "one", now=NOON)
        assert not take_lease(tx, "partner:west", "two", now=NOON + MINUTE - 1)
        assert take_lease(tx, "partner:east", "two", now=NOON)


def test_a_lease_is_renewed_by_its_holder_and_ends_by_itself(database):
    with database.writing() as tx:
        take_lease(tx, "partner:west", "one", now=NOON)
        assert take_lease(tx, "partner:west", "one", now=NOON + MINUTE - 1)
        assert not take_lease(tx, "partner:west", "two", now=NOON + MINUTE)
        assert take_lease(tx, "partner:west", "two", now=NOON + 2 * MINUTE)


def test_only_its_holder_gives_a_lease_back(database):
    with database.writing() as tx:
        take_lease(tx, "partner:west", "one", now=NOON)
        release_lease(tx, "partner:west", "two")
        assert not take_lease(tx, "partner:west", "two", now=NOON)
        release_lease(tx, "partner:west", "one")
        assert take_lease(tx, "partner:west", "two", now=NOON)


def test_a_second_run_is_told_that_the_lock_is_held(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path)
    with (
        lease(pair.north.database, "partner:south", "the worker", now=pair.clock),
        pytest.raises(LockHeld, match="the worker"),
    ):
        pair.north.sync()
    assert pair.north.wire.asked == []
    assert len(pair.north.sync()) == 2


def test_a_lease_is_given_back_after_an_error(database):
    with pytest.raises(ZeroDivisionError), lease(database, "partner:west", "one", now=lambda: NOON):
        raise ZeroDivisionError
    with lease(database, "partner:west", "two", now=lambda: NOON):
        pass


def test_a_lease_is_renewed_while_the_work_lasts(database, monkeypatch):
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.01)
    moment = [NOON]
    with lease(database, "partner:west", "one", now=lambda: moment[0]):
        moment[0] += 10 * MINUTE
        renewed = _until(lambda: not _taken(database, moment[0]))
    assert renewed


def test_one_failing_link_does_not_keep_the_others_back(north, west):
    west.hold(an_indicator())
    west.answer_next(Canned(503))
    reports = sync_once(
        north.door,
        north.door.links,
        lambda _name: north.client(),
        holder="test",
        now=north.clock,
        pause=north.pause,
    )
    assert [report.error is None for report in reports] == [False, True]


def test_a_run_that_is_overtaken_keeps_the_reports_of_what_it_did(north, west):
    """Another run takes the lease between the pull and the push of this one, which was late with it."""
    usual = west.answer
    west.hold(an_indicator())
    north.bring(an_indicator("ours", tlp="green"))

    def answer(asked):
        if asked.path.count("/") == 4 and north.clock.now < NOON + MINUTE:
            north.clock.now += 2 * MINUTE
            with north.database.writing() as tx:
                assert take_lease(tx, "partner:west", "another", now=north.clock())
        return usual(asked)

    west.answer = answer
    pulled, pushed = sync_once(
        north.door,
        north.door.links,
        lambda _name: north.client(),
        holder="test",
        now=north.clock,
        pause=north.pause,
    )

    assert (pulled.link, pulled.moved, pulled.error) == ("west/indicators/in", 1, None)
    assert (pushed.link, type(pushed.error)) == ("west/indicators/out", LockHeld)
    assert west.posts() == []


@dataclass
class Running:
    """A worker in a thread of this test."""

    it: Worker
    thread: threading.Thread

    def end(self) -> float:
        """Stop it; how many seconds that took."""
        began = time.monotonic()
        self.it.stop()
        self.thread.join(20)
        assert not self.thread.is_alive()
        return time.monotonic() - began


def start(receiver, **changes) -> Running:
    it = Worker(
        receiver.door,
        lambda _name: receiver.client(),
        "test",
        **{"now": clock.now, "tick_seconds": 0.02, **changes},
    )
    thread = threading.Thread(target=it.run)
    thread.start()
    return Running(it, thread)


def test_the_worker_brings_what_is_due_and_ends_when_told(north, west):
    west.hold(an_indicator())
    told = []
    running = start(north, on_report=told.append)
    assert _until(lambda: [report.link for report in told][:1] == ["west/indicators/in"])
    assert running.end() < worker.STOP_SECONDS
    assert north.count("object") == 1


def test_the_worker_ends_within_seconds_although_the_partner_is_silent(north, west):
    west.answer_next(Canned(how="silent"))
    running = start(north)
    assert _until(lambda: len(west.requests) == 1)
    assert running.end() < worker.STOP_SECONDS
    with north.database.reading() as tx:
        assert links.state(tx, "west/indicators/in").failures == 0


def test_the_worker_leaves_a_partner_alone_that_another_process_works_for(north, west):
    with lease(north.database, "partner:west", "another process", now=clock.now):
        running = start(north)
        time.sleep(0.2)
        running.end()
    assert west.requests == []


def test_the_worker_asks_nothing_of_a_paused_link(north, west):
    with north.database.writing() as tx:
        links.set_paused(tx, "west", paused=True, reason="by hand")
    running = start(north)
    time.sleep(0.2)
    running.end()
    assert west.requests == []


def test_a_bug_in_one_round_does_not_end_the_worker(north, west, monkeypatch, caplog):
    monkeypatch.setattr(worker, "FIRST_LOOK_SECONDS", 0.01)
    west.hold(an_indicator())
    clients = [None, north.client]
    running = start(north)
    running.it.open_client = lambda _name: clients.pop(0)() if len(clients) > 1 else north.client()
    arrived = _until(lambda: north.count("object") == 1)
    running.end()
    assert arrived


def _taken(database, now: int) -> bool:
    # In a transaction that is undone, so that asking takes nothing.
    class Undone(Exception):
        pass

    taken = []
    try:
        with database.writing() as tx:
            taken.append(take_lease(tx, "partner:west", "two", now=now))
            raise Undone
    except Undone:
        return taken[0]


def _until(done: Callable[[], bool]) -> bool:
    for _ in range(3_000):
        if done():
            return True
        time.sleep(0.01)
    return False
