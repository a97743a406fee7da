"""What a person may change in an object of a partner that was set aside, and what not.

A correction mends a text that cannot be kept as it is. Everything by which others judge, order or own the
object stays: else a correction could loosen what its author marked, speak for somebody else, or stand where
the author's next version must stand.

Rule    Where the original cannot be read as an object, what it plainly says holds as far as it can be made
        out; a version that it does not name is no later than the moment at which it came.
Reads   nothing but the two texts
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from node.clock import taxii_time
from node.errors import InvalidObject, UsageError
from node.exchange.door import Door
from node.exchange.quarantine import Entry
from node.stix import faults, markings
from node.stix import objects as stix
from node.stix.decoding import ID, shown
from node.stix.objects import StixObject
from node.stix.validation import level_of
from node.store.catalog import Collection

_MARKING = re.compile(rb"marking-definition--[0-9a-fA-F-]{36}")


class NotAllowed(InvalidObject):
    """The corrected text is valid, and changes what may not be changed here."""


def read(found: Entry, body: bytes, collection: Collection, door: Door) -> StixObject:
    """The corrected object.

    Args:
        found: The entry, with its original.
        body: The corrected text.
        collection: Where it is to go; its `validation` holds.
        door: What the door judges by.

    Raises:
        InvalidObject: The text is not valid; `place` says where.
        NotAllowed: It changes what its author alone may say.
        UsageError: It says what the original says.
    """
    level = level_of(collection.validation)
    fault = faults.fault_of(body, level, max_object_bytes=door.max_object_bytes)
    if fault is not None and not (level == "structure" and _readable(body, door)):
        where = f"at {fault.pointer}: " if fault.pointer else ""
        raise InvalidObject(
            f"The corrected text of {found.entry} is not valid: {where}{fault.text.rstrip('.')}.",
            remedy="Nothing was changed. Correct it, and give it again.",
            object_id=found.stix_id,
            place=fault.steps,
        )
    one = stix.read(body, max_object_bytes=door.max_object_bytes)
    if one.digest == found.digest:
        raise UsageError(
            f"The text says what the original of {found.entry} says.",
            remedy="Nothing was changed. Correct what `stixnode quarantine show` names, or accept the entry.",
        )
    problem = _changed(found, one, door)
    if problem is not None:
        raise NotAllowed(
            f"The corrected text of {found.entry} {problem[0]}.",
            remedy="Nothing was changed. A correction keeps id, version, author, markings and revoked as they"
            " came; whatever else is wrong is for the partner to correct.",
            object_id=found.stix_id,
            place=(problem[1],),
        )
    return one


def _changed(found: Entry, one: StixObject, door: Door) -> tuple[str, str] | None:
    """What the corrected text changes that must stay, and the property; None if nothing."""
    if one.id != found.stix_id:
        return f"has the id {one.id}, and the original {found.stix_id}", "id"
    if one.meaning is not None:
        return "is a marking-definition, and what it means for other objects is its author's to say", "type"
    try:
        original = stix.read(found.body, max_object_bytes=max(door.max_object_bytes, len(found.body)))
    except InvalidObject:
        return _unlike_the_unreadable(found, one, door)
    if (one.version, one.spec_version) != (original.version, original.spec_version):
        return f"is another version: {_version(one)}, and the original {_version(original)}", "modified"
    if one.created_by != original.created_by:
        return f"names another author than {shown(original.created_by)}", "created_by_ref"
    if one.revoked != original.revoked:
        return "is not revoked as the original is" if original.revoked else "is revoked", "revoked"
    lost = set(original.marking_refs) - set(one.marking_refs)
    return (f"lacks the marking {min(lost)}", "object_marking_refs") if lost else None


def _unlike_the_unreadable(found: Entry, one: StixObject, door: Door) -> tuple[str, str] | None:
    said = _members(found.body)
    text = said.get("modified", said.get("created"))
    instant = _instant(text)
    if instant is not None and instant != one.version:
        return f"is another version: {_version(one)}, and the original {shown(text)}", "modified"
    if instant is None and (one.version or 0) > found.at * 1_000:
        came = taxii_time(found.at)
        return f"is the version {_version(one)}, which is later than the original came ({came})", "modified"
    author = said.get("created_by_ref")
    if isinstance(author, str) and ID.fullmatch(author):
        if one.created_by != author:
            return f"names another author than {shown(author)}", "created_by_ref"
    elif one.created_by is not None and door.parties.claimant(one.created_by) != found.link.split("/")[0]:
        return f"names the author {one.created_by}, whom {found.link.split('/')[0]} does not speak for", (
            "created_by_ref"
        )
    if one.revoked and not said.get("revoked", False):
        return "is revoked", "revoked"
    if said.get("revoked") is True and not one.revoked:
        return "is not revoked as the original is", "revoked"
    labels = said["labels"] if isinstance(said.get("labels"), list) else ()
    marked = {each.decode() for each in _MARKING.findall(found.body)} - {one.id}
    marked |= {tlp for each in labels if isinstance(each, str) and (tlp := markings.label_marking(each))}
    lost = marked - set(one.marking_refs)
    return (f"lacks the marking {min(lost)}", "object_marking_refs") if lost else None


def _readable(body: bytes, door: Door) -> bool:
    try:
        stix.read(body, max_object_bytes=door.max_object_bytes)
    except InvalidObject:
        return False
    return True


def _members(body: bytes) -> dict[str, Any]:
    """What a body says that is no object for us; of a property that comes twice, the last."""
    try:
        raw = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):
        return {}
    found: dict[str, Any] = {}
    for name in ("modified", "created", "created_by_ref", "revoked", "labels"):
        if name in raw:
            try:
                found[name] = msgspec.json.decode(raw[name])
            except (ValueError, RecursionError):
                continue
    return found


def _instant(text: object) -> int | None:
    try:
        return stix.version_instant(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _version(one: StixObject) -> str:
    return f"{one.version_text or 'without a date'} (STIX {one.spec_version})"
