"""node/cli/printing.py: what reaches a terminal, and the lines of JSON."""

from __future__ import annotations

import json

import pytest

from node.cli.main import SECTIONS
from node.cli.printing import (
    Printer,
    ago,
    amount,
    clean,
    clean_lines,
    duration,
    print_error,
    utc,
    with_config,
)

SECOND = 1_000_000


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("a\nb\rc", r"a\nb\rc"),
        ("\x9b31m", r"\x9b31m"),
        ("abc\u202ecba", r"abc\u202ecba"),
        ("\x00\x7f", r"\x00\x7f"),
        ("Київ не\u00a0спить", "Київ не спить"),
        ("\ud800", r"\ud800"),
    ],
)
def test_nothing_from_elsewhere_acts_on_the_terminal(text, shown):
    assert clean(text) == shown


def test_lines_stay_lines_in_a_block():
    assert clean_lines("a\n\x1b[2Jb\n\tc") == "a\n\\x1b[2Jb\n  c"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7_200, "2 h"),
        (172_799, "47 h"),
        (172_800, "2 days"),
    ],
)
def test_a_duration_is_told_in_one_unit(seconds, text):
    assert duration(seconds) == text


def test_what_never_happened_is_never():
    assert (ago(None, 5), utc(None)) == ("never", None)
    assert ago(10 * SECOND, 30 * SECOND) == "20 s ago"


def test_a_number_goes_with_its_noun():
    assert [amount(1, "object"), amount(8_023, "object"), amount(2, "entry", "entries")] == [
        "1 object",
        "8,023 objects",
        "2 entries",
    ]


def test_json_begins_with_its_version_and_ends_with_the_summary(capsys):
    out = Printer("quarantine list", as_json=True)
    out.line("for people")
    out.table(("A",), [("b",)])
    out.next("stixnode status")
    out.record("entry", name="\x1b[1m")

    assert out.summary(3, entries=1) == 3
    first, entry, last = capsys.readouterr().out.splitlines()
    assert {**json.loads(first), "tool": ""} == {
        "type": "version",
        "format": "stixnode.quarantine.list",
        "major": 1,
        "minor": 0,
        "tool": "",
    }
    assert entry.isprintable()
    assert json.loads(entry) == {"type": "entry", "name": "\x1b[1m"}
    assert json.loads(last) == {"type": "summary", "entries": 1, "exit": 3}


def test_people_see_no_json(capsys):
    out = Printer("status", as_json=False)
    out.record("entry", name="x")
    out.only(token="x")
    out.summary(0)

    assert capsys.readouterr().out == ""


def test_columns_are_aligned_and_cleaned(capsys):
    Printer("status", as_json=False).table(
        ("A", "NAME"), [("one", "[bold]\x1b[1m"), ("three", "x")], indent=2
    )

    assert capsys.readouterr().out == "  A      NAME\n  one    [bold]\\x1b[1m\n  three  x\n"


def test_a_wide_table_is_not_cut_where_no_terminal_is(capsys):
    Printer("status", as_json=False).table(("A", "B"), [("x" * 300, "y")])

    assert f"{'x' * 300}  y\n" in capsys.readouterr().out


def test_notices_go_to_stderr(capsys):
    Printer("status", as_json=False).notice("by the way \x07")
    Printer("status", as_json=True).notice("by the way")

    caught = capsys.readouterr()
    assert caught.out == ""
    assert caught.err.splitlines() == ["by the way \\x07", '{"type":"notice","text":"by the way"}']


def test_no_bar_is_drawn_where_no_terminal_is(capsys):
    with Printer("import", as_json=False).progress("reading", 10) as step:
        step(5)

    assert capsys.readouterr() == ("", "")


def test_an_error_with_several_lines_ends_with_its_remedy(capsys):
    print_error("one\ntwo \x1b[0m", "do that", 2, as_json=False)

    assert capsys.readouterr().err == "one\ntwo \\x1b[0m\nTry: do that\n"


def test_a_command_that_is_offered_names_the_configuration_that_was_named(capsys):
    Printer("status", as_json=False, config="my dir/c.toml").next("stixnode plan south, then resume")
    print_error("p", "Run `stixnode init DIR`, or stixnode status", 2, as_json=False, config="c.toml")

    caught = capsys.readouterr()
    assert caught.out == "next     stixnode --config 'my dir/c.toml' plan south, then resume\n"
    assert caught.err.endswith("Try: Run `stixnode init DIR`, or stixnode --config c.toml status\n")


def test_every_command_of_a_node_is_known_as_one():
    names = {name for names in SECTIONS.values() for name in names} - {"init", "restore", "demo", "version"}

    assert [
        name for name in names if with_config(f"stixnode {name}", "c") != f"stixnode --config c {name}"
    ] == []
