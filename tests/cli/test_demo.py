"""The demonstration as its reader runs it: a process of its own, looked at from outside."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pysqlite3.dbapi2 as sqlite
import pytest

from node.cli.asked import Asked
from node.cli.context import Context
from node.cli.demo import stage
from node.cli.demo.command import ended_in_order
from node.cli.demo.comparison import Crossing, compare
from tests.support.builders import NORTH_ID, an_indicator

RED = "indicator--b91b4709-e7f3-41f4-98eb-f852740fefd0"
UNMARKED = "indicator--6fcdba55-827d-4581-a568-2dcfa7bef829"
FOREIGN_EDIT = "indicator--edfd6339-5f9b-44df-a26a-1e9f7d52d619"
HARBOUR_LANTERN = "malware--344f38cf-7c65-45d5-8adc-75d92f6ca77f"
VERDICT = "converged: yes; second round moved 0 objects"


def _command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "node", "demo", *map(str, arguments)]


def _environment(place: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(place), **more}


def _demo(place: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    place.mkdir(exist_ok=True)
    return subprocess.run(
        _command(*arguments),
        capture_output=True,
        text=True,
        timeout=100,
        env=_environment(place, **environment),
    )


def _lines(done: subprocess.CompletedProcess[str], kind: str) -> list[dict]:
    return [line for line in map(json.loads, done.stdout.splitlines()) if line["type"] == kind]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A demonstration whose nodes stay, and where."""
    place = tmp_path_factory.mktemp("kept")
    done = _demo(place / "tmp", "--keep", place / "nodes")
    assert done.returncode == 0, done.stdout + done.stderr
    return done, place / "nodes"


def test_the_last_line_says_that_both_sides_converged(kept):
    done, _ = kept

    assert done.stdout.splitlines()[-1] == VERDICT


def test_progress_stands_on_stderr_and_results_on_stdout(kept):
    done, _ = kept

    assert "round 1:" in done.stderr
    assert "round 1:" not in done.stdout
    assert "WHAT WENT" not in done.stderr


def test_the_red_and_the_unmarked_object_and_the_foreign_edit_are_shown_with_their_remedies(kept):
    done, _ = kept
    withheld, set_aside = re.split(r"\nWHAT WAS SET ASIDE[^\n]*\n", done.stdout.split("WHAT DID NOT GO")[1])

    assert re.findall(r"north to south: (\d+) (\w+)", withheld) == [("1", "above_ceiling"), ("1", "unmarked")]
    assert withheld.index(RED) < withheld.index(UNMARKED)
    assert withheld.count("Try: ") == 2
    assert FOREIGN_EDIT in set_aside


@pytest.mark.parametrize("stix_id", [RED, UNMARKED])
def test_what_was_withheld_is_in_no_file_of_the_other_node(kept, stix_id):
    _, nodes = kept
    files = [file.read_bytes() for file in (nodes / "south").rglob("*") if file.is_file()]

    assert any(b"Paper Kite" in text for text in files)
    assert not any(stix_id.encode() in text for text in files)


