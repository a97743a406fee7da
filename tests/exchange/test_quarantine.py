"""The quarantine's own book; how objects come into it and out of it is in test_ingress."""

from __future__ import annotations

import pytest

from node.errors import UsageError
from node.exchange import quarantine, removal, worklist
from tests.support.builders import an_id, an_indicator
from tests.support.nodes import IN, Node, key_of

AMBER = an_indicator(tlp="amber")


def test_an_entry_has_everything_that_a_person_needs(north: Node):
    report = north.admit(AMBER, by=IN)
    with north.database.reading() as tx:
        (entry,) = quarantine.entries(tx)
    assert (entry.link, entry.stix_id, entry.reason, entry.body) == (
        IN,
        an_id("indicator"),
        "above_ceiling",
        AMBER,
    )
    assert (entry.arrival_id, entry.at, entry.state) == (report.arrival_id, north.now, "waiting")
    assert "GREEN" in entry.detail


def test_its_name_follows_from_link_key_and_digest(north: Node):
    north.bring(AMBER, by=IN)
    with north.database.reading() as tx:
        (entry,) = quarantine.entries(tx)
    assert entry.entry == quarantine.name_of(IN, key_of(AMBER))
    assert len(entry.entry) == 12


def test_entries_are_told_apart_by_link_and_state(north: Node):
    north.bring(AMBER, an_indicator("two", tlp="red"), by=IN)
    with north.database.writing() as tx:
        first, _ = quarantine.entries(tx)
        quarantine.decide(
            tx, first.entry, state="discarded", actor="person:eve", reason="spam", now=north.now
        )
        assert len(quarantine.entries(tx)) == 1
        assert quarantine.entries(tx, links=["west/indicators/in"]) == []
        (decided,) = quarantine.entries(tx, state="discarded")
        assert (decided.decided_by, decided.decision_reason) == ("person:eve", "spam")
        assert quarantine.waiting(tx)[IN][0] == 1


def test_an_unknown_name_says_so(north: Node):
    with north.database.reading() as tx, pytest.raises(UsageError, match="q-nothing"):
        quarantine.find(tx, "q-nothing")


def test_a_second_decision_says_who_made_the_first(north: Node):
    north.bring(AMBER, by=IN)
    name = quarantine.name_of(IN, key_of(AMBER))
    with north.database.writing() as tx:
        quarantine.decide(tx, name, state="discarded", actor="person:eve", reason="", now=north.now)
        with pytest.raises(UsageError, match="person:eve"):
            quarantine.decide(tx, name, state="accepted", actor="person:ann", reason="", now=north.now)


def test_what_was_accepted_and_is_no_longer_held_waits_when_it_comes_again(north: Node):
    north.bring(AMBER, by=IN)
    name = quarantine.name_of(IN, key_of(AMBER))
    with north.database.writing() as tx:
        worklist.accept(tx, north.door, name, actor="person:eve", reason="asked", now=north.moment())
    north.remove(an_id("indicator"))
    with north.database.writing() as tx:
        removal.undelete(tx, an_id("indicator"), actor="person:eve", now=north.moment())
    north.bring(AMBER, by=IN)
    with north.database.reading() as tx:
        (entry,) = quarantine.entries(tx)
    assert (entry.entry, entry.decided_by, entry.at) == (name, "", north.now)


def test_what_waits_already_keeps_its_moment(north: Node):
    north.bring(AMBER, by=IN)
    since = north.now
    north.bring(AMBER, by=IN)
    with north.database.reading() as tx:
        (entry,) = quarantine.entries(tx)
    assert entry.at == since
