"""A partner that sends far more than it should, or takes everything back at once."""

from __future__ import annotations

from collections import Counter

import pytest
import sqlalchemy as sa

from node.exchange import quotas
from node.sharing.links import Stricter
from node.store.database import Database
from tests.hostile.processes import MOST, Worker
from tests.hostile.stand import Stand
from tests.support.agreements import a_flow, a_party
from tests.support.builders import LATER, an_id, an_indicator
from tests.support.nodes import a_node
from tests.support.partner import a_receiver, simulated_partner

JUNK, NEW, ASIDE = 10_000, 1_500, 3_000
PAGE = 1_000
DAY = 86_400 * 1_000_000
_STORED = sa.text("select count(*) from object where origin <> 'local'")
_ASIDE = sa.text("select reason, count(*) from quarantine where state = 'waiting' group by reason")


def counted(database):
    with database.reading() as tx:
        return tx.rows(_STORED)[0][0], dict(tx.rows(_ASIDE))


def test_a_flood_of_junk_ends_at_the_limits(sqlite_database: Database):
    """H35: so much is stored, so much waits, and then nothing more is taken; memory stays where it was."""
    junk = [an_indicator(f"junk {n}", tlp="green") for n in range(JUNK)]
    with simulated_partner() as west:
        west.page_most = PAGE
        west.hold(*junk)
        worker = Worker(sqlite_database.url.removeprefix("sqlite:///"), west.api_root, NEW, ASIDE)
        first, again = worker.round("in"), worker.round("in")
        worker.end()

    assert first["outcomes"] == {"stored": NEW, "quarantined": 5 * PAGE - NEW}
    assert "quarantine of west is full" in first["error"]
    assert again["outcomes"] == {}
    assert counted(sqlite_database) == (NEW, {"daily_limit": 5 * PAGE - NEW})
    assert max(first["memory"], again["memory"]) < MOST


def test_the_flood_of_one_partner_is_nothing_to_the_others(sqlite_database: Database):
    """H35: limits are of each partner."""
    hub = a_node(
        sqlite_database,
        partners=("south", "west"),
        party={name: a_party(name) for name in ("north", "south", "west")},
        flow=[a_flow(givers=("north", "south", "west"))],
        stricter=Stricter(max_new_in_per_day=5, max_quarantine_objects=10),
    )
    junk = [an_indicator(f"junk {n}", tlp="green") for n in range(15)]
    good = [an_indicator(f"good {n}", tlp="green") for n in range(5)]

    assert Counter(hub.bring(*junk, by="south/indicators/in")) == {"stored": 5, "quarantined": 10}
    assert hub.bring(*good, by="west/indicators/in") == ["stored"] * 5


@pytest.fixture
def braked(sqlite_database, west):
    return Stand(
        a_receiver(sqlite_database, west, stricter=Stricter(max_revoked_percent_in_per_day=20)), west
    )


def test_h36_a_revocation_of_everything_at_once_waits_for_a_person(braked, west):
    """H36: a fifth of it is taken; the rest stands until a person has looked, and no day is waited out."""
    west.page_most = 60
    west.hold(*[an_indicator(f"x {n}") for n in range(150)])
    braked.round()
    west.held.clear()
    west.hold(*[an_indicator(f"x {n}", modified=LATER, revoked=True) for n in range(150)])
    report = braked.round()

    assert report.outcomes == {"stored": 30, "quarantined": 120}
    assert set(braked.aside().values()) == {"mass_revocation"}
    with braked.north.database.reading() as tx:
        (held_back,) = quotas.held_back(tx)
    assert (held_back.partner, held_back.number) == ("west", 120)
    braked.north.clock.now += DAY
    assert braked.round().moved == 0


def test_control_without_the_limit_everything_would_be_revoked(stand, west):
    """H36: the same, with the brake off."""
    west.page_most = 60
    west.hold(*[an_indicator(f"x {n}") for n in range(30)])
    stand.round()
    west.held.clear()
    west.hold(*[an_indicator(f"x {n}", modified=LATER, revoked=True) for n in range(30)])

    assert stand.round().outcomes == {"stored": 30}
    assert an_id("indicator", "x 29") in set(stand.outcomes())
