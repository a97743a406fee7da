"""A partner was compromised: what it brought since then goes back behind the quarantine.

Rule    Nothing is lost and nothing comes again by itself: the bytes wait in the quarantine, and a tombstone
        keeps the partner's next listing from bringing them in unasked. What stood under the same key before
        stands again, and an older version becomes last again. A row that another partner brought as well
        stays. The transactions take a thousand ids each, and a run that was cut short is finished by the
        same command: what is out already is not found again.

        A row came since the moment when its arrival began since then; of the pull that was under way at
        the moment, when its date is later. A row that took a new date meanwhile may so be one too many: it
        waits for a person, who lets it in again.

Reads   arrival, link, object, object_history, received; writes through `quarantine`, `removal`, `ingress`
        and `owners`
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from node.audit import log
from node.exchange import arrivals, ingress, ledger, links, quarantine, removal
from node.exchange.arrivals import Arrival
from node.exchange.door import Door
from node.exchange.feeds import key_of
from node.exchange.ingress import Source
from node.exchange.ledger import Key
from node.store import catalog, objects, owners
from node.store.catalog import Collection
from node.store.database import Database, Tx
from node.store.objects import Held

COMPROMISED = "compromised"
STEP = 1_000
_EVERY = 10_000_000
_HELD_HERE = ("stored", "restated", "duplicate")


@dataclass(frozen=True, slots=True)
class Suspect:
    """What is to be taken out.

    Args:
        partner: Who was compromised.
        since: Microseconds.
    """

    partner: str
    since: int


class Found(NamedTuple):
    """What one collection holds that a partner brought since the moment.

    Args:
        going: Rows that go behind the quarantine.
        staying: Rows that another partner brought as well.
    """

    collection: Collection
    going: list[Held]
    staying: list[Held]


@dataclass(slots=True)
class Taken:
    """What was done.

    Args:
        out: Alias -> versions that went behind the quarantine.
        again: Alias -> texts that stand again in place of what the partner made of them.
    """

    out: dict[str, int] = field(default_factory=dict)
    again: dict[str, int] = field(default_factory=dict)


def find(tx: Tx, suspect: Suspect) -> list[Found]:
    """What a partner brought since a moment and what lies here still, by collection; changes nothing."""
    since = _arrivals(tx, suspect)
    found: list[Found] = []
    for collection in catalog.collections(tx):
        mine = {number: one for number, one in since.items() if one.collection_id == collection.collection_id}
        rows = _rows(tx, collection, mine, suspect) if mine else []
        others = _brought_by_others(tx, rows, suspect.partner)
        if rows:
            going = [row for row in rows if key_of(row) not in others]
            found.append(Found(collection, going, [row for row in rows if key_of(row) in others]))
    return found


def let_pages_end(database: Database) -> None:
    """Return when no page is being stored any more that was begun before the partner was closed.

    Whoever stores holds the collection's lock and looks under it whether the link is open.
    """
    with database.reading() as tx:
        collections = catalog.collections(tx)
    for one in collections:
        database.retrying(partial(catalog.lock, collection_id=one.collection_id))


def take_out(
    door: Door, suspect: Suspect, *, actor: str, now: Callable[[], int], step: Callable[[int], None]
) -> Taken:
    """Put everything that `find` finds behind the quarantine.

    Args:
        door: What the door judges by.
        suspect: The partner and the moment.
        actor: Who does it.
        now: Microseconds; each transaction takes its own moment.
        step: Told of the rows done.
    """
    with door.database.reading() as tx:
        found = find(tx, suspect)
        sources = _arrivals(tx, suspect)
    done = Taken()
    for collection, going, _ in found:
        ids = sorted({row.stix_id for row in going})
        for start in range(0, len(ids), STEP):
            part = set(ids[start : start + STEP])
            rows = [row for row in going if row.stix_id in part]

            def work(tx: Tx, rows: Sequence[Held] = rows, place: Collection = collection) -> tuple[int, int]:
                return _take(tx, door, place, rows, sources, suspect, actor, now=now())

            out, again = door.database.retrying(work)
            ingress.afterwards(door, now=now())
            done.out[collection.alias] = done.out.get(collection.alias, 0) + out
            done.again[collection.alias] = done.again.get(collection.alias, 0) + again
            step(out)
    return done


def _arrivals(tx: Tx, suspect: Suspect) -> dict[int, Arrival]:
    """The arrivals of a partner's links since the moment, and of each link the last pull before.

    What a person let in again, and what an earlier run put back, is not asked about once more.
    """
    names = [name for name, state in links.states(tx).items() if state.partner == suspect.partner]
    found = [one for name in sorted(names) for one in arrivals.since(tx, name, suspect.since)]
    accepted = quarantine.entries(
        tx, state="accepted", links=names, reason=COMPROMISED, limit=_EVERY, bodies=False
    )
    again = {each.entry for each in accepted}
    return {one.arrival_id: one for one in found if one.kind != "restore" and one.source not in again}


def _rows(tx: Tx, collection: Collection, since: dict[int, Arrival], suspect: Suspect) -> list[Held]:
    first = min(suspect.since, *(one.at for one in since.values())) - 1
    return [
        row
        for row in objects.brought_after(tx, collection.collection_id, first, list(since))
        if row.origin == suspect.partner
        and (since[row.arrival_id].at >= suspect.since or row.added >= suspect.since)
    ]


def _brought_by_others(tx: Tx, rows: Sequence[Held], partner: str) -> set[Key]:
    found: set[Key] = set()
    lines = ledger.received(tx, {row.stix_id for row in rows})
    for row in rows:
        found.update(
            key_of(row)
            for line in lines.get(row.stix_id, ())
            if line.partner != partner and line.outcome in _HELD_HERE and Key(*line[:4]) == key_of(row)
        )
    return found


def _take(
    tx: Tx,
    door: Door,
    place: Collection,
    rows: Sequence[Held],
    sources: dict[int, Arrival],
    suspect: Suspect,
    actor: str,
    *,
    now: int,
) -> tuple[int, int]:
    collection = catalog.lock(tx, place.collection_id)
    ids = sorted({row.stix_id for row in rows})
    bodies = {one.held: one.body for one in objects.bodies_by_ids(tx, collection.collection_id, ids)}
    keys = {key_of(row) for row in rows}
    going = [held for held in bodies if key_of(held) in keys and held.arrival_id in sources]
    for held in going:
        quarantine.set_aside(
            tx,
            sources[held.arrival_id].link,
            collection.collection_id,
            key_of(held),
            bodies[held],
            reason=COMPROMISED,
            detail=f"It came when {suspect.partner} was compromised, and was taken out by {actor}.",
            arrival_id=held.arrival_id,
            now=now,
        )
    if not going:
        return 0, 0
    removal.bury(tx, door, collection, going, reason=COMPROMISED, actor=actor, now=now)
    again = sum(_put_back(tx, door, collection, held, suspect, actor, now=now) for held in going)
    _rank_again(tx, ids, now=now)
    log.record(
        tx,
        now=now,
        actor=actor,
        act="stop.compromised",
        subject=f"partner:{suspect.partner}",
        details={"from": collection.alias, "rows": len(going), "put_back": again},
    )
    return len(going), again


def _put_back(
    tx: Tx, door: Door, collection: Collection, held: Held, suspect: Suspect, actor: str, *, now: int
) -> bool:
    """Let the text stand again that this one replaced under its key, if it was not the partner's doing."""
    if held.versionless:
        return False
    for one in objects.replaced_under(tx, held, since=suspect.since):
        if one.origin == suspect.partner and one.added >= suspect.since:
            continue
        link = None if one.origin == "local" else door.link_of(one.origin, collection.alias, "in")
        if one.origin != "local" and link is None:
            return False
        source = Source("restore", actor, link, place=f"as it stood before {suspect.partner} replaced it")
        report = ingress.admit(
            tx, door, collection, [one.body], source, arrival_id=None, now=now, accepted=link is not None
        )
        return not report.results[0].failed
    return False


def _rank_again(tx: Tx, ids: Sequence[str], *, now: int) -> None:
    """What is left of an id is no longer as restricted as a version that went."""
    held = objects.held_by_ids(tx, ids)
    before = owners.hold_owners(tx, ids)
    changed: list[owners.Owner] = []
    for stix_id, row in before.items():
        left = held.get(stix_id, ())
        newest = max((one.version for one in left), default=None)
        if newest is None or newest >= row.newest_version:
            continue
        rank = max(one.rank for one in left if one.version == newest)
        changed.append(owners.Owner(stix_id, row.owner, rank, newest))
    owners.set_back(tx, changed)
    for row in changed:
        owners.add_task(tx, "id", row.stix_id, now=now)
