"""Faults planted in the product: each is a mistake that one may well make, and the search must find it.

Rule    A fault is put in place of a function of the product for the length of a block; nothing in the
        product knows of it. `seeds.py` has the seed that finds each first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import msgspec
import sqlalchemy as sa

from node.clock import taxii_time
from node.errors import PartnerUnreachable
from node.exchange import (
    egress,
    feed_rows,
    feeds,
    ingress,
    judging,
    ledger,
    links,
    placing,
    remarking,
    removal,
    situation,
)
from node.exchange.egress import Item
from node.sharing import decisions
from node.sharing.admission import (
    Action,
    Bringer,
    Flags,
    Outcome,
    Situation,
    Verdict,
    decide_arrival,
    same_key,
)
from node.stix import envelope
from node.stix.markings import UNKNOWN
from node.store import catalog, objects
from node.sync import batches, bookmarks, client, listing, own_kind
from node.sync import pull as pulling
from node.sync.answers import Status, Word
from node.sync.bookmarks import Bookmark
from node.taxii import exchange_headers, posts
from tests.simulation.content import facts_of

Fault = Callable[[ExitStack], None]
FAULTS: dict[str, Fault] = {}


def _fault(plant: Fault) -> Fault:
    FAULTS[plant.__name__.replace("_", " ")] = plant
    return plant


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The product with one fault."""
    with ExitStack() as stack:
        FAULTS[name](stack)
        yield


def _put(stack: ExitStack, place: Any, name: str, fault: Any) -> None:
    stack.enter_context(patch.object(place, name, fault))


def _arrivals(stack: ExitStack, judge: Callable[..., Verdict]) -> None:
    _put(stack, ingress, "decide_arrival", judge)


@_fault
def bookmark_before_the_objects(stack: ExitStack) -> None:
    take = pulling._Store.take

    def early(self: Any, run: Any, page: Any) -> None:
        self._begin(run)
        mark = pulling._mark_after(run, page, run.now())
        if mark is not None:
            self.door.database.retrying(lambda tx: bookmarks.advance(tx, run.link.name, mark))
        take(self, run, page)

    _put(stack, pulling._Store, "take", early)


@_fault
def bookmark_of_our_own_clock(stack: ExitStack) -> None:
    def mark(run: Any, page: Any, moment: int) -> Bookmark:
        return Bookmark(taxii_time(moment), page.epoch, run.link.policy_digest, moment)

    _put(stack, pulling, "_mark_after", mark)


@_fault
def settled_before_the_answer(stack: ExitStack) -> None:
    note = egress.note_sent

    def settle(tx: Any, link: Any, items: Sequence[Item]) -> None:
        note(tx, link, items)
        feed_rows.settle(tx, link.name, [item.key for item in items], feed_rows.SETTLED)

    _put(stack, egress, "note_sent", settle)


@_fault
def a_lost_answer_counts_as_a_good_one(stack: ExitStack) -> None:
    add = client.Partner.add_objects

    def hopeful(self: Any, collection: str, body: bytes, headers: Any = None) -> Status:
        try:
            return add(self, collection, body, headers)
        except PartnerUnreachable:
            ids = [facts_of(one).stix_id for one in envelope.split(body)] if body != b"{}" else []
            return Status("", True, [Word(each, None, "") for each in ids])

    _put(stack, client.Partner, "add_objects", hopeful)


@_fault
def an_echo_is_known_by_its_key(stack: ExitStack) -> None:
    def judge(arriving: Any, known: Situation, bringer: Bringer, *, now: int) -> Verdict:
        held = any(one.digest == arriving.version.digest for one in known.held)
        if bringer.partner is not None and known.released and not held:
            return Verdict(Action.KEEP, Outcome.ECHO)
        return decide_arrival(arriving, known, bringer, now=now)

    _arrivals(stack, judge)


