"""What collections that ask for structure alone have kept although it fails the schemas of STIX.

The flag is set once, when the row is written (`ingress`), and goes with the row; what is wrong with the
object follows from its bytes and is told again from them.

Reads   objects. Writes nothing.
"""

from __future__ import annotations

from node.stix.validation import check
from node.store import objects
from node.store.catalog import Collection
from node.store.database import Tx
from node.store.objects import Held


def fault_of(tx: Tx, row: Held) -> str | None:
    """What is wrong with a row that was flagged; None for one that was not."""
    found = objects.flagged_at(tx, row.collection_id, row.added)
    if found is None:
        return None
    kind, spec_version, body = found
    return check(body, kind, spec_version) or "it failed the schemas when it came"


def amount(tx: Tx, collection: Collection) -> int:
    """How many rows of a collection are flagged."""
    return objects.flagged_amount(tx, collection.collection_id)
