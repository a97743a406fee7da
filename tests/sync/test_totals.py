"""Daily totals say what the reports, the arrivals and the feeds say, whatever happened on the way.

A random exchange: north pushes what it gives and pulls what south gives, so that each of the four ways of
counting is one link. Objects that may go and may not, restated, revoked and foreign; lost answers, refusals,
and partners that begin a new history.
"""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
import sqlalchemy as sa

from node.exchange import feed_rows, history
from node.exchange.history import CONSIDERED, MOVED
from node.sync import bookmarks
from node.sync.reports import PullReport, PushReport, ServeReport
from tests.support.builders import NORTH_ID, SOUTH_ID, an_identity, an_indicator
from tests.support.databases import opened
from tests.support.two_nodes import renew_history, two_nodes

STEPS = 14
_ARRIVALS = sa.text("select link, counts from arrival where link <> ''")


def exchanged(databases, folder, seed: int):
    """The two nodes after a random exchange, and all reports of north."""
    chance = random.Random(seed)
    pair = two_nodes(databases, folder, flow_carry={"north": "push", "south": "pull"})
    reports = []
    for step in range(STEPS):
        for centre, author in ((pair.north, NORTH_ID), (pair.south, SOUTH_ID)):
            bodies = [a_body(chance, author) for _ in range(chance.randrange(4))]
            centre.bring(*dict.fromkeys(bodies), restate=chance.random() < 0.3)
        if chance.random() < 0.3:
            pair.north.wire.lost_answers = 1
        if step in (6, 10):
            renew_history(chance.choice([pair.north, pair.south]), f"again {step}")
        pair.tick(3_600)
        reports += pair.north.sync()
        if chance.random() < 0.5:
            pair.south.sync()
    pair.north.wire.lost_answers = 0
    for _ in range(3):
        pair.tick(3_600)
        reports += pair.north.sync()
        pair.south.sync()
    return pair, reports


def a_body(chance: random.Random, author: str) -> bytes:
    name = chance.randrange(8)
    if name == 0:
        return an_identity(chance.randrange(3))
    modified = f"2026-11-20T08:00:0{chance.randrange(4)}.000Z"
    changes = {"tlp": chance.choice(["green", "green", "amber"]), "modified": modified}
    if chance.random() < 0.2:
        changes["revoked"] = True
    # What bears the other's name is a foreign edit there.
    author = chance.choice([author, author, NORTH_ID, SOUTH_ID])
    return an_indicator(
        f"{author[10:14]} {name}", author=author, description=f"{chance.random() < 0.5}", **changes
    )


def totals(centre) -> dict[str, Counter[str]]:
    """Link -> its counters, over all days."""
    found: dict[str, Counter[str]] = {}
    with centre.database.reading() as tx:
        for one in history.totals(tx, 0, 100_000):
            found.setdefault(one.link, Counter())[one.counter] += one.number
    return found


def reported(reports) -> dict[str, Counter[str]]:
    """Link -> what the reports of its rounds say."""
    found: dict[str, Counter[str]] = {}
    for report in reports:
        counts = Counter(report.counts)
        if isinstance(report, PullReport):
            counts["duplicate"] -= report.overlap
        found.setdefault(report.link, Counter()).update(counts)
    return found


def check(pair, reports) -> None:
    """Every way of counting says the same.

    Raises:
        AssertionError: Two differ.
    """
    north, south = totals(pair.north), totals(pair.south)
    said = reported(reports)
    assert said["south/indicators/in"] == north["south/indicators/in"]
    assert {**said["south/indicators/out"]} == {**dropped(north["south/indicators/out"], "offered")}
    for centre, mine in ((pair.north, north), (pair.south, south)):
        link = f"{centre.other}/indicators/in"
        assert arrived(centre)[link] == mine[link]
        assert in_runs(centre, link) == {name: mine[link][name] for name in MOVED if mine[link][name]}
    fetched = south["north/indicators/out"]
    assert in_runs(pair.south, "north/indicators/out")["sent"] == fetched["sent"]
    assert min(fetched["offered"], fetched["sent"], fetched["withheld"]) > 0
    with pair.south.database.reading() as tx:
        states = feed_rows.states(tx, "north/indicators/out")
    assert fetched["sent"] >= sum(states.get(each, (0, 0))[0] for each in (feed_rows.SENT, feed_rows.OUT))


