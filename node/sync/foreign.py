"""Push to other software: plain POSTs, and nothing counts as done because it was sent.

Rule    An object is done when the status says so or, failing that, the manifest: some servers report a
        duplicate as a failure, some leave a status pending for ever or forget it, and one may say yes to
        all and keep nothing, so a sample of each batch is looked up. Unknown is not failed, and never
        done: it is offered again, and looked up again, in the next round. 413 and 422 split the batch
        until the object that the partner does not take is alone. A partner that asks us to wait is asked
        nothing more in the round, and neither is any once the link is closed: what is known by then is
        settled, and a failure that could not be looked up counts as unknown.

        What was taken may be lost there, by a restore or a collection made anew, and nothing would tell.
        So the first round of each day, and every one while the link fails, looks up the last that the
        partner took. Nothing is offered again for it: that is `reconcile --repair`, a person's decision.

Reads   the feed; writes through `exchange.feeds`
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

from node.clock import MICROSECONDS
from node.errors import PartnerError, PartnerRefused
from node.exchange import egress, feed_rows
from node.exchange.egress import Item
from node.exchange.ledger import Key
from node.store.database import Tx
from node.sync.answers import Status
from node.sync.delivery import Delivery, Sorted, envelope_of, next_items, sort_by, told_apart
from node.sync.refusals import AskedToWait
from node.sync.reports import Stop

MOST_OBJECTS = 100
MOST_UNKNOWN = 1000
_POLLS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
_IDS_AT_ONCE = 25
_SAMPLE = 10
_LAST_TAKEN, _LOOKED_BACK_DAYS = 20, 30  # older than that, it may have been erased there lawfully
_DAY = 86_400 * MICROSECONDS
_MOST_PAGES = 100


def deliver(delivery: Delivery) -> None:
    """Bring everything that the feed holds, batch by batch; what stays unknown is passed over."""
    flags = delivery.client.collection(delivery.remote)
    if not flags.can_write:
        delivery.report.stop(
            Stop.NO_RIGHT,
            f"{delivery.link.partner} does not let us write to its collection {delivery.remote}.",
            f"Ask {delivery.link.partner} for the right to write, or let it fetch (carry in the agreement).",
        )
        return
    with delivery.door.database.reading() as tx:
        taken = _last_taken(tx, delivery) if _is_to_look(delivery) else set()
        some = bool(feed_rows.to_send(tx, delivery.link.name, 1))
    if some:
        _deliver_all(delivery)
    if taken and not delivery.report.ended:
        _look_for(delivery, taken)


def _deliver_all(delivery: Delivery) -> None:
    delivery.hold()
    tried: set[Key] = set()
    bytes_tried = 0
    while True:
        batch = _next(delivery, tried, bytes_tried)
        if not batch:
            break
        unknown = _bring(delivery, batch)
        tried.update(unknown)
        bytes_tried += sum(len(item.body) for item in batch if item.key in tried)
        if len(tried) >= MOST_UNKNOWN or delivery.report.ended:
            break
    if tried and not delivery.report.ended:
        delivery.report.stop(
            Stop.UNCONFIRMED,
            f"{delivery.link.partner} has not confirmed {len(tried)} objects.",
            "They are looked up and offered again in the next round.",
        )


def _is_to_look(delivery: Delivery) -> bool:
    """Whether it is the first round of a day, of which each link has its own beginning, or the link fails."""
    if delivery.failures or delivery.last_success is None:
        return delivery.failures > 0
    shift = hashlib.sha256(delivery.link.name.encode()).digest()[0] * _DAY // 256
    return (delivery.now() + shift) // _DAY != (delivery.last_success + shift) // _DAY


def _last_taken(tx: Tx, delivery: Delivery) -> set[str]:
    since = delivery.now() - _LOOKED_BACK_DAYS * _DAY
    rows = feed_rows.latest(tx, delivery.link.name, since, _LAST_TAKEN)
    return {row.stix_id for row in rows if row.state == feed_rows.SETTLED}


def _look_for(delivery: Delivery, taken: Collection[str]) -> None:
    """End the round with a fault if most of what the partner took last is not there any more."""
    try:
        page = delivery.client.manifest_page(delivery.remote, ids=sorted(taken), next=None, limit=1000)
    except AskedToWait as cause:
        delivery.report.error = cause
        return
    except PartnerError:
        return  # a manifest that is refused says nothing
    there = {record.stix_id for record in page.records} & set(taken)
    if page.more or len(there) * 2 >= len(taken):
        return
    link = delivery.link.name
    delivery.report.stop(
        Stop.UNCONFIRMED,
        f"{delivery.link.partner} took {len(taken)} objects last, and {len(taken) - len(there)} of them are"
        f" not there any more: its collection was made anew, put back or emptied.",
        f"Run: stixnode reconcile {link}; with --repair what is missing goes again.",
    )


def _next(delivery: Delivery, tried: set[Key], bytes_tried: int) -> list[Item]:
    found = next_items(delivery, besides=len(tried), bytes_besides=bytes_tried, at_most=MOST_OBJECTS)
    fresh = [item for item in found if item.key not in tried]
    return told_apart(fresh[:MOST_OBJECTS])


def _bring(delivery: Delivery, items: Sequence[Item]) -> list[Key]:
    """Send some objects and settle what became of them; the keys of which nobody knows."""

    def leave(tx: Tx) -> bool:
        if delivery.closed(tx):
            return False
        egress.note_sent(tx, delivery.link, items)
        return True

    if not items or delivery.report.ended or not delivery.door.database.retrying(leave):
        return []
    try:
        status = delivery.client.add_objects(delivery.remote, envelope_of(items))
        status = _final(delivery, status)
    except PartnerRefused as cause:
        if cause.http_status not in (413, 422):
            delivery.unanswered(items)
            raise
        if len(items) == 1:
            _settle(delivery, Sorted([], [], [(items[0].key, cause.problem)], []))
            return []
        half = len(items) // 2
        first = _bring(delivery, _still(delivery, items[:half]))
        return [*first, *_bring(delivery, _still(delivery, items[half:]))]
    except BaseException:
        delivery.unanswered(items)
        raise
    delivery.report.batches += 1
    said = sort_by(status, [item.key for item in items])
    said = _contradicted(delivery, _looked_up(delivery, said))
    _settle(delivery, said)
    return said.unknown


def _still(delivery: Delivery, items: Sequence[Item]) -> list[Item]:
    """Those that may leave now: the answer to what went before may have taken a minute."""
    return egress.bodies_of(delivery.door, delivery.link, [item.key for item in items], now=delivery.now())


def _final(delivery: Delivery, status: Status) -> Status:
    """The status when nothing is pending any more, or the last we got within our patience."""
    for seconds in _POLLS:
        if status.complete or not status.id:
            return status
        if delivery.pause(seconds) or _closed(delivery):
            return status
        try:
            status = delivery.client.status(status.id)
        except AskedToWait as cause:
            delivery.report.error = cause
            return status
        except PartnerError:
            return status  # forgotten or out of reach: the manifest may know
    return status


def _closed(delivery: Delivery) -> bool:
    with delivery.door.database.reading() as tx:
        return delivery.closed(tx)


def _looked_up(delivery: Delivery, said: Sorted) -> Sorted:
    """The same, with what the manifest says of failures and of what no word named."""
    doubtful = [key for key, _ in said.failed] + said.unknown
    if not doubtful:
        return said
    there = set() if delivery.report.ended else _in_manifest(delivery, doubtful)
    failed = [(key, message) for key, message in said.failed if key not in there]
    # Some servers call a duplicate a failure: one that could not be looked up is not believed yet.
    unknown = [key for key, _ in failed] if delivery.report.ended else []
    return Sorted(
        taken=said.taken + [key for key in said.unknown if key in there],
        held_before=said.held_before + [key for key, _ in said.failed if key in there],
        failed=[] if unknown else failed,
        unknown=[key for key in said.unknown if key not in there] + unknown,
    )


def _contradicted(delivery: Delivery, said: Sorted) -> Sorted:
    """The same, with nothing taken when the partner's own manifest has not one of a sample of it.

    A server that acknowledges everything and keeps nothing would be believed for ever. Versions do not
    count here: some print them shorter. A manifest that is refused, or has more pages, contradicts nothing.
    """
    sample = sorted({key.stix_id for key in said.taken})[:_SAMPLE]
    if not sample or delivery.report.ended:
        return said
    try:
        page = delivery.client.manifest_page(delivery.remote, ids=sample, next=None, limit=1000)
    except AskedToWait as cause:
        delivery.report.error = cause
        return said
    except PartnerError:
        return said
    if page.more or {record.stix_id for record in page.records} & set(sample):
        return said
    delivery.report.warn(
        f"{delivery.link.partner} says that it has stored {len(said.taken)} objects, and its manifest"
        f" has none of {len(sample)} looked up; they count as unconfirmed."
    )
    return Sorted([], said.held_before, said.failed, said.unknown + said.taken)


def _in_manifest(delivery: Delivery, keys: Sequence[Key]) -> set[Key]:
    """Which of the versions the partner's manifest names; none where it shows us no manifest."""
    ids = sorted({key.stix_id for key in keys})
    named: set[tuple[str, int | None]] = set()
    try:
        for start in range(0, len(ids), _IDS_AT_ONCE):
            named |= _named(delivery, ids[start : start + _IDS_AT_ONCE])
    except AskedToWait as cause:
        delivery.report.error = cause
    except PartnerError as cause:
        delivery.report.warn(f"The manifest could not be asked: {cause.problem}")
    known = {stix_id for stix_id, _ in named}
    return {
        key
        for key in keys
        if (key.stix_id, key.version) in named or (key.version == 0 and key.stix_id in known)
    }


