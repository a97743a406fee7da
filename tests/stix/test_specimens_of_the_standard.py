"""Ids, markings and versions that the standard prints: what this node makes of each of them."""

import json
import uuid

import pytest
import stix2

from node.stix import markings
from node.stix.objects import read
from node.stix.validation import check
from tests.support.builders import an_id
from tests.support.specimens import specimen

NAMESPACE = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")
VECTORS = [
    ("ipv4-addr", {"value": "198.51.100.3"}, "28bb3599-77cd-5a82-a950-b5bc3caf07c4"),
    ("domain-name", {"value": "example.com"}, "bedb4899-d24b-5401-bc86-8f6b4cc18ec7"),
    ("domain-name", {"value": "münchen.example"}, "ec84ab45-ecbb-5f68-840c-b4b7d70cb21d"),
    ("autonomous-system", {"number": 15139}, "3aa27478-50b5-5ab8-9da9-cdc12b657fff"),
    ("mutex", {"name": "__CLEANSWEEP__"}, "f93fe911-e545-5239-b9b0-597840d0c871"),
    (
        "file",
        {"hashes": {"MD5": "b" * 32, "SHA-256": "a" * 64}, "name": "x.exe"},
        "4915fc0e-b154-5cb1-b338-70da92bbc85c",
    ),
]


@pytest.mark.parametrize(("type", "content", "expected"), VECTORS)
def test_the_library_that_makes_observables_here_gives_them_the_ids_of_the_standard(type, content, expected):
    """S-ID-5, S-ID-7, S-ID-8, S-ID-9: we make none by ourselves; stix2 does, and a file by its first hash."""
    made = stix2.parse({"type": type, **content}, version="2.1")
    contributing = content
    if type == "file":
        contributing = {"hashes": {"MD5": "b" * 32}, "name": "x.exe"}
    name = json.dumps(contributing, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    assert made.id == f"{type}--{expected}"
    assert str(uuid.uuid5(NAMESPACE, name)) == expected


@pytest.mark.parametrize(
    ("type", "stix_id"),
    [
        ("ipv4-addr", "ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd"),
        ("process", "process--6f0d6a0e-7a63-5f0b-9c1f-1d2f3b4a5c6d"),
        ("mutex", "mutex--6f0d6a0e-7a63-1f0b-9c1f-1d2f3b4a5c6d"),
    ],
)
def test_ids_of_observables_are_not_made_again(type, stix_id):
    """S-ID-6, S-ID-10: another algorithm and another UUID than version 4 or 5 are taken, in full too."""
    value = specimen(type) | {"id": stix_id}

    assert read(json.dumps(value).encode()).id == stix_id
    assert check(value, type, "2.1", full=True) is None


def test_one_uuid_under_two_types_is_two_ids():
    """S-ID-4"""
    one = read(json.dumps(specimen("tool")).encode())
    other = read(json.dumps(specimen("malware") | {"id": "malware" + one.id[4:]}).encode())

    assert one.id[-36:] == other.id[-36:]
    assert one.id != other.id


def test_the_extension_of_tlp_2_is_valid_as_published():
    """S-TLP-3"""
    published = {
        "type": "extension-definition",
        "spec_version": "2.1",
        "id": "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d",
        "created": "2022-10-01T00:00:00.000Z",
        "modified": "2022-10-01T00:00:00.000Z",
        "created_by_ref": "identity--b3bca3c2-1f3d-4b54-b44f-dac42c3a8f01",
        "name": "TLP 2.0",
        "schema": "https://github.com/oasis-open/cti-stix-common-objects/tree/master"
        "/extension-definition-specifications/tlp-2.0",
        "version": "1.0.0",
        "extension_types": ["property-extension"],
    }

    assert check(published, "extension-definition", "2.1", full=True) is None
    assert published["id"] == markings._TLP_2_EXTENSION


def test_a_marking_of_tlp_2_needs_no_definition():
    """S-TLP-4: `definition_type` and `definition` are demanded only where there is no extension."""
    (marking,) = [each for each, word in markings._VERSION_2.items() if word == "amber+strict"]
    value = {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": marking,
        "created": "2022-10-01T00:00:00.000Z",
        "name": "TLP:AMBER+STRICT",
        "extensions": {
            markings._TLP_2_EXTENSION: {"extension_type": "property-extension", "tlp_2_0": "amber+strict"}
        },
    }

    assert check(value, "marking-definition", "2.1", full=True) is None
    assert check({**value, "extensions": None}, "marking-definition", "2.1") is not None


def test_another_object_of_tlp_1_is_refused_by_the_schemas():
    """S-TLP-1: only the four may exist."""
    mine = specimen("marking-definition") | {
        "definition_type": "tlp",
        "definition": {"tlp": "red"},
        "name": "TLP:RED",
    }

    assert check(mine, "marking-definition", "2.1") is not None


def test_the_example_of_oasis_with_an_impossible_date_is_refused():
    """S-ID-4, S-JSON-9: W-94, a timestamp in the month 101."""
    value = specimen("identity") | {"created": "2022-101-27T00:00:00.000Z", "id": an_id("identity")}

    assert check(value, "identity", "2.1") is not None
