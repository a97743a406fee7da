"""node/taxii/observing.py and logs.py: one id finds a request, and no log holds what a client wrote."""

import gzip
import json
import logging
import re

import pytest

from node.exchange import egress
from node.store import catalog
from node.taxii import observing
from node.taxii.logs import Lines, places, to_stderr
from node.taxii.protocol import MEDIA_TYPE
from tests.support.builders import NOON, an_indicator
from tests.support.served import INDICATORS, a_served, an_envelope, an_exchange, basic

CANARY = "canary-7c1e0b9a"


@pytest.fixture
def node(sqlite_database, tmp_path):
    return a_served(sqlite_database, tmp_path)


@pytest.fixture
def log(caplog):
    """What the server would write: its lines as JSON."""
    caplog.set_level(logging.DEBUG)

    def written():
        ours = [record for record in caplog.records if record.name.startswith("node.")]
        return [json.loads(Lines().format(record)) for record in ours]

    return written


# --- the id


def test_a_request_without_an_id_gets_one_that_stands_in_answer_error_and_log(node, log):
    found = node.soc().get("nowhere/")

    given = found.headers["X-Request-Id"]
    assert re.fullmatch(r"[0-9a-f]{16}", given)
    assert found.json["error_id"] == given
    assert log()[-1]["id"] == given


@pytest.mark.parametrize("given", ["a", "req-1.2_3", "A" * 64])
def test_a_plain_id_of_the_client_is_taken(node, log, given):
    found = node.soc().get("nowhere/", headers={"X-Request-Id": given})

    assert (found.headers["X-Request-Id"], found.json["error_id"], log()[-1]["id"]) == (given,) * 3


@pytest.mark.parametrize("given", ["", "a b", "a" * 65, "é", 'x"y', "a/b", "<script>", "a\tb"])
def test_any_other_id_is_replaced(node, given):
    found = node.soc().get("/api/", headers={"X-Request-Id": given})

    assert re.fullmatch(r"[0-9a-f]{16}", found.headers["X-Request-Id"])


def test_two_requests_have_two_ids(node):
    soc = node.soc()

    assert soc.get("/api/").headers["X-Request-Id"] != soc.get("/api/").headers["X-Request-Id"]


# --- the line


def test_a_line_says_who_asked_what_and_what_came_of_it(node, log):
    node.admit([an_indicator("one"), an_indicator("two")])
    soc = node.soc()

    page = soc.get("indicators/objects/", limit=5)
    line = log()[-1]

    assert {
        name: line[name] for name in ("what", "account", "method", "route", "status", "out", "bytes")
    } == {
        "what": "request",
        "account": "soc",
        "method": "GET",
        "route": "/api/collections/<name>/objects/",
        "status": 200,
        "out": 2,
        "bytes": len(page.data),
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["at"])
    assert line["ms"] >= line["db_ms"] >= 0


def test_a_line_says_what_became_of_posted_objects(node, log):
    soc = node.soc()
    soc.post("indicators", [an_indicator("one")])
    soc.post("indicators", [an_indicator("one"), an_indicator("two"), b'{"type":"x"}'])

    assert log()[-1]["in"] == {"stored": 1, "duplicate": 1, "refused": 1}


def test_a_head_hands_nothing_out_and_is_no_reading(node, log):
    node.admit([an_indicator()])
    soc = node.soc()

    soc.send("HEAD", "indicators/objects/")

    assert log()[-1]["out"] == 0
    with node.database.reading() as tx:
        collection = catalog.find_collection(tx, "indicators")
        assert tx.connection.exec_driver_sql("select count(*) from reading").scalar() == 0
    assert collection is not None


def test_a_request_within_a_request_has_a_line_of_its_own(node, log):
    soc = node.soc()
    other = node.account("other")
    body = an_envelope([an_indicator()])

    class Slow:
        def read(self, *_):
            other.get("/api/")
            return body

    typed = {"Content-Type": "application/taxii+json"}
    given = {"wsgi.input": Slow(), "CONTENT_LENGTH": str(len(body))}
    soc.send("POST", "indicators/objects/", headers=typed, environ_overrides=given)

    assert [line["account"] for line in log()] == ["other", "soc"]


