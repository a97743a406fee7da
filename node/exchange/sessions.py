"""Push sessions between nodes of our own kind: numbered batches, applied once.

A session is (start instant, epoch); start instants only grow. The sender keeps its one outstanding
batch as a list of keys, stored before it is sent; the receiver keeps the number it has applied.

Writes  tables session_in, session_out
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa

from node.exchange.ledger import Key
from node.store.database import Tx


class SessionIn(NamedTuple):
    """How far a partner's session has been applied here."""

    started: int
    epoch: str
    have: int
    status_id: str


class SessionOut(NamedTuple):
    """Our session on one link: its start, the epoch, the last settled number, the outstanding batch."""

    started: int
    epoch: str
    sent: int
    batch: list[Key] | None


_IN = sa.text("select started, epoch, have, status_id from session_in where link = :link")
_NOTE_IN = sa.text(
    "insert into session_in (link, started, epoch, have, status_id) values (:link, :started, :epoch,"
    " :have, :status_id)"
    " on conflict (link) do update set started = excluded.started, epoch = excluded.epoch, have ="
    " excluded.have,"
    " status_id = excluded.status_id"
)
_FORGET_IN = sa.text("delete from session_in where link = :link")
_OUT = sa.text("select started, epoch, sent, batch from session_out where link = :link")
_BEGIN = sa.text(
    "insert into session_out (link, started, epoch, sent, batch) values (:link, :started, :epoch, 0, null)"
    " on conflict (link) do update set started = excluded.started, epoch = excluded.epoch, sent = 0,"
    " batch = null"
)
_STORE = sa.text("update session_out set batch = :batch where link = :link")
_SETTLE = sa.text("update session_out set sent = sent + 1, batch = null where link = :link")


def incoming(tx: Tx, link: str) -> SessionIn | None:
    """The partner's session on one of our in-links."""
    row = tx.row(_IN, link=link)
    return None if row is None else SessionIn(*row)


def note_incoming(tx: Tx, link: str, session: SessionIn) -> None:
    """Remember how far a partner's session has been applied, in the transaction that applied it."""
    tx.run(_NOTE_IN, link=link, **session._asdict())


def forget_incoming(tx: Tx, link: str) -> None:
    """Forget how far a partner has pushed, so that its next batch begins anew with the whole feed."""
    tx.run(_FORGET_IN, link=link)


def outgoing(tx: Tx, link: str) -> SessionOut | None:
    """Our session on one of our out-links."""
    row = tx.row(_OUT, link=link)
    if row is None:
        return None
    batch = None if row[3] is None else [_key(one) for one in json.loads(bytes(row[3]))]
    return SessionOut(int(row[0]), row[1], int(row[2]), batch)


def begin(tx: Tx, link: str, *, now: int, epoch: str) -> SessionOut:
    """A new session; its start is later than any before, also when the clock went back."""
    before = outgoing(tx, link)
    started = now if before is None else max(now, before.started + 1)
    tx.run(_BEGIN, link=link, started=started, epoch=epoch)
    return SessionOut(started, epoch, 0, None)


def store_batch(tx: Tx, link: str, keys: Sequence[Key]) -> None:
    """Keep the outstanding batch, before its first byte leaves."""
    text = json.dumps([[key.stix_id, key.spec_version, key.version, key.digest.hex()] for key in keys])
    tx.run(_STORE, link=link, batch=text.encode())


def settle_batch(tx: Tx, link: str) -> None:
    """The outstanding batch has been answered for."""
    tx.run(_SETTLE, link=link)


def _key(value: list[object]) -> Key:
    stix_id, spec_version, version, digest = value
    return Key(str(stix_id), str(spec_version), int(str(version)), bytes.fromhex(str(digest)))
