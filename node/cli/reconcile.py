"""`stixnode reconcile`: whether all arrived, by the books of both sides; and bring again what was lost."""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import click

from node import clock
from node.cli.asked import Command
from node.cli.context import Context, with_context
from node.cli.exits import DONE, LATER, PENDING, RULE, exit_code, most_serious, remedy_of
from node.cli.partner_rounds import holder_of_leases, opener
from node.cli.printing import Value, amount, utc
from node.errors import NodeError, PartnerUnreachable, UsageError
from node.sharing.links import Link
from node.sync import reconcile as reconciling
from node.sync.client import Partner
from node.sync.comparing import Finding, Group, Why
from node.sync.reconcile import Reconciled

NAMED, NAMED_EXPLAINED = 10, 3
_HEADS = ("LINK", "SAME", "EXPLAINED", "DIFFER", "")
_SENTENCES = {
    ("out", Group.ONLY_HERE): "handed over, and not there",
    ("out", Group.ONLY_THERE): "there as from us, and our books do not know it",
    ("out", Group.OTHER_CONTENT): "there with other content than we gave",
    ("in", Group.ONLY_HERE): "here as from them, and their books do not know it",
    ("in", Group.ONLY_THERE): "given to us, and not here",
    ("in", Group.OTHER_CONTENT): "here with other content than they gave",
}


@dataclass(frozen=True, slots=True)
class _Done:
    """One link that was compared, and in how many seconds."""

    link: Link
    found: Reconciled
    seconds: float


