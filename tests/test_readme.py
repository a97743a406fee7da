"""The README's walk, word by word: its commands are run in order, and answer as it says.

A block marked `sh` is typed, the block marked `text` after it is what comes back. What differs from one
day and machine to the next (dates, ids, digests, numbers of seconds, the folder) is compared in shape.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from node.cli.exits import MEANINGS
from node.cli.main import SECTIONS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PORTS = ("8001", "8002")


def walk(text: str) -> list[tuple[str, str]]:
    """(commands, answer) of each step between the heading of the walk and the next heading."""
    part = re.split(r"^## ", text.split("\n## Two nodes, by hand\n")[1], flags=re.MULTILINE)[0]
    steps: list[tuple[str, str]] = []
    for kind, block in re.findall(r"^```(sh|text)\n(.*?)^```", part, re.DOTALL | re.MULTILINE):
        if kind == "sh":
            steps.append((block, ""))
        else:
            steps[-1] = (steps[-1][0], block)
    return steps


def run(steps: list[tuple[str, str]], place: Path) -> list[str]:
    """What each step answers, the folders and ports put back as the README has them."""
    shims = place / "bin"
    shims.mkdir()
    for name, arguments in (("stixnode", "-m node"), ("python", "")):
        shim = shims / name
        shim.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} {arguments} "$@"\n')
        shim.chmod(0o755)
    (place / "collections").symlink_to(ROOT / "collections")
    free = _free_ports()
    script = ""
    for commands, _ in steps:
        typed = commands
        for written, real in zip(PORTS, free, strict=True):
            typed = typed.replace(written, real)
        script += f"{typed}\necho '::end'\n"
        if re.search(r" serve .*&$", typed, re.MULTILINE):
            script += _until_served(free[1])
    file = place / "typed.sh"
    file.write_text(script)
    output = place / "answers"
    with output.open("wb") as answers:
        subprocess.run(
            ["bash", str(file)],
            cwd=place,
            env={**os.environ, "PATH": f"{shims}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=answers,
            stderr=answers,
            timeout=100,
            check=False,
        )
    text = output.read_text().replace(f"{place}/", "/home/ann/stixnode/")
    for written, real in zip(PORTS, free, strict=True):
        text = text.replace(real, written)
    return text.split("::end\n")[:-1]


def shape(text: str) -> list[str]:
    """The lines with everything that changes from run to run written as its kind."""
    changes = (
        (r"\bos:[\w.-]+", "os:SOMEBODY"),
        (r"\b\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d UTC", "MOMENT"),
        (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "MOMENT"),
        (r"\b\d{1,2} [A-Z][a-z]{2} \d\d:\d\d UTC", "MOMENT"),
        (r"\d+ (s|min|h|days?) ago", "AGO"),
        (r"\d+ days left", "DAYS left"),
        (r" +", " "),
    )
    for pattern, kind in changes:
        text = re.sub(pattern, kind, text)
    return [line.strip() for line in text.strip().splitlines()]


def _free_ports() -> list[str]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return [str(one.getsockname()[1]), str(two.getsockname()[1])]


def _until_served(port: str) -> str:
    # A reader types slower than the server starts.
    probe = f"import socket; socket.create_connection(('127.0.0.1', {port}), 1)"
    return f'for each in $(seq 300); do python -c "{probe}" 2>/dev/null && break; sleep 0.1; done\n'


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    return run(walk(README), tmp_path_factory.mktemp("walk"))


def test_the_walk_has_an_answer_for_every_step(answers):
    assert len(answers) == len(walk(README)) > 8


@pytest.mark.parametrize("number", range(len(walk(README))))
def test_each_step_of_the_walk_answers_as_the_readme_says(answers, number):
    commands, answer = walk(README)[number]

    assert shape(answers[number]) == shape(answer), commands


def test_a_changed_answer_would_be_found():
    assert shape("16 objects read, 12 stored") != shape("16 objects read, 11 stored")
    assert shape("1 Jan 2026 00:00 UTC, 3 s ago") == shape("2 Feb 2027 10:30 UTC, 4 min ago")


def test_the_table_of_exit_codes_is_that_of_the_program():
    table = dict(re.findall(r"^\| (\d+) \| (.+?) \|$", README, re.MULTILINE))

    assert table == {str(code): meaning for code, meaning in MEANINGS.items()}


def test_the_sections_of_the_help_are_all_in_the_readme():
    for section in SECTIONS:
        assert f"**{section}**" in README
