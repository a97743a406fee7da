"""The program with a fault: a batch counts as settled from the moment it is sent.

    python -m tests.torture.planted_settlement work --once --config FILE

For the control of test_kill.py alone. The gap is held open, so that the first kills find it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from node.cli.main import main
from node.exchange import feed_rows
from node.exchange.egress import Item
from node.exchange.ledger import Key
from node.sync import batches
from node.sync.delivery import Delivery

GAP_SECONDS = 0.1

_bring = batches._bring


def settled_first(delivery: Delivery, keys: list[Key], items: Sequence[Item], silent: dict[Key, int]) -> bool:
    """What `batches._bring` must not be."""
    delivery.door.database.retrying(
        lambda tx: feed_rows.settle(tx, delivery.link.name, keys, feed_rows.SETTLED)
    )
    time.sleep(GAP_SECONDS)
    return _bring(delivery, keys, items, silent)


if __name__ == "__main__":
    batches._bring = settled_first
    main()
