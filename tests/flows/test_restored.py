"""A node that was restored exchanges again: nothing that either side has is lost, and both go quiet.

The backup and the restore are the real ones, through files and databases; the partner does nothing but
what it does every day. What is lost is what only the restored node had, and it had it after the backup.
"""

from __future__ import annotations

import itertools
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from node import web
from node.cli import backups, restoring
from node.config import load_settings
from node.exchange import egress, ingress, links
from node.exchange.egress import Reader
from node.exchange.selection import Selection, Versions
from node.store import backup, catalog, damage
from node.store.database import Database
from node.sync.pull import pull
from node.sync.push import push
from node.sync.reports import Stop
from tests.flows.test_exchange import all_carriers, by, carriers, quiet
from tests.support.builders import NORTH_ID, SOUTH_ID, an_id, an_indicator
from tests.support.partner import a_receiver, simulated_partner
from tests.support.two_nodes import Centre, TwoNodes, two_nodes

_numbers = itertools.count(1)


def ours(author: str, *names: str, **changes: object) -> list[bytes]:
    return [by(author, name, **changes) for name in names]


def ids(*names: str) -> set[str]:
    return {an_id("indicator", name) for name in names}


def backed_up(centre: Centre) -> Path:
    """A backup of one of the two, taken while it runs."""
    target = centre.folder.parent / f"{centre.name}-{next(_numbers)}.tar.gz"
    backups.taken(centre.settings, centre.database, target, now=centre.clock())
    return target


@pytest.fixture
def restore(request, monkeypatch):
    """Put a node back to a backup, on a database of its kind or of the one that is named."""
    made: list[tuple[Database, str]] = []

    def work(centre: Centre, file: Path, *, kind: str = "", resumed: bool = True) -> None:
        server = name = url = ""
        if (kind or centre.database.dialect) == "postgresql":
            server = request.getfixturevalue("postgresql_server")
            name = server.create("template0")
            url = server.address(name).replace("postgres:@", "postgres@")
        folder = centre.folder.parent / f"{centre.name}-restored-{next(_numbers)}"
        wish = restoring.Wish(file, folder, database=url)
        restoring.restored(wish, environ={}, actor="os:test", now=centre.clock())
        centre.database.close()
        centre.database = Database(url or f"sqlite:///{folder / 'stixnode.db'}")
        made.append((centre.database, name))
        centre.folder, centre.settings = folder, load_settings(folder / "config.toml", {})
        monkeypatch.setattr(web.clock, "now", centre.clock)
        if resumed:
            centre.restart()

    yield work
    for database, name in made:
        database.close()
        if name:
            request.getfixturevalue("postgresql_server").drop(name)


@pytest.fixture
def west():
    """A partner of other software."""
    with simulated_partner() as partner:
        yield partner


def assert_closed(pair: TwoNodes) -> None:
    """South neither carries nor serves, whoever is the carrier."""
    reports = [*pair.south.sync(), *pair.north.sync()]
    said_no = [each.stopped is Stop.CLOSED or (each.error and each.error.by_rule) for each in reports]
    assert any(said_no)
    assert sum(each.moved for each in reports) == 0
    links = [pair.south.state(link.name) for link in pair.south.door.links]
    assert all(link.paused and "went back in time" in link.pause_reason for link in links)


def assert_sound(centre: Centre) -> None:
    with backup.still(centre.database) as tx:
        links = [link.name for link in centre.door.links]
        assert list(damage.examine(tx, public=centre.door.parties.public, links=links)) == []


@all_carriers
def test_a_receiver_that_was_restored_gets_again_what_it_lost(two_databases, tmp_path, restore, carry):
    pair = two_nodes(two_databases, tmp_path, flow_carry=carry)
    pair.north.bring(*ours(NORTH_ID, "a", "b"))
    pair.south.bring(*ours(SOUTH_ID, "s"))
    quiet(pair)
    file = backed_up(pair.south)
    pair.north.bring(*ours(NORTH_ID, "c", "d"))
    quiet(pair)

    restore(pair.south, file)

    assert pair.south.ids() == ids("a", "b", "s")
    quiet(pair)
    assert pair.south.bodies() == pair.north.bodies()
    assert pair.south.ids() == ids("a", "b", "c", "d", "s")
    assert_sound(pair.south)


