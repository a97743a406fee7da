"""node/taxii/objects.py: what a reader gets of a collection, page by page, and what it deletes."""

import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.clock import parse_stix_time, taxii_time
from node.taxii.face import EXTENSION
from tests.support.builders import (
    CREATED,
    LATER,
    NOON,
    SOUTH_ID,
    a_malware,
    an_id,
    an_indicator,
    an_ipv4,
)
from tests.support.served import a_served, an_exchange

ONE, TWO = an_id("indicator"), an_id("indicator", "two")
FIRST, LAST = "X-TAXII-Date-Added-First", "X-TAXII-Date-Added-Last"
BOTH = "indicator--11111111-1111-4111-8111-111111111111"  # STIX 2.0 asks for a UUID of version 4
EARLIER = "2026-11-20T08:30:00.000Z"


@pytest.fixture
def node(sqlite_database, tmp_path):
    return a_served(sqlite_database, tmp_path)


def names(page):
    return [(one["id"], one.get("modified")) for one in page.json.get("objects", [])]


# --- a page


def test_a_page_has_the_bytes_that_came_in_T_OBJ_1_T_POST_23(node):
    bodies = [
        b'{"type":"x-thing","spec_version":"2.1","id":"x-thing--'
        + b"1" * 8
        + b'-1111-4111-8111-111111111111",'
        b'"created":"2026-11-20T08:00:00.123456789Z","modified":"2026-11-20T08:00:00.100000Z","big":9007199254740993,'
        b'"float":1.0, "text" : "\\u00e9\\/\xc3\xa9","revoked":false}',
        an_indicator("two", modified="2026-11-20T09:00:00.123456789Z"),
        an_ipv4(),
    ]
    bodies[0] = bodies[0].replace(b"08:00:00.123456789Z", b"07:00:00.123456789Z")
    soc = node.soc()

    assert soc.post("indicators", bodies).json["failure_count"] == 0

    assert soc.get("indicators/objects/").data == b'{"more":false,"objects":[' + b",".join(bodies) + b"]}"


def test_objects_of_stix_2_0_pass_unchanged(node):
    body = (
        b'{"type":"malware","id":"malware--11111111-1111-4111-8111-111111111111","created":"2016-01-01T00:00:00.000Z",'
        b'"modified":"2016-01-01T00:00:00.000Z","name":"old","labels":["worm"]}'
    )
    soc = node.soc()
    soc.post("indicators", [body])

    assert soc.get("indicators/objects/").data == b'{"more":false,"objects":[' + body + b"]}"
    assert (
        soc.get("indicators/manifest/").json["objects"][0]["media_type"]
        == "application/stix+json;version=2.0"
    )


def test_nothing_found_is_an_empty_object_without_dates_T_OBJ_3_T_HDR_4(node):
    found = node.soc().get("indicators/objects/")

    assert (found.status_code, found.data) == (200, b"{}")
    assert FIRST not in found.headers
    assert LAST not in found.headers


@pytest.mark.parametrize("path", ["objects/", "manifest/", f"objects/{ONE}/", f"objects/{ONE}/versions/"])
def test_a_page_says_when_its_entries_were_added_T_HDR_1_to_3(node, path):
    node.admit([an_indicator(), an_indicator(modified=LATER)])

    found = node.soc().get(f"indicators/{path}", match_version="all")

    assert (found.headers[FIRST], found.headers[LAST]) == (taxii_time(NOON), taxii_time(NOON + 10))


def test_a_head_has_the_headers_of_its_get_T_NET_12(node):
    node.admit([an_indicator()])
    soc = node.soc()

    head, get = (soc.send(method, "indicators/objects/") for method in ("HEAD", "GET"))

    assert (head.status_code, head.data) == (200, b"")
    own = {"X-Request-Id": ""}
    assert dict(head.headers) | own == dict(get.headers) | own


def test_added_after_is_strict_and_of_our_own_dates_T_OBJ_20_21_22(node):
    node.admit([an_indicator()])
    node.admit([an_indicator("two", created="2001-01-01T00:00:00.000Z", modified="2001-01-01T00:00:00.000Z")])
    node.admit([an_indicator(modified=LATER)])
    soc = node.soc()

    assert names(soc.get("indicators/objects/", added_after=taxii_time(NOON), match_version="all")) == [
        (TWO, "2001-01-01T00:00:00.000Z"),
        (ONE, LATER),
    ]
    assert soc.get("indicators/objects/", added_after="2030-01-01T00:00:00Z").data == b"{}"


