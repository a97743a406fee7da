"""What this node has withdrawn, and who has acknowledged it by word of mouth.

Rule    A withdrawal is for ever: STIX knows no way back from `revoked`. What is withdrawn as `revoked` or
        `buried` comes in no more unless it is revoked itself, whoever brings it; of a `notice` the object
        is somebody else's and goes on as its owner wants. `undelete` alone lifts one that was buried.

The acts are in `exchange/taking_back.py`; who has acknowledged what, in `sync/withdraw.py`.

Writes  tables withdrawal, acknowledgement
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa

from node.store.database import Tx, spelled

Kind = Literal["revoked", "buried", "notice"]


class Withdrawal(NamedTuple):
    """One object that was withdrawn.

    Args:
        at: Microseconds.
        kind: `revoked`: a version of ours that says so; `buried`: ours, removed here, because its type has
            no versions; `notice`: somebody else's, of which a note of ours tells.
        actor: The person.
        notice_id: Of the note; "" with `revoked`.
    """

    stix_id: str
    at: int
    kind: Kind
    actor: str
    reason: str
    notice_id: str

    @property
    def carrier(self) -> str:
        """The id of the object that tells partners of it."""
        return self.notice_id or self.stix_id


class Acknowledgement(NamedTuple):
    """A partner said, by telephone or letter, that it has seen to a withdrawal."""

    stix_id: str
    partner: str
    at: int
    actor: str
    words: str


_COLUMNS = "w.stix_id, w.at, w.kind, w.actor, w.reason, w.notice_id"
_PUT = sa.text(
    "insert into withdrawal (stix_id, at, kind, actor, reason, notice_id)"
    " values (:stix_id, :at, :kind, :actor, :reason, :notice_id) on conflict (stix_id) do nothing"
)
_BY_IDS = spelled(
    f"select {_COLUMNS} from json_each(:ids) j cross join withdrawal w on w.stix_id = j.value",
    # Not joined: a table that statistics take for empty would be walked whole.
    f"select {_COLUMNS} from withdrawal w where w.stix_id = any(cast(:ids as text[]))",
)
_NEWEST = sa.text(
    f"select {_COLUMNS} from withdrawal w where w.at < :before order by w.at desc, w.stix_id desc limit :n"
)
_ANY = sa.text("select 1 from withdrawal where at > 0 limit 1")
_LIFT = sa.text("delete from withdrawal where stix_id = :id and kind = 'buried'")
_FORGET = sa.text("delete from acknowledgement where stix_id = :id")
_ACKNOWLEDGE = sa.text(
    "insert into acknowledgement (stix_id, partner, at, actor, words)"
    " values (:stix_id, :partner, :at, :actor, :words) on conflict (stix_id, partner) do nothing"
)
_ACKNOWLEDGED = spelled(
    "select a.stix_id, a.partner, a.at, a.actor, a.words from json_each(:ids) j"
    " cross join acknowledgement a on a.stix_id = j.value",
    "select a.stix_id, a.partner, a.at, a.actor, a.words from acknowledgement a"
    " where a.stix_id = any(cast(:ids as text[]))",
)
_END_OF_TIME = 2**63 - 1


def put(tx: Tx, rows: Sequence[Withdrawal]) -> None:
    """Note withdrawals; one that is known keeps its moment, reason and notice."""
    tx.many(_PUT, [row._asdict() for row in rows])


def by_ids(tx: Tx, ids: Iterable[str]) -> dict[str, Withdrawal]:
    """Those of the given ids that were withdrawn."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    return {row[0]: _withdrawal(row) for row in tx.rows(_BY_IDS, ids=tx.listed(wanted))}


def refused(tx: Tx, ids: Iterable[str]) -> frozenset[str]:
    """Those of the given ids of which nothing comes in that is not revoked."""
    wanted = sorted(set(ids))
    if not wanted or tx.row(_ANY) is None:
        return frozenset()
    return frozenset(stix_id for stix_id, one in by_ids(tx, wanted).items() if one.kind != "notice")


def newest(tx: Tx, *, limit: int = 1000, before: int = _END_OF_TIME) -> list[Withdrawal]:
    """The last withdrawals, newest first.

    Args:
        tx: A reader.
        limit: At most so many.
        before: Only earlier ones than this moment, in microseconds.
    """
    return [_withdrawal(row) for row in tx.rows(_NEWEST, n=limit, before=before)]


def lift(tx: Tx, stix_id: str) -> None:
    """Let an object that was buried come again; one that is revoked stays so.

    What partners said of it goes too: it would answer for the next withdrawal.
    """
    if tx.run(_LIFT, id=stix_id):
        tx.run(_FORGET, id=stix_id)


def acknowledge(tx: Tx, rows: Sequence[Acknowledgement]) -> None:
    """Note what partners said; the first word stands."""
    tx.many(_ACKNOWLEDGE, [row._asdict() for row in rows])


def acknowledged(tx: Tx, ids: Iterable[str]) -> dict[tuple[str, str], Acknowledgement]:
    """(id, partner) -> what the partner said."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    rows = [Acknowledgement._make(row) for row in tx.rows(_ACKNOWLEDGED, ids=tx.listed(wanted))]
    return {(row.stix_id, row.partner): row for row in rows}


def _withdrawal(row: tuple[Any, ...]) -> Withdrawal:
    return Withdrawal(row[0], int(row[1]), row[2], *row[3:])
