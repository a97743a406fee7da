"""Where in an object the fault is: the property, and the character of the text that people read.

For people who look at an object that was set aside. The faults are those of `objects.read` and of
`validation.fault`, found again from the bytes; the place is looked up in the text laid out over lines.

Rule    Whatever the bytes are, there is a text and an answer: what is no JSON is shown as it is.
Reads   node.stix.objects, node.stix.validation
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from node.errors import InvalidObject
from node.stix import validation
from node.stix.decoding import MAX_DEPTH, MAX_OBJECT_BYTES, decode_kept, shown
from node.stix.objects import read_with_value
from node.stix.validation import Level

_INDENT: Final = 2
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"?|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_CHARACTER: Final = re.compile(r"\\u[0-9a-fA-F]{4}|\\.|.", re.DOTALL)
_AT_BYTE: Final = re.compile(r"\(byte (\d+)\)")
_AT_CHARACTER: Final = re.compile(r"(?:at )?character (\d+)")
_UNEXPECTED: Final = re.compile(r"\('([^']+)' was unexpected\)")
_NUMBER: Final = re.compile(r"-?\d[\d.eE+-]*")
# One half of a pair of surrogates without the other.
_LONE: Final = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    r"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
_MISSING: Final = object()


class Fault(NamedTuple):
    """What is wrong with an object, and where.

    Args:
        text: A sentence, or the end of one that begins with the place.
        steps: Names and numbers from the object inwards; empty for the object as a whole.
    """

    text: str
    steps: tuple[str, ...] = ()

    @property
    def pointer(self) -> str:
        """The place as a JSON pointer (RFC 6901); "" for the object as a whole."""
        return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in self.steps)


class Difference(NamedTuple):
    """A member that two texts of one object do not have alike; "" where one has none."""

    name: str
    ours: str
    theirs: str


def fault_of(body: bytes, level: Level, *, max_object_bytes: int = MAX_OBJECT_BYTES) -> Fault | None:
    """The first fault of an object at a level; None when there is none.

    Args:
        body: Any bytes.
        level: As for `validation.read_checked`.
        max_object_bytes: The longest body taken.
    """
    try:
        one, value = read_with_value(body, max_object_bytes=max_object_bytes)
    except InvalidObject as cause:
        text = cause.problem.partition(" is not valid. ")[2] or cause.problem
        if "data was truncated" in text and (half := _LONE.search(body.decode("utf-8", "replace"))):
            text = f"It holds {half[0]}, which is half a character: the other half of the pair is missing."
        return Fault(text, cause.place)
    found = validation.fault(value, one.type, one.spec_version, full=level == "full")
    return None if found is None else Fault(found[1], found[0])


def laid_out(body: bytes) -> str:
    """The object as a text of lines whose parts are as they came; anything else as it is."""
    try:
        return msgspec.json.format(body, indent=_INDENT).decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return body.decode("utf-8", "backslashreplace")


def place_of(text: str, fault: Fault) -> int | None:
    """The character of a text from `laid_out` at which a fault is; None where no place says more.

    A property that is not there is where the object begins that should have it.
    """
    steps = fault.steps
    if (unexpected := _UNEXPECTED.search(fault.text)) is not None:
        steps = (*steps, unexpected[1])
    if not steps:
        return _unreadable(text)
    if "occurs twice" in fault.text:
        return _second(text, steps[-1])
    start = _start(text, steps)
    said = _AT_CHARACTER.search(fault.text)
    if start is None or said is None or text[start : start + 1] != '"':
        return start
    return _inside(text, start, int(said[1]))


def differences(ours: bytes, theirs: bytes) -> list[Difference]:
    """The members that two texts of one object do not have alike, in the order of their names.

    Args:
        ours, theirs: Anything; what cannot be read has no members.
    """
    one, other = _members(ours), _members(theirs)
    return [
        Difference(name, _shown(one, name), _shown(other, name))
        for name in sorted(one.keys() | other.keys())
        if one.get(name, _MISSING) != other.get(name, _MISSING)
    ]


@dataclass(slots=True)
class _Level:
    """One object or list around the place that a walk has come to."""

    is_object: bool
    name: str = ""
    number: int = 0
    named: bool = False


def _walk(text: str) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """(steps, where its name begins, where it begins) of each value, in the order of the text."""
    levels: list[_Level] = []
    name_at = 0
    for token in _TOKEN.finditer(text):
        first, at = token[0][0], token.start()
        top = levels[-1] if levels else None
        if first in "}]":
            if levels:
                levels.pop()
        elif first == ",":
            if top is not None:
                top.number, top.named = top.number + 1, False
        elif first == ":":
            if top is not None:
                top.named = True
        elif top is not None and top.is_object and not top.named:
            top.name, name_at = _named(token[0]), at
        else:
            steps = tuple(each.name if each.is_object else str(each.number) for each in levels)
            yield steps, name_at if top is not None and top.is_object else at, at
            if first in "{[":
                if len(levels) > MAX_DEPTH:
                    return
                levels.append(_Level(first == "{"))


def _start(text: str, wanted: tuple[str, ...]) -> int | None:
    """Where the value begins to which the steps lead, or as far as they do."""
    best, found = -1, None
    for steps, _, at in _walk(text):
        if len(steps) > best and steps == wanted[: len(steps)]:
            best, found = len(steps), at
            if best == len(wanted):
                break
    return found


def _second(text: str, name: str) -> int | None:
    """Where a name stands for the second time in one object."""
    seen: set[tuple[str, ...]] = set()
    for steps, name_at, _ in _walk(text):
        if steps and steps[-1] == name:
            if steps in seen:
                return name_at
            seen.add(steps)
    return None


def _inside(text: str, start: int, character: int) -> int:
    """Where a character of a string is, given where its quotation mark is."""
    at = start + 1
    for _ in range(character):
        found = _CHARACTER.match(text, at)
        if found is None or found[0] == '"':
            break
        at = found.end()
    return at


def _unreadable(text: str) -> int | None:
    """Where a text stops being JSON that can be read."""
    written = text.encode("utf-8", "surrogatepass")
    try:
        msgspec.json.decode(written)
    except UnicodeDecodeError as cause:
        return len(written[: cause.start].decode("utf-8", "replace"))
    except (msgspec.MsgspecError, RecursionError) as cause:
        found = _AT_BYTE.search(str(cause))
        if found is not None:
            return len(written[: int(found[1])].decode("utf-8", "replace"))
        return _unreadable_word(text, str(cause))
    return None


def _unreadable_word(text: str, said: str) -> int | None:
    """Where a number is too large, or half a character stands alone; msgspec says only that there is one."""
    if "out of range" in said:
        for token in _TOKEN.finditer(text):
            if _NUMBER.fullmatch(token[0]) and not math.isfinite(float(token[0])):
                return token.start()
    lone = _LONE.search(text)
    return None if lone is None else lone.start()


def _named(token: str) -> str:
    try:
        return str(json.loads(token, strict=False))
    except ValueError:
        return token.strip('"')


def _members(body: bytes) -> Mapping[str, object]:
    try:
        return decode_kept(body)
    except InvalidObject:
        return {}


def _shown(members: Mapping[str, object], name: str) -> str:
    return shown(members[name]) if name in members else ""
