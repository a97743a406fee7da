"""tests/torture/power/driver.py and vfs.py: SQLite as the node sees it, and the calls that it makes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pysqlite3
import pytest

from tests.torture.power.disk import Create, Delete, Disk, Sync, SyncFolder, Write
from tests.torture.power.driver import Connection, Driver
from tests.torture.power.vfs import RecordingVFS

STATEMENTS: list[tuple[str, Any]] = [
    ("create table t (a integer primary key, b text, c blob)", ()),
    ("insert into t (b, c) values (?, ?)", ("ü", b"\x00\xff")),
    ("insert into t (b, c) values (:b, :c)", {"b": None, "c": True, "unused": 1}),
    ("insert into t (b) values ('x'), ('y') returning a", ()),
    ("update t set b = 'z' where a > :least", {"least": 1}),
    ("update t set b = 'z' where a > 9 returning a", ()),
    ("select a, b, c from t order by a", ()),
    ("select a, b as other from t where a > 9", ()),
    ("delete from t where a = 1", ()),
    ("pragma user_version", ()),
]


@pytest.fixture
def calls() -> list[object]:
    return []


@pytest.fixture
def vfs(calls) -> Iterator[RecordingVFS]:
    recording = RecordingVFS({}, calls.append)
    yield recording
    recording.unregister()


@pytest.fixture
def connection(vfs, tmp_path) -> Iterator[Connection]:
    driver = Driver(vfs.name, lambda _: None)
    path = str(tmp_path / "a.db")
    with closing(
        driver.connect(path, timeout=1, isolation_level=None, check_same_thread=False)
    ) as connection:
        yield connection


def answers(connection) -> list[object]:
    found = []
    for statement, values in STATEMENTS:
        cursor = connection.execute(statement, values)
        names = cursor.description and [column[0] for column in cursor.description]
        rows = cursor.fetchall()
        found.append((statement, names, rows, cursor.rowcount if names is None else None))
        cursor.close()
    return found


def test_it_answers_as_pysqlite3_does(connection, tmp_path):
    with closing(pysqlite3.connect(tmp_path / "b.db", isolation_level=None)) as shipped:
        assert answers(connection) == answers(shipped)


def test_a_commit_is_told_of_when_it_changed_something(vfs, tmp_path):
    told = []
    driver = Driver(vfs.name, told.append)
    with closing(
        driver.connect(str(tmp_path / "a.db"), timeout=1, isolation_level=None, check_same_thread=False)
    ) as connection:
        for work in ("create table t (a)", "insert into t values (1)", "select 1", "delete from t"):
            connection.execute("begin immediate")
            connection.execute(work).fetchall()
            connection.commit()
        connection.execute("begin immediate")
        connection.execute("insert into t values (2)")
        connection.rollback()

    assert told == [connection] * 2


def test_the_first_sync_of_a_log_makes_the_names_safe(connection, calls):
    connection.execute("pragma journal_mode=wal").fetchall()
    connection.execute("create table t (a)")

    begun = calls.index(Create("a.db-wal", 2))
    kinds = [type(call) for call in calls[begun:] if not isinstance(call, Write)]
    assert kinds[:3] == [Create, Sync, SyncFolder]
    assert kinds.count(SyncFolder) == 1


def test_the_calls_tell_what_lies_in_the_files(connection, calls, tmp_path):
    connection.execute("pragma journal_mode=wal").fetchall()
    connection.execute("create table t (a)")
    connection.execute("insert into t values (zeroblob(100000))")

    disk = Disk({})
    for call in calls:
        disk.carry_out(call)
    for file in {call.file for call in calls if isinstance(call, Create)}:
        disk.carry_out(Sync(file))
    disk.carry_out(SyncFolder())

    assert Delete("a.db-journal") in calls  # it was there while the database went over to a log
    assert disk.after_power_cut(random.Random(1)) == {
        path.name: path.read_bytes() for path in tmp_path.iterdir() if not path.name.endswith("-shm")
    }
