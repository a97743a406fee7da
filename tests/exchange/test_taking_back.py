"""Withdrawing: what stands afterwards here, what goes to partners, and what comes in no more."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable

import pytest

from node.exchange import acknowledging, feed_rows, removal, taking_back, withdrawals
from node.exchange.taking_back import Order, Withdrawn
from node.sharing.admission import Outcome
from node.store.database import Database
from tests.support.agreements import a_flow
from tests.support.builders import LATER, NORTH_ID, SOUTH_ID, an_id, an_indicator, an_ipv4
from tests.support.nodes import IN, OUT, Node, a_node

ID = an_id("indicator")
OURS = an_indicator(tlp="green", author=NORTH_ID)
NEWER = an_indicator(tlp="green", author=NORTH_ID, modified=LATER, description="newer")
IP = json.loads(an_ipv4(tlp="green"))["id"]
ORDER = Order("person:op", "A test address was taken for an attack.", NORTH_ID)


class PowerCut(Exception):
    """The process is gone."""


def clock(node: Node, *, ends_after: int | None = None) -> Callable[[], int]:
    """The node's clock; it breaks off after some readings."""
    readings = itertools.count(1)

    def now() -> int:
        if ends_after is not None and next(readings) > ends_after:
            raise PowerCut
        return node.moment()

    return now


def withdraw(node: Node, *ids: str, bury: bool = False, ends_after: int | None = None) -> Withdrawn:
    with node.database.reading() as tx:
        chosen = taking_back.choose(tx, ids, bury=bury)
    return taking_back.withdraw(node.door, chosen.targets, ORDER, now=clock(node, ends_after=ends_after))


def the_note(node: Node, stix_id: str, alias: str = "indicators") -> dict[str, object]:
    with node.database.reading() as tx:
        carrier = withdrawals.by_ids(tx, [stix_id])[stix_id].carrier
    (found,) = [json.loads(each.body) for each in node.page(alias=alias).records if each.stix_id == carrier]
    return found


@pytest.fixture
def north(database: Database) -> Node:
    return a_node(database, flow=[a_flow(types=["indicator", "observables", "note"])])


def test_the_last_version_of_ours_is_revoked_and_nothing_else_of_it_changes(north: Node):
    north.bring(OURS, NEWER)
    done = withdraw(north, ID)

    last = north.last(ID)
    body = north.page().records[-1].body
    before, after = json.loads(NEWER), json.loads(body)
    assert last.revoked
    assert after.pop("revoked") is True
    assert after.pop("modified") > before.pop("modified")
    assert (after, list(after)) == (before, list(before))
    assert done.counts == {"revoked": 1}


def test_every_collection_that_holds_it_gets_the_same_bytes(database: Database):
    north = a_node(database, collections=("indicators", "archive"))
    north.bring(OURS)
    north.bring(OURS, into="archive")
    withdraw(north, ID)

    assert north.last(ID).digest == north.held(ID, "archive")[-1].digest
    assert north.held(ID, "archive")[-1].is_last


def test_a_run_cut_short_is_finished_by_the_same_command(database: Database):
    north = a_node(database, collections=("indicators", "archive"))
    north.bring(OURS)
    north.bring(OURS, into="archive")
    with pytest.raises(PowerCut):
        withdraw(north, ID, ends_after=2)
    assert unfinished(north)
    cut = north.last(ID)
    withdraw(north, ID)
    again = withdraw(north, ID)

    assert not unfinished(north)
    assert north.last(ID) == cut
    assert north.held(ID, "archive")[-1].digest == cut.digest
    assert (len(north.held(ID)), again.failures) == (2, [])


def unfinished(node: Node) -> bool:
    with node.database.reading() as tx:
        (found,) = acknowledging.standings(tx, node.door.links, withdrawals.newest(tx))
    return found.unfinished


@pytest.mark.parametrize("body", [OURS, an_indicator(tlp="green", author=NORTH_ID, modified=LATER)])
@pytest.mark.parametrize("by", ["", IN])
def test_what_was_withdrawn_comes_in_no_more(north: Node, body: bytes, by: str):
    """PEER-27: posted again by our own people or by another node, it is refused, with the reason."""
    north.bring(OURS)
    withdraw(north, ID)
    last = north.last(ID)
    result = north.bring_one(body, by=by)

    assert (result.outcome, result.reason) == (Outcome.REFUSED, "withdrawn")
    assert north.last(ID) == last


def test_what_was_not_withdrawn_comes_in(north: Node):
    north.bring(OURS)
    withdraw(north, an_id("indicator", "another"))

    assert north.bring(NEWER) == ["stored"]


def test_a_version_that_is_revoked_comes_in(north: Node):
    north.bring(OURS)
    withdraw(north, ID)
    later = an_indicator(tlp="green", author=NORTH_ID, modified="2026-11-21T11:00:00.000Z", revoked=True)

    assert north.bring_one(later).reason != "withdrawn"


def test_partners_get_the_revoked_version_and_no_other_any_more(north: Node):
    north.bring(OURS)
    assert len(north.offered()) == 1
    withdraw(north, ID)
    last = north.last(ID)

    assert north.offered() == {(ID, last.digest)}
    assert north.reasons(ID) == ["withdrawn"]


