"""Media types and error resources of TAXII 2.1, without a framework.

Rule: a request is refused for its media type only when no reading of the header includes ours; an
answer always carries exactly `MEDIA_TYPE`. Werkzeug's matcher compares parameters letter by letter
and so refuses what the standard allows; hence a small matcher here.

Reads nothing, writes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus

import msgspec

from node.errors import NodeError

MEDIA_TYPE = "application/taxii+json;version=2.1"
DISCOVERY = "/taxii2/"
API_ROOT = "/api/"
LONGEST_HEADER = 4096

_PART = re.compile(r'(?:[^,"]|"(?:\\.|[^"\\])*")+')
_FIELD = re.compile(r'(?:[^;"]|"(?:\\.|[^"\\])*")+')
_QUALITY = re.compile(r"[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9}")
_OURS = ("application", "taxii+json")


class RequestRefused(NodeError):
    """A request that is answered with an error resource.

    Args:
        problem: Becomes the `title`.
        remedy: Becomes the `description`: what the client can do.
        status: The HTTP status.
        code: A word for programs (`error_code`), or None.
        details: More for programs, or None.
        headers: Further headers of the answer.
    """

    def __init__(
        self,
        problem: str,
        *,
        remedy: str,
        status: int,
        code: str | None = None,
        details: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(problem, remedy=remedy)
        self.status = status
        self.code = code
        self.details = details
        self.headers = dict(headers or {})


def error_body(refusal: RequestRefused, error_id: str) -> bytes:
    """The error resource of a refusal, as JSON.

    Args:
        refusal: What was refused.
        error_id: The id under which the log has it.

    Source:
        TAXII 2.1 section 3.6.1; `http_status` is a string.
    """
    resource: dict[str, object] = {
        "title": refusal.problem,
        "description": refusal.remedy,
        "error_id": error_id,
        "http_status": str(refusal.status),
    }
    if refusal.code is not None:
        resource["error_code"] = refusal.code
    if refusal.details is not None:
        resource["details"] = dict(refusal.details)
    return msgspec.json.encode(resource)


def accepts(header: str | None) -> bool:
    """True when an `Accept` header includes our media type; no header means anything.

    Args:
        header: The value, several headers joined by commas; None or blank when there was none.

    Source:
        TAXII 2.1 section 1.6.8; RFC 9110 section 12.5.1 (the most specific range decides).
    """
    if header is None or not header.strip():
        return True
    if len(header) > LONGEST_HEADER:
        return False
    best: tuple[int, float] | None = None
    for part in _PART.findall(header):
        match = _match(part)
        if match is not None and (best is None or match > best):
            best = match
    return best is not None and best[1] > 0


def takes(content_type: str | None) -> bool:
    """True when a body of this `Content-Type` is read: TAXII 2.1, or a STIX bundle.

    Args:
        content_type: The header's value, or None when there was none.

    Source:
        TAXII 2.1 sections 3.1 and 5.5.
    """
    if content_type is None or len(content_type) > LONGEST_HEADER:
        return False
    kind, parameters = _parsed(content_type)
    if parameters.get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
        return False
    version = parameters.get("version")
    if kind == _OURS:
        return version in (None, "2.1")
    return kind == ("application", "stix+json") and version in (None, "2.0", "2.1")


def title_of(status: int) -> str:
    """The plain words of an HTTP status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _match(part: str) -> tuple[int, float] | None:
    # How specifically one range names our media type, and with which quality; None when it does not.
    kind, parameters = _parsed(part)
    quality = _quality(parameters.get("q", "1"))
    if quality is None:
        return None
    if kind in (("*", "*"), ("*",)):
        return 0, quality
    if kind == ("application", "*"):
        return 1, quality
    version = parameters.get("version")
    if kind != _OURS or version not in (None, "2.1"):
        return None
    return (2 if version is None else 3), quality


def _quality(text: str) -> float | None:
    # Java writes `.2`, others `1.0000`; both are plain numbers from 0 to 1.
    if _QUALITY.fullmatch(text) is None:
        return None
    return min(float(text), 1.0)


def _parsed(text: str) -> tuple[tuple[str, ...], dict[str, str]]:
    fields = _FIELD.findall(text)
    kind = tuple(word.strip().lower() for word in fields[0].split("/")) if fields else ()
    parameters: dict[str, str] = {}
    for field in fields[1:]:
        name, _, value = field.partition("=")
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] == '"':
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        parameters.setdefault(name.strip().lower(), value)
    return kind, parameters
