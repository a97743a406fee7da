"""The table of arrivals as a pure rule, row by row; what holds for all is in test_admission_properties."""

from __future__ import annotations

import pytest

from node.sharing.admission import (
    FUTURE_NANOSECONDS,
    LOCAL,
    NOBODY,
    Arriving,
    Bringer,
    Flags,
    Situation,
    Verdict,
    Version,
    decide_arrival,
    flags_of,
    owner_of_new,
    same_key,
)
from tests.support.builders import NOON

D1, D2, D3 = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32
NOW_NS = NOON * 1000
SOUTH, WEST = Bringer("south"), Bringer("west")
US, RESTATE = Bringer(), Bringer(restate=True)
RESTATE_IN_ROOM = Bringer(restate=True, either_may_edit=True)
ROOM = Bringer("south", either_may_edit=True)
ACCEPTED = Bringer("south", accepted=True)


def a_version(
    instant: int | None = 10, digest: bytes = D1, *, spec: str = "2.1", revoked: bool = False
) -> Version:
    return Version(spec, instant, digest, revoked)


def judged(
    bringer: Bringer,
    version: Version | None = None,
    *,
    held: tuple[Version, ...] = (),
    owner: str | None = None,
    claimant: str | None = None,
    tombstone: str | None = None,
    released: tuple[bytes, ...] = (),
    discarded: bool = False,
) -> Verdict:
    return decide_arrival(
        Arriving("indicator--1", version or a_version(), claimant),
        Situation(held, owner, tombstone, released, discarded),
        bringer,
        now=NOON,
    )


def short(verdict: Verdict) -> tuple[str, str, str]:
    return verdict.action.value, verdict.outcome.value, verdict.reason


