"""Two nodes, a ring and a mesh that have converged: a round moves nothing, and writes links' states."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from node.audit import log
from node.store.database import Database
from node.sync import rounds
from tests.support.agreements import WEST_ID
from tests.support.builders import (
    LATER,
    NORTH_ID,
    SOUTH_ID,
    a_relationship,
    an_id,
    an_indicator,
    an_ipv4,
)
from tests.support.circles import SHAPES, Circle, a_circle, shown
from tests.support.databases import opened

AUTHORS = {"north": NORTH_ID, "south": SOUTH_ID, "west": WEST_ID}
carriers = pytest.mark.parametrize("carry", ["pull", "push"])


def bring_some(circle: Circle) -> set[str]:
    """Everybody brings something; the ids of what may cross."""
    crosses: set[str] = set()
    for name, member in circle.members.items():
        author = AUTHORS[name]
        ours = [f"{name} {each}" for each in range(3)]
        member.bring(*[an_indicator(each, author=author, tlp="green") for each in ours])
        member.bring(an_indicator(ours[0], author=author, tlp="green", modified=LATER, revoked=True))
        member.bring(an_ipv4())  # of everybody
        member.bring(a_relationship(an_id("indicator", ours[1]), an_id("indicator", ours[2]), author=author))
        member.bring(an_indicator(f"{name} kept", author=author, tlp="red"))
        crosses |= {an_id("indicator", each) for each in ours}
    return crosses


def quiet(circle: Circle) -> None:
    """Two further rounds move nothing, write nothing, and are one request for each link."""
    before, asked = circle.written(), circle.asked()
    carried = sum(link.carrier == "us" for one in circle.members.values() for link in one.door.links)
    for _ in range(2):
        assert circle.round() == 0
    after = circle.written()
    assert after == before, f"gone: {shown(before - after)}, new: {shown(after - before)}"
    assert circle.asked() - asked == 2 * carried


def converge(circle: Circle) -> None:
    """Everything that may cross is everywhere, and then it is quiet."""
    crosses = bring_some(circle)
    circle.settle()
    for name, member in circle.members.items():
        missing = crosses - member.ids()
        assert not missing, f"{name} misses {missing}"
        kept = {an_id("indicator", f"{each} kept") for each in circle.members if each != name}
        assert not kept & member.ids()
    quiet(circle)


@pytest.fixture
def three(_sqlite_template: Path, tmp_path: Path):
    """The databases of three nodes, on SQLite."""
    made: list[Database] = []
    for number in range(3):
        shutil.copyfile(_sqlite_template, tmp_path / f"{number}.db")
        made.append(Database(f"sqlite:///{tmp_path / f'{number}.db'}"))
    yield made
    for each in made:
        each.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def two(request: pytest.FixtureRequest, tmp_path: Path):
    """The databases of two nodes, on each of the two kinds."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    with (
        opened(request, request.param, tmp_path / "one") as one,
        opened(request, request.param, tmp_path / "other") as other,
    ):
        yield one, other


@carriers
def test_two_that_have_converged_are_quiet(two: Sequence[Database], tmp_path, carry):
    """N-SYNC-5."""
    converge(a_circle(two, tmp_path, "pair", carry))


@carriers
@pytest.mark.parametrize("shape", [name for name in SHAPES if name != "pair"])
def test_three_that_have_converged_are_quiet(three, tmp_path, shape, carry):
    """N-SYNC-5."""
    converge(a_circle(three, tmp_path, shape, carry))


def test_control_one_row_more_is_noticed(three, tmp_path, monkeypatch):
    circle = a_circle(three, tmp_path, "ring", "pull")
    bring_some(circle)
    circle.settle()
    noted = rounds._note

    def noting(door, link, *more, now):
        noted(door, link, *more, now=now)
        door.database.retrying(
            lambda tx: log.record(tx, now=now, actor="node", act="round", subject=link.name, details={})
        )

    monkeypatch.setattr(rounds, "_note", noting)
    with pytest.raises(AssertionError, match="gone: nothing, new: north leaf"):
        quiet(circle)


def test_control_one_value_that_changes_is_noticed(three, tmp_path):
    circle = a_circle(three, tmp_path, "mesh", "push")
    bring_some(circle)
    circle.settle()
    before = circle.written()
    with circle["west"].database.writing() as tx:
        assert tx.connection.exec_driver_sql("update owner set rank = rank + 1 where rank = 1").rowcount
    after = circle.written()
    assert {row.split()[1] for row in (before - after) + (after - before)} == {"owner"}
