"""The state of each link: paused or open, and when it last did what.

A link that an agreement newly makes is paused until a person resumes it. When a partner shows another
history, what it brought in the old one no longer says that it has it.

Writes  table link; marks ids as due through `feed_rows`
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import sqlalchemy as sa

from node.exchange import feed_rows, ledger
from node.sharing.links import Link
from node.store.database import Tx

NEW = "new; nothing crosses before `stixnode resume`"

_COLUMNS = (
    "name, partner, paused, pause_reason, partner_epoch, last_try, last_success, last_new, next_try,"
    " failures, last_error, since, other_terms"
)
_ALL = sa.text(f"select {_COLUMNS} from link order by name")
_ONE = sa.text(f"select {_COLUMNS} from link where name = :name")
_NEW = sa.text(
    "insert into link (name, partner, paused, pause_reason, partner_epoch, failures, last_error, other_terms)"
    " values (:name, :partner, :paused, :reason, '', 0, '', '') on conflict (name) do nothing"
)
_PAUSE = sa.text(
    "update link set paused = :paused, pause_reason = :reason, since = :now where partner = :partner"
)
_PAUSE_ALL = sa.text("update link set paused = :paused, pause_reason = :reason, since = :now")
_TRY = sa.text("update link set last_try = :now, next_try = null where name = :name")
_SUCCESS = sa.text(
    "update link set last_try = :now, last_success = :now, failures = 0, last_error = '', next_try = null,"
    " last_new = case when :new then :now else last_new end where name = :name"
)
_FAILURE = sa.text(
    "update link set last_try = :now, failures = failures + 1, last_error = :error, next_try = :next_try"
    " where name = :name"
)
_TERMS = sa.text("update link set other_terms = :terms where name = :name and other_terms <> :terms")
_EPOCH = sa.text("update link set partner_epoch = :epoch where name = :name")
_FORGET_BROUGHT = sa.text("update link set partner_epoch = '' where partner = :partner and name like '%/in'")


class LinkState(NamedTuple):
    """One link's state; moments in microseconds, None where it never happened.

    `since` is when it was last opened or closed; `other_terms` the digest by which the partner last came and
    was refused.
    """

    name: str
    partner: str
    paused: bool
    pause_reason: str
    partner_epoch: str
    last_try: int | None
    last_success: int | None
    last_new: int | None
    next_try: int | None
    failures: int
    last_error: str
    since: int | None = None
    other_terms: str = ""


def ensure(tx: Tx, links: Iterable[Link]) -> list[str]:
    """Give every link a row, paused where it is new; the names of the new ones."""
    known = states(tx)
    fresh = [one for one in links if one.name not in known]
    tx.many(
        _NEW, [{"name": one.name, "partner": one.partner, "paused": True, "reason": NEW} for one in fresh]
    )
    return [one.name for one in fresh]


def states(tx: Tx) -> dict[str, LinkState]:
    """The state of every link that ever was, by name."""
    return {row[0]: _state(row) for row in tx.rows(_ALL)}


def state(tx: Tx, name: str) -> LinkState | None:
    """The state of one link."""
    row = tx.row(_ONE, name=name)
    return None if row is None else _state(row)


def set_paused(tx: Tx, partner: str | None, *, paused: bool, reason: str, now: int | None = None) -> int:
    """Pause or open all links with a partner (with everybody: None); how many there are."""
    if partner is None:
        return tx.run(_PAUSE_ALL, paused=paused, reason=reason, now=now)
    return tx.run(_PAUSE, partner=partner, paused=paused, reason=reason, now=now)


def note_try(tx: Tx, name: str, *, now: int) -> None:
    """A round found the link closed; it is due again after its time, whatever failed before."""
    tx.run(_TRY, name=name, now=now)


def note_success(tx: Tx, name: str, *, now: int, new: bool) -> None:
    """A round ended well; `new` when it moved something."""
    tx.run(_SUCCESS, name=name, now=now, new=new)


def note_failure(tx: Tx, name: str, *, now: int, error: str, next_try: int | None) -> None:
    """A round failed; when the next attempt is due."""
    tx.run(_FAILURE, name=name, now=now, error=error[:500], next_try=next_try)


def note_other_terms(tx: Tx, name: str, terms: str) -> None:
    """The partner came by other terms than ours; "" when it goes by ours again."""
    tx.run(_TERMS, name=name, terms=terms)


def note_partner_epoch(tx: Tx, name: str, epoch: str) -> bool:
    """Remember the partner's epoch; whether it differs from a different one remembered before."""
    before = state(tx, name)
    if before is None or before.partner_epoch == epoch:
        return False
    if name.endswith("/out"):
        forget_brought(tx, before.partner)
    tx.run(_EPOCH, name=name, epoch=epoch)
    feed_rows.add_due(tx, ledger.kept_from_bringer(tx, before.partner))
    return before.partner_epoch != ""


def forget_brought(tx: Tx, partner: str) -> None:
    """What a partner brought so far no longer counts as what it has: it may have lost it.

    The epochs of its incoming links are told again with the next page or batch; until then whatever it
    brought may be offered to it once more, which costs a duplicate.
    """
    tx.run(_FORGET_BROUGHT, partner=partner)


def _state(row: tuple[Any, ...]) -> LinkState:
    return LinkState._make((*row[:2], bool(row[2]), *row[3:]))
