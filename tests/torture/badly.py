"""Two real nodes with a bad network between them: north works in this process, south serves in its own.

For each fault something new is brought, so that one pair of nodes serves for thousands: the new objects are
as many and as long each time, and so are the messages that carry them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from node import clock
from node.exchange import ingress
from node.exchange.door import Door
from node.exchange.ingress import Source
from node.sharing.links import PartnerBinding
from node.store import catalog
from node.store.database import Database, Tx
from node.sync import worker
from node.sync.client import Partner
from node.sync.connection import Patience
from node.sync.reports import Report
from node.web import prepare
from tests.support.builders import NORTH_ID, SOUTH_ID, an_id, an_indicator
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.real_nodes import PAST, RealNode, two_real_nodes
from tests.support.served import live_server
from tests.torture.killing import KEYS, keys, outcomes

BROUGHT = 4
GIVEN: dict[str, tuple[Sequence[str], str | Mapping[str, str]]] = {
    "pull": (["south"], "pull"),
    "push": (["north"], "push"),
    "both": (["north", "south"], {"north": "push", "south": "pull"}),
}
_THERE = sa.text('select count(*) from "object" where stix_id = :id')


@dataclass
class Side:
    """One node, opened in this process."""

    node: RealNode
    database: Database
    door: Door
    author: str

    def bring(self, names: list[str]) -> None:
        """Objects that its own people import."""
        dated = {"created": PAST, "modified": PAST, "valid_from": PAST, "tlp": "green"}
        bodies = [an_indicator(name, author=self.author, **dated) for name in names]

        def work(tx: Tx) -> None:
            found = catalog.find_collection(tx, "indicators")
            assert found is not None
            collection = catalog.lock(tx, found.collection_id)
            source = Source("import", "os:test")
            ingress.admit(tx, self.door, collection, bodies, source, arrival_id=None, now=clock.now())

        self.database.retrying(work)
        ingress.afterwards(self.door, now=clock.now())

    def holds(self, names: list[str]) -> int:
        """How many of some objects are there."""
        with self.database.reading() as tx:
            rows = [tx.row(_THERE, id=an_id("indicator", name)) for name in names]
        return sum(int(row[0]) for row in rows if row is not None)


@dataclass
class Pair:
    """North, which carries, the proxy before south, and south.

    Args:
        carry: As for `a_bad_pair`.
        giver, taker: Who gives on the one link; north gives, where there are two.
        patience: Of north's client.
    """

    carry: str
    north: Side
    south: Side
    proxy: FaultProxy
    giver: Side
    taker: Side
    binding: PartnerBinding
    patience: Patience | None = None
    brought: int = 0

    def bring(self) -> list[str]:
        """Something new at the giver, of the same length each time."""
        names = [f"{self.brought + each:07}" for each in range(BROUGHT)]
        self.brought += BROUGHT
        self.giver.bring(names)
        return names

    def client(self, _partner: str = "") -> Partner:
        """North's client."""
        return Partner(self.binding, now=clock.now, patience=self.patience)

    def round(self) -> Report:
        """One round of north's link, as if its time had come."""
        (report,) = worker.sync_once(
            self.north.door,
            self.north.door.links,
            self.client,
            holder="torture",
            now=clock.now,
            pause=lambda _seconds: False,
        )
        return report

    def converged(self) -> None:
        """Both hold the same, everything was applied once, and a further round moves nothing."""
        assert self.round().moved == 0
        assert keys(self.north.database, KEYS) == keys(self.south.database, KEYS)
        became = outcomes(self.taker.database)
        assert became == {"stored": self.brought}, f"{became} of {self.brought}"


@contextmanager
def a_bad_pair(template: Path, folder: Path, carry: str, *, planted: str = "") -> Iterator[Pair]:
    """North carries, through a proxy that does nothing yet.

    Args:
        template, folder: As for `two_real_nodes`.
        carry: North pulls what south gives (`pull`), pushes what it gives itself (`push`), or does both.
        planted: Lines of Python that south's server runs first.
    """
    giver, how = GIVEN[carry]
    north, south = two_real_nodes(template, folder, giver=giver, carry=how)
    with (
        live_server(south.config, port=south.port, planted=planted),
        fault_proxy(south.port) as proxy,
        north.opened() as here,
        south.opened() as there,
    ):
        through(north, proxy)
        settings = north.settings
        sides = (
            Side(north, here, prepare(settings, here), NORTH_ID),
            Side(south, there, prepare(south.settings, there), SOUTH_ID),
        )
        taker, source = sides if carry == "pull" else sides[::-1]
        yield Pair(carry, *sides, proxy, source, taker, settings.partners[0])


def through(north: RealNode, proxy: FaultProxy) -> None:
    """Let a node reach its partner by a proxy."""
    text = north.config.read_text(encoding="utf-8")
    text = text.replace(f"127.0.0.1:{proxy.target}/", f"127.0.0.1:{proxy.port}/")
    north.config.write_text(text, encoding="utf-8")
