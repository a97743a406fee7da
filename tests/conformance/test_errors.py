"""Errors: their form on every endpoint, their codes, and what they keep to themselves (T-ERR)."""

from __future__ import annotations

import re

import pytest

from tests.conformance.endpoints import LISTINGS, ONE, UNKNOWN_PLACE, a_tour, an_error, told
from tests.conformance.target import MT, Caller, Place
from tests.support.builders import an_indicator

TEXTS = {"title", "description", "error_id", "error_code", "http_status", "external_details"}
METHODS = ("PUT", "PATCH", "TRACE", "FOO")


@pytest.fixture(scope="module")
def tour(target):
    return a_tour(target)


@pytest.fixture
def failures(target, tour):
    """An answer of every way in which a request can fail."""
    member, place = target.member, tour.place
    return [
        *(tour.ask(target.stranger, name) for name in tour.all),
        *(member.get(path, limit="none") for path in tour.listings.values()),
        *(member.send("PUT", path) for path in tour.reads.values()),
        *(tour.ask(member, name, {"Accept": "text/html"}) for name in tour.all),
        member.get(target.place("w").objects),
        member.get(target.place("hidden").objects),
        member.get(place.object("indicator--x")),
        member.get(place.versions("indicator--x")),
        member.delete(place.object("indicator--x")),
        member.get(f"{target.root}status/x/"),
        member.get("/nothing/"),
        member.post(place, body=b" " * (target.max_content_length + 1)),
        member.post(place, [an_indicator()], headers={"Content-Type": "text/html"}),
        member.post(place, body=b"{"),
        member.post(place, body=b"[]"),
    ]


def test_every_error_is_an_error_resource(failures):
    """T-ERR-1, T-ERR-3: a title at least, nothing that is not in the standard, and no null."""
    for found in failures:
        assert found.content_type == MT
        assert set(found.json) <= TEXTS | {"details"}
        assert isinstance(found.json["title"], str)
        assert all(isinstance(found.json[name], str) for name in TEXTS & set(found.json))
        assert isinstance(found.json.get("details", {}), dict)


def test_the_status_in_an_error_is_text_and_the_one_of_the_answer(failures):
    """T-ERR-2: "404", never 404, and equal to the status line."""
    assert [told(found) for found in failures] == [an_error(found.status_code) for found in failures]


def test_an_error_says_what_to_do_and_under_which_id_it_is_logged(failures):
    """T-ERR-1: description and error_id, which help the one who reads it."""
    assert all(found.json.get("description") for found in failures)
    assert len({found.json.get("error_id") for found in failures} - {None, ""}) == len(failures)


def test_an_error_without_a_body_has_the_headers_of_one(target, tour):
    """T-ERR-3: HEAD alone is answered without the resource."""
    found = target.member.send("HEAD", tour.place.objects, query_string="limit=0")

    assert (found.status_code, found.data, found.content_type) == (400, b"", MT)


def test_whoever_is_not_known_is_told_how_to_log_in(target, tour):
    """T-ERR-4, T-NET-6, T-NET-8: 401 with a challenge for HTTP Basic, and never silence."""
    for caller in (target.stranger, target.impostor):
        for name in tour.all:
            found = tour.ask(caller, name)
            assert found.status_code == 401
            assert re.fullmatch(r'Basic realm="[^"]+"(, charset="UTF-8")?', found.headers["WWW-Authenticate"])


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param("Basic", id="T-ERR-4 no credentials"),
        pytest.param("Basic !!!", id="T-ERR-4 no base64"),
        pytest.param("Basic dTpw", id="T-ERR-4 an unknown name"),
        pytest.param("Basic w7x1OsO8", id="T-NET-7 UTF-8"),
        pytest.param("Basic /zo=", id="T-NET-7 not UTF-8"),
        pytest.param("Bearer x", id="T-ERR-4 an unknown token"),
        pytest.param("Digest x", id="T-ERR-4 another scheme"),
        pytest.param("\xff", id="T-ERR-4 no text"),
        pytest.param("Basic " + "a" * 10_000, id="T-ERR-4 too long"),
    ],
)
def test_credentials_that_are_none_are_401(target, authorization):
    found = Caller(target, "", authorization).get("/taxii2/")

    assert told(found) == an_error(401)
    assert found.headers["WWW-Authenticate"].startswith("Basic ")


def test_errors_show_nothing_of_the_inside(failures):
    """T-ERR-6: no trace, no SQL, no path, no name of a module."""
    inside = re.compile(
        r"traceback|sqlite|psycopg|postgres|select |insert |site-packages|\.py\b|werkzeug|line \d+"
    )

    assert [found.text for found in failures if inside.search(found.text.lower())] == []


