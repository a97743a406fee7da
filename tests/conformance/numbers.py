"""The numbers of the list of requirements: read from it, found in the tests, and counted.

A number is written `T-OBJ-20`, `N-SYNC-3`, `I-3.13.1.10`, `S-TLP-2`. A test carries those in the first
paragraph of its docstring and in the ids of its parameters, as in `pytest.param(..., id="T-DEL-4 two")`.

Reads   `reference/taxii-conformance.md` of the folder `shared` beside the repository, and the tests
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.data import FOLDER

LIST = FOLDER.parent / "reference" / "taxii-conformance.md"
TESTS = Path(__file__).resolve().parents[1]
NUMBER = re.compile(r"(?<!\w)(?:[TS]-[A-Z]+-\d+|N-SYNC-\d+|I-X-\d+|I-STIX-\d+|I-GAP|I-3(?:\.\d+)+)(?!\w)")
_ENTRY = re.compile(rf"^- \*\*({NUMBER.pattern})\*\*", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Carrier:
    """A test and the numbers it carries.

    Args:
        path: Of its file, from the folder of the tests.
        name: Of the function.
        numbers: In their order, each once.
    """

    path: str
    name: str
    numbers: tuple[str, ...]


def in_text(text: str, number: re.Pattern[str] = NUMBER) -> list[str]:
    """The numbers in a text, in their order, each once; of this list, or of another by its form."""
    return list(dict.fromkeys(number.findall(text)))


def numbers_of(item: Any) -> list[str]:
    """The numbers that a collected test carries: of its docstring and of this set of parameters."""
    carried = in_text(_paragraph(getattr(item, "obj", None).__doc__))
    if hasattr(item, "callspec"):
        carried += in_text(" ".join(item.callspec._idlist))  # joined by "-", as in its id, they run together
    return list(dict.fromkeys(carried))


def requirements(path: Path = LIST) -> list[str]:
    """Every number of the list, in its order.

    Raises:
        AssertionError: The list is not there.
    """
    assert path.is_file(), (
        f"The list of requirements {path.name} is not there. It lies in the folder shared/reference beside"
        " the repository; put that folder there to count."
    )
    return in_text("\n".join(_ENTRY.findall(path.read_text(encoding="utf-8"))))


def carriers(folder: Path = TESTS, number: re.Pattern[str] = NUMBER) -> Iterator[Carrier]:
    """Every test below a folder that carries a number."""
    for path in sorted(folder.rglob("test_*.py")):
        yield from in_source(path.read_text(encoding="utf-8"), path.relative_to(folder).as_posix(), number)


def in_source(source: str, path: str, number: re.Pattern[str] = NUMBER) -> Iterator[Carrier]:
    """Every test in the text of a file that carries a number."""
    module = ast.parse(source)
    constants = {
        name.id: found.value
        for found in module.body
        if isinstance(found, ast.Assign)
        for name in found.targets
        if isinstance(name, ast.Name)
    }
    for found in ast.walk(module):
        if not isinstance(found, ast.FunctionDef) or not found.name.startswith("test_"):
            continue
        said = [_paragraph(ast.get_docstring(found))]
        for decorator in found.decorator_list:
            for each in ast.walk(decorator):
                said += _texts([each])
                if isinstance(each, ast.Name) and each.id in constants:
                    said += _ids(constants[each.id])
        numbers = in_text("\n".join(said), number)
        if numbers:
            yield Carrier(path, found.name, tuple(numbers))


def section(number: str) -> str:
    """The section of a number: `T-OBJ`, `S-TLP`, `N-SYNC`, `I`."""
    return "I" if number.startswith("I-") else number.rpartition("-")[0]


def sections(numbers: Iterable[str]) -> dict[str, list[str]]:
    """Numbers by their section, in the order in which the sections come first."""
    found: dict[str, list[str]] = {}
    for number in numbers:
        found.setdefault(section(number), []).append(number)
    return found


def _paragraph(docstring: str | None) -> str:
    return (docstring or "").strip().partition("\n\n")[0]


def _texts(nodes: Iterable[ast.AST | None]) -> list[str]:
    return [one.value for one in nodes if isinstance(one, ast.Constant) and isinstance(one.value, str)]


def _ids(parameters: ast.AST) -> list[str]:
    # Of `pytest.param(..., id=...)` in a constant, and the keys of one that is a dictionary.
    found: list[str] = []
    for each in ast.walk(parameters):
        if isinstance(each, ast.keyword) and each.arg == "id":
            found += _texts([each.value])
        elif isinstance(each, ast.Dict):
            found += _texts(each.keys)
    return found