@pytest.mark.parametrize("path", ["objects/", "manifest/", f"objects/{ONE}/", f"objects/{ONE}/versions/"])
@pytest.mark.parametrize(
    "query", ["limit=0", "added_after=x", "match[spec_version]=x", "next=x", "limit=1&limit=1"]
)
def test_a_malformed_query_is_refused_on_every_listing_T_OBJ_7(node, path, query):
    node.admit([an_indicator()])

    found = node.soc().send("GET", f"indicators/{path}?{query}")

    assert (found.status_code, found.json["http_status"]) == (400, "400")


@pytest.mark.parametrize("path", ["indicators/objects/", "indicators/manifest/"])
def test_rights_are_asked_before_the_query_is_read_T_MT_20(node, path):
    assert (
        node.account(write=["indicators"]).get(path, limit="x", headers={"Accept": "text/html"}).status_code
        == 403
    )


# --- the oracle of filters

STORED = {
    "a1": an_indicator(),
    "b1": an_indicator("two"),
    "m": a_malware("m"),
    "a3": an_indicator(modified=LATER),
    "a2": an_indicator(modified=EARLIER),
    "ip": an_ipv4(),
    "new": an_indicator("both", id=BOTH),
    "old": b'{"type":"indicator","id":"%s","created":"%s","modified":"%s","labels":["x"],'
    b'"pattern":"[ipv4-addr:value = \'192.0.2.1\']","valid_from":"%s"}'
    % (BOTH.encode(), CREATED.encode(), b"2026-11-20T10:00:00.000Z", CREATED.encode()),
}


def oracle(types, ids, versions, specs):
    """The names of the objects that a query finds, chosen by plain reading of section 3.4.1."""
    rows = []
    for at, (name, body) in enumerate(STORED.items()):
        one = json.loads(body)
        text = one.get("modified") or taxii_time(NOON + 10 * at)
        rows.append((name, one["id"], one["type"], one.get("spec_version", "2.0"), parse_stix_time(text)))
    found = []
    for row in rows:
        name, stix_id, kind, spec, version = row
        own = [each for each in rows if each[1] == stix_id]
        if spec not in (specs or [max(each[3] for each in own)]):
            continue
        same = [each[4] for each in own if each[3] == spec]
        wanted = [versions] if isinstance(versions, str) else (versions or ["last"])
        chosen = {"first": {min(same)}, "last": {max(same)}, "all": set(same)}
        if not any(version in (chosen.get(each) or {parse_stix_time(each)}) for each in wanted):
            continue
        if (types and kind not in types) or (ids and stix_id not in ids):
            continue
        found.append(name)
    return found


@pytest.mark.parametrize("types", [None, ["indicator"], ["malware", "ipv4-addr"], ["report"]], ids=str)
@pytest.mark.parametrize(
    "ids", [None, [ONE], [BOTH, TWO], ["report--x"]], ids=["all", "one", "two", "unknown"]
)
def test_filters_find_what_the_standard_says_T_OBJ_40_to_64(node, types, ids):
    assert node.admit(list(STORED.values())).counts == {"stored": len(STORED)}
    soc = node.soc()
    by_body = {json.dumps(json.loads(body)): name for name, body in STORED.items()}
    choices = itertools.product(
        [None, ["last"], ["first"], ["all"], ["first", "last"], [EARLIER], ["2026-11-20T08:30:00Z", "last"]],
        [None, ["2.1"], ["2.0"], ["2.0", "2.1"], ["2.2"]],
    )
    for versions, specs in choices:
        given = {"match_type": types, "match_id": ids, "match_version": versions, "match_spec_version": specs}
        params = {name: ",".join(value) for name, value in given.items() if value}

        objects = soc.get("indicators/objects/", **params).json.get("objects", [])
        manifest = soc.get("indicators/manifest/", **params).json.get("objects", [])

        assert [by_body[json.dumps(one)] for one in objects] == oracle(types, ids, versions, specs), params
        assert [one["id"] for one in manifest] == [one["id"] for one in objects]


