"""Objects that are added: what is stored, and what the status says of each (T-POST)."""

from __future__ import annotations

import json

import pytest

from tests.conformance.endpoints import ONE, TWO, an_error, told
from tests.conformance.target import LAST, MT, ids, named
from tests.support.builders import CREATED, LATER, an_id, an_indicator, an_ipv4
from tests.support.served import an_envelope

BUNDLE = b'{"type":"bundle","id":"bundle--11111111-1111-4111-8111-111111111111","objects":[%s]}'
CHUNKED = {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}


def details(posted, name):
    """(id, version) of the successes or failures of a status."""
    return [(one["id"], one["version"]) for one in posted.json.get(name, [])]


def test_a_post_is_accepted_with_a_status(target, rw):
    """T-POST-1, T-POST-2: 202, in our media type, complete or pending, with what became of each object."""
    found = target.member.post(rw, [an_indicator(), an_indicator("two")])

    assert (found.status_code, found.headers["Content-Type"]) == (202, MT)
    assert found.json["status"] in ("complete", "pending")
    assert [found.json[f"{name}_count"] for name in ("total", "success", "failure", "pending")] == [
        2,
        2,
        0,
        0,
    ]
    assert details(found, "successes") == [(ONE, CREATED), (TWO, CREATED)]
    assert ids(target.member.listed(rw.objects)) == [ONE, TWO]


def test_an_object_that_is_there_is_a_success_and_nothing_moves(target, rw):
    """T-POST-5, T-POST-6: the same again, in one envelope and in the next, changes no date and no order."""
    target.seed(rw, [an_indicator(), an_ipv4(), an_indicator("two")])
    before = target.member.listed(rw.manifest, match_version="all")
    target.later(seconds=60)

    found = target.member.post(rw, [an_indicator("two"), an_ipv4(), an_indicator(), an_indicator()])

    assert (found.json["success_count"], found.json["failure_count"]) == (4, 0)
    assert target.member.listed(rw.manifest, match_version="all") == before


def test_other_content_under_the_same_version_fails_and_changes_nothing(target, rw):
    """T-POST-7, S-VER-4: the one that is there stays, this one fails with a message, others are stored."""
    target.seed(rw, [an_indicator()])

    found = target.member.post(rw, [an_indicator(description="other"), an_indicator("two")])

    assert (found.status_code, details(found, "failures")) == (202, [(ONE, CREATED)])
    assert found.json["failures"][0]["message"]
    assert details(found, "successes") == [(TWO, CREATED)]
    assert [one.get("description") for one in target.member.listed(rw.objects)] == [None, None]


def test_versions_of_one_object_are_kept_beside_one_another(target, rw):
    """T-POST-8, W-42: one after the other, or in one envelope."""
    target.seed(rw, [an_indicator()])
    found = target.member.post(
        rw, [an_indicator(modified=LATER), an_indicator(modified="2026-11-20T10:00:00.000Z")]
    )

    assert found.json["success_count"] == 2
    assert len(target.member.listed(rw.objects, match_version="all")) == 3


def test_an_older_version_that_comes_late_does_not_become_the_last(target, rw):
    """T-POST-9, T-OBJ-51: newest is by version, not by arrival."""
    target.seed(rw, [an_indicator(modified=LATER)])
    target.seed(rw, [an_indicator()])

    assert named(target.member.listed(rw.objects)) == [(ONE, LATER)]
    assert named(target.member.listed(rw.objects, match_version="first")) == [(ONE, CREATED)]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_one_bad_object_does_not_take_the_others_with_it(target, rw, at):
    """T-POST-10, T-POST-13: wherever it stands, it fails with a message, and the others are stored."""
    bodies = [an_indicator(), an_indicator("two")]
    bodies.insert(at, an_indicator("bad", pattern=None))

    found = target.member.post(rw, bodies)

    assert (found.status_code, found.json["total_count"], found.json["success_count"]) == (202, 3, 2)
    assert details(found, "failures") == [(an_id("indicator", "bad"), CREATED)]
    assert found.json["failures"][0]["message"]
    assert ids(target.member.listed(rw.objects)) == [ONE, TWO]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"", (400, 411), id="T-POST-11 nothing"),
        pytest.param(b"not JSON", (400,), id="T-POST-11 no JSON"),
        pytest.param(b'{"objects":[', (400,), id="T-POST-11 cut"),
        pytest.param(an_envelope([an_indicator()]) + b"}", (400,), id="T-POST-11 something behind it"),
        pytest.param(b"[]", (422,), id="T-POST-11 a list"),
        pytest.param(b"[" + an_indicator() + b"]", (422,), id="T-POST-11 a list of objects"),
        pytest.param(b'"text"', (422,), id="T-POST-11 a text"),
        pytest.param(b"null", (422,), id="T-POST-11 null"),
        pytest.param(b'{"objects":3}', (422,), id="T-POST-11 objects is no list"),
        pytest.param(b'{"objects":null}', (422,), id="T-POST-11 objects is null"),
        pytest.param(an_indicator(), (422,), id="T-POST-11 a bare object"),
        pytest.param(b'{"objects":[]}', (422,), id="T-POST-12"),
        pytest.param(b"{}", (422,), id="T-POST-12 nothing at all"),
    ],
)
def test_a_body_without_objects_is_refused_whole(target, rw, body, status):
    found = target.member.post(rw, body=body)

    assert found.status_code in status
    assert told(found) == an_error(found.status_code)
    assert target.member.get(rw.objects).json == {}


