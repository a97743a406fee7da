"""node/store/database.py: a reader cannot write, on either database."""

import pytest
import sqlalchemy as sa

from node.errors import StoreError


def test_a_reader_that_writes_is_refused(database):
    with pytest.raises(StoreError), database.reading() as tx:
        tx.run(sa.text("update node set instance = 'x'"))


def test_a_writer_may_do_the_same(database):
    with database.writing() as tx:
        assert tx.run(sa.text("update node set instance = 'x'")) == 1
