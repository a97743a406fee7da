"""Why an account sees what it sees of a collection, in words: its rights, what hides the rest, its reading.

Rule    Nothing is decided here: rights come from the access room, counts and causes from
        `exchange.visibility`, the state of a partner's links from the door. What stands in the way has the
        command that changes it.

Reads   accounts, tokens, collections, link states, feeds, the books. Writes nothing.
"""

from __future__ import annotations

from node.access import accounts, tokens
from node.access.accounts import Account, Grant, Reading
from node.access.tokens import Token
from node.cli.context import Context
from node.cli.printing import Value, ago, amount, duration, utc
from node.clock import MICROSECONDS
from node.config_keys import Limits
from node.errors import UsageError
from node.exchange import egress, feed_rows, ledger, visibility
from node.exchange.egress import Reader
from node.exchange.visibility import ABOVE, OTHER_AUDIENCE, UNKNOWN_MARKING, Behind, SeenVersion, Share
from node.sharing.links import Link
from node.stix.decoding import ID
from node.stix.markings import tlp_name
from node.store.catalog import Collection
from node.store.database import Tx
from node.sync import explain

BEHIND_AT_MOST = 10_000
_STATES = {
    feed_rows.OFFERED: "waiting",
    feed_rows.SENT: "handed over",
    feed_rows.SETTLED: "confirmed",
    feed_rows.FAILED: "refused there",
    feed_rows.SET_ASIDE: "set aside there",
}


def check_reader(
    context: Context, tx: Tx, one: Account, collection: Collection, stix_id: str | None, *, now: int
) -> None:
    """Print what a SOC account sees of a collection, or of one object, and why not the rest."""
    grant = accounts.grant_of(tx, one.name, collection.collection_id)
    held = tokens.list_tokens(tx, account=one.name)
    stops = _stops(one, collection, grant, held, now)
    _print_verdict(context, one, collection, grant, stops)
    reader = Reader(one.clearance, one.audience)
    if stix_id is not None:
        _print_object(context, tx, one, collection, reader, stix_id)
        return
    out = context.out
    share = visibility.share(tx, collection, reader)
    reading = _reading(tx, one, collection)
    since = 0 if reading is None else reading.last_served
    late = visibility.behind(tx, collection, reader, since, at_most=BEHIND_AT_MOST)
    rows = [
        ("account", f"up to {tlp_name(one.clearance)}, {_audience(one)}; {_expiry(context, one, now)}"),
        ("tokens", _tokens(context, held, now)),
        ("would see" if stops else "sees", _sees(share)),
        *(("hidden", text) for text in _hidden(share, one)),
        ("last asked", _asked(context, reading, now)),
        ("not yet read", _late(late, now)),
        ("limits", _limits(context.settings.limits)),
    ]
    out.table(("", ""), rows)
    _record(context, one, collection, grant, held, share, reading, late, now)
    out.next(*(remedy for _, remedy in stops[:1]), f"stixnode account check {one.name} {collection.alias} ID")


def check_partner(
    context: Context, tx: Tx, one: Account, collection: Collection, stix_id: str | None, *, now: int
) -> None:
    """Print what a partner's account gets of a collection: the state of its links, and why not more."""
    out = context.out
    theirs = [link for link in context.door.partner_links(one.partner) if link.collection == collection.alias]
    out.line(f"{one.name} is the account of the partner {one.partner}: its rights are those of its links.")
    if not theirs:
        out.line(
            f"No agreement in force here names {collection.alias} with {one.partner}: for it there is none."
        )
        out.next(f"stixnode plan {one.partner}")
    held, reading = tokens.list_tokens(tx, account=one.name), _reading(tx, one, collection)
    out.table(
        ("", ""),
        [
            ("account", _expiry(context, one, now)),
            ("tokens", _tokens(context, held, now)),
            ("last asked", _asked(context, reading, now)),
        ],
    )
    for link in theirs:
        _print_link(context, tx, link, collection, now)
    out.record(
        "account",
        name=one.name,
        partner=one.partner,
        expires=utc(one.expires),
        tokens=len(_valid(held, now)),
        last_poll=None if reading is None else utc(reading.last_poll),
    )
    if stix_id is not None:
        _known_id(stix_id)
        told = [line for link in theirs for line in explain.explain(tx, context.door, stix_id, link)]
        for line in dict.fromkeys(told):
            out.line(line)
            out.record("line", text=line.strip())
    if theirs:
        out.next(f"stixnode plan {theirs[0].name}")


