"""Judge rows for one partner: gather what the rules ask, for a whole batch at once.

The deciding half that a feed, a page, a push and a preview all share; it writes nothing.

Reads   tables object, owner, received, link, withdrawal; bodies only for the ids they refer to
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from node.exchange import ledger, links, withdrawals
from node.exchange.door import Door
from node.exchange.ledger import ReceivedLine
from node.sharing.decisions import Decision, End, Facts, decide_egress, permitted_by_any
from node.sharing.links import Link
from node.store import objects, owners
from node.store.database import Tx
from node.store.objects import Held, HeldBody


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row to be judged for one partner.

    Args:
        row: The stored version and its bytes.
        companion: It goes because an object that may go names it.
    """

    row: HeldBody
    companion: bool = False


def judge(
    tx: Tx, door: Door, link: Link, candidates: Sequence[Candidate], *, now: int, entering: bool
) -> list[Decision]:
    """One decision for each candidate, in order.

    Args:
        tx: A reader or a transaction.
        door: What the door judges by.
        link: The outgoing link.
        candidates: Rows of the link's collection, and companions from anywhere.
        now: The later of the clock and the highest `date_added`, in microseconds.
        entering: Whether they would enter the feed now; False when rows of the feed are judged again.
    """
    if not candidates:
        return []
    refs = [door.references.of(one.row) for one in candidates]
    ids = {one.row.held.stix_id for one in candidates}
    named = {ref for each in refs for ref in each}
    owner_rows = owners.owners(tx, ids | named)
    ends = _ends(tx, link, named, owner_rows)
    brought = ledger.received(tx, ids)
    taken_back = withdrawals.refused(tx, ids)
    epochs = {name: state.partner_epoch for name, state in links.states(tx).items()}
    decisions: list[Decision] = []
    for one, names in zip(candidates, refs, strict=True):
        held = one.row.held
        lines = [line for line in brought.get(held.stix_id, ()) if _is_of(line, held)]
        # An echo only gives back what we released to that partner: it is ours to pass on, not its own.
        flows = {(line.partner, line.link.split("/")[1]) for line in lines if line.outcome != "echo"}
        decisions.append(
            decide_egress(
                facts_of(
                    held,
                    owner_rows,
                    companion=one.companion,
                    withdrawn=held.stix_id in taken_back and not held.revoked,
                    edited=any(line.reason == ledger.EDITED for line in lines if line.partner == held.origin),
                ),
                link,
                now=now,
                brought_by=sorted({partner for partner, _ in flows}),
                brought_in_present_epoch=any(
                    line.partner == link.partner and epochs.get(line.link) == line.epoch for line in lines
                ),
                entering=entering,
                ends=[ends[name] for name in names if name in ends and name != held.stix_id],
                onward_granted=_grants(link, flows),
            )
        )
    return decisions


def facts_of(
    held: Held,
    owner_rows: Mapping[str, owners.Owner],
    *,
    companion: bool = False,
    withdrawn: bool = False,
    edited: bool = False,
) -> Facts:
    """What the rules know of one row; an observable stands by its own marking alone."""
    owner = None if held.observable else owner_rows.get(held.stix_id)
    return Facts(
        id=held.stix_id,
        type=held.type,
        observable=held.observable,
        rank=held.rank,
        owner_rank=None if owner is None else owner.rank,
        origin=held.origin,
        companion=companion,
        withdrawn=withdrawn,
        edited=edited,
    )


def _grants(link: Link, flows: set[tuple[str, str]]) -> _Grants:
    return _Grants(frozenset(flows), frozenset(link.granted_by))


@dataclass(frozen=True, slots=True)
class _Grants:
    """Whether every flow by which a partner brought an object lets us pass it on."""

    flows: frozenset[tuple[str, str]]
    granted: frozenset[tuple[str, str]]

    def __call__(self, partner: str) -> bool:
        return all(flow in self.granted for flow in self.flows if flow[0] == partner)


def _ends(tx: Tx, link: Link, named: set[str], owner_rows: Mapping[str, owners.Owner]) -> dict[str, End]:
    held = objects.held_by_ids(tx, named)
    return {
        stix_id: End(
            id=stix_id,
            held=True,
            from_partner=any(row.origin == link.partner for row in rows),
            permitted=any(permitted_by_any(facts_of(row, owner_rows), link.sibling_terms) for row in rows),
        )
        for stix_id, rows in held.items()
    }


def _is_of(line: ReceivedLine, held: Held) -> bool:
    return (
        line.digest == held.digest
        and line.spec_version == held.spec_version
        and (held.versionless or line.version == held.version)
        and line.outcome not in ("quarantined", "refused")
    )
