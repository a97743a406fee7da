"""What a compromised partner brought goes behind the quarantine, and what it displaced stands again."""

from __future__ import annotations

import itertools
import threading
from typing import Literal

import pytest

from node.exchange import compromise, ingress, quarantine, worklist
from node.exchange.compromise import Suspect
from node.exchange.ingress import Source
from node.store import catalog
from node.store.database import Database
from tests.support.agreements import a_flow, a_party
from tests.support.builders import LATER, SOUTH_ID, an_id, an_indicator
from tests.support.nodes import IN, Node, a_node, digest_of

ID = an_id("indicator")
THEIRS = an_indicator(tlp="green", author=SOUTH_ID)
NEWER = an_indicator(tlp="green", author=SOUTH_ID, modified=LATER, description="planted")
OTHER = an_indicator("other", tlp="green", author=SOUTH_ID)


def take_out(node: Node, since: int) -> compromise.Taken:
    return compromise.take_out(
        node.door, Suspect("south", since), actor="os:op", now=node.moment, step=lambda _: None
    )


def waiting(node: Node, state: str = "waiting") -> list[tuple[str, str]]:
    with node.database.reading() as tx:
        return [(each.stix_id, each.reason) for each in quarantine.entries(tx, state=state)]


def test_what_came_since_goes_and_what_came_before_stays(north: Node):
    north.bring(OTHER, by=IN)
    since = north.moment()
    north.bring(NEWER, by=IN)
    done = take_out(north, since)

    assert (north.held(ID), len(north.held(an_id("indicator", "other")))) == ([], 1)
    assert waiting(north) == [(ID, "compromised")]
    assert done.out == {"indicators": 1}


def test_without_the_moment_everything_would_go(north: Node):
    """The control of the one above."""
    since = north.moment()
    north.bring(OTHER, by=IN)
    north.bring(NEWER, by=IN)

    assert take_out(north, since).out == {"indicators": 2}


def a_page(node: Node, body: bytes, *, arrival: int | None, kind: Literal["pull", "retry"]) -> int:
    """One page of a pull that takes several, or what a person lets in meanwhile; its arrival."""
    source, now = Source(kind, "worker", node.link(IN)), node.moment()
    with node.database.writing() as tx:
        collection = catalog.lock(tx, node.collection().collection_id)
        return ingress.admit(
            tx, node.door, collection, [body], source, arrival_id=arrival, now=now
        ).arrival_id


def test_of_a_long_pull_goes_what_came_since_whatever_else_came_by_the_link(north: Node):
    pull = a_page(north, OTHER, arrival=None, kind="pull")
    a_page(north, an_indicator("third", tlp="green", author=SOUTH_ID), arrival=None, kind="retry")
    since = north.moment()
    a_page(north, THEIRS, arrival=pull, kind="pull")
    take_out(north, since)

    assert waiting(north) == [(ID, "compromised")]
    assert (len(north.held(ID)), len(north.held(an_id("indicator", "other")))) == (0, 1)


def test_an_older_version_becomes_last_again_at_a_new_date(north: Node):
    north.bring(THEIRS, by=IN)
    before = north.last(ID)
    since = north.moment()
    north.bring(NEWER, by=IN)
    take_out(north, since)

    assert north.last(ID).digest == digest_of(THEIRS)
    assert north.last(ID).added > before.added


def test_it_does_not_come_again_by_itself(north: Node):
    since = north.moment()
    north.bring(NEWER, by=IN)
    take_out(north, since)

    assert north.bring_one(NEWER, by=IN).reason == "compromised"
    assert north.held(ID) == []


def test_accept_brings_it_back_for_good(north: Node):
    since = north.moment()
    north.bring(NEWER, by=IN)
    take_out(north, since)
    with north.database.writing() as tx:
        (entry,) = quarantine.entries(tx)
        worklist.accept(tx, north.door, entry.entry, actor="person:op", reason="seen", now=north.moment())
    ingress.afterwards(north.door, now=north.now)
    again = take_out(north, since)

    assert [row.origin for row in north.held(ID)] == ["south"]
    assert again.out == {}


def test_the_text_that_it_replaced_under_its_key_stands_again(north: Node):
    restated = an_indicator(tlp="green", author=SOUTH_ID, description="planted")
    north.bring(THEIRS, by=IN)
    since = north.moment()
    north.bring(restated, by=IN)
    north.bring(an_indicator(tlp="green", author=SOUTH_ID, description="planted again"), by=IN)
    done = take_out(north, since)
    again = take_out(north, since)

    assert north.digests(ID) == {digest_of(THEIRS)}
    assert (done.again, again.out) == ({"indicators": 1}, {})
    assert north.bring_one(restated, by=IN).outcome == "restated"


def test_what_another_partner_brought_too_stays(database: Database):
    north = a_node(
        database,
        partners=("south", "west"),
        party={name: a_party(name) for name in ("north", "south", "west")},
        flow=[a_flow(givers=("north", "south", "west"))],
    )
    since = north.moment()
    north.bring(NEWER, by=IN)
    north.bring(NEWER, by="west/indicators/in")
    with north.database.reading() as tx:
        (found,) = compromise.find(tx, Suspect("south", since))

    assert ([row.stix_id for row in found.going], [row.stix_id for row in found.staying]) == ([], [ID])


def test_ours_stays(north: Node):
    since = north.moment()
    north.bring(an_indicator("ours", tlp="green"))

    assert take_out(north, since).out == {}


def test_a_planted_marking_hides_the_older_version_no_longer(north: Node):
    north.bring(THEIRS, by=IN)
    since = north.moment()
    north.bring(an_indicator(tlp="red", author=SOUTH_ID, modified=LATER), by=IN, now=north.moment())
    quarantined = waiting(north)
    north.bring(an_indicator(tlp="clear", author=SOUTH_ID, modified=LATER), by=IN)
    take_out(north, since)
    owner = north.owner(ID)
    assert owner is not None

    assert (north.last(ID).effective_rank, owner.rank) == (1, 1)
    assert quarantined == [(ID, "above_ceiling")]


def test_a_run_cut_short_is_finished_by_the_same_command(north: Node, monkeypatch: pytest.MonkeyPatch):
    since = north.moment()
    north.bring(*(an_indicator(number, tlp="green", author=SOUTH_ID) for number in range(5)), by=IN)
    monkeypatch.setattr(compromise, "STEP", 2)
    readings = itertools.count()

    def now() -> int:
        if next(readings) == 2:
            raise KeyboardInterrupt
        return north.moment()

    with pytest.raises(KeyboardInterrupt):
        compromise.take_out(north.door, Suspect("south", since), actor="os:op", now=now, step=lambda _: None)
    left = take_out(north, since).out["indicators"]

    assert (0 < left < 5, len(waiting(north))) == (True, 5)


def test_a_page_that_is_being_stored_while_the_partner_is_closed_is_waited_for(north: Node):
    begun, go_on, order = threading.Event(), threading.Event(), []

    def page() -> None:
        with north.database.writing() as tx:
            catalog.lock(tx, north.collection().collection_id)
            begun.set()
            go_on.wait(30)
            order.append("stored")

    def wait() -> None:
        compromise.let_pages_end(north.database)
        order.append("looked")

    threads = [threading.Thread(target=page), threading.Thread(target=wait)]
    threads[0].start()
    begun.wait(30)
    threads[1].start()
    threads[1].join(0.2)  # it would have looked by now
    go_on.set()
    for each in threads:
        each.join(30)

    assert order == ["stored", "looked"]
