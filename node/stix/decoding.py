"""JSON that every reader understands alike, or InvalidObject.

Decoders differ on duplicate keys, NaN, 1e400, lone surrogates, NUL and depth; a body with one of
these would be one thing here and another at the partner, or break every page it is in. So none
gets in.

Rule    One decode and one encode for a plain body. The encoding is the canonical form at the
        same time, and the proof that no key came twice: encoding never makes a body without
        floats longer, so if it is as long as the body without white space, nothing was dropped.
"""

from __future__ import annotations

import json
import re
from typing import Final

import msgspec

from node.errors import InvalidObject
from node.stix.digest import canonical, canonical_without_floats

MAX_OBJECT_BYTES: Final = 1_048_576
"""The longest body taken, in bytes, where the caller has no limit of its own."""

MAX_DEPTH: Final = 64
"""The most arrays and objects inside one another, the object itself included."""

REMEDY: Final = "Its sender has to correct it and send it again; nothing of it was kept."


class _FloatSeen(Exception):
    """Thrown out of the decoder: the quick proofs do not hold for a body with floats."""


class _DuplicateKey(Exception):
    """Thrown out of the decoder with the name of the property that came twice."""


class Header(msgspec.Struct):
    """What a body says of itself, taken as it is: nothing of it has been checked.

    Attributes:
        id: As written, or None.
        modified, created: As written, or None.
    """

    id: str | None = None
    modified: str | None = None
    created: str | None = None


def _float_seen(_: str) -> float:
    raise _FloatSeen


_WITHOUT_FLOATS: Final = msgspec.json.Decoder(float_hook=_float_seen)
# No float_hook here: with one, msgspec leaves the check for 1e400 to the hook.
_WITH_FLOATS: Final = msgspec.json.Decoder()
_HEADER: Final = msgspec.json.Decoder(Header)

_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def decode(body: bytes, max_object_bytes: int = MAX_OBJECT_BYTES) -> tuple[dict[str, object], bytes]:
    """What a body says, and its canonical form.

    Returns:
        The decoded object, and its canonical form as in `digest.canonical`.

    Raises:
        InvalidObject: Longer than `max_object_bytes`, not UTF-8, not a JSON object, or with one
            of: a key twice in one object, NaN or Infinity, a number out of range, a lone surrogate,
            the character NUL, more than MAX_DEPTH levels.
    """
    if len(body) > max_object_bytes:
        raise _invalid(body, f"It has {len(body):,} bytes, and at most {max_object_bytes:,} are taken")
    value, floats = _value(body)
    if not isinstance(value, dict):
        raise _invalid(body, f"It is {shown(value)}, and not a JSON object")
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _deeper_than(MAX_DEPTH, value):
        raise _invalid(body, f"It is nested deeper than {MAX_DEPTH} levels")
    form = canonical(value) if floats else canonical_without_floats(value)
    if floats or not (len(form) == len(body) or len(form) == len(msgspec.json.format(body, indent=-1))):
        _refuse_duplicate_keys(body)
    if rb"\u0000" in form and _NUL.search(form):
        names = (name for name in value if _NUL.search(canonical({name: value[name]})))
        name = next(names)
        raise _invalid(body, f"The property {shown(name)} holds the character NUL", name)
    return value, form


def decode_kept(body: bytes) -> dict[str, object]:
    """What a body says that `decode` has let through before."""
    value, _ = _value(body)
    if not isinstance(value, dict):
        raise _invalid(body, f"It is {shown(value)}, and not a JSON object")
    return value


def shown(value: object) -> str:
    """A value as problems show it: on one line, without control characters, at most 80 long."""
    text = repr(value[:80] if isinstance(value, str) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _value(body: bytes) -> tuple[object, bool]:
    """The decoded body, and whether a float occurs in it."""
    try:
        try:
            return _WITHOUT_FLOATS.decode(body), False
        except _FloatSeen:
            return _WITH_FLOATS.decode(body), True
    except RecursionError as cause:
        raise _invalid(body, f"It is nested deeper than {MAX_DEPTH} levels") from cause
    except ValueError as cause:
        # msgspec's own errors and UnicodeDecodeError are both ValueErrors.
        raise _invalid(body, f"It is not JSON in UTF-8: {cause}"[:200]) from cause


def _refuse_duplicate_keys(body: bytes) -> None:
    try:
        json.loads(body.decode(), object_pairs_hook=_without_duplicates)
    except _DuplicateKey as cause:
        name = cause.args[0]
        raise _invalid(body, f"The property {shown(name)} occurs twice in one object", name) from cause


def _without_duplicates(pairs: list[tuple[str, object]]) -> None:
    names = {name for name, _ in pairs}
    if len(names) < len(pairs):
        for name, _ in pairs:
            if name not in names:
                raise _DuplicateKey(name)
            names.remove(name)


def _deeper_than(levels: int, value: dict[str, object]) -> bool:
    """Whether arrays and objects lie inside one another more than `levels` times, without recursion."""
    level: list[dict[str, object] | list[object]] = [value]
    for _ in range(levels):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


def _invalid(body: bytes, problem: str, *place: str) -> InvalidObject:
    return invalid(problem, readable_id(body), *place)


def invalid(problem: str, object_id: str | None, *place: str) -> InvalidObject:
    """The refusal of one object; `problem` is a sentence about it, without its full stop."""
    text = f"{object_id or 'An object'} is not valid. {problem}."
    return InvalidObject(text, remedy=REMEDY, object_id=object_id, place=place)


def readable_header(body: bytes) -> Header:
    """What a refused body says of itself; empty where even that cannot be read."""
    try:
        return _HEADER.decode(body)
    except (ValueError, RecursionError):
        return Header()


def readable_id(body: bytes) -> str | None:
    """The id of a body that may be anything, if it has one that can be shown; else None."""
    found = readable_header(body).id
    return found if found is not None and ID.fullmatch(found) else None


_UUID: Final = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"

ID: Final = re.compile(rf"[a-z][a-z0-9-]{{2,249}}--{_UUID}")
"""A STIX identifier of any type, in whatever case its hexadecimal digits are (STIX 2.1 section 2.9)."""
