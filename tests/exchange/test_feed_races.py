"""What is written while a feed is being advanced: nothing that becomes permitted meanwhile is missed.

On PostgreSQL, where a writer and an advance really run beside each other.
"""

from __future__ import annotations

import threading

import pytest

from node.exchange import feed_rows, feeds, ingress
from node.exchange.ingress import Source
from node.store import catalog
from node.store.database import Database
from tests.support.builders import LATER, a_malware, a_relationship, an_id, an_indicator
from tests.support.nodes import OUT, Node, a_node, key_of

FIRST = an_indicator(tlp="green")
RED, GREEN = a_malware(tlp="red"), a_malware(tlp="green", modified=LATER)
RELATIONSHIP = a_relationship(an_id("indicator"), an_id("malware"), tlp="green")
WAITING = key_of(RELATIONSHIP).stix_id


@pytest.fixture
def north(postgresql_database: Database) -> Node:
    """North, which holds a relationship one of whose ends may not go."""
    node = a_node(postgresql_database)
    node.bring(FIRST, RED, RELATIONSHIP)
    return node


def test_a_reference_freed_while_its_relationship_is_judged_lets_it_go(north: Node, monkeypatch):
    judge, freed = feeds.judge, []

    def judged(*given, **named):
        found = judge(*given, **named)
        if not freed:
            freed.append(GREEN)
            north.bring(GREEN)
        return found

    monkeypatch.setattr(feeds, "judge", judged)
    north.advance()
    assert WAITING in north.offered_ids()


def test_what_waits_is_judged_once_more_and_then_left(north: Node):
    north.advance()
    assert north.reasons(WAITING) == ["waits_for_reference"]
    assert north.advance().examined == 1
    assert north.advance().examined == 0


def test_an_id_that_is_due_already_is_asked_for_again_by_a_writer_under_way(north: Node):
    north.advance()
    with north.database.writing() as tx:
        feed_rows.add_due(tx, [(OUT, WAITING)])
    with north.database.writing() as tx:
        collection = catalog.lock(tx, north.collection().collection_id)
        source = Source("import", "os:tester")
        ingress.admit(tx, north.door, collection, [GREEN], source, arrival_id=None, now=north.moment())
        advance = threading.Thread(target=north.advance)
        advance.start()
        advance.join(1)
    advance.join(20)
    assert WAITING in north.offered_ids()
