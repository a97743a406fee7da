"""What takes an object back: a revoked version of it, or a note that says it was withdrawn.

Rule    A revoked version keeps every property of the last one byte for byte but `modified` and `revoked`:
        whoever compares them sees what was withdrawn and that nothing else changed. A note names one
        object and carries the TLP that the object has here.

Reads and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from stix2.v21 import Note

from node.stix.markings import NO_TLP, OFFICIAL, UNKNOWN

LABEL: Final = "withdrawal-notice"
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_MILLISECOND: Final = 1_000_000  # nanoseconds
_DEFINITION: Final = "marking-definition--"


def revoked_version(body: bytes, *, version: int, now: int) -> bytes:
    """The same object, revoked, as its next version.

    Args:
        body: The last version, as its sender wrote it; no observable and no marking-definition, for these
            have no versions (STIX 2.1 sections 3.2 and 3.6).
        version: Its instant, in nanoseconds.
        now: Microseconds; where the last version is newer, the next millisecond after that one.

    Returns:
        The members as they were and in their order; white space between them is not kept.
    """
    members = _MEMBERS.decode(body)
    later = max(now * 1000 // _MILLISECOND, version // _MILLISECOND + 1)
    members["modified"] = msgspec.Raw(msgspec.json.encode(_text(later)))
    members["revoked"] = msgspec.Raw(b"true")
    return msgspec.json.encode(members)


def notice(
    notice_id: str, stix_id: str, *, author: str, reason: str, markings: Iterable[str], rank: int, now: int
) -> bytes:
    """A STIX note that an object was withdrawn.

    Args:
        notice_id: Id of the note.
        stix_id: The object.
        author: An identity of ours.
        reason: Words for the analysts of partners.
        markings: What marks the object, as `StixObject.marking_refs` has it. Only what cannot be judged is
            taken over as it is: a statement about somebody's text says nothing of ours.
        rank: How restricted the object is on this node.
        now: Microseconds.
    """
    labels = [LABEL]
    refs: list[str] = []
    if rank == UNKNOWN:
        labels += [ref for ref in markings if not ref.startswith(_DEFINITION)]
        refs = [ref for ref in markings if ref.startswith(_DEFINITION)]
    elif rank != NO_TLP:
        refs = [ref for ref, level in OFFICIAL.items() if level == rank][-1:]  # that of TLP 2.0
    moment = _text(now // 1000)
    properties: dict[str, Any] = {"object_marking_refs": refs} if refs else {}
    written = Note(
        id=notice_id,
        created=moment,
        modified=moment,
        created_by_ref=author,
        abstract="Withdrawn",
        content=reason,
        labels=labels,
        object_refs=[stix_id],
        **properties,
    )
    text: str = written.serialize()
    return text.encode()


def _text(milliseconds: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"
