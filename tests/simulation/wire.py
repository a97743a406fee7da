"""What one site asks another, and what goes wrong with it.

A request is handed to the other's application as WSGI, in the same thread. Before it arrives, other acts may
take place; it may be lost, cut, or come twice; so may its answer. What was once sent may be sent again later.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

import requests
from flask import Flask
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPResponse

if TYPE_CHECKING:
    from tests.simulation.world import World

BUSY = (503, {"Content-Type": "application/taxii+json;version=2.1", "Retry-After": "3"}, b'{"title":"busy"}')


class Asked(NamedTuple):
    """A request as it was sent."""

    client: str
    server: str
    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Answered(NamedTuple):
    """An answer as it was given."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Wire(BaseAdapter):
    """The network as the client of one site sees it."""

    def __init__(self, world: World, client: str, server: str) -> None:
        super().__init__()
        self.world, self.client, self.server = world, client, server

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        parts = urlsplit(str(request.url))
        body = request.body or b""
        asked = Asked(
            self.client,
            self.server,
            str(request.method),
            parts.path,
            parts.query,
            tuple(request.headers.items()),
            body.encode() if isinstance(body, str) else bytes(body),
        )
        return _response(request, self.world.carried(asked))

    def close(self) -> None:
        """Nothing is held."""


def call(app: Flask, asked: Asked, *, length: int | None = None) -> Answered:
    """The answer of an application.

    Args:
        app: Whom the request reaches.
        asked: The request.
        length: What it announces as the length of its body; the truth if not given.
    """
    environ: dict[str, Any] = {
        "REQUEST_METHOD": asked.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(asked.path),
        "QUERY_STRING": asked.query,
        "SERVER_NAME": f"{asked.server}.example",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(asked.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in asked.headers:
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
    environ.pop("HTTP_CONTENT_LENGTH", None)
    if asked.method == "POST":
        environ["CONTENT_LENGTH"] = str(len(asked.body) if length is None else length)
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start(status: str, headers: list[tuple[str, str]], _error: Any = None) -> None:
        started.append((status, headers))

    body = b"".join(app(environ, start))
    status, headers = started[-1]
    return Answered(int(status[:3]), CaseInsensitiveDict(headers), body)


def _response(request: requests.PreparedRequest, answered: Answered) -> requests.Response:
    response = requests.Response()
    response.status_code = answered.status
    response.headers = CaseInsensitiveDict(answered.headers)
    response.raw = HTTPResponse(io.BytesIO(answered.body), status=answered.status, preload_content=False)
    response.request = request
    return response
