"""Two databases of one kind, as in the tests of `node/sync`."""

from __future__ import annotations

from tests.sync.conftest import two_databases, two_postgresql_databases, two_sqlite_databases

__all__ = ["two_databases", "two_postgresql_databases", "two_sqlite_databases"]
