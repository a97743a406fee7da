"""What holds for all arrivals, and that a faulty table breaks it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from node.sharing.admission import (
    LOCAL,
    NOBODY,
    Action,
    Arriving,
    Bringer,
    Outcome,
    Situation,
    Verdict,
    Version,
    decide_arrival,
    flags_of,
    same_key,
)
from tests.support.builders import NOON

D1, D2, D3 = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32
NOW_NS = NOON * 1000
SOUTH, WEST = Bringer("south"), Bringer("west")
US, RESTATE = Bringer(), Bringer(restate=True)
ROOM = Bringer("south", either_may_edit=True)
ACCEPTED = Bringer("south", accepted=True)


def a_version(
    instant: int | None = 10, digest: bytes = D1, *, spec: str = "2.1", revoked: bool = False
) -> Version:
    return Version(spec, instant, digest, revoked)


instants = st.one_of(st.none(), st.integers(1, 3))
digests = st.sampled_from((D1, D2, D3))
versions = st.builds(Version, st.sampled_from(("2.0", "2.1")), instants, digests, st.booleans())
bringers = st.builds(
    Bringer,
    st.sampled_from((None, "south", "west")),
    restate=st.booleans(),
    either_may_edit=st.booleans(),
    accepted=st.booleans(),
)
situations = st.builds(
    Situation,
    st.lists(
        versions,
        max_size=3,
        unique_by=lambda one: (one.spec_version, one.instant, one.instant is None and one.digest),
    ),
    st.sampled_from((None, LOCAL, NOBODY, "south", "west")),
    st.sampled_from((None, "deleted_here", "erased")),
    st.lists(digests, max_size=2),
    st.booleans(),
)
arrivals = st.builds(
    Arriving, st.just("indicator--1"), versions, st.sampled_from((None, LOCAL, NOBODY, "south", "west"))
)
Rule = Callable[[Arriving, Situation, Bringer], Verdict]


def real(arriving: Arriving, situation: Situation, bringer: Bringer) -> Verdict:
    return decide_arrival(arriving, situation, bringer, now=NOON)


def held_version(arriving: Arriving, situation: Situation) -> Version | None:
    return next((one for one in situation.held if same_key(one, arriving.version)), None)


def ownership_holds(rule: Rule, arriving: Arriving, situation: Situation, bringer: Bringer) -> bool:
    """Nobody else's link changes what has an owner."""
    verdict = rule(arriving, situation, bringer)
    owned = situation.owner not in (None, NOBODY, bringer.name)
    guarded = bringer.partner is not None and not bringer.either_may_edit and not bringer.accepted
    return not (owned and guarded and verdict.action in (Action.STORE, Action.REPLACE))


def stored_only_where_free(rule: Rule, arriving: Arriving, situation: Situation, bringer: Bringer) -> bool:
    """STORE needs a free key, REPLACE a taken one: the unique index of the table."""
    held, action = held_version(arriving, situation), rule(arriving, situation, bringer).action
    if action is Action.STORE:
        return held is None
    return action is not Action.REPLACE or (held is not None and held.digest != arriving.version.digest)


def nothing_vanishes(rule: Rule, arriving: Arriving, situation: Situation, bringer: Bringer) -> bool:
    """A success of a sender who was not told otherwise has a reason that stands in the books."""
    verdict = rule(arriving, situation, bringer)
    held = held_version(arriving, situation)
    if verdict.outcome is Outcome.DUPLICATE:
        return held is not None and held.digest == arriving.version.digest
    if verdict.outcome is Outcome.ECHO:
        return arriving.version.digest in situation.released
    if verdict.outcome is Outcome.SUPPRESSED:
        return situation.tombstone is not None
    return (verdict.outcome in (Outcome.STORED, Outcome.RESTATED)) == (
        verdict.action in (Action.STORE, Action.REPLACE)
    )


PROPERTIES = (ownership_holds, stored_only_where_free, nothing_vanishes)


