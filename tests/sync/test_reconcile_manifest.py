"""Books against the manifest of other software: scripted west, and medallion as it is."""

from __future__ import annotations

import json
from contextlib import closing

import pytest
import sqlalchemy as sa

from node.errors import PartnerUnreachable, Refused
from node.exchange import vanished
from node.sync import reconcile as reconciling
from node.sync import reconcile_manifest
from node.sync.comparing import Group, Why
from node.sync.explain import explain
from node.sync.pull import pull
from node.sync.push import push
from tests.support.builders import LATER, an_id, an_indicator, an_ipv4
from tests.support.medallion_server import PASSWORD, USER, medallion_server
from tests.support.partner import COLLECTION, Canned, Held, a_receiver

FINE = "2026-11-20T09:00:00.123456Z"


def pulled(north):
    with closing(north.client()) as client:
        report = pull(north.door, north.link("in"), client, now=north.clock)
    assert report.error is None
    return report


def pushed(north):
    with closing(north.client()) as client:
        report = push(north.door, north.link("out"), client, now=north.clock, pause=north.pause)
    assert report.error is None
    return report


def of(north, direction):
    with closing(north.client()) as client:
        return reconciling.reconcile(north.door, north.link(direction), client, now=north.clock)


def repaired(north, direction):
    found = of(north, direction)
    link = north.link(direction)
    reconciling.repair(north.door, link, found, actor="os:test", holder="test", now=north.clock)
    return found


def differing(found):
    return [(each.group, each.key.stix_id, each.repairable) for each in found.compared.different]


def some(number, **changes):
    return [an_indicator(each, **changes) for each in range(number)]


@pytest.mark.parametrize("digits", [6, 3, 0])
@pytest.mark.parametrize("style", ["offset", "none"])
def test_what_west_gave_and_what_it_was_given_is_the_same_however_it_prints(north, west, digits, style):
    """T-MAN-9, W-33, T-PAGE-17: dates and versions cut to its precision, and no `next` on a manifest."""
    west.digits, west.next_style, west.page_most = digits, style, 3
    west.hold(*some(7, modified=FINE), an_ipv4(tlp="green"))
    pulled(north)
    north.bring(*(an_indicator(f"ours {each}", tlp="green", modified=FINE) for each in range(3)))
    pushed(north)
    pulled(north)
    given, taken = of(north, "out"), of(north, "in")
    assert (given.compared.same, differing(given)) == (3, [])
    assert (differing(taken), taken.held) == ([], "")
    assert taken.compared.same >= 8
    assert given.compared.explained == taken.compared.explained == {}


def test_what_west_lost_is_pushed_again(north, west):
    north.bring(*some(4, tlp="green"))
    pushed(north)
    lost = west.held.pop(2)
    assert differing(of(north, "out")) == [(Group.ONLY_HERE, lost.id, True)]
    assert repaired(north, "out").repaired == 1
    assert pushed(north).sent == 1
    assert differing(of(north, "out")) == []


def test_what_west_has_and_never_showed_us_is_listed_again(north, west):
    """W-31: a server that gives an old date to what is new, so that no poll shows it."""
    west.hold(*some(5))
    pulled(north)
    west.hold(an_indicator("late"), at=west.held[0].added - 5_000_000)
    assert pulled(north).outcomes["stored"] == 0
    assert differing(of(north, "in")) == [(Group.ONLY_THERE, an_id("indicator", "late"), True)]
    repaired(north, "in")
    assert pulled(north).outcomes["stored"] == 1
    assert differing(of(north, "in")) == []


def test_what_is_newer_than_the_bookmark_is_on_its_way(north, west):
    west.hold(*some(5))
    pulled(north)
    west.hold(an_indicator("new"))
    found = of(north, "in")
    assert (found.compared.same, found.compared.explained) == (5, {Why.WAITING: 1})


def test_what_west_lists_no_more_is_marked_and_kept(north, west):
    """I20: marking, never deleting; and the mark goes when it is listed again."""
    west.hold(*some(10))
    pulled(north)
    gone = west.held.pop(3)
    found = of(north, "in")
    assert (differing(found), found.compared.explained, found.held) == ([], {Why.VANISHED: 1}, "")
    with north.database.reading() as tx:
        (mark,) = vanished.of_id(tx, gone.id)
        told = explain(tx, north.door, gone.id, None)
    assert (mark.link, mark.since) == ("west/indicators/in", north.clock())
    assert any("no longer lists it" in line for line in told)
    assert north.count("object") == 10
    west.held.append(gone)
    of(north, "in")
    with north.database.reading() as tx:
        assert vanished.of_id(tx, gone.id) == []


@pytest.mark.parametrize("left", [7, 0])
def test_when_a_fifth_vanishes_at_once_all_is_held(north, west, left):
    """H36, N-SYNC-6: told, and neither marked nor repaired, also where something else differs."""
    west.hold(*some(10))
    pulled(north)
    west.hold(an_indicator("late"), at=west.held[0].added - 5_000_000)
    del west.held[left:10]
    found = repaired(north, "in")
    assert f"{10 - left} of the 10 objects" in found.held
    assert (found.repaired, north.count("vanished")) == (0, 0)
    assert north.count("bookmark") == 1


