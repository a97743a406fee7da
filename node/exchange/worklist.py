"""What a person does with the quarantine: objects let in, tried again, corrected or left out.

Each act is one transaction with its leaf in the audit log. What comes out takes the way of everything that
comes in, `ingress.admit`, and its origin stays the partner.

Rule    A retry is judged by today's rules and agreement, as if the object came now by its link. An accepted
        or corrected object is not set aside again; but what another owner's version says, no act replaces.
        A correction mends a text and changes nothing else: id, version, author, markings and `revoked` stay,
        so it can neither loosen what its author marked nor outlive the author's next version.

Reads   table quarantine and the objects beside it; writes through `ingress.admit` and `quarantine`
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from node.audit import log
from node.errors import InvalidObject, Refused, StoreBusy
from node.exchange import corrections, egress, ingress, ledger, quarantine, quotas
from node.exchange.door import Door
from node.exchange.ingress import Outcome, Result, Source
from node.exchange.quarantine import Entry
from node.exchange.situation import gather
from node.sharing.links import Link
from node.stix import faults
from node.stix.faults import Difference, Fault
from node.stix.validation import level_of
from node.store import catalog, objects
from node.store.catalog import Collection
from node.store.database import Tx

COMPROMISED = "compromised"
NEVER_BY_RETRY = frozenset(("invalid", "foreign_edit", COMPROMISED))
"""Reasons that stay as long as the bytes, the owner and the collection's rules do."""

LINK_GONE, LINK_CLOSED = "link_gone", "link_closed"
AT_ONCE = 500
"""Entries tried again in one transaction; their bodies are in memory together."""

# What is held, or known to be no news: nothing is left for a person to decide.
_SETTLED = frozenset((Outcome.STORED, Outcome.RESTATED, Outcome.DUPLICATE, Outcome.ECHO, Outcome.VARIANT))
_STORED = frozenset((Outcome.STORED, Outcome.RESTATED))
_BY_AGREEMENT = "It passes a retry once the agreement lets it in."
_CURES = {
    "invalid": "The same bytes fail again: correct them with edit, or ask {partner} for a better text.",
    "foreign_edit": "It stays so while the owner is the same: accept it, or discard it.",
    "future_timestamp": "It passes a retry when its time is less than 24 hours ahead.",
    "not_in_force": _BY_AGREEMENT,
    "not_in_flow": _BY_AGREEMENT,
    "type_not_agreed": _BY_AGREEMENT,
    "above_ceiling": _BY_AGREEMENT,
    "public_refused": "It passes a retry once public_objects in [partner.{partner}.stricter] is accept.",
    "deleted_here": "It was deleted here: undelete it, accept it, or discard it.",
    "erased": "Its time to be kept is over: accept it, or discard it.",
    COMPROMISED: "No retry lets it in: a person accepts or discards each.",
    LINK_GONE: "No agreement has its link any more: put that back, or discard it.",
    LINK_CLOSED: "Open the link, then retry: stixnode resume {partner}",
}


class Tried(NamedTuple):
    """What became of one entry that was tried again.

    Args:
        outcome: Of the arrival; QUARANTINED for what was not even asked.
        reason, message: Why it waits still; or of the outcome.
        waits: Whether it is still for a person to decide.
    """

    entry: str
    stix_id: str
    outcome: Outcome
    reason: str
    message: str
    waits: bool


class Beside(NamedTuple):
    """What stands here of the same id.

    Args:
        same: It is the very version of the entry, with another text; else the newest one.
        owner: `ours`, `nobody's` or `south's`.
        others: The members in which the two texts differ.
    """

    version: str
    same: bool
    owner: str
    others: list[Difference]


class Look(NamedTuple):
    """An entry as a person has to see it.

    Args:
        collection: Alias.
        fault: What is wrong with its bytes by today's schemas; None where nothing is.
        text: The body laid out; "" once it was erased.
        at: The character of the text where the fault is.
        tried: What a retry would do now; None when that is not known, because the database is busy or
            nothing waits.
    """

    collection: str
    validation: str
    fault: Fault | None
    text: str
    at: int | None
    beside: Beside | None
    tried: Tried | None


def cure(reason: str, link: str) -> str:
    """What lets an object in that waits for this reason; "" when nothing is known of it."""
    partner = link.partition("/")[0]
    return quotas.remedy(reason, partner) or _CURES.get(reason, "").format(partner=partner)


def accept(tx: Tx, door: Door, entry: str, *, actor: str, reason: str, now: int) -> Result:
    """Let an object out of the quarantine into its collection; its origin stays the partner.

    Raises:
        UsageError: No such entry, or it was decided already.
        InvalidObject: The bytes can never be kept, or would replace what another owner says.
    """
    found, collection, link = _opened(tx, door, entry)
    _refuse_replacing(tx, door, collection, link, found.key)
    quarantine.decide(tx, entry, state=quarantine.ACCEPTED, actor=actor, reason=reason, now=now)
    source = Source("accept", actor, link, place=entry, epoch=_epoch(tx, found))
    result = _admitted(tx, door, collection, found.body, source, now=now)
    if result.failed:
        raise InvalidObject(
            f"The object of {entry} cannot be kept: {result.message}",
            remedy=f"Nothing was changed. Run: stixnode quarantine show {entry}",
            object_id=result.stix_id,
        )
    _record(tx, "accept", found, actor=actor, reason=reason, now=now, outcome=result.outcome.value)
    return result


