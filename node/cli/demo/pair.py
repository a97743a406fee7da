"""North and south: two stixnodes of the demonstration, founded, wired and served.

Writes  a folder for each node
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from node import clock
from node.cli.demo import stage
from node.cli.demo.certificates import Certificates, make_certificates
from node.cli.demo.stage import DemoNode, Process
from node.cli.demo.terms import agreement_text
from node.cli.printing import Printer


@dataclass(frozen=True, slots=True)
class Pair:
    """Two nodes whose servers were started.

    Args:
        north: Carries both ways.
        south: Serves.
        terms: Text of their agreement.
        certificates: What both show and trust.
        servers: Their processes, in the same order.
    """

    north: DemoNode
    south: DemoNode
    terms: str
    certificates: Certificates
    servers: tuple[Process, ...]

    @property
    def nodes(self) -> tuple[DemoNode, DemoNode]:
        """Both."""
        return self.north, self.south

    def open(self) -> None:
        """Wait until both answer; give each a SOC that reads, and open its links."""
        for node, server in zip(self.nodes, self.servers, strict=True):
            stage.wait_until_served(f"{node.url}/healthz", server, log_of(node), self.certificates.authority)
            stage.add_reader(node)
            stage.run(node, "resume", node.partner)


@contextlib.contextmanager
def two_served(out: Printer, place: Path) -> Iterator[Pair]:
    """Two nodes, and their servers, which are stopped at the end."""
    now = clock.now()
    certificates = make_certificates(place, now=now)
    ports = stage.free_ports(2)
    north = DemoNode("north", "south", place / "north", ports[0])
    south = DemoNode("south", "north", place / "south", ports[1])
    text = agreement_text([north.name, south.name], now=now)
    out.notice("north and south: founding two nodes, with the same agreement")
    for node, other in ((north, south), (south, north)):
        stage.create(node, text, certificates, other)
    stage.connect(south, north)
    commands = [stage.serve_command(node) for node in (north, south)]
    with stage.running(commands, [log_of(node) for node in (north, south)]) as servers:
        yield Pair(north, south, text, certificates, tuple(servers))


def log_of(node: DemoNode) -> Path:
    """Where its server writes."""
    return node.folder / "serve.log"
