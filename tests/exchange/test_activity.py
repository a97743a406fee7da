"""node/exchange/activity.py: in which hours a link had something new."""

from __future__ import annotations

from node.exchange import activity
from tests.support.builders import NOON

LINK = "south/indicators/in"
HOUR = activity.HOUR


def test_what_is_new_in_one_hour_is_counted_together(database):
    with database.writing() as tx:
        activity.note(tx, LINK, 3, now=NOON)
        activity.note(tx, LINK, 4, now=NOON + HOUR - 1)
        activity.note(tx, LINK, 5, now=NOON + HOUR)
        activity.note(tx, "south/other/in", 6, now=NOON)

        assert activity.hours(tx, LINK, now=NOON + HOUR) == {NOON // HOUR: 7, NOON // HOUR + 1: 5}
        assert activity.last(tx, LINK) == NOON + HOUR


def test_nothing_new_writes_nothing(database):
    with database.writing() as tx:
        activity.note(tx, LINK, 0, now=NOON)

        assert (activity.hours(tx, LINK, now=NOON), activity.last(tx, LINK)) == ({}, None)


def test_nine_weeks_are_kept(database):
    kept = activity.KEPT_HOURS * HOUR
    with database.writing() as tx:
        for moment in (NOON - kept - HOUR, NOON - kept, NOON):
            activity.note(tx, LINK, 1, now=moment)

        assert set(activity.hours(tx, LINK, now=NOON + kept)) == {NOON // HOUR}
        assert set(activity.hours(tx, LINK, now=NOON)) == {(NOON - kept) // HOUR, NOON // HOUR}
