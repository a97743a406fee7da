"""Persons: who may do what at the command line and the console.

A person has roles, never collections; an account has collections, never roles. What a person does
is recorded under the person's name, what somebody without a token does as `os:NAME`.

Reads and writes: the table `person` (this module only).
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

ROLES = ("operator", "approver", "signatory", "auditor", "admin")

_person = schema.person.c

_ALL = sa.select(_person.name, _person.roles, _person.created).order_by(_person.name)
_FIND = sa.select(_person.name, _person.roles, _person.created).where(_person.name == bindparam("person"))
_REMOVE = sa.delete(schema.person).where(_person.name == bindparam("person_name"))


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody at the desk; `roles` are in the order of `ROLES`."""

    name: str
    roles: tuple[str, ...]
    created: int


def add_person(tx: Tx, name: str, roles: Iterable[str], *, actor: str, now: int) -> Person:
    """The new person, who has no token yet.

    Args:
        roles: At least one of `ROLES`.
        actor: Who does it, such as `person:op` or `os:root`.

    Raises:
        UsageError: The name is taken or cannot be, or a role is not one.
    """
    checked_name("person", name)
    wanted = set(roles)
    unknown = sorted(wanted.difference(ROLES))
    if unknown or not wanted:
        raise UsageError(
            f"{unknown[0]!r} is not a role." if unknown else f"{name} would have no role.",
            remedy=f"Use some of {', '.join(ROLES)}.",
        )
    if find_person(tx, name) is not None:
        raise UsageError(
            f"There is a person {name!r} already.", remedy="Choose another name, or remove it first."
        )
    person = Person(name, tuple(role for role in ROLES if role in wanted), now)
    tx.insert(schema.person, [(name, json.dumps(person.roles), now)])
    _changed(tx, now=now, actor=actor, act="person.add", name=name, details={"roles": list(person.roles)})
    return person


def list_people(tx: Tx) -> list[Person]:
    """Every person, by name."""
    return [_as_person(row) for row in tx.rows(_ALL)]


def find_person(tx: Tx, name: str) -> Person | None:
    """The person of this name, or None."""
    row = tx.row(_FIND, person=name)
    return _as_person(row) if row else None


def find_by_token(tx: Tx, text: str, *, now: int) -> Person | None:
    """The person whose token this is; None if it is nobody's, an account's, or has expired."""
    name = tokens.person_of(tx, text, now=now)
    return None if name is None else find_person(tx, name)


def remove_person(tx: Tx, name: str, *, actor: str, now: int) -> Person:
    """The person who was removed, with their tokens; what they did stays in the audit log.

    Raises:
        UsageError: There is no such person.
    """
    person = find_person(tx, name)
    if person is None:
        raise UsageError(f"There is no person {name!r}.", remedy="stixnode person list shows who is there.")
    removed = tokens.remove_tokens(tx, person=name)
    tx.run(_REMOVE, person_name=name)
    _changed(tx, now=now, actor=actor, act="person.remove", name=name, details={"tokens": removed})
    return person


def _changed(tx: Tx, *, now: int, actor: str, act: str, name: str, details: log.Details) -> None:
    catalog.bump_accounts(tx)
    log.record(tx, now=now, actor=actor, act=act, subject=f"person:{name}", details=details)


def _as_person(row: Row) -> Person:
    name, roles, created = row
    return Person(name, tuple(json.loads(roles)), created)
