"""collections/: the definitions a node starts with, and the starter bundles of the demonstration."""

from __future__ import annotations

import json
import re
import tomllib
import uuid

import pytest
from stix2validator import ValidationOptions, validate_instance

from node.stix.envelope import split
from node.stix.objects import read
from node.stix.validation import check
from node.store.definitions import load_definitions
from tests.architecture.reading import ROOT

FOLDER = ROOT / "collections"
DEFINITIONS = sorted(FOLDER.glob("*.toml"))
BUNDLES = sorted(FOLDER.glob("bundles/*/*.json"))

NORTH = "identity--2f1b6c7a-54c6-4b0e-9d0a-3f6f4a1f0a01"
SOUTH = "identity--8c0a2f7e-1d1f-4a55-8b7e-2f0b7d9c0b02"
GREEN_OR_LESS = {
    "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487",
    "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
}
AMBER_OR_LESS = {*GREEN_OR_LESS, "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"}
RED = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"


def _definition(path):
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _objects(path):
    return json.loads(path.read_text(encoding="utf-8"))["objects"]


def _content(path):
    """The objects of a bundle without the markings and the identity that go with them."""
    return [one for one in _objects(path) if one["type"] not in {"marking-definition", "identity"}]


def _all():
    return [(path, one) for path in BUNDLES for one in _objects(path)]


def _name(path):
    return path.relative_to(FOLDER).with_suffix("").as_posix()


@pytest.mark.parametrize("path", DEFINITIONS, ids=_name)
def test_a_definition_has_the_keys_of_its_description(path):
    assert set(_definition(path)) == {"id", "alias", "title", "description", "validation", "keep_days"}


@pytest.mark.parametrize("path", DEFINITIONS, ids=_name)
def test_the_values_of_a_definition_are_of_their_kind(path):
    definition = _definition(path)

    assert uuid.UUID(definition["id"]).version == 4
    assert re.fullmatch(r"[a-z][a-z0-9-]*", definition["alias"])
    assert definition["alias"] == path.stem
    assert definition["validation"] in {"schema", "structure"}
    assert definition["keep_days"] >= 0


def test_the_node_reads_all_definitions():
    assert [one.alias for one in load_definitions(FOLDER)] == [path.stem for path in DEFINITIONS]


@pytest.mark.parametrize("key", ["id", "alias", "title"])
def test_no_two_definitions_share_what_names_them(key):
    values = [_definition(path)[key] for path in DEFINITIONS]

    assert len(set(values)) == len(values) == 5


def test_both_nodes_have_a_bundle_for_every_collection():
    expected = {f"bundles/{node}/{path.stem}" for node in ("north", "south") for path in DEFINITIONS}

    assert {_name(path) for path in BUNDLES} == expected


@pytest.mark.parametrize("path", BUNDLES, ids=_name)
def test_a_bundle_holds_six_to_twelve_objects_of_content(path):
    assert 6 <= len(_content(path)) <= 12


@pytest.mark.parametrize("path", BUNDLES, ids=_name)
def test_every_object_satisfies_the_validator_of_oasis(path):
    """I-STIX-2: what we publish ourselves has every required property, and times in milliseconds."""
    results = [validate_instance(one, ValidationOptions(version="2.1")) for one in _objects(path)]

    assert [str(error) for result in results for error in result.errors] == []


@pytest.mark.parametrize("path", BUNDLES, ids=_name)
def test_every_object_satisfies_the_schemas_as_the_node_reads_them(path):
    faults = [check(json.dumps(one).encode(), one["type"], "2.1") for one in _objects(path)]

    assert faults == [None] * len(faults)


@pytest.mark.parametrize("path", BUNDLES, ids=_name)
def test_every_object_is_one_that_the_node_may_keep(path):
    kept = [read(body) for body in split(path.read_bytes())]

    assert [one.id for one in kept] == [one["id"] for one in _objects(path)]


def test_an_id_stands_for_the_same_bytes_wherever_it_occurs():
    texts = {}
    for _, one in _all():
        texts.setdefault(one["id"], set()).add(json.dumps(one, sort_keys=True))

    assert {identity for identity, forms in texts.items() if len(forms) > 1} == set()


@pytest.mark.parametrize("path", BUNDLES, ids=_name)
def test_each_object_stands_on_a_line_of_its_own(path):
    lines = path.read_text(encoding="utf-8").splitlines()[1:-1]

    assert [json.loads(line.rstrip(",")) for line in lines] == _objects(path)


def test_reports_are_of_2026():
    published = [one["published"][:4] for _, one in _all() if one["type"] == "report"]

    assert set(published) == {"2026"}


@pytest.mark.parametrize("path", BUNDLES, ids=_name)
def test_all_content_is_within_its_ceiling_but_for_two_indicators_of_north(path):
    allowed = AMBER_OR_LESS if path.stem == "indicators" else GREEN_OR_LESS
    outside = [
        one.get("object_marking_refs")
        for one in _content(path)
        if not one.get("object_marking_refs") or not set(one["object_marking_refs"]) <= allowed
    ]

    assert outside == ([[RED], None] if _name(path) == "bundles/north/indicators" else [])


@pytest.mark.parametrize("path", BUNDLES, ids=_name)
def test_nothing_within_the_ceiling_hangs_on_what_is_withheld(path):
    withheld = {
        one["id"]
        for _, one in _all()
        if one["type"] == "indicator" and one.get("object_marking_refs") in (None, [RED])
    }
    ends = {
        end
        for one in _content(path)
        for key, value in one.items()
        if key.endswith(("_ref", "_refs")) and key != "object_marking_refs"
        for end in ([value] if isinstance(value, str) else value)
    }

    assert len(withheld) == 2
    assert ends & withheld == set()


def test_south_has_one_object_in_the_name_of_north_that_north_does_not_hold():
    north = {one["id"] for path, one in _all() if path.parent.name == "north"}
    in_their_name = [
        (path.stem, one["id"] in north)
        for path, one in _all()
        if path.parent.name == "south" and one.get("created_by_ref") == NORTH
    ]

    assert in_their_name == [("indicators", False)]


def test_north_has_nothing_in_the_name_of_south():
    authors = {one.get("created_by_ref") for path, one in _all() if path.parent.name == "north"}

    assert SOUTH not in authors


def test_addresses_and_names_are_those_reserved_for_documentation():
    text = "\n".join(path.read_text(encoding="utf-8") for path in BUNDLES)
    addresses = set(re.findall(r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b", text))
    hosts = set(re.findall(r"https?://([\w.-]+)", text))

    assert {
        one for one in addresses if not one.startswith(("192.0.2.", "198.51.100.", "203.0.113."))
    } == set()
    assert {one for one in hosts if not re.search(r"(^|\.)example(\.(com|net|org))?$", one)} == {
        "attack.mitre.org"
    }
