"""I6: whether the sites have converged, as section 4 of the design defines it; and I2 for all readers.

For every link, every row that the sender permits is at the receiver stored, duplicate or explained: another
text of the version stands there, it is set aside, was removed there, refused, or replaced there.
"""

from __future__ import annotations

import json
from typing import NamedTuple

import sqlalchemy as sa

from node.exchange import feed_rows, feeds, ledger
from node.exchange.feeds import key_of
from node.exchange.judging import Candidate, judge
from node.exchange.ledger import Key
from node.sharing.decisions import Reason
from node.sharing.links import Link
from node.store import catalog, objects, owners
from node.store.objects import HeldBody
from tests.simulation.content import facts_of
from tests.simulation.memory import Row, rows_of
from tests.simulation.readers import missed
from tests.simulation.sites import Site
from tests.simulation.world import World

EXPLAINED = ("variant", "quarantined", "suppressed", "refused")
UNDECIDED = (feed_rows.OFFERED, feed_rows.SENT)
_STONES = sa.text("select stix_id, digest from tombstone")
_HISTORY = sa.text("select digest from object_history where stix_id = :id")


def faults_of(world: World) -> list[str]:
    """Everything that keeps the sites from having converged, and the readers from having read all."""
    found: list[str] = []
    for site in world.sites.values():
        for other in site.settings.partners:
            (link,) = site.door.partner_links(other.name, "out")
            if other.name in world.sites:
                found += _unequal(site, world.sites[other.name], link)
            else:
                found += _unequal_with_foreign(world, site, link)
        for reader in world.readers[site.name]:
            found += missed(site, reader)
    if world.plan.room and len(world.sites) == 2:
        found += _different_texts(*world.sites.values())
    return found


class _Judged(NamedTuple):
    row: HeldBody
    key: Key
    allowed: bool
    from_them: bool
    state: int | None


def _judged(site: Site, link: Link) -> tuple[list[_Judged], list[str]]:
    with site.database.reading() as tx:
        collection = catalog.find_collection(tx, link.collection)
        assert collection is not None
        found = [f"{link.name}: is behind"] if feeds.is_behind(tx, link, collection) else []
        rows = objects.all_after(tx, collection.collection_id, -1, 10_000)
        moment = max(site.moment() + site.skew, collection.last_added)
        decisions = judge(tx, site.door, link, [Candidate(one) for one in rows], now=moment, entering=True)
        standing = {row.key: row.state for row in feed_rows.after(tx, link.name, -1, 10_000)}
    judged = [
        _Judged(
            row,
            key_of(row.held),
            decision.allowed,
            decision.reason is Reason.BROUGHT_BY_PARTNER,
            standing.get(key_of(row.held)),
        )
        for row, decision in zip(rows, decisions, strict=True)
    ]
    return judged, found + [f"{line}" for one in judged for line in _withheld_in_vain(site, link, one)]


def _withheld_in_vain(site: Site, link: Link, one: _Judged) -> list[str]:
    """A text of our own at a level that may go, and that never was stricter, goes: whatever the rules say."""
    facts = facts_of(one.row.body)
    newest = site.memory.newest.get(facts.stix_id, (0, 0))[1]
    plain = facts.type == "indicator" and not facts.statement and facts.level is not None
    if not plain or one.row.held.origin != "local" or max(facts.level or 0, newest) > link.terms.max_tlp:
        return []
    if one.allowed or one.from_them or one.state is not None or _brought(site, link, one.key):
        return []
    return [f"{link.name}: withheld in vain: {one.row.body!r}"]


def _brought(site: Site, link: Link, key: Key) -> bool:
    with site.database.reading() as tx:
        return any(Key(*line[:4]) == key for line in ledger.received(tx, [key.stix_id]).get(key.stix_id, ()))


