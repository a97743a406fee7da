"""What grows with a collection, and what must not: pages, filters, look-ups, posts, memory.

Every object enters through the door, as an import does. Each line stands beside its floor: the bare view
at the same place, or the same work on the collection when it was small.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import sqlalchemy as sa

from node.clock import taxii_time
from tests.bench import finding, live
from tests.bench.generator import BLOCK, RARE, objects
from tests.bench.live import Server
from tests.bench.measuring import Figure, Row, interleaved, measured, median, ms, rate
from tests.bench.stand import OBJECTS, Make, Stand, a_stand
from tests.support.served import an_envelope

MIB = 1 << 20
PAGES_BEFORE_MEMORY, PAGES_OF_A_QUICK_RUN = 100, 3
MANIFEST = OBJECTS.replace("/objects/", "/manifest/")
_PLACE = sa.text('select added from "object" where collection_id = 1 order by added limit 1 offset :n')
_SOME = sa.text('select stix_id from "object" where collection_id = 1 and added > :a order by added limit 1')


@dataclass(frozen=True, slots=True)
class Places:
    """Moments in the collection: a page begins behind each of them."""

    first: int
    middle: int
    last: int


def rows(folder: Path, make: Make, *, number: int, small: int, rounds: int) -> Iterator[Row]:
    """The lines of the table on size.

    Args:
        folder: For what the node keeps.
        make: Gives its database.
        number: Objects at the end.
        small: Objects when everything is measured for the first time.
        rounds: Turns of each measurement.
    """
    sample = next(objects(BLOCK))
    pages = PAGES_BEFORE_MEMORY if rounds > 1 else PAGES_OF_A_QUICK_RUN
    # Without remembered pages: what is measured is how they are found.
    with a_stand(folder, make, "scale", sample, limits={"page_cache_bytes": 0}) as stand:
        yield _filled(stand, 0, small)
        before = _measured(stand, small, rounds, pages)
        yield _filled(stand, small, number)
        after = _measured(stand, number, rounds, pages)
        yield from _compared(before, after, small, number, pages)
        yield from finding.rows(stand, objects=number, rounds=rounds)
        yield from _posts(stand, folder, make, sample, number, rounds)


def _filled(stand: Stand, start: int, number: int) -> Row:
    def fill() -> None:
        for block in objects(number, start=start):
            stand.bring(block)
            sys.stderr.write(f"\r{start:,} to {number:,} objects ")
        stand.settle()

    def generate() -> None:
        for _ in objects(number, start=start):
            pass

    floor = measured(generate)
    ours = measured(fill)
    sys.stderr.write("\n")
    ours = Figure(ours.cpu - floor.cpu, ours.wall - floor.wall)
    return Row(
        f"import of objects {start:,} to {number:,}, T1",
        "-",
        None,
        f"{rate(number - start, ours.wall)}, CPU {ms(ours.cpu)}",
        "without what making them costs",
    )


@dataclass(frozen=True, slots=True)
class _Found:
    figures: dict[str, Figure]
    floors: dict[str, Figure]
    memory: int


def _measured(stand: Stand, number: int, rounds: int, pages: int) -> _Found:
    places = _places(stand, number)
    with live.live("both", stand.config, stand.url) as server:
        works, floors = _works(stand, server, places)
        figures = interleaved(works, rounds=rounds, times=5, cpu=server.cpu)
        bare = interleaved(floors, rounds=rounds, times=5, cpu=server.cpu)
    with live.live("ours", stand.config, stand.url) as server:
        target = f"{OBJECTS}?{urlencode({'added_after': taxii_time(places.middle)})}"
        for _ in range(pages):
            _checked(server, target, stand.headers)
        return _Found(figures, bare, server.memory())


def _works(
    stand: Stand, server: Server, places: Places
) -> tuple[dict[str, Callable[[], object]], dict[str, Callable[[], object]]]:
    with stand.database.reading() as tx:
        row = tx.row(_SOME, a=places.middle)
    assert row is not None

    def after(moment: int, base: str = OBJECTS, **more: str) -> str:
        return f"{base}?{urlencode({'added_after': taxii_time(moment)} | more)}"

    targets = {
        "first page of 1,000": f"{OBJECTS}?limit=1000",
        "middle page": after(places.middle),
        "last page": after(places.last),
        "manifest, middle page": after(places.middle, MANIFEST),
        "type filter, frequent (indicator)": f"{OBJECTS}?match[type]=indicator",
        f"type filter, rare ({RARE}), 10 objects": f"{OBJECTS}?match[type]={RARE}&limit=10",
        "two types, one rare, 10 objects": f"{OBJECTS}?match[type]={RARE},sighting&limit=10",
        "every version, middle page": after(places.middle, **{"match[version]": "all"}),
        "object by id": f"{OBJECTS}{row[0]}/",
        "empty poll": f"{OBJECTS}?added_after={quote('2089-01-01T00:00:00.000000Z')}",
    }
    works = {name: _get(server, target, stand.headers) for name, target in targets.items()}
    floors = {
        "first page of 1,000": _get(server, "/bare/page?after=0"),
        "middle page": _get(server, f"/bare/page?after={places.middle}"),
        "last page": _get(server, f"/bare/page?after={places.last}"),
        "empty": _get(server, "/bare/empty"),
    }
    return works, floors


_FLOORS = {
    "middle page": "middle page",
    "last page": "last page",
    "object by id": "empty",
    "empty poll": "empty",
}


def _compared(before: _Found, after: _Found, small: int, number: int, pages: int) -> Iterator[Row]:
    for name, figure in after.figures.items():
        floor = after.floors[_FLOORS.get(name, "first page of 1,000")]
        yield Row(
            f"{name}, of {number:,}",
            "<= 3" if name in ("object by id", "empty poll") else "<= 1.3",
            figure.cpu / floor.cpu,
            f"CPU {ms(figure.cpu)}, wall {ms(figure.wall)}",
            f"bare view: CPU {ms(floor.cpu)}",
        )
    first, last = after.figures["first page of 1,000"], after.figures["last page"]
    yield Row(
        "last page beside the first", "<= 1.1", last.cpu / first.cpu, f"CPU {ms(last.cpu)}", ms(first.cpu)
    )
    for name, figure in after.figures.items():
        was = before.figures[name]
        yield Row(
            f"{name}: {number:,} beside {small:,}",
            "<= 1.2",
            figure.cpu / was.cpu,
            f"CPU {ms(figure.cpu)}",
            f"at {small:,}: CPU {ms(was.cpu)}",
        )
    yield Row(
        f"memory after {pages} pages: {number:,} beside {small:,}",
        "<= 1.1",
        after.memory / before.memory,
        f"PSS {after.memory / MIB:.0f} MiB",
        f"PSS {before.memory / MIB:.0f} MiB",
    )


def _posts(
    stand: Stand, folder: Path, make: Make, sample: list[bytes], number: int, rounds: int
) -> Iterator[Row]:
    with a_stand(folder, make, "empty", sample) as fresh:
        ours: list[Figure] = []
        floor: list[Figure] = []
        start = (number + BLOCK - 1) // BLOCK * BLOCK
        for block in objects(start + (rounds + 1) * BLOCK, start=start):
            envelope = an_envelope(block)
            ours.append(measured(_post(stand, envelope)))
            floor.append(measured(_post(fresh, envelope)))
    big, little = median(ours[1:]), median(floor[1:])
    yield Row(
        f"POST of 1,000 new ones, T1, into {number:,}",
        "-",
        big.cpu / little.cpu,
        f"{rate(BLOCK, big.wall)}, CPU {ms(big.cpu)}, wall {ms(big.wall)}",
        f"into an empty collection: CPU {ms(little.cpu)}, wall {ms(little.wall)}",
    )


def _post(stand: Stand, envelope: bytes) -> Callable[[], None]:
    def post() -> None:
        status, body = stand.call("POST", OBJECTS, envelope)
        if status != 202 or b'"failure_count":0' not in body:
            raise RuntimeError(f"{status}: {body[:300]!r}")

    return post


def _places(stand: Stand, number: int) -> Places:
    with stand.database.reading() as tx:
        found = [tx.row(_PLACE, n=place) for place in (0, number // 2, max(0, number - BLOCK - 2))]
    first, middle, last = (0 if row is None else int(row[0]) for row in found)
    return Places(first, middle, last)


def _get(server: Server, target: str, headers: dict[str, str] | None = None) -> Callable[[], object]:
    return lambda: _checked(server, target, headers or {})


def _checked(server: Server, target: str, headers: dict[str, str]) -> None:
    status, _, body = server.get(target, headers)
    if status != 200 or not body:
        raise RuntimeError(f"{target}: {status}: {body[:200]!r}")