def test_without_a_new_history_the_loss_would_stay(two_sqlite_databases, tmp_path, restore, monkeypatch):
    """The control: a database that is only put back tells the partner nothing."""
    pair = two_nodes(two_sqlite_databases, tmp_path, flow_carry="push")
    pair.north.bring(*ours(NORTH_ID, "a"))
    quiet(pair)
    file = backed_up(pair.south)
    pair.north.bring(*ours(NORTH_ID, "b"))
    quiet(pair)

    monkeypatch.setattr(
        backup, "begin_anew", lambda tx, **_: {each.id: 0 for each in catalog.collections(tx)}
    )
    restore(pair.south, file)

    with pytest.raises(AssertionError):
        quiet(pair)
    assert pair.south.ids() == ids("a")


@carriers
def test_a_giver_that_was_restored_is_listed_again_and_goes_on(two_databases, tmp_path, restore, carry):
    pair = two_nodes(two_databases, tmp_path, flow_carry=carry)
    pair.north.bring(*ours(NORTH_ID, "a", "b"))
    quiet(pair)
    file = backed_up(pair.north)
    pair.north.bring(*ours(NORTH_ID, "lost"))
    pair.south.bring(*ours(SOUTH_ID, "s"))
    quiet(pair)

    restore(pair.north, file)
    pair.north.bring(*ours(NORTH_ID, "new"))
    quiet(pair)

    assert pair.south.ids() == ids("a", "b", "lost", "new", "s")
    assert pair.north.ids() == ids("a", "b", "new", "s")  # nobody gives us our own; South may send a bundle
    pair.north.bring(*ours(NORTH_ID, "lost"))
    quiet(pair)
    assert pair.north.bodies() == pair.south.bodies()
    assert_sound(pair.north)
    assert_sound(pair.south)


@carriers
def test_both_restored_from_different_days_end_with_what_either_backup_had(
    two_sqlite_databases, tmp_path, restore, carry
):
    pair = two_nodes(two_sqlite_databases, tmp_path, flow_carry=carry)
    pair.north.bring(*ours(NORTH_ID, "a"))
    quiet(pair)
    early = backed_up(pair.south)
    pair.north.bring(*ours(NORTH_ID, "b"))
    pair.south.bring(*ours(SOUTH_ID, "s"))
    quiet(pair)
    late = backed_up(pair.north)
    pair.north.bring(*ours(NORTH_ID, "lost"))
    quiet(pair)

    restore(pair.south, early)
    restore(pair.north, late)
    quiet(pair)

    assert pair.north.ids() == ids("a", "b", "s")
    assert pair.south.ids() == ids("a", "b")  # its own lies at North, which does not give it back
    assert_sound(pair.north)


@carriers
def test_what_was_deleted_since_the_backup_is_there_again(two_sqlite_databases, tmp_path, restore, carry):
    pair = two_nodes(two_sqlite_databases, tmp_path, flow_carry=carry)
    pair.north.bring(*ours(NORTH_ID, "a", "b"))
    quiet(pair)
    file = backed_up(pair.south)
    _delete(pair.south, an_id("indicator", "a"))
    quiet(pair)
    assert pair.south.ids() == ids("b")

    restore(pair.south, file)
    quiet(pair)

    assert pair.south.ids() == ids("a", "b")
    _delete(pair.south, an_id("indicator", "a"))  # and can be deleted again, for good
    quiet(pair)
    assert pair.south.ids() == ids("b")


@carriers
def test_what_was_deleted_before_the_backup_stays_away(two_sqlite_databases, tmp_path, restore, carry):
    pair = two_nodes(two_sqlite_databases, tmp_path, flow_carry=carry)
    pair.north.bring(*ours(NORTH_ID, "a", "b"))
    quiet(pair)
    _delete(pair.south, an_id("indicator", "a"))
    file = backed_up(pair.south)
    quiet(pair)

    restore(pair.south, file)
    quiet(pair)

    assert pair.south.ids() == ids("b")


@carriers
def test_bytes_that_were_restated_since_the_backup_end_equal_on_both_sides(
    two_sqlite_databases, tmp_path, restore, carry
):
    pair = two_nodes(two_sqlite_databases, tmp_path, flow_carry=carry)
    pair.north.bring(*ours(NORTH_ID, "a"))
    quiet(pair)
    file = backed_up(pair.north)
    pair.north.bring(*ours(NORTH_ID, "a", description="corrected"), restate=True)
    quiet(pair)

    restore(pair.north, file)
    quiet(pair)

    assert pair.north.bodies() == pair.south.bodies() == ours(NORTH_ID, "a")


