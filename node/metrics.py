"""What the node counts while it serves, and the text of it for Prometheus.

Rule: labels are few and ours: routes, methods, statuses, outcomes, names of links. Nothing that a client
wrote becomes a label, and no collection, account or object is named. Rooms below the server add to
`present`, which knows of no library; the server adds a finished request to `Metrics` once.

Several worker processes of one server share counts through files in a folder, emptied at its start. The
library decides that by its environment when it is imported, which is why it is imported late.

Reads   the environment, for that one variable
Writes  the folder of shared counts
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHARED = "PROMETHEUS_MULTIPROC_DIR"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)


class Present(threading.local):
    """What the work under way in this thread has cost and moved so far; set anew by who begins work.

    Attributes:
        account: Who asks, once that is known.
        statements: How many the database carried out.
        statement_seconds: How long it took for them.
        lock_seconds: How long a writer waited for its turn.
        commit_seconds: How long it took to make writes durable.
        objects_out: Objects, versions or entries that are handed out.
        outcomes: How many arriving objects had which outcome.
    """

    account: str = ""
    statements: int = 0
    statement_seconds: float = 0.0
    lock_seconds: float = 0.0
    commit_seconds: float = 0.0
    objects_out: int = 0
    outcomes: Mapping[str, int] = {}  # replaced as a whole, never changed

    def carried_out(self, began: float) -> None:
        """Count a statement that the database has carried out since then (`time.perf_counter`)."""
        self.statements += 1
        self.statement_seconds += time.perf_counter() - began

    def begin(self) -> dict[str, Any]:
        """Begin at nothing; what had been counted before, for `resume`."""
        counted = dict(self.__dict__)
        self.__dict__.clear()
        return counted

    def resume(self, counted: Mapping[str, Any]) -> None:
        """Go on with what had been counted before."""
        self.__dict__.clear()
        self.__dict__.update(counted)


present = Present()


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number as it is at this moment, one sample for each row of label values."""

    name: str
    help: str
    labels: tuple[str, ...]
    samples: Sequence[tuple[tuple[str, ...], float]]


def share(folder: Path) -> None:
    """Let the worker processes that begin from here on share their counts, which start at nothing."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    os.environ[SHARED] = str(folder)


def keep_apart() -> None:
    """Let this process count for itself, whatever the environment said."""
    os.environ.pop(SHARED, None)


class Metrics:
    """The counts of one server."""

    def __init__(self) -> None:
        # It reads its environment when it is imported, and no command but the server needs it.
        import prometheus_client as library  # noqa: PLC0415

        library.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._library = library
        self._folder = os.environ.get(SHARED)
        self._registry = library.CollectorRegistry()
        if not self._folder:
            library.ProcessCollector(registry=self._registry)
        own = None if self._folder else self._registry

        def counter(name: str, about: str, *labels: str) -> Any:
            return library.Counter(f"stixnode_{name}", about, labels, registry=own)

        self._requests = counter("requests", "Requests answered.", "route", "method", "status")
        self._seconds = library.Histogram(
            "stixnode_request_seconds", "Time to an answer.", ["route"], registry=own, buckets=BUCKETS
        )
        self._bytes = counter("answer_bytes", "Bytes of answers, as they were sent.")
        self._out = counter("objects_out", "Objects, versions or entries handed out.")
        self._in = counter("objects_in", "Objects posted, by what became of them.", "outcome")
        self._logins = counter("login_failures", "Credentials that were wrong or had expired.")
        self._slowed = counter("slowed_requests", "Requests over a limit of [limits], answered with 429.")
        self._failures = counter("failures", "Requests that the server could not carry out (5xx).")
        database = counter("database_seconds", "Time spent on the database.", "part")
        self._database = [database.labels(part) for part in ("statement", "lock", "commit")]
        # Looking a label up costs more than adding to it.
        self._known: dict[tuple[str, str, int], tuple[Any, Any]] = {}
        self._outcomes: dict[str, Any] = {}

    def request(
        self, *, route: str, method: str, status: int, seconds: float, sent: int, presented: bool
    ) -> None:
        """Count an answered request, with what `present` has of it.

        Args:
            route: The rule of its address, `-` where there is none.
            method: One that is served; `-` for any other.
            status: Of the answer.
            seconds: From its arrival to its answer.
            sent: Bytes of the answer's body.
            presented: It came with credentials.
        """
        known = self._known.get((route, method, status))
        if known is None:
            labelled = (self._requests.labels(route, method, str(status)), self._seconds.labels(route))
            known = self._known.setdefault((route, method, status), labelled)
        known[0].inc()
        known[1].observe(seconds)
        self._bytes.inc(sent)
        if status >= 400:
            self._refused(status, presented)
        found = present
        if found.objects_out:
            self._out.inc(found.objects_out)
        for outcome, count in found.outcomes.items():
            if status < 400:
                self._outcome(outcome).inc(count)
        if found.statements:
            self._database[0].inc(found.statement_seconds)
            if found.lock_seconds or found.commit_seconds:
                self._database[1].inc(found.lock_seconds)
                self._database[2].inc(found.commit_seconds)

    def text(self, gauges: Iterable[Gauge] = ()) -> bytes:
        """Everything that was counted, by all processes that share their counts, and these gauges."""
        library, registry = self._library, self._registry
        if self._folder:
            from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

            registry = library.CollectorRegistry()
            MultiProcessCollector(registry, path=self._folder)  # type: ignore[no-untyped-call]
        now = library.CollectorRegistry(auto_describe=False)
        now.register(_Now([_family(each) for each in gauges]))
        return bytes(library.generate_latest(registry) + library.generate_latest(now))

    def _refused(self, status: int, presented: bool) -> None:
        if status == 401 and presented:
            self._logins.inc()
        elif status == 429:
            self._slowed.inc()
        elif status >= 500:
            self._failures.inc()

    def _outcome(self, word: str) -> Any:
        found = self._outcomes.get(word)
        if found is None:
            found = self._outcomes[word] = self._in.labels(word)
        return found


class _Now:
    """What is asked for at the moment of a reading, in the library's form."""

    def __init__(self, families: list[Any]) -> None:
        self._families = families

    def collect(self) -> list[Any]:
        return self._families


def _family(gauge: Gauge) -> Any:
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415  as the library itself

    family = GaugeMetricFamily(f"stixnode_{gauge.name}", gauge.help, labels=gauge.labels)
    for labels, value in gauge.samples:
        family.add_metric(labels, value)
    return family
