"""The worker as a process: its log, its signals, and its new beginning when the database is another one.

Once the database's address leads to another server than before, everything that a round remembers may be
of a history that is gone. So the worker ends as if it were told to stop, the database is opened as at a
start, which begins a new history if one is due, and another worker begins. While that fails, it is tried
again, and the log says why.
"""

from __future__ import annotations

import logging
import signal
import threading

from node import clock
from node.cli.context import Context
from node.cli.exits import ATTENTION, DONE
from node.cli.partner_rounds import code_of, holder_of_leases, opener, sentence
from node.cli.printing import amount, clean
from node.cli.processes import stop_with_parent
from node.cli.watching import alerting
from node.errors import NodeError
from node.exchange import value_index
from node.sync.reports import Report
from node.sync.worker import Worker

REOPEN_SECONDS = 5.0

_log = logging.getLogger("stixnode.worker")


def work_until_told(context: Context) -> None:
    """Do the rounds of all links when they are due, until a signal says to stop."""
    _log_to_stderr()
    ended, working = threading.Event(), [_worker(context)]

    def stop(*_: object) -> None:
        ended.set()
        working[-1].stop()

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, stop)
    stop_with_parent()
    _log.info("working on %s of %s", amount(len(context.door.links), "link"), context.settings.node.name)
    working[-1].run()
    while not ended.is_set() and _opened_anew(context, ended):
        working.append(_worker(context))
        if ended.is_set():  # told while the new one was made, so that only the old one heard
            break
        working[-1].run()
    _log.info("stopped")


def _opened_anew(context: Context, ended: threading.Event) -> bool:
    """Whether the database of today is open; False when the worker was told to stop before."""
    while not ended.is_set():
        context.close()
        try:
            links = context.door.links
        except NodeError as cause:
            _log.warning("opening the database: %s %s", cause.problem, cause.remedy)
            ended.wait(REOPEN_SECONDS)
        else:
            _log.warning("the database was opened anew; working on %s", amount(len(links), "link"))
            return True
    return False


def _worker(context: Context) -> Worker:
    holder, door = holder_of_leases(), context.door
    tell = alerting(context.settings, door.database, holder, started=clock.now())

    def tend() -> None:
        tell()
        value_index.tend(door)

    return Worker(
        door=door,
        open_client=opener(context.settings),
        holder=holder,
        now=clock.now,
        on_report=_note,
        tend=tend,
    )


def _note(report: Report) -> None:
    serious = code_of(report) not in (DONE, ATTENTION)
    _log.log(logging.WARNING if serious else logging.INFO, "%s", clean(sentence(report)))


def _log_to_stderr() -> None:
    lines = logging.StreamHandler()
    lines.setFormatter(_Utc("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[lines])


class _Utc(logging.Formatter):
    """Log lines carry UTC, in the form of all our texts."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        del datefmt
        return clock.taxii_time(int(record.created * clock.MICROSECONDS))
