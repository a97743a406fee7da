"""node/store/backup.py: a copy of one moment, and a database that is made from it."""

from __future__ import annotations

from contextlib import closing

import pytest
import sqlalchemy as sa

from node.errors import StoreError, UsageError
from node.store import backup, catalog, schema
from node.store.catalog import Definition
from node.store.database import Database
from tests.support.builders import NOON
from tests.support.databases import INSTANCE, SECRET

UUIDS = ("3c0a2f7e-1d1f-4a55-8b7e-2f0b7d9c0b02", "4d0a2f7e-1d1f-4a55-8b7e-2f0b7d9c0b02")
NEW_SECRET = b"s" * 32
BYTES = bytes(range(256))


def a_row(table: sa.Table, number: int):
    """A row with a value in every column, another one for each number."""
    made = {
        "BigInteger": 2**40 + number,
        "Integer": 1000 + number,
        "SmallInteger": number,
        "Boolean": number % 2 == 0,
        "Text": f"Дмитро «{number}» \U0001f512",
        "LargeBinary": BYTES * number,
    }
    return tuple(
        None if column.nullable and number == 1 else made[type(column.type).__name__]
        for column in table.columns
    )


def filled(database):
    """Every table with three rows of every type of column, and two collections."""
    with database.writing() as tx:
        for number, uuid in enumerate(UUIDS, start=1):
            catalog.add_collection(tx, Definition(f"c{number}", f"C{number}", id=uuid), epoch=f"old-{number}")
            catalog.take_dates(tx, number, 1, now=NOON)
        for table in schema.metadata.sorted_tables:
            if table.name not in ("node", "collection"):
                tx.insert(table, [a_row(table, number) for number in range(1, 4)])
    return database


def rows(database):
    """Every row of every table, alike for both databases."""
    with database.reading() as tx:
        return {
            table.name: sorted(map(repr, map(alike(table), tx.rows(sa.select(table)))))
            for table in schema.metadata.sorted_tables
        }


def alike(table):
    kinds = [type(column.type).__name__ for column in table.columns]
    made = {"Boolean": bool, "LargeBinary": lambda value: None if value is None else bytes(value)}

    def row(values):
        return [made.get(kind, lambda same: same)(value) for kind, value in zip(kinds, values, strict=True)]

    return row


def anew(tx, *, now=NOON, marks=None):
    ids = iter(f"new-{n}" for n in range(9))
    return backup.begin_anew(
        tx,
        server_identity="",
        marks=marks or {},
        now=now,
        new_id=lambda: next(ids),
        new_secret=lambda: NEW_SECRET,
    )


def test_a_copy_has_every_row_of_every_table(database, tmp_path):
    backup.copy_out(filled(database), tmp_path / "copy.db")

    with closing(Database(f"sqlite:///{tmp_path / 'copy.db'}")) as copy:
        assert rows(copy) == rows(database)
        assert min(map(len, rows(copy).values())) > 0


def test_a_database_is_made_from_a_copy_whichever_kind_both_are(database, bare_database, tmp_path):
    backup.copy_out(filled(database), tmp_path / "copy.db")

    with closing(Database(f"sqlite:///{tmp_path / 'copy.db'}")) as copy:
        backup.copy_in(copy, bare_database, then=lambda tx: None)

    assert rows(bare_database) == rows(database)


def test_arrivals_are_counted_on_after_a_restore(sqlite_database, bare_postgresql_database, tmp_path):
    backup.copy_out(filled(sqlite_database), tmp_path / "copy.db")
    with closing(Database(f"sqlite:///{tmp_path / 'copy.db'}")) as copy:
        backup.copy_in(copy, bare_postgresql_database, then=lambda tx: None)

    with bare_postgresql_database.writing() as tx:
        new = tx.rows(
            sa.text(
                "insert into arrival (at, kind, collection_id, link, actor, source, counts)"
                " values (1, 'import', 1, '', 'os:test', '', '{}') returning arrival_id"
            )
        )
    assert new == [(1004,)]


def test_a_copy_shows_one_moment_while_others_write(database):
    held = sa.text("select count(*) from leaf")
    filled(database)
    with backup.still(database) as tx:
        before = tx.rows(held)
        with database.writing() as other:
            other.insert(schema.leaf, [a_row(schema.leaf, 7)])
        assert tx.rows(held) == before
        with database.reading() as plain:  # the control: another reader sees it
            assert plain.rows(held) != before


def test_what_fails_in_the_making_leaves_no_row(database, bare_database, tmp_path):
    backup.copy_out(filled(database), tmp_path / "copy.db")

    def fail(tx):
        raise RuntimeError

    with closing(Database(f"sqlite:///{tmp_path / 'copy.db'}")) as copy:
        with pytest.raises(RuntimeError):
            backup.copy_in(copy, bare_database, then=fail)
        backup.refuse_a_node(bare_database)
        assert not any(rows(bare_database).values())
        backup.copy_in(copy, bare_database, then=lambda tx: None)
    assert rows(bare_database) == rows(database)


def test_a_database_with_a_node_is_refused(database, bare_database):
    backup.refuse_a_node(bare_database)
    with pytest.raises(UsageError, match="holds a node already"):
        backup.refuse_a_node(database)


def test_a_database_whose_pages_are_wrong_is_not_copied(sqlite_database, tmp_path):
    filled(sqlite_database).close()
    path = tmp_path / "node.db"
    content = bytearray(path.read_bytes())
    content[len(content) // 3 :: 4096] = b"\xff" * len(content[len(content) // 3 :: 4096])
    content[8192:12288] = b"\xff" * 4096
    path.write_bytes(content)

    with closing(Database(f"sqlite:///{path}")) as broken, pytest.raises(StoreError, match="malformed"):
        backup.copy_out(broken, tmp_path / "copy.db")


def test_readers_still_may_not_write_after_a_copy(sqlite_database, tmp_path):
    backup.copy_out(sqlite_database, tmp_path / "copy.db")

    with sqlite_database.reading() as tx, pytest.raises(StoreError, match="readonly"):
        tx.run(sa.text("delete from leaf"))


def test_a_new_history_has_other_epochs_another_secret_and_dates_above_all_marks(database):
    with filled(database).writing() as tx:
        last = anew(tx, now=NOON + 7, marks={UUIDS[0]: NOON + 500})
        node, (one, two) = catalog.node_row(tx), catalog.collections(tx)

    assert last == {UUIDS[0]: NOON + 500, UUIDS[1]: NOON + 7}
    assert (one.last_added, two.last_added) == (NOON + 500, NOON + 7)
    assert len({one.epoch, two.epoch, "old-1", "old-2"}) == 4
    assert node.secret == NEW_SECRET != SECRET
    assert node.instance != INSTANCE


def test_a_new_history_never_goes_below_the_dates_that_the_copy_holds(database):
    with filled(database).writing() as tx:
        assert set(anew(tx, now=NOON - 10**9).values()) == {NOON}
        assert catalog.take_dates(tx, 1, 1, now=NOON - 10**9) == [NOON + 10]


def test_objects_of_one_collection_are_counted(database):
    filled(database)
    with database.reading() as tx:
        assert [backup.objects_in(tx, number) for number in (1, 1001, 1002)] == [0, 1, 1]
        assert backup.amounts(tx)["object"] == 3
