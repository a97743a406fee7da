"""exchange/ingress.py `dates`: rows that keep the `date_added` they had elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from node.exchange import ingress
from node.exchange.ingress import Source
from node.store import catalog
from node.store.database import Database, Tx
from tests.support.builders import NOON, an_indicator
from tests.support.nodes import Node, a_node

DAY = 86_400 * 1_000_000
THEN = NOON - 30 * DAY


def admitted(node: Node, dates: Sequence[int] | None, *names: str) -> list[int]:
    """The dates of all rows, by name in the order of `a`, `b`, ..., after these came in."""

    def work(tx: Tx) -> None:
        collection = catalog.lock(tx, node.collection("indicators").collection_id)
        bodies = [an_indicator(name) for name in names]
        source = Source("import", "os:test")
        ingress.admit(tx, node.door, collection, bodies, source, arrival_id=None, now=NOON, dates=dates)

    node.database.retrying(work)
    with node.database.reading() as tx:
        return [row[0] for row in tx.rows(sa.text('select added from "object" order by added'))]


def test_rows_keep_their_dates_and_ties_are_spread(database: Database):
    node = a_node(database)

    assert admitted(node, [THEN + DAY, THEN, THEN], "a", "b", "c") == [THEN, THEN + 10, THEN + DAY]


def test_no_date_is_given_at_or_before_one_that_was_given(database: Database):
    node = a_node(database)
    admitted(node, [THEN], "a")

    assert admitted(node, [THEN - DAY, THEN], "b", "c") == [THEN, THEN + 10, THEN + 20]
    assert node.collection("indicators").last_added == THEN + 20


def test_no_date_is_later_than_the_present_moment(database: Database):
    assert admitted(a_node(database), [NOON + DAY, THEN], "a", "b") == [THEN, NOON]


def test_without_dates_rows_are_dated_now(database: Database):
    """The control: what is asserted above does not come by itself."""
    assert admitted(a_node(database), None, "a", "b") == [NOON, NOON + 10]
