"""What reading costs: pages, the whole collection, small requests; beside a bare Flask application.

Each is measured twice: under granian, as processor time of the one process in which both answer, and as
a WSGI call in this process, without any server, where differences of our own code show best. What is read
for the first time is read from a server that remembers no page, and what is read again from one that does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import quote

import msgspec

from node.taxii.cache import Sheets
from node.taxii.face import EXTENSION
from tests.bench import live
from tests.bench.bare import PAGE, bare_app
from tests.bench.live import Server
from tests.bench.measuring import Figure, Row, interleaved, ms, rate
from tests.bench.stand import COLLECTION, OBJECTS, Stand, call

FUTURE = "2089-01-01T00:00:00.000000Z"
SMALL = {
    "collection": f"/api/collections/{COLLECTION}/",
    "empty poll": f"{OBJECTS}?added_after={quote(FUTURE)}",
    "object by id": "",  # the id is known when there are objects
}


def rows(stand: Stand, stix_id: str, objects: int, *, rounds: int) -> Iterator[Row]:
    """The lines of the table on reading.

    Args:
        stand: A node with its objects.
        stix_id: Of one of them.
        objects: How many there are.
        rounds: Turns of each measurement.
    """
    targets = SMALL | {"object by id": f"{OBJECTS}{stix_id}/"}
    with live.live("both", stand.config, stand.url, remembering=False) as server:
        yield from _under_granian(stand, server, targets, objects, rounds)
    with live.live("both", stand.config, stand.url) as server:
        yield from _again(stand, server, objects, rounds)
    with live.live("both", stand.config, stand.url, remembering=False, workers=2) as server:
        yield from _by_two(stand, server, rounds)
    bare = bare_app(stand.url)
    stand.app.extensions[EXTENSION] = replace(stand.app.extensions[EXTENSION], sheets=Sheets(0))

    def ours(target: str) -> Callable[[], object]:
        return lambda: _checked(*stand.call("GET", target))

    def floor(target: str) -> Callable[[], object]:
        return lambda: _checked(*call(bare, "GET", target, {}))

    works = {"ours": ours(f"{OBJECTS}?limit={PAGE}"), "floor": floor("/bare/page?after=0")}
    yield _row("page of 1,000, WSGI alone", "-", interleaved(works, rounds=rounds, times=5), "bare view")
    for name, target in targets.items():
        works = {"ours": ours(target), "floor": floor("/bare/empty")}
        yield _row(f"{name}, WSGI alone", "-", interleaved(works, rounds=rounds, times=50), "empty view")


def _under_granian(
    stand: Stand, server: Server, targets: dict[str, str], objects: int, rounds: int
) -> Iterator[Row]:
    def ours(target: str) -> Callable[[], object]:
        return lambda: _checked(*_status_and_body(server.get(target, stand.headers)))

    def floor(target: str) -> Callable[[], object]:
        return lambda: _checked(*_status_and_body(server.get(target)))

    works = {"ours": ours(f"{OBJECTS}?limit={PAGE}"), "floor": floor("/bare/page?after=0")}
    figures = interleaved(works, rounds=rounds, times=5, cpu=server.cpu)
    yield _row("page of 1,000 by a SOC account", "<= 1.3", figures, "bare view, same rows")
    for name, target in targets.items():
        works = {"ours": ours(target), "floor": floor("/bare/empty")}
        yield _row(name, "<= 3", interleaved(works, rounds=rounds, times=50, cpu=server.cpu), "empty view")
    yield _pulled("full pull, first", stand, server, objects, rounds)


def _again(stand: Stand, server: Server, objects: int, rounds: int) -> Iterator[Row]:
    target = f"{OBJECTS}?limit={PAGE}"
    packed = stand.headers | {"Accept-Encoding": "gzip"}
    works = {
        "ours": lambda: _checked(*_status_and_body(server.get(target, stand.headers))),
        "packed": lambda: _checked(*_status_and_body(server.get(target, packed))),
        "floor": lambda: _checked(*_status_and_body(server.get("/bare/prebuilt"))),
    }
    figures = interleaved(works, rounds=rounds, times=5, cpu=server.cpu)
    yield _row("the same page again", "<= 1.3", figures, "prebuilt bytes")
    yield _row("the same page again, in gzip", "-", figures | {"ours": figures["packed"]}, "prebuilt bytes")
    yield _pulled("full pull, again", stand, server, objects, rounds)


def _pulled(work: str, stand: Stand, server: Server, objects: int, rounds: int) -> Row:
    works = {
        "ours": lambda: _pull(server, stand.headers, objects),
        "floor": lambda: _bare_pull(server, objects),
    }
    figures = interleaved(works, rounds=max(1, rounds // 5), cpu=server.cpu)
    return Row(
        f"{work}, of {objects:,} objects",
        "35x OpenTAXII, which is not here; the pages alone <= 1.3",
        figures["ours"].cpu / figures["floor"].cpu,
        f"{rate(objects, figures['ours'].wall)}, CPU {ms(figures['ours'].cpu)}",
        f"bare view: {rate(objects, figures['floor'].wall)}, CPU {ms(figures['floor'].cpu)}",
    )


def _by_two(stand: Stand, server: Server, rounds: int) -> Iterator[Row]:
    """Pages a second by two processes for eight connections; the clients share the machine with them."""
    connections = [server.another() for _ in range(8)]

    def crowd(path: str, headers: dict[str, str]) -> Callable[[], object]:
        def some(line: Server) -> None:
            for _ in range(4):
                _checked(*_status_and_body(line.get(path, headers)))

        return lambda: list(threads.map(some, connections))

    with ThreadPoolExecutor(8) as threads:
        works = {
            "ours": crowd(f"{OBJECTS}?limit={PAGE}", stand.headers),
            "floor": crowd("/bare/page?after=0", {}),
        }
        figures = interleaved(works, rounds=max(1, rounds // 3))
    for line in connections:
        line.close()
    ours, bare = figures["ours"].wall / 32, figures["floor"].wall / 32
    yield Row(
        "pages a second, 2 workers, 8 connections",
        ">= 0.75",
        bare / ours,
        f"{1 / ours:,.0f}",
        f"bare view: {1 / bare:,.0f}",
    )


def _row(work: str, aim: str, figures: dict[str, Figure], floor: str) -> Row:
    ours, bare = figures["ours"], figures["floor"]
    return Row(
        work,
        aim,
        ours.cpu / bare.cpu,
        f"CPU {ms(ours.cpu)}, wall {ms(ours.wall)}",
        f"{floor}: CPU {ms(bare.cpu)}, wall {ms(bare.wall)}",
    )


class _Next(msgspec.Struct):
    objects: list[msgspec.Raw]
    next: str | None = None


def _pull(server: Server, headers: dict[str, str], objects: int) -> None:
    found, token = 0, None
    while True:
        target = f"{OBJECTS}?limit={PAGE}" + (f"&next={token}" if token else "")
        page = msgspec.json.decode(server.get(target, headers)[2], type=_Next)
        found += len(page.objects)
        token = page.next
        if token is None:
            break
    if found != objects:
        raise RuntimeError(f"{found} objects were served of {objects}")


def _bare_pull(server: Server, objects: int) -> None:
    found, after = 0, "0"
    while after:
        _, headers, body = server.get(f"/bare/page?after={after}")
        found += len(msgspec.json.decode(body, type=_Next).objects)
        after = headers["X-Last"]
    if found != objects:
        raise RuntimeError(f"{found} objects were served of {objects}")


def _status_and_body(answer: tuple[int, object, bytes]) -> tuple[int, bytes]:
    return answer[0], answer[2]


def _checked(status: int, body: bytes) -> None:
    if status != 200 or not body:
        raise RuntimeError(f"{status}: {body[:200]!r}")
