"""Cases 3.1 to 3.12 of the interoperability document: who asks, what there is, reading and writing."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from requests.exceptions import HTTPError

from node.clock import parse_stix_time
from node.errors import PartnerRefused
from node.sharing.links import PartnerBinding
from node.sync.client import Partner
from tests.interop.document import (
    CHALLENGES,
    CONTENT,
    IDENTITY,
    INDICATOR,
    INDICATORS,
    LAST,
    MALWARE,
    MISSING,
    MT,
    NEITHER,
    READ_ONLY,
    READ_WRITE,
    RIGHTS,
    STATUS,
    VERSIONS,
    WRITE_ONLY,
    a_document,
    client_of,
    collection_of,
    dated,
    ids,
)
from tests.support.builders import a_malware, an_id
from tests.support.partner import Canned, simulated_partner
from tests.support.served import HeldClock

# --- 3.1 who asks


def test_without_credentials_the_server_asks_who_you_are(document):
    """I-3.1.1: 401, a challenge and an error resource."""
    found = document.user.send("GET", "/taxii2/", headers={"Authorization": ""})

    assert (found.status_code, found.content_type) == (401, MT)
    assert found.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert found.json["title"]


def test_a_wrong_password_is_told_by_the_reference_client(document):
    """I-3.1.2: 401 and a challenge, which the client surfaces."""
    with pytest.raises(HTTPError) as caught:
        _ = client_of(document, password="Passw0rd?").title

    assert caught.value.response.status_code == 401
    assert "Basic" in caught.value.response.headers["WWW-Authenticate"]


@pytest.mark.parametrize("title", ["The access token expired", "Wrong password"])
def test_our_client_reads_two_challenges_and_tells_the_refusal(title):
    """I-3.1.1, I-3.1.2: the header of Table 2 of the document."""
    with simulated_partner() as west:
        client = Partner(PartnerBinding("west", kind="taxii", api_root=west.api_root), now=HeldClock())
        body = json.dumps({"title": title, "http_status": "401"}).encode()
        west.answer_next(Canned(401, body, {"WWW-Authenticate": CHALLENGES}))
        with pytest.raises(PartnerRefused, match=title) as caught:
            client.collection(READ_WRITE)
        client.close()

    assert caught.value.http_status == 401


@pytest.mark.parametrize("public_url", ["https://north.example", ""], ids=["absolute", "relative"])
def test_both_forms_of_a_root_are_resolved(sqlite_database, tmp_path, monkeypatch, public_url):
    """I-3.1.4, I-3.2.1, I-3.3.1: discovery with Basic credentials, and its root, as address and as path."""
    document = a_document(sqlite_database, tmp_path)
    face = document.node.face
    monkeypatch.setitem(document.node.app.extensions, "stixnode", replace(face, public_url=public_url))
    document.address = public_url or document.address
    server = client_of(document)

    assert document.get("/taxii2/").json["api_roots"] == [f"{public_url}/api/"]
    assert [root.url for root in server.api_roots] == [f"{document.address}/api/"]
    assert server.default.url == server.api_roots[0].url
    assert server.roots[0].title
    assert server.roots[0].max_content_length == 104_857_600
    assert server.roots[0].versions == [MT]


# --- 3.2 to 3.5 server, root and collections


def test_discovery_names_a_root(document):
    """I-3.2.1."""
    found = document.get("/taxii2/")

    assert (found.status_code, found.json["api_roots"]) == (200, ["/api/"])


def test_the_root_says_what_it_is(document):
    """I-3.3.1: the length is that of the document."""
    found = document.get("/api/")

    assert found.status_code == 200
    assert MT in found.json["versions"]
    assert (bool(found.json["title"]), found.json["max_content_length"]) == (True, 104_857_600)


def test_a_wrong_root_is_not_found(document):
    """I-3.3.2."""
    assert document.get("/api3/").status_code == 404


def test_all_four_collections_are_listed_by_id(document):
    """I-3.4.1, I-X-1: with the flags of this user."""
    found = document.get("/api/collections/").json["collections"]

    assert [one["id"] for one in found] == sorted(RIGHTS)
    assert {one["id"]: (one["can_read"], one["can_write"]) for one in found} == RIGHTS


@pytest.mark.parametrize(
    "collection",
    [
        pytest.param(WRITE_ONLY, id="I-3.5.1.1 write-only"),
        pytest.param(READ_WRITE, id="I-3.5.1.2 read-write"),
        pytest.param(READ_ONLY, id="I-3.5.1.3 read-only"),
        pytest.param(NEITHER, id="I-3.5.1.4 neither"),
    ],
)
def test_a_collection_is_shown_with_its_flags(document, collection):
    found = document.get(f"{collection}/")
    seen = collection_of(client_of(document), collection)

    assert found.status_code == 200
    assert (found.json["can_read"], found.json["can_write"]) == RIGHTS[collection]
    assert (seen.can_read, seen.can_write) == RIGHTS[collection]


@pytest.mark.parametrize(
    "path", ["objects/", "manifest/", f"objects/{INDICATOR}/", f"objects/{INDICATOR}/versions/"]
)
def test_a_write_only_collection_is_not_read(document, path):
    """I-3.5.2.1, I-X-3: 403."""
    assert document.get(f"{WRITE_ONLY}/{path}").status_code == 403


def test_a_read_only_collection_is_not_written(document):
    """I-3.5.2.2, I-X-3: 403."""
    assert document.user.post(READ_ONLY, INDICATORS[:1]).status_code == 403


@pytest.mark.parametrize(
    ("collection", "status"),
    [
        pytest.param(READ_ONLY, 403, id="I-3.5.2.3 read-only"),
        pytest.param(WRITE_ONLY, 403, id="I-3.5.2.3 write-only"),
        pytest.param(NEITHER, 404, id="I-3.5.2.4 neither"),
    ],
)
def test_nothing_is_deleted_without_both_rights(document, collection, status):
    assert document.user.delete(f"{collection}/objects/{INDICATOR}/").status_code == status
    assert len(document.get(f"{READ_ONLY}/manifest/", match_version="all").json["objects"]) == len(CONTENT)


def test_an_unknown_collection_is_not_found(document):
    """I-3.5.3."""
    assert document.get(f"{MISSING}/").status_code == 404
    assert document.get(f"{MISSING}/objects/").status_code == 404


# --- 3.6 to 3.9 reading


def test_the_manifest_has_records_dates_and_an_end(document):
    """I-3.6.1, I-X-7: media types, `more: false`, both headers; six digits, where the examples have three."""
    found = document.get(f"{READ_ONLY}/manifest/")

    assert (found.status_code, found.json["more"], dated(found)) == (200, False, True)
    assert {one["media_type"] for one in found.json["objects"]} == {"application/stix+json;version=2.1"}
    assert all(len(one["date_added"]) == len(found.headers[LAST]) == 27 for one in found.json["objects"])


def test_objects_come_with_both_dates(document):
    """I-3.7.1."""
    found = document.get(f"{READ_ONLY}/objects/")

    assert (found.status_code, dated(found)) == (200, True)
    assert set(ids(found)) == {INDICATOR, MALWARE, IDENTITY}
    assert ids(collection_of(client_of(document), READ_ONLY).get_objects()) == ids(found)


def test_a_collection_without_objects_has_an_envelope_without_them(document):
    """I-3.7.2: and the client copes."""
    found = document.get(f"{READ_WRITE}/objects/", match_type="tool")

    assert (found.status_code, found.json) == (200, {})
    assert collection_of(client_of(document), READ_WRITE).get_objects(type="tool") == {}


def test_one_object_comes_in_an_envelope(document):
    """I-3.8.1."""
    found = document.get(f"{READ_ONLY}/objects/{INDICATOR}/")

    assert (found.status_code, dated(found)) == (200, True)
    assert found.json["objects"] == [json.loads(INDICATORS[-1])]


def test_an_unknown_object_is_not_found(document):
    """I-3.8.2: the client is told."""
    unknown = INDICATOR.replace("252c7c11", "252c7c12")
    assert document.get(f"{READ_ONLY}/objects/{unknown}/").status_code == 404
    with pytest.raises(HTTPError) as caught:
        collection_of(client_of(document), READ_ONLY).get_object(unknown)

    assert caught.value.response.status_code == 404


def test_versions_are_listed(document):
    """I-3.9.1."""
    found = document.get(f"{READ_ONLY}/objects/{INDICATOR}/versions/")

    assert (found.json["versions"], dated(found)) == (VERSIONS, True)
    assert collection_of(client_of(document), READ_ONLY).object_versions(INDICATOR) == found.json


# --- 3.10 to 3.12 writing


def test_an_envelope_is_added_and_its_status_kept(document):
    """I-3.10.1, I-3.11.1: as the client posts it, and reads its status again."""
    server = client_of(document)
    status = collection_of(server, READ_WRITE).add_objects({"objects": [json.loads(INDICATORS[0])]})

    assert (status.status, status.total_count, status.success_count) == ("complete", 1, 1)
    assert (status.failure_count, status.pending_count) == (0, 0)
    again = document.get(f"/api/status/{status.id}/")
    assert (again.status_code, again.json["status"]) == (200, "complete")
    assert again.json["successes"] == [{"id": INDICATOR, "version": VERSIONS[0]}]


def test_a_status_with_every_property_is_read():
    """I-3.11.2: pending, with the moment and all three lists; by our client, as our server has none."""
    details = [{"id": INDICATOR, "version": each, "message": "a word"} for each in VERSIONS[:3]]
    resource = {
        "id": STATUS,
        "status": "pending",
        "request_timestamp": "2026-11-21T12:00:00.123456Z",
        "total_count": 3,
        "success_count": 1,
        "successes": details[:1],
        "failure_count": 1,
        "failures": details[1:2],
        "pending_count": 1,
        "pendings": details[2:],
    }
    with simulated_partner() as west:
        client = Partner(PartnerBinding("west", kind="taxii", api_root=west.api_root), now=HeldClock())
        west.answer_next(Canned(body=json.dumps(resource).encode()))
        found = client.status(STATUS)
        client.close()

    assert found.complete is False
    assert west.requests[-1].path == f"/api/status/{STATUS}/"
    words = found.successes + found.failures + found.pendings
    assert [(word.stix_id, word.version, word.message) for word in words] == [
        (INDICATOR, parse_stix_time(each), "a word") for each in VERSIONS[:3]
    ]


def test_an_object_is_deleted(document):
    """I-3.12.1: by the client, and is gone."""
    collection = collection_of(client_of(document), READ_WRITE)
    collection.add_objects({"objects": [json.loads(a_malware("to delete"))]})
    found = document.user.delete(f"{READ_WRITE}/objects/{an_id('malware', 'to delete')}/")

    assert (found.status_code, found.data) == (200, b"")
    assert document.get(f"{READ_WRITE}/objects/{an_id('malware', 'to delete')}/").status_code == 404
