"""The stage of a history: one thread, one seed.

Rule    Everything that a node draws itself (epochs, secrets, ids) comes from the seed, its clock is the
        site's, and no thread is started: pages are fetched where they are taken, leases are not renewed,
        and no watch runs beside a request. What is put in place of these is put there from outside.
"""

from __future__ import annotations

import logging
import random
import secrets
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from flask import Flask

from node import clock
from node.sync import leases, listing
from node.sync.connection import Line
from node.web import create_app
from tests.simulation.acts import RING, Act, Plan
from tests.simulation.sites import Mortal, place
from tests.simulation.terms import Told, settings_of
from tests.simulation.world import World


class _Fetch:
    """Pages of a walk, fetched when they are taken: `sync.ahead` without its thread."""

    def __init__(self, fetch: Callable[[Any], Any], _interrupt: Callable[[], None]) -> None:
        self.fetch = fetch
        self.place: Any = None
        self.page: Any = None
        self.fault: Exception | None = None

    def begin(self, place: Any) -> None:
        """Fetch at once; a fault waits until the page is taken."""
        self.place, self.page, self.fault = place, None, None
        try:
            self.page = self.fetch(place)
        except Exception as cause:  # noqa: BLE001  it is raised again where the page is taken
            self.fault = cause

    def take(self, place: Any) -> Any:
        """The page."""
        begun, page, fault, self.place = self.place, self.page, self.fault, None
        if begun != place:
            return self.fetch(place)
        if fault is not None:
            raise fault
        return page

    def close(self) -> None:
        """Nothing is under way."""


class _NoThread:
    """In place of the thread that renews a lease: no round lasts a minute here."""

    def __init__(self, **_: Any) -> None:
        self.start = self.join = lambda: None


class _Complaints(logging.Handler):
    """Failures that the nodes log: here, where no disk is full, only a bug can bring them."""

    def __init__(self, wrong: list[str]) -> None:
        super().__init__(logging.ERROR)
        self.wrong = wrong

    def emit(self, record: logging.LogRecord) -> None:
        cause = f": {record.exc_info[1]!r}" if record.exc_info else ""
        self.wrong.append(f"{record.name}: {record.getMessage()}{cause}")


@contextmanager
def _listening(wrong: list[str]) -> Iterator[None]:
    complaints = _Complaints(wrong)
    loggers = [logging.getLogger(name) for name in ("node", "stixnode")]
    before = [each.propagate for each in loggers]
    for each in loggers:
        each.addHandler(complaints)
        each.propagate = False
    try:
        yield
    finally:
        for each, propagated in zip(loggers, before, strict=True):
            each.removeHandler(complaints)
            each.propagate = propagated


@contextmanager
def current(plan: Plan, folder: Path, act: Callable[[World, Act], None]) -> Iterator[World]:
    """A world whose chance is the seed's, for the length of a block."""
    # Before chance is the seed's: only the first world of a process makes them.
    applications = {name: _application(folder / name, name) for name in plan.names}
    chance = random.Random(f"nodes {plan.seed}")
    wrong: list[str] = []
    world = World(plan, folder, act, wrong)

    def octets(size: int = 32) -> bytes:
        return chance.randbytes(size)

    with (
        patch.object(uuid, "uuid4", lambda: uuid.UUID(bytes=chance.randbytes(16), version=4)),
        patch.object(secrets, "token_bytes", octets),
        patch.object(secrets, "token_hex", lambda size=32: octets(size).hex()),
        patch.object(clock, "now", world.now),
        patch.object(listing, "Ahead", _Fetch),
        patch.object(leases, "threading", SimpleNamespace(Event=threading.Event, Thread=_NoThread)),
        patch.object(Line, "_watched", lambda *_: nullcontext()),
        _listening(wrong),
    ):
        try:
            world.begin(applications)
            yield world
        finally:
            world.close()


@lru_cache(maxsize=16)
def _application(folder: Path, name: str) -> Flask:
    """The application of a name; each site puts its own state into it."""
    place(folder, name)
    settings = settings_of(folder, name, Told(RING, tuple((each, "pull") for each in RING)))
    database = Mortal(f"sqlite:///{folder / 'stixnode.db'}", name)
    app = create_app(settings, database)
    database.close()
    return app
