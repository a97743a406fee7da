"""node/taxii/posts.py: what a POST stores, what it answers, and what it never does by halves."""

import gzip
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from node.store import catalog
from tests.support.builders import CREATED, LATER, NORTH_ID, SOUTH_ID, an_id, an_indicator, an_ipv4
from tests.support.served import a_served, an_envelope, an_exchange

ONE, TWO = an_id("indicator"), an_id("indicator", "two")
BUNDLE = {"Content-Type": "application/stix+json;version=2.1"}


@pytest.fixture
def node(sqlite_database, tmp_path):
    return a_served(sqlite_database, tmp_path)


def details(answer, list_name):
    return [(one["id"], one["version"]) for one in answer.json.get(list_name, [])]


def test_a_post_is_accepted_and_says_what_became_of_it_T_POST_1_2(database, tmp_path):
    node = a_served(database, tmp_path)

    found = node.soc().post("indicators", [an_indicator(), an_indicator("two")])

    assert (found.status_code, found.content_type) == (202, "application/taxii+json;version=2.1")
    assert (found.json["status"], found.json["total_count"], found.json["success_count"]) == (
        "complete",
        2,
        2,
    )
    assert details(found, "successes") == [(ONE, CREATED), (TWO, CREATED)]
    assert node.exported() == [an_indicator(), an_indicator("two")]


def test_an_invalid_object_does_not_take_the_others_with_it_T_POST_10(node):
    bad = [
        b"3",
        b"null",
        b'{"a":1}',
        an_indicator("bad", pattern=None),
        b'{"type":"bundle","id":"bundle--1"}',
    ]

    found = node.soc().post("indicators", [an_indicator(), *bad, an_indicator("two")])

    assert found.status_code == 202
    assert details(found, "successes") == [(ONE, CREATED), (TWO, CREATED)]
    assert [one["id"] for one in found.json["failures"]][:3] == [f"unknown--index-{n}" for n in (1, 2, 3)]
    assert all(one["message"] for one in found.json["failures"])
    assert (found.json["failure_count"], found.json["total_count"]) == (5, 7)
    assert len(node.exported()) == 2


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(an_indicator("bad")[:-1] + b',"name":"again"}', id="a duplicate key"),
        pytest.param(an_indicator("bad", confidence=float("nan")), id="NaN"),
        pytest.param(an_indicator("bad")[:-1] + b',"x_big":1e400}', id="1e400"),
        pytest.param(an_indicator("bad")[:-1] + b',"x_s":"\\ud800"}', id="a lone surrogate"),
        pytest.param(an_indicator("bad")[:-1] + b',"x_s":"\\u0000"}', id="NUL"),
        pytest.param(an_indicator("bad")[:-1] + b',"x_d":' + b"[" * 5000 + b"]" * 5000 + b"}", id="depth"),
    ],
)
def test_strictly_broken_json_in_one_object_is_never_stored_T_POST_21_22(node, bad):
    found = node.soc().post("indicators", [an_indicator(), bad])

    assert found.status_code in (202, 400)
    assert bad not in node.exported()


def test_a_duplicate_is_a_success_and_changes_nothing_T_POST_5_6(node):
    soc = node.soc()
    soc.post("indicators", [an_indicator()])
    before = soc.get("indicators/manifest/").data
    node.clock.now += 1_000_000

    again = soc.post("indicators", [an_indicator(), an_indicator()])

    assert (again.json["success_count"], again.json["failure_count"]) == (2, 0)
    assert soc.get("indicators/manifest/").data == before


def test_other_bytes_under_the_same_version_fail_T_POST_7(node):
    soc = node.soc()
    soc.post("indicators", [an_indicator()])

    found = soc.post("indicators", [an_indicator(description="changed"), an_indicator("two")])

    assert (details(found, "failures"), details(found, "successes")) == ([(ONE, CREATED)], [(TWO, CREATED)])
    assert an_indicator() in node.exported()


def test_several_versions_of_one_object_may_come_together_T_POST_8_9(node):
    soc = node.soc()

    found = soc.post("indicators", [an_indicator(modified=LATER), an_indicator()])

    assert found.json["success_count"] == 2
    assert [one["modified"] for one in soc.get("indicators/objects/").json["objects"]] == [LATER]


def test_a_status_names_observables_as_the_manifest_does_T_STAT_9(node):
    soc = node.soc()

    found = soc.post("indicators", [an_ipv4()])

    (one,) = soc.get("indicators/manifest/").json["objects"]
    assert details(found, "successes") == [(one["id"], one["version"])]


def test_a_bundle_is_a_body_too_T_POST_14(node):
    bundle = b'{"type":"bundle","id":"bundle--' + b"1" * 8 + b'-1111-4111-8111-111111111111","objects":['
    soc = node.soc()

    for headers in ({}, BUNDLE):
        assert (
            soc.post("indicators", body=bundle + an_indicator() + b"]}", headers=headers).status_code == 202
        )


def test_properties_of_the_envelope_that_nobody_knows_are_ignored_T_POST_15_16(node):
    body = b'{"more":true,"next":"x","x_acme_y":1,"objects":[' + an_indicator() + b"]}"

    assert node.soc().post("indicators", body=body).json["success_count"] == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"nonsense", 400), (b'{"objects":[', 400), (an_envelope([an_indicator()]) + b"}", 400),
        (b"[]", 422), (b"{}", 422), (b'{"objects":[]}', 422), (b'{"objects":3}', 422),
    ],
)  # fmt: skip
def test_an_unusable_body_stores_nothing_T_POST_11_12(node, body, status):
    found = node.soc().post("indicators", body=body)

    assert (found.status_code, found.json["http_status"]) == (status, str(status))
    assert node.exported() == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json"}, 415),
        ({"Content-Type": ""}, 415),
        ({"Content-Type": "application/taxii+json;version=2.0"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Accept": "text/html"}, 406),
    ],
)
def test_a_request_that_cannot_be_read_stores_nothing_T_POST_19_20_28(node, headers, status):
    assert node.soc().post("indicators", [an_indicator()], headers=headers).status_code == status
    assert node.exported() == []


