"""node/cli/quarantine.py: the quarantine as a list of work, as people use it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from node.audit import log
from node.exchange import quarantine
from tests.cli.bringing import brought, set_aside
from tests.cli.desk import NEWER, Desk, old_indicator
from tests.support.agreements import a_flow
from tests.support.builders import NORTH_ID, SOUTH_ID, an_id

SAID = ("--reason", "by phone")
CLAIMED = an_id("indicator", "claims us")
BAD = old_indicator(author=SOUTH_ID, confidence="high")
GOOD = old_indicator(author=SOUTH_ID, confidence=80)


def many(desk: Desk, number: int = 25) -> None:
    """So many in our name, and one that is not valid."""
    brought(desk, *(old_indicator(each, author=NORTH_ID) for each in range(number)), BAD)


def as_op(desk: Desk, *arguments: str):
    return desk.run("quarantine", *arguments, STIXNODE_TOKEN=desk.token)


def waiting(desk: Desk) -> int:
    return desk.run("quarantine", "list", "--json").summary["total"]


class TestList:
    def test_it_is_told_oldest_first_and_ends_with_the_next_command(self, desk: Desk):
        first = set_aside(desk)
        set_aside(desk, BAD)

        shown = desk.run("quarantine", "list").out.splitlines()

        assert shown[1].startswith(f"{first}  south/indicators/in  {CLAIMED}  foreign_edit")
        assert shown[-1].endswith(f"quarantine show {first}")

    def test_many_are_counted_by_partner_and_reason_first(self, desk: Desk):
        many(desk)

        shown = desk.run("quarantine", "list", "--limit", "3")
        told = desk.run("quarantine", "list", "--json")

        assert "26 entries waiting:" in shown.out
        assert "The oldest 3 of 26; --limit shows more" in shown.out
        assert len([line for line in shown.out.splitlines() if line.startswith("q-")]) == 3
        assert {(one["reason"], one["number"]) for one in told.of("group")} == {
            ("foreign_edit", 25),
            ("invalid", 1),
        }
        assert (told.summary["entries"], told.summary["total"]) == (26, 26)

    def test_link_reason_and_state_choose(self, desk: Desk):
        many(desk, 2)
        as_op(desk, "discard", "--reason-code", "invalid", "--yes", *SAID)

        assert (
            desk.run("quarantine", "list", "south", "--reason", "foreign_edit", "--json").summary["total"]
            == 2
        )
        assert desk.run("quarantine", "list", "--reason", "invalid", "--json").summary["total"] == 0
        (one,) = desk.run("quarantine", "list", "--state", "discarded", "--json").of("entry")
        assert (one["reason"], one["decided_by"], one["decision_reason"]) == (
            "invalid",
            "person:op",
            "by phone",
        )


class TestShow:
    def test_an_entry_is_shown_with_whence_it_came_and_what_can_be_done(self, desk: Desk):
        entry = set_aside(desk)

        shown = desk.run("quarantine", "show", entry).out

        assert "arrival a-0001: pull from https://exchange.south.example/api/ by worker" in shown
        assert "foreign_edit: It names us as its author, and we never had it." in shown
        assert '"type": "indicator",' in shown
        assert "retry    Judge it anew: it would wait still (foreign_edit)." in shown
        assert shown.splitlines()[-1].endswith(f"quarantine discard {entry} --reason TEXT")

    def test_the_place_of_the_fault_has_a_caret_under_it(self, desk: Desk):
        entry = set_aside(desk, BAD)

        shown = desk.run("quarantine", "show", entry).out.splitlines()
        told = desk.run("quarantine", "show", entry, "--json").of("entry")[0]

        at = next(
            number for number, line in enumerate(shown) if line.lstrip().startswith("| ") and "^" in line
        )
        assert shown[at - 1][shown[at].index("^") :].startswith('"high"')
        assert (told["pointer"], told["retry"]["waits"]) == ("/confidence", True)
        assert f"line {told['line']}, column {told['column']} below" in "\n".join(shown)
        assert json.loads(told["body"])["id"] == told["id"]

    def test_our_version_stands_beside_theirs(self, desk: Desk):
        brought(desk)
        desk.run("import", "indicators", "-", stdin=old_indicator(author=NORTH_ID))
        entry = set_aside(desk, old_indicator(author=NORTH_ID, modified=NEWER, description="theirs"))

        shown = desk.run("quarantine", "show", entry).out

        assert "Held here is another version: 2020-01-01T00:00:00.000Z; the object is ours." in shown
        assert "  description  (not there)" in shown

    def test_what_is_shown_of_a_foreign_body_cannot_act_on_the_terminal(self, desk: Desk):
        entry = set_aside(desk)

        shown = desk.run("quarantine", "show", entry, "--whole").out

        assert all(each.isprintable() or each == "\n" for each in shown)

    def test_a_large_object_is_shown_around_its_fault(self, desk: Desk):
        refs = [{"source_name": "a", "external_id": str(number)} for number in range(200)]
        refs[100]["source_name"] = 7
        entry = set_aside(desk, old_indicator(external_references=refs, description="x" * 5_000))

        shown = desk.run("quarantine", "show", entry).out
        whole = desk.run("quarantine", "show", entry, "--whole").out

        assert (len(shown.splitlines()) < 40, len(whole.splitlines()) > 600) == (True, True)
        assert max(map(len, shown.splitlines())) < 200

    @pytest.mark.parametrize("act", ["show", "retry", "accept", "edit", "discard"])
    def test_an_unknown_entry_is_a_wrong_call(self, desk: Desk, act: str):
        said = () if act in ("show", "retry") else SAID

        assert as_op(desk, act, "q-0000000000", *said).code == 2


class TestRetry:
    def test_what_passes_by_todays_agreement_is_stored_and_the_rest_ends_with_3(self, desk: Desk):
        desk.with_partner(flow=[a_flow(types=["malware"])])
        desk.run("resume", "south")
        brought(desk, old_indicator(author=SOUTH_ID), old_indicator("claims us", author=NORTH_ID))
        desk.write("AGR.toml", (desk.folder / "AGR.toml").read_text().replace('"malware"', '"indicator"'))

        answer = desk.run("quarantine", "retry", "--all")

        assert answer.code == 3
        assert "1 stored, 1 wait still" in answer.out
        assert "foreign_edit (1): It stays so while the owner is the same" in answer.out
        assert "put in by south" in desk.run("explain", an_id("indicator")).out
        assert desk.run("quarantine", "retry", "--reason", "type_not_agreed").code == 0

    def test_json_says_what_became_of_each(self, desk: Desk):
        entry = set_aside(desk)

        (one,) = desk.run("quarantine", "retry", entry, "--json").of("tried")

        assert (one["entry"], one["waits"], one["reason"]) == (entry, True, "foreign_edit")

    def test_nothing_is_tried_while_the_partner_is_stopped(self, desk: Desk):
        entry = set_aside(desk)
        desk.run("stop", "south")

        answer = desk.run("quarantine", "retry", "--link", "south")

        assert (answer.code, "stixnode --config" in answer.out) == (3, True)
        assert f"{entry}  {CLAIMED}  waits (link_closed)" in answer.out


class TestAcceptAndDiscard:
    def test_an_object_is_accepted_by_a_person_and_keeps_its_origin(self, desk: Desk):
        entry = set_aside(desk)

        answer = as_op(desk, "accept", entry, "--reason", "asked them", "--json")

        assert (answer.code, answer.of("decided")[0]["outcome"]) == (0, "stored")
        assert "put in by south" in desk.run("explain", CLAIMED).out
        assert "Held here is this very text: " in desk.run("quarantine", "show", entry).out
        with desk.open() as node, node.database.reading() as tx:
            leaf = next(one for one in log.leaves(tx, limit=5) if one.act == "quarantine.accept")
        assert (leaf.actor, leaf.details["reason"]) == ("person:op", "asked them")

    @pytest.mark.parametrize("act", ["accept", "edit"])
    def test_nobody_without_a_token_lets_anything_in(self, desk: Desk, act: str):
        entry = set_aside(desk)

        answer = desk.run("quarantine", act, entry, *SAID)

        assert (answer.code, waiting(desk)) == (4, 1)
        assert "--token-file FILE" in answer.err.splitlines()[-1]

    def test_a_person_without_the_role_does_not_accept(self, desk: Desk):
        entry = set_aside(desk)
        token = json.loads(desk.run("person", "add", "au", "--role", "auditor", "--json").out)["token"]

        answer = desk.run("quarantine", "accept", entry, *SAID, STIXNODE_TOKEN=token)

        assert answer.code == 4
        assert "au is auditor" in answer.err

    @pytest.mark.parametrize("act", ["accept", "discard", "edit"])
    def test_why_must_be_said_in_words(self, desk: Desk, act: str):
        entry = set_aside(desk)

        assert as_op(desk, act, entry).code == as_op(desk, act, entry, "--reason", " ").code == 2
        assert waiting(desk) == 1

    def test_a_discarded_object_is_not_asked_about_again(self, desk: Desk):
        entry = set_aside(desk)

        assert desk.run("quarantine", "discard", entry, "--reason", "not ours").code == 0
        again = desk.run("quarantine", "discard", entry, *SAID)
        assert (again.code, "is discarded already" in again.err, waiting(desk)) == (2, True, 0)

    @pytest.mark.parametrize("choice", [("--all",), ("--link", "south"), ("--reason-code", "foreign_edit")])
    @pytest.mark.parametrize("act", ["accept", "discard"])
    def test_what_was_not_named_one_by_one_is_decided_after_a_yes_only(self, desk: Desk, act: str, choice):
        set_aside(desk)

        unasked = as_op(desk, act, *choice, *SAID)

        assert (unasked.code, "add --yes" in unasked.err, waiting(desk)) == (2, True, 1)
        assert as_op(desk, act, *choice, *SAID, "--yes").code == 0
        assert waiting(desk) == 0

    @pytest.mark.parametrize("named", [(), ("q-0000000000", "--all")], ids=["nothing", "too much"])
    def test_it_must_be_said_which_are_meant(self, desk: Desk, named: tuple[str, ...]):
        set_aside(desk)

        assert as_op(desk, "discard", *named, *SAID).code == 2

    def test_one_that_cannot_be_kept_does_not_keep_the_others_out(self, desk: Desk):
        good, bad = set_aside(desk), set_aside(desk, BAD)

        answer = as_op(desk, "accept", bad, good, *SAID)

        assert answer.code == 3
        assert f"{bad}: not decided." in answer.out
        assert f"{good}: {CLAIMED} stored" in answer.out


class TestEdit:
    def test_a_file_with_the_corrected_object_is_let_in(self, desk: Desk):
        entry = set_aside(desk, BAD)
        path = desk.write("fix.json", GOOD)

        answer = as_op(desk, "edit", entry, "--file", str(path), *SAID)

        assert (answer.code, path.exists(), waiting(desk)) == (0, True, 0)
        told = desk.run("explain", an_id("indicator")).out
        assert "Corrected here from what south brought by south/indicators/in" in told
        with desk.open() as node, node.database.reading() as tx:
            assert quarantine.find(tx, entry).body == BAD

    def test_the_editor_opens_a_copy(self, desk: Desk, monkeypatch: pytest.MonkeyPatch):
        entry = set_aside(desk, BAD)
        script = desk.write("editor", '#!/bin/sh\nsed -i \'s/"high"/80/\' "$1"\n')
        script.chmod(0o755)
        monkeypatch.setenv("EDITOR", str(script))
        monkeypatch.delenv("VISUAL", raising=False)

        answer = as_op(desk, "edit", entry, *SAID)

        assert (answer.code, waiting(desk)) == (0, 0)

    def test_a_text_that_is_not_valid_is_kept_in_a_file_that_is_named(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ):
        entry = set_aside(desk, BAD)
        script = desk.write("editor", '#!/bin/sh\nsed -i \'s/"high"/101/\' "$1"\n')
        script.chmod(0o755)
        monkeypatch.setenv("EDITOR", str(script))
        monkeypatch.delenv("VISUAL", raising=False)

        answer = as_op(desk, "edit", entry, *SAID)

        assert (answer.code, waiting(desk)) == (2, 1)
        assert "at /confidence" in answer.err
        assert "| " in answer.err
        kept = Path(answer.err.rsplit("--file ", 1)[1].split()[0])
        assert b"101" in kept.read_bytes()
        kept.unlink()

    def test_without_an_editor_a_file_is_asked_for(self, desk: Desk, monkeypatch: pytest.MonkeyPatch):
        entry = set_aside(desk, BAD)
        monkeypatch.delenv("EDITOR", raising=False)
        monkeypatch.delenv("VISUAL", raising=False)

        answer = as_op(desk, "edit", entry, *SAID)

        assert (answer.code, "--file FILE" in answer.err) == (2, True)

    def test_an_editor_that_changes_nothing_changes_nothing(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ):
        entry = set_aside(desk, BAD)
        monkeypatch.setenv("EDITOR", "true")
        monkeypatch.delenv("VISUAL", raising=False)

        assert as_op(desk, "edit", entry, *SAID).code == 2
        assert waiting(desk) == 1


class TestStatus:
    def test_a_full_quarantine_is_told_with_what_to_do(self, desk: Desk):
        desk.with_partner(
            flow=[a_flow(givers=["south"], carry="push")],
            more="[partner.south.stricter]\nmax_quarantine_objects = 1\n",
        )
        desk.run("resume", "south")
        desk.run("account", "add", "south-node", "--partner", "south")
        set_aside(desk)

        answer = desk.run("status")

        assert answer.code == 7
        assert "so much of theirs waits in quarantine that nothing more is taken" in answer.out
        assert "quarantine list south" in answer.out


def test_the_group_alone_shows_its_verbs(desk: Desk):
    shown = desk.run("quarantine").out + desk.run("quarantine", "--help").out

    assert [
        verb for verb in ("list", "show", "retry", "edit", "accept", "discard") if verb not in shown
    ] == []
