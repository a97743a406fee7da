"""node/cli/withdraw.py: what is shown before, what is demanded, and what is said afterwards."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from node.cli import withdraw as command
from node.cli.standing import standing
from node.exchange import feed_rows, withdrawals
from node.exchange.withdrawals import Withdrawal
from node.store.database import Tx
from node.sync import withdraw as owed
from tests.cli.desk import Desk, a_bundle, fetched_by_south, moment, old_indicator
from tests.support.builders import LATER, NORTH_ID, an_id, an_indicator, an_ipv4

ID = an_id("indicator", "one")
OUT = "south/indicators/out"
WHY = ("--reason", "A test address was taken for an attack.")
HOUR = 3_600 * 1_000_000


@pytest.fixture
def north(desk: Desk) -> Desk:
    """North, whose object south was given and confirmed."""
    desk.with_partner(flow=fetched_by_south())
    desk.run("account", "add", "south", "--partner", "south")
    desk.run("resume", "south")
    desk.run("import", "indicators", "-", stdin=a_bundle(old_indicator(author=NORTH_ID)))
    desk.run("sync")
    settle(desk)
    return desk


def settle(desk: Desk) -> None:
    """South has everything that it is offered."""

    def work(tx: Tx) -> None:
        rows = feed_rows.after(tx, OUT, -1, 100)
        feed_rows.note_sent(tx, rows)
        feed_rows.settle(tx, OUT, [row.key for row in rows], feed_rows.SETTLED)

    with desk.open() as node:
        node.database.retrying(work)


def as_op(desk: Desk, *arguments: str, stdin: bytes | None = None):
    return desk.run(*arguments, stdin=stdin, STIXNODE_TOKEN=desk.token)


def test_before_anything_is_done_it_shows_where_the_object_lies_and_who_was_given_it(north: Desk):
    answer = as_op(north, "withdraw", ID, "--dry-run", "--json")
    (one,) = answer.of("object")

    assert answer.code == 0
    assert (one["owner"], one["how"], one["collections"]) == ("local", "revoked", ["indicators"])
    assert one["given_to"] == [{"link": OUT, "state": "handed over and confirmed"}]
    assert north.run("withdraw", "list", "--json").summary["withdrawals"] == 0


@pytest.mark.parametrize(
    ("arguments", "token", "code", "words"),
    [
        ((ID, "--yes", *WHY), False, 4, "a person"),
        ((ID, "--yes"), True, 2, "reason"),
        ((ID, *WHY), True, 2, "--yes"),
        (("--yes", *WHY), True, 2, "Name what to withdraw"),
        (("8.8.8.8", "--yes", *WHY), True, 2, "not the id of an object"),
        ((an_id("indicator", "nowhere"), "--yes", *WHY), True, 2, "nothing is held"),
        (("--batch", "a-9999", "--yes", *WHY), True, 2, "no arrival"),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_done(
    north: Desk, arguments: tuple[str, ...], token: bool, code: int, words: str
):
    answer = as_op(north, "withdraw", *arguments) if token else north.run("withdraw", *arguments)

    assert (answer.code, words in answer.err) == (code, True), answer.err
    assert north.run("withdraw", "list", "--json").summary["withdrawals"] == 0


def test_an_object_is_withdrawn_and_the_partner_owes_an_acknowledgement_until_it_has_it(north: Desk):
    done = as_op(north, "withdraw", ID, "--yes", *WHY)
    assert done.code == 0, done.err
    assert "1 object revoked" in done.out
    before = north.run("withdraw", "list", "--json").of("withdrawal")[0]
    north.run("sync")
    settle(north)
    after = north.run("withdraw", "list", "--json").of("withdrawal")[0]

    assert [each["open"] for each in before["told"]] == [True]
    assert [each["open"] for each in after["told"]] == [False]
    assert (after["by"], after["reason"]) == ("person:op", WHY[1])


@pytest.mark.parametrize(("later", "needs"), [(23, []), (25, ["stixnode withdraw list --overdue"])])
def test_an_acknowledgement_that_is_overdue_needs_a_person(north: Desk, later: int, needs: list[str]):
    as_op(north, "withdraw", ID, "--yes", *WHY)
    north.run("sync")
    with north.open() as node, node.database.reading() as tx:
        found = standing(tx, node.settings, now=moment() + later * HOUR)

    assert [each.command for each in found.needs if "acknowledged" in each.text] == needs


def test_what_is_overdue_is_looked_for_among_all_and_not_among_the_newest(north: Desk):
    as_op(north, "withdraw", ID, "--yes", *WHY)
    fresh = Withdrawal(an_id("indicator", "two"), moment(), "revoked", "person:op", "wrong", "")
    with north.open() as node, node.database.writing() as tx:
        tx.run(sa.text("update withdrawal set at = at - :hours"), hours=25 * HOUR)
        withdrawals.put(tx, [fresh])
    late = north.run("withdraw", "list", "--overdue", "--limit", "1", "--json")

    assert (late.code, [each["id"] for each in late.of("withdrawal")]) == (7, [ID])


def test_the_agreement_says_how_soon_it_is_overdue(desk: Desk):
    desk.with_partner(promises={"acknowledge_withdrawal_hours": 4})

    assert owed.hours_of(desk.settings().partners) == {"south": 4}


def test_a_word_by_telephone_ends_it(north: Desk):
    as_op(north, "withdraw", ID, "--yes", *WHY)
    said = as_op(north, "withdraw", "acknowledge", "south", "--reason", "Ms Toivonen, by telephone")
    again = as_op(north, "withdraw", "acknowledge", "south", "--reason", "again")

    assert said.code == 0, said.err
    assert "Ms Toivonen" in north.run("withdraw", "list").out
    assert (again.code, "owes no" in again.err) == (2, True)


def test_what_one_arrival_brought_is_withdrawn_by_its_name(north: Desk):
    others = [old_indicator(name, author=NORTH_ID) for name in ("two", "three")]
    brought = north.run("import", "indicators", "-", stdin=a_bundle(*others)).out
    (name,) = [word for word in brought.split() if word.startswith("a-0")]
    done = as_op(north, "withdraw", "--batch", name, "--yes", *WHY, "--json")

    assert done.summary["revoked"] == 2
    assert ID not in {each["id"] for each in done.of("object")}


@pytest.mark.parametrize("as_bundle", [True, False])
def test_objects_are_named_by_a_file(north: Desk, as_bundle: bool):
    unknown = an_id("indicator", "nowhere")
    text = a_bundle(old_indicator(author=NORTH_ID)) if as_bundle else f"{ID} a note\n\n{unknown}\n".encode()
    file = north.write("wrong.txt", text)
    done = as_op(north, "withdraw", "--file", str(file), "--yes", *WHY, "--json")

    assert (done.summary["revoked"], done.code) == (1, 0 if as_bundle else 3)


def test_objects_are_named_by_a_value(north: Desk):
    north.run("import", "indicators", "-", stdin=a_bundle(an_ipv4("203.0.113.77", tlp="green")))
    done = as_op(north, "withdraw", "--value", "203.0.113[.]77", "--dry-run", "--json")

    assert [each["id"].split("--")[0] for each in done.of("object")] == ["ipv4-addr"]


def test_what_was_corrected_since_is_not_withdrawn_by_its_old_value(north: Desk):
    pattern = "[domain-name:value = '{}.example']"
    was = an_indicator("x", tlp="green", author=NORTH_ID, pattern=pattern.format("wrong"))
    now = an_indicator("x", tlp="green", author=NORTH_ID, modified=LATER, pattern=pattern.format("right"))
    north.run("import", "indicators", "-", stdin=a_bundle(was, now))

    assert as_op(north, "withdraw", "--value", "wrong.example", "--dry-run").code == 2
    assert as_op(north, "withdraw", "--value", "right.example", "--dry-run").code == 0


def test_a_link_that_carries_no_notes_is_named_before(north: Desk):
    north.run("import", "indicators", "-", stdin=a_bundle(an_ipv4(tlp="green")))
    north.run("sync")
    settle(north)
    address = json.loads(an_ipv4(tlp="green"))["id"]
    shown = as_op(north, "withdraw", address, "--dry-run").out

    assert f"{OUT} carries no notes" in shown

    as_op(north, "withdraw", address, "--reason", "wrong", "--yes")
    assert "cannot go: the flow carries no notes" in north.run("withdraw", "list").out


def test_the_same_command_again_finds_nothing_left_to_do(north: Desk):
    first = as_op(north, "withdraw", ID, "--yes", *WHY)
    again = as_op(north, "withdraw", ID, "--yes", *WHY)

    assert (first.code, again.code) == (0, 0)
    assert len(north.run("withdraw", "list", "--json").of("withdrawal")) == 1


def test_what_was_withdrawn_is_not_imported_again(north: Desk):
    as_op(north, "withdraw", ID, "--yes", *WHY)
    again = north.run("import", "indicators", "-", stdin=a_bundle(old_indicator(author=NORTH_ID)))

    assert (again.code, "withdrawn" in again.out) == (3, True)


def test_help_names_the_commands_beside_it():
    text = CliRunner().invoke(command.withdraw, ["--help"]).output

    assert "withdraw list" in text
    assert "withdraw acknowledge" in text
