"""A valid object of each type of STIX 2.1, and some of 2.0, with most of the properties it may have.

    specimen("malware")            a new dict each time, which a test may change
    specimens("2.1")               all of a version, by type

Nothing here means anything; addresses and names are those reserved for documentation.
"""

from __future__ import annotations

import copy
from typing import Any

from tests.support.builders import CREATED, LATER, NORTH_ID, TLP_2, an_id

Specimen = dict[str, Any]

SHA_256 = "ab" * 32
STATEMENT = an_id("marking-definition")
_ROOT = an_id("extension-definition")


def specimen(type: str, spec_version: str = "2.1") -> Specimen:
    """The valid object of one type."""
    return copy.deepcopy(specimens(spec_version)[type])


def specimens(spec_version: str = "2.1") -> dict[str, Specimen]:
    """All of one version, by type."""
    return _ALL[spec_version]


def _dated(type: str, **content: Any) -> Specimen:
    head = {"type": type, "spec_version": "2.1", "id": an_id(type), "created": CREATED, "modified": LATER}
    return head | content


def _old(type: str, **content: Any) -> Specimen:
    # STIX 2.0 asks for UUIDs of version 4.
    identifier = f"{type}--3d2f7c0e-5b1a-4c4d-9f7e-0a1b2c3d4e5f"
    return {"type": type, "id": identifier, "created": CREATED, "modified": LATER} | content


def _observable(type: str, **content: Any) -> Specimen:
    return {"type": type, "spec_version": "2.1", "id": an_id(type)} | content


_SEEN = {"first_seen": CREATED, "last_seen": LATER}
_PHASES = [{"kill_chain_name": "chain", "phase_name": "phase"}]

_DOMAIN = [
    _dated("attack-pattern", name="A", description="B", aliases=["C"], kill_chain_phases=_PHASES),
    _dated("campaign", name="A", aliases=["B"], objective="C", **_SEEN),
    _dated("course-of-action", name="A", description="B"),
    _dated("grouping", name="A", context="unspecified", object_refs=[an_id("indicator")]),
    _dated("identity", name="A", identity_class="organization", roles=["B"], sectors=["technology"]),
    _dated("incident", name="A", description="B"),
    _dated(
        "indicator",
        name="A",
        indicator_types=["malicious-activity"],
        pattern="[domain-name:value = 'a.example']",
        pattern_type="stix",
        pattern_version="2.1",
        valid_from=CREATED,
        valid_until=LATER,
        kill_chain_phases=_PHASES,
        # What all dated types have in common stands here.
        created_by_ref=NORTH_ID,
        revoked=False,
        labels=["one"],
        confidence=50,
        lang="en",
        external_references=[
            {
                "source_name": "A",
                "description": "B",
                "url": "https://a.example/",
                "hashes": {"SHA-256": SHA_256},
            }
        ],
        object_marking_refs=[TLP_2["green"]],
        granular_markings=[{"marking_ref": STATEMENT, "selectors": ["name", "labels.[0]"]}],
        extensions={_ROOT: {"extension_type": "property-extension", "note": "A"}},
    ),
    _dated("infrastructure", name="A", infrastructure_types=["botnet"], aliases=["B"], **_SEEN),
    _dated(
        "intrusion-set", name="A", goals=["B"], resource_level="club", primary_motivation="ideology", **_SEEN
    ),
    _dated("location", name="A", region="africa", country="ke", latitude=1.5, longitude=36.5, precision=10.0),
    _dated(
        "malware",
        name="A",
        is_family=True,
        malware_types=["worm"],
        operating_system_refs=[an_id("software")],
        sample_refs=[an_id("file")],
        **_SEEN,
    ),
    _dated(
        "malware-analysis",
        product="a",
        result="benign",
        submitted=CREATED,
        analysis_started=CREATED,
        analysis_ended=LATER,
        host_vm_ref=an_id("software"),
        installed_software_refs=[an_id("software")],
        analysis_sco_refs=[an_id("file")],
        sample_ref=an_id("file"),
    ),
    _dated("note", content="A", abstract="B", authors=["C"], object_refs=[an_id("indicator")]),
    _dated(
        "observed-data",
        first_observed=CREATED,
        last_observed=LATER,
        number_observed=1,
        object_refs=[an_id("ipv4-addr"), an_id("relationship")],
    ),
    _dated("opinion", opinion="agree", explanation="A", object_refs=[an_id("indicator")]),
    _dated("report", name="A", report_types=["malware"], published=CREATED, object_refs=[an_id("malware")]),
    _dated("threat-actor", name="A", threat_actor_types=["spy"], sophistication="expert", **_SEEN),
    _dated("tool", name="A", tool_types=["remote-access"], tool_version="1"),
    _dated("vulnerability", name="CVE-2026-0001", description="A"),
    _dated(
        "relationship",
        relationship_type="indicates",
        source_ref=an_id("indicator"),
        target_ref=an_id("malware"),
        start_time=CREATED,
        stop_time=LATER,
    ),
    _dated(
        "sighting",
        count=1,
        summary=False,
        sighting_of_ref=an_id("indicator"),
        observed_data_refs=[an_id("observed-data")],
        where_sighted_refs=[NORTH_ID, an_id("location")],
        **_SEEN,
    ),
    _dated(
        "language-content",
        object_ref=an_id("indicator"),
        object_modified=LATER,
        contents={"fr": {"name": "B"}, "pt-BR": {"name": "C"}},
    ),
    _dated(
        "extension-definition",
        name="A",
        schema="https://a.example/schema.json",
        version="1.0.0",
        extension_types=["property-extension"],
        created_by_ref=NORTH_ID,
    ),
    {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": STATEMENT,
        "created": CREATED,
        "created_by_ref": NORTH_ID,
        "definition_type": "statement",
        "definition": {"statement": "Terms of use."},
    },
]

