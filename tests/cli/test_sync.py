"""node/cli/sync.py and partner_rounds.py: rounds with a partner, from the command line."""

from __future__ import annotations

import pytest

from node.cli.partner_rounds import code_of
from node.clock import now
from node.errors import PartnerRefused, PartnerUnreachable
from node.sync import bookmarks
from node.sync.leases import take_lease
from node.sync.reports import PullReport, PushReport, ServeReport, Stop
from tests.cli.desk import Desk, a_bundle, both_carried_by_north, old_indicator
from tests.support.builders import NORTH_ID, SOUTH_ID
from tests.support.partner import COLLECTION, Canned, simulated_partner


@pytest.fixture
def partner():
    with simulated_partner() as found:
        yield found


def exchanging(desk: Desk, partner) -> Desk:
    more = f'kind = "taxii"\n[partner.south.their_ids]\nindicators = "{COLLECTION}"'
    desk.with_partner(api_root=partner.api_root, more=more, paper_signed=True, flow=both_carried_by_north())
    desk.run("resume", "south")
    return desk


def test_a_round_pulls_and_pushes(desk: Desk, partner):
    partner.hold(old_indicator("theirs", author=SOUTH_ID))
    exchanging(desk, partner).run(
        "import", "indicators", "-", stdin=a_bundle(old_indicator("ours", author=NORTH_ID))
    )

    answer = desk.run("sync", "--json")

    assert answer.code == 0
    (pulled,), (pushed,) = answer.of("pull"), answer.of("push")
    assert (pulled["link"], pulled["received"], pulled["stored"]) == ("south/indicators/in", 1, 1)
    assert (pushed["link"], pushed["sent"], pushed["withheld"], pushed["considered"]) == (
        "south/indicators/out",
        1,
        1,  # what they brought does not go back to them
        2,
    )
    assert desk.run("sync", "--json").summary["moved"] == 0


def test_people_see_one_table(desk: Desk, partner):
    partner.hold(old_indicator("theirs", author=SOUTH_ID))

    lines = exchanging(desk, partner).run("sync", "south").out.splitlines()

    assert lines[0].split()[:5] == ["LINK", "TOOK", "STORED", "DUPL", "QUAR"]
    assert lines[1].split() == ["south/indicators/in", "1", "1", "0", "0"]
    assert lines[2].split() == ["south/indicators/out", "0", "0", "1", "0"]
    assert lines[-1] == f"next     stixnode --config {desk.config} status"


def test_pull_and_push_take_their_own_direction(desk: Desk, partner):
    exchanging(desk, partner)

    assert [line["link"] for line in desk.run("pull", "--json").of("pull")] == ["south/indicators/in"]
    assert [line["link"] for line in desk.run("push", "south", "--json").of("push")] == [
        "south/indicators/out"
    ]
    answer = desk.run("pull", "south/indicators/out")
    assert (answer.code, answer.err.splitlines()[0]) == (
        2,
        "south/indicators/out names no link that brings us something.",
    )
    assert answer.err.splitlines()[1] == f"Try: stixnode --config {desk.config} push south/indicators/out"


def test_what_is_set_aside_ends_with_3(desk: Desk, partner):
    partner.hold(old_indicator("claims us", author=NORTH_ID))

    answer = exchanging(desk, partner).run("sync", "south")

    assert answer.code == 3
    assert answer.out.splitlines()[-1] == f"next     stixnode --config {desk.config} quarantine list"


def test_what_a_person_discarded_needs_nobody_when_it_is_listed_again(desk: Desk, partner):
    partner.hold(old_indicator("claims us", author=NORTH_ID))
    exchanging(desk, partner).run("sync", "south")
    entry = desk.run("quarantine", "list", "--json").of("entry")[0]["entry"]
    desk.run("quarantine", "discard", entry, "--reason", "a mistake of theirs")
    with desk.open() as node, node.database.writing() as tx:
        bookmarks.forget(tx, "south/indicators/in")

    answer = desk.run("pull", "--json")

    assert (answer.code, answer.of("pull")[0]["exit"]) == (0, 0)
    assert answer.of("pull")[0]["received"] == 1


@pytest.mark.parametrize(("status", "code"), [(503, 5), (401, 4), (403, 4)])
def test_an_error_of_the_partner_ends_with_its_code_and_both_lines(
    desk: Desk, partner, status: int, code: int
):
    exchanging(desk, partner)
    partner.answer_next(Canned(status), Canned(status))

    answer = desk.run("pull")

    assert answer.code == code
    assert "south/indicators/in: " in answer.out
    assert "\n  Try: " in answer.out


def test_a_paused_link_ends_with_6(desk: Desk, partner):
    exchanging(desk, partner).run("stop", "south")

    answer = desk.run("sync", "south", "--json")

    assert answer.code == 6
    assert {line["stopped"] for line in (*answer.of("pull"), *answer.of("push"))} == {"closed"}


def test_another_run_at_work_ends_with_11(desk: Desk, partner):
    exchanging(desk, partner)
    with desk.open() as opened, opened.database.writing() as tx:
        take_lease(tx, "partner:south", "elsewhere:1", now=now())

    answer = desk.run("sync", "--json")

    assert answer.code == 11
    assert "elsewhere:1" in answer.of("failure")[0]["problem"]


def test_a_node_without_links_says_how_to_get_some(desk: Desk):
    answer = desk.run("sync")

    assert answer.code == 2
    assert "[partner.NAME]" in answer.err


def test_an_unknown_link_is_a_wrong_call(desk: Desk):
    desk.with_partner()

    answer = desk.run("sync", "south/indicatrs")

    assert answer.code == 2
    assert "south/indicators/in" in answer.err


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (PullReport("l"), 0),
        (PullReport("l", stopped=Stop.TERMS_DIFFER), 6),
        (PullReport("l", stopped=Stop.NO_RIGHT), 4),
        (PushReport("l", stopped=Stop.UNCONFIRMED), 5),
        (PushReport("l", considered=1, failed=1), 3),
        (PullReport("l", error=PartnerUnreachable("p", remedy="r")), 5),
        (PullReport("l", error=PartnerRefused("p", remedy="r", http_status=404)), 1),
        (ServeReport("l", considered=3, withheld=3), 0),
    ],
)
def test_a_round_ends_with_the_code_of_what_happened(report, code):
    assert code_of(report) == code
