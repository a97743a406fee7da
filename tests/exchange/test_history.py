"""node/exchange/history.py: what becomes a run, what is one run, and totals that are kept for ever."""

from __future__ import annotations

import pytest

from node.errors import UsageError
from node.exchange import history
from node.exchange.history import DAY, Run
from tests.support.builders import NOON

IN, OUT = "south/indicators/in", "south/indicators/out"
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


def a_run(**changes) -> Run:
    values = {
        "number": 0,
        "link": IN,
        "kind": "pull",
        "carrier": "us",
        "started": NOON,
        "ended": NOON + SECOND,
        "times": 1,
        "reason": "",
        "problem": "",
        "remedy": "",
        "counts": {"stored": 3},
        "named": {"stored": ["a", "b"]},
        "arrivals": [7],
    }
    return Run(**{**values, **changes})


def a_failure(at=NOON, **changes):
    failed = {"reason": "unreachable", "problem": "west gave no answer.", "counts": {}, "named": {}}
    return a_run(**{**failed, "arrivals": [], "started": at, "ended": at, **changes})


def a_visit(at, kind="fetch", number=1, **changes):
    counts, named = {"sent": number}, {"sent": [f"id {at}"]}
    return a_run(
        link=OUT, kind=kind, carrier="them", started=at, ended=at, counts=counts, named=named, **changes
    )


@pytest.fixture
def entered(database):
    """Enters runs, each in a transaction of its own; gives all of a link, newest first."""

    def enter(*runs: Run) -> list[Run]:
        for run in runs:
            with database.writing() as tx:
                history.enter(tx, run)
        with database.reading() as tx:
            return history.runs(tx, [IN, OUT])

    return enter


