"""node/exchange/finding.py and readership.py: whose an object is, who was given it, who has read past it."""

from __future__ import annotations

import pytest

from node.access import accounts
from node.exchange import feed_rows, finding, quarantine, readership, value_index
from node.exchange.finding import Finding, Known
from node.exchange.readership import given_to, readers_of
from node.store import objects
from tests.support.builders import LATER, NORTH_ID, SOUTH_ID, an_id, an_indicator, an_ipv4
from tests.support.nodes import IN, OUT, Node, a_node, key_of

ID = an_id("indicator")


def look(node: Node, what: str, *, limit: int = 20) -> Finding:
    """What `find` has of it."""
    value_index.catch_up(node.door)
    with node.database.reading() as tx:
        return finding.find(tx, node.door, what, limit=limit)


def only(node: Node, what: str) -> Known:
    """The one object that is found."""
    (known,) = look(node, what).known
    return known


def reader(
    node: Node, name: str, *, clearance: int = 4, audience=("state-bodies",), up_to: int | None = None
):
    """A SOC account that has read the indicators up to a date, or to their end."""
    served = node.collection().last_added if up_to is None else up_to
    with node.database.writing() as tx:
        accounts.add_account(
            tx, name, actor="os:tester", now=node.moment(), clearance=clearance, audience=audience
        )
        accounts.note_reading(tx, name, node.collection().collection_id, now=node.now, served=served)


def read_past(node: Node, stix_id: str) -> list[str]:
    with node.database.reading() as tx:
        rows = objects.held_by_ids(tx, [stix_id]).get(stix_id, [])
        return [each.account for each in readers_of(tx, node.door, rows)]


# Who has read past it


def test_who_has_read_on_to_the_row_and_sees_it_has_read_past_it(database):
    node = a_node(database)
    node.bring(an_indicator(tlp="amber", author=NORTH_ID))
    reader(node, "before", up_to=node.held(ID)[0].added - 1)
    reader(node, "at", up_to=node.held(ID)[0].added)
    reader(node, "behind-glass", clearance=1)
    reader(node, "elsewhere", audience=())

    assert read_past(node, ID) == ["at", "elsewhere"]


def test_what_a_partner_brought_is_read_by_its_audience_alone(sqlite_database):
    node = a_node(sqlite_database)
    node.bring(an_indicator(tlp="green", author=SOUTH_ID), by=IN)
    reader(node, "state", audience=("state-bodies",))
    reader(node, "other", audience=("banks",))

    assert read_past(node, ID) == ["state"]


def test_a_row_that_took_a_new_date_is_past_only_for_who_read_on(sqlite_database):
    node = a_node(sqlite_database)
    node.bring(an_indicator(author=NORTH_ID))
    reader(node, "soc")
    assert read_past(node, ID) == ["soc"]

    node.bring(an_indicator(description="restated", author=NORTH_ID), restate=True)

    assert read_past(node, ID) == []


def test_the_account_of_a_partner_is_no_reader_of_ours(sqlite_database):
    node = a_node(sqlite_database)
    node.bring(an_indicator(author=NORTH_ID))
    with node.database.writing() as tx:
        accounts.add_account(tx, "south", actor="os:tester", now=node.moment(), clearance=4, partner="south")
        accounts.note_reading(tx, "south", 1, now=node.now, served=node.collection().last_added)

    assert read_past(node, ID) == []


# Who was given it


STATES = {
    feed_rows.SENT: "handed over",
    feed_rows.SETTLED: "confirmed",
    feed_rows.FAILED: "refused",
    feed_rows.SET_ASIDE: "set aside",
}


@pytest.mark.parametrize("state", list(STATES))
def test_what_a_partner_answered_is_told(sqlite_database, state):
    node = a_node(sqlite_database)
    body = an_indicator(tlp="green", author=NORTH_ID)
    node.bring(body)
    node.batch()
    with node.database.writing() as tx:
        assert given_to(tx, [ID]) == []
        feed_rows.settle(tx, OUT, [key_of(body)], state, "their words")
        (given,) = given_to(tx, [ID])

    assert (given.link, given.partner, given.state, given.message) == (OUT, "south", state, "their words")
    assert STATES[state] in readership.WORDS[given.state]
    assert given.key == key_of(body)


def test_what_is_only_offered_was_not_given(sqlite_database):
    node = a_node(sqlite_database)
    node.bring(an_indicator(tlp="green", author=NORTH_ID))
    node.advance()
    with node.database.reading() as tx:
        assert given_to(tx, [ID]) == []
        assert [each.state for each in given_to(tx, [ID], offered=True)] == [feed_rows.OFFERED]


