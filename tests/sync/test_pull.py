"""Pull from other software that pages, dates and answers as badly as real servers do."""

from __future__ import annotations

import gzip

import pytest

from node.errors import PartnerRefused, PartnerUnreachable
from node.sync import bookmarks
from node.sync.connection import Patience
from node.sync.pull import Limits, pull
from node.sync.reports import Stop
from tests.support.builders import NOON, an_identity, an_indicator
from tests.support.partner import Canned, a_receiver

MANY = [an_indicator(n) for n in range(25)]


def pull_once(north, *, limits=None, patience=None):
    client = north.client(patience)
    try:
        return pull(north.door, north.link("in"), client, now=north.clock, limits=limits)
    finally:
        client.close()


def bookmark_of(north):
    with north.database.reading() as tx:
        found = bookmarks.read(tx, north.link("in").name)
    return None if found is None else found.added_after


def test_every_object_arrives_on_both_databases(database, west):
    west.hold(*MANY)
    west.page_most = 10
    north = a_receiver(database, west)
    report = pull_once(north)
    assert (report.error, report.pages, report.outcomes["stored"]) == (None, 3, 25)
    assert north.count("object") == 25


def test_all_versions_of_both_specs_are_asked_for(north, west):
    """N-SYNC-1, T-CLI-1, T-CLI-5, I-X-4: every version of both specs, in one media type, with our name."""
    pull_once(north)
    (asked,) = west.pages_asked()
    assert asked.query["match[version]"] == ["all"]
    assert asked.query["match[spec_version]"] == ["2.0,2.1"]
    assert asked.headers["accept"] == "application/taxii+json;version=2.1"
    assert asked.headers["accept-encoding"] == "identity"
    assert asked.headers["user-agent"].startswith("stixnode/")


def test_the_headers_of_our_own_kind_are_not_sent_to_other_software(north, west):
    pull_once(north)
    assert [name for name in west.pages_asked()[0].headers if name.startswith("x-exchange")] == []


def test_the_bookmark_is_the_partners_own_text(north, west):
    """N-SYNC-2, T-CLI-13: of its last date, kept verbatim."""
    west.digits = 3
    west.hold(*MANY[:2])
    report = pull_once(north)
    assert report.bookmark == bookmark_of(north) == west.date(west.held[-1].added)
    assert len(report.bookmark) == len("2026-11-21T12:00:00.000Z")


@pytest.mark.parametrize("digits", [6, 3, 0])
@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("next_style", ["offset", "none"])
def test_nothing_is_missed_whatever_the_dates_look_like(north, west, digits, inclusive, next_style):
    """N-SYNC-3, T-CLI-9, T-CLI-13: by `next`, or by the last date where there is none."""
    west.digits, west.inclusive, west.next_style, west.page_most = digits, inclusive, next_style, 4
    west.hold(*MANY[:13])
    pull_once(north)
    west.hold(*MANY[13:])
    report = pull_once(north)
    assert report.stopped is None
    assert north.count("object") == 25


def test_objects_of_one_date_are_not_lost_at_the_border_of_a_page(north, west):
    """N-SYNC-3, T-CLI-12: a larger page is asked for."""
    west.next_style, west.page_most = "none", 10_000
    west.hold(*MANY[:20], at=NOON)
    west.hold(*MANY[20:])
    report = pull_once(north, limits=Limits(page_objects=5))
    assert (report.stopped, north.count("object")) == (None, 25)


def test_more_objects_of_one_date_than_a_page_holds_are_said_to_block(north, west):
    """T-CLI-12: it cannot be paged, and nothing loops."""
    west.next_style, west.page_most = "none", 5
    west.hold(*MANY[:20], at=NOON)
    report = pull_once(north)
    assert report.stopped is Stop.NO_PROGRESS
    assert "one date" in report.detail


def test_a_late_object_of_the_bookmarks_own_millisecond_is_found(north, west):
    """N-SYNC-3: the last unit is read again."""
    west.digits = 3
    west.hold(MANY[0], at=NOON + 100)
    pull_once(north)
    west.hold(MANY[1], at=NOON + 200)
    pull_once(north)
    assert north.count("object") == 2


@pytest.mark.parametrize("inclusive", [False, True])
def test_a_quiet_round_is_one_request_and_writes_nothing(north, west, inclusive):
    west.inclusive = inclusive
    west.hold(*MANY[:3])
    pull_once(north)
    rows = [north.count(table) for table in ("object", "received", "arrival", "leaf")]
    asked, before = len(west.requests), bookmark_of(north)
    report = pull_once(north)
    assert (len(west.requests) - asked, report.moved) == (1, 0)
    assert [north.count(table) for table in ("object", "received", "arrival", "leaf")] == rows
    assert bookmark_of(north) == before


