"""Look at what a power cut left, with the driver and the start that the node really has.

lost    an acknowledged object, deletion or other act is not there
torn    a part of a transaction is there without the rest of it
broken  SQLite, `stixnode check` or the next start find a fault; a new date is not later than the old ones
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from node import web
from node.cli import checks
from node.config import load_settings
from node.errors import NodeError
from node.exchange import ingress
from node.exchange.ingress import Source
from node.store import catalog
from node.store.database import Database, Tx
from tests.support.builders import NORTH_ID, an_indicator
from tests.torture.power import lives
from tests.torture.power.books import content, disagreements
from tests.torture.power.lives import Life, PowerCut
from tests.torture.power.promises import Content, Promises

_OBJECTS = sa.text('select stix_id, version_text, body from "object"')
_INTEGRITY = sa.text("pragma integrity_check")
_FOUNDED = sa.text("select 1 from sqlite_master where name = 'object'")
_AFTER = an_indicator("after the power cut", author=NORTH_ID, tlp="green")
CONFIG = "config.toml"


@dataclass(slots=True)
class Verdict:
    """What is wrong after one power cut; nothing, if all is well."""

    where: str
    lost: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.lost or self.torn or self.broken)


def judge(life: Life, cut: PowerCut, home: Path, *, start: bool = True) -> Verdict:
    """What is wrong with what a power cut left.

    Args:
        life: In which it happened.
        cut: What it left.
        home: A folder with the node's configuration, where the database is laid down.
        start: Whether `stixnode check` looks at it too, and the node starts on it and goes on.
    """
    lives.lay_down(home, cut.files)
    lives.lay_down_marks(home, cut.promises.marks)
    act = cut.promises.act
    verdict = Verdict(f"call {cut.number}, {f'in {act.name}' if act else 'between two acts'}")
    try:
        with closing(Database(f"sqlite:///{home / lives.DATABASE}")) as database:
            with database.reading() as tx:
                verdict.broken += [line for (line,) in tx.rows(_INTEGRITY) if line != "ok"]
                founded = bool(tx.rows(_FOUNDED))
                _look(tx, life, cut, verdict, founded=founded)
            if start and founded:
                verdict.broken += _checked(home, cut.promises.now)
                verdict.broken += _started(home, database, cut.promises)
    except (NodeError, ValueError) as cause:  # a text that was cut apart is no JSON, and no date
        verdict.broken.append(f"it cannot be read: {cause}")
    return verdict


def found_objects(tx: Tx) -> Content:
    """The bytes of every object that is there."""
    return {(stix_id, version): bytes(body) for stix_id, version, body in tx.rows(_OBJECTS)}


def state_of(tx: Tx) -> bytes:
    """Everything that is there, as one digest."""
    return content(lambda query: tx.rows(sa.text(query)))


def _look(tx: Tx, life: Life, cut: PowerCut, verdict: Verdict, *, founded: bool) -> None:
    promises = cut.promises
    state = state_of(tx)
    if state not in {*promises.states[promises.safe :], cut.under_way}:
        if state in promises.states:
            number = promises.states.index(state)
            verdict.lost.append(f"commit {number} is the last, and commit {promises.safe} was acknowledged")
        else:
            verdict.torn.append("the database is as it never was after a commit")
    if not founded:
        return
    found = found_objects(tx)
    verdict.lost += promises.broken(found)
    verdict.torn += promises.unasked(found)
    verdict.torn += disagreements(tx, life.offered)
    verdict.broken += _dates_back(tx, promises)


def _dates_back(tx: Tx, promises: Promises) -> list[str]:
    return [
        f"the dates of {each.alias} end at {each.last_added}; {promises.shown[each.alias]} was seen"
        for each in catalog.collections(tx)
        if each.last_added < promises.shown.get(each.alias, 0)
    ]


def _checked(home: Path, now: int) -> list[str]:
    """What `stixnode check` finds; it opens the database for itself."""
    return [
        f"check: {found.name}: {found.text}"
        for found in checks.look(str(home / CONFIG), now=now)
        if found.code
    ]


def _started(home: Path, database: Database, promises: Promises) -> list[str]:
    """What is wrong when the node starts on what was found, and lets an object in."""
    with database.reading() as tx:
        before = {each.alias: each.epoch for each in catalog.collections(tx)}
    door = web.prepare(load_settings(home / CONFIG, {}), database)
    with database.writing() as tx:
        collection = catalog.lock(tx, 1)
        source = Source("import", "os:test")
        ingress.admit(tx, door, collection, [_AFTER], source, arrival_id=None, now=promises.now)
    with database.reading() as tx:
        after = catalog.collections(tx)
    wrong = [f"a new history of {each.alias} began" for each in after if each.epoch != before[each.alias]]
    last = next(each.last_added for each in after if each.collection_id == 1)
    if last <= promises.shown.get(collection.alias, 0):
        wrong.append(f"a new object has the date {last}, which was given before")
    return wrong
