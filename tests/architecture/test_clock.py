"""Who may read the clock or make up an id: moments and ids are given, so that a history can be repeated."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.reading import dotted, origins, place, sources, tree

CLOCK = {
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
    "time.time",
    "time.time_ns",
    "time.localtime",
    "time.gmtime",
}
CHANCE = {"uuid.uuid1", "uuid.uuid4", "uuid.uuid6", "uuid.uuid7"}

# Entry points: a command, a request, a step of a round. Everything below them is given its `now`.
READERS = (
    "node/cli/",
    "node/taxii/",
    "node/web.py",
    "node/medallion_backend.py",
    "node/sync/worker.py",
    "node/sync/pull.py",  # each page of a run is judged at its own moment
    "node/sync/push.py",  # as is each batch
)
# Where something new gets an id of its own.
NAMERS = (
    "node/store/catalog.py",  # collections and epochs
    "node/taxii/statuses.py",  # status resources
    "node/audit/log.py",  # leaves
    "node/exchange/taking_back.py",  # notes that tell of a withdrawal
    "node/cli/",  # new collections, the content of the demo
)


def _used(module: ast.Module) -> set[str]:
    """The full names of all imported things that a module mentions, wherever and however."""
    names = origins(module)
    mentioned = (part for part in ast.walk(module) if isinstance(part, ast.Attribute | ast.Name))
    return {dotted(part, names) for part in mentioned}


@pytest.mark.parametrize("path", sources(), ids=place)
def test_only_clock_reads_the_clock_of_the_machine(path):
    assert place(path) == "node/clock.py" or _used(tree(path)) & CLOCK == set()


@pytest.mark.parametrize("path", sources(), ids=place)
def test_only_entry_points_ask_what_time_it_is(path):
    assert place(path).startswith(READERS) or "node.clock.now" not in _used(tree(path))


@pytest.mark.parametrize("path", sources(), ids=place)
def test_random_ids_are_made_in_few_places(path):
    assert place(path).startswith(NAMERS) or _used(tree(path)) & CHANCE == set()


@pytest.mark.parametrize("path", sources(), ids=place)
def test_nothing_depends_on_chance(path):
    names = {name.partition(".")[0] for name in origins(tree(path)).values()}

    assert "random" not in names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("from datetime import datetime as d\nd.now()", "datetime.datetime.now"),
        ("import time as t\nx = t.time_ns", "time.time_ns"),
        ("from node import clock\nclock.now()", "node.clock.now"),
        ("from node.clock import now\nnow()", "node.clock.now"),
        ("from uuid import uuid4\nf(default_factory=uuid4)", "uuid.uuid4"),
    ],
)
def test_a_planted_use_is_found_under_any_name(text, name):
    assert name in _used(ast.parse(text))
