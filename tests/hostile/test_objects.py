"""Objects that are broken, lie about who made them or when, or come again as something else."""

from __future__ import annotations

import json
import uuid

import pytest

from node.errors import PartnerRefused, PartnerUnreachable
from tests.hostile.stand import GOOD, page
from tests.support.builders import (
    CREATED,
    LATER,
    NORTH_ID,
    SOUTH_ID,
    TLP_2,
    a_marking_definition,
    an_id,
    an_indicator,
    an_ipv4,
)

WEST_ID = an_id("identity", "west")
SQUATTED = f"ipv4-addr--{uuid.UUID('2d086da7-4bdc-4f91-900e-d77486753710')}"
DEEP = b"[" * 100_000 + b"]" * 100_000


def id_of(body):
    return json.loads(body)["id"]


def odd(name, before, after):
    """An indicator with other bytes in one place."""
    body = an_indicator(name)
    assert before in body
    return body.replace(before, after, 1)


SPEC = b'"spec_version":"2.1"'
BROKEN = {
    "H7 100,000 levels": odd("x", SPEC, SPEC + b',"x_deep":' + DEEP),
    "H7 an integer of 5,000 digits": odd("x", SPEC, SPEC + b',"confidence":' + b"9" * 5_000),
    "H7 NaN": odd("x", SPEC, SPEC + b',"confidence":NaN'),
    "H7 1e400": odd("x", SPEC, SPEC + b',"x_n":1e400'),
    "H7 a lone surrogate": odd("x", b"Indicator x", b"Indicator \\ud800"),
    "H7 NUL": odd("x", b"Indicator x", b"Indicator \\u0000"),
    "H7 a key twice": odd("x", SPEC, SPEC + b"," + SPEC),
    "H7 a marking twice": odd(
        "x",
        SPEC,
        SPEC
        + b',"object_marking_refs":["%s"],"object_marking_refs":["%s"]'
        % (TLP_2["red"].encode(), TLP_2["clear"].encode()),
    ),
    "H7 a number": b"7",
    "H7 a list": b"[]",
    "H12 a leap second": an_indicator("x", modified="2016-12-31T23:59:60.000Z"),
    "H12 no zone": an_indicator("x", modified="2026-11-20T08:00:00.000"),
    "H12 another zone": an_indicator("x", modified="2026-11-20T08:00:00.000+01:00"),
    "H12 modified before created": an_indicator("x", modified="2026-11-20T07:59:59.999Z"),
    "H12 a day that is none": an_indicator("x", modified="2026-02-30T08:00:00.000Z"),
    "H39 an id that is a path": an_indicator("x", id="indicator--../../../etc/passwd"),
    "H39 an id with SQL in it": an_indicator("x", id="indicator--1'; drop table object; --"),
    "H39 an id with a template in it": an_indicator("x", id="indicator--{{7*7}}"),
    "H39 a type that is a path": an_indicator("x", type="../../indicator"),
    "H25 an id with a script in it": an_indicator("x", id="indicator--<script>alert(1)</script>"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_object_is_set_aside_or_refused_alone(stand, west, how):
    """H7, H12, H25, H39, PEER-23: the others of its page are stored, and what comes after it too."""
    report = stand.answered(page(GOOD[0], BROKEN[how], GOOD[1], more=True, next="2"), page(GOOD[2]))

    assert (report.error, report.stopped) == (None, None)
    assert (report.received, report.outcomes["stored"]) == (4, 3)
    assert report.outcomes["refused"] + report.outcomes["quarantined"] == 1
    assert stand.held() == GOOD[:3]
    assert all(each.isprintable() for each in stand.outcomes())
    stand.converges()


EXACT = {
    "H12 nine decimals": "2026-11-20T08:00:00.000000001Z",
    "H12 the year 1": "0001-01-01T00:00:00.000Z",
    "H12 seven decimals": "2026-11-20T08:00:00.0000001Z",
}


@pytest.mark.parametrize("how", EXACT)
def test_h12_an_odd_instant_keeps_its_text_and_is_compared_exactly(stand, west, how):
    """H12: served as it came, and its neighbour of a nanosecond is another version."""
    first = an_indicator("x", created="0001-01-01T00:00:00.000Z", modified=EXACT[how])
    other = an_indicator("x", created="0001-01-01T00:00:00.000Z", modified=CREATED)
    west.hold(first, other)
    report = stand.round()

    assert (report.outcomes, stand.aside()) == ({"stored": 2}, {})
    assert sorted(stand.held()) == sorted([first, other])
    stand.converges()


@pytest.mark.parametrize("date", ["9999-12-31T23:59:59.999Z", "2026-11-22T12:00:01Z"])
@pytest.mark.parametrize("dates", [("modified",), ("created", "modified")])
def test_h12_a_version_of_the_future_waits_for_a_person(stand, west, date, dates):
    """H12: or it would win for ever; the sound version stays the last."""
    late = an_indicator("good 0", **dict.fromkeys(dates, date))
    west.hold(*GOOD, late)
    report = stand.round()

    assert report.outcomes["quarantined"] == 1
    assert list(stand.aside()) == [id_of(late)]
    assert stand.held() == GOOD
    stand.converges(besides=[late])


def test_h13_other_content_under_the_same_version_is_restated_by_its_owner(stand, west):
    """H13: and counted by that word; the next round is quiet."""
    west.hold(*GOOD)
    stand.round()
    other = an_indicator("good 0", description="Other words")
    west.held.pop(0)
    west.hold(other)
    report = stand.round()

    assert report.outcomes["restated"] == 1
    assert set(stand.held()) == {other, *GOOD[1:]}
    stand.converges()


def test_h13_other_content_of_an_object_of_ours_changes_nothing(stand, west):
    """H13, H15, H17, PEER-26: ours stands, theirs is noted as a variant."""
    ours = an_indicator("ours", tlp="green", author=NORTH_ID)
    stand.north.bring(ours)
    theirs = an_indicator("ours", tlp="clear", author=NORTH_ID, description="Other words")
    west.hold(theirs)
    report = stand.round()

    assert report.outcomes["variant"] == 1
    assert stand.held() == [ours]
    stand.converges(besides=[theirs])


def test_h14_an_older_version_that_comes_back_does_not_become_the_last(stand, west):
    """H14: the version that the partner no longer offers stays here, and stays last."""
    old, new = an_indicator("x"), an_indicator("x", modified=LATER)
    west.hold(new)
    stand.round()
    west.held.clear()
    west.hold(old)
    report = stand.round()

    assert report.outcomes["stored"] == 1
    assert set(stand.held()) == {old, new}
    assert last_versions(stand) == {id_of(new): new}
    stand.converges()


TAKEN = {
    "H15 a newer version of ours": {"modified": LATER},
    "H15 an older version of ours": {"modified": "2026-11-20T08:00:00.000Z"},
    "H15 a revocation of ours": {"modified": LATER, "revoked": True},
    "H15, H17 in the name of the partner": {"modified": LATER, "author": WEST_ID},
    "H18 with a laxer marking": {"modified": LATER, "tlp": "clear"},
    "H18, PEER-36 with no marking": {"modified": LATER, "tlp": None},
}


@pytest.mark.parametrize("how", TAKEN)
def test_h15_a_version_of_what_is_ours_waits_for_a_person(stand, west, how):
    """H15, H18, PEER-36: it never wins, whatever it says."""
    first = {"tlp": "amber", "author": NORTH_ID, "created": "2026-11-20T08:00:00.000Z"}
    ours = an_indicator("ours", **{**first, "modified": "2026-11-20T08:30:00.000Z"})
    stand.north.bring(ours)
    theirs = an_indicator("ours", **{**first, **TAKEN[how]})
    west.hold(*GOOD, theirs)
    report = stand.round()

    assert (report.outcomes["stored"], report.outcomes["quarantined"]) == (len(GOOD), 1)
    assert stand.aside() == {id_of(ours): "foreign_edit"}
    assert last_versions(stand)[id_of(ours)] == ours
    stand.converges(besides=[theirs])


def test_h16_an_id_that_was_squatted_is_its_owners_by_the_agreement(stand, west):
    """H16: ours is kept; whoever came first has no say in what we make."""
    squat = an_indicator("ours", author=WEST_ID, tlp="clear")
    west.hold(squat)
    stand.round()
    ours = an_indicator("ours", tlp="green", author=NORTH_ID, modified=LATER)
    west.hold(an_indicator("claimed", author=NORTH_ID))
    report = stand.round()

    assert stand.aside() == {an_id("indicator", "claimed"): "foreign_edit"}
    assert report.outcomes["quarantined"] == 1
    assert ours not in stand.held()


def test_h16_an_observable_under_an_id_that_is_not_its_own_changes_no_other(stand, west):
    """H16: both texts are kept, by their digests; the true one is not touched."""
    true = an_ipv4("198.51.100.7")
    false = an_ipv4("203.0.113.9", id=id_of(true))
    stand.north.bring(true)
    west.hold(false, an_ipv4("203.0.113.9", id=SQUATTED))
    stand.round()

    assert true in stand.held()
    stand.converges()


def test_h17_an_object_in_our_name_waits_for_a_person(stand, west):
    """H17: it claims to be us."""
    claimed = an_indicator("claimed", author=NORTH_ID)
    west.hold(*GOOD, claimed)
    report = stand.round()

    assert (report.outcomes["stored"], report.outcomes["quarantined"]) == (len(GOOD), 1)
    assert claimed not in stand.held()
    assert stand.standing().figures["quarantine"] == 1
    stand.converges(besides=[claimed])


UNSOLICITED = {
    "H31 a type that was not agreed": json.dumps(
        {
            "type": "tool",
            "spec_version": "2.1",
            "id": an_id("tool"),
            "created": CREATED,
            "modified": CREATED,
            "name": "x",
        }
    ).encode(),
    "H31 above the ceiling": an_indicator("x", tlp="red"),
    "H31 of a third centre that we know nothing of": an_indicator("x", tlp="red", author=SOUTH_ID),
}


@pytest.mark.parametrize("how", UNSOLICITED)
def test_h31_what_was_not_agreed_is_set_aside_and_not_stored(stand, west, how):
    """H31: an answer may bring anything; the agreement decides what of it is kept."""
    west.hold(*GOOD, UNSOLICITED[how])
    report = stand.round()

    assert (report.outcomes["stored"], report.outcomes["quarantined"]) == (len(GOOD), 1)
    assert stand.held() == GOOD
    stand.converges(besides=[UNSOLICITED[how]])


def test_h31_more_than_was_asked_for_is_judged_like_the_rest(stand, west):
    """H31: objects from before the date asked for, in a page that answers another question."""
    west.hold(*GOOD[:2])
    stand.round()
    before = stand.bookmark()
    report = stand.answered(page(*GOOD, an_indicator("claimed", author=NORTH_ID)))

    assert report.outcomes == {"duplicate": 2, "stored": 4, "quarantined": 1}
    assert stand.bookmark() == before
    west.held.clear()
    west.hold(*GOOD)
    stand.converges()


def test_h34_a_feed_of_yesterday_played_again_moves_nothing(stand, west):
    """H34: all of it duplicates; nothing gets a new date."""
    west.hold(*GOOD)
    stand.round()
    dated = stand.held()
    for _ in west.held:
        west.clock += 1_000_000
    again = [each.body for each in west.held]
    west.held.clear()
    west.hold(*again)
    report = stand.round()

    assert (report.outcomes, report.moved) == ({"duplicate": len(GOOD)}, 0)
    assert stand.held() == dated
    stand.converges()


def test_h36_a_partner_that_shows_nothing_any_more_takes_nothing_away(stand, west):
    """H14, H36: all of it stays, served as before."""
    west.hold(*GOOD)
    stand.round()
    west.held.clear()
    report = stand.round()

    assert (report.error, stand.held()) == (None, GOOD)
    stand.converges()


def test_h36_a_revocation_of_everything_comes_from_the_owner_alone(stand, west):
    """H36: what is ours is not revoked by a partner."""
    ours = [an_indicator(f"ours {n}", tlp="green", author=NORTH_ID) for n in range(3)]
    stand.north.bring(*ours)
    revoked = [
        an_indicator(f"ours {n}", tlp="green", author=NORTH_ID, modified=LATER, revoked=True)
        for n in range(3)
    ]
    west.hold(*revoked)
    report = stand.round()

    assert report.outcomes["quarantined"] == 3
    assert stand.held() == ours
    stand.converges(besides=revoked)


def test_a_marking_that_nobody_may_write_is_not_taken_from_a_partner(stand, west):
    """H19: the id of TLP:RED with another word in it."""
    forged = a_marking_definition(
        "x",
        id=TLP_2["red"],
        definition_type="tlp",
        definition={"tlp": "white"},
    )
    report = stand.answered(page(GOOD[0], forged, an_indicator("x", tlp="red"), GOOD[1]))

    assert stand.held() == GOOD[:2]
    assert report.outcomes["stored"] == 2
    stand.converges()


def test_no_refusal_of_an_object_is_an_error_of_the_partner(stand, west):
    """H7: a page of nothing but broken objects is a page."""
    report = stand.answered(page(*BROKEN.values()))

    assert not isinstance(report.error, (PartnerRefused, PartnerUnreachable))
    assert sum(report.outcomes.values()) == len(BROKEN)
    assert stand.held() == []
    stand.converges()


def last_versions(stand):
    """The bytes of the last version of each id."""
    with stand.north.database.reading() as tx:
        rows = tx.rows(stand.LAST)
    return {row[0]: bytes(row[1]) for row in rows}