def _named(delivery: Delivery, ids: Sequence[str]) -> set[tuple[str, int | None]]:
    named: set[tuple[str, int | None]] = set()
    position: str | None = None
    for _ in range(_MOST_PAGES):
        page = delivery.client.manifest_page(delivery.remote, ids=ids, next=position, limit=1000)
        before = len(named)
        named |= {(record.stix_id, record.version) for record in page.records}
        if not page.more or page.next is None or len(named) == before:
            break
        position = page.next
    return named


def _settle(delivery: Delivery, said: Sorted) -> None:
    report, link = delivery.report, delivery.link.name

    def settle(tx: Tx) -> None:
        feed_rows.settle(tx, link, [*said.taken, *said.held_before], feed_rows.SETTLED)
        for key, message in said.failed:
            feed_rows.settle(tx, link, [key], feed_rows.FAILED, message)
        known = {"sent": len(said.taken), "unchanged": len(said.held_before)}
        delivery.count(tx, **known, failed=len(said.failed), unconfirmed=len(said.unknown))

    delivery.door.database.retrying(settle)
    report.considered += len(said.taken) + len(said.held_before) + len(said.failed) + len(said.unknown)
    report.sent += len(said.taken)
    report.unchanged += len(said.held_before)
    report.failed += len(said.failed)
    report.unconfirmed += len(said.unknown)
    report.name("sent", (key.stix_id for key in said.taken))
    report.name("failed", (key.stix_id for key, _ in said.failed))
