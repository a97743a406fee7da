"""The power fails at hundreds of instants of a node's work: nothing acknowledged is lost, nothing is torn.

    POWER=2000 python -m pytest tests/torture/test_power.py

runs so many power cuts instead of 200, ten lives of other nodes. Each control plants one fault, in the node
or in the disk, and the same search must find it. What a failed search found lies in the test's folder
`found`, as the disk had it.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.audit import log
from node.exchange import sessions
from node.store import catalog, database
from node.store.migrate import migrate
from node.sync import bookmarks
from node.taxii import statuses
from tests.support.builders import NOON
from tests.support.served import DEFINITIONS
from tests.torture.power import lives
from tests.torture.power.books import content
from tests.torture.power.disk import Sync, SyncFolder
from tests.torture.power.lives import Life, Recorder
from tests.torture.power.machine import Machine
from tests.torture.power.promises import Acknowledged, Begun, Promises
from tests.torture.power.verdict import Verdict, judge

CUTS_OF_FIRST, CUTS_OF_SECOND, CUTS_OF_FOUNDING = 120, 60, 20
ACTS, ACTS_AGAIN, ACTS_OF_CONTROL = 110, 50, 40
MACHINES = max(1, int(os.environ.get("POWER", "0")) // (CUTS_OF_FIRST + CUTS_OF_SECOND + CUTS_OF_FOUNDING))
STARTED = 5  # of so many, one is also checked and started on, which costs as much as all the rest

pytestmark = pytest.mark.timeout(300)  # on a machine that may be busy


def verdicts(
    life: Life, numbers: list[int], home: Path, seed: int, *, start: bool = False
) -> Iterator[Verdict]:
    """What a power cut did during each of these calls; the first that did harm is kept."""
    for done, cut in enumerate(lives.power_cuts(life, numbers, seed)):
        verdict = judge(life, cut, home, start=start and done % STARTED == 0)
        found = home.parent / "found"
        if verdict and not found.exists():
            found.mkdir()
            lives.lay_down(found, cut.files)
        yield verdict


def all_well(life: Life, count: int, home: Path, seed: int, *, start: bool = True) -> int:
    """The number of power cuts, none of which did harm."""
    numbers = lives.drawn(life, count, random.Random(seed))
    found = list(verdicts(life, numbers, home, seed, start=start))
    assert next(filter(None, found), None) is None
    return len(found)


def found_by(life: Life, machine: Machine) -> Iterator[Verdict]:
    """What the same search finds after a fault was planted: a power cut after each commit, one by one."""
    return verdicts(life, lives.places(life)[lives.AFTER_COMMIT], machine.home, 1)


@pytest.fixture
def a_machine(_sqlite_template: Path, tmp_path: Path):
    """Makes north's machine."""
    made: list[Machine] = []

    def make(seed: int) -> Machine:
        folder = tmp_path / f"machine-{seed}"
        folder.mkdir()
        made.append(Machine(_sqlite_template, folder, seed))
        return made[-1]

    yield make
    for machine in made:
        machine.close()


@pytest.mark.parametrize("seed", range(MACHINES))
def test_what_was_acknowledged_survives_a_power_cut_at_any_call(a_machine, seed):
    machine = a_machine(seed)
    first = machine.live(ACTS)
    cuts = all_well(first, CUTS_OF_FIRST, machine.home, seed)

    last = lives.power_cuts(first, [lives.in_last_act(first, random.Random(seed))], seed)
    machine.power_comes_back(next(last))
    second = machine.live(ACTS_AGAIN)
    cuts += all_well(second, CUTS_OF_SECOND, machine.home, seed)

    assert cuts == CUTS_OF_FIRST + CUTS_OF_SECOND
    assert all(lives.places(first).values()), "a checkpoint, a log begun again and names were among the calls"


@pytest.mark.parametrize("seed", range(MACHINES))
def test_a_node_founded_as_the_power_fails_is_there_whole_or_not_at_all(tmp_path, seed):
    folder = tmp_path / "disk"
    folder.mkdir()
    recorder = Recorder(folder, folder, Promises(states=[content(lambda _query: [])]))
    recorder.note(Begun("init", {}, NOON))
    opened = recorder.open()
    migrate(opened)
    with opened.writing() as tx:
        catalog.create_node(tx, instance="instance", secret=bytes(32))
        for each in DEFINITIONS:
            catalog.add_collection(tx, each, epoch=f"epoch-{each.alias}")
    recorder.note(Acknowledged({each.alias: 0 for each in DEFINITIONS}))
    recorder.end()

    assert all_well(recorder.life, CUTS_OF_FOUNDING, folder, seed, start=False) == CUTS_OF_FOUNDING


def loses_objects(verdict: Verdict) -> bool:
    return any(line.endswith(" is lost") for line in verdict.lost)


def test_control_a_log_that_is_synced_only_at_checkpoints_loses_what_was_acknowledged(a_machine, monkeypatch):
    prepare = database._prepare_sqlite

    def careless(connection, record):
        prepare(connection, record)
        connection.execute("pragma synchronous=normal")

    with monkeypatch.context() as planted:
        planted.setattr(database, "_prepare_sqlite", careless)
        machine = a_machine(1)
        life = machine.live(ACTS_OF_CONTROL)

    found = list(verdicts(life, lives.places(life)[lives.AFTER_COMMIT], machine.home, 1, start=True))
    assert sum(map(loses_objects, found)) > len(found) / 4
    assert any("went back in time" in line for verdict in found for line in verdict.broken)


def test_control_a_checkpoint_that_is_not_synced_is_found_broken(a_machine):
    machine = a_machine(1)
    life = machine.live(ACTS)
    number = list(life.files).index(lives.DATABASE)
    life.words[:] = [None if word == Sync(number) else word for word in life.words]

    begun_again = lives.places(life)["log begun again"][0]
    broken = verdicts(life, [begun_again + after for after in range(0, 200, 10)], machine.home, 1)
    assert any(verdict.broken for verdict in broken)


@pytest.mark.parametrize("ignored", [Sync, SyncFolder])
def test_control_a_disk_that_ignores_syncs_loses_what_was_acknowledged(a_machine, ignored):
    machine = a_machine(1)
    life = machine.live(ACTS_OF_CONTROL)
    life.words[:] = [None if isinstance(word, ignored) else word for word in life.words]

    assert any(map(loses_objects, found_by(life, machine)))


def ending_the_transaction_before(work):
    """A fault: what is done so far is a transaction of its own."""

    def planted(tx, *given, **named):
        driver = tx.connection.connection.driver_connection
        driver.commit()
        driver.execute("begin immediate")
        return work(tx, *given, **named)

    return planted


@pytest.mark.parametrize(
    ("module", "name"),
    [(statuses, "write"), (bookmarks, "advance"), (log, "record"), (sessions, "note_incoming")],
)
def test_control_a_batch_in_two_transactions_is_found_torn(a_machine, monkeypatch, module, name):
    with monkeypatch.context() as planted:
        planted.setattr(module, name, ending_the_transaction_before(getattr(module, name)))
        machine = a_machine(1)
        life = machine.live(ACTS_OF_CONTROL)

    assert any(verdict.torn for verdict in found_by(life, machine))
