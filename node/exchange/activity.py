"""In which hours a link had something new, so that an unusual silence can be told from a usual one.

Rule    Hours are counted since 1970 in UTC, so the same hour of the same weekday is 168 earlier. A row is
        written with what is new and never by a quiet round. What is older than nine weeks goes with the
        next row of its link.

Writes  table link_activity
"""

from __future__ import annotations

import sqlalchemy as sa

from node.clock import MICROSECONDS
from node.store.database import Tx

HOUR = 3_600 * MICROSECONDS
WEEK_HOURS = 168
KEPT_HOURS = 9 * WEEK_HOURS

_NOTE = sa.text(
    "insert into link_activity (link, hour, new, at) values (:link, :hour, :number, :now)"
    " on conflict (link, hour) do update set new = link_activity.new + excluded.new, at = excluded.at"
)
_FORGET = sa.text("delete from link_activity where link = :link and hour < :hour")
_HOURS = sa.text(
    "select hour, new from link_activity where link = :link and hour between :first and :last order by hour"
)
_LAST = sa.text("select at from link_activity where link = :link order by hour desc limit 1")


def note(tx: Tx, link: str, number: int, *, now: int) -> None:
    """Remember that a link had something new; nothing is written for nothing.

    Args:
        tx: A writer.
        link: Its name.
        number: Objects.
        now: Microseconds.
    """
    if number > 0:
        hour = now // HOUR
        tx.run(_NOTE, link=link, hour=hour, number=number, now=now)
        tx.run(_FORGET, link=link, hour=hour - KEPT_HOURS)


def hours(tx: Tx, link: str, *, now: int) -> dict[int, int]:
    """Objects that were new in each hour of the last nine weeks that had any."""
    last = now // HOUR
    return {row[0]: row[1] for row in tx.rows(_HOURS, link=link, first=last - KEPT_HOURS, last=last)}


def last(tx: Tx, link: str) -> int | None:
    """When a link last had something new, in microseconds; None for never."""
    row = tx.row(_LAST, link=link)
    return None if row is None else int(row[0])
