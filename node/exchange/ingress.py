"""The way in: every object that this node comes to hold passes `admit`.

A POST by a SOC client or a partner, a pulled page, an imported file and an object let out of the
quarantine take the same way: read, gather, decide, place, enter in the books. The caller has begun the
transaction and locked the collection; objects, quarantine, ledger, arrival and whatever the caller adds
(bookmark, status, session) stand or fall together.

Order   inside a batch: markings, identities, objects, relationships, so that what an object names is there
Reads   through `situation`; writes through `placing`, `ledger`, `quarantine`, `arrivals`, `audit`
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from node.audit import log
from node.errors import InvalidObject
from node.exchange import arrivals, due, ledger, placing, quarantine, quotas, remarking
from node.exchange.door import Door
from node.exchange.ledger import Key, ReceivedLine
from node.exchange.placing import Placement
from node.exchange.removal import remove, undelete
from node.exchange.situation import Known, arriving_of, bringer_of, gather
from node.sharing.admission import Action, Bringer, Outcome, Verdict, decide_arrival
from node.sharing.decisions import Facts, decide_ingress
from node.sharing.links import Link
from node.stix.decoding import REMEDY, readable_header
from node.stix.objects import StixObject, sort_order
from node.stix.validation import level_of, read_checked, read_patterns
from node.store import catalog, highwater
from node.store.catalog import Collection
from node.store.database import Tx

__all__ = [
    "AdmitReport",
    "Outcome",
    "Result",
    "Source",
    "admit",
    "afterwards",
    "look_ahead",
    "remove",
    "undelete",
]


MOST_SHOWN = 300
CORRECTED = "A person here corrected exactly these bytes, and the corrected text stands."


@dataclass(frozen=True, slots=True)
class Source:
    """Who brings a batch, and how.

    Args:
        kind: How it comes; `accept`, `retry` and `edit` are the ways out of the quarantine.
        actor: `account:NAME`, `person:NAME`, `os:NAME` or `worker`.
        link: The incoming link it comes by; None for what our own people bring.
        place: File name or address, for people.
        restate: `import --restate`: our own versions may be replaced under their key.
        epoch: The partner's epoch, for the ledger.
    """

    kind: Literal["import", "post", "pull", "push", "accept", "withdraw", "retry", "edit", "restore"]
    actor: str
    link: Link | None = None
    place: str = ""
    restate: bool = False
    epoch: str = ""


class Result(msgspec.Struct, frozen=True):
    """What became of one object.

    `version` is the text that TAXII shows for it: the sender's own where the object has one.
    """

    index: int
    stix_id: str
    version: str
    outcome: Outcome
    reason: str
    message: str

    @property
    def failed(self) -> bool:
        """Whether the sender must learn that this object is not there."""
        return self.outcome in (Outcome.REFUSED, Outcome.QUARANTINED)


@dataclass(slots=True)
class AdmitReport:
    """What became of a batch, in the order it came in."""

    results: list[Result]
    counts: Counter[str]
    arrival_id: int


class _Item(msgspec.Struct):
    index: int
    body: bytes
    key: Key
    one: StixObject | None = None
    fault: str = ""
    verdict: Verdict | None = None
    version: str = ""
    shown_id: str = ""  # as its sender wrote it, for an answer that the sender can match


@dataclass(slots=True)
class _Batch:
    door: Door
    collection: Collection
    source: Source
    now: int
    accepted: bool = False
    dates: Sequence[int] | None = None
    intake: quotas.Intake | None = None
    placement: Placement = field(default_factory=Placement)
    bringer: Bringer = field(init=False)

    def __post_init__(self) -> None:
        link, restate = self.source.link, self.source.restate
        self.bringer = bringer_of(self.door, self.collection, link, restate=restate, accepted=self.accepted)

    @property
    def origin(self) -> str:
        return self.bringer.name


def admit(
    tx: Tx,
    door: Door,
    collection: Collection,
    bodies: Sequence[bytes],
    source: Source,
    *,
    arrival_id: int | None,
    now: int,
    accepted: bool = False,
    dates: Sequence[int] | None = None,
    tally: quotas.Tally | None = None,
) -> AdmitReport:
    """Let a batch of objects in, each judged for itself.

    Args:
        tx: A writing transaction whose first statement was `catalog.lock` on the collection.
        door: What the door judges by.
        collection: As `catalog.lock` returned it.
        bodies: The exact bytes of each object.
        source: Who brings them.
        arrival_id: The arrival they belong to; None opens one.
        now: Microseconds.
        accepted: A person let them out of the quarantine; they are not set aside again.
        dates: For each body the `date_added` that it had elsewhere. A row keeps it as far as it is later
            than every date given before and not later than `now`.
        tally: What transactions before this one counted that were undone, for a plan; this one adds to it.

    Returns:
        One result for each body, in the same order; their counts; the arrival.
    """
    batch = _Batch(door, collection, source, now, accepted, dates)
    if source.link is not None:
        batch.intake = quotas.Intake(tx, source.link, now=now, accepted=accepted, before=tally)
    items = [_read(index, body, collection, batch) for index, body in enumerate(bodies)]
    known = gather(tx, door, collection, source.link, [item.key.stix_id for item in items])
    if arrival_id is None:
        arrival_id = arrivals.open_arrival(
            tx,
            kind=source.kind,
            collection_id=collection.collection_id,
            link="" if source.link is None else source.link.name,
            actor=source.actor,
            source=source.place,
            now=now,
        )
    for item in sorted(items, key=lambda item: 4 if item.one is None else sort_order(item.one.type)):
        _decide(item, known, batch)
    if batch.intake is not None:
        batch.intake.enter()
    flow_id = 0 if source.link is None else _flow_number(tx, source.link)
    placing.place(tx, known, batch.placement, batch.bringer, flow_id=flow_id, arrival_id=arrival_id, now=now)
    report = _enter(tx, collection, items, known, batch, arrival_id)
    written = batch.placement.written_ids()
    if written:
        due.note_written(tx, door, collection, written, known.elsewhere)
        log.record(
            tx,
            now=now,
            actor=source.actor,
            act=source.kind,
            subject=collection.alias,
            details={"arrival": arrival_id, **report.counts},
        )
    return report


def look_ahead(collection: Collection, bodies: Sequence[bytes]) -> None:
    """Do before the transaction what would hold the collection's lock for long; changes no verdict."""
    read_patterns(bodies, level_of(collection.validation))


