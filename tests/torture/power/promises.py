"""What the node has promised: which bytes must be found at which place, after each act that it acknowledged.

Rule    From the moment an act began until it is acknowledged, the place may be as before or as after it.
        Once acknowledged, only what it left counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

Place = tuple[str, str]
"""Id and version of an object, as text."""
Content = Mapping[Place, bytes | None]
"""The bytes at each place; None where nothing is."""


@dataclass(frozen=True, slots=True)
class Begun:
    """An act was asked for.

    Args:
        name: What it is, for people.
        after: What it leaves at the places it touches.
        now: By the node's clock.
    """

    name: str
    after: Content
    now: int


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The act begun last was answered, or the call that did it came back.

    Args:
        shown: The latest `date_added` of each collection, by alias, which somebody may have seen.
    """

    shown: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Committed:
    """A transaction ended, and the database had this content."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Marked:
    """The high-water marks outside the database were these from now on."""

    marks: Mapping[str, int]


@dataclass(slots=True)
class Promises:
    """What may be found now.

    Args:
        allowed: For each place ever touched, what may be there.
        states: The content of the database after each commit, oldest first; the first is that of the start.
        safe: The number of the oldest of these states that may be found.
        shown: The latest date of each collection, by alias, which somebody may have seen.
        marks: The high-water marks.
        now: By the node's clock.
        act: What is under way.
    """

    allowed: dict[Place, frozenset[bytes | None]] = field(default_factory=dict)
    states: list[bytes] = field(default_factory=list)
    safe: int = 0
    shown: dict[str, int] = field(default_factory=dict)
    marks: Mapping[str, int] = field(default_factory=dict)
    now: int = 0
    act: Begun | None = None

    def hear(self, word: object) -> None:
        """Take in what happened next; what the disk was asked to do plays no part here."""
        match word:
            case Begun():
                self.act, self.now = word, word.now
                for place, content in word.after.items():
                    self.allowed[place] = self.allowed.get(place, frozenset([None])) | {content}
            case Acknowledged(shown) if self.act is not None:
                for place, content in self.act.after.items():
                    self.allowed[place] = frozenset([content])
                self.shown.update(shown)
                self.safe, self.act = len(self.states) - 1, None
            case Committed(content):
                self.states.append(content)
            case Marked(marks):
                self.marks = marks

    def broken(self, found: Content) -> list[str]:
        """What is not as it was promised, a line for each place."""
        return [
            f"{' '.join(place)} {_word(found.get(place), allowed)}"
            for place, allowed in self.allowed.items()
            if found.get(place) not in allowed
        ]

    def unasked(self, found: Iterable[Place]) -> list[str]:
        """What nobody ever brought."""
        return [f"{' '.join(place)} was never brought" for place in found if place not in self.allowed]

    def settled(self, found: Content, state: bytes) -> Promises:
        """The promises of the life after a power cut: what was found is what counts."""
        allowed = {place: frozenset([found.get(place)]) for place in self.allowed}
        return Promises(allowed, [state], 0, dict(self.shown), self.marks, self.now)

    def copy(self) -> Promises:
        """The same promises, to go on from."""
        return replace(self, allowed=dict(self.allowed), states=list(self.states), shown=dict(self.shown))


def _word(found: bytes | None, allowed: frozenset[bytes | None]) -> str:
    if found is None:
        return "is lost"
    return "is there again" if allowed == {None} else "has other bytes"
