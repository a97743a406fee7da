"""`stixnode withdraw`: take back what went out, and see who has acknowledged it.

Rule    Before anything is done it shows each object, each partner it went to and each account of ours that
        has read past it. It takes a person's token and a reason, which partners read.

`stixnode withdraw ID...` is the group's own command; `list` and `acknowledge` stand beside it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import BinaryIO

import click

from node import clock
from node.audit import log
from node.cli.asked import Command, Group
from node.cli.asking import ask_number
from node.cli.context import Context, with_context
from node.cli.exits import ATTENTION, DONE, INCOMPLETE
from node.cli.printing import Value, ago, amount, utc
from node.cli.withdrawn_ids import chosen_ids
from node.errors import UsageError
from node.exchange import acknowledging, readership, taking_back, withdrawals
from node.exchange.acknowledging import Standing, Told
from node.exchange.readership import WORDS, Given, Readership
from node.exchange.taking_back import Chosen, Order, Target, Withdrawn
from node.exchange.withdrawals import Acknowledgement
from node.sharing.agreements import type_allowed
from node.store import catalog
from node.store.database import Tx
from node.sync import withdraw as owed

WITHDRAWERS = ("operator", "approver")
SHOWN = 20
_HOW = {
    "revoked": "revoked version",
    "buried": "removed here, and a note",
    "notice": "a note; the object is not ours",
}
_NOW = {"revoked": "revoked", "buried": "removed", "notice": "a note"}
_DONE = {"revoked": "revoked", "buried": "removed here, and a note written", "notice": "told of in a note"}


class _Withdraw(Group):
    """A group whose own command is called without a name: what begins with an id or an option goes to it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in self.commands:
            args = ["", *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in super().list_commands(ctx) if name]


class _Objects(Command):
    """The group's own command; it has no name of its own to be shown."""

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path.strip(), " ".join(self.collect_usage_pieces(ctx)))


@click.group(cls=_Withdraw)
def withdraw() -> None:
    """Take back objects that went out; list who has acknowledged it."""