HELD = (a_version(),)
REVOKED = a_version(digest=D2, revoked=True)
ROWS = {
    # name: (verdict, action, outcome, reason)
    "deleted here, by a link": (
        judged(SOUTH, tombstone="deleted_here"),
        "keep",
        "suppressed",
        "deleted_here",
    ),
    "erased, by a link": (judged(SOUTH, tombstone="erased"), "keep", "suppressed", "erased"),
    "deleted here, by us": (judged(US, tombstone="deleted_here"), "store", "stored", ""),
    "a partner's, deleted here, by us": (
        judged(US, owner="south", tombstone="deleted_here"),
        "store",
        "stored",
        "",
    ),
    "deleted here, accepted": (judged(ACCEPTED, tombstone="deleted_here"), "store", "stored", ""),
    "same digest, by a link": (judged(SOUTH, held=HELD, owner=LOCAL), "keep", "duplicate", ""),
    "same digest, by us": (judged(US, held=HELD, owner="south"), "keep", "duplicate", ""),
    "same digest, discarded before": (judged(SOUTH, held=HELD, discarded=True), "keep", "duplicate", ""),
    "discarded before": (judged(SOUTH, discarded=True), "keep", "quarantined", "discarded"),
    "discarded before, accepted now": (judged(ACCEPTED, discarded=True), "store", "stored", ""),
    "room, smaller digest": (judged(ROOM, held=(a_version(digest=D2),)), "replace", "restated", "tie"),
    "room, larger digest": (judged(ROOM, a_version(digest=D2), held=HELD), "note_loser", "variant", "tie"),
    "room, revoked against smaller": (judged(ROOM, REVOKED, held=HELD), "replace", "restated", "tie"),
    "room, smaller against revoked": (judged(ROOM, held=(REVOKED,)), "note_loser", "variant", "tie"),
    "room, the owner too": (judged(ROOM, REVOKED, held=HELD, owner="south"), "replace", "restated", "tie"),
    "its owner restates": (
        judged(SOUTH, a_version(digest=D2), held=HELD, owner="south"),
        "replace",
        "restated",
        "restated",
    ),
    "we restate ours": (
        judged(RESTATE, a_version(digest=D2), held=HELD, owner=LOCAL),
        "replace",
        "restated",
        "restated",
    ),
    "room, we restate to a larger digest": (
        judged(RESTATE_IN_ROOM, a_version(digest=D2), held=HELD, owner=LOCAL),
        "keep",
        "refused",
        "tie",
    ),
    "room, we restate to a smaller digest": (
        judged(RESTATE_IN_ROOM, held=(a_version(digest=D2),), owner=LOCAL),
        "replace",
        "restated",
        "restated",
    ),
    "we restate a partner's": (
        judged(RESTATE, a_version(digest=D2), held=HELD, owner="south"),
        "keep",
        "refused",
        "version_exists",
    ),
    "we restate nobody's": (
        judged(RESTATE, a_version(digest=D2), held=HELD, owner=NOBODY),
        "replace",
        "restated",
        "restated",
    ),
    "we restate nobody's, held revoked": (
        judged(RESTATE, held=(REVOKED,), owner=NOBODY),
        "keep",
        "refused",
        "revoked_stands",
    ),
    "we restate ours, held revoked": (
        judged(RESTATE, held=(REVOKED,), owner=LOCAL),
        "replace",
        "restated",
        "restated",
    ),
    "an accepted text": (
        judged(ACCEPTED, a_version(digest=D2), held=HELD, owner=LOCAL),
        "replace",
        "restated",
        "restated",
    ),
    "our rendition comes back": (
        judged(SOUTH, a_version(digest=D2), held=HELD, owner=LOCAL, released=(D2,)),
        "keep",
        "echo",
        "",
    ),
    "our rendition of what we no longer hold": (
        judged(SOUTH, owner=LOCAL, released=(D1,)),
        "keep",
        "echo",
        "",
    ),
    "another text than the one released": (
        judged(SOUTH, a_version(digest=D2), held=HELD, owner=LOCAL, released=(D1,)),
        "keep",
        "variant",
        "variant",
    ),
    "our object, other bytes": (
        judged(SOUTH, a_version(digest=D2), held=HELD, owner=LOCAL),
        "keep",
        "variant",
        "variant",
    ),
    "another partner's, other bytes": (
        judged(WEST, a_version(digest=D2), held=HELD, owner="south"),
        "keep",
        "variant",
        "variant",
    ),
    "nobody's, other bytes": (
        judged(SOUTH, a_version(digest=D2), held=HELD, owner=NOBODY),
        "keep",
        "variant",
        "variant",
    ),
    "nobody's, revoked": (
        judged(SOUTH, REVOKED, held=HELD, owner=NOBODY),
        "replace",
        "restated",
        "revoked_stands",
    ),
    "nobody's, held revoked": (judged(SOUTH, held=(REVOKED,), owner=NOBODY), "keep", "variant", "variant"),
    "ours, revoked by a partner": (
        judged(SOUTH, REVOKED, held=HELD, owner=LOCAL),
        "keep",
        "variant",
        "variant",
    ),
    "a local POST of other bytes": (
        judged(US, a_version(digest=D2), held=HELD, owner=LOCAL),
        "keep",
        "refused",
        "version_exists",
    ),
    "in our name, not held": (judged(SOUTH, claimant=LOCAL), "set_aside", "quarantined", "foreign_edit"),
    "in our name, in a room": (judged(ROOM, claimant=LOCAL), "store", "stored", ""),
    "in our name, accepted": (judged(ACCEPTED, claimant=LOCAL), "store", "stored", ""),
    "newer version of ours": (
        judged(SOUTH, a_version(20, D2), held=HELD, owner=LOCAL),
        "set_aside",
        "quarantined",
        "foreign_edit",
    ),
    "older version of ours": (
        judged(SOUTH, a_version(5, D2), held=HELD, owner=LOCAL),
        "set_aside",
        "quarantined",
        "foreign_edit",
    ),
    "version of another partner's": (judged(WEST, owner="south"), "set_aside", "quarantined", "foreign_edit"),
    "version of ours in a room": (
        judged(ROOM, a_version(20, D2), held=HELD, owner=LOCAL),
        "store",
        "stored",
        "",
    ),
    "local version of a partner's": (judged(US, owner="south"), "keep", "refused", "not_owner"),
    "a day ahead, by a link": (
        judged(SOUTH, a_version(NOW_NS + FUTURE_NANOSECONDS + 1)),
        "set_aside",
        "quarantined",
        "future_timestamp",
    ),
    "a day ahead, in a room": (
        judged(ROOM, a_version(NOW_NS + FUTURE_NANOSECONDS + 1)),
        "set_aside",
        "quarantined",
        "future_timestamp",
    ),
    "a day ahead, by us": (
        judged(US, a_version(NOW_NS + FUTURE_NANOSECONDS + 1)),
        "keep",
        "refused",
        "future_timestamp",
    ),
    "not quite a day ahead": (judged(SOUTH, a_version(NOW_NS + FUTURE_NANOSECONDS)), "store", "stored", ""),
    "the owner's newer version": (
        judged(SOUTH, a_version(20, D2), held=HELD, owner="south"),
        "store",
        "stored",
        "",
    ),
    "nobody's further version": (
        judged(SOUTH, a_version(20, D2), held=HELD, owner=NOBODY),
        "store",
        "stored",
        "",
    ),
    "the same instant in 2.0": (
        judged(SOUTH, a_version(spec="2.0", digest=D2), held=HELD, owner="south"),
        "store",
        "stored",
        "",
    ),
    "an observable's other bytes": (
        judged(SOUTH, a_version(None, D2), held=(a_version(None),)),
        "store",
        "stored",
        "",
    ),
    "an observable's same bytes": (
        judged(SOUTH, a_version(None), held=(a_version(None),)),
        "keep",
        "duplicate",
        "",
    ),
    "a partner's version after a revocation": (
        judged(SOUTH, a_version(20, D3), held=(REVOKED,), owner="south"),
        "store",
        "stored",
        "",
    ),
    "a local version after a revocation": (
        judged(US, a_version(20, D3), held=(REVOKED,), owner=LOCAL),
        "keep",
        "refused",
        "revoked",
    ),
    "a local version in the other spec after a revocation": (
        judged(US, a_version(20, D3, spec="2.0"), held=(REVOKED,), owner=LOCAL),
        "store",
        "stored",
        "",
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_row_of_the_table(row: str):
    verdict, *expected = ROWS[row]
    assert list(short(verdict)) == expected


class TestOwnerOfNew:
    @pytest.mark.parametrize(
        ("claimant", "bringer", "owner"),
        [
            (None, US, LOCAL),
            (None, SOUTH, "south"),
            (LOCAL, SOUTH, LOCAL),
            ("south", US, "south"),
            ("west", SOUTH, "west"),
            (NOBODY, US, NOBODY),
            (NOBODY, SOUTH, NOBODY),
        ],
    )
    def test_the_claimed_author_comes_before_the_bringer(
        self, claimant: str | None, bringer: Bringer, owner: str
    ):
        assert owner_of_new(claimant, bringer, observable=False) == owner

    def test_nobody_owns_an_observable(self):
        assert owner_of_new(LOCAL, US, observable=True) == NOBODY


class TestSameKey:
    def test_instants_and_spec_version_decide_and_not_the_digest(self):
        assert same_key(a_version(), a_version(digest=D2))
        assert not same_key(a_version(), a_version(11))
        assert not same_key(a_version(), a_version(spec="2.0"))

    def test_without_an_instant_the_digest_decides(self):
        assert same_key(a_version(None), a_version(None))
        assert not same_key(a_version(None), a_version(None, D2))
        assert not same_key(a_version(None), a_version())


class TestFlags:
    def test_first_and_last_of_each_spec_version_and_the_newest_spec(self):
        found = flags_of([("2.1", 10, False), ("2.0", 30, False), ("2.1", 20, False)])
        assert found == [Flags(True, False, True), Flags(True, True, False), Flags(False, True, True)]

    def test_the_newest_revoked_version_is_last(self):
        found = flags_of([("2.1", 10, True), ("2.1", 20, True), ("2.1", 30, False)])
        assert [each.is_last for each in found] == [False, True, False]

    def test_a_revocation_counts_in_its_own_spec_version(self):
        found = flags_of([("2.0", 10, True), ("2.0", 20, False), ("2.1", 10, False), ("2.1", 20, False)])
        assert [each.is_last for each in found] == [True, False, False, True]
