"""From the bytes of one STIX object to the facts this node keeps about it.

`read` is check T0, made always and everywhere, whatever a collection's `validation` says. It
asks for what keeping, comparing and judging an object needs, and for nothing that is only good
style; `node.stix.validation` asks the rest.

Rule    The body stays as it came. Ids are compared as written, instants as instants.
Reads   node.stix.decoding (JSON that every reader understands alike)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from node.clock import parse_stix_time
from node.errors import InvalidObject
from node.stix import markings
from node.stix.decoding import ID, MAX_OBJECT_BYTES, decode, decode_kept, invalid, shown
from node.stix.digest import digest_of_form

OBSERVABLES: Final = frozenset(
    (
        "artifact", "autonomous-system", "directory", "domain-name", "email-addr", "email-message", "file",
        "ipv4-addr", "ipv6-addr", "mac-addr", "mutex", "network-traffic", "process", "software", "url",
        "user-account", "windows-registry-key", "x509-certificate",
    )
)  # fmt: skip
"""The types of cyber-observable objects (SCO) of STIX 2.1."""

_OTHER_TYPES: Final = frozenset(
    (
        "attack-pattern", "campaign", "course-of-action", "extension-definition", "grouping", "identity",
        "incident", "indicator", "infrastructure", "intrusion-set", "language-content", "location", "malware",
        "malware-analysis", "marking-definition", "note", "observed-data", "opinion", "relationship",
        "report", "sighting", "threat-actor", "tool", "vulnerability",
    )
)  # fmt: skip
"""The types of the standard that are no SCO, so that what lacks their dates is not taken for one."""

_TYPE: Final = re.compile(r"[a-z][a-z0-9-]{2,249}")

_ORDER: Final = {
    "marking-definition": 0,
    "extension-definition": 1,
    "identity": 1,
    "relationship": 3,
    "sighting": 3,
}

# Instants are kept in 64 bits; what lies beyond the years 1677 to 2262 is kept as the nearest.
_FIRST_INSTANT: Final = -(2**63)
_LAST_INSTANT: Final = 2**63 - 1


class StixObject(msgspec.Struct, frozen=True):
    """One version of one object: the facts that rules and tables ask for, and its body.

    Attributes:
        id: As the sender wrote it, never normalised.
        type: The object's type, which is also the head of its id.
        spec_version: `2.0` or `2.1`, of this object and not of what it came in.
        version: The instant of `modified`, else of `created`, in nanoseconds; None for an object
            without either (most SCOs), which is told apart by its digest.
        version_text: The sender's text of that instant.
        created_by: `created_by_ref`.
        revoked: Whether this version withdraws the object.
        valid_until: In nanoseconds; instants beyond 64 bits are held at the bound, as in `version`.
        confidence: 0 to 100.
        marking_refs: Sorted ids of object and granular markings, and the TLP labels, as
            `markings.rank` takes them.
        meaning: For a marking-definition what it means, else None; see `markings.meaning`.
        organisation: Whether it is the identity of an organization.
        observable: Whether it is an SCO, of the standard or a custom one.
        digest: 32 bytes, see `node.stix.digest`.
        body: Exactly the sender's bytes.
    """

    id: str
    type: str
    spec_version: str
    version: int | None
    version_text: str | None
    created_by: str | None
    revoked: bool
    valid_until: int | None
    confidence: int | None
    marking_refs: tuple[str, ...]
    meaning: int | None
    organisation: bool
    observable: bool
    digest: bytes
    body: bytes


def read(body: bytes, *, max_object_bytes: int = MAX_OBJECT_BYTES) -> StixObject:
    """The object that a body is, after check T0.

    Args:
        body: One STIX object in UTF-8, with nothing before or after it but white space.
        max_object_bytes: The longest body taken.

    Raises:
        InvalidObject: The body is not JSON that every reader understands alike, or a property
            that this node relies on is missing or wrong; `problem` names it and its value.

    Source:
        STIX 2.1 sections 2.9, 2.16, 3.1 to 3.7, 7.2; STIX 2.0 by the rules S-SPEC.
    """
    return read_with_value(body, max_object_bytes=max_object_bytes)[0]


def read_with_value(
    body: bytes, *, max_object_bytes: int = MAX_OBJECT_BYTES
) -> tuple[StixObject, dict[str, object]]:
    """As `read`, with the decoded value beside it for the schemas; nobody else needs it."""
    value, form = decode(body, max_object_bytes)
    kind, object_id = _identity(value)
    version, version_text = _version(value)
    if "valid_from" in value:
        _instant(value, "valid_from")
    is_marking = kind == "marking-definition"
    if is_marking and markings.altered(value):
        level = markings.tlp_name(markings.OFFICIAL[object_id])
        raise _invalid(
            value, f"It has the id of the official TLP marking {level}, but not exactly its content"
        )
    found = StixObject(
        id=object_id,
        type=kind,
        spec_version=_spec_version(value, kind),
        version=version,
        version_text=version_text,
        created_by=_author(value),
        revoked=_revoked(value),
        valid_until=_kept(_instant(value, "valid_until")) if "valid_until" in value else None,
        confidence=_confidence(value),
        marking_refs=_marking_refs(value),
        meaning=markings.meaning(value) if is_marking else None,
        organisation=kind == "identity" and value.get("identity_class") == "organization",
        observable=kind in OBSERVABLES or (version is None and kind not in _OTHER_TYPES),
        digest=digest_of_form(form),
        body=body,
    )
    return found, value


def references(body: bytes) -> tuple[str, ...]:
    """The ids of the objects that an object is about: ends of relationships, sightings, `object_refs`.

    Args:
        body: An object that `read` has let through.

    Returns:
        Sorted, each once: every id in a property `*_ref` or `*_refs` at any depth, but for
        markings and authorship (`*_by_ref`), which only accompany it (see `named`).
    """
    found: set[str] = set()
    waiting: list[object] = [decode_kept(body)]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(inner for inner in item if isinstance(inner, (dict, list)))
        elif isinstance(item, dict):
            for name, inner in item.items():
                if isinstance(inner, (dict, list)):
                    waiting.append(inner)
                if name.endswith(("_ref", "_refs")) and not _only_accompanies(name):
                    found.update(ref for ref in _listed(inner) if isinstance(ref, str) and ID.fullmatch(ref))
    return tuple(sorted(found))


def named(body: bytes) -> tuple[str, ...]:
    """The ids of the objects that accompany an object: its marking-definitions and its author.

    Args:
        body: An object that `read` has let through.
    """
    value = decode_kept(body)
    found = {ref for ref in _marking_refs(value) if ref.startswith("marking-definition--")}
    author = _author(value)
    return tuple(sorted(found if author is None else found | {author}))


def marking_refs(body: bytes) -> tuple[str, ...]:
    """What marks an object, as `StixObject.marking_refs` has it.

    Args:
        body: An object that `read` has let through.
    """
    return _marking_refs(decode_kept(body))


def version_instant(text: str) -> int:
    """The instant of a version as `StixObject.version` keeps it, from the text that names it.

    Raises:
        ValueError: It is no STIX timestamp.
    """
    return _kept(parse_stix_time(text))


def sort_order(type: str) -> int:  # the name of the STIX property
    """The rank in which objects of a type are worked in: what others rest on comes first.

    Returns:
        0 markings, 1 identities and extensions, 2 objects, 3 relationships and sightings.
    """
    return _ORDER.get(type, 2)


def _identity(value: Mapping[str, object]) -> tuple[str, str]:
    """The checked type and id."""
    kind, object_id = value.get("type"), value.get("id")
    if not isinstance(kind, str) or _TYPE.fullmatch(kind) is None:
        raise _fault(value, "type", "the name of a STIX type")
    if kind == "bundle":
        raise _invalid(value, "It is a bundle, and a bundle is a container and not an object")
    if not isinstance(object_id, str) or ID.fullmatch(object_id) is None:
        raise _fault(value, "id", "an identifier like indicator-- and a UUID")
    if object_id[:-36] != f"{kind}--":
        raise _fault(value, "id", f"an identifier of its own type {kind}")
    return kind, object_id


def _spec_version(value: Mapping[str, object], kind: str) -> str:
    """The STIX version that an object is written in, by its own properties alone.

    Source:
        STIX 2.1 section 3.2; S-SPEC-1 to S-SPEC-6.
    """
    if "spec_version" in value:
        said = value["spec_version"]
        if said == "2.1" or said == "2.0":
            return str(said)
        raise _fault(value, "spec_version", "2.0 or 2.1")
    if kind in OBSERVABLES:
        return "2.1"
    dated = "created" in value or "modified" in value
    return "2.0" if dated or kind in _OTHER_TYPES else "2.1"


def _version(value: Mapping[str, object]) -> tuple[int | None, str | None]:
    """The instant of the version with the sender's text of it."""
    created = _instant(value, "created") if "created" in value else None
    if "modified" not in value:
        return (None, None) if created is None else (_kept(created), str(value["created"]))
    modified = _instant(value, "modified")
    if created is not None and modified < created:
        raise _fault(value, "modified", f"at or after created, {shown(value['created'])}")
    return _kept(modified), str(value["modified"])


