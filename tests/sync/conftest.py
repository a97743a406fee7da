"""Two databases of one kind for two nodes, and a simulated partner with a node of ours."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.store.database import Database
from tests.support.partner import Receiver, SimulatedPartner, a_receiver, simulated_partner


@pytest.fixture
def two_sqlite_databases(_sqlite_template: Path, tmp_path: Path) -> Iterator[tuple[Database, Database]]:
    """Two nodes' databases on SQLite."""
    made: list[Database] = []
    for name in ("north.db", "south.db"):
        shutil.copyfile(_sqlite_template, tmp_path / name)
        made.append(Database(f"sqlite:///{tmp_path / name}"))
    yield made[0], made[1]
    for each in made:
        each.close()


@pytest.fixture
def two_postgresql_databases(
    postgresql_server: object, _postgresql_template: str
) -> Iterator[tuple[Database, Database]]:
    """Two nodes' databases on PostgreSQL."""
    names = [postgresql_server.create(_postgresql_template) for _ in range(2)]
    made = [Database(postgresql_server.address(name)) for name in names]
    yield made[0], made[1]
    for each in made:
        each.close()
    for name in names:
        postgresql_server.drop(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def two_databases(request: pytest.FixtureRequest) -> tuple[Database, Database]:
    """Two nodes' databases, on each of the two kinds."""
    return request.getfixturevalue(f"two_{request.param}_databases")


@pytest.fixture
def west() -> Iterator[SimulatedPartner]:
    """A simulated partner of other software."""
    with simulated_partner() as partner:
        yield partner


@pytest.fixture
def north(sqlite_database: Database, west: SimulatedPartner) -> Receiver:
    """A node of ours whose partner is west."""
    return a_receiver(sqlite_database, west)