@click.command(cls=Command)
@click.argument("link")
@click.option("--repair", is_flag=True, help="Have what is lost brought again; asks first.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_context
def reconcile(context: Context, link: str, repair: bool, yes: bool) -> int:
    """Compare what was given with what arrived, by the books of both sides.

    LINK is a partner, a flow or a link: south, south/indicators or south/indicators/out. Without --repair
    nothing is changed, but that what other software lists no more is marked. Another stixnode is asked for
    its books, other software for its manifest.

    Exit code 0: all the same, or explained; 10: something differs; 6: too much has vanished there at once, or
    the link is closed; 5: the partner gave no whole answer.
    """
    out = context.out
    done, codes = _compare_all(context, link)
    for each in done:
        _record(context, each)
    out.table(_HEADS, [_row(each) for each in done])
    for each in done:
        _print_details(context, each)
    lost = [each for each in done if each.found.repairable]
    if repair and lost and _agreed(context, lost, yes=yes):
        _repair_all(context, lost, codes)
    codes += [_code(each.found) for each in done]
    out.next(_next(done, link))
    differ = sum(len(each.found.compared.different) for each in done)
    repaired = sum(each.found.repaired for each in done)
    return out.summary(most_serious(codes), links=len(done), different=differ, repaired=repaired)


def _compare_all(context: Context, text: str) -> tuple[list[_Done], list[int]]:
    out, codes = context.out, [DONE]
    chosen = context.links(text)
    seen = [each for each in chosen if not reconciling.is_unseen(each)]
    if seen:
        for each in chosen:
            if each not in seen:
                out.line(f"{each.name}: not compared, since {each.partner} is other software and carries it.")
    done: list[_Done] = []
    clients: dict[str, Partner] = {}
    away: set[str] = set()
    try:
        for each in seen or chosen:
            if each.partner in away:
                out.record("failure", link=each.name, problem="not asked", remedy="", exit=LATER)
                continue
            began = time.monotonic()
            try:
                client = clients.get(each.partner) or clients.setdefault(each.partner, _client(context, each))
                with out.progress(each.name, None):
                    found = reconciling.reconcile(
                        context.door, each, client, now=clock.now, pause=threading.Event().wait
                    )
                done.append(_Done(each, found, time.monotonic() - began))
            except NodeError as cause:
                codes.append(exit_code(cause))
                _print_failure(context, each, cause)
                if isinstance(cause, PartnerUnreachable):
                    away.add(each.partner)  # its other links would only wait for the same
    finally:
        for client in clients.values():
            client.close()
    return done, codes


def _print_failure(context: Context, link: Link, cause: NodeError) -> None:
    out, remedy = context.out, remedy_of(cause)
    if isinstance(cause, PartnerUnreachable):
        remedy = f"Run it again; if it lasts: stixnode doctor {link.partner}"
    out.line(f"{link.name}: {cause.problem}")
    out.remedy(remedy, indent=2)
    out.record("failure", link=link.name, problem=cause.problem, remedy=remedy, exit=exit_code(cause))


def _client(context: Context, link: Link) -> Partner:
    binding = next(each for each in context.settings.partners if each.name == link.partner)
    if not binding.api_root:
        us = context.settings.node.name
        raise UsageError(
            f"[partner.{link.partner}] has no api_root, so we cannot ask for its books.",
            remedy=f"Write api_root there; or let {link.partner} do it, with `reconcile {us}`.",
        )
    return opener(context.settings)(link.partner)


def _row(done: _Done) -> list[str]:
    found, compared = done.found, done.found.compared
    how = "by their manifest"
    if found.buckets:
        looked = f"{found.unequal} looked into" if found.unequal else "all equal"
        how = f"by the books of both: {found.buckets} buckets, {looked}, {done.seconds:.1f} s"
    numbers = (compared.same, compared.explained.total(), len(compared.different))
    return [done.link.name, *(f"{number:,}" for number in numbers), how]


def _print_details(context: Context, done: _Done) -> None:
    out, found, link = context.out, done.found, done.link
    if not (found.compared.different or found.compared.explained or found.notes or found.held):
        return
    out.line()
    out.line(link.name)
    groups: dict[Group | None, list[Finding]] = defaultdict(list)
    for each in found.compared.different:
        groups[each.group].append(each)
    for group in Group:
        if groups[group]:
            _print_group(context, link, group, groups[group])
    for why, number in sorted(found.compared.explained.items(), key=lambda item: -item[1]):
        names = [each.key.stix_id for each in found.compared.named if each.why is why]
        most = NAMED if why is Why.VANISHED else NAMED_EXPLAINED
        more = " ..." if number > most else ""
        out.line(f"  explained      {number:,}  {why.value}: {', '.join(names[:most])}{more}")
    for note in found.notes:
        out.line(f"  note: {note}")
    if found.held:
        out.line(f"  HELD: {found.held}")
        out.remedy(f"Ask {link.partner} whether it lost a database or took a right away.", indent=2)


def _print_group(context: Context, link: Link, group: Group, findings: Sequence[Finding]) -> None:
    out = context.out
    out.line(f"  {group.value:13}  {len(findings):,}  {_SENTENCES[link.direction, group]}")
    for each in findings[:NAMED]:
        verb = "came" if group is Group.ONLY_HERE and link.direction == "in" else "given"
        moment = f"  {verb} {context.local(each.at)}" if each.at else ""
        out.line(f"    {each.key.stix_id}{moment}")
    if len(findings) > NAMED:
        out.line(f"    ... and {len(findings) - NAMED:,} more: --json names all")
    if not all(each.repairable for each in findings):
        out.remedy(_by_hand(context, link, group), indent=4)


def _by_hand(context: Context, link: Link, group: Group) -> str:
    """What a person does about differences that no repair touches."""
    partner, us = link.partner, context.settings.node.name
    if group is Group.OTHER_CONTENT and link.direction == "in":
        return "Nothing is touched. Look whether our database is sound: stixnode check --read-data"
    if group is Group.OTHER_CONTENT:
        return f"Nothing is touched. Tell {partner}; a new version of ours would replace it there."
    if link.direction == "out":
        return f"Our node may have gone back in time; {partner} has these still: call its duty desk."
    if group is Group.ONLY_HERE:
        return f"{partner} may have gone back to an older state: tell its duty desk. They are kept here."
    if link.carrier == "us":
        return f"It is not offered any more; ask {partner} for it, with its id."
    return f"Ask {partner} to bring it again, with `reconcile {us}/{link.flow}/out --repair`."


def _agreed(context: Context, lost: Sequence[_Done], *, yes: bool) -> bool:
    """Whether the operator wants the repair."""
    if yes:
        return True
    if context.asked.as_json or not sys.stdin.isatty():
        raise UsageError(
            "A repair asks first, and there is nobody to ask.", remedy="Add --yes, if it is wanted."
        )
    for each in lost:
        number = amount(len(each.found.repairable), "object")
        what = "offered again" if each.link.direction == "out" else "listed again, with the whole flow"
        click.echo(f"{each.link.name}: {number} would be {what}.", err=True)
    return click.confirm("Go on?", err=True)


def _repair_all(context: Context, lost: Sequence[_Done], codes: list[int]) -> None:
    out, holder = context.out, holder_of_leases()
    for each in lost:
        try:
            number = reconciling.repair(
                context.door, each.link, each.found, actor=context.actor, holder=holder, now=clock.now
            )
        except NodeError as cause:
            codes.append(exit_code(cause))
            out.line(f"{each.link.name}: {cause.problem}")
            out.remedy(remedy_of(cause), indent=2)
            continue
        objects = amount(number, "object")
        if each.link.direction == "in":
            out.line(f"{each.link.name}: the flow is listed from the start in the next round, for {objects}.")
        else:
            when = "go with the next round" if each.link.carrier == "us" else "go when they fetch next"
            out.line(f"{each.link.name}: {objects} offered again; they {when}.")
        out.record("repaired", link=each.link.name, objects=number)


def _code(found: Reconciled) -> int:
    if found.held:
        return RULE
    left = [each for each in found.compared.different if not (found.repaired and each.repairable)]
    return PENDING if left else DONE


def _next(done: Sequence[_Done], text: str) -> str:
    if any(each.found.repaired for each in done):
        carried = [each.link for each in done if each.found.repaired and each.link.carrier == "us"]
        return f"stixnode {'sync' if carried else 'reconcile'} {text}"
    if any(each.found.repairable for each in done):
        return f"stixnode reconcile {text} --repair"
    differing = [each.found.compared.different for each in done if each.found.compared.different]
    if differing:
        return f"stixnode explain {differing[0][0].key.stix_id}"
    return "stixnode status"


def _record(context: Context, done: _Done) -> None:
    out, link, found = context.out, done.link, done.found
    fields: dict[str, Value] = {"link": link.name, "by": found.compared.by, "same": found.compared.same}
    fields["explained"] = {why.name.lower(): number for why, number in found.compared.explained.items()}
    fields |= {"different": len(found.compared.different), "repairable": len(found.repairable)}
    fields |= {"buckets": found.buckets, "unequal": found.unequal, "held": found.held, "notes": found.notes}
    out.record("compared", **fields)
    for each in found.compared.different:
        group = None if each.group is None else each.group.value
        out.record("difference", link=link.name, group=group, repairable=each.repairable, **_names(each))
    for each in found.compared.named:
        why = None if each.why is None else each.why.name.lower()
        out.record("explained", link=link.name, why=why, **_names(each))


def _names(found: Finding) -> dict[str, Value]:
    key = found.key
    names: dict[str, Value] = {"id": key.stix_id, "spec_version": key.spec_version or None}
    version = utc(key.version // 1000) if key.version else None
    return names | {"version": version, "digest": key.digest.hex() or None, "at": utc(found.at or None)}
