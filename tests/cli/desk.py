"""A node on disk and its command line, as a person at the desk has them.

    desk.run("collection", "list").out          what stands on stdout
    desk.run("status", "--json").lines          the same as JSON, one entry a line
    desk.with_partner(agreement=...)            south, under an agreement in force now

Dates of objects lie in 2020 and agreements around the present moment, because commands read the clock.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from node.cli.main import stixnode
from node.clock import now
from node.config import Settings, load_settings
from node.exchange.door import Door
from node.store.database import Database
from node.web import open_database, prepare
from tests.support.agreements import a_flow, agreement_text
from tests.support.builders import an_indicator

OLD = "2020-01-01T00:00:00.000Z"
NEWER = "2020-01-02T00:00:00.000Z"
INDICATORS = "596b9836-8aa7-49b3-8f23-4bd19d0b9e1a"


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str
    raw: bytes

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Stdout as lines of JSON."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def summary(self) -> dict[str, Any]:
        """The last line of JSON."""
        return self.lines[-1]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The lines of JSON of one type."""
        return [line for line in self.lines if line["type"] == kind]


def call(*arguments: str, stdin: bytes | str | None = None, **environ: str) -> Answer:
    """What `stixnode ARGUMENTS` does, in this process."""
    done = CliRunner().invoke(stixnode, list(arguments), input=stdin, env=environ, prog_name="stixnode")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Answer(done.exit_code, done.stdout, done.stderr, done.stdout_bytes)


@dataclass
class Desk:
    """One node in a folder of its own; `token` is its first person's."""

    folder: Path
    token: str

    @property
    def config(self) -> Path:
        """Its configuration."""
        return self.folder / "config.toml"

    def run(self, *arguments: str, stdin: bytes | str | None = None, **environ: str) -> Answer:
        """What a command of this node does."""
        return call("--config", str(self.config), *arguments, stdin=stdin, **environ)

    def write(self, name: str, content: str | bytes) -> Path:
        """A file in its folder."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def add_config(self, text: str) -> None:
        """More lines at the end of its configuration."""
        self.write("config.toml", self.config.read_text(encoding="utf-8") + text)

    def with_partner(self, *, api_root: str = "", more: str = "", **agreement: Any) -> Desk:
        """South as partner; keys of the agreement can be given."""
        today = datetime.now(UTC).replace(microsecond=0)
        terms = {"starts": today - timedelta(days=1), "ends": today + timedelta(days=300), **agreement}
        self.write("AGR.toml", agreement_text(**terms))
        where = f'api_root = "{api_root or "https://exchange.south.example/api/"}"'
        self.add_config(f'\n[partner.south]\nagreements = ["AGR.toml"]\n{where}\n{more}\n')
        return self

    def settings(self) -> Settings:
        """Its settings."""
        return load_settings(self.config, {})

    def open(self) -> Opened:
        """Its door, opened behind the command line's back."""
        settings = self.settings()
        database = open_database(settings)
        return Opened(settings, database, prepare(settings, database))


@dataclass
class Opened:
    """A node opened by a test; closed at the end of a `with`."""

    settings: Settings
    database: Database
    door: Door

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()


def founded(folder: Path) -> Desk:
    """A new node called north, founded by its own command."""
    answer = call("init", str(folder), "--name", "north", "--person", "op", "--json")
    assert answer.code == 0, answer.err
    return Desk(folder, json.loads(answer.out)["token"])


def copied(template: Desk, folder: Path) -> Desk:
    """The same node elsewhere: paths in it are relative."""
    shutil.copytree(template.folder, folder)
    return Desk(folder, template.token)


def old_indicator(name: str | int = "one", **changes: object) -> bytes:
    """An indicator of 2020."""
    return an_indicator(name, **{"created": OLD, "modified": OLD, "tlp": "green", **changes})


def a_bundle(*bodies: bytes) -> bytes:
    """A STIX bundle of some bodies."""
    head = b'{"type":"bundle","id":"bundle--5d0092c5-5f74-4287-9642-33f4c354e56d"'
    return head + (b',"objects":[' + b",".join(bodies) + b"]}" if bodies else b"}")


def both_carried_by_north() -> list[dict[str, object]]:
    """One flow of indicators in which north pulls and pushes."""
    return [a_flow(carry={"north": "push", "south": "pull"})]


def fetched_by_south() -> list[dict[str, object]]:
    """One flow of indicators from north only, which south fetches."""
    return [a_flow(givers=["north"])]


def moment() -> int:
    """The present moment."""
    return now()
