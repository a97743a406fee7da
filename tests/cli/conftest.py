"""The node of the tests of the command line: founded once, copied for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.desk import Desk, copied, founded


@pytest.fixture(scope="session")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return founded(tmp_path_factory.mktemp("template") / "north")


@pytest.fixture
def desk(_template: Desk, tmp_path: Path) -> Desk:
    """A fresh node called north, with the five collections and the person op."""
    return copied(_template, tmp_path / "north")
