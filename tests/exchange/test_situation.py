"""What is asked of an id with many versions is answered as if all of them had been looked at."""

from __future__ import annotations

from itertools import product

from node.exchange.situation import Versions
from node.sharing.admission import Arriving, Bringer, Situation, Version, decide_arrival
from tests.support.builders import NOON

BRINGERS = [
    Bringer(),
    Bringer(restate=True),
    Bringer("south"),
    Bringer("south", either_may_edit=True),
    Bringer("south", accepted=True),
]
ONES = [
    Version(spec, instant, digest, revoked)
    for spec, instant, digest, revoked in product(
        ("2.0", "2.1"), (1, 2, None), (b"a" * 32, b"b" * 32), (False, True)
    )
]


def _differing(narrow) -> int:
    """How often the table of arrivals answers otherwise than with all versions in sight."""
    found = 0
    for first, second in product(ONES, ONES):
        versions = Versions([first])
        versions.put(second)
        held = {(one.digest if one.instant is None else (one.spec_version, one.instant)): one
                for one in (first, second)}  # fmt: skip
        for arriving, bringer, owner in product(ONES, BRINGERS, ("local", "south", "")):
            said = [
                decide_arrival(
                    Arriving("indicator--x", arriving, "south"), Situation(each, owner), bringer, now=NOON
                )
                for each in (tuple(held.values()), narrow(versions, arriving))
            ]
            found += said[0] != said[1]
    return found


def test_the_versions_asked_about_decide_as_all_of_them_would():
    assert _differing(Versions.about) == 0


def test_without_the_revoked_one_they_would_not():
    """The control: the comparison sees what is left out."""

    def narrow(versions: Versions, version: Version) -> list[Version]:
        return [one for one in versions.about(version) if not one.revoked]

    assert _differing(narrow) > 0


def test_no_more_than_two_are_asked_about_however_many_there_are():
    versions = Versions(Version("2.1", instant, bytes(32), instant % 2 == 0) for instant in range(1_000))
    assert len(versions.about(ONES[-1])) == 1
    assert len(versions.about(Version("2.1", 7, bytes(32), False))) == 2
    assert Versions().about(ONES[0]) == ()


def test_a_text_that_is_no_longer_revoked_is_no_longer_asked_about():
    versions = Versions([Version("2.1", 1, b"a" * 32, True), Version("2.1", 2, b"a" * 32, False)])
    versions.put(Version("2.1", 1, b"b" * 32, False))
    assert not any(one.revoked for one in versions.about(Version("2.1", 3, b"c" * 32, False)))
