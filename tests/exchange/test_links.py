"""The state of links: paused until a person resumes, and when what was tried."""

from __future__ import annotations

from node.exchange import links
from node.store.database import Database
from tests.support.agreements import links_of_north
from tests.support.nodes import IN, OUT, Node


def test_a_new_link_is_paused_and_says_what_to_do(database: Database):
    with database.writing() as tx:
        assert sorted(links.ensure(tx, links_of_north())) == [IN, OUT]
        state = links.state(tx, IN)
    assert state is not None
    assert state.paused
    assert "resume" in state.pause_reason


def test_a_known_link_keeps_its_state(north: Node):
    with north.database.writing() as tx:
        assert links.ensure(tx, north.door.links) == []
        assert not links.states(tx)[IN].paused


def test_pausing_one_partner_leaves_the_others(hub: Node):
    with hub.database.writing() as tx:
        assert links.set_paused(tx, "west", paused=True, reason="holiday") == 2
        assert {name for name, state in links.states(tx).items() if state.paused} == {
            "west/indicators/in",
            "west/indicators/out",
        }
        assert links.set_paused(tx, None, paused=True, reason="restore") == 4


def test_failures_count_until_a_success(north: Node):
    with north.database.writing() as tx:
        links.note_try(tx, IN, now=5)
        links.note_failure(tx, IN, now=10, error="line dead", next_try=20)
        links.note_failure(tx, IN, now=20, error="line dead", next_try=40)
        failing = links.state(tx, IN)
        links.note_success(tx, IN, now=40, new=False)
        idle = links.state(tx, IN)
        links.note_success(tx, IN, now=50, new=True)
        busy = links.state(tx, IN)
    assert failing is not None
    assert (failing.failures, failing.last_error, failing.next_try) == (2, "line dead", 40)
    assert idle is not None
    assert (idle.failures, idle.last_error, idle.next_try, idle.last_success, idle.last_new) == (
        0,
        "",
        None,
        40,
        None,
    )
    assert busy is not None
    assert (busy.last_success, busy.last_new) == (50, 50)


def test_the_first_epoch_of_a_partner_is_no_change(north: Node):
    with north.database.writing() as tx:
        assert not links.note_partner_epoch(tx, OUT, "one")
        assert not links.note_partner_epoch(tx, OUT, "one")
        assert links.note_partner_epoch(tx, OUT, "two")


def test_a_new_epoch_on_the_way_out_forgets_what_the_partner_brought(hub: Node):
    with hub.database.writing() as tx:
        for name in (IN, OUT, "west/indicators/in"):
            links.note_partner_epoch(tx, name, "one")
        links.note_partner_epoch(tx, OUT, "two")
        links.note_partner_epoch(tx, IN, "one")
        links.note_partner_epoch(tx, OUT, "three")
        assert links.states(tx)[IN].partner_epoch == ""
        assert links.states(tx)["west/indicators/in"].partner_epoch == "one"
