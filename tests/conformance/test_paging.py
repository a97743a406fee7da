"""Pages: `more`, `next`, and the way on by dates (T-PAGE)."""

from __future__ import annotations

import base64

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.conformance.target import LAST, MT, entries, ids
from tests.support.builders import CREATED, a_malware, an_id, an_indicator

ONE = an_id("indicator")
LISTINGS = ["objects", "manifest", "object", "versions"]


def indicators(count, start=0):
    return [an_indicator(n) for n in range(start, start + count)]


def versions_of_one(count):
    return [an_indicator(created=CREATED, modified=f"2026-11-20T08:{n:02d}:00.000Z") for n in range(count)]


def path_and_params(place, listing):
    """Where the versions of one object are listed, and how to ask for all of them."""
    path = getattr(place, listing)
    return path(ONE) if callable(path) else path, {} if listing == "versions" else {"match_version": "all"}


def by_dates(caller, path, **params):
    """Every entry, going on from the last date instead of `next`."""
    found, after = [], {}
    for _ in range(1_000):
        page = caller.get(path, **{**params, **after})
        assert page.status_code == 200, page.text
        found += entries(page)
        if not page.json.get("more"):
            return found
        after = {"added_after": page.headers[LAST]}
    raise AssertionError("the walk does not end")


@pytest.fixture(scope="module")
def five(target):
    """Five versions of one indicator, in one POST."""
    place = target.place("rw")
    target.seed(place, versions_of_one(5))
    return place


# --- what a page says


@pytest.mark.parametrize("listing", LISTINGS)
def test_a_page_says_that_there_is_more_and_where(member, five, listing):
    """T-PAGE-1, T-PAGE-3, T-PAGE-17: on every listing; `next` is a text."""
    path, params = path_and_params(five, listing)
    found = member.get(path, limit=2, **params).json

    assert found["more"] is True
    assert isinstance(found["next"], str)
    assert found["next"]


@pytest.mark.parametrize("listing", LISTINGS)
def test_the_last_page_says_that_there_is_no_more(member, five, listing):
    """T-PAGE-2, T-PAGE-3: a boolean, and no `next` without more."""
    path, params = path_and_params(five, listing)
    found = member.get(path, limit=5, **params).json

    assert found["more"] is False
    assert "next" not in found


