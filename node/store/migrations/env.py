"""What Alembic runs around the revisions: they get the connection and the transaction of the caller.

There is no ini file and no address here: `node.store.migrate` hands over an open connection, whose
transaction makes all steps happen together or not at all, on SQLite as on PostgreSQL.
"""

from __future__ import annotations

from alembic import context

from node.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
