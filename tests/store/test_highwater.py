"""node/store/highwater.py: a database that went back in time is noticed."""

import itertools
import shutil

import pytest
import sqlalchemy as sa

from node.store import catalog, highwater
from node.store.catalog import Definition
from node.store.database import Database

UUIDS = ("3c0a2f7e-1d1f-4a55-8b7e-2f0b7d9c0b02", "4d0a2f7e-1d1f-4a55-8b7e-2f0b7d9c0b02")
NOON = 1_795_262_400_000_000
NEW_SECRET = b"s" * 32


def filled(database):
    with database.writing() as tx:
        for number, uuid in enumerate(UUIDS, start=1):
            definition = Definition(alias=f"c{number}", title=f"C{number}", id=uuid)
            catalog.add_collection(tx, definition, epoch=f"old-{number}")
            catalog.take_dates(tx, number, 1, now=NOON)
    return database


def marked(folder):
    for uuid in UUIDS:
        highwater.note(folder, uuid, NOON)


def recovered(database, folder, *, now=NOON, then=None):
    ids = (f"new-{n}" for n in itertools.count())
    return highwater.recover(
        database, folder, now=now, new_id=lambda: next(ids), new_secret=lambda: NEW_SECRET, then=then
    )


def state(database):
    with database.reading() as tx:
        return catalog.node_row(tx), catalog.collections(tx)


def test_a_mark_is_read_as_it_was_noted(tmp_path):
    highwater.note(tmp_path, UUIDS[0], NOON)

    assert highwater.marks(tmp_path) == {UUIDS[0]: NOON}


def test_a_lower_mark_does_not_replace_a_higher_one(tmp_path):
    for date in (NOON, NOON + 10, NOON + 5):
        highwater.note(tmp_path, UUIDS[0], date)

    assert highwater.marks(tmp_path) == {UUIDS[0]: NOON + 10}


def test_a_mark_can_be_read_by_its_owner_alone(tmp_path):
    highwater.note(tmp_path, UUIDS[0], NOON)

    assert (tmp_path / "highwater" / UUIDS[0]).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"0000", b"9" * 20, b"x" * 20 + b"\n"], ids=str)
def test_a_mark_that_was_cut_says_nothing_and_is_written_anew(tmp_path, content):
    highwater.note(tmp_path, UUIDS[0], NOON)
    (tmp_path / "highwater" / UUIDS[0]).write_bytes(content)

    assert highwater.marks(tmp_path) == {UUIDS[0]: 0}
    highwater.note(tmp_path, UUIDS[0], NOON)
    assert highwater.marks(tmp_path) == {UUIDS[0]: NOON}


def test_a_start_with_equal_marks_changes_nothing(database, tmp_path):
    before = state(filled(database))
    marked(tmp_path)

    assert not recovered(database, tmp_path).new_history
    assert state(database) == before


def test_a_collection_below_its_mark_begins_a_new_history_for_all(database, tmp_path):
    filled(database)
    highwater.note(tmp_path, UUIDS[0], NOON + 500)
    highwater.note(tmp_path, UUIDS[1], NOON)

    found = recovered(database, tmp_path, now=NOON + 7)

    node, (one, two) = state(database)
    assert (found.behind, found.other_server) == (("c1",), False)
    assert len({one.epoch, two.epoch, "old-1", "old-2"}) == 4
    assert (one.last_added, two.last_added) == (NOON + 500, NOON + 7)
    assert node.instance.startswith("new-")
    assert node.secret == NEW_SECRET
    with database.writing() as tx:
        assert catalog.take_dates(tx, 1, 1, now=NOON) == [NOON + 510]


def test_a_new_history_is_begun_once(database, tmp_path):
    highwater.note(tmp_path, UUIDS[0], NOON + 500)
    recovered(filled(database), tmp_path)
    before = state(database)

    assert not recovered(database, tmp_path).new_history
    assert state(database) == before


def test_a_file_that_was_put_back_is_noticed(sqlite_database, tmp_path):
    filled(sqlite_database).close()
    marked(tmp_path)
    path = sa.engine.make_url(sqlite_database.url).database
    shutil.copyfile(path, tmp_path / "copy")
    with sqlite_database.writing() as tx:
        highwater.note(tmp_path, UUIDS[1], catalog.take_dates(tx, 2, 5, now=NOON)[-1])
    assert not recovered(sqlite_database, tmp_path).new_history
    sqlite_database.close()
    shutil.copyfile(tmp_path / "copy", path)

    again = Database(sqlite_database.url)
    found = recovered(again, tmp_path)
    again.close()

    assert found.behind == ("c2",)


def test_another_server_begins_a_new_history(postgresql_database, tmp_path):
    database = filled(postgresql_database)
    with database.writing() as tx:
        catalog.renew_node(tx, instance="i", secret=b"old", server_identity="1:1")

    found = recovered(database, tmp_path)

    node, collections = state(database)
    assert (found.behind, found.other_server) == ((), True)
    assert node.server_identity == database.server_identity()
    assert {each.epoch for each in collections}.isdisjoint({"old-1", "old-2"})


def test_a_server_seen_for_the_first_time_is_only_remembered(postgresql_database, tmp_path):
    database = filled(postgresql_database)
    with database.writing() as tx:
        catalog.renew_node(tx, instance="i", secret=b"old", server_identity="")

    found = recovered(database, tmp_path)

    node, (one, _) = state(database)
    assert not found.new_history
    assert (node.server_identity, node.instance) == (database.server_identity(), "i")
    assert one.epoch == "old-1"


def test_what_belongs_to_a_new_history_is_done_with_it_or_nothing_is(database, tmp_path):
    marked(tmp_path)
    highwater.note(tmp_path, UUIDS[0], NOON + 500)
    before = state(filled(database))

    def fail(tx, found):
        assert found.behind == ("c1",)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        recovered(database, tmp_path, then=fail)

    assert state(database) == before
    assert recovered(database, tmp_path).new_history


def test_nothing_more_is_done_when_nothing_was_lost(database, tmp_path):
    done = []
    marked(tmp_path)

    recovered(filled(database), tmp_path, then=lambda tx, found: done.append(found))

    assert done == []


def test_a_copy_of_a_file_without_its_marks_begins_a_new_history(sqlite_database, tmp_path):
    assert recovered(filled(sqlite_database), tmp_path).behind == ("c1", "c2")


def test_hosts_that_share_a_server_need_no_marks_of_each_other(postgresql_database, tmp_path):
    assert not recovered(filled(postgresql_database), tmp_path).new_history


def test_an_empty_collection_needs_no_mark(sqlite_database, tmp_path):
    with sqlite_database.writing() as tx:
        catalog.add_collection(tx, Definition(alias="c1", title="C1", id=UUIDS[0]), epoch="old")

    assert not recovered(sqlite_database, tmp_path).new_history


def test_a_crash_before_the_first_mark_is_no_new_history(sqlite_database, tmp_path):
    with sqlite_database.writing() as tx:
        catalog.add_collection(tx, Definition(alias="c1", title="C1", id=UUIDS[0]), epoch="old")
    recovered(sqlite_database, tmp_path)
    with sqlite_database.writing() as tx:
        catalog.take_dates(tx, 1, 1, now=NOON)

    assert not recovered(sqlite_database, tmp_path).new_history
