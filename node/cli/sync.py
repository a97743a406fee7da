"""`stixnode sync`, `pull`, `push` and `plan`: rounds done now, and what they would do."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

import click

from node import clock
from node.cli.asked import Command
from node.cli.context import Context, with_context
from node.cli.exits import DONE, exit_code, most_serious, remedy_of
from node.cli.partner_rounds import STOPPED, opener, print_rounds, run_rounds
from node.cli.printing import Printer, Value, amount
from node.errors import NodeError
from node.exchange import feed_rows, ledger
from node.exchange.ledger import WithheldLine
from node.sharing.links import Link
from node.sync import plan as planning
from node.sync.client import Partner
from node.sync.plan import Plan, PlanStep

EXAMPLES = 3
MOST_WITHHELD = 100_000


@click.command(cls=Command)
@click.argument("link", required=False)
@with_context
def sync(context: Context, link: str | None) -> int:
    """Do one round now of all links, or of LINK: south, south/indicators or south/indicators/in.

    What we carry is pulled and pushed; what the partner fetches is made ready.
    """
    return print_rounds(context.out, run_rounds(context, context.links(link)))


@click.command(cls=Command)
@click.argument("link", required=False)
@with_context
def pull(context: Context, link: str | None) -> int:
    """Fetch now what partners offer, on all incoming links or on LINK."""
    return print_rounds(context.out, run_rounds(context, context.links(link, "in")))


@click.command(cls=Command)
@click.argument("link", required=False)
@with_context
def push(context: Context, link: str | None) -> int:
    """Bring partners now what they are due, on all outgoing links or on LINK."""
    return print_rounds(context.out, run_rounds(context, context.links(link, "out")))


@click.command(cls=Command)
@click.argument("link", required=False)
@with_context
def plan(context: Context, link: str | None) -> int:
    """Show what a round would do now, and why the rest would not go; change nothing.

    What comes in is asked of the partner, if we are the ones who fetch it.
    """
    out, codes = context.out, [DONE]
    chosen = context.links(link)
    clients = _Clients(context)
    try:
        for each in chosen:
            try:
                found = _planned(context, each, clients)
                _print_plan(out, each, found, _there(context, each))
                codes.append(DONE if found.stopped is None else STOPPED[found.stopped])
            except NodeError as cause:
                codes.append(exit_code(cause))
                out.line(f"{each.name}: {cause.problem}")
                out.remedy(remedy_of(cause), indent=2)
                fields = {"link": each.name, "problem": cause.problem, "remedy": cause.remedy}
                out.record("failure", **fields, exit=codes[-1])
    finally:
        clients.close()
    out.next(f"stixnode sync {link or chosen[0].partner}")
    return out.summary(most_serious(codes), links=len(chosen))


@dataclass(frozen=True, slots=True)
class _There:
    """What the books say of an outgoing link: handed over, offered but not fetched yet, withheld before."""

    handed_over: int = 0
    waiting: int = 0
    withheld: tuple[WithheldLine, ...] = ()


class _Clients:
    """One client for each partner that is asked something; a failure to open is that partner's own."""

    def __init__(self, context: Context) -> None:
        self._open = opener(context.settings)
        self._known: dict[str, Partner] = {}

    def of(self, partner: str) -> Partner:
        if partner not in self._known:
            self._known[partner] = self._open(partner)
        return self._known[partner]

    def close(self) -> None:
        for client in self._known.values():
            client.close()


def _planned(context: Context, link: Link, clients: _Clients) -> Plan:
    asks = link.direction == "in" and link.carrier == "us"
    with context.out.progress(link.name, None):
        return planning.plan(context.door, link, clients.of(link.partner) if asks else None, now=clock.now)


def _there(context: Context, link: Link) -> _There:
    if link.direction == "in":
        return _There()
    with context.database.reading() as tx:
        states = feed_rows.states(tx, link.name)
        withheld = ledger.withheld_on(tx, link.name, MOST_WITHHELD)
    # What we bring is there when it is confirmed; what they fetch, when it was handed over.
    over = (feed_rows.SETTLED,) if link.carrier == "us" else (feed_rows.SENT, feed_rows.SETTLED)
    done = sum(states.get(each, (0, 0))[0] for each in over)
    return _There(done, states.get(feed_rows.OFFERED, (0, 0))[0], tuple(withheld))


def _print_plan(out: Printer, link: Link, found: Plan, there: _There) -> None:
    _remember(found, there)
    words = [*_out_words(found, link, there)] if link.direction == "out" else [*_in_words(found, link)]
    out.line(f"{link.name:28} {', '.join(words)}")
    if found.closed:
        out.line(f"  closed now: {found.closed}")
    if found.stopped is not None:
        out.line(f"  {found.detail}")
        out.remedy(found.remedy, indent=2)
    withheld: dict[tuple[str, str], list[PlanStep]] = defaultdict(list)
    for step in found.steps:
        if step.outcome == "withheld" or (link.direction == "in" and step.reason):
            withheld[step.outcome, step.reason].append(step)
    for (outcome, reason), steps in sorted(withheld.items(), key=lambda item: -len(item[1])):
        out.line(f"  {len(steps):,} {outcome}, {reason}: {steps[0].detail}")
        if steps[0].remedy:
            out.line(f"    {steps[0].remedy}")
        names = ", ".join(step.stix_id for step in steps[:EXAMPLES])
        out.line(f"    {names}{' ...' if len(steps) > EXAMPLES else ''}")
    fields: dict[str, Value] = {"link": link.name, "direction": link.direction, "closed": found.closed}
    stopped = None if found.stopped is None else found.stopped.value
    fields |= {"stopped": stopped, "problem": found.detail, "remedy": found.remedy}
    out.record("plan", **fields, goes=found.changes, counts=found.counts(), complete=found.complete)
    for step in found.steps:
        out.record("step", link=link.name, **step._asdict())


def _remember(found: Plan, there: _There) -> None:
    """Add what was withheld before and is not looked at again: it would not go this time either."""
    planned = {step.stix_id for step in found.steps}
    found.steps.extend(
        PlanStep(line.stix_id, "", False, "withheld", line.reason, line.detail, line.remedy)
        for line in there.withheld
        if line.stix_id not in planned
    )


def _out_words(found: Plan, link: Link, there: _There) -> list[str]:
    withheld = sum(step.outcome == "withheld" for step in found.steps)
    # What we bring is in the plan until it is confirmed; what they fetch is not.
    waiting = 0 if link.carrier == "us" else there.waiting
    words = [f"{found.changes + waiting:,} would go", f"{there.handed_over:,} already there"]
    words.append(f"{withheld:,} withheld")
    return [*words, *([] if found.complete else ["more not looked at"])]


def _in_words(found: Plan, link: Link) -> list[str]:
    if link.carrier == "them":
        return ["they bring it; what they will bring is not known here"]
    counts = Counter(step.outcome for step in found.steps)
    words = [f"{amount(len(found.steps), 'object')} offered", f"{found.changes:,} would be stored"]
    words += [
        f"{number:,} {name}" for name, number in sorted(counts.items()) if name not in ("stored", "restated")
    ]
    return [*words, *([] if found.complete else ["more not looked at"])]
