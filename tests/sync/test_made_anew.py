"""Other software whose collection was made anew, put back or emptied: nothing is missed, nothing hidden."""

from contextlib import closing

import pytest

from node.clock import MICROSECONDS
from node.exchange import feed_rows
from node.exchange.links import state
from node.sync import bookmarks, foreign, listing, rounds
from node.sync.pull import Limits
from node.sync.reports import Stop
from tests.support.builders import NOON, NORTH_ID, an_id, an_indicator
from tests.support.partner import Canned, a_receiver

HOUR = 3600 * MICROSECONDS
DAY = 24 * HOUR
LAST_YEAR = NOON - 365 * DAY
OLD = [an_indicator(f"old{n}") for n in range(3)]
NEW = [an_indicator(f"new{n}") for n in range(3)]


def carried(north, direction="in", **limits):
    """One round, a minute later, with the link's state."""
    north.clock.now += 60 * MICROSECONDS
    with closing(north.client()) as client:
        return rounds.carry(
            north.door,
            north.link(direction),
            client,
            now=north.clock,
            pause=north.pause,
            limits=Limits(**limits) if limits else None,
        )


def test_a_collection_that_was_made_anew_with_old_dates_is_listed_from_its_start(database, west):
    north = a_receiver(database, west)
    west.hold(*OLD)
    assert carried(north).outcomes["stored"] == 3

    north.clock.now += 7 * HOUR
    west.held.clear()
    west.clock = LAST_YEAR
    west.hold(*NEW, OLD[0])
    report = carried(north)

    assert report.outcomes == {"stored": 3, "duplicate": 1}
    assert report.listed_again == "what we read last is not at the partner any more"
    assert report.bookmark == west.date(west.held[-1].added)
    asked = len(west.requests)
    assert (carried(north).moved, len(west.requests) - asked) == (0, 1)


def test_control_without_a_look_at_what_was_read_last_it_would_stay_away(north, west, monkeypatch):
    monkeypatch.setattr(listing, "_is_made_anew", lambda *_: False)
    west.hold(*OLD)
    carried(north)

    north.clock.now += 7 * HOUR
    west.held.clear()
    west.clock = LAST_YEAR
    west.hold(*NEW)

    assert carried(north).outcomes == {}


def test_an_emptied_collection_costs_one_request_and_its_new_content_comes(north, west):
    west.hold(*OLD)
    carried(north)

    north.clock.now += 7 * HOUR
    west.held.clear()
    carried(north)
    asked = len(west.requests)
    assert carried(north).listed_again == ""
    assert len(west.requests) - asked == 1
    west.clock = LAST_YEAR
    west.hold(*NEW)

    assert carried(north).outcomes["stored"] == 3
    assert north.count("object") == 6


def test_one_that_holds_newer_objects_already_is_seen_through_too(north, west):
    west.hold(*OLD)
    carried(north)

    north.clock.now += 7 * HOUR
    west.held.clear()
    west.hold(NEW[0], at=LAST_YEAR)
    west.hold(NEW[1])
    carried(north)

    assert north.count("object") == 5


def test_what_came_in_behind_the_bookmark_is_found_within_a_day(north, west):
    west.page_most = 2
    west.hold(*OLD)
    first = carried(north).bookmark
    west.hold(NEW[0], at=NOON - DAY)
    west.held.sort(key=lambda one: one.added)

    assert carried(north).moved == 0
    north.clock.now += DAY
    report = carried(north)

    assert (report.outcomes["stored"], report.listed_again) == (1, "")
    assert report.bookmark == first
    west.hold(NEW[1])
    asked = len(west.requests)
    assert carried(north).outcomes["stored"] == 1
    assert len(west.requests) - asked == 1


def test_the_daily_look_writes_nothing_but_the_bookmark_when_all_is_known(north, west):
    west.page_most = 2
    west.hold(*OLD)
    carried(north)
    before = [north.count(table) for table in ("arrival", "received", "run", "object", "daily_total")]

    north.clock.now += DAY
    report = carried(north)

    assert (report.pages, report.overlap, report.noteworthy) == (2, 3, False)
    assert [north.count(table) for table in ("arrival", "received", "run", "object", "daily_total")] == before
    asked = len(west.requests)
    carried(north)
    assert len(west.requests) - asked == 1


def test_a_page_that_fails_in_the_daily_look_does_not_keep_the_new_away(north, west):
    west.page_most = 2
    west.hold(*OLD)
    carried(north)
    west.hold(NEW[0])

    north.clock.now += DAY
    page = west._page
    west._page = lambda asked: page(asked) if "next" not in asked.query else Canned(500)
    assert carried(north).error is not None

    assert carried(north).outcomes["stored"] == 1


