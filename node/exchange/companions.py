"""What goes with an object: the marking definitions and the author's organisation that it names.

They go whatever the flow's `types` and `unmarked` say, because without them the receiver could not tell
what may be done with the object; their own markings still count. An organisation is a companion as long as
something that stands in the feed for itself names it as author; afterwards it is judged by its own right.
A marking-definition stays one: it says nothing but what its objects said.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from node.exchange.door import Door
from node.exchange.feed_rows import FeedRow
from node.exchange.judging import Candidate, judge
from node.sharing.decisions import Decision
from node.sharing.links import Link
from node.stix.objects import named
from node.store import objects
from node.store.database import Tx, spelled
from node.store.objects import Held, HeldBody

DEFINITION, IDENTITY = "marking-definition--", "identity--"

_AUTHORS_STANDING = spelled(
    "select distinct o.created_by from feed_row f cross join object o indexed by object_id"
    " on o.collection_id = f.collection_id and o.stix_id = f.stix_id and o.spec_version = f.spec_version"
    " where f.link = :link and f.state < 9 and not f.companion and o.digest = f.digest"
    " and o.created_by in (select value from json_each(:authors)) and o.created_by <> o.stix_id"
    " and f.stix_id not in (select value from json_each(:besides))",
    'select distinct o.created_by from feed_row f join "object" o'
    " on o.collection_id = f.collection_id and o.stix_id = f.stix_id and o.spec_version = f.spec_version"
    " where f.link = :link and f.state < 9 and not f.companion and o.digest = f.digest"
    " and o.created_by = any(cast(:authors as text[])) and o.created_by <> o.stix_id"
    " and not exists (select 1 from unnest(cast(:besides as text[])) j(id) where j.id = f.stix_id)",
)


class Earlier(NamedTuple):
    """What earlier steps of a preview examined, and who the authors are of what they let go.

    Nothing of it was written, so the feed still shows those ids as they stood before.
    """

    ids: Collection[str] = ()
    authors: Collection[str] = ()


NOTHING_EARLIER = Earlier()


def named_by_standing(
    tx: Tx,
    link: Link,
    ids: Collection[str],
    standing: Iterable[FeedRow],
    earlier: Earlier = NOTHING_EARLIER,
) -> set[str]:
    """Which of some ids are companions of what stands in a feed beside them.

    Organisations are few and change seldom, so this may walk the feed, once for all of them.

    Args:
        tx: A reader or a transaction.
        link: The outgoing link.
        ids: What is examined; whether it names one another is for the caller to see.
        standing: The rows of these ids that stand in the feed.
        earlier: Of a preview.
    """
    found = {row.stix_id for row in standing if row.companion and row.stix_id.startswith(DEFINITION)}
    held = objects.held_by_ids(tx, [stix_id for stix_id in ids if stix_id.startswith(IDENTITY)])
    authors = sorted(stix_id for stix_id, rows in held.items() if any(row.organisation for row in rows))
    found.update(set(authors) & set(earlier.authors))
    if authors:
        found.update(
            author
            for (author,) in tx.rows(
                _AUTHORS_STANDING,
                link=link.name,
                authors=tx.listed(authors),
                besides=tx.listed(sorted({*ids, *earlier.ids})),
            )
        )
    return found


def of(
    tx: Tx,
    door: Door,
    link: Link,
    collection_id: int,
    going: Sequence[HeldBody],
    accompanying: Collection[str],
    *,
    now: int,
) -> list[tuple[Held, Decision]]:
    """The companions of rows that may go by a link, each allowed by its own marking.

    Args:
        tx: A reader or a transaction.
        door: What the door judges by.
        link: The outgoing link.
        collection_id: The link's collection.
        going: Rows that may go.
        accompanying: Ids that are companions whether or not one of these rows names them; of their own
            accord they bring along their markings only, no author.
        now: The later of the clock and the highest `date_added`.

    Returns:
        (row, its decision), only allowed ones: definitions first, then identities; the last version
        of each id, from this collection where it is held here.
    """
    names = set(accompanying)
    for one in going:
        as_companion = one.held.stix_id in accompanying
        names.update(name for name in named(one.body) if name.startswith(DEFINITION) or not as_companion)
    names -= {one.held.stix_id for one in going} - set(accompanying)
    if not names:
        return []
    chosen: dict[str, Held] = {}
    for stix_id, rows in objects.held_by_ids(tx, names).items():
        last = [row for row in rows if row.is_last and (row.type == "marking-definition" or row.organisation)]
        if last:
            chosen[stix_id] = max(
                last,
                key=lambda row: (row.version, row.spec_version, row.collection_id == collection_id),
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