def edit(tx: Tx, door: Door, entry: str, body: bytes, *, actor: str, reason: str, now: int) -> Result:
    """Let a corrected text of an object in; the entry keeps the original for ever.

    Raises:
        UsageError: No such entry, or it was decided already; or the text is the same.
        InvalidObject: The text is not valid, changes what may not change, or would replace what another
            owner says.
    """
    found, collection, link = _opened(tx, door, entry)
    one = corrections.read(found, body, collection, door)
    key = ledger.Key(one.id, one.spec_version, one.version or 0, one.digest)
    _refuse_replacing(tx, door, collection, link, key)
    quarantine.decide(
        tx, entry, state=quarantine.ACCEPTED, actor=actor, reason=reason, now=now, edited=one.digest
    )
    source = Source("edit", actor, link, place=entry, epoch=_epoch(tx, found))
    result = _admitted(tx, door, collection, body, source, now=now)
    if result.outcome not in _STORED:
        raise InvalidObject(
            f"The corrected object of {entry} was not stored, but is {result.outcome.value}:"
            f" {result.message or 'exactly this text is held already.'}",
            remedy=f"Nothing was changed. If {link.partner} has sent it itself meanwhile, discard the entry.",
            object_id=one.id,
        )
    _record(
        tx,
        "edit",
        found,
        actor=actor,
        reason=reason,
        now=now,
        original=f"d1:{found.digest.hex()}",
        edited=f"d1:{one.digest.hex()}",
    )
    return result


def discard(tx: Tx, entry: str, *, actor: str, reason: str, now: int) -> Entry:
    """Leave an object out for good; the same bytes are not asked about again.

    Raises:
        UsageError: No such entry, or it was decided already.
    """
    quarantine.decide(tx, entry, state=quarantine.DISCARDED, actor=actor, reason=reason, now=now)
    found = quarantine.find(tx, entry)
    _record(tx, "discard", found, actor=actor, reason=reason, now=now)
    return found


def retry(tx: Tx, door: Door, names: Sequence[str], *, actor: str, now: int) -> list[Tried]:
    """Judge entries of one link anew; what passes is stored, and the rest waits for its newer reason.

    Args:
        tx: A writing transaction in which nothing was done yet.
        door: What the door judges by.
        names: Entries of one link, at most `AT_ONCE`; those that do not wait any more are passed over.
        actor: Who tries.
        now: Microseconds.
    """
    first = quarantine.find(tx, names[0])
    collection = catalog.lock(tx, first.collection_id)
    found = [one for one in (quarantine.find(tx, name) for name in names) if one.state == quarantine.WAITING]
    closed, link = _closed(tx, door, first.link, collection, now=now)
    if link is None:
        # What no retry lets in does not wait for the link.
        never = {one.entry: (one.reason, one.detail) for one in found if one.reason == COMPROMISED}
        return [_untried(one, *never.get(one.entry, closed)) for one in found]
    asked = [one for one in found if one.reason != COMPROMISED and one.body]
    tried = {one.entry: _untried(one, one.reason, one.detail) for one in found if one not in asked}
    by_epoch: dict[str, list[Entry]] = {}
    for one in asked:
        by_epoch.setdefault(_epoch(tx, one), []).append(one)
    for epoch, batch in by_epoch.items():
        source = Source("retry", actor, link, place="quarantine", epoch=epoch)
        report = ingress.admit(
            tx, door, collection, [one.body for one in batch], source, arrival_id=None, now=now
        )
        tried |= {one.entry: _tried(one, result) for one, result in zip(batch, report.results, strict=True)}
    for each in tried.values():
        if each.waits:
            quarantine.wait_for(tx, each.entry, reason=each.reason, detail=each.message)
    gone = [each.entry for each in tried.values() if not each.waits]
    quarantine.settle(tx, gone, actor=actor, reason="tried again", now=now)
    log.record(
        tx,
        now=now,
        actor=actor,
        act="quarantine.retry",
        subject=first.link,
        details={"tried": len(tried), "waits": len(tried) - len(gone), "settled": gone[:20]},
    )
    return [tried[one.entry] for one in found]


class _Undone(Exception):
    """Carries what a retry did out of a transaction that must not last."""

    def __init__(self, tried: list[Tried]) -> None:
        super().__init__()
        self.tried = tried


