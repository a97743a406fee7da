"""What a collection's `validation` does, by every way in."""

from __future__ import annotations

import json

import pytest

from node.cli.importing import Imported, admit_step
from node.exchange import flagged, ingress, ledger, quarantine, worklist
from node.exchange.ingress import Result, Source
from node.stix import patterns
from node.store import catalog, definitions
from node.store.catalog import Collection
from node.store.database import Database, Tx
from node.sync.explain import explain
from node.taxii.body import MOST_OBJECTS
from tests.support.builders import CREATED, an_indicator
from tests.support.nodes import IN, Node, a_node

SOUND = an_indicator("sound", tlp="green")
NO_STRUCTURE = an_indicator("no structure", tlp="green", confidence=101)
NO_SCHEMA = an_indicator("no schema", tlp="green", pattern=None)
NO_ORDER = an_indicator("no order", tlp="green", valid_until=CREATED)
NO_PATTERN = an_indicator("no pattern", tlp="green", pattern="[file:size = ]")
BATCH = (SOUND, NO_STRUCTURE, NO_SCHEMA, NO_ORDER, NO_PATTERN)

OURS, THEIRS = "refused", "quarantined"
KEPT = {
    "structure": (SOUND, NO_SCHEMA, NO_ORDER, NO_PATTERN),
    "schema": (SOUND, NO_ORDER, NO_PATTERN),
    "full": (SOUND,),
}


def brought(node: Node, kind: str, *bodies: bytes) -> list[Result]:
    """A batch as each way in hands it to the door."""
    link = node.link(IN) if kind in ("pull", "push") else None
    source = Source(kind, "worker", link, epoch="epoch-1")
    ingress.look_ahead(node.collection(), bodies)
    with node.database.writing() as tx:
        collection = catalog.lock(tx, node.collection().collection_id)
        now = node.moment()
        return ingress.admit(tx, node.door, collection, bodies, source, arrival_id=None, now=now).results


def stored(node: Node) -> set[bytes]:
    return {record.body for record in node.page().records}


def name(body: bytes) -> str:
    return json.loads(body)["id"]


@pytest.mark.parametrize("kind", ["import", "post", "pull", "push"])
@pytest.mark.parametrize("validation", ["structure", "schema", "full"])
def test_the_mode_holds_by_every_way_in(database: Database, validation: str, kind: str):
    """S-JSON-9: what is not transport-safe is refused always, the rest where the collection asks."""
    north = a_node(database, validation=validation)
    results = brought(north, kind, *BATCH)
    no = THEIRS if kind in ("pull", "push") else OURS

    assert [one.outcome.value for one in results] == [
        "stored" if body in KEPT[validation] else no for body in BATCH
    ]
    assert stored(north) == set(KEPT[validation])
    assert all(one.message for one in results if one.failed)


def test_a_flag_says_what_is_wrong_with_the_object_that_was_kept(database: Database):
    north = a_node(database, validation="structure")
    sound, kept = brought(north, "post", SOUND, NO_SCHEMA)

    assert (sound.reason, sound.message) == ("", "")
    assert (kept.reason, kept.message) == ("flagged", 'flagged: "pattern" is a required property')


def test_a_duplicate_is_flagged_like_the_first(database: Database):
    north = a_node(database, validation="structure")
    brought(north, "post", NO_SCHEMA)
    (again,) = brought(north, "post", NO_SCHEMA)

    assert (again.outcome.value, again.reason) == ("duplicate", "flagged")


def test_the_ledger_notes_the_flag_of_what_a_partner_brought(database: Database):
    north = a_node(database, validation="structure")
    brought(north, "pull", NO_SCHEMA)
    with north.database.reading() as tx:
        (line,) = ledger.received(tx, [name(NO_SCHEMA)])[name(NO_SCHEMA)]

    assert (line.outcome, line.reason) == ("stored", "flagged")


def test_flagged_rows_are_counted_and_explained(database: Database):
    north = a_node(database, validation="structure")
    brought(north, "import", SOUND, NO_SCHEMA)
    with north.database.reading() as tx:
        number = flagged.amount(tx, north.collection())
        lines = {body: explain(tx, north.door, name(body), None) for body in (SOUND, NO_SCHEMA)}

    assert number == 1
    assert not any("flagged" in line for line in lines[SOUND])
    assert [line for line in lines[NO_SCHEMA] if "flagged" in line] == [
        "  It is flagged, and was kept because only the structure is asked here:"
        ' "pattern" is a required property.'
    ]


def test_the_flag_goes_when_sound_bytes_take_the_place(database: Database):
    north = a_node(database, validation="structure")
    north.bring(an_indicator(pattern=None))
    north.bring(an_indicator(), restate=True)
    with north.database.reading() as tx:
        assert flagged.amount(tx, north.collection()) == 0


def test_what_full_refuses_is_told_with_place_value_and_remedy(database: Database):
    north = a_node(database, validation="full")
    order, pattern = brought(north, "post", NO_ORDER, NO_PATTERN)

    assert order.message == (
        f"valid_until: '{CREATED}' should be after valid_from, '{CREATED}': correct one of them"
    )
    assert pattern.message.startswith("pattern: it cannot be read: character ")


def test_what_full_refuses_is_not_accepted_from_the_quarantine(database: Database):
    north = a_node(database, validation="full")
    brought(north, "pull", NO_ORDER)
    with north.database.reading() as tx:
        (entry,) = quarantine.entries(tx)
    with (
        pytest.raises(ingress.InvalidObject, match="valid_until"),
        north.database.writing() as tx,
    ):
        worklist.accept(tx, north.door, entry.entry, actor="person:eve", reason="", now=north.moment())


def test_patterns_are_read_before_the_lock(database: Database, monkeypatch: pytest.MonkeyPatch):
    """A control is in tests/stix: without the look ahead, `check` does ask the parser."""
    north = a_node(database, validation="full")
    body = an_indicator("read before the lock", tlp="green")
    ingress.look_ahead(north.collection(), [body])
    monkeypatch.setattr("node.stix.patterns._parser", None)

    assert north.bring(body) == ["stored"]


def test_an_import_reads_patterns_before_the_lock_too(database: Database, monkeypatch: pytest.MonkeyPatch):
    """A control: without the look ahead of an import nothing would be read ahead here."""
    north = a_node(database, validation="full")
    body = an_indicator("imported", tlp="green")
    steps: list[str] = []
    read, lock = patterns._parsed, catalog.lock

    def reading(pattern: str, version: str) -> str | None:
        steps.append("read")
        return read(pattern, version)

    def locking(tx: Tx, collection_id: int) -> Collection:
        steps.append("lock")
        return lock(tx, collection_id)

    monkeypatch.setattr(patterns, "_parsed", reading)
    monkeypatch.setattr(patterns, "_answers", type(patterns._answers)())
    monkeypatch.setattr(catalog, "lock", locking)
    source, found = ingress.Source("import", "os:test"), Imported()

    admit_step(north.door, north.collection().collection_id, [(1, body)], source, found, now=north.moment)

    assert (found.counts, steps) == ({"stored": 1}, ["read", "lock"])


def test_what_one_post_brings_is_still_known_when_it_is_stored():
    assert patterns.REMEMBERED > MOST_OBJECTS


def test_the_modes_of_definitions_are_those_of_the_check():
    from_check = {"structure", "schema", "full"}

    assert set(definitions.VALIDATIONS) == from_check
    for word in from_check:
        assert definitions.problem_of(definitions.Definition("a", "A", validation=word)) is None
    assert definitions.problem_of(definitions.Definition("a", "A", validation="strict")) is not None
