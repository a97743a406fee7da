"""What an alert says when it is over is true of what it was about."""

from __future__ import annotations

import pytest

from node.exchange.quotas import DAILY_LIMIT, HeldBack
from node.sync import alerts
from node.sync.alert_messages import Event
from node.sync.withdraw import Overdue
from tests.support.builders import NOON
from tests.sync.test_alerts import Box, a_scene

OWING, HELD = Overdue("south", 3, NOON), HeldBack("south", DAILY_LIMIT, 5, NOON)


@pytest.mark.parametrize(
    ("module", "name", "fault", "word"),
    [
        ("withdraw", "overdue", OWING, "nothing is overdue any more; it was: 3 withdrawals not acknowledged"),
        ("quotas", "held_back", HELD, "nothing waits any more; it was: south brought more"),
    ],
)
def test_what_is_over_is_not_said_to_work_again(sqlite_database, monkeypatch, module, name, fault, word):
    box = Box()
    scene = a_scene(sqlite_database, box)
    there = [fault]
    monkeypatch.setattr(getattr(alerts, module), name, lambda *_args, **_more: list(there))
    scene.turn()
    assert [each.event for each in box.got] == [Event.FAULT]
    there.clear()
    scene.turn()
    assert (box.got[-1].event, box.got[-1].text.startswith(word)) == (Event.OVER, True), box.got[-1].text
