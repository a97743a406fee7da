"""All short histories of two nodes, and many long ones, end in convergence; planted faults do not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.sharing.admission import (
    Action,
    Arriving,
    Bringer,
    Outcome,
    Situation,
    Verdict,
    decide_arrival,
    same_key,
)
from tests.histories.model import Key, Rules, State
from tests.histories.number import HISTORIES
from tests.histories.search import EXCHANGED, LINES, Scenario, acts, both, every, run, shortened, some

PUSH, PULL, MIXED = (True, True), (False, False), (True, False)
SCENARIOS = (
    Scenario(
        "one object",
        acts("north", "create:x", "edit:x", "restate:x", "delete:x", *LINES)
        + acts("south", "create:x", "create other:x", "edit:x", "restate:x", "carry:fine", "delete:x"),
    ),
    Scenario(
        "an exchanged object changes",
        acts(
            "north",
            "edit:x",
            "late:x",
            "restate:x",
            "raise:x",
            "lower:x",
            "restate red:x",
            "revoke:x",
            "delete:x",
            *LINES,
        )
        + acts("south", "delete:x", "edit:x", "carry:fine"),
        before=EXCHANGED,
    ),
    Scenario(
        "an outstanding batch",
        acts("north", "create:x", "create:y", "restate:x", "raise:x", "lower:x", "delete:x", *LINES)
        + acts("south", "create:x", "carry:fine"),
        before=acts("north", "create:x", "carry:lost request"),
    ),
    Scenario(
        "an agreement that is narrowed and widened",
        acts("north", "create amber:x", "create:y", "restate:x", "restate:y", "narrow", "widen", *LINES)
        + acts("south", "carry:fine", "narrow", "widen"),
    ),
    Scenario(
        "backup and restore",
        acts("north", "create:x", "edit:x", "restate:x", "back up", "restore", *LINES)
        + acts("south", "create:x", "back up", "restore", "delete:x", "carry:fine", "carry:lost answer"),
    ),
    Scenario(
        "nobody's object and an observable",
        both(
            "create:public",
            "create revoked:public",
            "edit:public",
            "create:sco",
            "create other:sco",
            "delete:sco",
        )
        + both("carry:fine", "carry:lost answer"),
    ),
    Scenario(
        "a relationship and its ends",
        acts(
            "north",
            "create:x",
            "create amber:y",
            "create:r",
            "raise:x",
            "lower:x",
            "delete:x",
            "narrow",
            "widen",
        )
        + both("carry:fine")
        + acts("south", "create:r"),
    ),
    Scenario(
        "a marking that is known late",
        both(
            "create statement:x",
            "create statement:y",
            "define",
            "edit:x",
            "lower:x",
            "carry:fine",
            "delete:x",
        ),
    ),
    Scenario(
        "a room where either may edit",
        both("create:x", "create other:x", "edit:x", "revoke:x", "delete:x", "carry:fine")
        + acts("north", "carry:lost answer"),
        room=True,
    ),
)
DEPTH = 4


@pytest.mark.parametrize("push", [PUSH, PULL, MIXED], ids=["push", "pull", "mixed"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name)
def test_every_short_history_converges(scenario: Scenario, push: tuple[bool, bool]):
    count, wrong, history = every(replace(scenario, push=push), Rules(), DEPTH)
    assert not wrong, f"{wrong} after {history}"
    assert count > 100


ALL_ACTS = both(
    *(
        f"{word}:{name}"
        for word in ("create", "create other", "edit", "restate", "delete")
        for name in ("x", "y")
    ),
    *("create amber:y", "raise:x", "lower:x", "restate red:x", "revoke:x", "late:x", "create:r", "edit:r"),
    *(
        "create:public",
        "create revoked:public",
        "edit:public",
        "create:sco",
        "create other:sco",
        "delete:sco",
    ),
    *("create statement:y", "define", "back up", "restore", "narrow", "widen"),
    *(LINES * 3),
)


@pytest.mark.timeout(120 + HISTORIES)
def test_long_histories_at_random_converge():
    for seed in range(HISTORIES * 20):
        wrong, history, scenario = some(seed, Rules(), ALL_ACTS)
        if wrong:
            short = shortened(scenario, Rules(), history)
            raise AssertionError(f"seed {seed}, {scenario}: {run(scenario, Rules(), short)} after {short}")


def key_alone_is_equality(arriving: Arriving, situation: Situation, bringer: Bringer, *, now: int) -> Verdict:
    if any(same_key(one, arriving.version) for one in situation.held):
        return Verdict(Action.KEEP, Outcome.DUPLICATE)
    return decide_arrival(arriving, situation, bringer, now=now)


def key_alone_is_an_echo(arriving: Arriving, situation: Situation, bringer: Bringer, *, now: int) -> Verdict:
    known = any(one.digest == arriving.version.digest for one in situation.held)
    if bringer.partner is not None and situation.released and not known:
        return Verdict(Action.KEEP, Outcome.ECHO)
    return decide_arrival(arriving, situation, bringer, now=now)


def owner_of_what_is_held(node: State, stix_id: str) -> str | None:
    return node.owners[stix_id].owner if node.rows.get(stix_id) else None


def never_sent_before(node: State, key: Key) -> bool:
    return key not in node.ever_sent


FAULTY = {
    "the digest is left out of equality": Rules(arrival=key_alone_is_equality),
    "an echo is known by its key alone": Rules(arrival=key_alone_is_an_echo),
    "the owner is that of the rows held": Rules(owner=owner_of_what_is_held),
    "what was sent once is not sent again": Rules(may_enter=never_sent_before),
    "a resend settles what it no longer carried": Rules(settled=lambda stored, _carried, _answered: stored),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_the_search_finds_a_planted_fault(fault: str):
    for scenario in SCENARIOS:
        for push in (PUSH, PULL):
            _, wrong, _ = every(replace(scenario, push=push), FAULTY[fault], DEPTH)
            if wrong:
                return
    raise AssertionError("the search is blind to it")
