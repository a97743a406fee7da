"""node/exchange/value_index.py: the index of values, true to the rows whatever was written.

The oracle reads every row and what its body names. Histories are random and the same each time; the index is
made now and then, wholly or in part, as the worker and `find` do.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from node.errors import Refused
from node.exchange import removal, retention, value_index
from node.exchange.egress import Versions
from node.exchange.value_index import catch_up, ids_naming, naming, rows_naming
from node.stix.values import forms, named_values
from node.store import catalog, objects, values
from node.store.database import Database
from node.store.values import Line
from tests.support.agreements import a_flow
from tests.support.builders import NORTH_ID, SOUTH_ID, an_id, an_indicator, an_ipv4
from tests.support.nodes import IN, Node, a_node

ROOMS = ("indicators", "techniques")
HOSTS = [f"host{number}.example" for number in range(6)]
LEVELS = (None, "clear", "amber", "red")
MARKING = an_id("marking-definition")


def a_pattern(draw: random.Random) -> str:
    one, other = draw.sample(HOSTS, 2)
    return f"[domain-name:value = '{one}' OR url:value = 'https://{other}/']"


def an_act(node: Node, draw: random.Random, minute: int) -> None:
    """One of everything that writes, moves or removes rows."""
    name = f"i{draw.randrange(6)}"
    dated = f"2026-11-20T09:{minute:02}:00.000Z"
    body = an_indicator(
        name, modified=dated, pattern=a_pattern(draw), tlp=draw.choice(LEVELS), author=NORTH_ID
    )
    theirs = an_indicator(f"t{name}", pattern=a_pattern(draw), author=SOUTH_ID, tlp="green")
    marked = an_indicator(f"m{name}", object_marking_refs=[MARKING], author=NORTH_ID, modified=dated)
    acts: list[Callable[[], object]] = [
        lambda: node.bring(body, into=draw.choice(ROOMS)),
        lambda: node.bring(body),
        lambda: node.bring(
            an_indicator(name, pattern=a_pattern(draw), revoked=draw.random() < 0.3), restate=True
        ),
        lambda: node.bring(theirs, by=IN),
        lambda: node.bring(marked),
        lambda: node.bring(an_ipv4(f"198.51.100.{draw.randrange(4)}")),
        lambda: node.remove(an_id("indicator", name)),
        lambda: node.remove(an_id("indicator", name), Versions()),
        lambda: _undeleted(node, an_id("indicator", name)),
        lambda: catch_up(node.door),
        lambda: catch_up(node.door, at_most=1),
        lambda: value_index.tend(node.door),
    ]
    draw.choice(acts)()


def _undeleted(node: Node, stix_id: str) -> None:
    with node.database.writing() as tx:
        removal.undelete(tx, stix_id, actor="os:tester", now=node.moment())


def a_history(database: Database, seed: int, *, acts: int = 35) -> Node:
    """A node to which much has happened."""
    node = a_node(database, collections=ROOMS, keep_days=10, flow=[a_flow(max_tlp="red")])
    draw = random.Random(seed)
    for minute in range(acts):
        an_act(node, draw, minute)
    node.bring(an_indicator("kept", pattern=a_pattern(draw), author=NORTH_ID))
    return node


def as_it_is(node: Node) -> dict[str, set[tuple[int, int]]]:
    """Normal form -> (collection, date) of every row that names it."""
    found: dict[str, set[tuple[int, int]]] = {}
    with node.database.reading() as tx:
        for room in catalog.collections(tx):
            for row in objects.all_after(tx, room.collection_id, -1, 10_000):
                for one in named_values(row.body):
                    for form in forms(one.text):
                        found.setdefault(form, set()).add((room.collection_id, row.held.added))
    return found


def as_found(node: Node) -> dict[str, set[tuple[int, int]]]:
    """The same, as the index has it once it was made complete."""
    catch_up(node.door)
    wanted = {*as_it_is(node), *HOSTS}
    with node.database.reading() as tx:
        found = {form: {_place(one) for one in rows_naming(tx, form).rows} for form in wanted}
    return {form: places for form, places in found.items() if places}


def _place(one: value_index.Naming) -> tuple[int, int]:
    return one.row.collection_id, one.row.added


def lines(node: Node) -> int:
    """How many lines the index has, true or not."""
    wanted = [values.hash_of(form) for form in as_it_is(node)]
    with node.database.reading() as tx:
        return len(values.hits(tx, wanted, limit=100_000))


@pytest.mark.parametrize("seed", [1, 2])
def test_the_index_is_true_to_the_rows_whatever_was_written(database, seed):
    node = a_history(database, seed)

    assert as_found(node) == as_it_is(node)


def test_what_retention_erased_is_not_found_and_its_lines_go(database):
    node = a_history(database, 4, acts=20)
    catch_up(node.door)
    with node.database.reading() as tx:
        before = len(values.hits(tx, [values.hash_of(host) for host in HOSTS], limit=1_000))
    assert before
    retention.erase_due(node.door, now=node.now + 11 * retention.DAY)
    assert as_found(node) == {} == as_it_is(node)

    value_index.tend(node.door)

    with node.database.reading() as tx:
        assert values.hits(tx, [values.hash_of(host) for host in HOSTS], limit=1_000) == []


def test_a_sweep_goes_on_where_it_ended_and_leaves_what_is_true(database):
    node = a_history(database, 5, acts=20)
    catch_up(node.door)
    before = as_found(node)
    with node.database.writing() as tx:
        numbers = [room.collection_id for room in catalog.collections(tx)]
        turns = next(turn for turn in range(1, 1_000) if values.sweep(tx, numbers, at_most=3))

    assert turns > 2
    assert as_found(node) == before
    assert lines(node) == len({place for places in before.values() for place in places})


def loses_a_line(one):
    return sorted(_LINES(one))[1:]


_LINES = value_index._lines


def test_control_a_lost_line_is_noticed(sqlite_database, monkeypatch):
    monkeypatch.setattr(value_index, "_lines", loses_a_line)
    node = a_history(sqlite_database, 1)

    assert as_found(node) != as_it_is(node)


def test_control_rows_that_moved_and_keep_their_old_line_alone_are_noticed(sqlite_database, monkeypatch):
    # As if the index were made once for an id, and not again when its row takes a new date.
    seen: set[str] = set()

    def once(one):
        known = one.held.stix_id in seen
        seen.add(one.held.stix_id)
        return [] if known else _LINES(one)

    monkeypatch.setattr(value_index, "_lines", once)
    node = a_history(sqlite_database, 1)

    assert as_found(node) != as_it_is(node)


def test_control_a_mark_that_runs_ahead_is_noticed(sqlite_database, monkeypatch):
    put = values.put
    monkeypatch.setattr(
        values, "put", lambda tx, number, lines, *, mark: put(tx, number, lines, mark=mark + 10_000_000)
    )
    node = a_history(sqlite_database, 1)

    assert as_found(node) != as_it_is(node)


def test_two_who_make_the_index_at_once_lose_nothing(database):
    node = a_history(database, 6, acts=20)
    number = node.collection().collection_id
    with node.database.reading() as tx:
        rows = objects.all_after(tx, number, -1, 10_000)
    half = rows[len(rows) // 2].held.added
    catch_up(node.door)

    # One that began before and ends after: its lines are there already, and its mark is an old one.
    with node.database.writing() as tx:
        slow = [line for row in rows if row.held.added <= half for line in _LINES(row)]
        values.put(tx, number, slow, mark=half)

    with node.database.reading() as tx:
        assert values.marks(tx)[number] >= rows[-1].held.added
    assert as_found(node) == as_it_is(node)


def test_another_value_of_the_same_hash_is_no_answer(database):
    node = a_node(database)
    node.bring(an_indicator("one"))
    catch_up(node.door)
    number, added = node.collection().collection_id, node.held(an_id("indicator", "one"))[0].added
    with node.database.writing() as tx:
        values.put(tx, number, [Line(values.hash_of("other.example"), added)], mark=0)
    with node.database.reading() as tx:
        assert values.hits(tx, [values.hash_of("other.example")], limit=10) == [(number, added)]

        assert rows_naming(tx, "other.example").rows == []


def test_only_so_many_rows_are_looked_at_and_it_says_so(sqlite_database):
    node = a_node(sqlite_database)
    node.bring(*(an_indicator(number, pattern="[a:b = 'common']") for number in range(8)))
    catch_up(node.door)

    with node.database.reading() as tx:
        few, all_of_them = rows_naming(tx, "common", at_most=7), rows_naming(tx, "common", at_most=8)

    assert (len(few.rows), few.complete) == (7, False)
    assert (len(all_of_them.rows), all_of_them.complete) == (8, True)
    assert few.rows[0].row.stix_id == an_id("indicator", 7)


def test_objects_of_many_values_are_written_in_small_transactions(database, monkeypatch):
    """H35: a partner whose objects name two thousand values each fills neither memory nor one commit."""
    node = a_node(database)
    node.bring(*(an_indicator(number, pattern=a_pattern(random.Random(number))) for number in range(8)))
    each = len(_LINES(_first_row(node)))
    put, written = values.put, []

    def counted(tx, number, lines, *, mark):
        written.append(len(lines))
        put(tx, number, lines, mark=mark)

    monkeypatch.setattr(values, "put", counted)
    monkeypatch.setattr(value_index, "MOST_LINES", each + 1)

    assert as_found(node) == as_it_is(node)
    assert len(written) >= 4
    assert max(written) <= 3 * each


def _first_row(node: Node) -> objects.HeldBody:
    with node.database.reading() as tx:
        return objects.all_after(tx, node.collection().collection_id, -1, 1)[0]


def test_nothing_is_written_where_nothing_came_or_went(database, monkeypatch):
    node = a_node(database)
    node.bring(*(an_indicator(number) for number in range(3)))
    value_index.tend(node.door)
    sweep, swept = values.sweep, []
    monkeypatch.setattr(
        values,
        "sweep",
        lambda tx, numbers, *, at_most: swept.append(numbers) or sweep(tx, numbers, at_most=at_most),
    )
    value_index.tend(node.door)
    quiet = len(swept)
    node.remove(an_id("indicator", 1))
    value_index.tend(node.door)
    value_index.tend(node.door)

    assert (quiet, len(swept)) == (0, 1)
    assert as_found(node) == as_it_is(node)


def test_a_search_that_is_cut_short_is_no_list_to_act_on(sqlite_database):
    node = a_node(sqlite_database)
    node.bring(*(an_indicator(number, pattern="[a:b = 'common']") for number in range(4)))

    assert len(ids_naming(node.door, "common", at_most=4)) == 4
    with pytest.raises(Refused):
        ids_naming(node.door, "common", at_most=3)


def test_an_id_is_named_by_its_newest_version(sqlite_database):
    node = a_node(sqlite_database)
    node.bring(an_indicator(pattern="[a:b = 'old']"))
    node.bring(an_indicator(pattern="[a:b = 'new']", modified="2026-11-20T10:00:00.000Z"))

    assert ids_naming(node.door, "old") == []
    assert ids_naming(node.door, "NEW") == [an_id("indicator")]


def test_a_body_that_cannot_be_read_names_nothing():
    assert naming(b"{", ["a"]) == ()
