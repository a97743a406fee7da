"""node/taxii/body.py: a body is read to its exact length, or not at all."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.taxii.body import cut, read_body
from node.taxii.protocol import RequestRefused
from tests.support.builders import an_indicator
from tests.support.served import an_envelope


def environ_of(body, *, length=None, terminated=False, **more):
    environ = {"wsgi.input": io.BytesIO(body), "wsgi.input_terminated": terminated, **more}
    return environ if length is None else {**environ, "CONTENT_LENGTH": str(length)}


def status_of(call):
    with pytest.raises(RequestRefused) as refusal:
        call()
    return refusal.value.status


@given(st.binary(max_size=200), st.booleans())
def test_a_body_of_the_announced_length_is_read(body, terminated):
    assert read_body(environ_of(body, length=len(body), terminated=terminated), most=200) == body


@pytest.mark.parametrize("terminated", [False, True])
def test_a_cut_body_is_refused(terminated):
    assert status_of(lambda: read_body(environ_of(b"abc", length=50, terminated=terminated), most=100)) == 400


def test_a_body_longer_than_announced_is_refused():
    assert status_of(lambda: read_body(environ_of(b"abcdef", length=3, terminated=True), most=100)) == 400


def test_the_largest_body_is_read_T_ROOT_4_A_15():
    assert read_body(environ_of(b"a" * 100, length=100), most=100) == b"a" * 100


def test_a_body_announced_too_long_is_refused_unread_T_POST_17():
    environ = environ_of(b"a" * 101, length=101)

    assert status_of(lambda: read_body(environ, most=100)) == 413
    assert environ["wsgi.input"].tell() == 0


def test_a_chunked_body_is_read_T_POST_18():
    chunked = {"terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}

    assert read_body(environ_of(b"abc", **chunked), most=100) == b"abc"


def test_a_chunked_body_that_is_too_long_is_refused_and_not_cut_T_POST_17():
    chunked = {"terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}

    assert status_of(lambda: read_body(environ_of(b"a" * 101, **chunked), most=100)) == 413


def test_a_body_without_a_known_end_is_refused():
    assert status_of(lambda: read_body(environ_of(b"abc"), most=100)) == 411


@pytest.mark.parametrize("coding", ["gzip", "identity", "br, gzip"])
def test_content_codings_are_refused_T_POST_20(coding):
    assert (
        status_of(lambda: read_body(environ_of(b"", length=0, HTTP_CONTENT_ENCODING=coding), most=9)) == 415
    )


@pytest.mark.parametrize("length", ["-1", "abc", "1e3", "9" * 30, "１"])
def test_a_length_that_is_none_is_refused(length):
    assert status_of(lambda: read_body(environ_of(b"", length=length), most=100)) == 400


def test_an_envelope_and_a_bundle_are_cut_into_their_bytes_T_POST_14():
    one, two = an_indicator(), b'{ "type" : "x" }'
    bundle = b'{"type":"bundle","id":"bundle--1","spec_version":"2.0","objects":[' + one + b"," + two + b"]}"

    assert cut(an_envelope([one, two]), empty_allowed=False) == [one, two]
    assert cut(bundle, empty_allowed=False) == [one, two]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"", 400, id="nothing"),
        pytest.param(b"{", 400, id="cut"),
        pytest.param(b'{"objects":[{}]', 400, id="cut at the end"),
        pytest.param(b"not json", 400, id="T-POST-11 no JSON"),
        pytest.param(b'{"objects":["\xff"]}', 400, id="T-POST-22 not UTF-8"),
        pytest.param(b"[]", 422, id="T-POST-11 a list"),
        pytest.param(b'"text"', 422, id="T-POST-11 a text"),
        pytest.param(b"{}", 422, id="T-POST-12 nothing to do"),
        pytest.param(b'{"objects":[]}', 422, id="T-POST-12 an empty list"),
        pytest.param(b'{"objects":{}}', 422, id="objects is no list"),
        pytest.param(an_indicator(), 422, id="a bare object"),
        pytest.param(b"[" * 100_000, 422, id="T-POST-21 deep"),
        pytest.param(b'{"a":1}' + b"x", 400, id="something after the end"),
    ],
)
def test_a_body_without_objects_is_refused_whole(body, status):
    assert status_of(lambda: cut(body, empty_allowed=False)) in (
        {400, 422} if body[:2] == b"[[" else {status}
    )


def test_an_empty_envelope_counts_where_it_means_something():
    assert cut(b"{}", empty_allowed=True) == []


def test_an_envelope_has_a_largest_number_of_objects():
    assert status_of(lambda: cut(an_envelope([b"1"] * 50_001), empty_allowed=False)) == 413
