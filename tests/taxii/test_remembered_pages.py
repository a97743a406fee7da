"""A page that is remembered is the page that the database would give, whoever wrote meanwhile.

Whatever is written between two equal requests, the second answer is compared with one that comes from the
database alone. Each writer has its control: the part of the key without which an old page would be shown.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import pytest
import sqlalchemy as sa

from node.exchange import egress, ingress, quarantine, retention, worklist
from node.exchange.ingress import Source
from node.store import catalog
from node.store.catalog import Collection
from node.store.database import Database, Tx
from node.taxii.cache import Key, Sheet, Sheets
from node.taxii.face import EXTENSION
from tests.support.agreements import MITRE
from tests.support.builders import (
    LATER,
    NORTH_ID,
    a_malware,
    a_marking_definition,
    an_id,
    an_indicator,
)
from tests.support.nodes import IN, Node, a_node
from tests.support.served import Client, Served, a_served, an_exchange

MOST = 1 << 20
EARLIER, MUCH_LATER = "2026-11-20T07:00:00.000Z", "2026-11-20T10:00:00.000Z"
MARKING = an_id("marking-definition")
ALL_VERSIONS = "objects/?match[version]=all&match[spec_version]=2.0,2.1&limit=4"
QUESTIONS = (
    "objects/?limit=2",
    "objects/?limit=7",
    "objects/",
    "manifest/?limit=3",
    ALL_VERSIONS,
    "objects/?match[version]=first&limit=5",
    "objects/?match[type]=indicator,malware&limit=3",
    "manifest/?match[type]=malware",
)


class Watched(Sheets):
    """Pages that count how often one was remembered."""

    hits = 0

    def find(self, key: Key, newest: int) -> Sheet | None:
        found = super().find(key, newest)
        self.hits += found is not None
        return found


class WithoutGenerations(Watched):
    def find(self, key: Key, newest: int) -> Sheet | None:
        return super().find(_without_generations(key), newest)

    def keep(self, key: Key, sheet: Sheet) -> None:
        super().keep(_without_generations(key), sheet)


def _without_generations(key: Key) -> Key:
    return key._replace(rewritten=0, superseded=0)


class WithoutPosition(Watched):
    def find(self, key: Key, newest: int) -> Sheet | None:
        held = self._sheets.get(key)
        return super().find(key, newest if held is None else held.newest)


class WithoutEyes(Watched):
    def find(self, key: Key, newest: int) -> Sheet | None:
        return super().find(key._replace(visibility="", flows=None), newest)

    def keep(self, key: Key, sheet: Sheet) -> None:
        super().keep(key._replace(visibility="", flows=None), sheet)


class WithoutFlows(Watched):
    def find(self, key: Key, newest: int) -> Sheet | None:
        return super().find(key._replace(flows=None), newest)

    def keep(self, key: Key, sheet: Sheet) -> None:
        super().keep(key._replace(flows=None), sheet)


class WithoutHistory(Watched):
    def find(self, key: Key, newest: int) -> Sheet | None:
        return super().find(key._replace(epoch="", instance=""), newest)

    def keep(self, key: Key, sheet: Sheet) -> None:
        super().keep(key._replace(epoch="", instance=""), sheet)


@dataclass
class Stand:
    """A node with objects of many kinds, and three accounts that read it with different eyes."""

    node: Node
    served: Served
    readers: list[Client]

    @property
    def sheets(self) -> Watched:
        found = self.served.face.sheets
        assert isinstance(found, Watched)
        return found

    def remember(self, sheets: Sheets) -> None:
        self.served.app.extensions[EXTENSION] = replace(self.served.face, sheets=sheets)

    def answers(self) -> dict[tuple[str, str], tuple[int, bytes, str | None]]:
        found = {}
        for reader in self.readers:
            for question in QUESTIONS:
                answer = reader.send("GET", f"indicators/{question}")
                last = answer.headers.get("X-TAXII-Date-Added-Last")
                found[reader.name, question] = (answer.status_code, answer.data, last)
        return found

    def stale(self) -> list[tuple[str, str]]:
        """What is answered from memory and differs from what the database says."""
        remembered, sheets = self.answers(), self.sheets
        self.remember(Sheets(0))
        true = self.answers()
        self.remember(sheets)
        return [asked for asked, answer in true.items() if remembered[asked] != answer]


def a_stand(database: Database, folder: Path, sheets: Sheets) -> Stand:
    served = a_served(database, folder, definitions=())
    node = a_node(database, collections=("indicators", "techniques"), keep_days=300)
    served.collections = {alias: node.collection(alias) for alias in ("indicators", "techniques")}
    served.clock.now = node.now
    readers = [
        served.account(name, read=["indicators"], clearance=clearance, audience=audience)
        for name, clearance, audience in (
            ("all", 4, ["state-bodies"]),
            ("green", 1, ["state-bodies"]),
            ("banks", 4, ["banks"]),
        )
    ]
    node.bring(*(an_indicator(number, tlp="green", author=NORTH_ID) for number in range(4)))
    node.bring(an_indicator("old", tlp="green"), an_indicator("old", tlp="green", modified=LATER))
    node.bring(a_malware(tlp="green", author=MITRE))
    node.bring(an_indicator("named", object_marking_refs=[MARKING]), an_indicator("red", tlp="red"))
    stand = Stand(node, served, readers)
    stand.remember(sheets)
    return stand


class Act(NamedTuple):
    """Something that is written, and the fault that would show an old page after it."""

    does: Callable[[Node], object]
    fault: type[Watched]
    before: Callable[[Node], object] = lambda _node: None


def _erase(node: Node) -> None:
    assert retention.erase_due(node.door, now=node.now + 301 * retention.DAY)


def _accept(node: Node) -> None:
    with node.database.writing() as tx:
        (entry,) = quarantine.entries(tx)
        catalog.lock(tx, entry.collection_id)
        worklist.accept(tx, node.door, entry.entry, actor="person:op", reason="looked at", now=node.moment())
    ingress.afterwards(node.door, now=node.now)


def _narrow(node: Node) -> None:
    with node.database.writing() as tx:
        (name,) = [name for number, (name, _) in catalog.flows(tx).items() if number]
        catalog.flow_number(tx, name, ["banks"])


def _begin_anew(node: Node) -> None:
    with node.database.writing() as tx:
        catalog.renew_node(tx, instance="another", secret=bytes(32), server_identity="")
        number = node.collection().collection_id
        catalog.renew_epoch(tx, number, epoch="another", at_least=node.moment())


def _tighten_from_elsewhere(node: Node) -> None:
    """A stricter version in another collection, before anything was done for the pages of this one."""
    body = an_indicator(0, tlp="red", author=NORTH_ID, modified=LATER)
    with node.database.writing() as tx:
        collection = catalog.lock(tx, node.collection("techniques").collection_id)
        source = Source("import", "os:tester")
        ingress.admit(tx, node.door, collection, [body], source, arrival_id=None, now=node.moment())


def _brought(*bodies: bytes, **how: object) -> Callable[[Node], object]:
    return lambda node: node.bring(*bodies, **how)


PUBLIC = {"author": MITRE, "tlp": "green"}
ACTS = {
    "a further object": Act(_brought(a_malware("new", tlp="green")), WithoutPosition),
    "a newer version": Act(
        _brought(an_indicator(0, tlp="green", author=NORTH_ID, modified=LATER)), WithoutGenerations
    ),
    "an older version, late": Act(
        _brought(an_indicator("old", tlp="green", created=EARLIER, modified=EARLIER)), WithoutGenerations
    ),
    "a version between one that is seen and one that is not": Act(
        _brought(a_malware(**PUBLIC, modified=LATER)),
        WithoutGenerations,
        before=_brought(a_malware(**PUBLIC, modified=MUCH_LATER), by=IN),
    ),
    "a revoked version": Act(
        _brought(an_indicator(1, author=NORTH_ID, tlp="green", modified=LATER, revoked=True)),
        WithoutGenerations,
    ),
    "other bytes under the same version": Act(
        _brought(an_indicator(0, tlp="green", author=NORTH_ID, description="restated"), restate=True),
        WithoutGenerations,
    ),
    "a deletion": Act(lambda node: node.remove(an_id("indicator", 1)), WithoutGenerations),
    "a deletion of the newest version": Act(
        lambda node: node.remove(an_id("indicator", "old"), egress.Versions()), WithoutGenerations
    ),
    "what was set aside is accepted": Act(
        _accept,
        WithoutGenerations,
        before=_brought(an_indicator(3, author=NORTH_ID, tlp="green", modified=LATER), by=IN),
    ),
    "a marking definition": Act(_brought(a_marking_definition(tlp="green")), WithoutGenerations),
    "a marking definition that is deleted": Act(
        lambda node: node.remove(MARKING), WithoutGenerations, before=_brought(a_marking_definition())
    ),
    "a marking definition in another collection": Act(
        _brought(a_marking_definition(), into="techniques"), WithoutGenerations
    ),
    "a newer version that is stricter": Act(
        _brought(an_indicator(0, tlp="red", author=NORTH_ID, modified=LATER)), WithoutGenerations
    ),
    "a stricter version in another collection, worked in": Act(
        _brought(an_indicator(0, tlp="red", author=NORTH_ID, modified=LATER), into="techniques"),
        WithoutGenerations,
    ),
    "the first rows of a flow": Act(_brought(a_malware("theirs", tlp="green"), by=IN), WithoutPosition),
    "an audience that changes": Act(
        _narrow, WithoutFlows, before=_brought(a_malware("theirs", tlp="green"), by=IN)
    ),
    "a new history": Act(_begin_anew, WithoutHistory),
    "retention": Act(_erase, WithoutGenerations),
}


@pytest.fixture
def stand(database, tmp_path):
    return a_stand(database, tmp_path, Watched(MOST))


def test_what_is_asked_again_is_remembered_and_the_same(sqlite_database, tmp_path):
    stand = a_stand(sqlite_database, tmp_path, Watched(MOST))
    first = stand.answers()
    assert stand.sheets.hits == 0

    assert stand.answers() == first
    assert stand.sheets.hits == len(first)
    assert stand.stale() == []


def test_no_writer_leaves_an_old_page_behind(stand):
    for name, act in ACTS.items():
        act.before(stand.node)
        stand.answers()
        act.does(stand.node)
        assert stand.stale() == [], name
    assert stand.sheets.hits > 0


@pytest.mark.parametrize("name", ACTS)
def test_control_each_writer_shows_an_old_page_where_the_key_is_short(sqlite_database, tmp_path, name):
    act = ACTS[name]
    stand = a_stand(sqlite_database, tmp_path, act.fault(MOST))
    act.before(stand.node)
    stand.answers()
    act.does(stand.node)

    assert stand.stale() != []


def test_a_row_made_stricter_from_another_collection_is_gone_at_its_commit(stand):
    stand.answers()
    _tighten_from_elsewhere(stand.node)

    assert stand.stale() == []
    ingress.afterwards(stand.node.door, now=stand.node.now)
    assert stand.stale() == []


def test_control_without_the_task_a_row_made_stricter_elsewhere_would_still_be_shown(
    sqlite_database, tmp_path
):
    stand = a_stand(sqlite_database, tmp_path, Watched(MOST))
    stand.answers()
    _tighten_from_elsewhere(stand.node)
    with sqlite_database.writing() as tx:
        tx.run(sa.text("delete from rank_task"))

    assert stand.stale() != []


def test_control_eyes_that_are_left_out_show_one_reader_what_another_sees(sqlite_database, tmp_path):
    assert a_stand(sqlite_database, tmp_path, WithoutEyes(MOST)).stale() != []


def test_a_page_of_another_audience_has_a_next_of_its_own(sqlite_database, tmp_path):
    stand = a_stand(sqlite_database, tmp_path, Watched(MOST))
    other = stand.served.account("others", read=["indicators"], audience=["state-bodies", "more"])

    for reader in (stand.readers[0], other):
        token = reader.get("indicators/objects/", limit=2).json["next"]
        assert reader.get("indicators/objects/", limit=2, next=token).status_code == 200


def _seen_with_a_flow_that_begins_meanwhile(stand: Stand, *, until: int | None = None) -> str:
    """What a reader sees who may not see the flow, whose first rows come between the gate and the page."""
    read = egress.read_bodies

    def late(tx: Tx, collection: Collection, *given: object) -> object:
        stand.node.bring(a_malware("theirs", tlp="green"), by=IN)
        bounded = collection if until is None else replace(collection, last_added=until)
        return read(tx, bounded, *given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(egress, "read_bodies", late)
        seen = stand.readers[2].get("indicators/objects/").text
    assert an_id("malware", "theirs") in stand.readers[0].get("indicators/objects/").text
    return seen


def test_what_is_committed_after_a_request_began_is_not_on_its_page(stand):
    seen = _seen_with_a_flow_that_begins_meanwhile(stand)

    assert an_id("malware", "theirs") not in seen
    assert an_id("indicator", 0) in seen


def test_control_a_page_without_an_end_shows_a_new_flow_to_those_who_may_not_see_it(
    sqlite_database, tmp_path
):
    stand = a_stand(sqlite_database, tmp_path, Watched(MOST))

    assert an_id("malware", "theirs") in _seen_with_a_flow_that_begins_meanwhile(stand, until=2**62)


def test_a_page_asked_again_takes_one_statement(stand, monkeypatch):
    reader = stand.readers[0]
    reader.get("indicators/objects/", limit=2)
    asked: list[object] = []
    rows = Tx.rows

    def counted(tx: Tx, statement: object, **values: object) -> object:
        asked.append(statement)
        return rows(tx, statement, **values)

    monkeypatch.setattr(Tx, "rows", counted)
    assert reader.get("indicators/objects/", limit=2).status_code == 200
    assert len(asked) == 1
    assert reader.get("indicators/objects/", limit=1).status_code == 200
    assert len(asked) == 3


def test_a_partners_page_is_never_remembered(sqlite_database, tmp_path):
    node = an_exchange(sqlite_database, tmp_path)
    sheets = Watched(MOST)
    node.app.extensions[EXTENSION] = replace(node.face, sheets=sheets)
    node.admit([an_indicator(tlp="green")])
    partner = node.partner()

    for _ in range(2):
        assert an_id("indicator") in partner.get("indicators/objects/").text
    assert (len(sheets), sheets.hits) == (0, 0)


def test_a_page_of_named_ids_is_not_remembered(sqlite_database, tmp_path):
    stand = a_stand(sqlite_database, tmp_path, Watched(MOST))
    stand.readers[0].get("indicators/objects/", match_id=an_id("indicator", 0))
    stand.readers[0].get(f"indicators/objects/{an_id('indicator', 0)}/")
    assert len(stand.sheets) == 0


def test_the_packed_bytes_are_remembered_with_the_page(sqlite_database, tmp_path):
    stand = a_stand(sqlite_database, tmp_path, Watched(MOST))
    reader = stand.readers[0]
    plain = reader.get("indicators/objects/").data
    before = stand.sheets.size

    answers = [reader.get("indicators/objects/", headers={"Accept-Encoding": "gzip"}) for _ in range(2)]

    assert [gzip.decompress(each.data) for each in answers] == [plain, plain]
    assert {each.headers["Content-Encoding"] for each in answers} == {"gzip"}
    assert {int(each.headers["Content-Length"]) for each in answers} == {len(answers[0].data)}
    assert stand.sheets.size == before + len(answers[0].data)
    assert "Content-Encoding" not in reader.get("indicators/objects/").headers


def test_the_memory_is_that_of_the_configuration(sqlite_database, tmp_path):
    node = a_served(sqlite_database, tmp_path, limits={"page_cache_bytes": 0})
    node.admit([an_indicator()])
    soc = node.soc()
    for _ in range(2):
        assert soc.get("indicators/objects/").status_code == 200
    assert len(node.face.sheets) == 0
