"""What goes with an object: the marking definitions and the author's organisation that it names.

They go whatever the flow's `types` and `unmarked` say, because without them the receiver could not tell
what may be done with the object; their own markings still count.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from node.exchange.door import Door
from node.exchange.judging import Candidate, judge
from node.sharing.decisions import Decision
from node.sharing.links import Link
from node.stix.objects import named
from node.store import objects
from node.store.database import Tx
from node.store.objects import Held, HeldBody

_AUTHOR_STANDS = sa.text(
    'select 1 from feed_row f join "object" o on o.collection_id = :c and o.stix_id = f.stix_id'
    " where f.link = :link and f.state < 9 and o.created_by = :author limit 1"
)


def authors_standing(tx: Tx, link: Link, collection_id: int, organisations: Collection[str]) -> set[str]:
    """Which organisations are the author of something that stands in a feed: they go with it, even late.

    Organisations are few and change seldom, so this may walk the feed.
    """
    return {
        author
        for author in organisations
        if tx.row(_AUTHOR_STANDS, c=collection_id, link=link.name, author=author) is not None
    }


def of(tx: Tx, door: Door, link: Link, going: Sequence[HeldBody], *, now: int) -> list[tuple[Held, Decision]]:
    """The companions of rows that may go by a link, each allowed by its own marking.

    Args:
        tx: A reader or a transaction.
        door: What the door judges by.
        link: The outgoing link.
        going: Rows that may go.
        now: The later of the clock and the highest `date_added`.

    Returns:
        (row, its decision), only allowed ones: definitions first, then identities; the last version
        of each id, from this collection where it is held here.
    """
    names = {name for one in going for name in named(one.body)} - {one.held.stix_id for one in going}
    if not names:
        return []
    chosen: dict[str, Held] = {}
    for stix_id, rows in objects.held_by_ids(tx, names).items():
        last = [row for row in rows if row.is_last and (row.type == "marking-definition" or row.organisation)]
        if last:
            chosen[stix_id] = max(
                last,
                key=lambda row: (
                    row.version,
                    row.spec_version,
                    going[0].held.collection_id == row.collection_id,
                ),
            )
    candidates: list[Candidate] = []
    for row in sorted(chosen.values(), key=lambda row: (row.type != "marking-definition", row.stix_id)):
        body = objects.body_at(tx, row.collection_id, row.added)
        if body is not None:
            candidates.append(Candidate(HeldBody(row, body), companion=True))
    decisions = judge(tx, door, link, candidates, now=now, entering=True)
    return [
        (one.row.held, decision)
        for one, decision in zip(candidates, decisions, strict=True)
        if decision.allowed
    ]