def test_a_method_of_no_standard_is_no_word_in_the_log_or_the_metrics(node, log):
    node.soc().send(f"{CANARY}", "/api/")
    metrics = node.app.test_client().get("/metrics").text

    assert log()[0]["method"] == "-"
    assert CANARY not in json.dumps(log()) + metrics


# --- nothing of the client's in a log or in an error


def canaries(node, monkeypatch):
    """Requests that carry the canary wherever a client can put one, and the answers to them."""
    soc, south = node.soc(), node.partner()
    token = {"Authorization": basic("soc", f"sn_{CANARY}"), "User-Agent": CANARY}
    spread = {
        "User-Agent": CANARY,
        "Referer": CANARY,
        "Cookie": f"session={CANARY}",
        "Accept-Encoding": CANARY,
        "X-Forwarded-For": CANARY,
        "Via": CANARY,
        "X-Exchange-Terms": CANARY,
        "X-Exchange-Batch": CANARY,
        "X-Exchange-Epoch": CANARY,
    }
    yield soc.get("indicators/objects/", headers=token)
    yield soc.get("indicators/objects/", headers={"Authorization": f"Bearer {CANARY}"})
    yield soc.get("indicators/objects/", headers=spread, **{"match[x]": CANARY})
    yield soc.get("indicators/objects/", headers=spread, next=CANARY)
    yield soc.get("indicators/objects/", added_after=CANARY, limit=CANARY)
    yield soc.get(f"indicators/objects/{CANARY}/", headers=spread)
    yield soc.get(f"{CANARY}/objects/")
    yield soc.get(f"/{CANARY}/")
    yield soc.get("/api/", headers={"Accept": f"text/{CANARY}"})
    yield soc.get("/api/", headers={"X-Request-Id": f"{CANARY}/"})
    yield soc.get("/api/", headers={"Expect": CANARY})
    yield soc.get(f"/api/status/{CANARY}/")
    yield soc.delete(f"indicators/objects/{CANARY}/")
    yield soc.post("indicators", body=f'{{"objects": [{CANARY}'.encode())
    yield soc.post("indicators", body=f'"{CANARY}"'.encode())
    yield soc.post("indicators", body=b"{}", headers={"Content-Type": f"text/{CANARY}"})
    yield south.get("indicators/objects/", headers=spread)
    yield south.post("indicators", [an_indicator(CANARY)], headers=spread)
    monkeypatch.setattr(egress, "read_bodies", lambda *_, **__: 1 / len(CANARY[:0]))
    yield soc.get("indicators/objects/", headers=spread, limit=7)


def test_no_log_and_no_error_holds_what_a_client_wrote(sqlite_database, tmp_path, monkeypatch, log, caplog):
    node = an_exchange(sqlite_database, tmp_path)

    answers = list(canaries(node, monkeypatch))

    assert len(log()) >= len(answers)
    assert CANARY not in json.dumps(log()) + caplog.text
    assert [found.text for found in answers if found.status_code >= 400 and CANARY in found.text] == []
    assert {401, 400, 404, 406, 417, 422, 415, 500} <= {found.status_code for found in answers}


def test_the_search_for_the_canary_finds_one(node, log, caplog):
    logging.getLogger("node.planted").info("asked for %s", CANARY)

    assert CANARY in json.dumps(log())


def test_a_failure_is_logged_with_its_places_and_no_words(node, monkeypatch, log):
    def fail(*_args, **_more):
        raise RuntimeError(CANARY)

    monkeypatch.setattr(egress, "read_bodies", fail)

    found = node.soc().get("indicators/objects/")
    failure, line = log()[-2:]

    assert (found.status_code, found.headers["X-Request-Id"]) == (500, failure["id"])
    assert failure["id"] == line["id"]
    assert (failure["what"], failure["level"], failure["error"]) == ("failure", "error", "RuntimeError")
    assert any(place.startswith("node/taxii/objects.py:") for place in failure["places"])
    assert CANARY not in json.dumps(failure)


