"""node/cli/stopping.py: partners are closed and opened, and what a compromised one brought is taken out."""

from __future__ import annotations

import pytest

from node.exchange import ingress
from node.exchange.ingress import Source
from node.store import catalog
from node.store.database import Tx
from tests.cli.desk import Desk, moment, old_indicator
from tests.support.builders import SOUTH_ID, an_id

ID = an_id("indicator", "one")
IN = "south/indicators/in"


@pytest.fixture
def north(desk: Desk) -> Desk:
    """North, to which south has brought one object."""
    desk.with_partner()
    desk.run("resume", "south")

    def work(tx: Tx) -> None:
        link = node.door.link(IN)
        found = catalog.find_collection(tx, "indicators")
        assert found is not None
        collection = catalog.lock(tx, found.collection_id)
        body = old_indicator(author=SOUTH_ID)
        source = Source("pull", "worker", link)
        ingress.admit(tx, node.door, collection, [body], source, arrival_id=None, now=moment())

    with desk.open() as node:
        node.database.retrying(work)
    return desk


def test_a_dry_run_shows_what_would_go_and_closes_nothing(north: Desk):
    answer = north.run("stop", "south", "--compromised", "--since", "1h", "--dry-run", "--json")

    assert [line["id"] for line in answer.of("taken_out")] == [ID]
    assert answer.summary["taken_out"] == 0
    assert "Lies in indicators" in north.run("explain", ID).out


def test_what_it_brought_waits_in_the_quarantine_and_the_partner_is_closed(north: Desk):
    answer = north.run("stop", "south", "--compromised", "--since", "1h")
    entries = north.run("quarantine", "list", "--json").of("entry")

    assert answer.code == 0, answer.err
    assert "1 version that south brought" in answer.out
    assert [(one["id"], one["reason"]) for one in entries] == [(ID, "compromised")]
    assert "Lies in" not in north.run("explain", ID).out
    assert north.run("sync", "south").code == 6


def test_what_came_before_the_moment_stays(north: Desk):
    answer = north.run("stop", "south", "--compromised", "--since", "2099-01-01")

    assert "Nothing that south brought" in answer.out
    assert north.run("quarantine", "list", "--json").of("entry") == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["south", "--compromised"],
        ["south", "--since", "6h"],
        ["south", "--dry-run"],
        ["--all", "--compromised", "--since", "6h"],
        ["south", "--compromised", "--since", "some time ago"],
        [],
        ["south", "--all"],
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_closed(north: Desk, arguments: list[str]):
    assert north.run("stop", *arguments).code == 2
    assert north.run("resume", "south", "--json").summary["still_closed"] == {}


def test_all_partners_are_closed_and_opened_at_once(north: Desk):
    closed = north.run("stop", "--all", "--json")
    shut = north.run("sync", "south").code
    opened = north.run("resume", "--all", "--json")

    assert (closed.summary["links"], shut, opened.summary["links"]) == (2, 6, 2)
    assert opened.summary["still_closed"] == {}