def test_the_kept_nodes_are_sound_and_their_secrets_are_their_owners_alone(kept):
    _, nodes = kept

    for name in ("north", "south"):
        config = nodes / name / "config.toml"
        done = subprocess.run(
            [sys.executable, "-m", "node", "--config", str(config), "check"], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        secrets = [*(nodes / name / "secrets").iterdir(), nodes / name / "tls" / "server.key"]
        assert [file.name for file in secrets if file.stat().st_mode & 0o077] == []


@pytest.fixture(scope="module")
def gone(tmp_path_factory):
    """A demonstration in JSON whose nodes do not stay, where it was, and what was still running after it."""
    place = tmp_path_factory.mktemp("gone") / "tmp"
    foreign = {
        "STIXNODE_CONFIG": "/nowhere/config.toml",
        "STIXNODE_TOKEN": "sn_of_somebody_else",
        "STIXNODE_DATABASE__URL": "sqlite:///elsewhere.db",
    }
    return _demo(place, "--json", **foreign), place, _still_running(place)


def test_everything_is_removed_and_stopped_at_the_end(gone):
    done, place, still_running = gone

    assert done.returncode == 0, done.stderr
    assert list(place.iterdir()) == []
    assert still_running == []


def test_json_lines_carry_the_numbers_and_the_verdict(gone):
    done, _, _ = gone

    crossings = _lines(done, "crossing")
    assert {(one["from"], one["to"]) for one in crossings} == {("north", "south"), ("south", "north")}
    assert len(crossings) == 10
    for one in crossings:
        assert one["held"] == one["theirs"] + one["withheld"] + one["permitted"]
        assert one["permitted"] == one["arrived"] + one["explained"] + one["missing"]
    assert _lines(done, "summary") == [{"type": "summary", "converged": True, "second_round": 0, "exit": 0}]


def test_the_settings_of_another_node_do_not_reach_the_demonstration(gone):
    done, _, _ = gone

    assert _lines(done, "summary")[0]["converged"], done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demonstration_stops_and_removes_everything(tmp_path, number):
    place = tmp_path / "tmp"
    place.mkdir()
    running = subprocess.Popen(
        _command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_environment(place)
    )
    until = time.monotonic() + 60
    while not list(place.glob("*/south/serve.log")) and time.monotonic() < until:
        time.sleep(0.02)
    assert len(_still_running(tmp_path)) >= 1  # the servers run by now

    running.send_signal(number)
    out, err = running.communicate(timeout=60)

    assert running.returncode == 130, err
    assert out.splitlines()[-1] == "converged: no; interrupted"
    assert list(place.iterdir()) == []
    assert _still_running(tmp_path) == []


def test_a_folder_that_is_not_empty_is_refused(tmp_path):
    (tmp_path / "something").write_text("")

    done = _demo(tmp_path / "tmp", "--keep", tmp_path)

    assert done.returncode == 2
    assert done.stdout.splitlines()[-1].startswith("converged: no; ")
    assert "Try: Name a new or an empty folder" in done.stderr


def test_a_file_that_is_no_stix_is_refused_with_a_remedy(tmp_path):
    (tmp_path / "data").write_text("no STIX")

    done = _demo(tmp_path / "tmp", "--data", tmp_path / "data")

    assert done.returncode == 2
    assert "Try: Give a bundle, an envelope or lines of objects" in done.stderr
    assert list((tmp_path / "tmp").iterdir()) == []


def test_medallion_takes_no_data_of_ones_own(tmp_path):
    (tmp_path / "data").write_text("{}")

    done = _demo(tmp_path / "tmp", "--partner", "medallion", "--data", tmp_path / "data")

    assert done.returncode == 2
    assert "Try: Leave out --data" in done.stderr


def test_a_real_medallion_is_pulled_from_and_pushed_to(tmp_path):
    done = _demo(tmp_path / "tmp", "--partner", "medallion", "--json")

    assert done.returncode == 0, done.stdout + done.stderr
    crossings = _lines(done, "crossing")
    assert sum(one["arrived"] for one in crossings if one["from"] == "north") > 40
    assert sum(one["arrived"] for one in crossings if one["from"] == "south") > 50
    assert [one["id"] for one in _lines(done, "set_aside")] == [FOREIGN_EDIT]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_files_of_ones_own_are_counted_from_the_file_to_the_other_side(tmp_path):
    definition = "marking-definition--0a1b2c3d-0000-4000-8000-000000000001"
    unsound = an_indicator("unsound").replace(b'"pattern_type":"stix"', b'"pattern_type":[]')
    assert b'"pattern_type":[]' in unsound
    ours = [an_indicator("ours", tlp="green", author=NORTH_ID), an_indicator("ours 2", tlp="red")]
    (tmp_path / "data").write_bytes(b"\n".join([*ours, unsound]))
    waiting = json.loads(an_indicator("theirs"))
    waiting["object_marking_refs"] = [definition]
    (tmp_path / "theirs").write_text(json.dumps(waiting) + "\n" + an_indicator("theirs 2").decode())

    done = _demo(
        tmp_path / "tmp", "--json", "--data", tmp_path / "data", "--partner-data", tmp_path / "theirs"
    )

    assert done.returncode == 0, done.stdout + done.stderr
    found = {one["what"]: (one["expected"], one["real"]) for one in _lines(done, "expectation")}
    assert found == {
        "data: objects in the file": (3, 3),
        "data: stored by north": (2, 2),
        "data: refused by name": (1, 1),
        "data: withheld at the end, with a reason": (1, 1),
        "data: read at south over TAXII, byte for byte": (1, 1),
        "theirs: objects in the file": (2, 2),
        "theirs: stored by south": (2, 2),
        "theirs: refused by name": (0, 0),
        "theirs: waited at first for a marking-definition": (1, 1),
        "theirs: waited at first for one of those objects": (0, 0),
        "theirs: withheld at the end, with a reason": (1, 1),
        "theirs: read at north over TAXII, byte for byte": (1, 1),
    }


def test_an_object_that_is_gone_at_the_other_side_is_found_missing(kept, tmp_path):
    _, nodes = kept
    shutil.copytree(nodes, tmp_path / "nodes")
    assert _comparison(tmp_path / "nodes").converged

    _tamper(tmp_path / "nodes" / "south", f"delete from object where stix_id = '{HARBOUR_LANTERN}'")
    found = _comparison(tmp_path / "nodes")

    assert len(found.missing) == 1
    assert found.adds_up
    assert not found.converged


def test_other_bytes_at_the_other_side_do_not_count_as_arrived(kept, tmp_path):
    _, nodes = kept
    shutil.copytree(nodes, tmp_path / "nodes")
    before = _comparison(tmp_path / "nodes").arrived

    spaced = "cast(replace(body, '\":', '\" :') as blob)"
    statement = f"update object set body = {spaced} where stix_id = '{HARBOUR_LANTERN}'"
    _tamper(tmp_path / "nodes" / "south", statement)
    found = _comparison(tmp_path / "nodes")

    assert found.arrived == before - 1
    assert found.explained == {"held in another spelling": 1}


def test_a_withheld_object_at_the_other_side_is_found_leaked(kept, tmp_path):
    _, nodes = kept
    shutil.copytree(nodes, tmp_path / "nodes")
    with sqlite.connect(tmp_path / "nodes" / "north" / "stixnode.db") as north:
        [(digest, version)] = north.execute("select digest, version from object where stix_id = ?", [RED])
    line = (RED, "2.1", version, digest, "north/indicators/in", "north", "stored", "", "", 0, 0)
    _tamper(tmp_path / "nodes" / "south", f"insert into received values ({', '.join('?' * 11)})", line)

    found = _comparison(tmp_path / "nodes")

    assert found.leaked == [RED]
    assert not found.converged


def _comparison(nodes: Path) -> Crossing:
    """What the flow of indicators from north to south comes to."""
    with (
        Context(Asked(config=str(nodes / "north" / "config.toml")), "test") as north,
        Context(Asked(config=str(nodes / "south" / "config.toml")), "test") as south,
    ):
        [link] = north.links("south/indicators", "out")
        [incoming] = south.links("north/indicators", "in")
        return compare(north.door, link, south.door, incoming, ("north", "south"))


def _tamper(folder: Path, statement: str, values: tuple = ()) -> None:
    connection = sqlite.connect(folder / "stixnode.db")
    with connection:
        assert connection.execute(statement, values).rowcount == 1
    connection.close()


def _still_running(place: Path) -> list[str]:
    """The command lines of all processes that name a folder."""
    if Path("/proc/self/cmdline").exists():
        lines = []
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                lines.append(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    else:
        done = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
        lines = done.stdout.splitlines()
    return [line for line in lines if f"{place}/" in line]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_moment_of_a_start_leaves_no_process_behind(tmp_path, monkeypatch, number):
    started: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def start_and_signal(*arguments, **options):
        started.append(start(*arguments, **options))
        signal.raise_signal(number)
        return started[-1]

    monkeypatch.setattr(stage.subprocess, "Popen", start_and_signal)
    with (
        pytest.raises(KeyboardInterrupt),
        ended_in_order(),
        stage.running([["http.server", "0"]], [tmp_path / "log"]),
    ):
        pytest.fail("the signal was lost")

    assert [each.poll() is None for each in started] == [False]
