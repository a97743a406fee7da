"""node/taxii/discovery.py: discovery, the API root, and the collections as an account sees them."""

import re
from dataclasses import replace

import pytest

from node.store.catalog import Definition
from node.taxii.face import EXTENSION
from tests.support.served import DEFINITIONS, INDICATORS, TECHNIQUES, a_served, an_exchange

MEDIA_TYPE = "application/taxii+json;version=2.1"


@pytest.fixture
def node(sqlite_database, tmp_path):
    return a_served(sqlite_database, tmp_path)


def test_discovery_names_the_api_root_T_DISC_1_to_7(node):
    found = node.account().get("/taxii2/")

    assert (found.status_code, found.content_type) == (200, MEDIA_TYPE)
    assert found.json == {"title": "Cyber Centre North", "default": "/api/", "api_roots": ["/api/"]}
    assert node.account("other").get(found.json["default"]).status_code == 200


@pytest.mark.parametrize(
    ("public_url", "root"),
    [("https://x.example", "https://x.example/api/"), ("http://127.0.0.1:8000", "/api/")],
)
def test_the_api_root_comes_from_the_configuration_T_DISC_6_11(node, public_url, root):
    node.app.extensions[EXTENSION] = replace(node.face, public_url=public_url)

    found = node.account().get(
        "/taxii2/", headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    )

    assert found.json["api_roots"] == [root]
    assert re.fullmatch(r"(https://[^/?#]+)?/[^/?#].*/", root)


def test_the_api_root_says_what_it_serves_T_ROOT_1_to_3(node):
    found = node.account().get("/api/").json

    assert found["title"] == "Cyber Centre North"
    assert found["versions"] == [MEDIA_TYPE]
    assert found["max_content_length"] == node.settings.limits.max_content_length


def test_collections_are_listed_by_id_with_the_rights_of_the_account_T_COL_1_to_5(node):
    account = node.account(read=["indicators", "techniques"], write=["techniques"])

    found = account.get("/api/collections/").json["collections"]

    assert [(one["id"], one["can_read"], one["can_write"]) for one in found] == [
        (TECHNIQUES, True, True),
        (INDICATORS, True, False),
    ]


def test_an_account_without_rights_sees_no_collection_T_ROOT_9(node):
    assert node.account().get("/api/collections/").json == {}


@pytest.mark.parametrize("name", [INDICATORS, "indicators"], ids=["id", "alias"])
def test_a_collection_is_the_entry_of_the_list_by_id_and_alias_T_COL_8_13(node, name):
    account = node.account(read=["indicators"])

    (entry,) = account.get("/api/collections/").json["collections"]

    assert account.get(f"{name}/").json == entry
    assert entry["id"] == INDICATORS


def test_what_a_collection_does_not_have_is_left_out_T_COL_14(node):
    assert "description" not in node.soc().get("indicators/").json


def test_a_listed_collection_is_shown_without_rights_T_COL_12(sqlite_database, tmp_path):
    definitions = [
        *DEFINITIONS,
        Definition(alias="open", title="Open", id=INDICATORS.replace("2a", "3a"), listed=True),
    ]
    node = a_served(sqlite_database, tmp_path, definitions=definitions)

    (entry,) = node.account().get("/api/collections/").json["collections"]

    assert (entry["alias"], entry["can_read"], entry["can_write"]) == ("open", False, False)


def test_a_partner_sees_the_collections_of_its_links_alone(sqlite_database, tmp_path):
    node = an_exchange(sqlite_database, tmp_path)

    (entry,) = node.partner().get("/api/collections/").json["collections"]

    assert (entry["alias"], entry["can_read"], entry["can_write"]) == ("indicators", True, True)


@pytest.mark.parametrize("path", ["/taxii2/", "/api/", "/api/collections/", "indicators/"])
def test_another_media_type_is_not_served(node, path):
    assert node.soc().get(path, headers={"Accept": "text/html"}).status_code == 406