def test_without_dates_the_bookmark_stays_and_the_report_says_so(north, west):
    """N-SYNC-2, N-SYNC-13: neither our clock nor the partner's Date takes its place."""
    west.date_headers = False
    west.hold(*MANY[:3])
    report = pull_once(north)
    assert (report.outcomes["stored"], bookmark_of(north)) == (3, None)
    assert "X-TAXII-Date-Added-Last" in report.warnings[0]


def test_h1_fresh_objects_without_end_stop_at_the_limit_of_the_run(north, west):
    west.next_style = "endless"
    report = pull_once(north, limits=Limits(pages=7))
    assert (report.stopped, report.pages) == (Stop.RUN_LIMIT, 7)
    assert report.outcomes["stored"] == north.count("object") == 14
    assert not report.unfinished


def test_h2_the_same_page_with_the_same_next_stops(north, west):
    """T-CLI-11."""
    west.hold(*MANY[:3])
    west.next_style = "same"
    report = pull_once(north)
    assert (report.stopped, report.pages) == (Stop.NO_PROGRESS, 2)
    assert report.unfinished


def test_h3_more_without_next_and_without_dates_stops(north, west):
    """T-CLI-11."""
    west.hold(*MANY)
    west.page_most, west.next_style, west.date_headers = 5, "none", False
    report = pull_once(north)
    assert (report.stopped, report.pages) == (Stop.NO_PROGRESS, 1)
    assert north.count("object") == 5


def test_empty_pages_that_promise_more_stop(north, west):
    """T-CLI-11: after a few."""
    west.next_style = "empty"
    report = pull_once(north)
    assert (report.stopped, report.pages) == (Stop.NO_PROGRESS, 3)


def test_h4_a_next_beyond_all_measure_is_not_used(north, west):
    west.answer_next(Canned(body=b'{"more":true,"next":"' + b"x" * 5000 + b'","objects":[]}'))
    report = pull_once(north)
    assert isinstance(report.error, PartnerRefused)
    assert len(west.requests) == 1


def test_h4_a_next_cannot_smuggle_parameters_or_headers(north, west):
    west.answer_next(Canned(body=b'{"more":true,"next":"1&limit=9\\r\\nX-Evil: 1","objects":[{"a":1}]}'))
    west.answer_next(Canned())
    pull_once(north)
    second = west.pages_asked()[1]
    assert second.query["next"] == ["1&limit=9\r\nX-Evil: 1"]
    assert second.query["limit"] == ["1000"]
    assert "x-evil" not in second.headers


@pytest.mark.parametrize("word", [b"null", b'""'])
def test_an_empty_next_counts_as_none(north, west, word):
    """T-CLI-9."""
    west.answer_next(Canned(body=b'{"more":false,"next":' + word + b',"objects":[]}'))
    assert pull_once(north).error is None


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate"])
def test_h6_a_coding_that_we_did_not_ask_for_is_refused_unread(north, west, coding):
    west.answer_next(Canned(body=gzip.compress(b"{}"), headers={"Content-Encoding": coding}))
    report = pull_once(north)
    assert isinstance(report.error, PartnerRefused)
    assert coding in report.error.problem


def test_h7_a_bad_object_does_not_keep_the_others_back(north, west):
    west.hold(*MANY[:2])
    bad = MANY[2].replace(b'"pattern_type":"stix"', b'"pattern_type":NaN')
    twice = MANY[3].replace(b'"spec_version":"2.1"', b'"spec_version":"2.1","spec_version":"2.1"')
    body = b'{"objects":[' + b",".join([MANY[0], twice, MANY[1]]) + b"]}"
    west.answer_next(Canned(body=body))
    report = pull_once(north)
    assert bad != MANY[2]
    assert (report.received, report.outcomes["stored"]) == (3, 2)
    assert report.outcomes["quarantined"] + report.outcomes["refused"] == 1


@pytest.mark.parametrize("how", ["drip", "silent"])
def test_h8_an_answer_that_takes_too_long_is_given_up(north, west, how):
    west.answer_next(Canned(body=b'{"objects":[]}' + b" " * 1000, how=how))
    report = pull_once(north, patience=Patience(connect=1, read=30, whole=0.4))
    assert isinstance(report.error, PartnerUnreachable)
    assert "longer than 0.4 s" in report.error.problem


