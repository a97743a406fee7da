"""Deletion of an object, or of some of its versions (T-DEL)."""

from __future__ import annotations

import pytest

from tests.conformance.endpoints import ONE, TWO, UNKNOWN_ID, an_error, told
from tests.conformance.target import FIRST, ids
from tests.support.builders import CREATED, LATER, an_indicator

BETWEEN = "2026-11-20T08:30:00.000Z"
OLD = (
    b'{"type":"indicator","id":"%s","created":"%s","modified":"%s","labels":["x"],'
    b'"pattern":"[ipv4-addr:value = \'192.0.2.1\']","valid_from":"%s"}'
)


@pytest.fixture
def place(target):
    """A collection with three versions of one object, and another."""
    place = target.place("rw")
    target.seed(place, [an_indicator(), an_indicator(modified=BETWEEN), an_indicator("two")])
    target.seed(place, [an_indicator(modified=LATER)])
    return place


def left(target, place):
    """The versions that are left of the object, by what every endpoint shows."""
    every = [one for one in target.member.listed(place.objects, match_version="all") if one["id"] == ONE]
    lines = [one for one in target.member.listed(place.manifest, match_version="all") if one["id"] == ONE]
    assert [one["modified"] for one in every] == [one["version"] for one in lines]
    versions = target.member.get(place.versions(ONE))
    assert versions.status_code == (200 if every else 404)
    assert {one["modified"] for one in every} == set(versions.json["versions"] if every else [])
    return [one["modified"] for one in every]


def test_a_deleted_object_is_gone_from_every_endpoint(target, place):
    """T-DEL-2, T-DEL-3, T-DEL-5: without match[version] all versions go (A-5), and it is 404 (A-6)."""
    assert target.member.delete(place.object(ONE)).status_code == 200

    assert left(target, place) == []
    assert told(target.member.get(place.object(ONE))) == an_error(404)
    assert told(target.member.get(place.object(ONE), match_version=CREATED)) == an_error(404)
    assert target.member.get(place.objects, match_id=ONE).json == {}
    assert ids(target.member.listed(place.objects)) == [TWO]


@pytest.mark.parametrize(
    ("version", "stays"),
    [
        (BETWEEN, [CREATED, LATER]),
        ("first", [BETWEEN, LATER]),
        ("last", [CREATED, BETWEEN]),
        ("first,last", [BETWEEN]),
        (f"{CREATED},{BETWEEN}", [LATER]),
        (f"{BETWEEN},last", [CREATED]),
        ("all", []),
    ],
)
def test_the_versions_that_are_named_go_and_no_others(target, place, version, stays):
    """T-DEL-4: a time, the words, and several of them."""
    assert target.member.delete(place.object(ONE), match_version=version).status_code == 200
    assert left(target, place) == stays


def test_a_version_is_named_by_its_instant(target, place):
    """T-DEL-4, T-TS-4: however it is written."""
    assert target.member.delete(place.object(ONE), match_version="2026-11-20T08:30:00Z").status_code == 200
    assert left(target, place) == [CREATED, LATER]


def test_a_version_of_stix_can_be_named(target, rw):
    """T-DEL-4, T-OBJ-63: match[spec_version] deletes of that STIX version only."""
    both = "indicator--11111111-1111-4111-8111-111111111111"
    old = OLD % (both.encode(), CREATED.encode(), BETWEEN.encode(), CREATED.encode())
    target.seed(rw, [old, an_indicator("both", id=both)])

    assert target.member.delete(rw.object(both), match_spec_version="2.0").status_code == 200

    found = target.member.listed(rw.manifest, match_version="all", match_spec_version="2.0,2.1")
    assert [(one["id"], one["version"]) for one in found] == [(both, CREATED)]


def test_the_last_version_that_is_left_becomes_the_last(target, place):
    """T-DEL-4: what stays is judged anew."""
    target.member.delete(place.object(ONE), match_version="last")

    assert [one["modified"] for one in target.member.listed(place.object(ONE))] == [BETWEEN]


def test_what_is_not_there_cannot_be_deleted(target, place):
    """T-DEL-6: an unknown object is 404, and so is a deletion that is repeated."""
    assert told(target.member.delete(place.object(UNKNOWN_ID))) == an_error(404)

    target.member.delete(place.object(ONE))

    assert told(target.member.delete(place.object(ONE))) == an_error(404)


@pytest.mark.parametrize(
    "params", [{"match_version": "2020-01-01T00:00:00.000Z"}, {"match_spec_version": "2.0"}], ids=str
)
def test_a_filter_that_matches_no_version_is_404_and_deletes_nothing(target, place, params):
    """T-DEL-7: the object is there, and stays."""
    assert told(target.member.delete(place.object(ONE), **params)) == an_error(404)
    assert left(target, place) == [CREATED, BETWEEN, LATER]


def test_other_collections_keep_their_copy(target, place):
    """T-DEL-8: a deletion is of one collection."""
    other = target.place("rw")
    target.seed(other, [an_indicator()])

    target.member.delete(place.object(ONE))

    assert ids(target.member.listed(other.objects)) == [ONE]


@pytest.mark.parametrize(
    "params",
    [{"match_version": "yesterday"}, {"match_version": "all,last"}, {"match_spec_version": "two"}],
    ids=str,
)
def test_a_malformed_filter_is_400_and_deletes_nothing(target, place, params):
    """T-DEL-9: it must not be ignored here of all places."""
    assert told(target.member.delete(place.object(ONE), **params)) == an_error(400)
    assert left(target, place) == [CREATED, BETWEEN, LATER]


def test_paging_does_not_shrink_a_deletion(target, place):
    """T-DEL-9: limit and added_after are no fields of it."""
    found = target.member.delete(place.object(ONE), limit=1, added_after="9000-01-01T00:00:00Z")

    assert (found.status_code, left(target, place)) in ((200, []), (400, [CREATED, BETWEEN, LATER]))


def test_what_is_posted_after_its_deletion_is_new(target, place):
    """T-DEL-11: it is there again, at a new date."""
    end = target.member.listed(place.manifest, match_version="all")[-1]["date_added"]
    target.member.delete(place.object(ONE))

    target.seed(place, [an_indicator()])

    found = target.member.get(place.objects, added_after=end)
    assert ids(found.json["objects"]) == [ONE]
    assert found.headers[FIRST] > end
