"""What the tests of the door start from, on each of the two databases."""

from __future__ import annotations

import pytest

from node.store.database import Database
from tests.support.agreements import a_flow, a_party
from tests.support.nodes import Node, a_node


@pytest.fixture
def north(database: Database) -> Node:
    """North, whose one partner is south."""
    return a_node(database)


@pytest.fixture
def room(database: Database) -> Node:
    """North with a flow that either may edit."""
    return a_node(database, flow=[a_flow(either_may_edit=True)])


@pytest.fixture
def hub(database: Database) -> Node:
    """North between south and west, which all give indicators."""
    return a_node(
        database,
        partners=("south", "west"),
        party={name: a_party(name) for name in ("north", "south", "west")},
        flow=[a_flow(givers=("north", "south", "west"))],
    )
