"""A tap on the wire between two nodes: every byte that each of them is given by the other.

    tap = WireTap()
    tap.listen(pair.north)                  again after `pair.north.restart()`
    tap.given_to("south")                   answers to south's account, and requests that north sends south

It sits in front of the application as WSGI, so it sees what would go through the socket: status line,
headers and body of every answer, request line, headers and body of every request.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.support.two_nodes import Centre


@dataclass(frozen=True, slots=True)
class Exchanged:
    """One request and its answer, as bytes.

    Args:
        host: The node that answers.
        account: Who asks, by the name in its credentials.
        asked: `GET /api/...`, for messages of a test.
        request, answer: All of it.
    """

    host: str
    account: str
    asked: str
    request: bytes
    answer: bytes


@dataclass
class WireTap:
    """Everything that was exchanged since it began to listen, in order."""

    exchanged: list[Exchanged] = field(default_factory=list)

    def listen(self, centre: Centre) -> None:
        """Record what this node's application is asked and answers from now on."""
        app, host = centre.app, centre.name
        inner = app.wsgi_app

        def recorded(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            body = environ["wsgi.input"].read()
            environ["wsgi.input"] = io.BytesIO(body)
            head: list[bytes] = []

            def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
                head.append(_head(status, headers))
                return start_response(status, headers, *rest)

            answer = b"".join(inner(environ, start))
            asked = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ.get('QUERY_STRING', '')}"
            request = _head(asked, _headers(environ)) + body
            self.exchanged.append(
                Exchanged(host, _account(environ), unquote(asked), request, b"".join(head) + answer)
            )
            return [answer]

        app.wsgi_app = recorded  # type: ignore[method-assign]

    def given_to(self, node: str, *, since: int = 0) -> list[tuple[str, bytes]]:
        """(what was asked, bytes) of everything that a node was given, or its account was.

        Args:
            node: Its name; its account at the other is called `NAME-node`.
            since: How much was exchanged before what counts: a `mark`.
        """
        found: list[tuple[str, bytes]] = []
        for one in self.exchanged[since:]:
            if one.host == node:
                found.append((one.asked, one.request))
            elif one.account == f"{node}-node":
                found.append((one.asked, one.answer))
        return found

    def seen(self, words: Iterable[str], node: str, *, since: int = 0) -> dict[str, set[str]]:
        """Which of the words are in the bytes that a node was given, and in answer to what."""
        given = self.given_to(node, since=since)
        found = {word: {asked for asked, data in given if word.encode() in data} for word in words}
        return {word: places for word, places in found.items() if places}

    def mark(self) -> int:
        """How much was exchanged until now."""
        return len(self.exchanged)


def _head(first: str, headers: Iterable[tuple[str, str]]) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")


def _headers(environ: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name.removeprefix("HTTP_"), str(environ[name])) for name in environ if name.startswith("HTTP_")]


def _account(environ: dict[str, Any]) -> str:
    kind, _, code = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return base64.b64decode(code).decode().partition(":")[0] if kind == "Basic" else ""
