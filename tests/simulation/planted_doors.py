"""Planted faults of the door and its books: mistakes that one may well make, which the search must find."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import msgspec
import sqlalchemy as sa

from node.exchange import (
    egress,
    ingress,
    judging,
    ledger,
    placing,
    remarking,
    removal,
    situation,
)
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
from node.stix.markings import UNKNOWN
from node.store import catalog, objects
from tests.simulation.planting import fault, put


def arrivals(stack: ExitStack, judge: Callable[..., Verdict]) -> None:
    """Put another table of arrivals in place."""
    put(stack, ingress, "decide_arrival", judge)


@fault
def an_echo_is_known_by_its_key(stack: ExitStack) -> None:
    def judge(arriving: Any, known: Situation, bringer: Bringer, *, now: int) -> Verdict:
        held = any(one.digest == arriving.version.digest for one in known.held)
        if bringer.partner is not None and known.released and not held:
            return Verdict(Action.KEEP, Outcome.ECHO)
        return decide_arrival(arriving, known, bringer, now=now)

    arrivals(stack, judge)


@fault
def a_version_is_known_by_its_key(stack: ExitStack) -> None:
    def judge(arriving: Any, known: Situation, bringer: Bringer, *, now: int) -> Verdict:
        if any(same_key(one, arriving.version) for one in known.held):
            return Verdict(Action.KEEP, Outcome.DUPLICATE)
        return decide_arrival(arriving, known, bringer, now=now)

    arrivals(stack, judge)


@fault
def a_duplicate_takes_a_new_date(stack: ExitStack) -> None:
    def judge(arriving: Any, known: Situation, bringer: Bringer, *, now: int) -> Verdict:
        verdict = decide_arrival(arriving, known, bringer, now=now)
        if verdict.outcome is Outcome.DUPLICATE:
            return Verdict(Action.REPLACE, Outcome.DUPLICATE, "again")
        return verdict

    arrivals(stack, judge)


@fault
def the_owner_is_that_of_the_rows_held(stack: ExitStack) -> None:
    asked = situation.Known.situation

    def forgetful(self: Any, one: Any, arriving: Any) -> Situation:
        found = asked(self, one, arriving)
        return found if found.held else msgspec.structs.replace(found, owner=None)

    put(stack, situation.Known, "situation", forgetful)


@fault
def anybody_may_change_anything(stack: ExitStack) -> None:
    def judge(arriving: Any, known: Situation, bringer: Bringer, *, now: int) -> Verdict:
        owner = known.owner if bringer.partner is None else ""
        return decide_arrival(arriving, msgspec.structs.replace(known, owner=owner), bringer, now=now)

    arrivals(stack, judge)


@fault
def tombstones_are_ignored(stack: ExitStack) -> None:
    def judge(arriving: Any, known: Situation, bringer: Bringer, *, now: int) -> Verdict:
        return decide_arrival(arriving, msgspec.structs.replace(known, tombstone=None), bringer, now=now)

    arrivals(stack, judge)


@fault
def an_old_version_goes_by_its_own_marking(stack: ExitStack) -> None:
    facts = judging.facts_of

    def alone(*held: Any, **more: Any) -> Any:
        return msgspec.structs.replace(facts(*held, **more), owner_rank=None)

    put(stack, judging, "facts_of", alone)


@fault
def an_unknown_marking_is_none(stack: ExitStack) -> None:
    facts = judging.facts_of

    def known(*held: Any, **more: Any) -> Any:
        found = facts(*held, **more)
        ranks = {each: 1 for each in ("rank", "owner_rank") if getattr(found, each) == UNKNOWN}
        return msgspec.structs.replace(found, **ranks)

    put(stack, judging, "facts_of", known)


@fault
def back_to_its_origin(stack: ExitStack) -> None:
    put(stack, decisions, "_origin", lambda *_: None)


@fault
def passed_on_without_a_grant(stack: ExitStack) -> None:
    put(stack, decisions, "_onward", lambda *_: None)


@fault
def references_are_not_looked_at(stack: ExitStack) -> None:
    put(stack, decisions, "_references", lambda *_: None)


@fault
def a_pause_is_ignored(stack: ExitStack) -> None:
    put(stack, egress, "closed_reason", lambda *_, **__: None)


@fault
def nobody_waits_for_a_reference(stack: ExitStack) -> None:
    put(stack, ledger, "waiting_for", lambda *_: [])


@fault
def a_late_definition_changes_nothing(stack: ExitStack) -> None:
    put(stack, remarking, "_collection_by_marking", lambda *_, **__: 0)


@fault
def dates_come_from_the_clock(stack: ExitStack) -> None:
    take = sa.text("update collection set last_added = :last where collection_id = :number")

    def dates(tx: Any, collection_id: int, count: int, *, now: int) -> list[int]:
        if count > 0:
            tx.run(take, last=now + catalog.STEP * count, number=collection_id)
        return [now + catalog.STEP * each for each in range(1, count + 1)]

    put(stack, catalog, "take_dates", dates)


@fault
def what_is_seen_again_keeps_its_date(stack: ExitStack) -> None:
    rank = objects.set_rank
    put(stack, objects, "set_rank", lambda *held, **more: rank(*held, **{**more, "moved": None}))


@fault
def what_is_last_again_keeps_its_date(stack: ExitStack) -> None:
    flags = objects.set_flags

    def unmoved(tx: Any, collection_id: int, flagged: Sequence[Any]) -> None:
        flags(tx, collection_id, [each._replace(moved=each.added) for each in flagged])

    put(stack, objects, "set_flags", unmoved)


@fault
def a_revoked_version_is_one_like_others(stack: ExitStack) -> None:
    def flags(versions: Any) -> list[Flags]:
        places = [place for _, place, _ in versions]
        return [Flags(place == min(places), place == max(places), True) for place in places]

    for each in (placing, removal):
        put(stack, each, "flags_of", flags)


@fault
def remembered_pages_are_kept(stack: ExitStack) -> None:
    put(stack, catalog, "bump", lambda *_, **__: None)


@fault
def a_restate_in_a_room_stands_against_the_tie(stack: ExitStack) -> None:
    def judge(arriving: Any, known: Situation, bringer: Bringer, *, now: int) -> Verdict:
        alone = replace(bringer, either_may_edit=False) if bringer.restate else bringer
        return decide_arrival(arriving, known, alone, now=now)

    arrivals(stack, judge)