def test_what_breaks_below_flask_is_an_error_resource_too(node, log):
    def broken(_environ, _start):
        raise ValueError(CANARY)

    node.app.wsgi_app._application = broken

    found = node.app.test_client().get("/api/")

    assert (found.status_code, found.content_type) == (500, MEDIA_TYPE)
    assert found.json["http_status"] == "500"
    assert (found.headers["Cache-Control"], found.vary.to_header()) == (
        "no-store",
        "Accept, Accept-Encoding, Authorization",
    )
    assert found.json["error_id"] == found.headers["X-Request-Id"] == log()[-1]["id"]
    assert CANARY not in found.text + json.dumps(log())


def test_places_are_of_the_node_and_not_of_the_machine():
    try:
        catalog.node_row(None)
    except AttributeError as error:
        found = places(error.__traceback__)

    assert re.fullmatch(r"test_observing\.py:\d+ test_places_are_of_the_node.*", found[0])
    assert re.fullmatch(r"node/store/catalog\.py:\d+ node_row", found[1])


def test_a_line_stays_one_line_whatever_is_in_it():
    record = logging.LogRecord("node.x", logging.INFO, "", 0, "a\nb\x1b[31m", (), None)

    line = Lines().format(record)

    assert "\n" not in line
    assert "\x1b" not in line
    assert json.loads(line)["message"] == "a\nb\x1b[31m"


@pytest.mark.parametrize(("requests", "level"), [(True, logging.INFO), (False, logging.WARNING)])
def test_lines_for_each_request_can_be_turned_off(monkeypatch, requests, level):
    ours = logging.getLogger("node")
    monkeypatch.setattr(ours, "handlers", [])
    for name, value in (("level", ours.level), ("propagate", ours.propagate)):
        monkeypatch.setattr(ours, name, value)
    for name in ("_srcfile", "logThreads", "logProcesses", "logMultiprocessing"):
        monkeypatch.setattr(logging, name, getattr(logging, name))

    to_stderr(requests=requests)

    assert ours.level == level
    assert isinstance(ours.handlers[0].formatter, Lines)


# --- counts


def test_requests_are_counted_by_the_rule_of_their_address(node):
    node.admit([an_indicator()])
    soc = node.soc()
    soc.get("indicators/objects/")
    soc.get("techniques/objects/")
    soc.get(f"{CANARY}/objects/")
    soc.get("indicators/objects/", headers={"Authorization": "Bearer x"})
    soc.post("indicators", [an_indicator("two")])

    text = node.app.test_client().get("/metrics").text

    route = 'route="/api/collections/<name>/objects/"'
    assert f'stixnode_requests_total{{method="GET",{route},status="200"}} 1.0' in text
    assert f'stixnode_requests_total{{method="GET",{route},status="404"}} 2.0' in text
    assert f'stixnode_requests_total{{method="POST",{route},status="202"}} 1.0' in text
    assert "stixnode_login_failures_total 1.0" in text
    assert "stixnode_objects_out_total 1.0" in text
    assert 'stixnode_objects_in_total{outcome="stored"} 1.0' in text
    assert re.search(r'stixnode_database_seconds_total\{part="commit"\} [0-9.e-]*[1-9]', text)
    assert [word for word in (CANARY, INDICATORS) if word in text] == []


def test_an_answer_in_gzip_is_counted_as_it_was_sent(node, log):
    node.admit([an_indicator(f"number {number}") for number in range(20)])

    found = node.soc().get("indicators/objects/", headers={"Accept-Encoding": "gzip"})

    assert log()[-1]["bytes"] == len(found.data) < len(gzip.decompress(found.data))


def test_the_clock_of_the_node_is_not_that_of_the_log(node):
    assert node.clock() == NOON
    assert observing.HEADER == "X-Request-Id"
