"""Whether pages are honest: what loses an object fails, what brings it twice is a warning."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from node.clock import taxii_time
from node.sync.doctor_paging import Pages, Sheet, judge
from tests.support.builders import NOON, an_indicator
from tests.support.doctor_cases import a_case, answering, failures, looked
from tests.support.partner import Canned

PAGING = "paging indicators/in"
KEYS = tuple("abcdefghij")
DATES = tuple(taxii_time(NOON + number * 1_000) for number in range(10))


def sheet(start, end, **changes):
    """A page of an honest server that holds ten entries."""
    more = end < 10
    given = Sheet(
        KEYS[start:end], more, str(end) if more else None, DATES[start], DATES[end - 1], DATES[start:end]
    )
    return replace(given, **changes)


def pages(**changes):
    """What an honest server with ten entries answers."""
    given = Pages(5, sheet(0, 10), sheet(0, 5), sheet(5, 10), sheet(5, 10), DATES)
    return replace(given, **changes)


def marks(found):
    """The marks of some findings."""
    return [each.mark for each in found]


def test_an_honest_pager_is_well():
    (found,) = judge(pages(), PAGING, "west")

    assert (found.mark, found.text) == (
        "ok",
        "10 entries, by next and by added_after: none missing, none twice",
    )


DISHONEST = {
    "a gap at the border of pages": (pages(second=sheet(6, 10)), "leaves out 1 of 5", "FAIL"),
    "the first page again": (pages(second=sheet(0, 5)), "gives 5 again and leaves out 5", "FAIL"),
    "an overlap that pushes one out": (pages(second=sheet(4, 9)), "gives 1 again and leaves out 1", "FAIL"),
    "another order each time": (pages(first=replace(sheet(0, 5), keys=tuple("bacde"))), "order", "FAIL"),
    "no more where there is more": (pages(first=sheet(0, 5, more=False)), "nothing follows", "FAIL"),
    "neither next nor date": (
        pages(first=sheet(0, 5, next=None, last=None), second=None, after=None), "neither", "FAIL",
    ),
    "more without next": (pages(first=sheet(0, 5, next=None), second=None), "no `next`", "warn"),
    "an overlap that loses nothing": (pages(second=sheet(4, 10)), "again", "warn"),
    "a date that is too late": (pages(first=sheet(0, 5, last=DATES[6])), "the manifest of the same", "FAIL"),
    "a date of another day": (pages(first=sheet(0, 5, first=DATES[2])), "the manifest of the same", "FAIL"),
    "no dates": (pages(first=sheet(0, 5, first=None, last=None), after=None), "no date", "warn"),
    "added_after leaves one out": (pages(after=sheet(6, 10)), "leaves out 1 of 5", "FAIL"),
    "added_after is inclusive": (pages(after=sheet(4, 9)), "that very date again", "warn"),
    "added_after is not obeyed": (pages(after=sheet(0, 5)), "entries of before it", "warn"),
    "limit is not obeyed": (pages(first=sheet(0, 10)), "`limit` is not obeyed", "warn"),
}  # fmt: skip


@pytest.mark.parametrize(("seen", "words", "mark"), DISHONEST.values(), ids=DISHONEST)
def test_a_dishonest_pager_is_caught(seen, words, mark):
    """The control of the test above: each way of lying is told, as what it costs."""
    found = judge(seen, PAGING, "west")

    assert mark in marks(found), found
    assert any(words in each.text and each.fix for each in found), found


def test_a_tie_at_the_border_is_no_fault_and_is_told():
    tied = (*DATES[:4], DATES[5], *DATES[5:])
    first = sheet(0, 5, last=DATES[5], dates=tied[:5])

    (found,) = judge(pages(first=first, after=sheet(6, 10), dates=tied), PAGING, "west")

    assert (found.mark, "one date" in found.text) == ("ok", True)


# --- read from a server


def held(west, number=12):
    """So many indicators, a second apart."""
    west.hold(*(an_indicator(each, tlp="green") for each in range(number)))


@pytest.mark.parametrize(("style", "mark"), [("offset", "ok"), ("none", "warn"), ("same", "FAIL")])
def test_a_server_is_read_in_small_pages(north, west, style, mark):
    held(west)
    west.next_style = style

    found = looked(a_case(north))[PAGING]

    assert found.mark == mark, found


def test_a_server_that_skips_one_at_each_border_is_found(north, west):
    held(west)
    usual = west.answer

    def skipping(asked):
        if "next" in asked.query:
            asked.query["next"] = [str(int(asked.query["next"][0]) + 1)]
        return usual(asked)

    west.answer = skipping

    found = looked(a_case(north))

    assert failures(found) == [PAGING]
    assert "leaves out 1" in found[PAGING].text


@pytest.mark.parametrize(
    ("changes", "mark"),
    [
        ({"inclusive": True}, "warn"),
        ({"digits": 3}, "ok"),
        ({"digits": 0}, "ok"),
        ({"date_headers": False}, "warn"),
        ({"page_most": 3}, "ok"),
    ],
    ids=str,
)
def test_weak_servers_are_told_from_dishonest_ones(north, west, changes, mark):
    held(west)
    for name, value in changes.items():
        setattr(west, name, value)

    assert looked(a_case(north))[PAGING].mark == mark


@pytest.mark.parametrize("number", [0, 1])
def test_too_little_to_judge_is_said(north, west, number):
    held(west, number)

    assert looked(a_case(north))[PAGING].mark == "skip"


def test_a_collection_that_moves_once_is_read_again(north, west):
    held(west)
    moved = []

    def moving(asked):
        if asked.path.endswith("/objects/") and asked.query.get("limit") == ["5"] and not moved:
            moved.append(asked)
            body = b'{"objects":[' + west.held[3].body + b"]}"
            return Canned(body=body)
        return None

    answering(west, moving)

    assert looked(a_case(north))[PAGING].mark == "ok"
    assert moved


def test_entries_that_are_no_json_are_told_apart_too(north, west):
    held(west, 3)
    west.held[1] = replace(west.held[1], body=json.dumps(["no object"]).encode())

    assert looked(a_case(north))[PAGING].mark == "ok"
