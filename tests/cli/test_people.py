"""node/cli/people.py and context.py: persons, tokens, and who acts."""

from __future__ import annotations

import json

from node.audit import log
from tests.cli.desk import Desk


def last_actor(desk: Desk) -> str:
    with desk.open() as opened, opened.database.reading() as tx:
        return log.leaves(tx, limit=1)[0].actor


def test_a_person_is_added_and_listed(desk: Desk):
    made = json.loads(desk.run("person", "add", "ap", "--role", "approver,signatory", "--json").out)

    assert sorted(made) == ["person", "token"]
    people = desk.run("person", "list", "--json").of("person")
    assert [(one["name"], one["roles"]) for one in people] == [
        ("ap", ["approver", "signatory"]),
        ("op", ["operator", "admin"]),
    ]
    assert desk.run("person", "add", "ap", "--role", "approver").code == 2
    assert desk.run("person", "add", "x", "--role", "king").code == 2


def test_an_act_is_recorded_under_the_person_whose_token_is_given(desk: Desk):
    desk.run("account", "add", "a", STIXNODE_TOKEN=desk.token)
    assert last_actor(desk) == "person:op"

    place = desk.write("op.token", desk.token + "\n")
    desk.run("account", "remove", "a", "--token-file", str(place))
    assert last_actor(desk) == "person:op"

    desk.run("--token-file", str(place), "account", "add", "b", "--token-file", str(desk.folder / "b.token"))
    assert last_actor(desk) == "person:op"


def test_an_act_without_a_token_is_recorded_under_the_account_of_the_system(desk: Desk):
    desk.run("account", "add", "a")

    assert last_actor(desk).startswith("os:")


def test_a_token_that_is_nobodys_ends_with_4_and_does_nothing(desk: Desk):
    answer = desk.run("account", "add", "a", STIXNODE_TOKEN="sn_aaaaaaaaaa_" + "A" * 43)

    assert answer.code == 4
    assert "nobody's" in answer.err
    assert "\nTry: " in answer.err
    assert desk.run("account", "list", "--json").summary["accounts"] == 0


def test_the_token_of_an_account_is_no_persons(desk: Desk):
    token = json.loads(desk.run("account", "add", "a", "--json").out)["token"]

    assert desk.run("account", "remove", "a", STIXNODE_TOKEN=token).code == 4


def test_a_token_file_that_cannot_be_read_is_a_wrong_call(desk: Desk):
    assert desk.run("account", "remove", "a", "--token-file", "/nowhere").code == 2


def test_tokens_are_listed_by_id_and_never_shown(desk: Desk):
    answer = desk.run("token", "list", "--json")

    (line,) = answer.of("token")
    assert (line["person"], line["account"]) == ("op", None)
    assert desk.token.split("_")[1] == line["id"]
    assert desk.token not in answer.out


def test_a_rotated_token_replaces_all_others(desk: Desk):
    made = json.loads(desk.run("token", "rotate", "--person", "op", "--json").out)

    assert (made["person"], made["removed"]) == ("op", 1)
    assert desk.run("account", "add", "a", STIXNODE_TOKEN=desk.token).code == 4
    assert desk.run("account", "add", "a", STIXNODE_TOKEN=made["token"]).code == 0


def test_an_added_token_stands_beside_the_others(desk: Desk):
    made = json.loads(desk.run("token", "add", "--person", "op", "--expires-days", "1", "--json").out)

    assert desk.run("token", "list", "--json").summary["tokens"] == 2
    assert desk.run("token", "remove", made["id"]).code == 0
    assert desk.run("token", "remove", made["id"]).code == 2


def test_a_token_needs_one_owner(desk: Desk):
    for arguments in ([], ["--person", "op", "--account", "a"], ["--account", "nobody"]):
        assert desk.run("token", "add", *arguments).code == 2
