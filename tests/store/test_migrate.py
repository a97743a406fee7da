"""node/store/migrate.py: from an empty database to the tables of this program."""

import subprocess
import sys
import threading

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory

from node.errors import StoreError
from node.store import schema
from node.store.database import Database, spelled
from node.store.migrate import MIGRATIONS, REVISIONS, check_current, current, migrate

INDEXES = spelled(
    "select name from sqlite_master where type = 'index' and sql is not null",
    "select indexname from pg_indexes where schemaname = 'public' and indexname not like '%pkey%'"
    " and indexname <> 'alembic_version_pkc'",
)
SET_REVISION = sa.text("update alembic_version set version_num = :revision")


def test_an_empty_database_is_migrated_to_the_newest_revision(bare_database):
    before = current(bare_database)
    migrate(bare_database)

    assert (before, current(bare_database)) == ("", REVISIONS[-1])
    check_current(bare_database)


def test_every_table_and_index_of_the_schema_is_made(bare_database):
    migrate(bare_database)

    with bare_database.reading() as tx:
        inspector = sa.inspect(tx.connection)
        found = {name: inspector.get_columns(name) for name in inspector.get_table_names()}
        indexes = {name for (name,) in tx.rows(INDEXES)}
    found.pop("alembic_version")
    assert {name: [column["name"] for column in columns] for name, columns in found.items()} == {
        table.name: [column.name for column in table.columns] for table in schema.metadata.sorted_tables
    }
    assert indexes == {index.name for table in schema.metadata.sorted_tables for index in table.indexes}


def test_the_revisions_are_those_of_the_folder():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    walk = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]

    assert tuple(reversed(walk)) == REVISIONS


def test_migrating_again_changes_nothing(database):
    with database.writing() as tx:
        tx.insert(schema.lease, [("pull", "me", 1)])

    migrate(database)

    with database.reading() as tx:
        assert tx.rows(sa.text("select work from lease")) == [("pull",)]


def test_two_processes_may_migrate_at_the_same_time(bare_database):
    migrate_once = threading.Barrier(2)
    others = [Database(bare_database.url), Database(bare_database.url)]
    raised = []

    def run(database):
        migrate_once.wait(10)
        try:
            migrate(database)
        except StoreError as cause:
            raised.append(cause)

    threads = [threading.Thread(target=run, args=(other,)) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for other in others:
        other.close()

    assert raised == []
    check_current(bare_database)


def test_tables_of_somebody_else_are_not_taken_over(bare_database):
    with bare_database.writing() as tx:
        tx.connection.exec_driver_sql("create table node (other integer)")

    with pytest.raises(StoreError, match="refused"):
        migrate(bare_database)

    assert current(bare_database) == ""
    with bare_database.reading() as tx:
        assert not sa.inspect(tx.connection).has_table("collection")


def test_bodies_lie_out_of_line_and_plain_on_postgresql(postgresql_database):
    with postgresql_database.reading() as tx:
        storage = tx.row(
            sa.text(
                "select attstorage from pg_attribute"
                " where attrelid = '\"object\"'::regclass and attname = 'body'"
            )
        )
        options = tx.row(sa.text("select reloptions from pg_class where oid = '\"object\"'::regclass"))

    assert storage == ("e",)
    assert options == (["toast_tuple_target=8160"],)


def test_an_empty_database_is_refused_with_the_command_that_fills_it(bare_database):
    with pytest.raises(StoreError) as refusal:
        check_current(bare_database)

    assert "stixnode init" in refusal.value.remedy


@pytest.mark.parametrize("step", [check_current, migrate])
def test_a_database_of_a_newer_program_is_refused_untouched(database, step):
    with database.writing() as tx:
        tx.run(SET_REVISION, revision="9999")

    with pytest.raises(StoreError, match="9999") as refusal:
        step(database)

    assert "stixnode check" in refusal.value.remedy
    assert current(database) == "9999"


def test_the_check_at_each_start_does_not_load_alembic(tmp_path):
    program = f"""
import sys
from node.errors import StoreError
from node.store.database import Database
from node.store.migrate import check_current
try:
    check_current(Database("sqlite:///{tmp_path}/node.db"))
except StoreError as refusal:
    print(refusal.remedy)
print([name for name in sys.modules if name.startswith("alembic")])
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "stixnode init" in said.stdout
    assert said.stdout.endswith("[]\n")
