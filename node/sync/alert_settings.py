"""The table [alerts] of the configuration: who is told when something is wrong, and how.

Rule    A credential goes over TLS or to this very machine, and stands in a file of its own.

Reads and writes nothing; secrets are read from their files when they are used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.headerregistry import Address
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec
from msgspec import Meta

from node.sharing.partners import is_loopback
from node.sharing.tables import Problem, Section, read_keys, wrong_value

_ADDRESS = re.compile(r"[^\s@<>()\",;:]+@[^\s@<>()\",;:]+")


class AlertsKeys(msgspec.Struct, forbid_unknown_fields=True):
    """The keys of [alerts]; "" is the same as leaving the key out."""

    mail_to: list[str] = []
    mail_from: str = ""
    smtp_url: str = ""
    smtp_password_file: str = ""
    webhook_url: str = ""
    webhook_secret_file: str = ""
    heartbeat_url: str = ""
    repeat_after_minutes: Annotated[int, Meta(ge=0, le=100_000)] = 60


ALERTS = Section(
    AlertsKeys,
    help={
        "mail_to": 'Write a list of addresses, such as ["duty@north.example"], or leave all of mail_* out.',
        "mail_from": "Write the address from which alerts come, such as stixnode@north.example.",
        "smtp_url": "Write smtps://HOST:465, or smtp://HOST:587 for STARTTLS; NAME@HOST to log in.",
        "smtp_password_file": "Write the path of the file with the password of the user in smtp_url.",
        "webhook_url": "Write https://HOST/PATH; plain http is for this machine only.",
        "webhook_secret_file": "Write the path of the file with the secret that webhook_url asks for.",
        "heartbeat_url": "Write https://HOST/PATH; plain http is for this machine only.",
        "repeat_after_minutes": "Write a number of minutes; 0 = never again.",
    },
    mistakes={
        "smtp_password": "Write smtp_password_file; a secret never stands in this file.",
        "webhook_secret": "Write webhook_secret_file; a secret never stands in this file.",
        "email": "Write mail_to.",
    },
)


@dataclass(frozen=True, slots=True)
class MailSettings:
    """Where mail goes and by which server.

    Args:
        tls: Encrypted from the first byte; otherwise by STARTTLS, which only this machine may lack.
        login: Name to log in with; "" for none.
    """

    to: tuple[str, ...]
    mail_from: str
    host: str
    port: int
    tls: bool
    login: str = ""
    password_file: Path | None = None


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Who is told; None where that way is not used.

    Args:
        webhook, heartbeat: URLs.
        secret_file: What the webhook asks for.
        repeat_minutes: After how long a fault that lasts is told again; 0 for never.
    """

    mail: MailSettings | None = None
    webhook: str | None = None
    secret_file: Path | None = None
    heartbeat: str | None = None
    repeat_minutes: int = 60

    @property
    def channels(self) -> tuple[str, ...]:
        """The ways by which people are told."""
        ways = {"mail": self.mail, "webhook": self.webhook}
        return tuple(name for name, one in ways.items() if one is not None)

    @property
    def names(self) -> tuple[str, ...]:
        """The channels, and the heartbeat."""
        return self.channels if self.heartbeat is None else (*self.channels, "heartbeat")


def read_alerts(table: object, file: str, folder: Path, problems: list[Problem]) -> AlertSettings:
    """What stands in [alerts].

    Args:
        table: The table as it was read.
        file: What messages call the configuration.
        folder: Where it lies.
        problems: What is wrong is added here.
    """
    where = f"{file}, [alerts]"
    keys = AlertsKeys(**read_keys(table, ALERTS, where, problems))
    for key in ("webhook_url", "heartbeat_url"):
        written = getattr(keys, key)
        if written and (fault := _url_fault(written)):
            # It may hold a token, so it is not shown.
            problems.append(Problem(f"{where} {key}", fault, ALERTS.help[key]))
    if keys.webhook_secret_file and not keys.webhook_url:
        text = "there is no webhook_url for it"
        problems.append(Problem(f"{where} webhook_secret_file", text, ALERTS.help["webhook_url"]))
    return AlertSettings(
        mail=_mail(keys, where, folder, problems),
        webhook=keys.webhook_url or None,
        secret_file=folder / keys.webhook_secret_file if keys.webhook_secret_file else None,
        heartbeat=keys.heartbeat_url or None,
        repeat_minutes=keys.repeat_after_minutes,
    )


def _mail(keys: AlertsKeys, where: str, folder: Path, problems: list[Problem]) -> MailSettings | None:
    if not keys.mail_to:
        for key in ("mail_from", "smtp_url", "smtp_password_file"):
            if getattr(keys, key):
                problems.append(
                    Problem(
                        f"{where} mail_to", f"the key is missing, and {key} is there", ALERTS.help["mail_to"]
                    )
                )
                break
        return None
    before = len(problems)
    for each in keys.mail_to:
        if not _is_address(each):
            problems.append(wrong_value(where, "mail_to", each, "not a mail address", ALERTS))
    if not _is_address(keys.mail_from):
        problems.append(wrong_value(where, "mail_from", keys.mail_from, "not a mail address", ALERTS))
    parts = _split(keys.smtp_url)
    if parts is None or parts.password is not None or not parts.hostname:
        fault = (
            "a secret never stands in this file" if parts is not None and parts.password else "not such a URL"
        )
        problems.append(Problem(f"{where} smtp_url", fault, ALERTS.help["smtp_url"]))
        return None
    if bool(parts.username) != bool(keys.smtp_password_file):
        text = "one of the user in smtp_url and smtp_password_file is missing"
        problems.append(Problem(f"{where} smtp_password_file", text, ALERTS.help["smtp_password_file"]))
    if len(problems) > before:
        return None
    tls = parts.scheme == "smtps"
    return MailSettings(
        to=tuple(dict.fromkeys(keys.mail_to)),
        mail_from=keys.mail_from,
        host=parts.hostname,
        port=parts.port or (465 if tls else 587),
        tls=tls,
        login=unquote(parts.username or ""),
        password_file=folder / keys.smtp_password_file if keys.smtp_password_file else None,
    )


def _is_address(text: str) -> bool:
    if not _ADDRESS.fullmatch(text) or not text.isascii():
        return False
    try:
        return Address(addr_spec=text).addr_spec == text
    except ValueError:
        return False


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        _ = parts.hostname, parts.port
    except ValueError:
        return None
    good = (
        parts.scheme in ("smtp", "smtps")
        and parts.path in ("", "/")
        and not parts.query
        and not parts.fragment
    )
    return parts if good and text.isprintable() and text.isascii() else None


def _url_fault(text: str) -> str | None:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "not a URL"
    if parts.scheme not in ("http", "https") or not host or not text.isprintable() or " " in text:
        return "not a URL that begins with https://"
    if parts.username is not None or parts.password is not None:
        return "an account or password in it"
    if parts.scheme == "http" and not is_loopback(host):
        return "http without TLS to another machine"
    return None
