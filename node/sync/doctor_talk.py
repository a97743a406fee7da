"""What the doctor asks a partner with, and what is said of one that does not answer as it should.

Rule    Everything goes through the guarded line: no redirect is followed, every answer has a deadline and a
        size. Of the headers of our own kind only the terms digest is sent: a look must not tell a history.

Reads   the password file. Writes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit

from requests.adapters import BaseAdapter

from node.clock import MICROSECONDS
from node.errors import PartnerError, PartnerRefused, PartnerUnreachable
from node.sharing.links import Link, PartnerBinding
from node.sync.answers import read_resource
from node.sync.connection import Answer, Line, Patience
from node.sync.doctor_findings import Finding, failed, waits
from node.sync.own_kind import TERMS
from node.sync.refusals import AskedToWait, ClosedThere, Conflict, printable

PATIENCE = Patience(connect=5.0, read=10.0, whole=20.0, most_bytes=8 * 1024 * 1024)
WHOLE_SECONDS = 120.0  # for one partner; what is not looked at by then is named


@dataclass(slots=True)
class Talk:
    """A conversation with one partner.

    Args:
        binding: Where it is, and the credential.
        now: Microseconds.
        remotes: Name of a link -> the partner's id of its collection.
        transport: Stands in for the network in tests.
    """

    binding: PartnerBinding
    now: Callable[[], int]
    remotes: Mapping[str, str]
    transport: BaseAdapter | None = None
    line: Line = field(init=False)
    _until: float = field(init=False)

    def __post_init__(self) -> None:
        """Open the line; nothing is sent yet."""
        one = self.binding
        shown = None
        if one.tls_certificate is not None and one.tls_private_key is not None:
            shown = (one.tls_certificate, one.tls_private_key)
        self.line = Line(
            one.name,
            self.api_root,
            username=one.username,
            password_file=one.password_file,
            tls_ca=one.tls_ca,
            shown=shown,
            transport=self.transport,
            patience=PATIENCE,
            now=self.now,
        )
        self._until = time.monotonic() + WHOLE_SECONDS

    @property
    def name(self) -> str:
        """The partner's name."""
        return self.binding.name

    @property
    def own_kind(self) -> bool:
        """Whether it is a stixnode."""
        return self.binding.kind == "stixnode"

    @property
    def api_root(self) -> str:
        """Its API root, with a slash at the end."""
        return f"{(self.binding.api_root or '').rstrip('/')}/"

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        parts = urlsplit(self.api_root)
        return f"{parts.scheme}://{parts.netloc}"

    def late(self) -> bool:
        """Whether this has taken so long that nothing more is asked."""
        return time.monotonic() > self._until

    def place(self, link: Link) -> str:
        """The address of a link's collection there."""
        return f"{self.api_root}collections/{quote(self.remotes[link.name], safe='-')}/"

    def ask(
        self,
        method: str,
        url: str,
        *,
        link: Link | None = None,
        params: Mapping[str, Any] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """One answer.

        Args:
            method: `GET`, `POST` or `DELETE`.
            url: Under the partner's origin.
            link: Whose terms digest to tell, where the partner is of our own kind.
            params: Query parameters.
            body: Sent as TAXII JSON.

        Raises:
            PartnerError: As in `Line.exchange`, or all this has taken too long.
        """
        if self.late():
            raise PartnerUnreachable(
                f"{self.name} took so long with all before that this is not asked.",
                remedy=f"Run it again: stixnode doctor {self.name}",
            )
        headers = {TERMS: link.terms_digest.hex()} if link is not None and self.own_kind else {}
        return self.line.exchange(method, url, headers=headers, params=params, body=body)

    def resource(self, url: str, *, link: Link | None = None) -> dict[str, Any]:
        """One resource, decoded.

        Raises:
            PartnerError: As in `ask`, or it is something else.
        """
        return read_resource(self.name, self.ask("GET", url, link=link))

    def close(self) -> None:
        """Let the line go."""
        self.line.close()


def trouble(talk: Talk, what: str, cause: PartnerError) -> Finding:
    """What to say of a request that failed where the ones before went well."""
    if isinstance(cause, AskedToWait):
        wait = cause.retry_after_seconds
        return waits(what, f"{talk.name} asks us to wait", f"Run it again in {wait or 60:.0f} s.")
    if isinstance(cause, ClosedThere):
        return waits(what, f"closed there: {_told(cause)}", f"Ask the duty desk of {talk.name} why.")
    if isinstance(cause, Conflict) and cause.code == "terms_differ":
        theirs = str(cause.details.get("terms", ""))
        return differing(talk, what, theirs)
    if isinstance(cause, PartnerUnreachable):
        return failed(what, cause.problem, f"Run it again; if it lasts, ask {talk.name}.", "network")
    status = cause.http_status if isinstance(cause, PartnerRefused) else None
    if status == 401:
        return refused_credential(talk, what, 401)
    return failed(what, cause.problem, cause.remedy)


def differing(talk: Talk, what: str, theirs: str) -> Finding:
    """Two files under one agreement."""
    return failed(
        what,
        f"{talk.name} goes by other terms ({words_of(theirs)})",
        f"Nothing crosses until both use the same file. Read the digests of stixnode agreement show to"
        f" {talk.name} by telephone.",
    )


def refused_credential(talk: Talk, what: str, status: int) -> Finding:
    """401, or 403 for everything."""
    file = talk.binding.password_file
    if talk.binding.username is None:
        fix = f"Ask {talk.name} for an account; write username and password_file into [partner.{talk.name}]."
        return failed(what, f"{status}: it wants a credential, and we have none", fix, "credential")
    if status == 401:
        fix = f"Ask {talk.name} for a new token for {talk.binding.username}, and write it into {file}."
        text = f"401: {talk.name} does not take what is in {file} for {talk.binding.username}"
        return failed(what, text, fix, "credential")
    text = f"403: {talk.name} knows {talk.binding.username}, and lets it do nothing"
    fix = f"Ask {talk.name} which rights the account {talk.binding.username} has there."
    return failed(what, text, fix, "credential")


def words_of(digest: str) -> str:
    """The beginning of a digest in groups of four, as it is read out; `not told` without one."""
    text = printable(digest, 12)
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4)) or "not told"


def seconds_ahead(headers: Mapping[str, str], *, now: int) -> float | None:
    """By how much the clock of an answer's `Date` is ahead of ours; None without a date."""
    try:
        moment = parsedate_to_datetime(headers.get("Date", ""))
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.timestamp() - now / MICROSECONDS
    except (ValueError, OverflowError, OSError, TypeError, IndexError):
        return None


def _told(cause: PartnerRefused) -> str:
    words = cause.problem.partition(" with 403: ")[2] or cause.problem
    return words.partition(" Nothing crosses until then")[0]
