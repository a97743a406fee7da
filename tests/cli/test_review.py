"""node/cli/review.py and what is near it: status, explain and undelete as people use them."""

from __future__ import annotations

import pytest

from node.exchange import ingress, removal
from node.store import catalog
from node.sync import bookmarks
from node.sync.bookmarks import Bookmark
from tests.cli.bringing import brought, set_aside
from tests.cli.desk import Desk, a_bundle, moment, old_indicator
from tests.support.agreements import a_flow
from tests.support.builders import NORTH_ID, SOUTH_ID, an_id

# status


def test_status_names_the_node_first(desk: Desk):
    desk.write("config.toml", desk.config.read_text().replace('#title = ""', 'title = "Exchange desk"'))

    assert desk.run("status").out.splitlines()[0].startswith("north (Exchange desk), ")
    assert desk.run("status", "--json").lines[1]["name"] == "north"


def test_an_exercise_node_says_so_first(desk: Desk):
    desk.write("config.toml", desk.config.read_text().replace("#exercise = false", "exercise = true"))

    assert desk.run("status").out.splitlines()[0].endswith("EXERCISE")
    assert desk.run().out.splitlines()[0].endswith("EXERCISE")


def test_status_of_a_quiet_node_ends_with_0_and_says_that_nothing_needs_anybody(desk: Desk):
    answer = desk.run("status")

    assert answer.code == 0
    assert "waits for a person  nothing" in answer.out
    assert answer.out.splitlines()[-1] == "next     nothing needs you"


def test_status_ends_with_7_when_something_waits_for_a_person(desk: Desk):
    set_aside(desk)

    answer = desk.run("status", "--json")

    assert (answer.code, answer.summary["exit"]) == (7, 7)
    assert any(line["text"].startswith("1 in quarantine (oldest ") for line in answer.of("need"))


def test_status_shows_partner_agreement_and_duty_desk(desk: Desk):
    shown = desk.with_partner().run("status").out

    assert "south   AGR-2026-01 r1, 299 days left   duty +000 11 111 11 11, 24/7" in shown
    assert "indicators/in   paused" in shown


def test_status_names_readers_that_never_came(desk: Desk):
    desk.run("account", "add", "soc", "--read", "indicators")

    assert "soc  indicators  idle, never asked since " in desk.run("status").out
    assert desk.run("status", "--json").of("reader") == [
        {"type": "reader", "account": "soc", "last_poll": None}
    ]


# explain and undelete


def test_an_object_is_explained_in_local_time_and_its_withholding_has_a_remedy(desk: Desk):
    desk.with_partner()
    desk.write(
        "config.toml", desk.config.read_text().replace('#time_zone = "UTC"', 'time_zone = "Asia/Tokyo"')
    )
    desk.run("import", "indicators", "-", stdin=a_bundle(old_indicator(author=NORTH_ID, tlp="red")))
    desk.run("resume", "south")
    desk.run("sync", "south/indicators/out")

    told = desk.run("explain", an_id("indicator"), "south/indicators/out").out

    assert "Lies in indicators: version 2020-01-01T00:00:00.000Z" in told
    assert " JST" in told
    assert "withheld" in told
    assert "max_tlp" in told


def test_json_of_explain_keeps_utc(desk: Desk):
    desk.run("import", "indicators", "-", stdin=a_bundle(old_indicator()))

    answer = desk.run("explain", an_id("indicator"), "--json")

    assert answer.summary["id"] == an_id("indicator")
    assert "put in by us at 20" in answer.of("line")[0]["text"]


def test_undelete_lets_an_object_come_again_and_lists_from_the_start(desk: Desk):
    brought(desk, old_indicator(author=SOUTH_ID))
    stix_id = an_id("indicator")
    with desk.open() as node, node.database.writing() as tx:
        collection = catalog.find_collection(tx, "indicators")
        assert collection is not None
        ingress.remove(
            tx,
            node.door,
            collection,
            stix_id,
            versions=None,
            spec_versions=None,
            actor="os:test",
            now=moment(),
        )
        bookmarks.advance(tx, "south/indicators/in", Bookmark("2026-01-01T00:00:00Z", "e", b"p", moment()))

    answer = desk.run("undelete", stix_id, "--json")

    assert answer.code == 0
    assert answer.of("undeleted")[0] == {
        "type": "undeleted",
        "id": stix_id,
        "versions": 1,
        "links": ["south/indicators/in"],
    }
    with desk.open() as node, node.database.reading() as tx:
        assert bookmarks.read(tx, "south/indicators/in") is None


@pytest.mark.parametrize("stix_id", ["indicator--x", an_id("indicator")])
def test_what_was_never_deleted_cannot_come_again(desk: Desk, stix_id: str):
    answer = desk.run("undelete", stix_id)

    assert answer.code == 2
    assert answer.err.endswith(f" explain {stix_id}\n")


def test_what_is_no_id_cannot_be_explained(desk: Desk):
    assert desk.run("explain", "nonsense").code == 2
    unknown = desk.run("explain", an_id("indicator"))
    assert (unknown.code, unknown.out.startswith("Nothing is known of ")) == (0, True)


def test_an_object_that_was_deleted_here_is_said_to_be_and_then_may_come_again(desk: Desk):
    brought(desk, old_indicator(author=SOUTH_ID))
    stix_id = an_id("indicator")
    with desk.open() as node, node.database.writing() as tx:
        found = catalog.find_collection(tx, "indicators")
        assert found is not None
        collection = catalog.lock(tx, found.collection_id)
        removal.remove(
            tx, node.door, collection, stix_id, versions=None, spec_versions=None, actor="os:t", now=moment()
        )

    assert desk.run("explain", stix_id).out.startswith("It was deleted here.")
    desk.run("undelete", stix_id)
    assert desk.run("explain", stix_id).out.startswith("It does not lie here now; it may come again")


def test_undelete_says_when_what_a_partner_pushes_comes_and_how_our_own_does(desk: Desk):
    desk.with_partner(flow=[a_flow(givers=["south"], carry="push")])
    desk.run("import", "indicators", "-", stdin=a_bundle(old_indicator(author=NORTH_ID)))
    stix_id = an_id("indicator")
    with desk.open() as node, node.database.writing() as tx:
        found = catalog.find_collection(tx, "indicators")
        assert found is not None
        collection = catalog.lock(tx, found.collection_id)
        removal.remove(
            tx, node.door, collection, stix_id, versions=None, spec_versions=None, actor="os:t", now=moment()
        )

    shown = desk.run("undelete", stix_id).out

    assert "south/indicators/in: it comes when south next pushes something or lists again." in shown
    assert "An object of our own comes back by import" in shown