@pytest.mark.parametrize("style", ["same", "empty"])
def test_a_manifest_without_an_end_says_nothing(north, west, style):
    west.hold(*some(5))
    pulled(north)
    west.held.pop()
    west.next_style, west.page_most = style, 2
    with pytest.raises(PartnerUnreachable, match="did not come to its end"):
        of(north, "in")
    assert north.count("vanished") == 0


def test_a_server_that_lists_the_newest_version_alone_is_not_called_a_liar(north, west):
    north.bring(an_indicator(tlp="green"))
    north.bring(an_indicator(tlp="green", modified=LATER))
    pushed(north)
    west.held = [one for one in west.held if one.version == LATER]
    found = of(north, "out")
    assert (differing(found), found.compared.explained) == ([], {Why.OLDER: 1})


def test_what_west_refused_is_explained_and_a_row_lost_here_comes_again(north, west):
    west.hold(*some(5))
    pulled(north)
    refused = an_id("indicator", "no")
    west.refuses[refused] = "not wanted"
    north.bring(an_indicator("no", tlp="green"), an_indicator("yes", tlp="green"))
    pushed(north)
    assert of(north, "out").compared.explained == {Why.REFUSED: 1}
    with north.database.writing() as tx:
        tx.run(sa.text('delete from "object" where stix_id = :id'), id=an_id("indicator", 2))
    assert repaired(north, "in").repaired == 1
    pulled(north)
    assert differing(of(north, "in")) == []


def test_a_collection_that_may_not_be_read_is_refused_not_believed_empty(north, west):
    north.bring(*some(2, tlp="green"))
    pushed(north)
    west.can_read = False
    with pytest.raises(Refused, match="does not let us read"):
        of(north, "out")


def test_a_manifest_that_breaks_off_changes_nothing(north, west):
    west.hold(*some(6))
    pulled(north)
    west.page_most = 2
    west.held.pop()
    collection = json.dumps({"id": COLLECTION, "title": "W", "can_read": True, "can_write": True}).encode()
    first = json.dumps({"more": True, "next": "2", "objects": []}).encode()
    west.answer_next(Canned(body=collection), Canned(body=first), Canned(503))
    with pytest.raises(PartnerUnreachable):
        of(north, "in")
    assert north.count("vanished") == 0


def test_medallion_is_compared_by_its_manifest(sqlite_database, west, tmp_path):
    bodies = some(12)
    (tmp_path / "password").write_text(PASSWORD, encoding="utf-8")
    with medallion_server(tmp_path, bodies, page=5) as place:
        binding = {
            "api_root": place.api_root,
            "username": USER,
            "password_file": str(tmp_path / "password"),
            "their_ids": {"indicators": place.collection},
        }
        north = a_receiver(sqlite_database, west, **binding)
        pulled(north)
        north.bring(*(an_indicator(f"ours {each}", tlp="green") for each in range(3)))
        pushed(north)
        given, taken = of(north, "out"), of(north, "in")
        assert (given.compared.same, differing(given)) == (3, [])
        assert (taken.compared.same, differing(taken)) == (12, [])
        with north.database.writing() as tx:
            tx.run(sa.text('delete from "object" where stix_id = :id'), id=an_id("indicator", 2))
        assert differing(of(north, "in")) == [(Group.ONLY_THERE, an_id("indicator", 2), True)]


def meanwhile(monkeypatch, act):
    """Do something after the last page of the manifest has come, as the worker's own round does."""
    walked = reconcile_manifest._walked

    def walk(*args, **kwargs):
        yield from walked(*args, **kwargs)
        act()

    monkeypatch.setattr(reconcile_manifest, "_walked", walk)


def test_what_was_fetched_while_the_manifest_was_read_has_not_vanished(north, west, monkeypatch):
    west.hold(*some(10))
    pulled(north)

    def act():
        north.clock.now += 1
        west.hold(an_indicator("new"))
        pulled(north)

    meanwhile(monkeypatch, act)
    found = of(north, "in")
    assert (differing(found), found.held, north.count("vanished")) == ([], "", 0)
    assert found.compared.explained == {Why.WAITING: 1}


def test_what_was_pushed_while_the_manifest_was_read_is_not_lost(north, west, monkeypatch):
    north.bring(*some(4, tlp="green"))
    pushed(north)
    north.bring(an_indicator("before", tlp="green"))

    def act():
        north.clock.now += 1
        north.bring(an_indicator("after", tlp="green"))
        pushed(north)

    meanwhile(monkeypatch, act)
    found = of(north, "out")
    assert (found.compared.same, differing(found)) == (4, [])
    assert found.compared.explained == {Why.WAITING: 2}


def test_words_of_a_manifest_that_can_be_no_id_are_neither_kept_nor_shown(north, west):
    """Two million of any length would not fit into memory, and some would write on our terminal."""
    west.hold(*some(3))
    pulled(north)
    at = west.held[0].added
    names = ["x" * 301, "indicator--\x1b[2J", ""]
    west.held += [Held(at, name, FINE, b"{}") for name in names]
    found = of(north, "in")
    assert (found.compared.same, differing(found)) == (3, [])