def _print_link(context: Context, tx: Tx, link: Link, collection: Collection, now: int) -> None:
    closed = egress.closed_reason(tx, link, collection, now=now)
    gives = link.direction == "out"
    carries = (
        f"{link.partner} {'fetches' if gives else 'brings'} it" if link.carrier == "them" else "we carry it"
    )
    may = ("read" if gives else "write") if link.carrier == "them" else "neither read nor write"
    context.out.line(
        f"{link.name}: {'open' if closed is None else 'CLOSED'}; {carries}, so it may {may} here."
    )
    if closed is not None:
        context.out.line(f"  {closed}")
        context.out.remedy(f"stixnode plan {link.partner}, then stixnode resume {link.partner}", indent=2)
    counts = {
        _STATES[state]: count
        for state, (count, _) in feed_rows.states(tx, link.name).items()
        if state in _STATES
    }
    withheld = {reason: count for name, reason, count in ledger.reasons(tx) if name == link.name}
    if gives:
        told = [f"{count:,} {word}" for word, count in counts.items()]
        told += [f"{count:,} withheld ({reason})" for reason, count in withheld.items()]
        context.out.line(f"  {', '.join(told) or 'nothing was offered yet'}")
    context.out.record(
        "link", name=link.name, open=closed is None, reason=closed, carrier=link.carrier,
        feed=dict(counts), withheld=dict(withheld),
    )  # fmt: skip


def _stops(
    one: Account, collection: Collection, grant: Grant, held: list[Token], now: int
) -> list[tuple[str, str]]:
    """What keeps the account from reading at all: (why, what to do)."""
    found: list[tuple[str, str]] = []
    if one.expires is not None and now >= one.expires:
        why = "The account has expired: every request is 401."
        again = f"then stixnode account add {one.name} with its rights"
        found.append((why, f"stixnode account remove {one.name}, {again}"))
    if not _valid(held, now):
        why = "Its tokens have all expired" if held else "It has no token"
        found.append((f"{why}: every request is 401.", f"stixnode token add --account {one.name}"))
    if not grant.can_read:
        shown = grant.can_write or collection.listed
        answer = "403, and the collection is listed for it" if shown else "404, as if there were none"
        command = f"stixnode account allow {one.name} {collection.alias} --read"
        found.append((f"Nobody allowed it to read {collection.alias}: the answer is {answer}.", command))
    return found


def _print_verdict(
    context: Context, one: Account, collection: Collection, grant: Grant, stops: list[tuple[str, str]]
) -> None:
    out = context.out
    may = [word for word, yes in (("read", grant.can_read), ("write", grant.can_write)) if yes]
    out.line(f"{one.name} may {' and '.join(may) or 'neither read nor write'} {collection.alias}.")
    for why, remedy in stops:
        out.line(why)
        out.remedy(remedy, indent=2)
        out.record("stop", reason=why, remedy=remedy)


def _print_object(
    context: Context, tx: Tx, one: Account, collection: Collection, reader: Reader, stix_id: str
) -> None:
    _known_id(stix_id)
    out = context.out
    found = visibility.one_object(tx, collection, reader, stix_id)
    for each in found.versions:
        row = each.held
        seen = "seen" if not each.cause else f"HIDDEN: {_why(each, one)}"
        newest = ", what it gets" if each.by_default else "" if each.cause else ", by match[version] only"
        out.line(
            f"version {row.version_text}, STIX {row.spec_version}, {tlp_name(row.effective_rank)},"
            f" added {context.local(row.added)}: {seen}{newest}"
        )
        out.record(
            "object_version", id=stix_id, version=row.version_text, spec_version=row.spec_version,
            added=utc(row.added), marking=tlp_name(row.effective_rank), flow=each.flow, seen=not each.cause,
            cause=each.cause, by_default=each.by_default,
        )  # fmt: skip
    for stone in found.removed:
        text = f"A version was removed here {context.local(stone.at)} by {stone.actor} ({stone.reason})."
        out.line(text)
        out.record("line", text=text)
    if not found.versions:
        where = f" It lies in {', '.join(found.elsewhere)}." if found.elsewhere else ""
        text = f"{stix_id} is not in {collection.alias}.{where}"
        out.line(text)
        out.record("line", text=text)
    out.next(f"stixnode explain {stix_id}")


def _why(each: SeenVersion, one: Account) -> str:
    row = each.held
    newest = ", as its newest version anywhere does" if row.effective_rank != row.rank else ""
    if each.cause == UNKNOWN_MARKING:
        return f"a marking of it cannot be judged here{newest}; only clearance RED sees such objects"
    if each.cause == ABOVE:
        level = tlp_name(row.effective_rank)
        return f"it counts as {level}{newest}, and the account sees up to {tlp_name(one.clearance)}"
    readers = ", ".join(each.audience) or "nobody"
    return f"{each.flow} brought it, for {readers}; the account has {_audience(one)}"


