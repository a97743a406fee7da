"""docs/clients: a page for each client, with the fields of its form; and the page of curl, run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from node import clock
from node.cli.client_forms import CLIENTS, KINDS, page_of
from node.store.database import Database
from tests.support.builders import a_malware, an_id, an_indicator
from tests.support.real_nodes import PAST
from tests.support.served import a_served, live_server

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs/clients"
SHOWN = "indicator--2a4f1c6e-0b53-4b0f-8d4e-6a1f3c9d7e01"
STAND_IN = ROOT / "tests/support/curl_stand_in.py"
CURLS = ["stand-in", *(["curl"] if shutil.which("curl") else [])]


def missing(page: str, kind: str) -> list[str]:
    """What the form prints and the page does not name."""
    named = [each.label for each in CLIENTS[kind].fields]
    return [text for text in [*named, f"--client {kind}"] if text not in page]


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_names_every_field_that_the_form_prints(kind):
    assert missing((ROOT / page_of(kind)).read_text(encoding="utf-8"), kind) == []


def test_a_field_without_a_place_on_the_page_is_found():
    page = (ROOT / page_of("sentinel")).read_text(encoding="utf-8").replace("Collection ID", "Collection")

    assert missing(page, "sentinel") == ["Collection ID"]


def test_each_client_has_a_page_and_each_page_a_client():
    index = (PAGES / "README.md").read_text(encoding="utf-8")

    assert {path.stem for path in PAGES.glob("*.md")} == {*KINDS, "README"}
    assert set(re.findall(r"\]\((\w+)\.md\)", index)) == set(KINDS)
    assert set(re.findall(r"^\| `(\w+)` \|", index, re.MULTILINE)) == set(KINDS)


def typed() -> list[str]:
    """The blocks of the page of curl that are run."""
    text = (PAGES / "curl.md").read_text(encoding="utf-8")
    return re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def answers(request, sqlite_database: Database, tmp_path: Path):
    """What each block of the page prints, run against a server with three objects."""
    node = a_served(sqlite_database, tmp_path)
    node.clock.now = clock.now()
    dated = {"created": PAST, "modified": PAST}
    node.admit(
        [
            an_indicator("shown", id=SHOWN, valid_from=PAST, **dated),
            an_indicator("other", valid_from=PAST, **dated),
            a_malware("known", **dated),
        ]
    )
    soc = node.account("soc-alpha", read=["indicators"], write=["indicators"])
    (tmp_path / "soc-alpha.token").write_text(f"{soc.token}\n", encoding="ascii")
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    if request.param == "stand-in":
        (tools / "curl").write_text(f'#!/bin/sh\nexec {sys.executable} -S {STAND_IN} "$@"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    with live_server(tmp_path / "config.toml") as address:
        script = "\necho ::end\n".join([*typed(), ""]).replace("https://exchange.north.example", address)
        done = subprocess.run(
            ["sh"],
            input=script,
            cwd=tmp_path,
            env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split("::end\n")[:-1]


def documents(text: str) -> list[dict]:
    """The JSON documents that were printed one after the other."""
    found, decoder = [], json.JSONDecoder()
    while text.strip():
        document, end = decoder.raw_decode(text.strip())
        found.append(document)
        text = text.strip()[end:]
    return found


@pytest.mark.parametrize("answers", CURLS, indirect=True)
def test_the_commands_of_the_page_of_curl_do_what_it_says(answers):
    prepared, looked, read, sent, polled = answers

    assert prepared == ""
    discovery, rooms, room = documents(looked)
    assert discovery["api_roots"]
    assert rooms["collections"] == [room]
    first, typed_ones, one, manifest = documents(read)
    assert (len(first["objects"]), first["more"]) == (2, True)
    assert len(typed_ones["objects"]) == 3
    assert [each["id"] for each in one["objects"]] == [SHOWN]
    assert len(manifest["objects"]) == 3
    (status,) = documents(sent)
    assert (status["status"], status["success_count"]) == ("complete", 1)
    assert polled.split() == [
        SHOWN,
        an_id("indicator", "other"),
        an_id("malware", "known"),
        "malware--3f2a1c6e-0b53-4b0f-8d4e-6a1f3c9d7e01",
    ], "each object once, and nothing in the second run"
