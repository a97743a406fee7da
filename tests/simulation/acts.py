"""What may happen in a history, and a history drawn from a seed.

A history is a plain value: everything that chance decides is in it, also which message is lost and what
happens meanwhile. So the same history runs the same way again, and any part of it can be left out.
Each seed leaves some kinds of acts out and makes others frequent, or the rarer faults would never meet.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.simulation.content import NAMES, Text

PAIR, RING, FOREIGN = ("north", "south"), ("north", "south", "west"), ("north", "west")
FAULTS = (
    "lose request",
    "lose answer",
    "cut request",
    "cut answer",
    "cut answer unseen",
    "twice",
    "twice, first answer",
    "busy",
)
TERMS = ("wide", "narrow", "few types", "ended")
JUMPS = (-90_000, -660, -540, -7, 7, 540, 660, 90_000, 200_000)
READERS = 6  # of each site: four that follow its collection, and two that come anew


class Act(NamedTuple):
    """One act at one site.

    Args:
        what: Its kind.
        at: Name of the site.
        how: What else there is to say of it; see `acting`.
        faults: What goes wrong with which message of it: (number, fault, byte or place).
        meanwhile: Acts that take place before a message of it arrives: (number, act).
    """

    what: str
    at: str
    how: tuple[Any, ...] = ()
    faults: tuple[tuple[int, str, int], ...] = ()
    meanwhile: tuple[tuple[int, Act], ...] = ()


class Plan(NamedTuple):
    """One history.

    Args:
        seed: Where it came from; also seeds what the nodes draw themselves.
        names: The sites.
        carry: giver -> `pull` or `push`.
        room: Either may edit.
        onward: What one brings may be passed on.
        keep_days: Of the flow.
        page: Objects in a page of a pull.
        manners: Of the foreign server.
        acts: What happens.
    """

    seed: int
    names: tuple[str, ...]
    carry: tuple[tuple[str, str], ...]
    room: bool
    onward: bool
    keep_days: int
    page: int
    manners: tuple[tuple[str, Any], ...]
    acts: tuple[Act, ...]

    @property
    def foreign(self) -> str:
        """The site that runs other software; "" if none does."""
        return "west" if self.names == FOREIGN else ""


WEIGHTS: Mapping[str, float] = {
    "write": 10,
    "post": 3,
    "round": 9,
    "work": 3,
    "read": 5,
    "delete": 2,
    "undelete": 1,
    "replay": 2,
    "crash": 1.5,
    "backup": 1.5,
    "restore": 2,
    "terms": 1,
    "stricter": 1.5,
    "pause": 1,
    "resume": 1.5,
    "jump": 1.5,
    "erase": 0.7,
    "decide": 1,
}


def drawn(seed: int) -> Plan:
    """The history of a seed."""
    chance = random.Random(seed)
    names = chance.choices((PAIR, RING, FOREIGN), (6, 2, 1.5))[0]
    whole = chance.choice(("pull", "push", "mixed"))
    carry = tuple((name, chance.choice(("pull", "push")) if whole == "mixed" else whole) for name in names)
    if names == FOREIGN:
        carry = (("north", "push"), ("west", "pull"))
    weights = {what: each * chance.choice((0, 0.5, 1, 1, 2)) for what, each in WEIGHTS.items()}
    weights["write"], weights["round"] = max(weights["write"], 5), max(weights["round"], 5)
    few = chance.sample(NAMES, chance.choice((1, 2, 2, 3, 5, len(NAMES))))
    trouble = chance.choice((0, 0, 0.2, 0.6))
    context = _Context(chance, names, few, trouble, weights)
    acts = tuple(_act(context, 0) for _ in range(chance.randint(3, chance.choice((8, 16, 30)))))
    room = names != FOREIGN and chance.random() < 0.15
    return Plan(
        seed=seed,
        names=names,
        carry=carry,
        room=room,
        onward=names == RING and chance.random() < 0.6,
        keep_days=chance.choice((0, 0, 0, 1)),
        page=chance.choice((1, 2, 3, 100)),
        manners=_manners(chance) if names == FOREIGN else (),
        acts=acts,
    )


class _Context(NamedTuple):
    chance: random.Random
    names: tuple[str, ...]
    few: list[str]
    trouble: float
    weights: dict[str, float]


def _act(context: _Context, depth: int) -> Act:
    chance = context.chance
    what = chance.choices(list(context.weights), list(context.weights.values()))[0]
    if depth and what in ("read", "work"):
        what = "write"
    at = chance.choice(context.names)
    if what in ("round", "work", "post", "write", "delete") and chance.random() < 0.1:
        doom: tuple[Any, ...] = (
            chance.choice(context.names),
            chance.randint(0, 6),
            chance.choice(("before", "after")),
        )
    else:
        doom = ()
    if what in ("write", "post"):
        texts = tuple(_text(context) for _ in range(chance.choice((1, 1, 2, 4))))
        return Act(what, at, (texts, chance.random() < 0.4, doom))
    if what in ("round", "work"):
        direction = chance.choice((None, None, "in", "out"))
        return Act(what, at, (direction, doom), _faults(context), _meanwhile(context, depth))
    if what == "read":
        return Act(
            what,
            at,
            (chance.randrange(READERS), chance.randint(1, 4), chance.random() < 0.5, chance.random() < 0.1),
        )
    if what in ("delete", "undelete"):
        return Act(what, at, (chance.choice(context.few), chance.random() < 0.4, doom))
    if what == "replay":
        return Act(what, at, (chance.randint(1, 12),))
    if what == "crash":
        return Act(what, at, (chance.randint(0, 12), chance.choice(("before", "after"))))
    if what == "terms":
        return Act(what, at, (chance.choice(TERMS), chance.random() < 0.6))
    if what in ("stricter", "decide"):
        return Act(what, at, (chance.random() < 0.5,))
    if what == "jump":
        return Act(what, at, (chance.choice(JUMPS),))
    return Act(what, at)


def _text(context: _Context) -> Text:
    chance = context.chance
    return Text(
        chance.choice(context.few),
        chance.choice((0, 0, 0, 1, 2)),
        chance.choice((0, 0, 0, 1)),
        chance.choice(("green", "green", "green", "amber", "red")),
        chance.random() < 0.1,
    )


def _faults(context: _Context) -> tuple[tuple[int, str, int], ...]:
    chance = context.chance
    return tuple(
        (number, chance.choice(FAULTS), chance.randrange(2_000))
        for number in range(8)
        if chance.random() < context.trouble
    )


def _meanwhile(context: _Context, depth: int) -> tuple[tuple[int, Act], ...]:
    chance = context.chance
    if depth or chance.random() > 0.3:
        return ()
    return tuple((chance.randint(0, 4), _act(context, depth + 1)) for _ in range(chance.randint(1, 3)))


def _manners(chance: random.Random) -> tuple[tuple[str, Any], ...]:
    style = chance.choice(("offset", "offset", "none"))
    posts = ("complete", "complete", "slow", "forgotten", "pending", "liar", "duplicates_fail")
    return (
        # Without `next`, pages of one would show the overlap of two dates for ever; see `bookmarks.earlier`.
        ("page_most", chance.choice((1, 2, 100)) if style == "offset" else 100),
        ("digits", chance.choice((6, 3, 0))),
        ("inclusive", chance.random() < 0.3),
        ("next_style", style),
        ("post_style", chance.choice(posts)),
        ("post_most", chance.choice((1, 3, 10_000))),
    )
