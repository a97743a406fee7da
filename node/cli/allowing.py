"""What more may come than usual, and what would no longer be given: for `resume` and `agreement check`.

Reads   what waits because of a limit, feeds; writes through `exchange.quotas` and `audit.log`
"""

from __future__ import annotations

from dataclasses import replace

from node import clock
from node.audit import log
from node.cli.context import Context
from node.cli.printing import amount, utc
from node.errors import ConfigError
from node.exchange import quotas
from node.sharing.agreements import Agreement
from node.sharing.links import Link, derive_links, parties_of
from node.store.database import Tx
from node.sync import plan as planning
from node.sync.plan import Plan


def allow(context: Context, partner: str, *, new: int | None, revoked: int | None) -> list[str]:
    """Let a partner bring so many objects beyond its limits, and tell it; the commands that come next.

    Args:
        context: Of the command.
        partner: Whom.
        new: Objects beyond `max_new_in_per_day`; None for no word about them.
        revoked: Revocations beyond `max_revoked_percent_in_per_day`; None for no word about them.
    """
    wanted = [(kind, n) for kind, n in ((quotas.NEW, new), (quotas.REVOKED, revoked)) if n is not None]
    if not wanted:
        return []
    actor, now = context.actor, clock.now()

    def work(tx: Tx) -> int:
        until = now
        for kind, number in wanted:
            until = quotas.allow(tx, partner, kind, number, actor=actor, now=now)
        details: log.Details = {f"allow_{kind}": number for kind, number in wanted}
        log.record(tx, now=now, actor=actor, act="allow", subject=f"partner:{partner}", details=details)
        return until

    until = context.database.retrying(work)
    for kind, number in wanted:
        what = amount(number, "new object") if kind == quotas.NEW else amount(number, "revocation")
        context.out.line(f"{partner} may bring {what} beyond its limit until {context.local(until)}")
        context.out.record("allowance", partner=partner, what=kind, number=number, until=utc(until))
    with context.database.reading() as tx:
        held_back = quotas.held_back(tx)
    return [
        f"stixnode quarantine retry --reason {one.reason}"
        for one in held_back
        if one.partner == partner and quotas.KINDS[one.reason] in dict(wanted)
    ]


def print_losses(context: Context, one: Agreement) -> None:
    """Tell what partners would no longer be offered if this were what is agreed; nothing holds that.

    Args:
        context: Of the command; where there is no node, there is nothing to tell.
        one: An agreement that is in the configuration, or another revision of one that is.
    """
    try:
        bindings = context.settings.partners
    except ConfigError:
        return
    if all(one.id != known.id for binding in bindings for known in binding.agreements):
        return
    changed = [
        replace(binding, agreements=tuple(one if each.id == one.id else each for each in binding.agreements))
        for binding in bindings
    ]
    us = context.settings.node
    parties = parties_of(us.name, changed, us.identities, context.settings.public_identities)
    for link in derive_links(us.name, changed, parties):
        if link.direction == "out" and link.terms.agreement == one.id:
            found = planning.would_vanish(context.door, link, now=clock.now())
            if found is not None:
                _print_loss(context, link, found)


def _print_loss(context: Context, link: Link, found: Plan) -> None:
    gone, more = found.taken_out, found.changes - found.taken_out
    careful = "CAREFUL, " if found.vanishing else ""
    context.out.line(
        f"      {careful}{link.name}: of {found.standing:,} offered now {gone:,} would be taken out;"
        f" {more:,} more would go"
    )
    context.out.record(
        "loss", link=link.name, offered_now=found.standing, taken_out=gone, goes=more, large=bool(careful)
    )
