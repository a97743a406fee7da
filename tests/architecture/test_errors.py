"""Every error tells the operator what to do now."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

import pytest

from node import errors
from tests.architecture.reading import place, sources, tree


@cache
def _error_names() -> frozenset[str]:
    """The names of NodeError and of every class below it, in whatever file it stands."""
    names = {"NodeError"}
    classes = [part for path in sources() for part in ast.walk(tree(path)) if isinstance(part, ast.ClassDef)]
    grown = True
    while grown:
        below = {one.name for one in classes if any(_last(base) in names for base in one.bases)}
        grown = not below <= names
        names |= below
    return frozenset(names)


def _last(expression: ast.expr) -> str:
    if isinstance(expression, ast.Attribute):
        return expression.attr
    return expression.id if isinstance(expression, ast.Name) else ""


def _without_remedy(module: ast.Module, names: frozenset[str]) -> Iterator[str]:
    for part in ast.walk(module):
        if not isinstance(part, ast.Call) or _last(part.func) not in names:
            continue
        given = [word.value for word in part.keywords if word.arg in {"remedy", None}]
        if not given or any(
            isinstance(value, ast.Constant) and not str(value.value).strip() for value in given
        ):
            yield f"line {part.lineno}: {ast.unparse(part)[:90]}"


@pytest.mark.parametrize("path", sources(), ids=place)
def test_every_error_is_raised_with_a_remedy(path):
    assert list(_without_remedy(tree(path), _error_names())) == []


def test_an_error_without_a_remedy_is_found():
    planted = ast.parse("raise StoreBusy('locked')\nraise errors.UsageError('no', remedy='')")

    assert len(list(_without_remedy(planted, _error_names()))) == 2


def test_the_tree_in_the_header_names_every_error():
    below = {name for name in vars(errors) if isinstance(getattr(errors, name), type)}

    assert {name for name in below if f" {name} " not in f"{errors.__doc__}".replace("\n", " ")} == set()
