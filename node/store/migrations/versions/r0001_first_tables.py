"""The first tables, taken from the schema as it is.

Only this revision may do so, and only until a second one is written: from then on the tables of
this revision must stand here in words, or a new database would get later columns twice.
"""

from __future__ import annotations

from alembic import op

from node.store.schema import metadata

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table; a table that is there already is an error, never taken over."""
    connection = op.get_bind()
    metadata.create_all(connection, checkfirst=False)
    if connection.dialect.name == "postgresql":
        # Bodies are compressed badly and read whole: out of line and plain was the fastest of six ways.
        op.execute('alter table "object" alter column body set storage external')
        op.execute('alter table "object" set (toast_tuple_target = 8160)')