def test_filters_are_joined_by_and_T_OBJ_42(node):
    node.admit([an_indicator(), a_malware("m")])

    assert (
        node.soc().get("indicators/objects/", match_type="indicator", match_id=an_id("malware", "m")).data
        == b"{}"
    )


@pytest.mark.parametrize(
    "text", ["2026-11-20T08:00:00.1Z", "2026-11-20T08:00:00.100Z", "2026-11-20T08:00:00.100000Z"]
)
def test_a_version_is_an_instant_however_it_is_written_T_OBJ_56(node, text):
    node.admit([an_indicator(modified="2026-11-20T08:00:00.100Z")])

    found = node.soc().get("indicators/objects/", match_version=text)

    assert names(found) == [(ONE, "2026-11-20T08:00:00.100Z")]


# --- pagination


def test_pages_end_without_an_empty_one_T_PAGE_18(node):
    node.admit([an_indicator(n) for n in range(4)])
    soc = node.soc()

    one = soc.get("indicators/objects/", limit=2).json
    two = soc.get("indicators/objects/", limit=2, next=one["next"]).json

    assert (one["more"], isinstance(one["next"], str), len(one["objects"])) == (True, True, 2)
    assert (two["more"], set(two), len(two["objects"])) == (False, {"more", "objects"}, 2)


@pytest.mark.parametrize("path", ["objects/", "manifest/"])
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limits=st.lists(st.integers(1, 6), min_size=1, max_size=12), by_date=st.booleans(), drop=st.booleans())
def test_any_walk_finds_everything_once_T_PAGE_4_5_12_13(soc_of_walk, path, limits, by_date, drop):
    soc = soc_of_walk
    expected = [one["id"] for one in soc.get(f"indicators/{path}", match_version="all").json["objects"]]
    found: list[str] = []
    params: dict[str, object] = {"added_after": "2020-01-01T00:00:00Z"}
    for limit in itertools.cycle(limits):
        page = soc.get(f"indicators/{path}", limit=limit, match_version="all", **params)
        found += [one["id"] for one in page.json.get("objects", [])]
        assert len(found) <= len(expected)
        if not page.json.get("more"):
            break
        if by_date:
            params = {"added_after": page.headers[LAST]}
        else:
            params = {**({} if drop else params), "next": page.json["next"]}
    assert found == expected
    assert len(expected) == 17


@pytest.fixture
def soc_of_walk(sqlite_database, tmp_path):
    node = a_served(sqlite_database, tmp_path)
    node.admit([an_indicator(n) for n in range(9)] + [an_indicator(1, modified=LATER)])
    node.admit([an_indicator(n, modified=EARLIER) for n in range(7)])
    return node.soc()


def test_versions_of_one_object_are_paged_too_T_PAGE_17_T_VER_6(node):
    texts = [f"2026-11-20T08:00:00.{n:03d}Z" for n in (1, 3, 2, 5, 4)]
    node.admit([an_indicator(modified=text) for text in texts])
    soc = node.soc()
    found: list[str] = []
    page = soc.get(f"indicators/objects/{ONE}/versions/", limit=2).json
    while page.get("more"):
        found += page["versions"]
        page = soc.get(f"indicators/objects/{ONE}/versions/", limit=2, next=page["next"]).json

    assert found + page["versions"] == texts


def test_a_page_asked_for_again_is_the_same_T_PAGE_7(node):
    node.admit([an_indicator(n) for n in range(5)])
    soc = node.soc()
    token = soc.get("indicators/objects/", limit=2).json["next"]

    again = [soc.get("indicators/objects/", limit=2, next=token).data for _ in range(2)]

    assert again[0] == again[1]


def test_what_is_added_during_a_walk_comes_at_its_end_T_PAGE_15(node):
    node.admit([an_indicator(n) for n in range(3)])
    soc = node.soc()
    token = soc.get("indicators/objects/", limit=2).json["next"]
    node.admit([an_indicator("late")])

    assert names(soc.get("indicators/objects/", next=token)) == [
        (an_id("indicator", 2), CREATED),
        (an_id("indicator", "late"), CREATED),
    ]


