"""The body of a POST, read to its exact length, and cut into objects.

Rule: a body that is not exactly as long as announced, or longer than allowed, is refused whole.
Flask and the servers below it hand a cut or overlong body on as if it were complete. Content codings
are refused, so that the limit counts the bytes that are parsed.

Reads `wsgi.input`; writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from node.errors import InvalidObject
from node.stix import envelope
from node.taxii.protocol import RequestRefused

MOST_OBJECTS = 50_000
_PIECE = 1 << 20
_REMEDY = 'Nothing was stored. Send {"objects": [...]} with at least one STIX object.'


def read_body(environ: Mapping[str, Any], *, most: int) -> bytes:
    """The complete body of a request.

    Args:
        environ: The WSGI environment.
        most: `max_content_length`, in bytes; a body of exactly this length is read.

    Raises:
        RequestRefused: 400 (another length than announced), 411, 413 (too long), 415 (a content coding).

    Source:
        TAXII 2.1 section 5.5; RFC 9112 section 6.3.
    """
    coding = environ.get("HTTP_CONTENT_ENCODING", "").strip()
    if coding:
        raise RequestRefused(
            "A body with a content coding is not read here.",
            remedy="Send the body without compression.",
            status=415,
        )
    announced = _announced(environ)
    if announced is not None and announced > most:
        raise _too_long(most)
    if announced is None and not environ.get("wsgi.input_terminated"):
        raise RequestRefused(
            "The length of the body is not known.", remedy="Send Content-Length.", status=411
        )
    body = _read(environ["wsgi.input"], announced, most, bool(environ.get("wsgi.input_terminated")))
    if announced is not None and len(body) != announced:
        raise RequestRefused(
            f"The body has {len(body)} bytes where Content-Length says {announced}.",
            remedy="Nothing was stored. Send the request again.",
            status=400,
        )
    return body


def cut(body: bytes, *, empty_allowed: bool) -> list[bytes]:
    """The objects of a TAXII envelope or a STIX bundle, each as its exact bytes.

    Args:
        body: The whole body.
        empty_allowed: True when an envelope without objects means something (a numbered batch).

    Raises:
        RequestRefused: 400 when it is not JSON, 413 for too many objects, 422 when it is JSON but no
            envelope with objects.

    Source:
        TAXII 2.1 sections 3.7 and 5.5.
    """
    try:
        objects = envelope.split(body, most=MOST_OBJECTS)
    except InvalidObject as cause:
        status = 422 if _is_json(body) else 400
        raise RequestRefused(cause.problem, remedy=_REMEDY, status=status) from cause
    if not objects and not empty_allowed:
        raise RequestRefused(
            "The envelope has no objects.",
            remedy=_REMEDY,
            status=422,
        )
    if len(objects) > MOST_OBJECTS:
        raise RequestRefused(
            f"The envelope has more than {MOST_OBJECTS} objects.",
            remedy=f"Nothing was stored. Send at most {MOST_OBJECTS} objects at a time.",
            status=413,
        )
    return objects


def _is_json(body: bytes) -> bool:
    try:
        body.decode()
        msgspec.json.decode(body, type=msgspec.Raw)  # skips over the value without building it
    except RecursionError:
        return True
    except ValueError:
        return False
    return True


def _announced(environ: Mapping[str, Any]) -> int | None:
    text = environ.get("CONTENT_LENGTH") or ""
    if environ.get("HTTP_TRANSFER_ENCODING") or not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise RequestRefused(
            "The Content-Length is not a length.",
            remedy="Send the number of bytes of the body.",
            status=400,
        )
    return int(text)


def _read(stream: Any, announced: int | None, most: int, terminated: bool) -> bytes:
    # A terminated stream ends by itself, so one byte more than allowed shows that there is more.
    wanted = (most if announced is None else announced) + (1 if terminated else 0)
    pieces: list[bytes] = []
    while wanted > 0:
        piece = stream.read(min(wanted, _PIECE))
        if not piece:
            break
        pieces.append(piece)
        wanted -= len(piece)
    body = b"".join(pieces)
    if len(body) > most:
        raise _too_long(most)
    return body


def _too_long(most: int) -> RequestRefused:
    return RequestRefused(
        f"The body is longer than {most} bytes.",
        remedy=f"Nothing was stored. Send at most {most} bytes at a time (max_content_length).",
        status=413,
    )
