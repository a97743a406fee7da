"""node/cli/main.py and exits.py: the help, errors as two lines, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from node.cli import main
from node.cli.exits import CODES, MEANINGS, AccessRefused, exit_code, most_serious
from node.errors import (
    ConfigError,
    InvalidObject,
    LockHeld,
    NodeError,
    PartnerRefused,
    PartnerUnreachable,
    Refused,
    StoreBusy,
    StoreError,
    UsageError,
)
from node.sync.refusals import ClosedThere, Conflict
from tests.cli.desk import Desk, call

LOADED = (
    "import sys; from node.cli.main import stixnode\n"
    "try: stixnode.main(['--help'])\n"
    "except SystemExit: pass\n"
    "heavy = {'flask', 'sqlalchemy', 'rich', 'requests', 'msgspec'}\n"
    "print(*heavy & set(sys.modules), file=sys.stderr)"
)


def test_the_help_names_every_command_in_its_section_and_every_exit_code():
    shown = call("--help").out

    assert [section for section in main.SECTIONS if f"\n{section}:" not in shown] == []
    assert [name for names in main.SECTIONS.values() for name in names if f"\n  {name} " not in shown] == []
    assert [code for code in MEANINGS if f"\n  {code} " not in shown] == []


def test_the_help_loads_nothing_but_click():
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stderr.strip() == ""


@pytest.mark.parametrize(
    "name", [name for names in main.SECTIONS.values() for name in names if name != "demo"]
)
def test_every_command_shows_its_own_help(name):
    answer = call(name, "--help")

    assert answer.code == 0
    assert answer.out.startswith(f"Usage: stixnode {name}")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("p", remedy="r"), 2),
        (ConfigError("p", remedy="r"), 2),
        (Refused("p", remedy="r"), 6),
        (AccessRefused("p", remedy="r"), 4),
        (PartnerRefused("p", remedy="r", http_status=401), 4),
        (PartnerRefused("p", remedy="r", http_status=403), 4),
        (PartnerRefused("p", remedy="r", http_status=404), 1),
        (ClosedThere("p", remedy="r", http_status=403), 6),
        (Conflict("p", remedy="r", code="terms_differ", details={}), 6),
        (Conflict("p", remedy="r", code="session_old", details={}), 1),
        (PartnerUnreachable("p", remedy="r"), 5),
        (StoreBusy("p", remedy="r"), 5),
        (LockHeld("p", remedy="r"), 11),
        (StoreError("p", remedy="r"), 1),
        (InvalidObject("p", remedy="r"), 1),
        (NodeError("p", remedy="r"), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, NodeError) else str(value),
)
def test_an_error_ends_with_its_code(error, code):
    assert exit_code(error) == code


def test_every_code_of_an_error_has_a_meaning_in_the_help():
    assert {code for _, code in CODES} - MEANINGS.keys() == set()


@pytest.mark.parametrize(
    ("codes", "code"),
    [([], 0), ([0, 3], 3), ([5, 3], 5), ([5, 1], 1), ([4, 1], 4), ([6, 4], 6), ([12, 6], 12)],
)
def test_the_most_serious_outcome_is_the_code_of_a_run(codes, code):
    assert most_serious(codes) == code


def test_an_error_is_two_lines_on_stderr():
    answer = call("--config", "/nowhere/config.toml", "status")

    assert (answer.code, answer.out) == (2, "")
    problem, remedy = answer.err.splitlines()
    assert "/nowhere/config.toml" in problem
    assert remedy.startswith("Try: Run `stixnode init DIR`")


def test_an_error_with_json_is_one_line_on_stderr():
    answer = call("status", "--json", "--config", "/nowhere/config.toml")

    line = json.loads(answer.err)
    assert (answer.code, answer.out) == (2, "")
    assert (line["type"], line["exit"], sorted(line)) == ("error", 2, ["exit", "problem", "remedy", "type"])


@pytest.mark.parametrize(
    ("arguments", "problem", "remedy"),
    [
        (["staus"], "There is no command 'staus'.", "Try: stixnode status"),
        (["qqqqqq"], "There is no command 'qqqqqq'.", "Try: stixnode --help"),
        (["status", "--wat"], "No such option", "Try: stixnode status --help"),
        (["import"], "Missing argument", "Try: stixnode import --help"),
    ],
)
def test_a_wrong_call_says_what_to_type(arguments, problem, remedy):
    answer = call(*arguments)

    assert answer.code == 2
    assert answer.err.startswith(problem)
    assert answer.err.splitlines()[-1] == remedy


def test_a_noun_alone_shows_its_verbs():
    answer = call("quarantine")

    assert answer.code == 2
    assert "discard" in answer.err


def test_the_configuration_is_taken_before_and_after_the_command(desk: Desk):
    before = call("--config", str(desk.config), "collection", "list", "--json")
    after = call("collection", "list", "--json", "--config", str(desk.config))

    assert before.out == after.out


def test_the_configuration_of_the_environment_is_taken(desk: Desk, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    assert call("version").code == 0
    assert call("person", "list", "--json", STIXNODE_CONFIG=str(desk.config)).summary["people"] == 1


def test_an_interrupt_ends_with_130(desk: Desk, monkeypatch):
    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("node.cli.printing.Printer.summary", interrupt)

    assert desk.run("version").code == 130


def test_a_file_that_cannot_be_written_is_an_error_with_a_remedy(desk: Desk):
    answer = desk.run("export", "indicators", "--out", "/nowhere/at/all.json")

    assert answer.code == 1
    assert "No such file" in answer.err
    assert answer.err.splitlines()[-1].startswith("Try: Check the path")


def test_a_bare_call_without_a_node_says_how_to_make_one(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("node.config.SYSTEM_CONFIG", tmp_path / "none.toml")

    answer = call()

    assert answer.code == 0
    assert answer.out.startswith("There is no node here yet.")
    assert answer.out.splitlines()[-1].split() == ["next", "stixnode", "init", "DIR"]


def test_a_bare_call_shows_what_needs_somebody_and_the_main_verbs(desk: Desk):
    desk.with_partner()

    answer = desk.run()

    assert answer.code == 0
    assert "waits for a person  south, 2 links: new; nothing crosses yet" in answer.out
    assert "stixnode quarantine list" in answer.out
