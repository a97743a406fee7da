"""How much of a partner's may wait in the quarantine, and what happens when it does.

Rule    A partner of which so much waits already that its `stricter` limits are reached brings nothing more
        that would have to wait: the page or batch ends in `QuarantineFull`, and nothing of it is stored. The
        one that reaches the limit is still taken, so that an empty quarantine takes a page of any size. What
        waits already, or was discarded, comes again as it likes.

Reads   tables link, quarantine
"""

from __future__ import annotations

from typing import NamedTuple

from node.errors import Refused
from node.sharing.links import Link
from node.store.database import Tx, spelled


class QuarantineFull(Refused):
    """So much of a partner's waits for a person that nothing more is taken that would have to wait."""


class Load(NamedTuple):
    """How much of a partner's waits."""

    objects: int
    bytes: int


_LOAD = spelled(
    "select count(q.size), coalesce(sum(q.size), 0) from link l cross join quarantine q"
    " where l.partner = :partner and q.state = 'waiting' and q.link = l.name",
    "select count(q.size), coalesce(sum(q.size), 0) from quarantine q where q.state = 'waiting'"
    " and q.link = any(array(select l.name from link l where l.partner = :partner))",
)
_STANDING = spelled(
    "select count(*) from json_each(:entries) j cross join quarantine q on q.entry = j.value"
    " where q.state in ('waiting', 'discarded')",
    "select count(*) from quarantine q where q.entry = any(cast(:entries as text[]))"
    " and q.state in ('waiting', 'discarded')",
)


def load(tx: Tx, partner: str) -> Load:
    """How much of a partner's waits, over all its links."""
    row = tx.row(_LOAD, partner=partner)
    return Load(0, 0) if row is None else Load(int(row[0]), int(row[1]))


def full(tx: Tx, link: Link) -> str:
    """How much of the partner's waits, as a sentence, if nothing more is taken that would wait; else ""."""
    objects, octets = load(tx, link.partner)
    most, most_bytes = link.stricter.max_quarantine_objects, link.stricter.max_quarantine_bytes
    if most and objects >= most:
        return f"The quarantine of {link.partner} is full: {objects:,} objects wait, and {most:,} may."
    if most_bytes and octets >= most_bytes:
        return f"The quarantine of {link.partner} is full: {octets:,} bytes wait, and {most_bytes:,} may."
    return ""


def refuse_more(tx: Tx, link: Link, names: set[str]) -> None:
    """Nothing, unless as much as we keep of the partner's waits already, and one of these entries is new.

    Raises:
        QuarantineFull: It does, and one is.
    """
    if not (link.stricter.max_quarantine_objects or link.stricter.max_quarantine_bytes):
        return
    problem = full(tx, link)
    if not problem:
        return
    row = tx.row(_STANDING, entries=tx.listed(sorted(names)))
    if row is None or int(row[0]) < len(names):
        raise QuarantineFull(
            problem,
            remedy="Nothing of this page was taken, and nothing is lost. A person has to look at what waits:"
            f" stixnode quarantine list {link.partner}",
        )
