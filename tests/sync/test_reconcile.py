"""Two real nodes whose books are held against each other: planted differences are named and brought again."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from node.errors import PartnerRefused, Refused
from node.exchange import feed_rows, ingress, links, quarantine, worklist
from node.exchange.egress import Versions
from node.store import catalog
from node.sync import reconcile as reconciling
from node.sync.comparing import Group, Why
from node.sync.refusals import AskedToWait
from node.taxii import books
from tests.support.builders import NORTH_ID, SOUTH_ID, an_id, an_indicator, an_ipv4
from tests.support.two_nodes import BOTH_PULL, BOTH_PUSH, an_exchange_text, renew_history, two_nodes

MANY = [an_indicator(number, tlp="green", author=NORTH_ID) for number in range(30)]
ID = an_id("indicator", 3)
NAMES_SOUTH = an_indicator("in the name of south", tlp="green", author=SOUTH_ID)
carriers = pytest.mark.parametrize("carry", [BOTH_PULL, BOTH_PUSH])


def exchanged(databases, folder, carry=BOTH_PULL, more=(), **changes):
    """North gave all that it has to south, and it is quiet."""
    pair = two_nodes(databases, folder, flow_carry=carry, **changes)
    pair.north.bring(*MANY, *more)
    for _ in range(3):
        pair.round()
    return pair


def of(centre, direction):
    """What a node finds on its link of one direction."""
    (link,) = centre.door.partner_links(centre.other, direction)
    return reconciling.reconcile(centre.door, link, centre.client(), now=centre.clock)


def repaired(centre, direction):
    """What it finds, and how many versions a repair has brought again."""
    (link,) = centre.door.partner_links(centre.other, direction)
    found = reconciling.reconcile(centre.door, link, centre.client(), now=centre.clock)
    reconciling.repair(centre.door, link, found, actor="os:test", holder="test", now=centre.clock)
    return found


def both(pair):
    """The same flow from both ends: by its giver, and by its receiver."""
    return of(pair.north, "out"), of(pair.south, "in")


def differing(found):
    """(group, id, repairable) of what nothing explains."""
    return [(each.group, each.key.stix_id, each.repairable) for each in found.compared.different]


def run(centre, statement, **values):
    """Damage done behind the node's back; how many rows it touched."""
    with centre.database.writing() as tx:
        return tx.run(sa.text(statement), **values)


LOSE = 'delete from "object" where stix_id = :id'


@carriers
def test_what_has_converged_is_equal_by_sums_alone(two_databases, tmp_path, carry):
    pair = exchanged(two_databases, tmp_path, carry, more=[an_ipv4(tlp="green")])
    for found in both(pair):
        assert (found.compared.same, found.unequal, found.buckets) == (31, 0, 256)
        assert (found.compared.different, found.compared.explained) == ([], {})


@carriers
def test_a_row_lost_at_the_receiver_is_named_on_both_sides_and_comes_again(two_databases, tmp_path, carry):
    pair = exchanged(two_databases, tmp_path, carry)
    assert run(pair.south, LOSE, id=ID) == 1
    giver, receiver = both(pair)
    assert differing(giver) == [(Group.ONLY_HERE, ID, True)]
    assert differing(receiver) == [(Group.ONLY_THERE, ID, carry == BOTH_PULL)]
    assert repaired(pair.north, "out").repaired == 1
    pair.round()
    pair.round()
    assert ID in pair.south.ids()
    assert [differing(found) for found in both(pair)] == [[], []]


def test_the_receiver_lists_again_what_it_lost(two_sqlite_databases, tmp_path):
    pair = exchanged(two_sqlite_databases, tmp_path)
    run(pair.south, LOSE, id=ID)
    assert repaired(pair.south, "in").repaired == 1
    pair.round()
    assert ID in pair.south.ids()
    with pair.south.database.reading() as tx:
        acts = [row[0] for row in tx.rows(sa.text("select act from leaf where act like 'reconcile%'"))]
    assert acts == ["reconcile.repair"]


@carriers
def test_what_was_never_handed_over_but_counts_as_taken_is_found(two_sqlite_databases, tmp_path, carry):
    """The giver's row says so, and the receiver has neither the object nor a line."""
    pair = exchanged(two_sqlite_databases, tmp_path, carry)
    run(pair.south, LOSE, id=ID)
    assert run(pair.south, "delete from received where stix_id = :id", id=ID) == 1
    giver, receiver = both(pair)
    assert differing(giver) == [(Group.ONLY_HERE, ID, True)]
    assert differing(receiver) == [(Group.ONLY_THERE, ID, carry == BOTH_PULL)]


