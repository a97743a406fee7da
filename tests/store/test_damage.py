"""node/store/damage.py and loose_ends.py: a sound database has none, and every planted fault is found."""

from __future__ import annotations

import shutil
import threading
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from node.errors import StoreError
from node.store import backup, damage
from node.store.database import Database
from tests.histories.real import a_world, close, do, settle
from tests.histories.test_real import from_seed
from tests.support.agreements import MITRE
from tests.support.builders import (
    LATER,
    NORTH_ID,
    SOUTH_ID,
    a_malware,
    a_marking_definition,
    an_id,
    an_identity,
    an_indicator,
    an_ipv4,
)
from tests.support.databases import opened
from tests.support.nodes import IN, OUT, a_node

PUBLIC = frozenset({MITRE})
ONE = an_id("indicator", "one")


def lived_in(database):
    """A node that has imported, pulled, given, restated, deleted, set aside and ranked again."""
    north = a_node(database, collections=("indicators", "techniques"))
    ours = {"author": NORTH_ID, "tlp": "green"}
    statement = a_marking_definition("statement", author=NORTH_ID)
    marked = an_indicator("marked", object_marking_refs=[an_id("marking-definition", "statement")], **ours)
    north.bring(*(an_indicator(n, **ours) for n in range(105)), marked)
    north.bring(
        an_indicator("one", **ours), an_indicator("one", modified=LATER, **ours), an_ipv4(tlp="green")
    )
    north.bring(statement, an_identity("we", identity_class="organization"))
    north.bring(an_indicator("one", tlp="amber"), into="techniques")
    north.bring(*(a_malware(n, tlp="green", author=SOUTH_ID) for n in range(3)), by=IN)
    north.bring(an_indicator("claimed", author=NORTH_ID, tlp="green"), by=IN)  # goes to the quarantine
    north.bring(an_indicator(3, description="other", **ours), restate=True)
    north.advance()
    north.remove(an_id("indicator", 5))
    north.advance()
    return north


def faults(database, links=(IN, OUT)):
    with backup.still(database) as tx:
        return list(damage.examine(tx, public=PUBLIC, links=links))


def spoil(database, *statements):
    with database.writing() as tx:
        for statement in statements:
            assert tx.run(sa.text(statement)) != 0, statement


@pytest.fixture(scope="module")
def template(request, tmp_path_factory):
    """The file of a node that was lived in."""
    folder = tmp_path_factory.mktemp("lived")
    with opened(request, "sqlite", folder) as database:
        lived_in(database)
        assert faults(database) == []
    return folder / "node.db"


@pytest.fixture
def file(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copyfile(template, tmp_path / "copy.db"))


@pytest.fixture
def lived(file: Path):
    with closing(Database(f"sqlite:///{file}")) as database:
        yield database


def test_a_database_that_was_lived_in_is_sound(database):
    north = lived_in(database)

    assert north.feed()
    assert faults(database) == []


PLANTED = [
    ("digest", "update object set digest = zeroblob(32) where stix_id = '{one}' and is_last"),
    ("body", "update object set body = cast(body as text) where stix_id = '{seven}'"),
    ("digest", "update object set body = cast(replace(cast(body as text), 'Indicator 7',"
               " 'Indicator 8') as blob) where stix_id = '{seven}'"),
    ("digest", "update object_history set digest = zeroblob(32)"),
    ("digest", "update quarantine set digest = zeroblob(32)"),
    ("digest", "update quarantine set stix_id = '{one}'"),
    ("body", "update object set body = substr(body, 2) where stix_id = '{seven}'"),
    ("body", "update object_history set body = x'7b7d'"),
    ("body", "update quarantine set body = 'nonsense'"),
    ("facts", "update object set type = 'malware' where stix_id = '{seven}'"),
    ("facts", "update object set spec_version = '2.0' where stix_id = '{seven}'"),
    ("facts", "update object set version = version - 1 where stix_id = '{seven}'"),
    ("facts", "update object set version_text = '2020-01-01T00:00:00Z' where stix_id = '{seven}'"),
    ("facts", "update object set stix_id = '{strange}' where stix_id = '{seven}'"),
    ("facts", "update object set versionless = true where stix_id = '{seven}'"),
    ("facts", "update object set created_by = null where stix_id = '{seven}'"),
    ("facts", "update object set revoked = true where stix_id = '{seven}'"),
    ("facts", "update object set valid_until = 7 where stix_id = '{seven}'"),
    ("facts", "update object set confidence = 7 where stix_id = '{seven}'"),
    ("facts", "update object set organisation = false where type = 'identity'"),
    ("facts", "update object set observable = false where type = 'ipv4-addr'"),
    ("rank", "update object set rank = 0 where stix_id = '{seven}'"),
    ("rank", "update object set effective_rank = 0 where stix_id = '{seven}'"),
    ("rank", "update owner set rank = 4 where stix_id = '{seven}'"),
    ("rank", "delete from marking"),
    ("marking", "update marking set origin = 'south'"),
    ("owner", "update owner set newest_version = newest_version - 1 where stix_id = '{seven}'"),
    ("owner", "update owner set rank = 0 where stix_id = '{seven}'"),
    ("owner", "delete from owner where stix_id = '{seven}'"),
    ("flags", "update object set is_last = true where stix_id = '{one}' and collection_id = 1"),
    ("flags", "update object set is_first = false where stix_id = '{seven}'"),
    ("flags", "update object set is_newest_spec = false where stix_id = '{seven}'"),
    ("dates", "update collection set last_added = last_added - 1 where collection_id = 1"),
    ("dates", "update feed set last_offered = last_offered - 1"),
    ("reference", "update object set flow_id = 99 where stix_id = '{seven}'"),
    ("reference", "update object set collection_id = 99 where stix_id = '{seven}'"),
    ("reference", "delete from arrival where arrival_id = 1"),
    ("reference", "delete from link where name like '%/out'"),
    ("reference", "delete from feed"),
    ("reference", "update quarantine set collection_id = 99"),
    ("reference", "update tombstone set collection_id = 99"),
    ("reference", "update object_history set flow_id = 99"),
    ("reference", "update received set arrival_id = 99"),
    ("reference", "delete from object where stix_id = '{seven}'"),
    ("reference", "update feed_row set digest = zeroblob(32) where stix_id = '{seven}'"),
    ("reference", "insert into token values ('t', 'nobody', null, 1, null, zeroblob(32))"),
    ("reference", "insert into token values ('t', null, 'nobody', 1, null, zeroblob(32))"),
    ("reference", "insert into account_grant values ('nobody', 1, true, true)"),
    ("reference", "insert into reading values ('nobody', 1, 1, 1)"),
    ("reference", "insert into status values ('s', 'nobody', 99, 1, x'7b7d')"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "statement"), PLANTED, ids=[f"{kind}: {text}" for kind, text in PLANTED])
