"""Moments and days as people write them at the desk.

Reads and writes nothing.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from node.clock import MICROSECONDS
from node.errors import UsageError

_AGO = re.compile(r"([1-9][0-9]{0,5}) ?(s|min|m|h|d|days?)")
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400, "day": 86_400, "days": 86_400}
_DAYS = {"today": 0, "yesterday": 1}


def past_moment(text: str, *, now: int, zone: str) -> int:
    """The moment that a person means, in microseconds.

    Args:
        text: `6h`, `2d`, `30min` before now; or a day or moment such as `2026-11-21` or `2026-11-21 14:05`,
            in the node's own zone where it names none.
        now: Microseconds.
        zone: IANA name.

    Raises:
        UsageError: It is none of these.
    """
    said = text.strip().lower()
    ago = _AGO.fullmatch(said)
    if ago is not None:
        return now - int(ago[1]) * _UNITS[ago[2]] * MICROSECONDS
    try:
        moment = datetime.fromisoformat(text.strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=ZoneInfo(zone))
        return int(moment.timestamp()) * MICROSECONDS
    except (ValueError, OverflowError) as cause:
        raise UsageError(
            f"{text!r} is no moment.",
            remedy='Write 6h, 2d or 30min, or a moment such as 2026-11-21 or "2026-11-21 14:05".',
        ) from cause


def utc_day(text: str, *, now: int) -> int:
    """The day that a person means, in days since 1970 in UTC.

    Args:
        text: `2026-11-21`, `today` or `yesterday`.
        now: Microseconds.

    Raises:
        UsageError: It is none of these.
    """
    today = (datetime.fromtimestamp(now // MICROSECONDS, UTC)).date()
    said = text.strip().lower()
    try:
        found = today - timedelta(days=_DAYS[said]) if said in _DAYS else date.fromisoformat(said)
    except ValueError as cause:
        raise UsageError(f"{text!r} is no day.", remedy="Write it as 2026-11-21.") from cause
    return (found - date(1970, 1, 1)).days


def day_text(day: int) -> str:
    """A day since 1970 as `2026-11-21`."""
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()
