"""Bookmarks: the partner's own words, and a little before them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.clock import parse_stix_time
from node.sync.bookmarks import Bookmark, advance, earlier, forget, is_later, read

MARK = Bookmark("2026-11-21T12:00:00.5Z", "epoch", b"policy", 7)


def test_a_bookmark_is_read_as_it_was_written(database):
    with database.writing() as tx:
        advance(tx, "west/x/in", MARK)
        assert read(tx, "west/x/in") == MARK


def test_a_bookmark_moves_on_and_is_forgotten(database):
    later = Bookmark("2026-11-21T13:00:00Z", "other", b"p", 8)
    with database.writing() as tx:
        advance(tx, "west/x/in", MARK)
        advance(tx, "west/x/in", later)
        assert read(tx, "west/x/in") == later
        forget(tx, "west/x/in")
        assert read(tx, "west/x/in") is None


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("2026-11-21T12:00:00.123456Z", "2026-11-21T12:00:00.122456Z"),
        ("2026-11-21T12:00:00.123Z", "2026-11-21T12:00:00.122Z"),
        ("2026-11-21T12:00:00.1Z", "2026-11-21T12:00:00.0Z"),
        ("2026-11-21T12:00:00Z", "2026-11-21T11:59:59Z"),
        ("2026-11-21T12:00:00.000Z", "2026-11-21T11:59:59.999Z"),
        ("2026-11-21T12:00:00.123456789Z", "2026-11-21T12:00:00.122456789Z"),
        ("Sat Nov 21 2026", "Sat Nov 21 2026"),
        ("", ""),
    ],
)
def test_the_overlap_is_one_unit_of_the_printed_precision_and_at_least_a_millisecond(text, asked):
    assert earlier(text) == asked


@given(st.integers(0, 9), st.integers(10**15, 2 * 10**15))
def test_what_is_asked_is_always_earlier_by_at_least_a_millisecond(digits, microseconds):
    fraction = f"{microseconds % 1_000_000:06d}789"[:digits]
    text = "2026-11-21T12:34:56" + (f".{fraction}" if digits else "") + "Z"
    assert parse_stix_time(text) - parse_stix_time(earlier(text)) >= 1_000_000
    assert len(earlier(text)) == len(text)


@pytest.mark.parametrize(
    ("text", "than", "later"),
    [
        ("2026-11-21T12:00:01Z", "2026-11-21T12:00:00.999Z", True),
        ("2026-11-21T12:00:00.1Z", "2026-11-21T12:00:00.100Z", False),
        ("yesterday", "today", True),
        ("today", "today", False),
    ],
)
def test_dates_are_compared_as_instants_where_they_can_be(text, than, later):
    assert is_later(text, than) is later
