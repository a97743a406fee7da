"""`stixnode history`: the runs of all links, one run, and what each day brought and took.

Reads   `exchange.history`; changes nothing
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import click

from node import clock
from node.cli.asked import Group
from node.cli.context import Context, with_context
from node.cli.exits import DONE
from node.cli.moments import day_text, past_moment, utc_day
from node.cli.printing import Printer, Value, amount, duration, utc
from node.clock import MICROSECONDS
from node.errors import UsageError
from node.exchange import arrivals
from node.exchange import history as books
from node.exchange.history import CONSIDERED, DAY, RECEIVED, WORDS, Run, Total

SHOWN = 50
WEEK = 7
_ENDS = {
    "unreachable": "no answer",
    "error": "an error here",
    "closed": "the link was closed",
    "terms_differ": "the terms differ",
    "no_progress": "no progress",
    "run_limit": "more is there",
    "no_right": "no right there",
    "unconfirmed": "not confirmed",
    "interrupted": "stopped here",
}
_BRIEF = {"duplicate": "dupl", "quarantined": "quar", "suppressed": "suppr", "unconfirmed": "unconf"}
_ALWAYS = ("stored", "sent")


class _Runs(Group):
    """`history south` is `history list south`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Runs)
def history() -> None:
    """List what was carried and how it ended, newest first; show one run, or the totals of each day.

    \b
    stixnode history [LINK] [--since 6h]
    stixnode history show r-0412
    stixnode history totals south --from 2026-11-01
    """


