"""The headers of answers: the two dates of a page, and what keeps answers out of caches (T-HDR)."""

from __future__ import annotations

import pytest

from tests.conformance.endpoints import LISTINGS, ONE, TAXII_TIME, a_tour
from tests.conformance.target import FIRST, LAST
from tests.support.builders import an_id, an_indicator


@pytest.fixture(scope="module")
def tour(target):
    return a_tour(target)


def dates_of(target, tour, name):
    """The dates of all entries of a listing, as the manifest has them."""
    lines = target.member.walk(tour.place.manifest, match_version="all")
    whole = name in ("GET objects", "GET manifest")
    return [one["date_added"] for one in lines if whole or one["id"] == ONE]


@pytest.mark.parametrize("name", LISTINGS)
def test_a_page_tells_the_dates_of_its_own_first_and_last_entry(target, tour, name):
    """T-HDR-1, T-HDR-3, T-OID-7, T-VER-5, T-MAN-8: of the page, and not of the whole listing."""
    every = {} if name == "GET versions" else {"match_version": "all"}
    expected = dates_of(target, tour, name)

    found = list(target.member.pages(tour.listings[name], limit=3, **every))

    parts = [expected[at : at + 3] for at in range(0, len(expected), 3)]
    assert [(one.headers[FIRST], one.headers[LAST]) for one in found] == [
        (part[0], part[-1]) for part in parts
    ]


@pytest.mark.parametrize("name", LISTINGS)
def test_dates_are_in_the_form_of_the_standard(target, tour, name):
    """T-HDR-2, T-TS-1: UTC with six digits and Z, also where the moment is a whole second."""
    found = target.member.get(tour.listings[name])

    assert TAXII_TIME.fullmatch(found.headers[FIRST])
    assert TAXII_TIME.fullmatch(found.headers[LAST])


@pytest.mark.parametrize("name", LISTINGS)
def test_an_empty_page_has_no_dates(target, tour, name):
    """T-HDR-4: no value is defined for it, so none is sent."""
    found = target.member.get(tour.listings[name], added_after="9000-01-01T00:00:00.000000Z")

    assert (found.status_code, found.json) == (200, {})
    assert (found.headers.get(FIRST), found.headers.get(LAST)) == (None, None)


def test_no_other_answer_has_dates(target, tour):
    """T-HDR-5: not on the other resources, nor on a status, nor on an error."""
    others = [name for name in (*tour.reads, "POST objects") if name not in LISTINGS]
    answers = [tour.ask(target.member, name) for name in others]
    answers.append(target.member.get(tour.place.objects, limit=0))

    assert [one.headers.get(FIRST) or one.headers.get(LAST) for one in answers] == [None] * len(answers)


def test_dates_are_those_of_the_server_and_not_of_the_objects(target, rw):
    """T-HDR-6, T-TS-12: neither created, modified nor valid_from show in them, however old."""
    old = "2001-01-01T00:00:00.000Z"
    target.seed(rw, [an_indicator()])
    before = target.member.get(rw.objects).headers[LAST]
    target.later(seconds=60)
    target.seed(rw, [an_indicator("old", created=old, modified=old, valid_from=old)])

    found = target.member.get(rw.objects, added_after=before)

    assert [one["id"] for one in found.json["objects"]] == [an_id("indicator", "old")]
    assert found.headers[FIRST] > before


def test_a_client_without_a_name_is_served(target, tour):
    """T-HDR-8: User-Agent is not needed."""
    assert target.member.get(tour.place.objects, headers={"User-Agent": ""}).status_code == 200


def test_no_page_of_the_web_reads_here_with_the_credentials_of_its_visitor(target, tour):
    """T-HDR-9: no origin is let in."""
    found = target.member.get(tour.place.objects, headers={"Origin": "https://elsewhere.example"})

    assert "Access-Control-Allow-Origin" not in found.headers
    assert "Access-Control-Allow-Credentials" not in found.headers


def test_no_answer_is_kept_on_the_way(target, tour):
    """T-HDR-10: Cache-Control: no-store, and Vary names what an answer depends on, on errors too."""
    answers = [tour.ask(target.member, name) for name in (*tour.reads, "POST objects")]
    answers += [target.stranger.get(tour.place.objects), target.member.get(f"{target.root}nothing/")]

    for found in answers:
        assert found.headers.get("Cache-Control") == "no-store"
        assert {"accept", "authorization"} <= {
            word.strip().lower() for word in found.headers.get("Vary", "").split(",")
        }
