"""How far each incoming link has read, in the partner's own words.

Rule    The text is what the partner wrote, never re-formatted and never our clock. It counts only with
        the partner's epoch and our own incoming policy: when either has changed, the listing starts
        again, and duplicates are free.

Writes  table bookmark
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from node.clock import parse_stix_time, taxii_time
from node.store.database import Tx

_READ = sa.text("select added_after, epoch, policy_digest, at, listed_at from bookmark where link = :link")
_ADVANCE = sa.text(
    "insert into bookmark (link, added_after, epoch, policy_digest, at, listed_at)"
    " values (:link, :added_after, :epoch, :policy_digest, :at, :listed_at)"
    " on conflict (link) do update set added_after = excluded.added_after, epoch = excluded.epoch,"
    " policy_digest = excluded.policy_digest, at = excluded.at, listed_at = excluded.listed_at"
)
_FORGET = sa.text("delete from bookmark where link = :link")
_LEAST_OVERLAP_NANOSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Where one link has read to.

    Args:
        added_after: The partner's text of the last date it gave us.
        epoch: The partner's epoch then; "" for other software.
        policy_digest: Of the link, when it was read under it.
        at: Microseconds, for people.
        listed_at: When we last began to list the partner from its start, in microseconds.
    """

    added_after: str
    epoch: str
    policy_digest: bytes
    at: int
    listed_at: int = 0


def read(tx: Tx, link: str) -> Bookmark | None:
    """The bookmark of a link; None before its first page."""
    row = tx.row(_READ, link=link)
    return None if row is None else Bookmark(row[0], row[1], bytes(row[2]), int(row[3]), int(row[4]))


def advance(tx: Tx, link: str, bookmark: Bookmark) -> None:
    """Move a link's bookmark, in the transaction that stored what lies before it."""
    tx.run(
        _ADVANCE,
        link=link,
        added_after=bookmark.added_after,
        epoch=bookmark.epoch,
        policy_digest=bookmark.policy_digest,
        at=bookmark.at,
        listed_at=bookmark.listed_at,
    )


def forget(tx: Tx, link: str) -> None:
    """Let the link list from the start again."""
    tx.run(_FORGET, link=link)


def earlier(text: str) -> str:
    """A little before the date in a text, printed with as many digits.

    One unit of the printed precision, and at least a millisecond: so a server that cuts its dates, that
    gives one date to several objects, or that takes `added_after` as inclusive cannot make us miss one.
    A text that is not a timestamp comes back as it is.
    """
    try:
        instant = parse_stix_time(text)
    except ValueError:
        return text
    digits = len(text.partition(".")[2].rstrip("Z"))
    unit = 10 ** max(9 - digits, 0)
    moment = instant - max(unit, _LEAST_OVERLAP_NANOSECONDS)
    whole = taxii_time(moment // 1000).removesuffix("Z")
    seconds, _, micros = whole.partition(".")
    fraction = (micros + f"{moment % 1000:03d}").ljust(digits, "0")[:digits]
    return f"{seconds}.{fraction}Z" if digits else f"{seconds}Z"


def is_later(text: str, than: str) -> bool:
    """Whether a date of the partner is later than another; True when they cannot be compared."""
    try:
        return parse_stix_time(text) > parse_stix_time(than)
    except ValueError:
        return text != than
