"""What a partner's error answer means to us: wait, or stop and say why.

Rule    Nothing that a partner writes decides more than how long we wait, and that is bounded. Its own
        words are shown cut and without control characters, because they end on terminals.

Reads and writes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from node.clock import MICROSECONDS
from node.errors import PartnerError, PartnerRefused, PartnerUnreachable

LONGEST_WAIT_SECONDS = 3600.0

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?")
_BETWEEN_TWO = re.compile(r",(?! [0-9]{1,2}[ -][A-Za-z]{3}[ -][0-9]{4})")  # not the comma within a date
_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_REMEDIES = {
    400: "Run stixnode check; if all is well here, tell the partner the error above.",
    401: "Renew the credential: ask the partner for a new one and put it into password_file.",
    403: "Ask the partner whether the agreement is in force there and the link is open.",
    404: "Ask the partner for its API root and the collection's id, then see their_ids in config.toml.",
    406: "The partner may speak TAXII 2.0 only; ask for its TAXII 2.1 API root.",
    413: "Smaller batches are tried by themselves.",
    415: "The partner does not take TAXII 2.1; ask for its TAXII 2.1 API root.",
    422: "The objects are tried in smaller batches, until the one it does not take is alone.",
}


class AnswerTooLarge(PartnerRefused):
    """An answer larger than we take; fewer objects may fit."""


class AskedToWait(PartnerUnreachable):
    """429, or another refusal for now with `Retry-After`: the partner wants no further request yet."""


class ClosedThere(PartnerRefused):
    """403 of our own kind: the link is stopped or not in force on the partner's side."""

    by_rule = True


class Conflict(PartnerRefused):
    """409: our view of the exchange and the partner's differ.

    Args:
        code: The partner's `error_code`, such as `terms_differ` or `session_old`; "" without one.
        details: The partner's `details`, as it wrote them.
    """

    def __init__(self, problem: str, *, remedy: str, code: str, details: Mapping[str, Any]) -> None:
        super().__init__(problem, remedy=remedy, http_status=409)
        self.code = code
        self.by_rule = code == "terms_differ"
        self.details = details


def error_of(
    partner: str, where: str, status: int, headers: Mapping[str, str], body: bytes, *, now: int
) -> PartnerError:
    """The error that an answer of 300 or above stands for.

    Args:
        partner: Its name.
        where: Method and address asked.
        status: The HTTP status.
        headers: Of the answer.
        body: The beginning of the answer, of any kind.
        now: Microseconds, for a `Retry-After` that is a date.
    """
    words = _words(body)
    said = printable(" ".join(str(words[key]) for key in ("title", "description") if words.get(key)), 300)
    problem = f"{partner} answered {where} with {status}" + (f": {said}" if said else ".")
    if status in _AGAIN or status >= 500:
        wait = retry_after_seconds(headers, now=now)
        kind = PartnerUnreachable if status != 429 and wait is None else AskedToWait
        return kind(problem, remedy="It is tried again by itself.", retry_after_seconds=wait)
    if status == 403 and words.get("error_code") == "link_closed":
        return ClosedThere(
            problem,
            remedy=f"Ask the duty desk of {partner} why it is closed there; see also: stixnode status",
            http_status=status,
        )
    if status == 409:
        details = words.get("details")
        return Conflict(
            problem,
            remedy="Run stixnode agreement show, and compare the terms digests with the duty desk by voice.",
            code=str(words.get("error_code") or ""),
            details=details if isinstance(details, dict) else {},
        )
    if status < 400:
        place = printable(headers.get("Location", "somewhere else"), 120)
        return PartnerRefused(
            f"{partner} answered {where} with a redirect to {place}; redirects are not followed.",
            remedy="Ask the partner for the address that it redirects to, and write it as api_root.",
            http_status=status,
        )
    return PartnerRefused(problem, remedy=_REMEDIES.get(status, _REMEDIES[400]), http_status=status)


def retry_after_seconds(headers: Mapping[str, str], *, now: int) -> float | None:
    """How long the partner asks us to wait, at most an hour; None when it says nothing sensible.

    Where it says it twice, as a server and the proxy before it do, the longer time holds.

    Source:
        RFC 9110 section 10.2.3: seconds, or a date.
    """
    text = headers.get("Retry-After", "")
    found = [_seconds(each, now=now) for each in (text, *_BETWEEN_TWO.split(text))]
    sensible = [each for each in found if each is not None]
    return min(max(sensible), LONGEST_WAIT_SECONDS) if sensible else None


def _seconds(text: str, *, now: int) -> float | None:
    """What one `Retry-After` says, 0 for the past."""
    try:
        if _NUMBER.fullmatch(text.strip()):
            return max(min(float(text), LONGEST_WAIT_SECONDS), 0.0)
        moment = parsedate_to_datetime(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(moment.timestamp() - now / MICROSECONDS, 0.0)
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        return None  # what the library raises for nonsense differs with its version


def printable(text: str, length: int) -> str:
    """A partner's words, on one line, without control characters, cut to a length."""
    return "".join(each if each.isprintable() else " " for each in text[:length])


def _words(body: bytes) -> dict[str, Any]:
    try:
        words = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    return words if isinstance(words, dict) else {}
