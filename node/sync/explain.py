"""Explain: why an object is here, where it went, and why it did not go further, from the books alone.

Rule    Only what was written down when it happened is told; nothing is decided again. Every line that
        says no names its remedy.

Reads   objects, owner rows, ledger, feeds, quarantine, tombstones. Writes nothing.
"""

from __future__ import annotations

from node.clock import taxii_time
from node.exchange import (
    arrivals,
    feed_rows,
    flagged,
    ledger,
    links,
    quarantine,
    quotas,
    readership,
    situation,
    vanished,
    withdrawals,
)
from node.exchange.arrivals import Arrival
from node.exchange.door import Door
from node.sharing.links import Link
from node.stix.markings import tlp_name
from node.store import catalog, owners
from node.store.database import Tx

_STATES = {
    feed_rows.OFFERED: "is offered",
    feed_rows.SENT: "was handed over",
    feed_rows.SETTLED: "has it and confirmed it",
    feed_rows.FAILED: "refused it",
    feed_rows.SET_ASIDE: "set it aside for a person there",
    feed_rows.OUT: "was given it; it is no longer offered",
}


def explain(tx: Tx, door: Door, stix_id: str, link: Link | None) -> list[str]:
    """What the books say of one id, in sentences for people; moments are UTC.

    Args:
        tx: A reader.
        door: For the collections and links.
        stix_id: The object's id.
        link: Only what concerns this link, and where the object lies; None for everything.

    Returns:
        Lines in the order: where it lies, from whom, set aside, to whom, withheld, removed.
        Never empty: an id that nobody ever brought is said to be unknown.
    """
    name = None if link is None else link.name
    lines = [
        *_held(tx, door, stix_id),
        *_withdrawn(tx, stix_id),
        *_received(tx, stix_id, name),
        *_vanished(tx, stix_id, name),
        *_set_aside(tx, stix_id, name),
        *_given(tx, stix_id, name),
        *_withheld(tx, stix_id, name),
        *_removed(tx, stix_id),
    ]
    return lines or [f"Nothing is known of {stix_id}: it was never stored, brought or set aside here."]


def _held(tx: Tx, door: Door, stix_id: str) -> list[str]:
    collections = catalog.collections(tx)
    if not collections:
        return []
    known = situation.gather(tx, door, collections[0], None, [stix_id])
    aliases = {each.collection_id: each.alias for each in collections}
    rows = [*known.held.get(stix_id, ()), *known.elsewhere.get(stix_id, ())]
    lines: list[str] = []
    for row in sorted(rows, key=lambda row: (aliases[row.collection_id], row.added)):
        origin = "by us" if row.origin == "local" else f"by {row.origin}"
        arrival = arrivals.find(tx, row.arrival_id)
        brought = "" if arrival is None else f" ({_arrival(arrival)})"
        newest = ", the newest" if row.is_last else ""
        lines.append(
            f"Lies in {aliases[row.collection_id]}: version {row.version_text}, STIX {row.spec_version},"
            f" {tlp_name(row.rank)}{newest}, put in {origin} at {taxii_time(row.added)}{brought}."
        )
        fault = flagged.fault_of(tx, row)
        if fault is not None:
            lines.append(f"  It is flagged, and was kept because only the structure is asked here: {fault}.")
        if row.effective_rank != row.rank:
            lines.append(
                f"  It counts as {tlp_name(row.effective_rank)}, as its newest version anywhere does."
            )
    owner = owners.owners(tx, [stix_id]).get(stix_id)
    if lines and owner is not None:
        whose = {"local": "ours", "": "nobody's"}.get(owner.owner, f"{owner.owner}'s")
        lines.append(f"The object is {whose}.")
    return lines


def _arrival(one: Arrival) -> str:
    return " ".join(
        each for each in (arrivals.name_of(one.arrival_id), one.kind, one.source, f"by {one.actor}") if each
    )


def _withdrawn(tx: Tx, stix_id: str) -> list[str]:
    one = withdrawals.by_ids(tx, [stix_id]).get(stix_id)
    if one is None:
        return []
    told = "by a revoked version" if one.kind == "revoked" else f"by the note {one.notice_id}"
    return [f"Withdrawn by {one.actor} at {taxii_time(one.at)}, {told}: {one.reason}"]


def _received(tx: Tx, stix_id: str, link: str | None) -> list[str]:
    found = ledger.received(tx, [stix_id]).get(stix_id, [])
    return [
        f"Corrected here from what {line.partner} brought by {line.link}, at {taxii_time(line.at)}."
        if line.reason == ledger.EDITED
        else f"Received from {line.partner} by {line.link} at {taxii_time(line.at)}: {line.outcome}"
        f"{f' ({line.reason})' if line.reason else ''}."
        for line in sorted(found, key=lambda line: line.at)
        if link in (None, line.link)
    ]


def _vanished(tx: Tx, stix_id: str, link: str | None) -> list[str]:
    return [
        f"{one.link}: {one.link.split('/')[0]} no longer lists it; first seen so at {taxii_time(one.since)}."
        " It is kept here."
        for one in vanished.of_id(tx, stix_id)
        if link in (None, one.link)
    ]


def _set_aside(tx: Tx, stix_id: str, link: str | None) -> list[str]:
    lines: list[str] = []
    for entry in quarantine.of_id(tx, stix_id):
        if link not in (None, entry.link):
            continue
        state = entry.state if entry.edited is None else f"corrected here by {entry.decided_by}"
        lines.append(f"Set aside as {entry.entry} from {entry.link}: {entry.detail} It is {state}.")
        if entry.state == "waiting":
            lines.append(f"  stixnode quarantine show {entry.entry}")
            more = quotas.remedy(entry.reason, entry.link.partition("/")[0])
            lines += [f"  {more}"] if more else []
    return lines


def _given(tx: Tx, stix_id: str, link: str | None) -> list[str]:
    lines: list[str] = []
    for row in readership.given_to(tx, [stix_id], offered=True):
        if link not in (None, row.link):
            continue
        message = f": {row.message}" if row.message else ""
        lines.append(
            f"{row.link}: {row.link.split('/')[0]} {_STATES[row.state]}, offered at"
            f" {taxii_time(row.offered_at)}{message}."
        )
    return lines


def _withheld(tx: Tx, stix_id: str, link: str | None) -> list[str]:
    lines: list[str] = []
    names = sorted(links.states(tx)) if link is None else [link]
    for line in (line for name in names for line in ledger.withheld(tx, name, [stix_id])):
        lines.append(f"{line.link}: withheld at {taxii_time(line.at)}, {line.reason}. {line.detail}")
        if line.remedy:
            lines.append(f"  {line.remedy}")
    return lines


def _removed(tx: Tx, stix_id: str) -> list[str]:
    return [
        f"Removed here at {taxii_time(stone.at)} ({stone.reason}) by {stone.actor};"
        " what a partner brings of these bytes is suppressed."
        for stone in owners.tombstones_of(tx, stix_id)
    ]
