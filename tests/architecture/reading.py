"""How the architecture tests read the code: files, syntax trees, names, texts; no module is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NODE = ROOT / "node"


def sources(folder: Path = NODE) -> list[Path]:
    """Every Python file below `folder`, in order."""
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def place(path: Path) -> str:
    """The path as people write it: `node/store/objects.py`."""
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def origins(module: ast.Module) -> dict[str, str]:
    """What the imported names of a module stand for: `{"now": "node.clock.now", "sa": "sqlalchemy"}`."""
    found: dict[str, str] = {}
    for statement in ast.walk(module):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                name = alias.name if alias.asname else alias.name.partition(".")[0]
                found[alias.asname or name] = name
        elif isinstance(statement, ast.ImportFrom) and statement.module:
            for alias in statement.names:
                found[alias.asname or alias.name] = f"{statement.module}.{alias.name}"
    return found


def imported(module: ast.Module) -> set[str]:
    """The full names of all modules and names that a module imports."""
    found: set[str] = set()
    for statement in ast.walk(module):
        if isinstance(statement, ast.Import):
            found.update(alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.module:
            found.update(f"{statement.module}.{alias.name}" for alias in statement.names)
    return found


def dotted(expression: ast.expr, names: dict[str, str]) -> str:
    """The full name of `a.b.c` after resolving what `a` was imported as; "" for anything else."""
    parts: list[str] = []
    while isinstance(expression, ast.Attribute):
        parts.append(expression.attr)
        expression = expression.value
    if not isinstance(expression, ast.Name):
        return ""
    return ".".join([names.get(expression.id, expression.id), *reversed(parts)])


def texts(module: ast.Module) -> Iterator[str]:
    """Every text constant that is not a docstring; an f-string as one text with `{}` in its holes."""
    skipped: set[int] = set()
    for part in ast.walk(module):
        if isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant):
            skipped.add(id(part.value))
        elif isinstance(part, ast.JoinedStr):
            skipped.update(id(value) for value in part.values)
            yield "".join(str(v.value) if isinstance(v, ast.Constant) else "{}" for v in part.values)
        elif isinstance(part, ast.Constant) and isinstance(part.value, str) and id(part) not in skipped:
            yield part.value
