"""What was carried, when and how it ended: runs for as long as they help, daily totals for ever.

Rule    An object is counted in the transaction that stores, settles, withholds or hands it over, so that
        totals and books cannot differ, whatever ends a round. What writes nothing counts nothing: what is
        merely listed again, or fetched again.

        A run is entered when something moved, was set aside or failed. The same end again is one row with
        a count, unless the link was well in between for longer than an hour; and what a partner does
        within a minute is one visit. So neither a partner that is away for a week nor one that fetches
        a page a second fills the books. The newest thousand of a link are
        kept, for ninety days.

        Runs and totals are the last rows that a transaction touches, runs before totals and totals in
        order of their names, so that two transactions never wait for one another.

Writes  tables run, daily_total
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from node.clock import MICROSECONDS
from node.errors import UsageError
from node.sharing.links import Link
from node.store.database import Tx, spelled

DAY = 86_400 * MICROSECONDS
KEPT_RUNS, KEPT_DAYS = 1_000, 90
NAMED = 5
MOST_ARRIVALS = 20
WORDS = {
    "pull": "pulled",
    "push": "pushed",
    "offer": "made ready",
    "fetch": "they fetched",
    "bring": "they brought",
}
RECEIVED = (
    "stored", "duplicate", "restated", "variant", "echo", "suppressed", "refused", "quarantined",
)  # fmt: skip
CONSIDERED = ("sent", "unchanged", "withheld", "held", "failed", "unconfirmed")
MOVED = ("stored", "restated", "quarantined", "sent", "failed", "offered")
_VISITS = ("offer", "fetch", "bring")
_SAME_OUTAGE = 3_600 * MICROSECONDS
_SAME_VISIT, _LONGEST_VISIT = 60 * MICROSECONDS, 3_600 * MICROSECONDS
_NAME = re.compile(r"r-0*([1-9][0-9]{0,17})")
_MOST_TEXT = 500


class Run(NamedTuple):
    """One round of a link, or one visit of its partner.

    Args:
        number: Given when it is entered.
        kind: `pull`, `push`, `offer` (made ready what the partner fetches), `fetch` or `bring` (by them).
        carrier: Who acts on the link: `us` or `them`.
        started, ended: Microseconds; `ended` of the last time.
        times: How often it came out the same, one after the other.
        reason: Why it ended early, in a word; "" when it did not.
        counts: Of `RECEIVED`, or of `CONSIDERED` and `offered`.
        named: Counter -> the first ids.
        arrivals: Numbers of the arrivals that it made.
        bytes: Of the bodies that crossed, both ways.
    """

    number: int
    link: str
    kind: str
    carrier: str
    started: int
    ended: int
    times: int
    reason: str
    problem: str
    remedy: str
    counts: Mapping[str, int]
    named: Mapping[str, Sequence[str]]
    arrivals: Sequence[int]
    pages: int = 0
    requests: int = 0
    bytes: int = 0

    @property
    def name(self) -> str:
        """What people call it: `r-0412`."""
        return f"r-{self.number:04}"

    @property
    def moved(self) -> int:
        """Objects that crossed, were set aside or newly offered."""
        return sum(self.counts.get(each, 0) for each in MOVED)


class Total(NamedTuple):
    """One counter of one link on one day (days since 1970 in UTC)."""

    link: str
    day: int
    counter: str
    number: int


_FIELDS = ", ".join(Run._fields)
_WRITTEN = tuple(name for name in Run._fields if name != "number")
_INSERT = sa.text(
    f"insert into run ({', '.join(_WRITTEN)}) values ({', '.join(':' + name for name in _WRITTEN)})"
)
_CHANGE = sa.text(
    "update run set ended = :ended, times = :times, problem = :problem, remedy = :remedy, counts = :counts,"
    " named = :named, arrivals = :arrivals, pages = :pages, requests = :requests, bytes = :bytes"
    " where number = :number"
)
_LAST = spelled(
    f"select {_FIELDS} from run where link = :link and kind = :kind order by number desc limit 1",
    f"select {_FIELDS} from run where link = :link and kind = :kind order by number desc limit 1 for update",
)
_OF_LINK = sa.text(
    f"select {_FIELDS} from run where link = :link and ended >= :since order by number desc limit :n"
)
_ONE = sa.text(f"select {_FIELDS} from run where number = :number")
_BORDER = sa.text("select number from run where link = :link order by number desc limit 1 offset :kept")
_ANY_OLD = sa.text("select 1 from run where ended < :before limit 1")
_DROP = sa.text("delete from run where link = :link and number <= :number")
_DROP_OLD = sa.text("delete from run where ended < :before")
_COUNT = sa.text(
    "insert into daily_total (link, day, counter, number) values (:link, :day, :counter, :number)"
    " on conflict (link, day, counter) do update set number = daily_total.number + excluded.number"
)
_TOTALS = sa.text(
    "select link, day, counter, number from daily_total where day between :first and :last"
    " order by day, link, counter"
)


def count(tx: Tx, link: str, counts: Mapping[str, int], *, now: int) -> None:
    """Add to the totals of a link for the day; nothing is written for nothing.

    Args:
        tx: The transaction that does what is counted; nothing but other totals is written after this.
        link: Its name.
        counts: Counter -> number.
        now: Microseconds.
    """
    day = now // DAY
    rows = [(name, int(number)) for name, number in sorted(counts.items()) if number > 0]
    tx.many(_COUNT, [{"link": link, "day": day, "counter": name, "number": number} for name, number in rows])


def enter(tx: Tx, run: Run, *, well_at: int = 0) -> None:
    """Enter a run; one that came out as the last of its kind, or goes on where that ended, is added to it.

    Args:
        tx: The transaction that does what is told.
        run: Without a number.
        well_at: When the link last ended a round well, of which no run need tell; 0 when that says nothing.
    """
    row = tx.row(_LAST, link=run.link, kind=run.kind)
    last = None if row is None else _run(row)
    over = last is not None and last.ended < well_at and run.started - last.ended > _SAME_OUTAGE
    if last is not None and not over and _same_again(last, run):
        tx.run(_CHANGE, **_values(run._replace(number=last.number, times=last.times + run.times)))
    elif last is not None and _goes_on(last, run):
        tx.run(_CHANGE, **_values(_joined(last, run)))
    else:
        values = _values(run)
        del values["number"]
        tx.run(_INSERT, **values)


def note_fetched(tx: Tx, link: Link, number: int, ids: Sequence[str], *, now: int) -> None:
    """A partner fetches objects that it never had; their transaction writes that they are handed over.

    Args:
        tx: That transaction.
        link: The outgoing link.
        number: How many.
        ids: Theirs; more where another request was quicker.
        now: Microseconds.
    """
    if number:
        enter(tx, visit(link, "fetch", {"sent": number}, {"sent": ids[:NAMED]}, now=now))
        count(tx, link.name, {"sent": number}, now=now)


def visit(
    link: Link,
    kind: str,
    counts: Mapping[str, int],
    named: Mapping[str, Sequence[str]],
    *,
    arrival: int | None = None,
    size: int = 0,
    now: int,
) -> Run:
    """What a partner did in one request, to be entered."""
    arrivals = [] if arrival is None else [arrival]
    counted = {name: number for name, number in counts.items() if number}
    return Run(0, link.name, kind, "them", now, now, 1, "", "", "", counted, named, arrivals, 1, 1, size)


def first_named(outcomes: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The first ids of each outcome, of (outcome, id)."""
    found: dict[str, list[str]] = {}
    for outcome, stix_id in outcomes:
        ids = found.setdefault(outcome, [])
        if len(ids) < NAMED:
            ids.append(stix_id)
    return found


