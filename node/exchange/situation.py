"""What the node knows about the ids of one batch, gathered before anything is decided.

All look-ups of a batch are made here, at once and under the collection's lock; afterwards the batch is
decided in memory, object by object, each seeing what the ones before it did.

Reads   tables object, owner, tombstone, marking, feed_row, quarantine, withdrawal
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from node.exchange import feed_rows, quarantine, withdrawals
from node.exchange.door import Door
from node.exchange.ledger import Key
from node.sharing.admission import Arriving, Bringer, Situation, Version, version_key
from node.sharing.links import Link
from node.stix import markings
from node.stix.objects import StixObject
from node.store import objects
from node.store import owners as owner_rows
from node.store.catalog import Collection
from node.store.database import Tx


class Versions:
    """The versions of one id, kept so that what the table of arrivals asks is found without a walk.

    An id may have thousands; a batch may bring a thousand more.
    """

    __slots__ = ("_by_key", "_revoked")

    def __init__(self, versions: Iterable[Version] = ()) -> None:
        self._by_key: dict[tuple[str, int] | bytes, Version] = {}
        self._revoked: dict[str, set[tuple[str, int] | bytes]] = {}
        for one in versions:
            self.put(one)

    def put(self, version: Version) -> None:
        """One more version, or another text in place of the one that has its key."""
        key = version_key(version)
        before = self._by_key.get(key)
        if before is not None and before.revoked:
            self._revoked[before.spec_version].discard(key)
        self._by_key[key] = version
        if version.revoked:
            self._revoked.setdefault(version.spec_version, set()).add(key)

    @property
    def stand(self) -> bool:
        """Whether there are versions, and none of them is revoked."""
        return bool(self._by_key) and not any(self._revoked.values())

    def about(self, version: Version) -> tuple[Version, ...]:
        """As `Situation.held` asks for them: that of the same key, a revoked one, and any."""
        keys = [version_key(version), *itertools.islice(self._revoked.get(version.spec_version, ()), 1)]
        found = [self._by_key[key] for key in keys if key in self._by_key]
        return tuple(found) or tuple(itertools.islice(self._by_key.values(), 1))


@dataclass(slots=True)
class Known:
    """The situation of every id in a batch; `versions` is kept up to date while the batch is decided.

    `held` and `rows` are what the database has, `rows` of the ids that were asked for, by key.
    """

    door: Door
    collection: Collection
    held: dict[str, list[objects.Held]]
    owners: dict[str, owner_rows.Owner]
    tombstones: dict[str, list[owner_rows.Tombstone]]
    released: dict[Key, set[bytes]]
    decided: dict[tuple[str, bytes], bytes | None]
    definitions: list[owner_rows.Definition]
    versions: dict[str, Versions] = field(default_factory=dict)
    rows: dict[str, dict[tuple[str, int] | bytes, objects.Held]] = field(default_factory=dict)
    new_owners: dict[str, str] = field(default_factory=dict)
    elsewhere: dict[str, list[objects.Held]] = field(default_factory=dict)
    withdrawn: frozenset[str] = frozenset()
    meanings: dict[tuple[str, bool], Mapping[str, int]] = field(default_factory=dict)

    def situation(self, one: StixObject, arriving: Arriving) -> Situation:
        """What the table of arrivals asks about one object's id."""
        version = arriving.version
        owner = self.new_owners.get(one.id)
        if owner is None and one.id in self.owners:
            owner = self.owners[one.id].owner
        key = Key(one.id, one.spec_version, one.version or 0, b"") if self.released else None
        return Situation(
            held=self.versions[one.id].about(version) if one.id in self.versions else (),
            owner=owner,
            tombstone=self._buried(one) if one.id in self.tombstones else None,
            released=() if key is None else self.released.get(key, ()),
            discarded=self.decided.get((one.id, version.digest), b"") is None,
            stood_here=one.id in self.tombstones,
            withdrawn=one.id in self.withdrawn,
        )

    def _buried(self, one: StixObject) -> str | None:
        """The reason of the tombstone of exactly this version."""
        return next(
            (
                stone.reason
                for stone in self.tombstones[one.id]
                if stone.digest == one.digest
                and stone.spec_version == one.spec_version
                and (one.version is None or stone.version == one.version)
            ),
            None,
        )

    def corrected(self, stix_id: str, digest: bytes) -> bool:
        """Whether a person here corrected exactly these bytes of the link, and that text still stands."""
        edited = self.decided.get((stix_id, digest))
        return edited is not None and any(row.digest == edited for row in self.held.get(stix_id, ()))

    def rank(self, one: StixObject, origin: str) -> int:
        """The object's own rank by the definitions that count for its origin and author."""
        public = self.door.parties.public
        kind = (origin, one.created_by in public)
        if kind not in self.meanings:
            self.meanings[kind] = owner_rows.meanings_for(
                self.definitions, origin, public=public, created_by=one.created_by
            )
        return markings.rank(one.marking_refs, self.meanings[kind])

    def held_row(self, one: StixObject) -> objects.Held | None:
        """The stored row of exactly this version in this collection."""
        if one.id not in self.held:
            return None
        if one.id not in self.rows:
            self.rows[one.id] = {version_key(version_of_row(row)): row for row in self.held[one.id]}
        return self.rows[one.id].get(version_key(version_of(one)))

    def is_first(self, one: StixObject) -> bool:
        """Whether the collection never held the id of an object."""
        return one.id not in self.versions and one.id not in self.tombstones

    def revokes(self, one: StixObject) -> bool:
        """Whether an object takes back an id that stands in the collection."""
        return one.revoked and one.id in self.versions and self.versions[one.id].stand

    def now_holds(self, stix_id: str, version: Version) -> None:
        """A version is stored by this batch: later objects of the batch meet it."""
        versions = self.versions.get(stix_id)
        if versions is None:
            versions = self.versions[stix_id] = Versions()
        versions.put(version)

    def define(self, definition: owner_rows.Definition) -> None:
        """A marking definition was stored by this batch: later objects of the batch may name it."""
        self.definitions = [
            one
            for one in self.definitions
            if (one.stix_id, one.origin) != (definition.stix_id, definition.origin)
        ]
        self.definitions.append(definition)
        self.meanings.clear()


