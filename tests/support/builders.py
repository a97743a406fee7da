"""Bodies of valid STIX 2.1 objects: fixed dates, ids that follow from a name, one call each.

    an_indicator()                              always the same bytes
    an_indicator("c2", tlp="amber")             another id, marked
    an_indicator(modified=LATER, revoked=True)  a further version of the first
    an_indicator(description=None)              without that property

Every builder takes `tlp` (a TLP 2.0 level, or None for no marking), `author` (an identity's id,
or None), `modified` and any property by its name; a property given as None is left out.
"""

from __future__ import annotations

import json
import uuid

NORTH_ID = "identity--2f1b6c7a-54c6-4b0e-9d0a-3f6f4a1f0a01"
SOUTH_ID = "identity--8c0a2f7e-1d1f-4a55-8b7e-2f0b7d9c0b02"

NOON = 1_795_262_400_000_000
"""2026-11-21T12:00:00Z in microseconds, the `now` of most tests."""

CREATED = "2026-11-20T08:00:00.000Z"
LATER = "2026-11-20T09:00:00.000Z"

TLP_2 = {
    "clear": "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487",
    "green": "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
    "amber": "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421",
    "amber+strict": "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
    "red": "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1",
}

_NAMESPACE = uuid.UUID("6f0d6a0e-7a63-5f0b-9c1f-1d2f3b4a5c6d")
_SCO_NAMESPACE = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")


def an_id(type: str, name: str | int = "one") -> str:
    """The id that the builders give an object of this type and name."""
    return f"{type}--{uuid.uuid5(_NAMESPACE, f'{type} {name}')}"


def an_indicator(name: str | int = "one", **changes: object) -> bytes:
    """An indicator; its pattern follows from the name, so that two names are two patterns."""
    host = an_id("indicator", name)[-12:]
    return _an_object(
        "indicator",
        name,
        {
            "name": f"Indicator {name}",
            "pattern": f"[domain-name:value = '{host}.example']",
            "pattern_type": "stix",
            "valid_from": CREATED,
        },
        changes,
    )


def a_malware(name: str | int = "one", **changes: object) -> bytes:
    """A malware object."""
    return _an_object("malware", name, {"name": f"Malware {name}", "is_family": False}, changes)


def a_relationship(source: str, target: str, name: str | int | None = None, **changes: object) -> bytes:
    """A relationship `indicates` between two ids; without a name its own id follows from them."""
    own = f"{source} {target}" if name is None else name
    ends = {"relationship_type": "indicates", "source_ref": source, "target_ref": target}
    return _an_object("relationship", own, ends, changes)


def a_sighting(of: str, name: str | int | None = None, **changes: object) -> bytes:
    """A sighting of an object, by id; without a name its own id follows from that."""
    return _an_object("sighting", of if name is None else name, {"sighting_of_ref": of}, changes)


def an_identity(name: str | int = "one", **changes: object) -> bytes:
    """The identity of an organisation; `id=NORTH_ID` and the like for a known one."""
    return _an_object("identity", name, {"name": f"Centre {name}", "identity_class": "organization"}, changes)


def a_marking_definition(name: str | int = "one", **changes: object) -> bytes:
    """A statement; with `tlp` it is that statement marked, not the official TLP marking."""
    content = {"definition_type": "statement", "definition": {"statement": f"Terms of use {name}."}}
    return _an_object("marking-definition", name, content, {"modified": None, **changes})


def a_tlp_marking(level: str) -> bytes:
    """The official TLP 2.0 marking-definition of a level."""
    extension = {"extension_type": "property-extension", "tlp_2_0": level}
    return _json(
        {
            "type": "marking-definition",
            "spec_version": "2.1",
            "id": TLP_2[level],
            "created": "2022-10-01T00:00:00.000Z",
            "name": f"TLP:{level.upper()}",
            "extensions": {"extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d": extension},
        }
    )


def an_ipv4(value: str = "198.51.100.3", **changes: object) -> bytes:
    """An IPv4 address, with the id that the standard derives from its value; it has no version."""
    sco_id = uuid.uuid5(_SCO_NAMESPACE, json.dumps({"value": value}, separators=(",", ":")))
    sco = {"type": "ipv4-addr", "spec_version": "2.1", "id": f"ipv4-addr--{sco_id}", "value": value}
    return _json(_changed(sco, changes))


def _an_object(type: str, name: str | int, content: dict[str, object], changes: dict[str, object]) -> bytes:
    dated: dict[str, object] = {
        "type": type,
        "spec_version": "2.1",
        "id": an_id(type, name),
        "created": CREATED,
        "modified": CREATED,
    }
    return _json(_changed(dated | content, changes))


def _changed(properties: dict[str, object], changes: dict[str, object]) -> dict[str, object]:
    changes = dict(changes)
    tlp, author = changes.pop("tlp", None), changes.pop("author", None)
    if author is not None:
        properties["created_by_ref"] = author
    if tlp is not None:
        properties["object_marking_refs"] = [TLP_2[str(tlp)]]
    return {name: value for name, value in (properties | changes).items() if value is not None}


def _json(properties: dict[str, object]) -> bytes:
    return json.dumps(properties, ensure_ascii=False, separators=(",", ":")).encode()
