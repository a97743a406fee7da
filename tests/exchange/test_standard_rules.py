"""Rules of STIX that show at the door: what is kept, told apart, and served as it came."""

from __future__ import annotations

import json

from node.exchange.selection import Selection, Versions
from tests.support.builders import (
    CREATED,
    LATER,
    TLP_2,
    a_marking_definition,
    a_relationship,
    an_id,
    an_indicator,
    an_ipv4,
)
from tests.support.nodes import Node

TLP_1_RED = {
    "type": "marking-definition",
    "id": "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed",
    "created": "2017-01-20T00:00:00.000Z",
    "definition_type": "tlp",
    "definition": {"tlp": "red"},
}


def a_body(value: dict[str, object]) -> bytes:
    return json.dumps(value).encode()


def bodies(node: Node) -> list[bytes]:
    return [record.body for record in node.page().records]


def test_one_uuid_under_two_types_is_two_objects(north: Node):
    """S-ID-4: the whole id is the key."""
    uuid = an_id("indicator")[11:]

    assert north.bring(an_indicator(), an_ipv4(id=f"ipv4-addr--{uuid}")) == ["stored", "stored"]
    assert len(bodies(north)) == 2


def test_ids_are_compared_as_they_are_written(north: Node):
    """S-ID-3: capital and small hexadecimal digits are two ids, and neither is changed."""
    capital = "indicator--" + an_id("indicator")[11:].upper()

    assert north.bring(an_indicator(), an_indicator(id=capital)) == ["stored", "stored"]
    assert {json.loads(body)["id"] for body in bodies(north)} == {an_id("indicator"), capital}


def test_the_first_version_seen_need_not_be_the_first(north: Node):
    """S-VER-3"""
    assert north.bring(an_indicator(modified=LATER)) == ["stored"]


def test_bytes_are_served_as_they_came(north: Node):
    """S-VER-7, S-VER-11, S-JSON-7: unknown properties, timestamps and spacing are nobody's to change."""
    body = an_indicator(
        created="2026-11-20T08:00:00.1200Z",
        modified="2026-11-20T08:00:00.123456789Z",
        x_own={"b": 1.50, "a": [True]},
        extensions={an_id("extension-definition"): {"extension_type": "property-extension", "own": 1}},
    ).replace(b'"x_own":', b'"x_own" :  ')
    north.bring(body)

    assert bodies(north) == [body]


def test_what_is_not_here_may_be_named(north: Node):
    """S-VER-10, S-TLP-9: references and markings need not be held, and order does not matter."""
    dangling = a_relationship(an_id("indicator"), an_id("malware"), object_marking_refs=[TLP_2["green"]])

    assert north.bring(dangling, an_indicator()) == ["stored", "stored"]


def test_the_two_forms_of_tlp_1_stand_side_by_side(north: Node):
    """S-SPEC-4, S-TLP-5: the same id and the same version, told apart by the version of STIX."""
    new = TLP_1_RED | {"spec_version": "2.1", "name": "TLP:RED"}
    outcomes = north.bring(a_body(TLP_1_RED), a_body(new))

    assert outcomes == ["stored", "stored"]
    assert [row.spec_version for row in north.held(str(new["id"]))] == ["2.0", "2.1"]
    assert len({row.version_text for row in north.held(str(new["id"]))}) == 1


def test_objects_of_both_versions_of_stix_come_in_one_batch(north: Node):
    """S-SPEC-5, S-SPEC-7: each object is asked for itself what its own version demands."""
    old = an_indicator(
        "old",
        spec_version=None,
        pattern_type=None,
        labels=["malicious-activity"],
        id="indicator--3d2f7c0e-5b1a-4c4d-9f7e-0a1b2c3d4e5f",
    )
    unlabelled = an_indicator("bad", spec_version=None, id="indicator--4d2f7c0e-5b1a-4c4d-9f7e-0a1b2c3d4e5f")

    assert north.bring(old, an_indicator(), unlabelled) == ["stored", "stored", "refused"]


def test_an_object_is_found_under_its_own_version_of_stix(north: Node):
    """S-SPEC-8: which the manifest shows as `application/stix+json;version=` and that version."""
    old = a_body(TLP_1_RED)
    north.bring(old, an_indicator())
    only_old = Selection(10, versions=Versions(every=True), spec_versions=("2.0",))

    assert [record.body for record in north.page(selection=only_old).records] == [old]
    assert [record.spec_version for record in north.page(selection=only_old).records] == ["2.0"]


def test_a_value_that_says_nothing_new_is_still_another_content(north: Node):
    """S-VER-8: decided otherwise in design.md section 13; a digest speaks of what was written."""
    north.bring(an_indicator())

    assert north.bring(an_indicator(revoked=False)) == ["refused"]


def test_two_contents_of_an_observable_are_both_kept(north: Node):
    """S-VER-9: it has no version; the digest tells them apart on both nodes alike."""
    assert north.bring(an_ipv4(), an_ipv4(defanged=True)) == ["stored", "stored"]
    assert len(north.digests(json.loads(an_ipv4())["id"])) == 2


def test_an_altered_official_marking_is_not_taken(north: Node):
    """S-TLP-7"""
    altered = a_body(TLP_1_RED | {"modified": "2017-01-20T00:00:00.000Z"})

    assert north.bring_one(altered).reason == "invalid"
    assert "official TLP marking RED" in north.bring_one(altered).message


def test_a_marking_has_the_version_of_its_creation(north: Node):
    """S-TLP-5"""
    north.bring(a_marking_definition())

    assert north.last(an_id("marking-definition")).version_text == CREATED


def test_both_ids_of_a_level_are_one_rank(north: Node):
    """S-TLP-6: GREEN of TLP 1 and GREEN of TLP 2."""
    first = an_indicator(
        "1", object_marking_refs=["marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da"]
    )
    north.bring(first, an_indicator("2", tlp="green"))

    assert north.last(an_id("indicator", "1")).rank == north.last(an_id("indicator", "2")).rank == 1
