"""Advance the feeds: examine what is due for a partner, let in what is permitted, note the rest and why.

First decided, then done: `decide_ids` reads and answers, `_carry_out` writes it; `previewing` uses the first
half alone. What stands in a feed is judged again when it leaves (`egress`).

A feed walks its collection by `date_added`. Ids that must be examined although none of their rows here
is new (their owner row became stricter elsewhere, what they refer to changed, a row was removed) are in
`feed_due`. All rows of an examined id are decided together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from node.exchange import companions, feed_rows, history, ledger, links, remarking
from node.exchange.door import Door
from node.exchange.feed_rows import OFFERED, STEP, Feed, FeedRow
from node.exchange.judging import Candidate, judge
from node.exchange.ledger import Key, WithheldLine
from node.sharing.decisions import Decision, Reason
from node.sharing.links import Link
from node.stix.labels import has_label
from node.store import catalog, objects, owners
from node.store.catalog import Collection
from node.store.database import Tx
from node.store.objects import Held, HeldBody

WINDOW = 1_000


class Advanced(NamedTuple):
    """What one advance did: `withheld` counts what is so only now, or for another reason than before.

    `complete` when nothing is left to examine.
    """

    examined: int
    entered: int
    withheld: int
    complete: bool


class Decided(NamedTuple):
    """A row of an id that was examined, and whether it may go."""

    held: Held
    decision: Decision
    companion: bool
    urgent: bool = False


class _Done(NamedTuple):
    entered: int
    withheld: int
    last: int
    unnamed: bool


class _Window(NamedTuple):
    ids: list[str]
    walked: int
    examined: int
    complete: bool


def is_behind(tx: Tx, link: Link, collection: Collection) -> bool:
    """Whether a feed has anything to examine: one probe for an idle poll.

    It has while rows wait to be ranked again, for an advance works that in first.
    """
    found = feed_rows.feed(tx, link.name)
    return (
        found is None
        or found.examined < collection.last_added
        or found.policy_digest != link.policy_digest
        or found.epoch != collection.epoch
        or feed_rows.is_due(tx, link.name)
        or bool(owners.tasks(tx))
    )


def are_ranks_stale(tx: Tx) -> bool:
    """Whether rows may carry the rank of a definition that was replaced or removed: nothing leaves then.

    Asked after the rows were read: each statement sees what is committed when it starts.
    """
    return any(task.kind == "redefined" for task in owners.tasks(tx))


def advance(door: Door, link: Link, *, now: int, at_most: int = 10_000) -> Advanced:
    """Examine what is due on one outgoing link, in transactions of its own.

    A link that is not in force is left as it is, and so are all while marking definitions wait to be
    worked in: judged too early, rows would be withheld that may go. What began to wait for a reference
    stays due, once, for the next advance: see `_note_waiting`.

    Args:
        door: What the door judges by.
        link: An outgoing link.
        now: Microseconds.
        at_most: Rows to walk at most; a GET does not wait longer.
    """
    examined = entered = withheld = 0
    remarking.work_in(door, now=now)
    while examined < at_most:
        done = door.database.retrying(lambda tx: _advance_once(tx, door, link, now=now))
        examined, entered = examined + done.examined, entered + done.entered
        withheld += done.withheld
        if done.complete or done.examined == 0:
            return Advanced(examined, entered, withheld, done.complete)
    return Advanced(examined, entered, withheld, False)


def forget(tx: Tx, link: Link) -> None:
    """The partner lost its history: all rows are offered again and the collection is examined anew."""
    links.forget_brought(tx, link.partner)
    state = feed_rows.held(tx, link.name)
    feed_rows.offer_again(tx, link.name)
    if state is not None:
        feed_rows.save(tx, state._replace(examined=0))


def _advance_once(tx: Tx, door: Door, link: Link, *, now: int) -> Advanced:
    collection = collection_of(tx, link)
    if owners.tasks(tx) or not link.terms.starts <= max(now, collection.last_added) < link.terms.ends:
        return Advanced(0, 0, 0, False)
    state = feed_rows.lock(
        tx,
        link.name,
        collection_id=collection.collection_id,
        epoch=collection.epoch,
        policy=link.policy_digest,
    )
    if state.epoch != collection.epoch:
        feed_rows.offer_again(
            tx, link.name
        )  # our history is new: what was confirmed in the old one may be lost
    state = renewed(state, link, collection)
    window = window_of(tx, collection, state.examined, feed_rows.take_due(tx, link.name, WINDOW))
    decided = decide_ids(tx, door, link, collection, window.ids, now=max(now, collection.last_added))
    done = _carry_out(tx, link, state, window.ids, decided, now=now)
    feed_rows.save(tx, state._replace(examined=window.examined, last_offered=done.last))
    history.count(tx, link.name, {"offered": done.entered, "withheld": done.withheld}, now=now)
    examined = max(window.walked, len(window.ids))
    return Advanced(examined, done.entered, done.withheld, window.complete and not done.unnamed)


def renewed(state: Feed, link: Link, collection: Collection) -> Feed:
    """The state to go on from: everything is examined anew when the terms or our history have changed."""
    if (state.policy_digest, state.epoch, state.collection_id) == (
        link.policy_digest,
        collection.epoch,
        collection.collection_id,
    ):
        return state
    return state._replace(
        examined=0,
        policy_digest=link.policy_digest,
        epoch=collection.epoch,
        collection_id=collection.collection_id,
    )


def collection_of(tx: Tx, link: Link) -> Collection:
    """The collection that a link gives from."""
    found = catalog.find_collection(tx, link.collection)
    assert found is not None  # the loader of links has checked it
    return found


def window_of(tx: Tx, collection: Collection, examined: int, due: Sequence[str]) -> _Window:
    """What to examine next: what is due first, then as many new rows as the window still holds."""
    room = WINDOW - len(due)
    rows = objects.walk(tx, collection.collection_id, examined, room)
    ids = sorted({stix_id for _, stix_id in rows} | set(due))
    complete = len(rows) < room
    reached = rows[-1][0] if rows else examined
    return _Window(ids, len(rows), max(reached, collection.last_added) if complete else reached, complete)


def decide_ids(
    tx: Tx,
    door: Door,
    link: Link,
    collection: Collection,
    ids: Sequence[str],
    *,
    now: int,
    earlier: companions.Earlier = companions.NOTHING_EARLIER,
) -> list[Decided]:
    """Every row of the given ids with its decision; companions of what may go stand before it."""
    here = collection.collection_id
    standing = {row.key: row for row in feed_rows.by_ids(tx, link.name, ids) if row.state != feed_rows.OUT}
    accompanies = companions.named_by_standing(tx, link, ids, standing.values(), earlier)
    rows = objects.bodies_by_ids(tx, here, ids)
    # A companion may stand here from another collection; what is none stands by its own collection alone.
    held_here = {key_of(one.held) for one in rows}
    brought_along = [
        row for key, row in standing.items() if key not in held_here and row.stix_id in accompanies
    ]
    rows.extend(bodies_of_rows(tx, brought_along).values())
    decisions: dict[Key, Decision] = {}

    def decide(some: Sequence[HeldBody]) -> None:
        for entering in (True, False):
            group = [one for one in some if (key_of(one.held) not in standing) is entering]
            candidates = [Candidate(one, companion=one.held.stix_id in accompanies) for one in group]
            found = judge(tx, door, link, candidates, now=now, entering=entering)
            decisions.update(zip((key_of(one.held) for one in group), found, strict=True))

    decide([one for one in rows if not one.held.organisation])
    authors = {one.held.created_by for one in rows if _goes(one, decisions)}
    accompanies |= {one.held.stix_id for one in rows if one.held.organisation} & authors
    decide([one for one in rows if one.held.organisation])
    decided: list[Decided] = []
    going = [one for one in rows if _goes(one, decisions)]
    for held, decision in companions.of(tx, door, link, here, going, accompanies, now=now):
        decided.append(Decided(held, decision, companion=True, urgent=held.revoked))
    seen = {key_of(one.held) for one in decided}
    for one in rows:
        key = key_of(one.held)
        if key not in seen:
            companion = one.held.stix_id in accompanies
            decided.append(Decided(one.held, decisions[key], companion, _is_urgent(link, one)))
    return decided


def _is_urgent(link: Link, one: HeldBody) -> bool:
    return one.held.revoked or has_label(one.body, link.urgent_labels)


def _goes(one: HeldBody, decisions: Mapping[Key, Decision]) -> bool:
    decision = decisions.get(key_of(one.held))
    return decision is not None and decision.allowed


def _carry_out(
    tx: Tx, link: Link, state: Feed, ids: Sequence[str], decided: Sequence[Decided], *, now: int
) -> _Done:
    last = state.last_offered
    touched = sorted({one.held.stix_id for one in decided} | set(ids))
    known = {row.key: row for row in feed_rows.by_ids(tx, link.name, touched)}
    fresh: list[FeedRow] = []
    leaving: list[FeedRow] = []
    lines: list[WithheldLine] = []
    # Of a companion that was not examined itself only the version decided about may lose its line.
    examined, about = set(ids), {key_of(one.held) for one in decided}
    before = {line_key(line): line for line in ledger.withheld(tx, link.name, touched)}
    gone = {key for key in before if key.stix_id in examined or key in about}
    for one in decided:
        key = key_of(one.held)
        row = known.pop(key, None)
        stands = row is not None and row.state != feed_rows.OUT
        if one.decision.allowed:
            if not stands:
                last = max(now, last + STEP)
                fresh.append(_offer(link, one, last))
            continue
        if row is not None and stands:
            leaving.append(row)
        gone.discard(key)
        lines.append(withheld_line(link, one.held, one.decision, now=now))
    leaving.extend(row for row in known.values() if row.state != feed_rows.OUT and row.stix_id in examined)
    feed_rows.take_out(tx, leaving)
    feed_rows.put(tx, fresh)
    if any(row.urgent for row in fresh):
        feed_rows.hurry_companions(tx, link.name)
    ledger.let_go(tx, link.name, gone)
    said = [line for line in lines if not _says_the_same(line, before.get(line_key(line)))]
    ledger.withhold(tx, said)
    _note_waiting(tx, link, lines, before)
    return _Done(len(fresh), len(said), last, _note_unnamed(tx, link, leaving))


def _note_waiting(
    tx: Tx, link: Link, lines: Sequence[WithheldLine], before: Mapping[Key, WithheldLine]
) -> None:
    """What begins to wait for a reference is judged once more, by the next advance.

    Who wrote that reference while we judged could not see, before this transaction, that anything waits
    for it, and so left no wish.
    """
    waiting = [line for line in lines if line.waits_for is not None]
    feed_rows.add_due(
        tx,
        [
            (link.name, line.stix_id)
            for line in waiting
            if line_key(line) not in before or before[line_key(line)].waits_for != line.waits_for
        ],
    )


def _note_unnamed(tx: Tx, link: Link, leaving: Sequence[FeedRow]) -> bool:
    """With what leaves, its companions may have lost the last that names them: they are judged anew."""
    if all(row.companion for row in leaving):
        return False
    left = [(link.name, stix_id) for stix_id in feed_rows.companions(tx, link.name)]
    feed_rows.add_due(tx, left)
    return bool(left)


def _offer(link: Link, one: Decided, offered_at: int) -> FeedRow:
    held = one.held
    return FeedRow(
        link=link.name,
        offered_at=offered_at,
        version=0 if held.versionless else held.version,
        collection_id=held.collection_id,
        state=OFFERED,
        companion=one.companion,
        versionless=held.versionless,
        stix_id=held.stix_id,
        spec_version=held.spec_version,
        message="",
        digest=held.digest,
        rendition=held.digest,
        urgent=one.urgent,
    )


def key_of(held: Held) -> Key:
    """A row's place in the books."""
    return Key(held.stix_id, held.spec_version, 0 if held.versionless else held.version, held.digest)


def line_key(line: WithheldLine) -> Key:
    """The version that a withheld line speaks of."""
    return Key(line.stix_id, line.spec_version, line.version, line.digest)


def _says_the_same(line: WithheldLine, before: WithheldLine | None) -> bool:
    return before is not None and line._replace(at=before.at) == before


def withheld_line(link: Link, held: Held, decision: Decision, *, now: int) -> WithheldLine:
    """The line that says why a partner does not get a version."""
    reason = decision.reason or Reason.ERROR
    return WithheldLine(
        link.name, *key_of(held), reason.value, decision.detail, decision.remedy, decision.waits_for, now
    )


def bodies_of_rows(tx: Tx, rows: Sequence[FeedRow]) -> dict[Key, HeldBody]:
    """The stored versions that feed rows stand for, with their bytes, as far as they are still held."""
    wanted: dict[int, set[str]] = {}
    for row in rows:
        wanted.setdefault(row.collection_id, set()).add(row.stix_id)
    found: dict[Key, HeldBody] = {}
    for collection_id, ids in wanted.items():
        for one in objects.bodies_by_ids(tx, collection_id, ids):
            found[key_of(one.held)] = one
    return found
