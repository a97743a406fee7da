"""`stixnode agreement`: what we exchange with a partner, and under which terms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from node import clock
from node.cli.allowing import print_losses
from node.cli.asked import Group
from node.cli.context import Context, with_context
from node.cli.exits import DONE, RULE
from node.cli.printing import Printer, Value, amount, duration, utc
from node.errors import UsageError
from node.sharing.agreements import Agreement, digest_words, in_force, load_agreement
from node.sharing.links import Link
from node.sharing.tables import nearest
from node.stix.markings import tlp_name


@click.group(cls=Group)
def agreement() -> None:
    """Check an agreement, or show what it lets cross."""


@agreement.command("check")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@with_context
def check_agreement(context: Context, file: Path | None) -> int:
    """Check an agreement's file, or all that config.toml names; every fault is named with its place.

    Exit code 6: one of them has ended.
    """
    out, now = context.out, clock.now()
    found = [load_agreement(file)] if file is not None else _known(context)
    for one in found:
        state = _state(one, now)
        parties, flows = " and ".join(one.parties), amount(len(one.flows), "flow")
        mark = "ENDED" if now >= one.ends else "ok   "
        out.line(f"{mark} {one.id} revision {one.revision}, {parties}, {flows}, {state}")
        out.line(
            f"      terms {digest_words(one.terms_digest)}   compare these words by voice: they must be equal"
        )
        out.record("agreement", **_fields(one, state))
        print_losses(context, one)
    out.next(f"stixnode agreement show {found[0].id}" if found else "name one in [partner.NAME] agreements")
    ended = any(now >= one.ends for one in found)
    return out.summary(RULE if ended else DONE, agreements=len(found))


@agreement.command("show")
@click.argument("name", metavar="[ID]", required=False)
@with_context
def show_agreement(context: Context, name: str | None) -> int:
    """Show what we give and what we get under an agreement, in a table for each partner."""
    out, known, now = context.out, _known(context), clock.now()
    chosen = [one for one in known if name in (None, one.id)]
    if not chosen:
        ids = [one.id for one in known]
        guess = nearest(name or "", ids)
        raise UsageError(
            f"There is no agreement {name!r} here." if name else "There is no agreement here.",
            remedy=f"Did you mean {guess}?" if guess else "Name its file in [partner.NAME] agreements.",
        )
    for one in chosen:
        state, words = _state(one, now), digest_words(one.terms_digest)
        until = f"{context.local(one.starts)} to {context.local(one.ends)}"
        out.line(f"{one.id} revision {one.revision}   {words}   {state}   {until}")
        out.line(f"{one.title}; {one.legal_basis}")
        out.record("agreement", **_fields(one, state))
        for partner in [each for each in context.settings.partners if one in each.agreements]:
            flows = [link for link in context.settings.links if link.partner == partner.name]
            _print_flows(out, partner.name, [link for link in flows if link.terms.agreement == one.id])
            party = one.parties[partner.name]
            out.line(f"duty desk {partner.name}: {party.duty_phone}, {party.duty_email}, {party.duty_hours}")
        out.line("Never: what is above these levels; anything after the end.")
    out.next(f"stixnode plan {context.settings.partners[0].name}")
    return out.summary(DONE, agreements=len(chosen))


def _print_flows(out: Printer, partner: str, theirs: Sequence[Link]) -> None:
    for head, direction in ((f"WE GIVE {partner.upper()}", "out"), (f"WE GET FROM {partner.upper()}", "in")):
        chosen = [link for link in theirs if link.direction == direction]
        rows = [
            (
                f"  {link.flow}",
                tlp_name(link.terms.max_tlp),
                _unmarked(link),
                ", ".join(link.audience) or "nobody",
                f"{link.keep_days} days",
                f"{_carried(link)} every {duration(link.every_seconds)}",
                "nobody" if direction == "out" or not link.onward else ", ".join(link.onward),
            )
            for link in chosen
        ]
        reader = "WHO THERE MAY READ" if direction == "out" else "WHO HERE MAY READ"
        kept = "KEPT THERE" if direction == "out" else "KEPT HERE"
        heads = (head, "UP TO", "NO TLP", reader, kept, "CARRIED", "PASSED ON TO")
        out.table(
            heads[:-1] if direction == "out" else heads,
            [row[:-1] if direction == "out" else row for row in rows],
        )
        for link in chosen:
            fields: dict[str, Value] = {"link": link.name, "types": list(link.terms.types)}
            fields |= {"max_tlp": tlp_name(link.terms.max_tlp), "unmarked": _unmarked(link)}
            fields |= {"audience": list(link.audience), "keep_days": link.keep_days, "carrier": link.carrier}
            fields |= {"urgent_labels": list(link.urgent_labels), "urgent_at_once": _pushed(link)}
            out.record("flow", **fields, every_seconds=link.every_seconds, onward=list(link.onward))
        for line in _urgent(chosen):
            out.line(f"  {line}")


def _urgent(links: Sequence[Link]) -> list[str]:
    """What goes first and how soon, one sentence for all flows of which it is the same."""
    flows: dict[tuple[bool, tuple[str, ...]], list[str]] = {}
    for link in links:
        flows.setdefault((_pushed(link), link.urgent_labels), []).append(link.flow)
    lines = []
    for (pushed, labels), names in sorted(flows.items(), reverse=True):
        what = f"Revocations, and what is labelled {' or '.join(labels)}," if labels else "Revocations"
        when = "are brought at once and first" if pushed else "go with the next fetch, in their order"
        lines.append(f"{what} {when}: {', '.join(names)}.")
    return lines


def _pushed(link: Link) -> bool:
    return (link.carrier == "us") == (link.direction == "out")


def _unmarked(link: Link) -> str:
    return "withheld" if link.terms.unmarked is None else f"as {tlp_name(link.terms.unmarked)}"


def _carried(link: Link) -> str:
    if link.direction == "in":
        return "we fetch" if link.carrier == "us" else "they bring"
    return "we bring" if link.carrier == "us" else "they fetch"


def _known(context: Context) -> list[Agreement]:
    found = {one.id: one for partner in context.settings.partners for one in partner.agreements}
    return [found[each] for each in sorted(found)]


def _state(one: Agreement, now: int) -> str:
    if in_force(one, now):
        return f"in force, {duration((one.ends - now) // clock.MICROSECONDS)} left"
    return "not in force yet" if now < one.starts else "ended"


def _fields(one: Agreement, state: str) -> dict[str, Value]:
    return {
        "id": one.id,
        "revision": one.revision,
        "title": one.title,
        "legal_basis": one.legal_basis,
        "state": state.partition(",")[0],
        "starts": utc(one.starts),
        "ends": utc(one.ends),
        "parties": list(one.parties),
        "terms_digest": one.terms_digest.hex(),
        "words": digest_words(one.terms_digest),
    }