@withdraw.command("", cls=_Objects)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--value", metavar="VALUE", help="Every object whose newest version names this value.")
@click.option("--batch", metavar="ARRIVAL", help="What one arrival brought, such as a-0017; import names it.")
@click.option(
    "--file", type=click.File("rb"), help="Ids, one a line, or a bundle, envelope or lines of objects."
)
@click.option("--reason", default="", metavar="WORDS", help="Why; it is demanded, and partners read it.")
@click.option(
    "--bury",
    is_flag=True,
    help="Remove ours here and tell it by a note: no version with the content goes out.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be done, and to whom it went; change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_context
def objects(
    context: Context,
    ids: tuple[str, ...],
    value: str | None,
    batch: str | None,
    file: BinaryIO | None,
    reason: str,
    bury: bool,
    dry_run: bool,
    yes: bool,
) -> int:
    """Withdraw objects: by ID, by --value, by --batch or from a --file. It cannot be taken back.

    Of ours, a revoked version goes to every partner; of what has no versions (observables, markings) and of
    what is somebody else's, a note with the reason goes. What was ours comes in no more, from nobody.
    Takes a person's token. Exit code 3: some ids are not here, or something was not taken.

    \b
    stixnode withdraw list [--overdue]              who has acknowledged what
    stixnode withdraw acknowledge PARTNER [ID]...   note what a partner said by telephone
    """
    out = context.out
    wanted = chosen_ids(context, ids, value, batch, file)
    actor = context.acting.name if dry_run else context.person("withdraw", WITHDRAWERS)
    if not (dry_run or reason.strip()):
        raise UsageError(
            "Partners are told why an object is withdrawn, and no reason was given.",
            remedy='Add --reason "in one sentence"; it must not repeat what was secret.',
        )
    with context.database.reading() as tx:
        chosen = taking_back.choose(tx, wanted, bury=bury)
        if not chosen.targets and not chosen.done:
            raise UsageError(
                f"Of {amount(len(wanted), 'object')} nothing is held here.",
                remedy=f"See what is known of it: stixnode explain {wanted[0]}",
            )
        rows = [row for one in chosen.targets for row in one.rows]
        given = readership.given_to(tx, [one.stix_id for one in chosen.targets])
        readers = readership.readers_of(tx, context.door, rows)
        aliases = {one.collection_id: one.alias for one in catalog.collections(tx)}
    author = _author(context) if taking_back.needs_author(chosen.targets) else ""
    _show(context, chosen, given, readers, aliases)
    if not chosen.targets:
        out.next("stixnode withdraw list")
        return out.summary(DONE, withdrawn=0, before=len(chosen.done))
    if dry_run:
        out.line("Nothing was changed. To do it, give --reason in place of --dry-run.")
        out.next("stixnode withdraw list")
        return out.summary(INCOMPLETE if chosen.unknown else DONE, objects=len(chosen.targets))
    number = len(chosen.targets)
    ask_number(context, f"{amount(number, 'object')} will be withdrawn, for ever.", number, yes=yes)
    with out.progress("withdrawing", None) as step:
        done = taking_back.withdraw(
            context.door, chosen.targets, Order(actor, reason.strip(), author), now=clock.now, step=step
        )
    return _tell(context, done, chosen, given)


@withdraw.command("list")
@click.option(
    "--overdue", "late", is_flag=True, help="Only what partners owe longer than the agreement says."
)
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=1_000, show_default=True, help="So many, the newest."
)
@with_context
def list_withdrawals(context: Context, late: bool, limit: int) -> int:
    """List what was withdrawn, newest first, and who has acknowledged it. Exit code 7: overdue."""
    out, now = context.out, clock.now()
    hours = owed.hours_of(context.settings.partners)
    with context.database.reading() as tx:
        # What is overdue is old: it is looked for among all, and not among the newest.
        known = withdrawals.newest(tx, limit=owed.NEWEST if late else limit)
        found = [
            one
            for start in range(0, len(known), owed.AT_ONCE)
            for one in acknowledging.standings(tx, context.door.links, known[start : start + owed.AT_ONCE])
        ]
    chosen: list[tuple[Standing, list[Told]]] = []
    owing: Counter[str] = Counter()
    for one in found:
        behind = [each for each in one.told if owed.is_overdue(each, one.withdrawal.at, hours, now=now)]
        owing.update(each.partner for each in behind)
        if behind or not late:
            chosen.append((one, behind if late else list(one.told)))
            _record(context, one, behind)
    rows = [row for one, told in chosen for row in _rows(one, told, now)]
    out.table(("OBJECT", "WITHDRAWN", "HOW", "LINK", "STATE"), rows[: 2 * SHOWN])
    if len(rows) > 2 * SHOWN:
        out.line(f"and {len(rows) - 2 * SHOWN:,} lines more; --json has all")
    if not rows:
        out.line("Nothing is overdue." if late else "Nothing was withdrawn.")
    for one in [each for each, _ in chosen if each.unfinished]:
        out.line(f"{one.withdrawal.stix_id} was cut short; give the same command again to finish it.")
    for partner, number in sorted(owing.items()):
        given = f"{hours.get(partner, owed.DEFAULT_HOURS)} h"
        out.line(f"{partner}: {amount(number, 'acknowledgement')} overdue; the agreement gives {given}.")
    if owing:
        out.next(
            f"stixnode doctor {min(owing)}",
            f'stixnode withdraw acknowledge {min(owing)} --reason "who said it", after a call',
        )
    else:
        out.next("stixnode explain ID" if rows else "stixnode status")
    code = ATTENTION if late and owing else DONE
    return out.summary(code, withdrawals=len(found), overdue=sum(owing.values()))


