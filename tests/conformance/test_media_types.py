"""Media types: what is asked for, what is sent, and what is answered, over all endpoints (T-MT)."""

from __future__ import annotations

import pytest

from tests.conformance.endpoints import a_tour, an_error, told
from tests.conformance.target import MT
from tests.support.builders import an_indicator

TAXII = "application/taxii+json"


@pytest.fixture(scope="module")
def tour(target):
    return a_tour(target)


ACCEPTED = [
    pytest.param(f"{TAXII};version=2.1", id="T-MT-1"),
    pytest.param(f"{TAXII}; version=2.1", id="T-MT-2"),
    pytest.param(TAXII, id="T-MT-3"),
    pytest.param(f"{TAXII};version=2.1;q=0.9", id="T-MT-4"),
    pytest.param(f"{TAXII};version=2.0, {TAXII};version=2.1", id="T-MT-5"),
    pytest.param(f"application/json, {TAXII};version=2.1", id="T-MT-6 JSON first"),
    pytest.param(f"{TAXII};version=2.1,application/stix+json;version=2.1", id="T-MT-6 with STIX, T-MAN-6"),
    pytest.param("Application/TAXII+JSON;Version=2.1", id="T-MT-7 letters"),
    pytest.param(f'{TAXII};version="2.1"', id="T-MT-7 quotes"),
    pytest.param("*/*", id="T-MT-8"),
    pytest.param("application/*", id="T-MT-8 subtype"),
    pytest.param("application/json, text/plain, */*", id="T-MT-8 as OpenCTI sends it"),
    pytest.param("", id="T-MT-9"),
    pytest.param(f"*/*;q=0.1, {TAXII};version=9.9", id="T-MT-12 through the wildcard"),
    pytest.param(f"{TAXII};version=2.1;charset=utf-8", id="T-MT-19 a parameter more"),
]

REFUSED = [
    pytest.param("application/json", id="T-MT-10 JSON"),
    pytest.param("text/html", id="T-MT-10 HTML"),
    pytest.param("application/stix+json", id="T-MT-10 STIX"),
    pytest.param(f"{TAXII};version=2.0", id="T-MT-11"),
    pytest.param("application/vnd.oasis.taxii+json; version=2.0", id="T-MT-11 the type of 2.0"),
    pytest.param(f"{TAXII};version=2.1;q=0", id="T-MT-12"),
    pytest.param(";;", id="T-MT-13 semicolons"),
    pytest.param("taxii", id="T-MT-13 a word"),
]


@pytest.mark.parametrize("accept", ACCEPTED)
def test_whoever_takes_our_type_is_served_everywhere(target, tour, accept):
    """T-MT-18: the answer is of exactly our type, whatever was asked for."""
    found = {
        name: tour.ask(target.member, name, {"Accept": accept}) for name in (*tour.reads, "POST objects")
    }

    assert {name: (one.status_code, one.headers["Content-Type"]) for name, one in found.items()} == {
        name: (202 if name == "POST objects" else 200, MT) for name in found
    }


@pytest.mark.parametrize("accept", REFUSED)
def test_whoever_takes_another_type_only_is_refused_everywhere(target, tour, accept):
    found = {name: told(tour.ask(target.member, name, {"Accept": accept})) for name in tour.all}

    assert found == dict.fromkeys(found, an_error(406))


def test_a_deletion_that_was_refused_has_deleted_nothing(target, tour):
    """T-MT-10: nothing is done for a request whose answer would not be taken."""
    place = target.place("rw")
    target.seed(place, [an_indicator()])
    path = place.object(target.member.listed(place.objects)[0]["id"])

    refused = target.member.send("DELETE", path, headers={"Accept": "text/html"})

    assert refused.status_code == 406
    assert len(target.member.listed(place.objects)) == 1


@pytest.mark.parametrize(
    "content_type",
    [
        pytest.param(f"{TAXII};version=2.1", id="T-MT-14, T-POST-19"),
        pytest.param(f"{TAXII}; version=2.1", id="T-MT-14 a space"),
        pytest.param(TAXII, id="T-MT-14 no version, T-POST-19"),
        pytest.param(f"{TAXII};version=2.1;charset=utf-8", id="T-MT-15 a parameter more"),
        pytest.param('Application/Taxii+Json; Version="2.1"', id="T-MT-7 on the way in"),
    ],
)
def test_what_is_sent_as_our_type_is_read(target, rw, content_type):
    found = target.member.post(rw, [an_indicator()], headers={"Content-Type": content_type})

    assert (found.status_code, len(target.member.listed(rw.objects))) == (202, 1)


@pytest.mark.parametrize(
    "content_type",
    [
        pytest.param(f"{TAXII};version=2.0", id="T-MT-15 version 2.0"),
        pytest.param("application/json", id="T-MT-16"),
        pytest.param("text/plain", id="T-POST-19"),
        pytest.param("application/x-www-form-urlencoded", id="T-POST-19 as curl sends it"),
        pytest.param("", id="T-POST-28"),
        pytest.param(";;", id="T-POST-19 malformed"),
    ],
)
def test_what_is_sent_as_another_type_is_not_stored(target, rw, content_type):
    found = target.member.post(rw, [an_indicator()], headers={"Content-Type": content_type})

    assert told(found) == an_error(415)
    assert target.member.listed(rw.objects) == []


def test_what_is_wrong_is_told_in_an_order_that_gives_nothing_away(target):
    """T-MT-20: route, method, who asks, rights, Accept, Content-Type, length, body; mended one by one."""
    member, stranger = target.member, target.stranger
    closed, place = target.place("r"), target.place("rw")
    wrong = {"Accept": "text/html", "Content-Type": "text/html"}
    html = {"Content-Type": "text/html"}
    long = b"x" * (target.max_content_length + 1)

    ladder = [
        stranger.send("PUT", f"{target.root}nothing/here/", headers=wrong, data=long),
        stranger.send("PUT", closed.objects, headers=wrong, data=long),
        stranger.send("POST", closed.objects, headers=wrong, data=long),
        member.send("POST", closed.objects, headers=wrong, data=long),
        member.send("POST", place.objects, headers=wrong, data=long),
        member.send("POST", place.objects, headers=html, data=long),
        member.post(place, body=long),
        member.post(place, body=b"x"),
        member.post(place, body=b"{}"),
    ]

    assert [one.status_code for one in ladder] == [404, 405, 401, 403, 406, 415, 413, 400, 422]


def test_an_answer_of_every_status_is_in_our_type(target, tour):
    """T-MT-17: what the framework or the login says comes in our media type too."""
    member, place = target.member, tour.place
    answers = [
        member.get(place.objects, limit=0),
        target.stranger.get(place.objects),
        target.impostor.get(place.objects),
        member.get(target.place("w").objects),
        member.get(f"{target.root}nothing/"),
        member.get(place.object("indicator--x")),
        member.send("PATCH", place.objects),
        member.get(place.objects, headers={"Accept": "text/html"}),
        member.post(place, body=b" " * (target.max_content_length + 1)),
        member.post(place, [an_indicator()], headers={"Content-Type": "text/html"}),
        member.post(place, body=b"[]"),
    ]

    assert [told(one) for one in answers] == [
        an_error(status) for status in (400, 401, 401, 403, 404, 404, 405, 406, 413, 415, 422)
    ]
