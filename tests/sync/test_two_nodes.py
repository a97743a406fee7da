"""Two real nodes exchange, and go quiet."""

from __future__ import annotations

from tests.support.builders import NORTH_ID, an_id, an_indicator
from tests.support.two_nodes import two_nodes


def test_what_north_imports_lies_at_south_after_one_pull(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path)
    body = an_indicator(tlp="green", author=NORTH_ID)
    pair.north.bring(body)
    (report,) = pair.south.sync("in")
    assert report.error is None
    assert (report.received, report.outcomes["stored"]) == (1, 1)
    assert pair.south.bodies() == [body]
