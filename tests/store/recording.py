"""Every statement of the node's requests and of its door, with values as they were given: from a run.

A node with the partner south is asked everything that TAXII has, by SOC accounts with all and with few rights
and by the partner; its own people import, delete, accept and erase; its feeds are advanced and pushed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from node.exchange import (
    acknowledging,
    arrivals,
    books_told,
    compromise,
    feed_rows,
    finding,
    ingress,
    quarantine,
    quotas,
    retention,
    taking_back,
    value_index,
    vanished,
    withdrawals,
    worklist,
)
from node.exchange.compromise import Suspect
from node.exchange.egress import Versions
from node.exchange.ledger import Key
from node.exchange.taking_back import Order
from node.sharing.links import Stricter
from node.store import catalog
from node.store.database import Database, Statement, Tx
from tests.support.builders import (
    LATER,
    NORTH_ID,
    a_malware,
    a_marking_definition,
    a_relationship,
    an_id,
    an_identity,
    an_indicator,
    an_ipv4,
)
from tests.support.nodes import IN, OUT, Node, a_node
from tests.support.served import Client, a_served

ID = an_id("indicator")
_SOURCE = re.compile(r'\b(?:from|join|update|into)\s+"?(\w+)"?(?:\s+(?:as\s+)?(\w+))?', re.IGNORECASE)
# An automatic index is built from the whole table, each time.
_LITE_SCAN = re.compile(r"^(?:SCAN (?!CONSTANT|\()(?=\w+\b(?! VIRTUAL))|SEARCH (?=\w+ USING AUTOMATIC))(\w+)")


class Said(NamedTuple):
    """A statement in the words of the driver, and the values that it was given once."""

    text: str
    values: Mapping[str, Any]


@contextmanager
def _listening(found: dict[str, Said]) -> Iterator[None]:
    rows, run, many = Tx.rows, Tx.run, Tx.many

    def note(tx: Tx, statement: Statement, values: Mapping[str, Any]) -> None:
        text, constants = tx._words(statement)
        found.setdefault(text, Said(text, {**constants, **values}))

    def noted_rows(tx: Tx, statement: Statement, **values: Any) -> Any:
        note(tx, statement, values)
        return rows(tx, statement, **values)

    def noted_run(tx: Tx, statement: Statement, **values: Any) -> int:
        note(tx, statement, values)
        return run(tx, statement, **values)

    def noted_many(tx: Tx, statement: Statement, given: Sequence[Mapping[str, Any]]) -> int:
        if given:
            note(tx, statement, given[0])
        return many(tx, statement, given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tx, "rows", noted_rows)
        patch.setattr(Tx, "run", noted_run)
        patch.setattr(Tx, "many", noted_many)
        yield


def recorded(database: Database, folder: Path) -> dict[str, Said]:
    """Every statement of the run, by its text.

    Args:
        database: Migrated, with the node's row, and empty beside that.
        folder: For the configuration.
    """
    brakes = Stricter(max_new_in_per_day=1, max_revoked_percent_in_per_day=50)
    node = a_node(database, collections=("indicators", "techniques"), keep_days=300, stricter=brakes)
    served = a_served(database, folder, definitions=())
    served.collections = {alias: node.collection(alias) for alias in ("indicators", "techniques")}
    served.clock.now = node.now
    every = served.account("soc", read=["indicators"], write=["indicators"], audience=["state-bodies"])
    few = served.account("few", read=["indicators"], clearance=1)
    found: dict[str, Said] = {}
    with _listening(found):
        _written(node)
        for client in (every, few):
            _asked(client)
        _posted(every)
        _looked_for(node)
        _worked_off(node)
        _carried(node)
        _told(node)
        _taken_back(node)
    return found


def _written(node: Node) -> None:
    node.bring(*(an_indicator(number, tlp="green", author=NORTH_ID) for number in range(4)))
    node.bring(an_indicator(), an_identity(id=NORTH_ID), an_ipv4(), a_relationship(ID, an_id("malware")))
    node.bring(an_indicator(modified=LATER, object_marking_refs=[an_id("marking-definition")]))
    node.bring(an_indicator(modified=LATER, description="restated"), restate=True)
    node.bring(an_indicator(2, tlp="red", author=NORTH_ID, modified=LATER), into="techniques")
    node.bring(a_marking_definition(), into="techniques")
    with node.database.writing() as tx:
        quotas.allow(tx, "south", quotas.NEW, 100, actor="os:tester", now=node.now)
    node.bring(a_malware("theirs", tlp="green"), an_indicator(3, author=NORTH_ID, modified=LATER), by=IN)
    node.bring(a_malware("theirs", tlp="green"), by=IN)
    node.bring(a_malware("theirs", tlp="green", modified=LATER, revoked=True), by=IN)
    with node.database.reading() as tx:
        quotas.standing(tx, node.link(IN), now=node.now)
        quotas.held_back(tx)
    node.remove(an_id("indicator", 1))
    node.remove(ID, Versions())


def _asked(client: Client) -> None:
    for path in ("/taxii2/", "/api/", "/api/collections/", "indicators/", "nowhere/", "/healthz", "/readyz"):
        client.get(path)
    client.get("/api/", headers={"Authorization": f"Bearer sn_aaaaaaaaaa_{'a' * 43}"})
    many = ",".join(an_id("indicator", number) for number in range(40))
    questions: list[dict[str, object]] = [
        {},
        {"limit": 2},
        {"added_after": "2026-11-21T12:00:00Z"},
        {"match_id": ID},
        {"match_id": many},
        {"match_type": "indicator"},
        {"match_type": "indicator,malware"},
        {"match_spec_version": "2.0,2.1"},
        *({"match_version": each} for each in ("all", "first", "first,last", LATER, f"last,{LATER}")),
        {"match_version": "all", "match_spec_version": "2.0,2.1", "match_type": "malware"},
    ]
    for question in questions:
        for kind in ("objects", "manifest"):
            client.get(f"indicators/{kind}/", **question)
    token = client.get("indicators/objects/", limit=1).json["next"]
    client.get("indicators/objects/", limit=1, next=token)
    for path in (f"indicators/objects/{ID}/", f"indicators/objects/{ID}/versions/", "indicators/objects/x/"):
        client.get(path)


def _posted(client: Client) -> None:
    answer = client.post("indicators", [an_indicator("posted"), an_indicator("posted", modified=LATER)])
    client.get(f"/api/status/{answer.json['id']}/")
    client.post("indicators", [an_indicator("posted")])
    client.delete(f"indicators/objects/{an_id('indicator', 'posted')}/")
    client.get("/api/status/unknown/")


def _looked_for(node: Node) -> None:
    value_index.tend(node.door)
    with node.database.reading() as tx:
        finding.ids_of(tx, "198.51.100.3", limit=10)
        for what in ("q-0000000000", "00000000-0000-4000-8000-000000000000", an_id("tool")):
            finding.find(tx, node.door, what, limit=10)


def _worked_off(node: Node) -> None:
    names = ("tried", "mended", "left out")
    node.bring(*(an_indicator(each, tlp="amber") for each in names), by=IN)
    mended = an_indicator("mended", tlp="amber", description="mended")
    with node.database.writing() as tx:
        by_id = {one.stix_id: one for one in quarantine.entries(tx, links=[IN], reason="above_ceiling")}
        tried, edited, left = (by_id[an_id("indicator", each)] for each in names)
        how = {"actor": "person:op", "now": node.moment()}
        worklist.retry(tx, node.door, [tried.entry], **how)
        worklist.edit(tx, node.door, edited.entry, mended, reason="by phone", **how)
        worklist.discard(tx, left.entry, reason="spam", **how)
        quarantine.entries(tx, bodies=False)
        quarantine.groups(tx)
        brakes = replace(node.link(IN), stricter=Stricter(max_quarantine_objects=1))
        aside = quarantine.Aside(tried.key, tried.body, "invalid", "")
        quarantine.take(tx, brakes, tried.collection_id, [aside], arrival_id=1, now=node.now)
    worklist.look(node.door, tried.entry, now=node.moment())
    node.bring(an_indicator("mended", tlp="amber"), by=IN)


def _carried(node: Node) -> None:
    node.served()
    node.served(bodies=False)
    node.batch()
    with node.database.writing() as tx:
        entries = quarantine.entries(tx)
        for entry in entries[:1]:
            catalog.lock(tx, entry.collection_id)
            worklist.accept(tx, node.door, entry.entry, actor="person:op", reason="seen", now=node.moment())
    ingress.afterwards(node.door, now=node.now)
    assert node.offered(OUT)
    retention.erase_due(node.door, now=node.now + 301 * retention.DAY)


def _told(node: Node) -> None:
    number = node.collection().collection_id
    with node.database.writing() as tx:
        vanished.note(tx, IN, [Key(ID, "2.1", 1, b"d")], now=node.now)
        vanished.note(tx, IN, [], now=node.now)
        vanished.of_id(tx, ID)
        books_told.given(tx, OUT, books_told.START, 10)
        assert books_told.received(tx, IN, number, books_told.START, 10, epoch="")[0]


def _taken_back(node: Node) -> None:
    order = Order("person:op", "wrong", NORTH_ID)
    brought = node.admit(
        an_indicator("wrong", tlp="green", author=NORTH_ID), an_ipv4("198.51.100.9", tlp="green")
    )
    wrong = [an_id("indicator", "wrong"), json.loads(an_ipv4("198.51.100.9"))["id"]]
    with node.database.reading() as tx:
        found = arrivals.find(tx, brought.arrival_id)
        assert found is not None
        assert set(taking_back.ids_of_arrival(tx, found)) == set(wrong)
        chosen = taking_back.choose(tx, wrong)
    taking_back.withdraw(node.door, chosen.targets, order, now=node.moment)
    with node.database.writing() as tx:
        said = withdrawals.Acknowledgement(wrong[0], "south", node.now, "person:op", "by telephone")
        withdrawals.acknowledge(tx, [said])
        acknowledging.standings(tx, node.door.links, withdrawals.newest(tx))
        feed_rows.is_unconfirmed(tx, OUT, node.now)
        feed_rows.confirm(tx, OUT, node.now)
        withdrawals.lift(tx, wrong[1])
    since = node.moment()
    node.bring(a_malware("planted", tlp="green"), by=IN)
    node.bring(a_malware("theirs", tlp="green", description="planted"), by=IN)
    taken = compromise.take_out(
        node.door, Suspect("south", since), actor="os:op", now=node.moment, step=lambda _: None
    )
    assert taken.out == {"indicators": 2}


def read_whole(tx: Tx, said: Said) -> set[str]:
    """The tables that the database would read from end to end to carry a statement out."""
    values = said.values
    driver: Any = tx.connection.connection.driver_connection
    if tx.dialect == "sqlite":
        tables = {alias or table: table for table, alias in _SOURCE.findall(said.text)}
        plan = driver.execute(f"explain query plan {said.text}", values).fetchall()
        found = [match[1] for *_, line in plan if (match := _LITE_SCAN.match(line))]
        return {tables.get(alias, alias) for alias in found}
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", said.text)))
    generic = re.sub(r"%\((\w+)\)s", lambda match: f"${names.index(match[1]) + 1}", said.text)
    whole: set[str] = set()
    for asked, given in (
        (f"explain (costs off, format json) {said.text}", values),
        (f"explain (costs off, format json, generic_plan) {generic.replace('%%', '%')}", None),
    ):
        found = driver.execute(asked, given, prepare=False).fetchone()[0]
        for part in _parts((json.loads(found) if isinstance(found, str) else found)[0]["Plan"]):
            is_walk = part["Node Type"].startswith("Index") and "Index Cond" not in part
            if is_walk or part["Node Type"] == "Seq Scan":
                whole.add(part["Relation Name"])
    return whole


def _parts(part: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield part
    for inner in part.get("Plans", ()):
        yield from _parts(inner)