def afterwards(door: Door, *, now: int) -> None:
    """What must follow a commit that wrote objects: the high-water mark, and rows to rank again."""
    remarking.work_in(door, now=now)
    if door.highwater is not None:
        with door.database.reading() as tx:
            for collection in catalog.collections(tx):
                highwater.note(door.highwater, collection.id, collection.last_added)


def _read(index: int, body: bytes, collection: Collection, batch: _Batch) -> _Item:
    try:
        level = level_of(collection.validation)
        one, fault = read_checked(body, level, max_object_bytes=batch.door.max_object_bytes)
    except InvalidObject as cause:
        name = cause.object_id or f"unknown--index-{index}"
        key = Key(name, "", 0, hashlib.sha256(body).digest())
        header = readable_header(body)
        return _Item(
            index,
            body,
            key,
            fault=f"{cause.problem} {cause.remedy}",
            version=(header.modified or header.created or "")[:MOST_SHOWN],
            shown_id=(header.id or "")[:MOST_SHOWN],
        )
    key = Key(one.id, one.spec_version, one.version or 0, one.digest)
    return _Item(index, body, key, one, fault or "", version=one.version_text or "")


def _decide(item: _Item, known: Known, batch: _Batch) -> None:
    one, link = item.one, batch.source.link
    structural = known.collection.validation == "structure"
    if not batch.accepted and known.corrected(item.key.stix_id, item.key.digest):
        item.verdict = Verdict(Action.KEEP, Outcome.VARIANT, "corrected", CORRECTED)
        return
    if one is None or (item.fault and not structural):
        item.verdict = _invalid(item, link)
        return
    arriving = arriving_of(one, batch.door)
    situation = known.situation(one, arriving)
    verdict = decide_arrival(arriving, situation, batch.bringer, now=batch.now)
    rank = known.rank(one, batch.origin)
    if link is not None and verdict.action in (Action.STORE, Action.REPLACE) and not batch.accepted:
        verdict = _by_agreement(one, rank, link, known, batch, verdict)
    if batch.intake is not None:
        first, revokes = known.is_first(one), known.revokes(one)
        verdict = batch.intake.judged(verdict, len(one.body), first=first, revokes=revokes)
    item.verdict = verdict
    row = known.held_row(one)
    if row is not None and not item.version:
        item.version = row.version_text
    if verdict.action not in (Action.STORE, Action.REPLACE, Action.NOTE_LOSER):
        return
    kept = 0 if batch.dates is None else min(batch.dates[item.index], batch.now)
    batch.placement.add(one, rank, verdict, row, flagged=bool(item.fault), kept=kept)
    if verdict.action is Action.NOTE_LOSER:
        return
    known.now_holds(one.id, arriving.version)
    if situation.owner is None and not one.observable:
        known.new_owners[one.id] = placing.owner_for(arriving, batch.bringer)
    if one.meaning is not None:
        definition = placing.definition_of(one, batch.origin)
        known.define(definition)
        batch.placement.definitions.append(definition)