class TestForAllArrivals:
    @given(arrivals, situations, bringers)
    def test_only_the_owner_changes_what_has_one(
        self, arriving: Arriving, situation: Situation, bringer: Bringer
    ):
        assert ownership_holds(real, arriving, situation, bringer)

    @given(arrivals, situations, bringers)
    def test_a_key_is_taken_once(self, arriving: Arriving, situation: Situation, bringer: Bringer):
        assert stored_only_where_free(real, arriving, situation, bringer)

    @given(arrivals, situations, bringers)
    def test_every_outcome_is_true(self, arriving: Arriving, situation: Situation, bringer: Bringer):
        assert nothing_vanishes(real, arriving, situation, bringer)

    @given(arrivals, situations, bringers)
    def test_what_is_not_stored_says_why(self, arriving: Arriving, situation: Situation, bringer: Bringer):
        verdict = real(arriving, situation, bringer)
        if verdict.outcome in (Outcome.REFUSED, Outcome.QUARANTINED, Outcome.SUPPRESSED, Outcome.VARIANT):
            assert verdict.reason
            assert verdict.message

    @given(arrivals, situations, bringers)
    def test_the_same_bytes_again_are_a_duplicate(
        self, arriving: Arriving, situation: Situation, bringer: Bringer
    ):
        if real(arriving, situation, bringer).action not in (Action.STORE, Action.REPLACE):
            return
        rest = [one for one in situation.held if not same_key(one, arriving.version)]
        after = replace(
            situation, held=[*rest, arriving.version], tombstone=None, owner=situation.owner or bringer.name
        )
        assert real(arriving, after, bringer).outcome is Outcome.DUPLICATE

    @given(versions, versions)
    def test_two_nodes_of_a_room_end_with_the_same_text(self, one: Version, other: Version):
        other = replace(other, spec_version=one.spec_version, instant=one.instant)
        if one.instant is None or one.digest == other.digest:
            return

        def left(held: Version, comes: Version) -> Version:
            verdict = real(Arriving("indicator--1", comes, None), Situation([held], LOCAL), ROOM)
            return comes if verdict.action is Action.REPLACE else held

        assert left(one, other) == left(other, one)

    @given(
        st.lists(
            st.tuples(st.sampled_from(("2.0", "2.1")), st.integers(1, 9), st.booleans()),
            min_size=1,
            max_size=6,
            unique_by=lambda row: row[:2],
        )
    )
    def test_each_spec_version_has_one_first_and_one_last(self, rows: list[tuple[str, int, bool]]):
        found = list(zip(rows, flags_of(rows), strict=True))
        for spec in {row[0] for row in rows}:
            of_spec = [(row, its) for row, its in found if row[0] == spec]
            assert sum(its.is_first for _, its in of_spec) == 1
            assert sum(its.is_last for _, its in of_spec) == 1
            (last,) = [row for row, its in of_spec if its.is_last]
            assert last[2] == any(row[2] for row, _ in of_spec)
        assert {row[0] for row, its in found if its.is_newest_spec} == {max(row[0] for row in rows)}


def key_alone(arriving: Arriving, situation: Situation, bringer: Bringer) -> Verdict:
    if held_version(arriving, situation) is not None:
        return Verdict(Action.KEEP, Outcome.DUPLICATE)
    return real(arriving, situation, bringer)


def echo_by_key(arriving: Arriving, situation: Situation, bringer: Bringer) -> Verdict:
    return Verdict(Action.KEEP, Outcome.ECHO) if situation.released else real(arriving, situation, bringer)


def no_owner(arriving: Arriving, situation: Situation, bringer: Bringer) -> Verdict:
    return real(arriving, replace(situation, owner=None), bringer)


def always_stored(_arriving: Arriving, _situation: Situation, _bringer: Bringer) -> Verdict:
    return Verdict(Action.STORE, Outcome.STORED)


@pytest.mark.parametrize("faulty", [key_alone, echo_by_key, no_owner, always_stored])
def test_a_planted_fault_breaks_a_property(faulty: Rule):
    held = a_version()
    other = Arriving("indicator--1", a_version(digest=D2), None)
    newer = Arriving("indicator--1", a_version(20, D2), None)
    situation = Situation([held], LOCAL, released=(D1,))
    tried = [(arriving, situation, SOUTH) for arriving in (other, newer)]
    assert all(rule(real, *each) for rule in PROPERTIES for each in tried)
    assert not all(rule(faulty, *each) for rule in PROPERTIES for each in tried)