@carriers
def test_content_that_was_changed_is_named_and_not_touched(two_sqlite_databases, tmp_path, carry):
    pair = exchanged(two_sqlite_databases, tmp_path, carry)
    run(pair.south, 'update "object" set digest = :new where stix_id = :id', new=b"x" * 32, id=ID)
    for found in both(pair):
        assert differing(found) == [(Group.OTHER_CONTENT, ID, False)]
    assert repaired(pair.north, "out").repaired == repaired(pair.south, "in").repaired == 0


@carriers
def test_a_line_in_the_books_that_nobody_gave_is_named(two_sqlite_databases, tmp_path, carry):
    pair = exchanged(two_sqlite_databases, tmp_path, carry)
    extra = an_id("indicator", "extra")
    run(
        pair.south,
        "insert into received select :new, spec_version, version, :digest, link, partner, outcome, reason,"
        " epoch, arrival_id, at from received where stix_id = :id",
        new=extra,
        digest=b"y" * 32,
        id=ID,
    )
    run(
        pair.south,
        'update "object" set stix_id = :new, digest = :d where stix_id = :id',
        new=extra,
        d=b"y" * 32,
        id=ID,
    )
    giver, receiver = both(pair)
    assert (Group.ONLY_THERE, extra, False) in differing(giver)
    assert (Group.ONLY_HERE, extra, False) in differing(receiver)


def test_what_both_books_explain_stands_apart_and_is_never_queued_again(two_sqlite_databases, tmp_path):
    """Removed there, restated by its giver, taken out of the feed: three explanations, no difference."""
    pair = exchanged(two_sqlite_databases, tmp_path)
    south = pair.south
    _remove(south, an_id("indicator", 1))
    pair.north.bring(an_indicator(2, tlp="green", author=NORTH_ID, description="restated"), restate=True)
    _remove(pair.north, an_id("indicator", 4))
    for _ in range(2):
        pair.round()
    giver, receiver = both(pair)
    assert giver.compared.different == receiver.compared.different == []
    assert giver.compared.explained == {Why.TAKEN_OUT: 2}
    assert receiver.compared.explained == {Why.REMOVED: 1, Why.REPLACED: 1}
    with pair.north.database.reading() as tx:
        before = feed_rows.after(tx, "south/indicators/out", -1, 100)
    assert repaired(pair.north, "out").repaired == 0
    with pair.north.database.reading() as tx:
        assert feed_rows.after(tx, "south/indicators/out", -1, 100) == before


@carriers
def test_what_is_set_aside_there_is_explained(two_sqlite_databases, tmp_path, carry):
    pair = exchanged(two_sqlite_databases, tmp_path, carry, more=[NAMES_SOUTH])
    for found in both(pair):
        assert found.compared.explained == {Why.SET_ASIDE: 1}
        assert differing(found) == []
        assert found.compared.same == 30


@carriers
def test_what_a_person_there_corrected_is_not_told_to_who_brought_the_original(
    two_databases, tmp_path, carry
):
    """Decision 21: the giver learns that its own text was set aside, and nothing of the one that is held."""
    pair = exchanged(two_databases, tmp_path, carry, more=[NAMES_SOUTH])
    body = json.dumps(json.loads(NAMES_SOUTH) | {"description": "corrected"}).encode()
    with pair.south.database.writing() as tx:
        (entry,) = quarantine.entries(tx)
        how = {"actor": "person:eve", "reason": "by phone", "now": pair.clock()}
        assert worklist.edit(tx, pair.south.door, entry.entry, body, **how).outcome == "stored"
    giver, receiver = both(pair)
    assert differing(giver) == differing(receiver) == []
    assert giver.compared.explained == {Why.SET_ASIDE: 1}
    assert receiver.compared.explained == {Why.CORRECTED: 1}


def test_what_is_offered_and_not_fetched_yet_is_on_its_way(two_sqlite_databases, tmp_path):
    pair = exchanged(two_sqlite_databases, tmp_path)
    pair.north.bring(an_indicator("new", tlp="green"))
    pair.north.sync()
    giver, receiver = both(pair)
    assert giver.compared.explained == {Why.WAITING: 1}
    assert receiver.compared.explained == {}  # nothing was handed over
    assert giver.compared.same == receiver.compared.same == 30


