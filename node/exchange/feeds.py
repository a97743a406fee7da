"""Advance the feeds: examine what is due for a partner, let in what is permitted, note the rest and why.

First decided, then done: `_decide` reads and answers with steps, `_carry_out` writes them; `preview` is
the first half alone. What stands in a feed is judged again when it leaves (`egress`).

A feed walks its collection by `date_added`. Ids that must be examined although none of their rows here
is new (their owner row became stricter elsewhere, what they refer to changed, a row was removed) are in
`feed_due`. All rows of an examined id are decided together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from node.exchange import companions, feed_rows, ledger, links, remarking
from node.exchange.door import Door
from node.exchange.feed_rows import OFFERED, STEP, Feed, FeedRow
from node.exchange.judging import Candidate, judge
from node.exchange.ledger import Key, WithheldLine
from node.sharing.decisions import Decision, Reason
from node.sharing.links import Link
from node.store import catalog, objects, owners
from node.store.catalog import Collection
from node.store.database import Tx
from node.store.objects import Held, HeldBody

WINDOW = 1_000


class Advanced(NamedTuple):
    """What one advance did; `complete` when nothing is left to examine."""

    examined: int
    entered: int
    withheld: int
    complete: bool


class Step(NamedTuple):
    """One version as a preview shows it.

    `already` is true for what stands in the feed as these very bytes, sent or not.
    """

    stix_id: str
    version_text: str
    type: str
    allowed: bool
    already: bool
    reason: str
    detail: str
    remedy: str


class _Decided(NamedTuple):
    held: Held
    decision: Decision
    companion: bool


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


def preview(tx: Tx, door: Door, link: Link, *, now: int, at_most: int = 100_000) -> list[Step]:
    """What an advance would decide for everything not yet examined, and what stands in the feed unsent."""
    collection = _collection(tx, link)
    state = feed_rows.feed(tx, link.name) or Feed(link.name, collection.collection_id, 0, 0, "", b"")
    state = _renewed(state, link, collection)
    steps: list[Step] = []
    due = feed_rows.due(tx, link.name)
    while len(steps) < at_most:
        window = _window(tx, collection, state.examined, due[:WINDOW])
        due = due[WINDOW:]
        moment = max(now, collection.last_added)
        standing = {
            row.key for row in feed_rows.by_ids(tx, link.name, window.ids) if row.state != feed_rows.OUT
        }
        decided = _decide(tx, door, link, collection, window.ids, now=moment)
        steps.extend(_step(one, already=key_of(one.held) in standing) for one in decided)
        state = state._replace(examined=window.examined)
        if window.complete:
            break
    return steps


def forget(tx: Tx, link: Link) -> None:
    """The partner lost its history: all rows are offered again and the collection is examined anew."""
    links.forget_brought(tx, link.partner)
    state = feed_rows.held(tx, link.name)
    feed_rows.offer_again(tx, link.name)
    if state is not None:
        feed_rows.save(tx, state._replace(examined=0))


def _advance_once(tx: Tx, door: Door, link: Link, *, now: int) -> Advanced:
    collection = _collection(tx, link)
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
    state = _renewed(state, link, collection)
    window = _window(tx, collection, state.examined, feed_rows.take_due(tx, link.name, WINDOW))
    decided = _decide(tx, door, link, collection, window.ids, now=max(now, collection.last_added))
    done = _carry_out(tx, link, state, window.ids, decided, now=now)
    feed_rows.save(tx, state._replace(examined=window.examined, last_offered=done.last))
    examined = max(window.walked, len(window.ids))
    return Advanced(examined, done.entered, done.withheld, window.complete and not done.unnamed)


def _renewed(state: Feed, link: Link, collection: Collection) -> Feed:
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


def _collection(tx: Tx, link: Link) -> Collection:
    found = catalog.find_collection(tx, link.collection)
    assert found is not None  # the loader of links has checked it
    return found


def _window(tx: Tx, collection: Collection, examined: int, due: Sequence[str]) -> _Window:
    """What to examine next: what is due first, then as many new rows as the window still holds."""
    room = WINDOW - len(due)
    rows = objects.walk(tx, collection.collection_id, examined, room)
    ids = sorted({stix_id for _, stix_id in rows} | set(due))
    complete = len(rows) < room
    reached = rows[-1][0] if rows else examined
    return _Window(ids, len(rows), max(reached, collection.last_added) if complete else reached, complete)


def _decide(
    tx: Tx, door: Door, link: Link, collection: Collection, ids: Sequence[str], *, now: int
) -> list[_Decided]:
    """Every row of the given ids with its decision; companions of what may go stand before it."""
    here = collection.collection_id
    standing = {row.key: row for row in feed_rows.by_ids(tx, link.name, ids) if row.state != feed_rows.OUT}
    accompanies = companions.named_by_standing(tx, link, ids, standing.values())
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
    decided: list[_Decided] = []
    going = [one for one in rows if _goes(one, decisions)]
    for held, decision in companions.of(tx, door, link, here, going, accompanies, now=now):
        decided.append(_Decided(held, decision, companion=True))
    seen = {key_of(one.held) for one in decided}
    for one in rows:
        key = key_of(one.held)
        if key not in seen:
            decided.append(_Decided(one.held, decisions[key], one.held.stix_id in accompanies))
    return decided


def _goes(one: HeldBody, decisions: Mapping[Key, Decision]) -> bool:
    decision = decisions.get(key_of(one.held))
    return decision is not None and decision.allowed


def _carry_out(
    tx: Tx, link: Link, state: Feed, ids: Sequence[str], decided: Sequence[_Decided], *, now: int
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
    ledger.let_go(tx, link.name, gone)
    ledger.withhold(tx, [line for line in lines if not _says_the_same(line, before.get(line_key(line)))])
    _note_waiting(tx, link, lines, before)
    return _Done(len(fresh), len(lines), last, _note_unnamed(tx, link, leaving))


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


def _offer(link: Link, one: _Decided, offered_at: int) -> FeedRow:
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


def _step(one: _Decided, *, already: bool) -> Step:
    held, decision = one.held, one.decision
    reason = "" if decision.reason is None else decision.reason.value
    return Step(
        held.stix_id,
        held.version_text,
        held.type,
        decision.allowed,
        already,
        reason,
        decision.detail,
        decision.remedy,
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
