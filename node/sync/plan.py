"""Plan: what a round of a link would do, found out with the deciding half of the code itself.

Rule    Nothing is stored and nothing is sent. For what goes out, the feed's own decisions are shown; for
        what comes in, the partner's pages are admitted in transactions that are undone, so that a plan
        cannot say anything else than the round that follows it.

Reads   the feed; what the partner offers. Writes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from node.errors import UsageError
from node.exchange import feed_rows, feeds, ingress
from node.exchange.door import Door
from node.exchange.ingress import AdmitReport
from node.sharing.links import Link
from node.store import catalog
from node.store.database import Tx
from node.sync import listing
from node.sync.answers import FetchedPage
from node.sync.client import Partner
from node.sync.listing import Limits, Listing
from node.sync.own_kind import stop_if_closed
from node.sync.reports import PullReport, Stop


class PlanStep(NamedTuple):
    """One version in a plan.

    Args:
        goes: Whether it would cross (out), or be stored (in).
        outcome: `goes`, `withheld`, or an outcome of an arrival.
        remedy: For what is withheld: what would let it go; "" otherwise.
    """

    stix_id: str
    version: str
    goes: bool
    outcome: str
    reason: str
    detail: str
    remedy: str


@dataclass(slots=True)
class Plan:
    """What a round of one link would do.

    Args:
        closed: Why nothing crosses just now; "" when it does.
        complete: Whether everything was looked at.
        stopped, detail, remedy: Why a round would end before that, as in its report; None and "" if not.
    """

    link: str
    direction: str
    closed: str = ""
    steps: list[PlanStep] = field(default_factory=list)
    complete: bool = True
    stopped: Stop | None = None
    detail: str = ""
    remedy: str = ""

    @property
    def changes(self) -> int:
        """How many versions would cross."""
        return sum(step.goes for step in self.steps)

    def counts(self) -> Counter[str]:
        """Outcome, or reason of what is withheld -> number."""
        return Counter(step.reason or step.outcome for step in self.steps)


def plan(
    door: Door, link: Link, client: Partner | None, *, now: Callable[[], int], at_most: int = 10_000
) -> Plan:
    """What a round of a link would do now.

    Args:
        door: What the door judges by.
        link: Any link.
        client: Its partner, for what we fetch; without one an incoming link has an empty plan.
        now: Microseconds.
        at_most: Versions to look at.
    """
    found = Plan(link.name, link.direction)
    report = PullReport(link.name)
    with door.database.reading() as tx:
        collection = catalog.find_collection(tx, link.collection)
        if collection is None:
            raise UsageError(
                f"The flow {link.flow} has no collection {link.collection} here.",
                remedy=f"Run: stixnode collection add {link.collection}",
            )
        stop_if_closed(tx, report, link, collection, now=now())
    found.closed = report.detail
    if link.direction == "out":
        _plan_out(door, link, found, now=now(), at_most=at_most)
    elif client is not None and link.carrier == "us":
        _plan_in(door, link, client, found, now=now, at_most=at_most)
    return found


def _plan_out(door: Door, link: Link, found: Plan, *, now: int, at_most: int) -> None:
    with door.database.reading() as tx:
        steps = feeds.preview(tx, door, link, now=now, at_most=at_most)
        waiting = feed_rows.to_send(tx, link.name, at_most) if link.carrier == "us" else []
    found.complete = len(steps) < at_most
    shown: set[str] = set()
    for step in steps:
        if step.already:
            continue
        shown.add(step.stix_id)
        outcome = "goes" if step.allowed else "withheld"
        found.steps.append(
            PlanStep(
                step.stix_id, step.version_text, step.allowed, outcome, step.reason, step.detail, step.remedy
            )
        )
    for row in waiting:
        found.steps.append(PlanStep(row.stix_id, "", True, "goes", "", "It stands in the feed.", ""))


class _Undone(Exception):
    """Carries a report out of a transaction that must not last."""

    def __init__(self, report: AdmitReport) -> None:
        super().__init__()
        self.report = report


def _plan_in(
    door: Door, link: Link, client: Partner, found: Plan, *, now: Callable[[], int], at_most: int
) -> None:
    report = PullReport(link.name)
    with door.database.reading() as tx:
        run = listing.open_listing(tx, link, client, report, now=now, limits=Limits())

    def show(run: Listing, page: FetchedPage) -> None:
        _take_for_show(door, link, page.bodies, found, run.collection.collection_id, now=now())

    taker = listing.Taker(show, lambda _run, _epoch, _again: None, lambda _run: False)
    cursor: listing.Cursor | None = listing.start(run)
    while cursor is not None and len(found.steps) < at_most:
        cursor = listing.step(run, cursor, taker)
    found.complete = cursor is None and report.stopped is None
    if report.stopped is not Stop.RUN_LIMIT:
        found.stopped, found.detail = report.stopped, report.detail
        found.remedy = report.remedy


def _take_for_show(
    door: Door, link: Link, bodies: list[bytes], found: Plan, collection_id: int, *, now: int
) -> None:
    source = ingress.Source("pull", "worker", link)

    def work(tx: Tx) -> None:
        collection = catalog.lock(tx, collection_id)
        raise _Undone(ingress.admit(tx, door, collection, bodies, source, arrival_id=None, now=now))

    try:
        door.database.retrying(work)
    except _Undone as undone:
        for one in undone.report.results:
            goes = one.outcome in (ingress.Outcome.STORED, ingress.Outcome.RESTATED)
            found.steps.append(
                PlanStep(one.stix_id, one.version, goes, one.outcome.value, one.reason, one.message, "")
            )
