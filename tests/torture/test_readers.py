"""Readers who follow a collection miss nothing and see nothing twice, however many write to it.

Sixteen writing and four reading processes on one database (`crowd.py`); then a smaller crowd over HTTP,
against a server of two processes.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import requests

from node import clock
from node.exchange import feed_rows, feeds
from node.store.database import Database
from node.taxii.protocol import MEDIA_TYPE
from tests.support.builders import an_id, an_indicator
from tests.support.nodes import EVERYTHING, OUT, Node, a_node
from tests.support.real_nodes import ROOT
from tests.support.served import a_served, an_envelope, live_server
from tests.torture.crowd import TERMS, Plan, Seen, a_body

CROWD_SECONDS = 100


def a_crowd(database: Database, folder: Path, **changes: object) -> list[Seen]:
    """What each reader of a crowd saw."""
    a_node(database, **TERMS)
    plan = replace(Plan(database.url, str(folder)), **changes)
    file = folder / "plan.json"
    file.write_text(json.dumps(asdict(plan)), encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "tests.torture.crowd", str(file)],
        capture_output=True,
        text=True,
        timeout=CROWD_SECONDS,
        cwd=ROOT,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    seen = [Seen(**json.loads(line)) for line in ended.stdout.splitlines()]
    assert len(seen) == plan.readers
    return seen


def test_readers_among_sixteen_writers_miss_nothing_and_see_nothing_twice(database, tmp_path):
    seen = a_crowd(database, tmp_path)
    every = len(Plan("", "").ids())
    assert [each.read for each in seen] == [every] * 4
    assert {(each.missing, each.repeated, each.disordered, each.unsteady) for each in seen} == {(0, 0, 0, 0)}
    assert min(each.requests for each in seen) > 20, "the readers did not read while others wrote"


def test_control_dates_taken_outside_the_lock_make_readers_miss_objects(database, tmp_path):
    seen = a_crowd(database, tmp_path, outside=True, batches=8)
    assert sum(each.missing for each in seen) > 0


def test_partners_who_read_and_advance_one_feed_miss_nothing_and_see_nothing_twice(database, tmp_path):
    seen = a_crowd(database, tmp_path, feed=True, writers=8, batches=10)
    every = len(Plan("", "", writers=8, batches=10).ids())
    assert [each.read for each in seen] == [every] * 4
    assert {(each.missing, each.repeated, each.disordered, each.unsteady) for each in seen} == {(0, 0, 0, 0)}


def the_reader_of_a_feed(node: Node) -> list[str]:
    """What a partner sees in two pages, between which another process advanced by an earlier clock."""
    early = node.moment()
    node.bring(an_indicator("first", tlp="green"))
    first = node.served().records
    node.bring(an_indicator("second", tlp="green"))
    feeds.advance(node.door, node.link(OUT), now=early)
    second = node.served(selection=replace(EVERYTHING, after=first[-1].added)).records
    return [record.stix_id for record in first + second]


def test_a_feed_that_is_advanced_by_an_earlier_clock_hides_nothing(database):
    assert the_reader_of_a_feed(a_node(database)) == [an_id("indicator", n) for n in ("first", "second")]


def test_control_offers_dated_without_the_feeds_lock_hide_an_object(database, monkeypatch):
    lock = feed_rows.lock
    monkeypatch.setattr(feed_rows, "lock", lambda *of, **more: lock(*of, **more)._replace(last_offered=0))
    assert the_reader_of_a_feed(a_node(database)) == [an_id("indicator", "first")]


WRITERS, READERS, POSTS, OBJECTS = 4, 2, 12, 8


def test_two_workers_under_readers_and_writers_miss_nothing_and_fail_never(database, tmp_path):
    """Over a real server of two processes: every answer is 200 or 202, whatever the other process does."""
    node = a_served(database, tmp_path)
    with_its_address(tmp_path / "config.toml", database)
    node.clock.now = clock.now()
    soc = node.soc()
    expected = {
        an_id("indicator", f"{writer} {n}") for writer in range(WRITERS) for n in range(POSTS * OBJECTS)
    }
    written = threading.Event()
    who = (soc.name, soc.token)
    with live_server(tmp_path / "config.toml", workers=2) as address, ThreadPoolExecutor() as crowd:
        url = f"{address}/api/collections/indicators/"
        readers = [crowd.submit(follow, url, who, number, written) for number in range(READERS)]
        writers = [crowd.submit(post, url, who, number) for number in range(WRITERS)]
        try:
            for writer in writers:
                writer.result()
        finally:
            written.set()
        found = [reader.result() for reader in readers]
    for records in found:
        assert [stix_id for stix_id, _ in records if stix_id not in expected] == []
        assert len(records) == len(expected)
        assert {stix_id for stix_id, _ in records} == expected
        dates = [date for _, date in records]
        assert dates == sorted(set(dates))


def with_its_address(config: Path, database: Database) -> None:
    """Let a configuration name the very database; the server of tests has no password to betray."""
    address = database._writer.url._replace(drivername=database.dialect, password=None)
    text = config.read_text(encoding="utf-8")
    named = text.replace("postgresql://north@localhost/north", address.render_as_string())
    config.write_text(named, encoding="utf-8")


def post(url: str, who: tuple[str, str], writer: int) -> None:
    with session(who) as client:
        for number in range(POSTS):
            bodies = [a_body(writer, number * OBJECTS + each) for each in range(OBJECTS)]
            headers = {"Content-Type": MEDIA_TYPE}
            answer = client.post(f"{url}objects/", data=an_envelope(bodies), headers=headers, timeout=30)
            assert answer.status_code == 202, answer.text
            assert answer.json()["success_count"] == OBJECTS


def follow(url: str, who: tuple[str, str], number: int, written: threading.Event) -> list[tuple[str, str]]:
    """Every (id, date) of the manifest, read to its end by `next` and `added_after` in any mix."""
    chance = random.Random(number)
    records: list[tuple[str, str]] = []
    params: dict[str, str] = {}
    with session(who) as client:
        while True:
            ended = written.is_set()
            page = answered(client, f"{url}manifest/", {**params, "limit": str(chance.choice([1, 5, 50]))})
            entries = page.json().get("objects", [])
            records += [(entry["id"], entry["date_added"]) for entry in entries]
            if entries:
                last = page.headers["X-TAXII-Date-Added-Last"]
                by_next = page.json().get("more") and chance.random() < 0.5
                params = {"next": page.json()["next"]} if by_next else {"added_after": last}
            elif ended:
                return records


def answered(client: requests.Session, url: str, params: Mapping[str, str]) -> requests.Response:
    answer = client.get(url, params=params, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer


def session(who: tuple[str, str]) -> requests.Session:
    client = requests.Session()
    client.trust_env = False
    client.auth = who
    client.headers["Accept"] = MEDIA_TYPE
    return client


@pytest.mark.parametrize("size", [1, 25])
def test_the_plan_of_a_crowd_brings_every_id_once(size):
    plan = Plan("", "", writers=3, batches=size)
    assert len(plan.ids()) == sum(sum(plan.sizes(writer)) for writer in range(3))