@_fault
def a_version_is_known_by_its_key(stack: ExitStack) -> None:
    def judge(arriving: Any, known: Situation, bringer: Bringer, *, now: int) -> Verdict:
        if any(same_key(one, arriving.version) for one in known.held):
            return Verdict(Action.KEEP, Outcome.DUPLICATE)
        return decide_arrival(arriving, known, bringer, now=now)

    _arrivals(stack, judge)


@_fault
def a_duplicate_takes_a_new_date(stack: ExitStack) -> None:
    def judge(arriving: Any, known: Situation, bringer: Bringer, *, now: int) -> Verdict:
        verdict = decide_arrival(arriving, known, bringer, now=now)
        if verdict.outcome is Outcome.DUPLICATE:
            return Verdict(Action.REPLACE, Outcome.DUPLICATE, "again")
        return verdict

    _arrivals(stack, judge)


@_fault
def the_owner_is_that_of_the_rows_held(stack: ExitStack) -> None:
    asked = situation.Known.situation

    def forgetful(self: Any, one: Any, arriving: Any) -> Situation:
        found = asked(self, one, arriving)
        return found if found.held else msgspec.structs.replace(found, owner=None)

    _put(stack, situation.Known, "situation", forgetful)


@_fault
def anybody_may_change_anything(stack: ExitStack) -> None:
    def judge(arriving: Any, known: Situation, bringer: Bringer, *, now: int) -> Verdict:
        owner = known.owner if bringer.partner is None else ""
        return decide_arrival(arriving, msgspec.structs.replace(known, owner=owner), bringer, now=now)

    _arrivals(stack, judge)


@_fault
def tombstones_are_ignored(stack: ExitStack) -> None:
    def judge(arriving: Any, known: Situation, bringer: Bringer, *, now: int) -> Verdict:
        return decide_arrival(arriving, msgspec.structs.replace(known, tombstone=None), bringer, now=now)

    _arrivals(stack, judge)


@_fault
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

    _put(stack, egress, "bodies_of", unjudged)


@_fault
def judged_when_it_enters_the_feed_alone(stack: ExitStack) -> None:
    def unjudged(tx: Any, _door: Any, _link: Any, rows: Any, *_: Any, **__: Any) -> list[Any]:
        bodies = feeds.bodies_of_rows(tx, rows)
        return [(row, bodies[row.key]) for row in rows if row.key in bodies]

    _put(stack, egress, "_released", unjudged)


@_fault
def an_old_version_goes_by_its_own_marking(stack: ExitStack) -> None:
    facts = judging.facts_of

    def alone(*held: Any, **more: Any) -> Any:
        return msgspec.structs.replace(facts(*held, **more), owner_rank=None)

    _put(stack, judging, "facts_of", alone)


@_fault
def an_unknown_marking_is_none(stack: ExitStack) -> None:
    facts = judging.facts_of

    def known(*held: Any, **more: Any) -> Any:
        found = facts(*held, **more)
        ranks = {each: 1 for each in ("rank", "owner_rank") if getattr(found, each) == UNKNOWN}
        return msgspec.structs.replace(found, **ranks)

    _put(stack, judging, "facts_of", known)


@_fault
def back_to_its_origin(stack: ExitStack) -> None:
    _put(stack, decisions, "_origin", lambda *_: None)


@_fault
def passed_on_without_a_grant(stack: ExitStack) -> None:
    _put(stack, decisions, "_onward", lambda *_: None)


@_fault
def references_are_not_looked_at(stack: ExitStack) -> None:
    _put(stack, decisions, "_references", lambda *_: None)


@_fault
def a_pause_is_ignored(stack: ExitStack) -> None:
    _put(stack, egress, "closed_reason", lambda *_, **__: None)


@_fault
def terms_are_not_compared(stack: ExitStack) -> None:
    _put(stack, exchange_headers, "refuse_other_terms", lambda _, among: among[0])
    for each in (own_kind, listing, batches):
        _put(stack, each, "same_terms", lambda *_: True)


@_fault
def the_epoch_is_ignored_by_who_pulls(stack: ExitStack) -> None:
    _put(stack, listing, "_other_history", lambda *_: False)


