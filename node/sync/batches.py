"""Push to our own kind: numbered batches, each applied once, however often it must be sent.

Rule    A batch is stored as a list of keys before its first byte leaves, one at a time. A resend keeps
        its number and leaves out what was restated or may no longer leave, down to an empty envelope.
        The answer settles only the stored keys. When the partner has lost its history, everything is
        forgotten on both directions of the flow and offered again in a new session.

Two epochs play here: ours, under which the session was begun, and the partner's, kept with the link.

Reads   the feed and the session; writes through `exchange.feeds`, `exchange.sessions`, `exchange.links`,
        and forgets bookmarks
"""

from __future__ import annotations

from collections.abc import Sequence

from node.errors import PartnerRefused
from node.exchange import egress, feed_rows, feeds, links, sessions
from node.exchange.egress import Item
from node.exchange.ledger import Key
from node.exchange.sessions import SessionOut
from node.store.database import Tx
from node.sync import bookmarks
from node.sync.answers import Status
from node.sync.delivery import (
    SET_ASIDE,
    Delivery,
    Sorted,
    advance,
    envelope_of,
    next_items,
    sort_by,
    told_apart,
)
from node.sync.own_kind import BATCH, EPOCH, same_terms, stop_for_terms
from node.sync.refusals import Conflict
from node.sync.reports import Stop

MOST_OBJECTS = 1000
_MOST_SESSIONS = 2
_MOST_BATCHES = 100_000


def deliver(delivery: Delivery) -> None:
    """Bring everything that the feed holds, batch by batch."""
    try:
        flags = delivery.client.collection(delivery.remote, delivery.headers)
    except Conflict as cause:
        if cause.code != "terms_differ":
            raise
        stop_for_terms(delivery.report, delivery.link, str(cause.details.get("terms", "")))
        return
    if not same_terms(delivery.report, delivery.link, flags):
        return
    if not flags.can_write:
        delivery.report.stop(
            Stop.NO_RIGHT,
            f"{delivery.link.partner} does not let us write to its collection {delivery.link.flow}.",
            f"Ask {delivery.link.partner} whether its agreement file has us carry this flow.",
        )
        return
    _settle_histories(delivery, flags.epoch)
    begun = 0
    for _ in range(_MOST_BATCHES):
        session = _session(delivery)
        batch = _batch(delivery, session)
        if batch is None:
            return
        try:
            if not _bring(delivery, *batch):
                return
        except Conflict as cause:
            if cause.code == "terms_differ":
                delivery.report.considered += len(batch[1])
                delivery.report.unconfirmed += len(batch[1])
                stop_for_terms(delivery.report, delivery.link, str(cause.details.get("terms", "")))
                return
            begun += 1
            if begun > _MOST_SESSIONS:
                raise
            _begin_anew(delivery, cause)


def _settle_histories(delivery: Delivery, theirs: str) -> None:
    """Notice a new history of the partner before anything is sent into it."""
    with delivery.door.database.reading() as tx:
        state = links.state(tx, delivery.link.name)
    if state is None or state.partner_epoch == theirs:
        return

    def note(tx: Tx) -> bool:
        lost = links.note_partner_epoch(tx, delivery.link.name, theirs)
        if lost:
            _forget(tx, delivery)
        return lost

    if delivery.door.database.retrying(note):
        delivery.report.new_session = "the partner's history or what it takes from us has changed"
        advance(delivery)


def _begin_anew(delivery: Delivery, cause: Conflict) -> None:
    """The partner does not know our session: forget what it confirmed, and begin another."""
    theirs = cause.details.get("started")
    moment = max(delivery.now(), theirs + 1) if isinstance(theirs, int) else delivery.now()

    def begin(tx: Tx) -> None:
        _forget(tx, delivery)
        sessions.begin(tx, delivery.link.name, now=moment, epoch=delivery.headers[EPOCH])

    delivery.door.database.retrying(begin)
    delivery.report.new_session = cause.problem
    advance(delivery)


def _forget(tx: Tx, delivery: Delivery) -> None:
    """Forget what the partner confirmed, and list what it offers on the same flow from the start."""
    link = delivery.link
    feeds.forget(tx, link)
    session = sessions.outgoing(tx, link.name)
    if session is not None:
        sessions.begin(tx, link.name, now=delivery.now(), epoch=delivery.headers[EPOCH])
    for other in delivery.door.partner_links(link.partner, "in"):
        if other.flow == link.flow and other.carrier == "us":
            bookmarks.forget(tx, other.name)


