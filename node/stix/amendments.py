"""Where a schema of the package refuses what the standard permits, and what we read instead.

Each amendment replaces a text in one schema file as it is read. None of them makes a schema
stricter than the standard. `docs/validation.md` tells people the same.

Rule    An amendment whose text is no longer there stops the node: the schemas are pinned, so that
        would be another package under the same version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Amendment:
    """One text in one schema.

    Args:
        spec_version: Of the schema.
        schema: Folder and name, such as `common/identifier`.
        was: The text, as in the file.
        becomes: What is read instead.
        reason: What the standard permits, with its section.
    """

    spec_version: str
    schema: str
    was: bytes
    becomes: bytes
    reason: str


_VERSIONS: Final = (rb"-[1-5][0-9a-fA-F]{3}-", rb"-[1-8][0-9a-fA-F]{3}-")
_ANY_VERSION: Final = "a UUID of versions 6 to 8 (RFC 9562) is a UUID: no version is refused (section 2.9)"
_KEYS: Final = "a selector may name a key with capitals, such as hashes.SHA-256 (sections 2.3 and 7.2.3.1)"
_HIVES: Final = (
    rb'"pattern": "^HKLM|HKCC|HKCR|HKCU|HKU|hklm|hkcc|hkcr|hkcu|hku"',
    rb'"pattern": "^(HKLM|HKCC|HKCR|HKCU|HKU|hklm|hkcc|hkcr|hkcu|hku)(\\\\|$)"',
)

AMENDMENTS: Final = (
    *(
        Amendment("2.1", schema, *_VERSIONS, _ANY_VERSION)
        for schema in (
            "common/identifier", "common/core", "common/cyber-observable-core", "common/marking-definition",
        )
    ),
    Amendment(
        "2.1",
        "common/granular-marking",
        b'"required": [\n    "selectors",\n    "marking_ref"\n  ]',
        b'"required": ["selectors"], "oneOf": [{"required": ["marking_ref"]}, {"required": ["lang"]}]',
        "a granular marking may give a language instead of a marking-definition (section 7.2.3.1)",
    ),
    *(
        Amendment(version, "common/granular-marking", b"a-z0-9_-]{1,250}", b"a-zA-Z0-9_-]{1,250}", _KEYS)
        for version in ("2.0", "2.1")
    ),
    Amendment(
        "2.1", "common/hashes-type", b'"^[a-zA-Z0-9]{70}$"', b'"^(T1)?[a-zA-Z0-9]{70}$"',
        "TLSH writes its version in front since 2021, and the standard says nothing of the form (10.7)",
    ),
    Amendment(
        "2.1", "observables/artifact", b"^(application|audio|font|image|message|model|multipart|text|video)/",
        b"^[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]*/",
        "a media type should be a registered one, and may be another, such as inode/x-empty (6.1)",
    ),
    Amendment(
        "2.1", "observables/email-message", b'"minItems": 2', b'"minItems": 1',
        "a header field is always a list of texts, of one where it stands once (6.6)",
    ),
    Amendment(
        "2.1", "observables/software", b'"pattern": "^[a-z]{3}$"', b'"pattern": "^[a-zA-Z0-9-]+$"',
        "languages are tags of RFC 5646, such as en, not the codes of STIX 2.0 (6.14)",
    ),
    Amendment(
        "2.1", "observables/windows-registry-key", *_HIVES,
        "a key may hold these letters elsewhere than as its hive (section 6.17)",
    ),
    Amendment(
        "2.1",
        "observables/windows-registry-key",
        b'"modified"',
        b'"modified_time"',
        "a key may be told by modified_time alone; the schema asks for a name that is no property (6.17)",
    ),
    Amendment(
        "2.1",
        "observables/process",
        b'"created"',
        b'"created_time"',
        "a process may be told by created_time alone; the schema asks for a name that is no property (6.13)",
    ),
    *(
        Amendment("2.1", "observables/ipv6-addr", was, becomes, "it may end like ::ffff:192.0.2.1 (6.8)")
        for was, becomes in (
            (b"2[0-4]d|1dd|[1-9]?d)(.(", rb"2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(\\.("),
            (b"2[0-4]d|1dd|[1-9]?d))", b"2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9]))"),
        )
    ),
)  # fmt: skip
"""All of them; two of one schema are made in this order."""


def amended(spec_version: str, schema: str, text: bytes) -> bytes:
    """A schema file with its amendments.

    Raises:
        ConfigError: A text that should be replaced is not in it.
    """
    for each in AMENDMENTS:
        if (each.spec_version, each.schema) == (spec_version, schema):
            if each.was not in text:
                raise ConfigError(
                    f"The schema {schema} of STIX {spec_version} is not the one this node was written for.",
                    remedy="Run: pip install --force-reinstall stix2-validator==3.2.0",
                )
            text = text.replace(each.was, each.becomes)
    return text
