"""README's table "the five packages and where each works" is true, in both directions.

A row of the table is `| package | places | what it does |`; places are paths in backticks, of a file or a
folder. medallion may also be at work where its name stands in a text: it is started as a program.
"""

from __future__ import annotations

import re

import pytest

from tests.architecture.reading import NODE, ROOT, imported, origins, place, sources, texts, tree

# package -> the module it is imported as
PACKAGES = {
    "stix2": "stix2",
    "taxii2-client": "taxii2client",
    "flask": "flask",
    "medallion": "medallion",
    "pytest": "pytest",
}


def _places(package: str) -> list[str]:
    """The paths that the table gives for a package."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    title = re.search(r"^.*five packages and where each works.*$", readme, re.IGNORECASE | re.MULTILINE)
    assert title is not None, "README.md has no table 'The five packages and where each works'"
    for line in readme[title.end() :].splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and cells[0].strip("`*").lower() == package:
            return re.findall(r"`((?:node|tests)/[\w./]*|conftest\.py)`", cells[1])
    raise AssertionError(f"the table has no row for {package}")


def _at_work(package: str, path) -> bool:
    module = PACKAGES[package]
    names = {name.partition(".")[0] for name in imported(tree(path)) | set(origins(tree(path)).values())}
    return module in names or (
        package == "medallion" and any("medallion" in text for text in texts(tree(path)))
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_works_where_the_readme_says(package):
    places = _places(package)
    idle = []
    for each in places:
        there = ROOT / each
        files = sources(there) if there.is_dir() else [there]
        if not any(path.exists() and _at_work(package, path) for path in files):
            idle.append(each)

    assert places
    assert idle == []


@pytest.mark.parametrize("package", ["stix2", "taxii2-client", "flask"])
def test_the_readme_names_every_place_in_the_node(package):
    places = _places(package)
    there = [place(path) for path in sources(NODE) if _at_work(package, path)]

    assert [path for path in there if not path.startswith(tuple(places))] == []
