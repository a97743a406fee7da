"""Accounts: the machines that ask, what each may read and write, and how far each has read.

A SOC account has a grant for each collection. The account of a partner has none of its own: what it
may do are the links of that partner, so a grant could only contradict the agreement.

Reads and writes: the tables `account`, `account_grant` and `reading` (this module only).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import bindparam

from node.access import tokens
from node.access.names import checked_name
from node.audit import log
from node.errors import UsageError
from node.store import catalog, schema
from node.store.database import Row, Tx

READING_SECONDS = 60  # a read position is written at most so often

_account, _grant, _reading = schema.account.c, schema.grant.c, schema.reading.c

_COLUMNS = (
    _account.name,
    _account.clearance,
    _account.audience,
    _account.partner,
    _account.expires,
    _account.created,
)
_ALL = sa.select(*_COLUMNS).order_by(_account.name)
_FIND = sa.select(*_COLUMNS).where(_account.name == bindparam("account"))
_FIND_HELD = _FIND.with_for_update()
_REMOVE = sa.delete(schema.account).where(_account.name == bindparam("account_name"))
_GRANTS = (
    sa.select(_grant.collection_id, _grant.can_read, _grant.can_write)
    .where(_grant.account == bindparam("account"))
    .order_by(_grant.collection_id)
)
_ONE_GRANT = sa.select(_grant.collection_id, _grant.can_read, _grant.can_write).where(
    (_grant.account == bindparam("account")) & (_grant.collection_id == bindparam("number"))
)
_REMOVE_GRANT = sa.delete(schema.grant).where(
    (_grant.account == bindparam("account_name")) & (_grant.collection_id == bindparam("number"))
)
_REMOVE_GRANTS = sa.delete(schema.grant).where(_grant.account == bindparam("account_name"))
_REMOVE_READINGS = sa.delete(schema.reading).where(_reading.account == bindparam("account_name"))
_HOLDS_COLLECTION = sa.select(schema.collection.c.alias).where(
    schema.collection.c.collection_id == bindparam("number")
)
_NOTE_READING = sa.text(
    "insert into reading (account, collection_id, last_poll, last_served)"
    " values (:account, :number, :now, :served)"
    " on conflict (account, collection_id) do update set last_poll = excluded.last_poll,"
    " last_served = case when excluded.last_served > reading.last_served"
    " then excluded.last_served else reading.last_served end"
)
_READINGS = sa.select(
    _reading.account, _reading.collection_id, _reading.last_poll, _reading.last_served
).order_by(_reading.account, _reading.collection_id)


@dataclass(frozen=True, slots=True)
class Account:
    """A machine that may ask.

    Args:
        clearance: The highest TLP it may see, 0 CLEAR to 4 RED.
        audience: Which of the audiences named in agreements it belongs to.
        partner: The partner whose account it is; empty for a SOC account.
        expires: From this moment on it is nobody; None for never.
    """

    name: str
    clearance: int
    audience: tuple[str, ...]
    partner: str
    expires: int | None
    created: int


@dataclass(frozen=True, slots=True)
class Grant:
    """What an account may do with one collection."""

    collection_id: int
    can_read: bool
    can_write: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """How far an account has read a collection: when it last asked, and the newest date it was served."""

    account: str
    collection_id: int
    last_poll: int
    last_served: int


def add_account(
    tx: Tx,
    name: str,
    *,
    actor: str,
    now: int,
    clearance: int = 0,
    audience: Iterable[str] = (),
    partner: str = "",
    expires: int | None = None,
) -> Account:
    """The new account, which may do nothing yet.

    Args:
        actor: Who does it, such as `person:op` or `os:root`.
        clearance: 0 CLEAR to 4 RED.

    Raises:
        UsageError: The name is taken, or a value cannot be.
    """
    checked_name("account", name)
    if not 0 <= clearance <= 4:
        raise UsageError(
            f"{clearance} is not a clearance.",
            remedy="Use clear, green, amber, amber+strict or red (0 to 4).",
        )
    if expires is not None and expires <= now:
        raise UsageError("The account would have expired already.", remedy="Give a later moment.")
    if find_account(tx, name) is not None:
        raise UsageError(
            f"There is an account {name!r} already.",
            remedy="Choose another name; account allow and token rotate change the one that is there.",
        )
    groups = tuple(sorted({checked_name("audience", group) for group in audience}))
    account = Account(name, clearance, groups, partner, expires, now)
    tx.insert(schema.account, [(name, clearance, json.dumps(groups), partner, expires, now)])
    details: log.Details = {
        "clearance": clearance,
        "audience": groups,
        "partner": partner,
        "expires": expires,
    }
    _changed(tx, now=now, actor=actor, act="account.add", name=name, details=details)
    return account


def list_accounts(tx: Tx) -> list[Account]:
    """Every account, by name."""
    return [_as_account(row) for row in tx.rows(_ALL)]


def find_account(tx: Tx, name: str) -> Account | None:
    """The account of this name, or None."""
    row = tx.row(_FIND, account=name)
    return _as_account(row) if row else None


def remove_account(tx: Tx, name: str, *, actor: str, now: int) -> Account:
    """The account that was removed, with its tokens, grants and read positions.

    Raises:
        UsageError: There is no such account.
    """
    account = _held(tx, name)
    removed = tokens.remove_tokens(tx, account=name)
    for statement in (_REMOVE_GRANTS, _REMOVE_READINGS, _REMOVE):
        tx.run(statement, account_name=name)
    _changed(tx, now=now, actor=actor, act="account.remove", name=name, details={"tokens": removed})
    return account


def allow(
    tx: Tx, name: str, collection_id: int, *, read: bool = False, write: bool = False, actor: str, now: int
) -> Grant:
    """What the account may do with the collection, now that it was allowed this as well.

    Raises:
        UsageError: There is no such account or collection; the account is a partner's; or neither
            `read` nor `write` was named.
    """
    account = _held(tx, name)
    if account.partner:
        raise UsageError(
            f"{name} is the account of the partner {account.partner}, whose rights are those of its links.",
            remedy="Change the agreement, or add an account without --partner.",
        )
    before = grant_of(tx, name, collection_id)
    grant = Grant(collection_id, before.can_read or read, before.can_write or write)
    return _set_grant(tx, name, grant, named=read or write, act="account.allow", actor=actor, now=now)


def deny(
    tx: Tx, name: str, collection_id: int, *, read: bool = False, write: bool = False, actor: str, now: int
) -> Grant:
    """What the account may still do with the collection, now that this was taken from it.

    Raises:
        UsageError: There is no such account or collection, or neither `read` nor `write` was named.
    """
    _held(tx, name)
    before = grant_of(tx, name, collection_id)
    grant = Grant(collection_id, before.can_read and not read, before.can_write and not write)
    return _set_grant(tx, name, grant, named=read or write, act="account.deny", actor=actor, now=now)


def grants(tx: Tx, name: str) -> dict[int, Grant]:
    """What an account may do, by collection number; collections it may do nothing with are left out."""
    return {row[0]: _as_grant(row) for row in tx.rows(_GRANTS, account=name)}


def grant_of(tx: Tx, name: str, collection_id: int) -> Grant:
    """What an account may do with one collection; nothing, if nobody allowed it anything."""
    row = tx.row(_ONE_GRANT, account=name, number=collection_id)
    return _as_grant(row) if row else Grant(collection_id, can_read=False, can_write=False)


def note_reading(tx: Tx, account: str, collection_id: int, *, now: int, served: int) -> None:
    """Write how far an account has read; the caller does so at most every `READING_SECONDS`.

    Args:
        served: The newest `date_added` it was served, in microseconds; 0 for none. Reading an
            earlier part again does not take the position back.
    """
    tx.run(_NOTE_READING, account=account, number=collection_id, now=now, served=served)


def readings(tx: Tx) -> list[Reading]:
    """How far every account has read every collection, by account and collection number."""
    return [Reading(*row) for row in tx.rows(_READINGS)]


def _held(tx: Tx, name: str) -> Account:
    row = tx.row(_FIND_HELD, account=name)
    if row is None:
        raise UsageError(f"There is no account {name!r}.", remedy="stixnode account list shows who is there.")
    return _as_account(row)


def _set_grant(tx: Tx, name: str, grant: Grant, *, named: bool, act: str, actor: str, now: int) -> Grant:
    if not named:
        raise UsageError("Neither reading nor writing was named.", remedy="Add --read, --write or both.")
    found = tx.row(_HOLDS_COLLECTION, number=grant.collection_id)
    if found is None:
        raise UsageError(
            f"There is no collection number {grant.collection_id}.",
            remedy="stixnode collection list shows what is there.",
        )
    tx.run(_REMOVE_GRANT, account_name=name, number=grant.collection_id)
    if grant.can_read or grant.can_write:
        tx.insert(schema.grant, [(name, grant.collection_id, grant.can_read, grant.can_write)])
    details = {"collection": found[0], "can_read": grant.can_read, "can_write": grant.can_write}
    _changed(tx, now=now, actor=actor, act=act, name=name, details=details)
    return grant


def _changed(tx: Tx, *, now: int, actor: str, act: str, name: str, details: log.Details) -> None:
    catalog.bump_accounts(tx)
    log.record(tx, now=now, actor=actor, act=act, subject=f"account:{name}", details=details)


def _as_account(row: Row) -> Account:
    name, clearance, audience, partner, expires, created = row
    return Account(name, clearance, tuple(json.loads(audience)), partner, expires, created)


def _as_grant(row: Row) -> Grant:
    return Grant(row[0], bool(row[1]), bool(row[2]))
