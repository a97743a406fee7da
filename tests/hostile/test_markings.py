"""Markings that are forged, look like others, or contradict each other: nothing is freed by them."""

from __future__ import annotations

import json

import pytest

from tests.support.builders import (
    LATER,
    NORTH_ID,
    SOUTH_ID,
    TLP_2,
    a_marking_definition,
    an_id,
    an_indicator,
)
from tests.support.partner import SECOND

UNKNOWN = "marking-definition--00000000-0000-4000-8000-000000000001"


def marked(name, *refs, **changes):
    return an_indicator(name, author=NORTH_ID, object_marking_refs=list(refs), **changes)


def granular(level, selector="pattern"):
    return [{"marking_ref": TLP_2[level], "selectors": [selector]}]


def tlp(level, **changes):
    """A definition that says of itself that it is a level, under an id that nobody published."""
    return a_marking_definition(level, definition_type="tlp", definition={"tlp": level}, **changes)


CLEAR, GREEN = TLP_2["clear"], TLP_2["green"]

# What our own people hold in such a marking never crosses under a green ceiling.
STRICTER = {
    "H19 a level that somebody made himself": marked("x", json.loads(tlp("white"))["id"]),
    "H20 an id near that of clear": marked("x", CLEAR[:-1] + "8"),
    "H20 the id of clear in capitals": marked("x", CLEAR[:20] + CLEAR[20:].upper()),
    "H20 an id that nobody knows": marked("x", UNKNOWN),
    "H20 an id that nobody knows beside green": marked("x", GREEN, UNKNOWN),
    "H20 a label of MISP": marked("x", GREEN, labels=["tlp:red"]),
    "H20 a label of MISP in capitals": marked("x", GREEN, labels=["TLP:AMBER+STRICT"]),
    "H21 a label in Cyrillic": marked("x", GREEN, labels=["tlp:\u0440\u0435\u0434"]),
    "H21 a label in another width": marked("x", GREEN, labels=["\uff34\uff2c\uff30\uff1a\uff32\uff25\uff24"]),
    "H21 a label with nothing in it": marked("x", GREEN, labels=["tl\u200bp:red"]),
    "H22, PEER-20 two levels": marked("x", CLEAR, TLP_2["red"]),
    "H22, PEER-20 the levels of two standards": marked(
        "x", "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed", CLEAR
    ),
    "H22 a part that is stricter": marked("x", CLEAR, granular_markings=granular("red")),
    "H23 a part that is not there": marked("x", CLEAR, granular_markings=granular("amber", "nothing.[7]")),
    "H23 as many parts as fit": marked(
        "x",
        CLEAR,
        granular_markings=[{"marking_ref": TLP_2["red"], "selectors": [f"x_{n}" for n in range(10_000)]}],
    ),
}


@pytest.mark.parametrize("how", STRICTER)
def test_a_marking_that_is_not_plainly_lax_keeps_an_object_here(stand, west, how):
    """H19, H20, H21, H22, H23, PEER-20: withheld by name, whatever else is sent."""
    stand.north.bring(STRICTER[how], marked("plain", GREEN))
    report = stand.round("out")

    assert (report.error, report.sent, report.withheld) == (None, 1, 1)
    assert west.posts() == [[an_id("indicator", "plain")]]


def test_control_the_same_object_in_plain_green_goes(stand, west):
    """H20: it is the marking that keeps it."""
    stand.north.bring(marked("x", GREEN))

    assert stand.round("out").sent == 1


@pytest.mark.parametrize("level", ["red", "amber", "green", "clear"])
def test_h19_an_official_marking_with_another_meaning_is_refused(stand, west, level):
    """H19: the ids of the standard are known here; what a partner says of them counts for nothing."""
    forged = tlp("white", id=TLP_2[level])
    ours = marked("x", TLP_2["red"])
    stand.north.bring(ours)
    west.hold(forged, an_indicator("good"))
    report = stand.round()
    out = stand.round("out")

    assert forged not in stand.held()
    assert report.outcomes["stored"] == 1
    assert (out.sent, west.posts()) == (0, [])
    stand.converges(besides=[forged])


@pytest.mark.parametrize("said", ["TLP:CLEAR", "tlp:white", "TLP:AMBER+STRICT", "TLP\uff1aRED"])
def test_h20_a_statement_in_the_words_of_a_level_is_no_level(stand, west, said):
    """H20, H21: what is marked with it is as unknown as what is marked with nothing known."""
    statement = a_marking_definition("x", definition={"statement": said})
    stand.north.bring(statement, marked("x", json.loads(statement)["id"]))
    report = stand.round("out")

    assert an_id("indicator", "x") not in [each for post in west.posts() for each in post]
    assert report.withheld >= 1


def test_h18_a_laxer_marking_of_a_partners_own_object_does_not_free_it_elsewhere(stand, west):
    """H18, PEER-36: the newest version decides; an older stricter one is not gone because of it."""
    strict = an_indicator("x", tlp="green")
    lax = an_indicator("x", tlp="clear")
    west.hold(strict)
    stand.round()
    west.held.clear()
    west.clock += SECOND
    west.hold(lax)
    report = stand.round()

    assert report.outcomes["restated"] == 1
    assert stand.round("out").sent == 0
    stand.converges()


def test_h18_a_stripped_marking_of_ours_is_noted_and_ours_stands(stand, west):
    """H18: the same version without its marking is a variant of ours."""
    ours = an_indicator("x", tlp="amber", author=NORTH_ID)
    stripped = an_indicator("x", author=NORTH_ID)
    stand.north.bring(ours)
    west.hold(stripped)
    report = stand.round()

    assert (report.outcomes["variant"], stand.held()) == (1, [ours])
    assert stand.round("out").withheld == 1
    stand.converges(besides=[stripped])


def test_h24_a_relationship_to_what_is_withheld_is_answered_as_one_to_nothing(stand, west):
    """H24: what a partner asks about with it comes in alike, whether we hold the other end or not."""
    held = an_indicator("ours", tlp="red", author=NORTH_ID)
    stand.north.bring(held)
    ends = (json.loads(held)["id"], an_id("indicator", "nowhere"))
    probes = [
        json.dumps(
            {
                "type": "relationship",
                "spec_version": "2.1",
                "id": an_id("relationship", end),
                "created": LATER,
                "modified": LATER,
                "relationship_type": "related-to",
                "source_ref": an_id("indicator", "theirs"),
                "target_ref": end,
            }
        ).encode()
        for end in ends
    ]
    west.hold(*probes)
    report = stand.round()
    out = stand.round("out")

    assert report.outcomes == {"stored": 2}
    assert [an_id("relationship", end) in stand.outcomes() for end in ends] == [True, True]
    assert (west.posts(), out.sent) == ([], 0)


def test_h20_what_came_in_unknown_goes_to_nobody(stand, west):
    """H20: it is stored, shown to those who may see all, and kept from partners."""
    theirs = an_indicator("theirs", author=SOUTH_ID, object_marking_refs=[UNKNOWN])
    west.hold(theirs)

    assert stand.round().outcomes == {"stored": 1}
    assert stand.round("out").sent == 0
    stand.converges()
