"""node/exchange/visibility.py: what an account sees, what hides the rest, and what it has not read."""

from __future__ import annotations

from collections import Counter

import pytest

from node.exchange import visibility
from node.exchange.egress import Reader, Selection, read_collection
from node.exchange.visibility import behind, one_object, share
from tests.support.agreements import a_flow
from tests.support.builders import LATER, a_malware, an_id, an_indicator
from tests.support.nodes import IN, a_node

STATE = ("state-bodies",)
UNKNOWN = "marking-definition--11111111-2222-4333-8444-555555555555"
EYES = [Reader(rank, audience) for rank in (0, 1, 2, 3, 4) for audience in ((), STATE, ("other",))]


def fill(database):
    """North with its own and South's indicators of every level, older versions, and an unknown marking."""
    north = a_node(database, flow=[a_flow(max_tlp="red", unmarked="clear")])
    for level in (None, "clear", "green", "amber", "amber+strict", "red"):
        north.bring(an_indicator(f"ours {level}", tlp=level))
    north.bring(*(an_indicator(f"theirs {n}", tlp="green") for n in range(3)), by=IN)
    north.bring(an_indicator("ours clear", tlp="clear", modified=LATER))
    north.bring(an_indicator("odd", object_marking_refs=[UNKNOWN]))
    return north


@pytest.fixture
def filled(database):
    """What `fill` makes, on both databases: for the statements themselves."""
    return fill(database)


@pytest.fixture
def on_sqlite(sqlite_database):
    """What `fill` makes, on one: for what becomes of their answers."""
    return fill(sqlite_database)


def counted(north, reader, **bound):
    with north.database.reading() as tx:
        return share(tx, north.collection(), reader, **bound)


def listed(north, reader, after=None):
    with north.database.reading() as tx:
        page = read_collection(tx, north.collection(), reader, Selection(1_000, after=after), bodies=False)
    return page.records


def late(north, reader, since=0, at_most=1_000):
    with north.database.reading() as tx:
        return behind(tx, north.collection(), reader, since, at_most=at_most)


def miscounted(north):
    """The eyes for which the counts are not what a listing brings."""
    found = []
    for reader in EYES:
        one = counted(north, reader)
        hidden = sum(one.above.values()) + one.unknown + sum(one.other_audience.values())
        if (one.seen, one.seen + hidden, one.looked_at) != (len(listed(north, reader)), one.total, 10):
            found.append(reader)
    return found


def test_what_is_counted_as_seen_is_what_a_listing_brings(filled):
    assert miscounted(filled) == []


def test_a_count_that_forgets_the_audience_is_found(on_sqlite, monkeypatch):
    monkeypatch.setattr(visibility, "_closed_flows", lambda _tx, _reader: {})

    # Below GREEN nothing of South's is seen anyway.
    assert len(miscounted(on_sqlite)) == 8


def test_what_waits_is_what_a_listing_after_that_date_brings(filled):
    everything = listed(filled, Reader(4, STATE))
    for since in (everything[number].added for number in (0, 4, 9)):
        for reader in EYES:
            expected = listed(filled, reader, since)
            found = late(filled, reader, since)
            assert (found.count, found.exact) == (len(expected), True), reader
            assert found.oldest == (expected[0].added if expected else None), reader


def test_each_cause_is_counted_by_its_name(on_sqlite):
    found = counted(on_sqlite, Reader(1, ()))

    assert found.above == Counter({2: 1, 3: 1, 4: 1})
    assert found.unknown == 1
    assert found.other_audience == {"AGR-2026-01/indicators/south": 3}
    assert found.seen == 3


def test_red_sees_unknown_markings(on_sqlite):
    assert counted(on_sqlite, Reader(4, STATE)).seen == 10


def test_an_empty_collection_has_nothing_to_see(sqlite_database):
    north = a_node(sqlite_database)

    assert (counted(north, Reader(4, ())).total, late(north, Reader(4, ())).count) == (0, 0)


def test_with_an_audience_only_the_newest_rows_are_looked_at(filled):
    bounded = counted(filled, Reader(4, ()), at_most=4)

    assert (bounded.total, bounded.looked_at) == (10, 4)
    assert bounded.seen + sum(bounded.other_audience.values()) == 4
    # Where every flow is open, ranks alone decide, and those are counted whole.
    assert counted(filled, Reader(4, STATE), at_most=4).looked_at == 10


def test_a_bound_that_is_reached_is_said(filled):
    found = late(filled, Reader(4, STATE), at_most=4)

    assert (found.count, found.exact) == (4, False)
    assert late(filled, Reader(4, STATE), at_most=11).exact


def test_nothing_waits_for_a_reader_who_is_at_the_end(on_sqlite):
    assert late(on_sqlite, Reader(4, STATE), on_sqlite.collection().last_added).count == 0


def causes(north, reader, stix_id):
    with north.database.reading() as tx:
        found = one_object(tx, north.collection(), reader, stix_id)
    return [(one.cause, one.by_default) for one in found.versions]


def test_each_version_of_an_object_says_whether_and_why(on_sqlite):
    expected = {
        ("ours red", Reader(4, ())): [("", True)],
        ("ours red", Reader(3, ())): [("clearance", False)],
        ("odd", Reader(3, ())): [("unknown_marking", False)],
        ("odd", Reader(4, ())): [("", True)],
        ("theirs 1", Reader(4, ())): [("audience", False)],
        ("theirs 1", Reader(0, ())): [("clearance", False)],
        ("theirs 1", Reader(1, STATE)): [("", True)],
        ("ours clear", Reader(0, ())): [("", False), ("", True)],
    }

    found = {(name, eyes): causes(on_sqlite, eyes, an_id("indicator", name)) for name, eyes in expected}

    assert found == expected


def test_an_older_version_counts_as_its_newest_does(sqlite_database):
    north = a_node(sqlite_database)
    north.bring(an_indicator(tlp="clear"))
    north.bring(an_indicator(tlp="red", modified=LATER))

    assert causes(north, Reader(2, ()), an_id("indicator", "one")) == [("clearance", False)] * 2


def test_an_object_that_lies_elsewhere_is_said_to(sqlite_database):
    north = a_node(sqlite_database, collections=("indicators", "techniques"))
    north.bring(a_malware("m"), into="techniques")
    with north.database.reading() as tx:
        found = one_object(tx, north.collection(), Reader(4, ()), an_id("malware", "m"))

    assert (found.versions, found.elsewhere) == ([], ["techniques"])
