"""Which index statements walk, on both databases, whatever the statistics say: the hot ones, then all.

Each is asked in three states: a database that was never analysed; one analysed as it is; and one whose
statistics know nothing of the collection and the link that are asked for, because they were analysed
before those existed. Every state has many rows of another collection and another link beside them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from node.exchange import feed_rows, history, ledger, quarantine
from node.exchange.ledger import Key
from node.store import objects, owners, pages, schema, values
from node.store.database import Database, Row, Spelled, Tx
from node.store.objects import NewRow
from tests.store.recording import Said, read_whole, recorded
from tests.support.builders import NOON
from tests.support.nodes import IN, OUT

STATES = ("never analysed", "analysed", "analysed before")
OLD, NEW = 1, 2
ROWS = 3_000
TYPES = ("indicator", "malware", "report")

KEYS = {"sqlite": "sqlite_autoindex_{}_1", "postgresql": "{}_pkey"}


def link_of(collection_id: int) -> str:
    return f"p{collection_id}/things/out"


def an_id(collection_id: int, number: int) -> str:
    return f"{TYPES[number % 3]}--{collection_id:08d}-0000-4000-8000-{number:012d}"


def a_row(collection_id: int, number: int) -> NewRow:
    return NewRow(
        collection_id=collection_id,
        added=NOON + 10 * number,
        version=NOON * 1_000 + number,
        rank=1,
        effective_rank=1,
        flow_id=0,
        arrival_id=1,
        versionless=False,
        observable=False,
        organisation=False,
        revoked=False,
        flagged=False,
        is_first=True,
        is_last=True,
        is_newest_spec=True,
        confidence=None,
        valid_until=None,
        stix_id=an_id(collection_id, number),
        version_text="2026-11-20T08:00:00.000Z",
        type=TYPES[number % 3],
        spec_version="2.1",
        created_by=None,
        origin="local",
        digest=number.to_bytes(32, "big"),
        body=b"{}" + b" " * 400,
    )


def fill(database: Database, collection_id: int) -> None:
    link = link_of(collection_id)
    numbers = range(ROWS)
    rows = [a_row(collection_id, number) for number in numbers]
    digests = [row.digest for row in rows]
    with database.writing() as tx:
        name = f"c{collection_id}"
        tx.insert(
            schema.collection,
            [(collection_id, name, name, name, "", "schema", 0, False, name, NOON + 10 * ROWS, 0, 0)],
        )
        objects.insert(tx, rows)
        tx.insert(schema.link, [(link, "south", False, "", "", None, None, None, None, 0, "", None, "")])
        tx.insert(schema.account, [(f"{name}-{each}", 4, "[]", "", None, NOON) for each in numbers])
        tx.insert(
            schema.token,
            [(f"{name}-{each}", f"{name}-{each}", None, NOON, None, b"h") for each in numbers],
        )
        tx.insert(schema.grant, [(f"{name}-{each}", collection_id, True, False) for each in numbers])
        owners.put_owners(tx, [owners.Owner(row.stix_id, "local", 1, row.version) for row in rows])
        feed_rows.put(
            tx,
            [
                feed_rows.FeedRow(
                    link,
                    row.added,
                    row.version,
                    collection_id,
                    0,
                    False,
                    False,
                    row.stix_id,
                    "2.1",
                    "",
                    each,
                    each,
                )
                for row, each in zip(rows, digests, strict=True)
            ],
        )
        values.put(
            tx,
            collection_id,
            [values.Line(each, NOON + 10 * each) for each in numbers],
            mark=NOON + 10 * ROWS,
        )
        ledger.note_received(
            tx,
            [
                ledger.ReceivedLine(
                    row.stix_id, "2.1", row.version, each, link, "partner", "stored", "", "epoch", 1, NOON
                )
                for row, each in zip(rows, digests, strict=True)
            ],
        )
        ledger.withhold(
            tx,
            [
                ledger.WithheldLine(
                    link,
                    row.stix_id,
                    "2.1",
                    row.version,
                    each,
                    "above_ceiling",
                    "It is.",
                    "None.",
                    None,
                    NOON,
                )
                for row, each in zip(rows, digests, strict=True)
            ],
        )


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def kind(request):
    return request.param


@pytest.fixture(scope="module", params=STATES)
def filled(request, kind, tmp_path_factory):
    """A database in one state, with the rows that all tests of it ask for."""
    if kind == "sqlite":
        template = request.getfixturevalue("_sqlite_template")
        path = tmp_path_factory.mktemp("plans") / "node.db"
        path.write_bytes(template.read_bytes())
        database, name = Database(f"sqlite:///{path}"), ""
        server = None
    else:
        server = request.getfixturevalue("postgresql_server")
        name = server.create(request.getfixturevalue("_postgresql_template"))
        database = Database(server.address(name))
    fill(database, OLD)
    if request.param == "analysed before":
        analyse(database)
    fill(database, NEW)
    if request.param == "analysed":
        analyse(database)
    yield database
    database.close()
    if server is not None:
        server.drop(name)


def analyse(database: Database) -> None:
    with database.migrating() as connection:
        connection.exec_driver_sql("analyze")


class Watched(Tx):
    """A reader that remembers the last statement it was given."""

    def __init__(self, tx: Tx) -> None:
        super().__init__(tx.connection, tx.dialect)
        self.statement = ""
        self.values: dict[str, Any] = {}

    def rows(self, statement: Any, **values: Any) -> list[Row]:
        if isinstance(statement, Spelled):
            statement = statement.sqlite if self.dialect == "sqlite" else statement.postgresql
        self.statement, self.values = str(statement), values
        return super().rows(statement, **values)

    def run(self, statement: Any, **values: Any) -> int:
        """A writing statement is only looked at."""
        assert isinstance(statement, Spelled)
        self.statement = str(statement.sqlite if self.dialect == "sqlite" else statement.postgresql)
        self.values = values
        return 0


def plans(database: Database, ask: Callable[[Tx], object]) -> list[str]:
    """How the database would carry out the last statement of a function: every plan it may choose."""
    with database.reading() as tx:
        watched = Watched(tx)
        ask(watched)
        text, values = watched.statement, watched.values
        if tx.dialect == "sqlite":
            return [_told(tx.rows(sa.text(f"explain query plan {text}"), **values))]
        driver: Any = tx.connection.connection.driver_connection
        numbers = {name: f"${number}" for number, name in enumerate(values, 1)}
        generic = re.sub(r"(?<!:):(\w+)", lambda match: numbers[match[1]], text)
        return [
            _told(tx.rows(sa.text(f"explain (costs off) {text}"), **values)),
            _told(driver.execute(f"explain (costs off, generic_plan) {generic}", prepare=False).fetchall()),
        ]


def _told(rows: Iterable[Sequence[object]]) -> str:
    return "\n".join(str(row[-1]) for row in rows)


def page(**changes: Any) -> Callable[[Tx], object]:
    asked = {
        "collection_id": NEW,
        "after": NOON,
        "limit": 101,
        "rank": 5,
        "flows": None,
        "ids": None,
        "type": None,
        "spec_versions": None,
        "first": False,
        "last": True,
        "every": False,
        "instants": (),
        "bodies": True,
    }
    return lambda tx: pages.read(tx, pages.Question(**{**asked, **changes}))


MANY = tuple(an_id(NEW, number) for number in range(0, ROWS, 30))
LINK = link_of(NEW)
FAR = NOON + 10 * ROWS

# what is asked -> the table it must not read whole, and the indexes it may search by
HOT: dict[str, tuple[Callable[[Tx], object], str, tuple[str, ...]]] = {
    "a page": (page(), "object", ("key", "object_live")),
    "a page for the lowest clearance": (page(rank=0), "object", ("key", "object_live")),
    "a page for a restricted audience": (page(flows=()), "object", ("key", "object_live", "object_id")),
    "a page of all versions": (
        page(every=True, last=False, spec_versions=("2.0", "2.1")),
        "object",
        ("key",),
    ),
    "an empty poll": (page(after=FAR), "object", ("key", "object_live")),
    "a manifest": (page(bodies=False), "object", ("key", "object_live")),
    "a page of one type": (page(type="report"), "object", ("object_type",)),
    "an object by id": (page(ids=MANY[:1]), "object", ("object_id",)),
    "an object by id after a date": (page(ids=MANY[:1], after=FAR - 50), "object", ("object_id",)),
    "a hundred objects by id": (page(ids=MANY), "object", ("object_id",)),
    "the rows of a batch": (lambda tx: objects.held_by_ids(tx, MANY), "object", ("object_id",)),
    "the rows of an id that become stricter": (
        lambda tx: objects.tighten_elsewhere(tx, MANY[0], rank=4, except_collection=OLD),
        "object",
        ("object_id",),
    ),
    "bodies by id": (lambda tx: objects.bodies_by_ids(tx, NEW, MANY), "object", ("object_id",)),
    "the walk of a feed": (lambda tx: objects.walk(tx, NEW, FAR - 5_000, 1_000), "object", ("key",)),
    "an export": (lambda tx: objects.all_after(tx, NEW, FAR - 5_000, 1_000), "object", ("key",)),
    "rows that name a definition": (
        lambda tx: objects.naming(tx, NEW, MANY[:1], after=FAR - 5_000, window=100, unknown=False),
        "object",
        ("key",),
    ),
    "rows of unknown marking that name one": (
        lambda tx: objects.naming(tx, NEW, MANY[:1], after=FAR - 5_000, window=100, unknown=True),
        "object",
        ("key", "object_unknown"),
    ),
    "owners": (lambda tx: owners.owners(tx, MANY), "owner", ("key",)),
    "tombstones": (lambda tx: owners.tombstones(tx, NEW, MANY), "tombstone", ("key",)),
    "a page of a feed": (
        lambda tx: feed_rows.after(tx, LINK, FAR - 5_000, 200),
        "feed_row",
        ("key", "feed_row_standing"),
    ),
    "an empty page of a feed": (
        lambda tx: feed_rows.after(tx, LINK, FAR, 200),
        "feed_row",
        ("key", "feed_row_standing"),
    ),
    "what a push has still to bring": (
        lambda tx: feed_rows.to_send(tx, LINK, 100),
        "feed_row",
        ("feed_row_to_send",),
    ),
    "what a push has to bring first": (
        lambda tx: feed_rows.urgent_to_send(tx, LINK, 100),
        "feed_row",
        ("feed_row_urgent",),
    ),
    "whether a push has anything to bring at once": (
        lambda tx: feed_rows.is_urgent(tx, LINK),
        "feed_row",
        ("feed_row_urgent",),
    ),
    "the last run of a link": (
        lambda tx: history.runs(tx, [LINK], limit=10),
        "run",
        ("run_link",),
    ),
    "the totals of a week": (
        lambda tx: history.totals(tx, 20_000, 20_007),
        "daily_total",
        ("daily_total_day",),
    ),
    "the companions in a feed": (
        lambda tx: feed_rows.companions(tx, LINK),
        "feed_row",
        ("feed_row_companion",),
    ),
    "feed rows of a batch": (lambda tx: feed_rows.by_ids(tx, LINK, MANY), "feed_row", ("feed_row_key",)),
    "whether ids are due": (lambda tx: feed_rows.is_due(tx, LINK), "feed_due", ("key",)),
    "what was received": (lambda tx: ledger.received(tx, MANY), "received", ("key",)),
    "what was withheld": (lambda tx: ledger.withheld(tx, LINK, MANY), "withheld", ("key",)),
    "what is set aside": (
        lambda tx: quarantine.close(tx, [Key(each, "2.1", 1, b"d") for each in MANY], now=NOON),
        "quarantine",
        ("quarantine_key",),
    ),
    "who waits": (lambda tx: ledger.waiting_for(tx, MANY), "withheld", ("withheld_waits",)),
}


@pytest.mark.parametrize("asked", list(HOT))
def test_a_hot_statement_finds_its_rows_by_its_index(filled, asked):
    ask, table, indexes = HOT[asked]
    allowed = {name if name != "key" else KEYS[filled.dialect].format(table) for name in indexes}

    for found in plans(filled, ask):
        used = set(re.findall(rf"(?:INDEX|using|on) ({table}\w*|sqlite_autoindex_{table}_1)\b", found))
        assert used - {table}, found
        assert used - {table} <= allowed, found


@pytest.mark.parametrize("asked", ["a page", "an empty poll", "a page of all versions", "a page of one type"])
def test_a_page_is_read_in_order_without_sorting(filled, asked):
    for found in plans(filled, HOT[asked][0]):
        assert "sort" not in found.lower(), found
        assert "TEMP B-TREE" not in found, found


@pytest.mark.parametrize(
    "asked", ["a page", "an object by id", "the rows of a batch", "feed rows of a batch"]
)
def test_a_hot_statement_searches_by_the_whole_head_of_its_index(filled, asked):
    # An index walked whole and filtered has the right name and the wrong cost.
    ask, _, _ = HOT[asked]
    wanted = {
        "a page": ("collection_id", "added"),
        "an object by id": ("collection_id", "stix_id"),
        "the rows of a batch": ("collection_id", "stix_id"),
        "feed rows of a batch": ("link", "stix_id"),
    }[asked]

    for found in plans(filled, ask):
        conditions = re.findall(r"Index Cond: (.*)|SEARCH [ofrw] .*\((\w+[=>].*)\)", found)
        assert any(all(name in "".join(each) for name in wanted) for each in conditions), found


# One row, or as many as an operator has set up; not one for each object.
SMALL = {
    "node",
    "collection",
    "flow",
    "link",
    "feed",
    "marking",
    "rank_task",
    "alembic_version",
    "object_value_mark",
}
# Walks the feed, once for all organisations that were examined; they are few and change seldom.
WALKS = ("select distinct o.created_by from feed_row",)


@pytest.fixture(scope="module")
def statements(kind, request, tmp_path_factory):
    """Every statement of a run on this kind of database."""
    folder = tmp_path_factory.mktemp("recording")
    if kind == "sqlite":
        path = folder / "node.db"
        path.write_bytes(request.getfixturevalue("_sqlite_template").read_bytes())
        database = Database(f"sqlite:///{path}")
        yield recorded(database, folder)
        database.close()
        return
    server = request.getfixturevalue("postgresql_server")
    name = server.create(request.getfixturevalue("_postgresql_template"))
    database = Database(server.address(name))
    yield recorded(database, folder)
    database.close()
    server.drop(name)


def moved(said: Said) -> Said:
    """The statement, asked of the newer collection and its link."""
    values = {name: LINK if value in (IN, OUT) else value for name, value in said.values.items()}
    values.update((name, NEW) for name in ("c", "number", "collection_id") if name in values)
    return said._replace(values=values)


def test_no_statement_of_a_request_or_of_the_door_reads_a_large_table_whole(filled, statements):
    assert len(statements) > 100
    with filled.reading() as tx:
        whole = {
            said.text: read_whole(tx, moved(said)) - SMALL
            for said in statements.values()
            if not said.text.startswith(WALKS)
        }

    assert {text: tables for text, tables in whole.items() if tables} == {}


def test_control_a_statement_without_an_index_is_found(filled):
    with filled.reading() as tx:
        for text in (
            "select o.digest from \"object\" o where o.origin = 'south'",
            "select stix_id from withheld where reason = 'none'",
            "update owner set rank = 1 where owner = 'south'",
            "select l.name from link l join received r on r.partner = l.partner and r.outcome = 'tie'",
        ):
            assert read_whole(tx, Said(text, {})) - SMALL, text