def runs(tx: Tx, links: Iterable[str], *, since: int = 0, limit: int = KEPT_RUNS) -> list[Run]:
    """The runs of some links that ended at a moment or later, newest first."""
    found = [_run(row) for link in links for row in tx.rows(_OF_LINK, link=link, since=since, n=limit)]
    return sorted(found, key=lambda run: (run.ended, run.number), reverse=True)[:limit]


def find(tx: Tx, name: str) -> Run:
    """The run that people call so.

    Raises:
        UsageError: None is, or it is too long ago.
    """
    said = _NAME.fullmatch(name)
    row = None if said is None else tx.row(_ONE, number=int(said[1]))
    if row is None:
        raise UsageError(
            f"There is no run {name!r}" + ("." if said is None else f"; runs are kept for {KEPT_DAYS} days."),
            remedy="See those there are: stixnode history",
        )
    return _run(row)


def totals(tx: Tx, first: int, last: int, links: Collection[str] | None = None) -> list[Total]:
    """What each link moved on some days, of links that are no more too, in order of day, link, counter.

    Args:
        tx: A reader.
        first, last: Days since 1970 in UTC, both included.
        links: Names; None for all.
    """
    rows = [Total._make(row) for row in tx.rows(_TOTALS, first=first, last=last)]
    return [one for one in rows if links is None or one.link in links]


