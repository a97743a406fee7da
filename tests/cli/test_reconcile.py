"""`stixnode reconcile` as an operator sees it: numbers, names by group, remedies, exit codes."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from node.cli.printing import with_config
from tests.cli.desk import Desk, a_bundle, both_carried_by_north, call, fetched_by_south, old_indicator
from tests.support.builders import NORTH_ID, an_id
from tests.support.partner import COLLECTION, Canned, simulated_partner
from tests.support.real_nodes import bring, past_indicators, two_real_nodes, work_once
from tests.support.served import live_server

OUT, IN = "south/indicators/out", "south/indicators/in"


@pytest.fixture
def partner():
    with simulated_partner() as found:
        yield found


@pytest.fixture
def exchanged(desk: Desk, partner):
    """Three objects of ours are at the partner's, five of theirs are here."""
    more = f'kind = "taxii"\n[partner.south.their_ids]\nindicators = "{COLLECTION}"'
    desk.with_partner(api_root=partner.api_root, more=more, paper_signed=True, flow=both_carried_by_north())
    desk.run("resume", "south")
    partner.hold(*(old_indicator(each) for each in range(5)))
    ours = [old_indicator(f"ours {each}", author=NORTH_ID) for each in range(3)]
    desk.run("import", "indicators", "-", stdin=a_bundle(*ours))
    assert desk.run("sync").code == 0
    return desk


def test_equal_books_end_with_0(exchanged):
    answer = exchanged.run("reconcile", "south")
    assert answer.code == 0
    rows = [line.split()[:4] for line in answer.out.splitlines()[:3]]
    assert rows == [["LINK", "SAME", "EXPLAINED", "DIFFER"], [IN, "5", "0", "0"], [OUT, "3", "0", "0"]]
    assert answer.out.splitlines()[-1] == f"next     stixnode --config {exchanged.config} status"


def test_what_differs_is_named_and_ends_with_10_and_nothing_changes(exchanged, partner):
    lost = next(one for one in partner.held if one.id == an_id("indicator", "ours 1"))
    partner.held.remove(lost)
    answer = exchanged.run("reconcile", OUT)
    assert answer.code == 10
    assert "only here" in answer.out
    assert lost.id in answer.out
    assert "handed over, and not there" in answer.out
    assert answer.out.splitlines()[-1].endswith(f"reconcile {OUT} --repair")
    assert exchanged.run("push", "south", "--json").summary["moved"] == 0


def test_a_repair_asks_first_and_then_brings_it_again(exchanged, partner):
    partner.held = [one for one in partner.held if one.id != an_id("indicator", "ours 1")]
    asked = exchanged.run("reconcile", OUT, "--repair")
    assert (asked.code, "--yes" in asked.err) == (2, True)
    answer = exchanged.run("reconcile", OUT, "--repair", "--yes")
    assert answer.code == 0
    assert f"{OUT}: 1 object offered again; they go with the next round." in answer.out
    assert answer.out.splitlines()[-1].endswith(f"sync {OUT}")
    assert exchanged.run("push", "south", "--json").summary["moved"] == 1
    assert exchanged.run("reconcile", OUT).code == 0
    with exchanged.open() as node, node.database.reading() as tx:
        (leaf,) = tx.rows(sa.text("select actor, subject from leaf where act = 'reconcile.repair'"))
    assert (leaf[0].partition(":")[0], leaf[1]) == ("os", OUT)


def test_for_scripts_all_are_named(exchanged, partner):
    del partner.held[0]
    partner.held = [one for one in partner.held if one.id != an_id("indicator", "ours 1")]
    answer = exchanged.run("reconcile", "south", "--json")
    assert answer.code == 10
    compared = {line["link"]: line for line in answer.of("compared")}
    assert (compared[OUT]["different"], compared[OUT]["repairable"], compared[OUT]["by"]) == (
        1,
        1,
        "manifest",
    )
    assert compared[IN]["explained"] == {"vanished": 1}
    (difference,), (explained,) = answer.of("difference"), answer.of("explained")
    assert (difference["group"], difference["id"]) == ("only here", an_id("indicator", "ours 1"))
    assert (explained["why"], explained["id"]) == ("vanished", an_id("indicator", 0))
    assert answer.summary["exit"] == 10


def test_too_much_that_vanished_is_held_and_ends_with_6(exchanged, partner):
    del partner.held[:3]
    answer = exchanged.run("reconcile", IN, "--repair", "--yes")
    assert answer.code == 6
    assert "HELD: 3 of the 5 objects" in answer.out


def test_a_partner_that_gives_no_whole_answer_ends_with_5_and_is_not_asked_again(exchanged, partner):
    partner.answer_next(Canned(503))
    before = len(partner.requests)
    answer = exchanged.run("reconcile", "south")
    assert (answer.code, answer.out.count("answered GET")) == (5, 1)
    assert "stixnode" in answer.out.splitlines()[1]
    assert "doctor south" in answer.out.splitlines()[1]
    assert len(partner.requests) == before + 1


def test_what_cannot_be_looked_at_is_said(desk: Desk, partner):
    desk.with_partner(
        api_root=partner.api_root, more='kind = "taxii"', paper_signed=True, flow=fetched_by_south()
    )
    desk.run("resume", "south")
    answer = desk.run("reconcile", "south")
    assert answer.code == 6
    assert "what it holds cannot be looked at" in answer.out


def test_a_closed_link_asks_for_nothing(exchanged, partner):
    exchanged.run("stop", "south")
    before = len(partner.requests)
    assert exchanged.run("reconcile", "south").code == 6
    assert len(partner.requests) == before


def test_the_command_keeps_the_configuration_that_was_named():
    assert (
        with_config("Run: stixnode reconcile south", "x.toml")
        == "Run: stixnode --config x.toml reconcile south"
    )


def test_two_nodes_compare_their_books_over_the_wire(request, tmp_path):
    template = request.getfixturevalue("_sqlite_template")
    north, south = two_real_nodes(template, tmp_path, giver="south", carry="pull")
    bring(south, past_indicators("identity--8c0a2f7e-1d1f-4a55-8b7e-2f0b7d9c0b02", 12))
    with live_server(south.config, port=south.port):
        assert work_once(north).code == 0
        equal = call("reconcile", "south", "--config", str(north.config))
        assert (equal.code, "256 buckets, all equal" in equal.out) == (0, True)
        with north.opened() as database, database.writing() as tx:
            gone = tx.row(sa.text('select stix_id from "object" limit 1'))[0]
            tx.run(sa.text('delete from "object" where stix_id = :id'), id=gone)
        found = call("reconcile", "south", "--repair", "--yes", "--config", str(north.config))
        assert (found.code, gone in found.out) == (0, True)
        assert work_once(north).code == 0
        assert call("reconcile", "south", "--config", str(north.config)).code == 0
    alone = call("reconcile", "north", "--config", str(south.config))
    assert alone.code == 2
    assert "`reconcile south`" in alone.out
