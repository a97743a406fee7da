"""Erase content that was kept as long as was agreed, and leave tombstones with the digest.

The smaller of the flow's and the collection's `keep_days` counts; 0 in a collection means for ever.
Owner rows, ledger and digests stay: what was exchanged can be proved without keeping its content.
"""

from __future__ import annotations

from node.audit import log
from node.exchange import removal
from node.exchange.door import Door
from node.store import catalog, objects
from node.store.catalog import Collection
from node.store.database import Tx

DAY = 86_400 * 1_000_000
CHUNK = 1_000


def erase_due(door: Door, *, now: int) -> int:
    """Erase everything whose time is over, in transactions of its own; how many rows went."""
    with door.database.reading() as tx:
        collections = catalog.collections(tx)
        flows = catalog.flows(tx)
    erased = 0
    for collection in collections:
        for flow_id, days in _limits(
            door, collection, {number: name for number, (name, _) in flows.items()}
        ).items():
            if days <= 0:
                continue
            while True:
                done = door.database.retrying(
                    lambda tx, number=collection.collection_id, flow=flow_id, before=now - days * DAY: _erase(  # type: ignore[misc]
                        tx, door, number, flow, before, now=now
                    )
                )
                erased += done
                if done < CHUNK:
                    break
    return erased


def _limits(door: Door, collection: Collection, flows: dict[int, str]) -> dict[int, int]:
    """flow number -> days to keep, for one collection; flow 0 is what our own people brought."""
    limits = {0: collection.keep_days}
    for number, name in flows.items():
        limits[number] = collection.keep_days
        for link in door.links:
            named = f"{link.terms.agreement}/{link.flow}/{link.partner}"
            if link.direction == "in" and named == name and link.collection == collection.alias:
                limits[number] = min(
                    days for days in (link.keep_days, collection.keep_days or link.keep_days) if days
                )
    return limits


def _erase(tx: Tx, door: Door, collection_id: int, flow_id: int, before: int, *, now: int) -> int:
    collection = catalog.lock(tx, collection_id)
    going = objects.expired(tx, collection_id, flow_id, before, CHUNK)
    if going:
        removal.bury(tx, door, collection, going, reason=removal.ERASED, actor="worker", now=now)
        log.record(
            tx, now=now, actor="worker", act="erase", subject=collection.alias, details={"rows": len(going)}
        )
    return len(going)