def surplus(tx: Tx, links: Iterable[str], *, now: int) -> dict[str, int]:
    """Link -> the newest number that is one too many; "" -> 1 when some are too old; empty for nothing."""
    borders = {link: tx.row(_BORDER, link=link, kept=KEPT_RUNS) for link in links}
    found = {link: int(row[0]) for link, row in borders.items() if row is not None}
    if tx.row(_ANY_OLD, before=now - KEPT_DAYS * DAY) is not None:
        found[""] = 1
    return found


def prune(tx: Tx, found: Mapping[str, int], *, now: int) -> None:
    """Let go of what `surplus` found."""
    for link, number in found.items():
        tx.run(_DROP, link=link, number=number)
    tx.run(_DROP_OLD, before=now - KEPT_DAYS * DAY)


def _same_again(last: Run, run: Run) -> bool:
    """Whether a run that moved nothing came out as the one before it did."""
    if last.moved or run.moved or (last.reason, _shape(last.problem)) != (run.reason, _shape(run.problem)):
        return False
    # How many wait for an answer changes with every new object, and is no other end.
    return _but_unconfirmed(last.counts) == _but_unconfirmed(run.counts)


def _shape(problem: str) -> str:
    return re.sub(r"[0-9]+", "0", problem[:_MOST_TEXT])


def _but_unconfirmed(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: number for name, number in counts.items() if name != "unconfirmed"}


def _goes_on(last: Run, run: Run) -> bool:
    if run.kind not in _VISITS or last.reason or run.reason:
        return False
    return 0 <= run.started - last.ended <= _SAME_VISIT and 0 <= run.ended - last.started <= _LONGEST_VISIT


def _joined(last: Run, run: Run) -> Run:
    counts, named = dict(last.counts), {name: list(ids) for name, ids in last.named.items()}
    for name, number in run.counts.items():
        counts[name] = counts.get(name, 0) + number
    for name, ids in run.named.items():
        named[name] = [*named.get(name, []), *ids][:NAMED]
    return run._replace(
        number=last.number,
        started=last.started,
        times=last.times,
        counts=counts,
        named=named,
        arrivals=[*last.arrivals, *run.arrivals][:MOST_ARRIVALS],
        pages=last.pages + run.pages,
        requests=last.requests + run.requests,
        bytes=last.bytes + run.bytes,
    )


def _values(run: Run) -> dict[str, Any]:
    return {
        **run._asdict(),
        "problem": run.problem[:_MOST_TEXT],
        "remedy": run.remedy[:_MOST_TEXT],
        "counts": json.dumps(dict(run.counts)),
        "named": json.dumps({name: list(ids)[:NAMED] for name, ids in run.named.items()}),
        "arrivals": json.dumps(list(run.arrivals)),
    }


def _run(row: Sequence[Any]) -> Run:
    return Run._make((*row[:10], *(json.loads(each) for each in row[10:13]), *row[13:]))
