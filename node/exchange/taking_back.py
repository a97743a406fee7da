"""Take back what went out: a revoked version of ours, a note about what is somebody else's.

Rule    Everything passes the door, collection by collection, each in transactions of its own. A run that was
        cut short is finished by the same command: what is done already is left as it is, and until then
        nothing that is not revoked comes in or goes out of these ids.

        Ours are the ids whose owner row says so, and observables that only our own people brought. What has
        no versions cannot be revoked; it is buried here, and a note tells it.

Writes  through `ingress.admit`, `removal.bury` and `withdrawals`
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from node.audit import log
from node.exchange import ingress, removal, withdrawals
from node.exchange.arrivals import Arrival
from node.exchange.door import Door
from node.exchange.ingress import Result, Source
from node.exchange.withdrawals import Kind, Withdrawal
from node.stix import withdrawing
from node.stix.objects import marking_refs
from node.store import catalog, objects, owners
from node.store.database import Tx
from node.store.objects import Held

STEP = 500
WITHDRAWN = "withdrawn"
_BEFORE_ALL = -(2**62)


class Target(NamedTuple):
    """One object that can be withdrawn.

    Args:
        kind: How.
        owner: `local`, a partner, or "" for nobody.
        rows: Every version held, in all collections.
        before: It was withdrawn already; the run is finished where it was cut short.
    """

    stix_id: str
    kind: Kind
    owner: str
    rows: tuple[Held, ...]
    before: Withdrawal | None


class Chosen(NamedTuple):
    """What is to be withdrawn, and ids of which nothing is held here; some were withdrawn before."""

    targets: list[Target]
    unknown: list[str]
    done: list[Withdrawal]


class Failure(NamedTuple):
    """What the door did not take, for which object and into which collection (alias)."""

    stix_id: str
    collection: str
    result: Result


@dataclass(slots=True)
class Withdrawn:
    """What a run did.

    Args:
        counts: `revoked`, `buried` and `notice`: objects.
        failures: Versions and notes that the door did not take.
    """

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Order:
    """Who withdraws, why, and in whose name notes speak; `author` may be "" where none is needed."""

    actor: str
    reason: str
    author: str = ""


def choose(tx: Tx, ids: Iterable[str], *, bury: bool = False) -> Chosen:
    """How each of some ids would be withdrawn; changes nothing.

    Args:
        tx: A reader.
        ids: Object ids.
        bury: Ours are removed and told by a note, also where a revoked version could say it.
    """
    wanted = list(dict.fromkeys(ids))
    held = objects.held_by_ids(tx, wanted)
    owner_rows = owners.owners(tx, wanted)
    before = withdrawals.by_ids(tx, wanted)
    targets: list[Target] = []
    for stix_id in wanted:
        rows = tuple(sorted(held.get(stix_id, ()), key=_newest))
        if rows:
            kind, owner = _kind(rows, owner_rows.get(stix_id), bury=bury)
            known = before.get(stix_id)
            targets.append(Target(stix_id, kind if known is None else known.kind, owner, rows, known))
    gone = [stix_id for stix_id in wanted if stix_id not in held]
    done = [before[stix_id] for stix_id in gone if stix_id in before]
    return Chosen(targets, [stix_id for stix_id in gone if stix_id not in before], done)


def ids_of_arrival(tx: Tx, one: Arrival) -> list[str]:
    """The objects of which an arrival's versions lie here still."""
    # An import of medallion's data keeps dates that lie before it.
    first = _BEFORE_ALL if one.kind == "import" else one.at - 1
    rows = objects.brought_after(tx, one.collection_id, first, [one.arrival_id])
    return list(dict.fromkeys(row.stix_id for row in rows))


def withdraw(
    door: Door,
    targets: Sequence[Target],
    order: Order,
    *,
    now: Callable[[], int],
    step: Callable[[int], None] = lambda _: None,
) -> Withdrawn:
    """Withdraw objects, everywhere on this node.

    Args:
        door: What the door judges by.
        targets: From `choose`.
        order: Who, why, and who speaks.
        now: Microseconds; each transaction takes its own moment.
        step: Told of the objects done.
    """
    done = Withdrawn()
    kinds = {one.stix_id: one.kind for one in targets}
    places = sorted({row.collection_id for one in targets for row in one.rows})
    for collection_id in places:
        here = [one.stix_id for one in targets if any(row.collection_id == collection_id for row in one.rows)]
        for start in range(0, len(here), STEP):
            part = here[start : start + STEP]

            def work(tx: Tx, place: int = collection_id, part: Sequence[str] = part) -> list[Failure]:
                return _in_collection(tx, door, place, part, kinds, order, now=now())

            done.failures += door.database.retrying(work)
            ingress.afterwards(door, now=now())
            step(len(part))
    failed = {one.stix_id for one in done.failures}
    done.counts.update(kind for stix_id, kind in kinds.items() if stix_id not in failed)
    return done


