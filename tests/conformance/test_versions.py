"""The versions of one object (T-VER)."""

from __future__ import annotations

import pytest

from tests.conformance.endpoints import ONE, UNKNOWN_ID, an_error, told
from tests.conformance.target import FIRST, LAST
from tests.support.builders import CREATED, LATER, a_marking_definition, an_id, an_indicator, an_ipv4

BETWEEN = "2026-11-20T08:30:00.000Z"
ARRIVED = [LATER, CREATED, BETWEEN]


@pytest.fixture(scope="module")
def place(target):
    """A collection with three versions of one object, each of its own POST, the newest first."""
    place = target.place("rw")
    for text in ARRIVED:
        target.seed(place, [an_indicator(modified=text)])
    return place


def test_all_versions_are_told_without_asking_for_all(target, place):
    """T-VER-1: as strings; the default of the other endpoints does not hold here."""
    found = target.member.get(place.versions(ONE))

    assert (found.status_code, sorted(found.json["versions"])) == (200, sorted(ARRIVED))
    assert set(found.json) <= {"versions", "more"}


def test_versions_are_told_in_the_order_of_their_arrival(target, place):
    """T-VER-6: by date added, not by version (A-14)."""
    assert target.member.get(place.versions(ONE)).json["versions"] == ARRIVED


def test_an_unknown_object_has_no_versions(target, place):
    """T-VER-2: 404."""
    assert told(target.member.get(place.versions(UNKNOWN_ID))) == an_error(404)


@pytest.mark.parametrize(
    "params", [{"added_after": "9000-01-01T00:00:00.000000Z"}, {"match_spec_version": "2.0"}], ids=str
)
def test_a_filter_that_leaves_none_is_an_empty_resource(target, place, params):
    """T-VER-2, T-VER-3: {} and no empty list."""
    found = target.member.get(place.versions(ONE), **params)

    assert (found.status_code, found.json) == (200, {})


def test_versions_are_paged_by_next(target, place):
    """T-VER-3, T-PAGE-17, I-3.14.1: limit and next, with more on all pages but the last."""
    pages = list(target.member.pages(place.versions(ONE), limit=2))

    assert [page.json["versions"] for page in pages] == [ARRIVED[:2], ARRIVED[2:]]
    assert [page.json.get("more", False) for page in pages] == [True, False]


def test_versions_are_paged_by_date_too(target, place):
    """T-VER-3, T-VER-5, T-VER-6, I-3.14.1: added_after with the date of the last version of the page."""
    found, date = [], "1970-01-01T00:00:00.000000Z"
    for _ in ARRIVED:
        page = target.member.get(place.versions(ONE), limit=1, added_after=date)
        found += page.json["versions"]
        assert page.headers[FIRST] == page.headers[LAST] > date
        date = page.headers[LAST]

    assert found == ARRIVED
    assert target.member.get(place.versions(ONE), added_after=date).json == {}


def test_an_object_without_modified_is_known_by_created_or_by_the_server(target, rw):
    """T-VER-4, T-MAN-4, T-TS-7: a marking by created, an address by what the manifest says."""
    marking, address = a_marking_definition(), an_ipv4()
    target.seed(rw, [marking, address])
    lines = {one["id"]: one["version"] for one in target.member.listed(rw.manifest)}

    found = {one: target.member.get(rw.versions(one)).json["versions"] for one in lines}

    assert found == {one: [version] for one, version in lines.items()}
    assert lines[an_id("marking-definition")] == CREATED


def test_the_newest_version_of_stix_is_told_unless_another_is_asked_for(target, rw):
    """T-VER-7: of an object in both, those of 2.1 alone; match[spec_version] asks for the others."""
    both = "indicator--11111111-1111-4111-8111-111111111111"
    old = (
        b'{"type":"indicator","id":"%s","created":"%s","modified":"%s","labels":["x"],'
        b'"pattern":"[ipv4-addr:value = \'192.0.2.1\']","valid_from":"%s"}'
    ) % (both.encode(), CREATED.encode(), BETWEEN.encode(), CREATED.encode())
    target.seed(rw, [an_indicator("both", id=both), old])

    found = [
        sorted(target.member.get(rw.versions(both), **params).json["versions"])
        for params in ({}, {"match_spec_version": "2.0"}, {"match_spec_version": "2.0,2.1"})
    ]

    assert found == [[CREATED], [BETWEEN], [CREATED, BETWEEN]]


def test_versions_are_written_as_everywhere_else(target, rw):
    """T-VER-8, T-TS-5, T-TS-9: the sender's text, digit by digit."""
    text = "2026-11-20T08:00:00.123456700Z"
    target.seed(rw, [an_indicator(modified=text)])

    versions = target.member.get(rw.versions(ONE)).json["versions"]
    lines = target.member.listed(rw.manifest)

    assert (versions, [one["version"] for one in lines]) == ([text], [text])