def _sees(share: Share) -> str:
    if share.looked_at < share.total:
        last = f"{share.seen:,} of the {share.looked_at:,} added last"
        return f"{last}; {share.total:,} objects (newest versions) in all"
    return f"{share.seen:,} of {amount(share.total, 'object')} (newest versions)"


def _hidden(share: Share, one: Account) -> list[str]:
    texts: list[str] = []
    if share.above:
        levels = ", ".join(f"{count:,} {tlp_name(rank)}" for rank, count in sorted(share.above.items()))
        texts.append(f"{sum(share.above.values()):,} above its clearance: {levels}")
    if share.unknown:
        texts.append(f"{share.unknown:,} with a marking that cannot be judged here; only RED sees those")
    texts.extend(
        f"{count:,} brought by {flow}, for another audience than {_audience(one)}"
        for flow, count in sorted(share.other_audience.items())
    )
    return texts or ["nothing"]


def _audience(one: Account) -> str:
    return (
        f"audience {', '.join(one.audience)}" if one.audience else "no audience (only what our own brought)"
    )


def _expiry(context: Context, one: Account, now: int) -> str:
    if one.expires is None:
        return "expires never"
    return f"{'EXPIRED' if now >= one.expires else 'expires'} {context.local(one.expires)}"


def _valid(held: list[Token], now: int) -> list[Token]:
    return [token for token in held if token.expires is None or now < token.expires]


def _tokens(context: Context, held: list[Token], now: int) -> str:
    valid = _valid(held, now)
    ends = [token.expires for token in valid if token.expires is not None]
    if not valid:
        return f"none that holds, {len(held)} expired" if held else "none"
    last = "one never expires" if len(ends) < len(valid) else f"the last until {context.local(max(ends))}"
    return f"{amount(len(valid), 'token')}, {last}"


def _reading(tx: Tx, one: Account, collection: Collection) -> Reading | None:
    number = collection.collection_id
    return next(
        (each for each in accounts.readings(tx) if (each.account, each.collection_id) == (one.name, number)),
        None,
    )


def _asked(context: Context, reading: Reading | None, now: int) -> str:
    if reading is None:
        return "never"
    served = (
        f"has read up to {context.local(reading.last_served)}"
        if reading.last_served
        else "was served nothing"
    )
    return f"{ago(reading.last_poll, now)}, {context.local(reading.last_poll)}; {served}"


def _late(late: Behind, now: int) -> str:
    if not late.count:
        return "nothing" if late.exact else f"nothing among the next {BEHIND_AT_MOST:,} rows"
    waits = "" if late.oldest is None else f", the oldest for {duration((now - late.oldest) // MICROSECONDS)}"
    return f"{'' if late.exact else 'at least '}{amount(late.count, 'object')}{waits}"


def _limits(limits: Limits) -> str:
    told = [
        f"{limits.requests_per_second} requests a second" if limits.requests_per_second else "",
        f"{limits.concurrent_requests} at once" if limits.concurrent_requests else "",
        f"{limits.page_size:,} objects a page",
        f"{limits.max_content_length:,} bytes a POST",
    ]
    return ", ".join(each for each in told if each)


def _known_id(stix_id: str) -> None:
    if not ID.fullmatch(stix_id):
        raise UsageError(
            f"{stix_id!r} is not the id of an object.",
            remedy="Give the whole id, such as indicator--edfd6339-5f9b-44df-a26a-1e9f7d52d619.",
        )


def _record(
    context: Context,
    one: Account,
    collection: Collection,
    grant: Grant,
    held: list[Token],
    share: Share,
    reading: Reading | None,
    late: Behind,
    now: int,
) -> None:
    out, limits = context.out, context.settings.limits
    fields: dict[str, Value] = {"name": one.name, "clearance": tlp_name(one.clearance)}
    out.record(
        "account", **fields, audience=list(one.audience), expires=utc(one.expires),
        tokens=len(_valid(held, now)), can_read=grant.can_read, can_write=grant.can_write,
        listed=collection.listed,
    )  # fmt: skip
    out.record("share", total=share.total, looked_at=share.looked_at, seen=share.seen)
    for rank, count in sorted(share.above.items()):
        out.record("hidden", cause=ABOVE, marking=tlp_name(rank), objects=count)
    if share.unknown:
        out.record("hidden", cause=UNKNOWN_MARKING, objects=share.unknown)
    for flow, count in sorted(share.other_audience.items()):
        out.record("hidden", cause=OTHER_AUDIENCE, flow=flow, objects=count)
    out.record(
        "reading",
        last_poll=None if reading is None else utc(reading.last_poll),
        read_up_to=None if reading is None else utc(reading.last_served or None),
        not_read=late.count,
        oldest=utc(late.oldest),
        exact=late.exact,
    )
    out.record("limits", requests_per_second=limits.requests_per_second, page_size=limits.page_size)
