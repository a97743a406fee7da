"""Cases 3.13 to 3.15 of the interoperability document, and what its sister asks of those who pass STIX on."""

from __future__ import annotations

import json

import pytest

from tests.interop.document import (
    CUSTOM,
    IDENTITY,
    INDICATOR,
    LAST,
    MALWARE,
    READ_ONLY,
    READ_WRITE,
    VERSIONS,
    Document,
    ids,
)
from tests.support.builders import (
    CREATED,
    NORTH_ID,
    a_malware,
    a_relationship,
    an_id,
    an_identity,
    an_indicator,
)

# --- 3.13 filters


def date_of(document: Document, at: int) -> str:
    records = document.get(f"{READ_ONLY}/manifest/", match_version="all").json["objects"]
    found: str = records[at]["date_added"]
    return found


@pytest.mark.parametrize(
    ("params", "found"),
    [
        pytest.param({"limit": 1}, [IDENTITY], id="I-3.13.1.2 limit"),
        pytest.param({"match_id": INDICATOR}, [INDICATOR], id="I-3.13.1.3 id"),
        pytest.param({"match_type": "indicator"}, [INDICATOR], id="I-3.13.1.4 type"),
        pytest.param({"match_version": "first", "match_id": INDICATOR}, [INDICATOR], id="I-3.13.1.5 version"),
        pytest.param({"match_spec_version": "2.1", "match_type": "malware"}, [MALWARE], id="I-3.13.1.6"),
        pytest.param({"match_type": "indicator,malware"}, [MALWARE, INDICATOR], id="I-3.13.1.7 or"),
        pytest.param({"match_type": "indicator", "match_id": INDICATOR}, [INDICATOR], id="I-3.13.1.8 and"),
        pytest.param({"match_type": "indicator", "match_id": MALWARE}, [], id="I-3.13.1.8 and, none"),
        pytest.param(
            {
                "match_type": "indicator,malware",
                "match_id": f"{MALWARE},{INDICATOR}",
                "match_version": "last",
            },
            [MALWARE, INDICATOR],
            id="I-3.13.1.9 or and and",
        ),
    ],
)
@pytest.mark.parametrize("listing", ["objects", "manifest"])
def test_filters_find_what_they_name(document, listing, params, found):
    assert ids(document.get(f"{READ_ONLY}/{listing}/", **params)) == found


def test_added_after_is_written_with_an_underscore(document):
    """I-3.13.1.1, I-X-7: as the standard has it; the misprint `added-after` of Table 49 is no parameter."""
    after = date_of(document, 0)

    assert ids(document.get(f"{READ_ONLY}/objects/", added_after=after)) == [
        MALWARE,
        INDICATOR,
    ]
    assert len(ids(document.get(f"{READ_ONLY}/objects/", **{"added-after": after}))) == 3


def test_the_first_version_is_the_first(document):
    """I-3.13.1.5."""
    found = document.get(f"{READ_ONLY}/objects/", match_version="first", match_id=INDICATOR).json["objects"]

    assert [one["modified"] for one in found] == VERSIONS[:1]


def test_a_parameter_given_twice_is_a_bad_request(document):
    """I-3.13.1.10: and our client never sends one; here it is told of such an answer."""
    query = "match[type]=indicator&match[type]=malware"

    assert document.user.send("GET", f"{READ_ONLY}/objects/", query_string=query).status_code == 400


# --- 3.14 and 3.15


def test_versions_are_paged_by_the_last_date(document):
    """I-3.14.1: three of five, and then two after the last date of the first page."""
    path = f"{READ_ONLY}/objects/{INDICATOR}/versions/"
    first = document.get(path, limit=3)
    second = document.get(path, limit=3, added_after=first.headers[LAST])

    assert (first.json["more"], second.json["more"]) == (True, False)
    assert [first.json["versions"], second.json["versions"]] == [VERSIONS[:3], VERSIONS[3:]]


def test_an_envelope_may_have_a_property_of_its_senders(document):
    """I-3.15.1, I-X-6: it is ignored and the rest is done; a status with one is read (see tests/sync)."""
    body = json.dumps({CUSTOM: "test", "objects": [json.loads(a_malware("custom"))]}).encode()
    found = document.user.post(READ_WRITE, body=body)

    assert (found.status_code, found.json["success_count"], found.json["failure_count"]) == (202, 1, 0)


# --- STIX 2.1 Interoperability: what it asks of those who pass on

TLP_1 = [
    (
        f'{{"type":"marking-definition","spec_version":"2.1","id":"marking-definition--{uuid}",'
        f'"created":"2017-01-20T00:00:00.000Z","definition_type":"tlp","name":"TLP:{level.upper()}",'
        f'"definition":{{"tlp":"{level}"}}}}'
    ).encode()
    for level, uuid in (
        ("white", "613f2e26-407d-48c7-9eca-b8e91df99dc9"),
        ("green", "34098fce-860f-48ae-8e50-ebd3cc5e41da"),
        ("amber", "f88d31f6-486f-44da-b317-01333bde0b82"),
        ("red", "5e57c739-391a-4eb3-b6be-7d15ca92d5ed"),
    )
]


def test_what_was_posted_together_is_read_together_and_whole(document):
    """I-STIX-3, I-STIX-6: identity, objects and relationship, references resolved, no property lost."""
    source, target = an_id("indicator", "stix"), an_id("malware", "stix")
    posted = [
        an_identity("stix", id=NORTH_ID, contact_information="duty desk", x_unknown={"a": [1.5]}),
        an_indicator("stix", author=NORTH_ID, x_acme_score=7),
        a_malware("stix", author=NORTH_ID),
        a_relationship(source, target, "stix", author=NORTH_ID),
    ]
    assert document.user.post(READ_WRITE, posted).json["success_count"] == 4
    wanted = ",".join(json.loads(body)["id"] for body in posted)
    found = document.get(f"{READ_WRITE}/objects/", match_id=wanted).json["objects"]
    held = {one["id"] for one in found}

    assert found == [json.loads(body) for body in posted]
    assert all(one.get("created_by_ref", NORTH_ID) in held for one in found)
    assert {found[3]["source_ref"], found[3]["target_ref"]} <= held


@pytest.mark.parametrize("at", range(4), ids=["white", "green", "amber", "red"])
def test_objects_keep_the_official_markings(document, at):
    """I-STIX-4: object-level TLP by its official id."""
    marking = json.loads(TLP_1[at])["id"]
    marked = a_malware(f"marked {at}", object_marking_refs=[marking])
    assert document.user.post(READ_WRITE, [TLP_1[at], marked]).json["success_count"] == 2
    found = document.get(f"{READ_WRITE}/objects/", match_id=f"{an_id('malware', f'marked {at}')},{marking}")

    assert found.json["objects"] == [json.loads(TLP_1[at]), json.loads(marked)]


def test_a_newer_version_replaces_and_a_revoked_one_ends(document):
    """I-STIX-5: by default the newest is read, with `revoked` as it came."""
    later = [a_malware("ended", modified=each, revoked=each == VERSIONS[2]) for each in VERSIONS[1:3]]
    document.user.post(READ_WRITE, [a_malware("ended", created=CREATED), *later])
    (found,) = document.get(f"{READ_WRITE}/objects/{an_id('malware', 'ended')}/").json["objects"]

    assert (found["modified"], found["revoked"]) == (VERSIONS[2], True)
