"""The drill as its reader runs it, and one in which a command does not do what it says."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from contextlib import redirect_stdout

import pytest

from node.cli.demo import incident, stage
from node.cli.printing import Printer
from node.exchange import taking_back

VERDICT = (
    "drill: passed; 4 objects found by value, 4 withdrawn, 4 acknowledged by south;"
    " none of them left standing"
)


@pytest.fixture(scope="module")
def passed():
    command = [sys.executable, "-m", "node", "demo", "--incident"]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


def test_a_wrong_batch_is_found_stopped_withdrawn_and_acknowledged(passed):
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert passed.stdout.splitlines()[-1] == VERDICT


def test_who_held_it_is_listed(passed):
    assert (
        "It is held by: account soc-demo at north; partner south; account soc-demo at south." in passed.stdout
    )


def test_every_step_is_a_command_with_what_it_prints(passed):
    typed = [
        line.split("$ stixnode ")[1].split()[0] for line in passed.stdout.splitlines() if "$ stixnode" in line
    ]
    assert typed == ["import", "find", "find", "stop", "withdraw", "resume", "sync", "withdraw", "import"]


def test_no_path_of_a_folder_that_is_gone_is_shown(passed):
    assert "stixnode-demo-" not in passed.stdout


def test_control_a_withdrawal_that_does_nothing_does_not_pass(monkeypatch, tmp_path):
    nothing = taking_back.Withdrawn
    monkeypatch.setattr(taking_back, "withdraw", lambda *_arguments, **_named: nothing())
    with stage.own_environment(), redirect_stdout(io.StringIO()):
        found = incident.drill(Printer("demo", as_json=False), tmp_path)
    assert not found.well
    assert found.verdict.startswith("drill: not passed; withdrawn: expected 4, found 0")


def test_the_drill_refuses_content_of_ones_own(tmp_path):
    file = tmp_path / "own.json"
    file.write_text(json.dumps({"objects": []}))
    command = [sys.executable, "-m", "node", "demo", "--incident", "--data", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "leave out --incident" in done.stderr
