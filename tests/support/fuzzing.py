"""Hostile requests to an application in this process, and what must hold for every answer.

    answer = ask(app, "GET", b"/api/collections/%ff/", query=b"limit=\xff")
    assert complaints(answer) == []

Paths, queries and headers go in as bytes, as a server would hand them on. `FUZZ=n` runs n examples of each
test at random, on both databases; without it a few on SQLite, the same each time.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

import jsonschema_rs
from hypothesis import HealthCheck, settings
from werkzeug.test import run_wsgi_app

from node.taxii.openapi import description
from node.taxii.protocol import MEDIA_TYPE

FUZZ = int(os.environ.get("FUZZ", "0"))
DATABASES = ("sqlite", "postgresql") if FUZZ else ("sqlite",)
DOCUMENT: dict[str, Any] = json.loads(description(""))
DATES = ("X-TAXII-Date-Added-First", "X-TAXII-Date-Added-Last")
REFUSED_ANYWHERE = {400, 404, 417}  # by an address that is none

_ALLOWED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]  # one node serves all examples
_PLAIN_JSON = "application/json"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)


def examples(few: int) -> Callable[[Any], Any]:
    """How often a test is tried: a few times, or `FUZZ` times."""
    if FUZZ:
        return settings(max_examples=FUZZ, derandomize=False, deadline=None, suppress_health_check=_ALLOWED)
    return settings(max_examples=few, suppress_health_check=_ALLOWED)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and to what.

    Args:
        method, path: Of the request, decoded.
        status: The number.
        headers: By their names in lower case.
        body: Its bytes.
    """

    method: str
    path: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


def ask(
    app: Any,
    method: str,
    path: bytes,
    *,
    query: bytes = b"",
    headers: Mapping[str, bytes | str] | None = None,
    body: bytes | None = None,
) -> Answer:
    """A request by WSGI, without a client between that would mend it.

    Args:
        app: The application.
        method: Any word.
        path: As on the wire, percent-encoded or not.
        query: As on the wire.
        headers: Text, or bytes as on the wire; `Content-Length` is added for a body unless it is given.
        body: None for a request without one.
    """
    raw = unquote_to_bytes(path)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": raw.decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "127.0.0.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body or b""),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if body is not None:
        environ["CONTENT_LENGTH"] = str(len(body))
    for name, value in (headers or {}).items():
        key = name.upper().replace("-", "_")
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = text
    pieces, status, found = run_wsgi_app(app, environ, buffered=True)
    lowered = {name.lower(): value for name, value in found.items()}
    answered = b"".join(pieces)
    if lowered.get("content-encoding") == "gzip" and answered:
        answered = gzip.decompress(answered)
        del lowered["content-length"]
    return Answer(method, raw.decode("utf-8", "replace"), int(status.split()[0]), lowered, answered)


def complaints(answer: Answer) -> list[str]:
    """What is wrong with an answer, whatever was asked: empty when it is TAXII, or described otherwise."""
    found: list[str] = []
    if answer.status >= 500:
        return [f"{answer.status}: {answer.body[:200]!r}"]
    responses = _responses(answer.method, answer.path)
    if answer.status not in responses:
        found.append(f"{answer.status} is not described for {answer.method} {answer.path!r}: {answer.body!r}")
    if answer.headers.get("content-length") not in (None, str(len(answer.body))) and answer.method != "HEAD":
        found.append("the Content-Length is another than that of the body")
    if re.fullmatch("[A-Za-z0-9._-]{1,64}", answer.headers.get("x-request-id", "")) is None:
        found.append("no X-Request-Id")
    if answer.method == "HEAD":
        return [*found, *(["HEAD has a body"] if answer.body else [])]
    described = responses.get(answer.status, {}).get("content", {})
    kind = answer.headers.get("content-type", "")
    if answer.status >= 400 or not answer.body:
        found += [f"the media type is {kind!r}"] * (kind != MEDIA_TYPE)
    elif kind not in described:
        found.append(f"the media type {kind!r} is not described")
    if answer.status >= 400:
        found += _wrong_error(answer)
    elif kind in (MEDIA_TYPE, _PLAIN_JSON) and answer.body:
        name = described.get(kind, {}).get("schema", {})
        found += [
            f"{each.message} at {each.instance_path}"
            for each in _validator(json.dumps(name)).iter_errors(answer.json)
        ]
        found += _wrong_dates(answer)
    return found


def _wrong_error(answer: Answer) -> list[str]:
    resource = answer.json
    found = [
        each.message for each in _validator('{"$ref": "#/components/schemas/Error"}').iter_errors(resource)
    ]
    if resource.get("http_status") != str(answer.status):
        found.append(f"http_status is {resource.get('http_status')!r}")
    if resource.get("error_id") != answer.headers.get("x-request-id"):
        found.append("error_id is not the request's id")
    if answer.status == 401 and "basic" not in answer.headers.get("www-authenticate", "").lower():
        found.append("401 without a challenge")
    if answer.status == 405 and not answer.headers.get("allow"):
        found.append("405 without Allow")
    return found


def _wrong_dates(answer: Answer) -> list[str]:
    page = answer.json
    dated = [name for name in DATES if _MOMENT.fullmatch(answer.headers.get(name.lower(), ""))]
    listing = re.search("/(objects|manifest|versions|objects/[^/]+)/?$", answer.path)
    wanted = answer.method == "GET" and bool(listing) and bool(page)
    return [] if len(dated) == 2 * wanted else [f"the dates {dated} with the page {answer.body[:80]!r}"]


def _responses(method: str, path: str) -> dict[int, dict[str, Any]]:
    """What is described for a request: status -> response."""
    for template, item in _templates():
        if template.fullmatch(path):
            if method.lower() not in item:
                return {405: {}, 400: {}, 417: {}}
            return {int(status): _resolved(one) for status, one in item[method.lower()]["responses"].items()}
    return {status: {} for status in REFUSED_ANYWHERE}


@lru_cache(maxsize=1)
def _templates() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    return [
        (re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path.rstrip("/"))) + "/?", re.DOTALL), item)
        for path, item in DOCUMENT["paths"].items()
    ]


def _resolved(response: dict[str, Any]) -> dict[str, Any]:
    name = response.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = DOCUMENT["components"]["responses"][name] if name else response
    return found


@lru_cache(maxsize=64)
def _validator(schema: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.Draft202012Validator({**json.loads(schema), "components": DOCUMENT["components"]})
