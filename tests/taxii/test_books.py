"""The books of a flow at /exchange/books/: for the other party of the very link, and for nobody else."""

from __future__ import annotations

import json

import pytest

from node.exchange import books_told
from node.exchange.books_told import BUCKETS, Sum, Word, mark_of, together
from node.exchange.ledger import Key
from node.taxii import books
from tests.support.builders import LATER, NORTH_ID, SOUTH_ID, an_id, an_indicator
from tests.support.nodes import key_of
from tests.support.served import an_exchange

RECEIVED, GIVEN = "/exchange/books/indicators/received/", "/exchange/books/indicators/given/"
ALL = ",".join(f"{bucket:02x}" for bucket in range(BUCKETS))
THEIRS = [an_indicator(f"theirs {each}", tlp="green", author=SOUTH_ID) for each in range(12)]
OURS = [an_indicator(f"ours {each}", tlp="green", author=NORTH_ID) for each in range(12)]


@pytest.fixture
def node(database, tmp_path):
    return an_exchange(database, tmp_path)


@pytest.fixture
def quick(sqlite_database, tmp_path):
    return an_exchange(sqlite_database, tmp_path)


def walked(client, path, **params):
    """Every answer of a walk."""
    found, place = [], {}
    for _ in range(100):
        answer = client.get(path, **params, **place)
        assert answer.status_code == 200, answer.text
        found.append(answer.json)
        if "next" not in answer.json:
            return found
        place = {"next": answer.json["next"]}
    raise AssertionError("the walk does not end")


def lines(client, path):
    """id -> line, of all buckets."""
    return {one["id"]: one for told in walked(client, path, buckets=ALL) for one in told.get("lines", [])}


def marks(client, path):
    return {
        one["mark"]: one["word"]
        for told in walked(client, path, buckets=ALL)
        for one in told.get("marks", [])
    }


def sums(client, path):
    found = {}
    for told in walked(client, path):
        part = told.get("buckets", {}).items()
        found = together(found, {int(at, 16): Sum(one["count"], int(one["sum"], 16)) for at, one in part})
    return found


# --- who is told


def test_for_everybody_else_there_is_nothing_at_this_address(quick):
    """The same bytes as for an address that nobody ever had."""
    south, soc = quick.partner(), quick.soc()
    held = {"X-Request-Id": "the-same"}
    nothing = south.get("/exchange/nowhere/", headers=held)
    asked = [
        soc.get(RECEIVED, headers=held),
        south.get(RECEIVED, headers={**held, "Authorization": ""}),
        south.get(RECEIVED, headers={**held, "Authorization": "Bearer sn_aaaaaaaaaa_nobody"}),
        south.get("/exchange/books/techniques/received/", headers=held),
        south.get("/exchange/books/nowhere/given/", headers=held),
        south.get("/exchange/books/indicators/taken/", headers=held),
    ]
    assert {(one.status_code, one.data, one.headers["Content-Type"]) for one in asked} == {
        (404, nothing.data, nothing.headers["Content-Type"])
    }
    assert south.get(RECEIVED).status_code == south.get(GIVEN).status_code == 200


def test_a_partner_of_other_software_finds_nothing_either(sqlite_database, tmp_path):
    node = an_exchange(sqlite_database, tmp_path, partner={"kind": "taxii"})
    assert node.partner().get(GIVEN).status_code == 404


def test_what_closes_the_link_closes_its_books(quick):
    south = quick.partner()
    quick.pause()
    closed = south.get(GIVEN)
    assert (closed.status_code, closed.json["error_code"]) == (403, "link_closed")
    quick.resume()
    other = south.get(GIVEN, headers={"X-Exchange-Terms": "0" * 64})
    assert (other.status_code, other.json["error_code"]) == (409, "terms_differ")
    assert len(south.get(GIVEN).headers["X-Exchange-Terms"]) == 64
    assert south.get(GIVEN).headers["X-Exchange-Epoch"]


