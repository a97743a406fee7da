"""Rounds of links from the command line: run, one partner after the other, and shown as one table.

A partner that cannot be reached, or for which another run is at work, does not keep the others.

Reads   the settings; writes through `node.sync`
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from node import clock
from node.cli.context import Context
from node.cli.exits import (
    DONE,
    INCOMPLETE,
    INTERRUPTED,
    LATER,
    NO_ACCESS,
    RULE,
    exit_code,
    most_serious,
    remedy_of,
)
from node.cli.printing import Printer, Value
from node.cli.standing import WENT_BACK
from node.config import Settings
from node.errors import NodeError, UsageError
from node.exchange import quarantine
from node.sharing.links import Link
from node.sync.client import Partner
from node.sync.holders import own_name
from node.sync.reports import PassiveReport, PullReport, PushReport, Report, ServeReport, Stop
from node.sync.worker import sync_once

STOPPED = {
    Stop.CLOSED: RULE,
    Stop.TERMS_DIFFER: RULE,
    Stop.NO_RIGHT: NO_ACCESS,
    Stop.NO_PROGRESS: LATER,
    Stop.RUN_LIMIT: LATER,
    Stop.UNCONFIRMED: LATER,
    Stop.INTERRUPTED: INTERRUPTED,
}
_HEADS = ("LINK", "TOOK", "STORED", "DUPL", "QUAR", "GAVE", "UNCHANGED", "WITHHELD", "HELD", "")


@dataclass(slots=True)
class Rounds:
    """What some rounds did, and which partners could not be begun with.

    Args:
        waiting: Links of which something waits in quarantine now.
    """

    reports: list[Report] = field(default_factory=list)
    failures: dict[str, NodeError] = field(default_factory=dict)
    waiting: frozenset[str] = frozenset()

    @property
    def code(self) -> int:
        """The exit code of the run."""
        codes = [code_of(each, waits=each.link in self.waiting) for each in self.reports]
        return most_serious([*codes, *(exit_code(each) for each in self.failures.values())])


def holder_of_leases() -> str:
    """Who we are, for the leases: no other process has this name."""
    return own_name()


def opener(settings: Settings) -> Callable[[str], Partner]:
    """What opens the client of a partner by its name."""
    bindings = {binding.name: binding for binding in settings.partners}

    def open_client(name: str) -> Partner:
        if name not in bindings:
            raise UsageError(f"There is no partner {name!r}.", remedy="See [partner.NAME] in config.toml.")
        return Partner(bindings[name], now=clock.now)

    return open_client


def run_rounds(context: Context, chosen: Sequence[Link]) -> Rounds:
    """One round of each of the links, what comes in first."""
    found = Rounds()
    holder, open_client = holder_of_leases(), opener(context.settings)
    for partner in sorted({link.partner for link in chosen}):
        theirs = [link for link in chosen if link.partner == partner]
        with context.out.progress(f"{partner}: {len(theirs)} links", None):
            try:
                found.reports += sync_once(
                    context.door,
                    theirs,
                    open_client,
                    holder=holder,
                    now=clock.now,
                    pause=threading.Event().wait,
                )
            except NodeError as cause:
                found.failures[partner] = cause
    with context.database.reading() as tx:
        found.waiting = frozenset(quarantine.waiting(tx))
    return found


def print_rounds(out: Printer, found: Rounds) -> int:
    """Show what the rounds did; the exit code."""
    out.table(_HEADS, [_row(each) for each in found.reports])
    for report in found.reports:
        _print_end(out, report, code_of(report, waits=report.link in found.waiting))
    for partner, cause in found.failures.items():
        out.line(f"{partner}: {cause.problem}")
        out.remedy(remedy_of(cause), indent=2)
        fields: dict[str, Value] = {"partner": partner, "problem": cause.problem, "remedy": remedy_of(cause)}
        out.record("failure", **fields, exit=exit_code(cause))
    out.next(*_next(found))
    return out.summary(found.code, links=len(found.reports), moved=sum(each.moved for each in found.reports))


def code_of(report: Report, *, waits: bool = True) -> int:
    """The exit code for one round.

    Args:
        report: What it did.
        waits: Whether anything of its link waits in quarantine; what a person discarded may be listed
            again for ever, and needs nobody.
    """
    if report.error is not None:
        return exit_code(report.error)
    if report.stopped is not None:
        return STOPPED[report.stopped]
    if isinstance(report, PullReport):
        aside = waits and report.outcomes["quarantined"]
        return INCOMPLETE if aside or report.outcomes["refused"] else DONE
    if isinstance(report, PushReport) and report.failed:
        return INCOMPLETE
    return 0


def sentence(report: Report) -> str:
    """One line for the log of the worker."""
    cells = [
        f"{head.lower()} {cell}" for head, cell in zip(_HEADS[1:-1], _row(report)[1:-1], strict=True) if cell
    ]
    end = report.detail if report.error is None else report.error.problem
    return " ".join([report.link, ", ".join(cells), _note(report), end]).strip()


def _row(report: Report) -> list[str]:
    cells = dict.fromkeys(_HEADS, "")
    cells["LINK"], cells[""] = report.link, _note(report)
    if isinstance(report, PullReport):
        counts = report.outcomes
        cells["TOOK"] = str(report.received)
        cells["STORED"] = str(counts["stored"] + counts["restated"])
        cells["DUPL"] = str(counts["duplicate"] + counts["echo"])
        cells["QUAR"] = str(counts["quarantined"])
    elif isinstance(report, PushReport):
        cells["GAVE"], cells["UNCHANGED"] = str(report.sent), str(report.unchanged)
        cells["WITHHELD"], cells["HELD"] = str(report.withheld), str(report.held)
    elif isinstance(report, ServeReport):
        cells["WITHHELD"] = str(report.withheld)
    return list(cells.values())


def _note(report: Report) -> str:
    if isinstance(report, ServeReport):
        return f"{report.entered} newly offered; they fetch"
    if isinstance(report, PassiveReport):
        return "they bring it"
    if isinstance(report, PushReport):
        parts = {"failed": report.failed, "unconfirmed": report.unconfirmed}
    else:
        parts = {each: report.outcomes[each] for each in ("refused", "variant", "suppressed")}
    return ", ".join(f"{number} {name}" for name, number in parts.items() if number)


def _print_end(out: Printer, report: Report, code: int) -> None:
    problem, remedy = report.detail, report.remedy
    if report.error is not None:
        problem, remedy = report.error.problem, report.error.remedy
    if problem:
        out.line(f"{report.link}: {problem}")
        out.remedy(remedy, indent=2)
    for warning in report.warnings:
        out.line(f"{report.link}: note: {warning}")
    fields: dict[str, Value] = {
        "link": report.link,
        "moved": report.moved,
        "stopped": None if report.stopped is None else report.stopped.value,
        "problem": problem,
        "remedy": remedy,
        "warnings": report.warnings,
        "exit": code,
    }
    if isinstance(report, PullReport):
        counted: dict[str, Value] = {"pages": report.pages, "received": report.received, **report.outcomes}
        out.record("pull", **fields, **counted, bookmark=report.bookmark)
    elif isinstance(report, PushReport):
        names = ("batches", "considered", "sent", "unchanged", "withheld", "held", "failed", "unconfirmed")
        out.record("push", **fields, **{name: getattr(report, name) for name in names})
    elif isinstance(report, ServeReport):
        out.record(
            "offer", **fields, considered=report.considered, entered=report.entered, withheld=report.withheld
        )
    else:
        out.record("passive", **fields)


def _next(found: Rounds) -> list[str]:
    closed = [each for each in found.reports if each.stopped is Stop.CLOSED]
    lost = sorted({each.link.split("/")[0] for each in closed if WENT_BACK in each.detail})
    if lost:
        return [f"stixnode resume {partner}" for partner in lost]
    if any(each.stopped is Stop.TERMS_DIFFER for each in found.reports):
        return ["stixnode agreement show"]
    pulled = [each for each in found.reports if isinstance(each, PullReport)]
    if any(each.outcomes["quarantined"] and each.link in found.waiting for each in pulled):
        return ["stixnode quarantine list"]
    if closed:
        return [f"stixnode plan {closed[0].link.split('/')[0]}"]
    return ["stixnode status"]
