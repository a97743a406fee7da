"""Revocations and what the terms call urgent leave first, and nothing else waits for ever because of them."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from node.exchange import feed_rows, feeds, links
from node.sharing.links import PartnerBinding, derive_links, parties_of
from node.sync import batches, foreign, rounds
from node.sync.delivery import Delivery
from node.sync.reports import Stop
from node.sync.worker import Worker
from tests.support.agreements import a_flow, an_agreement
from tests.support.builders import LATER, NORTH_ID, a_marking_definition, an_id, an_indicator
from tests.support.partner import SECOND, Canned
from tests.support.two_nodes import BOTH_PULL, BOTH_PUSH, two_nodes

OUT = "south/indicators/out"
_BY_DATE = sa.text('select stix_id from "object" order by added')


def ours(name, **changes):
    return an_indicator(name, **{"tlp": "green", "author": NORTH_ID, **changes})


def named(name):
    return an_id("indicator", name)


def in_twos(databases, folder, monkeypatch):
    """North pushes two objects at a time to south; what is labelled urgent is so."""
    monkeypatch.setattr(batches, "MOST_OBJECTS", 2)
    return two_nodes(databases, folder, flow_carry=BOTH_PUSH, flow_urgent_labels=["Urgent"])


@pytest.fixture
def pair(two_sqlite_databases, tmp_path, monkeypatch):
    """On SQLite: what is asked here beside the one statement is no matter of the database."""
    return in_twos(two_sqlite_databases, tmp_path, monkeypatch)


def posted(north) -> list[list[str]]:
    """The ids of each POST of north from now on."""
    found: list[list[str]] = []

    def note(request):
        if request.method == "POST":
            found.append([one["id"] for one in json.loads(request.body).get("objects", [])])

    north.wire.before = note
    return found


@pytest.fixture
def posts(pair):
    """The ids of each POST of north."""
    return posted(pair.north)


def test_a_revocation_overtakes_what_waits(two_databases, tmp_path, monkeypatch):
    pair = in_twos(two_databases, tmp_path, monkeypatch)
    posts = posted(pair.north)
    pair.north.bring(*(ours(n) for n in range(4)), ours("last", modified=LATER, revoked=True))
    (report,) = pair.north.sync("out")

    assert (report.sent, posts[0]) == (5, [named("last"), named(0)])
    assert posts[1:] == [[named(1), named(2)], [named(3)]]
    assert len(pair.south.ids()) == 5


@pytest.mark.parametrize("labels", [["urgent"], ["x", "URGENT"]])
def test_what_bears_a_label_of_the_terms_overtakes_what_waits(pair, posts, labels):
    pair.north.bring(*(ours(n) for n in range(3)), ours("last", labels=labels))
    pair.north.sync("out")

    assert posts[0] == [named("last"), named(0)]


@pytest.mark.parametrize("labels", [["urgently"], ["x"]])
def test_another_label_overtakes_nothing(pair, posts, labels):
    pair.north.bring(*(ours(n) for n in range(3)), ours("last", labels=labels))
    pair.north.sync("out")

    assert posts == [[named(0), named(1)], [named(2), named("last")]]


def one_that_names_what_waits(pair, posts):
    """The first POST, and a definition that waits behind others and that something urgent names."""
    pair.north.bring(*(ours(n) for n in range(3)))
    pair.north.sync("out")
    green = json.loads(ours("any"))["object_marking_refs"][0]
    definition = json.loads(a_marking_definition())["id"]
    marked = {"object_marking_refs": [definition, green]}
    pair.north.bring(*(ours(f"more {n}") for n in range(3)))
    feeds.advance(pair.north.door, pair.north.door.link(OUT), now=pair.clock.now)
    pair.north.bring(a_marking_definition(), ours("marked", **marked))
    feeds.advance(pair.north.door, pair.north.door.link(OUT), now=pair.clock.now)
    pair.north.bring(ours("last", modified=LATER, revoked=True, **marked))
    del posts[:]
    pair.north.sync("out")
    return posts[0], definition


def test_what_an_urgent_object_names_goes_before_it(pair, posts):
    """Or the receiver could not tell for a while what may be done with it."""
    first, definition = one_that_names_what_waits(pair, posts)

    assert first == [definition, named("last")]


def test_control_without_hurry_what_an_urgent_object_names_comes_too_late(pair, posts, monkeypatch):
    monkeypatch.setattr(feed_rows, "hurry_companions", lambda *_: None)
    first, definition = one_that_names_what_waits(pair, posts)

    assert definition not in first


def test_a_row_that_enters_again_is_as_urgent_as_it_is_now(pair):
    pair.north.bring(ours("one", labels=["urgent"]))
    pair.north.sync("out")
    pair.agree(flow_carry=BOTH_PUSH, flow_max_tlp="clear")
    pair.north.sync("out")
    pair.agree(flow_carry=BOTH_PUSH)
    feeds.advance(pair.north.door, pair.north.door.link(OUT), now=pair.clock.now)
    with pair.north.database.reading() as tx:
        (row,) = [each for each in feed_rows.after(tx, OUT, -1, 100) if each.stix_id == named("one")]

    assert (row.state, row.urgent) == (feed_rows.OFFERED, False)


class Stream:
    """A partner that takes one batch a round, and to whom there is always more that is urgent."""

    def __init__(self, north, west, most: int) -> None:
        self.north, self.west, self.most, self.number = north, west, most, 0
        usual = west.answer
        self.left = 0

        def answer(asked):
            if asked.method != "POST":
                return usual(asked)
            self.left -= 1
            return usual(asked) if self.left >= 0 else Canned(503)

        west.answer = answer

    def round(self) -> None:
        for _ in range(2 * self.most):
            self.number += 1
            self.north.bring(ours(f"urgent {self.number}", modified=LATER, revoked=True))
        self.left = 1
        client = self.north.client()
        rounds.carry(
            self.north.door, self.north.link("out"), client, now=self.north.clock, pause=self.north.pause
        )
        client.close()
        self.north.clock.now += 3_600 * SECOND


def rounds_until_all_there(north, west) -> int | None:
    stream = Stream(north, west, 2)
    wanted = {named(n) for n in range(4)}
    for count in range(1, 13):
        stream.round()
        if wanted <= {one.id for one in west.held}:
            return count
    return None


def test_a_stream_of_urgent_objects_does_not_keep_the_others_back(north, west, monkeypatch):
    monkeypatch.setattr(foreign, "MOST_OBJECTS", 2)
    north.bring(*(ours(n) for n in range(4)))

    assert rounds_until_all_there(north, west) == 4


def test_control_urgent_objects_that_always_go_first_keep_the_others_back(north, west, monkeypatch):
    monkeypatch.setattr(foreign, "MOST_OBJECTS", 2)
    monkeypatch.setattr(Delivery, "hurry", True)
    north.bring(*(ours(n) for n in range(4)))

    assert rounds_until_all_there(north, west) is None


def due(centre, link=OUT):
    """Whether the worker of a centre would begin a round of its link now."""
    worker = Worker(centre.door, centre.client, "test", now=centre.clock)
    return [each.name for each in worker._due([centre.door.link(link)])] == [link]


def ready(pair, *bodies):
    pair.north.bring(*bodies)
    rounds.serve(pair.north.door, pair.north.door.link(OUT), now=pair.clock.now)


@pytest.mark.parametrize(("body", "at_once"), [(ours("new"), False), (ours("new", revoked=True), True)])
def test_a_link_with_something_urgent_to_bring_does_not_wait_for_its_time(pair, body, at_once):
    pair.north.sync("out")
    pair.tick(6)
    assert not due(pair.north)
    ready(pair, body)

    assert due(pair.north) is at_once
    pair.north.sync("out")
    pair.tick(6)
    assert not due(pair.north)


def test_urgent_objects_in_a_row_begin_a_round_in_five_seconds_at_most(pair):
    pair.north.sync("out")
    ready(pair, ours("new", revoked=True))
    pair.tick(4)
    assert not due(pair.north)
    pair.tick(1)
    assert due(pair.north)


def test_a_failed_link_is_not_hurried(pair):
    pair.north.sync("out")
    ready(pair, ours("new", revoked=True))
    with pair.north.database.writing() as tx:
        links.note_failure(tx, OUT, now=pair.clock.now, error="none", next_try=pair.clock.now + 60 * SECOND)
    pair.tick(59)
    assert not due(pair.north)
    pair.tick(1)
    assert due(pair.north)


@pytest.mark.parametrize("closed", ["paused", "ended"])
def test_a_closed_link_is_not_hurried(pair, closed):
    """Or a worker would run in circles about what it may not send."""
    pair.north.sync("out")
    ready(pair, ours("new", revoked=True))
    pair.tick(400)
    if closed == "paused":
        with pair.north.database.writing() as tx:
            links.set_paused(tx, "south", paused=True, reason="by hand")
    else:
        pair.clock.now = pair.north.door.link(OUT).terms.ends + 400 * SECOND
        (report,) = pair.north.sync("out")
        assert report.stopped is Stop.CLOSED
        with pair.north.database.writing() as tx:
            links.note_try(tx, OUT, now=pair.clock.now)
        pair.tick(10)
    assert not due(pair.north)


def test_what_is_fetched_stays_in_the_order_of_its_dates(two_sqlite_databases, tmp_path):
    pair = two_nodes(two_sqlite_databases, tmp_path, flow_carry=BOTH_PULL)
    pair.south.bring(
        *(an_indicator(n, tlp="green") for n in range(2)), an_indicator("x", tlp="green", revoked=True)
    )
    pair.north.sync("in")
    with pair.north.database.reading() as tx:
        found = tx.rows(_BY_DATE)

    assert [row[0] for row in found] == [an_id("indicator", name) for name in (0, 1, "x")]


def test_urgent_labels_are_part_of_the_terms_and_of_no_decision():
    plain, labelled = (
        an_agreement(flow=[a_flow(**changes)]) for changes in ({}, {"urgent_labels": ["b", "A", "b"]})
    )

    def link_of(agreement):
        bindings = [PartnerBinding("south", agreements=(agreement,))]
        known = parties_of("north", bindings, (), ())
        return next(one for one in derive_links("north", bindings, known) if one.direction == "out")

    assert labelled.flows[0].urgent_labels == link_of(labelled).urgent_labels == ("a", "b")
    assert plain.terms_digest != labelled.terms_digest
    assert an_agreement(flow=[a_flow(urgent_labels=[])]).terms_digest == plain.terms_digest
    assert link_of(plain).policy_digest == link_of(labelled).policy_digest
