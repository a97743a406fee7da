"""node/cli/partners.py: links are opened and closed, agreements checked and shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from node.audit import log
from tests.cli.desk import Desk
from tests.support.agreements import a_flow, agreement_text


def test_new_links_are_opened_and_closed_all_at_once(desk: Desk):
    desk.with_partner()

    opened = desk.run("resume", "south", "--json")
    assert (opened.code, opened.summary["links"], opened.summary["still_closed"]) == (0, 2, {})
    assert {line["state"] for line in desk.run("status", "--json").of("link")} != {"paused"}

    closed = desk.run("stop", "south", "--reason", "a drill", "--json")
    assert (closed.code, closed.summary["reason"]) == (0, "a drill")
    assert [(line["state"], line["text"]) for line in desk.run("status", "--json").of("link")] == [
        ("paused", "a drill")
    ] * 2
    with desk.open() as node, node.database.reading() as tx:
        assert [leaf.act for leaf in log.leaves(tx, limit=2)] == ["stop", "resume"]


@pytest.mark.parametrize("command", ["stop", "resume"])
def test_an_unknown_partner_names_the_nearest(desk: Desk, command: str):
    desk.with_partner()

    answer = desk.run(command, "sout")

    assert (answer.code, answer.err.splitlines()[-1]) == (2, "Try: Did you mean south?")


def test_what_the_configuration_pauses_no_command_opens(desk: Desk):
    desk.with_partner(more="paused = true")

    answer = desk.run("resume", "south")

    assert answer.code == 6
    assert "paused = true" in answer.err
    assert desk.run("status", "--json").of("link")[0]["text"] == "paused = true in config.toml"


def test_resume_says_what_still_keeps_a_link_closed(desk: Desk):
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    desk.with_partner(starts=later)

    answer = desk.run("resume", "south", "--json")

    assert sorted(answer.summary["still_closed"]) == ["south/indicators/in", "south/indicators/out"]
    assert "not in force before" in answer.summary["still_closed"]["south/indicators/in"]


def test_resume_names_a_collection_that_is_not_there(desk: Desk):
    desk.with_partner(flow=[a_flow("case-9")])

    assert "stixnode collection add case-9" in desk.run("resume", "south").out


def test_an_agreement_is_checked_by_its_file(desk: Desk):
    path = desk.write("new.toml", agreement_text())

    answer = desk.run("agreement", "check", str(path), "--json")

    (one,) = answer.of("agreement")
    assert (answer.code, one["id"], one["parties"]) == (0, "AGR-2026-01", ["north", "south"])
    assert one["words"].replace(" ", "") == one["terms_digest"][:12]


def test_a_wrong_agreement_names_its_fault_and_place(desk: Desk):
    path = desk.write("new.toml", agreement_text(flow=[a_flow(max_tpl="green")]))

    answer = desk.run("agreement", "check", str(path))

    assert answer.code == 2
    assert "new.toml, [[flow]] indicators max_tpl" in answer.err
    assert answer.err.splitlines()[-1] == "Try: Write max_tlp."


def test_an_agreement_is_shown_from_both_sides(desk: Desk):
    desk.with_partner(
        flow=[a_flow(carry={"north": "push", "south": "pull"}, unmarked="clear", onward=["west"])]
    )

    shown = desk.run("agreement", "show").out

    give, get = (line for line in shown.splitlines() if line.startswith("  indicators"))
    assert give.split() == [
        "indicators",
        "GREEN",
        "as",
        "CLEAR",
        "state-bodies",
        "730",
        "days",
        "we",
        "bring",
        "every",
        "5",
        "min",
    ]
    assert get.split()[-6:] == ["we", "fetch", "every", "5", "min", "west"]
    assert "duty desk south: +000 11 111 11 11" in shown
    flows = desk.run("agreement", "show", "AGR-2026-01", "--json").of("flow")
    assert [(line["link"], line["unmarked"]) for line in flows] == [
        ("south/indicators/out", "as CLEAR"),
        ("south/indicators/in", "as CLEAR"),
    ]


def test_an_agreement_says_what_goes_first_and_how_soon(desk: Desk):
    flow = a_flow(carry={"north": "push", "south": "push"}, unmarked="clear", urgent_labels=["Urgent"])
    fetched = a_flow("techniques", ["north"], types=["tool"])
    desk.with_partner(flow=[flow, fetched])
    shown = desk.run("agreement", "show").out

    assert "  Revocations, and what is labelled urgent, are brought at once and first: indicators." in shown
    assert "  Revocations go with the next fetch, in their order: techniques." in shown
    flows = desk.run("agreement", "show", "--json").of("flow")
    assert [(line["urgent_labels"], line["urgent_at_once"]) for line in flows] == [
        (["urgent"], True),
        ([], False),
        (["urgent"], True),
    ]


def test_an_unknown_agreement_is_a_wrong_call(desk: Desk):
    assert desk.run("agreement", "show").code == 2
    desk.with_partner()
    assert "Did you mean AGR-2026-01?" in desk.run("agreement", "show", "AGR-2026-02").err
