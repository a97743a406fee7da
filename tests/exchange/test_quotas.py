"""How much a partner may bring and take back in a day: exact over links and ways in, and never more."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
import sqlalchemy as sa

from node.exchange import ingress, placing, quarantine, quotas, worklist
from node.exchange.ingress import Source
from node.sharing.links import Stricter
from node.store import catalog
from node.store.database import Database, Tx
from tests.support.agreements import a_flow
from tests.support.builders import LATER, SOUTH_ID, an_id, an_indicator, an_ipv4
from tests.support.nodes import IN, Node, a_node

DAY = quotas.DAY
TECHNIQUES = "south/techniques/in"
PATIENCE = 15


def limited(database: Database, **brakes: int) -> Node:
    """North with one partner, two flows, and brakes on it."""
    flows = [a_flow(), a_flow("techniques")]
    collections = ("indicators", "techniques")
    return a_node(database, collections=collections, flow=flows, stricter=Stricter(**brakes))


def some(*names: object, **changes: object) -> list[bytes]:
    return [an_indicator(str(name), tlp="green", author=SOUTH_ID, **changes) for name in names]


def revoked(*names: object, modified: str = LATER) -> list[bytes]:
    return some(*names, modified=modified, revoked=True)


def reasons(north: Node, *bodies: bytes, **how: object) -> Counter[str]:
    return Counter(one.reason or one.outcome.value for one in north.admit(*bodies, by=IN, **how).results)


class TestNewObjects:
    def test_beyond_the_limit_an_object_waits_for_a_person(self, database: Database):
        north = limited(database, max_new_in_per_day=3)

        report = north.admit(*some(*range(5)), by=IN)

        assert [one.outcome.value for one in report.results] == [*["stored"] * 3, *["quarantined"] * 2]
        assert {one.reason for one in report.results[3:]} == {"daily_limit"}
        with north.database.reading() as tx:
            (held_back,) = quotas.held_back(tx)
            told = quarantine.entries(tx)[0].detail
        assert (held_back.partner, held_back.reason, held_back.number) == ("south", "daily_limit", 2)
        assert "3 new objects (max_new_in_per_day)" in told

    def test_all_links_and_ways_in_of_a_partner_count_together(self, database: Database):
        north = limited(database, max_new_in_per_day=3)
        north.bring(*some("a", "b"), by=IN)
        link = north.link(TECHNIQUES)

        with north.database.writing() as tx:
            collection = catalog.lock(tx, north.collection("techniques").collection_id)
            source = Source("push", "account:south", link)
            report = ingress.admit(
                tx, north.door, collection, some("c", "d"), source, arrival_id=None, now=north.moment()
            )

        assert report.counts == {"stored": 1, "quarantined": 1}

    def test_partners_count_for_themselves_and_our_own_people_not_at_all(self, database: Database):
        north = a_node(
            database, partners=("south",), flow=[a_flow()], stricter=Stricter(max_new_in_per_day=1)
        )
        north.bring(*some(1), by=IN)

        assert north.bring(*[an_indicator(f"ours {n}") for n in range(3)]) == ["stored"] * 3

    def test_what_is_held_already_is_not_new(self, database: Database):
        north = limited(database, max_new_in_per_day=3)
        north.bring(*some(1, 2), by=IN)

        assert reasons(north, *some(1, 2, 1, 2)) == {"duplicate": 4}
        assert reasons(north, *some(3, 4)) == {"stored": 1, "daily_limit": 1}

    def test_what_is_set_aside_for_another_reason_is_not_counted(self, database: Database):
        north = limited(database, max_new_in_per_day=1)

        assert reasons(north, an_indicator("red", tlp="red"), *some(1)) == {"above_ceiling": 1, "stored": 1}

    def test_a_restated_text_counts_as_much_as_a_new_one(self, database: Database):
        north = limited(database, max_new_in_per_day=2)
        north.bring(*some(1), by=IN)

        assert reasons(north, *some(1, description="a"), *some(1, description="b")) == {
            "restated": 1,
            "daily_limit": 1,
        }

    def test_the_day_is_that_of_utc(self, database: Database):
        north = limited(database, max_new_in_per_day=2)
        midnight = (north.now // DAY + 1) * DAY
        north.bring(*some(1, 2, 3), by=IN, now=midnight - 1)

        assert reasons(north, *some(3, 4, 5), now=midnight) == {"stored": 2, "daily_limit": 1}
        with north.database.reading() as tx:
            assert [one.stix_id for one in quarantine.entries(tx)] == [an_id("indicator", 5)]

    def test_bytes_are_limited_too(self, database: Database):
        size = len(some("a")[0])
        north = limited(database, max_new_bytes_in_per_day=2 * size + 10)

        report = north.admit(*some("a", "b", "c"), by=IN)

        assert [one.reason for one in report.results] == ["", "", "daily_limit"]
        assert "bytes of new objects" in report.results[2].message

    def test_without_limits_nothing_waits(self, database: Database):
        north = limited(database)
        north.bring(*some(*range(60)), by=IN)

        assert reasons(north, *revoked(*range(60))) == {"stored": 60}

    def test_a_person_lets_in_what_waits(self, database: Database):
        north = limited(database, max_new_in_per_day=1)
        north.bring(*some(1, 2), by=IN)
        with north.database.writing() as tx:
            (entry,) = quarantine.entries(tx)
            result = worklist.accept(
                tx, north.door, entry.entry, actor="person:op", reason="seen", now=north.moment()
            )

        assert result.outcome.value == "stored"
        with north.database.reading() as tx:
            assert quotas.held_back(tx) == []
            assert quotas.standing(tx, north.link(IN), now=north.now).today.objects == 1


class TestAllowance:
    def test_what_a_person_allowed_is_let_in_once(self, database: Database):
        north = limited(database, max_new_in_per_day=2)
        with north.database.writing() as tx:
            quotas.allow(tx, "south", quotas.NEW, 2, actor="person:op", now=north.now)

        assert reasons(north, *some(*range(5))) == {"stored": 4, "daily_limit": 1}
        assert reasons(north, *some(5)) == {"daily_limit": 1}

    def test_it_ends_after_24_hours(self, database: Database):
        north = limited(database, max_new_in_per_day=1)
        with north.database.writing() as tx:
            until = quotas.allow(tx, "south", quotas.NEW, 9, actor="person:op", now=north.now)

        assert until == north.now + DAY
        assert reasons(north, *some(1, 2), now=until - 1) == {"stored": 2}
        assert reasons(north, *some(3), now=until) == {"daily_limit": 1}

    def test_an_undone_transaction_takes_nothing_of_it(self, database: Database):
        north = limited(database, max_new_in_per_day=1)
        with north.database.writing() as tx:
            quotas.allow(tx, "south", quotas.NEW, 1, actor="person:op", now=north.now)

        def undone(tx: Tx) -> None:
            collection = catalog.lock(tx, north.collection().collection_id)
            source = Source("pull", "worker", north.link(IN))
            ingress.admit(tx, north.door, collection, some(1, 2), source, arrival_id=None, now=north.now)
            raise KeyError

        with pytest.raises(KeyError):
            north.database.retrying(undone)
        assert reasons(north, *some(1, 2, 3)) == {"stored": 2, "daily_limit": 1}


class TestRevocations:
    def test_more_than_the_share_at_once_waits(self, database: Database):
        north = limited(database, max_revoked_percent_in_per_day=20)
        north.bring(*some(*range(150)), by=IN)

        assert reasons(north, *revoked(*range(40))) == {"stored": 30, "mass_revocation": 10}
        assert not north.last(an_id("indicator", 39)).revoked

    def test_a_few_never_wait(self, database: Database):
        north = limited(database, max_revoked_percent_in_per_day=1)
        north.bring(*some(*range(25)), by=IN)

        assert reasons(north, *revoked(*range(25))) == {"stored": 20, "mass_revocation": 5}

    def test_the_share_is_of_what_is_left_on_the_day(self, database: Database):
        north = limited(database, max_revoked_percent_in_per_day=50)
        north.bring(*some(*range(100)), by=IN)
        north.bring(*revoked(*range(50)), by=IN)

        assert reasons(north, *revoked(*range(50, 100)), now=north.now + DAY) == {
            "stored": 25,
            "mass_revocation": 25,
        }

    def test_an_object_counts_once_however_often_it_is_revoked(self, database: Database):
        north = limited(database, max_revoked_percent_in_per_day=1)
        north.bring(*some(*range(30)), by=IN)
        again = [revoked(1, modified=f"2026-11-20T09:00:{n:02}.000Z")[0] for n in range(40)]
        assert reasons(north, *again) == {"stored": 40}

        assert reasons(north, *revoked(*range(2, 30))) == {"stored": 19, "mass_revocation": 9}

    def test_a_revocation_under_the_same_date_counts_too(self, database: Database):
        north = limited(database, max_revoked_percent_in_per_day=1)
        north.bring(*some(*range(25)), by=IN)

        assert reasons(north, *some(*range(25), revoked=True)) == {"restated": 20, "mass_revocation": 5}

    def test_the_number_of_new_objects_keeps_no_revocation_back(self, database: Database):
        north = limited(database, max_new_in_per_day=5, max_revoked_percent_in_per_day=20)
        north.bring(*some(*range(6)), by=IN)

        assert reasons(north, *revoked(*range(5))) == {"stored": 5}

    def test_what_a_person_allowed_goes_through(self, database: Database):
        north = limited(database, max_revoked_percent_in_per_day=1)
        north.bring(*some(*range(25)), by=IN)
        with north.database.writing() as tx:
            quotas.allow(tx, "south", quotas.REVOKED, 3, actor="person:op", now=north.now)

        assert reasons(north, *revoked(*range(25))) == {"stored": 23, "mass_revocation": 2}

    def test_what_belongs_to_nobody_cannot_be_revoked_without_end_either(self, database: Database):
        north = limited(database, max_revoked_percent_in_per_day=20)
        mitre = {"author": "identity--c78cb6e5-0c4b-4611-8297-d1b8b55e40b5"}
        north.bring(*[an_indicator(f"m{n}", tlp="green", **mitre) for n in range(30)])
        gone = [an_indicator(f"m{n}", tlp="green", modified=LATER, revoked=True, **mitre) for n in range(30)]

        assert reasons(north, *gone) == {"stored": 20, "mass_revocation": 10}


class TestTwoAtOnce:
    """South fills two collections at one moment."""

    @pytest.fixture
    def north(self, postgresql_database: Database) -> Node:
        north = limited(postgresql_database, max_new_in_per_day=5)
        north.bring(*some("before"), by=IN)
        return north

    def stored(self, north: Node, monkeypatch: pytest.MonkeyPatch, *, blocked_for: float) -> int:
        """What is stored in all, when the second begins while the first has not committed."""
        decided, counted, go_on = threading.Event(), threading.Event(), threading.Event()
        place, enter = placing.place, quotas.Intake.enter

        def waiting(*args: object, **how: object) -> None:
            if threading.current_thread() is first and not decided.is_set():
                decided.set()
                go_on.wait(PATIENCE)
            place(*args, **how)

        def entering(intake: quotas.Intake) -> None:
            if threading.current_thread() is second:
                counted.set()
            enter(intake)

        def bring(by: str, name: str) -> None:
            north.admit(*some(*(f"{name} {n}" for n in range(4))), by=by, now=north.now)

        monkeypatch.setattr(placing, "place", waiting)
        monkeypatch.setattr(quotas.Intake, "enter", entering)
        first = threading.Thread(target=bring, args=(IN, "a"), daemon=True)
        second = threading.Thread(target=bring, args=(TECHNIQUES, "b"), daemon=True)
        first.start()
        assert decided.wait(PATIENCE)
        second.start()
        assert counted.wait(blocked_for) is (blocked_for == PATIENCE)
        go_on.set()
        first.join(PATIENCE)
        second.join(PATIENCE)
        assert not first.is_alive()
        assert not second.is_alive()
        with north.database.reading() as tx:
            return tx.rows(sa.text("select count(*) from object"))[0][0]

    def test_not_one_more_than_the_limit_is_stored(self, north: Node, monkeypatch: pytest.MonkeyPatch):
        assert self.stored(north, monkeypatch, blocked_for=0.3) == 5

    def test_control_a_count_that_is_read_without_its_lock_lets_more_in(
        self, north: Node, monkeypatch: pytest.MonkeyPatch
    ):
        unlocked = (
            "select objects, bytes, firsts, revoked from intake where partner = :partner and day = :day"
        )
        monkeypatch.setattr(quotas, "_LOCK", sa.text(unlocked))

        assert self.stored(north, monkeypatch, blocked_for=PATIENCE) == 9


def test_an_observable_is_new_once(database: Database):
    north = limited(database, max_new_in_per_day=1)

    assert reasons(north, an_ipv4(), an_ipv4(), *some(1)) == {"stored": 1, "duplicate": 1, "daily_limit": 1}
