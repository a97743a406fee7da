"""SOC clients that follow a collection: I2 and I3, as such a client would find them out.

A reader goes on by `next` or by `added_after`, sometimes asks twice, and never starts anew by itself. What
it was given is compared in the end with what a fresh reader of the same account is given.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from node.clock import parse_taxii_time
from node.stix import envelope
from tests.simulation.content import Facts, facts_of
from tests.simulation.memory import rows_of
from tests.simulation.sites import INDICATORS, SOC, WRITER, Site, token_of
from tests.simulation.wire import Answered, Asked, call

if TYPE_CHECKING:
    from collections.abc import Mapping

MEDIA = "application/taxii+json;version=2.1"
FIRST, LAST = "X-TAXII-Date-Added-First", "X-TAXII-Date-Added-Last"
KINDS = (("soc-red", True), ("soc-green", True), ("soc-green", False), ("soc-red", False))


@dataclass
class Reader:
    """One client of one account.

    Args:
        account: Its name.
        every: Whether it asks for all versions, or for the last ones.
    """

    account: str
    every: bool
    position: str | None = None
    token: str | None = None
    seen: set[tuple[str, bytes]] = field(default_factory=set)

    def read(self, site: Site, limit: int, *, by_next: bool, twice: bool) -> list[str]:
        """One page more; what is wrong with it."""
        query: dict[str, Any] = {"limit": limit}
        if self.every:
            query["match[version]"] = "all"
        if by_next and self.token is not None:
            query["next"] = self.token
        elif self.position is not None:
            query["added_after"] = self.position
        answered = get(site, self.account, f"/api/collections/{INDICATORS}/objects/", query)
        if answered.status == 400 and "next" in query:
            self.token = None  # another history, or another view: it goes on from its last date
            return []
        if answered.status != 200:
            return [f"a reader was answered {answered.status}: {answered.body!r}"]
        wrong: list[str] = []
        if twice:
            again = get(site, self.account, f"/api/collections/{INDICATORS}/objects/", query)
            if again.body != answered.body:
                wrong.append("I3: the same request gave another page")
        return wrong + self._take(site, answered)

    def _take(self, site: Site, answered: Answered) -> list[str]:
        wrong: list[str] = []
        bodies = envelope.split(answered.body) if b'"objects"' in answered.body else []
        more = b'"more":true' in answered.body
        self.token = _token(answered.body) if more else None
        if more and (self.token is None or not bodies):
            wrong.append("I3: more without a way to go on")
        if not bodies:
            return wrong
        first, last = answered.headers[FIRST], answered.headers[LAST]
        if self.position is not None and parse_taxii_time(first) <= parse_taxii_time(self.position):
            wrong.append(f"I3: a reader at {self.position} was given {first} again")
        self.position = last
        site.memory.served = max(site.memory.served, parse_taxii_time(last))
        held = {row.known: row for row in rows_of(site.database)}
        site.memory.note_newest(list(held.values()))
        for body in bodies:
            one = facts_of(body)
            self.seen.add((one.stix_id, one.digest))
            if (one.stix_id, one.digest) not in held:
                wrong.append(f"a reader was given what is not held: {body!r}")
            elif self._may_not_see(site, one):
                wrong.append(f"I7: {self.account} was given {body!r}")
        return wrong

    def _may_not_see(self, site: Site, one: Facts) -> bool:
        newest = -1 if one.type == "ipv4-addr" else site.memory.newest.get(one.stix_id, (0, -1))[1]
        return max(newest, one.level or 0) > SOC[self.account]


def readers() -> list[Reader]:
    """The readers of one site."""
    return [Reader(account, every) for account, every in KINDS]


def missed(site: Site, reader: Reader) -> list[str]:
    """What a reader that has come to the end was never given, and a fresh one is."""
    for _ in range(300):
        before = reader.position, reader.token
        wrong = reader.read(site, 100, by_next=True, twice=False)
        if wrong:
            return wrong
        if (reader.position, reader.token) == before:
            break
    else:
        return ["I3: a listing does not end"]
    fresh = Reader(reader.account, reader.every)
    fresh.read(site, 1000, by_next=False, twice=False)
    lost = fresh.seen - reader.seen
    name = f"{site.name}: the reader {reader.account}{' of all versions' if reader.every else ''}"
    return [f"I2: {name} missed {sorted(lost)}"] if lost else []


def get(site: Site, account: str, path: str, query: Mapping[str, Any]) -> Answered:
    """What an account is answered."""
    asked = Asked("soc", site.name, "GET", path, urlencode(query), _headers(account), b"")
    return call(site.app, asked)


def send(site: Site, method: str, path: str, body: bytes = b"", query: str = "") -> Answered:
    """What the writing account is answered."""
    headers = (*_headers(WRITER), ("Content-Type", MEDIA)) if method == "POST" else _headers(WRITER)
    return call(site.app, Asked("soc", site.name, method, path, query, headers, body))


def _headers(account: str) -> tuple[tuple[str, str], ...]:
    assert account in SOC or account == WRITER
    pair = b64encode(f"{account}:{token_of(account)}".encode()).decode()
    return ("Accept", MEDIA), ("Authorization", f"Basic {pair}")


def _token(body: bytes) -> str | None:
    head = body.split(b'"next":"', 1)
    return head[1].split(b'"', 1)[0].decode() if len(head) == 2 else None