@carriers
def test_a_restored_node_is_closed_until_a_person_opens_it(two_sqlite_databases, tmp_path, restore, carry):
    pair = two_nodes(two_sqlite_databases, tmp_path, flow_carry=carry)
    pair.north.bring(*ours(NORTH_ID, "a"))
    quiet(pair)

    restore(pair.south, backed_up(pair.south), resumed=False)
    pair.south.app = web.create_app(pair.south.settings, pair.south.database)

    assert_closed(pair)
    pair.south.restart()
    quiet(pair)
    assert pair.south.bodies() == pair.north.bodies()


def test_a_reader_who_resumes_after_a_restore_misses_nothing(two_sqlite_databases, tmp_path, restore):
    pair = two_nodes(two_sqlite_databases, tmp_path)
    pair.north.bring(*ours(NORTH_ID, "a"))
    file = backed_up(pair.north)
    pair.north.bring(*ours(NORTH_ID, "lost"))
    seen = _page(pair.north, 0)[-1][0]

    restore(pair.north, file)
    pair.north.bring(*ours(NORTH_ID, "lost", "new"))

    assert {name for _, name in _page(pair.north, seen)} == ids("lost", "new")


def test_a_node_that_moves_to_the_other_database_goes_on(two_databases, tmp_path, restore):
    pair = two_nodes(two_databases, tmp_path, flow_carry={"north": "pull", "south": "push"})
    pair.north.bring(*ours(NORTH_ID, *map(str, range(30))))
    pair.south.bring(*ours(SOUTH_ID, "s"))
    quiet(pair)
    other = {"sqlite": "postgresql", "postgresql": "sqlite"}[pair.north.database.dialect]

    restore(pair.north, backed_up(pair.north), kind=other)
    pair.north.bring(*ours(NORTH_ID, "new"))
    quiet(pair)

    assert pair.north.database.dialect == other
    assert pair.north.bodies() == pair.south.bodies()
    assert len(pair.north.bodies()) == 32
    assert_sound(pair.north)


@carriers
def test_a_server_that_failed_over_and_lost_the_last_minutes_gets_them_again(
    two_postgresql_databases, bare_postgresql_database, tmp_path, monkeypatch, carry
):
    pair = two_nodes(two_postgresql_databases, tmp_path, flow_carry=carry)
    monkeypatch.setattr(web.clock, "now", pair.clock)
    pair.north.bring(*ours(NORTH_ID, "a"))
    pair.south.bring(*ours(SOUTH_ID, "s"))
    quiet(pair)
    before = _epoch(pair.south)
    _replicate(pair.south.database, bare_postgresql_database, tmp_path)
    pair.north.bring(*ours(NORTH_ID, "b"))
    quiet(pair)

    pair.south.database.close()
    pair.south.database = bare_postgresql_database  # a standby that was some transactions behind
    pair.south.app = web.create_app(pair.south.settings, pair.south.database)

    assert_closed(pair)
    assert _epoch(pair.south) != before
    pair.south.restart()
    pair.south.bring(*ours(SOUTH_ID, "after"))
    quiet(pair)
    assert pair.south.bodies() == pair.north.bodies()
    assert pair.south.ids() == ids("a", "b", "s", "after")
    assert_sound(pair.south)


@carriers
def test_a_collection_that_the_giver_made_anew_is_listed_again(two_sqlite_databases, tmp_path, carry):
    pair = two_nodes(two_sqlite_databases, tmp_path, flow_carry=carry)
    pair.north.bring(*ours(NORTH_ID, "a", "b"))
    quiet(pair)
    with pair.north.database.writing() as tx:
        for table in ('"object"', "owner", "received", "arrival", "feed_row", "feed", "feed_due"):
            tx.run(sa.text(f"delete from {table}"))
        tx.run(sa.text("update collection set last_added = 0, epoch = 'anew ' || alias"))

    pair.north.bring(*ours(NORTH_ID, "b", "c"))
    quiet(pair)

    assert pair.north.ids() == ids("b", "c")
    assert pair.south.ids() == ids("a", "b", "c")
    assert_sound(pair.south)


