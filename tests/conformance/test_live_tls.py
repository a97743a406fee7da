"""TLS as the real server speaks it: versions, ciphers, no early data, and what answers carry (T-NET, T-HDR).

Rule: what a client library would refuse by itself is sent as bytes, so that a refusal is the server's own.
"""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from node.access import accounts, tokens
from node.errors import ConfigError
from node.store.database import Database
from node.web import serve
from tests.conformance.target import MT
from tests.support.builders import an_indicator
from tests.support.certificates import a_certificate
from tests.support.served import (
    INDICATORS,
    a_served,
    add_collections,
    an_envelope,
    basic,
    live_server,
    write_config,
)

OBJECTS = f"/api/collections/{INDICATORS}/objects/"
ALERT, HANDSHAKE = 0x15, 0x16
SERVER_HELLO, NEW_SESSION_TICKET, CERTIFICATE_REQUEST = 2, 4, 13
EARLY_DATA = 42
TLS_1_1, TLS_1_2 = 0x0302, 0x0303
GOOD_CIPHERS = (0xC02F, 0xC02B, 0xC030, 0xC02C, 0xCCA8, 0xCCA9)  # ECDHE with an AEAD
BAD_CIPHERS = (0xC013, 0xC014, 0xC009, 0xC00A, 0x002F, 0x0035, 0x009C, 0x009D, 0x000A, 0x0005)


@dataclass(frozen=True, slots=True)
class Live:
    """A server over TLS, and an account that may read and write."""

    port: int
    authority: Path
    authorization: str

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> http.client.HTTPResponse:
        """An answer, read to its end."""
        context = ssl.create_default_context(cafile=self.authority)
        with closing(
            http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=context)
        ) as plug:
            given = {"Authorization": self.authorization, "Accept": MT, "Content-Type": MT, **headers}
            plug.request(method, path, body=body, headers=given)
            answer = plug.getresponse()
            answer.read()
            return answer


