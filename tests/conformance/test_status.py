"""The status of a POST: what it says, to whom, and for how long (T-STAT)."""

from __future__ import annotations

import re
import uuid

import pytest

from tests.conformance.target import MT
from tests.support.builders import CREATED, LATER, a_marking_definition, an_id, an_indicator, an_ipv4

COUNTS = ("total_count", "success_count", "failure_count", "pending_count")
LISTS = {"success_count": "successes", "failure_count": "failures", "pending_count": "pendings"}
TAXII_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
BROKEN = b'{"type":"indicator","spec_version":"2.1","id":"indicator--nobody"}'
NAMELESS = b'{"type":"indicator","spec_version":"2.1"}'


def the_status(target, place, objects=None, who=None):
    """What the server has of a POST, asked for by the id in its answer."""
    asked = who or target.member
    posted = asked.post(place, objects or [an_indicator()])
    assert posted.status_code == 202, posted.text
    return asked.get(f"{target.root}status/{posted.json['id']}/")


def test_a_status_has_its_counts_zeros_included(target, rw):
    """T-STAT-1, T-STAT-5: integers, and the total is that of the envelope."""
    found = the_status(target, rw, [an_indicator(), an_ipv4()])

    assert (found.status_code, found.headers["Content-Type"]) == (200, MT)
    assert [found.json[count] for count in COUNTS] == [2, 2, 0, 0]
    assert all(type(found.json[count]) is int for count in COUNTS)


def test_a_status_is_named_by_a_random_uuid(target, rw):
    """T-STAT-2: of version 4, the one in its address."""
    posted = target.member.post(rw, [an_indicator()]).json["id"]
    found = target.member.get(f"{target.root}status/{posted}/").json["id"]

    assert found == posted
    assert (str(uuid.UUID(posted)), uuid.UUID(posted).version) == (posted, 4)


def test_a_status_is_complete_or_pending(target, rw):
    """T-STAT-3."""
    assert the_status(target, rw).json["status"] in ("complete", "pending")


def test_a_complete_status_does_not_change(target, member, rw):
    """T-STAT-4: not by reading, by other POSTs, by time or by a restart."""
    posted = member.post(rw, [an_indicator(), BROKEN])
    address = f"{target.root}status/{posted.json['id']}/"
    assert posted.json["status"] == "complete"

    member.post(rw, [an_indicator(modified=LATER)])
    target.later(hours=1)
    target.restart()

    assert member.get(address).json == member.get(address).json == posted.json


@pytest.mark.parametrize(
    ("objects", "counts"),
    [
        ([an_indicator()], (1, 1, 0, 0)),
        ([BROKEN], (1, 0, 1, 0)),
        ([BROKEN, an_indicator(), NAMELESS, an_ipv4()], (4, 2, 2, 0)),
        ([an_indicator(), an_indicator()], (2, 2, 0, 0)),
    ],
    ids=["all good", "none good", "some good", "the same twice"],
)
def test_the_counts_add_up_to_the_envelope_and_to_the_lists(member, rw, objects, counts):
    """T-STAT-6, T-STAT-7: lists of that length, and no list where the count is 0."""
    found = member.post(rw, objects).json

    assert tuple(found[count] for count in COUNTS) == counts
    assert {name: len(found[name]) for name in LISTS.values() if name in found} == {
        LISTS[count]: found[count] for count in LISTS if found[count]
    }


def test_a_hundred_failures_are_all_listed(member, rw):
    """T-STAT-6: a list is never cut."""
    found = member.post(rw, [BROKEN] * 100 + [an_indicator()]).json

    assert (found["failure_count"], len(found["failures"])) == (100, 100)


