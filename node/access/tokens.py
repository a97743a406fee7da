"""Tokens: how they are made and kept, and how a request shows whose it is.

A token is `sn_<id>_<secret>`. The id finds the row; of the whole text only the SHA-256 is kept, which
is enough for 256 random bits, so no slow hash stands in the way of each request. A token belongs to
an account (TAXII clients, partners) or to a person (command line); only accounts come in by HTTP.

Reads and writes: the table `token` (this module only). Reads `account`, `person` and `node`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import bindparam

from node.audit import log
from node.errors import UsageError
from node.store import catalog, schema
from node.store.database import Tx

LONGEST_HEADER = 4096  # characters; a name and a token need 140
REMEMBERED = 4096

_TOKEN = re.compile(r"sn_([a-z2-7]{10})_[A-Za-z0-9_-]{43}")

_token, _account, _node = schema.token.c, schema.account.c, schema.node.c

_WHO = sa.select(
    _token.secret_hash,
    _token.expires,
    _account.name,
    _account.partner,
    _account.clearance,
    _account.audience,
    _account.expires,
).where((_token.token_id == bindparam("id")) & (_account.name == _token.account))
_WHICH_PERSON = sa.select(_token.secret_hash, _token.expires, _token.person).where(
    (_token.token_id == bindparam("id")) & _token.person.is_not(None)
)
_GENERATION = sa.select(_node.instance, _node.accounts_generation)
_COLUMNS = (_token.token_id, _token.account, _token.person, _token.created, _token.expires)
_OF_ACCOUNT = (
    sa.select(*_COLUMNS).where(_token.account == bindparam("name")).order_by(_token.created, _token.token_id)
)
_OF_PERSON = (
    sa.select(*_COLUMNS).where(_token.person == bindparam("name")).order_by(_token.created, _token.token_id)
)
_ENDS = sa.select(_token.account, _token.expires).where(_token.account.is_not(None))
_BY_ID = sa.select(*_COLUMNS).where(_token.token_id == bindparam("id"))
_REMOVE = sa.delete(schema.token).where(_token.token_id == bindparam("id"))
_REMOVE_OF_ACCOUNT = sa.delete(schema.token).where(_token.account == bindparam("name"))
_REMOVE_OF_PERSON = sa.delete(schema.token).where(_token.person == bindparam("name"))
_HOLDS_ACCOUNT = sa.select(_account.name).where(_account.name == bindparam("name"))
_HOLDS_PERSON = sa.select(schema.person.c.name).where(schema.person.c.name == bindparam("name"))


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a request, and what that allows in general.

    Args:
        account: Name of the account; empty for a person at the command line.
        partner: The partner whose account it is; empty for a SOC account.
        clearance: The highest TLP (0 CLEAR to 4 RED) that the account may see.
        audience: The audiences it belongs to.
        person: Name of the person at the command line; empty for an account.
    """

    account: str
    partner: str
    clearance: int
    audience: tuple[str, ...]
    person: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of a token beside its hash; exactly one of `account` and `person` is set."""

    token_id: str
    account: str | None
    person: str | None
    created: int
    expires: int | None


class Generation(NamedTuple):
    """The state of all accounts: while it is the same, what is remembered of them holds."""

    instance: str
    accounts: int


def make_token(random: Callable[[int], bytes] = secrets.token_bytes) -> tuple[str, str, bytes]:
    """A new token: its text, its id, and the hash to keep.

    Args:
        random: Gives that many random bytes.
    """
    token_id = base64.b32encode(random(7)).decode("ascii")[:10].lower()
    text = f"sn_{token_id}_{base64.urlsafe_b64encode(random(32)).decode('ascii').rstrip('=')}"
    return text, token_id, _hash(text)


def issue_token(
    tx: Tx,
    *,
    account: str | None = None,
    person: str | None = None,
    actor: str,
    now: int,
    expires: int | None = None,
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> tuple[str, Token]:
    """A new token of an account or a person: its text, which is kept nowhere, and its row.

    Args:
        account: Whose it is; exactly one of `account` and `person`.
        actor: Who does it, such as `person:op` or `os:root`.
        expires: From this moment on it is refused; None for never.

    Raises:
        UsageError: There is no such account or person, or it would be expired already.
    """
    kind, name = ("account", account) if account is not None else ("person", person)
    if name is None or (account is not None and person is not None):
        raise ValueError("a token belongs to either an account or a person")
    if tx.row(_HOLDS_ACCOUNT if kind == "account" else _HOLDS_PERSON, name=name) is None:
        raise UsageError(f"There is no {kind} {name!r}.", remedy=f"stixnode {kind} list shows who is there.")
    if expires is not None and expires <= now:
        raise UsageError("The token would have expired already.", remedy="Give a later moment.")
    text, token_id, secret_hash = make_token(random)
    row = Token(token_id, account, person, now, expires)
    tx.insert(schema.token, [(row.token_id, row.account, row.person, row.created, row.expires, secret_hash)])
    catalog.bump_accounts(tx)
    log.record(
        tx, now=now, actor=actor, act="token.add", subject=f"{kind}:{name}", details={"token": token_id}
    )
    return text, row


def list_tokens(tx: Tx, *, account: str | None = None, person: str | None = None) -> list[Token]:
    """The tokens of one account or one person, oldest first."""
    rows = tx.rows(_OF_ACCOUNT, name=account) if account is not None else tx.rows(_OF_PERSON, name=person)
    return [Token(*row) for row in rows]


def last_ends(tx: Tx) -> dict[str, int | None]:
    """When the last token of each account that has any ends; None where one lasts for ever."""
    ends: dict[str, int | None] = {}
    for account, expires in tx.rows(_ENDS):
        before = ends.get(account, 0)
        ends[account] = None if before is None or expires is None else max(before, expires)
    return ends


def remove_token(tx: Tx, token_id: str, *, actor: str, now: int) -> Token:
    """The token that was removed; the next request with it is refused.

    Raises:
        UsageError: There is no such token.
    """
    found = tx.row(_BY_ID, id=token_id)
    if found is None:
        raise UsageError(
            f"There is no token {token_id!r}.", remedy="stixnode token list shows what is there."
        )
    tx.run(_REMOVE, id=token_id)
    row = Token(*found)
    whose = f"account:{row.account}" if row.account is not None else f"person:{row.person}"
    catalog.bump_accounts(tx)
    log.record(tx, now=now, actor=actor, act="token.remove", subject=whose, details={"token": token_id})
    return row


def remove_tokens(tx: Tx, *, account: str | None = None, person: str | None = None) -> int:
    """How many tokens of an account or person were removed; the caller records the act and bumps."""
    if account is not None:
        return tx.run(_REMOVE_OF_ACCOUNT, name=account)
    return tx.run(_REMOVE_OF_PERSON, name=person)


def authenticate(tx: Tx, header: str | None, *, now: int) -> Principal | None:
    """Who sends this `Authorization` header; None if it shows nobody, whatever the cause.

    Args:
        header: `Bearer TOKEN`, or `Basic` with the account's name and the token as password.
        now: Tokens and accounts that have expired by then are nobody.

    Source:
        RFC 6750 section 2.1, RFC 7617 section 2, RFC 9110 section 11.1 (schemes in any case).
    """
    found = _found(tx, header, now)
    return found[0] if found else None


def person_of(tx: Tx, text: str, *, now: int) -> str | None:
    """The name of the person whose token this is, or None."""
    match = _TOKEN.fullmatch(text)
    row = tx.row(_WHICH_PERSON, id=match[1]) if match else None
    if row is None or not hmac.compare_digest(bytes(row[0]), _hash(text)) or not _lasts(row[1], now):
        return None
    return str(row[2])


def generation(tx: Tx) -> Generation:
    """The present state of all accounts; every change of any of them changes it."""
    row = tx.row(_GENERATION)
    return Generation(row[0], row[1]) if row else Generation("", 0)


class Known(NamedTuple):
    """A credential that was found good: under which state of the accounts, until when, and whose it is."""

    state: Generation
    until: int | None
    principal: Principal


class Recalled(NamedTuple):
    """What is remembered of a header: its mark (empty for one that cannot be good), and whose it was."""

    header: str | None
    mark: bytes
    known: Known | None


class Credentials:
    """Credentials that were found good, for one process.

    Every request reads the generation, in whatever statement it reads first, so that a token removed
    by any process is refused at the next request of all. Kept is a keyed hash of the header, under a
    key that nobody else knows, never the header.
    """

    def __init__(self, *, remembered: int = REMEMBERED) -> None:
        self._key = secrets.token_bytes(32)
        self._remembered = remembered
        self._known: dict[bytes, Known] = {}
        self._lock = threading.Lock()

    def authenticate(
        self, tx: Tx, header: str | None, *, now: int, state: Generation | None = None
    ) -> Principal | None:
        """Who sends this header, as `authenticate` says, mostly from memory.

        Args:
            state: The generation, if it was read in this request already, before anything else.
        """
        recalled = self.recall(header)
        if not recalled.mark:
            return None
        # Read before the look-up: what is remembered is then at worst newer than it claims.
        return self.settle(tx, recalled, now=now, state=generation(tx) if state is None else state)

    def recall(self, header: str | None) -> Recalled:
        """What is remembered of a header; it counts only once it is settled."""
        if header is None or len(header) > LONGEST_HEADER:
            return Recalled(None, b"", None)
        content = header.encode("utf-8", "surrogatepass")
        mark = hashlib.blake2b(content, key=self._key, digest_size=32).digest()
        return Recalled(header, mark, self._known.get(mark))

    def settle(self, tx: Tx, recalled: Recalled, *, now: int, state: Generation) -> Principal | None:
        """Who sends the header, now that the generation was read.

        Args:
            recalled: Of this header.
            state: Read in this request, before anything else.
        """
        known = recalled.known
        if known is not None and known.state == state and _lasts(known.until, now):
            return known.principal
        if not recalled.mark:
            return None
        found = _found(tx, recalled.header, now)
        with self._lock:
            self._known.pop(recalled.mark, None)
            if found is not None:
                self._known[recalled.mark] = Known(state, found[1], found[0])
                if len(self._known) > self._remembered:
                    del self._known[next(iter(self._known))]
        return found[0] if found else None

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._known)


def _found(tx: Tx, header: str | None, now: int) -> tuple[Principal, int | None] | None:
    """The sender and the moment at which to ask again."""
    name, text = _presented(header)
    match = _TOKEN.fullmatch(text)
    row = tx.row(_WHO, id=match[1]) if match else None
    if row is None or not hmac.compare_digest(bytes(row[0]), _hash(text)):
        return None
    token_expires, account, partner, clearance, audience, account_expires = row[1:]
    if name not in (None, account) or not _lasts(token_expires, now) or not _lasts(account_expires, now):
        return None
    ends = [moment for moment in (token_expires, account_expires) if moment is not None]
    return Principal(account, partner, clearance, tuple(json.loads(audience))), min(ends, default=None)


def _presented(header: str | None) -> tuple[str | None, str]:
    """The account's name, if the header says one, and the text of the token, empty if there is none."""
    if header is None or len(header) > LONGEST_HEADER:
        return None, ""
    scheme, _, rest = header.strip().partition(" ")
    if scheme.lower() == "bearer":
        return None, rest.strip()
    if scheme.lower() != "basic":
        return None, ""
    try:
        name, colon, password = base64.b64decode(rest.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        return None, ""
    return (name, password) if colon else (None, "")


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _lasts(expires: int | None, now: int) -> bool:
    return expires is None or now < expires
