"""A stop given during a round ends it: nothing is asked for, stored or sent any more."""

from __future__ import annotations

import pytest

from node.exchange import links
from node.sync import batches, foreign
from node.sync.listing import Limits
from node.sync.reports import Stop
from tests.support.builders import NORTH_ID, an_indicator
from tests.support.two_nodes import BOTH_PULL, BOTH_PUSH, two_nodes
from tests.sync.test_foreign import push_once, states
from tests.sync.test_pull import pull_once

OURS = [an_indicator(n, tlp="green", author=NORTH_ID) for n in range(5)]


def stop(database):
    with database.writing() as tx:
        links.set_paused(tx, None, paused=True, reason="by the duty officer")


def stop_before(centre, number):
    """Stop a node of its own during its request of that number."""
    count = iter(range(1, 1000))

    def before(_request):
        if next(count) == number:
            stop(centre.database)

    centre.wire.before = before


def stop_while(north, west, wanted):
    """Stop north while west answers the first request that is `wanted`."""
    usual = west.answer

    def answer(asked):
        if wanted(asked):
            stop(north.database)
        return usual(asked)

    west.answer = answer


def test_a_stop_ends_a_pull_before_the_page_under_way_is_stored(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path, flow_carry=BOTH_PULL)
    pair.north.bring(*OURS)
    stop_before(pair.south, 3)
    (report,) = pair.south.sync("in", limits=Limits(page_objects=1))
    assert report.stopped is Stop.CLOSED
    assert "by the duty officer" in report.detail
    # The third page was asked for while the second was stored, which the stop met or did not meet.
    assert len(pair.south.wire.asked) == 3
    assert len(pair.south.ids()) == report.received < 3


def test_a_pull_goes_on_where_it_was_stopped(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path, flow_carry=BOTH_PULL)
    pair.north.bring(*OURS)
    stop_before(pair.south, 3)
    (first,) = pair.south.sync("in", limits=Limits(page_objects=1))
    pair.south.resume()
    (second,) = pair.south.sync("in")
    assert (second.stopped, first.received + second.received) == (None, len(OURS))
    assert 0 < first.received < len(OURS)


def test_a_stop_ends_a_push_after_the_batch_under_way(two_databases, tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "MOST_OBJECTS", 1)
    pair = two_nodes(two_databases, tmp_path, flow_carry=BOTH_PUSH)
    pair.north.bring(*OURS)
    pair.north.wire.before = lambda request: stop(pair.north.database) if request.method == "POST" else None
    (report,) = pair.north.sync("out")
    assert (report.stopped, report.considered, report.sent) == (Stop.CLOSED, 1, 1)
    assert [method for method, _, _ in pair.north.wire.asked].count("POST") == 1


def test_a_stop_holds_back_the_resend_of_a_batch(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path, flow_carry=BOTH_PUSH)
    pair.north.bring(*OURS)
    pair.north.wire.lost_answers = 1
    pair.north.sync("out")
    pair.tick()
    stop_before(pair.north, 1)  # the GET of the collection
    (report,) = pair.north.sync("out")
    assert (report.stopped, report.considered) == (Stop.CLOSED, 0)
    assert [method for method, _, _ in pair.north.wire.asked].count("POST") == 1


def test_a_stop_ends_a_pull_from_other_software(north, west):
    west.page_most = 2
    west.hold(*[an_indicator(n) for n in range(6)])
    stop_while(north, west, lambda asked: asked.query.get("next") == ["2"])
    report = pull_once(north)
    assert (report.stopped, report.received, north.count("object")) == (Stop.CLOSED, 2, 2)


def test_a_stop_ends_a_push_to_other_software_before_the_next_post(north, west, monkeypatch):
    monkeypatch.setattr(foreign, "MOST_OBJECTS", 2)
    north.bring(*OURS)
    stop_while(north, west, lambda asked: asked.method == "POST")
    report = push_once(north)
    assert (report.stopped, report.considered, report.sent) == (Stop.CLOSED, 2, 2)
    assert len(west.posts()) == 1
    assert states(north) == {"settled": 2, "offered": 3}


@pytest.mark.parametrize("style", ["pending", "slow"])
def test_a_stop_ends_the_waiting_for_a_status(north, west, style):
    west.post_style = style
    north.bring(*OURS)
    stop_while(north, west, lambda asked: asked.method == "POST")
    report = push_once(north)
    assert (report.stopped, report.considered, report.unconfirmed) == (Stop.CLOSED, 5, 5)
    assert [asked.path for asked in west.requests if "status" in asked.path or "manifest" in asked.path] == []
