"""node/taxii/pages.py: pages as JSON, with the bytes and texts of the senders."""

import json

from node.exchange.egress import Record
from node.taxii import pages

RECORDS = [
    Record(1_795_262_400_000_000, "x--1", "2026-11-20T08:00:00Z", "2.1", b'{"a" : 1.0}'),
    Record(1_795_262_400_000_010, "x--2", "2026-11-20T08:00:00.10Z", "2.0", b'{"b":"\\u00e9"}'),
]


def test_bodies_are_joined_as_they_are():
    assert pages.objects(RECORDS, None) == b'{"more":false,"objects":[{"a" : 1.0},{"b":"\\u00e9"}]}'


def test_more_and_next_go_together_T_PAGE_1_3():
    for printed in (pages.objects, pages.manifest, pages.versions):
        assert {"more": True, "next": "t"}.items() <= json.loads(printed(RECORDS, "t")).items()
        last = json.loads(printed(RECORDS, None))
        assert (last["more"], "next" in last) == (False, False)


def test_an_empty_page_is_an_empty_object_T_OBJ_3_T_MAN_1_T_VER_3():
    assert [printed([], None) for printed in (pages.objects, pages.manifest, pages.versions)] == [b"{}"] * 3
    assert pages.dates([]) == {}


def test_a_manifest_has_a_line_for_each_version_T_MAN_1():
    assert json.loads(pages.manifest(RECORDS, None))["objects"][1] == {
        "id": "x--2",
        "date_added": "2026-11-21T12:00:00.000010Z",
        "version": "2026-11-20T08:00:00.10Z",
        "media_type": "application/stix+json;version=2.0",
    }


def test_versions_are_the_texts_of_the_senders():
    assert json.loads(pages.versions(RECORDS, None)) == {
        "more": False,
        "versions": ["2026-11-20T08:00:00Z", "2026-11-20T08:00:00.10Z"],
    }


def test_dates_have_six_digits_T_HDR_2():
    assert pages.dates([record.added for record in RECORDS]) == {
        "X-TAXII-Date-Added-First": "2026-11-21T12:00:00.000000Z",
        "X-TAXII-Date-Added-Last": "2026-11-21T12:00:00.000010Z",
    }