def test_a_page_whose_answer_was_lost_is_on_its_way(two_sqlite_databases, tmp_path):
    """Handed over, as far as the giver knows; the receiver will ask for it again."""
    pair = exchanged(two_sqlite_databases, tmp_path)
    pair.north.bring(an_indicator("new", tlp="green"))
    pair.north.sync()
    collection = pair.south.settings.links[0].collection
    with pair.south.database.reading() as tx:
        found = catalog.find_collection(tx, collection)
    client = pair.south.client()
    page = client.objects_page(found.id, added_after=None, next=None, limit=100)
    client.close()
    assert len(page.bodies) == 31
    for each in both(pair):
        assert each.compared.explained == {Why.WAITING: 1}


def test_a_new_history_of_the_giver_makes_nothing_differ(two_sqlite_databases, tmp_path):
    pair = exchanged(two_sqlite_databases, tmp_path)
    renew_history(pair.north, "second")
    giver, receiver = both(pair)
    assert giver.compared.different == receiver.compared.different == []
    for _ in range(3):
        pair.round()
    for found in both(pair):
        assert (found.compared.same, found.compared.different) == (30, [])


def test_what_the_giver_lost_with_its_database_is_named_at_the_receiver(two_sqlite_databases, tmp_path):
    pair = exchanged(two_sqlite_databases, tmp_path)
    for statement in (LOSE, "delete from feed_row where stix_id = :id"):
        assert run(pair.north, statement, id=ID) == 1
    giver, receiver = both(pair)
    assert differing(giver) == [(Group.ONLY_THERE, ID, False)]
    assert differing(receiver) == [(Group.ONLY_HERE, ID, False)]


def test_a_closed_link_tells_no_books_and_asks_for_none(two_sqlite_databases, tmp_path):
    pair = exchanged(two_sqlite_databases, tmp_path)
    with pair.north.database.writing() as tx:
        links.set_paused(tx, None, paused=True, reason="for the test")
    with pytest.raises(Refused, match="paused here"):
        of(pair.north, "out")
    with pytest.raises(PartnerRefused, match="403"):
        of(pair.south, "in")


def test_other_terms_are_told_and_nothing_is_compared(two_sqlite_databases, tmp_path):
    pair = exchanged(two_sqlite_databases, tmp_path)
    pair.north.restart(an_exchange_text(flow_max_tlp="clear"))
    with pytest.raises(PartnerRefused, match="different terms"):
        of(pair.south, "in")


def test_a_partner_that_knows_us_as_other_software_tells_nothing(two_sqlite_databases, tmp_path):
    pair = exchanged(two_sqlite_databases, tmp_path)
    config = pair.north.folder / "config.toml"
    config.write_text(
        config.read_text(encoding="utf-8").replace("[partner.south]", '[partner.south]\nkind = "taxii"')
    )
    pair.north.restart()
    with pytest.raises(PartnerRefused, match="tells no books"):
        of(pair.south, "in")


def test_what_settles_while_the_books_are_read_is_looked_at_twice(two_sqlite_databases, tmp_path):
    """South's own worker fetches between the first look at north's books and that at its own."""
    pair = exchanged(two_sqlite_databases, tmp_path)
    pair.north.bring(an_indicator("new", tlp="green"))
    pair.north.sync()
    asked = []

    def meanwhile(request):
        if "/exchange/books/" in request.url and not asked:
            asked.append(request.url)
            pair.south.sync()

    pair.north.wire.before = meanwhile
    run(pair.south, LOSE, id=ID)
    found = of(pair.north, "out")
    assert asked
    assert differing(found) == [(Group.ONLY_HERE, ID, True)]


def test_a_partner_that_still_judges_what_is_due_is_waited_for(two_sqlite_databases, tmp_path, monkeypatch):
    pair = exchanged(two_sqlite_databases, tmp_path)
    pair.north.bring(an_indicator("new", tlp="green"))
    stale = [True, True]
    monkeypatch.setattr(books.feeds, "are_ranks_stale", lambda _tx: bool(stale and stale.pop()))
    (link,) = pair.south.door.partner_links("north", "in")
    with pytest.raises(AskedToWait):
        of(pair.south, "in")
    waited = []
    found = reconciling.reconcile(
        pair.south.door,
        link,
        pair.south.client(),
        now=pair.clock,
        pause=lambda seconds: bool(waited.append(seconds)),
    )
    assert (waited, found.compared.same) == ([5.0], 30)


def _remove(centre, stix_id):
    with centre.database.writing() as tx:
        found = catalog.find_collection(tx, "indicators")
        collection = catalog.lock(tx, found.collection_id)
        gone = ingress.remove(
            tx,
            centre.door,
            collection,
            stix_id,
            versions=Versions(last=False, every=True),
            spec_versions=None,
            actor="os:test",
            now=centre.clock(),
        )
    assert gone == 1
