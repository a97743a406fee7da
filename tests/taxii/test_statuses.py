"""node/taxii/statuses.py: a status is complete, stays as it is, and is for the one who posted."""

import uuid

import pytest

from node.exchange.ingress import Outcome, Result
from node.taxii import statuses
from tests.support.builders import an_indicator
from tests.support.served import a_served, an_exchange

WEEK = 7 * 24 * 3600 * 1_000_000


@pytest.fixture
def node(sqlite_database, tmp_path):
    return a_served(sqlite_database, tmp_path)


def test_a_status_is_read_again_as_it_was_answered_T_STAT_1_4_17(node):
    soc = node.soc()
    posted = soc.post("indicators", [an_indicator(), b"3"])

    for _ in range(2):
        found = soc.get(f"/api/status/{posted.json['id']}/")
        assert (found.status_code, found.data) == (200, posted.data)


def test_the_id_is_a_uuid_of_version_4_T_STAT_2(node):
    found = uuid.UUID(node.soc().post("indicators", [an_indicator()]).json["id"])

    assert (found.version, found.variant) == (4, uuid.RFC_4122)


def test_counts_are_all_there_and_empty_lists_are_not_T_STAT_5_6_7(node):
    found = node.soc().post("indicators", [an_indicator()]).json

    counts = {name: value for name, value in found.items() if name.endswith("_count")}
    assert counts == {"total_count": 1, "success_count": 1, "failure_count": 0, "pending_count": 0}
    assert {"failures", "pendings"} & set(found) == set()
    assert found["request_timestamp"] == "2026-11-21T12:00:00.000000Z"


def test_nobody_else_reads_a_status_T_STAT_14(node):
    posted = node.soc().post("indicators", [an_indicator()]).json["id"]
    other = node.account("other", read=["indicators"], write=["indicators"])

    mine, none = (other.get(f"/api/status/{each}/") for each in (posted, uuid.uuid4()))

    assert (mine.status_code, none.status_code) == (404, 404)
    assert mine.json["title"] == none.json["title"]


def test_a_partner_reads_its_own_status(sqlite_database, tmp_path):
    node = an_exchange(sqlite_database, tmp_path)
    south = node.partner()
    posted = south.post("indicators", [an_indicator()]).json["id"]

    assert south.get(f"/api/status/{posted}/").status_code == 200
    assert node.soc().get(f"/api/status/{posted}/").status_code == 404


@pytest.mark.parametrize("status_id", ["x", "%2e%2e", "a" * 1000, str(uuid.UUID(int=0)), "' or 1=1 --"])
def test_a_status_that_never_was_is_404_T_STAT_13(node, status_id):
    assert node.soc().get(f"/api/status/{status_id}/").status_code == 404


def test_a_status_is_kept_for_a_week_T_STAT_12(node):
    soc = node.soc()
    posted = soc.post("indicators", [an_indicator()]).json["id"]

    node.clock.now += WEEK
    soc.post("indicators", [an_indicator("two")])
    assert soc.get(f"/api/status/{posted}/").status_code == 200

    node.clock.now += 1
    soc.post("indicators", [an_indicator("three")])
    assert soc.get(f"/api/status/{posted}/").status_code == 404


def test_ids_do_not_repeat():
    assert len({statuses.new_id() for _ in range(100)}) == 100


def test_a_partner_learns_nothing_of_what_is_held_here():
    known = [
        Result(0, "indicator--1", "v", Outcome.VARIANT, "variant", "ours stands"),
        Result(1, "indicator--2", "v", Outcome.DUPLICATE, "", "Already held."),
        Result(2, "indicator--3", "v", Outcome.STORED, "", ""),
    ]

    assert {each.message for each in statuses.for_partner(known)} == {""}


def test_a_partner_is_told_that_an_object_was_set_aside_and_what_is_wrong_with_it():
    claimed = Result(0, "indicator--1", "v", Outcome.QUARANTINED, "foreign_edit", "The object is ours. (q-1)")
    broken = Result(1, "indicator--2", "v", Outcome.QUARANTINED, "invalid", "set_aside: no name (q-2)")

    assert [each.message for each in statuses.for_partner([claimed, broken])] == [
        "set_aside: a person here will look at it",
        "set_aside: no name (q-2)",
    ]


def test_a_refused_object_keeps_the_id_and_version_that_it_came_with_T_STAT_8_9(node):
    refused = b'{"type":"indicator","id":"indicator--NOTUUID","modified":"2026-01-01T00:00:00.000Z"}'

    (failure,) = node.soc().post("indicators", [refused]).json["failures"]

    assert (failure["id"], failure["version"]) == ("indicator--NOTUUID", "2026-01-01T00:00:00.000Z")