def dropped(counts: Counter[str], name: str) -> Counter[str]:
    return Counter({each: number for each, number in counts.items() if each != name})


def arrived(centre) -> dict[str, Counter[str]]:
    """Link -> the counts of its arrivals."""
    found: dict[str, Counter[str]] = {}
    with centre.database.reading() as tx:
        for link, counts in tx.rows(_ARRIVALS):
            found.setdefault(link, Counter()).update(json.loads(counts))
    return found


def in_runs(centre, link: str) -> Counter[str]:
    """What the runs of a link moved."""
    found: Counter[str] = Counter()
    with centre.database.reading() as tx:
        for run in history.runs(tx, [link]):
            found.update({name: number for name, number in run.counts.items() if name in MOVED})
    return found


@pytest.fixture(scope="module")
def once(request, tmp_path_factory):
    """The two nodes after one random exchange, and all reports of north; nobody changes them."""
    folders = [tmp_path_factory.mktemp(name) for name in ("north", "south")]
    with opened(request, "sqlite", folders[0]) as north, opened(request, "sqlite", folders[1]) as south:
        yield exchanged((north, south), tmp_path_factory.mktemp("once"), 1)


@pytest.mark.parametrize("seed", [1, 6])
def test_totals_add_up_with_reports_arrivals_feeds_and_runs(two_databases, tmp_path, seed):
    pair, reports = exchanged(two_databases, tmp_path, seed)

    check(pair, reports)
    seen = (
        sum(map(Counter, totals(pair.north).values()), Counter()) + totals(pair.south)["north/indicators/in"]
    )
    assert {"stored", "duplicate", "restated", "quarantined", "sent", "withheld", "unconfirmed"} <= set(seen)


@pytest.mark.parametrize("counter", ["duplicate", "sent", "unconfirmed", "withheld"])
def test_control_a_counter_that_is_left_out_is_noticed(once, monkeypatch, counter):
    totals_of = history.totals

    def forgetful(*given):
        return [one for one in totals_of(*given) if one.counter != counter]

    check(*once)
    monkeypatch.setattr(history, "totals", forgetful)
    with pytest.raises(AssertionError):
        check(*once)


def test_control_a_counter_that_is_never_written_is_noticed(two_sqlite_databases, tmp_path, monkeypatch):
    count = history.count

    def forgetful(tx, link, counts, *, now):
        count(tx, link, {name: number for name, number in counts.items() if name != "unconfirmed"}, now=now)

    monkeypatch.setattr(history, "count", forgetful)
    pair, reports = exchanged(two_sqlite_databases, tmp_path, 1)
    with pytest.raises(AssertionError):
        check(pair, reports)


def test_every_counter_of_a_report_is_a_counter_of_the_totals():
    push = PushReport("south/indicators/out", **dict.fromkeys((*CONSIDERED, "considered"), 1))

    assert set(push.counts) == set(CONSIDERED)
    assert ServeReport("south/indicators/out", entered=1, withheld=2).counts == {"offered": 1, "withheld": 2}


def test_what_a_partner_fetches_again_is_counted_once(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path)
    pair.south.bring(*(an_indicator(n, tlp="green", author=SOUTH_ID) for n in range(3)))
    pair.north.sync("in")
    with pair.north.database.writing() as tx:
        bookmarks.forget(tx, "south/indicators/in")
    pair.north.sync("in")

    assert totals(pair.south)["north/indicators/out"] == {"offered": 3, "sent": 3}
    assert totals(pair.north)["south/indicators/in"] == {"stored": 3, "duplicate": 3}


def test_a_quiet_round_writes_the_states_of_the_links_alone(two_sqlite_databases, tmp_path):
    pair, _ = exchanged(two_sqlite_databases, tmp_path, 3)
    before = [each.tables(without=["link", "reading"]) for each in (pair.north, pair.south)]
    pair.round()

    assert [each.tables(without=["link", "reading"]) for each in (pair.north, pair.south)] == before
