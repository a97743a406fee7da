"""Which types of object each reference of the standard may name, and what an object names wrongly.

    paths through an object     ("body_multipart", "body_raw_ref"), lists on the way are gone through
    what may be named           Kinds(only=...) names all types, Kinds(never=...) those excluded

Rule    A type that is not of the standard passes where the standard says "any SDO" or "any SCO",
        because nobody can see from its name what it is; where the standard names types, it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from node.stix.decoding import ID, shown
from node.stix.objects import OBSERVABLES

Fault: TypeAlias = tuple[str, str]
"""The place in the object, as property names with `/` between, and what is wrong there."""

Value: TypeAlias = Mapping[str, Any]
"""A decoded object that has passed the schemas."""

DOMAIN_OBJECTS: Final = frozenset(
    (
        "attack-pattern", "campaign", "course-of-action", "grouping", "identity", "incident", "indicator",
        "infrastructure", "intrusion-set", "location", "malware", "malware-analysis", "note", "observed-data",
        "opinion", "report", "threat-actor", "tool", "vulnerability",
    )
)  # fmt: skip
"""The types of STIX Domain Objects (SDO) of STIX 2.1."""

RELATIONSHIPS: Final = frozenset(("relationship", "sighting"))
"""The types of STIX Relationship Objects (SRO)."""

META: Final = frozenset(("extension-definition", "language-content", "marking-definition"))
"""The types of STIX Meta Objects."""

NO_OBSERVABLE: Final = DOMAIN_OBJECTS | RELATIONSHIPS | META
"""The types of the standard that are no cyber-observable objects (SCO)."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """What a reference may name.

    Args:
        only: The only types it may name; None leaves that open.
        never: Types it may not name.
        words: The same for people, behind "should name".
    """

    words: str
    only: frozenset[str] | None = None
    never: frozenset[str] = frozenset()

    def allow(self, type: str) -> bool:  # the name of the STIX property
        """Whether an object of this type may be named."""
        return type not in self.never and (self.only is None or type in self.only)


Table: TypeAlias = Mapping[str, Mapping[tuple[str, ...], Kinds]]


def _only(*types: str) -> Kinds:
    return Kinds(" or ".join(types), only=frozenset(types))


_NO_OBJECT: Final = frozenset(("bundle",))
_SCO: Final = Kinds("a cyber-observable object", never=NO_OBSERVABLE | _NO_OBJECT)
_SDO: Final = Kinds("a domain object", never=OBSERVABLES | RELATIONSHIPS | META | _NO_OBJECT)
_END: Final = Kinds("a domain or cyber-observable object", never=RELATIONSHIPS | META | _NO_OBJECT)
_OBSERVED: Final = Kinds(
    "a cyber-observable object or a relationship", never=DOMAIN_OBJECTS | META | _NO_OBJECT
)
_ADDRESSES: Final = _only("ipv4-addr", "ipv6-addr", "mac-addr", "domain-name")

AUTHOR: Final = _only("identity")
"""What `created_by_ref` of every type may name (STIX 2.1 section 3.2)."""

OBSERVED: Final[Table] = {
    "directory": {("contains_refs",): _only("file", "directory")},
    "domain-name": {("resolves_to_refs",): _only("ipv4-addr", "ipv6-addr", "domain-name")},
    "email-addr": {("belongs_to_ref",): _only("user-account")},
    "email-message": {
        ("from_ref",): _only("email-addr"),
        ("sender_ref",): _only("email-addr"),
        ("to_refs",): _only("email-addr"),
        ("cc_refs",): _only("email-addr"),
        ("bcc_refs",): _only("email-addr"),
        ("raw_email_ref",): _only("artifact"),
        ("body_multipart", "body_raw_ref"): _only("artifact", "file"),
    },
    "file": {
        ("parent_directory_ref",): _only("directory"),
        ("contains_refs",): _SCO,
        ("content_ref",): _only("artifact"),
        ("extensions", "archive-ext", "contains_refs"): _only("file", "directory"),
    },
    "ipv4-addr": {
        ("resolves_to_refs",): _only("mac-addr"),
        ("belongs_to_refs",): _only("autonomous-system"),
    },
    "ipv6-addr": {
        ("resolves_to_refs",): _only("mac-addr"),
        ("belongs_to_refs",): _only("autonomous-system"),
    },
    "network-traffic": {
        ("src_ref",): _ADDRESSES,
        ("dst_ref",): _ADDRESSES,
        ("src_payload_ref",): _only("artifact"),
        ("dst_payload_ref",): _only("artifact"),
        ("encapsulates_refs",): _only("network-traffic"),
        ("encapsulated_by_ref",): _only("network-traffic"),
        ("extensions", "http-request-ext", "message_body_data_ref"): _only("artifact"),
    },
    "process": {
        ("opened_connection_refs",): _only("network-traffic"),
        ("creator_user_ref",): _only("user-account"),
        ("image_ref",): _only("file"),
        ("binary_ref",): _only("file"),  # its name in STIX 2.0
        ("parent_ref",): _only("process"),
        ("child_refs",): _only("process"),
        ("extensions", "windows-service-ext", "service_dll_refs"): _only("file"),
    },
    "windows-registry-key": {("creator_user_ref",): _only("user-account")},
}
"""For cyber-observable objects, of either version (STIX 2.1 section 6; STIX 2.0 part 4)."""

NAMED: Final[Mapping[str, Table]] = {
    "2.1": {
        **OBSERVED,
        "language-content": {("object_ref",): Kinds("an object", never=_NO_OBJECT | {"language-content"})},
        "malware": {
            ("operating_system_refs",): _only("software"),
            ("sample_refs",): _only("artifact", "file"),
        },
        "malware-analysis": {
            ("host_vm_ref",): _only("software"),
            ("operating_system_ref",): _only("software"),
            ("installed_software_refs",): _only("software"),
            ("analysis_sco_refs",): _SCO,
            ("sample_ref",): _only("artifact", "file", "network-traffic"),
        },
        "observed-data": {("object_refs",): _OBSERVED},
        "relationship": {("source_ref",): _END, ("target_ref",): _END},
        "sighting": {
            ("sighting_of_ref",): _SDO,
            ("observed_data_refs",): _only("observed-data"),
            ("where_sighted_refs",): _only("identity", "location"),
        },
    },
    "2.0": {
        "relationship": {("source_ref",): _SDO, ("target_ref",): _SDO},
        "sighting": {
            ("sighting_of_ref",): _SDO,
            ("observed_data_refs",): _only("observed-data"),
            ("where_sighted_refs",): _only("identity"),
        },
    },
}
"""For objects that refer by id, by version and type (STIX 2.1 sections 4 to 7; STIX 2.0 part 2)."""


def author(value: Value, _: str) -> Iterator[Fault]:
    """`created_by_ref` names an identity (STIX 2.1 section 3.2; STIX 2.0 part 1 section 3.1)."""
    yield from _wrong("created_by_ref", value.get("created_by_ref"), AUTHOR)


def references(spec_version: str) -> Callable[[Value, str], Iterator[Fault]]:
    """The rule that references name objects of the types that a version of the standard lists."""
    table = NAMED[spec_version]

    def rule(value: Value, type: str) -> Iterator[Fault]:
        for path, kinds in table.get(type, {}).items():
            for place, ref in _at(value, path):
                yield from _wrong(place, ref, kinds)

    return rule


def _wrong(place: str, ref: object, kinds: Kinds) -> Iterator[Fault]:
    if not isinstance(ref, str):
        return
    if ID.fullmatch(ref) is None:
        yield place, f"{shown(ref)} is no identifier: it should name {kinds.words}"
    elif not kinds.allow(ref[:-38]):
        yield place, f"{shown(ref)} should name {kinds.words}"


def _at(value: Value, path: tuple[str, ...]) -> Iterator[tuple[str, object]]:
    """What stands at the end of a path, with its place; lists on the way and at its end are gone through."""
    found: list[tuple[str, object]] = [("", value)]
    for name in path:
        found = [
            (f"{place}/{name}" if place else name, item[name])
            for place, item in _items(found)
            if isinstance(item, dict) and name in item
        ]
    yield from _items(found)


def _items(found: list[tuple[str, object]]) -> Iterator[tuple[str, object]]:
    for place, item in found:
        if isinstance(item, list):
            yield from ((f"{place}/{number}", inner) for number, inner in enumerate(item))
        else:
            yield place, item


def observed(value: Value, type: str) -> Iterator[Fault]:
    """What observed-data is about: an observable at least, and references that lead somewhere.

    Source:
        STIX 2.1 section 4.14; STIX 2.0 part 2 section 2.8 and part 3 section 2.3.
    """
    if type != "observed-data":
        return
    named = [ref[:-38] for ref in value.get("object_refs", ()) if isinstance(ref, str)]
    if named and all(each in NO_OBSERVABLE for each in named):
        yield "object_refs", "names no cyber-observable object, and should name one at least"
    held = value.get("objects")
    if not isinstance(held, dict):
        return
    for key, one in held.items():
        kind = one.get("type") if isinstance(one, dict) else None
        for path, kinds in OBSERVED.get(kind, {}).items() if isinstance(kind, str) else ():
            for place, ref in _at(one, path):
                named_one = held.get(ref) if isinstance(ref, str) else None
                if not isinstance(named_one, dict):
                    yield f"objects/{key}/{place}", f"{shown(ref)} is no key of objects: name one of them"
                elif not kinds.allow(str(named_one.get("type"))):
                    yield f"objects/{key}/{place}", f"{shown(ref)} should name {kinds.words}"
