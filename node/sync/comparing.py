"""Two books of one link, held against each other: what is the same, what differs, and what is explained.

Pure. A difference is explained when one of the books, or what we hold, says why it is so; only what nobody
can explain is a difference for a person, and only of that something may be repaired.

Reads and writes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from node.exchange.books_told import Line, Word, mark_of
from node.exchange.ledger import Key

MOST_NAMED = 100_000
# What stands in a giver's feed and has left it.
HANDED = (Word.GIVEN, Word.CONFIRMED)
_LOST = (Word.MISSING, Word.DIFFERS)


class Group(StrEnum):
    """What nothing explains."""

    ONLY_HERE = "only here"
    ONLY_THERE = "only there"
    OTHER_CONTENT = "other content"


class Why(StrEnum):
    """What explains a difference; the words that people read."""

    WAITING = "on its way"
    SET_ASIDE = "set aside for a person"
    DISCARDED = "discarded by a person"
    CORRECTED = "corrected by a person before it was taken"
    REFUSED = "refused"
    VARIANT = "a variant: other content of this version stands here"
    REMOVED = "removed here"
    REPLACED = "replaced by a later rendition"
    TAKEN_OUT = "taken out of the feed after it was given"
    WITHHELD = "withheld since it was given"
    EARLIER = "of an earlier history, or earlier terms"
    OLDER = "an older version; they list newer ones alone"
    VANISHED = "no longer listed there; kept here"


_REASONS = {
    "set_aside": Why.SET_ASIDE,
    "discarded": Why.DISCARDED,
    "edited": Why.CORRECTED,
    "refused": Why.REFUSED,
    "removed": Why.REMOVED,
    "variant": Why.VARIANT,
    "replaced": Why.REPLACED,
}


class Finding(NamedTuple):
    """One version that is not simply the same on both sides.

    Args:
        group: Where it stands among the unexplained; None when it is explained.
        why: What explains it; None when nothing does.
        at: Microseconds: when it was given or came; 0 when nobody knows.
        repairable: Whether `--repair` would bring it.
    """

    key: Key
    group: Group | None
    why: Why | None
    at: int
    repairable: bool = False


@dataclass(slots=True)
class Compared:
    """The result for one link.

    Args:
        by: Against what: `books` or `manifest`.
        same: Versions on which both sides agree.
        explained: Why -> number.
        different: What nothing explains.
        named: The explained ones, up to `MOST_NAMED`.
    """

    by: str = "books"
    same: int = 0
    explained: Counter[Why] = field(default_factory=Counter)
    different: list[Finding] = field(default_factory=list)
    named: list[Finding] = field(default_factory=list)

    def add(self, found: Finding | None) -> None:
        """One version more; None where both sides agree."""
        if found is None:
            self.same += 1
        elif found.why is not None:
            self.explained[found.why] += 1
            if len(self.named) < MOST_NAMED:
                self.named.append(found)
        else:
            self.different.append(found)


@dataclass(frozen=True, slots=True)
class Reach:
    """How far the receiver has come, as far as we know.

    Args:
        fetches: Whether the receiver fetches what the giver offers; else the giver brings it.
        again: The receiver will be given everything again: its history, ours or the terms are new.
        read_to: Up to which position of the feed the receiver has read; None from the start.
    """

    fetches: bool
    again: bool
    read_to: int | None

    def on_its_way(self, line: Line) -> bool:
        """Whether a line of a feed need not be there yet."""
        if self.again or line.word is Word.WAITING:
            return True
        if self.fetches:
            return self.read_to is None or line.at > self.read_to
        return line.word is Word.GIVEN


def explained(key: Key, why: Why, at: int = 0) -> Finding:
    """A finding that something explains."""
    return Finding(key, None, why, at)


def unexplained(key: Key, group: Group, at: int = 0, *, repairable: bool = False) -> Finding:
    """A finding that nothing explains."""
    return Finding(key, group, None, at, repairable)


def compare_given(
    ours: Mapping[Key, Line], theirs: Mapping[Key, Line], reach: Reach, withheld: frozenset[Key]
) -> Iterator[Finding | None]:
    """What we gave, against what the receiver's ledger says; None for each version that is the same.

    Args:
        ours: The lines of our feed.
        theirs: The lines of its ledger.
        reach: Of the receiver.
        withheld: Which of what was taken out stands in our ledger as withheld.
    """
    unreadable = _unreadable(theirs.values())
    versions = {_version(key) for key in ours}
    theirs_alone = {
        _version(key): key for key, line in theirs.items() if key not in ours and not line.earlier
    }
    paired: set[Key] = set()
    for key, line in ours.items():
        told = theirs.get(key)
        if told is None and line.word in HANDED and not reach.on_its_way(line):
            other = theirs_alone.get(_version(key))
            if other is not None and key.version and theirs[other].word is Word.TAKEN:
                paired.add(other)
                yield unexplained(key, Group.OTHER_CONTENT, line.at)
                continue
        if told is None and line.word is Word.OUT:
            continue  # neither side has it any more
        yield _one_given(line, told, reach, unreadable, withheld)
    for key, told in theirs.items():
        if key not in ours and key not in paired and key.spec_version:
            yield _one_unknown(told, known=_version(key) in versions)


def _one_given(
    line: Line, told: Line | None, reach: Reach, unreadable: Mapping[str, Word], withheld: frozenset[Key]
) -> Finding | None:
    key, at = line.key, line.at
    if line.word is Word.OUT:
        return explained(key, Why.WITHHELD if key in withheld else Why.TAKEN_OUT, at)
    word = unreadable.get(key.stix_id) if told is None else told.word
    if word is Word.SET_ASIDE or (word is None and line.word is Word.SET_ASIDE):
        return explained(key, Why.SET_ASIDE, at)
    if word is Word.REFUSED or (word is None and line.word is Word.REFUSED):
        return explained(key, Why.REFUSED, at)
    if word is Word.TAKEN:
        return explained(key, Why.WAITING, at) if line.word is Word.WAITING else None
    if reach.on_its_way(line):
        return explained(key, Why.WAITING, at)
    if word is Word.DIFFERS:
        return unexplained(key, Group.OTHER_CONTENT, at)
    return unexplained(key, Group.ONLY_HERE, at, repairable=line.word in HANDED)


def _one_unknown(told: Line, *, known: bool) -> Finding:
    """A line of the receiver's ledger of which our feed knows nothing."""
    if told.earlier:
        return explained(told.key, Why.EARLIER)
    if told.word in (Word.REFUSED, Word.SET_ASIDE):
        return explained(told.key, Why.REFUSED if told.word is Word.REFUSED else Why.SET_ASIDE)
    if known and told.key.version:
        return explained(told.key, Why.REPLACED)
    return unexplained(told.key, Group.ONLY_THERE)


