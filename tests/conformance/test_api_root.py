"""The API root: what it serves and how much it takes (T-ROOT)."""

from __future__ import annotations

import re

import pytest

from tests.conformance.target import MT
from tests.support.builders import an_indicator

TAXII_TYPE = re.compile(r"application/taxii\+json;version=\d+\.\d+")


def test_a_root_says_what_it_is(target, member):
    """T-ROOT-1, T-ROOT-8: title, versions and max_content_length, under these names."""
    found = member.get(target.root)

    assert (found.status_code, found.headers["Content-Type"]) == (200, MT)
    assert {"title", "versions", "max_content_length"} <= set(found.json)
    assert set(found.json) <= {"title", "description", "versions", "max_content_length"}
    assert isinstance(found.json["title"], str)
    assert None not in found.json.values()


def test_a_root_names_the_versions_of_taxii_that_it_speaks(target, member):
    """T-ROOT-2: among them TAXII 2.1, and nothing that is not a version of TAXII."""
    versions = member.get(target.root).json["versions"]

    assert MT in versions
    assert all(TAXII_TYPE.fullmatch(version) for version in versions)


def test_the_largest_body_is_a_number(target, member):
    """T-ROOT-3: an integer above 0, not a text and not a boolean."""
    largest = member.get(target.root).json["max_content_length"]

    assert type(largest) is int
    assert largest == target.max_content_length > 0


@pytest.mark.parametrize("spare", [1, 0])
def test_a_body_up_to_the_largest_is_taken(make_target, spare):
    """T-ROOT-4: one byte less, and exactly as many as it says."""
    target = make_target(max_content_length=2_000)
    place = target.place("rw")
    body = b'{"objects":[' + an_indicator() + b"]}"

    found = target.member.post(place, body=body.ljust(target.max_content_length - spare))

    assert (found.status_code, found.json["success_count"]) == (202, 1)


def test_control_a_longer_body_is_not_taken(make_target):
    target = make_target(max_content_length=2_000)
    place = target.place("rw")
    body = b'{"objects":[' + an_indicator() + b"]}"

    assert target.member.post(place, body=body.ljust(target.max_content_length + 1)).status_code == 413
    assert target.member.get(place.objects).json == {}


def test_there_is_a_root_and_each_has_an_address_of_its_own(member):
    """T-ROOT-5."""
    roots = member.get("/taxii2/").json["api_roots"]

    assert len(roots) == len(set(roots)) >= 1


@pytest.mark.parametrize("path", ["/nowhere/", "/nowhere/collections/", "/API/", "/api2/"])
def test_an_unknown_root_is_not_found(member, path):
    """T-ROOT-7: 404, as TAXII."""
    found = member.get(path)

    assert (found.status_code, found.headers["Content-Type"]) == (404, MT)
    assert found.json["title"]


@pytest.mark.parametrize(("who", "status"), [("stranger", 401), ("impostor", 401), ("outsider", 200)])
def test_a_root_is_there_for_those_who_say_who_they_are(target, who, status):
    """T-ROOT-7: 401 and not 400 without credentials."""
    assert getattr(target, who).get(target.root).status_code == status


def test_a_root_may_be_without_collections(fresh_target):
    """T-ROOT-9: the list is then the empty object."""
    found = fresh_target.member.get(f"{fresh_target.root}collections/")

    assert (found.status_code, found.json) == (200, {})
