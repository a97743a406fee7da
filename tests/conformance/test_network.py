"""Addresses, methods, logins and JSON as clients meet them; TLS is in `test_live_tls.py` (T-NET)."""

from __future__ import annotations

import json
import re

import pytest

from tests.conformance.endpoints import a_tour, an_error, told
from tests.conformance.target import MT, Caller
from tests.support.builders import LATER, an_indicator

PROPERTIES = {
    "GET discovery": {"title", "description", "contact", "default", "api_roots"},
    "GET root": {"title", "description", "versions", "max_content_length"},
    "GET status": {
        "id",
        "status",
        "request_timestamp",
        "total_count",
        "success_count",
        "successes",
        "failure_count",
        "failures",
        "pending_count",
        "pendings",
    },
    "GET collections": {"collections"},
    "GET collection": {"id", "title", "description", "alias", "can_read", "can_write", "media_types"},
    "GET objects": {"more", "next", "objects"},
    "GET manifest": {"more", "next", "objects"},
    "GET object": {"more", "next", "objects"},
    "GET versions": {"more", "next", "versions"},
}
CUSTOM = re.compile(r"[a-z0-9_]{3,250}")


@pytest.fixture(scope="module")
def tour(target):
    return a_tour(target)


def test_a_path_without_its_last_slash_is_served_and_not_redirected(target, tour):
    """T-NET-2, W-79, W-4: the same answer, for all that is read, posted or deleted."""
    for name, path in tour.reads.items():
        found = target.member.get(path.rstrip("/"))
        assert (name, found.status_code, found.data) == (name, 200, target.member.get(path).data)

    place = target.place("rw")
    posted = target.member.send(
        "POST",
        place.objects.rstrip("/"),
        headers={"Content-Type": MT},
        data=b'{"objects":[%s]}' % an_indicator(),
    )
    deleted = target.member.delete(place.object(posted.json["successes"][0]["id"]).rstrip("/"))
    assert (posted.status_code, deleted.status_code) == (202, 200)


@pytest.mark.parametrize(
    "written", ["{root}/collections/", "{root}collections//", "/{path}objects/", "{path}/objects/"]
)
def test_a_slash_too_many_is_another_address(target, tour, written):
    """T-NET-3: nothing is found there, and nobody is sent elsewhere."""
    path = written.format(root=target.root, path=tour.place.path)

    assert told(target.member.send("GET", "/", environ_overrides={"PATH_INFO": path})) == an_error(404)


@pytest.mark.parametrize(
    "written", ["{root}../taxii2/", "/./taxii2/", "{path}objects/../manifest/", "{path}objects/..%2f..%2f/"]
)
def test_dots_lead_nowhere(target, tour, written):
    """T-NET-3: they are no way to another resource."""
    path = written.format(root=target.root, path=tour.place.path)

    assert told(target.member.send("GET", "/", environ_overrides={"PATH_INFO": path})) == an_error(404)


@pytest.mark.parametrize("scheme", ["basic", "BASIC", "bAsIc"])
def test_the_scheme_of_a_login_may_be_written_as_one_likes(target, scheme):
    """T-NET-6, T-NET-7, W-74: MISP writes it in small letters."""
    credentials = target.member.authorization.partition(" ")[2]

    assert Caller(target, "member", f"{scheme} {credentials}").get("/taxii2/").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"},
        {"Host": "evil.example"},
        {"Forwarded": "host=evil.example;proto=https"},
        {"X-Forwarded-Prefix": "/evil", "X-Script-Name": "/evil"},
        {"X-HTTP-Method-Override": "DELETE"},
    ],
)
def test_what_a_request_says_of_its_way_here_changes_no_answer(target, tour, headers):
    """T-NET-5, T-DISC-11: only configuration says where we are and whether the way was safe."""
    for name, path in tour.reads.items():
        found, plain = (target.member.get(path, headers=given) for given in (headers, {}))
        assert (name, found.status_code, found.data) == (name, 200, plain.data)
        assert "Strict-Transport-Security" not in found.headers


def test_a_head_is_its_get_without_the_body(target, tour):
    """T-NET-12: status and headers are the same, on every endpoint that is read."""
    for path in tour.reads.values():
        head, get = (target.member.send(method, path) for method in ("HEAD", "GET"))
        changing = ("Date", "X-Request-Id")
        assert (head.status_code, head.data) == (200, b"")
        assert {name: value for name, value in head.headers if name not in changing} == {
            name: value for name, value in get.headers if name not in changing
        }


def test_resources_have_the_properties_of_the_standard_and_well_named_others(target, tour):
    """T-NET-13, T-DISC-12: custom ones would be x_ and lower case; nothing is null, no list is empty."""
    for name, path in tour.reads.items():
        more = {"limit": 1} if "next" in PROPERTIES[name] else {}
        found = target.member.get(path, **more).json
        assert all(CUSTOM.fullmatch(one) and one.startswith("x_") for one in set(found) - PROPERTIES[name])
        assert [one for one, value in found.items() if value in (None, [], {})] == []


def unlike(pairs):
    """An object of JSON whose names must differ."""
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)


def test_answers_are_json_that_all_readers_read_alike(target, tour):
    """T-NET-14: UTF-8, no name twice, whole numbers that a double holds."""
    named = target.place("rw")
    target.seed(named, [an_indicator("json", modified=LATER, description="caf\u00e9 \U0001f600 \u2028")])
    paths = [*tour.reads.values(), named.objects, named.manifest, f"{target.root}nothing/"]

    for path in paths:
        text = target.member.get(path).data.decode("utf-8")
        assert not text.startswith("\ufeff")
        json.loads(text, object_pairs_hook=unlike, parse_constant=pytest.fail)
        assert all(
            abs(int(number)) < 2**53 for number in re.findall(r'(?<=count":)-?\d+|(?<=length":)\d+', text)
        )


def test_every_path_ends_in_a_slash_where_the_server_names_one(target):
    """T-NET-1, T-DISC-7: what discovery gives can be used as it is."""
    found = target.member.get("/taxii2/").json

    assert all(root.endswith("/") and "?" not in root for root in found["api_roots"])
    assert target.member.get(f"{target.root}collections/", limit=5).status_code == 200
