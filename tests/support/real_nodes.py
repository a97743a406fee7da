"""Nodes as operators have them: a folder each, and the real programs run as processes of their own.

    giver, taker = two_real_nodes(template, folder, carry="pull", carrier="south")
    bring(giver, bodies)
    with live_server(giver.config, port=giver.port):
        run = work_once(taker)                    `stixnode work --once --json`, to its end
        process = begin_work(taker)               the same, to be killed

The clock is the machine's own, so dates in what they exchange lie in the past and the agreement holds
for a century.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from node import clock
from node.access import accounts, tokens
from node.config import Settings, load_settings
from node.exchange import ingress, links
from node.exchange.ingress import AdmitReport, Source
from node.store import catalog
from node.store.database import Database, Tx
from node.web import open_database, prepare
from tests.support.agreements import UNLIMITED, a_flow, agreement_text, toml_text
from tests.support.builders import an_indicator
from tests.support.served import DEFINITIONS, free_port

PAST = "2024-03-01T08:00:00.000Z"
STARTS, ENDS = datetime(2020, 1, 1, tzinfo=UTC), datetime(2120, 1, 1, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class RealNode:
    """One node: its name in the agreement, its folder, and the port on which it serves."""

    name: str
    folder: Path
    port: int

    @property
    def config(self) -> Path:
        """Its configuration."""
        return self.folder / "config.toml"

    @property
    def settings(self) -> Settings:
        """The same, read."""
        return load_settings(self.config, {})

    @contextmanager
    def opened(self) -> Iterator[Database]:
        """Its database, opened in this process."""
        database = open_database(self.settings)
        try:
            yield database
        finally:
            database.close()


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: its exit code, its lines of JSON by type, and what it said beside them."""

    code: int
    lines: tuple[dict[str, Any], ...]
    said: str

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The lines of one type."""
        return [line for line in self.lines if line["type"] == kind]


def past_indicators(author: str, count: int, **changes: object) -> list[bytes]:
    """Indicators of an author with dates that every clock has passed."""
    dated = {"created": PAST, "modified": PAST, "valid_from": PAST, "tlp": "green", **changes}
    return [an_indicator(f"past {number}", author=author, **dated) for number in range(count)]


def an_agreement_of_today(**changes: object) -> str:
    """An agreement between north and south that is in force whenever a test runs."""
    return agreement_text(**{"starts": STARTS, "ends": ENDS, "review_on": None, **changes})


def two_real_nodes(
    template: Path,
    folder: Path,
    *,
    giver: str | Sequence[str],
    carry: str | Mapping[str, str],
    page_size: int = 1000,
    max_content_length: int = 1_000_000,
    types: Sequence[str] = ("indicator", "identity"),
    flow_changes: Mapping[str, object] | None = None,
) -> tuple[RealNode, RealNode]:
    """North, which carries, and south, which serves; their links are open.

    Args:
        template: An SQLite file that is migrated and has the node's row.
        folder: Where theirs go.
        giver: Who gives indicators to the other, or both of them.
        carry: `pull` or `push`, so that north does it: it pulls what south gives, pushes what it gives.
            With two givers it says so for each.
        page_size, max_content_length: Of south, which decide how large a page and a batch may be.
        types, flow_changes: Of what crosses.
    """
    givers = [giver] if isinstance(giver, str) else giver
    flow = a_flow("indicators", givers, types=types, carry=carry, **(flow_changes or {}))
    agreement = an_agreement_of_today(flow=[flow])
    port = free_port()
    north, south = RealNode("north", folder / "north", free_port()), RealNode("south", folder / "south", port)
    reach = {
        "api_root": f"http://127.0.0.1:{port}/api/",
        "username": "north-node",
        "password_file": "password",
    }
    object_bytes = min(max_content_length, 1_048_576)
    sizes = {
        "page_size": page_size,
        "max_content_length": max_content_length,
        "max_object_bytes": object_bytes,
    }
    for node, other, binding, limits in ((north, south, reach, {}), (south, north, {}, sizes)):
        partner = {other.name: {"agreements": ["agreement.toml"], **binding}}
        found_real_node(template, node, partner, agreement, limits=limits)
    (north.folder / "password").write_text(partner_account(south, "north-node", "north"), encoding="utf-8")
    return north, south


def found_real_node(
    template: Path,
    node: RealNode,
    partners: Mapping[str, Mapping[str, object]],
    agreement: str,
    *,
    limits: Mapping[str, object] | None = None,
) -> None:
    """Put a node in its folder: configuration, agreement, database, collections, open links."""
    node.folder.mkdir()
    shutil.copyfile(template, node.folder / "stixnode.db")
    (node.folder / "agreement.toml").write_text(agreement, encoding="utf-8")
    (node.folder / "password").write_text("not yet given", encoding="utf-8")
    rates = {"requests_per_second": 0, "concurrent_requests": 0, "failed_logins_per_minute": 0}
    document: dict[str, object] = {
        "format": 1,
        "node": {"name": node.name},
        "server": {"listen": [f"127.0.0.1:{node.port}"]},
        "limits": {**rates, **(limits or {})},
        "partner": {name: {"stricter": UNLIMITED, **keys} for name, keys in partners.items()},
    }
    node.config.write_text(toml_text(document), encoding="utf-8")
    with node.opened() as database:
        with database.writing() as tx:
            for each in DEFINITIONS:
                catalog.add_collection(tx, each, epoch=f"{node.name}-epoch-{each.alias}")
        prepare(node.settings, database)
        with database.writing() as tx:
            links.set_paused(tx, None, paused=False, reason="")


def partner_account(node: RealNode, account: str, partner: str) -> str:
    """The token of a new account of a partner."""
    with node.opened() as database, database.writing() as tx:
        moment = clock.now()
        accounts.add_account(
            tx, account, actor="os:test", now=moment, clearance=0, audience=(), partner=partner, expires=None
        )
        text, _ = tokens.issue_token(tx, account=account, actor="os:test", now=moment)
    return text


def bring(node: RealNode, bodies: Sequence[bytes], alias: str = "indicators") -> AdmitReport:
    """Objects that its own people import."""
    with node.opened() as database:
        door = prepare(node.settings, database)

        def work(tx: Tx) -> AdmitReport:
            found = catalog.find_collection(tx, alias)
            assert found is not None
            collection = catalog.lock(tx, found.collection_id)
            source = Source("import", "os:test")
            return ingress.admit(tx, door, collection, bodies, source, arrival_id=None, now=clock.now())

        report = database.retrying(work)
        ingress.afterwards(door, now=clock.now())
    return report


def begin_work(node: RealNode, module: str = "node") -> subprocess.Popen[str]:
    """`stixnode work --once`, just started.

    Args:
        node: Whose configuration it gets.
        module: What runs it; a control puts another one in place of the program.
    """
    return subprocess.Popen(
        [sys.executable, "-m", module, "work", "--once", "--json", "--config", str(node.config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def work_once(node: RealNode, module: str = "node") -> Ended:
    """`stixnode work --once`, to its end."""
    process = begin_work(node, module)
    out, said = process.communicate(timeout=100)
    return Ended(process.returncode, tuple(json.loads(line) for line in out.splitlines()), said)
