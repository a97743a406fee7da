"""node/sync/channels.py: mail, webhook and heartbeat over real sockets."""

from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path

import pytest

from node.sync import channels
from node.sync.alert_messages import Event, Letterhead, Message
from node.sync.alert_settings import MailSettings
from node.sync.channels import Heartbeat, Mail, NotTaken, Webhook
from tests.support.builders import NOON
from tests.support.certificates import a_certificate
from tests.support.mail_server import MailServer, listener, mail_server

HEAD = Letterhead("north", False, "Europe/Helsinki")
FAULT = Message(
    Event.FAULT,
    "partner:south",
    "stale",
    "south/indicators/out: STALE, they have not fetched for 7 h (agreed is every 5 min)",
    "call the duty desk of south",
    "+000 22 222 22 22, 24/7, 12:03 there",
    ("south/indicators/out stale",),
    NOON - 7 * 3_600 * 1_000_000,
)


def mail_to(server: MailServer, *to: str, **changes: object) -> MailSettings:
    given = {"host": "127.0.0.1", "port": server.port, "tls": server.tls is not None, **changes}
    return MailSettings(to or ("duty@north.example",), "stixnode@north.example", **given)


def trusting(file: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=file)


def a_free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_a_mail_says_what_is_wrong_since_when_and_whom_to_call():
    with mail_server() as server:
        Mail(mail_to(server, "a@north.example", "b@north.example"), HEAD).give(FAULT, now=NOON)

    (mail,) = server.mails
    assert mail.to == ("a@north.example", "b@north.example")
    assert mail.subject == "[stixnode north] south STALE"
    assert mail.text.splitlines() == [
        "north, 21 Nov 2026 14:00 EET",
        "",
        FAULT.text,
        "",
        "since    21 Nov 2026 07:00 EET (7 h)",
        "call     +000 22 222 22 22, 24/7, 12:03 there",
        "begin    call the duty desk of south",
    ]
    assert b"Auto-Submitted: auto-generated" in mail.raw


def test_an_exercise_stands_in_the_subject():
    with mail_server() as server:
        Mail(mail_to(server), Letterhead("north", True, "UTC")).give(FAULT, now=NOON)

    assert server.mails[0].subject == "[EXERCISE stixnode north] south STALE"


def test_starttls_is_used_where_it_is_offered(tmp_path: Path):
    file, context = a_certificate(tmp_path, "mail")
    with mail_server(starttls=context) as server:
        Mail(mail_to(server), HEAD, context=trusting(file)).give(FAULT, now=NOON)

    assert server.mails[0].encrypted


def test_a_password_goes_over_tls_from_the_start(tmp_path: Path):
    file, context = a_certificate(tmp_path, "mail")
    (tmp_path / "password").write_text("hunter2\n")
    with mail_server(tls=context, password="hunter2") as server:
        settings = mail_to(server, login="node", password_file=tmp_path / "password")
        Mail(settings, HEAD, context=trusting(file)).give(FAULT, now=NOON)

    assert (server.mails[0].login, server.mails[0].encrypted) == ("node", True)


@pytest.mark.parametrize("trusted", [False, True])
def test_a_mail_server_that_is_not_trusted_gets_nothing(tmp_path: Path, trusted: bool):
    file, context = a_certificate(tmp_path, "mail")
    with mail_server(tls=context) as server:
        mail = Mail(mail_to(server), HEAD, context=trusting(file) if trusted else None)
        if trusted:
            mail.give(FAULT, now=NOON)
        else:
            with pytest.raises(NotTaken):
                mail.give(FAULT, now=NOON)

    assert len(server.mails) == trusted


