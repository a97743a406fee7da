"""`stixnode stop` and `resume`: close and open what crosses between us and a partner."""

from __future__ import annotations

from collections.abc import Sequence

import click

from node import clock
from node.audit import log
from node.cli.allowing import allow
from node.cli.asked import Command
from node.cli.compromised import take_out
from node.cli.context import Context, with_context
from node.cli.exits import DONE
from node.cli.moments import past_moment
from node.cli.printing import amount
from node.errors import Refused, UsageError
from node.exchange import egress, links
from node.exchange.compromise import Suspect
from node.sharing.links import Link
from node.store import catalog
from node.store.database import Tx

STOPPED = "stopped by a person"


@click.command(cls=Command)
@click.argument("partner", required=False)
@click.option("--all", "every", is_flag=True, help="All partners.")
@click.option("--reason", default="", help="Why; the partner and status are told.")
@click.option(
    "--compromised", is_flag=True, help="Put what it brought --since back behind the quarantine as well."
)
@click.option("--since", metavar="MOMENT", help='6h, 2d, or a moment such as "2026-11-21 14:05".')
@click.option("--dry-run", is_flag=True, help="With --compromised: show what would go; change nothing.")
@with_context
def stop(
    context: Context,
    partner: str | None,
    every: bool,
    reason: str,
    compromised: bool,
    since: str | None,
    dry_run: bool,
) -> int:
    """Close all links with a partner at once: what we fetch and bring, and what we serve it.

    With --compromised --since MOMENT what it brought since then is taken out and waits in the quarantine,
    older versions stand again, and who has read past it is listed. Nothing is lost: quarantine accept brings
    an object back, discard leaves it out. The same command again finishes a run that was cut short.
    """
    if compromised != (since is not None) or (dry_run and not compromised) or (compromised and every):
        raise UsageError(
            "--compromised and --since go together, for one partner; --dry-run goes with them.",
            remedy="stixnode stop PARTNER --compromised --since 6h",
        )
    names, said = _named(context, partner, every), reason.strip() or STOPPED
    if since is not None:
        moment = past_moment(since, now=clock.now(), zone=context.settings.node.time_zone)
        if not dry_run:
            _close(context, names, reason.strip() or "compromised")
        return take_out(context, Suspect(names[0], moment), dry_run=dry_run)
    number = _close(context, names, said)
    which = "--all" if every else names[0]
    context.out.next(f"stixnode resume {which}, when it may go on; links keep their place")
    return context.out.summary(DONE, partner=", ".join(names), links=number, reason=said)


@click.command(cls=Command)
@click.argument("partner", required=False)
@click.option("--all", "every", is_flag=True, help="All partners but those that config.toml pauses.")
@click.option(
    "--allow-new",
    type=click.IntRange(1),
    metavar="N",
    help="Within 24 hours it may bring so many objects beyond its max_new_in_per_day.",
)
@click.option(
    "--allow-revoked",
    type=click.IntRange(1),
    metavar="N",
    help="Within 24 hours it may revoke so many objects beyond its max_revoked_percent_in_per_day.",
)
@with_context
def resume(
    context: Context, partner: str | None, every: bool, allow_new: int | None, allow_revoked: int | None
) -> int:
    """Open all links with a partner; they go on where they were."""
    out, names = context.out, _named(context, partner, every)
    held = [one.name for one in context.settings.partners if one.name in names and one.paused]
    if held and not every:
        raise Refused(
            f"config.toml says paused = true for {partner}, which no command overrides.",
            remedy=f"Take paused out of [partner.{partner}], then run: stixnode resume {partner}",
        )
    if every and (allow_new or allow_revoked):
        raise UsageError(
            "What a partner may bring beyond its limit is said for one partner.",
            remedy="stixnode resume PARTNER --allow-new N",
        )
    number, closed, retries = 0, dict[str, str](), list[str]()
    for name in held:
        out.line(f"{name} stays closed: config.toml says paused = true, which no command overrides.")
    for name in [one for one in names if one not in held]:
        theirs = context.partner_links(name)
        _set(context, name, paused=False, reason="", act="resume")
        out.line(f"{amount(len(theirs), 'link')} with {name} open")
        still = _still_closed(context, theirs)
        for link, why in still.items():
            out.line(f"  {link}: {why}")
        number, closed = number + len(theirs), closed | still
        retries += allow(context, name, new=allow_new, revoked=allow_revoked)
    out.next(*retries, "stixnode sync" if every else f"stixnode sync {partner}")
    return out.summary(DONE, partner=", ".join(names), links=number, still_closed=closed)


def _named(context: Context, partner: str | None, every: bool) -> list[str]:
    if (partner is None) is not every:
        raise UsageError("Name one partner, or --all.", remedy="stixnode status shows them.")
    names = [one.name for one in context.settings.partners] if partner is None else [partner]
    if not names:
        raise UsageError("There is no partner yet.", remedy="Write a table [partner.NAME] in config.toml.")
    for name in names:
        context.partner_links(name)
    return names


def _close(context: Context, names: Sequence[str], said: str) -> int:
    number = 0
    for name in names:
        theirs = context.partner_links(name)
        _set(context, name, paused=True, reason=said, act="stop")
        context.out.line(
            f"{amount(len(theirs), 'link')} with {name} closed: nothing in, nothing out, nothing served."
        )
        number += len(theirs)
    return number


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
