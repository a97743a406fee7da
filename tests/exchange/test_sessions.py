"""Push sessions: where they stand on either side."""

from __future__ import annotations

from node.exchange import sessions
from node.exchange.ledger import Key
from node.exchange.sessions import SessionIn, SessionOut
from node.store.database import Database

OUT, IN = "south/indicators/out", "south/indicators/in"
KEYS = [Key("indicator--1", "2.1", 5, b"\x01" * 32), Key("ipv4-addr--2", "2.1", 0, b"\x02" * 32)]


def test_there_is_none_before_the_first(database: Database):
    with database.reading() as tx:
        assert sessions.outgoing(tx, OUT) is None
        assert sessions.incoming(tx, IN) is None


def test_a_stored_batch_comes_back_as_it_was(database: Database):
    with database.writing() as tx:
        sessions.begin(tx, OUT, now=100, epoch="e")
        sessions.store_batch(tx, OUT, KEYS)
    with database.reading() as tx:
        assert sessions.outgoing(tx, OUT) == SessionOut(100, "e", 0, KEYS)


def test_an_empty_batch_is_a_batch(database: Database):
    with database.writing() as tx:
        sessions.begin(tx, OUT, now=100, epoch="e")
        sessions.store_batch(tx, OUT, [])
        assert sessions.outgoing(tx, OUT) == SessionOut(100, "e", 0, [])


def test_settling_counts_the_batch_and_lets_it_go(database: Database):
    with database.writing() as tx:
        sessions.begin(tx, OUT, now=100, epoch="e")
        sessions.store_batch(tx, OUT, KEYS)
        sessions.settle_batch(tx, OUT)
        assert sessions.outgoing(tx, OUT) == SessionOut(100, "e", 1, None)


def test_start_instants_only_grow_also_when_the_clock_goes_back(database: Database):
    with database.writing() as tx:
        sessions.begin(tx, OUT, now=100, epoch="e")
        assert sessions.begin(tx, OUT, now=50, epoch="f").started == 101
        assert sessions.begin(tx, OUT, now=500, epoch="g").started == 500


def test_a_new_session_begins_without_batch_at_zero(database: Database):
    with database.writing() as tx:
        sessions.begin(tx, OUT, now=100, epoch="e")
        sessions.store_batch(tx, OUT, KEYS)
        sessions.settle_batch(tx, OUT)
        sessions.store_batch(tx, OUT, KEYS)
        assert sessions.begin(tx, OUT, now=200, epoch="f") == SessionOut(200, "f", 0, None)
        assert sessions.outgoing(tx, OUT) == SessionOut(200, "f", 0, None)


def test_what_a_partner_has_applied_is_remembered(database: Database):
    with database.writing() as tx:
        sessions.note_incoming(tx, IN, SessionIn(100, "e", 1, "status-1"))
        sessions.note_incoming(tx, IN, SessionIn(100, "e", 2, "status-2"))
        assert sessions.incoming(tx, IN) == SessionIn(100, "e", 2, "status-2")
