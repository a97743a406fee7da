"""`stixnode doctor [PARTNER]`: what is wrong here, or between us and a partner, and how to mend it.

Reads   the node; asks the partner. Writes nothing but a leaf when an object was left with other software
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing

import click

from node import clock
from node.audit import log
from node.cli.asked import Command
from node.cli.context import Context, with_context
from node.cli.doctor_node import look_at_node, ready
from node.cli.exits import ATTENTION, DONE, LATER, NO_ACCESS
from node.cli.printing import with_config
from node.errors import UsageError
from node.sharing.links import PartnerBinding
from node.sharing.tables import nearest
from node.store import catalog
from node.store.database import Database
from node.sync.doctor import Case, examine
from node.sync.doctor_findings import Finding
from node.sync.standing import duty_desk, standing_of

MOST_ALIKE = 3
_CODES = {"credential": NO_ACCESS, "person": ATTENTION, "network": LATER}


@click.command(cls=Command)
@click.argument("partner", required=False)
@click.option(
    "--canary",
    is_flag=True,
    help="With other software, where we push: leave a made-up object there, read it back, delete it.",
)
@click.option("--all", "every", is_flag=True, help="Also each link with which all is well.")
@with_context
def doctor(context: Context, partner: str | None, canary: bool, every: bool) -> int:
    """Look at this node, or at everything between us and a partner; each failure names its fix.

    Nothing is changed, here or there; --canary alone sends an object that stays if it cannot be deleted.

    \b
    Exit codes:
      0   all is well, or works with a warning
      4   the partner does not take our credential
      5   the partner, or our own server, is not to be reached
      7   something needs a person
    """
    now = clock.now()
    if partner is None:
        if canary:
            raise UsageError("--canary needs a partner.", remedy="stixnode doctor PARTNER --canary")
        found = look_at_node(context, now=now)
        return _printed(context, found, "", every=every, again="stixnode doctor")
    binding = _binding(context, partner)
    call = duty_desk(binding, now=now)
    with closing(ready(context)) as database:
        found = _noted(context, database, binding, examine(_case(context, database, binding), canary=canary))
        return _printed(context, found, call, every=every, again=f"stixnode doctor {partner}")


def _binding(context: Context, partner: str) -> PartnerBinding:
    known = {one.name: one for one in context.settings.partners}
    if partner not in known:
        guess = nearest(partner, known)
        raise UsageError(
            f"There is no partner {partner!r}.",
            remedy=f"Did you mean {guess}?" if guess else f"There are: {', '.join(known) or 'none yet'}.",
        )
    return known[partner]


def _case(context: Context, database: Database, binding: PartnerBinding) -> Case:
    settings, now = context.settings, clock.now()
    with database.reading() as tx:
        ids = {one.alias: one.id for one in catalog.collections(tx)}
        links = [one for one in settings.links if one.partner == binding.name]
        standings = standing_of(tx, links, now=now, count=False)
    us = settings.node.name
    authors = [each for one in binding.agreements for each in one.parties[us].speaks_for]
    return Case(
        partner=binding,
        standings=standings,
        remotes={one.name: one.remote or ids.get(one.collection, one.flow) for one in links},
        us=us,
        author=authors[0] if authors else "",
        our_url=settings.node.public_url,
        largest=settings.limits.max_object_bytes,
        now=clock.now,
        unique=str(uuid.uuid4()),
        pause=threading.Event().wait,
    )


def _noted(
    context: Context, database: Database, binding: PartnerBinding, findings: Iterator[Finding]
) -> Iterator[Finding]:
    """The same; that an object was left with a partner stands in the audit log."""
    for found in findings:
        if found.left:
            with database.writing() as tx:
                details: log.Details = {"object": found.left}
                now = clock.now()
                log.record(
                    tx, now=now, actor=context.actor, act="canary", subject=binding.name, details=details
                )
        yield found


def _printed(context: Context, findings: Iterator[Finding], call: str, *, every: bool, again: str) -> int:
    """Show each as soon as it is found, those alike that are well in one line; the exit code."""
    out = context.out
    failures: list[Finding] = []
    desk = call
    counts = dict.fromkeys(("ok", "FAIL", "warn", "skip", "wait"), 0)
    alike: list[Finding] = []
    for found in findings:
        counts[found.mark] += 1
        out.record(
            "finding",
            state=found.mark.lower(),
            what=found.what,
            text=found.text,
            fix=found.fix,
            takes=found.kind if found.mark == "FAIL" else None,
        )
        if alike and _group(found) != _group(alike[0]):
            _print_alike(context, alike, every=every)
            alike = []
        alike.append(found)
        if found.mark == "FAIL":
            failures.append(found)
            if call:
                _print_alike(context, alike, every=every)
                out.line(f"{'':5} duty {call}")
                alike, call = [], ""
    _print_alike(context, alike, every=every)
    codes = {_CODES[each.kind] for each in failures}
    code = next((each for each in (NO_ACCESS, ATTENTION, LATER) if each in codes), DONE)
    out.line(_sum(counts))
    first = next((each.fix for each in failures if each.fix.startswith("stixnode ")), "")
    out.next(first or ("stixnode status" if code == DONE else f"{again}, again when that is mended"))
    named = {name.lower(): number for name, number in counts.items()}
    return out.summary(code, duty=desk, **named)


def _print_alike(context: Context, alike: Sequence[Finding], *, every: bool) -> None:
    """Findings of one group: a line for each, or for all together when there are many."""
    if every or len(alike) <= MOST_ALIKE:
        for found in alike:
            _print(context, found, found.what, found.text)
        return
    first = alike[0]
    group, _, place = first.what.partition(" ")
    if first.mark == "ok":
        _print(context, first, group, f"{len(alike)} links; --all shows each")
    else:
        _print(context, first, group, f"{len(alike)} links, the first {place}: {first.text}")


def _print(context: Context, found: Finding, what: str, text: str) -> None:
    context.out.line(f"{found.mark:<5} {what:<23} {text}")
    if found.fix and found.mark != "ok":
        context.out.line(f"{'':5} fix: {with_config(found.fix, context.asked.config)}")


def _group(found: Finding) -> tuple[str, str, str]:
    """What findings of several links have alike; nothing else has a like."""
    name, _, place = found.what.partition(" ")
    return found.mark, name if "/" in place else found.what, found.fix


def _sum(counts: dict[str, int]) -> str:
    bad = counts["FAIL"]
    words = [f"{bad} failed" if bad else "nothing failed"]
    words += [f"{counts[mark]} {text}" for mark, text in _SUMS if counts[mark]]
    return ", ".join(words)


_SUMS = (("warn", "to be mended some day"), ("wait", "closed or not due"), ("skip", "not looked at"))
