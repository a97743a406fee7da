"""`stixnode find` and `explain`: what is known of an object, or of whatever names a value.

Rule    `find` tells how things stand, in few lines for each object; `explain` tells what the books say of
        one, line by line. Neither decides anything. That an account "has read past" an object is all that its
        read position shows; nobody here knows what it kept.

Writes  the index of values, through `exchange.value_index`; nothing else
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress

import click

from node import clock
from node.cli.asked import Command
from node.cli.context import Context, with_context
from node.cli.exits import DONE
from node.cli.printing import Value, amount, utc
from node.errors import UsageError
from node.exchange import arrivals, feed_rows, finding, value_index
from node.exchange.arrivals import Arrival
from node.exchange.finding import Finding, Known, Shown
from node.exchange.readership import WORDS, Given
from node.stix.decoding import ID
from node.stix.markings import tlp_name
from node.stix.values import Named, normal, refang
from node.store import owners
from node.sync import explain as explaining

MOST, EXPLAINED = 20, 5
_MANY = 20_000  # rows to read before a search, from which on people are told why it takes a while
_ERROR_ID = re.compile(r"[0-9a-f]{16}")
_MOMENT = re.compile(r"(?<!version )\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@click.command(cls=Command)
@click.argument("what", metavar="WHAT")
@click.option(
    "--limit", type=click.IntRange(1, 1_000), default=MOST, show_default=True, help="Objects that are shown."
)
@with_context
def find(context: Context, what: str, limit: int) -> int:
    """Say whose an object is, who was given it, who was not and why, and who has read past it.

    WHAT is a value (an address, domain, URL, hash, file name, CVE-2026-1234, T1059 ...), also defanged, as it
    stands in a pattern or an observable; or a name or alias; an object's id; or an entry of the quarantine.
    Values are compared whole. Ends with 0 also when nothing is found; the summary of --json counts.
    """
    out = context.out
    if not what.strip():
        raise UsageError("Nothing was named to look for.", remedy="Give a value, a name, an id or an entry.")
    _catch_up(context)
    with context.database.reading() as tx:
        found = finding.find(tx, context.door, what, limit=limit)
    if not found.known:
        out.line(_nothing(what))
    elif found.kind == "value":
        out.line(_heading(what, found))
    for one in found.known:
        if found.kind == "value":
            out.line()
        for line in _lines(context, one, single=found.kind != "value"):
            out.line(line)
        out.record("object", **_fields(one))
    if len(found.known) < found.total:
        more = f"--limit {min(found.total, 1_000)} shows more"
        _apart(context, f"These are the newest {len(found.known):,} of {found.total:,}; {more}.")
    if not found.complete:
        _apart(
            context, "There may be more: only the newest rows and entries of the quarantine were looked at."
        )
    if found.status is not None:
        _print_status(context, found)
    elif not found.known and _ERROR_ID.fullmatch(what.strip().lower()):
        out.line(
            f"If it is an error_id: what happened stands in the server's log, not here; look for {what}."
        )
    out.next(f"stixnode explain {found.known[0].stix_id}" if found.known else "stixnode status")
    return out.summary(DONE, by=found.kind, objects=found.total, complete=found.complete)


@click.command(cls=Command)
@click.argument("what", metavar="VALUE|ID")
@click.argument("link", required=False)
@with_context
def explain(context: Context, what: str, link: str | None) -> int:
    """Say where an object is, from whom it came, who got it, and who did not and why, from the ledger.

    By its id, or by a value or name, also defanged: then of each object that names it.
    """
    out = context.out
    chosen = [None] if link is None else context.links(link)
    ids = [what.strip()]
    if not ID.fullmatch(ids[0]):
        _catch_up(context)
        with context.database.reading() as tx:
            ids = finding.ids_of(tx, what, limit=EXPLAINED + 1)
        if not ids:
            raise UsageError(
                f"Nothing here names {what!r}, and it is not the id of an object.",
                remedy="Give the whole value, or the whole id, such as"
                " indicator--edfd6339-5f9b-44df-a26a-1e9f7d52d619.",
            )
    for number, stix_id in enumerate(ids[:EXPLAINED]):
        if len(ids) > 1:
            if number:
                out.line()
            out.line(stix_id)
        lines = dict[str, None]()
        with context.database.reading() as tx:
            for each in chosen:
                lines |= dict.fromkeys(explaining.explain(tx, context.door, stix_id, each))
            stones = owners.tombstones_of(tx, stix_id)
        for line in (*_gone(stix_id, list(lines), bool(stones)), *lines):
            out.line(_MOMENT.sub(lambda found: context.local(clock.parse_taxii_time(found[0])), line))
            out.record("line", id=stix_id, text=line.strip())
    if len(ids) > EXPLAINED:
        _apart(context, f"More objects name {what}; stixnode find lists them.")
    out.next("stixnode plan" if ids[0] == what.strip() else f"stixnode find {shlex.quote(what)}")
    return out.summary(DONE, id=ids[0] if len(ids) == 1 else None, ids=ids[:EXPLAINED])


def _apart(context: Context, text: str) -> None:
    context.out.line()
    context.out.line(text)


def _gone(stix_id: str, lines: Sequence[str], deleted: bool) -> list[str]:
    """What is said first of an object that was here and is not."""
    if any(each.startswith("Lies in ") for each in lines):
        return []
    if deleted:
        return [f"It was deleted here. To let it come again: stixnode undelete {stix_id}"]
    if any(each.startswith("Received from ") for each in lines):
        return ["It does not lie here now; it may come again when a partner lists or brings it."]
    return []


def _catch_up(context: Context) -> None:
    """Read what came since the last search; the worker does it every minute, so mostly it is little."""
    out, read = context.out, 0
    with out.progress("reading what is new", None) as step:

        def told(rows: int) -> None:
            nonlocal read
            if read < _MANY <= read + rows:
                out.notice(
                    "Reading what came since the last search, once; a worker that runs does it every minute."
                )
            read += rows
            step(rows)

        value_index.catch_up(context.door, step=told)


def _nothing(what: str) -> str:
    shown = what.strip()
    if ID.fullmatch(shown):
        return f"Nothing is known of {shown}: it was never stored, brought or set aside here."
    meant = normal(refang(shown))
    as_meant = "" if meant == shown.lower() else f" (looked for as {meant})"
    return f"Nothing here names {shown}{as_meant}. Values are compared whole, not in parts."


def _heading(what: str, found: Finding) -> str:
    shown = what.strip()
    meant = normal(refang(shown))
    as_meant = "" if meant == shown.lower() else f" ({meant})"
    return f"{shown}{as_meant}: {'' if found.complete else 'at least '}{amount(found.total, 'object')}"


def _lines(context: Context, one: Known, *, single: bool) -> Iterator[str]:
    yield one.stix_id + (f"  {one.label}" if one.label else "")
    for shown in one.shown:
        yield _row("lies in", f"{shown.collection}: {_state(context, shown, one)}")
        if shown.names:
            yield _row("names it", _named(shown.names))
        yield _row("came", _came(context, shown))
    if one.older:
        yield _row("names it", f"only in an older version that still lies here: {_named(one.older)}")
    if not one.shown:
        yield _row("lies in", _not_here(one))
    if one.shown or one.given:
        yield from _given(context, one)
    for line in one.withheld:
        yield _row("withheld", f"{line.link}: {line.reason}. {line.detail}")
        if line.remedy:
            yield _row("", f"  {line.remedy}")
    yield from _looked_at(context, one)
    if one.shown:
        readers = [
            f"{each.account} ({each.collection}), asked last {context.local(each.last_poll)}"
            for each in {(each.account, each.collection): each for each in one.readers}.values()
        ]
        yield from _rows("read past", readers or ["by nobody of ours"])
    entries = [
        f"{each.entry} from {each.link}, {each.state}: {each.detail}"
        for each in one.entries
        if single or each.state in finding.SEARCHED
    ]
    yield from _rows("set aside", entries)


def _state(context: Context, shown: Shown, one: Known) -> str:
    row, now = shown.row, clock.now()
    whose = {"local": "ours", "": "nobody's", None: "nobody's"}.get(one.owner, f"{one.owner}'s")
    parts = [whose, tlp_name(row.effective_rank)]
    if row.revoked:
        parts.append("REVOKED")
    if shown.confidence is not None:
        parts.append(f"confidence {shown.confidence}")
    if shown.valid_until:
        with suppress(ValueError):
            until = clock.parse_stix_time(shown.valid_until) // 1_000
            word = "valid until" if until > now else "EXPIRED"
            parts.append(f"{word} {context.local(until)}")
    if not row.versionless:
        parts.append(f"version {row.version_text}")
    if shown.others:
        parts.append(f"and {amount(shown.others, 'other version')}")
    return ", ".join(parts)


def _named(names: Sequence[Named]) -> str:
    listed = [f"{each.where} {each.text}" for each in names[:3]]
    return "; ".join(listed) + (f"; and {len(names) - 3} more" if len(names) > 3 else "")


def _came(context: Context, shown: Shown) -> str:
    origin = "" if shown.row.origin == "local" else f" from {shown.row.origin}"
    return f"{context.local(shown.row.added)}{origin}{_by(shown.arrival)}"


def _by(arrival: Arrival | None) -> str:
    if arrival is None:
        return ""
    source = f" {arrival.source}" if arrival.source else ""
    name = arrivals.name_of(arrival.arrival_id)
    return f", {arrival.kind} {name}{source} by {arrival.actor}"


def _not_here(one: Known) -> str:
    if one.removed:
        stone = one.removed[-1]
        return f"no collection: {stone.reason} by {stone.actor}; stixnode undelete {one.stix_id}"
    if one.received:
        last = one.received[-1]
        said = f"{last.outcome}{f' ({last.reason})' if last.reason else ''}"
        return f"no collection; {last.partner} brought it: {said}"
    return "no collection"


def _given(context: Context, one: Known) -> Iterator[str]:
    """The last of each link; earlier versions are counted."""
    by_link: dict[str, list[Given]] = {}
    for each in one.given:
        by_link.setdefault(each.link, []).append(each)
    lines: list[str] = []
    for link, rows in by_link.items():
        last = rows[-1]
        message = f": {last.message}" if last.message else ""
        earlier = f", and {amount(len(rows) - 1, 'other version')}" if len(rows) > 1 else ""
        at = context.local(last.offered_at)
        lines.append(f"{link}: {WORDS[last.state]}{message} (offered {at}{earlier})")
    yield from _rows("given", lines)


def _looked_at(context: Context, one: Known) -> Iterator[str]:
    """Links out of its collections whose feed has not come to it yet."""
    known = {each.link for each in one.given} | {each.link for each in one.withheld}
    rooms = {each.collection for each in one.shown}
    waiting = [
        each.name
        for each in context.door.links
        if each.direction == "out" and each.collection in rooms and each.name not in known
    ]
    if waiting:
        yield _row("not yet", f"{', '.join(waiting)}: not examined; stixnode plan {waiting[0]}")


def _rows(head: str, texts: Sequence[str]) -> Iterator[str]:
    for number, text in enumerate(texts):
        yield _row(head if number == 0 else "", text)


def _row(head: str, text: str) -> str:
    return f"  {head:<10} {text}"


def _print_status(context: Context, found: Finding) -> None:
    assert found.status is not None  # the caller has looked
    status = json.loads(found.status.body)
    context.out.line(
        f"It is the status of a POST by {found.status.account}, {context.local(found.status.at)}:"
        f" {status.get('success_count')} succeeded, {status.get('failure_count')} failed."
    )
    for each in status.get("failures", [])[:MOST]:
        context.out.line(f"  {each.get('id')}: {each.get('message', '')}")
    context.out.record(
        "status", account=found.status.account, at=utc(found.status.at), counts=status.get("total_count")
    )


def _fields(one: Known) -> dict[str, Value]:
    return {
        "id": one.stix_id,
        "label": one.label,
        "owner": one.owner,
        "versions": [
            {
                "collection": each.collection,
                "version": each.row.version_text,
                "added": utc(each.row.added),
                "origin": each.row.origin,
                "tlp": tlp_name(each.row.effective_rank),
                "revoked": each.row.revoked,
                "confidence": each.confidence,
                "valid_until": each.valid_until or None,
                "names": [named._asdict() for named in each.names],
                "others": each.others,
                "arrival": None
                if each.arrival is None
                else {
                    "name": arrivals.name_of(each.arrival.arrival_id),
                    "kind": each.arrival.kind,
                    "at": utc(each.arrival.at),
                    "actor": each.arrival.actor,
                    "source": each.arrival.source,
                    "link": each.arrival.link,
                },
            }
            for each in one.shown
        ],
        "given": [
            {
                "link": each.link,
                "partner": each.partner,
                "state": feed_rows.STATE_NAMES[each.state],
                "offered_at": utc(each.offered_at),
                "message": each.message,
            }
            for each in one.given
        ],
        "withheld": [
            {"link": each.link, "reason": each.reason, "detail": each.detail, "remedy": each.remedy}
            for each in one.withheld
        ],
        "read_past_by": [
            {
                "account": each.account,
                "collection": each.collection,
                "version": each.version,
                "last_poll": utc(each.last_poll),
            }
            for each in one.readers
        ],
        "quarantine": [
            {"entry": each.entry, "link": each.link, "state": each.state, "detail": each.detail}
            for each in one.entries
        ],
        "removed": [{"reason": each.reason, "actor": each.actor, "at": utc(each.at)} for each in one.removed],
    }
