"""One entry of the quarantine as a person looks at it: whence, what, where, and what can be done."""

from __future__ import annotations

from node.cli.context import Context
from node.cli.excerpts import excerpt, place
from node.cli.printing import Value, utc
from node.exchange import arrivals, quarantine, worklist
from node.exchange.arrivals import Arrival
from node.exchange.quarantine import Entry
from node.exchange.worklist import Beside, Look

_MOST_DIFFERENCES = 12


def field_of(one: Entry) -> dict[str, Value]:
    """An entry for scripts."""
    return {
        "entry": one.entry,
        "link": one.link,
        "id": one.stix_id,
        "reason": one.reason,
        "detail": one.detail,
        "state": one.state,
        "at": utc(one.at),
        "bytes": one.size,
        "decided_by": one.decided_by,
        "decision_reason": one.decision_reason,
        "decided_at": utc(one.decided_at),
        "edited": None if one.edited is None else f"d1:{one.edited.hex()}",
    }


def print_entry(context: Context, one: Entry, seen: Look, *, whole: bool) -> None:
    """Print an entry with all that is known of it, and the commands that decide it."""
    out = context.out
    with context.database.reading() as tx:
        arrival = arrivals.find(tx, one.arrival_id)
    where = None if seen.fault is None or seen.at is None else place(seen.text, seen.at)
    out.line(f"{one.entry}  from {one.link} for {seen.collection}, {context.local(one.at)}")
    out.line(f"  {_brought(context, arrival, one.arrival_id)}")
    out.line(one.stix_id)
    out.line(f"  {one.reason}: {_said(one, seen)}")
    if seen.fault is not None:
        spot = "" if where is None else f"line {where.line}, column {where.column} below"
        out.line(f"  at {seen.fault.pointer or 'the object as a whole'}{spot and ', '}{spot}")
    if one.state != quarantine.WAITING:
        decided = f"{one.state} by {one.decided_by or 'the node'}, {context.local(one.decided_at)}"
        out.line(f"  {decided}{one.decision_reason and ': '}{one.decision_reason}")
    if one.edited is not None:
        out.line(f"  What a person put in its place has the digest d1:{one.edited.hex()}. The original:")
    out.line()
    if seen.text:
        note = "" if seen.fault is None else seen.fault.text
        out.block("\n".join(excerpt(seen.text, seen.at, note, whole=whole)))
    else:
        out.line("Its bytes were erased when their time was over.")
    if seen.beside is not None:
        _print_beside(context, seen.beside)
    if one.state == quarantine.WAITING:
        _print_ways(context, one, seen)
    out.record(
        "entry",
        **field_of(one),
        collection=seen.collection,
        arrival=arrivals.name_of(one.arrival_id),
        pointer=None if seen.fault is None else seen.fault.pointer,
        fault=None if seen.fault is None else seen.fault.text,
        line=None if where is None else where.line,
        column=None if where is None else where.column,
        beside=_beside_fields(seen.beside),
        retry=None
        if seen.tried is None
        else {"outcome": seen.tried.outcome.value, "reason": seen.tried.reason, "waits": seen.tried.waits},
        body=one.body.decode("utf-8", "backslashreplace"),
    )
    out.next(*_following(one, seen))


def _brought(context: Context, arrival: Arrival | None, number: int) -> str:
    if arrival is None:
        return f"arrival {arrivals.name_of(number)}"
    whence = f" from {arrival.source}" if arrival.source else ""
    return (
        f"arrival {arrivals.name_of(number)}: {arrival.kind}{whence} by {arrival.actor},"
        f" begun {context.local(arrival.at)}"
    )


def _said(one: Entry, seen: Look) -> str:
    if one.reason == "invalid":
        if seen.fault is None:
            return f"It was not valid when it came; by today's rules ({seen.validation}) nothing is wrong."
        return seen.fault.text
    return one.detail


def _print_beside(context: Context, beside: Beside) -> None:
    out = context.out
    which = "this very version, with other content" if beside.same else "another version"
    out.line()
    if beside.same and not beside.others:
        out.line(f"Held here is this very text: {beside.version}; the object is {beside.owner}.")
        return
    out.line(f"Held here is {which}: {beside.version}; the object is {beside.owner}. They differ in")
    rows = [
        (each.name, each.ours or "(not there)", each.theirs or "(not there)")
        for each in beside.others[:_MOST_DIFFERENCES]
    ]
    out.table(("MEMBER", "HERE", "THEIRS"), rows, indent=2)
    if len(beside.others) > _MOST_DIFFERENCES:
        out.line(f"  and {len(beside.others) - _MOST_DIFFERENCES} more")


def _print_ways(context: Context, one: Entry, seen: Look) -> None:
    tried = seen.tried
    if tried is None:
        retried = "Judge it anew. What would come of it is not known now: the database is busy."
    elif not tried.waits:
        retried = f"Judge it anew: it would be {tried.outcome.value}."
    else:
        cure = worklist.cure(tried.reason, one.link)
        retried = f"Judge it anew: it would wait still ({tried.reason}). {cure}".rstrip()
    beside = seen.beside
    if seen.fault is not None and (seen.validation != "structure" or one.reason == "invalid"):
        accepted = "Not possible: it is not valid, and nothing of that kind is kept here."
    elif beside is not None and beside.same and beside.owner not in ("nobody's", f"{_partner(one)}'s"):
        accepted = f"Not possible: this version is held, and the object is {beside.owner}."
    else:
        accepted = f"Let it in as it is; its origin stays {_partner(one)}."
    context.out.line()
    context.out.table(
        ("", ""),
        [
            ("retry", retried),
            ("edit", "Correct a copy and let that in. The original stays here; no partner gets the copy."),
            ("accept", accepted),
            ("discard", "Leave it out for good; the same bytes are not asked about again."),
        ],
        indent=2,
    )


def _following(one: Entry, seen: Look) -> list[str]:
    """The commands that are likeliest to come next."""
    if one.state != quarantine.WAITING:
        return [f"stixnode explain {one.stix_id}"]
    if seen.tried is not None and not seen.tried.waits:
        first = f"stixnode quarantine retry {one.entry}"
    else:
        first = f"stixnode quarantine {'accept' if seen.fault is None else 'edit'} {one.entry} --reason TEXT"
    return [first, f"stixnode quarantine discard {one.entry} --reason TEXT"]


def _partner(one: Entry) -> str:
    return one.link.partition("/")[0]


def _beside_fields(beside: Beside | None) -> dict[str, Value] | None:
    if beside is None:
        return None
    return {
        "version": beside.version,
        "same_version": beside.same,
        "owner": beside.owner,
        "differs": [each.name for each in beside.others],
    }
