"""The `next` of a page: where the walk stands, and under what it holds.

Rule: stateless and signed, so that it survives restarts, other workers and idle days; it is never
trusted for rights, which are checked again at each use. It holds for one collection or feed, one
history (epoch), one set of `match[]` and one visibility; anything else is 400 with what to do.

Form: base64url of position (8 bytes), four digests of 6 bytes, 16 bytes of HMAC-SHA256.
Reads nothing, writes nothing; the key is the node's, given by the caller.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass

from node.clock import taxii_time
from node.taxii.protocol import RequestRefused

_DIGEST = 6
_SEAL = 16
_LENGTH = 8 + 4 * _DIGEST + _SEAL


@dataclass(frozen=True, slots=True)
class Scope:
    """Under what a token holds.

    Args:
        place: The collection or feed, and the object when the walk is over its versions.
        epoch: The collection's history.
        filters: Digest of the `match[]` parameters.
        visibility: Clearance and audience, or link and policy digest.
    """

    place: str
    epoch: str
    filters: bytes
    visibility: str


def make_next(position: int, scope: Scope, secret: bytes) -> str:
    """The token of the page that ends at a position.

    Args:
        position: `date_added` of the page's last entry, in microseconds.
        scope: Under what it will hold.
        secret: The node's signing key.
    """
    content = position.to_bytes(8, "big", signed=True) + b"".join(_digests(scope))
    return base64.urlsafe_b64encode(content + _seal(content, secret)).decode("ascii")


def read_next(token: str, scope: Scope, secret: bytes) -> int:
    """The position in a token, in microseconds.

    Args:
        token: What the client sent.
        scope: Under what this request runs.
        secret: The node's signing key.

    Raises:
        RequestRefused: 400: not one of ours, or it belongs to another walk.
    """
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raw = b""
    content, seal = raw[:-_SEAL], raw[-_SEAL:]
    # The decoder also takes the signs of the other alphabet, and padding: those we never gave.
    ours = len(raw) == _LENGTH and base64.urlsafe_b64encode(raw) == token.encode("ascii")
    if not ours or not hmac.compare_digest(seal, _seal(content, secret)):
        raise _refused("The parameter next is not a token that this server gave.", None)
    position = int.from_bytes(content[:8], "big", signed=True)
    held = [content[8 + at : 8 + at + _DIGEST] for at in range(0, 4 * _DIGEST, _DIGEST)]
    place, epoch, filters, visibility = (was == now for was, now in zip(held, _digests(scope), strict=True))
    if not place:
        raise _refused("The parameter next belongs to another collection or object.", None)
    if not epoch:
        raise RequestRefused(
            "The parameter next belongs to an earlier history of this collection, which was restored since.",
            remedy="Read the collection again from the start, without next and added_after.",
            status=400,
            code="other_epoch",
        )
    if not filters:
        raise _refused("The parameter next belongs to a query with other match filters.", position)
    if not visibility:
        raise _refused("What this account may see has changed since the parameter next was given.", position)
    return position


def _refused(problem: str, position: int | None) -> RequestRefused:
    moment = "the last X-TAXII-Date-Added-Last" if position is None else taxii_time(position)
    return RequestRefused(
        problem,
        remedy=f"Start again without next, with added_after={moment}.",
        status=400,
        code="next_refused",
    )


def _digests(scope: Scope) -> list[bytes]:
    parts = (scope.place.encode(), scope.epoch.encode(), scope.filters, scope.visibility.encode())
    return [hashlib.sha256(part).digest()[:_DIGEST] for part in parts]


def _seal(content: bytes, secret: bytes) -> bytes:
    return hmac.new(secret, b"next:" + content, hashlib.sha256).digest()[:_SEAL]
