"""A mail server in this process, and a listener for webhooks, both on loopback.

    with mail_server() as server:
        server.refuses = {"nobody@north.example"}
        server.url                               # smtp://127.0.0.1:PORT
        server.mails[0].to, server.mails[0].text

    with listener() as there:
        there.status = 503
        there.requests[0].body

With a context the mail server offers STARTTLS, or speaks TLS from the start. It asks for a login if it has
a `password`.
"""

from __future__ import annotations

import base64
import contextlib
import socketserver
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import BinaryIO


@dataclass(frozen=True)
class Mail:
    """One mail that was taken."""

    mail_from: str
    to: tuple[str, ...]
    raw: bytes
    encrypted: bool
    login: str

    @property
    def subject(self) -> str:
        return str(message_from_bytes(self.raw, policy=policy.default)["Subject"])

    @property
    def text(self) -> str:
        found = message_from_bytes(self.raw, policy=policy.default)
        return found.get_content().replace("\r\n", "\n")


@dataclass
class MailServer:
    """What it got and how it behaves."""

    port: int = 0
    starttls: ssl.SSLContext | None = None
    tls: ssl.SSLContext | None = None
    password: str = ""
    broken: bool = False
    refuses: set[str] = field(default_factory=set)
    mails: list[Mail] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its address, without TLS from the start."""
        return f"smtp://127.0.0.1:{self.port}"


@contextlib.contextmanager
def mail_server(
    *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, password: str = ""
) -> Iterator[MailServer]:
    """A mail server that runs for the length of a block."""
    state = MailServer(starttls=starttls, tls=tls, password=password)

    class Session(socketserver.StreamRequestHandler):
        timeout = 20

        def handle(self) -> None:
            with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
                self._converse(stack)

        def _converse(self, stack: contextlib.ExitStack) -> None:
            def secured(context: ssl.SSLContext) -> BinaryIO:
                wrapped = stack.enter_context(context.wrap_socket(self.connection, server_side=True))
                return stack.enter_context(wrapped.makefile("rwb"))

            encrypted = state.tls is not None
            stream = self.connection.makefile("rwb") if state.tls is None else secured(state.tls)
            stack.callback(stream.close)
            sender, to, login = "", [], ""

            def say(text: str) -> None:
                stream.write(text.encode() + b"\r\n")
                stream.flush()

            say("421 out of order" if state.broken else "220 test")
            while line := stream.readline():
                words = line.decode().strip()
                verb = words.upper()
                if verb.startswith("EHLO"):
                    offers = ["250-test"]
                    offers += ["250-STARTTLS"] if state.starttls and not encrypted else []
                    offers += ["250-AUTH PLAIN"] if state.password else []
                    say("\r\n".join([*offers, "250 8BITMIME"]))
                elif verb == "STARTTLS" and state.starttls is not None:
                    say("220 go")
                    stream, encrypted = secured(state.starttls), True
                elif verb.startswith("AUTH PLAIN"):
                    _, name, word = base64.b64decode(words.split()[2]).decode().split("\0")
                    login = name if word == state.password else ""
                    say("235 in" if login else "535 wrong words")
                elif verb.startswith("MAIL FROM") and state.password and not login:
                    say("530 who are you?")
                elif verb.startswith("MAIL FROM"):
                    sender, to = words[words.index("<") + 1 : words.index(">")], []
                    say("250 ok")
                elif verb.startswith("RCPT TO"):
                    name = words[words.index("<") + 1 : words.index(">")]
                    if name in state.refuses:
                        say("550 no such box")
                    else:
                        to.append(name)
                        say("250 ok")
                elif verb == "DATA":
                    say("354 go on")
                    lines = []
                    while (part := stream.readline()).rstrip(b"\r\n") != b".":
                        lines.append(part.removeprefix(b".") if part.startswith(b"..") else part)
                    state.mails.append(Mail(sender, tuple(to), b"".join(lines), encrypted, login))
                    say("250 taken")
                elif verb == "QUIT":
                    say("221 bye")
                    return
                else:
                    say("250 ok")

    with _running(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session)) as port:
        state.port = port
        yield state


@dataclass(frozen=True)
class Heard:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Listener:
    """What it heard and how it answers."""

    port: int = 0
    status: int = 204
    location: str = ""
    requests: list[Heard] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}/hook/secret-path?key=secret-key"


@contextlib.contextmanager
def listener() -> Iterator[Listener]:
    """A web server that takes anything, for the length of a block."""
    state = Listener()

    class Handler(BaseHTTPRequestHandler):
        timeout = 20

        def _take(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {key.lower(): value for key, value in self.headers.items()}
            state.requests.append(Heard(self.command, self.path, headers, body))
            self.send_response(state.status)
            if state.location:
                self.send_header("Location", state.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = _take

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    with _running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        state.port = port
        yield state


@contextlib.contextmanager
def _running(server: socketserver.TCPServer) -> Iterator[int]:
    server.daemon_threads = True  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join(20)
