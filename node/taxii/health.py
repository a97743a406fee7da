"""What those who watch over the server ask: `/healthz`, `/readyz` and `/metrics`.

Rule: the first two answer anybody, with words that say nothing of the inside. `/healthz`: the process
answers and reads its database. `/readyz`: it can do all of its work; else 503 with the reasons, looked for
at most every two seconds, however many ask. `/metrics` is for this machine, or for a person with a token;
for everybody else, every TAXII account among them, there is nothing at that address.

Reads   the catalog, the states of links, tokens; writes nothing
"""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Mapping
from typing import Any

import msgspec
from flask import Flask, Response, request
from werkzeug.exceptions import NotFound

from node import __version__
from node.access.tokens import person_of
from node.clock import MICROSECONDS
from node.exchange import links
from node.exchange.egress import CLOCK_DOUBT
from node.metrics import TEXT, Gauge, Metrics
from node.store import catalog, readiness
from node.taxii.face import face

LOOK_SECONDS = 2
LOOKING = "looking"
_JSON = "application/json"
_PASSED_ON = ("HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_REAL_IP")


class Health:
    """The three answers of one process.

    Args:
        metrics: What is counted.
        alone: No proxy can stand between this machine and us, so that its address is its own.
    """

    def __init__(self, metrics: Metrics, *, alone: bool) -> None:
        self._metrics = metrics
        self._alone = alone
        self._lock = threading.Lock()
        self._looked: tuple[int, list[str]] | None = None

    def register(self, app: Flask) -> None:
        """Serve the three addresses."""
        app.add_url_rule("/healthz", "healthz", _healthz)
        app.add_url_rule("/readyz", "readyz", self._readyz)
        app.add_url_rule("/metrics", "metrics", self._read_metrics)

    def reasons(self) -> list[str]:
        """Why the node cannot do all of its work; empty when it can."""
        ours = face()
        now = ours.now()
        seen = self._looked
        if seen is not None and 0 <= now - seen[0] < LOOK_SECONDS * MICROSECONDS:
            return seen[1]
        if not self._lock.acquire(blocking=False):
            # One request looks; a database that hangs must not hold a thread for each that asks.
            return [LOOKING] if seen is None else seen[1]
        try:
            found, collections = readiness.faults(ours.door.database, ours.door.highwater)
            if any(one.last_added > now + CLOCK_DOUBT for one in collections):
                found.append("clock")
            self._looked = (now, found)
            return found
        finally:
            self._lock.release()

    def _readyz(self) -> Response:
        reasons = self.reasons()
        if not reasons:
            return Response(b'{"status":"ready"}', content_type=_JSON)
        body = msgspec.json.encode({"status": "not ready", "reasons": reasons})
        response = Response(body, status=503, content_type=_JSON)
        response.headers["Retry-After"] = "5"
        return response

    def _read_metrics(self) -> Response:
        if not self._may_read():
            raise NotFound
        return Response(self._metrics.text(self._gauges()), content_type=TEXT)

    def _may_read(self) -> bool:
        header = request.headers.get("Authorization")
        if header is None:
            return self._alone and _is_of_this_machine(request.environ)
        ours = face()
        now = ours.now()
        scheme, _, text = header.strip().partition(" ")
        with ours.door.database.reading() as tx:
            person = person_of(tx, text.strip(), now=now) if scheme.lower() == "bearer" else None
        if person is None:
            ours.rates.failed(request.remote_addr or "", now=now)
        return person is not None

    def _gauges(self) -> list[Gauge]:
        door = face().door
        with door.database.reading() as tx:
            found = links.states(tx)
        states = [found[link.name] for link in door.links if link.name in found]
        label = ("link",)
        return [
            Gauge("build", "The version that runs.", ("version",), [((__version__,), 1)]),
            Gauge("ready", "Whether the node can do all of its work.", (), [((), int(not self.reasons()))]),
            Gauge(
                "link_open",
                "Whether a link is open, and not paused.",
                label,
                [((one.name,), int(not one.paused)) for one in states],
            ),
            Gauge(
                "link_failures",
                "Rounds of a link that failed one after the other.",
                label,
                [((one.name,), one.failures) for one in states],
            ),
            Gauge(
                "link_last_success_timestamp_seconds",
                "When a round of a link last ended well.",
                label,
                [((one.name,), one.last_success / MICROSECONDS) for one in states if one.last_success],
            ),
            Gauge(
                "link_last_new_timestamp_seconds",
                "When a round of a link last moved something.",
                label,
                [((one.name,), one.last_new / MICROSECONDS) for one in states if one.last_new],
            ),
        ]


def _healthz() -> Response:
    with face().door.database.reading() as tx:
        catalog.node_row(tx)
    return Response(b'{"status":"ok"}', content_type=_JSON)


def _is_of_this_machine(environ: Mapping[str, Any]) -> bool:
    if any(name in environ for name in _PASSED_ON) or any(
        name.startswith("HTTP_X_FORWARDED") for name in environ
    ):
        return False
    try:
        return ipaddress.ip_address(environ.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