def test_a_daily_look_that_ends_at_a_limit_is_followed_by_what_is_new(north, west):
    west.page_most = 1
    west.hold(*OLD)
    carried(north)
    west.hold(NEW[0])

    north.clock.now += DAY
    assert carried(north, pages=2).stopped is Stop.RUN_LIMIT

    assert carried(north, pages=2).outcomes["stored"] == 1


def test_a_server_whose_dates_mean_something_else_is_not_listed_in_each_round(north, west):
    """Its header says later than what `added_after` goes by, so what we read last never shows."""
    west.hold(*OLD)
    date = west.date
    west.date = lambda added: date(added + HOUR)
    west._after = lambda asked: [one for one in west.held if not asked.query.get("added_after")]
    carried(north)

    listed = [carried(north).listed_again != "" for _ in range(20)]
    assert not any(listed)
    north.clock.now += 6 * HOUR
    assert [carried(north).listed_again != "" for _ in range(20)] == [True] + [False] * 19


def test_the_long_first_listing_of_a_large_collection_goes_on_over_days(north, west):
    west.page_most = 1
    west.hold(*OLD)

    for stored in (2, 3, 3):
        carried(north, pages=2)
        assert north.count("object") == stored
        north.clock.now += 5 * HOUR
    with north.database.reading() as tx:
        found = bookmarks.read(tx, north.link("in").name)
    assert found.listed_at < north.clock.now - 15 * HOUR


# --- what we brought


def brought(north, *names):
    north.bring(*[an_indicator(name, tlp="green", author=NORTH_ID) for name in names])
    return carried(north, "out")


def test_a_partner_that_lost_what_it_took_makes_the_link_fail_until_that_is_put_right(database, west):
    north = a_receiver(database, west)
    assert brought(north, "a", "b", "c").sent == 3
    west.held.clear()

    north.clock.now += DAY
    report = carried(north, "out")

    assert report.stopped is Stop.UNCONFIRMED
    assert report.detail == (
        "west took 3 objects last, and 3 of them are not there any more:"
        " its collection was made anew, put back or emptied."
    )
    assert report.remedy == (
        "Run: stixnode reconcile west/indicators/out; with --repair what is missing goes again."
    )
    assert carried(north, "out").stopped is Stop.UNCONFIRMED
    with north.database.reading() as tx:
        found = state(tx, "west/indicators/out")
    assert (found.failures, found.last_error) == (2, report.detail)

    with north.database.writing() as tx:
        feed_rows.offer_again(tx, "west/indicators/out")
    carried(north, "out")
    assert carried(north, "out").stopped is None
    assert {one.id for one in west.held} == {an_id("indicator", name) for name in "abc"}


def test_control_without_the_look_nothing_would_tell(north, west, monkeypatch):
    monkeypatch.setattr(foreign, "_look_for", lambda *_: None)
    brought(north, "a", "b", "c")
    west.held.clear()

    north.clock.now += DAY

    assert carried(north, "out").stopped is None


def test_new_objects_go_all_the_same_and_do_not_hide_the_loss(north, west):
    brought(north, "a", "b", "c")
    west.held.clear()

    north.clock.now += DAY
    report = brought(north, "d")

    assert (report.sent, report.stopped) == (1, Stop.UNCONFIRMED)


@pytest.mark.parametrize("manifest", [403, 404, 500])
def test_a_manifest_that_is_refused_says_nothing(north, west, manifest):
    brought(north, "a")
    west.held.clear()
    west._manifest = lambda _asked: Canned(manifest)

    north.clock.now += DAY

    assert carried(north, "out").stopped is None


def test_one_that_deleted_some_is_let_be(north, west):
    brought(north, "a", "b", "c")
    del west.held[0]

    north.clock.now += DAY

    assert carried(north, "out").stopped is None


def test_what_was_taken_long_ago_may_be_erased_there(north, west):
    brought(north, "a")
    west.held.clear()

    north.clock.now += 31 * DAY

    assert carried(north, "out").stopped is None


def test_a_round_looks_once_a_day_and_else_asks_for_the_collection_alone(north, west):
    brought(north, "a")
    carried(north, "out")
    asked = len(west.requests)

    for _ in range(5):
        north.clock.now += HOUR // 10
        carried(north, "out")
    quiet = [one.path.endswith("/manifest/") for one in west.requests[asked:]]
    north.clock.now += DAY
    carried(north, "out")

    assert (len(quiet), quiet.count(True)) in ((5, 0), (6, 1))  # the link's day may begin in this hour
    assert west.requests[-1].path.endswith("/manifest/")
