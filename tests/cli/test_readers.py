"""node/cli/readers.py: how far each SOC account has read, on the screen of status."""

from __future__ import annotations

from node.access import accounts
from node.cli import readers
from node.store import catalog
from tests.cli.desk import OLD, Desk, a_bundle, moment
from tests.support.builders import an_indicator

HOUR = 3_600 * 1_000_000


def brought(desk: Desk, *names: str, tlp: str = "clear") -> None:
    bodies = [an_indicator(name, created=OLD, modified=OLD, valid_from=OLD, tlp=tlp) for name in names]
    assert desk.run("import", "indicators", "-", stdin=a_bundle(*bodies)).code == 0


def read(desk: Desk, account: str, *, ago: int = 0, whole: bool = True) -> None:
    with desk.open() as node, node.database.writing() as tx:
        collection = catalog.find_collection(tx, "indicators")
        assert collection is not None
        served = collection.last_added if whole else 0
        accounts.note_reading(tx, account, collection.collection_id, now=moment() - ago, served=served)


def reading(desk: Desk, account: str) -> dict[str, object]:
    lines = desk.run("status", "--json").of("reading")
    (found,) = [line for line in lines if line["account"] == account]
    return found


def test_a_reader_that_has_everything_waits_for_nothing(desk: Desk):
    desk.run("account", "add", "soc", "--read", "indicators")
    brought(desk, "a", "b")
    read(desk, "soc", ago=3 * HOUR)

    found = reading(desk, "soc")

    assert (found["collection"], found["waiting"], found["behind_seconds"]) == ("indicators", 0, None)
    assert "indicators  asked 3 h ago, " in desk.run("status").out
    assert ", nothing waits" in desk.run("status").out


def test_what_a_reader_sees_and_has_not_read_waits(desk: Desk):
    desk.run("account", "add", "soc", "--read", "indicators")
    brought(desk, "a")
    read(desk, "soc")
    brought(desk, "b", "c")
    brought(desk, "d", tlp="red")

    found = reading(desk, "soc")

    assert (found["waiting"], found["exact"]) == (2, True)
    assert isinstance(found["behind_seconds"], int)
    assert "2 objects waiting, the oldest for" in desk.run("status").out


def test_a_reader_that_never_came_is_named_with_what_waits(desk: Desk):
    desk.run("account", "add", "soc", "--read", "indicators")
    brought(desk, "a")

    assert (reading(desk, "soc")["last_poll"], reading(desk, "soc")["waiting"]) == (None, 1)
    assert "soc  indicators  idle, never asked since " in desk.run("status").out


def test_many_that_wait_are_counted_up_to_a_bound(desk: Desk, monkeypatch):
    monkeypatch.setattr(readers, "BEHIND_AT_MOST", 2)
    desk.run("account", "add", "soc", "--read", "indicators")
    brought(desk, "a", "b", "c")

    assert (reading(desk, "soc")["waiting"], reading(desk, "soc")["exact"]) == (2, False)
    assert "at least 2 objects waiting" in desk.run("status").out


def test_partners_are_no_readers_and_an_account_without_rights_is_said_so(desk: Desk):
    desk.with_partner()
    desk.run("account", "add", "south", "--partner", "south")
    assert "our readers         none; " in desk.run("status").out

    desk.run("account", "add", "soc")

    assert "soc  -  may read no collection" in desk.run("status").out
    assert [line["account"] for line in desk.run("status", "--json").of("reader")] == ["soc"]