@_fault
def the_epoch_of_a_partner_is_ignored(stack: ExitStack) -> None:
    _put(stack, links, "note_partner_epoch", lambda *_: False)


@_fault
def a_partner_that_lost_all_is_not_offered_it_again(stack: ExitStack) -> None:
    _put(stack, feeds, "forget", lambda *_: None)


@_fault
def a_restored_node_goes_on_in_its_old_history(stack: ExitStack) -> None:
    _put(stack, catalog, "renew_epoch", lambda *_, **__: None)


@_fault
def widened_terms_do_not_reach_what_was_withheld(stack: ExitStack) -> None:
    def unchanged(state: Any, link: Any, collection: Any) -> Any:
        return state._replace(
            policy_digest=link.policy_digest, epoch=collection.epoch, collection_id=collection.collection_id
        )

    _put(stack, feeds, "_renewed", unchanged)


@_fault
def nobody_waits_for_a_reference(stack: ExitStack) -> None:
    _put(stack, ledger, "waiting_for", lambda *_: [])


@_fault
def a_late_definition_changes_nothing(stack: ExitStack) -> None:
    _put(stack, remarking, "_collection_by_marking", lambda *_, **__: 0)


@_fault
def dates_come_from_the_clock(stack: ExitStack) -> None:
    take = sa.text("update collection set last_added = :last where collection_id = :number")

    def dates(tx: Any, collection_id: int, count: int, *, now: int) -> list[int]:
        if count > 0:
            tx.run(take, last=now + catalog.STEP * count, number=collection_id)
        return [now + catalog.STEP * each for each in range(1, count + 1)]

    _put(stack, catalog, "take_dates", dates)


@_fault
def offers_are_dated_by_the_clock(stack: ExitStack) -> None:
    lock = feed_rows.lock
    _put(stack, feed_rows, "lock", lambda *held, **more: lock(*held, **more)._replace(last_offered=0))


@_fault
def what_is_seen_again_keeps_its_date(stack: ExitStack) -> None:
    rank = objects.set_rank
    _put(stack, objects, "set_rank", lambda *held, **more: rank(*held, **{**more, "moved": None}))


@_fault
def what_is_last_again_keeps_its_date(stack: ExitStack) -> None:
    flags = objects.set_flags

    def unmoved(tx: Any, collection_id: int, flagged: Sequence[Any]) -> None:
        flags(tx, collection_id, [each._replace(moved=each.added) for each in flagged])

    _put(stack, objects, "set_flags", unmoved)


@_fault
def a_revoked_version_is_one_like_others(stack: ExitStack) -> None:
    def flags(versions: Any) -> list[Flags]:
        places = [place for _, place, _ in versions]
        return [Flags(place == min(places), place == max(places), True) for place in places]

    for each in (placing, removal):
        _put(stack, each, "flags_of", flags)


@_fault
def what_leaves_is_noted_afterwards_or_never(stack: ExitStack) -> None:
    _put(stack, feed_rows, "note_sent", lambda *_: None)


@_fault
def every_batch_is_applied_however_old(stack: ExitStack) -> None:
    _put(stack, exchange_headers, "place_in_session", lambda *_: True)


@_fault
def remembered_pages_are_kept(stack: ExitStack) -> None:
    _put(stack, catalog, "bump", lambda *_, **__: None)


@_fault
def other_software_is_asked_from_the_exact_date(stack: ExitStack) -> None:
    _put(stack, bookmarks, "earlier", lambda text: text)


@_fault
def every_object_of_a_status_counts_as_taken(stack: ExitStack) -> None:
    write = posts.statuses.write

    def early(*held: Any, results: Any, **more: Any) -> bytes:
        return write(*held, results=[_taken(each) for each in results], **more)

    _put(stack, posts.statuses, "write", early)


def _taken(result: Any) -> Any:
    return replace(result, outcome=Outcome.STORED)
