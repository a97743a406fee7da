"""Take objects out: DELETE by our own people, and what `undelete` and retention do with tombstones.

A deletion is never passed on. It leaves a tombstone by key and digest, so that a partner's listing does
not bring the object back; a local POST or import of the same bytes lifts it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from node.audit import log
from node.exchange import due, ledger, placing, withdrawals
from node.exchange.door import Door
from node.exchange.selection import Versions, chosen
from node.sharing.admission import Flags, flags_of
from node.store import catalog, objects, owners
from node.store.catalog import Collection
from node.store.database import Tx
from node.store.objects import Held
from node.store.owners import Tombstone

DELETED, ERASED = "deleted_here", "erased"


def remove(
    tx: Tx,
    door: Door,
    collection: Collection,
    stix_id: str,
    *,
    versions: Versions | None,
    spec_versions: tuple[str, ...] | None,
    actor: str,
    now: int,
    sees: Callable[[Held], bool] | None = None,
) -> int:
    """Delete versions of one object from one collection; how many rows went.

    Args:
        tx: A transaction that holds the collection's lock.
        door: For the feeds that must learn of it.
        collection: Where to delete.
        stix_id: The object.
        versions: Which versions; None for all (TAXII 2.1 section 5.7 wants a following GET to be 404).
        spec_versions: Only these spec versions; None for all.
        actor: Who deletes, for the tombstone and the audit.
        now: Microseconds.
        sees: Whether who deletes may see a row; None for all.
    """
    rows = [
        row
        for row in objects.held_by_ids(tx, [stix_id]).get(stix_id, ())
        if row.collection_id == collection.collection_id and (sees is None or sees(row))
    ]
    going = chosen(rows, versions or Versions(last=False, every=True), spec_versions, every_spec=True)
    if going:
        bury(tx, door, collection, going, reason=DELETED, actor=actor, now=now)
        log.record(
            tx,
            now=now,
            actor=actor,
            act="delete",
            subject=stix_id,
            details={"from": collection.alias, "rows": len(going)},
        )
    return len(going)


def bury(
    tx: Tx, door: Door, collection: Collection, going: Sequence[Held], *, reason: str, actor: str, now: int
) -> None:
    """Remove rows, leave tombstones, and put in order what depended on them.

    An older version that becomes last again takes a new `date_added`: see `placing.reflag`.
    """
    ids = sorted({row.stix_id for row in going})
    known = owners.owners(tx, ids)
    buried = [(row, row.digest) for row in going]
    if reason in (DELETED, ERASED):
        buried += _other_texts(tx, door, collection, going)
    owners.bury(
        tx,
        [
            Tombstone(
                row.collection_id,
                row.stix_id,
                row.spec_version,
                0 if row.versionless else row.version,
                digest,
                known[row.stix_id].owner if row.stix_id in known else "",
                reason,
                actor,
                now,
            )
            for row, digest in buried
        ],
    )
    for row in going:
        objects.remove(tx, row)
    held = objects.held_by_ids(tx, ids)
    flagged: list[tuple[Held, Flags]] = []
    for stix_id in ids:
        rows = [row for row in held.get(stix_id, ()) if row.collection_id == collection.collection_id]
        if not rows:
            continue
        flags = flags_of([(row.spec_version, row.version, row.revoked) for row in rows])
        flagged.extend(zip(rows, flags, strict=True))
    placing.reflag(tx, collection.collection_id, flagged, now=now)
    catalog.bump(tx, collection.collection_id, rewritten=True)
    for row in going:
        held_still = any(other.origin == row.origin for other in held.get(row.stix_id, ()))
        if row.type == "marking-definition" and not held_still:
            owners.drop_definition(tx, row.stix_id, row.origin, now=now)
            catalog.bump_markings(tx)
    due.note_removed(tx, door, collection, ids)


def _other_texts(
    tx: Tx, door: Door, collection: Collection, going: Sequence[Held]
) -> list[tuple[Held, bytes]]:
    """Other texts of the very versions that go, which partners brought here and which did not stand.

    They are removed with the version: the next listing would otherwise store what was only kept out by ours.
    """
    rows = {(row.stix_id, row.spec_version, row.version): row for row in going if not row.versionless}
    here = {link.name for link in door.links if link.collection == collection.alias}
    return [
        (rows[line[:3]], line.digest)
        for lines in ledger.received(tx, {row.stix_id for row in going}).values()
        for line in lines
        if line.outcome == "variant" and line.link in here and line[:3] in rows
    ]


def undelete(tx: Tx, stix_id: str, *, actor: str, now: int) -> list[Tombstone]:
    """Lift an id's tombstones, so that the partner's next listing, or an import, brings it again.

    Returns:
        The tombstones that were lifted; empty when there were none. The caller makes the incoming links
        of these collections list from the start.
    """
    lifted = owners.tombstones_of(tx, stix_id)
    for stone in lifted:
        catalog.lock(tx, stone.collection_id)
        owners.lift(tx, stone)
    if lifted:
        withdrawals.lift(tx, stix_id)
        log.record(
            tx, now=now, actor=actor, act="undelete", subject=stix_id, details={"versions": len(lifted)}
        )
    return lifted
