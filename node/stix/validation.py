"""Checks T1 and T2: an object against the OASIS JSON schemas of STIX 2.0 and 2.1, and the rest of its musts.

The schemas are read as files from the installed stix2-validator package, which is never
imported: importing costs seconds, its checks fall to crafted type names, and later releases
lack the files. jsonschema-rs runs them, with bounded regular expressions; where they refuse what
the standard permits, `node.stix.amendments` mends them. What they cannot say, `node.stix.semantics` asks.

Rule    No network: a reference that the files do not answer is an error, not a download.
Reads   stix2validator/schemas-2.0 and schemas-2.1, when the first object of a version is checked.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, TypeAlias

import jsonschema_rs
import msgspec

from node.errors import ConfigError, InvalidObject
from node.stix import patterns, semantics
from node.stix.amendments import amended
from node.stix.decoding import MAX_OBJECT_BYTES, decode_kept, shown
from node.stix.objects import StixObject, read_with_value

Level: TypeAlias = Literal["structure", "schema", "full"]
"""What is refused: what fails check T0; what fails the schemas too; what fails a MUST of the standard too."""

_LEVELS: Final[Mapping[str, Level]] = {"structure": "structure", "full": "full"}

PACKAGE: Final = "stix2-validator"
VERSION: Final = "3.2.0"

_MASK: Final = "the value"
_LONGEST_SENTENCE: Final = 300
_OBJECT_FOLDERS: Final = {"2.0": ("sdos", "sros"), "2.1": ("sdos", "sros", "observables")}
# Linear time in 2.1, where other engines take for ever on a crafted type name; the schemas of 2.0
# look ahead in URLs, which that engine cannot, so there the steps are counted and a long way is a fault.
_PATTERNS: Final[dict[str, jsonschema_rs.FancyRegexOptions | jsonschema_rs.RegexOptions]] = {
    "2.0": jsonschema_rs.FancyRegexOptions(backtrack_limit=100_000),
    "2.1": jsonschema_rs.RegexOptions(),
}
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_MAIL: Final = re.compile(
    rf"""(?:{_ATOM}(?:\.{_ATOM})*|"(?:[^"\\\r\n]|\\.)*")@(?:{_ATOM}(?:\.{_ATOM})*|\[[^\[\]\\\s]*\])"""
)
# Names that the world uses, and so crime does: `_dmarc.` in front, hyphens in third place, a dot at the end.
_HOST: Final = re.compile(r"\w(?:[\w-]{0,61}\w)?(?:\.\w(?:[\w-]{0,61}\w)?)*\.?")
_COMMON_TYPES: Final = ("marking-definition", "language-content", "extension-definition")


def require_schemas() -> None:
    """Make sure that the schemas are those this node was written for; called at start.

    Raises:
        ConfigError: The package is not installed, in another version, or without its files.
    """
    try:
        found = importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError as cause:
        raise _unusable(f"The package {PACKAGE}, which brings the STIX schemas, is not installed.") from cause
    if found != VERSION:
        raise _unusable(f"The package {PACKAGE} is installed in version {found}, not {VERSION}.")
    for spec_version in _OBJECT_FOLDERS:
        _folder(spec_version)


def level_of(validation: str) -> Level:
    """The level that a collection's `validation` asks for; a word not known asks for the schemas."""
    return _LEVELS.get(validation, "schema")


def read_checked(
    body: bytes, level: Level, *, max_object_bytes: int = MAX_OBJECT_BYTES
) -> tuple[StixObject, str | None]:
    """The object that a body is, and what is wrong with it at a level; decoded once for both.

    Args:
        body: As for `objects.read`.
        level: At `structure` the schemas are asked too, so that the caller can flag what fails them.
        max_object_bytes: As for `objects.read`.

    Returns:
        The object, and None or the sentence of `check`.

    Raises:
        InvalidObject: As `objects.read`, at every level.
    """
    found, value = read_with_value(body, max_object_bytes=max_object_bytes)
    return found, check(value, found.type, found.spec_version, full=level == "full")


def read_patterns(bodies: Iterable[bytes], level: Level) -> None:
    """Read the patterns of a batch ahead and remember the verdicts, before anybody holds a lock for it.

    Args:
        bodies: Whatever came; what cannot be read is left to `read_checked`.
        level: As for `read_checked`; only `full` reads patterns.
    """
    for body in bodies if level == "full" else ():
        if b"indicator" not in body:
            continue
        try:
            found = semantics.pattern_of(decode_kept(body))
        except InvalidObject:
            continue
        if found is not None:
            patterns.fault(*found)


def check(
    value: bytes | Mapping[str, object], type: str, spec_version: str, *, full: bool = False
) -> str | None:  # STIX's names
    """What the schemas say against an object, and in full, what the standard says besides.

    Args:
        value: A body that `objects.read` has let through, or its decoded value.
        type: Its type; one without a schema is held against what all objects have in common.
        spec_version: `2.0` or `2.1`, as in `StixObject.spec_version`.
        full: Also the formats that the schemas of 2.1 name (addresses of the web and of mail, names of
            hosts), and the rules of `semantics`.

    Returns:
        None if it is valid, else one sentence of at most 300 characters with the place and the fault.

    Source:
        OASIS cti-stix2-json-schemas, branches stix2.0 and stix2.1.
    """
    found = fault(decode_kept(value) if isinstance(value, bytes) else value, type, spec_version, full=full)
    return None if found is None else _written(*found)


