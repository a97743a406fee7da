"""Discovery: which API roots there are, and for whom (T-DISC)."""

from __future__ import annotations

import re

import pytest

from tests.conformance.target import MT

ROOT = re.compile(r"https://[^/?#\s]+(/[^?#\s]*)?/|/(?!/)(?!\.\.)[^?#\s]*/|/")
EVERYBODY = ["member", "outsider"]


@pytest.fixture(params=EVERYBODY)
def anybody(request, target):
    return getattr(target, request.param)


def test_discovery_is_at_the_root_of_the_host(anybody):
    """T-DISC-1, T-DISC-2: GET /taxii2/ answers 200 in exactly the media type of TAXII 2.1."""
    found = anybody.get("/taxii2/")

    assert (found.status_code, found.headers["Content-Type"]) == (200, MT)


def test_discovery_has_a_title_and_no_property_of_another_kind(member):
    """T-DISC-3, T-DISC-12: names as the standard spells them, values of its types, no nulls."""
    found = member.get("/taxii2/").json

    assert isinstance(found["title"], str)
    assert set(found) <= {"title", "description", "contact", "default", "api_roots"}
    assert all(isinstance(found[name], str) for name in set(found) - {"api_roots"})
    assert all(isinstance(root, str) for root in found.get("api_roots", []))


def test_the_default_root_is_one_of_the_roots(anybody):
    """T-DISC-4: letter by letter, as clients compare it."""
    found = anybody.get("/taxii2/").json

    assert found["default"] in found["api_roots"]


def test_the_list_of_roots_is_never_empty(anybody):
    """T-DISC-5: who sees no root would see neither `api_roots` nor `default`."""
    found = anybody.get("/taxii2/").json

    assert found.get("api_roots", ["one"]) != []
    assert "api_roots" in found or "default" not in found


def test_a_root_is_an_https_address_or_a_path_of_this_host(anybody):
    """T-DISC-6: never //host, never ../, never with a query."""
    roots = anybody.get("/taxii2/").json["api_roots"]

    assert roots
    assert [root for root in roots if ROOT.fullmatch(root) is None] == []


@pytest.mark.parametrize(
    "bad", ["//host/api/", "../api/", "/../api/", "/api/?x=1", "http://host/api/", "/api"]
)
def test_control_the_form_of_a_root_is_looked_at(bad):
    assert ROOT.fullmatch(bad) is None


def test_every_root_that_is_named_answers_who_was_told_of_it(anybody):
    """T-DISC-7, T-DISC-8: each ends in a slash and is there for the account that asks."""
    roots = anybody.get("/taxii2/").json["api_roots"]

    assert roots
    for root in roots:
        assert root.endswith("/")
        assert anybody.get(root).status_code == 200


@pytest.mark.parametrize("who", ["stranger", "impostor"])
def test_discovery_asks_who_you_are(target, who):
    """T-DISC-10: 401 with a challenge, for no credentials and for wrong ones."""
    found = getattr(target, who).get("/taxii2/")

    assert found.status_code == 401
    assert found.headers["WWW-Authenticate"].lower().startswith("basic ")


def test_discovery_is_not_served_in_another_media_type(member):
    """T-DISC-10: an Accept without our type is answered 406."""
    assert member.get("/taxii2/", headers={"Accept": "text/html"}).status_code == 406


def test_the_roots_do_not_follow_the_host_that_a_request_names(member):
    """T-DISC-11: addresses come from the configuration, so that no cache can be poisoned by a Host."""
    plain = member.get("/taxii2/").json
    lured = member.get("/taxii2/", headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"})

    assert lured.json == plain
    assert "evil" not in lured.text
