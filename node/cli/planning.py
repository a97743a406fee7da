"""`stixnode plan`: what a round would do, or what would become of the objects of a file; nothing is done."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import click

from node import clock
from node.cli.asked import Command
from node.cli.context import Context, with_context
from node.cli.exits import DONE, PENDING, RULE, exit_code, most_serious, remedy_of
from node.cli.importing import LONGEST_BYTES, Spool, chunks
from node.cli.partner_rounds import STOPPED, opener
from node.cli.printing import Value, amount, with_config
from node.errors import InvalidObject, NodeError, UsageError
from node.exchange import feed_rows, ledger, quotas
from node.exchange.ledger import WithheldLine
from node.sharing.decisions import Reason
from node.sharing.links import Link
from node.stix.envelope import split_stream
from node.sync import plan as planning
from node.sync.client import Partner
from node.sync.plan import ALREADY, TAKEN_OUT, WAITS, WITHHELD, Plan, PlanStep

EXAMPLES = 3
MOST_GROUPS = 4  # sentences of one reason that people are shown; --json has every step
MOST_WITHHELD = 100_000
MOST_PLANNED = 100_000
MOST_IN_FILE = 50_000
MOST_FILE_BYTES = 512 * 1024 * 1024
_ARRIVING = {"quarantined": "would be set aside", "refused": "would be refused"}
_NOTHING_NEW = ("duplicate", "echo")


@click.command(cls=Command)
@click.argument("link", required=False)
@click.option(
    "--file",
    type=click.File("rb"),
    metavar="FILE",
    help="What would become of the objects of this file; nobody is asked. - is standard input.",
)
@click.option("--detailed-exitcode", is_flag=True, help="End with 10 if anything would move.")
@with_context
def plan(context: Context, link: str | None, file: BinaryIO | None, detailed_exitcode: bool) -> int:
    """Show what a round would do now, and why the rest would not go; change nothing.

    What comes in is asked of the partner, if we are the ones who fetch it. With --file (a bundle, an
    envelope or lines of objects, gzip or not) links out show what would become of its objects if they were
    imported, and links in what would if the partner brought them.

    Exit code 6: a limit of the day would make some wait for a person.
    """
    out, codes = context.out, [DONE]
    chosen = context.links(link)
    parts = None if file is None else _parts(context, file)
    clients = _Clients(context)
    plans: list[tuple[Link, Plan]] = []
    try:
        for each in chosen:
            try:
                found = _planned(context, each, clients, parts)
            except NodeError as cause:
                codes.append(exit_code(cause))
                out.line(f"{each.name}: {cause.problem}")
                out.remedy(remedy_of(cause), indent=2)
                fields = {"link": each.name, "problem": cause.problem, "remedy": cause.remedy}
                out.record("failure", **fields, exit=codes[-1])
                continue
            plans.append((each, found))
            there = None if parts is not None else _there(context, each)
            _print_plan(context, each, found, there)
            codes.append(_code(found, detailed=detailed_exitcode))
    finally:
        clients.close()
    place = "" if file is None else getattr(file, "name", "-")
    out.next(*_next(plans, link or chosen[0].partner, file=place))
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


def _parts(context: Context, file: BinaryIO) -> list[list[bytes]]:
    """The objects of a file in the order of work."""
    place = getattr(file, "name", "-")
    size = 0
    with context.out.progress("reading", None) as reading, Spool(context.settings.data_dir) as spool:
        try:
            for body in split_stream(chunks(file, reading), max_object_bytes=LONGEST_BYTES):
                spool.put(body)
                size += len(body)
                if spool.number > MOST_IN_FILE or size > MOST_FILE_BYTES:
                    raise UsageError(
                        f"{place} has more than a plan looks at: {MOST_IN_FILE:,} objects,"
                        f" {MOST_FILE_BYTES:,} bytes.",
                        remedy="Give it a part of the file; what holds for one object holds for its like.",
                    )
        except InvalidObject as cause:
            raise UsageError(
                f"{place}: {cause.problem}",
                remedy="Give a bundle, an envelope or one object a line (NDJSON), whole.",
            ) from cause
        return [[body for _, body in step] for step in spool.steps()]


def _planned(
    context: Context, link: Link, clients: _Clients, parts: Sequence[Sequence[bytes]] | None
) -> Plan:
    with context.out.progress(link.name, None):
        if parts is not None:
            return planning.plan_file(context.door, link, parts, now=clock.now())
        asks = link.direction == "in" and link.carrier == "us"
        client = clients.of(link.partner) if asks else None
        return planning.plan(context.door, link, client, now=clock.now, at_most=MOST_PLANNED)


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


def _code(found: Plan, *, detailed: bool) -> int:
    if found.error is not None:
        return exit_code(found.error)
    if found.limited:
        return RULE
    if found.stopped is not None:
        return STOPPED[found.stopped]
    return PENDING if detailed and found.changes else DONE


def _next(plans: Sequence[tuple[Link, Plan]], text: str, *, file: str) -> list[str]:
    """What to type next: what lets more in, what opens the links, or what does it."""
    commands: list[str] = []
    for reason in quotas.REASONS:
        waiting = Counter(
            link.partner for link, found in plans for step in found.steps if step.reason == reason
        )
        commands += [quotas.allowing(reason, partner, number) for partner, number in waiting.items()]
    if commands:
        return commands
    if file:
        giving = [link.collection for link, _ in plans if link.direction == "out"]
        return [f"stixnode import {giving[0]} {shlex.quote(file)}" if giving else f"stixnode plan {text}"]
    closed = sorted({link.partner for link, found in plans if "is paused here" in found.closed})
    return [f"stixnode resume {partner}" for partner in closed] or [f"stixnode sync {text}"]


def _print_plan(context: Context, link: Link, found: Plan, there: _There | None) -> None:
    """Show one plan; of a file without what the books say of the rest."""
    out, of_file = context.out, there is None
    if there is not None:
        _remember(found, there)
    if link.direction == "out":
        words = _out_words(found, link, there or _There())
    else:
        words = _in_words(found, link, offered="in the file" if of_file else "offered")
    out.line(f"{link.name:28} {', '.join(words)}")
    terms = link.terms
    out.line(f"  {terms.agreement} r{terms.revision}, flow {link.flow}{_limits(link, found)}")
    if found.closed:
        out.line(f"  closed now: {found.closed}")
    if found.stopped is not None:
        out.line(f"  {found.detail}")
        out.remedy(found.remedy, indent=2)
    if found.error is not None:
        out.line(f"  {found.error.problem}")
        out.remedy(found.error.remedy, indent=2)
    if found.vanishing:
        out.line(
            f"  CAREFUL: {found.vanishing:,} of the {found.standing:,} that {link.partner} is offered would"
            " be taken out; nothing holds this, for stricter terms act at once"
        )
    for line in _grouped(link, found, context.asked.config):
        out.line(line)
    fields: dict[str, Value] = {"link": link.name, "direction": link.direction, "closed": found.closed}
    fields |= {"agreement": terms.agreement, "revision": terms.revision, "flow": link.flow}
    stopped = None if found.stopped is None else found.stopped.value
    problem, remedy = found.detail, found.remedy
    if found.error is not None:
        problem, remedy = found.error.problem, found.error.remedy
    fields |= {"stopped": stopped, "problem": problem, "remedy": remedy}
    if found.limits is not None:
        brought, most = found.limits.today.objects, found.limits.most_objects
        fields |= {"brought_today": brought, "most_today": most, "allowed_besides": found.limits.allowed_new}
    fields |= {"limited": found.limited, "offered_now": found.standing, "vanishing": found.vanishing}
    out.record("plan", **fields, goes=found.changes, counts=found.counts(), complete=found.complete)
    for step in found.steps:
        out.record("step", link=link.name, **{**step._asdict(), "digest": step.digest.hex()})


def _limits(link: Link, found: Plan) -> str:
    if found.limits is None or not found.limits.most_objects:
        return ""
    used, most, besides = found.limits.today.objects, found.limits.most_objects, found.limits.allowed_new
    allowed = f", {besides:,} besides" if besides else ""
    return f"; {link.partner} may bring {most:,} new objects a day, {used:,} so far{allowed}"


def _grouped(link: Link, found: Plan, config: str | None) -> Iterator[str]:
    """What would not cross, by reason and sentence, with what would let it."""
    by_reason: dict[tuple[str, str], dict[str, list[PlanStep]]] = defaultdict(lambda: defaultdict(list))
    for step in found.steps:
        if step.reason and not step.goes:
            by_reason[step.outcome, step.reason][step.detail].append(step)
    for (outcome, reason), sentences in sorted(by_reason.items(), key=_largest):
        groups = sorted(sentences.values(), key=len, reverse=True)
        for steps in groups[:MOST_GROUPS]:
            word = _word(outcome)
            yield f"  {len(steps):,} {word}, {reason}: {steps[0].detail}"
            remedy = quotas.remedy(reason, link.partner, len(steps), aside=False) or steps[0].remedy
            if remedy:
                yield f"    {with_config(remedy, config)}"
            if reason == quotas.DAILY_LIMIT and not found.complete:
                yield f"    Not all was looked at: ask {link.partner} how many it brings, and allow those."
            names = ", ".join(step.stix_id for step in steps[:EXAMPLES])
            yield f"    {names}{' ...' if len(steps) > EXAMPLES else ''}"
        rest = sum(map(len, groups[MOST_GROUPS:]))
        if rest:
            yield f"  {rest:,} more {_word(outcome)}, {reason}; --json names each"


def _largest(item: tuple[tuple[str, str], dict[str, list[PlanStep]]]) -> tuple[int, tuple[str, str]]:
    return -sum(map(len, item[1].values())), item[0]


def _word(outcome: str) -> str:
    return {WAITS: "wait", TAKEN_OUT: "would be taken out", **_ARRIVING}.get(outcome, outcome)


def _remember(found: Plan, there: _There) -> None:
    """Add what was withheld before and is not looked at again: it would not go this time either."""
    planned = {step.stix_id for step in found.steps}
    found.steps.extend(
        PlanStep(
            line.stix_id,
            "",
            False,
            WAITS if line.reason == Reason.WAITS_FOR_REFERENCE else WITHHELD,
            line.reason,
            line.detail,
            line.remedy,
            line.digest,
        )
        for line in there.withheld
        if line.stix_id not in planned
    )


def _out_words(found: Plan, link: Link, there: _There) -> list[str]:
    counts = Counter(step.outcome for step in found.steps)
    # What we bring is in the plan until it is confirmed; what they fetch is not.
    waiting = 0 if link.carrier == "us" else there.waiting
    going = sum(step.goes for step in found.steps)
    words = [f"{going + waiting:,} would go", f"{there.handed_over + counts[ALREADY]:,} already there"]
    words += [f"{counts[WAITS]:,} wait"] if counts[WAITS] else []
    words.append(f"{counts[WITHHELD]:,} withheld")
    words += [f"{counts[TAKEN_OUT]:,} would be taken out"] if counts[TAKEN_OUT] else []
    words += [f"{counts['refused']:,} would be refused"] if counts["refused"] else []
    return [*words, *([] if found.complete else ["more not looked at"])]


def _in_words(found: Plan, link: Link, *, offered: str) -> list[str]:
    if link.carrier == "them" and not found.steps:
        return ["they bring it; what they will bring is not known here"]
    counts = Counter(step.outcome for step in found.steps)
    words = [f"{amount(len(found.steps), 'object')} {offered}", f"{found.changes:,} would come in"]
    known = sum(counts.pop(name, 0) for name in _NOTHING_NEW)
    words += [f"{known:,} held already"] if known else []
    words += [
        f"{number:,} {_word(name)}"
        for name, number in sorted(counts.items())
        if name not in ("stored", "restated")
    ]
    return [*words, *([] if found.complete else ["more not looked at"])]
