"""One node of a history: its files, its process, its clock; how its process ends and begins again.

A process is a database, opened, and the application over it. It may be ended at any commit, just before
or just after; then nothing more of it reaches the file, whatever its last words were, and another process
begins with what the file holds. Crashes are exceptions that nobody but the simulation catches.

The file lies in memory: what a disk keeps when the power goes is a matter of `tests/torture/power`.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from flask import Flask

from node import web
from node.access import accounts, tokens
from node.access.tokens import Credentials
from node.config import Settings
from node.exchange import links
from node.exchange.door import Door
from node.stix.markings import TLP
from node.store import backup, catalog, highwater
from node.store.catalog import Definition
from node.store.database import Database, Tx
from node.store.migrate import migrate
from node.taxii.cache import Sheets
from node.taxii.face import EXTENSION
from node.taxii.rates import Rates
from tests.simulation.memory import Memory
from tests.support.builders import NOON

INDICATORS = "2a4f1c6e-0b53-4b0f-8d4e-6a1f3c9d7e01"
SECOND = 1_000_000
NODES = ("north", "south", "west")
SOC = {"soc-red": int(TLP.RED), "soc-green": int(TLP.GREEN)}
WRITER = "soc-writer"
AUDIENCE = ("state-bodies",)
MOST_LOOKS = 5_000
_TICK = 7  # microseconds between two looks at a clock: less than the distance of two dates


class Crash(BaseException):
    """The process of a site ended here."""

    def __init__(self, site: str) -> None:
        super().__init__(site)
        self.site = site


class Endless(BaseException):
    """What a site does does not come to an end."""


class Mortal(Database):
    """A database whose process may end at a commit, and does nothing afterwards.

    Args:
        url: Of an SQLite file.
        site: Name of whose process it is.
    """

    def __init__(self, url: str, site: str) -> None:
        super().__init__(url)
        self.site = site
        self.dead = False
        self.left: int | None = None
        self.when = "before"

    def doom(self, left: int, when: str) -> None:
        """End with a later commit: that many are still whole."""
        self.left, self.when = left, when

    def die(self) -> None:
        """End now."""
        self.dead = True

    @contextmanager
    def reading(self) -> Iterator[Tx]:
        """As in the product."""
        if self.dead:
            raise Crash(self.site)
        with super().reading() as tx:
            yield tx

    @contextmanager
    def writing(self) -> Iterator[Tx]:
        """As in the product, up to the commit with which the process ends."""
        if self.dead:
            raise Crash(self.site)
        with super().writing() as tx:
            yield tx
            if self._is_last() and self.when == "before":
                self.dead = True
                raise Crash(self.site)
        if self.left is not None and self.left < 0:
            self.dead = True
            raise Crash(self.site)

    def _is_last(self) -> bool:
        if self.left is None:
            return False
        self.left -= 1
        return self.left < 0


@dataclass
class Site:
    """One node.

    Args:
        name: As the agreement calls it.
        folder: Its files.
        app: The application of this name; its state belongs to the present process.
        moment: The time of the world.
    """

    name: str
    folder: Path
    app: Flask
    moment: Callable[[], int]
    settings: Settings
    database: Mortal = field(init=False)
    skew: int = 0
    looks: int = 0
    terms: str = "wide"
    narrow: bool = False
    memory: Memory = field(default_factory=Memory)
    kept: tuple[Path, Memory] | None = None

    @property
    def file(self) -> Path:
        """The database."""
        return self.folder / "stixnode.db"

    @property
    def door(self) -> Door:
        """What its door judges by."""
        found: Door = self.app.extensions[EXTENSION].door
        return found

    def now(self) -> int:
        """What its clock says.

        Raises:
            Endless: It was asked too often in one act.
        """
        self.looks += 1
        if self.looks > MOST_LOOKS:
            raise Endless(self.name)
        self.skew += _TICK
        return self.moment() + self.skew

    def start(self) -> None:
        """Begin a process over what the file holds."""
        self.database = Mortal(f"sqlite:///{self.file}", self.name)
        door = web.prepare(self.settings, self.database)
        self.app.extensions[EXTENSION] = replace(
            self.app.extensions[EXTENSION],
            door=door,
            now=self.now,
            credentials=Credentials(),
            readings={},
            sheets=Sheets(1_000_000),
            sights={},
            rates=Rates(),
        )

    def end(self) -> None:
        """End the process; what was under way in it is lost."""
        self.database.die()
        self.database.close()

    def restart(self) -> None:
        """End the process, and begin another."""
        self.end()
        self.start()

    def copy_files(self) -> None:
        """Keep a copy of the database, as an operator would."""
        copy = self.folder / "copy.db"
        _copy(self.file, copy)
        self.kept = copy, self.memory.copied()

    def put_back(self) -> None:
        """Put the kept copy in place of the database, and start over it."""
        assert self.kept is not None  # every site begins with a copy
        copy, memory = self.kept
        self.end()
        _remove(self.file)
        _copy(copy, self.file)
        self.memory = memory.copied()
        before = self._instance(Database(f"sqlite:///{self.file}"))
        self.start()
        if self._instance(self.database) == before:
            # No date was given since the copy, so the marks tell nothing: here `restore` is needed.
            self._begin_anew()
            self.restart()

    def _instance(self, database: Database) -> str:
        with database.reading() as tx:
            found = catalog.node_row(tx).instance
        if database is not self.database:
            database.close()
        return found

    def _begin_anew(self) -> None:
        with self.database.writing() as tx:
            backup.begin_anew(
                tx,
                server_identity="",
                marks=highwater.marks(self.folder),
                now=self.now(),
                new_id=lambda: secrets.token_hex(16),
                new_secret=lambda: secrets.token_bytes(32),
            )
            links.set_paused(tx, None, paused=True, reason="restored")

    def resume(self, partner: str | None = None) -> None:
        """Open links."""
        with self.database.writing() as tx:
            links.set_paused(tx, partner, paused=False, reason="")


def token_of(account: str) -> str:
    """The token of an account, the same in every world."""
    return tokens.make_token(lambda size: (account * size).encode()[:size])[0]


@lru_cache(maxsize=8)
def _template(name: str) -> bytes:
    """A database with the node's row, its collection and its accounts; another history for each name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.db"
        database = Database(f"sqlite:///{path}")
        migrate(database)
        with database.writing() as tx:
            catalog.create_node(tx, instance=f"{name}-instance", secret=name.encode().ljust(32))
            definition = Definition("indicators", "Indicators", INDICATORS)
            added = catalog.add_collection(tx, definition, epoch=f"{name}-first")
            for other in NODES:
                _add(tx, f"{other}-node", partner=other, clearance=0)
            for account, clearance in (*SOC.items(), (WRITER, int(TLP.RED))):
                _add(tx, account, partner="", clearance=clearance)
                writes = account == WRITER
                accounts.allow(
                    tx, account, added.collection_id, read=True, write=writes, actor="os:test", now=NOON
                )
        database.close()
        return path.read_bytes()


def place(folder: Path, name: str) -> None:
    """Put a fresh database of a node into its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    _remove(folder / "stixnode.db")
    shutil.rmtree(folder / "highwater", ignore_errors=True)
    (folder / "stixnode.db").write_bytes(_template(name))


def _add(tx: Tx, account: str, *, partner: str, clearance: int) -> None:
    audience = () if partner else AUDIENCE
    accounts.add_account(
        tx,
        account,
        actor="os:test",
        now=NOON,
        clearance=clearance,
        audience=audience,
        partner=partner,
        expires=None,
    )
    tokens.issue_token(
        tx, account=account, actor="os:test", now=NOON, random=lambda size: (account * size).encode()[:size]
    )


def _copy(source: Path, target: Path) -> None:
    for end in ("", "-wal"):
        path = source.with_name(source.name + end)
        if path.exists():
            shutil.copyfile(path, target.with_name(target.name + end))


def _remove(path: Path) -> None:
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
