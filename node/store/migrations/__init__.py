"""The steps from an empty database to the tables of `node.store.schema`; run by `node.store.migrate`."""
