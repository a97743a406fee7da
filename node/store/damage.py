"""Read every row, and say where the database is not what it must be. Nothing is changed.

What is asked of each object: its body can be read and has the stored digest; the facts beside it are those
in the body; its rank follows from its markings and the definitions held; the flags of versions are true;
its date is not above the last one given; its id has an owner row. What refers to something else is asked
in `loose_ends`. SQLite looks through its own pages first.

The reader must stand still (`backup.still`): then the node may work meanwhile, and memory is bounded by a
few rows and by the versions of one id.

Reads   tables object, object_history, quarantine, owner, marking, rank_task, collection. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from node.errors import InvalidObject
from node.sharing.admission import flags_of
from node.stix import markings
from node.stix.objects import StixObject, read
from node.store import catalog, loose_ends, owners
from node.store.database import Tx, spelled
from node.store.loose_ends import Damage

ROWS = 100
NO_LIMIT = 2**62  # what was taken once is read whatever the limit is now

Step = Callable[[int], None]


class Stored(NamedTuple):
    """One row with its bytes, in the order of `_WALK`."""

    stix_id: str
    spec_version: str
    version: int
    added: int
    rank: int
    effective_rank: int
    versionless: bool
    observable: bool
    organisation: bool
    revoked: bool
    is_first: bool
    is_last: bool
    is_newest_spec: bool
    confidence: int | None
    valid_until: int | None
    version_text: str
    type: str
    created_by: str | None
    origin: str
    digest: bytes
    body: bytes


_STORED = ", ".join("o." + name for name in Stored._fields)
_AFTER = (
    " where o.collection_id = :c and (o.stix_id, o.spec_version, o.version) > (:stix_id, :spec, :version)"
    " order by o.stix_id, o.spec_version, o.version limit :n"
)
_WALK = spelled(
    f"select {_STORED} from object o indexed by object_id{_AFTER}",
    f'select {_STORED} from "object" o{_AFTER}',
)
_AMOUNT = sa.text('select count(*) from "object" where collection_id = :c')
_REPLACED = sa.text(
    "select h.collection_id, h.replaced_at, h.stix_id, h.digest, h.body from object_history h where"
    " (h.collection_id, h.replaced_at, h.stix_id, h.digest) > (:c, :at, :id, :digest)"
    " order by h.collection_id, h.replaced_at, h.stix_id, h.digest limit :n"
)
_SET_ASIDE = sa.text(
    "select q.entry, q.stix_id, q.digest, q.body from quarantine q where q.entry > :entry"
    " order by q.entry limit :n"
)
_PAGES = sa.text("pragma integrity_check(20)")


class _Judge(NamedTuple):
    """What the rank of a row follows from."""

    known: Sequence[owners.Definition]
    public: frozenset[str]
    settled: bool
    meanings: dict[tuple[str, bool], Mapping[str, int]]


def examine(
    tx: Tx, *, public: frozenset[str], links: Collection[str], step: Step = lambda _rows: None
) -> Iterator[Damage]:
    """Every place where the database is not what it must be.

    Args:
        tx: A reader that stands still.
        public: Identities whose objects belong to nobody here.
        links: Names of the links that are configured.
        step: Told how many rows were read.

    Raises:
        StoreError: A page cannot be read at all.
    """
    yield from _pages(tx)
    settled = not owners.tasks(tx)  # else rows wait to be ranked again, and may be stale
    judge = _Judge(owners.definitions(tx), public, settled, {})
    for held in catalog.collections(tx):
        yield from _collection(tx, held, judge, step)
    yield from _replaced(tx, step)
    yield from _set_aside(tx, step)
    yield from loose_ends.find(tx, links)


def _pages(tx: Tx) -> Iterator[Damage]:
    if tx.dialect == "sqlite":
        for (said,) in tx.rows(_PAGES):
            if said != "ok":
                yield Damage("pages", "the file", str(said))


def _collection(tx: Tx, held: catalog.Collection, judge: _Judge, step: Step) -> Iterator[Damage]:
    group: list[Stored] = []
    walked = 0
    for rows in _walk(tx, held.collection_id):
        walked += len(rows)
        known = owners.owners(tx, {row.stix_id for row in rows})
        for row in rows:
            if group and group[0].stix_id != row.stix_id:
                yield from _flags(held.alias, group)
                group = []
            # Of a version that waits for its others no body is kept.
            group.append(row._replace(body=b""))
            yield from _object(held, row, known.get(row.stix_id), judge)
        step(len(rows))
    yield from _flags(held.alias, group)
    amount = tx.row(_AMOUNT, c=held.collection_id)
    if amount is not None and amount[0] != walked:
        yield Damage("index", held.alias, f"its index leads to {walked} objects, and it holds {amount[0]}")


def _walk(tx: Tx, collection_id: int) -> Iterator[list[Stored]]:
    after: dict[str, Any] = {"stix_id": "", "spec": "", "version": -(2**63)}
    while rows := [_stored(row) for row in tx.rows(_WALK, c=collection_id, n=ROWS, **after)]:
        yield rows
        last = rows[-1]
        after = {"stix_id": last.stix_id, "spec": last.spec_version, "version": last.version}


def _object(
    held: catalog.Collection, row: Stored, owner: owners.Owner | None, judge: _Judge
) -> Iterator[Damage]:
    place = f"{held.alias}: {row.stix_id}, version {row.version_text}"
    if row.added > held.last_added:
        yield Damage("dates", place, "its date is above the last one that the collection gave")
    if owner is None and not row.observable:
        yield Damage("owner", place, "nothing says who owns it")
    try:
        one = read(row.body, max_object_bytes=NO_LIMIT)
    except InvalidObject as cause:
        yield Damage("body", place, f"its body cannot be read: {cause.problem}")
        return
    if one.digest != row.digest:
        yield Damage("digest", place, "its body is not the one whose digest was stored")
    wrong = [name for name, (stored, found) in _facts(row, one).items() if stored != found]
    if wrong:
        yield Damage("facts", place, f"beside the body stands what it does not say: {', '.join(wrong)}")
    yield from _rank(place, row, one, owner, judge)


def _facts(row: Stored, one: StixObject) -> dict[str, tuple[object, object]]:
    """fact -> what is stored, and what the body says."""
    facts: dict[str, tuple[object, object]] = {
        "id": (row.stix_id, one.id),
        "type": (row.type, one.type),
        "spec_version": (row.spec_version, one.spec_version),
        "versionless": (row.versionless, one.version is None),
        "created_by_ref": (row.created_by, one.created_by),
        "revoked": (row.revoked, one.revoked),
        "valid_until": (row.valid_until, one.valid_until),
        "confidence": (row.confidence, one.confidence),
        "organisation": (row.organisation, one.organisation),
        "observable": (row.observable, one.observable),
    }
    if one.version is not None:
        facts["version"] = (row.version, one.version)
        facts["version text"] = (row.version_text, one.version_text)
    return facts


def _rank(
    place: str, row: Stored, one: StixObject, owner: owners.Owner | None, judge: _Judge
) -> Iterator[Damage]:
    if not judge.settled:
        return
    kind = (row.origin, one.created_by in judge.public)
    if kind not in judge.meanings:
        judge.meanings[kind] = owners.meanings_for(
            judge.known, row.origin, public=judge.public, created_by=one.created_by
        )
    found = markings.rank(one.marking_refs, judge.meanings[kind])
    if found != row.rank:
        names = f"{markings.tlp_name(row.rank)}, and its markings say {markings.tlp_name(found)}"
        yield Damage("rank", place, f"it is kept as {names}")
        return
    known = None if owner is None or row.observable else owner
    strict = row.rank if known is None else max(row.rank, known.rank)
    if row.effective_rank != strict:
        names = f"{markings.tlp_name(row.effective_rank)}, and must be as {markings.tlp_name(strict)}"
        yield Damage("rank", place, f"it is shown as {names}")
    if known is not None and row.version > known.newest_version:
        yield Damage("owner", place, "its owner row knows of older versions only")
    elif known is not None and row.version == known.newest_version and row.rank > known.rank:
        yield Damage("owner", place, "its owner row is looser than its newest version")
    if one.meaning is not None and (row.stix_id, row.origin) not in {each[:2] for each in judge.known}:
        yield Damage("marking", place, "what this definition means was not noted")


def _flags(alias: str, group: Sequence[Stored]) -> Iterator[Damage]:
    if not group:
        return
    if len({(row.spec_version, row.version) for row in group}) < len(group):
        yield Damage("index", f"{alias}: {group[0].stix_id}", "it holds a version twice")
    found = flags_of([(row.spec_version, row.version, row.revoked) for row in group])
    for row, flags in zip(group, found, strict=True):
        stored = (row.is_first, row.is_last, row.is_newest_spec)
        if stored != (flags.is_first, flags.is_last, flags.is_newest_spec):
            place = f"{alias}: {row.stix_id}, version {row.version_text}"
            yield Damage("flags", place, "it is not the first, last or newest that it is kept as")


def _replaced(tx: Tx, step: Step) -> Iterator[Damage]:
    after: tuple[Any, ...] = (-1, 0, "", b"")
    while rows := tx.rows(_REPLACED, **dict(zip(("c", "at", "id", "digest"), after, strict=True)), n=ROWS):
        for _, _, stix_id, digest, body in rows:
            yield from _bytes(f"replaced bytes of {stix_id}", stix_id, _octets(digest), _octets(body))
        step(len(rows))
        after = rows[-1][:4]


def _set_aside(tx: Tx, step: Step) -> Iterator[Damage]:
    entry = ""
    while rows := tx.rows(_SET_ASIDE, entry=entry, n=ROWS):
        for entry, stix_id, digest, body in rows:
            if body:  # what was erased is empty
                yield from _bytes(f"quarantine {entry}", stix_id, _octets(digest), _octets(body))
        step(len(rows))


def _bytes(place: str, stix_id: str, digest: bytes, body: bytes) -> Iterator[Damage]:
    try:
        one = read(body, max_object_bytes=NO_LIMIT)
    except InvalidObject as cause:
        yield Damage("body", place, f"its body cannot be read: {cause.problem}")
        return
    if (one.id, one.digest) != (stix_id, digest):
        yield Damage("digest", place, "its body is not the one whose digest was stored")


def _stored(row: Sequence[Any]) -> Stored:
    return Stored._make((*row[:6], *map(bool, row[6:13]), *row[13:19], _octets(row[19]), _octets(row[20])))


def _octets(value: object) -> bytes:
    """Bytes as they are; SQLite may hold anything in a column, and what is not bytes is no body."""
    return bytes(value) if isinstance(value, (bytes, memoryview)) else b""
