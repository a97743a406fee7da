"""Each table has exactly one writing module: the one that stands beside it in node/store/schema.py.

Writes are looked for in two forms: insert, update, delete or tx.insert of a table of the schema, and
the words "insert into", "update … set" and "delete from" in a text.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict

import pytest

from tests.architecture.reading import NODE, dotted, origins, place, sources, texts, tree

SCHEMAS = (NODE / "store/schema.py", NODE / "store/books.py")
# They make, copy or move whole tables and know no table by name.
WHOLE_DATABASE = ("node/store/migrations/", "node/store/schema.py", "node/store/books.py")
VERBS = {"insert", "update", "delete"}
SQL_WRITE = re.compile(
    r'(?:insert\s+(?:or\s+\w+\s+)?into\s+|replace\s+into\s+|delete\s+from\s+|update\s+(?=[\w"]+(?:\s+as\s+\w+)?\s+set\b))"?(\w+)"?',
    re.IGNORECASE,
)
SQL_READ = re.compile(r'\b(?:from|join)\s+"?(\w+)"?', re.IGNORECASE)


def _declared() -> tuple[dict[str, str], dict[str, str]]:
    """Of the schema: attribute -> SQL name, and SQL name -> the writing module that it names."""
    names: dict[str, str] = {}
    writers: dict[str, str] = {}
    writer = ""
    lines = [line for path in SCHEMAS for line in path.read_text(encoding="utf-8").splitlines()]
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if named := re.search(r"Written by ([\w/]+\.py)", line):
            writer = f"node/{named[1]}"
        elif table := re.match(r"(\w+) = Table\(", line):
            sql = re.search(r'"(\w+)"', line + following)
            assert sql is not None, line
            names[table[1]] = sql[1]
            writers[sql[1]] = writer
    return names, writers


TABLES, WRITERS = _declared()


def _table(expression: ast.expr, names: dict[str, str]) -> str | None:
    """The SQL name of `schema.object_`, by whatever name the module knows it; else None."""
    full = dotted(expression, names)
    return (
        TABLES.get(full.removeprefix("node.store.schema.")) if full.startswith("node.store.schema.") else None
    )


def _names(module: ast.Module) -> dict[str, str]:
    """What names stand for, also those that a module gives to tables: `_T = schema.token`."""
    names = origins(module)
    for part in ast.walk(module):
        if isinstance(part, ast.Assign) and isinstance(part.targets[0], ast.Name):
            full = dotted(part.value, names)
            if full.startswith("node.store.schema."):
                names[part.targets[0].id] = full
    return names


def _written(module: ast.Module) -> set[str]:
    names = _names(module)
    found = {table for text in texts(module) for table in SQL_WRITE.findall(text) if table in WRITERS}
    for part in ast.walk(module):
        if not isinstance(part, ast.Call):
            continue
        if (isinstance(part.func, ast.Attribute) and part.func.attr in VERBS) or (
            isinstance(part.func, ast.Name) and names.get(part.func.id, "").rpartition(".")[2] in VERBS
        ):
            candidates = [
                *part.args[:1],
                *([part.func.value] if isinstance(part.func, ast.Attribute) else []),
            ]
            found |= {table for each in candidates if (table := _table(each, names))}
    return found


def _touched(module: ast.Module) -> set[str]:
    names = _names(module)
    mentioned = (part for part in ast.walk(module) if isinstance(part, ast.Attribute | ast.Name))
    in_code = {table for part in mentioned if (table := _table(part, names))}
    statements = [text for text in texts(module) if re.search(r"\b(select|delete)\b", text, re.IGNORECASE)]
    return in_code | {table for text in statements for table in SQL_READ.findall(text) if table in WRITERS}


def _modules():
    return [path for path in sources() if not place(path).startswith(WHOLE_DATABASE)]


def test_every_table_names_its_writer():
    assert WRITERS, "no table was found in the schema"
    assert {table for table, writer in WRITERS.items() if not writer} == set()


@pytest.mark.parametrize("path", _modules(), ids=place)
def test_a_module_writes_its_own_tables_only(path):
    assert {table: WRITERS[table] for table in _written(tree(path)) if WRITERS[table] != place(path)} == {}


def test_every_table_is_written_by_the_module_it_names():
    written = defaultdict(set)
    for path in _modules():
        for table in _written(tree(path)):
            written[table].add(place(path))

    assert {table: writer for table, writer in WRITERS.items() if writer not in written[table]} == {}


@pytest.mark.parametrize("path", _modules(), ids=place)
def test_objects_are_read_by_the_store_and_the_door_alone(path):
    inside = place(path).startswith(("node/store/", "node/exchange/"))

    assert inside or _touched(tree(path)) & {"object", "object_history"} == set()


@pytest.mark.parametrize(
    "text",
    [
        "from node.store import schema\ntx.insert(schema.object_, rows)",
        "import sqlalchemy as sa\nfrom node.store.schema import object_ as o\nS = sa.update(o).values(a=1)",
        "from sqlalchemy import delete\nfrom node.store import schema\nS = delete(schema.object_)",
        "from node.store import schema\n_O = schema.object_\nS = _O.insert()",
        "S = 'INSERT OR IGNORE INTO object (a) values (1)'",
        "S = f'update \"object\" set {columns}'",
        "S = 'delete  from object where added = 1'",
    ],
)
def test_a_planted_write_is_found(text):
    assert _written(ast.parse(text)) == {"object"}


@pytest.mark.parametrize(
    "text", ["from node.store.schema import object_\nselect(object_.c.body)", "S = 'select body from object'"]
)
def test_a_planted_read_is_found(text):
    assert _touched(ast.parse(text)) == {"object"}


def test_a_sentence_about_a_table_is_not_a_write():
    assert _written(ast.parse("S = 'update object markings, or delete the object'")) == set()
