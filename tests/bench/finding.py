"""What looking for a value costs: making the index, and `find` beside reading one object by its key."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from node.exchange import finding, value_index
from node.stix.values import named_values
from node.store import objects as stored
from tests.bench.measuring import Row, interleaved, measured, ms, rate
from tests.bench.stand import Stand

_PLACE = sa.text('select added from "object" where collection_id = :c order by added limit 1 offset :n')


def rows(stand: Stand, *, objects: int, rounds: int) -> Iterator[Row]:
    """The lines of the table on `find`.

    Args:
        stand: A node that holds the objects.
        objects: How many there are.
        rounds: Turns of each measurement.
    """
    number = stand.collection_id()
    stix_id, value = _from_the_middle(stand, objects)
    ours = measured(lambda: value_index.catch_up(stand.door))

    def find() -> None:
        value_index.catch_up(stand.door)
        with stand.database.reading() as tx:
            found = finding.find(tx, stand.door, value, limit=20)
        if not found.known:
            raise RuntimeError(f"{value} was not found")

    def by_key() -> None:
        with stand.database.reading() as tx:
            if not stored.bodies_by_ids(tx, number, [stix_id]):
                raise RuntimeError(f"{stix_id} is not held")

    figures = interleaved({"find": find, "key": by_key}, rounds=rounds, times=5)
    yield Row(
        f"index of the values of {objects:,} objects",
        "-",
        None,
        f"{rate(objects, ours.wall)}, CPU {ms(ours.cpu)}",
        "no part of writing: the worker makes it every minute",
    )
    yield Row(
        f"find a value among {objects:,}",
        "<= 100",
        figures["find"].wall / figures["key"].wall,
        f"CPU {ms(figures['find'].cpu)}, wall {ms(figures['find'].wall)}",
        f"one object by its key: wall {ms(figures['key'].wall)}",
    )


def _from_the_middle(stand: Stand, objects: int) -> tuple[str, str]:
    """An object near the middle of the collection that names something, and what it names last."""
    number = stand.collection_id()
    with stand.database.reading() as tx:
        row = tx.row(_PLACE, c=number, n=objects // 2)
        for start in (0 if row is None else int(row[0]), 0):  # nothing but relationships may stand there
            for one in stored.all_after(tx, number, start, 1_000):
                if named := named_values(one.body):
                    return one.held.stix_id, named[-1].text
    raise RuntimeError("nothing there names anything")