def test_it_counts_in_the_limits_of_an_account(sqlite_database, tmp_path):
    node = an_exchange(sqlite_database, tmp_path, limits={"requests_per_second": 2})
    south = node.partner()
    assert {south.get(GIVEN).status_code for _ in range(30)} == {200, 429}


@pytest.mark.parametrize(
    "params",
    [
        {"buckets": "0"},
        {"buckets": "FF"},
        {"buckets": "00,"},
        {"next": "nonsense"},
        {"next": "W10"},
        {"next": "WzEsImEiLCIyLjEiLDEsInoiXQ"},
        {"next": "Wzk5OTk5OTk5OTk5OTk5OTk5OTk5LCIiLCIiLDAsIiJd"},
    ],
)
def test_what_is_malformed_is_refused(quick, params):
    south = quick.partner()
    assert {south.get(path, **params).status_code for path in (RECEIVED, GIVEN)} == {400}


# --- what is told of what it brought


def test_of_what_it_brought_a_partner_learns_what_a_status_says_and_no_more(node):
    """Decision 21: held with other content, deleted here, or known before: to its giver all are taken."""
    south = node.partner()
    known, variant, deleted, stored = (an_indicator(each, tlp="green") for each in range(4))
    node.admit([known, variant])
    foreign = an_indicator("foreign", tlp="green", author=NORTH_ID)
    invalid = an_indicator("invalid", tlp="green", pattern=None)
    south.post("indicators", [deleted])
    soc = node.account(read=["indicators"], write=["indicators"], audience=["state-bodies"])
    assert soc.delete(f"indicators/objects/{an_id('indicator', 2)}/").status_code == 200
    other = an_indicator(1, tlp="green", description="theirs")
    sent = [known, other, deleted, stored, foreign, invalid]
    status = south.post("indicators", sent).json
    found = lines(south, RECEIVED)
    words = {stix_id: one["word"] for stix_id, one in found.items()}
    succeeded = {one["id"] for one in status["successes"]}
    assert {stix_id for stix_id, word in words.items() if word == "taken"} == succeeded
    assert set(words.values()) == {"taken", "set_aside"}
    assert {tuple(sorted(set(one) - {"id"})) for one in found.values()} == {
        ("digest", "spec_version", "version", "word")
    }
    assert (
        words[an_id("indicator", 1)]
        == words[an_id("indicator", 2)]
        == words[an_id("indicator", 3)]
        == "taken"
    )


def test_what_others_brought_and_what_is_ours_is_not_in_its_books(quick):
    south = quick.partner()
    quick.admit(OURS)
    south.post("indicators", THEIRS[:1])
    assert set(lines(south, RECEIVED)) == {json.loads(THEIRS[0])["id"]}


def test_what_came_in_an_earlier_history_of_its_giver_is_told_so(quick):
    south = quick.partner()
    south.post("indicators", THEIRS[:1], headers={"X-Exchange-Epoch": "first"})
    south.post("indicators", THEIRS[1:2], headers={"X-Exchange-Epoch": "second"})
    told = walked(south, RECEIVED, buckets=ALL, headers={"X-Exchange-Epoch": "second"})
    earlier = {one["id"]: one.get("earlier", False) for one in told[0]["lines"]}
    assert earlier == {an_id("indicator", "theirs 0"): True, an_id("indicator", "theirs 1"): False}


# --- what is told of what it was given


def test_what_may_not_go_is_never_named(node):
    """Neither what is withheld, nor what was taken out after it may have been given."""
    south = node.partner()
    node.admit([*OURS[:3], an_indicator("kept back", tlp="amber", author=NORTH_ID)])
    given = south.walk("indicators/objects/")
    assert len(given) == 3
    stricter = an_indicator("ours 1", tlp="red", author=NORTH_ID, modified=LATER)
    node.admit([stricter])
    answers = [json.dumps(told) for told in walked(south, GIVEN, buckets=ALL)]
    named = {an_id("indicator", name) for name in ("ours 0", "ours 2")}
    assert set(lines(south, GIVEN)) == named
    for hidden in ("ours 1", "kept back"):
        assert an_id("indicator", hidden) not in "".join(answers)
    assert marks(south, GIVEN) == {mark_of(key_of(OURS[1])): "out"}


