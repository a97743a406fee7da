"""Objects set aside for a person: a list of work, never a place where things vanish.

Entries are keyed by link, key and digest, so a partner that sends the same bytes again adds nothing.
A discarded entry is remembered and the same bytes are not asked about again. An entry closes itself
when its key arrives lawfully. One that was accepted or closed waits again when the same bytes are set
aside once more, for then they are not held any longer. Retention empties the body; the entry stays.

An entry keeps its bytes as they came. Where a person corrected them, it names the digest of the text that
was let in instead; while that text stands, the original is an explained variant when it comes again.

Writes  table quarantine
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from node.errors import UsageError
from node.exchange import fullness
from node.exchange.ledger import Key
from node.sharing.links import Link
from node.store.database import Tx, spelled


class Entry(NamedTuple):
    """One object set aside.

    Args:
        version: 0 for objects without an instant, or that could not be read.
        at: Since when it waits; `arrival_id` is the arrival that brought it then.
        size: Of the body, 0 once that was erased.
        body: As it came; empty where only a list was asked for, and once it was erased.
        edited: Digest of the text that a person here put in its place, or None.
    """

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
    size: int
    digest: bytes
    body: bytes
    edited: bytes | None

    @property
    def key(self) -> Key:
        """What it is known by in the books."""
        return Key(self.stix_id, self.spec_version, self.version, self.digest)


class Aside(NamedTuple):
    """One object to be set aside, and why."""

    key: Key
    body: bytes
    reason: str
    detail: str


class Group(NamedTuple):
    """How many entries of one link have one reason, and the moment of the oldest."""

    link: str
    reason: str
    number: int
    oldest: int


WAITING, ACCEPTED, DISCARDED, CLOSED = "waiting", "accepted", "discarded", "closed"

_NAMES = ", ".join("q." + name for name in Entry._fields)
# A list is of thousands, and a body may have a megabyte.
_LISTED = ", ".join("substr(q.body, 1, 0)" if name == "body" else "q." + name for name in Entry._fields)
_PUT = sa.text(
    "insert into quarantine (entry, link, collection_id, stix_id, spec_version, version, reason,"
    " detail, state,"
    " decided_by, decision_reason, decided_at, arrival_id, at, size, digest, body, edited) values (:entry,"
    " :link, :collection_id,"
    " :stix_id, :spec_version, :version, :reason, :detail, 'waiting', '', '', null, :arrival_id,"
    " :at, :size, :digest, :body, null)"
    " on conflict (entry) do update set state = 'waiting', reason = excluded.reason,"
    " detail = excluded.detail,"
    " at = case when quarantine.state = 'waiting' then quarantine.at else excluded.at end,"
    " arrival_id = case when quarantine.state = 'waiting' then quarantine.arrival_id"
    " else excluded.arrival_id end,"
    " decided_by = '', decision_reason = '', decided_at = null, edited = null,"
    " size = excluded.size, body = excluded.body where quarantine.state <> 'discarded'"
)
_ERASE = sa.text(
    "update quarantine set body = :nothing, size = 0,"
    " decision_reason = case when state = 'waiting' then 'erased' else decision_reason end,"
    " decided_at = case when state = 'waiting' then :now else decided_at end,"
    " state = case when state = 'waiting' then 'closed' else state end"
    " where link = :link and collection_id = :c and at < :before and length(body) > 0"
)
_DECIDED = spelled(
    "select q.stix_id, q.digest, q.state, q.edited from json_each(:ids) j cross join quarantine q"
    " on q.link = :link and q.stix_id = j.value where q.state = 'discarded' or q.edited is not null",
    "select q.stix_id, q.digest, q.state, q.edited from unnest(cast(:ids as text[])) j(id) join quarantine q"
    " on q.link = :link and q.stix_id = j.id where q.state = 'discarded' or q.edited is not null",
)
_CLOSE = sa.text(
    "update quarantine set state = 'closed', decision_reason = 'arrived lawfully', decided_at = :now"
    " where stix_id = :stix_id and spec_version = :spec_version and version = :version and digest = :digest"
    " and state = 'waiting'"
)
_WAITING_IDS = spelled(
    "select distinct q.stix_id from json_each(:ids) j cross join quarantine q on q.stix_id = j.value"
    " where q.state || '' = 'waiting'",
    "select distinct q.stix_id from quarantine q where q.stix_id = any(cast(:ids as text[]))"
    " and q.state || '' = 'waiting'",
)
_CHOSEN = " where q.state = :state and (:reason = '' or q.reason = :reason) and (:every or q.link {one_of})"
_ON_SQLITE = _CHOSEN.format(one_of="in (select value from json_each(:links))")
_ON_POSTGRES = _CHOSEN.format(one_of="|| '' = any(cast(:links as text[]))")
_IN_ORDER = " order by q.at, q.entry limit :n"
_LIST = spelled(
    f"select {_LISTED} from quarantine q{_ON_SQLITE}{_IN_ORDER}",
    f"select {_LISTED} from quarantine q{_ON_POSTGRES}{_IN_ORDER}",
)
_LIST_WHOLE = spelled(
    f"select {_NAMES} from quarantine q{_ON_SQLITE}{_IN_ORDER}",
    f"select {_NAMES} from quarantine q{_ON_POSTGRES}{_IN_ORDER}",
)
_GROUPS = sa.text(  # by words that no index has in order, or all entries would be read in that order
    "select q.link || '', q.reason || '', count(*), min(q.at) from quarantine q where q.state = :state"
    " group by q.link || '', q.reason || '' order by 1, 2"
)
_FIND = sa.text(f"select {_NAMES} from quarantine q where q.entry = :entry")
_OF_ID = sa.text(f"select {_NAMES} from quarantine q where q.stix_id = :id order by q.at")
_DECIDE = sa.text(
    "update quarantine set state = :state, decided_by = :actor, decision_reason = :reason,"
    " decided_at = :now, edited = :edited where entry = :entry and state = 'waiting'"
)
_SETTLE = sa.text(
    "update quarantine set state = 'closed', decided_by = :actor, decision_reason = :reason,"
    " decided_at = :now where entry = :entry and state in ('waiting', 'closed')"
)
_REASON = sa.text(
    "update quarantine set reason = :reason, detail = :detail where entry = :entry and state = 'waiting'"
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
    one = Aside(key, body, reason, detail)
    (entry,) = _put(tx, link, collection_id, [one], arrival_id=arrival_id, now=now)
    return entry


def take(
    tx: Tx, link: Link, collection_id: int, found: Sequence[Aside], *, arrival_id: int, now: int
) -> None:
    """Put aside what a batch brought that a person has to judge.

    Raises:
        QuarantineFull: As much as we keep of the partner's waits already, and something of this is new.
    """
    if not found:
        return
    fullness.refuse_more(tx, link, {name_of(link.name, one.key) for one in found})
    _put(tx, link.name, collection_id, found, arrival_id=arrival_id, now=now)


def decided(tx: Tx, link: str, ids: Iterable[str]) -> dict[tuple[str, bytes], bytes | None]:
    """What a person decided about bytes that a link brought.

    Returns:
        (id, digest) -> the digest of the text put in its place; None for what was discarded.
    """
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    rows = tx.rows(_DECIDED, ids=tx.listed(wanted), link=link)
    return {
        (stix_id, bytes(digest)): None if state == DISCARDED else bytes(edited)
        for stix_id, digest, state, edited in rows
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


def entries(
    tx: Tx,
    *,
    state: str = WAITING,
    links: Collection[str] | None = None,
    reason: str = "",
    limit: int = 1000,
    bodies: bool = True,
) -> list[Entry]:
    """Entries in one state, oldest first.

    Args:
        tx: A reader.
        state: Which.
        links: Only of these links; None for all.
        reason: Only those with this reason; "" for all.
        limit: So many at most.
        bodies: False leaves the bodies out.
    """
    rows = tx.rows(
        _LIST_WHOLE if bodies else _LIST,
        state=state,
        reason=reason,
        every=links is None,
        links=tx.listed(sorted(links or ())),
        n=limit,
    )
    return [_entry(row) for row in rows]


def groups(tx: Tx, *, state: str = WAITING) -> list[Group]:
    """The entries in one state, counted by link and reason."""
    return [
        Group(link, reason, int(n), int(oldest)) for link, reason, n, oldest in tx.rows(_GROUPS, state=state)
    ]


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


def decide(
    tx: Tx, entry: str, *, state: str, actor: str, reason: str, now: int, edited: bytes | None = None
) -> None:
    """Note a person's decision on a waiting entry.

    Args:
        edited: Digest of the text that takes the place of the original.

    Raises:
        UsageError: There is no such entry, or it has been decided already.
    """
    if tx.run(_DECIDE, entry=entry, state=state, actor=actor, reason=reason, now=now, edited=edited) == 0:
        refuse_decided(find(tx, entry))


def refuse_decided(one: Entry) -> None:
    """Nothing for an entry that waits.

    Raises:
        UsageError: It was decided already.
    """
    if one.state != WAITING:
        raise UsageError(
            f"The entry {one.entry} is {one.state} already, by {one.decided_by or 'the node'}.",
            remedy="Nothing was changed. Run: stixnode quarantine list",
        )


def settle(tx: Tx, names: Iterable[str], *, actor: str, reason: str, now: int) -> None:
    """Close entries of which nothing is left to decide: what they brought is held, or explained."""
    tx.many(_SETTLE, [{"entry": each, "actor": actor, "reason": reason, "now": now} for each in names])


def wait_for(tx: Tx, entry: str, *, reason: str, detail: str) -> None:
    """Note a newer reason for which an entry waits."""
    tx.run(_REASON, entry=entry, reason=reason, detail=detail[:500])


def _put(
    tx: Tx, link: str, collection_id: int, found: Sequence[Aside], *, arrival_id: int, now: int
) -> list[str]:
    names = [name_of(link, one.key) for one in found]
    tx.many(
        _PUT,
        [
            {
                "entry": entry,
                "link": link,
                "collection_id": collection_id,
                **one.key._asdict(),
                "reason": one.reason,
                "detail": one.detail[:500],
                "arrival_id": arrival_id,
                "at": now,
                "size": len(one.body),
                "body": one.body,
            }
            for entry, one in zip(names, found, strict=True)
        ],
    )
    return names


def _entry(row: tuple[Any, ...]) -> Entry:
    digest, body, edited = row[-3:]
    return Entry._make((*row[:-3], bytes(digest), bytes(body), None if edited is None else bytes(edited)))
