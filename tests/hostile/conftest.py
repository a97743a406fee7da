"""A node of ours before a partner that does what it is told to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from node.store.database import Database
from tests.hostile.stand import Stand
from tests.support.partner import SimulatedPartner, a_receiver, simulated_partner


@pytest.fixture
def west() -> Iterator[SimulatedPartner]:
    """The partner."""
    with simulated_partner() as partner:
        yield partner


@pytest.fixture
def stand(sqlite_database: Database, west: SimulatedPartner) -> Stand:
    """North before it."""
    return Stand(a_receiver(sqlite_database, west), west)