def test_a_walk_goes_on_over_what_was_deleted_T_PAGE_14_16(node):
    node.admit([an_indicator(n) for n in range(3)])
    soc = node.soc()
    token = soc.get("indicators/objects/", limit=2).json["next"]
    for n in (1, 2):
        soc.delete(f"indicators/objects/{an_id('indicator', n)}/")

    assert soc.get("indicators/objects/", next=token).data == b"{}"


def test_a_token_holds_for_its_own_collection_and_object_T_PAGE_8_T_OID_9(node):
    node.admit([an_indicator(), an_indicator(modified=LATER), an_indicator("two")])
    soc = node.account(read=["indicators", "techniques"])
    token = soc.get("indicators/objects/", limit=1).json["next"]

    for path in ("techniques/objects/", f"indicators/objects/{ONE}/", f"indicators/objects/{ONE}/versions/"):
        refused = soc.get(path, next=token)
        assert refused.status_code == 400
        assert "added_after" in refused.json["description"]


def test_a_token_holds_for_its_own_filters_and_any_limit_A_7(node):
    node.admit([an_indicator(n) for n in range(3)])
    soc = node.soc()
    token = soc.get("indicators/objects/", limit=1, match_type="indicator").json["next"]

    assert soc.get("indicators/objects/", next=token).status_code == 400
    assert soc.get("indicators/objects/", next=token, limit=9, match_type="indicator").status_code == 200


def test_a_token_gives_nobody_more_than_its_own_rights_T_PAGE_8(node):
    node.admit([an_indicator(n) for n in range(3)])
    token = node.soc().get("indicators/objects/", limit=1).json["next"]

    assert node.account("blind").get("indicators/objects/", next=token).status_code == 404
    assert (
        node.account("low", read=["indicators"], clearance=0)
        .get("indicators/objects/", next=token)
        .status_code
        == 400
    )
    assert (
        node.account("alike", read=["indicators"]).get("indicators/objects/", next=token).status_code == 200
    )


def test_a_page_is_never_larger_than_the_largest_T_OBJ_32_33(sqlite_database, tmp_path):
    node = a_served(sqlite_database, tmp_path, limits={"page_size": 3})
    node.admit([an_indicator(n) for n in range(4)])
    soc = node.soc()

    for params in ({}, {"limit": 15_000}):
        page = soc.get("indicators/objects/", **params).json
        assert (len(page["objects"]), page["more"]) == (3, True)
    assert len(soc.walk("indicators/objects/")) == 4


# --- what an account may see


def test_a_reader_sees_up_to_its_clearance(node):
    node.admit([an_indicator("c", tlp="clear"), an_indicator("g", tlp="green"), an_indicator("r", tlp="red")])
    low = node.account("low", read=["indicators"], write=["indicators"], clearance=1)

    assert [one for one, _ in names(low.get("indicators/objects/"))] == [an_id("indicator", n) for n in "cg"]
    red = f"indicators/objects/{an_id('indicator', 'r')}/"
    assert [low.get(red).status_code, low.get(f"{red}versions/").status_code] == [404, 404]
    assert (
        low.get(red).json["title"] == low.get(f"indicators/objects/{an_id('indicator', 'x')}/").json["title"]
    )


def test_nobody_deletes_what_it_does_not_see(node):
    node.admit([an_indicator(tlp="red")])
    low = node.account("low", read=["indicators"], write=["indicators"], clearance=1)

    assert low.delete(f"indicators/objects/{ONE}/").status_code == 404
    assert len(node.exported()) == 1


# --- one object


def test_one_object_is_an_envelope_with_its_newest_version_T_OID_1(node):
    node.admit([an_indicator(modified=LATER), an_indicator(), an_indicator("two")])

    assert names(node.soc().get(f"indicators/objects/{ONE}/")) == [(ONE, LATER)]


def test_all_versions_of_one_object_T_OID_4(node):
    node.admit([an_indicator(modified=LATER), an_indicator(), an_indicator("two")])

    assert names(node.soc().get(f"indicators/objects/{ONE}/", match_version="all")) == [
        (ONE, LATER),
        (ONE, CREATED),
    ]