@history.command("list")
@click.argument("link", required=False)
@click.option("--since", metavar="T", help='Only what ended later: 6h, 2d, 2026-11-21, "2026-11-21 14:05".')
@click.option("--days", metavar="N", type=click.IntRange(1, books.KEPT_DAYS), help="Only the last N days.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=SHOWN, show_default=True, help="At most.")
@with_context
def list_runs(context: Context, link: str | None, since: str | None, days: int | None, limit: int) -> int:
    """List the runs of all links or of LINK, newest first.

    A quiet round is none; the same failure again is one run, with how often.
    """
    out, now = context.out, clock.now()
    begins = 0 if since is None else past_moment(since, now=now, zone=context.settings.node.time_zone)
    if days is not None:
        begins = max(begins, now - days * DAY)
    names = [each.name for each in context.links(link)]
    with context.database.reading() as tx:
        found = books.runs(tx, names, since=begins, limit=limit + 1)
    shown = found[:limit]
    out.table(
        ("RUN", "ENDED", "LINK", "", "OBJECTS", ""),
        [
            (one.name, context.local(one.ended), one.link, WORDS[one.kind], _counted(one), _end(one))
            for one in shown
        ],
    )
    for one in shown:
        out.record("run", **_fields(one))
    if not shown:
        out.line("Nothing was carried." if not begins else "Nothing was carried since then.")
        out.next("stixnode status")
        return out.summary(DONE, runs=0)
    if len(found) > limit:
        out.line(f"The newest {limit} are shown; give --limit for more.")
    failed = [one for one in shown if one.reason not in ("", "run_limit")]
    out.next(f"stixnode history show {(failed or shown)[0].name}")
    return out.summary(DONE, runs=len(shown), more=len(found) > limit)


@history.command("show")
@click.argument("run")
@with_context
def show_run(context: Context, run: str) -> int:
    """Show one run: when, what it carried with the first ids, and how it ended."""
    out = context.out
    with context.database.reading() as tx:
        one = books.find(tx, run)
    span = f"in {duration((one.ended - one.started) // MICROSECONDS)}"
    if one.times > 1:
        span = f"and again, {one.times:,} times until {context.local(one.ended)}"
    out.line(f"{one.name}  {one.link}  {WORDS[one.kind]}  {context.local(one.started)}, {span}")
    out.line(f"  {_counted(one) or 'no object'}")
    requests = f"{amount(one.requests, 'request')}, {one.bytes:,} bytes of body"
    out.line(f"  {amount(one.pages, *_page(one))}, {requests}" if one.requests else "  nothing was asked")
    if one.arrivals:
        out.line(f"  arrival {', '.join(map(arrivals.name_of, one.arrivals))}")
    if one.reason:
        out.line(f"  ended early: {_word(one)}")
    if one.problem:
        out.line(f"  {one.problem}")
    if one.remedy:
        out.remedy(one.remedy, indent=2)
    for name, ids in one.named.items():
        more = one.counts.get(name, 0) - len(ids)
        out.line(f"  {name}:")
        for stix_id in ids:
            out.line(f"    {stix_id}")
        if more > 0:
            out.line(f"    and {more:,} more")
    out.record("run", **_fields(one))
    out.next(*_following(one))
    return out.summary(DONE, run=one.name)


@history.command("totals")
@click.argument("link", metavar="[LINK|PARTNER]", required=False)
@click.option("--from", "first", metavar="DAY", help="The first day, such as 2026-11-01; else a week ago.")
@click.option("--to", "last", metavar="DAY", help="The last day; else today.")
@with_context
def totals(context: Context, link: str | None, first: str | None, last: str | None) -> int:
    """Show what each day brought and took, by outcome; days are those of UTC, kept for ever."""
    out, now = context.out, clock.now()
    ends = now // DAY if last is None else utc_day(last, now=now)
    begins = ends - WEEK + 1 if first is None else utc_day(first, now=now)
    if begins > ends:
        raise UsageError(
            f"{day_text(begins)} is later than {day_text(ends)}.",
            remedy="Give the first day with --from and the last one with --to.",
        )
    with context.database.reading() as tx:
        found = books.totals(tx, begins, ends)
    if link is not None:
        wanted = link.split("/")
        found = [one for one in found if one.link.split("/")[: len(wanted)] == wanted]
        if not found:
            context.links(link)  # a link that is no more may have totals; one that never was has none
    period = f"{day_text(begins)} to {day_text(ends)} (UTC)"
    out.line(period if found else f"Nothing was carried from {period}.")
    for head, direction, sum_head, counters in (
        ("IN", "in", "RECEIVED", RECEIVED),
        ("OUT", "out", "CONSIDERED", CONSIDERED),
    ):
        chosen = [one for one in found if one.link.endswith(f"/{direction}")]
        if chosen:
            _print_totals(out, head, sum_head, counters, chosen)
    out.next(f"stixnode history {link}" if link else "stixnode history")
    return out.summary(
        DONE, first=day_text(begins), last=day_text(ends), links=len({one.link for one in found})
    )


def _print_totals(
    out: Printer, head: str, sum_head: str, counters: Sequence[str], found: Iterable[Total]
) -> None:
    lines: dict[tuple[int, str], Counter[str]] = defaultdict(Counter)
    whole: Counter[str] = Counter()
    for one in found:
        lines[one.day, one.link][one.counter] += one.number
        whole[one.counter] += one.number
    words = [name for name in counters if whole[name] or name in _ALWAYS]
    beside = ["offered"] if whole["offered"] else []
    rows = [
        (day_text(day), link, *_row(line, counters, words, beside)) for (day, link), line in lines.items()
    ]
    if len(rows) > 1:
        rows.append(("all", "", *_row(whole, counters, words, beside)))
    heads = [_BRIEF.get(name, name).upper() for name in words]
    out.table((head, "LINK", sum_head, *heads, *(name.upper() for name in beside)), rows)
    for (day, link), line in lines.items():
        counted = {name: line[name] for name in counters}
        fields: dict[str, Value] = {
            "day": day_text(day),
            "link": link,
            sum_head.lower(): sum(counted.values()),
        }
        fields |= counted
        if head == "OUT":
            fields["offered"] = line["offered"]
        out.record("total", **fields)


def _row(
    one: Mapping[str, int], counters: Sequence[str], words: Sequence[str], beside: Sequence[str]
) -> list[str]:
    return [f"{sum(one[name] for name in counters):,}", *(f"{one[name]:,}" for name in (*words, *beside))]


def _counted(one: Run) -> str:
    order = (*RECEIVED, *CONSIDERED, "offered")
    names = sorted(one.counts, key=lambda name: order.index(name) if name in order else len(order))
    return ", ".join(f"{one.counts[name]:,} {name}" for name in names)


def _end(one: Run) -> str:
    times = f"{one.times:,} times" if one.times > 1 else ""
    return ", ".join(each for each in (_word(one), times) if each)


def _word(one: Run) -> str:
    if not one.reason and one.problem:
        return "listed again" if one.kind == "pull" else "offered again"
    return _ENDS.get(one.reason, one.reason.replace("_", " with "))


def _page(one: Run) -> tuple[str, str]:
    return ("batch", "batches") if one.kind in ("push", "bring") else ("page", "pages")


def _following(one: Run) -> list[str]:
    if one.counts.get("quarantined"):
        return [f"stixnode quarantine list {one.link}"]
    if one.reason in ("unreachable", "error", "no_right") or one.reason.startswith("refused"):
        return ["stixnode status"]
    named = [ids[0] for ids in one.named.values() if ids]
    if not named and one.counts.get("withheld"):
        return [f"stixnode plan {one.link}"]
    return [f"stixnode explain {named[0]}" if named else f"stixnode history {one.link}"]


def _fields(one: Run) -> dict[str, Value]:
    return {
        "run": one.name,
        "link": one.link,
        "way": one.kind,
        "carrier": one.carrier,
        "started": utc(one.started),
        "ended": utc(one.ended),
        "times": one.times,
        "reason": one.reason,
        "problem": one.problem,
        "remedy": one.remedy,
        "counts": dict(one.counts),
        "named": {name: list(ids) for name, ids in one.named.items()},
        "arrivals": [arrivals.name_of(each) for each in one.arrivals],
        "pages": one.pages,
        "requests": one.requests,
        "bytes": one.bytes,
    }