def totals_of(database, first=NOON // DAY, last=NOON // DAY, links=None):
    with database.reading() as tx:
        return {
            (one.link, one.day - NOON // DAY, one.counter): one.number
            for one in history.totals(tx, first, last, links)
        }


def test_counts_of_a_day_are_added_up_for_each_link(database):
    with database.writing() as tx:
        history.count(tx, IN, {"stored": 3, "duplicate": 2}, now=NOON)
        history.count(tx, IN, {"stored": 4}, now=NOON + HOUR)
        history.count(tx, IN, {"stored": 5}, now=NOON + DAY)
        history.count(tx, OUT, {"sent": 6}, now=NOON)

    assert totals_of(database) == {(IN, 0, "stored"): 7, (IN, 0, "duplicate"): 2, (OUT, 0, "sent"): 6}
    assert totals_of(database, last=NOON // DAY + 1, links=[IN])[IN, 1, "stored"] == 5


def test_a_count_of_nothing_writes_nothing(database):
    with database.writing() as tx:
        history.count(tx, IN, {"stored": 0}, now=NOON)

    assert totals_of(database) == {}


def test_a_run_comes_back_as_it_was_entered(entered):
    (found,) = entered(a_run(pages=2, requests=3, bytes=400))

    assert found == a_run(number=found.number, pages=2, requests=3, bytes=400)
    assert (found.name, found.moved) == (f"r-{found.number:04}", 3)


def test_the_same_failure_again_is_one_run_with_a_count_and_its_last_moment(entered):
    (found,) = entered(*(a_failure(NOON + n * MINUTE) for n in range(5)))

    assert (found.times, found.started, found.ended) == (5, NOON, NOON + 4 * MINUTE)


def test_a_failure_that_names_other_numbers_is_the_same_one(entered):
    """How many objects wait changes with each new one; a week without a partner is not a row a minute."""
    unconfirmed = {"reason": "unconfirmed", "kind": "push", "link": OUT}
    (found,) = entered(
        a_failure(**unconfirmed, problem="west has not confirmed 12 objects.", counts={"unconfirmed": 12}),
        a_failure(**unconfirmed, problem="west has not confirmed 13 objects.", counts={"unconfirmed": 13}),
    )

    assert (found.times, found.counts) == (2, {"unconfirmed": 13})


@pytest.mark.parametrize(
    "other",
    [
        a_failure(reason="refused_403"),
        a_failure(problem="west answered with a page that is not a TAXII envelope."),
        a_failure(counts={"stored": 1}),
        a_failure(counts={"duplicate": 1}),
        a_failure(kind="push"),
    ],
    ids=["another word", "another sentence", "it moved something", "it counted something", "another kind"],
)
def test_another_end_is_another_run(entered, other):
    assert [one.times for one in entered(a_failure(), other)] == [1, 1]


def test_a_failure_of_a_run_that_moved_something_is_not_added_to(entered):
    assert [one.times for one in entered(a_failure(counts={"stored": 9}), a_failure())] == [1, 1]


def test_what_a_partner_does_within_a_minute_is_one_visit(entered):
    (found,) = entered(*(a_visit(NOON + n * MINUTE, number=n + 1) for n in range(4)))

    assert (found.started, found.ended, found.counts) == (NOON, NOON + 3 * MINUTE, {"sent": 10})
    assert found.named["sent"] == [f"id {NOON + n * MINUTE}" for n in range(4)]


def test_a_visit_names_the_first_ids_and_arrivals_alone(entered):
    (found,) = entered(*(a_visit(NOON + n, arrivals=[n]) for n in range(40)))

    assert (len(found.named["sent"]), len(found.arrivals)) == (history.NAMED, history.MOST_ARRIVALS)


@pytest.mark.parametrize("moment", [NOON + MINUTE + 1, NOON - 1])
def test_what_comes_later_or_from_an_earlier_clock_is_another_visit(entered, moment):
    assert len(entered(a_visit(NOON), a_visit(moment))) == 2


def test_a_visit_that_never_ends_is_a_run_an_hour(entered):
    found = entered(*(a_visit(NOON + n * MINUTE) for n in range(130)))

    assert [one.counts["sent"] for one in reversed(found)] == [61, 61, 8]


def test_visits_of_two_kinds_go_on_beside_one_another(entered):
    found = entered(*(a_visit(NOON + n * SECOND, kind=("offer", "fetch")[n % 2]) for n in range(10)))

    assert {one.kind: one.counts["sent"] for one in found} == {"offer": 5, "fetch": 5}


def test_runs_are_listed_newest_first_since_a_moment(entered, database):
    entered(*(a_run(ended=NOON + n * HOUR) for n in range(4)))

    with database.reading() as tx:
        assert [one.ended for one in history.runs(tx, [IN], since=NOON + 2 * HOUR)] == [
            NOON + 3 * HOUR,
            NOON + 2 * HOUR,
        ]
        assert len(history.runs(tx, [IN], limit=1)) == 1
        assert history.runs(tx, [OUT]) == []


@pytest.mark.parametrize("name", ["r-9999", "r-0", "0412", "r-412x", "r-" + "9" * 30])
def test_a_run_that_is_not_there_is_a_wrong_call(database, name):
    with database.reading() as tx, pytest.raises(UsageError, match="no run"):
        history.find(tx, name)


@pytest.mark.parametrize("form", ["r-{:04}", "r-{}", "r-{:08}"])
def test_a_run_is_found_by_its_name_with_or_without_noughts(entered, database, form):
    (one,) = entered(a_run())
    with database.reading() as tx:
        assert history.find(tx, form.format(one.number)) == one


def pruned(database, now):
    with database.reading() as tx:
        found = history.surplus(tx, [IN, OUT], now=now)
    if found:
        with database.writing() as tx:
            history.prune(tx, found, now=now)
    return bool(found)


def test_the_newest_runs_of_each_link_are_kept(entered, database, monkeypatch):
    monkeypatch.setattr(history, "KEPT_RUNS", 3)
    before = entered(*(a_run(ended=NOON + n) for n in range(5)), a_visit(NOON))

    assert pruned(database, NOON)
    assert entered() == [one for one in before if one.link == OUT or one.ended >= NOON + 2]
    assert not pruned(database, NOON)


def test_runs_are_kept_ninety_days_and_totals_for_ever(entered, database):
    entered(a_run(), a_run(ended=NOON + HOUR))
    with database.writing() as tx:
        history.count(tx, IN, {"stored": 3}, now=NOON)
    later = NOON + HOUR + history.KEPT_DAYS * DAY

    assert pruned(database, later)
    assert [one.ended for one in entered()] == [NOON + HOUR]
    assert pruned(database, later + 10_000 * DAY)
    assert entered() == []
    assert totals_of(database) == {(IN, 0, "stored"): 3}


def test_texts_of_partners_are_cut(entered):
    long = a_failure(problem="x" * 9_000, remedy="y" * 9_000)
    (found,) = entered(long, long)

    assert (len(found.problem), len(found.remedy), found.times) == (500, 500, 2)
