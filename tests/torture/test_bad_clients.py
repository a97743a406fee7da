"""Clients that stop half-way, drip, or send what is refused: the real server, over its sockets.

A connection that hangs costs the server a file and no thread; a body that hangs costs a thread until the
patience ends, and never the last ones. What no server behind one socket can do is in `docs/running.md`.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import socket
import threading
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from node.access import accounts, tokens
from node.store.database import Database
from tests.support.builders import an_indicator
from tests.support.databases import _prepared
from tests.support.served import (
    INDICATORS,
    TECHNIQUES,
    add_collections,
    an_envelope,
    basic,
    live_server,
    write_config,
)

MEDIA_TYPE = "application/taxii+json;version=2.1"
OBJECTS = f"/api/collections/{INDICATORS}/objects/"
READ_ONLY = f"/api/collections/{TECHNIQUES}/objects/"
HIDDEN = "/api/collections/00000000-0000-4000-8000-000000000000/objects/"
PATIENT = "import node.web as w; import node.taxii.uploads as u"
HASTY = f"{PATIENT}; w.HEADER_MILLISECONDS = 1_000; u.PATIENCE_SECONDS = 0.5; u.SLOWEST = 1_000_000"
UNGUARDED = f"{PATIENT}; w.BODIES = 10_000"


@dataclass
class Server:
    """A real server with a page of objects, and an account that may write."""

    address: str
    token: str

    def connected(self):
        parts = urlsplit(self.address)
        return socket.create_connection((parts.hostname, parts.port), timeout=20)

    def head(self, method, path, **headers):
        given = {
            "Host": "x",
            "Authorization": basic("soc", self.token),
            "Accept": MEDIA_TYPE,
            "Content-Type": MEDIA_TYPE,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items() if value)
        return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode()

    def ask(self, method="GET", path=OBJECTS, body=None, **headers):
        given = {"Authorization": basic("soc", self.token), "Accept": MEDIA_TYPE, **headers}
        with contextlib.closing(
            http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=20)
        ) as line:
            line.request(method, path, body=body, headers=given)
            answer = line.getresponse()
            return answer.status, dict(answer.headers), answer.read()


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad-clients")
    url = f"sqlite:///{folder / 'north.db'}"
    _prepared(url)
    database = Database(url)
    add_collections(database)
    with database.writing() as tx:
        accounts.add_account(tx, "soc", actor="os:test", now=1, clearance=4)
        accounts.allow(tx, "soc", 1, read=True, write=True, actor="os:test", now=1)
        accounts.allow(tx, "soc", 2, read=True, write=False, actor="os:test", now=1)
        token, _ = tokens.issue_token(tx, account="soc", actor="os:test", now=1)
    database.close()
    (folder / "token").write_text(token)
    return write_config(folder, url, limits={"max_content_length": 100_000, "max_object_bytes": 100_000})


@contextlib.contextmanager
def served(config, planted=""):
    with live_server(config, planted=planted) as address:
        yield Server(address, (config.parent / "token").read_text())


@pytest.fixture(scope="module")
def server(config):
    with served(config) as running:
        body = an_envelope([an_indicator(f"number {number}") for number in range(30)])
        assert running.ask("POST", body=body, **{"Content-Type": MEDIA_TYPE})[0] == 202
        yield running


@pytest.fixture(scope="module")
def hasty(config, server):
    with served(config, HASTY) as running:
        yield running


def first_line(line):
    """The first bytes that come, up to the end of a line."""
    found = b""
    while b"\r\n" not in found:
        piece = line.recv(65_536)
        if not piece:
            break
        found += piece
    return found.partition(b"\r\n")[0]


# --- Expect


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (OBJECTS, {"Authorization": "Bearer nobody"}, 401),
        (HIDDEN, {}, 404),
        (READ_ONLY, {}, 403),
        (OBJECTS, {"Accept": "text/html"}, 406),
        (OBJECTS, {"Content_Type": "text/html"}, 415),
        (OBJECTS, {"Content_Encoding": "gzip"}, 415),
        (OBJECTS, {"Content_Length": "100001"}, 413),
        (OBJECTS, {"Expect": "200-maybe"}, 417),
    ],
)
def test_a_refused_post_is_answered_before_its_body_is_sent(server, path, headers, status):
    """T-POST-3, T-POST-17: by who asks and by Content-Length alone."""
    with server.connected() as line:
        line.sendall(
            server.head("POST", path, **{"Expect": "100-continue", "Content_Length": "900", **headers})
        )

        assert first_line(line).startswith(f"HTTP/1.1 {status} ".encode())


def test_a_post_that_is_let_in_is_told_to_go_on(server):
    body = an_envelope([an_indicator("number 1")])
    with server.connected() as line:
        line.sendall(server.head("POST", OBJECTS, Expect="100-continue", Content_Length=str(len(body))))
        assert first_line(line) == b"HTTP/1.1 100 Continue"
        line.sendall(body)

        assert first_line(line).startswith(b"HTTP/1.1 202 ")


# --- HEAD and gzip over the wire


@pytest.mark.parametrize(
    "path", ["/taxii2/", "/api/collections/", OBJECTS, "/healthz", "/readyz", "/metrics"]
)
@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_a_head_says_how_long_the_body_would_be_and_sends_none(server, path, coding):
    with contextlib.closing(http.client.HTTPConnection(urlsplit(server.address).netloc, timeout=20)) as line:
        seen = []
        for method in ("GET", "HEAD", "GET"):  # on one connection: a body too many would break the next
            given = {"Authorization": basic("soc", server.token), "Accept-Encoding": coding}
            line.request(method, path, headers={} if path == "/metrics" else given)
            answer = line.getresponse()
            seen.append((answer.status, answer.headers["Content-Length"], len(answer.read())))

    assert [status for status, _, _ in seen] == [200, 200, 200]
    assert [length for _, _, length in seen][1] == 0
    assert all(
        int(announced) == length for announced, length, *_ in (each[1:] for each in (seen[0], seen[2]))
    )
    if path != "/metrics":  # it counts these very requests
        assert len({announced for _, announced, _ in seen}) == 1


def test_a_page_in_gzip_comes_whole(server):
    plain = server.ask()
    packed = server.ask(**{"Accept-Encoding": "gzip"})

    assert packed[1]["content-encoding"] == "gzip"
    assert gzip.decompress(packed[2]) == plain[2]


# --- clients that hang


@contextlib.contextmanager
def hanging(server, *, idle=0, headers=0, bodies=0, dripping=0):
    """So many connections that hang: nothing sent, half a head, half a body, a head byte by byte."""
    head = server.head("POST", OBJECTS, Content_Length="900")
    with contextlib.ExitStack() as stack:
        drips = []
        for text, count in (
            (b"", idle),
            (head[:60], headers),
            (head + b'{"obj', bodies),
            (head[:20], dripping),
        ):
            for _ in range(count):
                line = stack.enter_context(server.connected())
                line.sendall(text)
                if text == head[:20]:
                    drips.append(line)
        ended = threading.Event()

        def drip():
            for byte in head[20:]:
                for line in drips:
                    with contextlib.suppress(OSError):
                        line.sendall(bytes([byte]))
                if ended.wait(1):
                    return

        dripper = threading.Thread(target=drip)
        dripper.start()
        stack.callback(dripper.join)
        stack.callback(ended.set)
        yield


def test_good_clients_are_answered_beside_five_hundred_that_hang(server):
    """Half-open, idle and dripping connections, and more bodies than there are threads."""
    with hanging(server, idle=150, headers=200, dripping=110, bodies=40):
        seconds = []
        for _ in range(100):
            began = time.perf_counter()
            status, _, body = server.ask()
            seconds.append(time.perf_counter() - began)
            assert (status, body[:16]) == (200, b'{"more":false,"o')
        assert until(lambda: posting(server) == (503, "5"))

    assert sorted(seconds)[98] < 1
    assert until(lambda: posting(server) == (422, None))


def posting(server):
    """What a writer is told: the status, and when to come again."""
    status, headers, _ = server.ask("POST", body=b"{}", **{"Content-Type": MEDIA_TYPE})
    return status, headers.get("retry-after")


def test_without_room_kept_for_readers_they_would_wait(config, server):
    """Control: the same hanging bodies take every thread of a server that keeps none free."""
    with served(config, UNGUARDED) as running, hanging(running, bodies=40):
        assert until(lambda: waits(running))


def waits(server):
    """True when a reader has no answer within a second."""
    with server.connected() as line:
        line.settimeout(1)
        line.sendall(server.head("GET", OBJECTS))
        try:
            return line.recv(1) == b""
        except TimeoutError:
            return True


def until(met, seconds=20):
    """True when something becomes true in that time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if met():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("sent", [b"", b"GET /api/ HTTP/1.1\r\nHost: x\r\n"])
