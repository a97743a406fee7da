"""Two or three real nodes, wired without a network: a pair, a ring, or everybody with everybody.

    circle = a_circle(databases, folder, "ring", "pull")
    circle["north"].bring(an_indicator(...))
    circle.round()                                 one round of all links of all nodes
    circle.written()                               the rows that a quiet round must leave alone

Each agreement is between two; what a node received under one it passes on under the next, because the first
one grants it. The clock is one for all, and stands still between rounds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask

from node.access import accounts, tokens
from node.config import Settings, load_settings
from node.exchange import ingress, links
from node.exchange.door import Door
from node.exchange.ingress import Source
from node.store import catalog
from node.store.database import Database, Tx
from node.sync import worker
from node.sync.client import Partner
from node.sync.reports import Report
from node.taxii.face import EXTENSION
from node.web import create_app
from tests.support.agreements import a_flow, a_party, agreement_text, toml_text
from tests.support.served import DEFINITIONS, HeldClock
from tests.support.two_nodes import TYPES, Wire

SHAPES: Mapping[str, Mapping[tuple[str, str], Sequence[str]]] = {
    "pair": {("north", "south"): ("north", "south")},
    "ring": {
        ("north", "south"): ("north",),
        ("south", "west"): ("south",),
        ("north", "west"): ("west",),
    },
    "mesh": {
        ("north", "south"): ("north", "south"),
        ("south", "west"): ("south", "west"),
        ("north", "west"): ("north", "west"),
    },
}
"""Who has an agreement with whom, and who of the two gives."""
QUIET_WRITES = ("link", "reading")
_TABLES = {
    "sqlite": sa.text("select name from sqlite_master where type = 'table'"),
    "postgresql": sa.text("select tablename from pg_tables where schemaname = 'public'"),
}
_IDS = sa.text('select stix_id from "object"')


@dataclass
class Member:
    """One of the nodes."""

    name: str
    database: Database
    settings: Settings
    app: Flask
    clock: HeldClock
    wires: dict[str, Wire]

    @property
    def door(self) -> Door:
        """What its door judges by."""
        found: Door = self.app.extensions[EXTENSION].door
        return found

    def bring(self, *bodies: bytes) -> None:
        """Objects that its own people import."""

        def work(tx: Tx) -> None:
            found = catalog.find_collection(tx, "indicators")
            assert found is not None
            collection = catalog.lock(tx, found.collection_id)
            source = Source("import", "os:test")
            ingress.admit(tx, self.door, collection, bodies, source, arrival_id=None, now=self.clock())

        self.database.retrying(work)
        ingress.afterwards(self.door, now=self.clock())

    def sync(self) -> list[Report]:
        """One round of all its links."""
        return worker.sync_once(
            self.door,
            self.door.links,
            self._client,
            holder=f"{self.name}-test",
            now=self.clock,
            pause=lambda _seconds: False,
        )

    def ids(self) -> set[str]:
        """The ids of everything that lies there."""
        with self.database.reading() as tx:
            return {str(row[0]) for row in tx.rows(_IDS)}

    def rows(self) -> Counter[str]:
        """The rows of all tables but those that a quiet round writes, as texts that name node and table."""
        with self.database.reading() as tx:
            names = {str(row[0]) for row in tx.rows(_TABLES[self.database.dialect])} - set(QUIET_WRITES)
            return Counter(
                f"{self.name} {name} {tuple(row)!r}"
                for name in names
                for row in tx.rows(sa.text(f'select * from "{name}"'))
            )

    def _client(self, partner: str) -> Partner:
        (binding,) = [one for one in self.settings.partners if one.name == partner]
        return Partner(binding, now=self.clock, transport=self.wires[partner])


@dataclass
class Circle:
    """All of them, by name."""

    members: dict[str, Member]
    clock: HeldClock

    def __getitem__(self, name: str) -> Member:
        return self.members[name]

    def round(self) -> int:
        """A minute later, one round of all; how many objects moved, and no round failed."""
        self.clock.now += 60_000_000
        moved = 0
        for member in self.members.values():
            for report in member.sync():
                assert report.error is None, report.error
                assert report.stopped is None, report.detail
                moved += report.moved
        return moved

    def settle(self, at_most: int = 12) -> None:
        """Rounds until two in succession moved nothing."""
        quiet = 0
        for _ in range(at_most):
            quiet = 0 if self.round() else quiet + 1
            if quiet == 2:
                return
        raise AssertionError("it does not become quiet")

    def written(self) -> Counter[str]:
        """The rows of all, to see that nothing was written."""
        return sum((member.rows() for member in self.members.values()), Counter())

    def asked(self) -> int:
        """How many requests there were."""
        return sum(len(wire.asked) for member in self.members.values() for wire in member.wires.values())


def a_circle(databases: Sequence[Database], folder: Path, shape: str, carry: str) -> Circle:
    """Nodes with open links.

    Args:
        databases: One for each, migrated, with the node's row.
        folder: Where their configurations go.
        shape: One of `SHAPES`.
        carry: `pull` or `push`, of every flow.
    """
    clock, pairs = HeldClock(), SHAPES[shape]
    names = sorted({name for pair in pairs for name in pair})
    members: dict[str, Member] = {}
    for name, database in zip(names, databases, strict=True):
        others = [other for pair in pairs if name in pair for other in pair if other != name]
        settings = _configured(folder / name, name, others, pairs, carry)
        with database.writing() as tx:
            for each in DEFINITIONS:
                catalog.add_collection(tx, each, epoch=f"{name}-epoch-{each.alias}")
            for other in others:
                _add_account(tx, f"{other}-node", other, now=clock.now)
        app = create_app(settings, database)
        app.testing = False
        app.extensions[EXTENSION] = replace(app.extensions[EXTENSION], now=clock)
        with database.writing() as tx:
            links.set_paused(tx, None, paused=False, reason="")
        wires = {other: Wire(lambda other=other: members[other].app) for other in others}  # type: ignore[misc]
        members[name] = Member(name, database, settings, app, clock, wires)
    return Circle(members, clock)


def _configured(
    folder: Path,
    us: str,
    others: Sequence[str],
    pairs: Mapping[tuple[str, str], Sequence[str]],
    carry: str,
) -> Settings:
    folder.mkdir()
    (folder / "password").write_text(_token(f"{us}-node"), encoding="utf-8")
    everybody = {name for pair in pairs for name in pair}
    partners: dict[str, dict[str, Any]] = {}
    for other in others:
        (pair,) = [each for each in pairs if set(each) == {us, other}]
        flow = a_flow(
            givers=pairs[pair],
            types=TYPES,
            max_tlp="green",
            unmarked="clear",
            carry=carry,
            onward=sorted(everybody - set(pair)) or None,
        )
        text = agreement_text(
            id=f"AGR-{'-'.join(pair)}", flow=[flow], party={name: a_party(name) for name in pair}
        )
        (folder / f"with-{other}.toml").write_text(text, encoding="utf-8")
        partners[other] = {
            "agreements": [f"with-{other}.toml"],
            "api_root": f"https://{other}.example/api/",
            "username": f"{us}-node",
            "password_file": "password",
        }
    document: Mapping[str, object] = {
        "format": 1,
        "node": {"name": us, "title": f"Cyber Centre {us.title()}"},
        "limits": {"requests_per_second": 0, "concurrent_requests": 0, "failed_logins_per_minute": 0},
        "partner": partners,
    }
    (folder / "config.toml").write_text(toml_text(document), encoding="utf-8")
    return load_settings(folder / "config.toml", {})


def _token(account: str) -> str:
    return tokens.make_token(lambda size: (account * size).encode()[:size])[0]


def _add_account(tx: Tx, account: str, partner: str, *, now: int) -> None:
    accounts.add_account(
        tx, account, actor="os:test", now=now, clearance=0, audience=(), partner=partner, expires=None
    )
    tokens.issue_token(
        tx, account=account, actor="os:test", now=now, random=lambda size: (account * size).encode()[:size]
    )


def shown(rows: Counter[str]) -> str:
    """Some rows for a message."""
    return "; ".join(sorted(rows)[:10]) or "nothing"
