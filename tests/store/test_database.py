"""node/store/database.py: transactions that behave alike on both databases."""

import threading
from contextlib import ExitStack
from types import SimpleNamespace

import pysqlite3
import pytest
import sqlalchemy as sa

from node.errors import StoreBusy, StoreError
from node.store import schema
from node.store.database import Database, spelled

LEASES = sa.text("select work, holder, until from lease order by work")
TAKE = sa.text("update lease set holder = :holder where work = :work")
IMPATIENT = {"sqlite": "pragma busy_timeout = 50", "postgresql": "set lock_timeout = '50ms'"}


def with_leases(database: Database) -> Database:
    with database.writing() as tx:
        tx.insert(schema.lease, [("pull", "nobody", 0), ("push", "nobody", 0)])
    return database


def in_thread(work):
    """Run `work` beside the test; what it raised comes out of `join`."""
    raised = []

    def run():
        try:
            work()
        except Exception as cause:  # noqa: BLE001  handed to the test
            raised.append(cause)

    thread = threading.Thread(target=run)
    thread.start()

    def join():
        thread.join(20)
        assert not thread.is_alive()
        return raised[0] if raised else None

    return join


@pytest.mark.parametrize("engine", ["_writer", "_reader"])
def test_every_sqlite_connection_writes_ahead_and_waits_for_the_disk(sqlite_database, engine):
    with ExitStack() as open_together:
        for _ in range(3):
            connection = open_together.enter_context(getattr(sqlite_database, engine).connect())
            driver = connection.connection.driver_connection
            settings = [
                driver.execute(f"pragma {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
            ]
            assert settings == ["wal", 2]


@pytest.mark.parametrize("opener", ["writing", "reading"])
def test_every_postgresql_connection_waits_for_the_disk_and_reads_what_is_committed(
    postgresql_database, opener
):
    with getattr(postgresql_database, opener)() as tx:
        row = tx.row(
            sa.text(
                "select current_setting('synchronous_commit'), current_setting('fsync'),"
                " current_setting('transaction_isolation'), current_setting('TimeZone')"
            )
        )

    assert row == ("on", "on", "read committed", "UTC")


def test_a_postgresql_that_does_not_wait_for_the_disk_is_refused(postgresql_server, postgresql_database):
    name = sa.engine.make_url(postgresql_database.url).database
    postgresql_server.run(f"alter database {name} set synchronous_commit = off")
    careless = Database(postgresql_server.address(name))

    with pytest.raises(StoreError, match="synchronous_commit=off"), careless.reading():
        pass
    careless.close()


def test_the_driver_is_the_one_without_the_wal_reset_bug(sqlite_database):
    with sqlite_database.reading() as tx:
        version = tx.row(sa.text("select sqlite_version()"))[0]

    assert version == pysqlite3.sqlite_version
    assert tuple(map(int, version.split("."))) >= (3, 51, 3)


def test_a_driver_of_another_make_opens_every_connection_with_the_same_settings(tmp_path):
    opened = []

    def connect(*where, **how):
        opened.append(pysqlite3.connect(*where, **how))
        return opened[-1]

    database = Database(
        f"sqlite:///{tmp_path / 'a.db'}", driver=SimpleNamespace(**{**vars(pysqlite3), "connect": connect})
    )
    with database.writing(), database.reading():
        settings = [driver.execute("pragma synchronous").fetchone()[0] for driver in opened]
    database.close()

    assert settings == [2, 2]


def test_a_driver_with_the_wal_reset_bug_is_refused(tmp_path):
    old = SimpleNamespace(
        **{**vars(pysqlite3), "sqlite_version": "3.51.2", "sqlite_version_info": (3, 51, 2)}
    )

    with pytest.raises(StoreError, match=r"SQLite 3\.51\.2 can lose"):
        Database(f"sqlite:///{tmp_path / 'a.db'}", driver=old)

    assert not (tmp_path / "a.db").exists()


@pytest.mark.parametrize("url", ["mysql://host/name", "no address", "sqlite://", "sqlite:///:memory:"])
def test_only_the_two_databases_are_opened(url):
    with pytest.raises(StoreError) as refusal:
        Database(url)

    assert "sqlite:///FILE" in refusal.value.remedy


def test_the_password_is_not_part_of_the_address_that_is_shown():
    database = Database("postgresql://node@db.example/node", password="geheim")  # never connects

    assert "geheim" not in database.url


def test_what_was_written_is_there_afterwards(database):
    with_leases(database)

    with database.reading() as tx:
        assert tx.rows(LEASES) == [("pull", "nobody", 0), ("push", "nobody", 0)]


def test_an_exception_takes_everything_back(database):
    def fail(tx):
        tx.insert(schema.lease, [("pull", "nobody", 0)])
        tx.run(TAKE, holder="me", work="pull")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        database.retrying(fail)

    with database.reading() as tx:
        assert tx.rows(LEASES) == []


def test_run_says_how_many_rows_it_touched(database):
    with with_leases(database).writing() as tx:
        assert tx.run(sa.text("update lease set until = 5")) == 2
        assert tx.run(TAKE, holder="me", work="nothing") == 0


def test_many_carries_out_a_statement_for_each_row(database):
    with with_leases(database).writing() as tx:
        tx.many(TAKE, [{"holder": "a", "work": "pull"}, {"holder": "b", "work": "push"}])
        tx.many(TAKE, [])

    with database.reading() as tx:
        assert [row[1] for row in tx.rows(LEASES)] == ["a", "b"]


def test_a_list_is_bound_as_one_value(database):
    statement = spelled(
        "select l.work from json_each(:works) j join lease l on l.work = j.value",
        "select l.work from unnest(cast(:works as text[])) j(work) join lease l on l.work = j.work",
    )

    with with_leases(database).reading() as tx:
        assert tx.rows(statement, works=tx.listed(["push", "absent", "ünknown'"])) == [("push",)]


def sample(column: sa.Column, number: int) -> object:
    """A value that stretches the column's type; every third is absent where that is allowed."""
    if column.nullable and number % 3 == 0:
        return None
    kind = type(column.type).__name__
    return {
        "BigInteger": (2**63 - 1, -(2**63), number),
        "Integer": (2**31 - 1, 0, number),
        "SmallInteger": (5, -1, number),
        "Boolean": (True, False, number % 2 == 0),
        "Text": ("ä\u2028'\"\\\t\n😀", "", f"text {number}"),
        "LargeBinary": (bytes(range(256)), b"", b"%d" % number),
    }[kind][number % 3]


@pytest.mark.parametrize("table", schema.metadata.sorted_tables, ids=lambda table: table.name)
def test_insert_puts_every_value_of_every_column_as_it_is(database, table):
    with database.writing() as tx:
        tx.connection.execute(sa.delete(table))
        wanted = [tuple(sample(column, number) for column in table.columns) for number in (1, 2, 3)]
        tx.insert(table, wanted)
        tx.insert(table, [])

    with database.reading() as tx:
        found = [tuple(row) for row in tx.connection.execute(sa.select(table))]
    assert sorted(found, key=repr) == sorted(wanted, key=repr)


def test_whole_numbers_are_taken_for_flags(database):
    with database.writing() as tx:
        tx.insert(schema.grant, [("soc", 1, 1, 0)])

    with database.reading() as tx:
        assert tx.connection.execute(sa.select(schema.grant)).one() == ("soc", 1, True, False)


def test_a_row_that_is_there_already_is_an_error_of_the_store(database):
    with_leases(database)

    with pytest.raises(StoreError) as refusal, database.writing() as tx:
        tx.insert(schema.lease, [("pull", "other", 1)])

    assert not refusal.value.retryable
    with database.reading() as tx:
        assert ("pull", "nobody", 0) in tx.rows(LEASES)


@pytest.mark.parametrize("opener", ["writing", "reading"])
def test_a_statement_that_cannot_be_is_an_error_of_the_store(database, opener):
    with pytest.raises(StoreError, match="refused"), getattr(database, opener)() as tx:
        tx.rows(sa.text("select nothing from nowhere"))


def test_a_writer_that_finds_the_lock_held_is_told_so_and_can_write_later(database):
    with_leases(database)
    with database.writing() as tx:
        tx.connection.exec_driver_sql(IMPATIENT[database.dialect])  # on the one connection of the pool
    other = Database(database.url)
    try:
        with other.writing() as holder:
            holder.run(TAKE, holder="other", work="pull")
            with pytest.raises(StoreBusy) as refusal, database.writing() as tx:
                tx.run(TAKE, holder="me", work="pull")
        with database.writing() as tx:
            assert tx.run(TAKE, holder="me", work="pull") == 1
    finally:
        other.close()

    assert refusal.value.retryable


def test_a_reader_reads_while_a_writer_holds_the_lock(database):
    with with_leases(database).writing() as holder:
        holder.run(TAKE, holder="me", work="pull")
        with database.reading() as tx:
            if database.dialect == "sqlite":
                tx.connection.exec_driver_sql("pragma busy_timeout = 0")
            assert tx.rows(LEASES) == [("pull", "nobody", 0), ("push", "nobody", 0)]


def test_a_reader_takes_no_lock_and_keeps_no_old_view(database):
    with with_leases(database).reading() as reader:
        reader.rows(LEASES)
        with database.writing() as tx:
            if database.dialect == "sqlite":
                tx.connection.exec_driver_sql("pragma busy_timeout = 0")
            tx.run(TAKE, holder="me", work="pull")
        assert reader.rows(LEASES)[0] == ("pull", "me", 0)
        if database.dialect == "sqlite":
            assert not reader.connection.connection.driver_connection.in_transaction


def test_a_writer_on_sqlite_has_the_lock_before_its_first_statement(sqlite_database):
    with with_leases(sqlite_database).writing():
        other = pysqlite3.connect(sa.engine.make_url(sqlite_database.url).database, timeout=0)
        with pytest.raises(pysqlite3.OperationalError, match="locked"):
            other.execute("begin immediate")
        other.close()


def test_a_deadlock_is_begun_again(postgresql_database):
    database = with_leases(postgresql_database)
    met = threading.Barrier(2)
    begun = {"forth": 0, "back": 0}

    def crossing(name, first, second):
        def work(tx):
            begun[name] += 1
            tx.run(TAKE, holder=name, work=first)
            if begun[name] == 1:
                met.wait(10)  # both hold their first row now
            tx.run(TAKE, holder=name, work=second)

        return lambda: database.retrying(work)

    joins = [in_thread(crossing("forth", "pull", "push")), in_thread(crossing("back", "push", "pull"))]

    assert [join() for join in joins] == [None, None]
    assert sorted(begun.values()) == [1, 2]
    with database.reading() as tx:
        holders = {row[1] for row in tx.rows(LEASES)}
    assert len(holders) == 1


def test_a_deadlock_inside_insert_is_begun_again(postgresql_database):
    met = threading.Barrier(2)
    begun = {"forth": 0, "back": 0}

    def crossing(name, first, second):
        def work(tx):
            begun[name] += 1
            tx.insert(schema.lease, [(first, name, 0)])
            if begun[name] == 1:
                met.wait(10)
            tx.insert(schema.lease, [(second, name, 0)])

        return lambda: postgresql_database.retrying(work)

    joins = [in_thread(crossing("forth", "a", "b")), in_thread(crossing("back", "b", "a"))]
    raised = [cause for cause in (join() for join in joins) if cause is not None]

    # The one who is begun again meets the rows of the other, which is an error of another kind.
    assert [type(cause) for cause in raised] == [StoreError]
    assert "duplicate key" in raised[0].problem
    assert sorted(begun.values()) == [1, 2]


def test_retrying_gives_up_when_the_lock_stays_held(database):
    with_leases(database)
    with database.writing() as tx:
        tx.connection.exec_driver_sql(IMPATIENT[database.dialect])
    other = Database(database.url)
    try:
        with other.writing() as holder:
            holder.run(TAKE, holder="other", work="pull")
            with pytest.raises(StoreBusy):
                database.retrying(lambda tx: tx.run(TAKE, holder="me", work="pull"))
    finally:
        other.close()


def test_retrying_does_not_repeat_an_error_that_would_come_again(database):
    tries = []

    def work(tx):
        tries.append(1)
        tx.run(sa.text("update nowhere set a = 1"))

    with pytest.raises(StoreError):
        database.retrying(work)

    assert len(tries) == 1


def test_the_identity_of_the_server_is_its_number_and_its_timeline(postgresql_database, sqlite_database):
    number, _, timeline = postgresql_database.server_identity().partition(":")

    assert number.isdigit()
    assert timeline == "1"
    assert sqlite_database.server_identity() == ""
