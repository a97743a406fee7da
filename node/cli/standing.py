"""How things stand: what works, what does not, and what waits for a person.

Rule    A link's state is a word: ok, idle (works, nothing new ever), failing, paused. It is told by time
        alone, so that a worker that is not running, and a partner that no longer fetches, are seen too.
        What a person should act on has the command to type; everything else is only told.

Reads   link states, feeds, ledger, arrivals, quarantine, accounts, agreements. Writes nothing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from node.access import accounts
from node.access.accounts import Account
from node.cli.printing import ago, amount, duration
from node.clock import MICROSECONDS, local_time
from node.config import Settings
from node.exchange import arrivals, egress, feed_rows, ledger, links, quarantine
from node.exchange.links import LinkState
from node.sharing.agreements import Agreement, in_force
from node.sharing.links import Link
from node.store import catalog
from node.store.catalog import Collection
from node.store.database import Tx

SOON_DAYS = 14
FAILURES = 3
LATE_SECONDS = 600
SILENT_SECONDS = 3_600
ARRIVALS = 2_000
WENT_BACK = "went back in time"  # in the reason for which the node itself paused its links

# What was written down of a failure that no further attempt mends, and what to do.
_HOPELESS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"The terms of \S+ differ"), "stixnode agreement show {agreement}"),
    (
        re.compile(r"answered .* with 401\b"),
        "ask {partner} for a new token for password_file",
    ),
    (re.compile(r"answered .* with 403\b"), "call the duty desk of {partner}"),
    (re.compile(r"does not let us (read|write)"), "stixnode agreement show {agreement}"),
)


@dataclass(frozen=True, slots=True)
class Need:
    """Something that a person should act on, and the command to begin with.

    Args:
        about: The link or partner it concerns; "" for the node.
    """

    text: str
    command: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class LinkStanding:
    """One link: its word, and why.

    Args:
        figures: For scripts: waiting, handed over, refused there, withheld; moments in microseconds.
    """

    link: Link
    word: str
    text: str
    need: Need | None = None
    figures: dict[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReaderStanding:
    """One SOC account: when it last asked, None for never."""

    account: str
    last_poll: int | None
    created: int


@dataclass(frozen=True, slots=True)
class Standing:
    """The whole node."""

    links: list[LinkStanding]
    readers: list[ReaderStanding]
    needs: list[Need]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the tables say, read once for all links."""

    states: dict[str, LinkState]
    collections: dict[str, Collection]
    brought: dict[str, int]
    withheld: dict[str, int]
    accounts: list[Account]
    polls: dict[tuple[str, int], int]


def standing(tx: Tx, settings: Settings, *, now: int) -> Standing:
    """How things stand.

    Args:
        tx: A reader.
        settings: The configuration.
        now: Microseconds.
    """
    seen = _seen(tx)
    found = [_link(tx, link, seen, now=now) for link in settings.links]
    needs = [each.need for each in found if each.need is not None]
    return Standing(
        found, _readers(seen), [*_grouped(needs), *_quarantine(tx, now), *_agreements(settings, now)]
    )


def _seen(tx: Tx) -> _Seen:
    brought: dict[str, int] = {}
    for arrival in arrivals.recent(tx, ARRIVALS):
        brought[arrival.link] = max(arrival.at, brought.get(arrival.link, 0))
    withheld: dict[str, int] = defaultdict(int)
    for link, _, number in ledger.reasons(tx):
        withheld[link] += number
    return _Seen(
        states=links.states(tx),
        collections={one.alias: one for one in catalog.collections(tx)},
        brought=brought,
        withheld=withheld,
        accounts=accounts.list_accounts(tx),
        polls={(one.account, one.collection_id): one.last_poll for one in accounts.readings(tx)},
    )


def _link(tx: Tx, link: Link, seen: _Seen, *, now: int) -> LinkStanding:
    collection, state = seen.collections.get(link.collection), seen.states.get(link.name)
    if collection is None or state is None:
        command = f"stixnode collection add {link.collection} --title TITLE"
        why = f"there is no collection {link.collection} here"
        return LinkStanding(link, "failing", why, Need(why, command, link.name))
    closed = egress.closed_reason(tx, link, collection, now=now)
    if closed is not None:
        return LinkStanding(
            link, "paused", _why_paused(link, state, closed), _need_of_pause(link, state, closed, now)
        )
    if link.carrier == "us":
        word, text, need = _carried(link, state, now)
        figures = {"last_success": state.last_success, "last_new": state.last_new, "failures": state.failures}
    else:
        word, text, need, figures = _awaited(tx, link, collection, seen, now)
    if link.direction == "out":
        counts = {each: number for each, (number, _) in feed_rows.states(tx, link.name).items()}
        refused = counts.get(feed_rows.FAILED, 0) + counts.get(feed_rows.SET_ASIDE, 0)
        withheld = seen.withheld.get(link.name, 0)
        figures = figures | {
            "waiting": counts.get(feed_rows.OFFERED, 0),
            "refused": refused,
            "withheld": withheld,
        }
        extra = {"waiting": counts.get(feed_rows.OFFERED, 0), "refused there": refused, "withheld": withheld}
        text = ", ".join([text, *(f"{number:,} {name}" for name, number in extra.items() if number)])
    return LinkStanding(link, word, text, need, figures)


def _why_paused(link: Link, state: LinkState, closed: str) -> str:
    if link.paused:
        return "paused = true in config.toml"
    return state.pause_reason or closed if state.paused else closed


