"""Collection definitions: one TOML file for each collection that `init` creates.

A definition is data, so that an operator can read, copy and add one without touching code. A key that
is not known is refused, so that a misspelt setting is never a setting that silently does not hold.

Reads: the folder `collections/`. Writes nothing.
"""

from __future__ import annotations

import re
import tomllib
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.errors import ConfigError

VALIDATIONS = ("structure", "schema", "full")

_ALIAS = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_UUID_LIKE = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}")
_PACKAGE = Path(__file__).parent.parent
_TYPES: dict[str, type] = {
    "id": str,
    "alias": str,
    "title": str,
    "description": str,
    "validation": str,
    "keep_days": int,
    "listed": bool,
}


@dataclass(frozen=True, slots=True)
class Definition:
    """What a collection is to be.

    Args:
        alias: The name that operators and addresses use, such as `indicators`.
        title: The name that people see; unique on the node.
        id: UUIDv4 as TAXII shows it; empty when the one who adds the collection gives a new one.
        description: A sentence for the readers of the collection.
        validation: `structure` (failures of the schema are flagged), `schema` (they are refused), or
            `full` (what fails any other MUST of STIX is refused too).
        keep_days: After so many days the content is erased; 0 keeps it for ever.
        listed: Shown, with both flags false, to accounts without rights.
    """

    alias: str
    title: str
    id: str = ""
    description: str = ""
    validation: str = "schema"
    keep_days: int = 0
    listed: bool = False


def problem_of(definition: Definition) -> str | None:
    """What is wrong with the values of a definition, as the end of a sentence; None if nothing is."""
    if _ALIAS.fullmatch(definition.alias) is None:
        return (
            f"alias {definition.alias!r} is not 1 to 63 of a-z, 0-9 and '-', beginning with a letter or digit"
        )
    if _UUID_LIKE.fullmatch(definition.alias):
        return f"alias {definition.alias!r} looks like an id"
    if not definition.title.strip() or definition.title != definition.title.strip():
        return f"title {definition.title!r} is empty or has spaces around it"
    if definition.id and not _is_uuid4(definition.id):
        return f"id {definition.id!r} is not a UUID of version 4 in lower case"
    if definition.validation not in VALIDATIONS:
        return f"validation {definition.validation!r} is not one of {', '.join(VALIDATIONS)}"
    if definition.keep_days < 0:
        return f"keep_days {definition.keep_days} is negative"
    return None


def load_definitions(folder: Path | None = None) -> tuple[Definition, ...]:
    """The definitions of a folder, in the order of their file names.

    Args:
        folder: Where the TOML files lie; None for the ones that come with the program.

    Raises:
        ConfigError: A file cannot be read, has a key that is not known or lacks one, or has a value
            that cannot be; or the folder has no definition at all.
    """
    place = folder or packaged_folder()
    files = sorted(place.glob("*.toml"))
    if not files:
        raise ConfigError(
            f"There is no collection definition (*.toml) in {place}.",
            remedy="Give the folder that holds the definitions, or install stixnode again.",
        )
    return tuple(_loaded(file) for file in files)


def packaged_folder() -> Path:
    """The folder of definitions that comes with the program.

    In a wheel it lies inside the package; in a working copy beside it, because an editable
    installation does not show files that the wheel takes from elsewhere.
    """
    inside = _PACKAGE / "collections"
    return inside if inside.is_dir() else _PACKAGE.parent / "collections"


def _loaded(file: Path) -> Definition:
    try:
        found: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as cause:
        raise ConfigError(f"{file} cannot be read: {cause}.", remedy="Correct the file.") from cause
    problem = _shape(found) or problem_of(Definition(**found))
    if problem:
        raise ConfigError(
            f"{file}: {problem}.", remedy="Correct the file; collections/README.md shows its form."
        )
    return Definition(**found)


def _shape(found: dict[str, Any]) -> str | None:
    for key, value in found.items():
        if key not in _TYPES:
            return f"the key {key!r} is not known"
        if type(value) is not _TYPES[key]:
            return f"{key} = {value!r} should be of type {_TYPES[key].__name__}"
    missing = [key for key in ("alias", "title") if key not in found]
    return f"the key {missing[0]!r} is missing" if missing else None


def _is_uuid4(text: str) -> bool:
    try:
        parsed = uuid.UUID(text)
    except ValueError:
        return False
    return parsed.version == 4 and str(parsed) == text
