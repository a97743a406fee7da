"""node/taxii/face.py: who asks, and what every answer carries."""

from base64 import b64encode

import pytest

from node.access import accounts
from tests.support.builders import NOON, an_indicator
from tests.support.served import a_served, an_envelope, basic

PATHS = ["/taxii2/", "/api/", "/api/collections/", "indicators/", "indicators/objects/", "/api/status/x/"]


@pytest.fixture
def node(sqlite_database, tmp_path):
    return a_served(sqlite_database, tmp_path)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic !!",
        "Bearer x",
        "Digest a",
        "Bearer sn_aaaaaaaaaa_" + "a" * 43,
        basic("soc", "wrong"),
        "a" * 5000,
    ],
)
def test_a_stranger_is_asked_who_it_is_everywhere_T_DISC_10_T_ERR_4(node, path, header):
    found = node.soc().get(path, headers={"Authorization": header})

    assert found.status_code == 401
    assert found.headers["WWW-Authenticate"] == 'Basic realm="stixnode", charset="UTF-8"'
    assert found.json["http_status"] == "401"


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_the_scheme_may_be_written_in_any_case_T_NET_7(node, scheme):
    soc = node.soc()
    coded = b64encode(f"soc:{soc.token}".encode()).decode()

    assert soc.get("indicators/", headers={"Authorization": f"{scheme} {coded}"}).status_code == 200
    assert soc.get("indicators/", headers={"Authorization": f"bearer {soc.token}"}).status_code == 200


def test_a_token_counts_for_its_own_account_alone(node):
    soc = node.soc()
    node.account("other")

    assert soc.get("/api/", headers={"Authorization": basic("other", soc.token)}).status_code == 401


def test_an_account_that_has_expired_is_a_stranger(node):
    account = node.account(read=["indicators"], expires=NOON + 10)
    assert account.get("indicators/").status_code == 200

    node.clock.now = NOON + 10

    assert account.get("indicators/").status_code == 401


def test_an_account_that_was_removed_is_a_stranger_at_the_next_request(node):
    account = node.soc()
    assert account.get("indicators/").status_code == 200

    with node.database.writing() as tx:
        accounts.remove_account(tx, "soc", actor="os:test", now=NOON)

    assert account.get("indicators/").status_code == 401


def test_every_answer_is_kept_by_nobody_T_HDR_10(node):
    for path in ("/taxii2/", "/nowhere", "/healthz"):
        headers = (
            node.soc().get(path).headers if path == "/taxii2/" else node.app.test_client().get(path).headers
        )
        assert headers["Cache-Control"] == "no-store"
        assert headers["Vary"] == "Accept, Accept-Encoding, Authorization"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "Strict-Transport-Security" not in headers


def test_a_request_needs_no_user_agent_T_HDR_8(node):
    assert node.soc().get("/api/", headers={"User-Agent": ""}).status_code == 200


def test_an_account_that_asks_too_often_is_slowed(node):
    soc = node.soc()
    node.face.rates.requests_per_second = 2

    assert [soc.get("/api/").status_code for _ in range(3)] == [200, 200, 429]


def test_a_request_is_under_way_until_it_is_carried_out(sqlite_database, tmp_path):
    node = a_served(sqlite_database, tmp_path, limits={"concurrent_requests": 1})
    soc = node.soc()
    body = an_envelope([an_indicator()])
    seen = []

    class Slow:
        def read(self, *_):
            seen.append(soc.get("/api/").status_code)
            return body

    typed = {"Content-Type": "application/taxii+json"}
    given = {"wsgi.input": Slow(), "CONTENT_LENGTH": str(len(body))}
    assert soc.send("POST", "indicators/objects/", headers=typed, environ_overrides=given).status_code == 202

    assert seen == [429]
    assert [soc.get(path).status_code for path in ("/api/", "nowhere/", "/api/")] == [200, 404, 200]


def test_the_limits_of_the_configuration_hold(sqlite_database, tmp_path):
    limits = {"requests_per_second": 3, "concurrent_requests": 2, "failed_logins_per_minute": 1}
    node = a_served(sqlite_database, tmp_path, limits=limits)

    rates = node.face.rates
    assert (rates.requests_per_second, rates.concurrent_requests, rates.failed_logins_per_minute) == (3, 2, 1)
    assert [node.soc(f"s{n}").get("/api/", headers={"Authorization": ""}).status_code for n in (1, 2)] == [
        401,
        429,
    ]
    assert node.soc("s3").get("/api/").status_code == 200


def test_a_reading_is_noted_once_a_minute(node):
    soc = node.soc()
    node.admit([an_indicator()])

    soc.get("indicators/objects/")
    node.admit([an_indicator("two")])
    node.clock.now += 59_999_999
    soc.get("indicators/objects/")
    assert noted(node) == [("soc", 1, NOON, NOON)]

    node.clock.now += 1
    soc.get("indicators/objects/")
    assert noted(node) == [("soc", 1, NOON + 60_000_000, NOON + 10)]


def test_an_empty_poll_is_noted_and_takes_no_position_back(node):
    soc = node.soc()
    node.admit([an_indicator()])
    soc.get("indicators/objects/")
    node.clock.now += 60_000_000

    soc.get("indicators/objects/", added_after="2026-12-01T00:00:00Z")

    assert noted(node) == [("soc", 1, NOON + 60_000_000, NOON)]


def noted(node):
    with node.database.reading() as tx:
        return [
            (one.account, one.collection_id, one.last_poll, one.last_served) for one in accounts.readings(tx)
        ]


@pytest.mark.parametrize("path", ["/taxii2//", "/api//", "/api/collections//"])
def test_a_doubled_slash_is_another_address_T_NET_3(node, path):
    found = node.soc().get(path)

    assert (found.status_code, found.json["http_status"]) == (404, "404")