def _session(delivery: Delivery) -> SessionOut | None:
    with delivery.door.database.reading() as tx:
        return sessions.outgoing(tx, delivery.link.name)


def _batch(delivery: Delivery, before: SessionOut | None) -> tuple[list[Key], list[Item]] | None:
    """The stored keys of the batch to send, and what of it may leave now; None when there is none.

    A session that was begun under another epoch of ours ends here, with its outstanding batch: its
    objects are still in the feed, and the partner takes duplicates.
    """
    link, ours, moment = delivery.link, delivery.headers[EPOCH], delivery.now()
    current = before is not None and before.epoch == ours
    if current and before is not None and before.batch is not None:
        return before.batch, egress.bodies_of(delivery.door, link, before.batch, now=moment)
    items = told_apart(next_items(delivery, at_most=MOST_OBJECTS))
    if not items:
        return None

    def store(tx: Tx) -> None:
        if not current:
            sessions.begin(tx, link.name, now=moment, epoch=ours)
        sessions.store_batch(tx, link.name, [item.key for item in items])
        egress.note_sent(tx, link, items)

    delivery.door.database.retrying(store)
    return [item.key for item in items], items


def _bring(delivery: Delivery, keys: list[Key], items: Sequence[Item]) -> bool:
    """Send one batch and settle it by the answer; whether it is worth going on."""
    session = _session(delivery) or SessionOut(0, "", 0, None)  # the batch is stored in it
    headers = {**delivery.headers, BATCH: f"{session.started};{session.sent + 1}"}
    try:
        status = delivery.client.add_objects(delivery.remote, envelope_of(items), headers)
    except Conflict:
        raise
    except PartnerRefused as cause:
        if cause.http_status not in (413, 422) or not items:
            _unanswered(delivery, items)
            raise
        _split(delivery, items, cause)
        return True
    except BaseException:
        _unanswered(delivery, items)
        raise
    return _settle(delivery, keys, items, status)


def _unanswered(delivery: Delivery, items: Sequence[Item]) -> None:
    delivery.report.considered += len(items)
    delivery.report.unconfirmed += len(items)


def _split(delivery: Delivery, items: Sequence[Item], cause: PartnerRefused) -> None:
    """Let the first half keep the number; an object that is refused alone has failed for these bytes."""
    link = delivery.link.name
    half = [item.key for item in items[: len(items) // 2]]

    def shrink(tx: Tx) -> None:
        if not half:
            feed_rows.settle(tx, link, [items[0].key], feed_rows.FAILED, cause.problem)
        sessions.store_batch(tx, link, half)

    delivery.door.database.retrying(shrink)
    if not half:
        delivery.report.considered += 1
        delivery.report.failed += 1


def _settle(delivery: Delivery, keys: list[Key], items: Sequence[Item], status: Status) -> bool:
    report, link = delivery.report, delivery.link.name
    said = sort_by(status, keys)
    sent_now = {item.key for item in items}
    unknown = [key for key in said.unknown if key in sent_now]
    done = len(said.taken) + len(said.held_before) + len(said.failed)

    def settle(tx: Tx) -> None:
        _settle_keys(tx, link, said)
        if done or not items:
            sessions.settle_batch(tx, link)

    delivery.door.database.retrying(settle)
    report.batches += 1
    report.considered += done + len(unknown)
    report.sent += len(said.taken)
    report.unchanged += len(said.held_before)
    report.failed += len(said.failed)
    report.unconfirmed += len(unknown)
    if done or not items:
        return True
    report.stop(
        Stop.UNCONFIRMED,
        f"{delivery.link.partner} answered a batch of {len(items)} objects without a word about any of them.",
        "The same batch is sent again in the next round; it is applied once.",
    )
    return False


def _settle_keys(tx: Tx, link: str, said: Sorted) -> None:
    feed_rows.settle(tx, link, [*said.taken, *said.held_before], feed_rows.SETTLED)
    for key, message in said.failed:
        aside = message.startswith(SET_ASIDE)
        feed_rows.settle(tx, link, [key], feed_rows.SET_ASIDE if aside else feed_rows.FAILED, message)
