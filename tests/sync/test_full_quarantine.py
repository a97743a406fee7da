"""A partner of which too much waits: pulls end before the page, pushes are asked to come again."""

from __future__ import annotations

import pytest

from node.exchange import quarantine, worklist
from node.exchange.fullness import QuarantineFull
from node.sharing.links import Stricter
from node.store.database import Database
from node.sync import worker
from node.sync.standing import standing_of
from tests.support.builders import SOUTH_ID, an_id, an_indicator
from tests.support.partner import Receiver, SimulatedPartner, a_receiver
from tests.support.two_nodes import BOTH_PUSH, TwoNodes, two_nodes
from tests.sync.test_pull import bookmark_of, pull_once

GOOD = [an_indicator(f"good {number}", tlp="green") for number in range(5)]


def junk(number: int, start: int = 0) -> list[bytes]:
    """So many objects that only a person may let in."""
    return [an_indicator(f"junk {each}", tlp="red") for each in range(start, start + number)]


def cleared(node: Receiver) -> None:
    """A person left everything out that waits."""
    with node.database.writing() as tx:
        for each in quarantine.entries(tx, limit=100_000, bodies=False):
            worklist.discard(tx, each.entry, actor="person:eve", reason="junk", now=node.clock())


@pytest.fixture
def receiver(database: Database, west: SimulatedPartner) -> Receiver:
    """North, which keeps ten objects of west waiting."""
    west.page_most = 10
    return a_receiver(database, west, stricter=Stricter(max_quarantine_objects=10))


def test_a_pull_ends_before_the_page_and_its_bookmark_stays(receiver: Receiver, west: SimulatedPartner):
    west.hold(*GOOD, *junk(30))

    report = pull_once(receiver)

    assert isinstance(report.error, QuarantineFull)
    assert report.error.problem == "The quarantine of west is full: 15 objects wait, and 10 may."
    assert (receiver.count("quarantine"), bookmark_of(receiver)) == (15, report.bookmark)
    assert receiver.count("object") == 5
    again = pull_once(receiver)
    assert (isinstance(again.error, QuarantineFull), receiver.count("quarantine")) == (True, 15)


def test_nothing_is_lost_once_a_person_has_cleared_it(receiver: Receiver, west: SimulatedPartner):
    west.hold(*GOOD, *junk(25), an_indicator("last", tlp="green"))
    for _ in range(4):
        if pull_once(receiver).error is None:
            break
        cleared(receiver)

    assert (receiver.count("object"), receiver.count("quarantine")) == (6, 25)


def test_status_names_the_cause_and_the_command(receiver: Receiver, west: SimulatedPartner):
    west.hold(*junk(25))
    worker.sync_once(
        receiver.door,
        [receiver.link("in")],
        lambda _name: receiver.client(None),
        holder="test",
        now=receiver.clock,
        pause=receiver.pause,
    )
    with receiver.database.reading() as tx:
        (one,) = standing_of(tx, [receiver.link("in")], now=receiver.clock())

    assert (one.health.state, one.health.alarm) == ("failing", True)
    assert "so much of theirs waits in quarantine that nothing more is taken" in one.health.text
    assert one.health.command == "stixnode quarantine list west"


def test_h35_ten_thousand_junk_objects_fill_the_quarantine_to_its_limit_and_no_further(
    sqlite_database: Database, west: SimulatedPartner
):
    west.page_most = 1_000
    receiver = a_receiver(sqlite_database, west, stricter=Stricter(max_quarantine_objects=1_000))
    west.hold(*junk(10_000))

    first, second = pull_once(receiver), pull_once(receiver)

    assert isinstance(first.error, QuarantineFull)
    assert isinstance(second.error, QuarantineFull)
    assert (receiver.count("quarantine"), receiver.count("object")) == (1_000, 0)


def pushing(two_databases, tmp_path) -> TwoNodes:
    """North and south, which push; south keeps two objects of north waiting."""
    found = two_nodes(two_databases, tmp_path, flow_carry=BOTH_PUSH)
    config = found.south.folder / "config.toml"
    limit = "\n[partner.north.stricter]\nmax_quarantine_objects = 2\n"
    config.write_text(config.read_text(encoding="utf-8") + limit, encoding="utf-8")
    found.south.restart()
    return found


def in_souths_name(*names: str) -> list[bytes]:
    """What south never had and has to look at."""
    return [an_indicator(each, tlp="green", author=SOUTH_ID) for each in names]


def test_a_push_is_asked_to_come_again_and_keeps_what_it_brought(two_databases, tmp_path):
    pair = pushing(two_databases, tmp_path)
    north, south = pair.north, pair.south
    north.bring(*in_souths_name("a", "b", "c"))
    pair.round()
    north.bring(*in_souths_name("d"), *GOOD)

    (report,) = north.sync("out")

    assert report.error is not None
    assert "Too much of what you brought waits here for a person" in report.error.problem
    assert report.error.retry_after_seconds == 900
    assert [status for method, _, status in north.wire.asked if method == "POST"] == [202, 429]
    assert south.ids() == set()
    with south.database.reading() as tx:
        assert quarantine.waiting(tx)["north/indicators/in"][0] == 3


def test_it_arrives_when_a_person_there_has_cleared_it(two_databases, tmp_path):
    pair = pushing(two_databases, tmp_path)
    pair.north.bring(*in_souths_name("a", "b", "c"))
    pair.round()
    pair.north.bring(*in_souths_name("d"), *GOOD)
    pair.round()
    with pair.south.database.writing() as tx:
        for each in quarantine.entries(tx):
            worklist.discard(tx, each.entry, actor="person:eve", reason="not ours", now=pair.clock())
    pair.tick(1_000)
    pair.round()
    pair.round()

    assert pair.south.ids() == {an_id("indicator", f"good {number}") for number in range(5)}
    with pair.south.database.reading() as tx:
        assert quarantine.waiting(tx)["north/indicators/in"][0] == 1


def test_status_of_the_receiver_says_that_a_push_is_kept_out(two_databases, tmp_path):
    pair = pushing(two_databases, tmp_path)
    pair.north.bring(*in_souths_name("a", "b"))
    pair.round()
    link = pair.south.door.link("north/indicators/in")

    with pair.south.database.reading() as tx:
        (one,) = standing_of(tx, [link], now=pair.clock())

    assert (one.health.state, one.health.command) == ("failing", "stixnode quarantine list north")
