"""node/store/catalog.py and definitions.py: the node, its collections and its flows."""

import threading
from dataclasses import replace

import pytest

from node.errors import ConfigError, StoreError, UsageError
from node.store import catalog
from node.store.catalog import Definition, load_definitions
from tests.support.databases import INSTANCE, SECRET

ONE = Definition(alias="indicators", title="Indicators", id="3c0a2f7e-1d1f-4a55-8b7e-2f0b7d9c0b02")
TWO = Definition(
    alias="techniques", title="Techniques", id="4d0a2f7e-1d1f-4a55-8b7e-2f0b7d9c0b02", listed=True
)
NOON = 1_795_262_400_000_000


def with_collections(database):
    with database.writing() as tx:
        return database, [catalog.add_collection(tx, each, epoch="e1") for each in (ONE, TWO)]


def test_the_node_is_read_as_it_was_created(database):
    with database.reading() as tx:
        node = catalog.node_row(tx)

        assert (node.instance, node.secret, node.accounts_generation) == (INSTANCE, SECRET, 0)
        assert node.server_identity == database.server_identity()


def test_a_database_without_a_node_says_so(bare_sqlite_database):
    catalog_only = bare_sqlite_database
    with catalog_only.writing() as tx:
        catalog.schema.node.create(tx.connection)

    with pytest.raises(StoreError) as refusal, catalog_only.reading() as tx:
        catalog.node_row(tx)

    assert "stixnode init" in refusal.value.remedy


def test_a_bump_moves_only_its_own_generation(database):
    with database.writing() as tx:
        catalog.bump_accounts(tx)
        catalog.bump_markings(tx)
        catalog.bump_markings(tx)
        node = catalog.node_row(tx)

    assert (node.accounts_generation, node.markings_generation) == (1, 2)


def test_collections_are_found_by_number_id_and_alias(database):
    database, (one, two) = with_collections(database)

    with database.reading() as tx:
        assert catalog.collections(tx) == [one, two]
        assert catalog.find_collection(tx, ONE.id) == one
        assert catalog.find_collection(tx, "techniques") == two
        assert catalog.find_collection(tx, "absent") is None
    assert (one.collection_id, two.collection_id) == (1, 2)
    assert (one.listed, two.listed, one.last_added) == (False, True, 0)


def test_a_definition_without_an_id_takes_the_new_one(database):
    with database.writing() as tx:
        added = catalog.add_collection(tx, replace(ONE, id=""), epoch="e", new_id=TWO.id)

    assert added.id == TWO.id


@pytest.mark.parametrize(
    ("change", "what"),
    [({"id": ONE.id}, "id"), ({"alias": ONE.alias}, "alias"), ({"title": ONE.title}, "title")],
    ids=["id", "alias", "title"],
)
def test_what_another_collection_has_is_refused_by_name(database, change, what):
    """T-COL-7."""
    third = Definition(alias="third", title="Third", id="5d0a2f7e-1d1f-4a55-8b7e-2f0b7d9c0b02")
    database, _ = with_collections(database)

    with pytest.raises(UsageError, match=f"The {what} '{change[what]}'"), database.writing() as tx:
        catalog.add_collection(tx, replace(third, **change), epoch="e")


@pytest.mark.parametrize(
    "change",
    [
        {"alias": ""},
        {"alias": "Indicators"},
        {"alias": "-a"},
        {"alias": "a/b"},
        {"alias": "a" * 64},
        {"alias": "a\n"},
        {"alias": "3c0a2f7e-1d1f-4a55-8b7e-2f0b7d9c0b02"},
        {"alias": "3c0a2f7e1d1f4a558b7e2f0b7d9c0b02"},
        {"title": " "},
        {"id": ""},
        {"id": ONE.id.upper()},
        {"id": "3c0a2f7e-1d1f-1a55-8b7e-2f0b7d9c0b02"},
        {"validation": "none"},
        {"keep_days": -1},
    ],
    ids=str,
)
def test_a_definition_with_a_value_that_cannot_be_is_refused(sqlite_database, change):
    """T-COL-9: an alias like a UUID, or one that does not fit an address, among them."""
    with pytest.raises(UsageError), sqlite_database.writing() as tx:
        catalog.add_collection(tx, replace(ONE, **change), epoch="e")


def test_the_first_date_is_now_and_the_next_are_ten_microseconds_apart(database):
    database, _ = with_collections(database)

    with database.writing() as tx:
        catalog.lock(tx, 1)
        assert catalog.take_dates(tx, 1, 3, now=NOON) == [NOON, NOON + 10, NOON + 20]
        assert catalog.lock(tx, 1).last_added == NOON + 20
        assert catalog.lock(tx, 2).last_added == 0


def test_dates_run_ahead_of_a_clock_that_stands_still_or_goes_back(database):
    database, _ = with_collections(database)

    with database.writing() as tx:
        catalog.take_dates(tx, 1, 2, now=NOON)
        assert catalog.take_dates(tx, 1, 1, now=NOON) == [NOON + 20]
        assert catalog.take_dates(tx, 1, 2, now=NOON - 10**9) == [NOON + 30, NOON + 40]
        assert catalog.take_dates(tx, 1, 1, now=NOON + 45) == [NOON + 50]


def test_no_rows_take_no_dates(database):
    database, _ = with_collections(database)

    with database.writing() as tx:
        assert catalog.take_dates(tx, 1, 0, now=NOON) == []
        assert catalog.lock(tx, 1).last_added == 0


@pytest.mark.parametrize(
    "act",
    [
        lambda tx: catalog.lock(tx, 7),
        lambda tx: catalog.take_dates(tx, 7, 1, now=NOON),
        lambda tx: catalog.renew_epoch(tx, 7, epoch="e", at_least=0),
    ],
    ids=["lock", "take_dates", "renew_epoch"],
)
def test_a_collection_that_is_not_there_is_named(database, act):
    with pytest.raises(UsageError, match="number 7"), database.writing() as tx:
        act(tx)


