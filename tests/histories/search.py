"""Histories of the model: which acts there are, all of them to a depth, some of them beyond, and the verdict.

every(scenario, rules, depth)   every history of that many acts, prefixes shared, no-ops left out
some(seed, number, rules)       histories at random, longer and over everything at once
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from node.sharing.decisions import Reason
from tests.histories.carrying import FINE, LOST_ANSWER, LOST_REQUEST, carry
from tests.histories.feeding import flags, judge
from tests.histories.model import (
    OFFERED,
    OUT,
    SENT,
    Key,
    Pair,
    Rules,
    State,
    Text,
    a_pair,
    define,
    delete,
    key_of,
    write,
)

ROUNDS = 10
EXPLAINED = ("variant", "quarantined", "suppressed", "refused")


class Act(NamedTuple):
    """One act: a word, the node, and for some an object or the state of the line."""

    what: str
    at: str
    which: str = ""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A family of histories.

    Args:
        acts: What may happen.
        before: Acts that every history begins with.
        push: Who of north and south brings what it gives; the others are pulled from.
        room: Whether either may edit.
    """

    name: str
    acts: tuple[Act, ...]
    before: tuple[Act, ...] = ()
    push: tuple[bool, bool] = (True, True)
    room: bool = False


def do(pair: Pair, rules: Rules, act: Act) -> None:
    """Carry out one act; what a node refuses its own people changes nothing."""
    what, at, which = act
    node = pair.node(at)
    pair.now += 1_000
    if what == "carry":
        carry(pair, rules, at, which)
    elif what == "delete":
        delete(pair, at, which)
    elif what == "define":
        define(pair, at)
    elif what == "back up":
        pair.backups[at] = node.copy()
    elif what == "restore":
        _restore(pair, at)
    elif what in ("narrow", "widen"):
        node.narrow = what == "narrow"
    else:
        text = _text(node, what, which)
        if text is not None:
            write(pair, rules, at, text, restate=what.startswith("restate"))


def _text(node: State, what: str, stix_id: str) -> Text | None:
    """The text that an act brings; None where it makes no sense."""
    last = next((text for text, its in flags(node, stix_id) if its.is_last), None)
    if what == "create":
        return Text(stix_id, 0) if last is None else None
    if what == "create other":
        return Text(stix_id, 0, 1) if last is None or stix_id == "sco" else None
    if what == "create statement":
        return Text(stix_id, 0, 0, "statement") if last is None else None
    if what == "create amber":
        return Text(stix_id, 0, 0, "amber") if last is None else None
    if what == "create revoked":
        return Text(stix_id, 0, 2, "green", True) if last is None else None
    if last is None:
        return None
    newer = last._replace(version=last.version + 1)
    return {
        "edit": newer,
        "restate": last._replace(variant=1 - min(last.variant, 1)),
        "restate red": last._replace(mark="red"),
        "raise": newer._replace(mark="red"),
        "lower": newer._replace(mark="green"),
        "revoke": newer._replace(revoked=True),
        "late": last._replace(version=last.version - 1) if last.version else None,
    }[what]


def _restore(pair: Pair, at: str) -> None:
    pair.epochs += 1
    now = pair.node(at)
    back = pair.backups[at].copy()
    # The configuration is not in the database; epochs of a node never come again.
    back.narrow, back.epoch = now.narrow, pair.epochs
    if at == "north":
        pair.north = back
    else:
        pair.south = back


def verdict(pair: Pair, rules: Rules) -> list[str]:
    """Faults off, rounds until quiet: everything that is wrong then; the pair is used up."""
    quiet = 0
    for _ in range(ROUNDS):
        moved = carry(pair, rules, "north") + carry(pair, rules, "south")
        quiet = 0 if moved else quiet + 1
        if quiet == 2:
            break
    found = list(pair.faults)
    if quiet < 2:
        found.append("the two nodes do not become quiet")
    for giving, taking in ((pair.north, pair.south), (pair.south, pair.north)):
        found += _missing(pair, giving, taking)
    return found


def _missing(pair: Pair, giving: State, taking: State) -> Iterator[str]:
    pushed = pair.push[0] if giving.name == "north" else pair.push[1]
    if pushed:
        waiting = [text for _, state, text in giving.feed.values() if state in (OFFERED, SENT)]
        yield from (f"{giving.name} has still to send {text}" for text in waiting)
    for rows in giving.rows.values():
        for row in rows:
            decision = judge(pair, giving, row, entering=True)
            key = key_of(row.text)
            if decision.allowed and giving.feed.get(key, (0, OUT, row.text))[1] == OUT:
                yield f"{giving.name} permits {row.text}, and it is not in the feed"
            if (decision.allowed or decision.reason is Reason.BROUGHT_BY_PARTNER) and not _explained(
                taking, giving, key, allowed=decision.allowed
            ):
                yield f"{giving.name} permits {row.text}, and nothing explains why {taking.name} lacks it"


