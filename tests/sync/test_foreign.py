"""Push to other software: nothing is done because it was sent."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from node.errors import PartnerRefused, PartnerUnreachable
from node.exchange import feed_rows, links
from node.sync import foreign, rounds
from node.sync.push import push
from node.sync.reports import Stop
from tests.support.builders import NORTH_ID, an_id, an_indicator, an_ipv4
from tests.support.partner import SECOND, Canned, a_receiver

OURS = [an_indicator(n, tlp="green", author=NORTH_ID) for n in range(5)]


def push_once(north):
    client = north.client()
    try:
        return push(north.door, north.link("out"), client, now=north.clock, pause=north.pause)
    finally:
        client.close()


def states(north):
    with north.database.reading() as tx:
        rows = tx.rows(sa.text("select state, count(*) from feed_row group by state"))
    return {feed_rows.STATE_NAMES[state]: count for state, count in rows}


def numbers(report):
    return (report.considered, report.sent, report.unchanged, report.failed, report.unconfirmed)


def test_what_is_ours_lies_at_the_partner_on_both_databases(database, west):
    north = a_receiver(database, west)
    north.bring(*OURS)
    report = push_once(north)
    assert (report.error, numbers(report)) == (None, (5, 5, 0, 0, 0))
    assert {one.id for one in west.held} == {an_id("indicator", n) for n in range(5)}
    assert states(north) == {"settled": 5}


def test_a_quiet_round_is_one_request_for_the_collection(north, west):
    north.bring(*OURS)
    push_once(north)
    asked = len(west.requests)
    report = push_once(north)
    assert numbers(report) == (0, 0, 0, 0, 0)
    assert [one.path.count("/") for one in west.requests[asked:]] == [4]


def test_what_came_from_the_partner_is_not_pushed_back(north, west):
    push_once(north)
    assert west.posts() == []


def test_duplicates_reported_as_failures_count_as_unchanged(north, west):
    west.post_style = "duplicates_fail"
    west.hold(*OURS[:2])
    north.bring(*OURS)
    report = push_once(north)
    assert numbers(report) == (5, 3, 2, 0, 0)
    assert states(north) == {"settled": 5}


def test_a_failure_that_the_manifest_does_not_contradict_is_final_for_these_bytes(north, west):
    """T-CLI-16, N-SYNC-9: 202 is no success, and a failure is not tried again."""
    west.refuses = {an_id("indicator", 1): "not wanted here"}
    north.bring(*OURS)
    report = push_once(north)
    assert numbers(report) == (5, 4, 0, 1, 0)
    assert numbers(push_once(north)) == (0, 0, 0, 0, 0)
    with north.database.reading() as tx:
        rows = tx.rows(sa.text("select message from feed_row where state = 3"))
    assert rows == [("not wanted here",)]


def test_a_status_that_is_late_is_waited_for(north, west):
    """T-STAT-16, N-SYNC-10: asked again with back-off until it is complete, and never after."""
    west.post_style = "slow"
    north.bring(*OURS)
    report = push_once(north)
    assert numbers(report) == (5, 5, 0, 0, 0)
    assert north.pauses == [0.5, 1.0]


def test_a_status_pending_for_ever_is_settled_by_the_manifest(north, west):
    """N-SYNC-10."""
    west.post_style = "pending"
    north.bring(*OURS)
    report = push_once(north)
    assert numbers(report) == (5, 5, 0, 0, 0)
    assert sum(north.pauses) < 60


def test_pending_for_ever_and_not_in_the_manifest_is_unconfirmed(north, west):
    """N-SYNC-10: unknown is no success."""
    west.post_style, west.stores = "pending", False
    north.bring(*OURS)
    report = push_once(north)
    assert numbers(report) == (5, 0, 0, 0, 5)
    assert report.stopped is Stop.UNCONFIRMED
    assert "settled" not in states(north)


def test_what_was_unconfirmed_is_offered_again(north, west):
    west.post_style, west.stores = "pending", False
    north.bring(*OURS)
    push_once(north)
    west.post_style, west.stores = "complete", True
    assert numbers(push_once(north)) == (5, 5, 0, 0, 0)


def test_what_is_unconfirmed_does_not_keep_later_objects_back(north, west, monkeypatch):
    monkeypatch.setattr(foreign, "MOST_OBJECTS", 2)
    west.post_style, west.stores = "pending", False
    north.bring(*OURS)
    push_once(north)
    assert [len(ids) for ids in west.posts()] == [2, 2, 1]


def test_a_status_that_vanished_is_looked_up_in_the_manifest(north, west):
    """N-SYNC-10."""
    west.post_style = "forgotten"
    north.bring(*OURS)
    assert numbers(push_once(north)) == (5, 5, 0, 0, 0)


def test_without_a_manifest_unknown_stays_unknown_and_a_failure_stands(north, west):
    west.can_read, west.post_style = False, "liar"
    north.bring(*OURS)
    report = push_once(north)
    assert numbers(report) == (5, 0, 0, 0, 5)
    assert "manifest" in report.warnings[0]


def test_h32_counts_without_lists_settle_nothing_by_themselves(north, west):
    west.post_style, west.stores = "liar", False
    north.bring(*OURS)
    assert numbers(push_once(north)) == (5, 0, 0, 0, 5)


def test_h32_success_for_ids_that_we_did_not_send_settles_nothing(north, west):
    west.post_style, west.stores = "strangers", False
    north.bring(*OURS)
    assert numbers(push_once(north)) == (5, 0, 0, 0, 5)


def test_413_splits_until_the_batches_fit(north, west):
    """T-CLI-15."""
    west.post_most = 2
    north.bring(*OURS)
    report = push_once(north)
    assert numbers(report) == (5, 5, 0, 0, 0)
    assert max(len(ids) for ids in west.posts()[-1:]) <= 2


def test_422_leaves_the_one_bad_object_alone(north, west):
    west.never = {an_id("indicator", 3)}
    north.bring(*OURS)
    report = push_once(north)
    assert numbers(report) == (5, 4, 0, 1, 0)
    assert states(north) == {"settled": 4, "failed": 1}


def test_batches_stay_below_the_length_that_the_partner_takes(north, west):
    """T-CLI-15, N-SYNC-8."""
    west.max_content_length = 1500
    north.bring(*OURS)
    report = push_once(north)
    assert numbers(report) == (5, 5, 0, 0, 0)
    assert max(len(one.body) for one in west.requests if one.method == "POST") <= 1500


@pytest.mark.parametrize("length", [None, "much", 0])
def test_an_api_root_that_does_not_say_its_length_is_no_obstacle(north, west, length):
    west.max_content_length = length
    north.bring(*OURS)
    assert numbers(push_once(north)) == (5, 5, 0, 0, 0)


def test_a_collection_that_we_may_not_write_ends_the_round(north, west):
    """N-SYNC-11."""
    west.can_write = False
    north.bring(*OURS)
    report = push_once(north)
    assert report.stopped is Stop.NO_RIGHT
    assert west.posts() == []


def test_a_refused_post_is_reported_and_nothing_is_settled(north, west):
    north.bring(*OURS)
    west.answer_next(Canned(body=b'{"id":"x","title":"W","can_read":true,"can_write":true}'))
    west.answer_next(Canned(body=b'{"title":"W","versions":["x"],"max_content_length":9999}'))
    west.answer_next(Canned(403, b'{"title":"Not you"}'))
    report = push_once(north)
    assert isinstance(report.error, PartnerRefused)
    assert numbers(report) == (5, 0, 0, 0, 5)
    assert states(north) == {"sent": 5}


def test_observables_are_settled_by_their_id(north, west):
    north.bring(an_ipv4("198.51.100.7"), an_ipv4("198.51.100.8"))
    assert numbers(push_once(north)) == (2, 2, 0, 0, 0)


def test_what_is_withheld_is_counted_and_never_sent(north, west):
    north.bring(OURS[0], an_indicator("amber", tlp="amber", author=NORTH_ID))
    report = push_once(north)
    assert (report.considered, report.sent, report.withheld) == (2, 1, 1)
    assert west.posts() == [[an_id("indicator", 0)]]


@pytest.mark.parametrize("date", ["0001-01-01T00:00:00.000Z", "1600-01-01T00:00:00.000Z"])
def test_a_version_beyond_what_is_kept_of_a_date_is_settled_by_its_word(north, west, date):
    north.bring(an_indicator("far", tlp="green", author=NORTH_ID, created=date, modified=date))
    assert numbers(push_once(north)) == (1, 1, 0, 0, 0)


def slow_down(west, part, headers):
    """West answers 429 wherever the path has a part."""
    usual = west.answer
    west.answer = lambda asked: Canned(429, headers=headers) if part in asked.path else usual(asked)


@pytest.mark.parametrize("headers", [{"Retry-After": "120"}, {}])
def test_a_partner_that_asks_to_wait_while_polled_is_asked_nothing_more(north, west, monkeypatch, headers):
    monkeypatch.setattr(foreign, "MOST_OBJECTS", 2)
    west.post_style = "pending"
    slow_down(west, "/status/", headers)
    north.bring(*OURS)
    report = push_once(north)
    assert isinstance(report.error, PartnerUnreachable)
    assert numbers(report) == (2, 0, 0, 0, 2)
    assert "/status/" in west.requests[-1].path
    assert len(west.posts()) == 1


def test_what_is_known_is_settled_before_a_partner_is_left_alone(north, west):
    west.refuses = {an_id("indicator", 1): "not wanted here"}
    slow_down(west, "/manifest/", {"Retry-After": "120"})
    north.bring(*OURS)
    report = push_once(north)
    assert report.error.retry_after_seconds == 120
    assert numbers(report) == (5, 4, 0, 0, 1)
    assert states(north) == {"settled": 4, "sent": 1}


def test_the_next_round_waits_as_long_as_the_partner_asked_in_the_middle_of_one(north, west):
    west.post_style = "pending"
    slow_down(west, "/status/", {"Retry-After": "120"})
    north.bring(*OURS)
    client = north.client()
    rounds.carry(north.door, north.link("out"), client, now=north.clock, pause=north.pause)
    client.close()
    with north.database.reading() as tx:
        assert links.state(tx, north.link("out").name).next_try == north.clock() + 120 * SECOND
