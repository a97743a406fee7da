"""What the books of a link say, line by line, in the words in which two nodes compare them.

A flow has two books: the giver's feed, and the receiver's ledger. Each is told only to the other party of
the very link, as a walk in bounded steps: first the sums of 256 buckets, then the lines of those that differ.

Rule    Of what a partner brought us it learns what the status of a push would tell it, and no more: taken,
        set aside or refused; and `missing` or `differs`, when what we took was lost or changed here without
        a reason, which nothing but damage does. A text that a person here corrected it never brought. Of
        what it was given it learns the keys of what stands in its feed; of what was taken out of it, or was
        not brought to it yet, a mark that only who has the bytes can match.

Order   lines come by the moment of the ledger, or the position in the feed; a line that changes during a walk
        comes again at its end, so none is missed
Reads   tables received, feed_row, object, object_history, tombstone, quarantine. Writes nothing.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from enum import StrEnum
from typing import NamedTuple

import sqlalchemy as sa

from node.exchange import feed_rows, ledger
from node.exchange.ledger import Key
from node.store import owners
from node.store.database import Row, Tx, spelled

BUCKETS = 256
UNREADABLE = "unknown--index-"
_WRAP = 2**256


class Word(StrEnum):
    """What one book says of one version; the last five are those of a feed alone."""

    TAKEN = "taken"
    SET_ASIDE = "set_aside"
    REFUSED = "refused"
    MISSING = "missing"
    DIFFERS = "differs"
    WAITING = "waiting"
    GIVEN = "given"
    CONFIRMED = "confirmed"
    OUT = "out"


# What is compared in sums: the same letter on both sides means that nothing needs to be looked at.
_LETTERS = {
    Word.TAKEN: "t",
    Word.GIVEN: "t",
    Word.CONFIRMED: "t",
    Word.OUT: "t",
    Word.SET_ASIDE: "s",
    Word.REFUSED: "r",
    Word.MISSING: "m",
    Word.DIFFERS: "m",
}
_DECIDED = ("discarded", "edited")
_FEED_WORDS = {
    feed_rows.OFFERED: Word.WAITING,
    feed_rows.SENT: Word.GIVEN,
    feed_rows.SETTLED: Word.CONFIRMED,
    feed_rows.FAILED: Word.REFUSED,
    feed_rows.SET_ASIDE: Word.SET_ASIDE,
    feed_rows.OUT: Word.OUT,
}


class Line(NamedTuple):
    """One version in one book.

    Args:
        key: As the other party knows it, with the digest of the rendition.
        word: What is told of it.
        at: Microseconds: its position in the feed, or when it last came.
        earlier: It last came in an earlier history of its giver, or under earlier terms.
        reason: For ourselves alone: why it is not held as it came; "" when it is.
    """

    key: Key
    word: Word
    at: int
    earlier: bool = False
    reason: str = ""


class Place(NamedTuple):
    """Where a walk stands: after this line; of a feed only the position counts."""

    at: int
    stix_id: str = ""
    spec_version: str = ""
    version: int = -(2**63)
    digest: bytes = b""


START = Place(-(2**63))


class Sum(NamedTuple):
    """How many lines a bucket has, and their digests added up, so that their order does not matter."""

    number: int
    total: int


_GIVEN = sa.text(
    "select f.offered_at, f.version, f.versionless, f.state, f.stix_id, f.spec_version, f.rendition"
    " from feed_row f where f.link = :link and f.offered_at > :at order by f.offered_at limit :n"
)
# Moments are walked by the index; the lines of one moment are few, and are put in order on the way.
_RECEIVED = sa.text(
    "select r.at, r.stix_id, r.spec_version, r.version, r.digest, r.outcome, r.reason, r.epoch"
    " from received r where r.link = :link and r.at >= :at and (r.at > :at"
    " or (r.stix_id, r.spec_version, r.version, r.digest) > (:id, :spec, :version, :digest))"
    " order by r.at, r.stix_id, r.spec_version, r.version, r.digest limit :n"
)
_STANDING = spelled(
    "select o.stix_id, o.spec_version, o.version, o.versionless, o.digest, o.origin from json_each(:ids) j"
    " cross join object o indexed by object_id where o.collection_id = :c and o.stix_id = j.value",
    "select o.stix_id, o.spec_version, o.version, o.versionless, o.digest, o.origin"
    " from unnest(array_fill(cast(:c as int4), array[cardinality(cast(:ids as text[]))]),"
    ' cast(:ids as text[])) j(c, id) join "object" o on o.collection_id = j.c and o.stix_id = j.id',
)
_REPLACED = spelled(
    "select h.stix_id, h.digest from json_each(:ids) j cross join object_history h"
    " indexed by object_history_id where h.collection_id = :c and h.stix_id = j.value",
    "select h.stix_id, h.digest from unnest(cast(:ids as text[])) j(id)"
    " join object_history h on h.collection_id = :c and h.stix_id = j.id",
)
_SET_ASIDE = spelled(
    "select q.stix_id, q.digest, q.state, q.edited is not null from json_each(:ids) j cross join quarantine q"
    " indexed by quarantine_key where q.link = :link and q.stix_id = j.value",
    "select q.stix_id, q.digest, q.state, q.edited is not null from unnest(cast(:ids as text[])) j(id)"
    " join quarantine q on q.link = :link and q.stix_id = j.id",
)


def bucket_of(stix_id: str) -> int:
    """The bucket of an id: the first byte of its SHA-256."""
    return hashlib.sha256(stix_id.encode("utf-8", "surrogatepass")).digest()[0]


def mark_of(key: Key) -> str:
    """A version without its name: only who has its id and digest can tell which it is."""
    return hashlib.sha256(b"mark\n" + _text_of(key)).hexdigest()


def add_up(lines: Iterable[Line]) -> dict[int, Sum]:
    """bucket -> sum of some lines; what only waits is not counted."""
    counts: Counter[int] = Counter()
    totals: dict[int, int] = {}
    for line in lines:
        letter = _LETTERS.get(line.word)
        if letter is not None:
            bucket = bucket_of(line.key.stix_id)
            digest = hashlib.sha256(letter.encode() + b"\n" + _text_of(line.key)).digest()
            counts[bucket] += 1
            totals[bucket] = (totals.get(bucket, 0) + int.from_bytes(digest, "big")) % _WRAP
    return {bucket: Sum(counts[bucket], totals[bucket]) for bucket in counts}


def together(one: dict[int, Sum], other: dict[int, Sum]) -> dict[int, Sum]:
    """The sums of two stretches of one walk."""
    found = dict(one)
    for bucket, more in other.items():
        before = found.get(bucket, Sum(0, 0))
        found[bucket] = Sum(before.number + more.number, (before.total + more.total) % _WRAP)
    return found


def given(
    tx: Tx, link: str, after: Place, limit: int, *, buckets: Set[int] | None = None
) -> tuple[list[Line], Place | None]:
    """What an outgoing link's feed says, after a place; and where to go on, None at the end.

    Args:
        tx: A reader.
        link: Name of the link.
        after: Where the last step ended.
        limit: Rows to look at.
        buckets: Lines of these alone; None for all.
    """
    rows = tx.rows(_GIVEN, link=link, at=after.at, n=limit)
    lines = [
        Line(
            Key(stix_id, spec, 0 if versionless else int(version), bytes(digest)),
            _FEED_WORDS[int(state)],
            int(at),
        )
        for at, version, versionless, state, stix_id, spec, digest in rows
        if buckets is None or bucket_of(stix_id) in buckets
    ]
    return lines, Place(int(rows[-1][0])) if len(rows) == limit else None


def received(
    tx: Tx,
    link: str,
    collection_id: int,
    after: Place,
    limit: int,
    *,
    epoch: str,
    buckets: Set[int] | None = None,
) -> tuple[list[Line], Place | None]:
    """What the ledger says of what came by an incoming link, after a place; and where to go on.

    What nobody could read an id of is left out: neither side could find it in its books. So is what a
    person here put in the place of a text that came, since nobody ever brought that.

    Args:
        tx: A reader.
        link: Name of the link.
        collection_id: Where its objects lie.
        after: Where the last step ended.
        limit: Lines to look at.
        epoch: The giver's present one; "" when nobody knows it.
        buckets: Lines of these alone; None for all.
    """
    rows = tx.rows(
        _RECEIVED,
        link=link,
        at=after.at,
        id=after.stix_id,
        spec=after.spec_version,
        version=after.version,
        digest=after.digest,
        n=limit,
    )
    onward = None
    if len(rows) == limit:
        at, stix_id, spec, version, digest, *_ = rows[-1]
        onward = Place(int(at), stix_id, spec, int(version), bytes(digest))
    known = [
        row
        for row in rows
        if not (row[1].startswith(UNREADABLE) or row[6] == ledger.EDITED)
        and (buckets is None or bucket_of(row[1]) in buckets)
    ]
    return _judged(tx, link, collection_id, known, epoch), onward


def _judged(tx: Tx, link: str, collection_id: int, rows: Sequence[Row], epoch: str) -> list[Line]:
    """The lines of some rows of the ledger, each held against what stands here now."""
    wanted = tx.listed(sorted({row[1] for row in rows}))
    standing = {(row[0], bytes(row[4])) for row in tx.rows(_STANDING, ids=wanted, c=collection_id)}
    absent = sorted({row[1] for row in rows if (row[1], bytes(row[4])) not in standing})
    why = _Absent(tx, link, collection_id, absent)
    lines: list[Line] = []
    for at, stix_id, spec, version, digest, outcome, reason, last_epoch in rows:
        key = Key(stix_id, spec, int(version), bytes(digest))
        earlier = epoch != "" and last_epoch != epoch
        if (stix_id, key.digest) in standing:
            lines.append(Line(key, Word.TAKEN, int(at), earlier))
        else:
            word, said = why.of(key, outcome, reason)
            lines.append(Line(key, word, int(at), earlier, said))
    return lines


class _Absent:
    """Why what came by a link is not held as those very bytes."""

    def __init__(self, tx: Tx, link: str, collection_id: int, ids: Sequence[str]) -> None:
        wanted = tx.listed(ids)
        there = tx.rows(_STANDING, ids=wanted, c=collection_id) if ids else []
        self._texts = {
            (stix_id, spec, int(version)): (bytes(digest), origin)
            for stix_id, spec, version, versionless, digest, origin in there
            if not versionless
        }
        replaced = tx.rows(_REPLACED, ids=wanted, c=collection_id) if ids else []
        self._replaced = {(row[0], bytes(row[1])) for row in replaced}
        aside = tx.rows(_SET_ASIDE, ids=wanted, link=link) if ids else []
        self._aside = {(row[0], bytes(row[1])): "edited" if row[3] else str(row[2]) for row in aside}
        stones = owners.tombstones(tx, collection_id, ids)
        self._buried = {(stone.stix_id, stone.digest) for each in stones.values() for stone in each}
        lines = ledger.received(tx, ids)
        self._brought = {(line.stix_id, line.digest) for each in lines.values() for line in each}

    def of(self, key: Key, outcome: str, reason: str) -> tuple[Word, str]:
        """What is told of it, and what we know."""
        name = (key.stix_id, key.digest)
        state = self._aside.get(name, "")
        if outcome == "quarantined":
            return Word.SET_ASIDE, next((each for each in _DECIDED if each in (state, reason)), "set_aside")
        if outcome == "refused":
            return Word.REFUSED, "refused"
        if name in self._buried or outcome == "suppressed":
            return Word.TAKEN, "removed"
        if state in ("waiting", "discarded"):
            return Word.SET_ASIDE, "discarded" if state == "discarded" else "set_aside"
        if outcome in ("variant", "echo"):
            return Word.TAKEN, outcome
        if name in self._replaced:
            return Word.TAKEN, "replaced"
        stands = self._texts.get((key.stix_id, key.spec_version, key.version))
        if stands is None:
            return Word.MISSING, "missing"
        digest, origin = stands
        # What was replaced is forgotten after its days; then who brought the other text tells it.
        if (key.stix_id, digest) in self._brought or origin == "local":
            return Word.TAKEN, "replaced"
        return Word.DIFFERS, "differs"


def offer_again(tx: Tx, link: str, keys: Sequence[Key], *, now: int) -> int:
    """Offer rows once more, at the end of their feed, if they stand in it and were handed over; how many.

    Args:
        tx: A transaction.
        link: Name of the outgoing link.
        keys: Which versions, as in the lines of `given`.
        now: Microseconds.
    """
    state = feed_rows.held(tx, link)
    if state is None:
        return 0
    wanted, last = set(keys), state.last_offered
    fresh: list[feed_rows.FeedRow] = []
    rows = feed_rows.by_ids(tx, link, {key.stix_id for key in keys})
    for row in sorted(rows, key=lambda row: row.offered_at):
        handed = row.state in (feed_rows.SENT, feed_rows.SETTLED)
        if handed and row.key._replace(digest=row.rendition) in wanted:
            last = max(now, last + feed_rows.STEP)
            fresh.append(row._replace(offered_at=last, state=feed_rows.OFFERED, message=""))
    feed_rows.put(tx, fresh)
    feed_rows.save(tx, state._replace(last_offered=last))
    return len(fresh)


def _text_of(key: Key) -> bytes:
    text = f"{key.stix_id}\n{key.spec_version}\n{key.version}\n{key.digest.hex()}"
    return text.encode("utf-8", "surrogatepass")
