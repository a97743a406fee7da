"""What writing costs: POST and import, beside decoding and one transaction of the very same rows.

The floor writes what the node has just written, read back from it, into a database of the same kind
with the same indexes and the same durability, with nothing but the driver.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from node import clock
from node.cli.importing import import_stream
from node.exchange.ingress import Source
from node.store import schema
from node.store.database import Database
from tests.bench.measuring import Figure, Row, measured, median, ms, rate
from tests.bench.stand import OBJECTS, Make, Stand, a_stand
from tests.support.served import an_envelope

BATCH = 1_000
_WRITTEN = {
    "object": sa.text('select * from "object" where added > :after order by added'),
    "owner": sa.text(
        'select w.* from "object" o join owner w on w.stix_id = o.stix_id where o.added > :after'
        " order by o.added"
    ),
}


class Bare:
    """A database with the table of objects and its indexes, written by the driver alone."""

    def __init__(self, url: str, tables: Sequence[sa.Table]) -> None:
        self.database, self.tables = Database(url), tables
        with self.database.migrating() as connection:
            schema.metadata.create_all(connection, tables=list(tables))

    def write(self, envelope: bytes, rows: dict[str, list[tuple[Any, ...]]]) -> None:
        """Decode an envelope, and store rows durably in one transaction."""
        msgspec.json.decode(envelope)
        with self.database.writing() as tx:
            for table in self.tables:
                tx.insert(table, rows[table.name])

    def close(self) -> None:
        """Close it."""
        self.database.close()


def rows(folder: Path, make: Make, bodies: Sequence[bytes], *, rounds: int) -> Iterator[Row]:
    """The lines of the table on writing.

    Args:
        folder: For what the nodes keep.
        make: Gives fresh databases.
        bodies: Real objects; each POST brings 1,000 that are new.
        rounds: POSTs of each kind; one more goes before them.
    """
    size = min(BATCH, len(bodies) // (rounds + 1))
    batches = [bodies[start : start + size] for start in range(0, size * (rounds + 1), size)]
    for validation, aim in (("structure", ">= 0.5"), ("schema", ">= 0.2")):
        with a_stand(folder, make, f"post-{validation}", bodies, validation=validation) as stand:
            yield from _posts(stand, make, validation, batches, aim)
    yield from _imports(folder, make, bodies)


def _posts(
    stand: Stand, make: Make, validation: str, batches: Sequence[Sequence[bytes]], aim: str
) -> Iterator[Row]:
    level = "T0" if validation == "structure" else "T1"
    lone = Bare(make(f"bare-{validation}"), [schema.object_])
    owned = Bare(make(f"owned-{validation}"), [schema.object_, schema.owner])
    new: list[Figure] = []
    known: list[Figure] = []
    floors: dict[str, list[Figure]] = {"objects": [], "owners": []}
    for batch in batches:
        envelope = an_envelope(batch)
        before = _highest(stand.database)
        new.append(measured(_post(stand, envelope)))
        written = _written(stand.database, before)
        floors["objects"].append(measured(lambda: lone.write(envelope, written)))  # noqa: B023 called at once
        floors["owners"].append(measured(lambda: owned.write(envelope, written)))  # noqa: B023 called at once
        known.append(measured(_post(stand, envelope)))
    lone.close()
    owned.close()
    ours, size = median(new[1:]), len(batches[0])
    by_wall = stand.database.dialect == "postgresql"
    for name, words in (("objects", "decode + same rows"), ("owners", "decode + same rows and owner rows")):
        floor = median(floors[name][1:])
        yield Row(
            f"POST {size:,} new, {level}" + (" (floor with owner rows)" if name == "owners" else ""),
            aim if name == "objects" else "-",
            floor.wall / ours.wall if by_wall else floor.cpu / ours.cpu,
            f"{rate(size, ours.wall)}, CPU {ms(ours.cpu)}, wall {ms(ours.wall)}",
            f"{words}: CPU {ms(floor.cpu)}, wall {ms(floor.wall)}" + (", by wall" if by_wall else ""),
        )
    again = median(known[1:])
    yield Row(
        f"POST {size:,} known, {level}",
        "<= 1",
        again.wall / ours.wall if by_wall else again.cpu / ours.cpu,
        f"{rate(size, again.wall)}, CPU {ms(again.cpu)}, wall {ms(again.wall)}",
        f"POST of new ones: CPU {ms(ours.cpu)}",
    )


def _imports(folder: Path, make: Make, bodies: Sequence[bytes]) -> Iterator[Row]:
    envelope = an_envelope(bodies)
    packed = gzip.compress(envelope, 1)
    with a_stand(folder, make, "import", bodies) as stand:

        def imported() -> None:
            import_stream(
                stand.door,
                stand.collection_id(),
                io.BytesIO(packed),
                Source("import", "os:bench"),
                folder=stand.folder,
                now=clock.now,
                reading=lambda _bytes: None,
                storing=lambda _objects: lambda _stored: None,
            )

        ours = measured(imported)
        written = _written(stand.database, 0)
    bare = Bare(make("bare-import"), [schema.object_])
    floor = measured(lambda: bare.write(envelope, written))
    bare.close()
    yield Row(
        f"import of {len(bodies):,} objects, T1",
        "-",
        floor.cpu / ours.cpu,
        f"{rate(len(bodies), ours.wall)}, CPU {ms(ours.cpu)}",
        f"decode + same rows in one transaction: {rate(len(bodies), floor.wall)}, CPU {ms(floor.cpu)}",
    )


def _post(stand: Stand, envelope: bytes) -> Callable[[], None]:
    def post() -> None:
        status, body = stand.call("POST", OBJECTS, envelope)
        if status != 202 or b'"failure_count":0' not in body:
            raise RuntimeError(f"{status}: {body[:300]!r}")

    return post


def _highest(database: Database) -> int:
    with database.reading() as tx:
        row = tx.row(sa.text('select coalesce(max(added), 0) from "object"'))
    return 0 if row is None else int(row[0])


def _written(database: Database, after: int) -> dict[str, list[tuple[Any, ...]]]:
    with database.reading() as tx:
        return {name: [tuple(row) for row in tx.rows(words, after=after)] for name, words in _WRITTEN.items()}
