"""node/sync/alert_settings.py: the table [alerts]."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.sharing.tables import Problem
from node.sync.alert_settings import AlertSettings, MailSettings, read_alerts

FOLDER = Path("/etc/stixnode")
MAIL = {
    "mail_to": ["duty@north.example"],
    "mail_from": "node@north.example",
    "smtp_url": "smtps://mail.example",
}


def read(**table: object) -> tuple[AlertSettings, list[Problem]]:
    problems: list[Problem] = []
    return read_alerts(table, "config.toml", FOLDER, problems), problems


def test_nothing_is_told_unless_somebody_is_named():
    found, problems = read()

    assert (found, problems, found.names) == (AlertSettings(), [], ())


def test_everything_that_can_be_written_is_read():
    found, problems = read(
        mail_to=["duty@north.example", "desk@north.example"],
        mail_from="stixnode@north.example",
        smtp_url="smtps://node%40north@mail.north.example:2465",
        smtp_password_file="secrets/mail",
        webhook_url="https://chat.example/hook?key=1",
        webhook_secret_file="/secret",
        heartbeat_url="http://127.0.0.1:9000/ping",
        repeat_after_minutes=0,
    )

    assert problems == []
    assert found == AlertSettings(
        MailSettings(
            ("duty@north.example", "desk@north.example"),
            "stixnode@north.example",
            "mail.north.example",
            2465,
            True,
            "node@north",
            FOLDER / "secrets/mail",
        ),
        "https://chat.example/hook?key=1",
        Path("/secret"),
        "http://127.0.0.1:9000/ping",
        0,
    )
    assert found.names == ("mail", "webhook", "heartbeat")


@pytest.mark.parametrize(("url", "port"), [("smtps://mail.example", 465), ("smtp://mail.example", 587)])
def test_ports_are_those_of_the_standards(url: str, port: int):
    found, _ = read(**{**MAIL, "smtp_url": url})

    assert found.mail is not None
    assert found.mail.port == port


@pytest.mark.parametrize(
    ("table", "place"),
    [
        ({"smtp_url": "smtps://mail.example"}, "mail_to"),
        ({**MAIL, "mail_to": ["duty"]}, "mail_to"),
        ({**MAIL, "mail_to": ["a@b.example\r\nBcc: c@d.example"]}, "mail_to"),
        ({**MAIL, "mail_from": ""}, "mail_from"),
        ({**MAIL, "smtp_url": ""}, "smtp_url"),
        ({**MAIL, "smtp_url": "mail.example:25"}, "smtp_url"),
        ({**MAIL, "smtp_url": "smtps://mail.example:x"}, "smtp_url"),
        ({**MAIL, "smtp_url": "smtps://node:hunter2@mail.example"}, "smtp_url"),
        ({**MAIL, "smtp_url": "smtps://node@mail.example"}, "smtp_password_file"),
        ({**MAIL, "smtp_password_file": "secret"}, "smtp_password_file"),
        ({"webhook_url": "http://chat.example/"}, "webhook_url"),
        ({"webhook_url": "https://a:hunter2@chat.example/"}, "webhook_url"),
        ({"webhook_url": "ftp://chat.example/"}, "webhook_url"),
        ({"webhook_secret_file": "secret"}, "webhook_secret_file"),
        ({"heartbeat_url": "watch"}, "heartbeat_url"),
        ({"repeat_after_minutes": -1}, "repeat_after_minutes"),
        ({"smtp_password": "hunter2"}, "smtp_password"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_refused_with_its_place_and_without_a_secret(
    table: dict[str, object], place: str
):
    _, problems = read(**table)

    assert [each.place.endswith(f"[alerts] {place}") for each in problems] == [True]
    assert all("hunter2" not in each.text + each.remedy for each in problems)
