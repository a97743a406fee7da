"""Statements in the words of a database: what SQLAlchemy builds, compiled once for the driver.

Statements are built once, at import, by the modules that own the tables; one that the two databases must
spell differently is a `Spelled` pair. The driver then carries out the compiled text itself.

Reads nothing, writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg as PostgreSQL
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite as SQLite
from sqlalchemy.sql.elements import TextClause

REMEMBERED = 2_048


@dataclass(frozen=True, slots=True, eq=False)
class Spelled:
    """One statement in the words of both databases; lists are bound through `Tx.listed`."""

    sqlite: TextClause
    postgresql: TextClause


def spelled(sqlite: str, postgresql: str) -> Spelled:
    """A `Spelled` pair from two texts with `:name` parameters."""
    return Spelled(sa.text(sqlite), sa.text(postgresql))


Statement = sa.Executable | Spelled
Words = tuple[str, dict[str, Any]]


class Wording:
    """The words of one database for statements, each found once.

    Args:
        dialect: `sqlite` or `postgresql`.
    """

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        self._known: dict[Statement, Words] = {}

    def of(self, statement: Statement) -> Words:
        """The text of a statement for the driver, and the values that are written into it."""
        known = self._known.get(statement)
        return self._found(statement) if known is None else known

    def _found(self, statement: Statement) -> Words:
        said: Any = statement
        if isinstance(statement, Spelled):
            said = statement.sqlite if self._dialect == "sqlite" else statement.postgresql
        compiled = said.compile(dialect=_DIALECTS[self._dialect])
        constants = {name: bound.value for name, bound in compiled.binds.items() if not bound.required}
        words = (str(compiled), constants)
        while len(self._known) >= REMEMBERED:  # statements that were built for one question alone
            self._known.pop(next(iter(self._known)), None)
        self._known[statement] = words
        return words


# Named marks on both, so that values are given by name.
_DIALECTS: dict[str, Any] = {"sqlite": SQLite(paramstyle="named"), "postgresql": PostgreSQL()}  # type: ignore[no-untyped-call]
WORDINGS = {dialect: Wording(dialect) for dialect in _DIALECTS}
