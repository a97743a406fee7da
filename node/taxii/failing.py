"""What becomes of an error: the refusal that answers it.

Rule: a client learns what it can do, and nothing of the inside: no text of an exception, no path, no SQL.
What only the operator can mend has one text, and the id under which the log has more.

Reads nothing, writes nothing.
"""

from __future__ import annotations

from werkzeug.exceptions import HTTPException, MethodNotAllowed

from node.errors import NodeError, StoreBusy
from node.exchange.fullness import QuarantineFull
from node.taxii.protocol import DISCOVERY, RequestRefused, title_of

BUSY_SECONDS = 5
FULL_SECONDS = 900
BROKEN_SECONDS = 60


def refusal_of(error: Exception) -> RequestRefused:
    """The refusal that answers an error.

    Args:
        error: Ours, the framework's, or anybody's.

    Source:
        TAXII 2.1 section 3.6; RFC 9110 section 15.
    """
    if isinstance(error, RequestRefused):
        return error
    if isinstance(error, StoreBusy):
        return RequestRefused(
            "The database is busy.",
            remedy="Nothing was stored. Send the request again in a few seconds.",
            status=503,
            headers={"Retry-After": str(BUSY_SECONDS)},
        )
    if isinstance(error, QuarantineFull):
        # The sender keeps its batch and brings it again: nothing of it was stored, and nothing is lost.
        return RequestRefused(
            "Too much of what you brought waits here for a person to look at it.",
            remedy="Nothing of this request was stored. Keep it and send it again later; it helps to ask us.",
            status=429,
            code="quarantine_full",
            headers={"Retry-After": str(FULL_SECONDS)},
        )
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        return RequestRefused(
            "This method is not served here.",
            remedy=f"This address serves {allowed}.",
            status=405,
            headers={"Allow": allowed},
        )
    if isinstance(error, HTTPException) and error.code is not None and error.code < 500:
        return RequestRefused(
            "There is nothing at this address." if error.code == 404 else f"{title_of(error.code)}.",
            remedy=f"Begin with the discovery resource at {DISCOVERY}.",
            status=error.code,
        )
    return failure(503 if isinstance(error, NodeError) else 500)


def failure(status: int) -> RequestRefused:
    """The refusal for what the server could not carry out."""
    return RequestRefused(
        "The server could not carry out this request.",
        remedy="Try again later. If it lasts, give the error_id to the operator of this server.",
        status=status,
        headers={"Retry-After": str(BROKEN_SECONDS)} if status == 503 else {},
    )
