"""The papers describe every command and every target, and none that does not exist."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from node.cli import main
from tests.architecture.reading import ROOT

PAPERS = ["README.md", "node/ARCHITECTURE.md"]
DOCS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))


def _below(group: click.Group) -> dict[str, click.Command]:
    """The commands of a group, also of one that loads them when they are asked for."""
    context = click.Context(group)
    found = {name: group.get_command(context, name) for name in group.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def _commands(command: click.Command, name: str = "stixnode") -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, as people type it."""
    if isinstance(command, click.Group):
        for below, one in _below(command).items():
            yield from _commands(one, f"{name} {below}")
    elif not command.hidden:
        yield name, command


def _group() -> click.Group:
    """The command `stixnode` itself: the group of node.cli.main with the most commands."""
    groups = [one for one in vars(main).values() if isinstance(one, click.Group)]
    return max(groups, key=lambda group: len(_below(group)))


def _paper(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _code(text: str) -> str:
    """What stands in code blocks and between backticks."""
    fenced = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    plain = re.sub(r"^```[^\n]*\n.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return "\n".join([*fenced, *re.findall(r"`([^`\n]+)`", plain)])


def _unknown(code: str, group: click.Group) -> list[str]:
    """The mentions of a command that does not exist."""
    wrong = []
    for first, second in re.findall(
        r"(?<![\w./-])stixnode (?:--(?:config|token-file) \S+ |--json )*([a-z][\w-]*)(?: ([a-z][\w-]*))?",
        code,
    ):
        command = _below(group).get(first)
        if command is None or (isinstance(command, click.Group) and second and second not in _below(command)):
            wrong.append(f"stixnode {first} {second}".strip())
    return wrong


def test_every_command_is_described():
    papers = re.sub(r"\s+", " ", "\n".join(map(_paper, PAPERS)))

    assert [name for name, _ in _commands(_group()) if not re.search(rf"{name}(?![\w-])", papers)] == []


@pytest.mark.parametrize("paper", [*PAPERS, "collections/README.md", *DOCS])
def test_every_command_described_exists(paper):
    assert _unknown(_code(_paper(paper)), _group()) == []


def test_a_command_that_does_not_exist_is_found():
    group = click.Group(
        "stixnode", commands={"sync": click.Group("sync", commands={"run": click.Command("run")})}
    )
    code = _code("Say `stixnode sync run`, `stixnode sync fly` or\n```\nstixnode dance\n```\n")

    assert _unknown(code, group) == ["stixnode dance", "stixnode sync fly"]


def test_every_command_has_a_help_text():
    assert [name for name, command in _commands(_group()) if not (command.help or "").strip()] == []


def test_every_option_has_a_help_text():
    bare = [
        f"{name} {option.opts[0]}"
        for name, command in _commands(_group())
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]

    assert bare == []


def test_every_target_of_the_makefile_says_what_it_does_and_is_described():
    makefile = _paper("Makefile")
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert phony is not None
    explained = dict(re.findall(r"^(\w+):[^#\n]*## (.+)$", makefile, re.MULTILINE))

    assert set(phony[1].split()) == set(explained)
    assert [
        target for target in explained if target != "help" and f"make {target}" not in _paper("README.md")
    ] == []
