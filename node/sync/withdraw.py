"""Withdrawals that partners owe an acknowledgement, and since when it is overdue.

Rule    The agreement says how many hours a partner has ([promises] acknowledge_withdrawal_hours); of several
        agreements the shortest counts. The hours count from the withdrawal, whatever kept it here.

Reads   what `exchange/acknowledging.py` reads. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from node.clock import MICROSECONDS
from node.exchange import acknowledging, withdrawals
from node.exchange.acknowledging import Told
from node.sharing.links import Link, PartnerBinding
from node.store.database import Tx

DEFAULT_HOURS = 24
NEWEST = 100_000
"""Withdrawals that are looked at for `status`."""
AT_ONCE = 1_000

_HOUR = 3_600 * MICROSECONDS


class Overdue(NamedTuple):
    """What one partner has not acknowledged in time.

    Args:
        objects: How many.
        oldest: When the first of them was withdrawn, in microseconds.
    """

    partner: str
    objects: int
    oldest: int


def hours_of(partners: Sequence[PartnerBinding]) -> dict[str, int]:
    """partner -> hours that it has to acknowledge a withdrawal."""
    return {
        one.name: min((each.acknowledge_withdrawal_hours for each in one.agreements), default=DEFAULT_HOURS)
        for one in partners
    }


def is_overdue(told: Told, at: int, hours: Mapping[str, int], *, now: int) -> bool:
    """Whether a partner owes an acknowledgement of what was withdrawn at a moment."""
    return told.open and now - at >= hours.get(told.partner, DEFAULT_HOURS) * _HOUR


def overdue(tx: Tx, links: Sequence[Link], partners: Sequence[PartnerBinding], *, now: int) -> list[Overdue]:
    """What is overdue, by partner.

    Args:
        tx: A reader.
        links: All links.
        partners: For what the agreements promise.
        now: Microseconds.
    """
    hours = hours_of(partners)
    shortest = min([*hours.values(), DEFAULT_HOURS]) * _HOUR
    chosen = [one for one in withdrawals.newest(tx, limit=NEWEST) if now - one.at >= shortest]
    late: dict[str, dict[str, int]] = {}
    for start in range(0, len(chosen), AT_ONCE):
        for one in acknowledging.standings(tx, links, chosen[start : start + AT_ONCE]):
            for told in one.told:
                if is_overdue(told, one.withdrawal.at, hours, now=now):
                    late.setdefault(told.partner, {})[told.stix_id] = one.withdrawal.at
    return [Overdue(partner, len(ids), min(ids.values())) for partner, ids in sorted(late.items())]


def not_acknowledged(one: Overdue) -> str:
    """What is overdue, for status and alerts."""
    objects = "1 withdrawal" if one.objects == 1 else f"{one.objects:,} withdrawals"
    return f"{objects} not acknowledged by {one.partner} in time"
