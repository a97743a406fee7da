"""Leases in rounds: none for a quiet round, and one before anything is stored or sent."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from node.errors import LockHeld
from node.sync import bookmarks, leases
from node.sync.bookmarks import Bookmark
from node.sync.push import push
from tests.support.builders import NOON, an_indicator
from tests.support.two_nodes import BOTH_PULL, BOTH_PUSH, Centre, renew_history, two_nodes

FIRST, SECOND = an_indicator("one", tlp="green"), an_indicator("two", tlp="green")
_HOLDERS = sa.text("select holder from lease")


@pytest.fixture
def taken(monkeypatch) -> list[str]:
    """The holders that asked for a lease."""
    take, asked = leases.take_lease, []

    def told(tx, work, holder, *, now):
        asked.append(holder)
        return take(tx, work, holder, now=now)

    monkeypatch.setattr(leases, "take_lease", told)
    return asked


def holders(node: Centre) -> list[str]:
    with node.database.reading() as tx:
        return [row[0] for row in tx.rows(_HOLDERS)]


@pytest.mark.parametrize("carry", [BOTH_PULL, BOTH_PUSH])
def test_a_quiet_round_takes_no_lease_and_one_that_moves_something_does(
    two_databases, tmp_path, carry, taken: list[str]
):
    pair = two_nodes(two_databases, tmp_path, flow_carry=carry)
    giver, active = (pair.south, pair.north) if carry == BOTH_PULL else (pair.north, pair.north)
    giver.bring(FIRST)
    seen: list[tuple[str, list[str]]] = []
    active.wire.before = lambda request: seen.append((str(request.method), holders(active)))
    assert sum(report.moved for report in active.sync()) == 1
    assert [held for method, held in seen if method == "POST"] == [["north-test"]] * (carry == BOTH_PUSH)
    assert taken == ["north-test"]
    assert holders(active) == []
    taken.clear()
    assert sum(report.moved for report in active.sync()) == 0
    assert taken == []


def test_a_run_that_began_while_we_asked_is_left_to_work(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path, flow_carry=BOTH_PUSH)
    pair.north.bring(FIRST)

    def begin(_request: object) -> None:
        with pair.north.database.writing() as tx:
            leases.take_lease(tx, "partner:south", "elsewhere", now=pair.clock())

    pair.north.wire.before = begin
    with pytest.raises(LockHeld, match="elsewhere"):
        pair.north.sync()
    assert all(method == "GET" for method, _, _ in pair.north.wire.asked)
    assert pair.south.bodies() == []
    assert pair.north.state("south/indicators/out").failures == 0


def test_a_later_history_that_another_run_has_settled_meanwhile_stays_settled(two_databases, tmp_path):
    """What was asked before the lease was taken says nothing any more."""
    pair = two_nodes(two_databases, tmp_path, flow_carry=BOTH_PUSH)
    pair.north.bring(FIRST)
    pair.north.sync()
    renew_history(pair.south, "restored")
    door, client = pair.north.door, pair.north.client()
    link = door.link("south/indicators/out")
    others = []

    def hold() -> bool:
        if others:
            return False
        renew_history(pair.south, "restored again")
        others.append(push(door, link, pair.north.client(), now=pair.clock, pause=lambda _: False))
        return True

    report = push(door, link, client, now=pair.clock, pause=lambda _: False, hold=hold)

    assert [(one.new_session != "", one.considered) for one in (*others, report)] == [(True, 1), (False, 0)]


def test_a_page_that_another_run_has_read_past_is_not_stored(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path)
    pair.south.bring(FIRST)
    pair.north.sync()
    pair.south.bring(SECOND)
    with pair.north.database.reading() as tx:
        before = bookmarks.read(tx, "south/indicators/in")
    assert before is not None
    later = Bookmark("2026-12-24T00:00:00.000000Z", before.epoch, before.policy_digest, NOON)

    def read_on(_request: object) -> None:
        with pair.north.database.writing() as tx:
            bookmarks.advance(tx, "south/indicators/in", later)

    pair.north.wire.before = read_on
    with pytest.raises(LockHeld, match="read south/indicators/in on meanwhile"):
        pair.north.sync("in")
    assert pair.north.bodies() == [FIRST]
    with pair.north.database.writing() as tx:
        bookmarks.advance(tx, "south/indicators/in", before)
    pair.north.wire.before = lambda _request: None
    pair.north.sync("in")
    assert len(pair.north.bodies()) == 2  # the control: with its own bookmark it is


def test_a_lease_that_another_run_took_meanwhile_is_not_held_any_more(database):
    now = [NOON]
    with leases.turn(database, "partner:x", "us", now=lambda: now[0]) as ours:
        assert ours.hold()
        now[0] += 61 * 1_000_000
        assert not ours.hold()  # the control: ours alone, however late it was renewed
        now[0] += 61 * 1_000_000
        with database.writing() as tx:
            assert leases.take_lease(tx, "partner:x", "them", now=now[0])
        with pytest.raises(LockHeld, match="them"):
            ours.hold()
        with database.writing() as tx:
            leases.release_lease(tx, "partner:x", "them")
        with pytest.raises(LockHeld, match="just ended"):
            ours.hold()