def _unequal(giving: Site, taking: Site, link: Link) -> list[str]:
    judged, found = _judged(giving, link)
    there = rows_of(taking.database)
    for one in judged:
        what = f"I6 {giving.name} -> {taking.name}: {one.row.body.decode()}"
        if one.allowed and one.state is None:
            found.append(f"{what}: permitted and not in the feed")
        if link.carrier == "us" and one.state in UNDECIDED:
            found.append(f"{what}: still to be sent")
        known = one.allowed or one.from_them
        if known and not _explained(giving, taking, there, one):
            found.append(
                f"{what}: not there, and nothing explains it{'' if one.allowed else ' (brought by them)'}"
            )
    return found


def _explained(giving: Site, taking: Site, there: list[Row], one: _Judged) -> bool:
    key = one.key
    same_id = [row for row in there if row.stix_id == key.stix_id]
    if any(row.digest == key.digest for row in same_id):
        return True
    inlet = taking.door.partner_links(giving.name, "in")[0].name
    with taking.database.reading() as tx:
        lines = [
            line
            for line in ledger.received(tx, [key.stix_id]).get(key.stix_id, ())
            if Key(*line[:4]) == key and line.link == inlet
        ]
        stones = [stone for stone in owners.tombstones_of(tx, key.stix_id) if stone.digest == key.digest]
        released = {row.key for row in feed_rows.of_id(tx, key.stix_id) if row.state != feed_rows.OFFERED}
        history = {bytes(row[0]) for row in tx.rows(_HISTORY, id=key.stix_id)}
    outcome = lines[0].outcome if lines else ""
    if stones or outcome in EXPLAINED or (outcome == "echo" and key in released):
        return True
    same = [row for row in same_id if (row.spec_version, row.version) == (key.spec_version, key.version)]
    # Replaced by something else than what this very sender gave last: its own restatement, or a tie.
    return key.digest in history and all(row.origin != giving.name or not one.allowed for row in same)


def _different_texts(one: Site, other: Site) -> list[str]:
    """Of a version of which both may give their text, the same text stands at both."""
    ours, theirs = _given(one, other), _given(other, one)
    buried = _buried(one) | _buried(other)
    different = [key for key in ours if key in theirs and theirs[key].held.digest != ours[key].held.digest]
    return [
        f"I6: two texts of one version stand in the room: {ours[key].body.decode()}"
        for key in different
        if not {(key[0], each[key].held.digest) for each in (ours, theirs)} & buried
    ]


def _buried(site: Site) -> set[tuple[str, bytes]]:
    with site.database.reading() as tx:
        return {(row[0], bytes(row[1])) for row in tx.rows(_STONES)}


def _given(site: Site, to: Site) -> dict[tuple[str, str, int], HeldBody]:
    (link,) = site.door.partner_links(to.name, "out")
    return {
        one.key[:3]: one.row for one in _judged(site, link)[0] if one.allowed and not one.row.held.versionless
    }


def _unequal_with_foreign(world: World, site: Site, link: Link) -> list[str]:
    judged, found = _judged(site, link)
    server = world.server
    assert server is not None  # it has no node
    theirs = {(held.id, facts_of(held.body).digest): held for held in server.held}
    versions = {(held.id, held.version) for held in server.held}
    ids = {held.id for held in server.held}
    for one in judged:
        what = f"I6 {site.name} -> {link.partner}: {one.row.body.decode()}"
        if one.allowed and one.state is None:
            found.append(f"{what}: permitted and not in the feed")
        modified = json.loads(one.row.body).get("modified")
        # It knows versions by their instant alone, and so has one text of each, and of what has none.
        there = (one.key.stix_id, modified) in versions or (modified is None and one.key.stix_id in ids)
        if one.allowed and not there and one.state != feed_rows.FAILED:
            found.append(f"{what}: not there, and nothing explains it")
    with site.database.reading() as tx:
        lines = {
            (line.stix_id, line.digest)
            for stix_id in {held.id for held in server.held}
            for line in ledger.received(tx, [stix_id]).get(stix_id, ())
        }
    found += [
        f"I6: {link.partner}'s {held.body!r} never came"
        for known, held in theirs.items()
        if known not in lines
    ]
    return found
