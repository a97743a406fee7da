"""Real clients against a real server: taxii2-client and stix2's TAXIICollectionSource and -Sink.

What they read is compared with what was posted; pages are small, so that every listing takes many.
"""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path

import pytest
import stix2
from requests.exceptions import HTTPError
from stix2 import Filter
from stix2.datastore.taxii import TAXIICollectionSink, TAXIICollectionSource
from taxii2client.v21 import Server, as_pages

from node import clock
from node.store.database import Database
from tests.support.builders import TLP_2, a_malware, an_id, an_indicator, an_ipv4
from tests.support.real_nodes import PAST
from tests.support.served import INDICATORS, TECHNIQUES, a_served, live_server

LATER, LATEST = "2024-03-02T08:00:00.000Z", "2024-03-03T08:00:00.000Z"
COUNT, PER_PAGE = 60, 7


def past(build, name, **changes):
    dated = {"created": PAST, "modified": PAST, **changes}
    return build(name, **dated, **({"valid_from": PAST} if build is an_indicator else {}))


CONTENT = [
    *(past(an_indicator, n) for n in range(COUNT)),
    *(past(a_malware, n) for n in range(10)),
    an_ipv4("198.51.100.7"),
    past(an_indicator, 0, modified=LATER, revoked=True),
    past(an_indicator, 1, modified=LATER, description="second"),
    past(an_indicator, 1, modified=LATEST, description="third"),
]
NEWEST = COUNT + 10 + 1


