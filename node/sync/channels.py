"""The ways by which people are told: mail, a webhook, and the heartbeat that others listen for.

Rule    Credentials go over TLS or to this very machine. No redirect is followed, no proxy or credential is
        taken from the environment, and each exchange ends in time. An address may hold a secret, so no
        message of ours repeats one.

Reads   the files with secrets, at each use
"""

from __future__ import annotations

import json
import smtplib
import socket
import ssl
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path
from typing import Any

import requests
import urllib3

from node import __version__
from node.clock import MICROSECONDS
from node.errors import NodeError
from node.sharing.partners import is_loopback
from node.sync.alert_messages import Letterhead, Message, document, letter, subject
from node.sync.alert_settings import AlertSettings, MailSettings
from node.sync.transport import WatchedAdapter, close_all, shut

SECONDS = 20.0
_REMEDY = "Try it with: stixnode check --alerts"


class NotTaken(NodeError):
    """A channel did not take what it was given."""


class Mail:
    """Mail through one server, a message to all at once.

    Args:
        settings: Where to.
        head: Who speaks.
        context: Of TLS; None trusts the issuers that the system trusts.
    """

    name = "mail"

    def __init__(
        self, settings: MailSettings, head: Letterhead, *, context: ssl.SSLContext | None = None
    ) -> None:
        self._settings, self._head = settings, head
        self._context = context

    def give(self, message: Message, *, now: int) -> tuple[str, ...]:
        """Send it; the addresses for which the server takes no mail, if it takes it for others.

        Raises:
            NotTaken: The server is not to be had, or takes it for nobody.
        """
        to = self._settings
        mail = EmailMessage()
        mail["Subject"] = subject(message, self._head)
        mail["From"], mail["To"] = to.mail_from, ", ".join(to.to)
        mail["Date"] = format_datetime(datetime.fromtimestamp(now // MICROSECONDS, UTC))
        mail["Message-ID"] = make_msgid(domain=to.mail_from.partition("@")[2])
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(letter(message, self._head, now=now))
        try:
            with self._server() as server:
                refused = server.send_message(mail, to.mail_from, to.to)
        except (OSError, ValueError) as cause:  # smtplib's own errors are among the first
            raise NotTaken(
                f"The mail server {to.host} did not take an alert: {_said(cause)}.", remedy=_REMEDY
            ) from cause
        return tuple(sorted(refused))

    def _server(self) -> smtplib.SMTP:
        to = self._settings
        ours = to.mail_from.partition("@")[2]
        context = self._context or ssl.create_default_context()
        server: smtplib.SMTP
        if to.tls:
            server = smtplib.SMTP_SSL(to.host, to.port, local_hostname=ours, timeout=SECONDS, context=context)
        else:
            server = smtplib.SMTP(to.host, to.port, local_hostname=ours, timeout=SECONDS)
        try:
            server.ehlo()
            if not to.tls and (server.has_extn("starttls") or not is_loopback(to.host)):
                server.starttls(context=context)
                server.ehlo()
            if to.login and to.password_file is not None:
                server.login(to.login, _secret(to.password_file))
        except BaseException:
            server.close()
            raise
        return server


class Webhook:
    """A POST of JSON for each message."""

    name = "webhook"

    def __init__(self, url: str, secret_file: Path | None, head: Letterhead) -> None:
        self._url, self._secret_file, self._head = url, secret_file, head

    def give(self, message: Message, *, now: int) -> tuple[str, ...]:
        """Post it.

        Raises:
            NotTaken: No answer in time, or one that is not a success.
        """
        headers = {"Content-Type": "application/json"}
        if self._secret_file is not None:
            headers["Authorization"] = f"Bearer {_secret(self._secret_file)}"
        body = json.dumps(document(message, self._head, now=now)).encode()
        _exchange("webhook", "POST", self._url, headers, body)
        return ()


class Heartbeat:
    """A GET that says that we live; the other side calls for help when it stays out."""

    name = "heartbeat"

    def __init__(self, url: str) -> None:
        self._url = url

    def beat(self) -> None:
        """Ask.

        Raises:
            NotTaken: No answer in time, or one that is not a success.
        """
        _exchange("heartbeat", "GET", self._url, {}, None)


def channels_of(settings: AlertSettings, head: Letterhead) -> list[Mail | Webhook]:
    """The channels that the configuration names."""
    found: list[Mail | Webhook] = []
    if settings.mail is not None:
        found.append(Mail(settings.mail, head))
    if settings.webhook is not None:
        found.append(Webhook(settings.webhook, settings.secret_file, head))
    return found


def _exchange(name: str, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> None:
    sockets: list[socket.socket] = []
    adapter = WatchedAdapter(sockets)
    asked = requests.Request(
        method, url, headers={"User-Agent": f"stixnode/{__version__}", **headers}, data=body
    ).prepare()
    watch = threading.Timer(SECONDS, lambda: shut(sockets))
    watch.daemon = True
    watch.start()
    try:
        # Straight to the adapter: a session would follow redirects, keep cookies and read netrc.
        answer = adapter.send(asked, stream=True, timeout=(SECONDS / 2, SECONDS), verify=True, proxies={})
        status = answer.status_code
        answer.close()
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as cause:
        raise NotTaken(f"The {name} gave no answer: {_said(cause)}.", remedy=_REMEDY) from cause
    finally:
        watch.cancel()
        adapter.close()
        close_all(sockets)
    if not 200 <= status < 300:
        raise NotTaken(f"The {name} answered {status}.", remedy=_REMEDY)


def _secret(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as cause:
        raise NotTaken(
            f"{file} cannot be read.", remedy="Correct the path in [alerts], or its rights."
        ) from cause


def _said(cause: BaseException) -> str:
    """What went wrong, without an address: of a chain of errors the innermost."""
    if isinstance(cause, smtplib.SMTPRecipientsRefused):
        return f"it takes mail for none of {', '.join(sorted(cause.recipients))}"
    if isinstance(cause, smtplib.SMTPResponseException):
        said = cause.smtp_error
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        return f"{cause.smtp_code} {' '.join(text.split())[:200]}"
    inner: BaseException = cause
    while True:
        deeper = getattr(inner, "reason", None) or next(
            (each for each in reversed(inner.args) if isinstance(each, BaseException)), None
        )
        if not isinstance(deeper, BaseException):
            deeper = inner.__cause__ or inner.__context__
        if not isinstance(deeper, BaseException):
            break
        inner = deeper
    told: Any = getattr(inner, "strerror", None) or getattr(inner, "verify_message", None)
    return str(told or type(inner).__name__)
