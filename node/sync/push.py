"""Push: bring a partner what its feed holds, and count as done only what the partner confirms.

Rule    The feed decides what may go, again at the moment it leaves. To our own kind go numbered batches
        that are applied once (`batches.py`); to other software go plain POSTs, believed by status and
        manifest (`foreign.py`). A round with nothing to bring is one GET of the collection.

Reads   the feed; writes through `exchange.feeds`, `exchange.sessions`, `exchange.links`
"""

from __future__ import annotations

from collections.abc import Callable

from node.errors import LockHeld, NodeError, UsageError
from node.exchange import links
from node.exchange.door import Door
from node.sharing.links import Link
from node.store import catalog
from node.sync import batches, foreign
from node.sync.client import Partner
from node.sync.delivery import Delivery, advance
from node.sync.leases import Hold, held_already
from node.sync.own_kind import headers_of, stop_if_closed
from node.sync.reports import PushReport


def push(
    door: Door,
    link: Link,
    client: Partner,
    *,
    now: Callable[[], int],
    pause: Callable[[float], bool],
    hold: Hold = held_already,
) -> PushReport:
    """What one run brought; an error of the partner ends it and is part of the report.

    Args:
        door: What the door judges by.
        link: An outgoing link that we carry.
        client: Its partner.
        now: Microseconds.
        pause: Waits that many seconds for a pending status; True when the run must end.
        hold: Called before anything is sent, or written but the feed.

    Raises:
        LockHeld: Another run acts for the partner.
    """
    report = PushReport(link.name)
    try:
        delivery = _begin(door, link, client, now, pause, hold, report)
        if report.stopped is None:
            advance(delivery)
            if link.partner_kind == "stixnode":
                batches.deliver(delivery)
            else:
                foreign.deliver(delivery)
    except LockHeld:
        raise
    except NodeError as cause:
        report.error = cause
    report.check()
    return report


def _begin(
    door: Door,
    link: Link,
    client: Partner,
    now: Callable[[], int],
    pause: Callable[[float], bool],
    hold: Hold,
    report: PushReport,
) -> Delivery:
    with door.database.reading() as tx:
        collection = catalog.find_collection(tx, link.collection)
        if collection is None:
            raise UsageError(
                f"The flow {link.flow} comes from the collection {link.collection}, which is not there.",
                remedy=f"Run: stixnode collection add {link.collection}",
            )
        stop_if_closed(tx, report, link, collection, now=now())
        state = links.state(tx, link.name)
    headers, remote = headers_of(collection, link), link.remote or collection.id
    delivery = Delivery(door, link, client, now, remote, headers, report, pause, hold)
    if state is not None:
        delivery.failures, delivery.last_success = state.failures, state.last_success
    return delivery
