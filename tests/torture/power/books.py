"""What must agree in a node's database whenever it is looked at, whatever happened to the node before.

Objects, tombstones, arrivals, audit, statuses, ledger, session and bookmark of one batch are one transaction;
each rule here would be broken by one of them without the others. The rules know nothing of what the node did.
"""

from __future__ import annotations

import hashlib
import json
import marshal
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import Any

import sqlalchemy as sa

from node.clock import parse_taxii_time
from node.store.database import Tx
from node.taxii.statuses import KEPT

Offered = Collection[tuple[int, str, bytes]]
"""What a partner has offered us on one link, ever: date, id and digest."""
Arrivals = list[tuple[int, int, str, Counter[str]]]
"""Number, moment, kind and counts of each arrival."""

_TABLES = sa.text("select name from sqlite_master where type = 'table' order by name")
_ROWS = sa.text('select count(*) from "object"')
_GONE = sa.text("select count(*) from tombstone")
_ARRIVALS = sa.text("select arrival_id, at, kind, counts from arrival")
_LEAVES = sa.text("select act, details from leaf where act in ('import', 'post', 'pull', 'push')")
_STATUSES = sa.text("select status_id, at, body from status")
_KNOWN = sa.text('select stix_id from "object" union select stix_id from tombstone')
_KEYS = sa.text('select stix_id, digest from "object" union select stix_id, digest from tombstone')
_THEIRS = sa.text("select stix_id, digest from \"object\" where origin <> 'local'")
_RECEIVED = sa.text("select link, stix_id, digest, outcome from received")
_BOOKMARKS = sa.text("select link, added_after from bookmark")
_SESSIONS = sa.text("select have, status_id from session_in")
_DATES = sa.text(
    'select c.alias, c.last_added, max(o.added) from collection c left join "object" o'
    " on o.collection_id = c.collection_id group by c.alias, c.last_added"
)
_OURS = ("stored", "duplicate", "restated", "tie", "variant", "echo", "suppressed")


def content(rows: Callable[[str], Iterable[tuple[Any, ...]]]) -> bytes:
    """Everything in a database, as one digest.

    Args:
        rows: Carries out a query.
    """
    tables = [name for (name,) in rows(str(_TABLES))]
    everything = [(name, list(rows(f'select * from "{name}"'))) for name in tables]
    return hashlib.sha256(marshal.dumps(everything, 2)).digest()  # 2: equal values are equal bytes


def disagreements(tx: Tx, offered: dict[str, Offered]) -> list[str]:
    """What does not fit together, a line for each.

    Args:
        tx: A reader.
        offered: For each link that we pull by, what its partner offered.
    """
    if not tx.rows(_TABLES):
        return []  # not founded yet
    found: list[str] = []
    arrivals = [
        (number, at, kind, Counter(json.loads(counts))) for number, at, kind, counts in tx.rows(_ARRIVALS)
    ]
    found += _objects(tx, arrivals)
    found += _audit(tx, arrivals)
    found += _statuses(tx, arrivals)
    found += _ledger(tx, offered)
    found += [
        f"{alias} has an object of {newest}, later than its last date {last}"
        for alias, last, newest in tx.rows(_DATES)
        if newest is not None and newest > last
    ]
    return found


def _one(tx: Tx, statement: sa.TextClause) -> int:
    row = tx.row(statement)
    assert row is not None
    return int(row[0])


def _objects(tx: Tx, arrivals: Arrivals) -> list[str]:
    stored = sum(counts["stored"] for *_, counts in arrivals)
    rows, gone = _one(tx, _ROWS), _one(tx, _GONE)
    if stored == rows + gone:
        return []
    return [f"arrivals stored {stored} objects, and there are {rows} with {gone} tombstones"]


def _audit(tx: Tx, arrivals: Arrivals) -> list[str]:
    told: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for _, text in tx.rows(_LEAVES):
        details = json.loads(text)
        told[details.pop("arrival")].update(details)
    return [
        f"arrival {number} stored {counts['stored']} objects, its leaves say {told[number]['stored']}"
        for number, _, _, counts in arrivals
        if counts["stored"] != told[number]["stored"]
    ]


def _statuses(tx: Tx, arrivals: Arrivals) -> list[str]:
    statuses = [(name, at, json.loads(body)) for name, at, body in tx.rows(_STATUSES)]
    known = {stix_id for (stix_id,) in tx.rows(_KNOWN)}
    names = {name for name, *_ in statuses}
    oldest = max((at for _, at, _ in statuses), default=0) - KEPT
    posted = [each for each in arrivals if each[2] in ("post", "push") and each[1] >= oldest]
    found = []
    if len(posted) != len(statuses):
        found.append(f"{len(posted)} arrivals by POST have {len(statuses)} statuses")
    good = sum(counts[name] for *_, counts in posted for name in _OURS)
    told = [detail["id"] for *_, status in statuses for detail in status.get("successes", ())]
    if good != len(told):
        found.append(f"{good} posted objects were taken, the statuses tell of {len(told)}")
    found += [f"a status tells of {each}, which is not there" for each in told if each not in known]
    pushed = sum(kind == "push" for _, _, kind, _ in arrivals)
    lately = any(kind == "push" for _, _, kind, _ in posted)
    for have, status_id in tx.rows(_SESSIONS):
        if have != pushed:
            found.append(f"{pushed} batches were pushed, the session has {have}")
        if lately and status_id not in names:
            found.append(f"the session names the status {status_id}, which is not there")
    return found


def _ledger(tx: Tx, offered: dict[str, Offered]) -> list[str]:
    lines = tx.rows(_RECEIVED)
    written = {(stix_id, bytes(digest)) for _, stix_id, digest, outcome in lines if outcome == "stored"}
    received = {(link, stix_id, bytes(digest)) for link, stix_id, digest, _ in lines}
    there = {(stix_id, bytes(digest)) for stix_id, digest in tx.rows(_KEYS)}
    theirs = {(stix_id, bytes(digest)) for stix_id, digest in tx.rows(_THEIRS)}
    marks = {link: parse_taxii_time(text) for link, text in tx.rows(_BOOKMARKS)}
    found = [f"the ledger has {stix_id}, and it is not there" for stix_id, _ in written - there]
    found += [f"{stix_id} of a partner is there, and not in the ledger" for stix_id, _ in theirs - written]
    for link, listing in offered.items():
        for date, stix_id, digest in listing:
            if (date <= marks.get(link, 0)) != ((link, stix_id, digest) in received):
                found.append(f"{stix_id} is on the wrong side of the bookmark of {link}")
    return found