def test_each_detail_has_the_id_as_it_came_and_a_version(member, rw):
    """T-STAT-8: strings, with a message beside a failure."""
    odd = an_indicator(id=an_id("indicator").upper().replace("INDICATOR", "indicator"))
    found = member.post(rw, [odd, an_ipv4(), BROKEN]).json

    assert [one["id"] for one in found["successes"]] == [
        an_id("indicator").upper().replace("INDICATOR", "indicator"),
        "ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4",
    ]
    details = found["successes"] + found["failures"]
    assert all(isinstance(one["version"], str) and one["version"] for one in details)
    assert set().union(*details) <= {"id", "version", "message"}
    assert found["failures"][0]["message"]


@pytest.mark.parametrize(
    ("body", "version"),
    [
        (an_indicator("s9", created="2026-11-20T08:00:00.100000Z", modified=LATER), LATER),
        (a_marking_definition("s9"), CREATED),
    ],
    ids=["modified", "created"],
)
def test_the_version_is_modified_or_else_created(member, rw, body, version):
    """T-STAT-9: the text of the object itself."""
    assert member.post(rw, [body]).json["successes"][0]["version"] == version


def test_an_object_without_dates_has_the_version_that_the_manifest_shows(member, rw):
    """T-STAT-9: one text for one version, everywhere."""
    said = member.post(rw, [an_ipv4()]).json["successes"][0]

    assert member.listed(rw.manifest)[0]["version"] == said["version"]


@pytest.mark.parametrize(
    "bad",
    [NAMELESS, NAMELESS.replace(b"}", b',"id":7}'), b'{"id":null}', b"7", b'"text"', b"null", b"[]", b"{}"],
)
def test_an_object_without_a_usable_id_is_counted_under_its_place(member, rw, bad):
    """T-STAT-10: index in the envelope, from 0, said in the message too."""
    found = member.post(rw, [an_indicator("s10"), bad]).json

    assert (found["success_count"], found["failure_count"]) == (1, 1)
    (failure,) = found["failures"]
    assert failure["id"] == "unknown--index-1"
    assert "1" in failure["message"]
    assert failure["version"]


def test_the_moment_of_the_request_is_a_taxii_timestamp(member, rw):
    """T-STAT-11: six digits and Z."""
    assert TAXII_TIME.fullmatch(member.post(rw, [an_indicator()]).json["request_timestamp"])


def test_a_status_is_there_for_a_day(target, member, rw):
    """T-STAT-12, I-X-2: and a little longer, however much is posted meanwhile."""
    posted = member.post(rw, [an_indicator()]).json

    target.later(hours=24.1)
    member.post(rw, [an_indicator(modified=LATER)])

    assert member.get(f"{target.root}status/{posted['id']}/").json == posted


@pytest.mark.parametrize(
    "name", ["2d086da7-4bdc-4f91-900e-d77486753710", "nothing", "%20", "1" * 500, "a%00b"]
)
def test_a_status_that_never_was_is_not_found(target, member, name):
    """T-STAT-13: nor is one whose id could be none; as TAXII."""
    found = member.get(f"{target.root}status/{name}/")

    assert found.status_code in ((400,) if "%00" in name else (404,))
    assert found.headers["Content-Type"] == MT


@pytest.mark.parametrize(("who", "status"), [("colleague", 404), ("outsider", 404), ("stranger", 401)])
def test_nobody_else_reads_a_status(target, member, rw, who, status):
    """T-STAT-14: to others there is no such status."""
    posted = member.post(rw, [an_indicator()]).json["id"]

    assert getattr(target, who).get(f"{target.root}status/{posted}/").status_code == status


def test_a_status_belongs_to_its_api_root(target, member, rw):
    """T-STAT-15: under another root there is no such status."""
    posted = member.post(rw, [an_indicator()]).json["id"]

    assert member.get(f"/nowhere/status/{posted}/").status_code == 404
    assert member.get(f"/status/{posted}/").status_code == 404


def test_the_answer_to_a_post_is_the_status(target, member, rw):
    """T-STAT-17: its id leads to the same resource, relative to the collection too."""
    posted = member.post(rw, [an_indicator(), BROKEN]).json

    assert rw.path == f"{target.root}collections/{rw.id}/"
    assert member.get(f"{target.root}status/{posted['id']}/").json == posted
