"""`collections/` holds data: with Python in it, it would hide a module of the standard library."""

from __future__ import annotations

import tomllib

from tests.architecture.reading import ROOT

FOLDER = ROOT / "collections"


def test_the_collections_folder_holds_no_python():
    assert sorted(FOLDER.rglob("*.py*")) == []


def test_the_collections_folder_holds_definitions_bundles_and_their_description_only():
    assert {path.suffix for path in FOLDER.rglob("*") if path.is_file()} == {".toml", ".json", ".md"}


def test_a_wheel_takes_the_collections_along():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"] == {
        "collections": "node/collections"
    }
