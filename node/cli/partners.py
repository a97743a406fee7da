"""`stixnode stop`, `resume` and `agreement`: whether and what we exchange with a partner."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from node import clock
from node.audit import log
from node.cli.asked import Command, Group
from node.cli.context import Context, with_context
from node.cli.exits import DONE, RULE
from node.cli.printing import Printer, Value, amount, duration, utc
from node.errors import Refused, UsageError
from node.exchange import egress, links
from node.sharing.agreements import Agreement, digest_words, in_force, load_agreement
from node.sharing.links import Link
from node.sharing.tables import nearest
from node.stix.markings import tlp_name
from node.store import catalog
from node.store.database import Tx

STOPPED = "stopped by a person"


@click.command(cls=Command)
@click.argument("partner")
@click.option("--reason", default="", help="Why; the partner and status are told.")
@with_context
def stop(context: Context, partner: str, reason: str) -> int:
    """Close all links with a partner at once: what we fetch and bring, and what we serve it."""
    theirs = context.partner_links(partner)
    said = reason.strip() or STOPPED
    _set(context, partner, paused=True, reason=said, act="stop")
    context.out.line(
        f"{amount(len(theirs), 'link')} with {partner} closed: nothing in, nothing out, nothing served."
    )
    context.out.next(f"stixnode resume {partner}, when it may go on; links keep their place")
    return context.out.summary(DONE, partner=partner, links=len(theirs), reason=said)


@click.command(cls=Command)
@click.argument("partner")
@with_context
def resume(context: Context, partner: str) -> int:
    """Open all links with a partner; they go on where they were."""
    theirs = context.partner_links(partner)
    binding = next(each for each in context.settings.partners if each.name == partner)
    if binding.paused:
        raise Refused(
            f"config.toml says paused = true for {partner}, which no command overrides.",
            remedy=f"Take paused out of [partner.{partner}], then run: stixnode resume {partner}",
        )
    _set(context, partner, paused=False, reason="", act="resume")
    context.out.line(f"{amount(len(theirs), 'link')} with {partner} open")
    closed = _still_closed(context, theirs)
    for name, why in closed.items():
        context.out.line(f"  {name}: {why}")
    context.out.next(f"stixnode sync {partner}")
    return context.out.summary(DONE, partner=partner, links=len(theirs), still_closed=closed)


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
            out.record("flow", **fields, every_seconds=link.every_seconds, onward=list(link.onward))


def _unmarked(link: Link) -> str:
    return "withheld" if link.terms.unmarked is None else f"as {tlp_name(link.terms.unmarked)}"


def _carried(link: Link) -> str:
    if link.direction == "in":
        return "we fetch" if link.carrier == "us" else "they bring"
    return "we bring" if link.carrier == "us" else "they fetch"


def _set(context: Context, partner: str, *, paused: bool, reason: str, act: str) -> None:
    actor = context.actor
    context.door  # noqa: B018 - new links get their rows before anything is set for all of them

    def work(tx: Tx) -> None:
        number = links.set_paused(tx, partner, paused=paused, reason=reason, now=clock.now())
        details: log.Details = {"links": number, "reason": reason}
        log.record(tx, now=clock.now(), actor=actor, act=act, subject=f"partner:{partner}", details=details)

    context.database.retrying(work)


def _still_closed(context: Context, theirs: Sequence[Link]) -> dict[str, str]:
    found: dict[str, str] = {}
    with context.database.reading() as tx:
        for link in theirs:
            collection = catalog.find_collection(tx, link.collection)
            if collection is None:
                command = f"stixnode collection add {link.collection} --title TITLE"
                found[link.name] = f"there is no collection {link.collection}; {command}"
                continue
            why = egress.closed_reason(tx, link, collection, now=clock.now())
            if why is not None:
                found[link.name] = why
    return found


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