def test_who_does_not_finish_the_head_of_a_request_is_let_go(hasty, sent):
    with hasty.connected() as line:
        line.sendall(sent)

        assert line.recv(1) == b""


def test_a_body_that_comes_too_slowly_is_refused_and_not_stored(hasty):
    body = an_envelope([an_indicator("slow")])
    filled = body + b" " * (1_500 - len(body))
    with hasty.connected() as line:
        line.sendall(hasty.head("POST", OBJECTS, Content_Length="1500") + filled[:600])
        time.sleep(0.7)  # the patience, and a little
        line.sendall(filled[600:1_400])

        assert first_line(line).startswith(b"HTTP/1.1 408 ")
    assert b"Indicator slow" not in hasty.ask()[2]


def test_a_head_without_end_is_refused(server):
    with server.connected() as line:
        with contextlib.suppress(OSError):
            line.sendall(server.head("GET", OBJECTS, X_Long="x" * 2_000_000))

        found = b""
        with contextlib.suppress(ConnectionResetError):
            found = first_line(line)
    assert found[:12] in (b"HTTP/1.1 431", b"")


def test_connections_whose_other_side_has_vanished_are_looked_after(server):
    """The system asks after them: so says the timer of the server's side in the kernel's table."""
    with server.connected() as line:
        line.sendall(server.head("POST", OBJECTS, Content_Length="900") + b'{"obj')
        ours, theirs = line.getsockname()[1], line.getpeername()[1]

        assert until(lambda: timer(theirs, ours) == "02")
        assert timer(ours, theirs) == "00"  # control: our own side asks nothing


def timer(local, remote):
    """What the kernel waits for on a connection of this machine: 02 is keep-alive."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        for row in table.readlines()[1:]:
            cells = row.split()
            if cells[1].endswith(f":{local:04X}") and cells[2].endswith(f":{remote:04X}"):
                return cells[5][:2]
    return None
