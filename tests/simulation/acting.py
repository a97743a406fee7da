"""Carry out an act at a site, as its people, its operator or its worker would; then look at every site.

What a node refuses its own people is no fault. An act ends early where a process ends; the next one finds a
new process.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from node.errors import NodeError
from node.exchange import ingress, links, quarantine, removal, retention, sessions, worklist
from node.exchange.ingress import Source
from node.store import catalog
from node.store.database import Tx
from node.sync import bookmarks, worker
from node.sync.listing import Limits
from node.sync.worker import Worker
from tests.simulation import readers
from tests.simulation.acts import Act
from tests.simulation.content import Text, body_of, facts_of, id_of
from tests.simulation.memory import elsewhere, rows_of
from tests.simulation.sites import INDICATORS, SECOND, Crash, Endless, Site

if TYPE_CHECKING:
    from tests.simulation.world import World

OBJECTS = f"/api/collections/{INDICATORS}/objects/"
LAST = "match%5Bversion%5D=last"
_LATER = 11 * SECOND


def carry_out(world: World, act: Act) -> None:
    """One act, whatever ends on the way."""
    if act.at not in world.sites:
        _by_foreign(world, act)
        return
    before, world.acting = world.acting, act.at
    world.time += _LATER
    site = world.sites[act.at]
    if not world.trips:
        world.forget_looks()
    world.note(f"{act.what} {act.at} {act.how}")
    try:
        _ACTS[act.what](world, site, act)
    except Crash as crash:
        ended = world.sites[crash.site]
        if ended.database.dead:
            world.reborn(ended)
        # else: the process that ended was an older one, and its site lives on
    except Endless as endless:
        world.wrong.append(f"I14: {act.what} of {endless} does not end")
    except NodeError as cause:
        world.note(f"refused: {type(cause).__name__}")
    finally:
        world.acting = before
    look(world)


def look(world: World) -> None:
    """Whether any site forgot or undid something."""
    for site in world.sites.values():
        before, world.acting = world.acting, site.name
        found = site.memory.look(site.database, claims(site), room=world.plan.room)
        world.acting = before
        world.wrong += [f"{site.name}: {one}" for one in found]


def claims(site: Site) -> dict[str, str]:
    """identity -> who speaks for it at a site."""
    parties = site.settings.parties
    found = dict.fromkeys(parties.public, "") | dict.fromkeys(parties.ours, "local")
    for partner, identities in parties.partners.items():
        found |= dict.fromkeys(identities, partner)
    return found


def _by_foreign(world: World, act: Act) -> None:
    server = world.server
    assert server is not None  # only its site has no node
    if act.what not in ("write", "post"):
        return
    texts: tuple[Text, ...] = act.how[0]
    moment = server.clock + SECOND
    for text in texts:
        body = body_of(text)
        one = json.loads(body)
        version = one.get("modified") or one.get("created") or ""
        if not any((held.id, held.version) == (one["id"], version) for held in server.held):
            server.hold(body, at=moment)  # at one moment, as many servers have it


def _doomed(world: World, doom: tuple[Any, ...]) -> None:
    if doom and doom[0] in world.sites:
        world.sites[doom[0]].database.doom(doom[1], doom[2])


def _write(world: World, site: Site, act: Act) -> None:
    texts, restate, doom = act.how
    _doomed(world, doom)
    bodies = [body_of(text) for text in texts]
    door = site.door

    def work(tx: Tx) -> ingress.AdmitReport:
        found = catalog.find_collection(tx, "indicators")
        assert found is not None
        collection = catalog.lock(tx, found.collection_id)
        source = Source("import", "os:test", restate=restate)
        return ingress.admit(tx, door, collection, bodies, source, arrival_id=None, now=site.now())

    report = door.database.retrying(work)
    taken = [body for body, result in zip(bodies, report.results, strict=True) if not result.failed]
    _acknowledge(site, taken)
    if sum(report.counts.values()) != len(bodies):
        world.wrong.append(f"I9: {len(bodies)} came, {dict(report.counts)}")
    world.note(f"{dict(report.counts)}")
    ingress.afterwards(door, now=site.now())


def _post(world: World, site: Site, act: Act) -> None:
    texts, _, doom = act.how
    _doomed(world, doom)
    bodies = list(dict.fromkeys(body_of(text) for text in texts))
    answered = readers.send(site, "POST", OBJECTS, b'{"objects":[' + b",".join(bodies) + b"]}")
    world.note(f"{answered.status}")
    if answered.status != 202:
        world.wrong.append(f"a POST was answered {answered.status}: {answered.body!r}")
        return
    status = json.loads(answered.body)
    if status["success_count"] + status["failure_count"] + status["pending_count"] != len(bodies):
        world.wrong.append(f"I9: {len(bodies)} came, the status says {status}")
    failed = {one["id"] for one in status.get("failures", [])}
    _acknowledge(site, [body for body in bodies if facts_of(body).stix_id not in failed])


def _acknowledge(site: Site, bodies: list[bytes]) -> None:
    known = {(one.stix_id, one.digest) for one in map(facts_of, bodies)}
    site.memory.acknowledged |= known
    site.memory.buried -= known


def _round(world: World, site: Site, act: Act) -> None:
    direction, doom = act.how
    _doomed(world, doom)
    chosen = [link for link in site.door.links if direction in (None, link.direction)]
    with world.on_a_trip(act):
        reports = worker.sync_once(
            site.door,
            chosen,
            lambda partner: world.client(site, partner),
            holder=world.holder(),
            now=site.now,
            pause=lambda _: False,
            limits=Limits(page_objects=world.plan.page),
        )
    for report in reports:
        world.note(
            f"{report.link} moved {report.moved} {report.stopped} {report.error and report.error.problem}"
        )


class _OneLook(threading.Event):
    """Tells a thread of the worker to end after it has looked once."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 3

    def wait(self, timeout: float | None = None) -> bool:
        if timeout:
            self.left -= 1
            if timeout in (1.0, worker.ADVANCE_SECONDS) or not self.left:
                self.set()
        return False


