"""PostgreSQL fails over under running servers and workers: nothing is answered from the history that is gone.

The fail-over is a real one: a physical copy of the server that lacks the last commits is promoted and takes
the address. Nobody restarts anything of ours.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace

import pytest
import sqlalchemy as sa

from node import web
from node.cli import working
from node.config import Settings
from node.exchange import links
from node.exchange.door import Door
from node.store import servers
from node.store.database import Database
from node.sync import worker
from node.taxii.face import EXTENSION
from tests.flows.test_exchange import carriers, quiet
from tests.flows.test_restored import assert_closed, assert_sound, ids, ours
from tests.support.builders import NORTH_ID, SOUTH_ID, an_indicator
from tests.support.failover import a_pair_of_servers
from tests.support.served import Client, an_exchange
from tests.support.two_nodes import two_nodes

DEADLINE_SECONDS = 60


@pytest.fixture
def failing(postgresql_server, postgresql_database):
    """Two servers and the database that fails over with them, to be opened by the address."""
    with a_pair_of_servers(postgresql_server, postgresql_database) as pair:
        yield pair


@pytest.fixture
def first(failing):
    with closing(Database(failing.address)) as database:
        yield database


def database_of(app) -> Database:
    return app.extensions[EXTENSION].door.database


def history(database: Database) -> tuple[str, ...]:
    with database.reading() as tx:
        return tuple(epoch for (epoch,) in tx.rows(sa.text("select epoch from collection order by alias")))


def paused(database: Database) -> set[str]:
    """Why its links are; empty when they are open."""
    with database.reading() as tx:
        return {each.pause_reason for each in links.states(tx).values() if each.paused}


def resume(database: Database) -> None:
    with database.writing() as tx:
        links.set_paused(tx, None, paused=False, reason="")


def seen(client: Client) -> tuple[int, set[str]]:
    """Status and ids of what a SOC account is shown."""
    answer = client.get("indicators/objects/")
    return answer.status_code, {one["id"] for one in answer.json.get("objects", [])}


def test_hosts_of_one_database_begin_one_new_history_and_say_nothing_of_the_old(
    failing, first, tmp_path, monkeypatch
):
    node = an_exchange(first, tmp_path)
    monkeypatch.setattr(web.clock, "now", node.clock)
    resume(first)
    elsewhere = replace(node.settings, data_dir=tmp_path / "elsewhere")
    other = web.create_app(elsewhere, Database(failing.address))
    soc = node.soc()
    there = replace(soc, app=other)
    node.admit([an_indicator("kept", tlp="clear")])
    old = history(first)
    failing.copy()
    node.admit([an_indicator("lost", tlp="clear")])
    assert seen(soc) == seen(there) == (200, ids("kept", "lost"))

    failing.fail_over()

    refused = soc.get("indicators/objects/")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert seen(soc) == (200, ids("kept"))
    now = database_of(node.app)
    assert set(history(now)).isdisjoint(old)
    assert paused(now) == {"the database went back in time; see what is missing, then run stixnode resume"}

    new = history(now)
    resume(now)
    assert [seen(there) for _ in range(3)] == [(503, set()), (200, ids("kept")), (200, ids("kept"))]
    assert (history(now), paused(now)) == (new, set())  # the second host found it done
    assert other.test_client().get("/readyz").status_code == 200
    for app in (node.app, other):
        database_of(app).close()


def test_control_a_process_that_compares_nothing_goes_on_in_the_old_history(
    failing, first, tmp_path, monkeypatch
):
    monkeypatch.setattr(servers.Faithful, "check", lambda self: None)
    monkeypatch.setattr(Database, "has_moved", False)
    node = an_exchange(first, tmp_path)
    soc = node.soc()
    old = history(first)
    failing.copy()

    failing.fail_over()

    assert seen(soc) == (200, set())
    assert history(first) == old


def test_until_the_other_server_is_promoted_nothing_is_answered_and_nothing_is_begun(
    failing, first, tmp_path, monkeypatch
):
    node = an_exchange(first, tmp_path)
    monkeypatch.setattr(web.clock, "now", node.clock)
    soc = node.soc()
    failing.copy()

    failing.lead_to_the_copy()
    told = [soc.get("indicators/objects/").status_code for _ in range(3)]
    ready = node.app.test_client().get("/readyz")
    failing.promote()

    assert told == [503] * 3
    assert (ready.status_code, ready.json["reasons"]) == (503, ["read-only"])
    assert seen(soc) == (200, set())
    database_of(node.app).close()


@carriers
def test_two_nodes_converge_over_a_fail_over_that_nobody_attends_to(
    failing, first, sqlite_database, tmp_path, monkeypatch, carry
):
    pair = two_nodes((sqlite_database, first), tmp_path, flow_carry=carry)
    monkeypatch.setattr(web.clock, "now", pair.clock)
    pair.north.bring(*ours(NORTH_ID, "a"))
    pair.south.bring(*ours(SOUTH_ID, "s"))
    quiet(pair)
    failing.copy()
    pair.north.bring(*ours(NORTH_ID, "b"))
    quiet(pair)

    failing.fail_over()
    for _ in range(2):  # the first is refused, the second opens
        status = pair.south.app.test_client().get("/healthz").status_code
    pair.south.database = database_of(pair.south.app)

    assert status == 200
    assert_closed(pair)
    pair.south.resume()
    pair.south.bring(*ours(SOUTH_ID, "after"))
    quiet(pair)
    assert pair.south.bodies() == pair.north.bodies()
    assert pair.south.ids() == ids("a", "b", "s", "after")
    assert_sound(pair.south)
    pair.south.database.close()


@dataclass
class Opened:
    """What the command gives the worker: a database that it opens as often as it is told to."""

    settings: Settings
    address: str
    doors: list[Door] = field(default_factory=list)
    is_open: bool = False

    @property
    def door(self) -> Door:
        if not self.is_open:
            self.doors.append(web.prepare(self.settings, Database(self.address)))
            self.is_open = True
        return self.doors[-1]

    def close(self) -> None:
        self.doors[-1].database.close()
        self.is_open = False


def test_a_worker_begins_anew_when_the_server_has_failed_over(failing, first, tmp_path, monkeypatch, caplog):
    node = an_exchange(first, tmp_path)
    context = Opened(node.settings, failing.address)
    failing.copy()
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(working, "REOPEN_SECONDS", 0.05)
    monkeypatch.setattr(worker, "FIRST_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(working, "stop_with_parent", lambda: None)
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    said = []

    def attend() -> None:
        said.append(_comes(lambda: "working on" in caplog.text))
        failing.lead_to_the_copy()
        said.append(_comes(lambda: "is a standby" in caplog.text))
        failing.promote()
        said.append(_comes(lambda: "opened anew" in caplog.text))
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=attend)
    try:
        thread.start()
        working.work_until_told(context)
    finally:
        thread.join()
        for each, action in before.items():
            signal.signal(each, action)

    assert said == [True] * 3
    assert len(context.doors) == 2
    assert context.doors[0].database.has_moved
    assert all("another server" in reason for reason in paused(context.door.database))
    context.close()


def _comes(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()
