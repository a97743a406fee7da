"""How much a partner may bring, and take back, in a day before a person is asked.

Rule    What one partner brings is counted over all its links, by pull and POST alike, for each UTC day: the
        versions and texts that are really written, never what is held already. Beyond the partner's
        `stricter` limits an object is set aside: it waits for a person, and nothing is lost. A revocation
        is never kept back by the number of objects, only by the share of what we hold from that partner; a
        person's own `accept` by neither. What a person allowed besides holds for 24 hours.

Reads   table quarantine; writes tables intake, allowance. The row of the partner and the day is locked when a
        batch first needs it, after the collection and before any owner row, so two collections that one
        partner fills at once count one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa

from node.clock import MICROSECONDS
from node.exchange import quarantine
from node.sharing.admission import Action, Outcome, Verdict
from node.sharing.links import Link
from node.store.database import Row, Tx, spelled

DAY = 86_400 * MICROSECONDS
ALWAYS = 20  # so many objects a partner may always revoke in a day
DAILY_LIMIT, MASS_REVOCATION = "daily_limit", "mass_revocation"
REASONS = (DAILY_LIMIT, MASS_REVOCATION)
NEW, REVOKED = "new", "revoked"
KINDS = {DAILY_LIMIT: NEW, MASS_REVOCATION: REVOKED}
_NO_LIMIT = 2**62
_WRITES = (Action.STORE, Action.REPLACE, Action.NOTE_LOSER)

_LOCK = sa.text(
    "insert into intake (partner, day, objects, bytes, firsts, revoked) values (:partner, :day, 0, 0, 0, 0)"
    " on conflict (partner, day) do update set objects = intake.objects"
    " returning objects, bytes, firsts, revoked"
)
_ADD = sa.text(
    "update intake set objects = objects + :objects, bytes = bytes + :bytes, firsts = firsts + :firsts,"
    " revoked = revoked + :revoked where partner = :partner and day = :day"
)
_TODAY = sa.text("select objects, bytes, firsts, revoked from intake where partner = :partner and day = :day")
_BEFORE = sa.text(
    "select coalesce(sum(firsts), 0), coalesce(sum(revoked), 0) from intake where partner = :partner"
    " and day >= :since and day < :day"
)
_ALLOWED = spelled(
    "select kind, remaining from allowance where partner = :partner and until > :now",
    "select kind, remaining from allowance where partner = :partner and until > :now for update",
)
_ALLOWANCES = sa.text("select kind, remaining from allowance where partner = :partner and until > :now")
_SPEND = sa.text(
    "update allowance set remaining = remaining - :number where partner = :partner and kind = :kind"
)
_ALLOW = sa.text(
    "insert into allowance (partner, kind, remaining, until, actor) values (:partner, :kind, :number, :until,"
    " :actor) on conflict (partner, kind) do update set remaining = excluded.remaining,"
    " until = excluded.until, actor = excluded.actor"
)


@dataclass(slots=True)
class Tally:
    """What was counted of one partner: today so far, by one batch, or by transactions that were undone.

    Args:
        objects: Versions and texts written.
        bytes: Of their bodies.
        firsts: Ids that a collection did not hold before.
        revoked: Ids that stood in a collection until they were revoked.
        spent_new, spent_revoked: How much of what a person allowed was used.
    """

    objects: int = 0
    bytes: int = 0
    firsts: int = 0
    revoked: int = 0
    spent_new: int = 0
    spent_revoked: int = 0

    def add(self, other: Tally) -> None:
        """Count what another has counted as well."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Standing(NamedTuple):
    """How one partner stands on a day; limits of 0 are none.

    Args:
        today: What it brought so far.
        most_objects, most_bytes: The limits of the day.
        most_revoked: How many objects it may revoke in all today.
        allowed_new, allowed_revoked: What a person allowed besides, as far as it is left.
    """

    today: Tally
    most_objects: int
    most_bytes: int
    most_revoked: int
    allowed_new: int
    allowed_revoked: int


class HeldBack(NamedTuple):
    """What waits in quarantine because a partner reached a limit."""

    partner: str
    reason: str
    number: int
    oldest: int


