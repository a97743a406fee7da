"""The books: what partners brought, by key and digest, and what they do not get."""

from __future__ import annotations

from node.exchange import arrivals, ledger
from tests.support.agreements import a_flow
from tests.support.builders import an_id, an_indicator, an_ipv4
from tests.support.nodes import IN, OUT, Node, key_of

ID = an_id("indicator")
FIRST = an_indicator(tlp="green")


def lines(node: Node, stix_id: str = ID):
    with node.database.reading() as tx:
        return ledger.received(tx, [stix_id]).get(stix_id, [])


def test_what_our_own_people_bring_is_no_line(north: Node):
    north.bring(FIRST)
    assert lines(north) == []


def test_a_line_says_who_brought_which_bytes_in_which_epoch(north: Node):
    report = north.admit(FIRST, by=IN, epoch="e7")
    (line,) = lines(north)
    assert (*line[:4],) == tuple(key_of(FIRST))
    assert (line.link, line.partner, line.outcome, line.epoch) == (IN, "south", "stored", "e7")
    assert (line.arrival_id, line.at) == (report.arrival_id, north.now)


def test_a_later_duplicate_does_not_hide_that_it_was_stored_and_renews_the_epoch(north: Node):
    north.bring(FIRST, by=IN, epoch="e1")
    north.bring(FIRST, by=IN, epoch="e2")
    (line,) = lines(north)
    assert (line.outcome, line.epoch) == ("stored", "e2")


def test_what_comes_back_from_whom_we_gave_it_to_is_an_echo_and_stays_one(north: Node):
    north.bring(FIRST, an_ipv4(tlp="green"))
    north.agree(flow=[a_flow(types=["indicator", "observables"])])
    north.served()
    for _ in range(2):
        north.bring(FIRST, an_ipv4(tlp="green"), by=IN)
        assert [line.outcome for line in lines(north)] == ["echo"]
        assert [line.outcome for line in lines(north, key_of(an_ipv4()).stix_id)] == ["echo"]


def test_what_is_offered_but_was_never_handed_over_does_not_come_back_as_an_echo(north: Node):
    north.bring(FIRST)
    north.advance()
    north.bring(FIRST, by=IN)
    assert [line.outcome for line in lines(north)] == ["duplicate"]


def test_each_text_of_a_version_has_a_line_of_its_own(north: Node):
    north.bring(FIRST, by=IN)
    north.bring(an_indicator(tlp="green", description="Other words."), by=IN)
    assert sorted(line.outcome for line in lines(north)) == ["restated", "stored"]


def test_an_observable_has_version_zero(north: Node):
    north.bring(an_ipv4(tlp="green"), by=IN)
    (line,) = lines(north, key_of(an_ipv4()).stix_id)
    assert line.version == 0


def test_what_was_not_taken_has_a_line_with_the_reason(north: Node):
    north.bring(an_indicator(tlp="red"), by=IN)
    (line,) = lines(north)
    assert (line.outcome, line.reason) == ("quarantined", "above_ceiling")


def test_outcomes_and_reasons_are_counted_by_link(north: Node):
    north.bring(FIRST, an_indicator("two", tlp="green"), by=IN)
    north.bring(an_indicator("red", tlp="red"))
    north.advance()
    with north.database.reading() as tx:
        assert ledger.outcomes(tx) == [(IN, "stored", "", 2)]
        assert ledger.reasons(tx) == [(OUT, "above_ceiling", 1), (OUT, "back_to_origin", 2)]
        assert [line.stix_id for line in ledger.withheld_of(tx, an_id("indicator", "red"))] == [
            an_id("indicator", "red")
        ]
        assert len(ledger.withheld_on(tx, OUT, 2)) == 2


def test_what_is_kept_from_its_bringer_is_found_by_partner(north: Node):
    north.bring(FIRST)
    north.bring(FIRST, by=IN)
    north.advance()
    with north.database.reading() as tx:
        assert ledger.kept_from_bringer(tx, "south") == [(OUT, ID)]
        assert ledger.kept_from_bringer(tx, "west") == []


def test_an_arrival_adds_up_over_its_transactions(north: Node):
    report = north.admit(FIRST, FIRST, by=IN)
    with north.database.reading() as tx:
        found = arrivals.find(tx, report.arrival_id)
        assert arrivals.recent(tx, 1) == [found]
    assert found is not None
    assert (found.kind, found.link, found.counts) == ("pull", IN, {"duplicate": 1, "stored": 1})
