"""Tables of the TOML files that operators write: known keys, typed values, all problems at once.

The agreement and the configuration are read key by key against a msgspec struct, because msgspec
stops at the first error and an operator on the telephone wants the whole list. A key the struct
does not have is refused with the nearest one that it has.

Reads nothing and writes nothing; `Problem`s are gathered in a list that the caller owns.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from node.errors import ConfigError

NOT_YET = (
    "this version of stixnode does not enforce it yet, so it must not be promised; take it out",
    "Take the key out, or install a version of stixnode that enforces it.",
)
"""Text and remedy for keys of a later version: a promise nobody keeps is worse than none."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_IDENTITY = re.compile(r"identity--[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_RESERVED = frozenset({"local", "none"})


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a file: where (file and key), what, and what to write instead."""

    place: str
    text: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Section:
    """What is known about one kind of table.

    Args:
        shape: The msgspec struct whose fields are its keys.
        help: key -> the remedy printed when its value cannot be used.
        mistakes: wrong key -> the remedy, for the errors that people really make.
        later: Keys that a later version will enforce; refused now.
    """

    shape: type[msgspec.Struct]
    help: Mapping[str, str] = field(default_factory=dict)
    mistakes: Mapping[str, str] = field(default_factory=dict)
    later: frozenset[str] = frozenset()


def is_name(text: str) -> bool:
    """Whether `text` can name a party, a partner, a collection or an audience.

    Lower-case letters, digits, `.`, `_` and `-`, at most 64, no slash (links are written
    `partner/collection/in`); `local` and `none` mean something else.
    """
    return _NAME.fullmatch(text) is not None and text not in _RESERVED


def is_identity(text: str) -> bool:
    """Whether `text` is the id of a STIX identity, as `created_by_ref` carries it."""
    return _IDENTITY.fullmatch(text) is not None


def read_toml(text: str, name: str) -> dict[str, Any]:
    """The tables of a TOML text.

    Raises:
        ConfigError: It is not TOML; the parser's line and column are in the problem.
    """
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except (tomllib.TOMLDecodeError, RecursionError) as cause:
        raise ConfigError(f"{name} is not a TOML file: {cause}.", remedy="Correct that line.") from cause


def read_keys(table: object, section: Section, where: str, problems: list[Problem]) -> dict[str, Any]:
    """The keys of a table that are known and have a value of the right kind.

    Args:
        table: What stands in the file; anything but a table is a problem.
        where: File and section, such as `config.toml, [server]`; begins every place.
        problems: Unknown keys and wrong values are appended here.

    Returns:
        Field name of the struct -> converted value; keys that are absent or wrong are left out.
    """
    if not isinstance(table, dict):
        problems.append(Problem(where, f"{_short(table)} is not a table", f"Write {where.split(', ')[-1]}."))
        return {}
    fields = {each.encode_name: each for each in msgspec.structs.fields(section.shape)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in fields:
            problems.append(_unknown(key, section, fields, where))
            continue
        try:
            values[fields[key].name] = msgspec.convert(value, fields[key].type)
        except msgspec.ValidationError as cause:
            problems.append(wrong_value(where, key, value, _plain(cause), section))
    return values


def report_missing(table: object, section: Section, where: str, problems: list[Problem]) -> None:
    """Append a problem for each key that the section requires and the table does not have."""
    if not isinstance(table, dict):
        return
    for each in msgspec.structs.fields(section.shape):
        if each.required and each.encode_name not in table:
            remedy = section.help.get(each.encode_name, "Write this key; the example files show every one.")
            problems.append(Problem(f"{where} {each.encode_name}", "the key is missing", remedy))


def wrong_value(where: str, key: str, value: object, text: str, section: Section) -> Problem:
    """The problem of a known key with a value that cannot be used."""
    remedy = section.help.get(key, "Write a value of the kind that the example files show.")
    return Problem(f"{where} {key}", f"{_short(value)}: {text}", remedy)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` was probably meant to be, or None."""
    return next(iter(difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)), None)


def refuse(problems: Sequence[Problem]) -> None:
    """Raise one error that names every problem; do nothing when there is none.

    Raises:
        ConfigError: With a single problem its text and remedy; with several one line for each,
            remedy included.
    """
    if not problems:
        return
    if len(problems) == 1:
        only = problems[0]
        raise ConfigError(f"{only.place}: {only.text}.", remedy=only.remedy)
    lines = [f"{each.place}: {each.text}. {each.remedy}" for each in problems]
    raise ConfigError("\n".join(lines), remedy=f"Correct these {len(lines)} places, then try again.")


def _unknown(key: str, section: Section, fields: Mapping[str, object], where: str) -> Problem:
    if key in section.later:
        return Problem(f"{where} {key}", *NOT_YET)
    remedy = section.mistakes.get(key)
    if remedy is None:
        guess = nearest(key, fields)
        remedy = f"Did you mean {guess}?" if guess else f"Known here: {', '.join(sorted(fields))}."
    return Problem(f"{where} {_shown(key)}", "stixnode does not know this key", remedy)


def _shown(key: str) -> str:
    return key if key.isprintable() else repr(key)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _plain(cause: msgspec.ValidationError) -> str:
    text = str(cause).split(" - at ")[0].replace("`", "")
    return text[:1].lower() + text[1:]