@pytest.mark.parametrize("length", ["5", "100000"], ids=["longer than announced", "cut"])
def test_a_body_of_another_length_stores_nothing(node, length):
    ends = {"wsgi.input_terminated": True, "CONTENT_LENGTH": length}
    typed = {"Content-Type": "application/taxii+json"}

    found = node.soc().send(
        "POST",
        "indicators/objects/",
        headers=typed,
        data=an_envelope([an_indicator()]),
        environ_overrides=ends,
    )

    assert found.status_code == 400
    assert node.exported() == []


def test_a_compressed_body_is_not_taken_for_a_plain_one_T_POST_20(node):
    body = gzip.compress(an_envelope([an_indicator()]))

    assert node.soc().post("indicators", body=body).status_code == 400


def test_the_largest_body_is_taken_and_a_longer_one_is_not_T_ROOT_4_T_POST_17(sqlite_database, tmp_path):
    node = a_served(sqlite_database, tmp_path, limits={"max_content_length": 2048, "max_object_bytes": 1024})
    soc = node.soc()
    body = an_envelope([an_indicator()])

    assert soc.post("indicators", body=body + b" " * (2048 - len(body))).status_code == 202
    refused = soc.post("indicators", body=an_envelope([an_indicator("two")]) + b" " * 2048)
    assert (refused.status_code, "2048" in refused.json["description"]) == (413, True)
    assert len(node.exported()) == 1


def test_the_right_is_asked_before_the_body_is_read_T_POST_3(node):
    class Unreadable:
        def read(self, *_):
            raise AssertionError("the body was read")

    reader = node.account(read=["indicators"])

    found = reader.send(
        "POST",
        "indicators/objects/",
        headers={"Content-Type": "application/taxii+json"},
        environ_overrides={"wsgi.input": Unreadable(), "CONTENT_LENGTH": "10"},
    )

    assert found.status_code == 403


def test_ten_thousand_objects_go_in_at_once(node):
    found = node.soc().post("indicators", [an_ipv4(f"10.0.{n // 256}.{n % 256}") for n in range(10_000)])

    assert (found.status_code, found.json["success_count"]) == (202, 10_000)


def test_two_who_post_the_same_object_both_succeed_T_POST_27(database, tmp_path):
    node = a_served(database, tmp_path)
    clients = [node.account(f"soc{n}", write=["indicators"]) for n in range(4)]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda client: client.post("indicators", [an_indicator()]), clients))

    assert [(one.status_code, one.json["success_count"]) for one in found] == [(202, 1)] * 4
    assert node.exported() == [an_indicator()]


def test_a_post_waits_for_another_writer(database, tmp_path):
    node = a_served(database, tmp_path)
    soc = node.soc()
    held, done = threading.Event(), threading.Event()

    def hold():
        with node.database.writing() as tx:
            catalog.lock(tx, node.collections["indicators"].collection_id)
            held.set()
            done.wait(10)

    other = threading.Thread(target=hold)
    other.start()
    held.wait(10)
    with ThreadPoolExecutor(1) as pool:
        posting = pool.submit(soc.post, "indicators", [an_indicator()])
        done.set()
        found = posting.result()
    other.join()

    assert found.status_code == 202


# --- a partner


def test_what_a_partner_posts_enters_through_its_link(database, tmp_path):
    node = an_exchange(database, tmp_path)
    red = an_indicator("red", author=SOUTH_ID, tlp="red")
    foreign = an_indicator("foreign", author=NORTH_ID, tlp="green")

    found = node.partner().post("indicators", [an_indicator(author=SOUTH_ID, tlp="green"), red, foreign])

    assert details(found, "successes") == [(ONE, CREATED)]
    assert [one["message"].split(":")[0] for one in found.json["failures"]] == ["set_aside", "set_aside"]
    assert len(node.exported()) == 1


@pytest.mark.parametrize("headers", [{}, {"X-Exchange-Batch": "7;1"}], ids=["plain", "numbered"])
def test_a_stopped_partner_posts_nothing(sqlite_database, tmp_path, headers):
    node = an_exchange(sqlite_database, tmp_path)
    south = node.partner()
    node.pause()

    assert south.post("indicators", [an_indicator(author=SOUTH_ID)], headers=headers).status_code == 403
    assert node.exported() == []


def test_a_link_that_is_stopped_while_the_body_arrives_stays_closed(sqlite_database, tmp_path):
    node = an_exchange(sqlite_database, tmp_path)
    south = node.partner()
    body = an_envelope([an_indicator(author=SOUTH_ID, tlp="green")])

    pieces = [body]

    class Slow:
        def read(self, *_):
            node.pause()
            return pieces.pop() if pieces else b""

    found = south.send(
        "POST",
        "indicators/objects/",
        headers={"Content-Type": "application/taxii+json"},
        environ_overrides={"wsgi.input": Slow(), "CONTENT_LENGTH": str(len(body))},
    )

    assert (found.status_code, json.loads(found.data)["error_code"]) == (403, "link_closed")
    assert node.exported() == []
