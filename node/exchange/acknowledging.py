"""Who has acknowledged what was withdrawn: link by link, from the feeds and from what people noted.

Rule    Asked are the links by which the object itself once went, and of a note also those to whoever brought
        us the object. A partner has acknowledged when its node
        confirmed the version or note that tells of it, or when a person here noted its word. A server of
        another kind that fetches confirms nothing: that it fetched is all that can be known, and is said so.

Reads   tables withdrawal, acknowledgement, feed_row, object, withheld. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from node.exchange import feed_rows, ledger, readership, withdrawals
from node.exchange.readership import Given
from node.exchange.withdrawals import Acknowledgement, Withdrawal
from node.sharing.agreements import type_allowed
from node.sharing.links import Link
from node.store import objects
from node.store.database import Tx
from node.store.objects import Held


@dataclass(frozen=True, slots=True)
class Told:
    """How far one partner is with one withdrawal, by one link.

    Args:
        open: Nobody there has acknowledged it yet.
        text: Why, or how it was acknowledged.
    """

    stix_id: str
    link: str
    partner: str
    open: bool
    text: str


@dataclass(frozen=True, slots=True)
class Standing:
    """One withdrawal: who has acknowledged it.

    Args:
        told: For each link by which the object went, by name; empty when nobody was given it.
        unfinished: It was cut short: somewhere here a version that is not revoked is still the last.
    """

    withdrawal: Withdrawal
    told: tuple[Told, ...]
    unfinished: bool

    @property
    def open(self) -> list[Told]:
        """Those who have not acknowledged it."""
        return [one for one in self.told if one.open]


def standings(tx: Tx, links: Sequence[Link], chosen: Sequence[Withdrawal]) -> list[Standing]:
    """Who has acknowledged some withdrawals, in their order.

    Args:
        tx: A reader.
        links: All links of the node.
        chosen: From `withdrawals`.
    """
    ids = [one.stix_id for one in chosen]
    carriers = [one.carrier for one in chosen]
    held = objects.held_by_ids(tx, ids + carriers)
    feeds = readership.given_to(tx, {*ids, *carriers}, offered=True)
    by_id: dict[str, list[Given]] = {}
    for row in feeds:
        by_id.setdefault(row.key.stix_id, []).append(row)
    words = withdrawals.acknowledged(tx, ids)
    known = {link.name: link for link in links}
    return [
        Standing(
            one,
            tuple(_told(tx, known, one, by_id, held, words)),
            one.kind != "notice"
            and any(row.is_last and not row.revoked for row in held.get(one.stix_id, ())),
        )
        for one in chosen
    ]


def _told(
    tx: Tx,
    links: Mapping[str, Link],
    one: Withdrawal,
    feeds: Mapping[str, Sequence[Given]],
    held: Mapping[str, Sequence[Held]],
    words: Mapping[tuple[str, str], Acknowledgement],
) -> list[Told]:
    # A version that is revoked tells it, whichever run made it; of a note there is one version alone.
    if one.kind == "revoked":
        telling = {row.digest for row in held.get(one.stix_id, ()) if row.revoked}
    else:
        telling = {row.digest for row in held.get(one.carrier, ())}
    went = {
        row.link
        for row in feeds.get(one.stix_id, ())
        if row.state != feed_rows.OFFERED and row.key.digest not in telling
    }
    # Whoever brought it to us has to know as well.
    brought = {row.origin for row in held.get(one.stix_id, ())} if one.kind == "notice" else set()
    went |= {row.link for row in feeds.get(one.carrier, ()) if row.partner in brought}
    found: list[Told] = []
    for name in sorted(went):
        partner = name.partition("/")[0]
        said = words.get((one.stix_id, partner))
        if said is not None:
            open_, text = False, f"acknowledged, noted by {said.actor}: {said.words}"
        else:
            rows = [
                row for row in feeds.get(one.carrier, ()) if row.link == name and row.key.digest in telling
            ]
            open_, text = _state(tx, links.get(name), name, one.carrier, rows)
        found.append(Told(one.stix_id, name, partner, open_, text))
    return found


def _state(tx: Tx, link: Link | None, name: str, carrier: str, rows: Sequence[Given]) -> tuple[bool, str]:
    """Whether it is open, and the words for it."""
    if link is None:
        return True, "no agreement leads there any more; tell them otherwise"
    row = max(rows, key=lambda row: row.offered_at, default=None)
    if row is None or row.state == feed_rows.OUT:
        lines = [line for line in ledger.withheld(tx, name, [carrier]) if line.reason != "withdrawn"]
        if lines:
            return True, f"cannot go: {lines[-1].reason}; tell them otherwise"
        if carrier.startswith("note--") and not type_allowed(link.terms.types, "note", False):
            return True, "cannot go: the flow carries no notes; tell them otherwise"
        return True, "not offered yet; the next round does it"
    fetched = link.carrier == "them"
    if row.state == feed_rows.SETTLED:
        return False, "acknowledged"
    if row.state == feed_rows.SENT and fetched and link.partner_kind != "stixnode":
        return False, "fetched; their server confirms nothing"
    if row.state == feed_rows.FAILED:
        return True, f"refused there: {row.message or 'without a word'}"
    if row.state == feed_rows.SET_ASIDE:
        return True, "set aside there for a person"
    if row.state == feed_rows.SENT:
        return True, "handed over, not confirmed yet"
    return True, "waits until they fetch it" if fetched else "waits for our next round"