def compare_received(
    ours: Mapping[Key, Line], theirs: Mapping[Key, Line], marks: Mapping[str, Word], reach: Reach
) -> Iterator[Finding | None]:
    """What came to us, against what the giver's feed says; None for each version that is the same.

    Args:
        ours: The lines of our ledger.
        theirs: The lines of its feed that it names.
        marks: What it does not name.
        reach: Of ourselves.
    """
    unreadable = _unreadable(ours.values())
    versions = {_version(key): line for key, line in theirs.items() if line.word is not Word.WAITING}
    ours_alone = {_version(key): line for key, line in ours.items() if key not in theirs}
    paired: set[Key] = set()
    for key, told in theirs.items():
        if key not in ours and key.stix_id not in unreadable and told.word is not Word.WAITING:
            other = ours_alone.get(_version(key))
            lost = told.word in HANDED and not reach.on_its_way(told)
            if lost and other is not None and key.version and other.word is Word.TAKEN and not other.reason:
                paired.add(other.key)
                yield unexplained(key, Group.OTHER_CONTENT, told.at)
                continue
            yield _one_offered(told, reach)
    for key, line in ours.items():
        if key in paired:
            continue
        if not key.spec_version:
            yield explained(key, Why.REFUSED if line.word is Word.REFUSED else Why.SET_ASIDE, line.at)
            continue
        same = theirs.get(key)
        word = (marks.get(mark_of(key)) if marks else None) if same is None else same.word
        later = versions.get(_version(key)) if key.version else None
        yield _one_received(line, word, reach, replaced=later is not None)


def _one_offered(told: Line, reach: Reach) -> Finding:
    """A line of the giver's feed of which our ledger knows nothing."""
    if told.word in (Word.REFUSED, Word.SET_ASIDE):
        return explained(told.key, Why.REFUSED if told.word is Word.REFUSED else Why.SET_ASIDE, told.at)
    if reach.on_its_way(told):
        return explained(told.key, Why.WAITING, told.at)
    return unexplained(told.key, Group.ONLY_THERE, told.at, repairable=reach.fetches)


def _one_received(line: Line, word: Word | None, reach: Reach, *, replaced: bool) -> Finding | None:
    key, at = line.key, line.at
    if line.reason in _REASONS:
        return explained(key, _REASONS[line.reason], at)
    if line.word is Word.DIFFERS:
        return unexplained(key, Group.OTHER_CONTENT, at)
    if line.word is Word.MISSING:
        offered = word is not None and word is not Word.OUT
        return unexplained(key, Group.ONLY_THERE, at, repairable=offered and reach.fetches)
    if line.reason == "echo" or word is not None:
        return None  # also of what they took out of the feed or offer anew: it is here as they gave it
    if line.earlier:
        return explained(key, Why.EARLIER, at)
    if replaced:
        return explained(key, Why.REPLACED, at)
    return unexplained(key, Group.ONLY_HERE, at)


def agreed(line: Line, withheld: frozenset[Key] = frozenset()) -> Finding | None:
    """What a line of ours comes to where the sums say that the other book has the same."""
    if line.reason in _REASONS:
        return explained(line.key, _REASONS[line.reason], line.at)
    if line.word is Word.OUT:
        return explained(line.key, Why.WITHHELD if line.key in withheld else Why.TAKEN_OUT, line.at)
    if line.word is Word.WAITING:
        return explained(line.key, Why.WAITING, line.at)
    if line.word in (Word.SET_ASIDE, Word.REFUSED):
        return explained(line.key, Why.SET_ASIDE if line.word is Word.SET_ASIDE else Why.REFUSED, line.at)
    if line.word in _LOST:
        return unexplained(line.key, Group.OTHER_CONTENT, line.at)
    return None


def _unreadable(lines: Iterable[Line]) -> dict[str, Word]:
    """id -> what became of the texts of it that could not be read whole."""
    return {line.key.stix_id: line.word for line in lines if not line.key.spec_version}


def _version(key: Key) -> tuple[str, str, int]:
    return key.stix_id, key.spec_version, key.version
