"""Get Objects: envelope, order, errors, `added_after` and `limit` (T-OBJ-1 to T-OBJ-35)."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from tests.conformance.target import LAST, MT, ids
from tests.support.builders import CREATED, LATER, a_malware, an_id, an_indicator, an_ipv4

ONE = an_id("indicator")


def dates(member, place):
    """`date_added` of every version, in the order of the manifest."""
    return [one["date_added"] for one in member.walk(place.manifest, match_version="all")]


def post_one_by_one(target, place, objects):
    for body in objects:
        target.seed(place, [body])


# --- the envelope


def test_objects_come_in_an_envelope(target, member, rw):
    """T-OBJ-1, T-OBJ-2: of TAXII, which is no bundle: no type, no id, no spec_version."""
    bodies = [an_indicator(), a_malware(), an_ipv4()]
    target.seed(rw, bodies)
    found = member.get(rw.objects)

    assert (found.status_code, found.headers["Content-Type"]) == (200, MT)
    assert set(found.json) <= {"more", "next", "objects"}
    assert found.json["objects"] == [json.loads(body) for body in bodies]


@pytest.mark.parametrize("query", ["", "match[type]=tool", "limit=3", "match[id]=tool--" + "1" * 8])
def test_nothing_found_is_an_envelope_without_objects(member, empty, query):
    """T-OBJ-3: never an empty list."""
    found = member.send("GET", empty.objects, query_string=query)

    assert found.status_code == 200
    assert found.json in ({}, {"more": False})


def test_objects_come_in_the_order_in_which_they_were_added(target, member, rw):
    """T-OBJ-4: one date after another, not by any time of theirs, and the same each time."""
    old = [an_indicator(n, created=f"20{n}-01-01T00:00:00.000Z", modified=LATER) for n in (25, 10, 19, 14)]
    target.seed(rw, old[:3])
    target.seed(rw, old[3:])
    found = [ids(member.listed(rw.objects)) for _ in range(3)]

    assert found == [[an_id("indicator", n) for n in (25, 10, 19, 14)]] * 3
    assert dates(member, rw) == sorted(dates(member, rw))


@pytest.mark.parametrize("rights", ["w", "none"])
def test_a_place_that_may_not_be_read_is_forbidden(target, member, rights):
    """T-OBJ-5, I-X-3: 403, as TAXII."""
    found = member.get(target.place(rights).objects)

    assert (found.status_code, found.headers["Content-Type"]) == (403, MT)


@pytest.mark.parametrize("who", ["stranger", "impostor"])
def test_objects_ask_who_you_are(target, rw, who):
    """T-OBJ-6: 401 with a challenge."""
    found = getattr(target, who).get(rw.objects)

    assert found.status_code == 401
    assert found.headers["WWW-Authenticate"]


# --- parameters in general

MALFORMED = [
    "limit=abc",
    "limit=",
    "limit=0",
    "added_after=yesterday",
    "added_after=",
    "match[id]=",
    "match[type]=",
    "match[version]=newest",
    "match[version]=",
    "match[spec_version]=two",
    "match[spec_version]=",
    "next=nothing",
]


@pytest.mark.parametrize("query", MALFORMED)
@pytest.mark.parametrize("listing", ["objects", "manifest"])
def test_a_malformed_parameter_is_a_bad_request(member, empty, listing, query):
    """T-OBJ-7: 400 as TAXII, never a guess and never a failure of the server."""
    found = member.send("GET", getattr(empty, listing), query_string=query)

    assert (found.status_code, found.headers["Content-Type"]) == (400, MT)
    assert found.json["title"]


REPEATED = [
    "added_after=2026-01-01T00:00:00Z&added_after=2026-01-01T00:00:00Z",
    "limit=1&limit=1",
    "next=a&next=b",
    "match[id]=a&match[id]=a",
    "match[type]=indicator&match[type]=malware",
    "match[version]=first&match[version]=last",
    "match[spec_version]=2.0&match[spec_version]=2.1",
    "match%5Btype%5D=indicator&match[type]=malware",
]


@pytest.mark.parametrize("query", REPEATED)
def test_a_repeated_parameter_is_a_bad_request(member, empty, query):
    """T-OBJ-9: every parameter, whatever its encoding."""
    assert member.send("GET", empty.objects, query_string=query).status_code == 400


@pytest.mark.parametrize("query", ["match[foo]=x", "vendor=1", "match[foo]=x&match[foo]=y", "version=9", "a"])
def test_an_unknown_parameter_is_ignored(target, member, rw, query):
    """T-OBJ-10: clients add keys of their vendors."""
    target.seed(rw, [an_indicator()])

    assert ids(member.send("GET", rw.objects, query_string=query).json["objects"]) == [ONE]


@pytest.mark.parametrize("query", ["match[type]=", "match[id]=", "limit=", "added_after=", "match[version]="])
def test_an_empty_value_is_malformed(member, empty, query):
    """T-OBJ-11."""
    assert member.send("GET", empty.objects, query_string=query).status_code == 400


def test_an_empty_next_is_none(target, member, rw):
    """T-OBJ-11: some clients write their empty cursor."""
    target.seed(rw, [an_indicator()])

    assert ids(member.listed(rw.objects, next="")) == [ONE]


@pytest.mark.parametrize("query", ["match[type]=malware, indicator", "match[type]=malware,+indicator"])
def test_a_space_beside_a_comma_is_no_part_of_a_value(target, member, rw, query):
    """T-OBJ-12: the request is refused or the space is taken off."""
    target.seed(rw, [an_indicator()])
    found = member.send("GET", rw.objects, query_string=query)

    assert found.status_code == 400 or ids(found.json["objects"]) == [ONE]


# --- added_after


def test_added_after_is_strictly_after(target, member, rw):
    """T-OBJ-20: what was added at that very moment is not in the answer."""
    bodies = [an_indicator(n) for n in range(3)]
    post_one_by_one(target, rw, bodies)
    added = dates(member, rw)

    found = [ids(member.listed(rw.objects, added_after=date)) for date in added]

    assert found == [[an_id("indicator", n) for n in range(at + 1, 3)] for at in range(3)]


def test_added_after_asks_when_the_server_got_it(target, member, rw):
    """T-OBJ-21: an object of years ago that comes now is new here."""
    target.seed(rw, [an_indicator("new")])
    taken = member.get(rw.objects).headers[LAST]
    old = "2009-01-01T00:00:00.000Z"
    target.seed(rw, [an_indicator("old", created=old, modified=old, valid_from=old)])

    assert ids(member.listed(rw.objects, added_after=taken)) == [an_id("indicator", "old")]


def test_a_new_version_is_added_when_it_comes(target, member, rw):
    """T-OBJ-22: a known object appears again after the date of its first version."""
    target.seed(rw, [an_indicator()])
    taken = member.get(rw.objects).headers[LAST]
    target.seed(rw, [an_indicator(modified=LATER)])

    assert [one["modified"] for one in member.listed(rw.objects, added_after=taken)] == [LATER]


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00+00:00",
        "2026-01-01T00:00:00.Z",
        "2026-01-01 00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:60Z",
        "2026-01-01t00:00:00z",
        "20260101T000000Z",
        "1735689600",
        "2026-01-01T00:00:00Z,2026-01-02T00:00:00Z",
    ],
)
def test_added_after_is_a_moment_in_utc(member, empty, text):
    """T-OBJ-23: anything else is malformed; a leap second too."""
    assert member.get(empty.objects, added_after=text).status_code == 400


@pytest.mark.parametrize("digits", range(10))
def test_added_after_may_have_any_number_of_digits(target, member, rw, digits):
    """T-OBJ-23, T-OBJ-24: clients leave zeros out, and some write nanoseconds."""
    target.seed(rw, [an_indicator()])
    fraction = f".{'0' * digits}" if digits else ""

    for year, count in ((2020, 1), (2099, 0)):
        assert len(member.listed(rw.objects, added_after=f"{year}-01-01T00:00:00{fraction}Z")) == count


def test_nanoseconds_are_as_strict_as_microseconds(target, member, rw):
    """T-OBJ-24: what was added at .123456 is not after .123456789, and is after .123455999."""
    target.seed(rw, [an_indicator()])
    added = datetime.strptime(dates(member, rw)[0], "%Y-%m-%dT%H:%M:%S.%f%z")
    before = f"{added - timedelta(microseconds=1):%Y-%m-%dT%H:%M:%S.%f}"

    assert member.listed(rw.objects, added_after=f"{added:%Y-%m-%dT%H:%M:%S.%f}789Z") == []
    assert ids(member.listed(rw.objects, added_after=f"{before}999Z")) == [ONE]


@pytest.mark.parametrize("offset", ["+00:00", "%2B00:00", "+01:00", " 00:00"])
def test_a_plus_in_a_query_is_not_guessed_at(member, empty, offset):
    """T-OBJ-25: it arrives as a space, and an offset is no UTC either."""
    found = member.send("GET", empty.objects, query_string=f"added_after=2026-01-01T00:00:00{offset}")

    assert found.status_code == 400


def test_without_added_after_the_oldest_come_first(target, member, rw):
    """T-OBJ-26."""
    post_one_by_one(target, rw, [an_indicator(n) for n in range(3)])

    assert ids(member.listed(rw.objects, limit=2)) == [an_id("indicator", n) for n in range(2)]


def test_a_moment_to_come_finds_nothing(target, member, rw):
    """T-OBJ-27: 200 and an empty envelope."""
    target.seed(rw, [an_indicator()])
    found = member.get(rw.objects, added_after="9999-12-31T23:59:59.999999Z")

    assert (found.status_code, found.json) == (200, {})


# --- limit


@pytest.mark.parametrize(
    "limit", ["0", "-1", "abc", "1.5", "1e3", "0x10", "+1", " 1", "1 ", "٣", "00", "1,2"]
)
def test_a_limit_is_a_whole_number_above_zero(member, empty, limit):
    """T-OBJ-30."""
    assert member.get(empty.objects, limit=limit).status_code == 400


def test_a_page_has_at_most_as_many_entries(target, member, rw):
    """T-OBJ-30: and exactly as many while there are more."""
    target.seed(rw, [an_indicator(n) for n in range(5)])

    assert [len(member.listed(rw.objects, limit=n)) for n in (1, 2, 4)] == [1, 2, 4]


@pytest.mark.parametrize("limit", [3, 4, 50])
def test_all_that_matches_comes_when_it_fits(target, member, rw, limit):
    """T-OBJ-31: and then there is no more."""
    target.seed(rw, [an_indicator(n) for n in range(3)])
    found = member.get(rw.objects, limit=limit).json

    assert len(found["objects"]) == 3
    assert not found.get("more")
    assert "next" not in found


@pytest.mark.parametrize("limit", [51, 500, 15_000])
def test_a_limit_above_the_largest_page_is_cut(target, member, rw, limit):
    """T-OBJ-32: 200 with what a page holds, and more."""
    target.seed(rw, [an_indicator(n) for n in range(target.page_size + 1)])
    found = member.get(rw.objects, limit=limit).json

    assert (len(found["objects"]), found["more"]) == (target.page_size, True)


def test_without_a_limit_a_page_has_an_end(target, member, rw):
    """T-OBJ-33."""
    target.seed(rw, [an_indicator(n) for n in range(target.page_size + 1)])
    found = member.get(rw.objects).json

    assert (len(found["objects"]), found["more"]) == (target.page_size, True)


@pytest.mark.parametrize("digits", [20, 400, 5_000])
def test_a_limit_of_many_digits_breaks_nothing(target, member, rw, digits):
    """T-OBJ-34: it is cut or refused."""
    target.seed(rw, [an_indicator()])

    assert member.get(rw.objects, limit="9" * digits).status_code in (200, 400)


@pytest.mark.parametrize("listing", ["objects", "manifest", "object", "versions"])
def test_a_limit_counts_versions_on_every_listing(target, member, rw, listing):
    """T-OBJ-35: each version is an entry."""
    target.seed(rw, [an_indicator(modified=f"2026-11-20T08:0{n}:00.000Z", created=CREATED) for n in range(3)])
    path = getattr(rw, listing)
    path = path(ONE) if callable(path) else path
    found = member.get(path, limit=2, **({} if listing == "versions" else {"match_version": "all"}))

    assert len(found.json.get("objects", found.json.get("versions"))) == 2
    assert found.json["more"] is True
