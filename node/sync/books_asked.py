"""The books of a partner of our own kind, asked for step by step and read as strangers' words.

Rule    A partner may lie, but not make us wait or remember without end: a walk ends after so many steps and
        so many lines, and what is not of its form is no answer. A history that changes on the way ends the
        walk.

Reads   what the partner says. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from urllib.parse import quote

import msgspec

from node.clock import parse_taxii_time
from node.errors import PartnerRefused, PartnerUnreachable
from node.exchange.books_told import BUCKETS, Line, Sum, Word, together
from node.exchange.ledger import Key
from node.sharing.links import Link
from node.stix.decoding import ID
from node.sync.answers import check_type
from node.sync.client import Partner
from node.sync.connection import Answer
from node.sync.refusals import AskedToWait, printable

MOST_STEPS = 10_000
MOST_LINES = 250_000  # of 50,000 that are asked for at once; a single bucket of more were 60 million objects
MOST_WAITS, LONGEST_PAUSE = 12, 10.0  # seconds
_LONGEST_ID = 300
_INT64 = 2**63

Side = Literal["received", "given"]


class _Sum(msgspec.Struct):
    count: int
    sum: str


class _Line(msgspec.Struct):
    id: str
    spec_version: str
    version: int
    digest: str
    word: str
    date_added: str = ""
    earlier: bool = False


class _Mark(msgspec.Struct):
    mark: str
    word: str


class _Books(msgspec.Struct):
    side: str
    next: str = ""
    read_to: str = ""
    buckets: dict[str, _Sum] = msgspec.field(default_factory=dict)
    lines: list[_Line] = msgspec.field(default_factory=list)
    marks: list[_Mark] = msgspec.field(default_factory=list)


class Header(NamedTuple):
    """What every answer said of the other side: its epoch, the terms, and how far it has read our feed."""

    epoch: str
    terms: str
    read_to: int | None


@dataclass(slots=True)
class Asked:
    """What a partner's book said.

    Args:
        lines: By key; the last word of each counts.
        marks: Mark -> word, of versions that it does not name.
    """

    header: Header
    sums: dict[int, Sum] = field(default_factory=dict)
    lines: dict[Key, Line] = field(default_factory=dict)
    marks: dict[str, Word] = field(default_factory=dict)
    steps: int = 0


@dataclass(frozen=True, slots=True)
class Books:
    """The book of one link on the partner's side.

    Args:
        client: The partner.
        link: Ours; of an outgoing one the partner's ledger is asked, of an incoming one its feed.
        remote: The partner's id of the collection.
        headers: Of our own kind.
        closed: Asked before each step; raises when the walk must end.
        pause: Waits some seconds where the partner asks for a few; True when the walk must end.
    """

    client: Partner
    link: Link
    remote: str
    headers: dict[str, str]
    closed: Callable[[], None]
    pause: Callable[[float], bool]

    @property
    def side(self) -> Side:
        """Which of the partner's two books."""
        return "received" if self.link.direction == "out" else "given"

    def sums(self) -> Asked:
        """The sums of all buckets.

        Raises:
            PartnerError: No answer, or none of this form; so does `lines`.
        """
        return self._walked("")

    def lines(self, buckets: Iterable[int]) -> Asked:
        """The lines of some buckets."""
        return self._walked(",".join(f"{bucket:02x}" for bucket in sorted(buckets)))

    def _walked(self, buckets: str) -> Asked:
        asked: Asked | None = None
        place = ""
        for _ in range(MOST_STEPS):
            self.closed()
            header, told = self._step(buckets, place)
            if asked is None:
                asked = Asked(header)
            elif header.epoch != asked.header.epoch:
                raise PartnerUnreachable(
                    f"The history of {self.link.partner} changed while its books were read.",
                    remedy=f"Run it again: stixnode reconcile {self.link.name}",
                )
            asked.steps += 1
            self._take(asked, told)
            if not told.next:
                return asked
            if told.next == place:
                break
            place = told.next
        raise self._endless()

    def _step(self, buckets: str, place: str) -> tuple[Header, _Books]:
        params = {name: value for name, value in (("buckets", buckets), ("next", place)) if value}
        path = f"exchange/books/{quote(self.remote, safe='-')}/{self.side}/"
        answer = self._answer(path, params)
        check_type(self.link.partner, answer)
        try:
            told = msgspec.json.decode(answer.body, type=_Books)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as cause:
            raise self._nonsense("no book") from cause
        if told.side != self.side:
            raise self._nonsense(f"the book {printable(told.side, 20)!r}")
        epoch = answer.headers.get("X-Exchange-Epoch", "")
        terms = answer.headers.get("X-Exchange-Terms", "")
        return Header(epoch, terms, self._moment(told.read_to)), told

    def _answer(self, path: str, params: dict[str, str]) -> Answer:
        """An answer; a partner that first has to judge what is due for us is given some time for it."""
        for _ in range(MOST_WAITS):
            try:
                return self.client.beside(path, headers=self.headers, params=params)
            except AskedToWait as cause:
                seconds = cause.retry_after_seconds or 0.0
                if seconds > LONGEST_PAUSE or self.pause(seconds):
                    raise
        return self.client.beside(path, headers=self.headers, params=params)

    def _take(self, asked: Asked, told: _Books) -> None:
        if len(told.buckets) > BUCKETS or len(asked.lines) + len(asked.marks) > MOST_LINES:
            raise self._endless()
        sums = {self._bucket(at): self._sum(one) for at, one in told.buckets.items()}
        asked.sums = together(asked.sums, sums)
        for one in told.lines:
            line = self._line(one)
            asked.lines[line.key] = line
        for mark in told.marks:
            asked.marks[mark.mark[:64]] = self._word(mark.word)

    def _line(self, one: _Line) -> Line:
        try:
            digest = bytes.fromhex(one.digest)
        except ValueError:
            raise self._nonsense("a digest that is none") from None
        fits = -_INT64 <= one.version < _INT64 and len(digest) <= 64 and len(one.spec_version) <= 10
        if not fits or len(one.id) > _LONGEST_ID or not one.id.isprintable():
            raise self._nonsense("a line that is none")
        date = self._moment(one.date_added)
        key = Key(one.id, one.spec_version, one.version, digest)
        return Line(key, self._word(one.word), 0 if date is None else date, one.earlier)

    def _bucket(self, text: str) -> int:
        try:
            return bytes.fromhex(text)[0]
        except (ValueError, IndexError):
            raise self._nonsense("a bucket that is none") from None

    def _sum(self, one: _Sum) -> Sum:
        try:
            return Sum(one.count, int(one.sum[:64], 16))
        except ValueError:
            raise self._nonsense("a sum that is none") from None

    def _word(self, text: str) -> Word:
        try:
            return Word(text)
        except ValueError:
            raise self._nonsense(f"the word {printable(text, 20)!r}") from None

    def _moment(self, text: str) -> int | None:
        if not text:
            return None
        try:
            return parse_taxii_time(text)
        except ValueError:
            raise self._nonsense("a date that is none") from None

    def _nonsense(self, what: str) -> PartnerUnreachable:
        return PartnerUnreachable(
            f"{self.link.partner} answered with {what} where its books were asked for; nothing was changed.",
            remedy="If it lasts, compare the versions of both nodes: stixnode version",
        )

    def _endless(self) -> PartnerRefused:
        return PartnerRefused(
            f"{self.link.partner} tells books without an end; nothing was changed.",
            remedy=f"Tell {self.link.partner}.",
        )


def is_named(key: Key) -> bool:
    """Whether a line names an object as people do, and not what could not be read whole."""
    return ID.fullmatch(key.stix_id) is not None and key.spec_version != ""