@withdraw.command("acknowledge")
@click.argument("partner")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--reason", default="", metavar="WORDS", help="Who said it, and how; it is demanded.")
@with_context
def acknowledge(context: Context, partner: str, ids: tuple[str, ...], reason: str) -> int:
    """Note that PARTNER has seen to what was withdrawn, as it said by telephone: to IDs, or to all it owes.

    For partners whose server confirms nothing, or that no link reaches any more. Takes a person's token.
    """
    out = context.out
    actor = context.person("acknowledge for a partner", WITHDRAWERS)
    if not reason.strip():
        raise UsageError("Nothing says who acknowledged it.", remedy='Add --reason "who said it, and how".')
    with context.database.reading() as tx:
        known = withdrawals.by_ids(tx, ids).values() if ids else withdrawals.newest(tx, limit=100_000)
        found = acknowledging.standings(tx, context.door.links, list(known))
    open_ = [one.withdrawal.stix_id for one in found if any(each.partner == partner for each in one.open)]
    if not open_:
        raise UsageError(
            f"{partner} owes no acknowledgement{' of these' if ids else ''}.",
            remedy="See who owes one: stixnode withdraw list",
        )

    def work(tx: Tx) -> None:
        now = clock.now()
        withdrawals.acknowledge(
            tx, [Acknowledgement(each, partner, now, actor, reason.strip()) for each in open_]
        )
        details: log.Details = {"reason": reason.strip(), "objects": len(open_), "first": open_[0]}
        log.record(
            tx,
            now=now,
            actor=actor,
            act="withdraw.acknowledge",
            subject=f"partner:{partner}",
            details=details,
        )

    context.database.retrying(work)
    out.line(f"{amount(len(open_), 'withdrawal')} acknowledged by {partner}, as {actor} noted.")
    for each in open_:
        out.record("acknowledged", id=each, partner=partner)
    out.next("stixnode withdraw list")
    return out.summary(DONE, partner=partner, objects=len(open_))


def _author(context: Context) -> str:
    """Who speaks in notes: the first identity of the configuration, else of the agreements."""
    ours = [*context.settings.node.identities, *sorted(context.door.parties.ours)]
    if not ours:
        raise UsageError(
            "A note has to tell it, and this node has no identity in whose name it could speak.",
            remedy='Write identities = ["identity--..."] under [node] in config.toml: your centre\'s own.',
        )
    return ours[0]


def _show(
    context: Context,
    chosen: Chosen,
    given: Sequence[Given],
    readers: Sequence[Readership],
    aliases: Mapping[int, str],
) -> None:
    """What would be withdrawn, where it lies, to whom it went and who has read past it."""
    out = context.out
    went: dict[str, dict[str, int]] = defaultdict(dict)
    for each in given:
        went[each.key.stix_id][each.link] = each.state
    read: dict[str, set[str]] = defaultdict(set)
    for reader in readers:
        read[reader.stix_id].add(reader.account)
    rows: list[tuple[str, ...]] = []
    for one in chosen.targets:
        places = sorted({aliases[row.collection_id] for row in one.rows})
        links = [f"{link} ({WORDS[state]})" for link, state in sorted(went[one.stix_id].items())]
        accounts = sorted(read[one.stix_id])
        rows.append(
            (one.stix_id, _whose(one), _HOW[one.kind], ", ".join(places), "; ".join(links) or "nobody")
        )
        given_: list[Value] = [
            {"link": link, "state": WORDS[s]} for link, s in sorted(went[one.stix_id].items())
        ]
        out.record(
            "object",
            id=one.stix_id,
            owner=one.owner,
            how=one.kind,
            collections=places,
            given_to=given_,
            read_past_by=accounts,
            before=None if one.before is None else utc(one.before.at),
        )
    out.table(("OBJECT", "WHOSE", "HOW", "LIES IN", "GIVEN TO"), rows[:SHOWN])
    if len(rows) > SHOWN:
        out.line(f"and {len(rows) - SHOWN:,} more; --json has all")
    _show_sums(context, went, readers)
    _show_unable(context, chosen, went)
    for stix_id in chosen.unknown[:SHOWN]:
        out.line(f"not held here: {stix_id}")
    for stix_id in chosen.unknown:
        out.record("unknown", id=stix_id)
    for before in chosen.done[:SHOWN]:
        out.line(f"withdrawn already by {before.actor}, {context.local(before.at)}: {before.stix_id}")