def _instant(value: Mapping[str, object], name: str) -> int:
    text = value[name]
    try:
        if isinstance(text, str):
            return parse_stix_time(text)
    except ValueError:
        pass
    raise _fault(value, name, "a timestamp like 2026-11-21T08:00:00.000Z")


def _kept(instant: int) -> int:
    return min(max(instant, _FIRST_INSTANT), _LAST_INSTANT)


def _author(value: Mapping[str, object]) -> str | None:
    author = value.get("created_by_ref")
    if author is None and "created_by_ref" not in value:
        return None
    if isinstance(author, str) and ID.fullmatch(author):
        return author
    raise _fault(value, "created_by_ref", "an identifier like identity-- and a UUID")


def _revoked(value: Mapping[str, object]) -> bool:
    revoked = value.get("revoked", False)
    if isinstance(revoked, bool):
        return revoked
    raise _fault(value, "revoked", "true or false")


def _confidence(value: Mapping[str, object]) -> int | None:
    if "confidence" not in value:
        return None
    confidence = value["confidence"]
    if isinstance(confidence, int) and not isinstance(confidence, bool) and 0 <= confidence <= 100:
        return confidence
    raise _fault(value, "confidence", "a whole number from 0 to 100")


def _marking_refs(value: Mapping[str, object]) -> tuple[str, ...]:
    """The markings of an object and of its parts, and its TLP labels; sorted, each once."""
    found: set[str] = set()
    if "object_marking_refs" in value:
        for ref in _checked_list(value, "object_marking_refs", "a list of marking-definition identifiers"):
            found.add(_marking(value, "object_marking_refs", ref))
    if "granular_markings" in value:
        for granular in _checked_list(value, "granular_markings", "a list of granular markings"):
            if not isinstance(granular, dict):
                raise _fault(value, "granular_markings", "a list of granular markings")
            if "marking_ref" in granular:
                found.add(_marking(value, "granular_markings", granular["marking_ref"]))
    if "labels" in value:
        for label in _checked_list(value, "labels", "a list of strings"):
            if not isinstance(label, str):
                raise _fault(value, "labels", "a list of strings")
            marking = markings.label_marking(label)
            if marking is not None:
                found.add(marking)
    return tuple(sorted(found))


def _marking(value: Mapping[str, object], name: str, ref: object) -> str:
    if isinstance(ref, str) and ref.startswith("marking-definition--") and ID.fullmatch(ref):
        return ref
    raise _invalid(value, f"Its {name} holds {shown(ref)}, and not the id of a marking-definition", name)


def _checked_list(value: Mapping[str, object], name: str, wanted: str) -> list[object]:
    listed = value[name]
    if isinstance(listed, list):
        return listed
    raise _fault(value, name, wanted)


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _only_accompanies(name: str) -> bool:
    return name in ("object_marking_refs", "marking_ref") or name.endswith("_by_ref")


def _fault(value: Mapping[str, object], name: str, wanted: str) -> InvalidObject:
    found = f"is {shown(value[name])}" if name in value else "is missing"
    return _invalid(value, f"Its {name} {found}, and should be {wanted}", name)


def _invalid(value: Mapping[str, object], problem: str, *place: str) -> InvalidObject:
    said = value.get("id")
    return invalid(problem, said if isinstance(said, str) and ID.fullmatch(said) else None, *place)
