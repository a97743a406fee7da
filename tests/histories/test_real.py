"""Histories of two real nodes: real door, feeds, sessions, pull and push over two databases, with faults.

A seed that ever failed stays in `SEEDS` with what it found.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from node.exchange import judging
from node.sharing.decisions import ALLOWED
from tests.histories.carrier import Fault
from tests.histories.number import HISTORIES
from tests.histories.real import CARRIERS, Act, a_world, close, do, faults_of, random_act, settle

LONGEST = 30
SEEDS = {
    2482: "a partner that lost what it had brought was not offered it again; the feed saw the loss first",
    2751: "the same in a room, where the loss showed on a link that had shown no epoch before",
}


@pytest.fixture
def template(request: pytest.FixtureRequest) -> Path:
    """A migrated database with the node's row, to be copied."""
    found: Path = request.getfixturevalue("_sqlite_template")
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the databases of a test go."""
    return tmp_path


def wrong(
    template: Path, folder: Path, carried: str, acts: Sequence[Act], *, room: bool = False
) -> list[str]:
    """Everything that is wrong after a history."""
    world = a_world(template, folder / "world", carry=carried, room=room)
    try:
        for act in acts:
            do(world, act)
        settle(world)
        return faults_of(world)
    except AssertionError as fault:
        return [str(fault)]
    finally:
        close(world)


def from_seed(seed: int) -> tuple[str, bool, list[Act]]:
    chance = random.Random(seed)
    carried, room = chance.choice(list(CARRIERS)), chance.random() < 0.2
    return carried, room, [random_act(chance) for _ in range(chance.randint(3, LONGEST))]


def shortened(template: Path, folder: Path, carried: str, acts: list[Act], *, room: bool) -> list[Act]:
    place = 0
    while place < len(acts):
        without = acts[:place] + acts[place + 1 :]
        if wrong(template, folder, carried, without, room=room):
            acts = without
        else:
            place += 1
    return acts


def check(template: Path, folder: Path, seed: int) -> None:
    carried, room, acts = from_seed(seed)
    found = wrong(template, folder, carried, acts, room=room)
    if found:
        short = shortened(template, folder, carried, acts, room=room)
        found = wrong(template, folder, carried, short, room=room)
        raise AssertionError(f"seed {seed}, {carried}, room {room}: {found} after {short}")


@pytest.mark.timeout(60 + HISTORIES)
def test_histories_at_random_converge(template: Path, folder: Path):
    for seed in range(HISTORIES):
        check(template, folder, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_seeds_that_once_failed_converge(template: Path, folder: Path, seed: int):
    check(template, folder, seed)


def writes(
    at: str, name: str, step: int = 0, *, variant: int = 0, tlp: str = "green", restate: bool = False
) -> Act:
    return Act("write", at, (name, step, variant, tlp, False, restate))


def carries(at: str, fault: Fault = Fault.NONE) -> Act:
    return Act("carry", at, (fault,))


class TestNamedHistories:
    @pytest.mark.parametrize("carried", CARRIERS)
    def test_a_text_that_was_restated_back_reaches_the_partner(
        self, template: Path, folder: Path, carried: str
    ):
        acts = [
            writes("north", "nobody's"),
            carries("north"),
            writes("north", "nobody's", variant=1, restate=True),
            carries("north"),
            writes("north", "nobody's", restate=True),
        ]
        assert wrong(template, folder, carried, acts) == []

    def test_a_text_that_left_and_entered_again_does_not_hold_up_its_old_batch(
        self, template: Path, folder: Path
    ):
        acts = [
            writes("north", "nobody's"),
            carries("north", Fault.LOST_REQUEST),
            writes("north", "nobody's", variant=1, restate=True),
            carries("north", Fault.LOST_ANSWER),
            writes("north", "nobody's", restate=True),
        ]
        assert wrong(template, folder, "push", acts) == []

    @pytest.mark.parametrize("carried", CARRIERS)
    @pytest.mark.parametrize("lost", ["north", "south"])
    def test_a_restored_node_gets_back_what_both_had_of_their_own(
        self, template: Path, folder: Path, carried: str, lost: str
    ):
        acts = [
            writes("north", "nobody's"),
            writes("south", "nobody's"),
            carries("north"),
            carries("south"),
            Act("restore", lost),
        ]
        assert wrong(template, folder, carried, acts) == []

    @pytest.mark.parametrize("carried", CARRIERS)
    def test_what_was_withheld_under_a_narrow_agreement_goes_when_it_is_widened(
        self, template: Path, folder: Path, carried: str
    ):
        acts = [
            Act("narrow", "north"),
            writes("north", "north's", tlp="amber"),
            carries("north"),
            Act("widen", "north"),
        ]
        assert wrong(template, folder, carried, acts) == []


def test_a_history_carries_objects_at_all(template: Path, folder: Path):
    world = a_world(template, folder / "world", carry="mixed", room=False)
    try:
        do(world, writes("north", "nobody's"))
        do(world, writes("south", "south's"))
        settle(world)
        assert {row.origin for row in world.south.held(world.north.page().records[0].stix_id)} == {"north"}
        assert len(world.north.page().records) == len(world.south.page().records) == 2
    finally:
        close(world)


class TestTheSearchIsNotBlind:
    def failing(self, template: Path, folder: Path, number: int = 60) -> list[str]:
        for seed in range(number):
            carried, room, acts = from_seed(seed)
            found = wrong(template, folder, carried, acts, room=room)
            if found:
                return found
        return []

    def test_it_sees_an_object_that_is_let_out_against_the_rules(
        self, template: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(judging, "decide_egress", lambda *_, **__: ALLOWED)
        assert any("carried what" in line for line in self.failing(template, folder))

    def test_it_sees_a_feed_that_never_offers_again(
        self, template: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("node.exchange.feeds.forget", lambda *_: None)
        monkeypatch.setattr("node.exchange.feed_rows.offer_again", lambda *_: None)
        assert self.failing(template, folder)
