"""Look at the files that the configuration names: TLS, and those that hold a secret. Nothing is changed.

Rule    A file that is needed and cannot be used is a fault; a secret that others may read is a note.

Reads   the files of [server], [database] and [partner.NAME]. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from node.cli.exits import DONE, WRONG_CALL
from node.clock import MICROSECONDS, local_time
from node.config import Settings

_PKCS8 = b"-----BEGIN PRIVATE KEY-----"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the check; `code` is 0 when all is well there.

    Args:
        name: What was looked at.
        text: What was found.
        code: An exit code.
        remedy: What to do.
        note: Nothing is broken, and somebody should still look.
    """

    name: str
    text: str
    code: int = DONE
    remedy: str = ""
    note: bool = False


def look_at_files(settings: Settings, *, now: int) -> Iterator[Finding]:
    """What is found of each file that the configuration names."""
    if settings.server.tls_certificate is not None and settings.server.tls_private_key is not None:
        yield from _tls(
            settings, "[server]", settings.server.tls_certificate, settings.server.tls_private_key, now
        )
    if settings.database.password_file is not None:
        yield from _secret("[database]", settings.database.password_file)
    mail = settings.alerts.mail
    if mail is not None and mail.password_file is not None:
        yield from _secret("[alerts]", mail.password_file, "smtp_password_file")
    if settings.alerts.secret_file is not None:
        yield from _secret("[alerts]", settings.alerts.secret_file, "webhook_secret_file")
    for partner in settings.partners:
        place = f"[partner.{partner.name}]"
        if partner.tls_ca is not None:
            issuer = Path(partner.tls_ca)
            content, fault = _read(f"{place} tls_ca", issuer)
            yield from [fault] if fault else _issuer(f"{place} tls_ca", issuer, content)
        if partner.tls_certificate is not None and partner.tls_private_key is not None:
            shown, key = Path(partner.tls_certificate), Path(partner.tls_private_key)
            yield from _tls(settings, place, shown, key, now)
        if partner.password_file is not None:
            yield from _secret(place, Path(partner.password_file))


def _tls(settings: Settings, place: str, certificate: Path, key: Path, now: int) -> Iterator[Finding]:
    shown, no_certificate = _read(f"{place} tls_certificate", certificate)
    secret, no_key = _read(f"{place} tls_private_key", key)
    if no_certificate or no_key:
        yield from (fault for fault in (no_certificate, no_key) if fault)
        return
    if _PKCS8 not in secret:
        remedy = f"Run: openssl pkcs8 -topk8 -nocrypt -in {key} -out {key}.p8, and name the new file."
        yield Finding("tls", f"{key} is no PKCS#8 key without a password", WRONG_CALL, remedy)
        return
    try:
        first = x509.load_pem_x509_certificates(shown)[0]
        ours = load_pem_private_key(secret, None).public_key()
    except (ValueError, TypeError) as cause:
        remedy = "Write PEM files: the certificate with its issuers after it, and its key."
        yield Finding("tls", f"{certificate} or {key} cannot be read as PEM: {cause}", WRONG_CALL, remedy)
        return
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if first.public_key().public_bytes(*form) != ours.public_bytes(*form):
        remedy = "Name the key for which the certificate was issued."
        yield Finding("tls", f"{certificate} and {key} do not belong together", WRONG_CALL, remedy)
        return
    ends = int(first.not_valid_after_utc.timestamp()) * MICROSECONDS
    until = local_time(ends, settings.node.time_zone)
    if ends <= now:
        yield Finding("tls", f"{certificate} ended {until}", WRONG_CALL, "Install a new certificate.")
    else:
        yield Finding("tls", f"{certificate} and its key belong together, valid until {until}")
    yield from _open_to_others(f"{place} tls_private_key", key)


def _issuer(place: str, file: Path, content: bytes) -> Iterator[Finding]:
    try:
        number = len(x509.load_pem_x509_certificates(content))
    except ValueError as cause:
        remedy = "Write a PEM file with the certificate of the issuer."
        yield Finding("tls", f"{place}: {file} holds no certificate: {cause}", WRONG_CALL, remedy)
        return
    yield Finding("tls", f"{place}: {file}, certificates: {number}")


def _secret(place: str, file: Path, key: str = "password_file") -> Iterator[Finding]:
    content, fault = _read(f"{place} {key}", file)
    if fault:
        yield fault
    elif not content.strip():
        remedy = "Write the password or token into it, alone."
        yield Finding("secret", f"{place} {key}: {file} is empty", WRONG_CALL, remedy)
    else:
        yield Finding("secret", f"{place} {key}: {file} can be read")
        yield from _open_to_others(f"{place} {key}", file)


def _open_to_others(place: str, file: Path) -> Iterator[Finding]:
    if file.stat().st_mode & 0o077:
        text = f"{place}: others than its owner may use {file}"
        yield Finding("secret", text, remedy=f"Run: chmod 600 {file}", note=True)


def _read(place: str, file: Path) -> tuple[bytes, Finding | None]:
    """The content of a file, or a fault."""
    try:
        return file.read_bytes(), None
    except OSError as cause:
        text = f"{place}: {file} cannot be read: {cause.strerror}"
        return b"", Finding("file", text, WRONG_CALL, "Correct the path, or the rights of the file.")
