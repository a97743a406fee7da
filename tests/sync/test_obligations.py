"""What TAXII asks of a client, over everything that our worker sends and receives (T-CLI, N-SYNC)."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from node.clock import taxii_time
from node.errors import PartnerRefused
from node.exchange import egress
from node.store import catalog
from node.sync import bookmarks
from node.sync.pull import pull
from node.sync.push import push
from tests.support.builders import NOON, NORTH_ID, an_id, an_indicator, an_ipv4
from tests.support.partner import MEDIA, SECOND, Canned

THEIRS = [an_indicator(f"theirs {n}") for n in range(5)]
OURS = [an_indicator(f"ours {n}", tlp="green", author=NORTH_ID) for n in range(5)]
CHALLENGES = 'Basic realm="taxii", type=1, title="Login to \\"apps\\"", Basic realm="simple"'


def carry(north, how):
    client = north.client()
    try:
        if how == "pull":
            return pull(north.door, north.link("in"), client, now=north.clock)
        return push(north.door, north.link("out"), client, now=north.clock, pause=north.pause)
    finally:
        client.close()


@pytest.fixture
def asked(north, west):
    """Every request of a pull in pages, and of a push that waits for its status and reads the manifest."""
    west.hold(*THEIRS)
    west.page_most = 2
    carry(north, "pull")
    west.post_style = "pending"
    north.bring(*OURS)
    carry(north, "push")
    return west.requests


def exported(north):
    """The bytes that north holds, by date added."""
    with north.database.reading() as tx:
        collection = catalog.find_collection(tx, "indicators")
    return list(egress.export_bodies(north.door, collection))


def test_the_requests_that_are_looked_at_are_of_every_kind(asked):
    kinds = {(one.method, one.path.rstrip("/").rpartition("/")[2][:8]) for one in asked}

    assert {("GET", "objects"), ("POST", "objects"), ("GET", "manifest"), ("GET", "api")} <= kinds
    assert any("/status/" in one.path for one in asked)


def test_every_request_asks_for_taxii_2_1_and_says_who_we_are(asked):
    """T-CLI-1, T-CLI-5, I-X-4."""
    assert {one.headers["accept"] for one in asked} == {MEDIA}
    assert all(one.headers["user-agent"].startswith("stixnode/") for one in asked)


def test_every_post_says_what_it_sends_and_what_it_takes(asked):
    """T-CLI-2."""
    posts = [one for one in asked if one.method == "POST"]

    assert {(one.headers["content-type"], one.headers["accept"]) for one in posts} == {(MEDIA, MEDIA)}


def test_every_address_ends_in_a_slash(asked):
    """T-CLI-3, T-NET-1."""
    assert all(one.path.endswith("/") for one in asked)


def test_no_parameter_is_sent_twice_or_empty(asked):
    """T-CLI-8, I-3.13.1.10: values are joined by commas."""
    sent = [(name, values) for one in asked for name, values in one.query.items()]

    assert ("match[spec_version]", ["2.0,2.1"]) in sent
    assert all(len(values) == 1 and values[0] for _, values in sent)


@pytest.mark.parametrize("how", ["pull", "push"])
def test_unknown_properties_are_no_obstacle(north, west, how):
    """T-CLI-7, I-3.15.1: in every resource that we read, known ones of any of their values beside them."""
    west.hold(*THEIRS)
    north.bring(*OURS)
    answer = west.answer
    name = "x_18467e42_04f4_4505_93c8_9f1cf29e1045_test"

    def custom(asked):
        canned = answer(asked)
        resource = {
            **json.loads(canned.body),
            name: {"a": [1, None]},
            "description": "",
            "more_or_less": None,
        }
        return Canned(canned.status, json.dumps(resource).encode(), canned.headers)

    west.answer = custom
    report = carry(north, how)

    assert (report.error, report.stopped) == (None, None)
    assert (report.outcomes["stored"] if how == "pull" else report.sent) == 5


@pytest.mark.parametrize("body", [b"{}", b'{"more":false}', b'{"more": false, "x_west_note": "nothing"}'])
def test_an_envelope_without_objects_is_an_empty_page(north, west, body):
    """T-CLI-14, I-3.7.2."""
    west.answer_next(Canned(body=body))
    report = carry(north, "pull")

    assert (report.error, report.stopped, report.received) == (None, None, 0)


def test_a_refusal_with_several_challenges_is_told_as_what_it_is(north, west):
    """T-CLI-21, T-ERR-5, I-3.1.1, I-3.1.2: 401 with the challenges of the interop document."""
    west.answer_next(Canned(401, b'{"title":"Who are you?"}', {"WWW-Authenticate": CHALLENGES}))
    report = carry(north, "pull")

    assert isinstance(report.error, PartnerRefused)
    assert report.error.http_status == 401
    assert "Who are you?" in report.error.problem
    assert len(west.requests) == 1


def test_dates_are_given_here_whatever_the_partner_gave(north, west):
    """N-SYNC-4: our date is neither copied from the partner nor compared with it."""
    west.clock = NOON - 400 * 86_400 * SECOND
    west.hold(*THEIRS)
    carry(north, "pull")
    with north.database.reading() as tx:
        dates = [row[0] for row in tx.rows(sa.text("select added from object order by added"))]

    assert dates == [NOON + 10 * n for n in range(5)]
    assert west.held[0].added < NOON


def test_a_partner_that_shows_nothing_any_more_has_deleted_nothing_here(north, west):
    """N-SYNC-6: an empty listing may be a right that was taken."""
    west.hold(*THEIRS)
    carry(north, "pull")
    west.held.clear()
    report = carry(north, "pull")

    assert (report.error, report.received, north.count("object")) == (None, 0, 5)


def test_bytes_cross_as_they_are(north, west):
    """N-SYNC-7: in both directions, spaces, spellings of numbers and unknown properties too."""
    odd = THEIRS[0].replace(b'"pattern_type"', b'"x_west_odd" : [ 1.0 , 1E2, "\\u00e9" ],"pattern_type"')
    other = OURS[0].replace(b'"pattern_type"', b'"x_north_odd" : [ 1.0 , 1E2, "\\u00e9" ],"pattern_type"')
    west.hold(odd)
    carry(north, "pull")
    north.bring(other)
    carry(north, "push")
    (post,) = [one for one in west.requests if one.method == "POST"]

    assert exported(north) == [odd, other]
    assert post.body == b'{"objects":[' + other + b"]}"


def test_versions_are_pushed_one_after_another_as_they_came(north, west):
    """N-SYNC-8: in our own order, older ones too."""
    first = [
        an_indicator("ours", tlp="green", author=NORTH_ID, modified=f"2026-11-20T08:0{n}:00.000Z")
        for n in range(4)
    ]
    north.bring(first[2], an_ipv4())
    north.bring(first[0], first[3])
    north.bring(first[1])
    west.max_content_length = 900
    carry(north, "push")
    sent = [
        (one["id"], one.get("modified", ""))
        for post in west.requests
        if post.method == "POST"
        for one in json.loads(post.body)["objects"]
    ]
    held = [(one["id"], one.get("modified", "")) for one in map(json.loads, exported(north))]

    assert sent == held
    assert [stix_id for stix_id, _ in sent].count(an_id("indicator", "ours")) == 4


@pytest.mark.parametrize("status", [403, 404])
def test_a_right_that_was_taken_ends_the_cycle_and_keeps_the_bookmark(north, west, status):
    """N-SYNC-11, T-CLI-21: and what is new is found when it is given again."""
    west.hold(*THEIRS[:3])
    carry(north, "pull")
    west.answer_next(Canned(status, b'{"title":"Not now"}'))
    west.hold(*THEIRS[3:])
    refused = carry(north, "pull")
    with north.database.reading() as tx:
        bookmark = bookmarks.read(tx, north.link("in").name)
    again = carry(north, "pull")

    assert isinstance(refused.error, PartnerRefused)
    assert bookmark.added_after == taxii_time(NOON + 3 * SECOND)
    assert (again.error, again.outcomes["stored"], north.count("object")) == (None, 2, 5)
