"""The request sequences of clients in the field, replayed against the application over many runs.

What must come out: every object, none missed, and an end. Where a client by its own doing repeats or misses
something, the test's name says so, because an operator must know it. Broken servers between client and
node (`without_dates`, `with_null_next`, `inclusive`) show that the replays would notice.

Not here: W-61, W-68 and W-78 are of clients against other servers; of W-80 (QRadar) nothing is known.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest

from node.access import accounts
from node.clock import taxii_time
from node.taxii.face import EXTENSION
from node.taxii.protocol import MEDIA_TYPE
from tests.support.builders import NOON, a_malware, an_id, an_indicator, an_ipv4
from tests.support.request_patterns import (
    Endless,
    MineMeld,
    Misp,
    OpenCti,
    OpenCtiConnector,
    Poller,
    Refused,
    Sentinel,
    Wire,
    Xsoar,
    as_pages,
    inclusive,
    with_null_next,
    without_dates,
)
from tests.support.served import INDICATORS, Client, Served, a_served

SECOND = 1_000_000
PAGE = 7


@pytest.fixture
def node(sqlite_database, tmp_path):
    """North with small pages, which clients from afar find by whole addresses."""
    served = a_served(sqlite_database, tmp_path, limits={"page_size": PAGE})
    face = served.app.extensions[EXTENSION]
    served.app.extensions[EXTENSION] = replace(face, public_url="https://exchange.north.example")
    return served


@pytest.fixture
def soc(node):
    return node.account("soc", read=["indicators"], write=["indicators"])


def bring(node: Served, name: str, count: int, build=an_indicator) -> set[str]:
    """New objects, a second later; their ids."""
    node.clock.now += SECOND
    bodies = [build(f"{name} {number}") for number in range(count)]
    node.admit(bodies)
    return {json.loads(body)["id"] for body in bodies}


def runs(client, times: int = 40) -> Counter[str]:
    """How often each object came in so many runs, or until three in succession brought nothing."""
    found, quiet = Counter[str](), 0
    for _ in range(times):
        ids = client.run()
        found.update(ids)
        quiet = 0 if ids else quiet + 1
        if quiet == 3:
            break
    return found


CLIENTS = [
    pytest.param(lambda wire: Sentinel(wire, INDICATORS), id="W-73 Sentinel by next"),
    pytest.param(lambda wire: Sentinel(wire, INDICATORS, by_next=False), id="W-73 Sentinel by dates"),
    pytest.param(lambda wire: MineMeld(wire, INDICATORS), id="W-75 MineMeld"),
    pytest.param(lambda wire: Poller(wire, INDICATORS, "100"), id="W-76 EclecticIQ"),
    pytest.param(lambda wire: Poller(wire, INDICATORS, "15000"), id="W-76 Trellix"),
]


@pytest.mark.parametrize("make", CLIENTS)
def test_a_client_that_remembers_takes_every_object_once(node, soc, make):
    """W-73 W-75 W-76: over polls, while objects come in between, and with limits far above ours."""
    client = make(Wire(node.app, soc))
    wanted = bring(node, "first", 3 * PAGE + 1)
    found = runs(client)
    wanted |= bring(node, "second", PAGE)
    found += runs(client)
    wanted |= bring(node, "third", 1)
    found += runs(client)

    assert found == Counter(wanted)


@pytest.mark.parametrize("make", [*CLIENTS[:1], *CLIENTS[2:]])
def test_an_inclusive_server_would_be_noticed_by_repeats(node, soc, make):
    client = make(Wire(node.app, soc, inclusive))
    bring(node, "first", PAGE)

    assert max(runs(client, 5).values()) > 1


@pytest.mark.parametrize("make", [CLIENTS[0], *CLIENTS[3:]])
def test_a_server_whose_next_is_null_would_be_noticed(node, soc, make):
    client = make(Wire(node.app, soc, with_null_next))
    bring(node, "first", 3 * PAGE)

    with pytest.raises(Endless):
        runs(client)


@pytest.mark.parametrize("make", [CLIENTS[0], *CLIENTS[3:]])
def test_a_server_without_dates_would_be_noticed_by_repeats(node, soc, make):
    client = make(Wire(node.app, soc, without_dates))
    bring(node, "first", PAGE)

    assert max(runs(client, 5).values()) > 1


def test_opencti_misses_nothing_and_repeats_at_most_the_last_millisecond(node, soc):
    """W-70: no limit, one page a run, `next` and `added_after` together, dates cut to milliseconds."""
    client = OpenCti(Wire(node.app, soc), INDICATORS)
    wanted, taken = bring(node, "first", 150), Counter[str]()
    for _ in range(5):
        taken.update(client.run())
    wanted |= bring(node, "second", 20)  # in the middle of its walk
    while client.cursor is not None:
        taken.update(client.run())

    assert taken == Counter(wanted)
    assert client.wire.queries[0] == {}
    wanted |= bring(node, "third", 3)
    for _ in range(30):
        taken.update(client.run())
    assert set(taken) == wanted
    repeated = {stix_id for stix_id, times in taken.items() if times > 1}
    assert repeated <= {an_id("indicator", f"{name} {n}") for name in ("second", "third") for n in range(20)}


def test_no_millisecond_has_more_than_a_hundred_objects(node, soc):
    """W-70: so that a client which cuts its dates moves on, whatever the size of an import."""
    bring(node, "first", 250)
    entries = soc.walk("indicators/manifest/", limit=PAGE)

    assert max(Counter(entry["date_added"][:23] for entry in entries).values()) == 100


def test_opencti_without_date_headers_would_miss_what_its_own_clock_passed(node, soc):
    """W-70: without the header it goes on from its own clock, which is why the header must be there."""
    clock = lambda: node.clock.now + 3_600 * SECOND  # noqa: E731  its clock is an hour ahead
    found, wanted = Counter[str](), set[str]()
    broken = OpenCti(Wire(node.app, soc, without_dates), INDICATORS, clock=clock)
    sound = OpenCti(Wire(node.app, soc), INDICATORS, clock=clock)
    for name in ("first", "second"):
        wanted |= bring(node, name, 2)
        found += runs(broken, 3)

    assert wanted - set(found) == {an_id("indicator", f"second {n}") for n in range(2)}
    assert set(runs(sound, 6)) == wanted


def test_opencti_stays_refused_after_its_clearance_changed_until_it_is_reset(node, soc):
    """W-70: its cursor is refused with 400 at each run; a reset state takes everything again."""
    client = OpenCti(Wire(node.app, soc), INDICATORS)
    wanted = bring(node, "first", 2 * PAGE)
    assert len(client.run()) == PAGE
    with node.database.writing() as tx:
        accounts.remove_account(tx, "soc", actor="os:test", now=node.clock.now)
    client.wire.account = node.account("soc", read=["indicators"], clearance=2)

    assert [client.run() for _ in range(3)] == [[], [], []]
    client.cursor = client.added_after = None
    assert set(client.run() + client.run()) == wanted


def test_the_connector_of_opencti_takes_every_object_of_its_window_once(node, soc):
    """W-71: it goes by `next` where the first object says spec_version 2.1."""
    bring(node, "before", 3)
    client = OpenCtiConnector(Wire(node.app, soc), INDICATORS, since=taxii_time(node.clock.now + SECOND // 2))
    wanted = bring(node, "first", 3 * PAGE + 2)

    assert Counter(client.run()) == Counter(wanted)


@pytest.mark.parametrize(
    "leading",
    [
        an_ipv4(spec_version=None),
        an_indicator(
            id="indicator--3f2a1c6e-0b53-4b0f-8d4e-6a1f3c9d7e01",
            spec_version=None,
            pattern_type=None,
            labels=["malicious-activity"],
        ),
    ],
    ids=["observable", "STIX 2.0"],
)
def test_the_connector_of_opencti_breaks_at_a_leading_object_without_spec_version(node, soc, leading):
    """W-71: we serve what was posted, byte for byte; OpenCTI's own reader does not mind."""
    node.admit([leading])
    bring(node, "first", 2)

    with pytest.raises(KeyError):
        OpenCtiConnector(Wire(node.app, soc), INDICATORS, since="1970-01-01T00:00:00Z").run()
    assert len(OpenCti(Wire(node.app, soc), INDICATORS).run()) == 3


