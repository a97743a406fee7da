"""What a bad network does beside cutting: delays, silence, repeats, lateness; then all is there, once."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from node.sync import rounds
from node.sync.client import Partner
from node.sync.connection import Patience
from node.sync.worker import Worker
from tests.support.fault_proxy import FINE, Asked, Fault, always, fault_proxy, first
from tests.support.served import INDICATORS
from tests.torture.badly import BROUGHT, Pair, a_bad_pair

SHORT = Patience(connect=2.0, read=0.15, whole=0.4)
FAULTS = {
    "delay": Fault(delay=0.05),
    "too late an answer": Fault(delay=0.6),
    "lost": Fault(lost=True),
    "reset": Fault(lost=True, reset=True),
    "half open": Fault(lost=True, silent=True),
    "half an answer, then silence": Fault(cut_answer=300, silent=True),
    "answer lost": Fault(cut_answer=0),
    "twice, the first answer": Fault(twice="first"),
    "twice, the second answer": Fault(twice="second"),
    "once more at once": Fault(again_after=1),
    "once more later": Fault(again_after=5),
    "lost, and it comes after the next": Fault(lost=True, again_after=1),
    "lost, and it comes after the one after": Fault(lost=True, again_after=4),
    "busy": Fault(busy="1"),
}
METHOD = {"pull": "GET", "push": "POST"}
SPEED = 100  # of the clock by which a failing partner is asked
WATCHED_SECONDS = 30  # by that clock
PATIENCE_SECONDS = 60

_AS_NEW = sa.text("update link set last_try = null, next_try = null, failures = 0")

pytestmark = pytest.mark.timeout(200)


@pytest.fixture(scope="module", params=["pull", "push"])
def pair(request: pytest.FixtureRequest, _sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory):
    """Two nodes that serve for all faults of one way of carrying; north has little patience."""
    with a_bad_pair(_sqlite_template, tmp_path_factory.mktemp("bad"), request.param) as made:
        made.patience = SHORT
        yield made


def settled(pair: Pair, names: Sequence[str], rounds_at_most: int = 3) -> None:
    """A round or two later all is there; nothing came in halves meanwhile."""
    for _ in range(rounds_at_most):
        report = pair.round()
        assert pair.taker.holds(list(names)) % BROUGHT == 0
        if report.error is None and pair.taker.holds(list(names)) == len(names):
            return
    raise AssertionError(f"{report.error or report}")


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_whatever_becomes_of_a_message_all_is_there_afterwards_and_once(pair, fault):
    """T8, T9, T10."""
    names = pair.bring()
    pair.proxy.script = first(METHOD[pair.carry], fault)
    settled(pair, names)
    settled(pair, pair.bring())  # also when what was late has come
    pair.proxy.script = always(FINE)
    settled(pair, pair.bring())
    pair.converged()


@pytest.mark.parametrize("seed", range(2))
def test_any_series_of_faults_ends_with_everything_there_once(pair, seed):
    """T7 to T11, drawn."""
    chance = random.Random(seed)
    kinds = [each for each in FAULTS.values() if each.delay < 0.1]
    pair.proxy.script = lambda _asked: chance.choice(kinds) if chance.random() < 0.3 else FINE
    names: list[str] = []
    for _ in range(6):
        names += pair.bring()
        pair.round()
    pair.proxy.script = always(FINE)
    settled(pair, names)
    pair.converged()


class Hurried:
    """A clock that runs faster than the machine's; microseconds, or seconds for the proxy."""

    def __init__(self) -> None:
        self._began, self._real = time.time(), time.monotonic()

    def seconds(self) -> float:
        """Seconds since it was made."""
        return (time.monotonic() - self._real) * SPEED

    def __call__(self) -> int:
        """The present moment."""
        return int((self._began + self.seconds()) * 1_000_000)


FAILING = {
    "lost": Fault(lost=True),
    "half open": Fault(lost=True, silent=True),
    "cut, and looks whole": Fault(cut_answer=-10, length="right"),
    "busy, and impatient": Fault(busy="0"),
    "busy, with nonsense": Fault(busy="-1, garbage"),
}


def asked_while_failing(both: Pair, fault: Fault, *, at_least: int, tick: float = 1.0) -> list[Asked]:
    """What reaches a partner in most of a minute of the hurried clock, while each exchange fails."""
    hurried = Hurried()
    with both.north.database.writing() as tx:
        tx.run(_AS_NEW)
    with fault_proxy(both.proxy.target, now=hurried.seconds) as proxy:
        proxy.script = always(fault)
        binding = replace(both.binding, api_root=f"http://127.0.0.1:{proxy.port}/api/")
        tireless = Worker(
            door=both.north.door,
            open_client=lambda _name: Partner(binding, now=hurried, patience=SHORT),
            holder="torture",
            now=hurried,
            tick_seconds=tick / SPEED,
        )
        thread = threading.Thread(target=tireless.run)
        thread.start()
        try:
            until = time.monotonic() + PATIENCE_SECONDS
            while hurried.seconds() < WATCHED_SECONDS or len(proxy.asked) < at_least:
                assert time.monotonic() < until, "the partner is not asked again"
                time.sleep(0.01)
        finally:
            tireless.stop()
            thread.join()
        return list(proxy.asked)


def closest(asked: Sequence[Asked]) -> float:
    """Seconds between the two requests that came soonest one after the other."""
    return min(later.moment - earlier.moment for earlier, later in itertools.pairwise(asked))


@pytest.fixture(scope="module")
def both(_sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory):
    """Two nodes, of which north both pulls and pushes."""
    with a_bad_pair(_sqlite_template, tmp_path_factory.mktemp("both"), "both") as made:
        made.bring()
        yield made


@pytest.fixture
def careless(_sqlite_template: Path, tmp_path: Path):
    """North pushes to a south that does not look at the numbers of batches."""
    planted = "from node.taxii import exchange_headers as told; told.place_in_session = lambda *_: True"
    with a_bad_pair(_sqlite_template, tmp_path, "push", planted=planted) as made:
        yield made


@pytest.mark.parametrize("fault", FAILING.values(), ids=FAILING)
def test_a_failing_partner_is_asked_at_most_once_a_second(both, fault):
    """I14."""
    asked = asked_while_failing(both, fault, at_least=6)
    assert closest(asked) >= 1.0
    assert {each.target.rsplit("/", 2)[-2] for each in asked} >= {"objects", INDICATORS}


def test_control_a_worker_without_patience_is_found(both, monkeypatch):
    monkeypatch.setattr(rounds, "wait_after", lambda *_: 0.0)
    assert closest(asked_while_failing(both, Fault(lost=True), at_least=20, tick=0.1)) < 1.0


def test_control_a_receiver_that_applies_a_batch_again_is_found(careless):
    names = careless.bring()
    careless.proxy.script = first("POST", Fault(twice="first"))
    settled(careless, names)
    with pytest.raises(AssertionError, match="duplicate"):
        careless.converged()
