"""Objects set aside for a person: a list of work, never a place where things vanish.

Entries are keyed by link, key and digest, so a partner that sends the same bytes again adds nothing.
A discarded entry is remembered and the same bytes are not asked about again. An entry closes itself
when its key arrives lawfully. One that was accepted or closed waits again when the same bytes are set
aside once more, for then they are not held any longer. Retention empties the body; the entry stays.

Writes  table quarantine
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from node.errors import UsageError
from node.exchange.ledger import Key
from node.store.database import Tx, spelled


class Entry(NamedTuple):
    """One object set aside; `version` is 0 for objects without an instant or that could not be read."""

    entry: str
    link: str
    collection_id: int
    stix_id: str
    spec_version: str
    version: int
    reason: str
    detail: str
    state: str
    decided_by: str
    decision_reason: str
    decided_at: int | None
    arrival_id: int
    at: int
    digest: bytes
    body: bytes


_COLUMNS = ", ".join("q." + name for name in Entry._fields)
_PUT = sa.text(
    "insert into quarantine (entry, link, collection_id, stix_id, spec_version, version, reason,"
    " detail, state,"
    " decided_by, decision_reason, decided_at, arrival_id, at, digest, body) values (:entry, :link,"
    " :collection_id,"
    " :stix_id, :spec_version, :version, :reason, :detail, 'waiting', '', '', null, :arrival_id,"
    " :at, :digest, :body)"
    " on conflict (entry) do update set state = 'waiting', reason = excluded.reason,"
    " detail = excluded.detail,"
    " at = case when quarantine.state = 'waiting' then quarantine.at else excluded.at end,"
    " decided_by = '', decision_reason = '', decided_at = null, arrival_id = excluded.arrival_id,"
    " body = excluded.body where quarantine.state <> 'discarded'"
)
_ERASE = sa.text(
    "update quarantine set body = :nothing,"
    " decision_reason = case when state = 'waiting' then 'erased' else decision_reason end,"
    " decided_at = case when state = 'waiting' then :now else decided_at end,"
    " state = case when state = 'waiting' then 'closed' else state end"
    " where link = :link and collection_id = :c and at < :before and length(body) > 0"
)
_DISCARDED = spelled(
    "select q.stix_id, q.digest from json_each(:ids) j cross join quarantine q on q.link = :link and"
    " q.stix_id = j.value"
    " where q.state = 'discarded'",
    "select q.stix_id, q.digest from unnest(cast(:ids as text[])) j(id) join quarantine q"
    " on q.link = :link and q.stix_id = j.id where q.state = 'discarded'",
)
_CLOSE = sa.text(
    "update quarantine set state = 'closed', decision_reason = 'arrived lawfully', decided_at = :now"
    " where stix_id = :stix_id and spec_version = :spec_version and version = :version and digest = :digest"
    " and state = 'waiting'"
)
_WAITING_IDS = spelled(
    # What waits is read once: no index begins with the id, so each id would be looked for in all of it.
    "select distinct q.stix_id from quarantine q where q.state = 'waiting'"
    " and q.stix_id in (select value from json_each(:ids))",
    "select distinct q.stix_id from quarantine q where q.state = 'waiting'"
    " and q.stix_id || '' = any(cast(:ids as text[]))",
)
_LIST = sa.text(
    f"select {_COLUMNS} from quarantine q where q.state = :state and (:link = '' or q.link = :link)"
    " order by q.at, q.entry limit :n"
)
_FIND = sa.text(f"select {_COLUMNS} from quarantine q where q.entry = :entry")
_OF_ID = sa.text(f"select {_COLUMNS} from quarantine q where q.stix_id = :id order by q.at")
_DECIDE = sa.text(
    "update quarantine set state = :state, decided_by = :actor, decision_reason = :reason, decided_at = :now"
    " where entry = :entry and state = 'waiting'"
)
_COUNT = sa.text("select link, count(*), min(at) from quarantine where state = 'waiting' group by link")


def name_of(link: str, key: Key) -> str:
    """The name of the entry of one link, key and digest: `q-` and ten hexadecimal digits."""
    text = f"{link}\n{key.stix_id}\n{key.spec_version}\n{key.version}\n{key.digest.hex()}"
    return "q-" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]


def set_aside(
    tx: Tx,
    link: str,
    collection_id: int,
    key: Key,
    body: bytes,
    *,
    reason: str,
    detail: str,
    arrival_id: int,
    now: int,
) -> str:
    """Put an object aside for a person; the entry's name. One that waits already is not doubled."""
    entry = name_of(link, key)
    tx.run(
        _PUT,
        entry=entry,
        link=link,
        collection_id=collection_id,
        **key._asdict(),
        reason=reason,
        detail=detail[:500],
        arrival_id=arrival_id,
        at=now,
        body=body,
    )
    return entry


def discarded(tx: Tx, link: str, ids: Iterable[str]) -> set[tuple[str, bytes]]:
    """(id, digest) of what a person discarded on a link."""
    wanted = sorted(set(ids))
    if not wanted:
        return set()
    return {
        (stix_id, bytes(digest)) for stix_id, digest in tx.rows(_DISCARDED, ids=tx.listed(wanted), link=link)
    }


def close(tx: Tx, keys: Sequence[Key], *, now: int) -> None:
    """Close the entries of versions that have now arrived lawfully."""
    if not keys:
        return
    waiting = {row[0] for row in tx.rows(_WAITING_IDS, ids=tx.listed(sorted({key.stix_id for key in keys})))}
    tx.many(_CLOSE, [{**key._asdict(), "now": now} for key in keys if key.stix_id in waiting])


def erase(tx: Tx, link: str, collection_id: int, before: int, *, now: int) -> int:
    """Erase the bodies of what one link brought before a moment; how many. What waited is closed."""
    return tx.run(_ERASE, link=link, c=collection_id, before=before, now=now, nothing=b"")


def entries(tx: Tx, *, state: str = "waiting", link: str = "", limit: int = 1000) -> list[Entry]:
    """Entries in one state, oldest first, of one link if given."""
    return [_entry(row) for row in tx.rows(_LIST, state=state, link=link, n=limit)]


def of_id(tx: Tx, stix_id: str) -> list[Entry]:
    """All entries of one id, decided or not."""
    return [_entry(row) for row in tx.rows(_OF_ID, id=stix_id)]


def find(tx: Tx, entry: str) -> Entry:
    """One entry by name.

    Raises:
        UsageError: There is none of that name.
    """
    row = tx.row(_FIND, entry=entry)
    if row is None:
        raise UsageError(f"There is no quarantine entry {entry!r}.", remedy="Run: stixnode quarantine list")
    return _entry(row)


def waiting(tx: Tx) -> dict[str, tuple[int, int]]:
    """(number, moment of the oldest) of waiting entries by link."""
    return {link: (int(number), int(oldest)) for link, number, oldest in tx.rows(_COUNT)}


def decide(tx: Tx, entry: str, *, state: str, actor: str, reason: str, now: int) -> None:
    """Note a person's decision on a waiting entry.

    Raises:
        UsageError: There is no such entry, or it has been decided already.
    """
    if tx.run(_DECIDE, entry=entry, state=state, actor=actor, reason=reason, now=now) == 0:
        known = find(tx, entry)
        raise UsageError(
            f"The entry {entry} is {known.state} already, by {known.decided_by or 'the node'}.",
            remedy="Nothing was changed. Run: stixnode quarantine list",
        )


def _entry(row: tuple[Any, ...]) -> Entry:
    return Entry._make((*row[:-2], bytes(row[-2]), bytes(row[-1])))
