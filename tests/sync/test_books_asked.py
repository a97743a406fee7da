"""Books that a partner tells wrongly: each is no answer, and nothing is changed by it."""

from __future__ import annotations

import itertools
import json

import pytest

from node.errors import PartnerRefused, PartnerUnreachable
from node.sync import books_asked
from node.sync.books_asked import Books
from tests.support.builders import an_id
from tests.support.partner import Canned, a_receiver

LINE = {"id": an_id("indicator"), "spec_version": "2.1", "version": 1, "digest": "00", "word": "given"}
SUM = {"count": 1, "sum": "0" * 64}
HEADERS = {"X-Exchange-Epoch": "one", "X-Exchange-Terms": "0" * 64}


@pytest.fixture
def asking(sqlite_database, west):
    """Asks west for a book, as a partner of our own kind that says what it is told to say."""
    north = a_receiver(sqlite_database, west, kind="stixnode")
    clients = []

    def ask(*told, buckets=None, **headers):
        answers = (one if isinstance(one, Canned) else json.dumps(one).encode() for one in told)
        west.answer_next(
            *(
                one if isinstance(one, Canned) else Canned(body=one, headers={**HEADERS, **headers})
                for one in answers
            )
        )
        clients.append(north.client())
        books = Books(clients[-1], north.link("in"), "indicators", {}, lambda: None, lambda _: True)
        return books.sums() if buckets is None else books.lines(buckets)

    yield ask
    for client in clients:
        client.close()


@pytest.mark.parametrize(
    "told",
    [
        [],
        {},
        {"side": "received"},
        {"side": "given", "lines": "none"},
        {"side": "given", "buckets": {"zz": SUM}},
        {"side": "given", "buckets": {"": SUM}},
        {"side": "given", "buckets": {"00": {"count": 1, "sum": "none"}}},
        {"side": "given", "buckets": {"00": {"count": 1.5, "sum": "0"}}},
        {"side": "given", "lines": [{**LINE, "word": "eaten"}]},
        {"side": "given", "lines": [{**LINE, "digest": "0g"}]},
        {"side": "given", "lines": [{**LINE, "digest": "00" * 65}]},
        {"side": "given", "lines": [{**LINE, "version": 2**63}]},
        {"side": "given", "lines": [{**LINE, "id": "x\u001b[2J"}]},
        {"side": "given", "lines": [{**LINE, "id": "x" * 301}]},
        {"side": "given", "lines": [{**LINE, "date_added": "yesterday"}]},
        {"side": "given", "marks": [{"mark": "00", "word": "eaten"}]},
        Canned(body=b"<html>", content_type="text/html"),
        Canned(body=b"{" * 100_000),
    ],
    ids=lambda told: str(told)[:60],
)
def test_what_is_not_of_its_form_is_no_answer(asking, told):
    with pytest.raises(PartnerUnreachable):
        asking(told)


def test_a_walk_without_an_end_ends(asking):
    with pytest.raises(PartnerRefused, match="without an end"):
        asking({"side": "given", "next": "a"}, {"side": "given", "next": "a"})


def test_a_walk_of_ever_new_places_ends_too(asking, monkeypatch):
    monkeypatch.setattr(books_asked, "MOST_STEPS", 5)
    places = (f"p{number}" for number in itertools.count())
    with pytest.raises(PartnerRefused, match="without an end"):
        asking(*({"side": "given", "next": next(places)} for _ in range(6)))


def test_so_many_lines_are_remembered_and_no_more(asking, monkeypatch):
    monkeypatch.setattr(books_asked, "MOST_LINES", 3)
    many = [{**LINE, "version": number} for number in range(4)]
    with pytest.raises(PartnerRefused):
        asking({"side": "given", "lines": many, "next": "a"}, {"side": "given"}, buckets=[0])


def test_a_history_that_changes_on_the_way_ends_the_walk(asking):
    other = Canned(body=b'{"side":"given"}', headers={**HEADERS, "X-Exchange-Epoch": "two"})
    with pytest.raises(PartnerUnreachable, match="history of west changed"):
        asking({"side": "given", "next": "a"}, other)


def test_control_what_is_right_is_read(asking):
    found = asking(
        {"side": "given", "lines": [{**LINE, "unknown": 1}], "next": "a"},
        {"side": "given", "lines": [{**LINE, "version": 2, "date_added": "2026-11-21T12:00:00.000001Z"}]},
        buckets=[0, 255],
    )
    assert sorted((key.version, line.at) for key, line in found.lines.items()) == [
        (1, 0),
        (2, 1_795_262_400_000_001),
    ]
    assert found.header.epoch == "one"
