"""node/stix/validation.py: the OASIS schemas, without the package that brings them."""

import json
import subprocess
import sys
import time

import pytest

from node.errors import ConfigError, InvalidObject
from node.stix import validation
from node.stix.validation import check, level_of, read_checked, require_schemas
from tests.support import data
from tests.support.builders import (
    NORTH_ID,
    TLP_2,
    a_malware,
    a_marking_definition,
    a_relationship,
    a_sighting,
    a_tlp_marking,
    an_id,
    an_identity,
    an_indicator,
    an_ipv4,
)

TLP_1_RED = {
    "type": "marking-definition",
    "id": "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed",
    "created": "2017-01-20T00:00:00.000Z",
    "definition_type": "tlp",
    "definition": {"tlp": "red"},
}
UNIT = {"type": "x-unit", "spec_version": "2.1", "id": an_id("x-unit"), "strength": 4}
NO_ADDRESS = {"type": "ipv4-addr", "id": an_id("ipv4-addr")}
DATES = {"created": "2026-11-20T08:00:00.000Z", "modified": "2026-11-20T08:00:00.000Z"}


def fault(body):
    return read_checked(body, "schema")[1]


@pytest.mark.parametrize(
    "body",
    [
        an_indicator(tlp="amber", author=NORTH_ID, confidence=5),
        a_malware(),
        a_relationship(an_id("indicator"), an_id("malware")),
        a_sighting(an_id("indicator")),
        an_identity(id=NORTH_ID),
        a_marking_definition(),
        an_ipv4(tlp="red"),
        json.dumps(TLP_1_RED).encode(),
        json.dumps(TLP_1_RED | {"spec_version": "2.1", "name": "TLP:RED"}).encode(),
        json.dumps(UNIT).encode(),
        json.dumps(UNIT | DATES).encode(),
        *map(a_tlp_marking, TLP_2),
    ],
)
def test_valid_objects_pass(body):
    assert fault(body) is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (an_indicator(pattern=None), '"pattern" is a required property'),
        (an_indicator(pattern=1), 'pattern: 1 is not of type "string"'),
        (an_indicator(labels=[]), "labels: [] has less than 1 item"),
        (an_indicator(Bad=1), "'Bad' was unexpected"),
        (an_indicator(kill_chain_phases=[{"a": 1}]), "kill_chain_phases/0: "),
        (an_indicator(created="2026-11-20T08:00:00Z"), "created: '2026-11-20T08:00:00Z' does not match"),
        (an_indicator(external_references=[{"source_name": "x"}]), "external_references/0"),
        (an_indicator()[:-1] + b',"x_note":null}', "x_note: null is not a value in STIX"),
        (an_indicator(spec_version="2.0"), "id: "),
        (
            json.dumps({"type": "ipv4-addr", "id": an_id("ipv4-addr")}).encode(),
            '"value" is a required property',
        ),
        (json.dumps(UNIT | {"x_list": []}).encode(), "x_list"),
        (json.dumps(UNIT | {"created": DATES["created"]}).encode(), '"modified" is a required property'),
    ],
)
def test_an_invalid_object_is_told_its_place_and_fault(body, words):
    said = fault(body)

    assert said is not None
    assert words in said


def test_a_sentence_is_never_longer_than_300_characters():
    said = fault(an_indicator(**{f"Bad{number}": 1 for number in range(200)}))

    assert said is not None
    assert len(said) == 300


def test_a_sentence_holds_no_control_characters():
    said = fault(an_indicator(**{"\x1b[31mBad\u202e": 1}))

    assert said is not None
    assert said.isprintable()


def test_at_structure_the_fault_is_told_too_so_that_it_can_be_flagged():
    found, said = read_checked(an_indicator(pattern=None), "structure")

    assert found.id == an_id("indicator")
    assert said == read_checked(an_indicator(pattern=None), "schema")[1]


def test_only_full_asks_what_the_schemas_cannot_say():
    swapped = an_indicator(valid_until="2026-11-19T08:00:00.000Z")

    assert read_checked(swapped, "structure")[1] is None
    assert read_checked(swapped, "schema")[1] is None
    assert read_checked(swapped, "full")[1].startswith(
        "valid_until: '2026-11-19T08:00:00.000Z' should be after"
    )


def test_a_collection_asks_for_the_schemas_where_it_says_nothing_known():
    words = ("structure", "schema", "full", "", "none")

    assert [level_of(word) for word in words] == ["structure", "schema", "full", "schema", "schema"]


def test_the_structure_is_asked_at_every_level():
    for level in ("structure", "schema", "full"):
        with pytest.raises(InvalidObject):
            read_checked(an_indicator(confidence=101), level)


def test_a_body_is_checked_like_its_value():
    body = an_indicator(pattern=1)

    assert check(body, "indicator", "2.1") == check(json.loads(body), "indicator", "2.1")


def test_large_integers_do_not_stop_the_check():
    assert fault(an_indicator(x_count=10**400)) is None


@pytest.mark.parametrize("spec_version", ["2.0", "2.1"])
@pytest.mark.parametrize(
    "changes",
    [
        {"type": "a" * 5000 + "!"},
        {"external_references": [{"source_name": "x", "url": "http://" + "a:" * 100_000 + "!"}]},
        {"external_references": [{"source_name": "x", "url": "http://" + "::a" * 100_000 + '"'}]},
    ],
    ids=["type", "authority", "address"],
)
def test_a_text_made_to_stop_regular_expressions_costs_little(changes, spec_version):
    value = json.loads(an_indicator()) | changes
    check(json.loads(an_indicator()), "indicator", spec_version)
    started = time.process_time()
    check(value, value["type"], spec_version)

    assert time.process_time() - started < 1


@pytest.mark.parametrize("spec_version", ["2.0", "2.1"])
def test_every_type_of_the_standard_has_a_schema_that_works(spec_version):
    folder = {"2.0": 15, "2.1": 42}
    types = validation.types_with_schemas(spec_version)

    assert len(types) == folder[spec_version]
    assert all(check({}, type, spec_version) is not None for type in types)


def test_twelve_of_the_playbook_objects_fail_and_all_are_identities():
    faults = {body: fault(body) for body in data.playbooks()}
    invalid = {body: said for body, said in faults.items() if said is not None}

    assert len(faults) == 8035
    assert len(invalid) == 12
    assert all(b'"type":"identity"' in body for body in invalid)
    assert all("identity_class" in said for said in invalid.values())


def test_every_twentieth_attack_object_is_valid():
    bodies = data.attack(20)

    assert len(bodies) == 1239
    assert [said for said in map(fault, bodies) if said is not None] == []


def test_the_installed_schemas_are_the_right_ones():
    require_schemas()


def test_another_version_of_the_package_stops_the_node(monkeypatch):
    monkeypatch.setattr(validation, "VERSION", "3.1.9")

    with pytest.raises(ConfigError, match=r"version 3\.2\.0, not 3\.1\.9") as refusal:
        require_schemas()
    assert refusal.value.remedy == "Run: pip install stix2-validator==3.1.9"


def test_an_absent_package_stops_the_node(monkeypatch):
    monkeypatch.setattr(validation, "PACKAGE", "stix2-validator-that-is-not-there")

    with pytest.raises(ConfigError, match="is not installed"):
        require_schemas()


def test_the_package_is_read_but_never_imported():
    program = (
        "import sys\n"
        "from node.stix.validation import check\n"
        "check(b'{}', 'indicator', '2.1')\n"
        "sys.exit('stix2validator' in sys.modules or 'stix2' in sys.modules)\n"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
