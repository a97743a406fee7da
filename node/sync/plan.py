"""Plan: what a round of a link would do, found out with the deciding half of the code itself.

Rule    Nothing is stored and nothing is sent. For what goes out, the feed's own decisions are shown; for
        what comes in, the partner's pages are admitted in transactions that are undone, so that a plan
        cannot say anything else than the round that follows it. What one page used up of a limit is
        carried to the next, as it would be.

        A file is planned as if it were here already: for a link that gives, imported and then judged; for
        one that takes, as the partner's own. That is one transaction, undone, without asking anybody.

Reads   the feed; what the partner offers, or a file. Writes nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from node.errors import NodeError, UsageError
from node.exchange import feed_rows, fullness, ingress, previewing, quotas
from node.exchange.door import Door
from node.exchange.ingress import Outcome, Result, Source
from node.exchange.previewing import Step
from node.exchange.quotas import Standing
from node.sharing.decisions import Reason
from node.sharing.links import Link
from node.store import catalog
from node.store.catalog import Collection
from node.store.database import Tx
from node.sync import listing
from node.sync.answers import FetchedPage
from node.sync.client import Partner
from node.sync.listing import Limits, Listing
from node.sync.own_kind import stop_if_closed
from node.sync.reports import PullReport, Stop

GOES, WAITS, WITHHELD, TAKEN_OUT, ALREADY = "goes", "waits", "withheld", "taken_out", "already"
MOST_LOOKED_AT = 1_000_000
ARRIVES = (Outcome.STORED, Outcome.RESTATED)
_ENTRY = re.compile(r"^set_aside: | \(q-[0-9a-f]{10}\)$")
PLANNER = "worker"  # whose name stands in transactions that are undone


class PlanStep(NamedTuple):
    """One version in a plan.

    Args:
        goes: Whether it would cross (out), or be stored (in).
        outcome: Out: `goes`, `waits` for a reference, `withheld`, `taken_out` of what the partner is offered,
            `already` there (of a file), or `refused` by the import (of a file). In: as arrivals are counted.
        reason: Why it would not; "" otherwise.
        remedy: What would let it cross; "" otherwise.
        digest: Of what would cross; empty where it could not be read.
    """

    stix_id: str
    version: str
    goes: bool
    outcome: str
    reason: str
    detail: str
    remedy: str
    digest: bytes = b""


@dataclass(slots=True)
class Plan:
    """What a round of one link would do.

    Args:
        closed: Why nothing crosses just now; "" when it does.
        complete: Whether everything was looked at.
        stopped, detail, remedy, error: Why a round would end before that, as in its report.
        limits: How the partner of an incoming link stands to its limits of today.
        standing: How many versions the partner of an outgoing link is offered now.
        percent: So much of that may vanish at once before it is told apart; 0 is never.
    """

    link: str
    direction: str
    closed: str = ""
    steps: list[PlanStep] = field(default_factory=list)
    complete: bool = True
    error: NodeError | None = None
    stopped: Stop | None = None
    detail: str = ""
    remedy: str = ""
    limits: Standing | None = None
    standing: int = 0
    percent: int = 0

    @property
    def changes(self) -> int:
        """How many versions would cross, or no longer be offered."""
        return sum(step.goes or step.outcome == TAKEN_OUT for step in self.steps)

    @property
    def taken_out(self) -> int:
        """How many the partner would no longer be offered."""
        return sum(step.outcome == TAKEN_OUT for step in self.steps)

    @property
    def limited(self) -> int:
        """How many would wait for a person because of a limit of the day."""
        return sum(step.reason in quotas.REASONS for step in self.steps)

    @property
    def vanishing(self) -> int:
        """How many the partner would no longer be offered, if that is a large share; else 0."""
        return self.taken_out if quotas.over_share(self.taken_out, self.standing, self.percent) else 0

    def counts(self) -> Counter[str]:
        """Outcome, or reason of what would not cross -> number."""
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
    found = _begun(door, link, now=now())
    if link.direction == "out":
        _plan_out(door, link, found, now=now(), at_most=at_most)
    elif client is not None and link.carrier == "us":
        _plan_in(door, link, client, found, now=now, at_most=at_most)
    return found


def would_vanish(door: Door, link: Link, *, now: int) -> Plan | None:
    """What an outgoing link would do if these were its terms; None if they decide what they decide now.

    Args:
        door: What the door judges by.
        link: An outgoing link, derived from the agreement that is to hold.
        now: Microseconds.
    """
    with door.database.reading() as tx:
        feed = feed_rows.feed(tx, link.name)
    if feed is None or feed.policy_digest == link.policy_digest:
        return None
    return plan(door, link, None, now=lambda: now, at_most=MOST_LOOKED_AT)


def plan_file(door: Door, link: Link, parts: Iterable[Sequence[bytes]], *, now: int) -> Plan:
    """What would become of the objects of a file.

    Args:
        door: What the door judges by.
        link: Outgoing: they would be imported into its collection and judged for its partner. Incoming: its
            partner would bring them.
        parts: Bodies in the order of work, in parts that fit into memory.
        now: Microseconds.
    """
    found = _begun(door, link, now=now)
    bodies, incoming = list(parts), link.direction == "in"
    source = Source("pull", PLANNER, link) if incoming else Source("import", PLANNER)

    def work(tx: Tx) -> None:
        collection = catalog.lock(tx, _collection(tx, link).collection_id)
        tally = quotas.Tally()
        results: list[Result] = []
        for part in bodies:
            try:
                report = ingress.admit(tx, door, collection, part, source, arrival_id=0, now=now, tally=tally)
            except fullness.QuarantineFull as cause:
                found.error, found.complete = _full(tx, link, cause), False
                break
            results += report.results
        if incoming:
            raise _Undone([_arriving(link, one) for one in results], tally)
        raise _Undone(_gated(tx, door, link, results, now=now), tally)

    with door.database.reading() as tx:
        into = _collection(tx, link)
    for part in bodies:
        ingress.look_ahead(into, part)
    try:
        door.database.retrying(work)
    except _Undone as undone:
        found.steps = undone.steps
    return found


class _Undone(Exception):
    """Carries what was found out of a transaction that must not last."""

    def __init__(self, steps: list[PlanStep], tally: quotas.Tally) -> None:
        super().__init__()
        self.steps, self.tally = steps, tally


def _begun(door: Door, link: Link, *, now: int) -> Plan:
    found = Plan(link.name, link.direction, percent=link.stricter.max_revoked_percent_in_per_day)
    report = PullReport(link.name)
    with door.database.reading() as tx:
        stop_if_closed(tx, report, link, _collection(tx, link), now=now)
        if link.direction == "in":
            found.limits = quotas.standing(tx, link, now=now)
        else:
            states = feed_rows.states(tx, link.name)
            found.standing = sum(number for state, (number, _) in states.items() if state != feed_rows.OUT)
    found.closed = report.detail
    return found


def _collection(tx: Tx, link: Link) -> Collection:
    collection = catalog.find_collection(tx, link.collection)
    if collection is None:
        raise UsageError(
            f"The flow {link.flow} has no collection {link.collection} here.",
            remedy=f"Run: stixnode collection add {link.collection}",
        )
    return collection


def _plan_out(door: Door, link: Link, found: Plan, *, now: int, at_most: int) -> None:
    with door.database.reading() as tx:
        steps, found.complete = previewing.preview(tx, door, link, now=now, at_most=at_most)
        waiting = feed_rows.to_send(tx, link.name, at_most) if link.carrier == "us" else []
    leaving = {(step.stix_id, step.digest) for step in steps if step.already and not step.allowed}
    found.steps += [_leaving(step) for step in steps if not (step.already and step.allowed)]
    for row in waiting:
        if (row.stix_id, row.digest) not in leaving:
            detail = "It stands in the feed."
            found.steps.append(PlanStep(row.stix_id, "", True, GOES, "", detail, "", row.digest))


def _leaving(step: Step) -> PlanStep:
    if step.allowed:
        outcome = GOES
    elif step.already:
        outcome = TAKEN_OUT
    else:
        outcome = WAITS if step.reason == Reason.WAITS_FOR_REFERENCE else WITHHELD
    name, text = step.stix_id, step.version_text
    return PlanStep(name, text, step.allowed, outcome, step.reason, step.detail, step.remedy, step.digest)


def _gated(tx: Tx, door: Door, link: Link, results: Sequence[Result], *, now: int) -> list[PlanStep]:
    """What the gate says of each object of a file, as far as the import would keep it."""
    ids = sorted({one.stix_id for one in results if not one.failed})
    judged: dict[tuple[str, str], list[Step]] = {}
    for step in previewing.preview_of(tx, door, link, ids, now=now):
        judged.setdefault((step.stix_id, step.version_text), []).append(step)
    found: list[PlanStep] = []
    for one in results:
        if one.failed:
            found.append(PlanStep(one.stix_id, one.version, False, "refused", one.reason, one.message, ""))
            continue
        for step in judged.pop((one.stix_id, one.version), ()):
            told = _leaving(step)
            if step.already and step.allowed:
                told = told._replace(goes=False, outcome=ALREADY)
            found.append(told)
    return found


def _arriving(link: Link, one: Result) -> PlanStep:
    # Nothing was stored, so the entry that the sentence names may not be there.
    detail = _ENTRY.sub("", one.message)
    remedy = quotas.remedy(one.reason, link.partner, aside=False)
    goes = one.outcome in ARRIVES
    return PlanStep(one.stix_id, one.version, goes, one.outcome.value, one.reason, detail, remedy)


def _plan_in(
    door: Door, link: Link, client: Partner, found: Plan, *, now: Callable[[], int], at_most: int
) -> None:
    report = PullReport(link.name)
    with door.database.reading() as tx:
        run = listing.open_listing(tx, link, client, report, now=now, limits=Limits())
        waiting = fullness.load(tx, link.partner).objects
    show = _Show(door, link, found, waiting)
    taker = listing.Taker(show.take, lambda _run, _epoch, _again: None, lambda _run: False)
    cursor: listing.Cursor | None = listing.start(run)
    while cursor is not None and len(found.steps) < at_most and found.error is None:
        cursor = listing.step(run, cursor, taker)
    found.complete = cursor is None and report.stopped is None and found.error is None
    if report.stopped not in (None, Stop.RUN_LIMIT):
        found.stopped, found.detail = report.stopped, report.detail
        found.remedy = report.remedy


@dataclass(slots=True)
class _Show:
    """Admits pages for show; `waiting` is how much of the partner's would wait for a person by now."""

    door: Door
    link: Link
    found: Plan
    waiting: int
    tally: quotas.Tally = field(default_factory=quotas.Tally)

    def take(self, run: Listing, page: FetchedPage) -> None:
        """Note what would become of one page; the plan ends where the round would."""
        moment, source = run.now(), Source("pull", PLANNER, self.link)

        def work(tx: Tx) -> None:
            collection = catalog.lock(tx, run.collection.collection_id)
            tally = replace(self.tally)
            report = ingress.admit(
                tx, self.door, collection, page.bodies, source, arrival_id=0, now=moment, tally=tally
            )
            raise _Undone([_arriving(self.link, one) for one in report.results], tally)

        try:
            self.door.database.retrying(work)
        except fullness.QuarantineFull as cause:
            self.found.error = cause
        except _Undone as undone:
            aside = sum(step.outcome == Outcome.QUARANTINED for step in undone.steps)
            most = self.link.stricter.max_quarantine_objects
            if aside and most and self.waiting >= most:
                self.found.error = _would_be_full(self.link, self.waiting)
                return
            self.waiting += aside
            self.found.steps += undone.steps
            self.tally = undone.tally


def _full(tx: Tx, link: Link, cause: NodeError) -> NodeError:
    """What is said of a quarantine that is full, or would be: what was admitted so far is undone later."""
    waiting, most = fullness.load(tx, link.partner).objects, link.stricter.max_quarantine_objects
    return _would_be_full(link, waiting) if most and waiting >= most else cause


def _would_be_full(link: Link, waiting: int) -> NodeError:
    return fullness.QuarantineFull(
        f"The round would end here: {waiting:,} objects of {link.partner} would wait in quarantine, and"
        f" {link.stricter.max_quarantine_objects:,} may.",
        remedy="Nothing is lost: it goes on from there once a person has looked at what waits.",
    )
