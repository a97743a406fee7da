"""Containers: TAXII envelopes and STIX bundles cut into objects, and objects joined to envelopes.

Rule    Objects leave here as the exact bytes they came in. Decoding and encoding again would lose
        what decoders do not keep (`1.00`, an escape, spacing), and partners compare digests.
        Whether an entry is a STIX object is asked by `objects.read`.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

import msgspec

from node.errors import InvalidObject
from node.stix.decoding import MAX_OBJECT_BYTES, shown
from node.stix.scanning import Source

_REMEDY: Final = "Send one TAXII envelope or STIX bundle: a JSON object with a list named objects."

_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENTRIES: Final = msgspec.json.Decoder(list[msgspec.Raw])
_NAME: Final = msgspec.json.Decoder(str)
_SKIPPED: Final = msgspec.json.Decoder(msgspec.Raw)

_MEMBER: Final = re.compile(rb'\s*+([{,])\s*+("(?:[^"\\]|\\.)*+")\s*+:\s*+', re.DOTALL)
_END: Final = re.compile(rb"\s*+\}\s*+")
_EMPTY: Final = re.compile(rb"\s*+\{\s*+\}\s*+")

_MANY: Final = 250_000  # commas; a body with more has long values, or is meant to take our memory
_MOST_MEMBERS: Final = 10_000
_PIECE: Final = 4 * 1024 * 1024

_ENVELOPE_NAMES: Final = frozenset(("more", "next", "objects"))


def split(body: bytes, *, most: int | None = None) -> list[bytes]:
    """Cut an envelope or a bundle that is in memory into its objects, byte for byte.

    Args:
        body: One JSON object in UTF-8, whose length the caller has checked.
        most: How many entries the caller takes; None for any number.

    Returns:
        The entries of the list `objects`, in the sender's order, each as the exact bytes it
        occupied, whatever it is. Empty when there is no such list: an envelope may be `{}`.
        With `most`, a body that has more gives more than that, and not always all of them.

    Raises:
        InvalidObject: `body` is not UTF-8 or not a JSON object, a property of it occurs twice,
            `objects` is no list, or it is a single STIX object.

    Source:
        TAXII 2.1 section 3.7 (envelope); STIX 2.1 section 8 (bundle).
    """
    try:
        _check_utf_8(body)
        if most is not None and body.count(b",") > _MANY:
            # An entry of one byte takes a hundred in memory.
            return list(islice(_container(Source([body], len(body))), most + 1))
        members = {name: bytes(raw) for name, raw in _MEMBERS.decode(body).items()}
        if not _are_all(members, body):
            raise _not_a_container(body, "a property occurs twice")
        _refuse_an_object(members, body)
        return [bytes(raw) for raw in _ENTRIES.decode(members.get("objects", b"[]"))]
    except RecursionError:
        # One object nested too deep must not take the others with it.
        return list(_container(Source([body], len(body))))
    except InvalidObject:
        raise
    except ValueError as cause:
        raise _not_a_container(body, f"{cause}"[:120]) from cause


def salvage(body: bytes, *, most: int) -> tuple[dict[str, bytes], list[bytes]]:
    """Cut an envelope of which an entry may be no JSON at all, so that it does not take the others with it.

    Args:
        body: As in `split`, from whom nothing better can be had than what can be read of it.
        most: How many entries the caller takes.

    Returns:
        The properties of the envelope beside `objects`, each as its bytes, and the entries: more than
        `most` of them, and not always all, when it has more.

    Raises:
        InvalidObject: As `split`; but what stands inside an entry is asked by whoever reads the entry.
    """
    members: dict[str, bytes] = {}
    return members, list(islice(_container(Source([body], len(body)), members=members), most + 1))


def split_stream(chunks: Iterable[bytes], *, max_object_bytes: int = MAX_OBJECT_BYTES) -> Iterator[bytes]:
    """Cut an envelope, a bundle, or lines of objects into objects, one in memory at a time.

    Args:
        chunks: The stream, in pieces of any size; read once, forward.
        max_object_bytes: The longest object taken.

    Yields:
        As `split`; of lines (NDJSON) each that is not blank, without the space around it.

    Raises:
        InvalidObject: The stream is none of these, breaks off, goes on after its end, or has an
            object that is too long, which the problem names by its number from 1. What was
            yielded before came before that place.
    """
    source = Source(chunks, max_object_bytes)
    if source.peek() != b"{":
        found = source.peek()
        raise source.problem(f"begins with {found!r} and not with an object" if found else "is empty")
    return _container(source, or_lines=True)


def join(
    bodies: Sequence[bytes],
    *,
    more: bool | None = None,
    next: str | None = None,  # TAXII's names
) -> bytes:
    """The TAXII envelope of some bodies, which stand in it as they are.

    Args:
        bodies: In the order in which they shall stand.
        more: Whether the server has more than these; None where that is no question, as in a POST.
        next: Where to go on, as the client shall send it back.

    Source:
        TAXII 2.1 section 3.7: a property without a value is left out.
    """
    head = b"" if more is None else b'"more":true' if more else b'"more":false'
    if next is not None:
        head += (b"," if head else b"") + b'"next":' + msgspec.json.encode(next)
    if not bodies:
        return b"{" + head + b"}"
    parts = list(bodies)
    parts[0] = b"{" + head + (b"," if head else b"") + b'"objects":[' + parts[0]
    parts[-1] += b"]}"
    return b",".join(parts)


def _check_utf_8(body: bytes) -> None:
    # Values that are only skipped are not checked by the decoder. In pieces: a text takes up to four times
    # its bytes.
    if len(body) <= _PIECE:
        body.decode()
        return
    decoder, view = codecs.getincrementaldecoder("utf-8")(), memoryview(body)
    for start in range(0, len(body), _PIECE):
        decoder.decode(view[start : start + _PIECE])
    decoder.decode(b"", final=True)


def _are_all(members: dict[str, bytes], body: bytes) -> bool:
    """Whether the members, one after the other, are the whole body: so that none was dropped."""
    if not members:
        return _EMPTY.fullmatch(body) is not None
    at = 0
    for name, value in members.items():
        match = _MEMBER.match(body, at)
        if match is None or _NAME.decode(match[2]) != name or not body.startswith(value, match.end()):
            return False
        at = match.end() + len(value)
    return _END.fullmatch(body, at) is not None


def _refuse_an_object(members: dict[str, bytes], body: bytes) -> None:
    if "type" in members and members["type"] != b'"bundle"':
        raise _not_a_container(body, f"its type is {shown(members['type'].decode())}")


def _not_a_container(body: bytes, why: str) -> InvalidObject:
    return InvalidObject(f"The {len(body):,} bytes are no envelope and no bundle: {why}.", remedy=_REMEDY)


def _container(
    source: Source, *, or_lines: bool = False, members: dict[str, bytes] | None = None
) -> Iterator[bytes]:
    members = {} if members is None else members
    source.peek()
    source.mark()
    source.place = "Object 1 of the stream"
    source.skip(b"{")
    listed = source.peek() != b"}" and _members_until_list(source, members)
    if not listed:
        source.skip(b"}")
    first = source.take_marked()
    if not listed and or_lines and not _is_container(members):
        yield first
        yield from _lines(source)
        return
    if listed:
        yield from _entries(source)
        source.place = "The end of the stream"
        if source.take_one_of(b",}") == b",":
            _members_until_list(source, members)
            source.skip(b"}")
    _check_members(source, members)
    if source.peek():
        raise source.problem(f"goes on with {source.peek()!r} after its last bracket")


def _members_until_list(source: Source, members: dict[str, bytes]) -> bool:
    """Read properties up to the list `objects` of a container, or up to the closing bracket.

    Returns:
        True when the list was opened.
    """
    while True:
        text = source.take_value()
        try:
            name = _NAME.decode(text)
        except ValueError as cause:
            raise source.problem(f"has {shown(text)} where the name of a property should be") from cause
        if name in members:
            raise source.problem(f"has the property {shown(name)} twice")
        if len(members) >= _MOST_MEMBERS:
            raise source.problem(f"has more than {_MOST_MEMBERS} properties")
        source.skip(b":")
        if name == "objects" and source.peek() == b"[" and members.get("type", b'"bundle"') == b'"bundle"':
            members[name] = b"[]"
            source.skip(b"[")
            return True
        members[name] = source.take_value()
        if source.peek() != b",":
            return False
        source.skip(b",")


def _entries(source: Source) -> Iterator[bytes]:
    if source.peek() == b"]":
        source.skip(b"]")
        return
    number = 1
    while True:
        source.place = f"Object {number} of the stream"
        yield source.take_value()
        number += 1
        if source.take_one_of(b",]") == b"]":
            return


def _lines(source: Source) -> Iterator[bytes]:
    rest = source.take_line()
    if rest is not None and rest.strip(b" \t\r"):
        raise source.problem(f"is followed on its line by {shown(rest.strip()[:40])}")
    number = 2
    source.place = "Object 2 of the stream"
    while (line := source.take_line()) is not None:
        line = line.strip(b" \t\r")
        if not line:
            continue
        if b'"objects"' in line and _holds_a_list(line):
            raise source.problem("is a bundle or an envelope on a line of its own, among lines of objects")
        yield line
        number += 1
        source.place = f"Object {number} of the stream"


def _is_container(members: dict[str, bytes]) -> bool:
    if "type" in members:
        return members["type"] == b'"bundle"'
    return members.keys() <= _ENVELOPE_NAMES


def _holds_a_list(line: bytes) -> bool:
    try:
        members = {name: bytes(raw) for name, raw in _MEMBERS.decode(line).items()}
    except (ValueError, RecursionError):
        return False
    return "objects" in members and members.get("type", b'"bundle"') == b'"bundle"'


def _check_members(source: Source, members: dict[str, bytes]) -> None:
    """Refuse a container whose other properties are not sound, or that is no container after all."""
    for name, value in members.items():
        try:
            _check_utf_8(value)
            _SKIPPED.decode(value)  # not to values: a list of lists takes thirty times its bytes
        except (ValueError, RecursionError) as cause:
            raise source.problem(f"has a property {shown(name)} that is not JSON: {cause}"[:200]) from cause
    if not members.get("objects", b"[]").startswith(b"["):
        raise source.problem("has a property objects that is not a list")
    if members.get("type", b'"bundle"') != b'"bundle"':
        raise source.problem(f"has the type {shown(members['type'])} and is no bundle")
