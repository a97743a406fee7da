"""A partner of which too much waits for a person brings nothing more that would have to wait."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.exchange import fullness, ledger, quarantine, worklist
from node.exchange.fullness import QuarantineFull
from node.sharing.links import Stricter
from node.store.database import Database
from tests.support.agreements import a_flow, a_party
from tests.support.builders import an_id, an_indicator
from tests.support.nodes import IN, Node, a_node

AMBER = [an_indicator(number, tlp="amber") for number in range(6)]
WEST_IN = "west/indicators/in"
LIMITED = Stricter(max_quarantine_objects=3)


@pytest.fixture
def limited(database: Database) -> Node:
    """North, which keeps three objects of south waiting, and of west."""
    return a_node(
        database,
        partners=("south", "west"),
        party={name: a_party(name) for name in ("north", "south", "west")},
        flow=[a_flow(givers=("north", "south", "west"))],
        stricter=LIMITED,
    )


def waiting(node: Node) -> dict[str, int]:
    with node.database.reading() as tx:
        return {link: number for link, (number, _) in quarantine.waiting(tx).items()}


def test_the_batch_that_reaches_the_limit_is_taken_and_the_next_is_not(limited: Node):
    assert limited.bring(*AMBER[:4], by=IN) == ["quarantined"] * 4
    with pytest.raises(QuarantineFull, match="4 objects wait, and 3 may") as caught:
        limited.bring(AMBER[4], by=IN)
    assert "stixnode quarantine list south" in caught.value.remedy
    assert waiting(limited) == {IN: 4}


def test_nothing_of_a_batch_that_is_not_taken_is_stored(limited: Node):
    limited.bring(*AMBER[:3], by=IN)
    before = limited.collection()
    good = an_indicator("good", tlp="green")
    with pytest.raises(QuarantineFull):
        limited.bring(good, AMBER[4], by=IN)
    with limited.database.reading() as tx:
        assert ledger.received(tx, [an_id("indicator", "good")]) == {}
    assert (limited.held(an_id("indicator", "good")), limited.collection()) == ([], before)
    assert limited.bring(good, by=IN) == ["stored"]


def test_what_waits_already_or_was_discarded_comes_again_freely(limited: Node):
    limited.bring(*AMBER[:4], by=IN)
    with limited.database.writing() as tx:
        first = quarantine.entries(tx)[0]
        worklist.discard(tx, first.entry, actor="person:eve", reason="spam", now=limited.now)
    assert limited.bring(*AMBER[:4], by=IN) == ["quarantined"] * 4
    assert waiting(limited) == {IN: 3}


def test_another_partner_is_not_affected(limited: Node):
    limited.bring(*AMBER[:4], by=IN)
    assert limited.bring(*AMBER, by=WEST_IN) == ["quarantined"] * 6
    assert waiting(limited) == {IN: 4, WEST_IN: 6}


def test_it_goes_on_when_a_person_has_cleared_it(limited: Node):
    limited.bring(*AMBER[:3], by=IN)
    with limited.database.writing() as tx:
        for each in quarantine.entries(tx)[:2]:
            worklist.discard(tx, each.entry, actor="person:eve", reason="spam", now=limited.now)
    assert limited.bring(AMBER[4], by=IN) == ["quarantined"]


def test_bytes_are_counted_too(north: Node):
    north.agree(stricter=Stricter(max_quarantine_bytes=len(AMBER[0]) + 1))
    assert north.bring(AMBER[0], by=IN) == ["quarantined"]
    assert north.bring(AMBER[1], by=IN) == ["quarantined"]
    with pytest.raises(QuarantineFull, match=r"[0-9,]+ bytes wait"):
        north.bring(AMBER[2], by=IN)
    with north.database.writing() as tx:
        quarantine.erase(tx, IN, north.collection().collection_id, north.now + 1, now=north.now)
    assert north.bring(AMBER[2], by=IN) == ["quarantined"]


def test_a_retry_of_what_waits_is_never_too_much(limited: Node):
    limited.bring(*AMBER[:5], by=IN)
    with limited.database.writing() as tx:
        names = [each.entry for each in quarantine.entries(tx)]
        tried = worklist.retry(tx, limited.door, names, actor="person:eve", now=limited.moment())
    assert [each.waits for each in tried] == [True] * 5


def test_no_limit_is_no_limit(north: Node):
    assert north.bring(*AMBER, by=IN) == north.bring(*AMBER, by=IN) == ["quarantined"] * 6
    assert north.bring(an_indicator("more", tlp="red"), by=IN) == ["quarantined"]


def test_the_books_agree_with_a_count_of_the_entries(limited: Node):
    limited.bring(*AMBER[:2], by=IN)
    with limited.database.reading() as tx:
        counted = [each for each in quarantine.entries(tx) if each.link == IN]
        assert fullness.load(tx, "south") == (2, sum(len(each.body) for each in counted))
        (group,) = quarantine.groups(tx)
        assert quarantine.entries(tx, bodies=False) == [each._replace(body=b"") for each in counted]
        link = replace(limited.link(IN), stricter=Stricter(max_quarantine_objects=2))
        assert fullness.full(tx, link).startswith("The quarantine of south is full")
    assert group == (IN, "above_ceiling", 2, counted[0].at)