def test_what_has_no_versions_is_buried_and_a_note_tells_of_it(north: Node):
    north.bring(an_ipv4(tlp="green"))
    assert withdraw(north, IP).counts == {"buried": 1}
    note = the_note(north, IP)

    assert north.held(IP) == []
    assert (note["object_refs"], note["content"], note["labels"]) == (
        [IP],
        ORDER.reason,
        ["withdrawal-notice"],
    )
    assert note["id"] in north.offered_ids()
    assert north.bring_one(an_ipv4(tlp="green")).reason == "withdrawn"


def test_what_was_buried_comes_again_after_undelete(north: Node):
    north.bring(an_ipv4(tlp="green"))
    withdraw(north, IP)
    with north.database.writing() as tx:
        removal.undelete(tx, IP, actor="person:op", now=north.moment())

    assert north.bring(an_ipv4(tlp="green")) == ["stored"]


def test_a_word_about_what_was_let_come_again_says_nothing_of_the_next_withdrawal(north: Node):
    north.bring(an_ipv4(tlp="green"))
    withdraw(north, IP)
    said = withdrawals.Acknowledgement(IP, "south", north.moment(), "person:op", "called")
    with north.database.writing() as tx:
        withdrawals.acknowledge(tx, [said])
        removal.undelete(tx, IP, actor="person:op", now=north.moment())
    with north.database.reading() as tx:
        assert withdrawals.acknowledged(tx, [IP]) == {}


def test_a_word_about_what_is_revoked_stays(north: Node):
    hand_over(north, feed_rows.SETTLED)
    withdraw(north, ID)
    with north.database.writing() as tx:
        withdrawals.acknowledge(
            tx, [withdrawals.Acknowledgement(ID, "south", north.moment(), "person:op", "called")]
        )
        withdrawals.lift(tx, ID)
    with north.database.reading() as tx:
        assert len(withdrawals.acknowledged(tx, [ID])) == 1


def test_ours_is_buried_when_asked_for(north: Node):
    north.bring(OURS)
    withdraw(north, ID, bury=True)

    assert north.held(ID) == []
    assert the_note(north, ID)["object_refs"] == [ID]


def test_of_what_is_somebody_elses_a_note_tells_and_the_object_stands(north: Node):
    north.bring(an_indicator(tlp="green", author=SOUTH_ID), by=IN)
    done = withdraw(north, ID)

    assert done.counts == {"notice": 1}
    assert not north.last(ID).revoked
    assert the_note(north, ID)["created_by_ref"] == NORTH_ID
    assert north.bring(an_indicator(tlp="green", author=SOUTH_ID, modified=LATER), by=IN) == ["stored"]


@pytest.mark.parametrize("tlp", ["clear", "green", "amber"])
def test_a_note_is_as_restricted_as_its_object(north: Node, tlp: str):
    north.bring(an_ipv4(tlp=tlp))
    rank = north.held(IP)[0].rank
    withdraw(north, IP)
    note = the_note(north, IP)

    assert north.held(str(note["id"]))[0].rank == rank


def test_an_object_of_unknown_marking_is_told_of_under_the_same_marking(north: Node):
    unknown = "marking-definition--11111111-2222-4333-8444-555555555555"
    north.bring(an_ipv4(object_marking_refs=[unknown]))
    withdraw(north, IP)

    assert the_note(north, IP)["object_marking_refs"] == [unknown]


@pytest.mark.parametrize(
    ("state", "open_"),
    [
        (feed_rows.SENT, True),
        (feed_rows.SETTLED, False),
        (feed_rows.FAILED, True),
        (feed_rows.SET_ASIDE, True),
    ],
)
def test_a_withdrawal_is_acknowledged_when_the_partner_has_confirmed_the_revoked_version(
    north: Node, state: int, open_: bool
):
    hand_over(north, feed_rows.SETTLED)
    withdraw(north, ID)
    hand_over(north, state)

    assert [one.open for one in told(north)] == [open_]


def test_who_never_had_the_object_owes_no_acknowledgement(north: Node):
    north.bring(OURS)
    withdraw(north, ID)
    north.advance()

    assert told(north) == []


def test_a_word_by_telephone_is_an_acknowledgement(north: Node):
    hand_over(north, feed_rows.SETTLED)
    withdraw(north, ID)
    said = withdrawals.Acknowledgement(ID, "south", north.moment(), "person:op", "called")
    with north.database.writing() as tx:
        withdrawals.acknowledge(tx, [said])

    assert [(one.open, one.text) for one in told(north)] == [
        (False, "acknowledged, noted by person:op: called")
    ]


def hand_over(node: Node, state: int) -> None:
    """The feed's rows go, and the partner answers."""
    node.bring(OURS)
    node.advance()
    rows = [row for row in node.feed() if row.state == feed_rows.OFFERED]
    with node.database.writing() as tx:
        feed_rows.note_sent(tx, rows)
        feed_rows.settle(tx, OUT, [row.key for row in rows], state)


def told(node: Node) -> list[acknowledging.Told]:
    with node.database.reading() as tx:
        (found,) = acknowledging.standings(tx, node.door.links, withdrawals.newest(tx))
    return list(found.told)
