"""node/cli/status.py: the screen of status, --watch, and alerts from the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from node.cli import status
from node.cli.asked import Asked
from node.cli.context import Context
from node.cli.exits import ATTENTION, DONE
from node.exchange import activity, links
from node.store.database import Tx
from node.sync import alert_book
from tests.cli.desk import Desk, fetched_by_south, moment
from tests.support.agreements import a_flow, a_party
from tests.support.mail_server import listener, mail_server

MINUTE = 60 * 1_000_000
HOUR = 60 * MINUTE
IN = "south/indicators/in"


def pulling(desk: Desk, *, flows: int = 1) -> Desk:
    """North pulls one flow or several from south, which says where its desk is; the links are open."""
    aliases = ["indicators", "techniques", "sightings", "best-practices", "legal-reference"][:flows]
    party = {"north": a_party("north"), "south": a_party("south", time_zone="Asia/Kathmandu")}
    desk.with_partner(flow=[a_flow(each, givers=["south"]) for each in aliases], party=party)
    desk.run("resume", "south")
    return desk


def write(desk: Desk, work) -> None:
    with desk.open() as node, node.database.writing() as tx:
        work(tx)


def alerts_of(desk: Desk, keys: str) -> None:
    """Keys of [alerts], in place of the commented ones."""
    head = "[alerts] "
    desk.write("config.toml", desk.config.read_text().replace(head, f"[alerts]\n{keys}# ", 1))


def fails(tx: Tx, *, error: str = "south answered x with 503.") -> None:
    for _ in range(3):
        links.note_failure(tx, IN, now=moment(), error=error, next_try=moment() + MINUTE)


def works(tx: Tx, name: str = IN) -> None:
    links.note_success(tx, name, now=moment(), new=True)


def test_a_failing_line_has_the_duty_number_the_time_there_and_what_to_do(desk: Desk):
    pulling(desk)
    write(desk, fails)

    answer = desk.run("status")

    lines = answer.out.splitlines()
    at = next(number for number, line in enumerate(lines) if "FAILING" in line)
    assert answer.code == ATTENTION
    assert lines[0].endswith("exit 7")
    assert "3 failures in a row, last worked never: it answers 503: south answered x with 503." in lines[at]
    assert "call the duty desk of south;  duty +000 11 111 11 11, 24/7, " in lines[at + 1]
    assert lines[at + 1].endswith(" there")
    assert any(line.startswith("waits for a person  south/indicators/in: 3 failures") for line in lines)


def test_a_line_that_works_has_no_duty_number(desk: Desk):
    pulling(desk)
    write(desk, works)

    answer = desk.run("status")

    assert answer.code == DONE
    assert "there" not in answer.out
    assert "exit" not in answer.out.splitlines()[0]


def test_the_figures_behind_a_state_stand_in_the_lines_of_json(desk: Desk):
    pulling(desk)
    write(desk, works)

    answer = desk.run("status", "--json")

    (line,) = answer.of("link")
    assert answer.lines[0] | {"tool": ""} == {
        "type": "version",
        "format": "stixnode.status",
        "major": 1,
        "minor": 0,
        "tool": "",
    }
    assert line["state"] == "ok"
    assert line["last_success"] == line["last_new"]
    assert (line["failures"], line["behind_seconds"], line["quarantine"], line["days_left"]) == (0, 0, 0, 299)


def test_the_figures_of_what_they_fetch_say_what_waits(desk: Desk):
    desk.with_partner(flow=fetched_by_south())
    desk.run("account", "add", "south", "--partner", "south")
    desk.run("resume", "south")

    (line,) = desk.run("status", "--json").of("link")

    assert (line["waiting"], line["behind_seconds"], line["refused"], line["withheld"]) == (0, 0, 0, 0)
    assert line["last_poll"] is None


def test_an_unusual_silence_is_told_with_what_is_usual(desk: Desk):
    pulling(desk)
    now = moment()

    def quiet(tx: Tx) -> None:
        for hour in range(3, 9 * 168):
            activity.note(tx, IN, 4, now=now - (9 * 168 - hour) * HOUR - 6 * HOUR)
        links.note_success(tx, IN, now=now - 6 * HOUR, new=True)
        links.note_success(tx, IN, now=now, new=False)

    write(desk, quiet)

    answer = desk.run("status")

    assert answer.code == ATTENTION
    assert "SILENT  nothing new for 6 h; usually 20 objects by this hour of the week." in answer.out


def test_the_same_node_without_a_history_is_not_silent(desk: Desk):
    pulling(desk)
    now = moment()

    def quiet(tx: Tx) -> None:
        links.note_success(tx, IN, now=now - 6 * HOUR, new=True)
        links.note_success(tx, IN, now=now, new=False)

    write(desk, quiet)

    assert desk.run("status").code == DONE


def test_many_links_with_which_all_is_well_are_counted(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(status, "MOST_QUIET", 3)
    pulling(desk, flows=5)
    names = [each.name for each in desk.settings().links]

    def some(tx: Tx) -> None:
        for each in names:
            works(tx, each)
        fails(tx)

    write(desk, some)

    shown, everything = desk.run("status").out, desk.run("status", "--all").out

    assert "4 others" in shown
    assert "techniques/in" not in shown
    assert "techniques/in" in everything
    assert "indicators/in" in shown


def test_a_channel_that_fails_needs_a_person(desk: Desk):
    alerts_of(desk, 'webhook_url = "http://127.0.0.1:9/"\n')
    write(
        desk, lambda tx: alert_book.note_failure(tx, "webhook", "The webhook is away.", now=moment() - HOUR)
    )

    answer, lines = desk.run("status"), desk.run("status", "--json").of("channel")

    assert answer.code == ATTENTION
    assert "alerts by webhook fail since 60 min ago: The webhook is away.   stixnode" in answer.out
    assert [(line["name"], line["ok"], line["error"]) for line in lines] == [
        ("webhook", False, "The webhook is away.")
    ]


def test_status_says_when_nobody_is_told(desk: Desk):
    before = desk.run("status")
    alerts_of(desk, 'webhook_url = "http://127.0.0.1:9/"\n')
    after = desk.run("status")

    assert before.code == after.code == DONE
    assert "nobody is told of faults" in before.out
    assert "nobody is told of faults" not in after.out


def test_the_end_of_an_account_needs_a_person_two_weeks_before(desk: Desk):
    desk.run("account", "add", "near", "--expires-days", "10")
    desk.run("account", "add", "far", "--expires-days", "25")

    answer = desk.run("status", "--json")

    assert [need["text"].partition(",")[0] for need in answer.of("need")] == ["account near ends in 9 days"]


# --watch


def watched(desk: Desk, *works_between, redraws: bool, as_json: bool = False) -> int:
    """Watch a node, doing something after each look, until Ctrl-C after the last."""
    steps = iter(works_between)

    def pause() -> None:
        step = next(steps, None)
        if step is None:
            raise KeyboardInterrupt
        write(desk, step)

    with Context(Asked(str(desk.config), as_json), "status") as context:
        return status.watching(context, pause, redraws=redraws)


def test_watching_without_a_terminal_tells_what_changes_and_nothing_twice(desk: Desk, capsys):
    pulling(desk)

    code = watched(desk, works, works, fails, works, redraws=False)

    told = [line.split("  ")[2] for line in capsys.readouterr().out.splitlines() if IN in line]
    assert code == DONE
    assert told == ["idle", "ok", "FAILING", "ok"]


def test_watching_with_json_gives_lines_of_json(desk: Desk, capsys):
    pulling(desk)

    watched(desk, fails, redraws=False, as_json=True)

    lines = capsys.readouterr().out.splitlines()
    assert ['"type":"version"' in line for line in lines] == [True, *[False] * (len(lines) - 1)]
    assert ["idle" in line for line in lines if '"type":"link"' in line] == [True, False]


def test_watching_on_a_terminal_draws_the_screen_again(desk: Desk, capsys):
    pulling(desk)

    assert watched(desk, works, redraws=True) == DONE
    assert capsys.readouterr().out.count("our readers") == 2


def test_ctrl_c_ends_the_watching_process_with_0(desk: Desk):
    pulling(desk)
    command = [sys.executable, "-m", "node", "--config", str(desk.config), "status", "--watch"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    try:
        assert process.stdout is not None
        assert IN.encode() in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()

    assert (process.returncode, err) == (DONE, b"")


# alerts from the command line


def test_a_test_goes_out_by_each_way(desk: Desk):
    with mail_server() as server, listener() as there:
        alerts_of(
            desk,
            f'mail_to = ["duty@north.example"]\nmail_from = "node@north.example"\n'
            f'smtp_url = "{server.url}"\nwebhook_url = "{there.url}"\nheartbeat_url = "{there.url}"\n',
        )
        answer = desk.run("check", "--alerts", "--json")

    found = {line["name"]: line["ok"] for line in answer.of("finding")}
    assert answer.code == DONE
    assert (found["mail"], found["webhook"], found["heartbeat"]) == (True, True, True)
    assert server.mails[0].subject == "[stixnode north] test of alerts"
    assert [each.method for each in there.requests] == ["POST", "GET"]


def test_a_way_that_does_not_work_is_said_and_check_alone_sends_nothing(desk: Desk):
    with listener() as there:
        there.status = 500
        alerts_of(desk, f'webhook_url = "{there.url}"\n')
        alone = desk.run("check")
        assert there.requests == []
        tried = desk.run("check", "--alerts")

    assert (alone.code, tried.code) == (DONE, 1)
    assert "FAIL  webhook        The webhook answered 500." in tried.out
    assert "secret" not in tried.out


def test_one_run_of_the_worker_tells_the_alerts_and_beats(desk: Desk):
    with mail_server() as server, listener() as there:
        pulling(desk)
        alerts_of(
            desk,
            f'mail_to = ["duty@north.example"]\nmail_from = "node@north.example"\n'
            f'smtp_url = "{server.url}"\nheartbeat_url = "{there.url}"\n',
        )
        desk.write(
            "config.toml",
            desk.config.read_text().replace(
                "https://exchange.south.example", f"http://127.0.0.1:{there.port}"
            ),
        )
        there.status = 503
        write(desk, fails)
        desk.run("work", "--once")
        desk.run("work", "--once")

    assert [each.subject for each in server.mails] == ["[stixnode north] south FAILING"]
    assert [each.method for each in there.requests if "hook" in each.path] == ["GET", "GET"]
