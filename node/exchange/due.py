"""Mark ids that feeds must examine again although none of their rows there is new.

Reads   tables withheld, collection, object; writes through `feed_rows`
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from node.exchange import feed_rows, ledger
from node.exchange.companions import DEFINITION, IDENTITY
from node.exchange.door import Door
from node.store import catalog, objects
from node.store.catalog import Collection
from node.store.database import Tx
from node.store.objects import Held


def note_written(
    tx: Tx,
    door: Door,
    collection: Collection,
    ids: Iterable[str],
    elsewhere: Mapping[str, Sequence[Held]],
) -> None:
    """Mark as due what a write concerns beyond its own new rows.

    Args:
        tx: The writing transaction.
        door: For the links.
        collection: Where rows were written or removed.
        ids: Their ids.
        elsewhere: Rows of these ids in other collections, whose owner row may have changed.
    """
    if not any(link.direction == "out" for link in door.links):
        return
    wanted = set(ids)
    pairs = set(ledger.waiting_for(tx, wanted)) | _as_companions(tx, door, collection, wanted)
    aliases = {one.collection_id: one.alias for one in catalog.collections(tx)} if elsewhere else {}
    for stix_id in wanted & set(elsewhere):
        for row in elsewhere[stix_id]:
            pairs.update((link.name, stix_id) for link in door.out_links(aliases[row.collection_id]))
    feed_rows.add_due(tx, pairs)


def note_removed(tx: Tx, door: Door, collection: Collection, ids: Iterable[str]) -> None:
    """Mark ids as due whose rows were removed, re-ranked or re-dated in place."""
    wanted = set(ids)
    pairs = set(ledger.waiting_for(tx, wanted)) | _as_companions(tx, door, collection, wanted)
    pairs.update((link.name, stix_id) for link in door.out_links(collection.alias) for stix_id in wanted)
    feed_rows.add_due(tx, pairs)


def _as_companions(tx: Tx, door: Door, collection: Collection, ids: Iterable[str]) -> set[tuple[str, str]]:
    """Definitions and organisations, on the links of other collections, whose objects may name them.

    Persons are left out by their rows; of an id that is no longer held nothing tells, so it is taken.
    """
    named = {stix_id for stix_id in ids if stix_id.startswith(DEFINITION)}
    identities = {stix_id for stix_id in ids if stix_id.startswith(IDENTITY)}
    held = objects.held_by_ids(tx, identities)
    named.update(
        stix_id
        for stix_id in identities
        if stix_id not in held or any(row.organisation for row in held[stix_id])
    )
    others = [link for link in door.links if link.direction == "out" and link.collection != collection.alias]
    return {(link.name, stix_id) for link in others for stix_id in named}
