"""The audit log: who did what to what, and when.

A leaf is written in the transaction of its act, so there is no act without a leaf and no leaf
without an act. Leaves have no number when they are written: numbering them would make all writers
of the node wait for each other. Details are names, numbers and flags; never a secret, never a body.

Reads and writes: the table `leaf` (this module only).
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from node.store import schema
from node.store.database import Tx

Details = Mapping[str, str | int | bool | Sequence[str] | None]

_SECRET = re.compile(r"sn_[a-z2-7]{10}_[A-Za-z0-9_-]{43}")

_leaf = schema.leaf.c

_LEAVES = (
    sa.select(_leaf.leaf_id, _leaf.at, _leaf.actor, _leaf.act, _leaf.subject, _leaf.details)
    .where(_leaf.at < bindparam("before"))
    .order_by(_leaf.at.desc(), _leaf.leaf_id)
    .limit(bindparam("most"))
)
_END_OF_TIME = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Leaf:
    """One act.

    Args:
        actor: `person:NAME`, `account:NAME`, `os:NAME` or `node`.
        act: What was done, such as `account.add`.
        subject: What it was done to, such as `account:soc-alpha`.
    """

    leaf_id: str
    at: int
    actor: str
    act: str
    subject: str
    details: dict[str, Any]


def record(tx: Tx, *, now: int, actor: str, act: str, subject: str, details: Details) -> None:
    """Write the leaf of an act, in the act's own transaction.

    Args:
        details: What a reader of the log needs to know beyond the subject.

    Raises:
        ValueError: The details carry the text of a token: an error of the caller, whose act then fails.
    """
    text = json.dumps(dict(details), sort_keys=True, separators=(",", ":"))
    if _SECRET.search(text) or _SECRET.search(subject):
        raise ValueError(f"the details of {act} carry a token")
    tx.insert(schema.leaf, [(str(uuid.uuid4()), now, actor, act, subject, text)])


def leaves(tx: Tx, *, limit: int, before: int = _END_OF_TIME) -> list[Leaf]:
    """The newest leaves, newest first.

    Args:
        limit: At most so many.
        before: Only leaves of acts before this moment, in microseconds.
    """
    return [
        Leaf(leaf_id, at, actor, act, subject, json.loads(details))
        for leaf_id, at, actor, act, subject, details in tx.rows(_LEAVES, before=before, most=limit)
    ]