@pytest.mark.parametrize(
    "entry", [b"3", b"null", b'"x"', b"[]", b"{}", b'{"id":7,"type":"indicator"}', b'{"type":"indicator"}']
)
def test_an_entry_that_is_no_object_fails_alone(target, rw, entry):
    """T-POST-13, T-STAT-10: counted, with a placeholder for its id, and a message that says which it is."""
    found = target.member.post(rw, [an_indicator(), entry, an_indicator("two")])

    assert (found.status_code, found.json["total_count"], found.json["success_count"]) == (202, 3, 2)
    (failed,) = found.json["failures"]
    assert (failed["id"], "1" in failed["message"]) == ("unknown--index-1", True)


def test_a_bundle_among_the_objects_fails_and_a_bundle_as_the_body_is_read(target, rw):
    """T-POST-14, S-JSON-8: it is no object; real producers send it in place of an envelope."""
    bundle = BUNDLE % an_indicator()

    inside = target.member.post(rw, [bundle, an_indicator("two")])
    outside = target.member.post(rw, body=bundle)

    assert [one["id"] for one in inside.json["failures"]] == [json.loads(bundle)["id"]]
    assert (outside.status_code, details(outside, "successes")) == (202, [(ONE, CREATED)])
    assert ids(target.member.listed(rw.objects)) == [TWO, ONE]


@pytest.mark.parametrize(
    "more",
    [
        pytest.param(b'"x_acme_y":{"a":[1]}', id="T-POST-15, I-3.15.1"),
        pytest.param(b'"x_18467e42_04f4_4505_93c8_9f1cf29e1045_test_client":"x"', id="T-POST-15, I-X-6"),
        pytest.param(b'"more":true,"next":"abc"', id="T-POST-16"),
    ],
)
def test_other_properties_of_the_envelope_are_ignored(target, rw, more):
    found = target.member.post(rw, body=b"{" + more + b',"objects":[' + an_indicator() + b"]}")

    assert (found.status_code, found.json["success_count"]) == (202, 1)


def test_the_largest_body_is_taken_and_one_byte_more_is_not(target):
    """T-POST-17, T-ROOT-4, A-15: 413, and nothing of it is stored."""
    for extra, expected in ((-1, 202), (0, 202), (1, 413)):
        place = target.place("rw")
        body = an_envelope([an_indicator()])
        body += b" " * (target.max_content_length + extra - len(body))
        found = target.member.post(place, body=body)
        assert found.status_code == expected
        assert len(target.member.listed(place.objects)) == (expected == 202)
    assert told(found) == an_error(413)


def test_a_body_in_chunks_is_read_and_counted(target):
    """T-POST-17, T-POST-18: without Content-Length it is taken, and its bytes are counted all the same."""
    for extra, expected in ((0, 202), (1, 413)):
        place = target.place("rw")
        body = an_envelope([an_indicator()])
        body += b" " * (target.max_content_length + extra - len(body))
        found = target.member.send(
            "POST", place.objects, headers={"Content-Type": MT}, data=body, environ_overrides=CHUNKED
        )
        assert found.status_code == expected
        assert len(target.member.listed(place.objects)) == (expected == 202)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "x-unknown", "gzip, gzip"])
def test_a_content_coding_is_refused(target, rw, coding):
    """T-POST-20: 415 before a byte is decoded, so no bomb can go off."""
    found = target.member.post(rw, [an_indicator()], headers={"Content-Encoding": coding})

    assert told(found) == an_error(415)
    assert target.member.get(rw.objects).json == {}


def test_a_post_without_accept_is_answered(target, rw):
    """T-POST-28: the client breaks a rule by it; refusing helps nobody."""
    assert target.member.post(rw, [an_indicator()], headers={"Accept": ""}).status_code == 202


def test_the_wish_for_a_dialect_is_not_a_reason_to_refuse(target, rw):
    """T-POST-29, S-JSON-7, I-STIX-6: custom properties, types and extensions are stored."""
    extension = "extension-definition--71736db5-10db-43d3-b0e3-65cf81601fe1"
    bodies = [
        an_indicator(
            x_acme_score=7, extensions={extension: {"extension_type": "property-extension", "acme_level": 1}}
        ),
        b'{"type":"x-acme-case","spec_version":"2.1","id":"x-acme-case--11111111-1111-4111-8111-111111111111",'
        b'"created":"2026-11-20T08:00:00.000Z","modified":"2026-11-20T08:00:00.000Z","anything":{"acme":[1,2]}}',
    ]

    assert target.member.post(rw, bodies).json["success_count"] == 2
    assert {one["id"]: one for one in target.member.listed(rw.objects)} == {
        one["id"]: one for one in map(json.loads, bodies)
    }


def test_a_later_post_is_behind_an_earlier_one(target, rw):
    """T-POST-26: whoever follows the dates misses nothing."""
    target.seed(rw, [an_indicator()])
    date = target.member.get(rw.objects).headers[LAST]
    target.seed(rw, [an_indicator("two"), an_ipv4()])

    assert len(target.member.listed(rw.objects, added_after=date)) == 2
