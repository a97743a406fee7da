"""`stixnode quarantine`: what was set aside for a person, as a list of work."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from node import clock
from node.cli.asked import Group
from node.cli.chosen_entries import choice_of, choosing, confirmed
from node.cli.context import Context, with_context
from node.cli.entry_sheet import field_of, print_entry
from node.cli.excerpts import excerpt
from node.cli.exits import DONE, INCOMPLETE, LATER, most_serious
from node.cli.printing import ago, amount, with_config
from node.errors import InvalidObject, NodeError, UsageError
from node.exchange import ingress, worklist
from node.exchange import quarantine as book
from node.exchange.quarantine import Group as Reasons
from node.exchange.worklist import Tried
from node.stix import faults
from node.stix.faults import Fault
from node.store.database import Tx

ACCEPTERS = ("operator", "approver")
MANY = 20
"""Above so many entries a list begins with their number by partner and reason."""

_STATES = (book.WAITING, book.ACCEPTED, book.DISCARDED, book.CLOSED)
_SHOWN = 30
_TOGETHER = 100  # decided in one transaction
_DAY = 86_400 * clock.MICROSECONDS


@click.group(cls=Group)
def quarantine() -> None:
    """List, show, retry, edit, accept and discard objects that were set aside for a person."""


@quarantine.command("list")
@click.argument("link", required=False)
@click.option("--reason", "--reason-code", "code", default="", metavar="CODE", help="Only with this reason.")
@click.option(
    "--state", type=click.Choice(_STATES), default=book.WAITING, show_default=True, help="Which entries."
)
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="So many at most."
)
@with_context
def list_entries(context: Context, link: str | None, code: str, state: str, limit: int) -> int:
    """List what was set aside, oldest first, of all links or of LINK (a partner's name will do)."""
    out, now = context.out, clock.now()
    links = None if link is None else {each.name for each in context.links(link, "in")}
    with context.database.reading() as tx:
        found = book.entries(tx, state=state, links=links, reason=code, limit=limit, bodies=False)
        groups = [
            each
            for each in book.groups(tx, state=state)
            if (links is None or each.link in links) and code in ("", each.reason)
        ]
    total = sum(each.number for each in groups)
    if total > MANY or total > len(found):
        _print_groups(context, groups, total, state, now)
        out.line()
    for group in groups:
        out.record("group", link=group.link, reason=group.reason, number=group.number)
    rows = [
        (each.entry, each.link, each.stix_id, each.reason, ago(each.decided_at or each.at, now))
        for each in found
    ]
    out.table(
        ("ENTRY", "FROM", "OBJECT", "REASON", "SET ASIDE" if state == book.WAITING else "DECIDED"), rows
    )
    for each in found:
        out.record("entry", **field_of(each))
    if total > len(found):
        out.line(f"The oldest {len(found):,} of {total:,}; --limit shows more, --reason fewer.")
    if not found:
        out.line(f"Nothing is {state}.")
        out.next("stixnode status")
    else:
        out.next(*_following(found[0].entry, groups, link, state))
    return out.summary(DONE, entries=len(found), total=total)


@quarantine.command("show")
@click.argument("entry")
@click.option("--whole", is_flag=True, help="The whole object, not only the lines around the fault.")
@with_context
def show_entry(context: Context, entry: str, whole: bool) -> int:
    """Show one entry: whence it came, what is wrong and where, what stands here, what you can do."""
    found, seen = worklist.look(context.door, entry, now=clock.now())
    print_entry(context, found, seen, whole=whole)
    return context.out.summary(DONE)


@quarantine.command("retry")
@choosing
@click.option("--reason", "code", default="", metavar="CODE", help="All that wait for this reason.")
@with_context
def retry(
    context: Context, entries: tuple[str, ...], link: str | None, code: str, reason_code: str, every: bool
) -> int:
    """Judge entries anew, by today's rules and agreement, as if they came now by their link.

    What passes is stored, and its origin is the partner. The rest waits on, for its newer reason. Exit code
    3: some wait still.
    """
    chosen = choice_of(context, entries, link, code or reason_code, every)
    tried: list[Tried] = []
    actor, door = context.actor, context.door
    with context.out.progress("trying", len(chosen)) as step:
        for batch in _batches(chosen, worklist.AT_ONCE):

            def work(tx: Tx, batch: Sequence[str] = batch) -> list[Tried]:
                return worklist.retry(tx, door, batch, actor=actor, now=clock.now())

            tried += context.database.retrying(work)
            step(len(batch))
    ingress.afterwards(door, now=clock.now())
    return _tell_tried(context, tried, chosen)


@quarantine.command("edit")
@click.argument("entry")
@click.option("--file", "source", metavar="FILE", help="The corrected object; else $EDITOR opens a copy.")
@click.option("--reason", required=True, metavar="TEXT", help="Why, in words; it stands in the audit log.")
@with_context
def edit(context: Context, entry: str, source: str | None, reason: str) -> int:
    """Correct an object and let it in. The entry keeps the original; no partner gets the corrected text.

    Id, version, author, markings and `revoked` stay as they came. Takes a person's token.
    """
    actor = context.person("accept from quarantine", ACCEPTERS)
    words = _words(reason)
    door = context.door
    with context.database.reading() as tx:
        found = book.find(tx, entry)
    book.refuse_decided(found)
    body, kept = _given(source) if source is not None else _edited(entry, faults.laid_out(found.body))

    def work(tx: Tx) -> ingress.Result:
        return worklist.edit(tx, door, entry, body, actor=actor, reason=words, now=clock.now())

    try:
        result = context.database.retrying(work)
    except InvalidObject as cause:
        _point_out(context, body, cause)
        raise UsageError(
            f"{cause.problem} {cause.remedy.partition('. ')[0].rstrip('.')}. Your text is kept in {kept}.",
            remedy=f"Correct it there, then: stixnode quarantine edit {entry} --file {kept} --reason TEXT",
        ) from cause
    except NodeError:
        if source is None:
            context.out.notice(f"Your text is kept in {kept}.")
        raise
    ingress.afterwards(door, now=clock.now())
    if source is None:
        kept.unlink(missing_ok=True)
    out = context.out
    out.line(f"{entry}: {result.stix_id} {result.outcome.value}, as corrected here.")
    out.line("The entry keeps the original. When the partner sends that again, the corrected text stands;")
    out.line("its own next version, or another text of this one, replaces yours. No partner gets yours.")
    out.record("decided", entry=entry, id=result.stix_id, outcome=result.outcome.value)
    out.next(f"stixnode explain {result.stix_id}")
    return out.summary(DONE, entries=1)


@quarantine.command("accept")
@choosing
@click.option("--reason", required=True, metavar="TEXT", help="Why, in words; it stands in the audit log.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_context
def accept(
    context: Context,
    entries: tuple[str, ...],
    link: str | None,
    reason_code: str,
    every: bool,
    reason: str,
    yes: bool,
) -> int:
    """Let objects in as they are; their origin stays the partner. Takes a person's token."""
    actor, door = context.person("accept from quarantine", ACCEPTERS), context.door
    words = _words(reason)
    chosen = choice_of(context, entries, link, reason_code, every)
    confirmed(context, "accept", chosen, named=bool(entries), yes=yes)

    def let_in(tx: Tx, entry: str) -> tuple[str, str]:
        result = worklist.accept(tx, door, entry, actor=actor, reason=words, now=clock.now())
        return result.stix_id, result.outcome.value

    return _decide(context, chosen, let_in, "explain")


@quarantine.command("discard")
@choosing
@click.option("--reason", required=True, metavar="TEXT", help="Why, in words; it stands in the audit log.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_context
def discard(
    context: Context,
    entries: tuple[str, ...],
    link: str | None,
    reason_code: str,
    every: bool,
    reason: str,
    yes: bool,
) -> int:
    """Leave objects out for good; the same bytes are not asked about again."""
    actor, words = context.actor, _words(reason)
    chosen = choice_of(context, entries, link, reason_code, every)
    confirmed(context, "discard", chosen, named=bool(entries), yes=yes)

    def leave_out(tx: Tx, entry: str) -> tuple[str, str]:
        return worklist.discard(tx, entry, actor=actor, reason=words, now=clock.now()).stix_id, book.DISCARDED

    return _decide(context, chosen, leave_out, "list")


def _point_out(context: Context, body: bytes, cause: InvalidObject) -> None:
    """Show the place of a fault in a text that was not taken, beside the error."""
    text = faults.laid_out(body)
    at = faults.place_of(text, Fault(cause.problem, cause.place))
    if at is not None and not context.asked.as_json:
        click.echo("\n".join(excerpt(text, at, "here")), err=True)


Decision = tuple[str, str]


def _decide(
    context: Context, chosen: dict[str, str], work: Callable[[Tx, str], Decision], following: str
) -> int:
    """Decide the entries; one that cannot be decided does not stop the others."""
    out, failed, codes, last = context.out, 0, [DONE], ""
    with out.progress("deciding", len(chosen)) as step:
        for batch in _batches(chosen, _TOGETHER):
            for entry, found in _decided(context, batch, work).items():
                if isinstance(found, NodeError):
                    if len(chosen) == 1:
                        raise found
                    failed += 1
                    codes.append(LATER if found.retryable else INCOMPLETE)
                    out.line(f"{entry}: not decided. {found.problem}")
                    out.record("failed", entry=entry, problem=found.problem, remedy=found.remedy)
                    continue
                last, outcome = found
                if len(chosen) <= _SHOWN:
                    out.line(f"{entry}: {last} {outcome}")
                out.record("decided", entry=entry, id=last, outcome=outcome)
            step(len(batch))
    ingress.afterwards(context.door, now=clock.now())
    if not chosen:
        out.line("Nothing of that kind waits.")
    if len(chosen) > _SHOWN:
        out.line(f"{amount(len(chosen) - failed, 'entry', 'entries')} decided, {failed:,} not.")
    out.next(f"stixnode explain {last}" if following == "explain" and last else "stixnode quarantine list")
    return out.summary(most_serious(codes), entries=len(chosen) - failed, failed=failed)


def _decided(
    context: Context, batch: Sequence[str], work: Callable[[Tx, str], Decision]
) -> dict[str, Decision | NodeError]:
    """What became of each; all in one transaction, or where one fails, each in its own."""
    try:
        return dict(context.database.retrying(lambda tx: [(each, work(tx, each)) for each in batch]))
    except NodeError as cause:
        if len(batch) == 1:
            return {batch[0]: cause}
    return {each: one for entry in batch for each, one in _decided(context, [entry], work).items()}


def _tell_tried(context: Context, tried: Sequence[Tried], links: dict[str, str]) -> int:
    out = context.out
    stay = [each for each in tried if each.waits]
    for each in tried:
        out.record(
            "tried",
            entry=each.entry,
            id=each.stix_id,
            outcome=each.outcome.value,
            reason=each.reason,
            detail=each.message,
            waits=each.waits,
        )
    if len(tried) <= MANY:
        out.table(
            ("ENTRY", "OBJECT", "NOW", "WHY"),
            [
                (
                    each.entry,
                    each.stix_id,
                    f"waits ({each.reason})" if each.waits else each.outcome.value,
                    each.message,
                )
                for each in tried
            ],
        )
    became = Counter(each.outcome.value for each in tried if not each.waits)
    became["wait still"] = len(stay)
    became = +became
    out.line(", ".join(f"{number:,} {what}" for what, number in became.items()) or "Nothing waits.")
    cures = Counter((each.reason, worklist.cure(each.reason, links[each.entry])) for each in stay)
    for (reason, sentence), number in cures.most_common():
        cure = sentence.replace(" N, ", f" {number}, ") or "see: stixnode quarantine show ENTRY"
        out.line(f"  {reason} ({number:,}): {with_config(cure, context.asked.config)}")
    out.next(f"stixnode quarantine show {stay[0].entry}" if stay else "stixnode status")
    return out.summary(INCOMPLETE if stay else DONE, tried=len(tried), waits=len(stay))


def _batches(chosen: dict[str, str], most: int) -> list[list[str]]:
    """The entries in portions of one transaction each, of one link and so of one collection."""
    by_link: dict[str, list[str]] = {}
    for entry, link in chosen.items():
        by_link.setdefault(link, []).append(entry)
    return [names[start : start + most] for names in by_link.values() for start in range(0, len(names), most)]


def _print_groups(context: Context, groups: Sequence[Reasons], total: int, state: str, now: int) -> None:
    out = context.out
    out.line(f"{amount(total, 'entry', 'entries')} {state}:")
    rows = sorted(groups, key=lambda each: -each.number)
    out.table(
        ("NUMBER", "FROM", "REASON", "OLDEST"),
        [(f"{each.number:,}", each.link, each.reason, ago(each.oldest, now)) for each in rows],
        indent=2,
    )


def _following(first: str, groups: Sequence[Reasons], link: str | None, state: str) -> list[str]:
    commands = [f"stixnode quarantine show {first}"]
    reasons = Counter[str]()
    for each in groups:
        if each.reason not in worklist.NEVER_BY_RETRY:
            reasons[each.reason] += each.number
    if state == book.WAITING and sum(reasons.values()) > 1:
        common = reasons.most_common(1)[0][0]
        where = "" if link is None else f" --link {link}"
        commands.append(f"stixnode quarantine retry{where} --reason {common}")
    return commands


def _words(reason: str) -> str:
    if not reason.strip():
        raise UsageError(
            "The reason is empty.", remedy='Say why in words: --reason "the duty desk of south confirmed it"'
        )
    return reason.strip()


def _given(source: str) -> tuple[bytes, Path]:
    path = Path(source)
    try:
        return path.read_bytes().strip(), path
    except OSError as cause:
        raise UsageError(
            f"{source} cannot be read: {cause.strerror}.", remedy="Name the file with the corrected object."
        ) from cause


def _edited(entry: str, text: str) -> tuple[bytes, Path]:
    """What a person made of a copy, and the file in which it is."""
    if not (os.environ.get("VISUAL") or os.environ.get("EDITOR")):
        raise UsageError(
            "No editor is set.",
            remedy=f"Set $EDITOR, or write the corrected object to a file:"
            f" stixnode quarantine edit {entry} --file FILE --reason TEXT",
        )
    handle, name = tempfile.mkstemp(prefix=f"{entry}-", suffix=".json")
    path = Path(name)
    with os.fdopen(handle, "wb") as file:
        file.write(text.encode("utf-8", "surrogatepass"))
    before = path.read_bytes()
    try:
        click.edit(filename=name)
    except click.ClickException as cause:
        path.unlink(missing_ok=True)
        raise UsageError(
            f"The editor failed: {cause.format_message()}", remedy="Set $EDITOR, or give --file FILE."
        ) from cause
    body = path.read_bytes()
    if body == before:
        path.unlink(missing_ok=True)
        raise UsageError(
            "Nothing was changed in the editor.", remedy=f"See: stixnode quarantine show {entry}"
        )
    return body.strip(), path
