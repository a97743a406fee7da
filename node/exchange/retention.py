"""Erase content that was kept as long as was agreed, and leave tombstones with the digest.

The smaller of the flow's and the collection's `keep_days` counts; 0 in a collection means for ever. A flow
whose agreement is gone keeps the days it had. What was replaced or set aside goes like what stands.
Owner rows, ledger and digests stay: what was exchanged can be proved without keeping its content.
"""

from __future__ import annotations

from node.audit import log
from node.exchange import quarantine, removal
from node.exchange.door import Door
from node.sharing.links import Link
from node.store import catalog, objects
from node.store.catalog import Collection
from node.store.database import Tx

DAY = 86_400 * 1_000_000
CHUNK = 1_000


def erase_due(door: Door, *, now: int) -> int:
    """Erase everything whose time is over, in transactions of its own; how many bodies went."""
    with door.database.reading() as tx:
        collections = catalog.collections(tx)
        flows = catalog.flow_days(tx)
    agreed = _agreed_days(door, flows)
    by_link = _days_of_links(door, flows, agreed)
    erased = 0
    for collection in collections:
        for flow_id, days in agreed.items():
            kept = _smaller(days, collection.keep_days)
            if kept:
                erased += _erase_flow(door, collection, flow_id, now - kept * DAY, now=now)
        for link, days in by_link.items():
            kept = _smaller(days, collection.keep_days)
            if kept:
                erased += door.database.retrying(
                    lambda tx, number=collection.collection_id, name=link, before=now - kept * DAY: (  # type: ignore[misc]
                        _erase_set_aside(tx, number, name, before, now=now)
                    )
                )
    return erased


def _agreed_days(door: Door, flows: dict[int, tuple[str, int]]) -> dict[int, int]:
    """flow number -> days agreed; 0 for flow 0, which is what our own people brought."""
    agreed = {_flow_name(link.terms.agreement, link.flow, link.partner): link.keep_days for link in _in(door)}
    return {number: agreed.get(name, days) for number, (name, days) in flows.items()}


def _days_of_links(door: Door, flows: dict[int, tuple[str, int]], agreed: dict[int, int]) -> dict[str, int]:
    """incoming link -> days agreed, also of links that are gone; the later agreement counts."""
    days: dict[str, int] = {}
    for number, (name, _) in sorted(flows.items()):
        if number != catalog.LOCAL_FLOW:
            _, flow, partner = name.rsplit("/", 2)
            days[f"{partner}/{flow}/in"] = agreed[number]
    days.update({link.name: link.keep_days for link in _in(door)})
    return days


def _in(door: Door) -> list[Link]:
    return [link for link in door.links if link.direction == "in"]


def _flow_name(agreement: str, flow: str, partner: str) -> str:
    return f"{agreement}/{flow}/{partner}"


def _smaller(agreed: int, collection_days: int) -> int:
    """The days to keep; 0 is for ever."""
    return min((days for days in (agreed, collection_days) if days), default=0)


def _erase_flow(door: Door, collection: Collection, flow_id: int, before: int, *, now: int) -> int:
    erased = 0
    while True:
        done = door.database.retrying(
            lambda tx: _erase(tx, door, collection.collection_id, flow_id, before, now=now)
        )
        erased += done
        if done < CHUNK:
            break
    return erased + door.database.retrying(
        lambda tx: _erase_replaced(tx, collection.collection_id, flow_id, before)
    )


def _erase(tx: Tx, door: Door, collection_id: int, flow_id: int, before: int, *, now: int) -> int:
    collection = catalog.lock(tx, collection_id)
    going = objects.expired(tx, collection_id, flow_id, before, CHUNK)
    if going:
        removal.bury(tx, door, collection, going, reason=removal.ERASED, actor="worker", now=now)
        log.record(
            tx, now=now, actor="worker", act="erase", subject=collection.alias, details={"rows": len(going)}
        )
    return len(going)


def _erase_replaced(tx: Tx, collection_id: int, flow_id: int, before: int) -> int:
    catalog.lock(tx, collection_id)
    return objects.erase_history(tx, collection_id, flow_id, before)


def _erase_set_aside(tx: Tx, collection_id: int, link: str, before: int, *, now: int) -> int:
    catalog.lock(tx, collection_id)
    return quarantine.erase(tx, link, collection_id, before, now=now)
