"""Push to our own kind: numbered batches, each applied once, however often it must be sent.

Rule    A batch is stored as a list of keys before its first byte leaves, one at a time. A resend keeps
        its number and leaves out what was restated or may no longer leave, down to an empty envelope.
        The answer settles only the stored keys and uses the number up; what it does not name goes with a
        later batch (`unanswered.py`). When the partner has lost its history, everything is
        forgotten on both directions of the flow and offered again in a new session.

Two epochs play here: ours, under which the session was begun, and the partner's, kept with the link.

Reads   the feed and the session; writes through `exchange.feeds`, `exchange.sessions`, `exchange.links`,
        and forgets bookmarks
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from node.clock import MICROSECONDS
from node.errors import PartnerRefused
from node.exchange import egress, feed_rows, feeds, links, sessions
from node.exchange.egress import Item
from node.exchange.ledger import Key
from node.exchange.sessions import SessionOut
from node.store.database import Tx
from node.sync import bookmarks, unanswered
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
_MOST_AHEAD = 86_400 * MICROSECONDS


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
    if not _settle_histories(delivery, flags.epoch):
        deliver(delivery)  # now that no other run acts for the partner, it is asked again
        return
    silent: dict[Key, int] = {}
    _bring_all(delivery, silent)
    if silent and not delivery.report.ended:
        delivery.report.stop(
            Stop.UNCONFIRMED,
            f"{delivery.link.partner} answered without a word about {len(silent)} of the objects sent.",
            f"They are sent again in the next round; after {unanswered.MOST_ANSWERS} such answers they fail.",
        )


def _bring_all(delivery: Delivery, silent: dict[Key, int]) -> None:
    """Send batch after batch; in `silent` are those without a word, with their size, to be passed over."""
    begun = 0
    for _ in range(_MOST_BATCHES):
        batch = _batch(delivery, silent)
        if batch is None:
            return
        try:
            if not _bring(delivery, *batch, silent):
                return
        except Conflict as cause:
            if cause.code == "terms_differ":
                delivery.unanswered(batch[1])
                stop_for_terms(delivery.report, delivery.link, str(cause.details.get("terms", "")))
                return
            begun += 1
            if begun > _MOST_SESSIONS:
                raise
            _begin_anew(delivery, cause)


def _settle_histories(delivery: Delivery, theirs: str) -> bool:
    """Notice a new history of the partner before anything is sent into it.

    Returns:
        Whether that is settled; False when another run has settled one since the partner was asked.
    """
    before = _known_epoch(delivery)
    if before in (None, theirs):
        return True
    if delivery.hold() and _known_epoch(delivery) != before:
        return False

    def note(tx: Tx) -> bool:
        lost = links.note_partner_epoch(tx, delivery.link.name, theirs)
        if lost:
            _forget(tx, delivery)
        return lost

    if delivery.door.database.retrying(note):
        delivery.report.new_session = "the partner's history or what it takes from us has changed"
        advance(delivery)
    return True


def _known_epoch(delivery: Delivery) -> str | None:
    with delivery.door.database.reading() as tx:
        state = links.state(tx, delivery.link.name)
    return None if state is None else state.partner_epoch


def _begin_anew(delivery: Delivery, cause: Conflict) -> None:
    """The partner does not know our session: forget what it confirmed, and begin another."""
    moment = max(delivery.now(), _their_start(delivery, cause.details) + 1)

    def begin(tx: Tx) -> None:
        _forget(tx, delivery)
        sessions.begin(tx, delivery.link.name, now=moment, epoch=delivery.headers[EPOCH])

    delivery.door.database.retrying(begin)
    delivery.report.new_session = cause.problem
    advance(delivery)


def _their_start(delivery: Delivery, details: Mapping[str, Any]) -> int:
    # A start far ahead, once taken over, would be the start of every session that follows it.
    started = details.get("started", 0)
    if type(started) is int and 0 <= started <= delivery.now() + _MOST_AHEAD:
        return started
    raise PartnerRefused(
        f"{delivery.link.partner} names {str(started)[:40]!r} as the start of our session, which cannot be.",
        remedy=f"Compare the clocks of both nodes; if they agree, tell {delivery.link.partner}.",
        http_status=409,
    )


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


def _batch(delivery: Delivery, silent: Mapping[Key, int]) -> tuple[list[Key], list[Item]] | None:
    """The stored keys of the batch to send, and what of it may leave now; None when there is none.

    A session that was begun under another epoch of ours ends here, with its outstanding batch: its
    objects are still in the feed, and the partner takes duplicates.
    """
    link, ours, moment = delivery.link, delivery.headers[EPOCH], delivery.now()
    with delivery.door.database.reading() as tx:
        before = sessions.outgoing(tx, link.name)
        if delivery.closed(tx):
            return None
        waiting = (before is not None and before.batch is not None) or feed_rows.to_send(tx, link.name, 1)
    if not waiting:
        return None
    if delivery.hold():
        return _batch(delivery, silent)  # another run may have sent it since it was read
    current = before is not None and before.epoch == ours
    if current and before is not None and before.batch is not None:
        return before.batch, egress.bodies_of(delivery.door, link, before.batch, now=moment)
    items = _fresh(delivery, silent)
    if not items:
        return None

    def store(tx: Tx) -> bool:
        if delivery.closed(tx):
            return False
        if not current:
            sessions.begin(tx, link.name, now=moment, epoch=ours)
        sessions.store_batch(tx, link.name, [item.key for item in items])
        egress.note_sent(tx, link, items)
        return True

    stored = delivery.door.database.retrying(store)
    return ([item.key for item in items], items) if stored else None


def _fresh(delivery: Delivery, silent: Mapping[Key, int]) -> list[Item]:
    """What to send next, without those that had no word in this round."""
    found = next_items(
        delivery, besides=len(silent), bytes_besides=sum(silent.values()), at_most=MOST_OBJECTS
    )
    items = [item for item in found if item.key not in silent][:MOST_OBJECTS]
    with delivery.door.database.reading() as tx:
        before = unanswered.before(tx, delivery.link.name, [item.stix_id for item in items])
    return told_apart(items, alone={key.stix_id for key in before})


def _bring(delivery: Delivery, keys: list[Key], items: Sequence[Item], silent: dict[Key, int]) -> bool:
    """Send one batch and settle it by the answer; whether it is worth going on."""
    with delivery.door.database.reading() as tx:
        # The batch is stored in it.
        session = sessions.outgoing(tx, delivery.link.name) or SessionOut(0, "", 0, None)
    headers = {**delivery.headers, BATCH: f"{session.started};{session.sent + 1}"}
    try:
        status = delivery.client.add_objects(delivery.remote, envelope_of(items), headers)
    except Conflict:
        raise
    except PartnerRefused as cause:
        if cause.http_status not in (413, 422) or not items:
            delivery.unanswered(items)
            raise
        _split(delivery, items, cause)
        return True
    except BaseException:
        delivery.unanswered(items)
        raise
    return _settle(delivery, keys, items, status, silent)


def _split(delivery: Delivery, items: Sequence[Item], cause: PartnerRefused) -> None:
    """Let the first half keep the number; an object that is refused alone has failed for these bytes."""
    link = delivery.link.name
    half = [item.key for item in items[: len(items) // 2]]

    def shrink(tx: Tx) -> None:
        if not half:
            feed_rows.settle(tx, link, [items[0].key], feed_rows.FAILED, cause.problem)
        sessions.store_batch(tx, link, half)
        delivery.count(tx, failed=0 if half else 1)

    delivery.door.database.retrying(shrink)
    if not half:
        delivery.report.considered += 1
        delivery.report.failed += 1
        delivery.report.name("failed", [items[0].stix_id])


def _settle(
    delivery: Delivery, keys: list[Key], items: Sequence[Item], status: Status, silent: dict[Key, int]
) -> bool:
    report, link = delivery.report, delivery.link.name
    said = sort_by(status, keys, whole=True)
    sizes = {item.key: len(item.body) + 1 for item in items}
    unknown = [key for key in said.unknown if key in sizes]
    done = len(said.taken) + len(said.held_before) + len(said.failed)
    answered = bool(done) or not items or status.complete

    def settle(tx: Tx) -> list[Key]:
        _settle_keys(tx, link, said)
        given_up: list[Key] = []
        if answered:
            sessions.settle_batch(tx, link)
            given_up = unanswered.note(tx, link, unknown)
        failed, left = len(said.failed) + len(given_up), len(unknown) - len(given_up)
        known = {"sent": len(said.taken), "unchanged": len(said.held_before)}
        delivery.count(tx, **known, failed=failed, unconfirmed=left)
        return given_up

    given_up = delivery.door.database.retrying(settle)
    report.batches += 1
    report.considered += done + len(unknown)
    report.sent += len(said.taken)
    report.unchanged += len(said.held_before)
    report.failed += len(said.failed) + len(given_up)
    report.unconfirmed += len(unknown) - len(given_up)
    report.name("sent", (key.stix_id for key in said.taken))
    report.name("failed", (key.stix_id for key in [*(key for key, _ in said.failed), *given_up]))
    if answered:
        silent.update((key, sizes[key]) for key in unknown if key not in given_up)
        return True
    report.stop(
        Stop.UNCONFIRMED,
        f"{delivery.link.partner} has not decided about any of the {len(items)} objects of a batch yet.",
        "The same batch is sent again in the next round; it is applied once.",
    )
    return False


def _settle_keys(tx: Tx, link: str, said: Sorted) -> None:
    feed_rows.settle(tx, link, [*said.taken, *said.held_before], feed_rows.SETTLED)
    for key, message in said.failed:
        aside = message.startswith(SET_ASIDE)
        feed_rows.settle(tx, link, [key], feed_rows.SET_ASIDE if aside else feed_rows.FAILED, message)