def gather(tx: Tx, door: Door, collection: Collection, link: Link | None, ids: Iterable[str]) -> Known:
    """Look up everything the table of arrivals may ask about the given ids.

    Owner rows are read first: `placing` holds them and compares, so that rows of other collections, read
    later, are known to have stood still since.
    """
    wanted = set(ids)
    owner_rows_before = owner_rows.owners(tx, wanted)
    here: dict[str, list[objects.Held]] = {}
    elsewhere: dict[str, list[objects.Held]] = {}
    for stix_id, rows in objects.held_by_ids(tx, wanted).items():
        for row in rows:
            side = here if row.collection_id == collection.collection_id else elsewhere
            side.setdefault(stix_id, []).append(row)
    back = None if link is None else door.link_of(link.partner, link.collection, "out")
    known = Known(
        door=door,
        collection=collection,
        held=here,
        owners=owner_rows_before,
        tombstones=owner_rows.tombstones(tx, collection.collection_id, wanted),
        released={} if back is None else feed_rows.released(tx, back.name, wanted),
        decided={} if link is None else quarantine.decided(tx, link.name, wanted),
        definitions=owner_rows.definitions(tx),
        elsewhere=elsewhere,
        withdrawn=withdrawals.refused(tx, wanted),
    )
    known.versions = {stix_id: Versions(map(version_of_row, rows)) for stix_id, rows in here.items()}
    return known


def version_of(one: StixObject) -> Version:
    """An arriving object's version, as the rules compare it."""
    return Version(one.spec_version, one.version, one.digest, one.revoked)


def version_of_row(row: objects.Held) -> Version:
    """A held row's version, as the rules compare it."""
    return Version(row.spec_version, None if row.versionless else row.version, row.digest, row.revoked)


def arriving_of(one: StixObject, door: Door) -> Arriving:
    """The arriving object as the table of arrivals sees it."""
    return Arriving(one.id, version_of(one), door.parties.claimant(one.created_by))


def is_room(door: Door, collection: Collection) -> bool:
    """Whether partners may edit what stands in a collection, and so may our own people."""
    return any(
        link.terms.either_may_edit
        for link in door.links
        if link.direction == "in" and link.collection == collection.alias
    )


def bringer_of(
    door: Door, collection: Collection, link: Link | None, *, restate: bool, accepted: bool
) -> Bringer:
    """Who brings it, as the table of arrivals sees them."""
    if link is None:
        return Bringer(restate=restate, either_may_edit=is_room(door, collection))
    return Bringer(partner=link.partner, either_may_edit=link.terms.either_may_edit, accepted=accepted)