def test_a_planted_fault_is_found(lived, kind, statement):
    names = {"one": ONE, "seven": an_id("indicator", 7), "strange": an_id("indicator", "strange")}

    spoil(lived, statement.format(**names))

    found = faults(lived)
    assert kind in {each.kind for each in found}
    assert all(each.place and each.text for each in found)


@pytest.mark.parametrize("kind", ["facts", "flags", "dates", "rank"])
def test_faults_are_found_on_postgresql_too(postgresql_database, kind):
    lived_in(postgresql_database)
    spoil(
        postgresql_database,
        {
            "facts": "update \"object\" set revoked = true where type = 'malware'",
            "flags": 'update "object" set is_last = not is_last where collection_id = 1',
            "dates": "update collection set last_added = last_added - 1 where collection_id = 1",
            "rank": "update \"object\" set rank = 0 where type = 'malware'",
        }[kind],
    )

    assert kind in {each.kind for each in faults(postgresql_database)}


def test_a_row_that_its_index_does_not_know_is_missed(postgresql_database):
    lived_in(postgresql_database)
    column = "(select 'object_id'::regclass)"
    copied = "select * from \"object\" where type = 'malware' limit 1"
    spoil(
        postgresql_database,
        f"update pg_index set indisready = false, indisvalid = false where indexrelid = {column}",
    )
    spoil(
        postgresql_database,
        f"create temporary table kept on commit drop as {copied}",
        "update kept set added = added - 5",
        'insert into "object" select * from kept',
    )
    spoil(
        postgresql_database,
        f"update pg_index set indisready = true, indisvalid = true where indexrelid = {column}",
    )

    (found,) = faults(postgresql_database)
    assert found.kind == "index"


def test_a_page_that_was_overwritten_is_found(file):
    content = bytearray(file.read_bytes())
    missed = 0
    for place in range(2 * 4096, len(content), 5 * 4096):
        file.write_bytes(content[:place] + b"\x5a" * 4096 + content[place + 4096 :])
        with closing(Database(f"sqlite:///{file}")) as broken:
            try:
                missed += not faults(broken)
            except StoreError as cause:
                missed += "malformed" not in cause.problem
    assert missed == 0


def test_ranks_that_still_wait_to_be_worked_in_are_no_fault(lived):
    spoil(
        lived,
        "insert into rank_task values ('redefined', 'marking-definition--x', 1)",
        "update object set rank = 0 where type = 'indicator'",
    )

    assert faults(lived) == []


def test_what_stands_in_the_feed_of_a_link_that_is_gone_is_no_fault(lived):
    spoil(lived, f"delete from object where stix_id = '{an_id('indicator', 7)}'")

    assert [each.kind for each in faults(lived)] == ["reference"]
    assert faults(lived, links=()) == []


def test_copies_taken_while_others_write_are_sound(database, tmp_path):
    north, enough = lived_in(database), threading.Event()

    def write() -> None:
        for number in range(10_000):
            north.bring(*(an_indicator(f"{number} {n}", author=NORTH_ID, tlp="green") for n in range(20)))
            if enough.is_set():
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        amounts = [_copied(database, tmp_path / f"{number}.db") for number in range(3)]
    finally:
        enough.set()
        writer.join(60)
    with database.reading() as tx:
        assert backup.amounts(tx)["object"] > amounts[0]


def _copied(database, file: Path) -> int:
    """How many objects a copy has, after a look at all of it."""
    backup.copy_out(database, file)
    with closing(Database(f"sqlite:///{file}")) as copy:
        assert faults(copy) == []
        with copy.reading() as tx:
            return backup.amounts(tx)["object"]


def test_every_row_is_counted_as_it_is_read(lived):
    read = []
    with backup.still(lived) as tx:
        list(damage.examine(tx, public=PUBLIC, links=(), step=read.append))
        counted = backup.amounts(tx)

    assert sum(read) == sum(counted[name] for name in ("object", "object_history", "quarantine"))
    assert max(read) <= damage.ROWS < sum(read)


@pytest.mark.parametrize("seed", [2482, *range(6)])
def test_no_history_leaves_anything_that_is_called_damage(request, tmp_path, seed):
    carried, room, acts = from_seed(seed)
    world = a_world(request.getfixturevalue("_sqlite_template"), tmp_path / "world", carry=carried, room=room)
    try:
        for act in acts:
            do(world, act)
        for node in (world.north, world.south):
            assert faults(node.database, [link.name for link in node.door.links]) == []
        settle(world)
        for node in (world.north, world.south):
            assert faults(node.database, [link.name for link in node.door.links]) == []
    finally:
        close(world)