@pytest.mark.parametrize("object_id", [TWO, "indicator--x", ONE.upper(), "%2e%2e", f"{ONE},{TWO}"])
@pytest.mark.parametrize("tail", ["", "versions/"])
def test_an_unknown_object_is_404_T_OID_2_8_T_VER_2(node, object_id, tail):
    node.admit([an_indicator()])

    assert node.soc().get(f"indicators/objects/{object_id}/{tail}").status_code == 404


@pytest.mark.parametrize(
    "params",
    [{"added_after": "2030-01-01T00:00:00Z"}, {"match_version": LATER}, {"match_spec_version": "2.0"}],
)
def test_a_known_object_that_no_filter_leaves_is_an_empty_envelope_T_OID_3(node, params):
    node.admit([an_indicator()])

    assert node.soc().get(f"indicators/objects/{ONE}/", **params).data == b"{}"


def test_match_id_and_match_type_change_nothing_at_one_object_T_OID_5(node):
    node.admit([an_indicator(), an_indicator("two")])

    found = node.soc().get(f"indicators/objects/{ONE}/", match_id=TWO, match_type="malware")

    assert names(found) == [(ONE, CREATED)]


# --- manifest and versions


def test_the_manifest_echoes_the_texts_of_the_senders_T_MAN_1_3_9(node):
    text = "2026-11-20T09:00:00.123456789Z"
    node.admit([an_indicator(modified=text), an_ipv4()])

    found = node.soc().get("indicators/manifest/").json["objects"]

    assert found == [
        {
            "id": ONE,
            "date_added": "2026-11-21T12:00:00.000000Z",
            "version": text,
            "media_type": "application/stix+json;version=2.1",
        },
        {
            "id": json.loads(an_ipv4())["id"],
            "date_added": "2026-11-21T12:00:00.000010Z",
            "version": "2026-11-21T12:00:00.000010Z",
            "media_type": "application/stix+json;version=2.1",
        },
    ]


def test_every_version_of_the_manifest_finds_its_object_T_TS_8_9(node):
    node.admit([an_indicator(modified="2026-11-20T09:00:00.123456789Z"), an_ipv4()])
    soc = node.soc()

    for one in soc.get("indicators/manifest/").json["objects"]:
        found = soc.get(f"indicators/objects/{one['id']}/", match_version=one["version"])
        assert [each["id"] for each in found.json["objects"]] == [one["id"]]
        assert soc.get(f"indicators/objects/{one['id']}/versions/").json["versions"] == [one["version"]]


def test_versions_are_all_of_them_T_VER_1(node):
    node.admit([an_indicator(modified=LATER), an_indicator()])

    found = node.soc().get(f"indicators/objects/{ONE}/versions/", match_version="last")

    assert found.json == {"more": False, "versions": [LATER, CREATED]}


# --- deletion


def test_a_deleted_object_is_gone_everywhere_T_DEL_2_3_5_6(node):
    node.admit([an_indicator(), an_indicator(modified=LATER), an_indicator("two")])
    soc = node.soc()

    gone = soc.delete(f"indicators/objects/{ONE}/")

    assert (gone.status_code, gone.data, gone.content_type) == (
        200,
        b"",
        "application/taxii+json;version=2.1",
    )
    assert soc.get(f"indicators/objects/{ONE}/").status_code == 404
    assert soc.get(f"indicators/objects/{ONE}/versions/").status_code == 404
    assert soc.delete(f"indicators/objects/{ONE}/").status_code == 404
    assert names(soc.get("indicators/objects/", match_version="all")) == [(TWO, CREATED)]
    assert len(soc.get("indicators/manifest/", match_version="all").json["objects"]) == 1


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("first", [EARLIER, LATER]),
        ("last", [CREATED, EARLIER]),
        (EARLIER, [CREATED, LATER]),
        ("first,last", [EARLIER]),
        ("all", []),
    ],
)
def test_named_versions_are_deleted_alone_T_DEL_4(node, text, left):
    node.admit([an_indicator(), an_indicator(modified=EARLIER), an_indicator(modified=LATER)])
    soc = node.soc()

    assert soc.delete(f"indicators/objects/{ONE}/", match_version=text).status_code == 200

    found = soc.get("indicators/objects/", match_version="all").json.get("objects", [])
    assert [one["modified"] for one in found] == left


