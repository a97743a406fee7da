"""The four ways in by which objects come from elsewhere, each with its real code from the first byte.

    for way in WAYS: told = WAYS[way](database, folder, bodies, {}); told.refused, told.held

`post` is the POST of a SOC account, `push` that of a partner, `import` a file that an operator reads,
`pull` a page that a simulated server gives.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from node.cli.importing import import_stream
from node.errors import InvalidObject
from node.exchange import egress
from node.exchange.ingress import Source
from node.store import catalog
from node.store.database import Database
from node.sync.pull import pull
from tests.support.partner import Held, a_receiver, simulated_partner
from tests.support.served import a_served, an_envelope, an_exchange

Limits = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a batch.

    Args:
        whole: The batch was refused as one, with words for its sender.
        refused: How many objects were refused or set aside, by the word of the sender's answer.
        held: The bytes that the collection has afterwards, by date added.
    """

    whole: bool
    refused: int
    held: tuple[bytes, ...]


def post(database: Database, folder: Path, bodies: Sequence[bytes], limits: Limits) -> Told:
    """By POST of an account of our own."""
    node = a_served(database, folder, limits=limits)
    answer = node.soc().post("indicators", bodies)
    return _answered(answer, node.exported())


def push(database: Database, folder: Path, bodies: Sequence[bytes], limits: Limits) -> Told:
    """By POST of a partner of our own kind."""
    node = an_exchange(database, folder, limits=limits)
    answer = node.partner().post("indicators", bodies)
    return _answered(answer, node.exported())


def import_(database: Database, folder: Path, bodies: Sequence[bytes], limits: Limits) -> Told:
    """As a file that is read by the command."""
    node = a_served(database, folder, limits=limits)
    number = node.collections["indicators"].collection_id
    try:
        found = import_stream(
            node.face.door,
            number,
            io.BytesIO(an_envelope(bodies)),
            Source("import", "os:test"),
            folder=folder,
            now=node.clock,
            reading=lambda _units: None,
            storing=lambda _number: lambda _units: None,
        )
    except InvalidObject:
        return Told(True, 0, tuple(node.exported()))
    return Told(False, len(found.refusals), tuple(node.exported()))


def pull_(database: Database, folder: Path, bodies: Sequence[bytes], limits: Limits) -> Told:
    """As a page of a partner's server."""
    with simulated_partner() as west:
        north = a_receiver(database, west)
        if limits:
            north.door = replace(north.door, max_object_bytes=limits["max_object_bytes"])
        for at, body in enumerate(bodies):
            west.held.append(Held(north.clock.now + at, "", "", body))
        client = north.client()
        try:
            report = pull(north.door, north.link("in"), client, now=north.clock)
        finally:
            client.close()
    with database.reading() as tx:
        collection = catalog.find_collection(tx, "indicators")
    assert collection is not None
    refused = report.outcomes["refused"] + report.outcomes["quarantined"]
    return Told(report.error is not None, refused, tuple(egress.export_bodies(north.door, collection)))


def _answered(answer: object, held: Sequence[bytes]) -> Told:
    status = answer.status_code  # type: ignore[attr-defined]
    assert status in (202, 400, 413, 422), status
    said = answer.json  # type: ignore[attr-defined]
    return Told(status != 202, said.get("failure_count", 0), tuple(held))


WAYS: dict[str, Callable[[Database, Path, Sequence[bytes], Limits], Told]] = {
    "post": post,
    "push": push,
    "import": import_,
    "pull": pull_,
}
