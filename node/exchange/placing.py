"""Put what a batch decided into the tables: dates, flags, ranks, owner rows, history.

A row's `date_added` is taken only for what is really written. A row that becomes visible to readers who
may already have passed it (its rank was loosened, or it became last again) takes a new `date_added`, so that
a reader who resumes misses nothing; a row that becomes stricter stays where it is and is seen no more.

Two writers of one id in two collections meet at its owner row: whoever comes second begins again.

Writes  through store.objects, store.owners, store.catalog
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from node.clock import taxii_time
from node.errors import StoreBusy
from node.exchange.situation import Known
from node.sharing.admission import Action, Arriving, Bringer, Flags, Verdict, flags_of, owner_of_new
from node.stix.objects import StixObject
from node.store import catalog, objects, owners
from node.store.database import Tx
from node.store.objects import Flagged, Held, NewRow, Replaced


@dataclass(slots=True, eq=False)
class Draft:
    """One version to be written, once its date is known; `kept` is the one it had elsewhere, or 0."""

    one: StixObject
    rank: int
    flagged: bool
    replaces: Held | None
    kept: int = 0
    added: int = 0

    @property
    def place(self) -> int:
        """Where it stands among the versions of its id: its instant, else its date, in nanoseconds."""
        return self.added * 1000 if self.one.version is None else self.one.version


@dataclass(slots=True)
class Placement:
    """What a batch has decided to write, in the order in which it will be dated."""

    drafts: list[Draft] = field(default_factory=list)
    losers: list[tuple[StixObject, str]] = field(default_factory=list)
    superseded: list[tuple[Draft, str]] = field(default_factory=list)
    definitions: list[owners.Definition] = field(default_factory=list)
    version_texts: dict[bytes, str] = field(default_factory=dict)
    by_version: dict[tuple[str, str, int | None], Draft] = field(default_factory=dict)

    def add(
        self, one: StixObject, rank: int, verdict: Verdict, held: Held | None, *, flagged: bool, kept: int = 0
    ) -> None:
        """Note one object that is stored, replaces another under its key, or lost a tie."""
        if verdict.action is Action.NOTE_LOSER:
            self.losers.append((one, verdict.reason))
            return
        replaces = held if verdict.action is Action.REPLACE else None
        version = (one.id, one.spec_version, one.version)
        if verdict.action is Action.REPLACE and version in self.by_version:
            earlier = self.by_version[version]
            self.drafts.remove(earlier)
            self.superseded.append((earlier, verdict.reason))
            replaces = earlier.replaces
        self.by_version[version] = draft = Draft(one, rank, flagged, replaces, kept)
        self.drafts.append(draft)

    def written_ids(self) -> set[str]:
        """The ids of which a row is written."""
        return {draft.one.id for draft in self.drafts}


def owner_for(arriving: Arriving, bringer: Bringer) -> str:
    """The owner of an id that the node never held before, for an object that is no observable."""
    return owner_of_new(arriving.claimant, bringer, observable=False)


def definition_of(one: StixObject, origin: str) -> owners.Definition:
    """What a marking-definition means, as its origin brought it."""
    assert one.meaning is not None  # the caller asks for marking-definitions only
    return owners.Definition(one.id, origin, one.created_by or "", one.meaning)


def place(
    tx: Tx, known: Known, placement: Placement, bringer: Bringer, *, flow_id: int, arrival_id: int, now: int
) -> None:
    """Write everything the batch decided, under the collection's lock.

    Args:
        tx: The batch's transaction.
        known: The situation, for the rows and owner rows held before.
        placement: What to write; the dates and the version texts of objects without one are filled in.
        bringer: Who brings it; the origin of its rows.
        flow_id: Number of the flow that brings it; 0 for local.
        arrival_id: The arrival of the batch.
        now: Microseconds.

    Raises:
        StoreBusy: Another writer changed one of the ids since they were looked up; begin again.
    """
    origin = bringer.name
    collection_id = known.collection.collection_id
    for loser, reason in placement.losers:
        _keep_history(tx, collection_id, loser, origin, reason, flow_id, now)
    for draft, reason in placement.superseded:
        _keep_history(tx, collection_id, draft.one, origin, reason, flow_id, now)
    if not placement.drafts:
        return
    placement.drafts.sort(key=lambda draft: draft.kept)
    dates = _dates(tx, collection_id, placement.drafts, now)
    for draft, date in zip(placement.drafts, dates, strict=True):
        draft.added = date
        placement.version_texts[draft.one.digest] = draft.one.version_text or taxii_time(date)
        _make_room(tx, known, draft, origin, now)
    for definition in placement.definitions:
        owners.put_definition(tx, definition, now=now)
    if placement.definitions:
        catalog.bump_markings(tx)
    by_id: dict[str, list[Draft]] = {}
    for draft in placement.drafts:
        by_id.setdefault(draft.one.id, []).append(draft)
    changed = _owner_rows(known, by_id, bringer)
    _put_owners(tx, known, by_id, changed)
    _restrict_elsewhere(tx, known, changed, now)
    # Rows that move on behalf of one that keeps its date move no further than that: later ones follow.
    moment = placement.drafts[-1].kept or now
    _write_rows(tx, known, by_id, changed, origin, flow_id, arrival_id, moment)


def _dates(tx: Tx, collection_id: int, drafts: Sequence[Draft], now: int) -> list[int]:
    found: list[int] = []
    for kept, run in groupby(drafts, key=lambda draft: draft.kept):
        found += catalog.take_dates(tx, collection_id, len(list(run)), now=kept or now)
    return found


def _make_room(tx: Tx, known: Known, draft: Draft, origin: str, now: int) -> None:
    one, held = draft.one, draft.replaces
    if held is not None:
        body = objects.body_at(tx, held.collection_id, held.added) or b""
        reason = "restated" if held.origin == origin else "replaced"
        objects.to_history(
            tx,
            Replaced(
                held.collection_id,
                now,
                held.stix_id,
                held.added,
                held.version,
                held.spec_version,
                held.origin,
                reason,
                held.flow_id,
                held.digest,
                body,
            ),
        )
        objects.remove(tx, held)
        known.held[one.id].remove(held)
        catalog.bump(tx, held.collection_id, rewritten=True)
        left = {row.origin for row in (*known.held[one.id], *known.elsewhere.get(one.id, ()))}
        if one.meaning is not None and held.origin not in (origin, *left):
            owners.drop_definition(tx, one.id, held.origin, now=now)
    for stone in known.tombstones.get(one.id, ()):
        if stone.digest == one.digest and stone.spec_version == one.spec_version:
            owners.lift(tx, stone)


def _owner_rows(known: Known, by_id: dict[str, list[Draft]], bringer: Bringer) -> dict[str, owners.Owner]:
    in_room = bringer.partner is not None and bringer.either_may_edit and not bringer.accepted
    changed: dict[str, owners.Owner] = {}
    for stix_id, drafts in by_id.items():
        if drafts[0].one.observable:
            continue
        before = known.owners.get(stix_id)
        if before is None and len(drafts) == 1:
            # A new id, and most are: no version of it can stand anywhere, for that would have left an owner.
            (draft,) = drafts
            changed[stix_id] = owners.Owner(stix_id, known.new_owners[stix_id], draft.rank, draft.place)
            continue
        newest = max(draft.place for draft in drafts)
        if before is not None and newest < before.newest_version:
            continue
        ranks = [draft.rank for draft in drafts if draft.place == newest]
        rows = (*known.held.get(stix_id, ()), *known.elsewhere.get(stix_id, ()))
        ranks.extend(row.rank for row in rows if row.version == newest)
        if before is not None and in_room and known.elsewhere.get(stix_id):
            ranks.append(before.rank)  # whoever may edit in a room may not loosen what lies elsewhere
        owner = known.new_owners[stix_id] if before is None else before.owner
        changed[stix_id] = owners.Owner(stix_id, owner, max(ranks), newest)
    return changed


def _put_owners(
    tx: Tx, known: Known, by_id: dict[str, list[Draft]], changed: dict[str, owners.Owner]
) -> None:
    before = {stix_id: known.owners[stix_id] for stix_id in by_id if stix_id in known.owners}
    new = [row for stix_id, row in changed.items() if stix_id not in before]
    alone = owners.hold_owners(tx, before) == before and owners.add_owners(tx, new)
    old = [row for stix_id, row in changed.items() if stix_id in before]
    reranked = [row.stix_id for row in old if row.rank != before[row.stix_id].rank]
    if alone and reranked:
        # Only a new rank reaches into other collections; rows may have come there since.
        collection_id = known.collection.collection_id
        for stix_id, rows in objects.held_by_ids(tx, reranked).items():
            others = {row for row in rows if row.collection_id != collection_id}
            alone = alone and others == set(known.elsewhere.get(stix_id, ()))
    if not alone:
        raise StoreBusy(
            "Another writer changed the same objects in another collection at the same moment.",
            remedy="Nothing was stored; try again.",
        )
    owners.put_owners(tx, old)


def _restrict_elsewhere(tx: Tx, known: Known, changed: dict[str, owners.Owner], now: int) -> None:
    for stix_id, row in changed.items():
        elsewhere = known.elsewhere.get(stix_id, ())
        looser = any(held.effective_rank < row.rank for held in elsewhere)
        if looser:
            objects.tighten_elsewhere(
                tx, stix_id, rank=row.rank, except_collection=known.collection.collection_id
            )
        # The other collections' own rows are not locked here; the task bumps and dates under their locks.
        if looser or any(held.effective_rank > max(held.rank, row.rank) for held in elsewhere):
            owners.add_task(tx, "id", stix_id, now=now)


def _write_rows(
    tx: Tx,
    known: Known,
    by_id: dict[str, list[Draft]],
    changed: dict[str, owners.Owner],
    origin: str,
    flow_id: int,
    arrival_id: int,
    now: int,
) -> None:
    collection_id = known.collection.collection_id
    flags_by_date: dict[int, Flags] = {}
    flagged: list[tuple[Held, Flags]] = []
    ranked: list[tuple[Held, int]] = []
    for stix_id, drafts in by_id.items():
        rows = known.held.get(stix_id, [])
        entries = [(row.spec_version, row.version, row.revoked) for row in rows]
        entries.extend((draft.one.spec_version, draft.place, draft.one.revoked) for draft in drafts)
        flags = flags_of(entries)
        for draft, its in zip(drafts, flags[len(rows) :], strict=True):
            flags_by_date[draft.added] = its
        flagged.extend(zip(rows, flags, strict=False))
        if stix_id in changed:
            ranked.extend((row, max(row.rank, changed[stix_id].rank)) for row in rows)
    owner_ranks = {stix_id: row.rank for stix_id, row in known.owners.items()}
    owner_ranks.update({stix_id: row.rank for stix_id, row in changed.items()})
    drafts_in_order = sorted(
        (draft for drafts in by_id.values() for draft in drafts), key=lambda draft: draft.added
    )
    new_rows = [
        _row(collection_id, draft, flags_by_date[draft.added], owner_ranks, origin, flow_id, arrival_id)
        for draft in drafts_in_order
    ]
    moved = reflag(tx, collection_id, flagged, now=now, joined=bool(flagged))
    ranked = [(row._replace(added=moved.get(row.added, row.added)), effective) for row, effective in ranked]
    rerank(tx, collection_id, ranked, now=now)
    objects.insert(tx, new_rows)


def reflag(
    tx: Tx, collection_id: int, flagged: Sequence[tuple[Held, Flags]], *, now: int, joined: bool = False
) -> dict[int, int]:
    """Write new flags of held rows; a row that becomes last again takes a new `date_added`.

    Only a removal or a restate can raise a row; a further version only lowers others.

    Args:
        tx: A transaction that holds the collection's lock.
        collection_id: Where the rows stand.
        flagged: Rows with the flags that they must have.
        now: Microseconds.
        joined: Another version comes to stand beside them: even if no flag changes, a reader who does not
            see all versions may now be shown another one.

    Returns:
        Old date -> new date of the rows that moved.
    """
    changed = [
        (row, its)
        for row, its in flagged
        if (row.is_first, row.is_last, row.is_newest_spec) != (its.is_first, its.is_last, its.is_newest_spec)
    ]
    risen = [
        row.added
        for row, its in changed
        if its.is_last and (not row.is_last or (its.is_newest_spec and not row.is_newest_spec))
    ]
    moved = dict(zip(risen, catalog.take_dates(tx, collection_id, len(risen), now=now), strict=True))
    objects.set_flags(
        tx,
        collection_id,
        [
            Flagged(row.added, its.is_first, its.is_last, its.is_newest_spec, moved.get(row.added, row.added))
            for row, its in changed
        ],
    )
    catalog.bump(tx, collection_id, rewritten=bool(moved), superseded=joined or bool(changed))
    return moved


def rerank(tx: Tx, collection_id: int, ranked: Sequence[tuple[Held, int]], *, now: int) -> int:
    """Write new effective ranks of held rows; looser rows take a new `date_added`.

    Args:
        tx: A transaction that holds the collection's lock.
        collection_id: Where the rows stand.
        ranked: Rows, whose `rank` may have been replaced by a new one, with their new effective rank.
        now: Microseconds.

    Returns:
        How many rows changed.
    """
    changed = [(row, effective) for row, effective in ranked if effective != row.effective_rank]
    looser = [row for row, effective in changed if effective < row.effective_rank]
    dates = dict(
        zip(
            (row.added for row in looser),
            catalog.take_dates(tx, collection_id, len(looser), now=now),
            strict=True,
        )
    )
    for row, effective in changed:
        objects.set_rank(tx, row, rank=row.rank, effective=effective, moved=dates.get(row.added))
    catalog.bump(tx, collection_id, rewritten=bool(changed))
    return len(changed)


def _row(
    collection_id: int,
    draft: Draft,
    flags: Flags,
    owner_ranks: dict[str, int],
    origin: str,
    flow_id: int,
    arrival_id: int,
) -> NewRow:
    one = draft.one
    effective = draft.rank if one.observable else max(draft.rank, owner_ranks.get(one.id, draft.rank))
    return NewRow(
        collection_id=collection_id,
        added=draft.added,
        version=draft.place,
        rank=draft.rank,
        effective_rank=effective,
        flow_id=flow_id,
        arrival_id=arrival_id,
        versionless=one.version is None,
        observable=one.observable,
        organisation=one.organisation,
        revoked=one.revoked,
        flagged=draft.flagged,
        is_first=flags.is_first,
        is_last=flags.is_last,
        is_newest_spec=flags.is_newest_spec,
        confidence=one.confidence,
        valid_until=one.valid_until,
        stix_id=one.id,
        version_text=one.version_text or taxii_time(draft.added),
        type=one.type,
        spec_version=one.spec_version,
        created_by=one.created_by,
        origin=origin,
        digest=one.digest,
        body=one.body,
    )


def _keep_history(
    tx: Tx, collection_id: int, one: StixObject, origin: str, reason: str, flow_id: int, now: int
) -> None:
    objects.to_history(
        tx,
        Replaced(
            collection_id,
            now,
            one.id,
            now,
            one.version or 0,
            one.spec_version,
            origin,
            reason,
            flow_id,
            one.digest,
            one.body,
        ),
    )
