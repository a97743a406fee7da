"""Two more clients in use, unchanged, against a real server over TLS: cytaxii2 and cc-taxii2-client.

What a client cannot do is a test with that in its name; what it can do is compared with what was posted.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from cc_taxii2_client import CCTaxiiClient, count_indicators, description_search
from cc_taxii2_client.exceptions import (
    TaxiiCollectionError,
    TaxiiConnectionError,
    TaxiiDatetimeError,
    TaxiiFilterError,
)
from cytaxii2 import cytaxii2

from node import clock
from node.store.database import Database
from tests.support.builders import a_malware, an_id, an_indicator
from tests.support.certificates import a_certificate
from tests.support.real_nodes import PAST
from tests.support.served import INDICATORS, TECHNIQUES, Client, a_served, free_port, live_server

LATER = "2024-03-02T08:00:00.000Z"
COUNT = 25


def past(build, name, **changes):
    """An object as old as those of the collection; an indicator has what CloudCover's client asks of one."""
    more = {"valid_from": PAST, "description": f"made up {name}", "pattern_version": "2.1"}
    return build(
        name,
        **{"created": PAST, "modified": PAST, **(more if build is an_indicator else {}), **changes},
    )


CONTENT = [
    *(past(an_indicator, number) for number in range(COUNT)),
    past(an_indicator, 0, modified=LATER, description="second"),
]


class Standing:
    """A running server, and an account there."""

    def __init__(self, address: str, account: Client) -> None:
        self.address, self.account = address, account

    def cyware(self, token: str = "") -> cytaxii2.cytaxii2:
        """Cyware's client."""
        return cytaxii2.cytaxii2(f"{self.address}/taxii2/", self.account.name, token or self.account.token)

    def cloudcover(self, name: str = "") -> CCTaxiiClient:
        """CloudCover's client, sent to our address instead of its maker's."""
        client = CCTaxiiClient(name or self.account.name, self.account.token)
        client.url = self.address
        return client


