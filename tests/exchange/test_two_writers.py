"""Two writers of one id in two collections at one moment, on PostgreSQL: SQLite has one writer at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from node.errors import StoreBusy
from node.exchange import ingress, placing
from node.exchange.ingress import Source
from node.store import catalog
from node.store.database import Database, Tx
from tests.support.builders import LATER, an_id, an_indicator
from tests.support.nodes import IN, Node, a_node

ID = an_id("indicator")
PATIENCE = 15


@pytest.fixture
def north(postgresql_database: Database) -> Node:
    return a_node(postgresql_database, collections=("indicators", "library"))


def admitting(north: Node, body: bytes, into: str, by: str = "") -> Callable[[Tx], Any]:
    """What a caller of the door does in one transaction."""
    link = north.link(by) if by else None
    source = Source("import", "os:tester") if link is None else Source("pull", "worker", link)

    def work(tx: Tx) -> Any:
        collection = catalog.lock(tx, north.collection(into).collection_id)
        return ingress.admit(tx, north.door, collection, [body], source, arrival_id=None, now=north.now)

    return work


def while_it_has_decided(
    north: Node, monkeypatch: pytest.MonkeyPatch, first: Callable[[Tx], Any], meanwhile: Callable[[], Any]
) -> None:
    """Let the first writer look everything up and decide, then the second commit, then the first go on."""
    decided, go_on = threading.Event(), threading.Event()
    place = placing.place

    def waiting(*args: Any, **how: Any) -> None:
        if threading.current_thread() is writer and not decided.is_set():
            decided.set()
            go_on.wait(PATIENCE)
        place(*args, **how)

    monkeypatch.setattr(placing, "place", waiting)
    writer = threading.Thread(target=lambda: north.database.retrying(first), daemon=True)
    writer.start()
    assert decided.wait(PATIENCE)
    meanwhile()
    go_on.set()
    writer.join(PATIENCE)
    assert not writer.is_alive()


def test_a_partners_edit_of_what_becomes_ours_meanwhile_is_set_aside(
    north: Node, monkeypatch: pytest.MonkeyPatch
):
    theirs = an_indicator(tlp="green", modified=LATER, description="x")
    while_it_has_decided(
        north,
        monkeypatch,
        admitting(north, theirs, "indicators", IN),
        lambda: north.bring(an_indicator(tlp="green"), into="library"),
    )
    owner = north.owner(ID)
    assert owner is not None
    assert owner.owner == "local"
    assert north.held(ID) == []


def test_a_version_is_as_restricted_as_the_newer_one_that_comes_meanwhile(
    north: Node, monkeypatch: pytest.MonkeyPatch
):
    while_it_has_decided(
        north,
        monkeypatch,
        admitting(north, an_indicator(tlp="green"), "library"),
        lambda: north.bring(an_indicator(tlp="red", modified=LATER)),
    )
    assert [row.effective_rank for row in north.held(ID, "library")] == [4]


def test_a_copy_that_comes_meanwhile_is_restricted_too(north: Node, monkeypatch: pytest.MonkeyPatch):
    north.bring(an_indicator(tlp="green"))
    while_it_has_decided(
        north,
        monkeypatch,
        admitting(north, an_indicator(tlp="red", modified=LATER), "indicators"),
        lambda: north.bring(an_indicator(tlp="green"), into="library"),
    )
    assert [row.effective_rank for row in north.held(ID, "library")] == [4]


def test_two_that_restrict_each_others_collection_do_not_block_each_other(
    north: Node, monkeypatch: pytest.MonkeyPatch
):
    for alias in ("indicators", "library"):
        north.bring(an_indicator("a", tlp="green"), an_indicator("b", tlp="green"), into=alias)
    both = threading.Barrier(2, timeout=PATIENCE)
    restrict = placing._restrict_elsewhere
    busy: list[StoreBusy] = []

    def together(*args: Any) -> None:
        both.wait()
        restrict(*args)

    def write(name: str, into: str) -> None:
        try:
            with north.database.writing() as tx:
                admitting(north, an_indicator(name, tlp="red", modified=LATER), into)(tx)
        except StoreBusy as cause:
            busy.append(cause)

    monkeypatch.setattr(placing, "_restrict_elsewhere", together)
    writers = [
        threading.Thread(target=write, args=each, daemon=True)
        for each in (("a", "indicators"), ("b", "library"))
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(PATIENCE)
    assert busy == []
    assert {row.effective_rank for row in north.held(an_id("indicator", "b"))} == {4}
    assert {row.effective_rank for row in north.held(an_id("indicator", "a"), "library")} == {4}
