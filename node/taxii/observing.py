"""Around every request: its id, its count, its line in the log, and an answer whatever breaks.

Rule: a client's `X-Request-Id` is taken when it is a plain word, else we make one; the same id is in the
answer, in the error resource and in the log, so that one number finds them all. What is counted or logged
is ours (`node.metrics`, `node.taxii.logs`).

Reads nothing. Writes metrics and log lines.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Any

from node.metrics import Metrics, present
from node.taxii.face import ON_ALL
from node.taxii.failing import failure
from node.taxii.logs import FIELDS, places
from node.taxii.protocol import MEDIA_TYPE, error_body
from node.taxii.uploads import Uploads

REQUEST_ID = "stixnode.request_id"
ROUTE = "stixnode.route"  # the rule that the address follows; set by the application, `-` where there is none
HEADER = "X-Request-Id"

_log = logging.getLogger(__name__)
_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS = frozenset(("GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH", "TRACE", "CONNECT"))

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class Observed:
    """An application whose requests are counted, logged and given ids.

    Args:
        application: Answers; it is read to its end before anything is sent.
        metrics: Where to count.
        uploads: How bodies are read.
    """

    def __init__(self, application: Application, metrics: Metrics, uploads: Uploads) -> None:
        self._application = application
        self._metrics = metrics
        self._uploads = uploads

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        began = time.perf_counter()
        given = environ.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _PLAIN.fullmatch(given) else secrets.token_hex(8)
        environ[REQUEST_ID] = request_id
        upload = environ["wsgi.input"] = self._uploads.of(environ["wsgi.input"])
        counted = present.begin()
        try:
            status, headers, body = self._answer(environ, request_id)
            headers.append((HEADER, request_id))
            start_response(status, headers)
            self._note(environ, request_id, int(status[:3]), len(body), time.perf_counter() - began)
            return [body]
        finally:
            upload.close()
            present.resume(counted)

    def _answer(self, environ: Environ, request_id: str) -> tuple[str, list[tuple[str, str]], bytes]:
        seen: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, headers: list[tuple[str, str]], _error: Any = None) -> None:
            seen.append((status, headers))

        try:
            found = self._application(environ, start)
            try:
                body = b"".join(found)
            finally:
                close = getattr(found, "close", None)
                if close is not None:
                    close()
        except Exception as error:  # noqa: BLE001  the last stop: nothing of it may reach the client
            log_failure(request_id, 500, environ, error)
            body = error_body(failure(500), request_id)
            always = [("Content-Type", MEDIA_TYPE), ("Content-Length", str(len(body))), *ON_ALL]
            return "500 Internal Server Error", always, body
        status, headers = seen[-1]
        return status, list(headers), body

    def _note(self, environ: Environ, request_id: str, status: int, sent: int, seconds: float) -> None:
        route, method = environ.get(ROUTE, "-"), method_of(environ)
        presented = "HTTP_AUTHORIZATION" in environ
        self._metrics.request(
            route=route, method=method, status=status, seconds=seconds, sent=sent, presented=presented
        )
        if _log.isEnabledFor(logging.INFO):
            database = present.statement_seconds + present.lock_seconds + present.commit_seconds
            fields: dict[str, Any] = {
                "what": "request",
                "id": request_id,
                "account": present.account,
                "method": method,
                "route": route,
                "status": status,
                "ms": round(seconds * 1000, 1),
                "db_ms": round(database * 1000, 1),
                "bytes": sent,
                "out": present.objects_out,
            }
            if present.outcomes and status < 400:
                fields["in"] = present.outcomes
            _log.info("%s %d %s %s", request_id, status, method, route, extra={FIELDS: fields})


def method_of(environ: Environ) -> str:
    """The request's method; `-` for a word that no standard knows, which is the client's own text."""
    method = environ.get("REQUEST_METHOD", "")
    return method if method in _METHODS else "-"


def log_failure(request_id: str, status: int, environ: Environ, error: BaseException) -> None:
    """Log what the server could not carry out, with the places and without the words of the error."""
    kind, where = type(error).__name__, places(error.__traceback__)
    fields = {
        "what": "failure",
        "id": request_id,
        "status": status,
        "method": method_of(environ),
        "route": environ.get(ROUTE, "-"),
        "error": kind,
        "places": where,
    }
    _log.error("%s %d %s %s", request_id, status, kind, " < ".join(where), extra={FIELDS: fields})
