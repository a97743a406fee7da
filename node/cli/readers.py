"""How far each SOC account has read, for `stixnode status`: when it asked last, and what waits for it.

Rule    A reader that is late is told, not reported as a need: nobody here can make it read. Positions are as
        the server notes them, at most a minute old. What waits is counted for its own eyes and up to a
        bound, so that the screen stays quick however far behind somebody is.

Reads   accounts, rights, read positions; counts through `exchange.visibility`. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from node.access import accounts
from node.access.accounts import Account, Reading
from node.cli.context import Context
from node.cli.printing import ago, amount, duration, utc
from node.clock import MICROSECONDS
from node.exchange import visibility
from node.exchange.egress import Reader
from node.store import catalog
from node.store.catalog import Collection
from node.store.database import Tx
from node.sync.health import State, reader_state

BEHIND_AT_MOST = 1_000
NOBODY = "our readers         none; stixnode account add NAME --read COLLECTION"


@dataclass(frozen=True, slots=True)
class ReadPosition:
    """How far one SOC account has read one collection that it may read.

    Args:
        last_poll: When it last asked, in microseconds; None for never.
        read_up_to: The date up to which it was served; None for nothing yet.
        waiting: Objects that it sees and has not read; at least so many, unless `exact`.
        oldest: `date_added` of the first of them.
        state: ok, idle (never asked yet), stale (has not asked for a day), failing (asks, and has not read
            on for a day), ended (the account has).
    """

    collection: str
    last_poll: int | None
    read_up_to: int | None
    waiting: int
    oldest: int | None
    exact: bool
    state: State


@dataclass(frozen=True, slots=True)
class ReaderStanding:
    """One SOC account: when it last asked, None for never, and how far it is with each collection."""

    account: str
    last_poll: int | None
    created: int
    positions: tuple[ReadPosition, ...] = ()


def readers(tx: Tx, *, now: int) -> list[ReaderStanding]:
    """How far every SOC account has read, by account and collection; partners are none."""
    readings = {(each.account, each.collection_id): each for each in accounts.readings(tx)}
    rooms = sorted(catalog.collections(tx), key=lambda each: each.alias)
    found: list[ReaderStanding] = []
    for one in accounts.list_accounts(tx):
        if not one.partner:
            last = max(
                (each.last_poll for each in readings.values() if each.account == one.name), default=None
            )
            found.append(
                ReaderStanding(
                    one.name, last, one.created, tuple(_positions(tx, one, rooms, readings, now=now))
                )
            )
    return found


def print_readers(context: Context, found: Sequence[ReaderStanding], *, now: int) -> None:
    """One line for each account and collection."""
    out = context.out
    if not found:
        out.line(NOBODY)
        return
    out.line("our readers")
    rows = [(one.account, *row) for one in found for row in _rows(context, one, now)]
    out.table(("", "", ""), rows, indent=2)
    for one in found:
        out.record("reader", account=one.account, last_poll=utc(one.last_poll))
        for each in one.positions:
            out.record(
                "reading",
                account=one.account,
                collection=each.collection,
                state=each.state,
                last_poll=utc(each.last_poll),
                read_up_to=utc(each.read_up_to),
                waiting=each.waiting,
                exact=each.exact,
                behind_seconds=None if each.oldest is None else max(now - each.oldest, 0) // MICROSECONDS,
            )


def _positions(
    tx: Tx,
    one: Account,
    rooms: Sequence[Collection],
    readings: dict[tuple[str, int], Reading],
    *,
    now: int,
) -> Iterator[ReadPosition]:
    granted, reader = accounts.grants(tx, one.name), Reader(one.clearance, one.audience)
    for room in rooms:
        grant, read = granted.get(room.collection_id), readings.get((one.name, room.collection_id))
        if grant is None or not grant.can_read:
            continue
        served = 0 if read is None else read.last_served
        late = visibility.behind(tx, room, reader, served, at_most=BEHIND_AT_MOST)
        poll = None if read is None else read.last_poll
        state = reader_state(
            last_poll=poll,
            created=one.created,
            expires=one.expires,
            may_read=True,
            oldest_waiting=late.oldest,
            now=now,
        )
        yield ReadPosition(room.alias, poll, served or None, late.count, late.oldest, late.exact, state)


def _rows(context: Context, one: ReaderStanding, now: int) -> Iterator[tuple[str, str]]:
    if not one.positions:
        yield "-", "may read no collection"
    for each in one.positions:
        if each.last_poll is None:
            asked = f"never asked since {context.local(one.created)}"
        else:
            asked = f"asked {ago(each.last_poll, now)}, {context.local(each.last_poll)}"
        state = each.state.value if each.state is State.IDLE else each.state.upper()
        word = "" if each.state is State.OK else f"{state}, "
        yield each.collection, f"{word}{asked}; {_waiting(context, each, now)}"


def _waiting(context: Context, each: ReadPosition, now: int) -> str:
    up_to = "" if each.read_up_to is None else f"read up to {context.local(each.read_up_to)}, "
    if not each.waiting or each.oldest is None:
        return f"{up_to}nothing waits" if each.exact else f"{up_to}far behind"
    count = f"{'' if each.exact else 'at least '}{amount(each.waiting, 'object')}"
    return f"{up_to}{count} waiting, the oldest for {duration((now - each.oldest) // MICROSECONDS)}"
