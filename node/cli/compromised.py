"""`stixnode stop PARTNER --compromised`: what it brought goes behind the quarantine, and who had it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from node import clock
from node.cli.context import Context
from node.cli.exits import DONE
from node.cli.printing import Printer, amount, utc
from node.exchange import compromise, readership
from node.exchange.compromise import Found, Suspect
from node.exchange.feeds import key_of
from node.exchange.readership import WORDS, Given, Readership

SHOWN = 20


def take_out(context: Context, suspect: Suspect, *, dry_run: bool) -> int:
    """Take out what a compromised partner brought, and say who has read past it and who was given it.

    Args:
        context: Of the command; the partner is closed already, unless nothing is to be done.
        suspect: Who, and since when.
        dry_run: Show, and change nothing.
    """
    out = context.out
    if not dry_run:
        compromise.let_pages_end(context.database)
    with context.database.reading() as tx:
        found = compromise.find(tx, suspect)
        rows = [row for one in found for row in one.going]
        keys = {key_of(row) for row in rows}
        readers = readership.readers_of(tx, context.door, rows)
        given = [one for one in readership.given_to(tx, {row.stix_id for row in rows}) if one.key in keys]
    partner, since = suspect.partner, context.local(suspect.since)
    if not rows:
        out.line(f"Nothing that {partner} brought since {since} lies here.")
    again: dict[str, int] = {}
    if not dry_run:
        with out.progress("taking out", len(rows)) as step:
            done = compromise.take_out(context.door, suspect, actor=context.actor, now=clock.now, step=step)
        again = done.again
    _show(out, found, again, f"{partner} brought since {since}", dry_run=dry_run)
    _show_readers(context, readers)
    _show_given(out, given)
    if rows and not dry_run:
        out.line("Nothing of it comes in again by itself.")
    out.next(*_next(partner, rows=bool(rows), given=bool(given), dry_run=dry_run))
    counts = {one.collection.alias: len(one.going) for one in found}
    return out.summary(
        DONE,
        partner=partner,
        since=utc(suspect.since),
        taken_out=0 if dry_run else sum(counts.values()),
        collections=counts,
        put_back=sum(again.values()),
    )


def _next(partner: str, *, rows: bool, given: bool, dry_run: bool) -> list[str]:
    if dry_run:
        return ["the same command without --dry-run"]
    return [
        *([f"stixnode quarantine list {partner}"] if rows else []),
        *(["stixnode withdraw ID..., for what went on to others"] if given else []),
        f"stixnode resume {partner}, when it is safe again",
    ]


def _show(out: Printer, found: Sequence[Found], again: dict[str, int], what: str, *, dry_run: bool) -> None:
    verb = "would go" if dry_run else "went"
    for one in found:
        alias = one.collection.alias
        if one.going:
            out.line(f"{alias}: {amount(len(one.going), 'version')} that {what} {verb} behind the quarantine")
        if again.get(alias):
            out.line(f"{alias}: {amount(again[alias], 'text')} that it had replaced stands again")
        if one.staying:
            out.line(f"{alias}: {amount(len(one.staying), 'version')} stay, for others brought the same")
        for row in one.going:
            out.record("taken_out", id=row.stix_id, version=row.version_text, collection=alias)
        for row in one.staying:
            out.record("stays", id=row.stix_id, version=row.version_text, collection=alias)


def _show_readers(context: Context, readers: Sequence[Readership]) -> None:
    out = context.out
    by_account: dict[str, list[Readership]] = defaultdict(list)
    for one in readers:
        by_account[one.account].append(one)
        out.record(
            "read_past",
            account=one.account,
            id=one.stix_id,
            version=one.version,
            collection=one.collection,
            last_poll=utc(one.last_poll),
        )
    out.table(
        ("ACCOUNT", "HAS READ PAST", "LAST ASKED"),
        [
            (name, amount(len(each), "version"), context.local(max(one.last_poll for one in each)))
            for name, each in sorted(by_account.items())
        ],
    )
    if not by_account:
        out.line("No account of ours has read past any of it.")


def _show_given(out: Printer, given: Iterable[Given]) -> None:
    links: dict[str, list[Given]] = defaultdict(list)
    for one in given:
        links[one.link].append(one)
        out.record("given", link=one.link, id=one.key.stix_id, state=WORDS[one.state])
    for name, each in sorted(links.items()):
        out.line(f"{name.partition('/')[0]} was given {amount(len(each), 'version')} of it by {name}.")
    if not links:
        out.line("None of it went on to another partner.")