def test_a_full_fetch_of_xsoar_takes_every_object_of_its_types_once(node, soc):
    """W-72: by discovery and the collection's title, 100 a page, all types with relationship."""
    wanted = bring(node, "first", 2 * PAGE + 1) | bring(node, "more", 3, a_malware)
    node.admit([an_ipv4()])
    client = Xsoar(Wire(node.app, soc), "Indicators")

    assert Counter(client.run()) == Counter(wanted)
    assert {query.get("limit") for query in client.wire.queries if "next" in query} == {str(PAGE)}
    assert all("match[type]" in query for query in client.wire.queries[2:])
    with pytest.raises(Refused, match="Could not find"):
        Xsoar(Wire(node.app, soc), "indicators").run()


def test_an_incremental_fetch_of_xsoar_repeats_and_misses_what_a_future_date_hides(node, soc):
    """W-72: it goes on from the newest STIX `modified`, which the form therefore advises against."""
    client = Xsoar(Wire(node.app, soc), "Indicators", incremental=True)
    first = bring(node, "first", 3)
    assert set(client.run()) == first
    second = bring(node, "second", 2)
    assert Counter(client.run()) == Counter(first | second), "all of them again"

    ahead = taxii_time(node.clock.now + 3_600 * SECOND)
    node.admit([an_indicator("ahead", modified=ahead)])
    client.run()
    bring(node, "third", 2)

    assert client.run() == []


def test_the_old_minemeld_that_went_by_modified_would_ask_for_ever(node, soc):
    """W-75: the client's own fault, mended in its pull request 400; no server can end it."""
    bring(node, "first", 3 * PAGE)

    with pytest.raises(Endless):
        MineMeld(Wire(node.app, soc), INDICATORS, by_modified=True).run()


