"""Planted faults of what is carried: mistakes that one may well make, which the search must find."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from node.clock import taxii_time
from node.errors import PartnerUnreachable
from node.exchange import (
    egress,
    feed_rows,
    feeds,
    links,
)
from node.exchange.egress import Item
from node.sharing.admission import (
    Outcome,
)
from node.stix import envelope
from node.store import catalog
from node.sync import batches, bookmarks, client, listing, own_kind
from node.sync import foreign as other_software
from node.sync import pull as pulling
from node.sync.answers import Status, Word
from node.sync.bookmarks import Bookmark
from node.taxii import exchange_headers, posts
from tests.simulation.content import facts_of
from tests.simulation.planting import fault, put


@fault
def bookmark_before_the_objects(stack: ExitStack) -> None:
    take = pulling._Store.take

    def early(self: Any, run: Any, page: Any) -> None:
        self._begin(run)
        mark = pulling._mark_after(run, page, run.now())
        if mark is not None:
            self.door.database.retrying(lambda tx: bookmarks.advance(tx, run.link.name, mark))
        take(self, run, page)

    put(stack, pulling._Store, "take", early)


@fault
def bookmark_of_our_own_clock(stack: ExitStack) -> None:
    def mark(run: Any, page: Any, moment: int) -> Bookmark:
        return Bookmark(taxii_time(moment), page.epoch, run.link.policy_digest, moment, run.listed_at)

    put(stack, pulling, "_mark_after", mark)


@fault
def settled_before_the_answer(stack: ExitStack) -> None:
    note = egress.note_sent

    def settle(tx: Any, link: Any, items: Sequence[Item]) -> None:
        note(tx, link, items)
        feed_rows.settle(tx, link.name, [item.key for item in items], feed_rows.SETTLED)

    put(stack, egress, "note_sent", settle)


@fault
def a_lost_answer_counts_as_a_good_one(stack: ExitStack) -> None:
    add = client.Partner.add_objects

    def hopeful(self: Any, collection: str, body: bytes, headers: Any = None) -> Status:
        try:
            return add(self, collection, body, headers)
        except PartnerUnreachable:
            ids = [facts_of(one).stix_id for one in envelope.split(body)] if body != b"{}" else []
            return Status("", True, [Word(each, None, "") for each in ids])

    put(stack, client.Partner, "add_objects", hopeful)


@fault
def a_resend_is_not_judged(stack: ExitStack) -> None:
    def unjudged(door: Any, link: Any, keys: Any, *, now: int) -> list[Item]:
        with door.database.reading() as tx:
            rows = [
                row
                for row in feed_rows.by_ids(tx, link.name, [key.stix_id for key in keys])
                if row.key in keys
            ]
            bodies = feeds.bodies_of_rows(tx, rows)
        return [egress._item(row, bodies[row.key]) for row in rows if row.key in bodies]

    put(stack, egress, "bodies_of", unjudged)


@fault
def judged_when_it_enters_the_feed_alone(stack: ExitStack) -> None:
    def unjudged(tx: Any, _door: Any, _link: Any, rows: Any, *_: Any, **__: Any) -> list[Any]:
        bodies = feeds.bodies_of_rows(tx, rows)
        return [(row, bodies[row.key]) for row in rows if row.key in bodies]

    put(stack, egress, "_released", unjudged)


@fault
def terms_are_not_compared(stack: ExitStack) -> None:
    put(stack, exchange_headers, "refuse_other_terms", lambda _, among: among[0])
    for each in (own_kind, listing, batches):
        put(stack, each, "same_terms", lambda *_: True)


@fault
def the_epoch_is_ignored_by_who_pulls(stack: ExitStack) -> None:
    put(stack, listing, "_other_history", lambda *_: False)


@fault
def the_epoch_of_a_partner_is_ignored(stack: ExitStack) -> None:
    put(stack, links, "note_partner_epoch", lambda *_: False)


@fault
def a_partner_that_lost_all_is_not_offered_it_again(stack: ExitStack) -> None:
    put(stack, feeds, "forget", lambda *_: None)


@fault
def a_restored_node_goes_on_in_its_old_history(stack: ExitStack) -> None:
    put(stack, catalog, "renew_epoch", lambda *_, **__: None)


@fault
def widened_terms_do_not_reach_what_was_withheld(stack: ExitStack) -> None:
    def unchanged(state: Any, link: Any, collection: Any) -> Any:
        return state._replace(
            policy_digest=link.policy_digest, epoch=collection.epoch, collection_id=collection.collection_id
        )

    put(stack, feeds, "renewed", unchanged)


@fault
def offers_are_dated_by_the_clock(stack: ExitStack) -> None:
    lock = feed_rows.lock
    put(stack, feed_rows, "lock", lambda *held, **more: lock(*held, **more)._replace(last_offered=0))


@fault
def what_leaves_is_noted_afterwards_or_never(stack: ExitStack) -> None:
    put(stack, feed_rows, "note_sent", lambda *_: None)


@fault
def every_batch_is_applied_however_old(stack: ExitStack) -> None:
    put(stack, exchange_headers, "place_in_session", lambda *_: True)


@fault
def other_software_is_asked_from_the_exact_date(stack: ExitStack) -> None:
    put(stack, bookmarks, "earlier", lambda text: text)


@fault
def every_object_of_a_status_counts_as_taken(stack: ExitStack) -> None:
    write = posts.statuses.write

    def early(*held: Any, results: Any, **more: Any) -> bytes:
        return write(*held, results=[_taken(each) for each in results], **more)

    put(stack, posts.statuses, "write", early)


def _taken(result: Any) -> Any:
    return replace(result, outcome=Outcome.STORED)


@fault
def what_was_too_much_goes_in_halves_that_are_not_judged(stack: ExitStack) -> None:
    put(stack, other_software, "_still", lambda _, items: list(items))


@fault
def a_link_that_failed_is_tried_at_once_when_it_is_closed(stack: ExitStack) -> None:
    put(stack, links, "_TRY", sa.text("update link set last_try = :now where name = :name"))
