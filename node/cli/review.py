"""`stixnode explain`, `quarantine` and `undelete`: one object, and what waits for a person."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import click
import msgspec

from node import clock
from node.audit import log
from node.cli.asked import Command, Group
from node.cli.context import Context, with_context
from node.cli.exits import DONE
from node.cli.printing import Value, ago, amount, utc
from node.errors import UsageError
from node.exchange import ingress, removal, sessions
from node.exchange import quarantine as set_aside
from node.exchange.quarantine import Entry
from node.sharing.links import Link
from node.stix.decoding import ID
from node.store import catalog, owners
from node.store.database import Tx
from node.sync import bookmarks
from node.sync import explain as explaining

ACCEPTERS = ("operator", "approver")
_MOMENT = re.compile(r"(?<!version )\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_INDENT = 2


@click.command(cls=Command)
@click.argument("stix_id", metavar="ID")
@click.argument("link", required=False)
@with_context
def explain(context: Context, stix_id: str, link: str | None) -> int:
    """Say where an object is, from whom it came, who got it, and who did not and why."""
    out, lines = context.out, dict[str, None]()
    with context.database.reading() as tx:
        for each in [None] if link is None else context.links(link):
            lines |= dict.fromkeys(explaining.explain(tx, context.door, stix_id, each))
        gone = not any(each.startswith("Lies in ") for each in lines)
        stones = owners.tombstones_of(tx, stix_id)
        received = any(each.startswith("Received from ") for each in lines)
    unknown = all(each.startswith("Nothing is known of ") for each in lines)
    if unknown and not ID.fullmatch(stix_id):
        raise UsageError(
            f"{stix_id!r} is not the id of an object.",
            remedy="Give the whole id, such as indicator--edfd6339-5f9b-44df-a26a-1e9f7d52d619.",
        )
    if gone and stones:
        again = f"It was deleted here. To let it come again: stixnode undelete {stix_id}"
        lines = {again: None, **lines}
    elif gone and received:
        lines = {
            "It does not lie here now; it may come again when a partner lists or brings it.": None,
            **lines,
        }
    for line in lines:
        out.line(_MOMENT.sub(lambda found: context.local(clock.parse_taxii_time(found[0])), line))
        out.record("line", text=line.strip())
    out.next("stixnode plan")
    return out.summary(DONE, id=stix_id)


@click.group(cls=Group)
def quarantine() -> None:
    """List, show, accept and discard objects that were set aside for a person."""


@quarantine.command("list")
@click.argument("link", required=False)
@click.option(
    "--state",
    type=click.Choice(("waiting", "accepted", "discarded", "closed")),
    default="waiting",
    show_default=True,
    help="Which entries.",
)
@with_context
def list_entries(context: Context, link: str | None, state: str) -> int:
    """List what was set aside, oldest first, of all links or of LINK."""
    out, now = context.out, clock.now()
    names = None if link is None else {each.name for each in context.links(link)}
    with context.database.reading() as tx:
        entries = [each for each in set_aside.entries(tx, state=state) if names is None or each.link in names]
    rows = [(each.entry, each.link, each.stix_id, each.reason, ago(each.at, now)) for each in entries]
    out.table(("ENTRY", "FROM", "OBJECT", "REASON", "SET ASIDE"), rows)
    for each in entries:
        out.record("entry", **_fields(each))
    if entries:
        out.next(f"stixnode quarantine show {entries[0].entry}")
    else:
        out.line(f"Nothing is {state}.")
        out.next("stixnode status")
    return out.summary(DONE, entries=len(entries))


@quarantine.command("show")
@click.argument("entry")
@with_context
def show_entry(context: Context, entry: str) -> int:
    """Show one entry: where it came from, what is wrong and where, and the object itself."""
    out = context.out
    with context.database.reading() as tx:
        one = set_aside.find(tx, entry)
        alias = {each.collection_id: each.alias for each in catalog.collections(tx)}.get(
            one.collection_id, "?"
        )
    out.line(f"{one.entry}  from {one.link} for {alias}, {context.local(one.at)}, arrival {one.arrival_id}")
    out.line(f"{one.stix_id}  {one.reason}")
    out.line(f"  {one.detail}")
    if one.state != "waiting":
        out.line(
            f"  {one.state} by {one.decided_by or 'the node'}, {context.local(one.decided_at)}"
            f"{one.decision_reason and ': '}{one.decision_reason}"
        )
    body = one.body.decode("utf-8", "backslashreplace")
    out.block(_laid_out(one.body) or body)
    out.record("entry", **_fields(one), collection=alias, body=body)
    out.next(f"stixnode quarantine accept {entry}", f"stixnode quarantine discard {entry}")
    return out.summary(DONE)


@quarantine.command("accept")
@click.argument("entries", metavar="ENTRY...", nargs=-1, required=True)
@click.option("--reason", default="", help="Why; it stands in the audit log.")
@with_context
def accept(context: Context, entries: tuple[str, ...], reason: str) -> int:
    """Let objects into their collection; their origin stays the partner. Takes a person's token."""
    actor = context.person("accept from quarantine", ACCEPTERS)

    def let_in(tx: Tx, entry: str) -> Mapping[str, Value]:
        result = ingress.accept(tx, context.door, entry, actor=actor, reason=reason, now=clock.now())
        return {"id": result.stix_id, "outcome": result.outcome.value}

    return _decide(context, entries, let_in, actor, reason, "accept", "stixnode explain ID")