def fault(
    decoded: Mapping[str, object], type: str, spec_version: str, *, full: bool = False
) -> tuple[tuple[str, ...], str] | None:  # STIX's names
    """The place of what `check` finds, as steps from the object inwards, and what is wrong there."""
    name = type
    if name not in _object_schemas(spec_version):
        undated = "created" not in decoded and "modified" not in decoded
        name = "cyber-observable-core" if undated and spec_version == "2.1" else "core"
    # What is defanged is written so that it is no address any more.
    formats = full and spec_version == "2.1" and decoded.get("defanged") is not True
    validator = _validator(spec_version, name, formats=formats)
    if not validator.is_valid(decoded):
        return _worst(validator, decoded)
    found = semantics.fault(decoded, type, spec_version) if full else None
    return None if found is None else (tuple(found[0].split("/")), found[1])


def _worst(validator: Any, value: Mapping[str, object]) -> tuple[tuple[str, ...], str]:
    faults = [_closest(fault) for fault in islice(validator.iter_errors(value), 20)]
    # A fault inside a property says more than one of the whole object.
    path, text = max(faults, key=lambda fault: (not _says_little(fault[1]), len(fault[0])))
    return tuple(map(str, path)), text


def _written(steps: tuple[str, ...], text: str) -> str:
    place = "/".join(steps)
    whole = f"{place[:120]}: {text}" if place else text
    sentence = "".join(map(_printable, whole[: 2 * _LONGEST_SENTENCE]))
    return sentence if len(sentence) <= _LONGEST_SENTENCE else f"{sentence[: _LONGEST_SENTENCE - 3]}..."


def _closest(fault: Any) -> tuple[list[str | int], str]:
    """The place and the text of a fault; of alternatives, the one that is missed by least."""
    path = list(fault.instance_path)
    if fault.instance is None:
        return path, "null is not a value in STIX"
    alternatives = [branch for branch in getattr(fault.kind, "context", ()) if branch]
    if alternatives:
        nearest = min(alternatives, key=len)[0]
        if not isinstance(nearest.kind, jsonschema_rs.ValidationErrorKind.Type):
            return _closest(nearest)
    return path, str(fault.message).replace(_MASK, shown(fault.instance), 1)


def _printable(character: str) -> str:
    # Names of properties come from outside, and sentences go to terminals and logs.
    return character if character.isprintable() else ascii(character)[1:-1]


def _says_little(text: str) -> bool:
    return "under any of the schemas" in text or "should not be valid" in text or "is not allowed for" in text


@cache
def _validator(spec_version: str, name: str, *, formats: bool) -> Any:
    """The validator of one schema; `name` is one of our own, never a text from outside."""
    schemas = _schemas(spec_version)
    path = _object_schemas(spec_version).get(name, f"common/{name}")
    return jsonschema_rs.validator_for(
        schemas[path],
        registry=_registry(spec_version),
        mask=_MASK,
        pattern_options=_PATTERNS[spec_version],
        validate_formats=formats,
        formats={"email": _is_mail_address, "idn-hostname": _is_host_name} if formats else None,
    )


def _is_mail_address(text: object) -> bool:
    """An addr-spec of RFC 5322 without folding and comments; no display name (STIX 2.1 section 6.5)."""
    return not isinstance(text, str) or (len(text) < 1_000 and _MAIL.fullmatch(text) is not None)


def _is_host_name(text: object) -> bool:
    """Labels of letters, digits, hyphens and underscores, of any script; STIX 2.1 section 6.4."""
    return not isinstance(text, str) or (len(text) <= 254 and _HOST.fullmatch(text) is not None)


def types_with_schemas(spec_version: str) -> frozenset[str]:
    """The object types that have a schema of their own in a STIX version."""
    return frozenset(_object_schemas(spec_version))


@cache
def _object_schemas(spec_version: str) -> Mapping[str, str]:
    """By type, the schema of the objects that have one of their own."""
    folders = _OBJECT_FOLDERS[spec_version]
    common = {f"common/{name}" for name in _COMMON_TYPES}
    paths = [path for path in _schemas(spec_version) if path.partition("/")[0] in folders or path in common]
    return {path.partition("/")[2]: path for path in paths}


@cache
def _registry(spec_version: str) -> jsonschema_rs.Registry:
    documents = [(str(schema["$id"]), schema) for schema in _schemas(spec_version).values()]
    return jsonschema_rs.Registry(documents, retriever=_refuse_download)


@cache
def _schemas(spec_version: str) -> Mapping[str, dict[str, Any]]:
    """Every schema of one STIX version, by folder and name such as `sdos/indicator`."""
    require_schemas()
    folder = _folder(spec_version)
    return {
        name: msgspec.json.decode(amended(spec_version, name, path.read_bytes()), type=dict[str, Any])
        for path in sorted(folder.glob("*/*.json"))
        for name in (f"{path.parent.name}/{path.stem}",)
    }


def _folder(spec_version: str) -> Path:
    # find_spec of a top-level package finds its place without running it.
    spec = importlib.util.find_spec("stix2validator")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / f"schemas-{spec_version}" / "schemas"
        if (folder / "common" / "core.json").is_file():
            return folder
    raise _unusable(f"The package {PACKAGE} holds no schemas of STIX {spec_version}.")


def _refuse_download(uri: str) -> NoReturn:
    raise ValueError(f"the schema {uri} is not in the package, and nothing is downloaded")


def _unusable(problem: str) -> ConfigError:
    return ConfigError(problem, remedy=f"Run: pip install {PACKAGE}=={VERSION}")
