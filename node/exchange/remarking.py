"""Work in what changed about markings: rows naming a definition, and rows of an id, are ranked again.

A definition may arrive long after the objects that name it. Storing it leaves a task; the task takes
each collection's lock in turn, so that no transaction holds two for long, and feeds advance after it.
Rows that become visible thereby take a new `date_added` (see `placing.rerank`). An owner row is held before
the rows of its id are read, because another collection's writer may be at the same id.

Reads and writes through store.objects and store.owners
"""

from __future__ import annotations

from collections.abc import Sequence

from node.exchange import due, placing
from node.exchange.door import Door
from node.exchange.situation import is_room
from node.sharing.admission import LOCAL
from node.stix import markings
from node.stix.objects import marking_refs
from node.store import catalog, objects, owners
from node.store.catalog import Collection
from node.store.database import Tx
from node.store.objects import Held, HeldBody
from node.store.owners import Task

CHUNK = 2_000


def work_in(door: Door, *, now: int) -> int:
    """Rank again what waits for it, in transactions of its own; how many rows changed.

    Safe to call at any time, from several processes, and again after a crash: the tasks are struck off
    only when every collection has been worked through. A second pass does what the first one left for
    other collections.
    """
    return sum(_work_once(door, now=now) for _ in range(2))


def _work_once(door: Door, *, now: int) -> int:
    with door.database.reading() as tx:
        tasks = owners.tasks(tx)
        if not tasks:
            return 0
        collections = catalog.collections(tx)
    changed = 0
    kinds = {task.kind for task in tasks}
    ids = sorted(task.stix_id for task in tasks if task.kind == "id")
    for collection in sorted(collections, key=lambda one: one.collection_id):
        if kinds & {"marking", "redefined"}:
            changed += _collection_by_marking(door, collection, tasks, now=now)
        if ids:
            changed += door.database.retrying(
                lambda tx, number=collection.collection_id: _ids(tx, door, number, ids, now=now)  # type: ignore[misc]
            )
    with door.database.writing() as tx:
        for task in tasks:
            owners.end_task(tx, task)
    return changed


def _collection_by_marking(door: Door, collection: Collection, tasks: Sequence[Task], *, now: int) -> int:
    """Only rows that name a definition can change, and where it is new, of these only the unknown ones."""
    ids = [task.stix_id for task in tasks if task.kind != "id"]
    unknown = all(task.kind != "redefined" for task in tasks)
    changed = 0
    position: int | None = 0
    while position is not None:
        done, position = door.database.retrying(
            lambda tx, after=position: _chunk(  # type: ignore[misc]
                tx, door, collection.collection_id, ids, after, unknown=unknown, now=now
            )
        )
        changed += done
    return changed


def _chunk(
    tx: Tx, door: Door, collection_id: int, ids: Sequence[str], after: int, *, unknown: bool, now: int
) -> tuple[int, int | None]:
    collection = catalog.lock(tx, collection_id)
    known = owners.definitions(tx)
    rows, until = objects.naming(tx, collection_id, ids, after=after, window=CHUNK, unknown=unknown)
    fresh: list[HeldBody] = []
    for one in rows:
        meanings = owners.meanings_for(
            known, one.held.origin, public=door.parties.public, created_by=one.held.created_by
        )
        rank = markings.rank(marking_refs(one.body), meanings)
        if rank != one.held.rank:
            fresh.append(HeldBody(one.held._replace(rank=rank), one.body))
    changed = _rank(tx, door, collection, [one.held for one in fresh], now=now)
    return changed, until


def _rank(tx: Tx, door: Door, collection: Collection, rows: Sequence[Held], *, now: int) -> int:
    """Write new ranks of rows (already in `rows`), of their owner rows, and of what these restrict."""
    if not rows:
        return 0
    ids = {row.stix_id for row in rows}
    by_place = {(row.collection_id, row.added): row for row in rows}
    before = owners.hold_owners(tx, ids)
    held = objects.held_by_ids(tx, ids)
    rooms = {one.collection_id for one in catalog.collections(tx) if is_room(door, one)}
    after: dict[str, owners.Owner] = {}
    for stix_id, owner in before.items():
        every = [by_place.get((row.collection_id, row.added), row) for row in held.get(stix_id, ())]
        same = [row for row in every if row.version == owner.newest_version]
        if same and not same[0].observable:
            rank = max(row.rank for row in same)
            if _from_rooms(same, rooms) and not all(row.collection_id in rooms for row in every):
                rank = max(rank, owner.rank)  # as `placing` has it: a room loosens nothing elsewhere
            after[stix_id] = owner._replace(rank=rank)
    changed_owners = [owner for stix_id, owner in after.items() if owner != before[stix_id]]
    owners.put_owners(tx, changed_owners)
    ranked: list[tuple[Held, int]] = []
    for stix_id in ids:
        owner_now = after.get(stix_id, before.get(stix_id))
        for row in held.get(stix_id, ()):
            new = by_place.get((row.collection_id, row.added), row)
            if new.collection_id != collection.collection_id:
                continue
            strict = new.rank if new.observable or owner_now is None else max(new.rank, owner_now.rank)
            ranked.append((new, strict))
    unmoved = [(row, strict) for row, strict in ranked if strict == row.effective_rank]
    for row, strict in unmoved:
        if (row.collection_id, row.added) in by_place:
            objects.set_rank(tx, row, rank=row.rank, effective=strict)
    placing.rerank(tx, collection.collection_id, ranked, now=now)
    elsewhere = {
        stix_id: [row for row in held[stix_id] if row.collection_id != collection.collection_id]
        for stix_id in held
    }
    for owner in changed_owners:
        if any(row.collection_id != collection.collection_id for row in held.get(owner.stix_id, ())):
            owners.add_task(tx, "id", owner.stix_id, now=now)
            objects.tighten_elsewhere(
                tx, owner.stix_id, rank=owner.rank, except_collection=collection.collection_id
            )
    due.note_written(
        tx, door, collection, ids, {stix_id: each for stix_id, each in elsewhere.items() if each}
    )
    due.note_removed(tx, door, collection, ids)
    return len(rows)


def _from_rooms(rows: Sequence[Held], rooms: set[int]) -> bool:
    """Whether partners alone brought these rows, into joint rooms."""
    return all(row.collection_id in rooms and row.origin != LOCAL for row in rows)


def _ids(tx: Tx, door: Door, collection_id: int, ids: Sequence[str], *, now: int) -> int:
    """Bring the effective ranks of some ids in one collection in line with their owner rows.

    Remembered pages become invalid even if no rank changes here: rows may have been tightened in place.
    """
    collection = catalog.lock(tx, collection_id)
    owner_rows = owners.hold_owners(tx, ids)
    ranked: list[tuple[Held, int]] = []
    for stix_id, rows in objects.held_by_ids(tx, ids).items():
        for row in rows:
            if row.collection_id == collection_id and not row.observable and stix_id in owner_rows:
                ranked.append((row, max(row.rank, owner_rows[stix_id].rank)))
    changed = placing.rerank(tx, collection.collection_id, ranked, now=now)
    catalog.bump(tx, collection_id, rewritten=bool(ranked))
    if changed:
        due.note_removed(tx, door, collection, [row.stix_id for row, _ in ranked])
    return changed