def test_without_tls_nothing_goes_to_another_machine(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(channels, "is_loopback", lambda _host: False)
    with mail_server() as server, pytest.raises(NotTaken):
        Mail(mail_to(server), HEAD).give(FAULT, now=NOON)

    assert server.mails == []


def test_a_wrong_password_is_told_and_not_repeated(tmp_path: Path):
    (tmp_path / "password").write_text("hunter3")
    with mail_server(password="hunter2") as server:
        mail = Mail(mail_to(server, login="node", password_file=tmp_path / "password"), HEAD)
        with pytest.raises(NotTaken) as caught:
            mail.give(FAULT, now=NOON)

    assert "535 wrong words" in caught.value.problem
    assert "hunter3" not in caught.value.problem


def test_a_box_that_does_not_exist_is_named_and_the_others_get_the_mail():
    with mail_server() as server:
        server.refuses = {"x@north.example"}
        mail = Mail(mail_to(server, "x@north.example", "duty@north.example"), HEAD)

        assert mail.give(FAULT, now=NOON) == ("x@north.example",)
    assert [each.to for each in server.mails] == [("duty@north.example",)]


def test_a_mail_that_nobody_gets_is_a_failure():
    with mail_server() as server:
        server.refuses = {"x@north.example"}
        mail = Mail(mail_to(server, "x@north.example"), HEAD)
        with pytest.raises(NotTaken, match=r"none of x@north\.example"):
            mail.give(FAULT, now=NOON)

    assert server.mails == []


def test_a_mail_server_that_is_out_of_order_is_a_failure_with_its_reason():
    with mail_server() as server:
        server.broken = True
        mail = Mail(mail_to(server), HEAD)
        with pytest.raises(NotTaken, match="out of order"):
            mail.give(FAULT, now=NOON)


def test_a_mail_server_that_is_away_is_a_failure_with_its_reason():
    mail = Mail(mail_to(MailServer(a_free_port())), HEAD)

    with pytest.raises(NotTaken, match="refused"):
        mail.give(FAULT, now=NOON)


def test_a_webhook_gets_the_alert_as_json_with_its_secret(tmp_path: Path):
    (tmp_path / "secret").write_text("open sesame\n")
    with listener() as there:
        Webhook(there.url, tmp_path / "secret", HEAD).give(FAULT, now=NOON)

    (asked,) = there.requests
    assert (asked.method, asked.headers["authorization"]) == ("POST", "Bearer open sesame")
    assert json.loads(asked.body) == {
        "format": "stixnode.alert",
        "major": 1,
        "minor": 0,
        "node": "north",
        "exercise": False,
        "at": "2026-11-21T12:00:00.000000Z",
        "event": "fault",
        "key": "partner:south",
        "state": "stale",
        "title": "[stixnode north] south STALE",
        "text": FAULT.text,
        "about": ["south/indicators/out stale"],
        "since": "2026-11-21T05:00:00.000000Z",
        "call": "+000 22 222 22 22, 24/7, 12:03 there",
        "command": "call the duty desk of south",
    }


@pytest.mark.parametrize("status", [302, 400, 500])
def test_an_answer_that_is_no_success_is_told_without_the_address(status: int):
    with listener() as there, listener() as elsewhere:
        there.status, there.location = status, elsewhere.url
        with pytest.raises(NotTaken, match=f"answered {status}") as caught:
            Webhook(there.url, None, HEAD).give(FAULT, now=NOON)

    assert elsewhere.requests == []
    assert "secret" not in caught.value.problem


def test_a_webhook_that_is_away_is_told_without_its_address():
    url = f"http://127.0.0.1:{a_free_port()}/secret-path"
    with pytest.raises(NotTaken) as caught:
        Webhook(url, None, HEAD).give(FAULT, now=NOON)

    assert caught.value.problem == "The webhook gave no answer: Connection refused."


def test_a_listener_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(channels, "SECONDS", 0.2)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        with pytest.raises(NotTaken, match="no answer"):
            Heartbeat(f"http://127.0.0.1:{deaf.getsockname()[1]}/").beat()


def test_a_heartbeat_is_a_plain_get():
    with listener() as there:
        Heartbeat(there.url).beat()

    assert [(each.method, each.body) for each in there.requests] == [("GET", b"")]


def test_a_secret_file_that_is_missing_is_named(tmp_path: Path):
    with pytest.raises(NotTaken, match="nowhere cannot be read"):
        Webhook("http://127.0.0.1:1/", tmp_path / "nowhere", HEAD).give(FAULT, now=NOON)
