"""What is permitted late still arrives, at a partner that pulls and at one that is pushed to.

Each way in which permission can come late: a marking-definition arrives, the agreement is widened, a
neighbour is permitted, a stricter version is followed by a laxer one. The partner has read far past the
object by then. It may be sent twice; it is stored once. Controls take away, one by one, what makes an
object due again.
"""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from node.exchange import due, feeds, remarking
from tests.support.builders import (
    LATER,
    NORTH_ID,
    a_malware,
    a_marking_definition,
    a_relationship,
    an_id,
    an_indicator,
)
from tests.support.two_nodes import BOTH_PULL, BOTH_PUSH, TwoNodes, two_nodes

carriers = pytest.mark.parametrize("carry", [BOTH_PULL, BOTH_PUSH])

LATE = an_id("indicator", "late")
STATEMENT = a_marking_definition("late", author=NORTH_ID)
RELATION = an_id("relationship", "late")

_ROWS = sa.text('select stix_id, spec_version, version, digest from "object" where stix_id = :id')
_HISTORY = sa.text("select count(*) from object_history")


def ours(name: str, **changes: object) -> bytes:
    return an_indicator(name, author=NORTH_ID, **{"tlp": "green", **changes})


def begun(databases, folder, carry, *bodies: bytes) -> TwoNodes:
    """North holds the bodies, and south has read past them: later objects have crossed already."""
    pair = two_nodes(databases, folder, flow_carry=carry, flow_unmarked="clear")
    pair.north.bring(*bodies)
    quiet(pair)
    pair.north.bring(*(ours(f"after {n}") for n in range(5)))
    quiet(pair)
    assert len([stix_id for stix_id in pair.south.ids() if stix_id.startswith("indicator")]) >= 5
    return pair


def quiet(pair: TwoNodes, most: int = 6) -> None:
    """Rounds until two in succession move nothing."""
    still = 0
    for _ in range(most):
        reports = pair.round()
        assert [report.error for report in reports if report.error] == []
        still = still + 1 if not any(report.moved for report in reports) else 0
        if still == 2:
            return
    raise AssertionError("the exchange does not go quiet")


def stored(pair: TwoNodes, stix_id: str) -> int:
    """How many rows south has of an id, all with keys of their own, none replaced."""
    with pair.south.database.reading() as tx:
        rows = tx.rows(_ROWS, id=stix_id)
        assert tx.row(_HISTORY) == (0,)
    assert len({tuple(row) for row in rows}) == len(rows)
    return len(rows)


def late_marking(pair: TwoNodes) -> None:
    pair.north.bring(STATEMENT)


def wider_agreement(pair: TwoNodes, carry: str) -> None:
    pair.agree(flow_carry=carry, flow_unmarked="clear", flow_max_tlp="amber")


def permitted_neighbour(pair: TwoNodes) -> None:
    pair.north.bring(a_malware("end", tlp="green", author=NORTH_ID, modified=LATER))


def waiting_relation() -> list[bytes]:
    end, other = a_malware("end", tlp="amber", author=NORTH_ID), ours("late")
    relation = a_relationship(an_id("indicator", "late"), an_id("malware", "end"), "late", tlp="green")
    return [end, other, relation]


@carriers
def test_an_object_whose_marking_arrives_late_reaches_the_partner_once(two_databases, tmp_path, carry):
    waits = ours("late", tlp=None, object_marking_refs=[json.loads(STATEMENT)["id"]])
    pair = begun(two_databases, tmp_path, carry, waits)
    assert stored(pair, LATE) == 0
    late_marking(pair)
    quiet(pair)
    assert stored(pair, LATE) == 1
    assert waits in pair.south.bodies()


@carriers
def test_an_object_that_a_wider_agreement_permits_reaches_the_partner_once(two_databases, tmp_path, carry):
    pair = begun(two_databases, tmp_path, carry, ours("late", tlp="amber"))
    assert stored(pair, LATE) == 0
    wider_agreement(pair, carry)
    quiet(pair)
    assert stored(pair, LATE) == 1
    assert pair.south.bodies() == pair.north.bodies()


@carriers
def test_an_object_whose_neighbour_is_permitted_late_reaches_the_partner_once(two_databases, tmp_path, carry):
    pair = begun(two_databases, tmp_path, carry, *waiting_relation())
    assert (stored(pair, LATE), stored(pair, RELATION)) == (1, 0)
    permitted_neighbour(pair)
    quiet(pair)
    assert stored(pair, RELATION) == 1
    assert stored(pair, an_id("malware", "end")) == 1  # the amber version itself stays


@carriers
def test_a_version_that_a_laxer_one_frees_again_reaches_the_partner_once(two_databases, tmp_path, carry):
    first, strict = ours("late"), ours("late", tlp="red", modified=LATER)
    pair = begun(two_databases, tmp_path, carry, first, strict)
    assert stored(pair, LATE) == 0
    pair.north.bring(ours("late", modified="2026-11-20T10:00:00.000Z"))
    quiet(pair)
    assert stored(pair, LATE) == 2  # the first and the third; the second is red
    assert {first} < set(pair.south.bodies())
    assert strict not in pair.south.bodies()


@carriers
def test_what_goes_and_is_withheld_and_goes_again_may_be_sent_twice_and_is_stored_once(
    two_databases, tmp_path, carry
):
    pair = begun(two_databases, tmp_path, carry, ours("late"))
    assert stored(pair, LATE) == 1
    pair.agree(flow_carry=carry, flow_unmarked="clear", flow_max_tlp="clear")
    quiet(pair)
    wider_agreement(pair, carry)
    quiet(pair)
    assert stored(pair, LATE) == 1
    assert pair.south.bodies() == pair.north.bodies()


@carriers
def test_control_a_marking_that_no_row_is_ranked_by_again_leaves_the_object_behind(
    two_sqlite_databases, tmp_path, carry, monkeypatch
):
    waits = ours("late", tlp=None, object_marking_refs=[json.loads(STATEMENT)["id"]])
    pair = begun(two_sqlite_databases, tmp_path, carry, waits)

    def strike_off(door, *, now):
        with door.database.writing() as tx:
            tx.run(sa.text("delete from rank_task"))

    monkeypatch.setattr(remarking, "work_in", strike_off)
    late_marking(pair)
    quiet(pair)
    assert stored(pair, LATE) == 0


@carriers
def test_control_a_feed_that_ignores_new_terms_leaves_the_object_behind(
    two_sqlite_databases, tmp_path, carry, monkeypatch
):
    pair = begun(two_sqlite_databases, tmp_path, carry, ours("late", tlp="amber"))
    monkeypatch.setattr(feeds, "renewed", lambda state, _link, _collection: state)
    monkeypatch.setattr(feeds, "forget", lambda *_: None)  # the partner's epoch tells of new terms as well
    wider_agreement(pair, carry)
    quiet(pair)
    assert stored(pair, LATE) == 0


@carriers
def test_control_a_neighbour_that_makes_nothing_due_leaves_the_object_behind(
    two_sqlite_databases, tmp_path, carry, monkeypatch
):
    pair = begun(two_sqlite_databases, tmp_path, carry, *waiting_relation())
    monkeypatch.setattr(due, "note_written", lambda *_: None)
    permitted_neighbour(pair)
    quiet(pair)
    assert stored(pair, an_id("malware", "end")) == 1
    assert stored(pair, RELATION) == 0
