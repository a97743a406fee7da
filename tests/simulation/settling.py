"""Faults off, clocks set right, one agreement, all links open: rounds until nothing moves.

I14: it becomes quiet within a bounded number of rounds, and no round fails on the way.
"""

from __future__ import annotations

from node.sync import bookmarks, worker
from node.sync.listing import Limits
from node.sync.reports import PullReport, PushReport, Report, Stop
from tests.simulation.acting import look
from tests.simulation.memory import state_of
from tests.simulation.sites import SECOND, Site
from tests.simulation.world import World

ROUNDS = 14
MINUTE = 60 * SECOND
PATIENT = (None, Stop.UNCONFIRMED)


def settle(world: World) -> None:
    """Heal everything and let the sites work until it is quiet."""
    heal(world)
    quiet = 0
    for _ in range(ROUNDS):
        quiet = 0 if _moved(world) or world.wrong else quiet + 1
        look(world)
        if quiet == 2 or world.wrong:
            break
    if not world.wrong and quiet < 2:
        world.wrong.append("I14: it does not become quiet")
    if not world.wrong:
        _list_again(world)
    for site in world.sites.values():
        world.note(f"{site.name}: {state_of(site.database)}")


def heal(world: World) -> None:
    """No faults any more: the sites go by one agreement and by good clocks, and their links are open."""
    world.faults_off = True
    ahead = max(site.skew for site in world.sites.values())
    last = max((row.added for site in world.sites.values() for row in site.memory.rows.values()), default=0)
    world.time = max(world.time, last - ahead) + MINUTE
    agreed = sorted({site.terms for site in world.sites.values()} - {"ended"}) or ["wide"]
    for site in world.sites.values():
        site.skew, site.terms = max(ahead, 0), agreed[0]
        site.settings = world.settings(site.name, terms=site.terms, narrow=site.narrow)
        world.reborn(site)
        site.resume()


def one_round(world: World, site: Site) -> list[Report]:
    """One round of all links of a site."""
    world.acting = site.name
    world.forget_looks()
    return worker.sync_once(
        site.door,
        site.door.links,
        lambda partner: world.client(site, partner),
        holder=world.holder(),
        now=site.now,
        pause=lambda _: False,
        limits=Limits(page_objects=world.plan.page),
    )


def _moved(world: World) -> int:
    moved = 0
    world.time += 16 * MINUTE
    for site in world.sites.values():
        for report in one_round(world, site):
            world.note(f"{report.link} moved {report.moved}")
            if report.error is not None:
                world.wrong.append(f"I14: {site.name}: {report.link} fails without a fault: {report.error}")
            elif report.stopped not in PATIENT:
                world.wrong.append(f"I14: {site.name}: {report.link} stops: {report.detail}")
            moved += report.moved
            if isinstance(report, PullReport):
                # What foreign servers list is read again from a little before, so some of it always comes.
                by_node = report.link.split("/")[0] in world.sites
                moved += report.received if by_node else -report.outcomes["quarantined"]
            if isinstance(report, PushReport):
                moved += report.unchanged
    return moved


def _list_again(world: World) -> None:
    """Duplicates are free: whoever lists again from the start changes nothing."""
    before = {name: state_of(site.database) for name, site in world.sites.items()}
    dates = {name: [row.added for row in site.memory.rows.values()] for name, site in world.sites.items()}
    for site in world.sites.values():
        with site.database.writing() as tx:
            for link in site.door.links:
                bookmarks.forget(tx, link.name)
    _moved(world)  # brings duplicates, and what they make due
    _moved(world)
    look(world)
    for name, site in world.sites.items():
        if before[name] != state_of(site.database):
            world.wrong.append(f"I6: {name} changed although it was only listed again")
        if dates[name] != [row.added for row in site.memory.rows.values()]:
            world.wrong.append(f"I3: rows of {name} moved although they were only listed again")
