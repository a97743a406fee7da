"""The targets of the suite: ours on both databases, or the one that CONFORMANCE_TARGET names.

`target` is shared by the tests of a module, which get collections of their own from it; `fresh_target`
is made for one test. `make_target` makes one with other limits. With CONFORMANCE_REPORT the result of
each test and the numbers it carries are written to that file, as JSON lines.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.conformance.numbers import numbers_of
from tests.conformance.servers import Medallion, open_ours
from tests.conformance.target import Caller, Place, Target
from tests.support import databases

CHOSEN = os.environ.get("CONFORMANCE_TARGET", "")
NAMES = [CHOSEN] if CHOSEN else ["sqlite", "postgresql"]
REPORT = os.environ.get("CONFORMANCE_REPORT", "")


@contextmanager
def opened(request: pytest.FixtureRequest, name: str, folder: Path, **limits: object) -> Iterator[Target]:
    """A server of this name, new and empty."""
    if name == "medallion":
        known = ("page_size", "max_content_length")
        yield Medallion(**{key: int(str(limits[key])) for key in known if key in limits})
        return
    with databases.opened(request, name, folder) as database:
        yield open_ours(name, database, folder, **limits)


@pytest.fixture(scope="module", params=NAMES)
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A server that the tests of a module share."""
    with opened(request, request.param, tmp_path_factory.mktemp("target")) as found:
        yield found


@pytest.fixture
def fresh_target(target: Target, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    """A server of the same kind for this test alone."""
    with opened(request, target.name, tmp_path) as found:
        yield found


@pytest.fixture
def make_target(
    target: Target, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Target]]:
    """Makes servers of the same kind with keys of [limits], for this test alone."""
    with ExitStack() as stack:
        yield lambda **limits: stack.enter_context(
            opened(request, target.name, tmp_path_factory.mktemp("made"), **limits)
        )


@pytest.fixture
def member(target: Target) -> Caller:
    """The account whose rights the names of places tell."""
    return target.member


@pytest.fixture
def rw(target: Target) -> Place:
    """A new, empty collection that the member may read and write."""
    return target.place("rw")


@pytest.fixture(scope="module")
def empty(target: Target) -> Place:
    """A collection that the member may read and write, and that the module's tests leave empty."""
    return target.place("rw")


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Note the result of a test beside the numbers that it carries."""
    if not REPORT or (call.when != "call" and call.excinfo is None):
        return
    line = {"test": item.nodeid, "numbers": numbers_of(item), "passed": call.excinfo is None}
    with Path(REPORT).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
