"""Histories written by hand: the shortest that find those planted faults which chance finds late.

Each breaks nothing without its fault.
"""

from __future__ import annotations

from typing import Any

from tests.simulation.acts import FOREIGN, PAIR, Act, Plan
from tests.simulation.content import Text


def a_plan(*acts: Act, by: str = "push", **changes: Any) -> Plan:
    """North and south, plainly, unless told otherwise."""
    carried = tuple((name, by) for name in PAIR)
    return Plan(1, PAIR, carried, False, False, 0, 100, (), acts)._replace(**changes)


def writes(at: str, *names: str, restate: bool = False, **text: Any) -> Act:
    """People of a site import texts."""
    return Act("write", at, (tuple(Text(name, **text) for name in names), restate, ()))


def works(at: str, *, faults: Any = (), meanwhile: Any = (), doom: Any = ()) -> Act:
    """A round of all links of a site."""
    return Act("round", at, (None, doom), faults, meanwhile)


def does(what: str, at: str, *how: Any) -> Act:
    """Any other act."""
    return Act(what, at, how)


NAMED: dict[str, Plan] = {
    "bookmark before the objects": a_plan(
        writes("south", "nobody's"), works("north", doom=("north", 3, "before")), by="pull"
    ),
    "a resend is not judged": a_plan(
        writes("north", "nobody's"),
        works("north", faults=((2, "lose request", 0),)),
        writes("north", "nobody's", step=1, tlp="red"),
    ),
    "judged when it enters the feed alone": a_plan(
        writes("north", "nobody's"),
        works("north", meanwhile=((0, writes("north", "nobody's", step=1, tlp="red")),)),
    ),
    "nobody waits for a reference": a_plan(
        does("stricter", "north", True),
        writes("north", "nobody's", tlp="red"),
        writes("north", "tie"),
        works("north"),
        works("north"),
        writes("north", "nobody's", step=1),
    ),
    "widened terms do not reach what was withheld": a_plan(
        does("stricter", "north", True),
        writes("north", "nobody's", tlp="amber"),
        works("north"),
        does("stricter", "north", False),
    ),
    "every batch is applied however old": a_plan(
        writes("north", "north's"),
        works("north"),
        writes("north", "north's", variant=1, restate=True),
        works("north"),
        does("replay", "north", 4),
    ),
    "offers are dated by the clock": a_plan(
        does("jump", "north", 540),
        writes("north", "other"),
        works("south"),
        does("jump", "north", -540),
        writes("north", "nobody's"),
        works("south"),
        by="pull",
    ),
    "the epoch is ignored by who pulls": a_plan(
        writes("south", "other"),
        does("backup", "south"),
        does("jump", "south", 540),
        writes("south", "nobody's"),
        works("north"),
        does("jump", "south", -540),
        does("restore", "south"),
        does("resume", "south"),
        writes("south", "south's"),
        works("north"),
        by="pull",
    ),
    "what is last again keeps its date": a_plan(
        writes("north", "nobody's"),
        writes("north", "nobody's", step=1),
        does("read", "north", 2, 4, False, False),
        does("delete", "north", "nobody's", True, ()),
    ),
    "remembered pages are kept": a_plan(
        writes("north", "nobody's"),
        writes("north", "other"),
        does("read", "north", 4, 1, False, False),
        does("delete", "north", "nobody's", False, ()),
        does("read", "north", 4, 1, False, False),
    ),
    "other software is asked from the exact date": a_plan(
        writes("west", "nobody's", "other"),
        works("north", faults=((1, "lose answer", 0),)),
        names=FOREIGN,
        carry=(("north", "push"), ("west", "pull")),
        manners=(("page_most", 1), ("digits", 0)),
    ),
    "a restate in a room stands against the tie": a_plan(
        writes("north", "nobody's", revoked=True),
        writes("south", "nobody's", tlp="red"),
        works("south"),
        writes("south", "nobody's", restate=True),
        by="pull",
        room=True,
    ),
    "what was too much goes in halves that are not judged": a_plan(
        writes("north", "south's", step=2),
        writes("north", "south's"),
        works("north", meanwhile=((3, writes("north", "south's", step=2, tlp="red", restate=True)),)),
        names=FOREIGN,
        carry=(("north", "push"), ("west", "pull")),
        manners=(("page_most", 100), ("post_most", 1)),
    ),
    "a link that failed is tried at once when it is closed": a_plan(
        Act("work", "north", (None, ()), faults=((0, "lose request", 0),)),
        does("terms", "north", "ended", True),
        does("work", "north", None, ()),
    ),
}
