"""What both sides hold, compared object by object, from their stores and not from what a run reported.

    held by the giver = theirs + permitted + withheld
    permitted         = there as the same bytes + explained by the receiver's books + missing

Rule    An object counts as arrived only if the receiver holds the very bytes. Everything else needs a line
        in somebody's books that says why, or it is missing, and the two sides have not converged.

Reads   both nodes, through their doors. Writes nothing.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from node.exchange import egress, feed_rows, feeds, ledger
from node.exchange.door import Door
from node.exchange.ledger import Key, WithheldLine
from node.sharing.decisions import Reason
from node.sharing.links import Link
from node.stix.objects import read
from node.store import catalog
from node.store.database import Tx

_EVERYTHING = 2**31 - 1
_THEIRS = (Reason.BACK_TO_ORIGIN, Reason.BROUGHT_BY_PARTNER)
_EXPLAINS = ("variant", "quarantined", "suppressed", "refused")


class Holding(NamedTuple):
    """One version that a node holds: its name for people, and the SHA-256 of its bytes."""

    name: str
    bytes_digest: bytes


@dataclass(slots=True)
class Crossing:
    """One flow in one direction, after some rounds.

    Args:
        held: Versions in the giver's collection.
        theirs: Of these, what the receiver brought.
        permitted: What stands in the feed: the agreement lets it go.
        withheld: Lines of the giver's books that say what did not go, and why.
        arrived: Of the permitted, held by the receiver as the same bytes.
        explained: Word -> permitted versions of which the receiver's books say why they are not there.
        missing: Ids that nothing explains.
        leaked: Ids that were withheld and that the receiver got by this flow all the same.
        behind: The feed has not examined everything yet.
    """

    giver: str
    receiver: str
    collection: str
    carried: str
    held: int = 0
    theirs: int = 0
    permitted: int = 0
    withheld: list[WithheldLine] = field(default_factory=list)
    arrived: int = 0
    explained: Counter[str] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    behind: bool = False

    @property
    def adds_up(self) -> bool:
        """Whether both sums hold."""
        given = self.held == self.theirs + self.permitted + len(self.withheld)
        return given and self.permitted == self.arrived + self.explained.total() + len(self.missing)

    @property
    def converged(self) -> bool:
        """Whether all that may go is there or explained, and nothing is left to examine."""
        return self.adds_up and not self.missing and not self.leaked and not self.behind


def compare(giver: Door, link: Link, receiver: Door, incoming: Link, names: tuple[str, str]) -> Crossing:
    """What one flow came to between two stixnodes.

    Args:
        giver: The node that gives.
        link: Its outgoing link.
        receiver: The other node.
        incoming: The same flow as its incoming link.
        names: Giver and receiver.
    """
    found, permitted = _given(giver, link, names)
    there = holdings(receiver, incoming.collection)
    absent = [key.stix_id for key in permitted if key not in there]
    outcomes = _outcomes(receiver, incoming, [*absent, *(line.stix_id for line in found.withheld)])
    found.leaked = [line.stix_id for line in found.withheld if feeds.line_key(line) in outcomes]
    versions = {key[:3] for key in there}
    for key, holding in permitted.items():
        # The key has the digest of the meaning in it; whether the bytes are the same is another question.
        if key in there and there[key].bytes_digest == holding.bytes_digest:
            found.arrived += 1
        elif key in there:
            found.explained["held in another spelling"] += 1
        elif outcomes.get(key) in _EXPLAINS:
            found.explained[outcomes[key]] += 1
        elif key in outcomes and key[:3] in versions:
            found.explained["replaced"] += 1
        else:
            found.missing.append(key.stix_id)
    return found


def compare_with_manifest(
    giver: Door, link: Link, listed: set[tuple[str, int]], names: tuple[str, str]
) -> Crossing:
    """What one flow came to towards a server that we can only ask for its manifest.

    Args:
        giver: The node that gives.
        link: Its outgoing link.
        listed: (id, version in nanoseconds) of what the server says it has; 0 for one without a version.
        names: Giver and receiver.
    """
    found, permitted = _given(giver, link, names)
    ids = {stix_id for stix_id, _ in listed}
    for key in permitted:
        if (key.stix_id, key.version) in listed or (key.version == 0 and key.stix_id in ids):
            found.arrived += 1
        else:
            found.missing.append(key.stix_id)
    return found


def compare_with_bodies(
    bodies: Iterable[bytes], receiver: Door, incoming: Link, names: tuple[str, str]
) -> Crossing:
    """What one flow came to from a server whose content we know.

    Args:
        bodies: All that the server gave; it writes JSON anew, so the meaning is compared, not the bytes.
        receiver: The node that fetched.
        incoming: Its incoming link.
        names: Giver and receiver.
    """
    found = Crossing(*names, incoming.flow, _carried(incoming, names[1]))
    there = holdings(receiver, incoming.collection)
    keys = [_key(body) for body in bodies]
    outcomes = _outcomes(receiver, incoming, [key.stix_id for key in keys])
    found.held = found.permitted = len(keys)
    for key in keys:
        if key in there:
            found.arrived += 1
        elif outcomes.get(key) in _EXPLAINS:
            found.explained[outcomes[key]] += 1
        else:
            found.missing.append(key.stix_id)
    return found


def holdings(door: Door, alias: str) -> dict[Key, Holding]:
    """Everything in one collection, its digests made anew from the bytes."""
    with door.database.reading() as tx:
        collection = catalog.find_collection(tx, alias)
    assert collection is not None  # the links of the demonstration name collections that `init` made
    found: dict[Key, Holding] = {}
    for body in egress.export_bodies(door, collection):
        one = read(body)
        key = Key(one.id, one.spec_version, one.version or 0, one.digest)
        found[key] = Holding(one.id, hashlib.sha256(body).digest())
    return found


def by_reason(lines: Sequence[WithheldLine]) -> Mapping[str, list[WithheldLine]]:
    """Withheld lines by their reason."""
    found: dict[str, list[WithheldLine]] = {}
    for line in sorted(lines, key=lambda one: (one.reason, one.stix_id)):
        found.setdefault(line.reason, []).append(line)
    return found


def _given(giver: Door, link: Link, names: tuple[str, str]) -> tuple[Crossing, dict[Key, Holding]]:
    """The giver's half, and what it permits."""
    found = Crossing(*names, link.flow, _carried(link, names[0]))
    here = holdings(giver, link.collection)
    with giver.database.reading() as tx:
        collection = catalog.find_collection(tx, link.collection)
        assert collection is not None  # `holdings` has found it
        rows = feed_rows.after(tx, link.name, -1, _EVERYTHING)
        lines = ledger.withheld_on(tx, link.name, _EVERYTHING)
        found.behind = feeds.is_behind(tx, link, collection)
        brought = _brought(tx, names[1], [line.stix_id for line in lines])
    found.held = len(here)
    # What came from them does not go back, whichever rule said so first.
    found.withheld = [
        line for line in lines if line.reason not in _THEIRS and feeds.line_key(line) not in brought
    ]
    found.theirs = len(lines) - len(found.withheld)
    found.permitted = len(rows)
    found.missing = [row.stix_id for row in rows if row.key not in here]
    return found, {row.key: here[row.key] for row in rows if row.key in here}


def _brought(tx: Tx, partner: str, ids: Sequence[str]) -> set[Key]:
    """The versions, of the given ids, that a partner ever brought."""
    lines = ledger.received(tx, ids)
    return {Key(*line[:4]) for each in lines.values() for line in each if line.partner == partner}


def _outcomes(receiver: Door, incoming: Link, ids: Sequence[str]) -> dict[Key, str]:
    """What became of the given ids, of what came by a link."""
    with receiver.database.reading() as tx:
        lines = ledger.received(tx, ids)
    return {
        Key(*line[:4]): line.outcome for each in lines.values() for line in each if line.link == incoming.name
    }


def _key(body: bytes) -> Key:
    one = read(body)
    return Key(one.id, one.spec_version, one.version or 0, one.digest)


def _carried(link: Link, us: str) -> str:
    if link.carrier == "us":
        return f"{'pushed' if link.direction == 'out' else 'pulled'} by {us}"
    return f"{'pulled' if link.direction == 'out' else 'pushed'} by {link.partner}"
