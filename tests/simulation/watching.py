"""I7: what must not be in any byte that leaves a site, looked at in the moment in which it leaves.

The rules are written again here, in plain words over the sender's rows, so that a fault in the product's
own rules does not hide itself. Only what must never leave is judged; what is kept back without need is a
matter of `converged`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from node.exchange import feed_rows, links
from node.sharing.links import Link
from node.stix import envelope
from tests.simulation.content import STATEMENT, Facts, facts_of
from tests.simulation.memory import Row, rows_of
from tests.simulation.wire import Answered, Asked

if TYPE_CHECKING:
    from tests.simulation.sites import Site
    from tests.simulation.world import World

TERMS = "X-Exchange-Terms"
CLOCK_DOUBT = 600_000_000
_LAST = sa.text("select last_added from collection where alias = 'indicators'")


def leaving(world: World, asked: Asked, answered: Answered | None) -> list[str]:
    """What is wrong with the objects in a request (no answer yet), or in an answer."""
    posting = answered is None
    if asked.method != ("POST" if posting else "GET") or not asked.path.endswith("/objects/"):
        return []
    if answered is not None and answered.status != 200:
        return []
    sender, receiver = (asked.client, asked.server) if posting else (asked.server, asked.client)
    body = asked.body if answered is None else answered.body
    if sender not in world.sites or not body:
        return []
    site = world.sites[sender]
    bodies = envelope.split(body) if b'"objects"' in body else []
    if not bodies:
        return []
    wrong = _terms(world, site, receiver, asked) if answered is not None else []
    return wrong + _objects(world, site, receiver, bodies)


def accepted(world: World, asked: Asked, answered: Answered) -> list[str]:
    """What is wrong with a POST that was taken."""
    if asked.method != "POST" or answered.status != 202 or asked.server not in world.sites:
        return []
    site = world.sites[asked.server]
    held = [link for link in site.door.partner_links(asked.client, "in") if link.carrier == "them"]
    said = dict(asked.headers).get(TERMS)
    if asked.client in world.sites and all(link.terms_digest.hex() != said for link in held):
        return [f"{asked.server} took objects of {asked.client} under other terms"]
    with site.database.reading() as tx:
        paused = [link.name for link in held if (state := links.state(tx, link.name)) is None or state.paused]
    return [f"{asked.server} took objects by the paused link {name}" for name in paused]


def _terms(world: World, site: Site, receiver: str, asked: Asked) -> list[str]:
    if receiver not in world.sites:
        return []
    said = dict(asked.headers).get(TERMS)
    ours = [link.terms_digest.hex() for link in site.door.partner_links(receiver, "out")]
    return [] if said in ours else [f"{site.name} gave objects to {receiver} under other terms"]


def _objects(world: World, site: Site, receiver: str, bodies: list[bytes]) -> list[str]:
    (link,) = site.door.partner_links(receiver, "out")
    rows = rows_of(site.database)
    site.memory.note_newest(rows)
    held = {row.known: row for row in rows}
    with site.database.reading() as tx:
        state = links.state(tx, link.name)
        last = int((tx.row(_LAST) or (0,))[0])
        facts = [facts_of(body) for body in bodies]
        standing = {
            (row.stix_id, row.digest): row.state
            for row in feed_rows.by_ids(tx, link.name, [one.stix_id for one in facts])
        }
    wrong: list[str] = []
    now = site.moment() + site.skew
    if state is None or state.paused:
        wrong.append(f"{link.name}: objects left by a paused link")
    if not link.terms.starts <= max(now, last) < link.terms.ends:
        wrong.append(f"{link.name}: objects left although the terms are not in force")
    if last > now + CLOCK_DOUBT + 1_000_000:
        wrong.append(f"{link.name}: objects left although the clock is in doubt")
    for one, body in zip(facts, bodies, strict=True):
        known = one.stix_id, one.digest
        reasons = _faults(site, link, one, held, world.plan.onward)
        if standing.get(known, 0) not in (feed_rows.SENT, feed_rows.SETTLED):
            reasons.append(f"left without a trace (state {standing.get(known)})")
        wrong += [f"I7 {site.name} -> {receiver}: {reason}: {body!r}" for reason in reasons]
    return wrong


def _faults(
    site: Site, link: Link, one: Facts, held: dict[tuple[str, bytes], Row], onward: bool
) -> list[str]:
    reasons: list[str] = []
    row = held.get((one.stix_id, one.digest))
    companion = one.type == "marking-definition"
    if row is None:
        reasons.append("is not held here any more")
    elif row.origin == link.partner:
        reasons.append("came from them")
    elif row.origin != "local" and not onward and not companion:
        reasons.append(f"{row.origin} brought it, and did not let us pass it on")
    if not companion and not _type_agreed(one.type, link):
        reasons.append("is of a type that is not agreed")
    level = one.level
    newest = site.memory.newest.get(one.stix_id)
    if newest is not None and one.type != "ipv4-addr":
        level = max(newest[1], -1 if level is None else level)
    if (level is None and not companion) or (level or 0) > link.terms.max_tlp:
        reasons.append(f"is of level {level}")
    if one.statement and not any(stix_id == STATEMENT for stix_id, _ in held):
        reasons.append("has a marking that nobody here knows")
    for ref in one.refs:
        ends = [each for (stix_id, _), each in held.items() if stix_id == ref]
        if ends and all(_is_secret(site, each, link) for each in ends):
            reasons.append(f"refers to {ref}, which may not go")
    return reasons


def _is_secret(site: Site, end: Row, link: Link) -> bool:
    if end.origin == link.partner:
        return False
    level = max(facts_of(end.body).level or 0, site.memory.newest.get(end.stix_id, (0, 0))[1])
    return level > link.terms.max_tlp or not _type_agreed(facts_of(end.body).type, link)


def _type_agreed(type: str, link: Link) -> bool:
    return type in link.terms.types or (type == "ipv4-addr" and "observables" in link.terms.types)
