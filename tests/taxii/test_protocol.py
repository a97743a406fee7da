"""node/taxii/protocol.py: which media types are taken, and how an error looks."""

import json

import pytest

from node.taxii.protocol import RequestRefused, accepts, error_body, takes

TAXII = "application/taxii+json"


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(f"{TAXII};version=2.1", id="T-MT-1"),
        pytest.param(f"{TAXII}; version=2.1", id="T-MT-2"),
        pytest.param(TAXII, id="T-MT-3"),
        pytest.param(f"{TAXII};version=2.1;q=0.9", id="T-MT-4"),
        pytest.param(f"{TAXII};version=2.0, {TAXII};version=2.1", id="T-MT-5"),
        pytest.param(f"application/json, {TAXII};version=2.1", id="T-MT-6 json first"),
        pytest.param(f"{TAXII};version=2.1,application/stix+json;version=2.1", id="T-MAN-6"),
        pytest.param('Application/TAXII+JSON;Version="2.1"', id="T-MT-7"),
        pytest.param("*/*", id="T-MT-8"),
        pytest.param("application/*", id="T-MT-8 subtype"),
        pytest.param("application/json, text/plain, */*", id="T-MT-8 OpenCTI"),
        pytest.param(None, id="T-MT-9"),
        pytest.param("", id="T-MT-9 empty"),
        pytest.param(f"*/*;q=0.1, {TAXII};version=9.9", id="T-MT-12 through the wildcard"),
        pytest.param(f'text/plain;a="x,y;z", {TAXII}', id="a quoted comma"),
    ],
)
def test_a_header_that_includes_our_type_is_accepted(header):
    assert accepts(header)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("application/json", id="T-MT-10 json"),
        pytest.param("text/html", id="T-MT-10 html"),
        pytest.param("application/stix+json", id="T-MT-10 stix"),
        pytest.param(f"{TAXII};version=2.0", id="T-MT-11"),
        pytest.param("application/vnd.oasis.taxii+json; version=2.0", id="T-MT-11 TAXII 2.0"),
        pytest.param(f"{TAXII};version=2.1;q=0", id="T-MT-12"),
        pytest.param(f"*/*, {TAXII};version=2.1;q=0", id="the most specific range decides"),
        pytest.param(";;", id="T-MT-13 semicolons"),
        pytest.param("taxii", id="T-MT-13 a word"),
        pytest.param('"', id="T-MT-13 a quote"),
        pytest.param(f"{TAXII};q=high", id="a quality that is no number"),
        pytest.param("*/*," * 2000, id="too long"),
    ],
)
def test_a_header_without_our_type_is_not_accepted(header):
    assert not accepts(header)


@pytest.mark.parametrize(
    ("content_type", "taken"),
    [
        pytest.param(f"{TAXII};version=2.1", True, id="T-MT-14"),
        pytest.param(f"{TAXII}; version=2.1", True, id="T-MT-14 space"),
        pytest.param(TAXII, True, id="T-MT-14 no version"),
        pytest.param(f"{TAXII};version=2.1;charset=utf-8", True, id="T-MT-15"),
        pytest.param("application/stix+json;version=2.1", True, id="a bundle"),
        pytest.param(f"{TAXII};version=2.0", False, id="T-MT-15 version 2.0"),
        pytest.param(f"{TAXII};charset=latin1", False, id="another charset"),
        pytest.param("application/json", False, id="T-MT-16"),
        pytest.param(None, False, id="T-POST-28"),
    ],
)
def test_the_content_types_that_are_read(content_type, taken):
    assert takes(content_type) is taken


def test_an_error_resource_says_what_to_do_and_has_its_status_as_text():
    refusal = RequestRefused("No.", remedy="Do this.", status=409, code="c", details={"have": 3})

    assert json.loads(error_body(refusal, "e1")) == {
        "title": "No.",
        "description": "Do this.",
        "error_id": "e1",
        "http_status": "409",
        "error_code": "c",
        "details": {"have": 3},
    }


def test_what_an_error_does_not_have_is_left_out():
    assert set(json.loads(error_body(RequestRefused("No.", remedy="Do.", status=404), "e1"))) == {
        "title",
        "description",
        "error_id",
        "http_status",
    }


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", id="as Java sends it"),
        pytest.param(f"{TAXII};q=.5", id="no digit before the point"),
        pytest.param(f"{TAXII};q=1.0000", id="more digits than three"),
    ],
)
def test_a_quality_is_read_as_clients_write_it(header):
    assert accepts(header)