def needs_author(targets: Iterable[Target]) -> bool:
    """Whether notes are to be written, which need an identity of ours."""
    return any(one.kind != "revoked" for one in targets)


def _kind(rows: Sequence[Held], owner: owners.Owner | None, *, bury: bool) -> tuple[Kind, str]:
    last = rows[-1]
    if last.observable:
        others = {row.origin for row in rows} - {"local"}
        return ("notice", min(others)) if others else ("buried", "local")
    whose = "" if owner is None else owner.owner
    if whose != "local":
        return "notice", whose
    without_versions = last.versionless or last.type == "marking-definition"
    return ("buried" if bury or without_versions else "revoked"), whose


def _newest(row: Held) -> tuple[bool, int, int]:
    return row.revoked, row.version, row.added


def _in_collection(
    tx: Tx,
    door: Door,
    collection_id: int,
    ids: Sequence[str],
    kinds: Mapping[str, Kind],
    order: Order,
    *,
    now: int,
) -> list[Failure]:
    collection = catalog.lock(tx, collection_id)
    withdrawals.put(
        tx,
        [
            Withdrawal(
                stix_id,
                now,
                kinds[stix_id],
                order.actor,
                order.reason,
                "" if kinds[stix_id] == "revoked" else f"note--{uuid.uuid4()}",
            )
            for stix_id in ids
        ],
    )
    known = withdrawals.by_ids(tx, ids)
    held = objects.held_by_ids(tx, [*ids, *(one.carrier for one in known.values())])
    bodies: list[bytes] = []
    going: list[Held] = []
    for stix_id, one in known.items():
        rows = sorted(held.get(stix_id, ()), key=_newest)
        here = [row for row in rows if row.collection_id == collection_id]
        if one.kind == "revoked":
            bodies += _revoked(tx, here, rows, now=now)
        elif here:
            bodies += _note(tx, one, rows, held.get(one.notice_id, ()), collection_id, order.author)
        if one.kind == "buried":
            going += here
        if here:
            details: log.Details = {"kind": one.kind, "reason": one.reason, "in": collection.alias}
            log.record(
                tx, now=now, actor=order.actor, act="withdraw.object", subject=stix_id, details=details
            )
    failures: list[Failure] = []
    if bodies:
        source = Source("withdraw", order.actor)
        report = ingress.admit(tx, door, collection, bodies, source, arrival_id=None, now=now)
        about = {one.carrier: one.stix_id for one in known.values()}
        failures = [
            Failure(about[result.stix_id], collection.alias, result)
            for result in report.results
            if result.failed
        ]
    if going:
        removal.bury(tx, door, collection, going, reason=WITHDRAWN, actor=order.actor, now=now)
    return failures


def _revoked(tx: Tx, here: Sequence[Held], rows: Sequence[Held], *, now: int) -> list[bytes]:
    """The revoked version of each spec version that stands here un-revoked; the same in all collections."""
    bodies: list[bytes] = []
    for spec in sorted({row.spec_version for row in here}):
        if any(row.revoked for row in here if row.spec_version == spec):
            continue
        last = [row for row in rows if row.spec_version == spec][-1]
        body = objects.body_at(tx, last.collection_id, last.added) or b""
        bodies.append(
            body if last.revoked else withdrawing.revoked_version(body, version=last.version, now=now)
        )
    return bodies


def _note(
    tx: Tx,
    one: Withdrawal,
    rows: Sequence[Held],
    notes: Sequence[Held],
    collection_id: int,
    author: str,
) -> list[bytes]:
    """The note about an object, if it does not lie here yet; the same in all collections."""
    if any(row.collection_id == collection_id for row in notes):
        return []
    for row in notes:
        return [objects.body_at(tx, row.collection_id, row.added) or b""]
    marks = {
        ref
        for row in rows
        for ref in marking_refs(objects.body_at(tx, row.collection_id, row.added) or b"{}")
    }
    return [
        withdrawing.notice(
            one.notice_id,
            one.stix_id,
            author=author,
            reason=one.reason,
            markings=sorted(marks),
            rank=max(row.effective_rank for row in rows),
            now=one.at,
        )
    ]
