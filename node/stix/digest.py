"""The digest of an object: what two nodes compare to know that they hold the same content.

    d1:  SHA-256 over RFC 8785 canonical JSON, with integers of any size written exactly

RFC 8785 reads every number as a double, so that 9007199254740993 and 9007199254740992 would be
one; partners' integers are kept apart here. Properties that hold their default are not dropped:
a digest speaks of what was written.

Rule    The form behind `d1:` never changes. Another form takes another prefix.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

import msgspec

PREFIX: Final = "d1:"

_DIGEST_TEXT: Final = re.compile(r"d1:[0-9a-f]{64}")
_ENCODER: Final = msgspec.json.Encoder(order="sorted")
_encode_text = msgspec.json.encode

# The first byte of every character beyond the BMP, in UTF-8.
_ASTRAL: Final = b"\xf0\xf1\xf2\xf3\xf4"


def digest_of(value: object) -> bytes:
    """The 32 bytes that stand for one decoded JSON value.

    Args:
        value: What a JSON decoder made of a body: dict, list, str, int, float, bool and None.

    Raises:
        ValueError: A float that is not finite, or a lone surrogate.
        TypeError: Something that is not JSON.
    """
    return digest_of_form(canonical(value))


def digest_of_form(form: bytes) -> bytes:
    """The digest of a value whose canonical form is known already."""
    return hashlib.sha256(form).digest()


def canonical_without_floats(value: object) -> bytes:
    """As `canonical`, quicker, for JSON of which the caller knows that no float occurs in it.

    msgspec escapes exactly the characters that RFC 8785 escapes, in the same way, and its order
    by code point is that by UTF-16 units as long as no character is beyond the BMP.
    """
    form = _ENCODER.encode(value)
    if form.isascii() or len(form.translate(None, _ASTRAL)) == len(form):
        return form
    return canonical(value)


def canonical(value: object) -> bytes:
    """The canonical JSON of a value, in UTF-8.

    Raises:
        ValueError: A float that is not finite, or a lone surrogate.
        TypeError: Something that is not JSON.

    Source:
        RFC 8785 sections 3.2.2 and 3.2.3, but for integers (see the head of this module).
    """
    if _is_plain(value):
        return _ENCODER.encode(value)
    pieces: list[bytes] = []
    _write(value, pieces)
    return b"".join(pieces)


def digest_text(digest: bytes) -> str:
    """A digest for people, files and headers: `d1:` and 64 hexadecimal digits."""
    return PREFIX + digest.hex()


def parse_digest_text(text: str) -> bytes:
    """The 32 bytes of a digest's text.

    Raises:
        ValueError: Not `d1:` and 64 small hexadecimal digits.
    """
    if _DIGEST_TEXT.fullmatch(text) is None:
        raise ValueError(f"{text[:80]!r} is not a digest like d1: and 64 hexadecimal digits")
    return bytes.fromhex(text.removeprefix(PREFIX))


def _is_plain(value: object) -> bool:
    """Whether the value is JSON without floats, with all its keys in the BMP."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if not all(isinstance(key, str) and (key.isascii() or max(key) <= "\uffff") for key in item):
                return False
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif not (item is None or isinstance(item, (str, int))):
            return False
    return True


def _write(value: object, pieces: list[bytes]) -> None:
    if isinstance(value, dict):
        separator = b"{"
        for key in sorted(value, key=_utf16):
            pieces += (separator, _encode_text(key), b":")
            _write(value[key], pieces)
            separator = b","
        pieces.append(b"}" if value else b"{}")
    elif isinstance(value, list):
        separator = b"["
        for item in value:
            pieces.append(separator)
            _write(item, pieces)
            separator = b","
        pieces.append(b"]" if value else b"[]")
    elif isinstance(value, float):
        pieces.append(_number(value).encode())
    elif value is None or isinstance(value, (str, int)):
        pieces.append(_encode_text(value))
    else:
        raise TypeError(f"{type(value).__name__} is not JSON")


def _utf16(key: object) -> bytes:
    if not isinstance(key, str):
        raise TypeError(f"{type(key).__name__} is not the name of a JSON property")
    return key.encode("utf-16-be")


def _number(value: float) -> str:
    """A double as ECMAScript writes it.

    Source:
        ECMA-262 Number::toString, by RFC 8785 section 3.2.2.3.
    """
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError(f"{value} has no form in JSON")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    # repr has the shortest digits that give the same double back, as ECMAScript asks.
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(digits) - len(fraction) + int(exponent or 0)
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        return f"{sign}{digits.ljust(point, '0')}"
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{point - 1:+d}"
