"""How every link stands: what the tables say of it, judged by `health`, with the figures behind.

Rule    All is worked out when it is asked for, so it is right when no worker has run for hours. Counting
        what waits walks a whole feed: that is done for a person who looks, and for the worker, which looks
        each minute, only where something waits at all.

Reads   link states, link_activity, leases, feeds, ledger, quarantine, accounts, read positions, agreements.
        Writes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from node.access import accounts
from node.access.accounts import Reading
from node.clock import MICROSECONDS, local_time, taxii_time
from node.exchange import activity, egress, feed_rows, fullness, ledger, links, quarantine
from node.exchange.feed_rows import FAILED, OFFERED, SET_ASIDE
from node.exchange.links import LinkState
from node.sharing.agreements import Party
from node.sharing.links import Link, PartnerBinding
from node.store import catalog
from node.store.catalog import Collection
from node.store.database import Tx
from node.sync.health import Closed, Facts, Health, State, state_of

WENT_BACK = "went back in time"  # in the reason for which the node itself paused its links

_AT_WORK = sa.text("select work from lease where until > :now")


@dataclass(frozen=True, slots=True)
class LinkStanding:
    """One link, its state, and the figures behind it.

    Args:
        figures: Numbers, and moments in microseconds under names that begin with `last_`.
    """

    link: Link
    health: Health
    figures: dict[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the tables say, read once for all links."""

    states: dict[str, LinkState]
    collections: dict[str, Collection]
    at_work: frozenset[str]
    accounts: dict[str, list[str]]
    created: dict[str, int]
    readings: dict[tuple[str, int], Reading]
    withheld: dict[str, int]
    aside: dict[str, tuple[int, int]]


def standing_of(tx: Tx, chosen: Sequence[Link], *, now: int, count: bool = True) -> list[LinkStanding]:
    """How links stand at a moment.

    Args:
        tx: A reader.
        chosen: Links, in any order.
        now: Microseconds.
        count: Also count what waits, was refused and is withheld.
    """
    seen = _seen(tx, now=now, count=count)
    return [_link(tx, link, seen, now=now, count=count) for link in chosen]


def duty_desk(partner: PartnerBinding, *, now: int) -> str:
    """Whom to call at a partner, with the time it is there if the agreement says where that is; or ""."""
    desk: Party | None = next((one.parties.get(partner.name) for one in partner.agreements), None)
    if desk is None:
        return ""
    text = f"{desk.duty_phone}, {desk.duty_hours}"
    return f"{text}, {local_time(now, desk.time_zone).split()[3]} there" if desk.time_zone else text


def _seen(tx: Tx, *, now: int, count: bool) -> _Seen:
    theirs: dict[str, list[str]] = defaultdict(list)
    created: dict[str, int] = {}
    for one in accounts.list_accounts(tx):
        if one.partner and (one.expires is None or now < one.expires):
            theirs[one.partner].append(one.name)
            created[one.partner] = min(one.created, created.get(one.partner, one.created))
    withheld: dict[str, int] = defaultdict(int)
    for link, _, number in ledger.reasons(tx) if count else ():
        withheld[link] += number
    return _Seen(
        states=links.states(tx),
        collections={one.alias: one for one in catalog.collections(tx)},
        at_work=frozenset(row[0] for row in tx.rows(_AT_WORK, now=now)),
        accounts=theirs,
        created=created,
        readings={(one.account, one.collection_id): one for one in accounts.readings(tx)},
        withheld=withheld,
        aside=quarantine.waiting(tx) if count else {},
    )