@pytest.fixture(scope="module")
def live(_sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One server for all tests of this module."""
    folder = tmp_path_factory.mktemp("tls")
    shutil.copyfile(_sqlite_template, folder / "north.db")
    database = Database(f"sqlite:///{folder / 'north.db'}")
    add_collections(database)
    with database.writing() as tx:
        accounts.add_account(tx, "soc", actor="os:test", now=1, clearance=4)
        accounts.allow(tx, "soc", 1, read=True, write=True, actor="os:test", now=1)
        token, _ = tokens.issue_token(tx, account="soc", actor="os:test", now=1)
    database.close()
    authority, _ = a_certificate(folder, "north")
    server = {"tls_certificate": "north.pem", "tls_private_key": "north.key"}
    with live_server(write_config(folder, database.url, server=server)) as address:
        assert address.startswith("https://")
        yield Live(int(urlsplit(address).port or 0), authority, basic("soc", token))


# --- versions and ciphers


def block(content: bytes, size: int = 2) -> bytes:
    """Bytes with their length before them."""
    return len(content).to_bytes(size, "big") + content


def client_hello(version: int, ciphers: tuple[int, ...]) -> bytes:
    """The first message of a client that knows TLS up to this version, below 1.3."""
    extensions = {
        10: block(struct.pack(">2H", 0x001D, 0x0017)),  # groups: x25519, P-256
        11: block(b"\0", 1),  # points: uncompressed
        13: block(struct.pack(">5H", 0x0403, 0x0804, 0x0401, 0x0503, 0x0203)),  # signatures
        23: b"",  # extended master secret
        0xFF01: b"\0",  # renegotiation: none under way
    }
    named = b"".join(struct.pack(">H", kind) + block(content) for kind, content in extensions.items())
    body = struct.pack(">H", version) + os.urandom(32) + block(b"", 1)
    body += block(struct.pack(f">{len(ciphers)}H", *ciphers)) + block(b"\0", 1) + block(named)
    return struct.pack(">BH", HANDSHAKE, 0x0301) + block(bytes([1]) + block(body, 3))


def first_answer(port: int, sent: bytes) -> tuple[int, int]:
    """The kinds of the first record that comes back and of the message in it; zeros when none does."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plug:
        plug.sendall(sent)
        head = b""
        while len(head) < 6 and (piece := plug.recv(6 - len(head))):
            head += piece
    return (head[0], head[5]) if len(head) == 6 else (0, 0)


def test_tls_1_2_is_spoken_and_1_1_is_not(live):
    """T-NET-4: the same first message, one version apart."""
    assert first_answer(live.port, client_hello(TLS_1_2, GOOD_CIPHERS)) == (HANDSHAKE, SERVER_HELLO)
    assert first_answer(live.port, client_hello(TLS_1_1, GOOD_CIPHERS))[0] in (ALERT, 0)


def test_ciphers_that_http_2_forbids_are_not_spoken(live):
    """T-NET-4: CBC, RC4 and what has no forward secrecy (RFC 7540 appendix A)."""
    assert first_answer(live.port, client_hello(TLS_1_2, BAD_CIPHERS))[0] in (ALERT, 0)


@dataclass
class Handshake:
    """What a client saw of one connection."""

    version: str | None = None
    messages: list[tuple[int, bytes]] = field(default_factory=list)


def shake(live: Live, version: ssl.TLSVersion) -> Handshake:
    """Connect with this version and ask for discovery, so that tickets arrive too."""
    found = Handshake()
    context = ssl.create_default_context(cafile=live.authority)
    context.minimum_version = context.maximum_version = version

    def note(_plug: Any, way: str, _version: Any, content: Any, message: Any, data: bytes) -> None:
        if way == "read" and content == HANDSHAKE:
            found.messages.append((int(message), data))

    context._msg_callback = note  # type: ignore[attr-defined]  # shows the messages after they were decrypted
    login = f"Authorization: {live.authorization}\r\n"
    request = f"GET /taxii2/ HTTP/1.1\r\nHost: x\r\n{login}Connection: close\r\n\r\n"
    with (
        socket.create_connection(("127.0.0.1", live.port), timeout=30) as plug,
        context.wrap_socket(plug, server_hostname="127.0.0.1") as secure,
    ):
        found.version = secure.version()
        secure.sendall(request.encode())
        answer = b""
        while piece := secure.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 200 ")
    return found


def ticket_extensions(message: bytes) -> list[int]:
    """The kinds of the extensions in a NewSessionTicket of TLS 1.3 (RFC 8446 section 4.6.1)."""
    at = 4 + 4 + 4  # its head, lifetime, age
    at += 1 + message[at]  # nonce
    at += 2 + int.from_bytes(message[at : at + 2], "big")  # ticket
    end = at + 2 + int.from_bytes(message[at : at + 2], "big")
    at += 2
    found = []
    while at < end:
        found.append(int.from_bytes(message[at : at + 2], "big"))
        at += 4 + int.from_bytes(message[at + 2 : at + 4], "big")
    return found


@pytest.mark.parametrize(
    ("version", "name"),
    [
        pytest.param(ssl.TLSVersion.TLSv1_2, "TLSv1.2", id="T-NET-4 TLS 1.2"),
        pytest.param(ssl.TLSVersion.TLSv1_3, "TLSv1.3", id="T-NET-4 TLS 1.3"),
    ],
)
def test_both_versions_of_tls_are_served(live, version, name):
    assert shake(live, version).version == name


def test_no_ticket_allows_early_data(live):
    """T-NET-4: 0-RTT would let anybody send a POST again."""
    tickets = [
        data for kind, data in shake(live, ssl.TLSVersion.TLSv1_3).messages if kind == NEW_SESSION_TICKET
    ]

    assert [ticket_extensions(one) for one in tickets if EARLY_DATA in ticket_extensions(one)] == []


def test_a_ticket_that_allows_early_data_would_be_seen():
    """T-NET-4: the control of the test above."""
    extension = struct.pack(">HHI", EARLY_DATA, 4, 16_384)
    body = bytes(8) + block(b"n", 1) + block(b"ticket") + block(extension)

    assert ticket_extensions(bytes([NEW_SESSION_TICKET]) + block(body, 3)) == [EARLY_DATA]


def test_no_certificate_is_asked_of_a_client(live):
    """T-NET-9: accounts have tokens; a client certificate is optional, and not used."""
    kinds = [kind for kind, _ in shake(live, ssl.TLSVersion.TLSv1_2).messages]

    assert SERVER_HELLO in kinds
    assert CERTIFICATE_REQUEST not in kinds


def test_plain_http_gets_nothing_from_the_port_of_tls(live):
    """T-NET-4, T-NET-5: no answer, and no redirect that would take a password along."""
    with socket.create_connection(("127.0.0.1", live.port), timeout=30) as plug:
        plug.sendall(b"GET /taxii2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        try:
            while piece := plug.recv(65536):
                answer += piece
        except ConnectionResetError:
            pass

    assert b"HTTP/" not in answer


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "north.example"])
def test_plain_http_is_not_served_to_others(sqlite_database, tmp_path, host):
    """T-NET-5: only this machine is reached without TLS."""
    node = a_served(sqlite_database, tmp_path)

    with pytest.raises(ConfigError, match="no TLS"):
        serve(node.settings, host, 8000, 1)


# --- what the real server adds


def test_answers_over_tls_ask_to_stay_on_tls(live):
    """T-NET-11: on every answer, also of an error."""
    for path in ("/taxii2/", "/nothing/"):
        assert live.ask("GET", path).headers["Strict-Transport-Security"] == "max-age=31536000"


def test_an_answer_says_what_time_it_is_here(live):
    """T-HDR-7: a Date, from which a client may measure how far its clock is off."""
    for path in ("/taxii2/", OBJECTS, "/nothing/"):
        assert parsedate_to_datetime(live.ask("GET", path).headers["Date"]).year >= 2020


def test_paths_without_their_last_slash_are_served_by_the_real_server_too(live):
    """T-NET-2, W-79: no redirect, for GET and for POST."""
    posted = live.ask("POST", OBJECTS.rstrip("/"), an_envelope([an_indicator()]))

    assert [live.ask("GET", path.rstrip("/")).status for path in ("/taxii2/", "/api/", OBJECTS)] == [200] * 3
    assert posted.status == 202


def test_an_address_with_two_slashes_is_another_one_for_the_real_server_too(live):
    """T-NET-3: it is not put right on the way."""
    paths = ("//taxii2/", "/api//", "/api/../taxii2/", "/api/%2e%2e/taxii2/", "/api/%2F/")

    assert [live.ask("GET", path).status for path in paths] == [404] * len(paths)


@pytest.mark.parametrize("path", ["/api/status/%00/", "/api/status/%ff/", "/api/collections/%c3%28/"])
def test_a_broken_path_is_refused_by_the_real_server_too(live, path):
    """T-ERR-10: 400 with an error resource."""
    found = live.ask("GET", path)

    assert (found.status, found.headers["Content-Type"]) == (400, MT)
