"""Two nodes exchange through the days that an exchange has: both ways, echoes, restarts, ends, quarrels.

Each test ends where the design says an exchange must end: every feed has examined all that is due, what
the sender permits is at the receiver or explained there, and two rounds in succession move nothing.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from node.exchange import feed_rows, ingress, worklist
from node.store import catalog
from node.sync.pull import Limits
from node.sync.reports import Stop
from tests.support.builders import (
    LATER,
    NOON,
    NORTH_ID,
    SOUTH_ID,
    a_malware,
    a_relationship,
    an_id,
    an_identity,
    an_indicator,
    an_ipv4,
)
from tests.support.data import attack
from tests.support.two_nodes import BOTH_PULL, BOTH_PUSH, TwoNodes, an_exchange_text, two_nodes

EITHER = {"north": "pull", "south": "push"}
carriers = pytest.mark.parametrize("carry", [BOTH_PULL, BOTH_PUSH])
all_carriers = pytest.mark.parametrize(
    "carry", [BOTH_PULL, BOTH_PUSH, EITHER], ids=["pull", "push", "either"]
)
MICROSECONDS = 1_000_000
LATEST = "2026-11-20T10:00:00.000Z"
RENEWED = datetime(2030, 12, 1, tzinfo=UTC)

_HELD = sa.text('select stix_id, digest from "object"')
_REPLACED = sa.text("select stix_id, digest from object_history")
_BURIED = sa.text("select stix_id, digest from tombstone")
_STANDING = sa.text("select stix_id, digest from feed_row where link = :link and state < 9")
_NOTED = sa.text(
    "select stix_id, digest from received where outcome in ('variant', 'quarantined', 'suppressed')"
)
_OWED = sa.text("select count(*) from feed_due")


def by(author: str, name: str, **changes: object) -> bytes:
    return an_indicator(name, author=author, **{"tlp": "green", **changes})


def quiet(pair: TwoNodes, most: int = 8) -> int:
    """How many objects moved until two rounds in succession moved nothing."""
    moved, still = 0, 0
    for _ in range(most):
        reports = pair.round()
        assert [report.error for report in reports if report.error] == []
        assert [report.detail for report in reports if report.stopped] == []
        found = sum(
            report.moved for report in reports if not report.link.endswith("/out") or hasattr(report, "sent")
        )
        moved, still = moved + found, still + 1 if found == 0 else 0
        if still == 2:
            assert_converged(pair)
            return moved
    raise AssertionError("the exchange does not go quiet")


def assert_converged(pair: TwoNodes) -> None:
    for giver, taker in ((pair.north, pair.south), (pair.south, pair.north)):
        (link,) = giver.door.partner_links(giver.other, "out")
        with giver.database.reading() as tx:
            collection = catalog.find_collection(tx, "indicators")
            state = feed_rows.feed(tx, link.name)
            standing = set(tx.rows(_STANDING, link=link.name))
            assert tx.row(_OWED) == (0,)
        assert state is not None
        assert state.examined >= collection.last_added
        with taker.database.reading() as tx:
            there = {*tx.rows(_HELD), *tx.rows(_NOTED), *tx.rows(_REPLACED), *tx.rows(_BURIED)}
        assert standing <= there


@all_carriers
def test_a_working_week_ends_with_both_centres_holding_the_same(two_databases, tmp_path, carry):
    pair = two_nodes(two_databases, tmp_path, flow_carry=carry, flow_unmarked="clear")
    for day in range(5):
        pair.north.bring(*(by(NORTH_ID, f"north {day} {n}") for n in range(8)), an_ipv4(f"198.51.100.{day}"))
        pair.south.bring(*(by(SOUTH_ID, f"south {day} {n}") for n in range(6)))
        pair.north.bring(a_malware(day, tlp="clear", author=NORTH_ID))
        pair.south.bring(
            a_relationship(
                an_id("indicator", f"south {day} 0"), an_id("malware", day), tlp="clear", author=SOUTH_ID
            )
        )
        pair.north.bring(
            by(NORTH_ID, "north 0 0", modified=f"2026-11-20T1{day}:00:00.000Z", revoked=day == 4)
        )
        pair.south.bring(by(SOUTH_ID, "south 0 0", description=f"as of day {day}"), restate=day > 0)
        if day == 2:
            pair.north.restart()
        pair.tick(86_400)
        pair.round()
    quiet(pair)
    assert pair.north.bodies() == pair.south.bodies()
    assert len(pair.north.bodies()) == 5 * (8 + 1 + 6 + 1 + 1 + 1)


@carriers
def test_nothing_comes_back_and_what_both_import_moves_no_further(two_sqlite_databases, tmp_path, carry):
    pair = two_nodes(two_sqlite_databases, tmp_path, flow_carry=carry)
    report = by(NORTH_ID, "seen by both")
    pair.north.bring(report, by(NORTH_ID, "other"))
    quiet(pair)
    assert pair.south.bring(report).counts == {"duplicate": 1}  # the same bulletin by another way
    assert quiet(pair) == 0
    assert len(pair.north.bodies()) == 2


@carriers
def test_public_objects_that_both_hold_cross_once_at_most(two_sqlite_databases, tmp_path, carry):
    pair = two_nodes(
        two_sqlite_databases,
        tmp_path,
        flow_carry=carry,
        flow_unmarked="clear",
        flow_types=["x-mitre-*", *STIX],
    )
    bodies = attack(every=200)
    pair.north.bring(*bodies)
    pair.south.bring(*bodies[::2])
    quiet(pair)
    assert sorted(pair.south.bodies()) == sorted(pair.north.bodies())
    assert quiet(pair) == 0


STIX = [
    "attack-pattern", "campaign", "course-of-action", "identity", "intrusion-set",
    "malware", "marking-definition", "relationship", "tool",
]  # fmt: skip


def test_an_exchange_goes_on_where_a_restart_of_either_side_left_it(two_sqlite_databases, tmp_path):
    pair = two_nodes(two_sqlite_databases, tmp_path)
    pair.north.bring(*(by(NORTH_ID, str(n)) for n in range(100)))
    steps = Limits(pages=1, page_objects=15)
    stored = []
    for turn in range(7):
        (report,) = pair.south.sync("in", limits=steps)
        stored.append(report.outcomes["stored"])
        (pair.north if turn % 2 else pair.south).restart()
    assert stored == [15] * 6 + [10]
    assert pair.south.bodies() == pair.north.bodies()
    quiet(pair)


def test_control_a_bookmark_that_a_restart_forgets_brings_the_beginning_again(two_sqlite_databases, tmp_path):
    pair = two_nodes(two_sqlite_databases, tmp_path)
    pair.north.bring(*(by(NORTH_ID, str(n)) for n in range(100)))
    steps = Limits(pages=1, page_objects=15)
    pair.south.sync("in", limits=steps)
    with pair.south.database.writing() as tx:
        tx.run(sa.text("delete from bookmark"))
    (report,) = pair.south.sync("in", limits=steps)
    assert (report.outcomes["stored"], report.outcomes["duplicate"]) == (0, 15)


@carriers
def test_an_agreement_that_ends_midway_stops_everything_until_it_is_renewed(two_databases, tmp_path, carry):
    pair = two_nodes(two_databases, tmp_path, flow_carry=carry)
    pair.north.bring(by(NORTH_ID, "in time"))
    quiet(pair)
    pair.north.bring(by(NORTH_ID, "too late"))
    ends = pair.north.door.links[0].terms.ends
    pair.clock.now = ends - MICROSECONDS
    pair.tick(2)
    reports = [*pair.north.sync(), *pair.south.sync()]
    carried = [report for report in reports if hasattr(report, "received") or hasattr(report, "sent")]
    assert carried
    assert {report.stopped for report in carried} == {Stop.CLOSED}
    assert all("ended" in report.detail for report in carried)
    assert pair.south.ids() == {an_id("indicator", "in time")}
    pair.agree(flow_carry=carry, revision=2, ends=RENEWED)
    quiet(pair)
    assert pair.south.bodies() == pair.north.bodies()


@carriers
def test_an_agreement_that_ends_between_request_and_answer_lets_nothing_cross(
    two_sqlite_databases, tmp_path, carry
):
    pair = two_nodes(two_sqlite_databases, tmp_path, flow_carry=carry)
    pair.north.bring(by(NORTH_ID, "too late"))
    pair.south.bring(by(SOUTH_ID, "too late too"))
    ends = pair.north.door.links[0].terms.ends
    for centre in (pair.north, pair.south):
        pair.clock.now = ends - MICROSECONDS
        centre.wire.before = lambda _request: setattr(pair.clock, "now", ends)
        reports = centre.sync()
        pulls = [report for report in reports if hasattr(report, "received")]
        assert [report.error.http_status for report in pulls] == [403] * len(pulls)
        centre.wire.before = lambda _request: None
    assert (len(pair.north.ids()), len(pair.south.ids())) == (1, 1)
    pair.agree(flow_carry=carry, revision=2, ends=RENEWED)
    quiet(pair)
    assert len(pair.north.ids()) == 2
    assert pair.south.bodies() == pair.north.bodies()


@carriers
def test_a_quarrel_over_one_object_ends_with_the_owners_word_on_both_sides(
    two_sqlite_databases, tmp_path, carry
):
    """N-SYNC-9: one winner on both nodes, and then quiet."""
    pair = two_nodes(two_sqlite_databases, tmp_path, flow_carry=carry)
    mine = by(NORTH_ID, "ours", description="as north wrote it")
    pair.north.bring(mine)
    quiet(pair)
    edit = pair.south.bring(by(NORTH_ID, "ours", modified=LATER, description="as south would have it"))
    assert edit.results[0].reason == "not_owner"  # a local POST to a partner's id
    revision = by(NORTH_ID, "ours", modified=LATEST, description="as north changed it")
    pair.north.bring(revision)
    quiet(pair)
    assert pair.north.bodies() == pair.south.bodies() == [mine, revision]


@carriers
def test_a_foreign_edit_waits_for_a_person_and_goes_back_to_its_author_when_accepted(
    two_sqlite_databases, tmp_path, carry
):
    pair = two_nodes(two_sqlite_databases, tmp_path, flow_carry=carry)
    claim = by(NORTH_ID, "claimed")
    pair.south.bring(claim)
    quiet(pair)
    assert pair.north.ids() == set()
    with pair.north.database.writing() as tx:
        (entry,) = (row[0] for row in tx.rows(sa.text("select entry from quarantine")))
        worklist.accept(
            tx, pair.north.door, entry, actor="person:anna", reason="ours indeed", now=pair.clock.now
        )
    ingress.afterwards(pair.north.door, now=pair.clock.now)
    quiet(pair)
    assert pair.north.bodies() == pair.south.bodies() == [claim]


@carriers
def test_a_deletion_stays_at_home_and_the_object_does_not_come_back_by_itself(two_databases, tmp_path, carry):
    """N-SYNC-6: a tombstone keeps it away."""
    pair = two_nodes(two_databases, tmp_path, flow_carry=carry)
    pair.north.bring(by(NORTH_ID, "kept"), by(NORTH_ID, "deleted at south"))
    quiet(pair)
    gone = an_id("indicator", "deleted at south")
    with pair.south.database.writing() as tx:
        collection = catalog.lock(tx, 1)
        ingress.remove(
            tx,
            pair.south.door,
            collection,
            gone,
            versions=None,
            spec_versions=None,
            actor="os:test",
            now=NOON,
        )
    ingress.afterwards(pair.south.door, now=NOON)
    pair.north.bring(by(NORTH_ID, "another"))
    quiet(pair)
    assert gone in pair.north.ids()
    assert pair.south.ids() == pair.north.ids() - {gone}
    pair.north.bring(by(NORTH_ID, "deleted at south", modified=LATER))
    quiet(pair)
    assert gone in pair.south.ids()  # a new version is new knowledge


@carriers
def test_a_revocation_ends_an_object_for_both_whatever_comes_after(two_sqlite_databases, tmp_path, carry):
    pair = two_nodes(two_sqlite_databases, tmp_path, flow_carry=carry)
    pair.north.bring(by(NORTH_ID, "x"))
    quiet(pair)
    pair.north.bring(by(NORTH_ID, "x", modified=LATEST, revoked=True))
    quiet(pair)
    for centre in (pair.north, pair.south):
        (last,) = last_versions(centre)
        assert json.loads(last)["revoked"] is True
    assert pair.north.bring(by(NORTH_ID, "x", modified="2026-11-20T11:00:00.000Z")).counts["refused"] == 1
    quiet(pair)
    assert pair.north.bodies() == pair.south.bodies()


def last_versions(centre) -> list[bytes]:
    with centre.database.reading() as tx:
        return [bytes(row[0]) for row in tx.rows(sa.text('select body from "object" where is_last'))]


@carriers
def test_an_organisation_that_an_object_names_goes_with_it(two_sqlite_databases, tmp_path, carry):
    """I-STIX-1: whoever reads what we pass on has its author too."""
    pair = two_nodes(two_sqlite_databases, tmp_path, flow_carry=carry, flow_types=["indicator"])
    centre = an_identity(id=NORTH_ID, tlp="green")
    pair.north.bring(centre, by(NORTH_ID, "x"))
    quiet(pair)
    assert pair.south.ids() == {NORTH_ID, an_id("indicator", "x")}


@all_carriers
def test_lines_that_break_again_and_again_lose_and_double_nothing(two_databases, tmp_path, carry):
    pair = two_nodes(two_databases, tmp_path, flow_carry=carry)
    calls = 0

    def breaks(_request):
        nonlocal calls
        calls += 1
        if calls % 3 == 0:
            raise ConnectionResetError("the line broke before the request")

    for centre in (pair.north, pair.south):
        centre.wire.before = breaks
    for turn in range(9):
        pair.north.bring(*(by(NORTH_ID, f"north {turn} {n}") for n in range(4)))
        pair.south.bring(*(by(SOUTH_ID, f"south {turn} {n}") for n in range(4)))
        pair.north.wire.lost_answers = pair.south.wire.lost_answers = turn % 2
        pair.round()
    assert calls > 9
    for centre in (pair.north, pair.south):
        centre.wire.before = lambda _request: None
        centre.wire.lost_answers = 0
    quiet(pair)
    assert pair.north.bodies() == pair.south.bodies()
    assert len(pair.north.bodies()) == 72
    for centre in (pair.north, pair.south):
        with centre.database.reading() as tx:
            assert tx.rows(_REPLACED) == []


def test_the_text_of_an_agreement_that_differs_in_comments_alone_is_the_same_agreement(
    two_sqlite_databases, tmp_path
):
    pair = two_nodes(two_sqlite_databases, tmp_path)
    pair.north.bring(by(NORTH_ID, "x"))
    pair.south.restart("# a note of south's own\n" + an_exchange_text())
    quiet(pair)
    assert pair.south.ids() == pair.north.ids()