def _work(world: World, site: Site, act: Act) -> None:
    _, doom = act.how
    _doomed(world, doom)
    with world.on_a_trip(act):
        for partner in sorted({link.partner for link in site.door.links}):
            _worker(world, site)._for_partner(partner)
        _worker(world, site)._serve()


def _worker(world: World, site: Site) -> Worker:
    return Worker(
        site.door,
        lambda partner: world.client(site, partner),
        holder=world.holder(),
        now=site.now,
        on_report=lambda report: world.note(f"{report.link} moved {report.moved} {report.stopped}"),
        stopping=_OneLook(),
    )


def _read(world: World, site: Site, act: Act) -> None:
    which, limit, by_next, twice = act.how
    known = world.readers[site.name]
    if which < len(known):
        reader = known[which]
    else:  # one who comes for the first time, and asks as many did before
        account, every = readers.KINDS[which - len(known)]
        reader, limit, by_next = readers.Reader(account, every), 100, False
    world.wrong += [f"{site.name}: {one}" for one in reader.read(site, limit, by_next=by_next, twice=twice)]


def _delete(world: World, site: Site, act: Act) -> None:
    name, last, doom = act.how
    stix_id = id_of(name)
    before = {row.known for row in rows_of(site.database) if row.stix_id == stix_id}
    _doomed(world, doom)
    try:
        answered = readers.send(site, "DELETE", f"{OBJECTS}{stix_id}/", query=LAST if last else "")
        world.note(f"{answered.status}")
    finally:
        if not site.database.dead:
            site.memory.buried |= before - {row.known for row in rows_of(site.database)}


def _undelete(world: World, site: Site, act: Act) -> None:
    stix_id = id_of(act.how[0])
    door = site.door

    def work(tx: Tx) -> None:
        if not removal.undelete(tx, stix_id, actor="os:test", now=site.now()):
            return
        for link in door.links:
            if link.direction == "in":
                bookmarks.forget(tx, link.name)
                sessions.forget_incoming(tx, link.name)

    gone = {known for known in site.memory.acknowledged if known[0] == stix_id}
    site.memory.acknowledged -= gone - {row.known for row in rows_of(site.database)}
    door.database.retrying(work)
    site.memory.buried = {known for known in site.memory.buried if known[0] != stix_id}


def _replay(world: World, site: Site, act: Act) -> None:
    world.again(act.how[0])


def _crash(world: World, site: Site, act: Act) -> None:
    site.database.doom(*act.how)


def _backup(world: World, site: Site, act: Act) -> None:
    site.copy_files()


def _restore(world: World, site: Site, act: Act) -> None:
    site.put_back()


def _terms(world: World, site: Site, act: Act) -> None:
    terms, both = act.how
    for each in world.sites.values() if both else (site,):
        each.terms = terms
        _reconfigure(world, each)


def _stricter(world: World, site: Site, act: Act) -> None:
    (site.narrow,) = act.how
    _reconfigure(world, site)


def _reconfigure(world: World, site: Site) -> None:
    site.settings = world.settings(site.name, terms=site.terms, narrow=site.narrow)
    world.reborn(site)


def _pause(world: World, site: Site, act: Act) -> None:
    with site.database.writing() as tx:
        links.set_paused(tx, None, paused=True, reason="for the simulation")


def _resume(world: World, site: Site, act: Act) -> None:
    site.resume()


def _jump(world: World, site: Site, act: Act) -> None:
    site.skew += act.how[0] * SECOND


def _erase(world: World, site: Site, act: Act) -> None:
    retention.erase_due(site.door, now=site.now())
    present = {row.known for row in rows_of(site.database)}
    site.memory.acknowledged &= present | elsewhere(site.database)


def _decide(world: World, site: Site, act: Act) -> None:
    with site.database.reading() as tx:
        waiting = sorted(quarantine.entries(tx), key=lambda one: one.entry)
    if not waiting:
        return
    entry = waiting[0]
    if not act.how[0]:
        site.database.retrying(
            lambda tx: quarantine.decide(
                tx, entry.entry, state="discarded", actor="os:test", reason="", now=site.now()
            )
        )
        return
    site.memory.exempt.add(entry.stix_id)
    site.database.retrying(
        lambda tx: worklist.accept(tx, site.door, entry.entry, actor="os:test", reason="", now=site.now())
    )
    ingress.afterwards(site.door, now=site.now())


_ACTS = {
    "write": _write,
    "post": _post,
    "round": _round,
    "work": _work,
    "read": _read,
    "delete": _delete,
    "undelete": _undelete,
    "replay": _replay,
    "crash": _crash,
    "backup": _backup,
    "restore": _restore,
    "terms": _terms,
    "stricter": _stricter,
    "pause": _pause,
    "resume": _resume,
    "jump": _jump,
    "erase": _erase,
    "decide": _decide,
}
