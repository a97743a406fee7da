"""Moments and versions: how they are written, compared, and told back (T-TS)."""

from __future__ import annotations

import json

import pytest

from tests.conformance.endpoints import ONE, TAXII_TIME, an_error, told
from tests.conformance.target import FIRST, LAST
from tests.support.builders import CREATED, a_marking_definition, an_id, an_indicator, an_ipv4

EPOCH = "2001-01-01T00:00:00.000Z"


def versions(target, place, object_id=ONE):
    """The versions of an object as its collection tells them."""
    return target.member.get(place.versions(object_id)).json.get("versions", [])


def test_every_moment_of_the_server_has_six_digits(target, rw):
    """T-TS-1: in the status, the manifest and the headers, also a whole second."""
    posted = target.member.post(rw, [an_indicator()]).json
    page = target.member.get(rw.manifest)

    moments = [page.json["objects"][0]["date_added"], page.headers[FIRST], page.headers[LAST]]
    moments += [posted["request_timestamp"]] if "request_timestamp" in posted else []

    assert [one for one in moments if not TAXII_TIME.fullmatch(one)] == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("2026-11-20T08:00:00Z", id="T-TS-2 none"),
        pytest.param("2026-11-20T08:00:00.1Z", id="T-TS-2 one"),
        pytest.param("2026-11-20T08:00:00.123456Z", id="T-TS-2 six"),
        pytest.param("2026-11-20T08:00:00.123456789Z", id="T-TS-2, T-TS-3 nine"),
    ],
)
def test_a_moment_in_an_object_may_have_any_number_of_digits(target, rw, text):
    target.seed(rw, [an_indicator(valid_from=text)])

    assert target.member.listed(rw.objects)[0]["valid_from"] == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("2026-11-20T08:00:00.Z", id="T-TS-2 a bare dot"),
        pytest.param("2026-11-20T08:00:60.000Z", id="T-TS-10 a leap second"),
        pytest.param("2026-02-30T08:00:00.000Z", id="T-TS-10 an impossible day"),
        pytest.param("10000-01-01T00:00:00.000Z", id="T-TS-10 the year 10000"),
        pytest.param("2026-11-20t08:00:00.000z", id="T-TS-10 small letters"),
        pytest.param("2026-11-20T08:00:00.000+00:00", id="T-TS-10 another zone"),
        pytest.param("2026-11-20 08:00:00.000Z", id="T-TS-10 a space"),
        pytest.param("2026-11-20", id="T-TS-10 a day"),
    ],
)
def test_what_is_no_moment_is_refused(target, rw, text):
    found = target.member.post(rw, [an_indicator(created=EPOCH, modified=text), an_indicator("two")])

    assert (found.status_code, [one["id"] for one in found.json["failures"]]) == (202, [ONE])
    assert told(target.member.get(rw.objects, match_version=text)) == an_error(400)
    assert told(target.member.get(rw.objects, added_after=text)) == an_error(400)


def test_versions_that_differ_in_the_ninth_digit_are_two(target, rw):
    """T-TS-3: nothing is cut to what a datetime can hold."""
    texts = ["2026-11-20T08:00:00.123456788Z", "2026-11-20T08:00:00.123456789Z"]
    target.seed(rw, [an_indicator(modified=text) for text in texts])

    assert versions(target, rw) == texts
    for text in texts:
        (found,) = target.member.listed(rw.objects, match_version=text)
        assert found["modified"] == text


@pytest.mark.parametrize(
    "other", ["2026-11-20T08:00:00.100000Z", "2026-11-20T08:00:00.1000Z", "2026-11-20T08:00:00.100000000Z"]
)
def test_one_instant_is_one_version_however_it_is_written(target, rw, other):
    """T-TS-4: a second spelling adds no version, and either finds and deletes the one that is there."""
    target.seed(rw, [an_indicator(modified="2026-11-20T08:00:00.100Z")])

    target.member.post(rw, [an_indicator(modified=other)])

    assert versions(target, rw) == ["2026-11-20T08:00:00.100Z"]
    assert len(target.member.listed(rw.objects, match_version=other)) == 1
    assert target.member.delete(rw.object(ONE), match_version=other).status_code == 200
    assert target.member.get(rw.object(ONE)).status_code == 404