def test_a_cut_answer_stores_nothing_and_is_fetched_again(north, west):
    """N-SYNC-2: the bookmark moves only with what was stored."""
    west.hold(*MANY[:3])
    west.answer_next(Canned(body=b'{"objects":[' + MANY[0] + b"]}", how="cut"))
    report = pull_once(north)
    assert isinstance(report.error, PartnerUnreachable)
    assert (north.count("object"), bookmark_of(north)) == (0, None)
    assert pull_once(north).outcomes["stored"] == 3


@pytest.mark.parametrize("location", ["http://169.254.169.254/", "https://elsewhere.example/api/", "/api/"])
def test_h9_a_redirect_is_not_followed(north, west, location):
    """T-CLI-18."""
    west.answer_next(Canned(302, b"go", {"Location": location}))
    report = pull_once(north)
    assert isinstance(report.error, PartnerRefused)
    assert "redirect" in report.error.problem
    assert len(west.requests) == 1


@pytest.mark.parametrize(
    "canned",
    [
        Canned(body=b"<html>We are cleaning</html>", content_type="text/html"),
        Canned(body=b"<html>We are cleaning</html>"),
        Canned(body=b'{"objects":[]}', content_type="text/html"),
        Canned(body=b'{"objects":[]}', content_type=None),
        Canned(body=b"[]"),
        Canned(body=b""),
        Canned(body=b'{"objects":[{"type":'),
    ],
)
def test_h30_what_is_not_a_taxii_envelope_is_no_answer(north, west, canned):
    west.answer_next(canned)
    report = pull_once(north)
    assert isinstance(report.error, PartnerUnreachable)
    assert north.count("object") == 0


@pytest.mark.parametrize(
    "written",
    [
        "application/taxii+json",
        "Application/TAXII+JSON; version=2.1",
        'application/taxii+json;version="2.1"',
        "application/taxii+json;charset=utf-8;version=2.1",
    ],
)
def test_the_media_type_is_read_tolerantly(north, west, written):
    """T-CLI-10."""
    west.answer_next(Canned(body=b'{"objects":[' + MANY[0] + b"]}", content_type=written))
    assert pull_once(north).outcomes["stored"] == 1


def test_h12_an_object_of_the_year_9999_is_set_aside(north, west):
    west.hold(
        MANY[0], an_indicator("late", created="9999-01-01T00:00:00.000Z", modified="9999-01-01T00:00:00.000Z")
    )
    report = pull_once(north)
    assert (report.outcomes["stored"], report.outcomes["quarantined"]) == (1, 1)


def test_h17_an_object_that_claims_to_be_ours_is_set_aside(north, west):
    west.hold(an_indicator("claimed", author="identity--2f1b6c7a-54c6-4b0e-9d0a-3f6f4a1f0a01"))
    assert pull_once(north).outcomes["quarantined"] == 1


def test_a_server_that_forgot_its_next_is_asked_by_date(north, west):
    west.page_most = 10
    west.hold(*MANY)
    first = west.answer
    seen = []

    def forgetful(asked):
        seen.append(asked)
        if "next" in asked.query and len(seen) == 2:
            return Canned(400, b'{"title":"unknown next"}')
        return first(asked)

    west.answer = forgetful
    report = pull_once(north)
    assert (report.error, north.count("object")) == (None, 25)


def test_what_was_stored_before_an_error_stays_and_the_next_run_goes_on(north, west):
    west.page_most = 10
    west.hold(*MANY)
    client_answers = west.answer
    served = []

    def failing(asked):
        served.append(asked)
        return Canned(503, b"{}", {"Retry-After": "7"}) if len(served) == 2 else client_answers(asked)

    west.answer = failing
    report = pull_once(north)
    assert (report.error.retry_after_seconds, north.count("object")) == (7.0, 10)
    assert pull_once(north).outcomes["stored"] == 15


def test_a_change_of_what_we_take_lists_from_the_start(north, west):
    west.hold(*MANY[:3])
    pull_once(north)
    with north.database.writing() as tx:
        link = north.link("in")
        found = bookmarks.read(tx, link.name)
        bookmarks.advance(tx, link.name, bookmarks.Bookmark(found.added_after, "", b"another policy", 0))
    report = pull_once(north)
    assert report.listed_again
    assert report.outcomes["duplicate"] == 3


def test_the_size_of_a_page_shrinks_until_it_fits(north, west):
    west.page_most = 1000
    west.hold(*MANY)
    report = pull_once(north, patience=Patience(most_bytes=3000))
    assert (report.error, report.outcomes["stored"]) == (None, 25)


def test_a_page_of_nothing_but_identities_passes_the_type_rule(north, west):
    west.hold(an_identity())
    assert pull_once(north).outcomes["stored"] == 1
