"""node/store/servers.py: a connection to another server than at first is refused, and all that follows."""

from contextlib import closing

import pytest
import sqlalchemy as sa

from node.errors import StoreError
from node.store import database as databases
from node.store import readiness
from node.store.database import Database
from node.store.servers import Faithful, Server, ServerChanged, StandbyRefused
from tests.support.failover import a_pair_of_servers

FIRST = Server("7:1", "noon", False, "on", "on")
OTHERS = {
    "promoted": FIRST._replace(identity="7:2", started="one"),
    "promoted without a restart": FIRST._replace(identity="7:2"),
    "another cluster": FIRST._replace(identity="8:1"),
    "started anew, perhaps on other files": FIRST._replace(started="one"),
}


class Cursor:
    """A connection's, to a server of our choice."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def execute(self, _statement: str) -> None:
        return

    def fetchone(self) -> Server:
        return self._server


def test_any_number_of_connections_may_lead_to_one_server():
    faith = Faithful()

    for _ in range(3):
        faith.meet(Cursor(FIRST))

    assert not faith.is_lost


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_another_server_is_refused_and_so_is_the_first_from_then_on(other):
    faith = Faithful()
    faith.meet(Cursor(FIRST))

    for server in (other, FIRST, other):
        with pytest.raises(ServerChanged):
            faith.meet(Cursor(server))
    with pytest.raises(ServerChanged):
        faith.check()


def test_a_standby_is_refused_at_first_and_is_no_server_to_be_faithful_to():
    faith = Faithful()

    with pytest.raises(StandbyRefused):
        faith.meet(Cursor(FIRST._replace(is_standby=True)))
    faith.meet(Cursor(OTHERS["promoted"]))

    assert not faith.is_lost


def test_a_careless_server_is_refused():
    with pytest.raises(StoreError, match="fsync=off"):
        Faithful().meet(Cursor(FIRST._replace(fsync="off")))


def test_a_server_that_is_silent_for_ever_is_given_up_by_the_driver(postgresql_database):
    with postgresql_database.reading() as tx:
        given = tx.connection.connection.driver_connection.info.get_parameters()

    assert {name: int(given[name]) for name in databases.PATIENCE} == databases.PATIENCE


def test_the_operator_s_own_patience_stands(postgresql_server):
    url = postgresql_server.address("postgres") + "&tcp_user_timeout=5000"

    with closing(Database(url)) as ours, ours.reading() as tx:
        given = tx.connection.connection.driver_connection.info.get_parameters()

    assert given["tcp_user_timeout"] == "5000"


def test_a_file_has_no_server_that_could_change(sqlite_database):
    with sqlite_database.writing() as tx:
        tx.run(sa.text("update node set instance = 'x'"))

    assert not sqlite_database.has_moved


def test_a_fail_over_is_noticed_by_the_next_connection(postgresql_server, postgresql_database, tmp_path):
    with a_pair_of_servers(postgresql_server, postgresql_database) as pair:
        first = Database(pair.address)
        before = first.server_identity()
        with first.writing() as tx:
            tx.run(sa.text("update node set instance = 'kept'"))
        pair.copy()
        with first.writing() as tx:
            tx.run(sa.text("update node set instance = 'lost'"))

        pair.lead_to_the_copy()
        with pytest.raises(ServerChanged), first.reading():
            pass
        with closing(first.again()) as early:
            with pytest.raises(StandbyRefused), early.writing():
                pass
            assert readiness.faults(early, tmp_path) == (["read-only"], [])

        pair.promote()
        tries = []
        with pytest.raises(ServerChanged):
            first.retrying(tries.append)
        with closing(first.again()) as again, again.reading() as tx:
            assert tx.rows(sa.text("select instance from node")) == [("kept",)]
            assert again.server_identity() == before.removesuffix(":1") + ":2"  # at once, not at a checkpoint
        assert tries == []
        first.close()
