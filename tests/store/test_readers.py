"""node/store/readers.py: a reader cannot write, waits for its next use, and goes when it is not sound."""

import contextlib
import time

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from node.errors import StoreError
from node.store import readers
from node.store.database import spelled

ONE = sa.text("select 1")


def test_a_reader_that_writes_is_refused(database):
    with pytest.raises(StoreError), database.reading() as tx:
        tx.run(sa.text("update node set instance = 'x'"))


def test_a_writer_may_do_the_same(database):
    with database.writing() as tx:
        assert tx.run(sa.text("update node set instance = 'x'")) == 1


def test_a_reader_is_used_again(database):
    with database.reading() as first:
        first.rows(ONE)
    with database.reading() as second:
        assert second is first
        assert second.rows(ONE) == [(1,)]


def test_two_readers_at_once_are_two(database):
    with database.reading() as first, database.reading() as second:
        assert first is not second


def test_a_reader_sees_what_was_committed_since_its_last_use(database):
    asked = sa.text("select instance from node")
    with database.reading() as tx:
        tx.rows(asked)
    with database.writing() as tx:
        tx.run(sa.text("update node set instance = 'since'"))
    with database.reading() as tx:
        assert tx.rows(asked) == [("since",)]


def test_a_reader_that_failed_is_let_go(database):
    with pytest.raises(StoreError), database.reading() as failed:
        failed.rows(sa.text("select nothing from nowhere"))
    with database.reading() as tx:
        assert tx is not failed
        assert tx.rows(ONE) == [(1,)]


def test_a_refusal_of_ours_keeps_the_reader(database):
    with pytest.raises(ZeroDivisionError), database.reading() as refused:
        _ = 1 // 0
    with database.reading() as tx:
        assert tx is refused


def test_no_more_readers_wait_than_are_worth_it(database, monkeypatch):
    monkeypatch.setattr(readers, "MOST_WAITING", 1)
    with database.reading() as first, database.reading() as second:
        pass
    with database.reading() as tx:
        assert tx is second
        with database.reading() as other:
            assert other is not first


def _end_readers(database, *waiting):
    """What a restart of the server does to connections that wait; their sockets learn it a little later."""
    with database.writing() as tx:
        tx.run(
            sa.text(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
        )
    deadline = time.monotonic() + 60
    while not all(readers._has_ended(each.socket) for each in waiting):
        assert time.monotonic() < deadline


def test_a_server_that_went_away_meanwhile_is_not_noticed(postgresql_database):
    with postgresql_database.reading() as first, postgresql_database.reading() as second:
        assert first.rows(ONE) == second.rows(ONE)
    _end_readers(postgresql_database, first, second)

    with postgresql_database.reading() as tx:
        assert tx not in (first, second)
        assert tx.rows(ONE) == [(1,)]


def test_control_without_a_look_at_the_socket_the_next_request_would_fail(postgresql_database, monkeypatch):
    with postgresql_database.reading() as first:
        first.rows(ONE)
    _end_readers(postgresql_database, first)
    monkeypatch.setattr(readers, "_has_ended", lambda _socket: False)

    with pytest.raises(StoreError), postgresql_database.reading() as tx:
        tx.rows(ONE)


def test_a_reader_that_sqlalchemy_found_dead_is_not_given_to_the_next(postgresql_database):
    with contextlib.ExitStack() as reading:
        first = reading.enter_context(postgresql_database.reading())
        first.rows(ONE)
        _end_readers(postgresql_database, first)
        with pytest.raises(DBAPIError) as found:
            sa.inspect(first.connection).has_table("node")
        with pytest.raises(StoreError):
            reading.pop_all().__exit__(found.type, found.value, found.tb)

    with postgresql_database.reading() as tx:
        assert tx is not first
        assert tx.rows(ONE) == [(1,)]


def test_a_long_answer_is_not_held_until_the_next_one(postgresql_database):
    with postgresql_database.reading() as tx:
        tx.rows(sa.text("select generate_series(1, 50)"))
        tx.rows(sa.text("select generate_series(1, 5000)"))
        assert len(tx._kept) == 1


def test_an_answer_of_few_large_objects_is_not_held_until_the_next_one(postgresql_database):
    with postgresql_database.reading() as tx:
        tx.rows(sa.text("select 1, decode(repeat('ab', 1000), 'hex') from generate_series(1, 3)"))
        tx.rows(sa.text("select 1, decode(repeat('ab', 100000), 'hex') from generate_series(1, 3)"))
        assert len(tx._kept) == 1


@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        ["one", "two"],
        ['a"b', "c\\d", "{e},f", " g ", "NULL", "h'i", "j%k", 'l\\"m', "n\no", "日本"],
    ],
)
def test_a_list_arrives_as_it_was_given(database, values):
    words = spelled(
        "select value from json_each(:given)", "select u.v from unnest(cast(:given as text[])) u(v)"
    )
    with database.reading() as tx:
        assert [value for (value,) in tx.rows(words, given=tx.listed(values))] == values


def test_a_list_of_numbers_arrives_as_numbers(database):
    words = spelled(
        "select value from json_each(:given)", "select u.v from unnest(cast(:given as int8[])) u(v)"
    )
    with database.reading() as tx:
        assert tx.rows(words, given=tx.listed([3, -(2**62)])) == [(3,), (-(2**62),)]
