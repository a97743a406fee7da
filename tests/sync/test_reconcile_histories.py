"""After any history that has converged, the books of all links are equal, or say themselves why not.

The histories are those of the simulation: faults, crashes, restores, deletions, other terms and clocks.
"""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from node.sync import reconcile as reconciling
from tests.simulation.acting import carry_out
from tests.simulation.acts import drawn
from tests.simulation.history import folder
from tests.simulation.settling import settle
from tests.simulation.stage import current

SEEDS = 16
_SOME = sa.text(
    'select o.stix_id, o.collection_id, o.added from "object" o join received r on r.stix_id = o.stix_id'
    " and r.digest = o.digest where o.origin <> 'local' and r.link = o.origin || '/indicators/in'"
    " and r.outcome = 'stored' limit 1"
)
_LOSE = sa.text('delete from "object" where collection_id = :c and added = :added')


def settled(world):
    """A history is carried out, and it has become quiet."""
    for act in world.plan.acts:
        carry_out(world, act)
    assert not world.wrong
    settle(world)
    assert not world.wrong


def different(world):
    """(node, link, group, id) of everything that nothing explains, and how many links were compared."""
    found, links = [], 0
    for site in world.sites.values():
        for link in site.door.links:
            if reconciling.is_unseen(link):
                continue
            links += 1
            world.acting = site.name
            world.forget_looks()
            one = reconciling.reconcile(site.door, link, world.client(site, link.partner), now=site.now)
            found += [(site.name, link.name, each.group, each.key.stix_id) for each in one.compared.different]
    return found, links


@pytest.mark.parametrize("part", range(2))
def test_the_books_of_a_history_that_converged_are_equal_or_explained(part):
    compared = 0
    for seed in range(part, SEEDS, 2):
        with current(drawn(seed), folder(), carry_out) as world:
            settled(world)
            found, links = different(world)
            compared += links
        assert found == [], f"seed {seed}"
    assert compared >= SEEDS


def test_a_row_that_is_lost_after_a_history_is_found():
    """The control of the test above."""
    lost = 0
    for seed in range(SEEDS):
        with current(drawn(seed), folder(), carry_out) as world:
            settled(world)
            for site in world.sites.values():
                with site.database.writing() as tx:
                    row = tx.row(_SOME)
                    if row is None:
                        continue
                    tx.run(_LOSE, c=row[1], added=row[2])
                lost += 1
                found, _ = different(world)
                assert (site.name, row[0]) in {(one[0], one[3]) for one in found}
                break
        if lost == 3:
            break
    assert lost == 3