@pytest.fixture(scope="module")
def root(_sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory):
    """The API root, found from discovery on, for an account that may write the techniques alone."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copyfile(_sqlite_template, folder / "node.db")
    database = Database(f"sqlite:///{folder / 'node.db'}")
    node = a_served(database, folder)
    node.clock.now = clock.now()
    for start in range(0, len(CONTENT), 20):
        node.admit(CONTENT[start : start + 20])
    soc = node.account("soc", read=["indicators", "techniques"], write=["techniques"])
    with live_server(folder / "config.toml") as address:
        server = Server(f"{address}/taxii2/", user=soc.name, password=soc.token)
        yield server.default
        server.close()
    database.close()


@pytest.fixture
def indicators(root):
    return next(each for each in root.collections if each.id == INDICATORS)


@pytest.fixture
def techniques(root):
    """A collection that is empty at the start of each test."""
    found = next(each for each in root.collections if each.id == TECHNIQUES)
    for stix_id in {entry["id"] for entry in values_of(found.get_manifest())}:
        found.delete_object(stix_id)
    return found


def values_of(envelope):
    return envelope.get("objects", [])


def paged(request, per_request=PER_PAGE, **filters):
    """Every entry of a listing, and the number of pages it took."""
    pages = list(as_pages(request, per_request=per_request, **filters))
    return [entry for page in pages for entry in values_of(page)], len(pages)


def posted(*wanted):
    return [value for value in map(json.loads, CONTENT) if not wanted or value["id"] in wanted]


def test_discovery_leads_to_the_api_root_and_its_collections(root):
    assert root.title
    assert root.versions == ["application/taxii+json;version=2.1"]
    assert root.max_content_length > 0
    rights = {each.id: (each.title, each.can_read, each.can_write) for each in root.collections}
    assert rights == {INDICATORS: ("Indicators", True, False), TECHNIQUES: ("Techniques", True, True)}


def test_get_objects_returns_the_newest_versions_as_they_were_posted(indicators):
    found = values_of(indicators.get_objects())
    assert len(found) == NEWEST
    assert [value for value in found if value not in posted()] == []


def test_pages_of_objects_bring_every_version_once(indicators):
    found, pages = paged(indicators.get_objects, version="all")
    assert pages == -(-len(CONTENT) // PER_PAGE)
    assert found == posted()


def test_pages_of_the_manifest_name_every_version_once(indicators):
    found, pages = paged(indicators.get_manifest, version="all")
    assert pages == -(-len(CONTENT) // PER_PAGE)
    dated = [(value["id"], value.get("modified")) for value in posted() if "modified" in value]
    assert [(e["id"], e["version"]) for e in found if not e["id"].startswith("ipv4")] == dated
    dates = [entry["date_added"] for entry in found]
    assert dates == sorted(set(dates))


@pytest.mark.parametrize("per_request", [1, 5, 10_000])
def test_pages_of_any_size_end_and_repeat_nothing(indicators, per_request):
    found, _ = paged(indicators.get_manifest, per_request)
    assert len({entry["id"] for entry in found}) == len(found) == NEWEST


def test_a_listing_goes_on_from_the_date_where_another_ended(indicators):
    whole, _ = paged(indicators.get_manifest, version="all")
    middle = whole[30]["date_added"]
    rest, _ = paged(indicators.get_manifest, version="all", added_after=middle)
    assert rest == whole[31:]


def test_match_id_finds_that_object(indicators):
    wanted = an_id("indicator", 5)
    assert values_of(indicators.get_objects(id=wanted)) == posted(wanted)


def test_match_type_finds_all_of_the_types(indicators):
    found, _ = paged(indicators.get_objects, type=["malware", "ipv4-addr"])
    assert {value["type"] for value in found} == {"malware", "ipv4-addr"}
    assert len(found) == 11


@pytest.mark.parametrize(
    ("version", "descriptions"),
    [
        ("first", [None]),
        ("last", ["third"]),
        ("all", [None, "second", "third"]),
        (LATER, ["second"]),
        (["first", "last"], [None, "third"]),
    ],
)
def test_match_version_chooses_among_the_versions(indicators, version, descriptions):
    found = values_of(indicators.get_objects(id=an_id("indicator", 1), version=version))
    assert [value.get("description") for value in found] == descriptions


def test_get_object_returns_the_newest_version_and_others_on_request(indicators):
    wanted = an_id("indicator", 1)
    assert [value["modified"] for value in values_of(indicators.get_object(wanted))] == [LATEST]
    every = values_of(indicators.get_object(wanted, version="all"))
    assert [value["modified"] for value in every] == [PAST, LATER, LATEST]


def test_object_versions_lists_them_all(indicators):
    assert indicators.object_versions(an_id("indicator", 1))["versions"] == [PAST, LATER, LATEST]


def test_an_object_that_is_not_there_is_404(indicators):
    with pytest.raises(HTTPError) as refused:
        indicators.get_object(an_id("indicator", "never posted"))
    assert refused.value.response.status_code == 404


def test_what_is_added_has_a_complete_status_and_is_there(root, techniques):
    bodies = [json.loads(past(a_malware, f"added {n}")) for n in range(3)]
    status = techniques.add_objects({"objects": bodies}, wait_for_completion=True)
    assert (status.status, status.total_count, status.success_count) == ("complete", 3, 3)
    assert [detail["id"] for detail in status.successes] == [value["id"] for value in bodies]
    again = root.get_status(status.id)
    again.wait_until_final(timeout=5)
    assert again._raw == status._raw
    assert values_of(techniques.get_objects()) == bodies


def test_a_bad_object_fails_by_name_beside_good_ones(techniques):
    good = json.loads(past(a_malware, "good"))
    bad = {**json.loads(past(a_malware, "bad")), "created": "yesterday"}
    status = techniques.add_objects({"objects": [bad, good]})
    assert (status.success_count, status.failure_count) == (1, 1)
    assert [detail["id"] for detail in status.failures] == [bad["id"]]
    assert values_of(techniques.get_objects()) == [good]


def test_a_deleted_object_is_gone(techniques):
    value = json.loads(past(a_malware, "to go"))
    techniques.add_objects({"objects": [value]})
    techniques.delete_object(value["id"])
    assert values_of(techniques.get_objects()) == []
    with pytest.raises(HTTPError) as refused:
        techniques.get_object(value["id"])
    assert refused.value.response.status_code == 404


def test_a_deleted_version_leaves_the_others(techniques):
    first, second = (json.loads(past(a_malware, "m", modified=date)) for date in (PAST, LATER))
    techniques.add_objects({"objects": [first, second]})
    techniques.delete_object(first["id"], version="last")
    assert values_of(techniques.get_objects(version="all")) == [first]


def test_a_source_of_stix2_gets_and_parses_one_object(indicators):
    found = TAXIICollectionSource(indicators).get(an_id("indicator", 1))
    assert isinstance(found, stix2.Indicator)
    assert found.description == "third"


def test_a_source_of_stix2_reads_all_versions(indicators):
    found = TAXIICollectionSource(indicators, items_per_page=2).all_versions(an_id("indicator", 1))
    assert sorted(getattr(one, "description", "") for one in found) == ["", "second", "third"]


def test_a_source_of_stix2_queries_by_filters_of_the_server_and_its_own(indicators):
    source = TAXIICollectionSource(indicators, items_per_page=PER_PAGE)
    everything = source.query()
    assert len(everything) == NEWEST
    assert len(source.query([Filter("type", "=", "malware")])) == 10
    assert [one.id for one in source.query([Filter("revoked", "=", True)])] == [an_id("indicator", 0)]


def test_a_sink_of_stix2_adds_objects_and_bundles(techniques):
    sink, source = TAXIICollectionSink(techniques), TAXIICollectionSource(techniques)
    one = stix2.Malware(name="one", is_family=False, object_marking_refs=[TLP_2["green"]])
    two = stix2.Identity(name="two", identity_class="organization")
    three = stix2.v21.Relationship(one.id, "related-to", f"malware--{uuid.uuid4()}")
    sink.add(one)
    sink.add(stix2.v21.Bundle(two, three))
    assert source.get(one.id) == one
    assert {found.id for found in source.query()} == {one.id, two.id, three.id}