def test_the_text_of_the_sender_is_told_everywhere(target, rw):
    """T-TS-5, T-TS-9: status, manifest, versions and object have one string, which match[version] finds."""
    text = "2026-11-20T08:00:00.120000Z"
    posted = target.member.post(rw, [an_indicator(modified=text)]).json

    (record,) = target.member.listed(rw.manifest)
    (body,) = target.member.listed(rw.objects, match_version=text)

    assert [one["version"] for one in posted["successes"]] == [text]
    assert (record["version"], body["modified"], versions(target, rw)) == (text, text, [text])


def test_the_newest_version_is_the_latest_moment_and_not_the_greatest_text(target, rw):
    """T-TS-6: .5000001 is later than .500, although its text sorts before."""
    texts = ["2026-11-20T08:00:00.5000001Z", "2026-11-20T08:00:00.500Z"]
    target.seed(rw, [an_indicator(modified=text) for text in texts])

    found = [
        target.member.listed(rw.objects, match_version=word)[0]["modified"] for word in ("first", "last")
    ]

    assert found == [texts[1], texts[0]]


def test_a_version_is_modified_else_created_else_the_date_of_its_arrival(target, rw):
    """T-TS-7, T-TS-8, T-STAT-9: for an indicator, a marking and an address."""
    posted = target.member.post(
        rw, [an_indicator(modified="2026-11-20T09:00:00.000Z"), a_marking_definition()]
    )
    target.seed(rw, [an_ipv4()])

    records = {one["id"]: one for one in target.member.listed(rw.manifest)}
    address = records[json.loads(an_ipv4())["id"]]

    assert records[ONE]["version"] == "2026-11-20T09:00:00.000Z"
    assert records[an_id("marking-definition")]["version"] == CREATED
    assert address["version"] == address["date_added"]
    assert {one["id"]: one["version"] for one in posted.json["successes"]} == {
        one: records[one]["version"] for one in (ONE, an_id("marking-definition"))
    }


def test_the_version_of_an_address_stays_what_it_was(target, rw):
    """T-TS-8, T-TS-9: stored once; posted again, later, after a restart, it finds the address."""
    first = target.member.post(rw, [an_ipv4()]).json["successes"][0]
    target.later(seconds=60)
    again = target.member.post(rw, [an_ipv4()]).json["successes"][0]
    target.restart()

    found = target.member.get(rw.objects, match_version=first["version"])

    assert again["version"] == first["version"]
    assert [one["id"] for one in found.json["objects"]] == [first["id"]]
    assert versions(target, rw, first["id"]) == [first["version"]]


def test_dates_strictly_increase_inside_a_post_and_from_post_to_post(target, rw):
    """T-TS-11, T-POST-26, T-PAGE-5: no two entries of a collection share a date."""
    for batch in range(3):
        target.seed(rw, [an_indicator(f"{batch} {number}") for number in range(7)])

    dates = [one["date_added"] for one in target.member.listed(rw.manifest)]

    assert dates == sorted(set(dates))
    assert len(dates) == 21


def test_dates_increase_although_the_clock_goes_back(target, rw):
    """T-TS-11, T-POST-26: an hour back, and what comes then is still behind what was there."""
    target.seed(rw, [an_indicator()])
    date = target.member.get(rw.objects).headers[LAST]
    target.later(hours=-1)
    try:
        target.seed(rw, [an_indicator("two")])
    finally:
        target.later(hours=1)

    assert [one["id"] for one in target.member.listed(rw.objects, added_after=date)] == [
        an_id("indicator", "two")
    ]


@pytest.mark.parametrize(
    "header", ["Date", "X-TAXII-Date-Added-First", "X-TAXII-Date-Added-Last", "If-Modified-Since"]
)
def test_no_client_says_what_time_it_is(target, rw, header):
    """T-TS-12: neither a header of the request nor a date inside an object."""
    target.seed(rw, [an_indicator()])
    before = target.member.get(rw.objects).headers[LAST]

    posted = target.member.post(
        rw,
        [an_indicator("two", created=EPOCH, modified=EPOCH)],
        headers={header: "Mon, 01 Jan 2001 00:00:00 GMT"},
    )

    assert posted.status_code == 202
    assert target.member.get(rw.objects, added_after=before).headers[FIRST] > before
