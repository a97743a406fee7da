"""`stixnode status`, once or again and again, and the screen of a bare `stixnode`."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence

import click

from node import clock
from node.cli.asked import Command
from node.cli.context import Context, with_context
from node.cli.exits import ATTENTION, DONE
from node.cli.printing import Printer, Value, clean, duration, utc
from node.cli.readers import print_readers
from node.cli.standing import LinkStanding, Need, Standing, standing
from node.config import Settings, find_config
from node.errors import ConfigError, NodeError
from node.sharing.agreements import Agreement, in_force
from node.sharing.links import PartnerBinding
from node.sync.health import FAULTS, State

MOST_NEEDS = 3
MOST_QUIET = 6  # links of a partner with which all is well; above that they are counted
VERBS = (
    ("status", "what works, what does not, what waits for a person"),
    ("explain ID", "where an object is, who got it, who did not and why"),
    ("quarantine list", "what was set aside for a person"),
    ("plan [LINK]", "what would cross, and why not"),
    ("sync [LINK]", "do one round now"),
    ("import COLLECTION FILE", "take objects in"),
    ("stop PARTNER", "close a partner at once"),
    ("resume PARTNER", "open it again"),
    ("account add NAME", "let a SOC team in"),
    ("run", "server and worker together"),
)
_WELL = (State.OK, State.IDLE)
_NOBODY = "alerts              nobody is told of faults; set mail_to or webhook_url in [alerts]"


@click.command(cls=Command)
@click.option("--watch", is_flag=True, help="Again every few seconds, until Ctrl-C.")
@click.option(
    "--every",
    "seconds",
    type=click.IntRange(1, 3_600),
    default=5,
    show_default=True,
    metavar="SECONDS",
    help="How often, with --watch.",
)
@click.option("--all", "every_link", is_flag=True, help="Also each link with which all is well.")
@with_context
def status(context: Context, watch: bool, seconds: int, every_link: bool) -> int:
    """Say what works, what does not, and what waits for a person.

    Exit code 7: something needs a person. With --watch it ends with 0, on Ctrl-C.
    """
    if not watch:
        return _show(context, _look(context), every_link=every_link)

    def pause() -> None:
        threading.Event().wait(seconds)

    return watching(context, pause, redraws=sys.stdout.isatty() and not context.asked.as_json)


def watching(context: Context, pause: Callable[[], None], *, redraws: bool) -> int:
    """Show how things stand until the pause is interrupted; the exit code.

    Args:
        context: Of the command.
        pause: Waits until the next look.
        redraws: Draw the whole screen anew each time; otherwise a line for each change.
    """
    before: dict[str, str] = {}
    try:
        while True:
            try:
                found = _look(context)
            except NodeError as cause:
                context.out.notice(f"{cause.problem} {cause.remedy}")
            else:
                if redraws:
                    click.clear()
                    _show(context, found, every_link=False)
                else:
                    before = _changes(context, found, before)
            pause()
    except KeyboardInterrupt:
        return DONE


@with_context
def screen(context: Context) -> int:
    """What a bare `stixnode` shows: what needs somebody, then the main verbs."""
    out = context.out
    try:
        find_config(context.asked.config, os.environ)
    except ConfigError:
        out.line("There is no node here yet.")
        _print_verbs(out)
        out.next("stixnode init DIR")
        return out.summary(DONE)
    settings = context.settings
    with context.database.reading() as tx:
        found = standing(tx, settings, now=clock.now())
    out.line(f"{_title(settings)}{'   EXERCISE' if settings.node.exercise else ''}")
    out.record("node", name=settings.node.name, exercise=settings.node.exercise)
    _print_needs(out, found.needs[:MOST_NEEDS])
    if len(found.needs) > MOST_NEEDS:
        out.line(f"                    and {len(found.needs) - MOST_NEEDS} more: stixnode status")
    _print_verbs(out)
    out.next(found.needs[0].command if found.needs else "stixnode --help")
    return out.summary(DONE, needs=len(found.needs))


def _look(context: Context) -> tuple[Standing, int]:
    now = clock.now()
    with context.database.reading() as tx:
        return standing(tx, context.settings, now=now), now


def _show(context: Context, seen: tuple[Standing, int], *, every_link: bool) -> int:
    out, settings, (found, now) = context.out, context.settings, seen
    code = ATTENTION if found.needs else DONE
    exercise = "   EXERCISE" if settings.node.exercise else ""
    ends = f"   exit {code}" if found.needs else ""
    out.line(f"{_title(settings)}, {context.local(now)}{ends}{exercise}")
    out.record(
        "node",
        name=settings.node.name,
        title=settings.node.title,
        exercise=settings.node.exercise,
        at=utc(now),
    )
    for partner in settings.partners:
        _print_partner(out, partner, found, now=now, every_link=every_link)
    _print_needs(out, found.needs)
    _print_alerts(context, found)
    print_readers(context, found.readers, now=now)
    out.next(found.needs[0].command if found.needs else "nothing needs you")
    return out.summary(code, needs=len(found.needs))


def _changes(context: Context, seen: tuple[Standing, int], before: dict[str, str]) -> dict[str, str]:
    """Tell what is not as it was at the last look; how it is now, to compare the next look with."""
    (found, now), out = seen, context.out
    is_now = {each.link.name: each.word for each in found.links}
    is_now |= {need.command: need.text for need in found.needs if not need.about}
    for each in found.links:
        if before.get(each.link.name) != each.word:
            out.line(f"{context.local(now)}  {each.link.name}  {_shown(each.word)}  {each.text}")
            out.record("link", at=utc(now), **_link_fields(each))
    for need in found.needs:
        if not need.about and need.command not in before:
            out.line(f"{context.local(now)}  {need.text}   {need.command}")
            out.record("need", at=utc(now), text=need.text, command=need.command)
    sys.stdout.flush()
    return is_now


def _print_partner(
    out: Printer, partner: PartnerBinding, found: Standing, *, now: int, every_link: bool
) -> None:
    agreed = ", ".join(_agreed(one, now) for one in partner.agreements) or "no agreement: nothing crosses"
    desk = next((one.parties[partner.name] for one in partner.agreements), None)
    duty = "" if desk is None else f"   duty {desk.duty_phone}, {desk.duty_hours}"
    out.line(f"{partner.name}   {agreed}{duty}")
    theirs = [each for each in found.links if each.link.partner == partner.name]
    well = [each for each in theirs if each.word in _WELL]
    hidden = well if len(well) > MOST_QUIET and not every_link else []
    rows: list[tuple[str, str, str]] = []
    for each in theirs:
        if each not in hidden:
            rows.append((f"{each.link.flow}/{each.link.direction}", _shown(each.word), each.text))
            if each.need is not None and each.need.call:
                rows.append(("", "", f"{each.need.command};  duty {each.need.call}"))
    for word in _WELL:
        if number := sum(each.word == word for each in hidden):
            rows.append((f"{number} {'others' if rows else 'links'}", word, "stixnode status --all"))
    out.table(("", "", ""), rows, indent=2)
    for each in theirs:
        out.record("link", **_link_fields(each))


def _print_needs(out: Printer, needs: Sequence[Need]) -> None:
    if not needs:
        out.line("waits for a person  nothing")
    for number, need in enumerate(needs):
        out.line(f"{'waits for a person' if number == 0 else '':18}  {need.text}   {need.command}")
        out.record("need", text=need.text, command=need.command)


def _print_alerts(context: Context, found: Standing) -> None:
    settings = context.settings.alerts
    if not settings.channels:
        context.out.line(_NOBODY)
    failing = {one.channel: one for one in found.channels}
    for channel in settings.names:
        one = failing.get(channel)
        since, error = (None, "") if one is None else (utc(one.since), clean(one.error))
        context.out.record("channel", name=channel, ok=one is None, failing_since=since, error=error)


def _print_verbs(out: Printer) -> None:
    out.table(("", ""), [(f"stixnode {verb}", text) for verb, text in VERBS], indent=2)


def _shown(word: str) -> str:
    """A state as people read it: a fault in capitals."""
    return word.upper() if word in FAULTS else word


def _title(settings: Settings) -> str:
    name, title = settings.node.name, settings.node.title
    return name if title == name else f"{name} ({title})"


def _agreed(one: Agreement, now: int) -> str:
    left = "ended" if now >= one.ends else "not in force yet"
    if in_force(one, now):
        left = f"{duration((one.ends - now) // clock.MICROSECONDS)} left"
    return f"{one.id} r{one.revision}, {left}"


def _link_fields(each: LinkStanding) -> dict[str, Value]:
    moments = {
        name: utc(value) if name.startswith("last_") else value for name, value in each.figures.items()
    }
    return {
        "name": each.link.name,
        "state": each.word,
        "text": each.text,
        "needs": each.need is not None,
        **moments,
    }
