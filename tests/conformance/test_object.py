"""One object by its id (T-OID)."""

from __future__ import annotations

import pytest

from tests.conformance.endpoints import ONE, TWO, UNKNOWN_ID, a_tour, an_error, told
from tests.conformance.target import FIRST, LAST, ids
from tests.support.builders import CREATED, LATER, an_indicator

FUTURE = "9000-01-01T00:00:00.000000Z"


@pytest.fixture(scope="module")
def tour(target):
    return a_tour(target)


def test_an_object_comes_in_an_envelope_in_its_newest_version(target, tour):
    """T-OID-1: never bare, and the latest version only."""
    found = target.member.get(tour.place.object(ONE)).json

    assert set(found) <= {"objects", "more"}
    assert [(one["id"], one["modified"]) for one in found["objects"]] == [(ONE, LATER)]


def test_an_unknown_id_is_404(target, tour):
    """T-OID-2, I-3.8.2: unlike a filter that finds nothing."""
    assert told(target.member.get(tour.place.object(UNKNOWN_ID))) == an_error(404)


@pytest.mark.parametrize(
    "params",
    [
        {"added_after": FUTURE},
        {"match_version": "2020-01-01T00:00:00.000Z"},
        {"match_spec_version": "2.0"},
    ],
    ids=str,
)
def test_a_known_id_that_no_filter_leaves_is_an_empty_envelope(target, tour, params):
    """T-OID-3: 200 with {}, because the object is there (A-4)."""
    found = target.member.get(tour.place.object(ONE), **params)

    assert (found.status_code, found.json) == (200, {})


def test_all_versions_come_by_date_added_and_in_pages(target, rw):
    """T-OID-4: match[version]=all, in the order of arrival, with limit and next."""
    texts = [LATER, CREATED, "2026-11-20T08:30:00.000Z"]
    for text in texts:
        target.seed(rw, [an_indicator(modified=text)])

    pages = list(target.member.pages(rw.object(ONE), match_version="all", limit=1))

    assert [one["modified"] for page in pages for one in page.json["objects"]] == texts
    assert [len(page.json["objects"]) for page in pages] == [1, 1, 1]


def test_added_after_holds_for_one_object_too(target, rw):
    """T-OID-4: only what came later, of that object."""
    target.seed(rw, [an_indicator()])
    date = target.member.get(rw.objects).headers[LAST]
    target.seed(rw, [an_indicator("two"), an_indicator(modified=LATER)])

    found = target.member.listed(rw.object(ONE), added_after=date, match_version="all")

    assert [(one["id"], one["modified"]) for one in found] == [(ONE, LATER)]


@pytest.mark.parametrize("version", ["first", "last", CREATED, LATER])
def test_a_version_can_be_named(target, tour, version):
    """T-OID-4: match[version] with a word or a time."""
    expected = {"first": CREATED, "last": LATER}.get(version, version)

    found = target.member.listed(tour.place.object(ONE), match_version=version)

    assert [one["modified"] for one in found] == [expected]


@pytest.mark.parametrize(
    "params", [{"match_id": TWO}, {"match_type": "malware"}, {"match_id": f"{ONE},{TWO}"}]
)
def test_filters_of_id_and_type_never_bring_another_object(target, tour, params):
    """T-OID-5: they are no fields of this endpoint, and nothing is widened."""
    found = target.member.get(tour.place.object(ONE), **params)

    assert (found.status_code, ids(found.json.get("objects", []))) == (200, [ONE])


def test_an_object_that_is_there_has_its_dates(target, tour):
    """T-OID-7: both headers."""
    found = target.member.get(tour.place.object(ONE))

    assert found.headers[FIRST] == found.headers[LAST]


@pytest.mark.parametrize(
    "spelling",
    [
        ONE.upper(),
        ONE.replace("indicator", "Indicator"),
        ONE[:-1],
        f"{ONE},{TWO}",
        ONE.replace("-", "%252d"),
        f"%20{ONE}",
        f"{ONE}%0a",
        "*",
        "%25",
        "%2e%2e",
        f"x%2F{ONE}",
    ],
)
def test_an_id_is_compared_letter_by_letter(target, tour, spelling):
    """T-OID-8: decoded once, compared as it is, and 404 for anything else."""
    assert told(target.member.get(tour.place.object(spelling))) == an_error(404)


def test_an_id_may_be_percent_encoded(target, tour):
    """T-OID-8: once."""
    assert target.member.get(tour.place.object(ONE.replace("-", "%2D"))).status_code == 200


def test_a_token_of_the_collection_shows_nothing_here(target, tour):
    """T-OID-9: next of another listing is 400, and so is one of another object."""
    token = target.member.get(tour.place.objects, limit=1).json["next"]
    other = target.member.get(tour.place.object(ONE), limit=1, match_version="all").json["next"]

    assert told(target.member.get(tour.place.object(ONE), next=token)) == an_error(400)
    assert told(target.member.get(tour.place.object(TWO), next=other, match_version="all")) == an_error(400)


def test_the_alias_of_the_collection_serves_too(target, tour):
    """T-COL-8: an object is found below the alias as below the id."""
    found = target.member.get(f"{tour.place.by_alias}objects/{ONE}/")

    assert found.json == target.member.get(tour.place.object(ONE)).json