def _explained(taking: State, giving: State, key: Key, *, allowed: bool) -> bool:
    rows = taking.rows.get(key.id, ())
    if any(key_of(row.text) == key for row in rows) or key in taking.stones:
        return True
    outcome = taking.received.get(key, ("", ()))[0]
    if outcome in EXPLAINED:
        return True
    if outcome == "echo":
        return key in taking.ever_sent
    # Replaced there by what another brought: a tie, or our own restatement. By ours alone: it is missing.
    same = [row for row in rows if row.text.version == key.version]
    return key in taking.replaced and all(row.origin != giving.name or not allowed for row in same)


def every(scenario: Scenario, rules: Rules, depth: int) -> tuple[int, list[str], tuple[Act, ...]]:
    """Every history up to a depth: (how many, what is wrong with the first bad one, its acts)."""
    pair = a_pair(push=scenario.push, room=scenario.room)
    for act in scenario.before:
        do(pair, rules, act)
    seen: set[tuple[int, str]] = set()
    count = 0
    waiting: list[tuple[Pair, tuple[Act, ...]]] = [(pair, ())]
    while waiting:
        reached, history = waiting.pop()
        here = _mark(reached)
        for act in scenario.acts:
            after = reached.copy()
            do(after, rules, act)
            there = _mark(after)
            mark = (depth - len(history), there)
            if there == here or mark in seen:
                continue  # a no-op, or another order of the same
            seen.add(mark)
            count += 1
            found = verdict(after.copy(), rules)
            if found:
                return count, found, (*scenario.before, *history, act)
            if len(history) + 1 < depth:
                waiting.append((after, (*history, act)))
    return count, [], ()


def _mark(pair: Pair) -> str:
    """The same for states that differ in dates alone."""
    backups = (pair.backups["north"], pair.backups["south"])
    return repr(
        [
            *(_mark_of(node, pair.node(node.partner)) for node in (pair.north, pair.south)),
            *(_mark_of(node, pair.node(node.partner)) for node in backups),
        ]
    )


def _mark_of(node: State, partner: State) -> list[object]:
    places = sorted(place for place, _, _ in node.feed.values())
    order = {place: number for number, place in enumerate(places)}
    feed = sorted((key, order[place], state) for key, (place, state, _) in node.feed.items())
    read = node.bookmark and (
        sum(1 for place, _, _ in partner.feed.values() if place <= node.bookmark[0]),
        node.bookmark[1],
    )
    session, applied = node.session, partner.applied
    pushed = session and (session.epoch, session.sent, session.batch)
    behind = session and applied and (session.started > applied.started) - (session.started < applied.started)
    return [
        (node.epoch, node.narrow, bool(node.definitions), node.feed_of, node.known_in, node.known_out),
        (sorted(node.rows.items()), sorted(node.owners.items()), sorted(node.stones), sorted(node.replaced)),
        (sorted(node.received.items()), feed, sorted(node.due), sorted(node.ever_sent)),
        (read, pushed, behind, node.applied and node.applied[1:3], sorted(node.answers.values())),
        (sorted(node.newest_ever.items()), sorted(node.first_owner.items())),
    ]


def some(
    seed: int, rules: Rules, acts: tuple[Act, ...], *, longest: int = 14
) -> tuple[list[str], list[Act], Scenario]:
    """One history at random: (what is wrong, its acts, where it took place); swarms switch acts off."""
    chance = random.Random(seed)
    scenario = Scenario(
        f"seed {seed}",
        tuple(act for act in acts if act.what == "carry" or chance.random() < 0.6),
        push=(chance.random() < 0.5, chance.random() < 0.5),
        room=chance.random() < 0.2,
    )
    history = [chance.choice(scenario.acts) for _ in range(chance.randint(3, longest))]
    return run(scenario, rules, history), history, scenario


def run(scenario: Scenario, rules: Rules, history: list[Act]) -> list[str]:
    """What is wrong after one history."""
    pair = a_pair(push=scenario.push, room=scenario.room)
    for act in (*scenario.before, *history):
        do(pair, rules, act)
    return verdict(pair, rules)


def shortened(scenario: Scenario, rules: Rules, history: list[Act]) -> list[Act]:
    """The history without every act that it fails without."""
    place = 0
    while place < len(history):
        without = history[:place] + history[place + 1 :]
        if run(scenario, rules, without):
            history = without
        else:
            place += 1
    return history


def acts(at: str, *words: str) -> tuple[Act, ...]:
    """Acts of one node from `word` or `word object`, such as `carry` or `restate red:x`."""
    return tuple(Act(word.partition(":")[0], at, word.partition(":")[2]) for word in words)


def both(*words: str) -> tuple[Act, ...]:
    """The same acts for both nodes."""
    return acts("north", *words) + acts("south", *words)


LINES = (f"carry:{FINE}", f"carry:{LOST_REQUEST}", f"carry:{LOST_ANSWER}")
EXCHANGED = acts("north", "create:x", f"carry:{FINE}")
