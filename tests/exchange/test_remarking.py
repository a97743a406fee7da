"""Markings that arrive, change or go: rows are ranked again wherever they stand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.exchange import remarking
from node.exchange.egress import Reader
from node.stix.markings import NO_TLP, TLP, UNKNOWN
from node.store import objects, owners
from node.store.database import Database
from tests.support.agreements import MITRE, a_flow, a_party
from tests.support.builders import LATER, TLP_2, a_marking_definition, an_id, an_indicator, an_ipv4
from tests.support.nodes import EVERYTHING, IN, Node, a_node

ID, MARKING = an_id("indicator"), an_id("marking-definition")
MARKED = an_indicator(object_marking_refs=[MARKING])


def test_rows_wait_as_unknown_and_are_ranked_when_the_definition_comes(north: Node):
    north.bring(MARKED)
    assert north.last(ID).effective_rank == UNKNOWN
    north.bring(a_marking_definition())
    assert (north.last(ID).rank, north.last(ID).effective_rank) == (NO_TLP, NO_TLP)


def test_a_row_that_becomes_visible_takes_a_new_date(north: Node):
    north.bring(MARKED)
    position = north.page().records[-1].added
    north.bring(a_marking_definition())
    page = north.page(Reader(TLP.CLEAR, ()), replace(EVERYTHING, after=position))
    assert {record.stix_id for record in page.records} == {ID, MARKING}


def test_the_owner_row_follows_the_newest_version(north: Node):
    north.bring(an_indicator(tlp="green"), an_indicator(object_marking_refs=[MARKING], modified=LATER))
    assert [row.effective_rank for row in north.held(ID)] == [UNKNOWN, UNKNOWN]
    north.bring(a_marking_definition())
    owner = north.owner(ID)
    assert owner is not None
    assert owner.rank == NO_TLP
    assert sorted(row.effective_rank for row in north.held(ID)) == [NO_TLP, TLP.GREEN]


def test_a_partners_definition_counts_for_what_it_brought_alone(north: Node):
    north.bring(MARKED, by=IN)
    north.bring(an_indicator("ours", object_marking_refs=[MARKING]))
    north.bring(a_marking_definition(), by=IN)
    assert north.last(ID).rank == NO_TLP
    assert north.last(an_id("indicator", "ours")).rank == UNKNOWN


def test_our_own_definition_counts_for_all(north: Node):
    north.bring(MARKED, by=IN)
    north.bring(a_marking_definition())
    assert north.last(ID).rank == NO_TLP


def test_a_definition_in_one_collection_ranks_the_rows_of_another(database: Database):
    north = a_node(database, collections=("indicators", "markings"))
    north.bring(MARKED)
    north.bring(a_marking_definition(), into="markings")
    assert north.last(ID).effective_rank == NO_TLP


def test_a_definition_that_is_restated_as_tlp_makes_its_rows_unknown(north: Node):
    north.bring(a_marking_definition(), MARKED)
    worse = a_marking_definition(definition={"statement": "TLP:RED"})
    assert north.bring(worse, restate=True) == ["restated"]
    assert north.last(ID).effective_rank == UNKNOWN


def test_a_definition_that_is_deleted_makes_its_rows_unknown(north: Node):
    north.bring(a_marking_definition(), MARKED, an_ipv4(object_marking_refs=[MARKING]))
    north.remove(MARKING)
    assert {row.effective_rank for row in north.held(ID)} == {UNKNOWN}
    with north.database.reading() as tx:
        assert owners.definitions(tx) == []


def test_work_that_is_done_leaves_no_task_and_changes_nothing_again(north: Node):
    north.bring(MARKED)
    north.bring(a_marking_definition())
    before = north.held(ID)
    with north.database.reading() as tx:
        assert owners.tasks(tx) == []
    assert remarking.work_in(north.door, now=north.moment()) == 0
    assert north.held(ID) == before


def test_a_wish_that_comes_while_the_work_is_done_is_not_struck_off(north: Node):
    with north.database.writing() as tx:
        owners.add_task(tx, "marking", MARKING, now=1)
        (task,) = owners.tasks(tx)
        owners.add_task(tx, "marking", MARKING, now=2)
        owners.end_task(tx, task)
        assert [each.stamp for each in owners.tasks(tx)] == [2]


def test_more_rows_than_one_step_takes_are_all_ranked(database: Database):
    north = a_node(database, validation="structure")
    names = range(remarking.CHUNK + 50)
    north.bring(*(an_indicator(name, object_marking_refs=[MARKING]) for name in names))
    north.bring(a_marking_definition())
    assert len(north.seen(Reader(TLP.CLEAR, ()))) == 1_000
    with north.database.reading() as tx:
        assert owners.tasks(tx) == []
    ids = [an_id("indicator", name) for name in names]
    assert {north.last(ids[0]).rank, north.last(ids[-1]).rank} == {NO_TLP}


def test_a_public_definition_that_a_partner_brought_does_not_lower_what_is_ours(database: Database):
    north = a_node(database, every_flow={"max_tlp": "green", "unmarked": "green", "audience": []})
    north.bring(MARKED)
    north.bring(a_marking_definition(author=MITRE), by=IN)
    north.bring(an_indicator("later", object_marking_refs=[MARKING]))
    assert north.last(ID).rank == UNKNOWN
    assert north.last(an_id("indicator", "later")).rank == UNKNOWN
    assert north.offered_ids() == set()
    assert ID not in north.seen(Reader(TLP.CLEAR, ()))


def test_a_public_definition_that_a_partner_brought_counts_for_public_objects(north: Node):
    north.bring(an_indicator(object_marking_refs=[MARKING], author=MITRE))
    north.bring(a_marking_definition(author=MITRE), by=IN)
    assert north.last(ID).rank == NO_TLP


def test_a_stricter_definition_of_the_same_id_ranks_rows_again(database: Database):
    north = a_node(
        database,
        collections=("indicators", "other"),
        partners=("south", "west"),
        party={name: a_party(name) for name in ("north", "south", "west")},
        flow=[a_flow(), a_flow("other", givers=("west",))],
    )
    north.bring(a_marking_definition(author=MITRE), by=IN)
    north.bring(an_indicator(object_marking_refs=[MARKING, TLP_2["green"]], author=MITRE))
    assert north.last(ID).rank == TLP.GREEN
    stricter = a_marking_definition(author=MITRE, definition={"statement": "TLP:RED only"})
    assert north.bring(stricter, by="west/other/in") == ["stored"]
    assert north.last(ID).rank == UNKNOWN


def test_pages_of_another_collection_become_invalid_when_a_newer_version_restricts_it(database: Database):
    north = a_node(database, collections=("indicators", "library"))
    north.bring(an_indicator(tlp="green"), into="library")
    before = north.collection("library").rewritten
    north.bring(an_indicator(tlp="red", modified=LATER))
    assert north.collection("library").rewritten > before


ESCAPED = MARKED.replace(b"marking-definition--", b"marking-definitio\\u006e--")


def test_a_row_that_names_the_definition_in_escapes_is_ranked_too(north: Node):
    assert b"\\u006e--" in ESCAPED
    north.bring(ESCAPED)
    north.bring(a_marking_definition())
    assert north.last(ID).rank == NO_TLP


def test_a_search_for_the_plain_id_would_miss_it(north: Node, monkeypatch):
    """The control: escapes are what the search must not be led astray by."""
    naming = objects.naming

    def plainly(tx, collection_id, ids, **how):
        rows, until = naming(tx, collection_id, ids, **how)
        return [row for row in rows if any(each.encode() in row.body for each in ids)], until

    monkeypatch.setattr(objects, "naming", plainly)
    north.bring(ESCAPED)
    north.bring(a_marking_definition())
    assert north.last(ID).rank == UNKNOWN


@pytest.mark.parametrize("restated", [False, True])
def test_rows_are_ranked_window_by_window_to_the_last(north: Node, monkeypatch, restated: bool):
    monkeypatch.setattr(remarking, "CHUNK", 2)
    named = [an_indicator(f"named {number}", object_marking_refs=[MARKING]) for number in range(5)]
    others = [an_indicator(f"other {number}", tlp="green") for number in range(5)]
    if restated:
        north.bring(a_marking_definition())
    north.bring(*(body for pair in zip(named, others, strict=True) for body in pair))
    worse = a_marking_definition(definition={"statement": "TLP:RED"})
    north.bring(worse if restated else a_marking_definition(), restate=restated)
    ranks = [north.last(an_id("indicator", f"named {number}")).rank for number in range(5)]
    assert ranks == [UNKNOWN if restated else NO_TLP] * 5
    assert {north.last(an_id("indicator", f"other {number}")).rank for number in range(5)} == {TLP.GREEN}
