"""The books of the exchange: what partners brought and what became of it, what they do not get and why.

A line is keyed by key and digest, never by a row's place. `version` is 0 for objects without an instant
of their own, which are known by their digest alone.

Reads   tables feed_row and link, to tell an echo; writes tables received, withheld
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from node.store.database import Tx, spelled


class Key(NamedTuple):
    """One version of one object: what the books are kept by."""

    stix_id: str
    spec_version: str
    version: int
    digest: bytes


class ReceivedLine(NamedTuple):
    """What one link brought once or more, and what became of it the last time."""

    stix_id: str
    spec_version: str
    version: int
    digest: bytes
    link: str
    partner: str
    outcome: str
    reason: str
    epoch: str
    arrival_id: int
    at: int


class WithheldLine(NamedTuple):
    """What one partner does not get, and why."""

    link: str
    stix_id: str
    spec_version: str
    version: int
    digest: bytes
    reason: str
    detail: str
    remedy: str
    waits_for: str | None
    at: int


EDITED = "edited"
"""The reason of a line that no partner brought: a person here corrected what it had brought."""

_RECEIVED = ", ".join("r." + name for name in ReceivedLine._fields)
_WITHHELD = ", ".join("w." + name for name in WithheldLine._fields)

_RECEIVE = sa.text(
    "insert into received (stix_id, spec_version, version, digest, link, partner, outcome, reason,"
    " epoch, arrival_id, at)"
    " values (:stix_id, :spec_version, :version, :digest, :link, :partner, :outcome, :reason,"
    " :epoch, :arrival_id, :at)"
    " on conflict (stix_id, spec_version, version, digest, link) do update set outcome = case"
    " when received.outcome in ('stored', 'restated') and excluded.outcome in ('duplicate', 'echo')"
    " then received.outcome"
    " when received.outcome = 'echo' and excluded.outcome in ('duplicate', 'suppressed') then 'echo'"
    " when received.outcome in ('duplicate', 'suppressed', 'variant') and excluded.outcome = 'echo'"
    " then received.outcome"
    " else excluded.outcome end, reason = excluded.reason, epoch = excluded.epoch, at = excluded.at,"
    " arrival_id = excluded.arrival_id"
)
_RECEIVED_BY_IDS = spelled(
    f"select {_RECEIVED} from json_each(:ids) j cross join received r on r.stix_id = j.value",
    f"select {_RECEIVED} from unnest(cast(:ids as text[])) j(id) join received r on r.stix_id = j.id",
)
_RELEASED_TO = spelled(
    "select f.stix_id, f.spec_version, f.version, f.digest from json_each(:ids) j"
    " cross join link l on l.partner = :partner cross join feed_row f"
    " on f.link = l.name and f.stix_id = j.value where f.state > 0",
    # The pairs stay together: apart, a link that statistics do not know is read whole.
    "select f.stix_id, f.spec_version, f.version, f.digest from (select l.name, j.id from link l"
    " cross join unnest(cast(:ids as text[])) j(id) where l.partner = :partner offset 0) w"
    " join feed_row f on f.link = w.name and f.stix_id = w.id where f.state > 0",
)
_OUTCOMES = sa.text(
    "select link, outcome, reason, count(*) from received group by link, outcome, reason order by"
    " link, outcome, reason"
)
_WITHHOLD = sa.text(
    "insert into withheld (link, stix_id, spec_version, version, digest, reason, detail, remedy,"
    " waits_for, at)"
    " values (:link, :stix_id, :spec_version, :version, :digest, :reason, :detail, :remedy, :waits_for, :at)"
    " on conflict (link, stix_id, spec_version, version, digest) do update set reason = excluded.reason,"
    " detail = excluded.detail, remedy = excluded.remedy, waits_for = excluded.waits_for, at = excluded.at"
)
_LET_GO = sa.text(
    "delete from withheld where link = :link and stix_id = :stix_id and spec_version = :spec_version"
    " and version = :version and digest = :digest"
)
_WITHHELD_BY_IDS = spelled(
    f"select {_WITHHELD} from json_each(:ids) j cross join withheld w on w.link = :link and w.stix_id"
    f" = j.value",
    f"select {_WITHHELD} from unnest(cast(:ids as text[])) j(id) join withheld w on w.link = :link"
    f" and w.stix_id = j.id",
)
_WAITING_FOR = spelled(
    "select distinct w.link, w.stix_id from json_each(:ids) j cross join withheld w indexed by withheld_waits"
    " where w.waits_for = j.value",
    "select distinct w.link, w.stix_id from unnest(cast(:ids as text[])) j(id) join withheld w on"
    " w.waits_for = j.id",
)
_WITHHELD_OF_ID = sa.text(
    f"select {_WITHHELD} from withheld w where w.stix_id = :id order by w.link, w.version"
)
_WITHHELD_OF_LINK = sa.text(
    f"select {_WITHHELD} from withheld w where w.link = :link order by w.at, w.stix_id limit :n"
)
_KEPT_FROM_BRINGER = spelled(
    # The links lead, whatever the statistics say: otherwise every line may be read to find them.
    "select distinct w.link, w.stix_id from link l cross join withheld w indexed by"
    " sqlite_autoindex_withheld_1 where w.link = l.name and l.partner = :partner"
    " and w.reason = 'brought_by_partner'",
    "select distinct w.link, w.stix_id from withheld w where w.link ="
    " any(array(select l.name from link l where l.partner = :partner)) and w.reason = 'brought_by_partner'",
)
_REASONS = sa.text("select link, reason, count(*) from withheld group by link, reason order by link, reason")


def note_received(tx: Tx, lines: Sequence[ReceivedLine]) -> None:
    """Enter what a link brought; a later duplicate does not hide that it was stored.

    A duplicate of what that very partner had from us before is an echo, if it never brought it until
    then: it gives nothing back but ours, and its terms say nothing about it. Whoever brought a text of
    its own accord first is not made an echo later.
    """
    again: dict[str, set[str]] = {}
    for line in lines:
        if line.outcome == "duplicate":
            again.setdefault(line.partner, set()).add(line.stix_id)
    ours = {
        (partner, Key(row[0], row[1], row[2], bytes(row[3])))
        for partner, ids in again.items()
        for row in tx.rows(_RELEASED_TO, ids=tx.listed(sorted(ids)), partner=partner)
    }
    tx.many(
        _RECEIVE,
        [
            line._replace(outcome="echo")._asdict()
            if line.outcome == "duplicate" and (line.partner, Key(*line[:4])) in ours
            else line._asdict()
            for line in lines
        ],
    )


def received(tx: Tx, ids: Iterable[str]) -> dict[str, list[ReceivedLine]]:
    """What partners ever brought of the given ids."""
    found: dict[str, list[ReceivedLine]] = {}
    wanted = sorted(set(ids))
    if wanted:
        for row in tx.rows(_RECEIVED_BY_IDS, ids=tx.listed(wanted)):
            found.setdefault(row[0], []).append(ReceivedLine._make((*row[:3], bytes(row[3]), *row[4:])))
    return found


def outcomes(tx: Tx) -> list[tuple[str, str, str, int]]:
    """(link, outcome, reason, number) over everything partners ever brought."""
    return [(link, outcome, reason, int(number)) for link, outcome, reason, number in tx.rows(_OUTCOMES)]


def withhold(tx: Tx, lines: Sequence[WithheldLine]) -> None:
    """Enter what a partner does not get, replacing what was said of the same version before."""
    tx.many(_WITHHOLD, [line._asdict() for line in lines])


def let_go(tx: Tx, link: str, keys: Iterable[Key]) -> None:
    """Strike withheld lines: these versions go, or are no longer held."""
    tx.many(_LET_GO, [{"link": link, **key._asdict()} for key in keys])


def withheld(tx: Tx, link: str, ids: Iterable[str]) -> list[WithheldLine]:
    """The withheld lines of some ids on one link."""
    wanted = sorted(set(ids))
    if not wanted:
        return []
    return [_withheld(row) for row in tx.rows(_WITHHELD_BY_IDS, ids=tx.listed(wanted), link=link)]


def withheld_of(tx: Tx, stix_id: str) -> list[WithheldLine]:
    """The withheld lines of one id on all links."""
    return [_withheld(row) for row in tx.rows(_WITHHELD_OF_ID, id=stix_id)]


def withheld_on(tx: Tx, link: str, limit: int = 1000) -> list[WithheldLine]:
    """The withheld lines of one link, oldest first."""
    return [_withheld(row) for row in tx.rows(_WITHHELD_OF_LINK, link=link, n=limit)]


def waiting_for(tx: Tx, ids: Iterable[str]) -> list[tuple[str, str]]:
    """(link, id) of the objects that wait for one of the given ids."""
    wanted = sorted(set(ids))
    if not wanted:
        return []
    return [(link, stix_id) for link, stix_id in tx.rows(_WAITING_FOR, ids=tx.listed(wanted))]


def kept_from_bringer(tx: Tx, partner: str) -> list[tuple[str, str]]:
    """(link, id) of what a partner does not get because it brought it itself."""
    return [(link, stix_id) for link, stix_id in tx.rows(_KEPT_FROM_BRINGER, partner=partner)]


def reasons(tx: Tx) -> list[tuple[str, str, int]]:
    """(link, reason, number) over all withheld lines."""
    return [(link, reason, int(number)) for link, reason, number in tx.rows(_REASONS)]


def _withheld(row: tuple[Any, ...]) -> WithheldLine:
    return WithheldLine._make((*row[:4], bytes(row[4]), *row[5:]))
