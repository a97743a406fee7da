"""Time: the one place that reads the clock, and the text forms of the two standards.

Moments of this node (`now`, `date_added`, `offered_at`) are whole microseconds since
1970-01-01 UTC. Instants inside STIX objects are whole nanoseconds, because partners write up
to nine digits and two texts are one version when they name the same instant.

Only entry points call `now()`; everything else is given the moment it should use.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

MICROSECONDS = 1_000_000
NANOSECONDS = 1_000_000_000

_TIMESTAMP = re.compile(
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.([0-9]+))?Z"
)


def now() -> int:
    """The present moment in microseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1000


def parse_stix_time(text: str) -> int:
    """The instant that a STIX timestamp names.

    Args:
        text: For example `2026-11-21T08:00:00.123456789Z`; digits beyond the ninth must be zero.

    Returns:
        Nanoseconds since 1970-01-01 UTC; negative before that.

    Raises:
        ValueError: Not of the form, an impossible date, a leap second, another zone than `Z`,
            or finer than a nanosecond.

    Source:
        STIX 2.1 section 2.16 (and RFC 3339).
    """
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a timestamp like 2026-11-21T08:00:00.000Z")
    digits = match[1] or ""
    if digits[9:].strip("0"):
        raise ValueError(f"{text!r} is finer than a nanosecond")
    since = datetime.fromisoformat(text[:19]) - _ORIGIN  # of every form that it takes, this is the one left
    return (since.days * 86_400 + since.seconds) * NANOSECONDS + int(digits[:9].ljust(9, "0"))


def parse_taxii_time(text: str) -> int:
    """The moment that a TAXII timestamp names, in microseconds.

    Fewer than six digits are taken as they are and more are cut, which is exact for the strict
    comparison of `added_after` because our dates are whole microseconds.

    Raises:
        ValueError: As in `parse_stix_time`.

    Source:
        TAXII 2.1 section 2 (timestamp), section 3.4 (added_after).
    """
    head, dot, fraction = text.removesuffix("Z").partition(".")
    if dot and len(fraction) > 9 and fraction.isdigit():
        text = f"{head}.{fraction[:9]}Z"
    return parse_stix_time(text) // 1000


def taxii_time(microseconds: int) -> str:
    """The TAXII text of a moment: UTC, six digits, `Z`."""
    seconds, rest = divmod(microseconds, MICROSECONDS)
    moment = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    return f"{moment.isoformat()}.{rest:06d}Z"


def local_time(microseconds: int, zone: str) -> str:
    """A moment for people: day, time and zone name, such as `21 Nov 2026 10:03 EET`."""
    moment = datetime.fromtimestamp(microseconds / MICROSECONDS, ZoneInfo(zone))
    return f"{moment.day} {moment:%b %Y %H:%M %Z}"


def ago(moment: int | None, now: int) -> str:
    """How long ago a moment was, roughly: `20 s ago`, `3 h ago`, `never`."""
    if moment is None:
        return "never"
    return f"{duration((now - moment) // MICROSECONDS)} ago"


def duration(seconds: int) -> str:
    """A length of time in its largest fitting unit: `20 s`, `14 min`, `7 h`, `12 days`."""
    seconds = max(seconds, 0)
    for length, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


_ORIGIN = datetime(1970, 1, 1)  # noqa: DTZ001  of the same kind as what is read, which is all in UTC
