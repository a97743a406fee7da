"""A lease whose holder was killed is free at once; of any other holder nothing is known."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest

from node.sync import holders
from node.sync.leases import lease, take_lease, turn
from tests.support.builders import NOON

ANOTHER = (
    "import sys, time; from node.sync.holders import own_name; print(own_name(), flush=True); time.sleep(600)"
)


@pytest.fixture
def another():
    """A process, and the name under which it would hold a lease."""
    process = subprocess.Popen([sys.executable, "-c", ANOTHER], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process, process.stdout.readline().strip()
    process.kill()
    process.communicate()


def test_a_name_is_of_this_process_and_of_one_holder_in_it():
    assert holders.own_name() != holders.own_name()
    assert holders.own_name().startswith(f"{socket.gethostname()}:{os.getpid()}.")
    assert not holders.is_gone(holders.own_name())


def test_who_lives_is_not_gone_and_who_was_killed_is(another):
    process, name = another
    assert not holders.is_gone(name)
    process.send_signal(signal.SIGSTOP)
    assert not holders.is_gone(name), "whoever stands still may go on"
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert holders.is_gone(name), "it has ended, although nobody has asked how"
    process.wait()
    assert holders.is_gone(name)


def changed(name: str, at: int, to: str) -> str:
    """A holder's name with another process (0), start (1) or place (2)."""
    host, middle, chance = name.split(":")
    parts = middle.split(".")
    parts[at] = to
    return f"{host}:{'.'.join(parts)}:{chance}"


def test_another_process_of_the_same_number_does_not_live_for_the_first():
    assert holders.is_gone(changed(holders.own_name(), 1, "12"))


@pytest.mark.parametrize(
    "name", ["elsewhere:1", "us", "", changed("h:1.1.000000000000:01234567", 2, "0123456789ab")]
)
def test_nothing_is_known_of_other_machines_and_other_names(name):
    assert not holders.is_gone(name)


def test_where_processes_cannot_be_seen_nobody_is_gone(tmp_path, monkeypatch, another):
    process, name = another
    process.kill()
    process.wait()
    monkeypatch.setattr(holders, "_PROCESSES", tmp_path)
    assert not holders.is_gone(name)
    assert holders.own_name().startswith(f"{socket.gethostname()}:{os.getpid()}:")


def test_the_lease_of_a_killed_holder_is_taken_at_once(database, another):
    process, name = another
    with database.writing() as tx:
        take_lease(tx, "partner:south", name, now=NOON)
    process.kill()
    process.wait()
    with turn(database, "partner:south", holders.own_name(), now=lambda: NOON) as ours:
        assert ours.hold()
    with lease(database, "partner:south", "anybody", now=lambda: NOON):
        pass


@pytest.mark.parametrize("shown", ["nothing", "a locked folder"])
def test_who_lives_and_is_hidden_from_us_is_not_gone(tmp_path, monkeypatch, another, shown):
    """As under `hidepid` or systemd's ProtectProc, which hide the processes of other users."""
    process, name = another
    (tmp_path / "sys/kernel/random").mkdir(parents=True)
    (tmp_path / "sys/kernel/random/boot_id").write_bytes(
        (holders._PROCESSES / "sys/kernel/random/boot_id").read_bytes()
    )
    (tmp_path / "self/ns").mkdir(parents=True)
    (tmp_path / "self/ns/pid").symlink_to((holders._PROCESSES / "self/ns/pid").readlink())
    if shown == "a locked folder":
        (tmp_path / name.split(":")[1].split(".")[0]).mkdir()
    monkeypatch.setattr(holders, "_PROCESSES", tmp_path)
    assert not holders.is_gone(name)
    process.kill()
    process.wait()
    assert holders.is_gone(name)
