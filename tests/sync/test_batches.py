"""Numbered batches to a partner of our own kind whose answers are not what they should be."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from node.errors import PartnerRefused
from node.exchange import feed_rows
from node.sync import batches
from node.sync.push import push
from node.sync.reports import Stop
from tests.support.builders import LATER, NORTH_ID, an_id, an_indicator
from tests.support.partner import COLLECTION, SECOND, Canned, a_receiver

OURS = [an_indicator(n, tlp="green", author=NORTH_ID) for n in range(3)]
DAY = 86_400 * SECOND


class OwnKind:
    """A stixnode as far as a push sees it.

    Attributes:
        silent: ids of which its answers say nothing.
        version: What it names as the version of each object; None for the object's own.
        refuses: Whether each object it names has failed.
        conflict: Its `details` to every POST, as 409; None to take them.
    """

    def __init__(self, west, link):
        self.headers = {"X-Exchange-Epoch": "theirs", "X-Exchange-Terms": link.terms_digest.hex()}
        self.silent: set[str] = set()
        self.version: str | None = None
        self.refuses = self.pending = False
        self.conflict: dict | None = None
        self.posts: list[tuple[int, list[str]]] = []
        west.answer = self.answer

    def answer(self, asked):
        if asked.method != "POST":
            flags = {"id": COLLECTION, "title": "W", "can_read": True, "can_write": True}
            return Canned(body=json.dumps(flags).encode(), headers=self.headers)
        if self.conflict is not None:
            body = {"title": "Out of step", "error_code": "session_old", "details": self.conflict}
            return Canned(409, json.dumps(body).encode(), self.headers)
        objects = json.loads(asked.body).get("objects", [])
        number = int(asked.headers["x-exchange-batch"].partition(";")[2])
        self.posts.append((number, [one["id"] for one in objects]))
        words = [
            {"id": one["id"], "version": one["modified"] if self.version is None else self.version}
            for one in objects
            if one["id"] not in self.silent
        ]
        status = {"id": "s", "status": "pending" if self.pending else "complete"}
        status["failures" if self.refuses else "successes"] = words
        return Canned(202, json.dumps(status).encode(), self.headers)


@pytest.fixture
def north(database, west):
    return a_receiver(database, west, kind="stixnode")


@pytest.fixture
def south(west, north):
    return OwnKind(west, north.link("out"))


def push_once(north):
    client = north.client()
    try:
        return push(north.door, north.link("out"), client, now=north.clock, pause=north.pause)
    finally:
        client.close()


def numbers(report):
    return (report.considered, report.sent, report.failed, report.unconfirmed)


def states(north):
    with north.database.reading() as tx:
        rows = tx.rows(sa.text("select state, count(*) from feed_row group by state"))
    return {feed_rows.STATE_NAMES[state]: count for state, count in rows}


@pytest.mark.parametrize("version", ["2020-01-01T00:00:00Z", "not a date", ""])
@pytest.mark.parametrize(("refuses", "expected"), [(False, (1, 1, 0, 0)), (True, (1, 0, 1, 0))])
def test_the_only_word_of_an_id_is_meant_for_it_whatever_version_it_names(
    north, south, version, refuses, expected
):
    south.version, south.refuses = version, refuses
    north.bring(OURS[0])
    assert numbers(push_once(north)) == expected


def test_a_word_of_another_version_settles_neither_of_two(north, south):
    south.version = "2020-01-01T00:00:00Z"
    north.bring(OURS[0], an_indicator(0, tlp="green", author=NORTH_ID, modified=LATER))
    report = push_once(north)
    assert numbers(report) == (2, 0, 0, 2)
    assert states(north) == {"sent": 2}


def test_two_versions_without_a_word_go_in_batches_of_their_own_the_next_time(north, south):
    south.version = "2020-01-01T00:00:00Z"
    north.bring(OURS[0], an_indicator(0, tlp="green", author=NORTH_ID, modified=LATER))
    push_once(north)
    report = push_once(north)
    assert [len(ids) for _, ids in south.posts] == [2, 1, 1]
    assert numbers(report) == (2, 2, 0, 0)


def test_an_object_without_a_word_is_counted_once_a_round(north, south):
    south.silent = {an_id("indicator", 1)}
    north.bring(*OURS)
    report = push_once(north)
    assert numbers(report) == (3, 2, 0, 1)
    assert report.stopped is Stop.UNCONFIRMED


def test_objects_without_a_word_do_not_keep_later_ones_back(north, south, monkeypatch):
    monkeypatch.setattr(batches, "MOST_OBJECTS", 1)
    south.silent = {an_id("indicator", 0), an_id("indicator", 1)}
    north.bring(*OURS)
    report = push_once(north)
    assert numbers(report) == (3, 1, 0, 2)
    assert [number for number, _ in south.posts] == [1, 2, 3]


def test_what_had_no_word_is_settled_by_a_later_one(north, south):
    south.silent = {an_id("indicator", 1)}
    north.bring(*OURS)
    push_once(north)
    south.silent = set()
    assert numbers(push_once(north)) == (1, 1, 0, 0)
    assert states(north) == {"settled": 3}


def test_three_answers_without_a_word_make_an_object_fail(north, south):
    south.silent = {an_id("indicator", 1)}
    north.bring(OURS[1])
    rounds = [numbers(push_once(north)) for _ in range(4)]
    assert rounds == [(1, 0, 0, 1), (1, 0, 0, 1), (1, 0, 1, 0), (0, 0, 0, 0)]
    assert [number for number, _ in south.posts] == [1, 2, 3]
    with north.database.reading() as tx:
        rows = tx.rows(sa.text("select state, message from feed_row"))
    assert rows == [(feed_rows.FAILED, "no word of it in 3 of 3 answers")]


def test_a_batch_that_is_not_decided_yet_keeps_its_number(north, south):
    south.silent, south.pending = {an_id("indicator", 0)}, True
    north.bring(OURS[0])
    assert numbers(push_once(north)) == (1, 0, 0, 1)
    south.silent, south.pending = set(), False
    assert numbers(push_once(north)) == (1, 1, 0, 0)
    assert [number for number, _ in south.posts] == [1, 1]


@pytest.mark.parametrize("started", [True, -5, 2**63, 2**70, "soon", 1.5, None, [1]])
def test_a_start_of_a_session_that_cannot_be_is_refused(north, south, started):
    south.conflict = {"started": started, "have": 1}
    north.bring(*OURS)
    report = push_once(north)
    assert isinstance(report.error, PartnerRefused)
    assert "start of our session" in report.error.problem
    with north.database.reading() as tx:
        assert tx.row(sa.text("select started from session_out"))[0] == north.clock()


@pytest.mark.parametrize("ahead", [-DAY, 0, DAY])
def test_a_session_begins_after_the_one_that_the_partner_knows(north, south, ahead):
    south.conflict = {"started": north.clock() + ahead, "have": 1}
    north.bring(*OURS)
    push_once(north)
    with north.database.reading() as tx:
        assert tx.row(sa.text("select started from session_out"))[0] > north.clock() + ahead
