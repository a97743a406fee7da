"""One guarded line to one partner: what a hostile or broken server can do to us ends here.

Rule    Only the origin of the partner's API root is ever contacted, redirects are never followed, and
        the credential is read when it is used and sent nowhere else. An answer has a deadline and a
        size; a content coding that we did not ask for is refused unread. Nothing of the environment
        (proxies, netrc) is used.

An answer is either usable (status below 300), or one of the errors of `node/errors.py`: no answer this
time (`PartnerUnreachable`), or a refusal (`PartnerRefused`).

Reads   the password file and the CA file of the partner. Writes nothing.
"""

from __future__ import annotations

import base64
import io
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import requests
import urllib3
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from node import __version__
from node.errors import ConfigError, PartnerError, PartnerRefused, PartnerUnreachable
from node.sharing.partners import is_loopback
from node.sync.refusals import AnswerTooLarge, error_of
from node.sync.transport import WatchedAdapter, close_all, shut

MEDIA_TYPE = "application/taxii+json;version=2.1"
_CHUNK = 65_536
_ERROR_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Patience:
    """How long we wait for one answer, and how much of it we take.

    Args:
        connect: Seconds for the connection.
        read: Seconds of silence.
        whole: Seconds from the first byte sent to the last byte received.
        most_bytes: Size above which an answer is not read on.
    """

    connect: float = 5.0
    read: float = 30.0
    whole: float = 60.0
    most_bytes: int = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """A usable answer: its status, its headers (any case), and every byte of its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _TookTooLong(TimeoutError):
    """The whole answer did, however lively its parts were."""


class Line:
    """The line to one partner; used by one thread at a time, closed at the end.

    Args:
        partner: The partner's name, for messages.
        api_root: Address that ends in `/`; https, unless it is on this machine.
        username: For HTTP Basic; None to ask without a credential.
        password_file: File with the password or token; read at each request.
        tls_ca: File with the only issuer trusted; None for the public ones.
        shown: Files with a certificate and its key, for a server that asks who connects; or None.
        transport: Stands in for the network in tests.
        patience: Timeouts and size.
        now: Microseconds; only for a `Retry-After` that is a date.

    Attributes:
        heard: Status and headers of the last answer, whatever was wrong with it; None when none came.
        requests, bytes: How many requests were sent, and the size of all bodies, both ways.

    Raises:
        ConfigError: The address cannot be used.
    """

    def __init__(
        self,
        partner: str,
        api_root: str,
        *,
        username: str | None,
        password_file: str | None,
        tls_ca: str | None,
        shown: tuple[str, str] | None = None,
        transport: BaseAdapter | None,
        patience: Patience,
        now: Callable[[], int],
    ) -> None:
        self.partner, self.api_root = partner, api_root
        self._origin = _origin(partner, api_root)
        self._username, self._password_file, self._verify = username, password_file, tls_ca or True
        self._shown = shown
        self._patience, self._now = patience, now
        self.heard: tuple[int, Mapping[str, str]] | None = None
        self.requests = self.bytes = 0
        self._ended = threading.Event()
        self._sockets: list[socket.socket] = []
        self._adapter = transport or WatchedAdapter(self._sockets)

    def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """The answer to one request.

        Args:
            method: `GET` or `POST`.
            url: Under the API root.
            headers: Beside those that every request carries.
            params: Query parameters; they are encoded here, whatever a partner put into them.
            body: Sent as TAXII JSON.

        Raises:
            PartnerUnreachable: No usable answer this time.
            PartnerRefused: The partner said no, or what it answered must not be taken.
            ConfigError: The password file, or what we show, cannot be read.
        """
        where = f"{method} {url}"
        if _parts(url) != self._origin:
            raise PartnerRefused(
                f"{self.partner} names another server ({url[:120]}); nothing was sent there.",
                remedy=f"Ask {self.partner} for an API root that serves all its resources itself.",
            )
        sent = CaseInsensitiveDict(
            {
                "User-Agent": f"stixnode/{__version__}",
                "Accept": MEDIA_TYPE,
                "Accept-Encoding": "identity",
                **(headers or {}),
            }
        )
        if body is not None:
            sent["Content-Type"] = MEDIA_TYPE
        if self._username is not None:
            sent["Authorization"] = self._credential()
        request = requests.Request(
            method, url, headers=dict(sent), params=dict(params or {}), data=body
        ).prepare()
        self._check_shown()
        self.heard = None
        started = time.monotonic()
        late = threading.Event()
        try:
            if self._ended.is_set():
                raise OSError("this run is being ended")
            self.requests += 1
            self.bytes += len(body or b"")
            with self._watched(late):
                answer = self._ask(request, where, started)
                if late.is_set():
                    raise _TookTooLong
                return answer
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as cause:
            late_now = late.is_set() or isinstance(cause, _TookTooLong)
            raise self._unreachable(where, cause, late=late_now) from cause

    def interrupt(self) -> None:
        """End the request that is under way, from another thread."""
        shut(self._sockets)

    def end(self) -> None:
        """End the request that is under way, from another thread, and let no other begin."""
        self._ended.set()
        shut(self._sockets)

    def close(self) -> None:
        """Let the line go."""
        self._adapter.close()
        close_all(self._sockets)

    def _ask(self, request: requests.PreparedRequest, where: str, started: float) -> Answer:
        timeout = (self._patience.connect, self._patience.read)
        # Straight to the adapter: a session would follow redirects, keep cookies and read netrc.
        response = self._adapter.send(
            request, stream=True, timeout=timeout, verify=self._verify, cert=self._shown, proxies={}
        )
        self.heard = (response.status_code, response.headers)
        try:
            self._check_coding(response, where)
            usable = response.status_code < 300
            body = self._read(response, where, started, cut=not usable)
        finally:
            response.close()
        if not usable:
            raise error_of(self.partner, where, response.status_code, response.headers, body, now=self._now())
        self.bytes += len(body)
        return Answer(response.status_code, response.headers, body)

    def _check_coding(self, response: requests.Response, where: str) -> None:
        coding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if coding not in ("", "identity"):
            raise PartnerRefused(
                f"{self.partner} answered {where} in the coding {coding[:40]!r}, which we did not ask for.",
                remedy=f"Ask {self.partner} to obey Accept-Encoding: identity.",
            )

    def _read(self, response: requests.Response, where: str, started: float, *, cut: bool) -> bytes:
        limit = _ERROR_BYTES if cut else self._patience.most_bytes
        promised = response.headers.get("Content-Length", "")
        if promised.isdigit() and int(promised) > limit and not cut:
            raise self._too_large(where)
        # Its value is handed out without a copy; parts and what is joined of them would be twice the answer.
        answer = io.BytesIO()
        size = 0
        while part := response.raw.read1(_CHUNK, decode_content=False):
            answer.write(part)
            size += len(part)
            if size > limit:
                if cut:
                    break
                raise self._too_large(where)
            if time.monotonic() - started > self._patience.whole:
                raise _TookTooLong
        if promised.isdigit() and size < int(promised) and not cut:
            raise ValueError(f"the answer ended after {size} of {promised} bytes")
        return answer.getvalue()

    def _credential(self) -> str:
        try:
            password = Path(self._password_file or "").read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as cause:
            raise ConfigError(
                f"The password for {self.partner} cannot be read from {self._password_file}: {cause}.",
                remedy=f"Put the password that {self.partner} gave us into that file, readable by this user.",
            ) from cause
        pair = f"{self._username}:{password}".encode()
        return "Basic " + base64.b64encode(pair).decode()

    @contextmanager
    def _watched(self, late: threading.Event) -> Iterator[None]:
        """Ends the connection when the whole answer takes too long, however the bytes drip."""

        def end() -> None:
            late.set()
            shut(self._sockets)

        watch = threading.Timer(self._patience.whole, end)
        watch.daemon = True
        watch.start()
        try:
            yield
        finally:
            watch.cancel()

    def _too_large(self, where: str) -> PartnerError:
        return AnswerTooLarge(
            f"{self.partner} answered {where} with more than {self._patience.most_bytes} bytes.",
            remedy="Fewer objects are asked for at a time; a single one of that size cannot be fetched.",
        )

    def _check_shown(self) -> None:
        # What is our own fault would be told as the partner's, and tried again for ever.
        if self._shown is None:
            return
        for file in self._shown:
            if not os.access(file, os.R_OK):
                raise self._not_shown(f"The file {file}", "cannot be read")
        try:
            # An empty password, or a person would be asked for one on the terminal.
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(*self._shown, password="")
        except (OSError, ValueError) as cause:
            why = "cannot be used: no PEM, not of one another, or the key has a password"
            raise self._not_shown(" with ".join(self._shown), why) from cause

    def _not_shown(self, what: str, why: str) -> ConfigError:
        return ConfigError(
            f"{what}, which we show {self.partner} when we connect, {why}.",
            remedy=f"Correct tls_certificate and tls_private_key in [partner.{self.partner}].",
        )

    def _unreachable(self, where: str, cause: Exception, *, late: bool) -> PartnerUnreachable:
        what = f"took longer than {self._patience.whole:g} s" if late else _plain(cause)
        return PartnerUnreachable(
            f"{self.partner} gave no usable answer to {where}: {what}.",
            remedy=f"It is tried again by itself; what is wrong says: stixnode doctor {self.partner}",
        )


_OBJECT = re.compile(r"^<?\w+\([^)]*\)>?: ")  # urllib3 puts its own object before what happened


def _plain(cause: BaseException) -> str:
    inner = cause
    while inner.args and isinstance(inner.args[-1], BaseException):
        inner = inner.args[-1]
    reason = getattr(inner, "reason", None)
    text = _OBJECT.sub("", str(reason or inner)).strip(".")[:300]
    return text or type(inner).__name__


def _parts(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme.lower(), (parts.hostname or "").lower(), _port(parts)


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port or {"https": 443, "http": 80}.get(parts.scheme.lower())
    except ValueError:
        return None


def _origin(partner: str, api_root: str) -> tuple[str, str, int | None]:
    scheme, host, port = _parts(api_root)
    if scheme not in ("https", "http") or not host or port is None or "@" in urlsplit(api_root).netloc:
        raise ConfigError(
            f"[partner.{partner}] api_root = {api_root!r} is not the address of an API root.",
            remedy='Write the address that the partner gave you, such as "https://exchange.south.example/api/".',
        )
    if scheme == "http" and not is_loopback(host):
        raise ConfigError(
            f"[partner.{partner}] api_root = {api_root!r} would send the credential in the clear.",
            remedy="Write https://; plain http is for servers on this machine only.",
        )
    return scheme, host, port
