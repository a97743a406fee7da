"""Status resources: what became of each object of a POST, for the account that sent it.

Rule: written in the transaction of the POST, complete from the start, and never changed. Only the
account that posted reads it; to everybody else there is no such status. Kept for a week, where the
standard asks for a day.

Writes  table status (this module only)
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from flask import Blueprint, Response
from sqlalchemy import bindparam

from node.clock import MICROSECONDS, taxii_time
from node.exchange.ingress import Outcome, Result
from node.store import schema
from node.store.database import Tx
from node.taxii.face import answer, negotiate, visit
from node.taxii.protocol import API_ROOT, RequestRefused

blueprint = Blueprint("statuses", __name__)

KEPT = 7 * 24 * 3600 * MICROSECONDS

# Reasons that speak of the posted object and the agreement alone.
_SAID_TO_PARTNERS = frozenset(
    (
        "invalid",
        "future_timestamp",
        "public_refused",
        "not_in_force",
        "type_not_agreed",
        "above_ceiling",
        "withdrawn",  # a withdrawal is there to be known
    )
)

_status = schema.status.c
_FIND = sa.select(_status.body).where(
    (_status.status_id == bindparam("wanted")) & (_status.account == bindparam("reader"))
)
_REPEAT = sa.select(_status.body).where(_status.status_id == bindparam("wanted"))
_PURGE = sa.delete(schema.status).where(_status.at < bindparam("before"))


class Detail(msgspec.Struct, omit_defaults=True):
    """What became of one object."""

    id: str
    version: str
    message: str = ""


class Status(msgspec.Struct, omit_defaults=True):
    """A status resource; lists that would be empty are left out, counts of 0 are not."""

    id: str
    status: str
    request_timestamp: str
    total_count: int
    success_count: int
    failure_count: int
    pending_count: int
    successes: list[Detail] = msgspec.field(default_factory=list)
    failures: list[Detail] = msgspec.field(default_factory=list)


@blueprint.get(f"{API_ROOT}status/<status_id>/")
def get_status(status_id: str) -> Response:
    """What became of a POST, for the account that sent it.

    Source:
        TAXII 2.1 section 4.3.
    """
    with visit() as here:
        body = find(here.tx, status_id, account=here.principal.account)
        if body is None:
            raise RequestRefused(
                "There is no such status for this account.",
                remedy="A status is kept for a week, for the account that posted.",
                status=404,
            )
        negotiate()
        return answer(body)


def new_id() -> str:
    """A fresh id of a status resource: a UUID of version 4, as the standard asks."""
    return str(uuid.uuid4())


def write(
    tx: Tx, *, status_id: str, account: str, collection_id: int, results: Sequence[Result], now: int
) -> bytes:
    """The status resource of a POST that has been carried out, stored and as JSON.

    Args:
        tx: The transaction of the POST.
        status_id: From `new_id`.
        account: The only reader.
        collection_id: Where the objects went.
        results: One for each object of the envelope, in its order.
        now: Microseconds.

    Source:
        TAXII 2.1 section 4.3.1.
    """
    successes = [_detail(each, now) for each in results if not each.failed]
    failures = [_detail(each, now) for each in results if each.failed]
    body = msgspec.json.encode(
        Status(
            id=status_id,
            status="complete",
            request_timestamp=taxii_time(now),
            total_count=len(results),
            success_count=len(successes),
            failure_count=len(failures),
            pending_count=0,
            successes=successes,
            failures=failures,
        )
    )
    tx.run(_PURGE, before=now - KEPT)
    tx.insert(schema.status, [(status_id, account, collection_id, now, body)])
    return body


def for_partner(results: Sequence[Result]) -> list[Result]:
    """The results as a partner may learn them: about its own object, never about what we hold.

    "Held with different content" would tell whoever guesses an id that we have it; whether it was new,
    known or another's is for our books. What is wrong with the object itself is said.
    """
    told: list[Result] = []
    for each in results:
        message = each.message if each.reason in _SAID_TO_PARTNERS else ""
        if each.outcome is Outcome.QUARANTINED and not message:
            message = "set_aside: a person here will look at it"
        told.append(msgspec.structs.replace(each, message=message))
    return told


def find(tx: Tx, status_id: str, *, account: str) -> bytes | None:
    """A status resource as JSON, or None: unknown, expired, or of another account.

    Args:
        tx: A reader.
        status_id: As the client wrote it.
        account: Who asks.
    """
    row = tx.row(_FIND, wanted=status_id, reader=account)
    return bytes(row[0]) if row else None


def repeat(tx: Tx, status_id: str) -> bytes | None:
    """The status resource of a numbered batch that a partner sends again, whichever account it uses."""
    row = tx.row(_REPEAT, wanted=status_id)
    return bytes(row[0]) if row else None


def _detail(result: Result, now: int) -> Detail:
    # Objects that could not be read that far have no id or version of their own; both are required here.
    placeholder = f"unknown--index-{result.index}"
    message = result.message
    if result.stix_id in ("", placeholder):
        message = (
            f"Object {result.index} of the envelope, counted from 0, has no usable id. {message}".strip()
        )
    return Detail(
        id=result.stix_id or placeholder, version=result.version or taxii_time(now), message=message
    )