def test_what_was_given_and_taken_out_was_given(database):
    node = a_node(database)
    node.bring(an_indicator(tlp="green", author=NORTH_ID))
    node.advance()
    node.served()
    node.bring(an_indicator(tlp="red", author=NORTH_ID, modified=LATER))
    node.advance()
    with node.database.reading() as tx:
        given = given_to(tx, [ID])

    assert [each.state for each in given] == [feed_rows.OUT]


# Everything in one look


def test_one_look_tells_whose_it_is_who_has_it_who_does_not_and_who_has_read_past_it(database):
    node = a_node(database, partners=("south",))
    body = an_indicator(
        tlp="green",
        author=NORTH_ID,
        confidence=70,
        valid_until="2030-01-01T00:00:00Z",
        pattern="[a:b = 'X.example']",
    )
    node.bring(body, an_indicator("red", tlp="red", author=NORTH_ID, pattern="[a:b = 'x.example']"))
    node.advance()
    node.served()
    reader(node, "soc")

    found = {known.stix_id: known for known in look(node, "x[.]EXAMPLE").known}

    ours = found[ID]
    assert (ours.owner, ours.label, ours.withheld) == ("local", "Indicator one", [])
    (shown,) = ours.shown
    assert (shown.collection, shown.confidence, shown.valid_until) == (
        "indicators",
        70,
        "2030-01-01T00:00:00Z",
    )
    assert [(each.where, each.text) for each in shown.names] == [("a:b", "X.example")]
    assert shown.arrival is not None
    assert (shown.arrival.kind, shown.arrival.actor) == ("import", "os:tester")
    assert [each.state for each in ours.given] == [feed_rows.SENT]
    assert [each.account for each in ours.readers] == ["soc"]
    red = found[an_id("indicator", "red")]
    assert red.given == []
    assert [line.reason for line in red.withheld] == ["above_ceiling"]


def test_a_value_that_only_an_older_version_names_is_said_to_be_old(sqlite_database):
    node = a_node(sqlite_database)
    node.bring(an_indicator(pattern="[a:b = 'old.example']"))
    node.bring(an_indicator(pattern="[a:b = 'new.example']", modified=LATER))

    known = only(node, "old.example")

    assert known.shown[0].names == ()
    assert [each.text for each in known.older] == ["old.example"]
    assert known.shown[0].others == 1
    assert only(node, "new.example").older == ()


def test_an_object_in_two_collections_is_one_object(sqlite_database):
    node = a_node(sqlite_database, collections=("indicators", "techniques"))
    node.bring(an_ipv4("203.0.113.9"))
    node.bring(an_ipv4("203.0.113.9"), into="techniques")

    assert [shown.collection for shown in only(node, "203[.]0[.]113[.]9").shown] == [
        "indicators",
        "techniques",
    ]


def test_what_is_set_aside_is_found_by_value_by_id_and_by_its_entry(database):
    node = a_node(database)
    node.bring(an_indicator(author=NORTH_ID, tlp="green", pattern="[a:b = 'claimed.example']"), by=IN)
    with node.database.reading() as tx:
        (entry,) = quarantine.entries(tx)

    for what in ("claimed[.]example", ID, entry.entry):
        known = only(node, what)
        assert [each.entry for each in known.entries] == [entry.entry], what
        assert known.shown == []
        assert known.label == "Indicator one"
    assert look(node, "q-0000000000").known == []


def test_an_object_that_was_deleted_is_found_by_its_id_and_not_by_its_value(sqlite_database):
    node = a_node(sqlite_database)
    node.bring(an_indicator(pattern="[a:b = 'gone.example']"))
    node.remove(ID)

    assert look(node, "gone.example").known == []
    assert [stone.reason for stone in only(node, ID).removed] == ["deleted_here"]


def test_what_nobody_ever_brought_is_not_found(sqlite_database):
    node = a_node(sqlite_database)

    assert look(node, an_id("malware")).known == []
    assert look(node, "nothing.example") == Finding("value", [], 0, complete=True)


def test_the_newest_are_shown_and_all_are_counted(sqlite_database):
    node = a_node(sqlite_database)
    for number in range(5):
        node.bring(an_indicator(number, pattern="[a:b = 'common.example']"))

    found = look(node, "common.example", limit=2)

    assert [known.stix_id for known in found.known] == [an_id("indicator", 4), an_id("indicator", 3)]
    assert found.total == 5
