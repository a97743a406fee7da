"""The sites of one history, and what lies between them: one time, the messages, and one record.

The record is what crossed and what each act did; its digest says whether two runs were the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import requests
from flask import Flask

from node.config import Settings
from node.sync.client import Partner
from tests.simulation import foreign, watching
from tests.simulation.acts import Act, Plan
from tests.simulation.readers import Reader, readers
from tests.simulation.sites import Crash, Site, place
from tests.simulation.terms import Told, settings_of
from tests.simulation.wire import BUSY, Answered, Asked, Wire, call
from tests.support.builders import NOON
from tests.support.partner import SimulatedPartner

REMEMBERED = 40


class World:
    """One history under way.

    Args:
        plan: What it is made of.
        folder: Where its files go.
        act: Carries out an act; for those that take place meanwhile.
        wrong: Gets every violation.
    """

    def __init__(self, plan: Plan, folder: Path, act: Callable[[World, Act], None], wrong: list[str]) -> None:
        self.plan, self.folder, self.act, self.wrong = plan, folder, act, wrong
        self.time = NOON
        self.lines: list[str] = []
        self.sent: list[Asked] = []
        self.trips: list[_Trip] = []
        self.faults_off = False
        self.server: SimulatedPartner | None = None
        self.sites: dict[str, Site] = {}
        self.readers: dict[str, list[Reader]] = {}
        self.acting = ""
        self.rounds = 0

    def begin(self, applications: Mapping[str, Flask]) -> None:
        """Let every site begin, over an empty database, with its links open.

        Args:
            applications: One for each name.
        """
        for name in self.plan.names:
            if name == self.plan.foreign:
                self.server = foreign.a_foreign_server(self.plan)
            else:
                self._begin(name, applications[name])
                self.readers[name] = readers()

    def forget_looks(self) -> None:
        """Another act begins."""
        for site in self.sites.values():
            site.looks = 0

    def now(self) -> int:
        """What the clock of the site says that acts."""
        site = self.sites.get(self.acting)
        return self.time if site is None else site.now()

    def close(self) -> None:
        """Let all databases go."""
        for site in self.sites.values():
            site.end()

    def note(self, line: str) -> None:
        """One line of the record."""
        self.lines.append(line)

    def digest(self) -> str:
        """Of the whole record."""
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()

    def settings(self, site: str, *, terms: str, narrow: bool) -> Settings:
        """What a site is told."""
        plan = self.plan
        told = Told(plan.names, plan.carry, plan.room, plan.onward, plan.keep_days, terms, narrow)
        return settings_of(self.folder / site, site, told)

    def client(self, site: Site, partner: str) -> Partner:
        """A client of one site for another."""
        (binding,) = [one for one in site.settings.partners if one.name == partner]
        return Partner(binding, now=site.now, transport=Wire(self, site.name, partner))

    def holder(self) -> str:
        """The name of a worker that no other has."""
        self.rounds += 1
        return f"worker {self.rounds}"

    @contextmanager
    def on_a_trip(self, act: Act) -> Iterator[None]:
        """The messages sent in this block have the faults of an act."""
        self.trips.append(_Trip(act))
        try:
            yield
        finally:
            self.trips.pop()

    def carried(self, asked: Asked) -> Answered:
        """The answer to a request, as far as it comes back.

        Raises:
            requests.ConnectionError: It does not.
            Crash: The process that asked has ended meanwhile.
        """
        self._sending(asked)  # what takes place meanwhile comes too late for these bytes
        fault, where = self._next_fault(asked)
        if fault == "lose request":
            raise requests.ConnectionError("the request was lost")
        if fault == "busy":
            return Answered(*BUSY)
        answered = self._asked(asked, cut=where if fault == "cut request" else None)
        if fault == "cut request":
            raise requests.ConnectionError("the request was cut")
        if fault.startswith("twice"):
            again = self._asked(asked)
            answered = answered if fault == "twice, first answer" else again
        if fault == "lose answer":
            raise requests.ConnectionError("the answer was lost")
        if fault.startswith("cut answer"):
            headers = dict(answered.headers)
            if fault == "cut answer unseen":
                headers.pop("Content-Length", None)
            answered = Answered(answered.status, headers, answered.body[: where % (len(answered.body) + 1)])
        return answered

    def again(self, back: int) -> None:
        """Let a request that was sent before arrive once more; nobody hears the answer."""
        if back <= len(self.sent):
            with suppress(requests.ConnectionError):
                self._asked(self.sent[-back])

    def _next_fault(self, asked: Asked) -> tuple[str, int]:
        if not self.trips or self.faults_off:
            return "", 0
        trip = self.trips[-1]
        number, trip.number = trip.number, trip.number + 1
        client = self.sites[asked.client]
        process = client.database
        for at, act in trip.act.meanwhile:
            if at == number:
                self.act(self, act)
        if client.database is not process or process.dead:
            raise Crash(asked.client)
        faults = {at: (fault, where) for at, fault, where in trip.act.faults}
        return faults.get(number, ("", 0))

    def _sending(self, asked: Asked) -> None:
        self.wrong += watching.leaving(self, asked, None)
        self.sent = [*self.sent[1 - REMEMBERED :], asked]

    def _asked(self, asked: Asked, *, cut: int | None = None) -> Answered:
        whole = len(asked.body)
        if cut is not None:
            asked = asked._replace(body=asked.body[: cut % (whole + 1)])
        answered = (
            self._by_foreign(asked, whole) if asked.server not in self.sites else self._by_site(asked, whole)
        )
        self.wrong += watching.leaving(self, asked, answered)
        self.wrong += watching.accepted(self, asked, answered)
        self.note(
            f"{asked.client} {asked.method} {asked.server}{asked.path} {_short(asked.body)}"
            f" -> {answered.status} {_short(answered.body)}"
        )
        return answered

    def _by_foreign(self, asked: Asked, whole: int) -> Answered:
        assert self.server is not None  # no other site is without a node
        return foreign.ask(self.server, asked, whole=len(asked.body) == whole)

    def _by_site(self, asked: Asked, whole: int) -> Answered:
        site, before = self.sites[asked.server], self.acting
        self.acting = site.name
        try:
            answered = call(site.app, asked, length=whole)
        except Crash as crash:
            if crash.site == site.name and site.database.dead:
                self.reborn(site)
            raise requests.ConnectionError("the server ended") from crash
        finally:
            self.acting = before
        if answered.status >= 500:
            self.wrong.append(f"{site.name} answered {answered.status}: {answered.body!r}")
        return answered

    def reborn(self, site: Site) -> None:
        """Begin another process of a site, whatever else ends on the way."""
        site.database.left = None
        before, self.acting = self.acting, site.name
        site.restart()
        self.acting = before
        self.note(f"{site.name} began again")

    def _begin(self, name: str, app: Flask) -> None:
        folder = self.folder / name
        place(folder, name)
        settings = self.settings(name, terms="wide", narrow=False)
        site = Site(name, folder, app, lambda: self.time, settings)
        self.acting, self.sites[name] = name, site
        site.start()
        site.resume()
        site.copy_files()


class _Trip:
    """How many messages of an act have been sent."""

    def __init__(self, act: Act) -> None:
        self.act, self.number = act, 0


def _short(body: bytes) -> str:
    return f"{len(body)}:{hashlib.sha256(body).hexdigest()[:8]}" if body else "-"
