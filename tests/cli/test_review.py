"""node/cli/review.py: status, explain, quarantine and undelete as people use them."""

from __future__ import annotations

import json

import pytest

from node.audit import log
from node.exchange import ingress, removal
from node.exchange.ingress import Source
from node.store import catalog
from node.sync import bookmarks
from node.sync.bookmarks import Bookmark
from tests.cli.desk import Desk, a_bundle, moment, old_indicator
from tests.support.agreements import a_flow
from tests.support.builders import NORTH_ID, SOUTH_ID, an_id


def brought(desk: Desk, *bodies: bytes) -> Desk:
    """South is the partner and has brought these."""
    desk.with_partner()
    desk.run("resume", "south")
    with desk.open() as node:
        link = node.door.link("south/indicators/in")

        def work(tx):
            collection = catalog.find_collection(tx, "indicators")
            locked = catalog.lock(tx, collection.collection_id)
            source = Source("pull", "worker", link)
            return ingress.admit(tx, node.door, locked, bodies, source, arrival_id=None, now=moment())

        node.database.retrying(work)
    return desk


def set_aside(desk: Desk) -> str:
    """An object in our name that we never had; the name of its entry."""
    body = old_indicator("claims us", author=NORTH_ID, description="\x1b[2J\u202eboo")
    brought(desk, body)
    return str(desk.run("quarantine", "list", "--json").of("entry")[0]["entry"])


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

    assert "soc  indicators  NEVER since " in desk.run("status").out
    assert desk.run("status", "--json").of("reader") == [
        {"type": "reader", "account": "soc", "last_poll": None}
    ]


# quarantine


def test_an_entry_is_listed_and_shown_with_its_fault_and_its_body(desk: Desk):
    entry = set_aside(desk)

    listed = desk.run("quarantine", "list").out
    shown = desk.run("quarantine", "show", entry)

    assert entry in listed
    assert "foreign_edit" in listed
    assert "It names us as its author, and we never had it." in shown.out
    assert '  "type": "indicator",' in shown.out
    line = desk.run("quarantine", "show", entry, "--json").of("entry")[0]
    assert json.loads(line["body"])["id"] == line["id"] == an_id("indicator", "claims us")


def test_what_is_shown_of_a_foreign_body_cannot_act_on_the_terminal(desk: Desk):
    entry = set_aside(desk)

    shown = desk.run("quarantine", "show", entry).out

    assert all(each.isprintable() or each == "\n" for each in shown)


def test_an_object_is_accepted_by_a_person_and_keeps_its_origin(desk: Desk):
    entry = set_aside(desk)

    answer = desk.run(
        "quarantine", "accept", entry, "--reason", "asked them", "--json", STIXNODE_TOKEN=desk.token
    )

    assert answer.code == 0
    assert answer.of("decided")[0]["outcome"] == "stored"
    told = desk.run("explain", an_id("indicator", "claims us")).out
    assert "put in by south" in told
    with desk.open() as node, node.database.reading() as tx:
        leaf = log.leaves(tx, limit=1)[0]
    assert (leaf.actor, leaf.act, leaf.details["reason"]) == ("person:op", "quarantine.accept", "asked them")


def test_nobody_without_a_token_accepts(desk: Desk):
    entry = set_aside(desk)

    answer = desk.run("quarantine", "accept", entry)

    assert answer.code == 4
    assert answer.err.splitlines()[-1].startswith("Try: Put your token in $STIXNODE_TOKEN")
    assert desk.run("quarantine", "list", "--json").summary["entries"] == 1


def test_a_person_without_the_role_does_not_accept(desk: Desk):
    entry = set_aside(desk)
    token = json.loads(desk.run("person", "add", "au", "--role", "auditor", "--json").out)["token"]

    answer = desk.run("quarantine", "accept", entry, STIXNODE_TOKEN=token)

    assert answer.code == 4
    assert "au is auditor" in answer.err


def test_a_discarded_object_is_not_asked_about_again(desk: Desk):
    entry = set_aside(desk)

    assert desk.run("quarantine", "discard", entry, "--reason", "not ours").code == 0
    assert desk.run("quarantine", "list", "--json").summary["entries"] == 0
    assert desk.run("quarantine", "list", "--state", "discarded", "--json").of("entry")[0]["entry"] == entry
    again = desk.run("quarantine", "discard", entry)
    assert (again.code, "is discarded already" in again.err) == (2, True)


def test_an_unknown_entry_is_a_wrong_call(desk: Desk):
    for act in ("show", "discard"):
        assert desk.run("quarantine", act, "q-0000000000").code == 2


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