def _by_agreement(
    one: StixObject, rank: int, link: Link, known: Known, batch: _Batch, verdict: Verdict
) -> Verdict:
    if not link.public_objects and one.created_by in batch.door.parties.public:
        return Verdict(
            Action.KEEP,
            Outcome.REFUSED,
            "public_refused",
            f"stricter.public_objects lets {link.partner} bring no objects of public identities.",
        )
    owner = known.owners.get(one.id)
    facts = Facts(
        id=one.id,
        type=one.type,
        observable=one.observable,
        rank=rank,
        owner_rank=None if owner is None or one.observable else owner.rank,
        origin=link.partner,
        companion=one.meaning is not None or one.organisation,
    )
    decision = decide_ingress(facts, link, now=batch.now)
    if decision.allowed:
        return verdict
    reason = "" if decision.reason is None else decision.reason.value
    return Verdict(Action.SET_ASIDE, Outcome.QUARANTINED, reason, decision.detail)


def _invalid(item: _Item, link: Link | None) -> Verdict:
    if link is not None and not item.key.stix_id.startswith("unknown--index-"):
        message = item.fault.removesuffix(f" {REMEDY}")  # it is kept, in the quarantine
        return Verdict(Action.SET_ASIDE, Outcome.QUARANTINED, "invalid", message)
    return Verdict(Action.KEEP, Outcome.REFUSED, "invalid", item.fault)


def _enter(
    tx: Tx, collection: Collection, items: list[_Item], known: Known, batch: _Batch, arrival_id: int
) -> AdmitReport:
    source, link, now = batch.source, batch.source.link, batch.now
    results: list[Result] = []
    lines: list[ReceivedLine] = []
    counts: Counter[str] = Counter()
    lawful: list[Key] = []
    edited = _edited(tx, items, source)
    aside: list[quarantine.Aside] = []
    for item in items:
        verdict = item.verdict
        assert verdict is not None  # every item was decided above
        outcome, reason, message = verdict.outcome, verdict.reason, verdict.message
        counts[outcome.value] += 1
        if item.fault and not reason and outcome is not Outcome.REFUSED:
            # A collection that asks for structure alone keeps what fails the schemas, and says so.
            reason, message = "flagged", f"flagged: {item.fault}"
        if item.key in edited and verdict.action in (Action.STORE, Action.REPLACE):
            reason, message = ledger.EDITED, "corrected here"
        if link is not None:
            if verdict.action is Action.SET_ASIDE:
                aside.append(quarantine.Aside(item.key, item.body, reason, message))
                message = f"set_aside: {message} ({quarantine.name_of(link.name, item.key)})"
            lines.append(
                ReceivedLine(
                    *item.key, link.name, link.partner, outcome.value, reason, source.epoch, arrival_id, now
                )
            )
        if verdict.action in (Action.STORE, Action.REPLACE):
            lawful.append(item.key)
        version = item.version or batch.placement.version_texts.get(item.key.digest, "")
        results.append(
            Result(item.index, item.shown_id or item.key.stix_id, version, outcome, reason, message)
        )
    ledger.note_received(tx, lines)
    if link is not None:
        quarantine.take(tx, link, collection.collection_id, aside, arrival_id=arrival_id, now=now)
    quarantine.close(tx, lawful, now=now)
    arrivals.add_counts(tx, arrival_id, counts)
    return AdmitReport(results, counts, arrival_id)


def _edited(tx: Tx, items: list[_Item], source: Source) -> set[Key]:
    """What a person here wrote, now or before it was taken out: it never becomes the partner's own."""
    keys = {item.key for item in items}
    if source.link is None or source.kind not in ("edit", "accept", "retry", "restore"):
        return set()
    if source.kind == "edit":
        return keys
    rows = ledger.received(tx, {key.stix_id for key in keys}).values()
    lines = [line for each in rows for line in each if line.link == source.link.name]
    return {Key(*line[:4]) for line in lines if line.reason == ledger.EDITED}


def _flow_number(tx: Tx, link: Link) -> int:
    name = f"{link.terms.agreement}/{link.flow}/{link.partner}"
    return catalog.flow_number(tx, name, link.audience, keep_days=link.keep_days)
