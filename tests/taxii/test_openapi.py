"""The description at `/openapi.json`: valid by OpenAPI 3.1, and true to the routes in both directions."""

from __future__ import annotations

import json
import re

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from node.taxii.openapi import ADDRESS, description
from tests.architecture.reading import NODE
from tests.support.served import a_served

METHODS = ("get", "head", "post", "delete", "put", "patch", "options", "trace")
ADDRESS_OF_TESTS = "http://127.0.0.1:8000"  # what the configuration says that names none
DOCUMENT = json.loads(description(ADDRESS_OF_TESTS))


def described(document=DOCUMENT):
    """(path, method) of every operation, whatever its parameters are called."""
    return {
        (re.sub(r"\{\w+\}", "{}", path), method)
        for path, item in document["paths"].items()
        for method in METHODS
        if method in item
    }


def routed(app):
    """(path, method) of everything that is served."""
    return {
        (re.sub(r"<[^>]+>", "{}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
    }


def operations(document=DOCUMENT):
    """Every operation as (label, its description)."""
    return [
        (f"{method} {path}", item[method])
        for path, item in document["paths"].items()
        for method in METHODS
        if method in item
    ]


def resolved(document, part):
    """What a reference names, or the part itself."""
    while "$ref" in part:
        name = part["$ref"]
        part = document
        for step in name.removeprefix("#/").split("/"):
            part = part[step]
    return part


def references(part):
    """Every reference in a part of the description."""
    if isinstance(part, dict):
        own = [part["$ref"]] if "$ref" in part else []
        return own + [one for each in part.values() for one in references(each)]
    return [one for each in part for one in references(each)] if isinstance(part, list) else []


@pytest.fixture
def node(sqlite_database, tmp_path):
    return a_served(sqlite_database, tmp_path)


# --- true to the routes


def test_every_route_is_described_and_everything_described_is_a_route(node):
    assert described() == routed(node.app)


def test_a_route_that_is_not_described_is_found(node):
    node.app.add_url_rule("/api/collections/<name>/planted/", "planted", lambda name: name)

    assert routed(node.app) - described() == {
        ("/api/collections/{}/planted/", "get"),
        ("/api/collections/{}/planted/", "head"),
    }


@pytest.mark.parametrize(
    ("label", "operation"), operations(), ids=lambda one: one if type(one) is str else ""
)
def test_every_parameter_of_a_path_is_described_and_none_is_invented(label, operation):
    given = [resolved(DOCUMENT, one) for one in operation["parameters"]]

    assert {one["name"] for one in given if one["in"] == "path"} == set(re.findall(r"\{(\w+)\}", label))
    assert len({(one["in"], one["name"]) for one in given}) == len(given)


def test_every_status_that_the_face_gives_is_described_somewhere():
    """A status that is written in the code of the face stands in the description."""
    sources = [*(NODE / "taxii").glob("*.py"), NODE / "web.py"]
    written = {
        int(found)
        for path in sources
        for found in re.findall(
            r"\b(?:status=|status = |refused\()([45][0-9]{2})\b", path.read_text(encoding="utf-8")
        )
    }
    told = {int(status) for _, operation in operations() for status in operation["responses"]}

    assert {400, 401, 404, 406, 413, 415, 422, 429, 503} <= written
    assert written - {405} - told == set()  # 405 is for methods that are not described


def test_every_name_that_is_referred_to_exists_and_is_used():
    used = set(references(DOCUMENT))
    kept = {
        f"#/components/{kind}/{name}"
        for kind, parts in DOCUMENT["components"].items()
        for name in parts
        if kind != "securitySchemes"
    }
    # Some refusals are never the answer to HEAD; they are made for all alike.
    assert used - kept == set()
    assert {one for one in kept - used if not one.endswith("Head")} == set()


def test_operations_have_names_of_their_own():
    names = [operation["operationId"] for _, operation in operations()]

    assert len(set(names)) == len(names)


# --- valid


def test_it_is_valid_by_the_schema_of_openapi_3_1():
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert [error.message for error in OPENAPI_31_VALIDATOR.iter_errors(DOCUMENT)] == []


def test_the_schema_of_openapi_finds_an_operation_without_a_response_text():
    """The control of the test above."""
    broken = json.loads(description(""))
    del broken["paths"]["/healthz"]["get"]["responses"]["200"]["description"]

    assert not OPENAPI_31_VALIDATOR.is_valid(broken)


@pytest.mark.parametrize("name", DOCUMENT["components"]["schemas"])
def test_every_schema_is_a_json_schema(name):
    schema = {**DOCUMENT["components"]["schemas"][name], "components": DOCUMENT["components"]}

    jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
    jsonschema_rs.Draft202012Validator(schema)


# --- served


def test_anybody_may_read_it_in_one_piece(node):
    found = node.app.test_client().get(ADDRESS)

    assert (found.status_code, found.content_type) == (200, "application/json")
    assert found.json == DOCUMENT
    assert found.headers["X-Content-Type-Options"] == "nosniff"


def test_its_headers_alone_can_be_asked_for(node):
    client = node.app.test_client()

    found = client.head(ADDRESS)

    assert (found.status_code, found.data) == (200, b"")
    assert found.headers["Content-Length"] == str(len(client.get(ADDRESS).data))


def test_the_address_in_it_is_the_configured_one(node):
    """Never from Host, by which a stranger could lead a reader of a cache elsewhere."""
    found = node.app.test_client().get(ADDRESS, headers={"Host": "evil.example"})

    assert found.json["servers"] == [{"url": ADDRESS_OF_TESTS}]
    assert b"evil" not in found.data
    assert json.loads(description(""))["servers"] == [{"url": "/"}]


def test_it_says_nothing_of_this_node(node):
    """The same for every node: no collection, no title, no limit and no version that runs."""
    told = node.app.test_client().get(ADDRESS).text

    for secret in (node.settings.node.title, *(one.id for one in node.collections.values()), "indicators"):
        assert secret not in told
    assert str(node.settings.limits.max_content_length) not in told


def test_it_is_in_gzip_for_those_who_ask(node):
    found = node.app.test_client().get(ADDRESS, headers={"Accept-Encoding": "gzip"})

    assert found.headers["Content-Encoding"] == "gzip"
    assert len(found.data) < len(description("")) / 4
