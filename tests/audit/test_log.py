"""node/audit/log.py: one leaf for each act, in its own transaction."""

import pytest

from node.access.tokens import make_token
from node.audit import log


def record(tx, now, **changes):
    values = {"actor": "person:op", "act": "account.add", "subject": "account:soc", "details": {}} | changes
    log.record(tx, now=now, **values)


def test_a_leaf_is_read_as_it_was_recorded(database):
    details = {"name": "Ünï\u2028\u0000", "count": 3, "listed": True, "none": None, "list": ["b", "a"]}
    with database.writing() as tx:
        record(tx, 5, details=details)

    with database.reading() as tx:
        (leaf,) = log.leaves(tx, limit=10)
    assert (leaf.at, leaf.actor, leaf.act, leaf.subject) == (5, "person:op", "account.add", "account:soc")
    assert leaf.details == details


def test_the_newest_leaves_come_first_and_no_more_than_asked(database):
    with database.writing() as tx:
        for now in (1, 3, 2):
            record(tx, now)

    with database.reading() as tx:
        assert [leaf.at for leaf in log.leaves(tx, limit=2)] == [3, 2]
        assert [leaf.at for leaf in log.leaves(tx, limit=2, before=3)] == [2, 1]


def test_every_leaf_has_an_id_of_its_own(database):
    with database.writing() as tx:
        for _ in range(3):
            record(tx, 1)
        assert len({leaf.leaf_id for leaf in log.leaves(tx, limit=9)}) == 3


def test_an_act_that_fails_leaves_no_leaf(database):
    def fail(tx):
        record(tx, 1)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        database.retrying(fail)

    with database.reading() as tx:
        assert log.leaves(tx, limit=9) == []


@pytest.mark.parametrize("place", ["details", "subject"])
def test_a_token_never_comes_into_the_log(sqlite_database, place):
    text = f"given {make_token()[0]}"

    with pytest.raises(ValueError, match="token"), sqlite_database.writing() as tx:
        record(tx, 1, **{place: {"note": text} if place == "details" else text})


def test_bytes_never_come_into_the_log(sqlite_database):
    with pytest.raises(TypeError), sqlite_database.writing() as tx:
        record(tx, 1, details={"body": b"{}"})
