"""node/cli/account.py and secret_files.py: machines get their rights and their token."""

from __future__ import annotations

import json

import pytest

from node.access import accounts, tokens
from node.clock import now
from tests.cli.desk import Desk


def test_an_account_is_added_with_its_rights_and_a_token(desk: Desk):
    answer = desk.run(
        "account",
        "add",
        "soc",
        "--clearance",
        "amber",
        "--read",
        "indicators,techniques",
        "--write",
        "sightings",
        "--json",
    )

    made = json.loads(answer.out)
    assert sorted(made) == ["account", "token"]
    with desk.open() as opened, opened.database.reading() as tx:
        found = tokens.authenticate(tx, f"Bearer {made['token']}", now=now())
        grants = accounts.grants(tx, "soc")
    assert found is not None
    assert (found.account, found.clearance) == ("soc", 2)
    assert sorted((each.can_read, each.can_write) for each in grants.values()) == [
        (False, True),
        (True, False),
        (True, False),
    ]


def test_a_token_file_holds_the_token_and_nothing_shows_it(desk: Desk):
    place = desk.folder / "soc.token"

    answer = desk.run("account", "add", "soc", "--token-file", str(place), "--json")

    assert json.loads(answer.out) == {"account": "soc", "token_file": str(place)}
    assert place.stat().st_mode & 0o777 == 0o600
    assert place.read_text(encoding="ascii").strip() not in answer.out + answer.err


def test_a_token_file_that_is_there_stops_the_whole_act(desk: Desk):
    place = desk.write("taken", "mine")

    answer = desk.run("account", "add", "soc", "--token-file", str(place))

    assert answer.code == 2
    assert place.read_bytes() == b"mine"
    assert desk.run("account", "list", "--json").summary["accounts"] == 0


def test_an_account_that_cannot_be_leaves_no_token_file(desk: Desk):
    place = desk.folder / "soc.token"

    answer = desk.run("account", "add", "soc", "--read", "nowhere", "--token-file", str(place))

    assert answer.code == 2
    assert not place.exists()
    assert desk.run("account", "list", "--json").summary["accounts"] == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["S O C"], "cannot be the name of an account"),
        (["soc", "--clearance", "purple"], "'purple' is no TLP"),
        (["soc", "--read", "nowhere"], "There is no collection 'nowhere'"),
        (["soc", "--partner", "nobody"], "There is no partner 'nobody'"),
        (["soc", "--expires-days", "0"], "0 is not in the range"),
    ],
)
def test_a_wrong_value_is_refused_with_a_remedy(desk: Desk, arguments, problem):
    answer = desk.run("account", "add", *arguments)

    assert answer.code == 2
    assert problem in answer.err
    assert "\nTry: " in answer.err


def test_an_audience_that_no_agreement_names_is_noticed(desk: Desk):
    desk.with_partner()

    assert "audience nobody" in desk.run("account", "add", "a", "--audience", "state-bodies,nobody").err
    assert desk.run("account", "add", "b", "--audience", "state-bodies", "--clearance", "green").err == ""


def test_an_account_without_a_clearance_is_told_what_it_sees(desk: Desk):
    assert desk.run("account", "add", "soc").err == "note: without --clearance it sees only what is CLEAR.\n"


def test_a_partner_account_is_shown_as_one(desk: Desk):
    desk.with_partner()
    desk.run("account", "add", "south", "--partner", "south")

    assert "partner south: what its links allow" in desk.run("account", "list").out
    answer = desk.run("account", "allow", "south", "indicators", "--read")
    assert (answer.code, "rights are those of its links" in answer.err) == (2, True)


def test_rights_are_given_and_taken(desk: Desk):
    desk.run("account", "add", "soc")

    assert desk.run("account", "allow", "soc", "indicators", "--read", "--write", "--json").of("grant")[0][
        "may"
    ] == ["read", "write"]
    assert desk.run("account", "deny", "soc", "indicators", "--write", "--json").of("grant")[0]["may"] == [
        "read"
    ]
    assert desk.run("account", "deny", "soc", "indicators", "--json").of("grant")[0]["may"] == []
    assert desk.run("account", "allow", "soc", "indicators").code == 2


def test_an_account_is_shown_with_what_its_client_needs(desk: Desk):
    desk.run("account", "add", "soc", "--read", "indicators")

    shown = desk.run("account", "show", "soc")

    assert "http://127.0.0.1:8000/api/" in shown.out
    assert "http://127.0.0.1:8000/taxii2/" in shown.out
    assert "indicators" in shown.out
    assert desk.run("account", "show", "soc", "--json").of("grant")[0]["may"] == ["read"]


def test_an_account_is_removed_with_its_token(desk: Desk):
    token = json.loads(desk.run("account", "add", "soc", "--json").out)["token"]

    assert desk.run("account", "remove", "soc").code == 0
    with desk.open() as opened, opened.database.reading() as tx:
        assert tokens.authenticate(tx, f"Bearer {token}", now=now()) is None
    assert desk.run("account", "show", "soc").code == 2
    assert desk.run("account", "remove", "soc").code == 2
