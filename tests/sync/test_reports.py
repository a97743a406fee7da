"""Counters add up, or the round is a defect."""

from __future__ import annotations

import pytest

from node.sync.reports import PullReport, PushReport, Stop


def test_a_pull_whose_outcomes_do_not_add_up_is_a_defect():
    report = PullReport("x/y/in", received=2)
    report.outcomes["stored"] = 1
    with pytest.raises(AssertionError, match="received 2, accounted for 1"):
        report.check()
    report.outcomes["echo"] = 1
    report.check()


@pytest.mark.parametrize("word", ["sent", "unchanged", "withheld", "held", "failed", "unconfirmed"])
def test_a_push_counts_each_object_in_exactly_one_word(word):
    report = PushReport("x/y/out", considered=1)
    with pytest.raises(AssertionError, match="considered 1, accounted for 0"):
        report.check()
    setattr(report, word, 1)
    report.check()


@pytest.mark.parametrize(
    ("reason", "unfinished"),
    [(Stop.RUN_LIMIT, False), (Stop.CLOSED, False), (Stop.NO_PROGRESS, True), (Stop.TERMS_DIFFER, True)],
)
def test_a_round_at_its_limit_has_not_failed(reason, unfinished):
    report = PullReport("x/y/in")
    report.stop(reason, "why", "what to do")
    assert report.unfinished is unfinished


def test_a_warning_is_said_once():
    report = PullReport("x/y/in")
    report.warn("careful")
    report.warn("careful")
    assert report.warnings == ["careful"]