def _need_of_pause(link: Link, state: LinkState, closed: str, now: int) -> Need | None:
    if link.paused:
        return None
    if state.paused and state.pause_reason == links.NEW:
        return Need("new; nothing crosses yet", f"stixnode plan {link.partner}, then resume", link.name)
    if state.paused:
        # A person closed it, or the node itself when its database went back in time.
        lost = WENT_BACK in state.pause_reason
        return Need(state.pause_reason, f"stixnode resume {link.partner}", link.name) if lost else None
    if link.terms.starts <= now < link.terms.ends:
        return Need(closed, "stixnode check", link.name)
    return None  # not in force: told with the agreement


def _carried(link: Link, state: LinkState, now: int) -> tuple[str, str, Need | None]:
    done = "pulled" if link.direction == "in" else "pushed"
    if state.failures:
        worked = f"{amount(state.failures, 'failure')} in a row, last worked {ago(state.last_success, now)}"
        text = f"{worked}: {state.last_error}"
        quiet = state.last_success is not None and _older(state.last_success, SILENT_SECONDS, now)
        known = _hopeless(link, state.last_error)
        late = known is not None or state.failures >= FAILURES or quiet
        command = known or f"call the duty desk of {link.partner}"
        return "failing", text, Need(text, command, link.name) if late else None
    if state.last_success is None:
        text = "open, and no round yet; is the worker running?"
        return "idle", text, Need(text, "stixnode run", link.name)
    if _older(state.last_success, max(3 * link.every_seconds, LATE_SECONDS), now):
        text = f"no round since {ago(state.last_success, now)}; is the worker running?"
        return "failing", text, Need(text, "stixnode run", link.name)
    if state.last_new is None:
        return "idle", f"{done} {ago(state.last_success, now)}, nothing new yet", None
    return "ok", f"{done} {ago(state.last_success, now)}, newest object {ago(state.last_new, now)}", None


def _hopeless(link: Link, error: str) -> str | None:
    """What to do about a failure that lasts until a person acts; None of one that may pass."""
    for pattern, command in _HOPELESS:
        if pattern.search(error):
            return command.format(agreement=link.terms.agreement, partner=link.partner)
    return None


def _awaited(
    tx: Tx, link: Link, collection: Collection, seen: _Seen, now: int
) -> tuple[str, str, Need | None, dict[str, int | None]]:
    theirs = [one.name for one in seen.accounts if one.partner == link.partner]
    if not theirs:
        text = f"{link.partner} has no account here, so it can neither fetch nor bring"
        command = f"stixnode account add {link.partner} --partner {link.partner}"
        return "failing", text, Need("it has no account here", command, link.name), {}
    if link.direction == "in":
        at = seen.brought.get(link.name)
        text = (
            "they have brought nothing yet" if at is None else f"they last brought something {ago(at, now)}"
        )
        return "idle" if at is None else "ok", text, None, {"last_new": at}
    polls = [
        seen.polls[name, collection.collection_id]
        for name in theirs
        if (name, collection.collection_id) in seen.polls
    ]
    polled = max(polls, default=None)
    _, oldest = feed_rows.states(tx, link.name).get(feed_rows.OFFERED, (0, None))
    patience = max(12 * link.every_seconds, SILENT_SECONDS)
    fetched = "they have never fetched" if polled is None else f"they fetched {ago(polled, now)}"
    if oldest is not None and _older(oldest, patience, now) and _older(polled, patience, now):
        text = f"{fetched}; what waits for them is from {ago(oldest, now)}"
        return (
            "failing",
            text,
            Need(text, f"call the duty desk of {link.partner}", link.name),
            {"last_poll": polled},
        )
    return "idle" if polled is None else "ok", fetched, None, {"last_poll": polled}


def _older(moment: int | None, seconds: int, now: int) -> bool:
    return moment is None or now - moment > seconds * MICROSECONDS


def _grouped(needs: Sequence[Need]) -> list[Need]:
    """What several links with one partner need alike is said once, of the partner."""
    alike: dict[tuple[str, str], list[Need]] = defaultdict(list)
    for need in needs:
        alike[need.about.partition("/")[0], need.command.partition("/")[0]].append(need)
    found: list[Need] = []
    for (partner, command), group in alike.items():
        first = group[0]
        if len(group) == 1:
            found.append(Need(f"{first.about}: {first.text}", first.command, first.about))
            continue
        same = len({each.text for each in group}) == 1
        count = f"{len(group)} links" if same else f"{len(group)} links, the first"
        found.append(Need(f"{partner}, {count}: {first.text}", command, partner))
    return found


def _quarantine(tx: Tx, now: int) -> list[Need]:
    found = quarantine.waiting(tx)
    if not found:
        return []
    number, oldest = sum(each for each, _ in found.values()), min(at for _, at in found.values())
    return [Need(f"{number:,} in quarantine (oldest {ago(oldest, now)})", "stixnode quarantine list")]


def _agreements(settings: Settings, now: int) -> list[Need]:
    known: dict[str, Agreement] = {one.id: one for partner in settings.partners for one in partner.agreements}
    needs: list[Need] = []
    for one in known.values():
        if now >= one.ends:
            text = (
                f"agreement {one.id} ended {local_time(one.ends, settings.node.time_zone)}; nothing crosses"
            )
        elif in_force(one, now) and one.ends - now < SOON_DAYS * 86_400 * MICROSECONDS:
            text = f"agreement {one.id} ends in {duration((one.ends - now) // MICROSECONDS)}"
        else:
            continue
        needs.append(Need(text, f"stixnode agreement show {one.id}"))
    return needs


def _readers(seen: _Seen) -> list[ReaderStanding]:
    last: dict[str, int] = {}
    for (account, _), at in seen.polls.items():
        last[account] = max(at, last.get(account, 0))
    return [
        ReaderStanding(one.name, last.get(one.name), one.created) for one in seen.accounts if not one.partner
    ]
