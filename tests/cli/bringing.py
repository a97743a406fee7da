"""What a partner has brought to the node of a test of the command line.

brought(desk, an_indicator())       south is the partner and has brought this
set_aside(desk)                     an object in our name that we never had; the name of its entry
"""

from __future__ import annotations

from node.exchange import ingress
from node.exchange.ingress import Source
from node.store import catalog
from tests.cli.desk import Desk, moment, old_indicator
from tests.support.builders import NORTH_ID


def brought(desk: Desk, *bodies: bytes) -> Desk:
    """South is the partner, its links are open, and it has brought these."""
    if "\n[partner.south]\n" not in desk.config.read_text(encoding="utf-8"):
        desk.with_partner()
        desk.run("resume", "south")
    with desk.open() as node:
        link = node.door.link("south/indicators/in")

        def work(tx):
            collection = catalog.find_collection(tx, "indicators")
            locked = catalog.lock(tx, collection.collection_id)
            source = Source("pull", "worker", link, place="https://exchange.south.example/api/")
            return ingress.admit(tx, node.door, locked, bodies, source, arrival_id=None, now=moment())

        node.database.retrying(work)
    return desk


def set_aside(desk: Desk, body: bytes | None = None) -> str:
    """The name of the entry of an object that was set aside; of one in our name without a body."""
    one = old_indicator("claims us", author=NORTH_ID, description="\x1b[2J\u202eboo")
    brought(desk, one if body is None else body)
    return str(desk.run("quarantine", "list", "--json").of("entry")[-1]["entry"])