@quarantine.command("discard")
@click.argument("entries", metavar="ENTRY...", nargs=-1, required=True)
@click.option("--reason", default="", help="Why; it stands in the audit log.")
@with_context
def discard(context: Context, entries: tuple[str, ...], reason: str) -> int:
    """Leave objects out for good; the same bytes are not asked about again."""
    actor = context.actor

    def leave_out(tx: Tx, entry: str) -> Mapping[str, Value]:
        set_aside.decide(tx, entry, state="discarded", actor=actor, reason=reason, now=clock.now())
        return {"id": set_aside.find(tx, entry).stix_id, "outcome": "discarded"}

    return _decide(context, entries, leave_out, actor, reason, "discard", "stixnode quarantine list")


@click.command(cls=Command)
@click.argument("stix_id", metavar="ID")
@with_context
def undelete(context: Context, stix_id: str) -> int:
    """Let an object come again that was deleted or erased here, from its partner or by import."""
    out, actor, door = context.out, context.actor, context.door

    def work(tx: Tx) -> tuple[list[owners.Tombstone], list[Link]]:
        lifted = removal.undelete(tx, stix_id, actor=actor, now=clock.now())
        numbers = {stone.collection_id for stone in lifted}
        aliases = {each.alias for each in catalog.collections(tx) if each.collection_id in numbers}
        again = [link for link in door.links if link.direction == "in" and link.collection in aliases]
        for link in again:
            bookmarks.forget(tx, link.name)
            sessions.forget_incoming(tx, link.name)
        return lifted, again

    lifted, again = context.database.retrying(work)
    if not lifted:
        raise UsageError(
            f"Nothing of {stix_id} was deleted here.", remedy=f"See where it is: stixnode explain {stix_id}"
        )
    out.line(f"{amount(len(lifted), 'version')} of {stix_id} may come again.")
    for link in again:
        if link.carrier == "us":
            out.line(
                f"{link.name} lists from the start in its next round; what is here already costs nothing."
            )
        else:
            out.line(f"{link.name}: it comes when {link.partner} next pushes something or lists again.")
    if any(stone.owner in ("", "local") for stone in lifted):
        out.line("An object of our own comes back by import: stixnode import COLLECTION FILE")
    out.record("undeleted", id=stix_id, versions=len(lifted), links=[link.name for link in again])
    fetched = any(link.carrier == "us" for link in again)
    out.next("stixnode sync" if fetched else "stixnode import COLLECTION FILE")
    return out.summary(DONE)


def _decide(
    context: Context,
    entries: tuple[str, ...],
    work: Callable[[Tx, str], Mapping[str, Value]],
    actor: str,
    reason: str,
    act: str,
    following: str,
) -> int:
    """Decide each entry in a transaction of its own, with its leaf in the audit log."""
    out = context.out
    for entry in entries:

        def step(tx: Tx, entry: str = entry) -> Mapping[str, Value]:
            done = work(tx, entry)
            details: log.Details = {"reason": reason, "object": str(done["id"])}
            log.record(
                tx, now=clock.now(), actor=actor, act=f"quarantine.{act}", subject=entry, details=details
            )
            return done

        done = context.database.retrying(step)
        ingress.afterwards(context.door, now=clock.now())
        out.line(f"{entry}: {done['id']} {done['outcome']}")
        out.record("decided", entry=entry, **done)
    out.next(following)
    return out.summary(DONE, entries=len(entries))


def _laid_out(body: bytes) -> str:
    """The body with line ends and indents between its parts, which stay as they are; "" if it is no JSON."""
    try:
        return msgspec.json.format(body, indent=_INDENT).decode()
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""


def _fields(one: Entry) -> dict[str, Value]:
    return {
        "entry": one.entry,
        "link": one.link,
        "id": one.stix_id,
        "reason": one.reason,
        "detail": one.detail,
        "state": one.state,
        "at": utc(one.at),
        "decided_by": one.decided_by,
        "decision_reason": one.decision_reason,
        "decided_at": utc(one.decided_at),
    }
