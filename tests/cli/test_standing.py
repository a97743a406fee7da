"""node/cli/standing.py: the word of a link, and what needs a person, told by time alone."""

from __future__ import annotations

import json

import pytest

from node.access import accounts
from node.cli.standing import standing
from node.exchange import links
from node.store import catalog
from node.sync.own_kind import stop_for_terms
from node.sync.refusals import error_of
from node.sync.reports import PullReport
from tests.cli.desk import Desk, a_bundle, fetched_by_south, moment, old_indicator
from tests.support.agreements import a_flow
from tests.support.builders import NORTH_ID

MINUTE = 60 * 1_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def opened_with(desk: Desk, direction: str):
    """North with one link that it carries itself, open."""
    giver, word = ("south", "pull") if direction == "in" else ("north", "push")
    desk.with_partner(flow=[a_flow(givers=[giver], carry=word)])
    desk.run("resume", "south")
    return desk.open()


def seen(node, *, later: int = 0):
    with node.database.reading() as tx:
        return standing(tx, node.settings, now=moment() + later)


def note(node, work) -> None:
    with node.database.writing() as tx:
        work(tx)


@pytest.mark.parametrize("direction", ["in", "out"])
def test_an_open_link_without_a_round_asks_for_the_worker(desk: Desk, direction: str):
    with opened_with(desk, direction) as node:
        found = seen(node)

    assert found.links[0].word == "idle"
    assert [(need.command, "is the worker running?" in need.text) for need in found.needs] == [
        ("stixnode run", True)
    ]


def test_a_link_that_brought_something_is_ok(desk: Desk):
    with opened_with(desk, "in") as node:
        note(node, lambda tx: links.note_success(tx, "south/indicators/in", now=moment(), new=True))
        found = seen(node, later=MINUTE)

    assert (found.links[0].word, found.needs) == ("ok", [])
    assert found.links[0].text == "pulled 60 s ago, newest object 60 s ago"


def test_a_link_that_works_and_brings_nothing_is_idle(desk: Desk):
    with opened_with(desk, "in") as node:
        note(node, lambda tx: links.note_success(tx, "south/indicators/in", now=moment(), new=False))
        found = seen(node)

    assert (found.links[0].word, found.needs) == ("idle", [])


def test_a_link_whose_worker_stopped_is_stale(desk: Desk):
    with opened_with(desk, "in") as node:
        note(node, lambda tx: links.note_success(tx, "south/indicators/in", now=moment(), new=True))
        found = seen(node, later=7 * HOUR)

    assert found.links[0].word == "stale"
    assert "no round since 7 h ago" in found.needs[0].text


def test_one_failure_is_told_and_three_need_a_person(desk: Desk):
    def fail(tx):
        links.note_failure(tx, "south/indicators/in", now=moment(), error="503 from south", next_try=None)

    with opened_with(desk, "in") as node:
        note(node, fail)
        once = seen(node)
        note(node, fail)
        note(node, fail)
        thrice = seen(node)

    assert (once.links[0].word, once.needs) == ("failing", [])
    assert "503 from south" in once.links[0].text
    assert [need.command for need in thrice.needs] == ["call the duty desk of south"]


def refused(status: int, code: str = "") -> str:
    body = json.dumps({"title": "No", "error_code": code}).encode()
    return error_of("south", "GET https://s/", status, {}, body, now=moment()).problem


def terms_that_differ(link) -> str:
    report = PullReport(link.name)
    stop_for_terms(report, link, "00" * 32)
    return report.detail


