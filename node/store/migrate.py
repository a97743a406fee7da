"""Bring a database to the tables of this program, and refuse one that does not fit.

`migrate` is called by `init` and by an upgrade, `check_current` by every other start. The check reads
one row and knows the revisions by name, so that no start pays for loading Alembic.

Reads and writes: the table `alembic_version`, and the tables themselves through the revisions.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from node.errors import StoreError
from node.store.database import Database

REVISIONS = ("0001",)  # oldest first; a test compares them with the folder of revisions
MIGRATIONS = Path(__file__).parent / "migrations"

_REVISION = sa.text("select version_num from alembic_version")
_ONE_AT_A_TIME = sa.text("select pg_advisory_xact_lock(7411250921)")


def migrate(database: Database) -> None:
    """Bring the database to the newest revision, in one transaction; nothing happens if it is there.

    Raises:
        StoreError: The database is newer than this program, holds other tables, or refused a step.
    """
    found = current(database)
    if found == REVISIONS[-1]:
        return
    if found and found not in REVISIONS:
        raise _newer(database, found)
    # Alembic costs 1.2 s of CPU to load, more than a start may take; only this function needs it.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with database.migrating() as connection:
        if database.dialect == "postgresql":
            connection.execute(_ONE_AT_A_TIME)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def current(database: Database) -> str:
    """The revision that the database is at; empty for a database without our tables."""
    with database.reading() as tx:
        if not sa.inspect(tx.connection).has_table("alembic_version"):
            return ""
        row = tx.row(_REVISION)
        return str(row[0]) if row else ""


def check_current(database: Database) -> None:
    """Return if the database has exactly the tables that this program expects.

    Raises:
        StoreError: It is empty, older or newer; the remedy names the command.
    """
    found = current(database)
    if found == REVISIONS[-1]:
        return
    if not found:
        raise StoreError(
            f"The database {database.url} is empty.",
            remedy="Run stixnode init, or correct [database] url in config.toml.",
        )
    if found in REVISIONS:
        raise StoreError(
            f"The database {database.url} is at revision {found}; this program needs {REVISIONS[-1]}.",
            remedy="Run stixnode backup, then stixnode check.",
        )
    raise _newer(database, found)


def _newer(database: Database, found: str) -> StoreError:
    return StoreError(
        f"The database {database.url} is at revision {found}, which this program does not know.",
        remedy="Install the stixnode that wrote it, then run stixnode check.",
    )