_OBSERVABLES = [
    _observable("artifact", mime_type="image/png", payload_bin="QUJD", hashes={"MD5": "ab" * 16}),
    _observable("autonomous-system", number=64496, name="A", rir="B"),
    _observable(
        "directory", path="/a", path_enc="UTF-8", ctime=CREATED, mtime=LATER, contains_refs=[an_id("file")]
    ),
    _observable("domain-name", value="a.example", resolves_to_refs=[an_id("ipv4-addr")]),
    _observable("email-addr", value="a@a.example", display_name="A", belongs_to_ref=an_id("user-account")),
    _observable(
        "email-message",
        is_multipart=True,
        date=CREATED,
        from_ref=an_id("email-addr"),
        to_refs=[an_id("email-addr")],
        raw_email_ref=an_id("artifact"),
        body_multipart=[{"content_type": "text/plain", "body_raw_ref": an_id("file")}],
        additional_header_fields={"X-Mailer": "A"},
    ),
    _observable(
        "file",
        name="a.exe",
        hashes={"SHA-256": SHA_256},
        size=1,
        mtime=CREATED,
        magic_number_hex="4d5a",
        parent_directory_ref=an_id("directory"),
        contains_refs=[an_id("ipv4-addr")],
        content_ref=an_id("artifact"),
        extensions={
            "archive-ext": {"contains_refs": [an_id("file")]},
            "windows-pebinary-ext": {"pe_type": "exe", "sections": [{"name": "A"}]},
        },
    ),
    _observable(
        "ipv4-addr",
        value="198.51.100.3",
        belongs_to_refs=[an_id("autonomous-system")],
        resolves_to_refs=[an_id("mac-addr")],
        # What all observables have in common stands here.
        defanged=False,
        object_marking_refs=[TLP_2["green"]],
        granular_markings=[{"marking_ref": STATEMENT, "selectors": ["value"]}],
        extensions={_ROOT: {"extension_type": "property-extension", "note": "A"}},
    ),
    _observable("ipv6-addr", value="2001:db8::1", resolves_to_refs=[an_id("mac-addr")]),
    _observable("mac-addr", value="02:00:5e:00:00:01"),
    _observable("mutex", name="A"),
    _observable(
        "network-traffic",
        protocols=["tcp"],
        start=CREATED,
        end=LATER,
        is_active=False,
        src_ref=an_id("ipv4-addr"),
        dst_ref=an_id("domain-name"),
        src_port=1024,
        src_payload_ref=an_id("artifact"),
        encapsulates_refs=[an_id("network-traffic", "two")],
        extensions={"tcp-ext": {"src_flags_hex": "02"}},
    ),
    # The validator takes UUIDs of version 4 alone for processes.
    _observable(
        "process", pid=1, created_time=CREATED, image_ref=an_id("file"), child_refs=[an_id("process")]
    )
    | {"id": "process--3d2f7c0e-5b1a-4c4d-9f7e-0a1b2c3d4e5f"},
    _observable("software", name="A", cpe="cpe:2.3:a:b:c:1:*:*:*:*:*:*:*", languages=["eng"], version="1"),
    _observable("url", value="https://a.example/b"),
    _observable("user-account", user_id="1", account_type="unix", account_created=CREATED),
    _observable(
        "windows-registry-key",
        key="HKEY_LOCAL_MACHINE\\Software\\A",
        values=[{"name": "A", "data": "B", "data_type": "REG_SZ"}],
        modified_time=CREATED,
        creator_user_ref=an_id("user-account"),
    ),
    _observable(
        "x509-certificate", serial_number="01", validity_not_before=CREATED, validity_not_after=LATER
    ),
]

_OLD = [
    _old("campaign", name="A", **_SEEN),
    _old("identity", name="A", identity_class="organization"),
    _old(
        "indicator",
        labels=["malicious-activity"],
        pattern="[domain-name:value = 'a.example']",
        valid_from=CREATED,
        valid_until=LATER,
        granular_markings=[{"marking_ref": "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da",
                            "selectors": ["pattern"]}],
    ),
    _old("malware", name="A", labels=["worm"]),
    _old(
        "observed-data",
        first_observed=CREATED,
        last_observed=LATER,
        number_observed=1,
        objects={
            "0": {"type": "ipv4-addr", "value": "198.51.100.3"},
            "1": {"type": "network-traffic", "src_ref": "0", "protocols": ["tcp"]},
        },
    ),
    _old(
        "relationship",
        relationship_type="indicates",
        source_ref="indicator--3d2f7c0e-5b1a-4c4d-9f7e-0a1b2c3d4e5f",
        target_ref="malware--3d2f7c0e-5b1a-4c4d-9f7e-0a1b2c3d4e5f",
    ),
    _old("sighting", sighting_of_ref="indicator--3d2f7c0e-5b1a-4c4d-9f7e-0a1b2c3d4e5f", count=1),
]  # fmt: skip

_ALL = {
    "2.1": {each["type"]: each for each in (*_DOMAIN, *_OBSERVABLES)},
    "2.0": {each["type"]: each for each in _OLD},
}