@pytest.mark.parametrize(
    ("error", "command"),
    [
        (terms_that_differ, "stixnode agreement show AGR-2026-01"),
        (lambda _: refused(403, "link_closed"), "call the duty desk of south"),
        (lambda _: refused(401), "ask south for a new token for password_file"),
        (lambda _: refused(403), "call the duty desk of south"),
    ],
    ids=["terms differ", "closed there", "unknown", "no right"],
)
def test_what_only_a_person_mends_is_told_at_the_first_failure(desk: Desk, error, command: str):
    with opened_with(desk, "in") as node:
        text = error(node.settings.links[0])
        note(
            node,
            lambda tx: links.note_failure(tx, "south/indicators/in", now=moment(), error=text, next_try=None),
        )
        found = seen(node)

    assert [need.command for need in found.needs] == [command]


def test_a_partner_without_an_account_needs_one(desk: Desk):
    desk.with_partner(flow=fetched_by_south())
    desk.run("resume", "south")
    with desk.open() as node:
        found = seen(node)

    assert found.links[0].word == "failing"
    assert found.needs[0].command == "stixnode account add south --partner south"


def test_a_partner_that_does_not_fetch_what_waits_is_stale(desk: Desk):
    desk.with_partner(flow=fetched_by_south())
    desk.run("account", "add", "south", "--partner", "south")
    desk.run("import", "indicators", "-", stdin=a_bundle(old_indicator(author=NORTH_ID)))
    desk.run("resume", "south")
    desk.run("sync")
    with desk.open() as node:
        fresh, late = seen(node), seen(node, later=7 * HOUR)

    assert (fresh.links[0].word, fresh.links[0].text, fresh.needs) == (
        "idle",
        "they have never fetched, 1 waiting",
        [],
    )
    assert late.links[0].word == "stale"
    assert late.needs[0].command == "call the duty desk of south"


def test_a_partner_that_fetches_is_ok(desk: Desk):
    desk.with_partner(flow=fetched_by_south())
    desk.run("account", "add", "south", "--partner", "south")
    desk.run("resume", "south")
    with desk.open() as node:
        with node.database.reading() as tx:
            collection = catalog.find_collection(tx, "indicators")
        assert collection is not None
        number = collection.collection_id
        note(node, lambda tx: accounts.note_reading(tx, "south", number, now=moment(), served=0))
        found = seen(node, later=10 * MINUTE)

    assert (found.links[0].word, found.links[0].text) == ("ok", "they fetched 10 min ago")


def test_a_link_without_its_collection_is_failing(desk: Desk):
    desk.with_partner(flow=[a_flow("case-9")])
    with desk.open() as node:
        found = seen(node)

    assert [each.word for each in found.links] == ["failing", "failing"]
    assert found.needs[0].command.startswith("stixnode collection add case-9")


def test_what_several_links_need_is_said_once(desk: Desk):
    desk.with_partner(flow=[a_flow(), a_flow("techniques")])
    with desk.open() as node:
        found = seen(node)

    assert [need.text for need in found.needs] == ["south, 4 links: new; nothing crosses yet"]


def test_what_a_person_stopped_needs_nobody(desk: Desk):
    desk.with_partner()
    desk.run("stop", "south", "--reason", "a drill")
    with desk.open() as node:
        found = seen(node)

    assert ([each.text for each in found.links], found.needs) == (["a drill", "a drill"], [])


@pytest.mark.parametrize(
    ("later", "text"),
    [(290 * DAY, "agreement AGR-2026-01 ends in"), (310 * DAY, "agreement AGR-2026-01 ended")],
    ids=["soon", "over"],
)
def test_the_end_of_an_agreement_needs_a_person(desk: Desk, later: int, text: str):
    desk.with_partner()
    desk.run("stop", "south")
    with desk.open() as node:
        now, then = seen(node), seen(node, later=later)

    assert now.needs == []
    assert [need.text.startswith(text) for need in then.needs] == [True]


def test_readers_are_the_accounts_that_are_no_partners(desk: Desk):
    desk.with_partner()
    desk.run("account", "add", "soc", "--read", "indicators")
    desk.run("account", "add", "south", "--partner", "south")
    with desk.open() as node:
        found = seen(node)

    assert [(one.account, one.last_poll) for one in found.readers] == [("soc", None)]