def _link(tx: Tx, link: Link, seen: _Seen, *, now: int, count: bool) -> LinkStanding:
    collection, state = seen.collections.get(link.collection), seen.states.get(link.name)
    if collection is None or state is None:
        command = f"stixnode collection add {link.collection} --title TITLE"
        return LinkStanding(
            link, Health(State.FAILING, f"there is no collection {link.collection} here", command=command)
        )
    ours, outgoing = link.carrier == "us", link.direction == "out"
    visit = None if ours or not outgoing else _visit(link, collection, seen)
    counts = feed_rows.states(tx, link.name) if outgoing and (count or _waits(tx, link, visit)) else {}
    waiting, oldest = counts.get(OFFERED, (0, None))
    last_new = state.last_new if ours else activity.last(tx, link.name)
    created = None if ours else seen.created.get(link.partner)
    facts = Facts(
        partner=link.partner,
        agreement=link.terms.agreement,
        outgoing=outgoing,
        ours=ours,
        every_seconds=link.every_seconds,
        ends=link.terms.ends,
        now_there=max(now, min(collection.last_added, now + egress.CLOCK_DOUBT)),
        closed=_closed(tx, link, collection, state, now=now),
        opened=max(filter(None, (state.since, created)), default=None),
        last_try=state.last_try,
        last_success=state.last_success,
        last_new=last_new,
        next_try=state.next_try,
        failures=state.failures,
        last_error=state.last_error,
        at_work=f"partner:{link.partner}" in seen.at_work,
        has_account=ours or bool(seen.accounts.get(link.partner)),
        last_poll=None if visit is None else visit.last_poll,
        waiting=waiting,
        oldest_waiting=oldest,
        other_terms=state.other_terms not in ("", link.terms_digest.hex()),
        full=not ours and not outgoing and bool(fullness.full(tx, link)),
        hours=_hours(tx, link, last_new, now=now),
    )
    figures: dict[str, int | None] = {"last_success": state.last_success, "last_new": last_new}
    if ours:
        figures["failures"] = state.failures
    else:
        figures = {"last_poll": facts.last_poll, "last_new": last_new} if outgoing else {"last_new": last_new}
    figures["days_left"] = max(link.terms.ends - now, 0) // (86_400 * MICROSECONDS)
    health = state_of(facts, now=now)
    if count:
        figures |= _counted(link, seen, counts, facts, health.state, now=now)
    return LinkStanding(link, health, figures)


def _counted(
    link: Link, seen: _Seen, counts: dict[int, tuple[int, int]], facts: Facts, state: State, *, now: int
) -> dict[str, int | None]:
    if link.direction == "in":
        late = state in (State.STALE, State.FAILING) and facts.last_success is not None
        behind = max(now - (facts.last_success or now), 0) // MICROSECONDS if late else 0
        return {"behind_seconds": behind, "quarantine": seen.aside.get(link.name, (0, 0))[0]}
    oldest = facts.oldest_waiting
    return {
        "waiting": facts.waiting,
        "behind_seconds": 0 if oldest is None else max(now - oldest, 0) // MICROSECONDS,
        "refused": sum(counts.get(each, (0, 0))[0] for each in (FAILED, SET_ASIDE)),
        "withheld": seen.withheld.get(link.name, 0),
    }


def _visit(link: Link, collection: Collection, seen: _Seen) -> Reading | None:
    """The latest visit of the partner's accounts to the collection."""
    number = collection.collection_id
    found = [seen.readings.get((each, number)) for each in seen.accounts.get(link.partner, ())]
    return max((each for each in found if each is not None), key=lambda each: each.last_poll, default=None)


def _waits(tx: Tx, link: Link, visit: Reading | None) -> bool:
    """Whether something is offered that the partner, who fetches, has not been served yet."""
    feed = feed_rows.feed(tx, link.name) if visit is not None else None
    return feed is not None and visit is not None and visit.last_served < feed.last_offered


def _hours(tx: Tx, link: Link, last_new: int | None, *, now: int) -> dict[int, int]:
    """The history of a link, if it has been quiet for as long as a silence takes."""
    quiet = last_new is not None and now // activity.HOUR - last_new // activity.HOUR > 1
    return activity.hours(tx, link.name, now=now) if quiet else {}


def _closed(tx: Tx, link: Link, collection: Collection, state: LinkState, *, now: int) -> Closed | None:
    why = egress.closed_reason(tx, link, collection, now=now)
    if why is None:
        return None
    if link.paused:
        return Closed("paused = true in config.toml")
    if state.paused and state.pause_reason == links.NEW:
        return Closed("new; nothing crosses yet", f"stixnode plan {link.partner}")
    if state.paused:
        lost = WENT_BACK in state.pause_reason
        text = state.pause_reason or "stopped here"
        return Closed(text, f"stixnode resume {link.partner}", alarm=True) if lost else Closed(text)
    if now < link.terms.starts:
        return Closed(
            f"the agreement {link.terms.agreement} is not in force before {taxii_time(link.terms.starts)}"
        )
    return Closed(why, "stixnode check", alarm=True)