def test_minemeld_asks_for_ever_when_its_first_page_has_nothing_it_keeps(node, soc):
    """W-75: it moves on only once it has kept something; a collection of its own avoids it."""
    bring(node, "first", 3 * PAGE, a_malware)

    with pytest.raises(Endless):
        MineMeld(Wire(node.app, soc), INDICATORS).run()


def test_misp_lists_collections_and_every_object_once(node, soc):
    """W-74: limit=50, `basic` in small letters, a Content-type on GET, an error where nothing is."""
    client = Misp(Wire(node.app, soc), INDICATORS)
    with pytest.raises(Refused, match="No objects found"):
        client.run()
    wanted = bring(node, "first", 4 * PAGE + 2)

    assert client.collections() == ["Indicators"]
    assert Counter(client.run()) == Counter(wanted)


def test_misp_pushes_the_same_envelope_again_without_harm(node, soc):
    """W-74 W-66: what is here already is a success, and the counts of the status add up."""
    wire = Wire(node.app, soc)
    headers = {"Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE, **wire.basic()}
    body = b'{"objects":[' + b",".join([an_indicator("a"), an_indicator("b")]) + b"]}"
    statuses = [wire.post(f"/api/collections/{INDICATORS}/objects/", body, headers) for _ in range(2)]

    for each in statuses:
        assert (each.status_code, each.json["success_count"], each.json["failure_count"]) == (202, 2, 0)
        counts = [each.json[f"{word}_count"] for word in ("success", "failure", "pending")]
        assert sum(counts) == each.json["total_count"]
        assert len(each.json["successes"]) == 2
    assert len(Misp(wire, INDICATORS).run()) == 2


def test_splunk_posts_a_bundle(node, soc):
    """W-77: its add-on sends a STIX bundle to Add Objects, not an envelope."""
    wire = Wire(node.app, soc)
    bundle = {
        "type": "bundle",
        "id": "bundle--3f2a1c6e-0b53-4b0f-8d4e-6a1f3c9d7e01",
        "objects": [json.loads(an_indicator("a")), json.loads(a_malware("b"))],
    }
    headers = {"Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE, **wire.basic()}
    answer = wire.post(f"/api/collections/{INDICATORS}/objects/", json.dumps(bundle).encode(), headers)

    assert (answer.status_code, answer.json["success_count"]) == (202, 2)
    assert len(node.exported()) == 2


@pytest.mark.parametrize(
    "path",
    [
        "/taxii2",
        "/api",
        "/api/collections",
        f"/api/collections/{INDICATORS}",
        f"/api/collections/{INDICATORS}/objects",
        f"/api/collections/{INDICATORS}/manifest",
    ],
)
def test_a_client_of_net_is_answered_without_a_redirect(node, soc, path):
    """W-79: its HttpClient drops the credentials at any redirect, so there is none."""
    wire = Wire(node.app, soc)

    assert wire.get(path, {"Accept": MEDIA_TYPE, **wire.basic()}).status_code == 200


@pytest.mark.parametrize("resource", ["objects", "manifest"])
@pytest.mark.parametrize("per_request", [1, 5, 10_000])
def test_pages_of_taxii2_client_end_with_every_object_once(node, soc, resource, per_request):
    """W-60 W-62 W-63 W-69: the exact media type, `next` on every page but the last, also of the manifest."""
    wire = Wire(node.app, soc)
    headers = {"Accept": MEDIA_TYPE, **wire.basic()}
    assert list(as_pages(wire, INDICATORS, headers, per_request=per_request, resource=resource)) == [{}]
    wanted = bring(node, "first", 2 * PAGE + 1)

    pages = list(as_pages(wire, INDICATORS, headers, per_request=per_request, resource=resource))

    assert Counter(each["id"] for page in pages for each in page["objects"]) == Counter(wanted)
    assert all(("next" in page) == bool(page.get("more")) for page in pages)


@pytest.mark.parametrize("resource", ["objects", "manifest"])
def test_pages_of_taxii2_client_would_not_end_without_next(node, soc, resource):
    """W-62: it asks for the same first page for ever."""
    wire = Wire(node.app, soc, with_null_next)
    bring(node, "first", 2 * PAGE)

    with pytest.raises(Endless):
        list(
            as_pages(
                wire, INDICATORS, {"Accept": MEDIA_TYPE, **wire.basic()}, per_request=5, resource=resource
            )
        )


@pytest.mark.parametrize(
    "text", ["2026-11-21T12:00:01Z", "2026-11-21T12:00:01.0Z", "2026-11-21T12:00:01.000000Z"]
)
def test_a_date_whose_zeros_were_stripped_is_the_same_date(node, soc, text):
    """W-64: taxii2-client writes a datetime without its last zeros."""
    bring(node, "first", 3)

    assert node.clock.now == NOON + SECOND
    found = soc.get("indicators/objects/", added_after=text)
    assert [each["id"] for each in found.json["objects"]] == [
        an_id("indicator", f"first {n}") for n in (1, 2)
    ]


def test_a_collection_asked_for_by_its_alias_says_its_id(node, soc: Client):
    """W-65: taxii2-client refuses an address without the id, so the answer has it to go on with."""
    assert soc.get("indicators/").json["id"] == INDICATORS
