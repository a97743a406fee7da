"""What exchange costs: a feed is advanced, a partner pulls everything, and then there is nothing new.

North serves under granian in a process of its own; south pulls in this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import stix2
from taxii2client.v21 import Collection, as_pages

from node import clock
from node.exchange import feeds
from node.sync import worker
from node.sync.client import Partner
from node.sync.reports import PullReport
from tests.bench import live
from tests.bench.live import Server
from tests.bench.measuring import Figure, Row, measured, ms, rate
from tests.bench.stand import ALIAS, COLLECTION, OBJECTS, Make, Stand, a_stand, account
from tests.support.served import basic


def rows(
    folder: Path, make: Make, north: Stand, bodies: Sequence[bytes], *, parsed: int, rounds: int
) -> Iterator[Row]:
    """The lines of the table on exchange.

    Args:
        folder: For what south keeps.
        make: Gives fresh databases.
        north: A node with its objects, whose feed was never advanced.
        bodies: Its objects.
        parsed: How many of them stix2 is given to parse.
        rounds: Quiet rounds.
    """
    yield _advance(north, bodies)
    password = account(north.database, "south-node", partner="south")
    with live.live("both", north.config, north.url) as server:
        root = f"http://127.0.0.1:{server.port}/api/"
        with a_stand(folder, make, "south", bodies, us="south", api_root=root, password=password) as south:
            yield _pull(north, south, server, bodies, parsed)
            yield _quiet(south, server, rounds)
    yield _partner_page(north, password, rounds)


def _advance(north: Stand, bodies: Sequence[bytes]) -> Row:
    link = north.door.link(f"south/{ALIAS}/out")
    assert link is not None

    def advance() -> None:
        while not feeds.advance(north.door, link, now=clock.now()).complete:
            pass

    ours = measured(advance)
    floor = measured(lambda: [msgspec.json.decode(body) for body in bodies])
    return Row(
        f"feed: {len(bodies):,} objects judged and offered",
        "-",
        ours.cpu / floor.cpu,
        f"{rate(len(bodies), ours.wall)}, CPU {ms(ours.cpu)}",
        f"decoding the same bodies: CPU {ms(floor.cpu)}",
    )


def _pull(north: Stand, south: Stand, server: Server, bodies: Sequence[bytes], parsed: int) -> Row:
    taken: list[PullReport] = []
    served = server.cpu()
    ours = measured(lambda: taken.extend(_round(south)))
    served = server.cpu() - served
    if taken[-1].outcomes["stored"] != len(bodies):
        raise RuntimeError(f"south took {taken[-1].outcomes} of {len(bodies)}")
    floor = measured(lambda: _taxii2_client_and_stix2(north, server, parsed))
    return Row(
        f"pull of {len(bodies):,} into an empty node, judged",
        ">= 10x the rate",
        (floor.wall / parsed) / (ours.wall / len(bodies)),
        f"{rate(len(bodies), ours.wall)}, CPU {ms(ours.cpu)}; serving them {ms(served)}",
        f"taxii2-client + stix2.parse of {parsed:,}: {rate(parsed, floor.wall)}, CPU {ms(floor.cpu)}",
    )


def _quiet(south: Stand, server: Server, rounds: int) -> Row:
    def quiet() -> None:
        (report,) = _round(south)
        if report.moved or report.unfinished:
            raise RuntimeError(f"the round was not quiet: {report}")

    quiet()  # the first one says that what was pulled is stored, and north writes that down once
    asked, served = server.requests(), server.cpu()
    ours = [measured(quiet) for _ in range(rounds)]
    served, asked = (server.cpu() - served) / rounds, server.requests() - asked
    cpu = sum(figure.cpu for figure in ours) / rounds
    floor = _mean([measured(lambda: server.get("/bare/empty")) for _ in range(rounds)])
    return Row(
        "sync with nothing new",
        "1 request, <= 3 ms CPU on both sides",
        None,
        f"{asked / rounds:.2f} requests, CPU {ms(cpu + served)} (client {ms(cpu)}, server {ms(served)})",
        f"one empty request: client CPU {ms(floor.cpu)}",
    )


def _partner_page(north: Stand, password: str, rounds: int) -> Row:
    soc, partner = north.headers, north.headers | {"Authorization": basic("south-node", password)}

    def page(headers: dict[str, str]) -> Callable[[], None]:
        def get() -> None:
            north.headers = headers
            status, body = north.call("GET", OBJECTS)
            if status != 200:
                raise RuntimeError(f"{status}: {body[:200]!r}")

        return get

    floor = _mean([measured(page(soc)) for _ in range(rounds)])
    ours = _mean([measured(page(partner)) for _ in range(rounds)])
    north.headers = soc
    return Row(
        "page of 1,000 of a feed, judged again",
        "-",
        ours.cpu / floor.cpu,
        f"CPU {ms(ours.cpu)}, wall {ms(ours.wall)}",
        f"the same page for a SOC account: CPU {ms(floor.cpu)}",
    )


def _round(south: Stand) -> list[PullReport]:
    link = south.door.link(f"north/{ALIAS}/in")
    assert link is not None
    (binding,) = south.settings.partners
    found = worker.sync_once(
        south.door,
        [link],
        lambda _name: Partner(binding, now=clock.now),
        holder="bench",
        now=clock.now,
        pause=lambda _seconds: False,
    )
    return [report for report in found if isinstance(report, PullReport)]


def _taxii2_client_and_stix2(north: Stand, server: Server, wanted: int) -> None:
    address = f"http://127.0.0.1:{server.port}/api/collections/{COLLECTION}/"
    collection = Collection(address, user="soc", password=north.token)
    try:
        done = 0
        for page in as_pages(collection.get_objects, per_request=min(1_000, wanted)):
            for each in page["objects"]:
                stix2.parse(each, allow_custom=True, version="2.1")
                done += 1
                if done == wanted:
                    return
    finally:
        collection.close()
    raise RuntimeError(f"{done} objects came of {wanted}")


def _mean(figures: Sequence[Figure]) -> Figure:
    return Figure(
        sum(each.cpu for each in figures) / len(figures), sum(each.wall for each in figures) / len(figures)
    )
