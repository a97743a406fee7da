"""The doctor before partners in this process: each fault is named with what mends it, nothing is changed."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from node import clock
from node.config import load_settings
from node.exchange import feed_rows, links
from node.sync import doctor_talk
from node.taxii.reach import EXTENSION
from tests.support.builders import an_indicator
from tests.support.doctor_cases import a_case, a_case_of, answering, failures, looked
from tests.support.partner import COLLECTION, MEDIA, Canned
from tests.support.two_nodes import BOTH_PUSH, an_exchange_text, two_nodes

ROOT, PLACE = "/api/", "/api/collections/"


def said(value, status=200, **more):
    """An answer with a resource."""
    return Canned(status, json.dumps(value).encode(), **more)


def at(path, canned):
    """The answer to whatever is asked at one address."""
    return lambda asked: canned if asked.path == path else None


def everywhere(canned):
    """The answer to everything."""
    return lambda _asked: canned


# --- all is well


def test_a_partner_with_whom_all_is_well_has_no_failure(north, west):
    west.hold(*(an_indicator(each, tlp="green") for each in range(12)))

    found = looked(a_case(north))

    assert failures(found) == []
    assert found["credential"].mark == found["rights indicators/out"].mark == "ok"
    assert "10 entries, by next and by added_after" in found["paging indicators/in"].text
    assert found["terms"].mark == found["canary indicators/out"].mark == found["they reach us"].mark == "skip"
    assert all(asked.method == "GET" for asked in west.requests)


def test_the_look_leaves_our_own_books_as_they_are(north, west):
    west.hold(*(an_indicator(each, tlp="green") for each in range(3)))
    before = {name: north.count(name) for name in ("object", "received", "arrival", "leaf", "bookmark")}

    looked(a_case(north))

    assert {name: north.count(name) for name in before} == before


def test_a_partner_that_takes_its_time_with_each_answer_is_not_asked_for_ever(north, west, monkeypatch):
    """Each request has its deadline, and so have all together: also those of the paging of one flow."""
    west.hold(*(an_indicator(each, tlp="green") for each in range(12)))
    passed = iter(range(0, 100_000, 19))
    monkeypatch.setattr(doctor_talk, "time", SimpleNamespace(monotonic=lambda: float(next(passed))))

    found = looked(a_case(north))

    assert len(west.requests) <= doctor_talk.WHOLE_SECONDS / 19
    assert any("took so long" in each.text for each in found.values())


# --- each fault has its fix

FAULTS = [
    (
        "HTTP",
        everywhere(Canned(302, headers={"Location": "https://elsewhere.example/"})),
        "api_root",
        "person",
    ),
    ("HTTP", everywhere(Canned(200, b"<html>", content_type="text/html")), "what stands in front", "person"),
    ("HTTP", everywhere(said({"title": "broken"}, 500)), "call west", "network"),
    ("HTTP", everywhere(Canned(200, b"{}", headers={"Content-Encoding": "gzip"})), "identity", "person"),
    ("credential", everywhere(said({"title": "who?"}, 401)), "account", "credential"),
    ("credential", everywhere(said({"title": "no"}, 403)), "account", "credential"),
    (
        "API root",
        at(ROOT, said({"title": "none"}, 404)),
        "Ask west for the address of its API root",
        "person",
    ),
    ("rights indicators/in", at(f"{PLACE}{{}}/", said({"title": "none"}, 404)), "their_ids", "person"),
    (
        "rights indicators/in",
        at(f"{PLACE}{{}}/", said({"id": "x", "title": "W", "can_read": False, "can_write": True})),
        "right to read",
        "person",
    ),
    (
        "rights indicators/out",
        at(f"{PLACE}{{}}/", said({"id": "x", "title": "W", "can_read": True, "can_write": False})),
        "right to write",
        "person",
    ),
]


@pytest.mark.parametrize(
    ("what", "when", "fix", "takes"), FAULTS, ids=[f"{number} {one[0]}" for number, one in enumerate(FAULTS)]
)
def test_each_fault_is_named_with_what_mends_it(north, west, what, when, fix, takes):
    def answer(asked):
        found = when(asked)
        if found is None and asked.path == f"{PLACE}{COLLECTION}/":
            found = when(replace(asked, path=f"{PLACE}{{}}/"))
        return found

    answering(west, answer)

    found = looked(a_case(north))

    assert found[what].mark == "FAIL", found
    assert fix in found[what].fix or fix in found[what].text
    assert found[what].kind == takes


def test_what_needs_a_failed_thing_is_not_looked_at_and_that_is_said(north, west):
    answering(west, everywhere(said({"title": "who?"}, 401)))

    found = looked(a_case(north))

    assert "credential" in found["the rest"].text
    assert len(west.requests) == 1


def test_an_api_root_that_discovery_names_stands_in_the_fix(north, west):
    roots = said({"title": "West", "api_roots": ["/taxii/trusted/"]})
    answering(
        west,
        lambda asked: {ROOT: said({"title": "none"}, 404), "/taxii2/": roots}.get(asked.path),
    )

    assert f"http://127.0.0.1:{west.port}/taxii/trusted/" in looked(a_case(north))["API root"].fix


def test_a_partner_that_asks_to_wait_is_no_failure(north, west):
    answering(west, everywhere(said({"title": "slow"}, 429, headers={"Retry-After": "7"})))

    found = looked(a_case(north))

    assert failures(found) == []
    assert (found["HTTP"].mark, found["HTTP"].fix) == ("wait", "Run it again in 7 s.")


@pytest.mark.parametrize(("seconds", "mark"), [(5, "ok"), (-200, "warn"), (4_000, "FAIL")])
def test_the_clock_of_the_other_side_is_compared(north, west, seconds, mark):
    case = a_case(north, now=lambda: clock.now() - seconds * 1_000_000)

    found = looked(case)

    assert found["clock"].mark == mark
    assert mark == "ok" or ("ahead" if seconds > 0 else "behind") in found["clock"].text
    assert found["rights indicators/in"].mark == "ok"  # a wrong clock hinders no request


@pytest.mark.parametrize(
    ("resource", "what"),
    [
        ({"title": "W", "versions": ["taxii-2.0"], "max_content_length": 10_000_000}, "API root"),
        ({"title": "W", "versions": [MEDIA]}, "size"),
        ({"title": "W", "versions": [MEDIA], "max_content_length": 1_000}, "size"),
    ],
)
def test_what_works_and_is_weak_is_a_warning(north, west, resource, what):
    answering(west, at(ROOT, said(resource)))

    found = looked(a_case(north))

    assert (found[what].mark, failures(found)) == ("warn", [])
    assert found[what].fix


def test_another_media_type_is_a_warning(north, west):
    resource = {"title": "W", "versions": [MEDIA], "max_content_length": 10_000_000}
    answering(west, at(ROOT, said(resource, content_type="application/taxii+json")))

    assert looked(a_case(north))["media type"].mark == "warn"


# --- the canary of other software


def test_the_canary_is_sent_only_when_asked_for(north, west):
    assert looked(a_case(north))["canary indicators/out"].mark == "skip"
    assert west.posts() == []


def test_the_canary_is_read_back_and_what_stays_is_named(north, west):
    found = looked(a_case(north), canary=True)

    ((name,),) = west.posts()
    assert found["canary indicators/out"].mark == "warn"  # this server deletes nothing
    assert name in found["canary indicators/out"].text
    (body,) = [json.loads(one.body) for one in west.held]
    assert body["revoked"] is True
    assert body["type"] == "identity"


def test_a_server_that_says_yes_and_keeps_nothing_is_found(north, west):
    west.stores = False

    found = looked(a_case(north), canary=True)["canary indicators/out"]

    assert (found.mark, found.left != "") == ("FAIL", True)
    assert "does not give it back" in found.text


def test_a_canary_that_is_refused_is_a_failure_with_the_partners_words(north, west):
    usual = west.answer

    def refusing(asked):
        if asked.method == "POST":
            (one,) = json.loads(asked.body)["objects"]
            west.refuses[one["id"]] = "no identities here"
        return usual(asked)

    west.answer = refusing

    found = looked(a_case(north), canary=True)["canary indicators/out"]

    assert (found.mark, "no identities here" in found.text) == ("FAIL", True)


def test_no_canary_is_sent_by_a_link_that_is_closed_here(north, west):
    with north.database.writing() as tx:
        links.set_paused(tx, "west", paused=True, reason="for the test")

    found = looked(a_case(north), canary=True)

    assert (found["canary indicators/out"].mark, found["books indicators/out"].mark) == ("skip", "wait")
    assert west.posts() == []


# --- our own kind


@pytest.fixture
def pair(two_sqlite_databases, tmp_path):
    """North and south, each of which brings the other what it has."""
    found = two_nodes(two_sqlite_databases, tmp_path, flow_carry=BOTH_PUSH)
    for centre in (found.north, found.south):
        centre.app.extensions[EXTENSION].transport = centre.wire
    return found


def test_two_nodes_that_push_to_each_other_are_well(pair):
    found = looked(a_case_of(pair.north))

    assert failures(found) == []
    assert "the same at both nodes" in found["terms AGR-2026-01"].text
    assert "would have been stored" in found["canary indicators/out"].text
    assert found["they reach us"].mark == "ok", found["they reach us"]
    assert not pair.south.ids()


def test_other_terms_are_told_once_and_need_a_person(pair):
    other = an_exchange_text(flow_carry=BOTH_PUSH, flow_max_tlp="clear")
    (pair.north.folder / "agreement.toml").write_text(other, encoding="utf-8")
    settings = load_settings(pair.north.settings.path, {})
    case = a_case_of(pair.north)
    changed = [
        replace(one, link=next(link for link in settings.links if link.name == one.link.name))
        for one in case.standings
    ]

    found = looked(replace(case, standings=changed))

    assert failures(found) == ["terms AGR-2026-01"]
    assert "agreement show" in found["terms AGR-2026-01"].fix
    assert found["canary indicators/out"].mark == "skip"


def test_a_link_that_is_closed_there_waits_with_the_reason_told(pair):
    with pair.south.database.writing() as tx:
        links.set_paused(tx, "north", paused=True, reason="a drill")

    found = looked(a_case_of(pair.north))

    assert (found["canary indicators/out"].mark, failures(found)) == ("wait", [])
    assert "paused here" in found["canary indicators/out"].text


def test_a_partner_that_does_not_reach_us_says_why(pair):
    (pair.south.folder / "password").write_text("wrong", encoding="utf-8")

    found = looked(a_case_of(pair.north))["they reach us"]

    assert (found.mark, "401" in found.text) == ("FAIL", True)
    assert "token rotate" in found.fix


def test_an_address_that_is_not_ours_is_a_warning(pair):
    found = looked(a_case_of(pair.north, our_url="https://elsewhere.example"))["they reach us"]

    assert (found.mark, "https://north.example/api/" in found.text) == ("warn", True)


def test_a_collection_that_a_stixnode_does_not_show_leads_to_the_terms_and_not_to_another_id(pair):
    pair.south.restart(an_exchange_text(flow_collection="sightings"))

    found = looked(a_case_of(pair.north))["rights indicators/out"]

    assert (found.mark, "their_ids" in found.fix) == ("FAIL", False)
    assert "See the terms below" in found.fix


def test_the_paging_of_our_own_kind_is_read_without_being_given_anything(two_sqlite_databases, tmp_path):
    pair = two_nodes(two_sqlite_databases, tmp_path)
    pair.south.bring(*(an_indicator(each, author=_of(pair.south), tlp="green") for each in range(9)))

    found = looked(a_case_of(pair.north))

    assert "8 entries" in found["paging indicators/in"].text
    with pair.south.database.reading() as tx:
        assert tx.rows(sa.text("select distinct state from feed_row")) == [(feed_rows.OFFERED,)]


def _of(centre):
    return next(iter(sorted(centre.door.parties.ours)))