def test_what_it_has_not_fetched_is_told_as_its_manifest_does(quick):
    south = quick.partner()
    quick.admit(OURS[:2])
    assert {one["word"] for one in lines(south, GIVEN).values()} == {"waiting"}
    assert sums(south, GIVEN) == {}  # nothing was handed over
    south.walk("indicators/objects/")
    dates = {one["id"]: one["date_added"] for one in south.get("indicators/manifest/").json["objects"]}
    assert {stix_id: one["date_added"] for stix_id, one in lines(south, GIVEN).items()} == dates


def test_what_may_not_go_any_more_is_not_named_to_who_begins_in_the_middle_either(quick):
    """A place of one's own making skips no judging; nobody has advanced the feed since."""
    south = quick.partner()
    quick.admit(OURS[:2])
    assert set(lines(south, GIVEN)) == {an_id("indicator", "ours 0"), an_id("indicator", "ours 1")}
    quick.admit([an_indicator("ours 1", tlp="red", author=NORTH_ID, modified=LATER)])
    place = books._token(books_told.Place(0))
    told = south.get(GIVEN, buckets=ALL, next=place).json
    assert [one["id"] for one in told["lines"]] == [an_id("indicator", "ours 0")]


def test_while_rows_wait_to_be_judged_nothing_is_named(quick, monkeypatch):
    south = quick.partner()
    quick.admit(OURS[:2])
    monkeypatch.setattr(books.feeds, "are_ranks_stale", lambda _tx: True)
    answer = south.get(GIVEN)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


# --- the walk


@pytest.mark.parametrize("path", [RECEIVED, GIVEN])
def test_a_walk_in_small_steps_tells_each_line_once(node, path, monkeypatch):
    """All twelve came at one moment, so a step ends in the middle of a moment."""
    south = node.partner()
    south.post("indicators", THEIRS)
    node.admit(OURS)
    south.walk("indicators/objects/")
    whole, named = sums(south, path), lines(south, path)
    assert sum(one.number for one in whole.values()) == len(named) == 12
    for name in ("ROWS_ADDED_UP", "ROWS_LISTED"):
        monkeypatch.setattr(books, name, 5)
    assert len(walked(south, path)) == 3
    assert sums(south, path) == whole
    told = [one["id"] for each in walked(south, path, buckets=ALL) for one in each["lines"]]
    assert (len(told), set(told)) == (12, set(named))


def test_the_sums_of_both_sides_are_those_of_the_same_lines(quick):
    """Control: another digest, id or word gives another sum, and another order does not."""
    south = quick.partner()
    south.post("indicators", THEIRS)
    mine = [books_told.Line(key_of(body), Word.GIVEN, 0) for body in THEIRS]
    assert books_told.add_up(mine) == books_told.add_up(mine[::-1]) == sums(south, RECEIVED)
    for changed in (
        mine[0]._replace(key=mine[0].key._replace(digest=b"other")),
        mine[0]._replace(key=mine[0].key._replace(version=1)),
        mine[0]._replace(word=Word.SET_ASIDE),
    ):
        assert books_told.add_up([changed, *mine[1:]]) != sums(south, RECEIVED)


def test_only_the_buckets_that_were_named_are_told(quick):
    south = quick.partner()
    south.post("indicators", THEIRS)
    wanted = books_told.bucket_of(an_id("indicator", "theirs 3"))
    told = south.get(RECEIVED, buckets=f"{wanted:02x}").json
    assert {books_told.bucket_of(one["id"]) for one in told["lines"]} == {wanted}
    assert told["lines"][0]["digest"] == Key(*key_of(THEIRS[3])).digest.hex()