class Intake:
    """What one batch may still bring, and what it brought.

    Args:
        tx: Its transaction, which has locked the collection.
        link: The incoming link.
        now: Microseconds.
        accepted: A person lets these objects in, whatever the limits are.
        before: What transactions counted that were undone, as those of a plan; this batch is added.
    """

    def __init__(
        self, tx: Tx, link: Link, *, now: int, accepted: bool = False, before: Tally | None = None
    ) -> None:
        self._tx, self._link, self._now = tx, link, now
        self._accepted, self._before = accepted, before
        self._batch = Tally()
        self._today: Tally | None = None
        self._allowed: dict[str, int] = {}
        self._most_revoked: int | None = None

    def judged(self, verdict: Verdict, size: int, *, first: bool, revokes: bool) -> Verdict:
        """The verdict on an object, or that it waits for a person; what will be written is counted.

        Args:
            verdict: Of the table of arrivals and the agreement.
            size: Bytes of the body.
            first: The collection never held its id.
            revokes: It takes back an id that stands in the collection.
        """
        if verdict.action not in _WRITES:
            return verdict
        today = self._begun()
        aside = self._revoking(today) if revokes else self._bringing(today, size)
        if aside is None and first:
            self._batch.firsts += 1
        return verdict if aside is None else aside

    def enter(self) -> None:
        """Write what this batch counted."""
        if self._today is None:
            return
        one, partner = self._batch, self._link.partner
        self._tx.run(
            _ADD,
            partner=partner,
            day=self._now // DAY,
            objects=one.objects,
            bytes=one.bytes,
            firsts=one.firsts,
            revoked=one.revoked,
        )
        for kind, number in ((NEW, one.spent_new), (REVOKED, one.spent_revoked)):
            if number:
                self._tx.run(_SPEND, partner=partner, kind=kind, number=number)
        if self._before is not None:
            self._before.add(one)

    def _begun(self) -> Tally:
        if self._today is None:
            partner = self._link.partner
            row = self._tx.row(_LOCK, partner=partner, day=self._now // DAY)
            assert row is not None  # a RETURNING insert answers with its row
            self._today = Tally(*map(int, row))
            if self._before is not None:
                self._today.add(self._before)
            rows = self._tx.rows(_ALLOWED, partner=partner, now=self._now)
            self._allowed = _left(rows, self._today)
        return self._today

    def _bringing(self, today: Tally, size: int) -> Verdict | None:
        brakes, batch = self._link.stricter, self._batch
        if self._accepted:
            return None
        most, most_bytes = brakes.max_new_in_per_day, brakes.max_new_bytes_in_per_day
        over = bool(most) and today.objects + batch.objects >= most
        heavy = bool(most_bytes) and today.bytes + batch.bytes + size > most_bytes
        if not over and not heavy:
            batch.objects += 1
            batch.bytes += size
        elif batch.spent_new < self._allowed.get(NEW, 0):
            batch.spent_new += 1
        else:
            return _aside(DAILY_LIMIT, _told_limit(self._link, heavy=not over))
        return None

    def _revoking(self, today: Tally) -> Verdict | None:
        batch = self._batch
        if self._most_revoked is None:
            self._most_revoked = _most_revoked(self._tx, self._link, today, now=self._now)
        full = today.revoked + batch.revoked >= self._most_revoked
        if full and not self._accepted:
            if batch.spent_revoked >= self._allowed.get(REVOKED, 0):
                return _aside(MASS_REVOCATION, _told_share(self._link, self._most_revoked))
            batch.spent_revoked += 1
        batch.revoked += 1
        return None


def standing(tx: Tx, link: Link, *, now: int) -> Standing:
    """How the partner of a link stands today.

    Args:
        tx: A reader.
        link: Any incoming link of the partner.
        now: Microseconds.
    """
    partner, brakes = link.partner, link.stricter
    today = Tally(*map(int, tx.row(_TODAY, partner=partner, day=now // DAY) or ()))
    left = _left(tx.rows(_ALLOWANCES, partner=partner, now=now), today)
    return Standing(
        today,
        brakes.max_new_in_per_day,
        brakes.max_new_bytes_in_per_day,
        _most_revoked(tx, link, today, now=now) if brakes.max_revoked_percent_in_per_day else 0,
        left.get(NEW, 0),
        left.get(REVOKED, 0),
    )


def allow(tx: Tx, partner: str, kind: str, number: int, *, actor: str, now: int) -> int:
    """Let a partner bring or revoke so many objects beyond its limits; until when. It replaces what was left.

    Args:
        tx: A transaction.
        partner: Whom.
        kind: `NEW` or `REVOKED`.
        number: Objects.
        actor: Who allows it.
        now: Microseconds.
    """
    tx.run(_ALLOW, partner=partner, kind=kind, number=number, until=now + DAY, actor=actor)
    return now + DAY


def held_back(tx: Tx) -> list[HeldBack]:
    """What waits for a person because partners reached a limit, by partner and reason."""
    found: dict[tuple[str, str], HeldBack] = {}
    for group in quarantine.groups(tx):
        if group.reason in REASONS:
            partner = group.link.partition("/")[0]
            before = found.get((partner, group.reason))
            number = group.number + (0 if before is None else before.number)
            oldest = group.oldest if before is None else min(group.oldest, before.oldest)
            found[partner, group.reason] = HeldBack(partner, group.reason, number, oldest)
    return [found[key] for key in sorted(found)]


def told(one: HeldBack) -> str:
    """What a partner did, and how much of it waits, in words that follow its name."""
    what = "brought more than we take in a day" if one.reason == DAILY_LIMIT else "revoked very much at once"
    return f"{what}: {one.number:,} wait"


def remedy(reason: str, partner: str, number: int = 0, *, aside: bool = True) -> str:
    """What to do about an object that a limit keeps waiting; "" of any other reason.

    Args:
        reason: Why it waits.
        partner: Whose limit it is.
        number: How many wait, if that is known.
        aside: They wait in quarantine already; False in a plan.
    """
    if reason not in REASONS:
        return ""
    why = "what it sends" if reason == DAILY_LIMIT else "why it takes so much back"
    retry = f", then stixnode quarantine retry --reason {reason}" if aside else ""
    return f"Ask {partner} {why}. If it is right: {allowing(reason, partner, number)}{retry}"


def allowing(reason: str, partner: str, number: int = 0) -> str:
    """The command that lets so many more objects in."""
    return f"stixnode resume {partner} --allow-{KINDS[reason]} {number or 'N'}"


def over_share(number: int, standing_there: int, percent: int) -> bool:
    """Whether so many of what stands vanishing at once is more than a person expects."""
    return bool(percent) and number > max(ALWAYS, standing_there * percent // 100)


def _left(rows: Iterable[Row], today: Tally) -> dict[str, int]:
    """What is left of what a person allowed; undone transactions have used it too, as far as we know."""
    spent = {NEW: today.spent_new, REVOKED: today.spent_revoked}
    return {kind: max(int(number) - spent[kind], 0) for kind, number in rows}


def _most_revoked(tx: Tx, link: Link, today: Tally, *, now: int) -> int:
    """How many objects the partner may revoke in all today."""
    percent, day = link.stricter.max_revoked_percent_in_per_day, now // DAY
    if not percent:
        return _NO_LIMIT
    # What is older than it may be kept is not held any longer.
    row = tx.row(_BEFORE, partner=link.partner, since=day - link.keep_days, day=day)
    firsts, revoked = map(int, row or (0, 0))
    held = max(firsts - revoked + today.firsts, 0)
    return max(held * percent // 100, ALWAYS)


def _aside(reason: str, detail: str) -> Verdict:
    return Verdict(Action.SET_ASIDE, Outcome.QUARANTINED, reason, detail)


def _told_limit(link: Link, *, heavy: bool) -> str:
    brakes = link.stricter
    most = f"{brakes.max_new_in_per_day:,} new objects (max_new_in_per_day)"
    if heavy:
        most = f"{brakes.max_new_bytes_in_per_day:,} bytes of new objects (max_new_bytes_in_per_day)"
    return f"{link.partner} has brought {most} today, which is all that we take in a day unasked."


def _told_share(link: Link, most: int) -> str:
    percent = link.stricter.max_revoked_percent_in_per_day
    share = f"{percent} % of what we hold from it (max_revoked_percent_in_per_day)"
    return (
        f"{link.partner} has revoked {most:,} objects today; more than {share} at once is not taken unasked."
    )