@pytest.mark.parametrize("size", [1, 5])
def test_pages_that_come_out_even_end_without_an_empty_one(member, five, size):
    """T-PAGE-18."""
    pages = list(member.pages(five.objects, limit=size, match_version="all"))

    assert [len(entries(page)) for page in pages] == [size] * (5 // size)


# --- walks


@pytest.mark.parametrize("listing", LISTINGS)
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_walk_finds_everything_once_and_in_order(member, five, listing, size):
    """T-PAGE-4, T-PAGE-17, T-PAGE-19: and no page of it is empty."""
    path, params = path_and_params(five, listing)
    pages = list(member.pages(path, limit=size, **params))

    assert all(entries(page) for page in pages)
    assert [one for page in pages for one in entries(page)] == member.listed(path, **params)


@pytest.mark.parametrize("listing", LISTINGS)
@pytest.mark.parametrize("size", [1, 3])
def test_the_last_date_leads_on_too(member, five, listing, size):
    """T-PAGE-5: although all of it came in one POST."""
    path, params = path_and_params(five, listing)

    assert by_dates(member, path, limit=size, **params) == member.listed(path, **params)


LIBRARY = [
    *indicators(9),
    *versions_of_one(4),
    *(a_malware(n) for n in range(5)),
    *indicators(6, start=9),
]


@pytest.fixture(scope="module")
def library(target):
    """Twenty-three versions of twenty-one objects, in two POSTs."""
    place = target.place("rw")
    target.seed(place, LIBRARY[:13])
    target.seed(place, LIBRARY[13:])
    return place


FILTERS = [
    {},
    {"match_version": "all"},
    {"match_version": "first"},
    {"match_type": "malware"},
    {"match_type": "indicator", "match_version": "first,last"},
    {"match_type": "malware,indicator", "match_spec_version": "2.0,2.1"},
]


# Not shrunk: a server that forgets its walks answers otherwise each time, and the walks are short.
@settings(max_examples=25, phases=(Phase.explicit, Phase.generate))
@given(
    limits=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    filters=st.sampled_from(FILTERS),
    manifest=st.booleans(),
    dated=st.lists(st.booleans(), min_size=1, max_size=4),
    keep=st.booleans(),
)
def test_any_walk_is_the_unpaged_answer(target, library, limits, filters, manifest, dated, keep):
    """T-PAGE-4, T-PAGE-5, T-PAGE-12, T-PAGE-13: limits change, `added_after` is kept or dropped."""
    path = library.manifest if manifest else library.objects
    whole = target.member.listed(path, **filters)
    start = {"added_after": "2020-01-01T00:00:00Z"}
    found, on = [], start
    for turn in range(100):
        page = target.member.get(path, limit=limits[turn % len(limits)], **filters, **on)
        found += entries(page)
        if not page.json.get("more"):
            break
        if dated[turn % len(dated)]:
            on = {"added_after": page.headers[LAST]}
        else:
            on = {"next": page.json["next"], **(start if keep else {})}

    assert found == whole


# --- what a token is good for


def test_a_token_outlives_the_process(target, member, five):
    """T-PAGE-6: nothing of a walk is kept in the server."""
    page = member.get(five.objects, limit=2, match_version="all").json
    target.restart()
    found = member.get(five.objects, limit=2, match_version="all", next=page["next"])

    assert found.status_code == 200
    assert page["objects"] + found.json["objects"] == member.listed(five.objects, match_version="all")[:4]


@pytest.mark.parametrize("hours", [0.1, 24, 24 * 30])
def test_a_token_outlives_a_pause(target, member, five, hours):
    """T-PAGE-6, T-PAGE-10: it does not expire, so there is no message about that."""
    token = member.get(five.objects, limit=2, match_version="all").json["next"]
    target.later(hours=hours)

    found = member.get(five.objects, limit=2, match_version="all", next=token)

    assert (found.status_code, len(entries(found))) == (200, 2)


def test_a_page_asked_for_again_is_the_same(member, five):
    """T-PAGE-7: a lost answer loses nothing."""
    token = member.get(five.objects, limit=2, match_version="all").json["next"]
    again = [member.get(five.objects, limit=2, match_version="all", next=token) for _ in range(3)]

    assert [page.status_code for page in again] == [200] * 3
    assert again[0].json == again[1].json == again[2].json


def test_a_token_of_one_collection_is_none_of_another(target, member, five):
    """T-PAGE-8."""
    other = target.place("rw")
    target.seed(other, versions_of_one(5))
    token = member.get(five.objects, limit=2, match_version="all").json["next"]

    found = member.get(other.objects, limit=2, match_version="all", next=token)

    assert (found.status_code, found.headers["Content-Type"]) == (400, MT)


@pytest.mark.parametrize(
    ("who", "statuses"), [("outsider", {403, 404}), ("stranger", {401}), ("impostor", {401})]
)
def test_a_token_gives_nobody_a_right(target, member, five, who, statuses):
    """T-PAGE-8: an account without the right reads nothing with the token of another."""
    token = member.get(five.objects, limit=2, match_version="all").json["next"]
    found = getattr(target, who).get(five.objects, limit=2, match_version="all", next=token)

    assert found.status_code in statuses


def test_a_right_that_is_taken_ends_the_walk(target, member, rw):
    """T-PAGE-8: at the next page."""
    target.seed(rw, versions_of_one(5))
    token = member.get(rw.objects, limit=2, match_version="all").json["next"]
    target.allow(rw, read=False)

    assert member.get(rw.objects, limit=2, match_version="all", next=token).status_code in (403, 404)


@pytest.mark.parametrize(
    "token",
    [
        "nothing",
        "1",
        "-1",
        "%00",
        "0" * 2_000,
        base64.b64encode(b"2026-11-21T12:00:00Z|1").decode(),
        "null",
        " ",
    ],
)
def test_a_token_of_nobody_is_malformed(member, five, token):
    """T-PAGE-9: 400, never the first page again."""
    found = member.get(five.objects, limit=2, match_version="all", next=token)

    assert (found.status_code, found.headers["Content-Type"]) == (400, MT)


@pytest.mark.parametrize("at", [0, 3, -9])
def test_a_token_with_a_letter_changed_is_malformed(member, five, at):
    """T-PAGE-9: and says how to go on."""
    token = member.get(five.objects, limit=2, match_version="all").json["next"]
    letters = list(token)
    letters[at] = "A" if letters[at] != "A" else "B"

    found = member.get(five.objects, limit=2, match_version="all", next="".join(letters))

    assert found.status_code == 400
    assert "added_after" in found.json["description"]


@pytest.mark.parametrize("listing", LISTINGS)
def test_a_token_needs_no_limit(target, member, rw, listing):
    """T-PAGE-11: the page is then as long as without one."""
    count = target.page_size + 3
    target.seed(rw, versions_of_one(count))
    path, params = path_and_params(rw, listing)
    first = member.get(path, limit=1, **params).json["next"]
    found = member.get(path, next=first, **params)

    assert (found.status_code, len(entries(found))) == (200, target.page_size)
    assert entries(found) == member.walk(path, **params)[1 : target.page_size + 1]


@pytest.mark.parametrize("sizes", [(1, 3, 2), (3, 1, 5)])
def test_the_limit_may_change_between_pages(member, five, sizes):
    """T-PAGE-12: nothing is skipped and nothing repeated."""
    found, more = [], {}
    for size in sizes:
        page = member.get(five.objects, limit=size, match_version="all", **more)
        found += entries(page)
        more = {"next": page.json.get("next", "")}

    assert found == member.listed(five.objects, match_version="all")[: len(found)]
    assert len(found) == min(sum(sizes), 5)


def test_a_client_may_drop_added_after(member, five):
    """T-PAGE-13: the token alone says where to go on."""
    start = member.listed(five.manifest, match_version="all")[0]["date_added"]
    page = member.get(five.objects, limit=2, match_version="all", added_after=start).json
    found = [
        member.get(five.objects, limit=2, match_version="all", next=page["next"], **given)
        for given in ({}, {"added_after": start})
    ]

    whole = member.listed(five.objects, match_version="all")
    assert [entries(one) for one in found] == [whole[3:5]] * 2


@pytest.mark.parametrize(
    "changed", [{}, {"match_version": "first"}, {"match_version": "all", "match_type": "indicator"}]
)
def test_a_token_belongs_to_its_match_filters(member, five, changed):
    """T-PAGE-13: with others it is refused (A-7), and the message says how to go on."""
    token = member.get(five.objects, limit=2, match_version="all").json["next"]
    found = member.get(five.objects, limit=2, next=token, **changed)

    assert found.status_code == 400
    assert "added_after" in found.json["description"]


# --- what changes meanwhile


def test_what_was_deleted_meanwhile_leaves_an_empty_page(target, member, rw):
    """T-PAGE-14: 200, after a page that promised more."""
    target.seed(rw, indicators(3))
    page = member.get(rw.objects, limit=2).json
    member.delete(rw.object(an_id("indicator", 2)))

    found = member.get(rw.objects, limit=2, next=page["next"])

    assert (page["more"], found.status_code, found.json) == (True, 200, {})


def test_what_comes_meanwhile_comes_at_the_end(target, member, rw):
    """T-PAGE-15: it shifts no page."""
    target.seed(rw, indicators(4))
    page = member.get(rw.objects, limit=2).json
    old = "2001-01-01T00:00:00.000Z"
    target.seed(rw, [an_indicator("late", created=old, modified=old, valid_from=old)])
    rest = member.walk(rw.objects, limit=2, next=page["next"])

    assert ids(page["objects"]) + ids(rest) == [an_id("indicator", n) for n in (0, 1, 2, 3, "late")]


def test_a_new_version_meanwhile_is_not_missed(target, member, rw):
    """T-PAGE-15: an object that moved to the end is found there."""
    target.seed(rw, indicators(4))
    page = member.get(rw.objects, limit=2).json
    later = "2026-11-20T10:00:00.000Z"
    target.seed(rw, [an_indicator(3, modified=later), an_indicator(0, modified=later)])
    rest = member.walk(rw.objects, limit=1, next=page["next"])

    assert [one["modified"] for one in rest] == [CREATED, later, later]
    assert ids(rest) == [an_id("indicator", n) for n in (2, 3, 0)]


def test_a_token_outlives_the_record_where_it_stands(target, member, rw):
    """T-PAGE-16: it is a moment and no row."""
    target.seed(rw, indicators(4))
    page = member.get(rw.objects, limit=2).json
    member.delete(rw.object(an_id("indicator", 1)))

    assert ids(member.listed(rw.objects, limit=2, next=page["next"])) == [
        an_id("indicator", n) for n in (2, 3)
    ]


def test_a_walk_of_the_reference_client_ends(member, five):
    """T-PAGE-17, T-PAGE-19: it lowers its limit to what came last, and asks for the same again."""
    found, more, limit = [], {}, 3
    for _ in range(10):
        page = member.get(five.manifest, limit=limit, match_version="all", **more)
        found += entries(page)
        if not page.json.get("more"):
            break
        more, limit = {"next": page.json["next"]}, len(entries(page))
        assert limit

    assert found == member.listed(five.manifest, match_version="all")