def look(door: Door, entry: str, *, now: int) -> tuple[Entry, Look]:
    """An entry with all that a person needs to decide on it; nothing is changed.

    Raises:
        UsageError: There is no such entry.
    """
    with door.database.reading() as tx:
        found = quarantine.find(tx, entry)
        collection = next(one for one in catalog.collections(tx) if one.collection_id == found.collection_id)
        beside = _beside(tx, door, collection, found)
    level = level_of(collection.validation)
    fault = None
    if found.body:
        fault = faults.fault_of(found.body, level, max_object_bytes=door.max_object_bytes)
    text = faults.laid_out(found.body)
    at = None if fault is None else faults.place_of(text, fault)
    tried = _would(door, found, now=now) if found.state == quarantine.WAITING else None
    return found, Look(collection.alias, collection.validation, fault, text, at, beside, tried)


def _would(door: Door, found: Entry, *, now: int) -> Tried | None:
    def work(tx: Tx) -> None:
        raise _Undone(retry(tx, door, [found.entry], actor="", now=now))

    try:
        door.database.retrying(work)
    except _Undone as undone:
        return next(iter(undone.tried), None)
    except (StoreBusy, Refused):
        return None
    return None


def _opened(tx: Tx, door: Door, entry: str) -> tuple[Entry, Collection, Link]:
    """The entry under its collection's lock, and the link it came by."""
    collection = catalog.lock(tx, quarantine.find(tx, entry).collection_id)
    found = quarantine.find(tx, entry)
    quarantine.refuse_decided(found)
    link = door.link(found.link)
    if link is None:
        raise InvalidObject(
            f"The link {found.link} of entry {entry} no longer exists, so nobody knows under which"
            f" terms it came.",
            remedy=f"Put its agreement back, or run: stixnode quarantine discard {entry} --reason TEXT",
        )
    return found, collection, link


def _admitted(tx: Tx, door: Door, collection: Collection, body: bytes, source: Source, *, now: int) -> Result:
    report = ingress.admit(tx, door, collection, [body], source, arrival_id=None, now=now, accepted=True)
    return report.results[0]


def _refuse_replacing(tx: Tx, door: Door, collection: Collection, link: Link, key: ledger.Key) -> None:
    """A text that somebody else owns is not replaced under its key, whoever accepts."""
    known = gather(tx, door, collection, link, [key.stix_id])
    owner = known.owners.get(key.stix_id)
    stands = any(
        (row.spec_version, row.version) == (key.spec_version, key.version) and row.digest != key.digest
        for row in known.held.get(key.stix_id, ())
        if not row.versionless
    )
    if (
        stands
        and owner is not None
        and owner.owner not in ("", link.partner)
        and not link.terms.either_may_edit
    ):
        whose = "ours" if owner.owner == "local" else f"{owner.owner}'s"
        raise InvalidObject(
            f"This very version is held with other content, and the object is {whose}: it would be replaced.",
            remedy="Nothing was changed. Discard the entry, or import what should stand as a newer version.",
            object_id=key.stix_id,
        )


def _closed(
    tx: Tx, door: Door, name: str, collection: Collection, *, now: int
) -> tuple[tuple[str, str], Link | None]:
    """(reason, sentence) and None for a link by which nothing may come now; else the link."""
    link = door.link(name)
    if link is None:
        return (LINK_GONE, f"The link {name} no longer exists."), None
    closed = egress.closed_reason(tx, link, collection, now=now)
    return (("", ""), link) if closed is None else ((LINK_CLOSED, closed), None)


def _untried(one: Entry, reason: str, message: str) -> Tried:
    return Tried(one.entry, one.stix_id, Outcome.QUARANTINED, reason, message, waits=True)


def _tried(one: Entry, result: Result) -> Tried:
    waits = result.outcome not in _SETTLED
    message = result.message.removeprefix("set_aside: ").removesuffix(f" ({one.entry})")
    reason = result.reason or (result.outcome.value if waits else "")
    return Tried(one.entry, one.stix_id, result.outcome, reason, message, waits)


def _epoch(tx: Tx, one: Entry) -> str:
    """The partner's epoch when it last brought these bytes."""
    lines = ledger.received(tx, [one.stix_id]).get(one.stix_id, ())
    return next((line.epoch for line in lines if line.link == one.link and line.digest == one.digest), "")


def _record(tx: Tx, act: str, found: Entry, *, actor: str, reason: str, now: int, **more: str) -> None:
    details = {"reason": reason, "object": found.stix_id, **more}
    log.record(tx, now=now, actor=actor, act=f"quarantine.{act}", subject=found.entry, details=details)


def _beside(tx: Tx, door: Door, collection: Collection, found: Entry) -> Beside | None:
    known = gather(tx, door, collection, None, [found.stix_id])
    rows = known.held.get(found.stix_id, ())
    same = [
        row
        for row in rows
        if not row.versionless and (row.spec_version, row.version) == (found.spec_version, found.version)
    ]
    row = next(iter(same), None) or next((row for row in rows if row.is_last), None)
    if row is None:
        return None
    owner = known.owners.get(found.stix_id)
    whose = "nobody" if owner is None else owner.owner
    shown = {"local": "ours", "": "nobody's", "nobody": "nobody's"}.get(whose, f"{whose}'s")
    held = objects.body_at(tx, row.collection_id, row.added) or b""
    return Beside(row.version_text, bool(same), shown, faults.differences(held, found.body))