@pytest.fixture(scope="module")
def server(_sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("served")
    shutil.copyfile(_sqlite_template, folder / "node.db")
    database = Database(f"sqlite:///{folder / 'node.db'}")
    node = a_served(database, folder)
    node.clock.now = clock.now()
    node.admit(CONTENT)
    soc = node.account("soc", read=["indicators", "techniques"], write=["techniques"])
    port = free_port()
    certificate, _ = a_certificate(folder, "north")
    config = folder / "config.toml"
    text = config.read_text(encoding="utf-8")
    text = text.replace("[node]\n", f'[node]\npublic_url = "https://127.0.0.1:{port}"\n')
    text = text.replace(
        "[server]\n", '[server]\ntls_certificate = "north.pem"\ntls_private_key = "north.key"\n'
    )
    config.write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        with live_server(config, port=port) as address:
            yield Standing(address, soc)
    database.close()


def posted(*, every: bool = False):
    values = [json.loads(body) for body in CONTENT]
    return values if every else values[1:]


def test_cytaxii2_finds_root_collections_and_one_collection_from_discovery(server):
    client = server.cyware()
    found = client.discovery_request()

    assert (found["status"], found["response"]["default"]) == (True, f"{server.address}/api/")
    assert client.root_discovery()["response"]["versions"] == ["application/taxii+json;version=2.1"]
    titles = [each["title"] for each in client.collection_request()["response"]["collections"]]
    assert titles == ["Techniques", "Indicators"]
    one = client.collection_data_request(INDICATORS)["response"]
    assert (one["id"], one["can_read"], one["can_write"]) == (INDICATORS, True, False)


def test_cytaxii2_walks_all_pages_by_next(server):
    client, found, token = server.cyware(), [], None
    for _ in range(20):
        page = client.poll_request(INDICATORS, limit=4, next=token)["response"]
        found += page["objects"]
        token = page.get("next")
        if not page.get("more"):
            break

    assert found == posted()


def test_cytaxii2_filters_by_id_and_type_and_date(server):
    client = server.cyware()
    one = client.poll_request(INDICATORS, object_id=an_id("indicator", 3))["response"]["objects"]
    none = client.poll_request(INDICATORS, object_type="malware")
    later = client.poll_request(INDICATORS, added_after="2999-01-01T00:00:00Z")

    assert [each["id"] for each in one] == [an_id("indicator", 3)]
    assert (none["response"], later["response"]) == ({}, {})


def test_cytaxii2_cannot_see_date_headers_so_it_keeps_no_date_to_go_on_from(server):
    assert sorted(server.cyware().poll_request(INDICATORS, limit=2)) == ["response", "status", "status_code"]


def test_cytaxii2_posts_text_and_gets_a_status(server):
    client = server.cyware()
    body = json.dumps({"objects": [json.loads(past(a_malware, "posted"))]})
    found = client.inbox_request(TECHNIQUES, body)

    assert (found["status_code"], found["response"]["success_count"]) == (202, 1)
    again = client.poll_request(TECHNIQUES, object_id=an_id("malware", "posted"))
    assert again["response"]["objects"] == json.loads(body)["objects"]


def test_cytaxii2_posts_no_dictionary_because_it_would_send_it_as_a_form(server):
    found = server.cyware().inbox_request(TECHNIQUES, {"objects": [json.loads(past(a_malware, "form"))]})

    assert (found["status"], found["status_code"]) == (False, 400)
    assert found["response"]["title"]


def test_cytaxii2_is_told_why_when_it_is_refused(server):
    wrong = server.cyware(token="wrong").discovery_request()
    hidden = server.cyware().poll_request("00000000-0000-4000-8000-000000000000")

    assert (wrong["status_code"], hidden["status_code"]) == (401, 404)
    assert wrong["response"]["description"]
    assert hidden["response"]["title"]


def test_cytaxii2_needs_whole_addresses_so_a_node_without_https_is_of_no_use_to_it():
    client = cytaxii2.cytaxii2("http://127.0.0.1/taxii2/", "soc", "token")
    client.api_root = "/api/"  # what discovery says without an https public_url

    assert client.collection_request()["status_code"] == "EXCEPTION"


def pages(client, **arguments):
    return list(client.get_cc_indicators_generator(collection_id=INDICATORS, **arguments))


def test_cc_taxii2_client_lists_collections(server):
    assert server.cloudcover().get_collections() == [TECHNIQUES, INDICATORS]


def test_cc_taxii2_client_walks_all_pages(server):
    found = pages(server.cloudcover(), limit=4, follow_pages=True)

    assert [len(page) for page in found] == [4] * 6 + [1]
    assert [(each.id, each.description) for page in found for each in page] == [
        (value["id"], value["description"]) for value in posted()
    ]
    assert count_indicators(iter(found)) == COUNT
    assert [each.id for each in description_search("second", iter(found))] == [an_id("indicator", 0)]


def test_cc_taxii2_client_filters_by_id_and_version(server):
    wanted = {"id": an_id("indicator", 0), "version": "all"}
    (found,) = pages(server.cloudcover(), matches=wanted)

    assert [each.modified for each in found] == [PAST, LATER]


def test_cc_taxii2_client_takes_dates_with_a_fraction_only(server):
    client = server.cloudcover()

    assert pages(client, added_after="2999-01-01T00:00:00.000000Z", follow_pages=True) == []
    with pytest.raises(TaxiiDatetimeError):
        pages(client, added_after="2999-01-01T00:00:00Z")


def test_cc_taxii2_client_knows_no_other_filters_than_those_of_the_standard(server):
    with pytest.raises(TaxiiFilterError):
        pages(server.cloudcover(), matches={"name": "x"})


def test_cc_taxii2_client_reads_bare_indicators_only(server):
    server.cyware().inbox_request(TECHNIQUES, json.dumps({"objects": [json.loads(past(a_malware, "m"))]}))

    with pytest.raises(TypeError):
        list(server.cloudcover().get_cc_indicators_generator(collection_id=TECHNIQUES))


def test_cc_taxii2_client_says_no_connection_when_it_was_refused(server):
    client = server.cloudcover("nobody")

    with pytest.raises(TaxiiConnectionError):
        pages(client)
    with pytest.raises(TaxiiCollectionError):
        client.get_collections()


def test_cc_taxii2_client_writes_account_names_in_small_letters(server):
    """So a name with capitals could not be used with it; names of our accounts have none."""
    assert server.cloudcover("SOC").get_collections() == [TECHNIQUES, INDICATORS]