def _whose(one: Target) -> str:
    return {"local": "ours", "": "nobody's"}.get(one.owner, f"{one.owner}'s")


def _show_sums(
    context: Context, went: Mapping[str, Mapping[str, int]], readers: Sequence[Readership]
) -> None:
    out = context.out
    partners = Counter(
        partner for links in went.values() for partner in {link.partition("/")[0] for link in links}
    )
    for partner, number in sorted(partners.items()):
        out.line(f"{partner} was given {amount(number, 'of them', 'of them')}.")
    by_account: dict[str, set[str]] = defaultdict(set)
    last: dict[str, int] = {}
    for one in readers:
        by_account[one.account].add(one.stix_id)
        last[one.account] = max(one.last_poll, last.get(one.account, 0))
    for account, ids in sorted(by_account.items()):
        asked = ago(last[account], clock.now())
        out.line(f"{account} has read past {len(ids):,} of them (it last asked {asked}).")
    if not by_account:
        out.line("No account of ours has read past them.")


def _show_unable(context: Context, chosen: Chosen, went: Mapping[str, Mapping[str, int]]) -> None:
    """The links by which a note could not follow, and those that are closed."""
    out = context.out
    told_by_note = {one.stix_id for one in chosen.targets if one.kind != "revoked"}
    links = {name for stix_id in told_by_note for name in went.get(stix_id, ())}
    for link in context.door.links:
        if link.name in links and not type_allowed(link.terms.types, "note", observable=False):
            out.line(
                f"{link.name} carries no notes, so {link.partner} will not learn of it: add note to types of"
                f" {link.flow} in the agreement, or tell them otherwise."
            )
            out.record("cannot_tell", link=link.name, partner=link.partner)


def _tell(context: Context, done: Withdrawn, chosen: Chosen, given: Sequence[Given]) -> int:
    out = context.out
    for kind, words in _DONE.items():
        if done.counts[kind]:
            out.line(f"{amount(done.counts[kind], 'object')} {words}")
    for one in done.failures:
        out.line(f"{one.stix_id} in {one.collection}: {one.result.message}")
        out.record("failure", id=one.stix_id, collection=one.collection, message=one.result.message)
    partners = sorted({each.partner for each in given})
    next_ = [f"stixnode sync {partners[0]}" if len(partners) == 1 else "stixnode sync"] if partners else []
    out.next(*next_, "stixnode withdraw list, for who has acknowledged it")
    code = INCOMPLETE if done.failures or chosen.unknown else DONE
    return out.summary(
        code, **done.counts, failures=len(done.failures), unknown=len(chosen.unknown), partners=partners
    )


def _rows(one: Standing, told: Sequence[Told], now: int) -> list[tuple[str, ...]]:
    head = (one.withdrawal.stix_id, ago(one.withdrawal.at, now), _NOW[one.withdrawal.kind])
    if not told:
        return [(*head, "", "nobody was given it")]
    return [(*head, each.link, each.text) for each in sorted(told, key=lambda each: not each.open)]


def _record(context: Context, one: Standing, behind: Sequence[Told]) -> None:
    taken = one.withdrawal
    told: list[Value] = [
        {"link": each.link, "open": each.open, "overdue": each in behind, "state": each.text}
        for each in one.told
    ]
    context.out.record(
        "withdrawal",
        id=taken.stix_id,
        at=utc(taken.at),
        how=taken.kind,
        by=taken.actor,
        reason=taken.reason,
        note=taken.notice_id or None,
        unfinished=one.unfinished,
        told=told,
    )