@pytest.mark.parametrize(
    ("params", "status"),
    [({"match_version": "x"}, 400), ({"match_version": LATER}, 404), ({"match_spec_version": "2.0"}, 404)],
)
def test_a_deletion_that_names_nothing_deletes_nothing_T_DEL_7_9(node, params, status):
    node.admit([an_indicator()])

    assert node.soc().delete(f"indicators/objects/{ONE}/", **params).status_code == status
    assert len(node.exported()) == 1


def test_a_limit_does_not_shrink_a_deletion_T_DEL_9(node):
    node.admit([an_indicator(), an_indicator(modified=LATER)])

    node.soc().delete(f"indicators/objects/{ONE}/", limit=1, added_after="2030-01-01T00:00:00Z")

    assert node.exported() == []


def test_what_is_posted_after_its_deletion_is_new_T_DEL_11(node):
    soc = node.soc()
    soc.post("indicators", [an_indicator()])
    soc.delete(f"indicators/objects/{ONE}/")
    node.clock.now += 1_000_000

    assert soc.post("indicators", [an_indicator()]).json["success_count"] == 1
    assert soc.get("indicators/objects/").headers[FIRST] == taxii_time(NOON + 1_000_000)


# --- a partner


def test_a_partner_reads_its_feed_as_the_collection(database, tmp_path):
    node = an_exchange(database, tmp_path)
    node.admit([an_indicator("r", tlp="red"), an_indicator(tlp="green"), an_indicator("two", tlp="clear")])
    south = node.partner()

    page = south.get("indicators/objects/", limit=1)

    assert names(page) == [(ONE, CREATED)]
    assert page.headers[FIRST] == taxii_time(NOON)
    assert names(south.get("indicators/objects/", next=page.json["next"])) == [(TWO, CREATED)]
    assert [one["id"] for one in south.get("indicators/manifest/").json["objects"]] == [ONE, TWO]
    assert south.get(f"indicators/objects/{ONE}/versions/").json["versions"] == [CREATED]
    assert south.get(f"indicators/objects/{an_id('indicator', 'r')}/").status_code == 404


def test_a_partner_is_not_given_back_what_it_brought(sqlite_database, tmp_path):
    node = an_exchange(sqlite_database, tmp_path)
    south = node.partner()
    south.post("indicators", [an_indicator(author=SOUTH_ID, tlp="green")])

    assert south.get("indicators/objects/").data == b"{}"
    assert len(node.exported()) == 1


def test_a_token_of_the_collection_is_none_of_the_feed(sqlite_database, tmp_path):
    node = an_exchange(sqlite_database, tmp_path)
    node.admit([an_indicator(n, tlp="green") for n in range(3)])
    token = node.account(read=["indicators"]).get("indicators/objects/", limit=1).json["next"]

    assert node.partner().get("indicators/objects/", next=token).status_code == 400


# --- a writer between the start of a request and its page


class Overtaken(dict):
    """What readers may see; somebody writes before the first look at it."""

    def __init__(self, write):
        self.write = write

    def get(self, key, default=None):
        write, self.write = self.write, lambda: None
        write()
        return super().get(key, default)


def overtaken(node, *bodies):
    node.app.extensions[EXTENSION] = replace(node.face, sights=Overtaken(lambda: node.admit(bodies)))


@pytest.mark.parametrize(
    ("path", "asked"),
    [(f"objects/{ONE}/", {}), ("objects/", {"match_id": ONE}), ("manifest/", {"match_id": f"{ONE},{TWO}"})],
)
def test_an_object_that_is_replaced_meanwhile_is_found_all_the_same(database, tmp_path, path, asked):
    node = a_served(database, tmp_path)
    node.admit([an_indicator()])
    soc = node.soc()
    overtaken(node, an_indicator(modified=LATER))

    page = soc.get(f"indicators/{path}", **asked)

    assert [one["id"] for one in page.json["objects"]] == [ONE]


def test_a_listing_leaves_what_is_replaced_meanwhile_to_the_next_page(node):
    node.admit([an_indicator(), an_indicator("two")])
    soc = node.soc()
    overtaken(node, an_indicator(modified=LATER))

    page = soc.get("indicators/objects/")

    assert names(page) == [(TWO, CREATED)]
    assert names(soc.get("indicators/objects/", added_after=page.headers[LAST])) == [(ONE, LATER)]
