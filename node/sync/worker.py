"""The worker: rounds of all links, again and again, until it is told to stop.

Rule    One worker at a time acts for a partner (`leases`). Each partner has a thread of its own, so that a
        slow one delays nobody. Feeds are advanced here too, so that a partner's GET need not wait, and so
        that what is urgent is known before a push is due.

        Told to stop, it ends what is under way with partners and waits a few seconds for all threads
        together. One that hangs in a connect or in the database is left behind: its step is stored whole
        or not at all.

Writes  through `leases`, `rounds`, `exchange.history` and `exchange.retention`
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from node.clock import MICROSECONDS
from node.errors import LockHeld, NodeError
from node.exchange import feed_rows, history, links, remarking, retention
from node.exchange.door import Door
from node.sharing.links import Link
from node.sync import rounds
from node.sync.client import Partner
from node.sync.leases import Hold, turn
from node.sync.listing import Limits
from node.sync.reports import PullReport, PushReport, Report, Stop

STOP_SECONDS = 4.0
ADVANCE_SECONDS = 2.0
RETENTION_SECONDS = 3600
FIRST_LOOK_SECONDS = 5.0
TEND_SECONDS = 60.0
_LOOK_SECONDS = 0.05

_log = logging.getLogger("stixnode.worker")


def sync_once(
    door: Door,
    chosen: Sequence[Link],
    open_client: Callable[[str], Partner],
    *,
    holder: str,
    now: Callable[[], int],
    pause: Callable[[float], bool],
    limits: Limits | None = None,
) -> list[Report]:
    """One round of each given link, what comes in first; an error on one does not keep the others.

    Where another run begins to act for a partner meanwhile, the report of the link that it overtook says so
    (`LockHeld`), and the partner's other links are left to that run.

    Args:
        door: What the door judges by.
        chosen: Links, of any partners.
        open_client: Gives the client of a partner by name; called once for each partner that needs one.
        holder: Who we are, for the lease: a text that no other process has.
        now: Microseconds.
        pause: Waits some seconds; True when the run must end.
        limits: Of each pull.

    Raises:
        LockHeld: Another run is at work for one of the partners; there is nothing to report.
    """
    reports: list[Report] = []
    partners = sorted({link.partner for link in chosen})
    with ExitStack() as held:
        turns = {
            partner: held.enter_context(turn(door.database, f"partner:{partner}", holder, now=now))
            for partner in partners
        }
        for partner in partners:
            ours = [link for link in chosen if link.partner == partner]
            hold = turns[partner].hold
            _rounds(door, ours, open_client, hold, reports, now=now, pause=pause, limits=limits)
    return reports


def _rounds(
    door: Door,
    ours: Sequence[Link],
    open_client: Callable[[str], Partner],
    hold: Hold,
    reports: list[Report],
    *,
    now: Callable[[], int],
    pause: Callable[[float], bool],
    limits: Limits | None,
) -> None:
    client: Partner | None = None
    try:
        for link in sorted(ours, key=lambda link: (link.direction != "in", link.name)):
            if link.carrier == "us" and client is None:
                client = open_client(link.partner)
            try:
                reports.append(
                    rounds.carry(door, link, client, now=now, pause=pause, limits=limits, hold=hold)
                )
            except LockHeld as cause:
                if not any(each.noteworthy or each.unfinished for each in reports):
                    raise
                kind = PullReport if link.direction == "in" else PushReport
                reports.append(kind(link.name, error=cause))
                break
    finally:
        if client is not None:
            client.close()


@dataclass(slots=True)
class Worker:
    """The worker of one process.

    Args:
        door: What the door judges by.
        open_client: Gives the client of a partner by name.
        holder: Who we are, for the leases.
        now: Microseconds.
        on_report: Told of every round that did something; for the log.
        tick_seconds: How often a thread looks whether a link is due.
        tend: Done every minute beside the rounds: alerts.
    """

    door: Door
    open_client: Callable[[str], Partner]
    holder: str
    now: Callable[[], int]
    on_report: Callable[[Report], None] = lambda _report: None
    tick_seconds: float = 1.0
    tend: Callable[[], object] | None = None
    stopping: threading.Event = field(default_factory=threading.Event)
    clients: dict[str, Partner] = field(default_factory=dict)

    def run(self) -> None:
        """Work until `stop` is called, then end within a few seconds."""
        partners = sorted({link.partner for link in self.door.links if link.carrier == "us"})
        threads = [
            threading.Thread(target=self._for_partner, args=(name,), name=f"partner {name}", daemon=True)
            for name in partners
        ]
        threads.append(threading.Thread(target=self._serve, name="feeds", daemon=True))
        threads.append(threading.Thread(target=self._tend, name="alerts", daemon=True))
        for thread in threads:
            thread.start()
        self.stopping.wait()
        for _ in range(round(STOP_SECONDS / _LOOK_SECONDS)):
            if not threads:
                return
            for client in list(self.clients.values()):
                client.end()  # again and again: it may be between two connections
            threads[0].join(_LOOK_SECONDS)
            threads = [thread for thread in threads if thread.is_alive()]
        _log.warning("left behind: %s", ", ".join(thread.name for thread in threads))

    def stop(self) -> None:
        """End the run; for a signal handler, so it only sets a flag."""
        self.stopping.set()

    def _for_partner(self, partner: str) -> None:
        ours = [link for link in self.door.links if link.partner == partner and link.carrier == "us"]
        while not self.stopping.is_set():
            with self._unbroken(f"the rounds with {partner}"):
                self._rounds_when_due(partner, ours)
            self.stopping.wait(self.tick_seconds)

    def _rounds_when_due(self, partner: str, ours: Sequence[Link]) -> None:
        if not self._due(ours):
            return
        with turn(self.door.database, f"partner:{partner}", self.holder, now=self.now) as ours_now:
            client = self.clients[partner] = self.open_client(partner)
            try:
                while not self.stopping.is_set() and (ready := self._due(ours)):
                    for link in ready:
                        if not self._round(link, client, ours_now.hold):
                            self.stopping.wait(self.tick_seconds)  # a partner that fails is not pressed
            finally:
                self.clients.pop(partner).close()

    def _round(self, link: Link, client: Partner, hold: Hold) -> bool:
        """Whether the partner did not fail."""
        while not self.stopping.is_set():
            report = rounds.carry(self.door, link, client, now=self.now, pause=self.stopping.wait, hold=hold)
            if report.moved or report.unfinished:
                self.on_report(report)
            if report.stopped is Stop.CLOSED:
                self._wait_for_opening(link)
            if report.stopped is not Stop.RUN_LIMIT:
                return report.error is None
        return True

    def _wait_for_opening(self, link: Link) -> None:
        # Without this a link whose agreement has ended would be due at every tick.
        self.door.database.retrying(lambda tx: links.note_try(tx, link.name, now=self.now()))

    def _due(self, ours: Sequence[Link]) -> list[Link]:
        with self.door.database.reading() as tx:
            states = links.states(tx)
            pushed = [link.name for link in ours if link.direction == "out"]
            urgent = {name for name in pushed if feed_rows.is_urgent(tx, name)}
        return rounds.due(ours, states, now=self.now(), urgent=urgent)

    def _serve(self) -> None:
        given = [link for link in self.door.links if link.direction == "out"]
        erased_at = 0
        while not self.stopping.is_set():
            with self._unbroken("advancing what partners fetch"):
                remarking.work_in(self.door, now=self.now())
                for link in given:
                    report = rounds.serve(self.door, link, now=self.now(), ended=self.stopping.is_set)
                    if report.moved and link.carrier == "them":
                        self.on_report(report)
            if self.now() - erased_at >= RETENTION_SECONDS * MICROSECONDS:
                with self._unbroken("retention"):
                    retention.erase_due(self.door, now=self.now())
                erased_at = self.now()
            self.stopping.wait(ADVANCE_SECONDS)

    def _tend(self) -> None:
        # Not at once: after a start everything is late, and the first rounds put that right.
        while not self.stopping.wait(TEND_SECONDS):
            if self.tend is not None:
                with self._unbroken("telling alerts"):
                    self.tend()
            with self._unbroken("pruning the history"):
                self._prune()

    def _prune(self) -> None:
        moment, names = self.now(), [link.name for link in self.door.links]
        with self.door.database.reading() as tx:
            found = history.surplus(tx, names, now=moment)
        if found:
            self.door.database.retrying(lambda tx: history.prune(tx, found, now=moment))

    @contextmanager
    def _unbroken(self, what: str) -> Iterator[None]:
        """Let no failure end a thread: a worker that lives but does nothing would be the worst of all."""
        try:
            yield
        except LockHeld:
            self.stopping.wait(FIRST_LOOK_SECONDS)
        except NodeError as cause:
            _log.warning("%s: %s %s", what, cause.problem, cause.remedy)
            if self.door.database.has_moved:
                self.stop()  # what is remembered of rounds may be of a history that is gone
            self.stopping.wait(FIRST_LOOK_SECONDS)
        except Exception:  # noqa: BLE001  logged whole; the thread of a partner must outlive any bug
            _log.exception("%s failed", what)
            self.stopping.wait(FIRST_LOOK_SECONDS)
