"""node/sync/standing.py: how the links of two real nodes stand, before, during and after an exchange."""

from __future__ import annotations

import pytest

from node.exchange import activity, links
from node.exchange.activity import HOUR
from node.sync.health import State
from node.sync.leases import take_lease
from node.sync.standing import LinkStanding, duty_desk, standing_of
from tests.support.builders import an_indicator
from tests.support.two_nodes import Centre, TwoNodes, two_nodes


def stands(centre: Centre, *, later: int = 0, count: bool = True) -> dict[str, LinkStanding]:
    with centre.database.reading() as tx:
        found = standing_of(tx, centre.settings.links, now=centre.clock.now + later, count=count)
    return {each.link.direction: each for each in found}


def states(centre: Centre, *, later: int = 0, count: bool = True) -> dict[str, State]:
    return {name: each.health.state for name, each in stands(centre, later=later, count=count).items()}


def activity_of(centre: Centre) -> dict[str, list[int]]:
    with centre.database.reading() as tx:
        names = [each.name for each in centre.settings.links]
        return {
            each.rsplit("/", 1)[1]: list(activity.hours(tx, each, now=centre.clock.now).values())
            for each in names
        }


def exchanged(databases, folder, **changes: object) -> TwoNodes:
    pair = two_nodes(databases, folder, **changes)
    pair.north.bring(an_indicator("a", tlp="green"), an_indicator("b", tlp="green"))
    pair.round()
    pair.round()
    return pair


@pytest.mark.parametrize("carry", ["pull", "push"])
def test_after_an_exchange_giver_and_receiver_are_well(two_databases, tmp_path, carry: str):
    pair = exchanged(two_databases, tmp_path, flow_carry=carry)

    assert states(pair.north)["out"] is State.OK
    assert states(pair.south)["in"] is State.OK


@pytest.mark.parametrize("carry", ["pull", "push"])
def test_what_is_new_is_remembered_on_both_sides_and_a_quiet_round_adds_nothing(
    two_sqlite_databases, tmp_path, carry: str
):
    pair = exchanged(two_sqlite_databases, tmp_path, flow_carry=carry)
    before = activity_of(pair.north), activity_of(pair.south)
    pair.round()

    assert (activity_of(pair.north), activity_of(pair.south)) == before
    assert [before[0]["out"], before[1]["in"]] == [[2], [2]]
    assert [before[0]["in"], before[1]["out"]] == [[], []]


def test_when_nobody_works_for_hours_both_sides_are_stale(two_databases, tmp_path):
    pair = exchanged(two_databases, tmp_path)

    assert states(pair.south, later=7 * HOUR) == {"in": State.STALE, "out": State.STALE}
    text = stands(pair.north, later=7 * HOUR)["out"].health.text
    assert text == "they have not fetched for 7 h (agreed is every 5 min)"


def test_the_short_look_of_the_worker_sees_what_the_long_one_sees(two_databases, tmp_path):
    pair = exchanged(two_databases, tmp_path)
    pair.north.bring(an_indicator("c", tlp="green"))
    pair.north.sync("out")

    for later in (0, 7 * HOUR, 30 * HOUR):
        for each in (pair.north, pair.south):
            assert states(each, later=later, count=False) == states(each, later=later)


def test_a_partner_that_asks_and_does_not_read_on_is_failing(two_sqlite_databases, tmp_path):
    pair = exchanged(two_sqlite_databases, tmp_path)
    pair.north.bring(an_indicator("c", tlp="green"))
    pair.north.sync("out")
    later = 30 * HOUR
    with pair.north.database.writing() as tx:
        tx.connection.exec_driver_sql(
            f"update reading set last_poll = {pair.clock.now + later} where account = 'south-node'"
        )

    for count in (False, True):
        found = stands(pair.north, later=later, count=count)["out"]
        assert found.health.state is State.FAILING
        assert "the oldest that waits is from 30 h ago" in found.health.text
    assert stands(pair.north, later=later)["out"].figures["waiting"] == 1
    assert stands(pair.north, later=later)["out"].figures["behind_seconds"] == 30 * 3_600


def test_a_long_round_under_way_is_not_stale(two_sqlite_databases, tmp_path):
    pair = exchanged(two_sqlite_databases, tmp_path)
    later = 2 * HOUR
    assert states(pair.south, later=later)["in"] is State.STALE
    with pair.south.database.writing() as tx:
        take_lease(tx, "partner:north", "a worker", now=pair.clock.now + later)

    assert states(pair.south, later=later)["in"] is State.OK


def test_a_link_that_was_just_opened_again_is_given_time(two_sqlite_databases, tmp_path):
    pair = exchanged(two_sqlite_databases, tmp_path)
    pair.tick(7 * 3_600)
    with pair.north.database.writing() as tx:
        links.set_paused(tx, "south", paused=True, reason="a drill", now=pair.clock.now)
    closed = states(pair.north)
    with pair.north.database.writing() as tx:
        links.set_paused(tx, "south", paused=False, reason="", now=pair.clock.now)

    assert set(closed.values()) == {State.PAUSED}
    assert states(pair.north)["out"] is State.OK


def test_after_the_agreement_every_link_has_ended(two_sqlite_databases, tmp_path):
    pair = exchanged(two_sqlite_databases, tmp_path)
    ends = pair.north.settings.links[0].terms.ends

    assert set(states(pair.north, later=ends - pair.clock.now).values()) == {State.ENDED}


def test_a_partner_without_an_agreement_has_no_duty_desk(two_sqlite_databases, tmp_path):
    pair = two_nodes(two_sqlite_databases, tmp_path)
    (binding,) = pair.north.settings.partners

    assert duty_desk(binding, now=pair.clock.now) == "+000 11 111 11 11, 24/7"
    assert duty_desk(type(binding)("west"), now=pair.clock.now) == ""
