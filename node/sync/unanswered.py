"""Objects of which a partner's complete answer said no word: asked about again, but not for ever.

Rule    An object without a word stays to be sent. It is passed over for the rest of the round and goes
        with a later batch, then as the only one of its id, so that a word by id is enough. After three
        answers without a word it has failed for these bytes: what a partner cannot name must not be
        carried to it for ever.

Reads and writes the message of feed rows, through `exchange.feed_rows`: the count stands in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from node.exchange import feed_rows
from node.exchange.ledger import Key
from node.store.database import Tx

MOST_ANSWERS = 3
_NOTE = re.compile(r"no word of it in ([0-9]+) of [0-9]+ answers")


def before(tx: Tx, link: str, ids: Iterable[str]) -> dict[Key, int]:
    """How many answers had no word of a version; those alone that any had none of.

    Args:
        link: Name of the link.
        ids: Of which objects.
    """
    counts: dict[Key, int] = {}
    for row in feed_rows.by_ids(tx, link, ids):
        found = _NOTE.match(row.message) if row.state == feed_rows.SENT else None
        if found is not None:
            counts[row.key] = int(found[1])
    return counts


def note(tx: Tx, link: str, keys: Sequence[Key]) -> list[Key]:
    """Those that have failed now; an answer had no word of any of the given.

    Args:
        link: Name of the link.
        keys: Versions that were sent and that a complete answer does not name.
    """
    counts = before(tx, link, [key.stix_id for key in keys])
    failed: list[Key] = []
    for key in keys:
        count = counts.get(key, 0) + 1
        text = f"no word of it in {count} of {MOST_ANSWERS} answers"
        state = feed_rows.SENT
        if count >= MOST_ANSWERS:
            state = feed_rows.FAILED
            failed.append(key)
        feed_rows.settle(tx, link, [key], state, text)
    return failed
