"""node/stix/amendments.py: where the schemas of the package refuse what the standard permits."""

import json

import pytest

from node.errors import ConfigError
from node.stix import amendments, validation
from node.stix.amendments import AMENDMENTS, amended
from node.stix.validation import check
from tests.support.builders import an_id
from tests.support.specimens import STATEMENT, specimen


def schema(each):
    folder = validation._folder(each.spec_version)
    return (folder / f"{each.schema}.json").read_bytes()


def changed(type, **changes):
    value = specimen(type) | changes
    return {name: value for name, value in value.items() if value is not None}


def test_every_amendment_finds_its_text_and_leaves_json():
    for each in AMENDMENTS:
        found = amended(each.spec_version, each.schema, schema(each))

        assert each.was not in found
        assert json.loads(found)


def test_a_schema_without_an_amendment_stays_as_it_is():
    assert amended("2.1", "sdos/malware", b"{}") == b"{}"
    assert amended("2.0", "common/identifier", b"{}") == b"{}"


def test_another_schema_under_the_same_name_stops_the_node():
    with pytest.raises(ConfigError, match=r"common/identifier of STIX 2\.1 is not the one"):
        amended("2.1", "common/identifier", b"{}")


PERMITTED = [
    changed("tool", id="tool--019aa1c0-7a63-7f0b-9c1f-1d2f3b4a5c6d"),
    changed("indicator", granular_markings=[{"lang": "de", "selectors": ["name"]}]),
    changed("ipv6-addr", value="::ffff:192.0.2.1"),
    changed("ipv6-addr", value="2001:db8::192.0.2.255"),
    changed("windows-registry-key", key="HKEY_CURRENT_USER\\Software\\thkun"),
    changed("windows-registry-key", key=None, values=None, creator_user_ref=None),
    changed("process", pid=None, image_ref=None, child_refs=None),
    changed("file", granular_markings=[{"marking_ref": STATEMENT, "selectors": ["hashes.SHA-256"]}]),
    changed("file", hashes={"TLSH": "T1" + "0A" * 35}),
    changed("artifact", mime_type="inode/x-empty"),
    changed("email-message", additional_header_fields={"X-Mailer": ["A"]}),
    changed("software", languages=["en", "pt-BR"]),
]
FORBIDDEN = [
    changed("tool", id="tool--019aa1c0-7a63-7f0b-0c1f-1d2f3b4a5c6d"),
    changed("tool", id="tool--00000000-0000-0000-0000-000000000000"),
    changed("indicator", granular_markings=[{"selectors": ["name"]}]),
    changed("indicator", granular_markings=[{"lang": "de", "marking_ref": STATEMENT, "selectors": ["name"]}]),
    changed("ipv6-addr", value="::ffff:192.0.2.256"),
    changed("ipv6-addr", value="::ffff:192x0.2.1"),
    changed("windows-registry-key", key="HKLM\\Software"),
    changed("windows-registry-key", key="hkcu"),
    changed("process", pid=None, image_ref=None, child_refs=None, created_time=None),
    changed("file", granular_markings=[{"marking_ref": STATEMENT, "selectors": ["Hashes.SHA-256"]}]),
    changed("file", granular_markings=[{"marking_ref": STATEMENT, "selectors": ["hashes."]}]),
    changed("file", hashes={"TLSH": "T2" + "0A" * 35}),
    changed("artifact", mime_type="inode"),
    changed("artifact", mime_type="/x-empty"),
    changed("email-message", additional_header_fields={"X-Mailer": []}),
    changed("software", languages=["English (British)"]),
]


@pytest.mark.parametrize("value", PERMITTED)
def test_what_the_standard_permits_passes(value):
    """S-ID-2, S-ID-3, S-JSON-5: UUIDs of any version but only of the variant of RFC 4122; `lang` alone."""
    assert check(value, value["type"], "2.1") is None


@pytest.mark.parametrize("value", FORBIDDEN)
def test_what_it_forbids_is_still_refused(value):
    assert check(value, value["type"], "2.1") is not None


def test_without_the_amendments_the_permitted_would_be_refused(monkeypatch):
    """The control: each of the permitted objects is one that the package's own schema refuses."""
    monkeypatch.setattr(amendments, "AMENDMENTS", ())
    memories = (validation._validator, validation._registry, validation._schemas, validation._object_schemas)
    for memory in memories:
        memory.cache_clear()
    try:
        passed = [value for value in PERMITTED if check(value, value["type"], "2.1") is None]
    finally:
        for memory in memories:
            memory.cache_clear()

    assert passed == []


def test_references_are_identifiers_of_any_version_too():
    reference = an_id("identity")[:-22] + "7" + an_id("identity")[-21:]

    assert check(specimen("tool") | {"created_by_ref": reference}, "tool", "2.1", full=True) is None