def test_dates_are_unique_when_many_write_at_the_same_time(database):
    database, _ = with_collections(database)
    taken = []
    start = threading.Barrier(4)

    def work(tx):
        catalog.lock(tx, 1)
        return catalog.take_dates(tx, 1, 3, now=NOON)

    def run():
        start.wait(10)
        for _ in range(5):
            taken.append(database.retrying(work))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    dates = sorted(date for batch in taken for date in batch)
    assert dates == [NOON + 10 * n for n in range(4 * 5 * 3)]


def test_a_locked_collection_keeps_other_writers_out_until_the_end(database):
    database, _ = with_collections(database)
    done = []

    def second():
        with database.writing() as tx:
            catalog.lock(tx, 1)
            done.append(("second", catalog.take_dates(tx, 1, 1, now=NOON)))

    other = threading.Thread(target=second)
    with database.writing() as tx:
        catalog.lock(tx, 1)
        other.start()
        other.join(0.2)  # would be through by now if the lock did not hold it
        done.append(("first", catalog.take_dates(tx, 1, 1, now=NOON)))
    other.join(20)

    assert done == [("first", [NOON]), ("second", [NOON + 10])]


def test_a_bump_moves_only_the_generation_it_names(database):
    database, _ = with_collections(database)

    with database.writing() as tx:
        catalog.bump(tx, 1, rewritten=True)
        catalog.bump(tx, 1, superseded=True)
        catalog.bump(tx, 1, rewritten=True)
        catalog.bump(tx, 1)
        one, two = catalog.collections(tx)

    assert (one.rewritten, one.superseded, two.rewritten, two.superseded) == (2, 1, 0, 0)


def test_a_new_epoch_raises_the_dates_and_never_lowers_them(database):
    database, _ = with_collections(database)

    with database.writing() as tx:
        catalog.take_dates(tx, 2, 1, now=NOON + 99)
        catalog.renew_epoch(tx, 1, epoch="e2", at_least=NOON)
        catalog.renew_epoch(tx, 2, epoch="e3", at_least=NOON)
        one, two = catalog.collections(tx)

    assert (one.epoch, one.last_added) == ("e2", NOON)
    assert (two.epoch, two.last_added) == ("e3", NOON + 99)


def test_a_flow_keeps_its_number_and_takes_its_new_audience(database):
    with database.writing() as tx:
        first = catalog.flow_number(tx, "AGR/indicators/south", ["state-bodies", "banks", "banks"])
        second = catalog.flow_number(tx, "AGR/techniques/south", [])
        again = catalog.flow_number(tx, "AGR/indicators/south", ["banks", "state-bodies"])
        before = catalog.flows(tx)
        changed = catalog.flow_number(tx, "AGR/indicators/south", ["banks"])
        after = catalog.flows(tx)

    assert (first, second, again, changed) == (1, 2, 1, 1)
    assert before == {
        0: ("local", ()),
        1: ("AGR/indicators/south", ("banks", "state-bodies")),
        2: ("AGR/techniques/south", ()),
    }
    assert after[1] == ("AGR/indicators/south", ("banks",))


def test_a_flow_keeps_its_days_until_it_is_given_others(database):
    with database.writing() as tx:
        catalog.flow_number(tx, "AGR/indicators/south", [], keep_days=30)
        before = catalog.flow_days(tx)
        catalog.flow_number(tx, "AGR/indicators/south", [], keep_days=10)
        after = catalog.flow_days(tx)

    assert before == {0: ("local", 0), 1: ("AGR/indicators/south", 30)}
    assert after[1] == ("AGR/indicators/south", 10)


def test_two_writers_who_meet_a_new_flow_get_one_number(database):
    numbers = []
    start = threading.Barrier(3)

    def run():
        start.wait(10)
        numbers.append(database.retrying(lambda tx: catalog.flow_number(tx, "AGR/new/south", ["banks"])))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert numbers == [1, 1, 1]


def test_the_definitions_of_the_program_can_be_added_together(sqlite_database):
    definitions = load_definitions()

    with sqlite_database.writing() as tx:
        added = [catalog.add_collection(tx, each, epoch="e", new_id=ONE.id) for each in definitions]
    assert "indicators" in [each.alias for each in added]


def written(folder, text):
    (folder / "one.toml").write_text(text, encoding="utf-8")
    return folder


def test_a_definition_is_read_with_its_defaults(tmp_path):
    folder = written(tmp_path, 'alias = "a"\ntitle = "Ä"\nkeep_days = 7\nlisted = true\n')

    assert load_definitions(folder) == (Definition(alias="a", title="Ä", keep_days=7, listed=True),)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('alias = "a"\ntitle = "A"\nkeepdays = 7', "'keepdays' is not known"),
        ('alias = "a"\ntitle = "A"\nkeep_days = true', "keep_days = True should be of type int"),
        ('alias = "a"\ntitle = 5', "title = 5 should be of type str"),
        ('alias = "a"', "'title' is missing"),
        ('alias = "A"\ntitle = "A"', "alias 'A'"),
        ("alias = ", "cannot be read"),
    ],
    ids=["unknown key", "flag for a number", "number for a text", "missing key", "bad value", "not TOML"],
)
def test_a_definition_that_cannot_be_used_names_file_and_place(tmp_path, text, named):
    with pytest.raises(ConfigError) as refusal:
        load_definitions(written(tmp_path, text))

    assert named in refusal.value.problem
    assert "one.toml" in refusal.value.problem


def test_a_folder_without_definitions_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="no collection definition"):
        load_definitions(tmp_path)