def test_what_a_foreign_server_gave_after_the_backup_comes_again(sqlite_database, west, tmp_path):
    north = a_receiver(sqlite_database, west)
    west.hold(*[an_indicator(f"w{n}") for n in range(3)])
    assert _pulled(north).outcomes["stored"] == 3
    file = _kept(north, tmp_path)
    west.hold(*[an_indicator(f"later{n}") for n in range(2)])
    assert _pulled(north).outcomes["stored"] == 2

    with _restored_receiver(north, file, tmp_path) as again:
        assert again.count("object") == 3
        assert _pulled(again).outcomes["stored"] == 2
        assert again.count("object") == 5
        assert _pulled(again).moved == 0


@pytest.mark.parametrize("style", ["whole", "duplicates_fail"])
def test_a_foreign_server_gets_what_is_new_and_keeps_what_was_lost(sqlite_database, west, tmp_path, style):
    north = a_receiver(sqlite_database, west)
    if style != "whole":
        west.post_style = style
    north.bring(*[an_indicator(f"n{n}", tlp="green", author=NORTH_ID) for n in range(3)])
    assert _pushed(north).sent == 3
    file = _kept(north, tmp_path)
    north.bring(an_indicator("lost", tlp="green", author=NORTH_ID))
    assert _pushed(north).sent == 1

    with _restored_receiver(north, file, tmp_path) as again:
        again.bring(an_indicator("new", tlp="green", author=NORTH_ID))
        report = _pushed(again)
        assert (report.error, report.failed, report.unconfirmed) == (None, 0, 0)
        assert _pushed(again).considered == 0
    held = [one.id for one in west.held]
    assert set(held) == ids("n0", "n1", "n2", "lost", "new")
    assert len(held) == len(set(held))


def _replicate(database: Database, standby: Database, folder: Path) -> None:
    """Another server with everything that is committed until now."""
    backup.copy_out(database, folder / "replica.db")
    with closing(Database(f"sqlite:///{folder / 'replica.db'}")) as copy:

        def elsewhere(tx) -> None:
            tx.run(sa.text("update node set server_identity = '7:1'"))  # as the primary's was

        backup.copy_in(copy, standby, then=elsewhere)


def _delete(centre: Centre, stix_id: str) -> None:
    with centre.database.writing() as tx:
        collection = catalog.lock(tx, catalog.find_collection(tx, "indicators").collection_id)
        gone = ingress.remove(
            tx,
            centre.door,
            collection,
            stix_id,
            versions=None,
            spec_versions=None,
            actor="os:test",
            now=centre.clock(),
        )
    assert gone == 1


def _page(centre: Centre, after: int) -> list[tuple[int, str]]:
    chosen = Selection(100, after=after, versions=Versions(every=True))
    with centre.database.reading() as tx:
        collection = catalog.find_collection(tx, "indicators")
        page = egress.read_collection(tx, collection, Reader(4, ()), chosen, bodies=True)
    return [(one.added, one.stix_id) for one in page.records]


def _epoch(centre: Centre) -> str:
    with centre.database.reading() as tx:
        return catalog.find_collection(tx, "indicators").epoch


def _pulled(north):
    with closing(north.client()) as client:
        report = pull(north.door, north.link("in"), client, now=north.clock)
    assert report.error is None
    return report


def _pushed(north):
    with closing(north.client()) as client:
        return push(north.door, north.link("out"), client, now=north.clock, pause=north.pause)


def _kept(north, folder: Path) -> Path:
    (folder / "home").mkdir()
    config = folder / "home" / "config.toml"
    config.write_text('format = 1\n[node]\nname = "north"\n', encoding="utf-8")
    target = folder / "north.tar.gz"
    backups.taken(load_settings(config, {}), north.database, target, now=north.clock())
    return target


@contextmanager
def _restored_receiver(north, file: Path, folder: Path):
    """The node over a database that was restored."""
    wish = restoring.Wish(file, folder / "again")
    restoring.restored(wish, environ={}, actor="os:test", now=north.clock())
    with closing(Database(f"sqlite:///{folder / 'again' / 'stixnode.db'}")) as database:
        with database.writing() as tx:
            assert all(each.paused for each in links.states(tx).values())
            links.set_paused(tx, None, paused=False, reason="")
        yield replace(north, database=database, door=replace(north.door, database=database))