def test_what_is_hidden_and_what_is_not_there_look_the_same(target):
    """T-ERR-6, T-ERR-7: 404 with the same words, whatever is asked of it."""
    nowhere = Place(target.root, UNKNOWN_PLACE, "nowhere", "Nowhere")
    answers = []
    for place in (target.place("hidden"), nowhere):
        asked = {
            "collection": target.member.get(place.path),
            "objects": target.member.get(place.objects),
            "manifest": target.member.get(place.manifest),
            "object": target.member.get(place.object(ONE)),
            "versions": target.member.get(place.versions(ONE)),
            "post": target.member.post(place, [an_indicator()]),
            "delete": target.member.delete(place.object(ONE)),
        }
        answers.append(
            {name: (told(one), one.json["title"], one.json["description"]) for name, one in asked.items()}
        )

    assert answers[0] == answers[1]
    assert {one[0] for one in answers[0].values()} == {an_error(404)}


@pytest.mark.parametrize("method", METHODS)
def test_a_method_that_is_not_served_is_405_and_says_which_are(target, tour, method):
    """T-ERR-8, T-POST-30: 405 with Allow and an error resource, on every address."""
    for name, path in tour.reads.items():
        found = target.member.send(method, path)
        assert told(found) == an_error(405)
        allowed = {word.strip() for word in found.headers["Allow"].split(",")}
        also = {"GET objects": {"POST"}, "GET object": {"DELETE"}}.get(name, set())
        assert allowed - {"OPTIONS"} == {"GET", "HEAD"} | also


def test_a_method_of_another_endpoint_is_405(target, tour):
    """T-ERR-8: POST and DELETE are served where the standard has them and nowhere else."""
    place = tour.place
    others = [target.member.delete(path) for name, path in tour.reads.items() if name != "GET object"]
    others += [
        target.member.post(path, [an_indicator()])
        for name, path in tour.reads.items()
        if name != "GET objects"
    ]

    assert [told(one) for one in others] == [an_error(405)] * len(others)
    assert len(target.member.listed(place.objects)) == 3


@pytest.mark.parametrize(
    "path", ["/", "/taxii2/x/", "/api/x/", "/api/collections/x/y/", "/api/status/", "/favicon.ico", "/API/"]
)
def test_an_address_where_nothing_is_is_404_in_our_words(target, path):
    """T-ERR-9: also outside of /taxii2/ and of the API root."""
    assert told(target.member.get(path)) == an_error(404)


@pytest.mark.parametrize(
    "query",
    ["match[type]=%", "match[type]=%4", "match[type]=%zz", "match[type]=%00", "x=%00", "%zz=1", "x=%ff"],
)
@pytest.mark.parametrize("name", LISTINGS)
def test_a_query_that_is_no_text_is_400(target, tour, name, query):
    """T-ERR-10: bad percent-encoding, NUL and what is not UTF-8, also in a parameter that nobody knows."""
    found = target.member.send("GET", tour.listings[name], environ_overrides={"QUERY_STRING": query})

    assert told(found) == an_error(400)


@pytest.mark.parametrize(
    "path", ["/api/status/\xff\xfe/", "/api/status/\0/", "/\xc3(/", "/api/collections/\0/"]
)
def test_a_path_that_is_no_text_is_400(target, path):
    """T-ERR-10: NUL and what is not UTF-8."""
    assert told(target.member.send("GET", "/", environ_overrides={"PATH_INFO": path})) == an_error(400)


# --- every parameter with every kind of nonsense (section 16.6)

NONSENSE = {
    "empty": "",
    "twice": None,
    "garbage": "!!",
    "long": "9" * 10_240,
    "NUL": "%00",
    "percent": "%",
    "not UTF-8": "%ff",
    "a space": "2.1, 2.0",
}
PARAMETERS = {
    "added_after": ("GET objects", "GET manifest", "GET object", "GET versions"),
    "limit": ("GET objects", "GET manifest", "GET object", "GET versions"),
    "next": ("GET objects", "GET manifest", "GET object", "GET versions"),
    "match[id]": ("GET objects", "GET manifest"),
    "match[type]": ("GET objects", "GET manifest"),
    "match[version]": ("GET objects", "GET manifest", "GET object", "DELETE object"),
    "match[spec_version]": ("GET objects", "GET manifest", "GET object", "GET versions", "DELETE object"),
}
WELL_FORMED = {
    ("next", "empty"): "T-OBJ-11: an empty cursor is none",
    ("limit", "long"): "T-OBJ-34: cut to the largest page",
    ("match[id]", "garbage"): "T-OBJ-40: an id that is not there",
    ("match[id]", "long"): "T-OBJ-45: likewise, however long",
    ("match[type]", "garbage"): "T-OBJ-41: a type that is not there",
    ("match[type]", "long"): "T-OBJ-41: likewise, however long",
}


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_nonsense_in_a_parameter_is_400_and_never_500(target, tour, parameter):
    """T-OBJ-7, T-ERR-10: each parameter with each kind, on each endpoint that has it."""
    found = {}
    for kind, value in NONSENSE.items():
        query = f"{parameter}=2.1&{parameter}=2.1" if value is None else f"{parameter}={value}"
        for name in PARAMETERS[parameter]:
            method = name.partition(" ")[0]
            given = {"environ_overrides": {"QUERY_STRING": query.replace(" ", "+")}}
            found[kind, name] = told(target.member.send(method, tour.all[name], **given))

    expected = {
        (kind, name): (200, MT, "") if (parameter, kind) in WELL_FORMED else an_error(400)
        for kind, name in found
    }
    assert found == expected
