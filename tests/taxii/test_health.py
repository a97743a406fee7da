"""node/taxii/health.py: who watches over the server learns enough, and a stranger no more than words."""

import shutil
import threading
from dataclasses import replace

import pytest

from node.access import people, tokens
from node.errors import StoreError
from node.exchange.egress import CLOCK_DOUBT
from node.store import highwater, readiness
from node.store.catalog import lock, take_dates
from node.taxii.health import LOOK_SECONDS
from node.web import create_app
from tests.support.builders import NOON, an_indicator
from tests.support.served import EXTENSION, INDICATORS, a_served, an_exchange, basic


@pytest.fixture
def node(sqlite_database, tmp_path):
    return a_served(sqlite_database, tmp_path)


def ask(node, path="/readyz", **more):
    found = node.app.test_client().get(path, **more)
    node.clock.now += LOOK_SECONDS * 1_000_000
    return found


# --- healthz, readyz


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_asked_without_an_account(node, path):
    found = ask(node, path)

    assert (found.status_code, found.content_type) == (200, "application/json")
    head = node.app.test_client().head(path)
    assert (head.status_code, head.headers["Content-Length"], head.data) == (200, str(len(found.data)), b"")


def test_a_node_that_can_work_is_ready_on_both_databases(database, tmp_path):
    node = a_served(database, tmp_path)
    node.admit([an_indicator()])

    assert ask(node).json == {"status": "ready"}


def test_a_database_that_is_gone_makes_it_unready(node, monkeypatch):
    monkeypatch.setattr(type(node.database), "reading", _refusing)

    found = ask(node)

    assert (found.status_code, found.headers["Retry-After"]) == (503, "5")
    assert found.json == {"status": "not ready", "reasons": ["database"]}


def _refusing(_database):
    raise StoreError("disk I/O error at /secret/place", remedy="x")


def test_tables_of_another_version_make_it_unready(database, tmp_path):
    node = a_served(database, tmp_path)
    with database.migrating() as connection:
        connection.exec_driver_sql("update alembic_version set version_num = '9999'")

    assert ask(node).json["reasons"] == ["schema"]


def test_a_database_that_went_back_makes_it_unready(node):
    highwater.note(node.settings.data_dir, INDICATORS, node.clock.now + 10)

    assert ask(node).json["reasons"] == ["history"]


def test_a_clock_behind_the_newest_date_makes_it_unready(node):
    with node.database.writing() as tx:
        lock(tx, 1)
        take_dates(tx, 1, 1, now=node.clock.now + CLOCK_DOUBT + 2_000_000)

    assert ask(node).json["reasons"] == ["clock"]
    node.clock.now += 2_000_000
    assert ask(node).status_code == 200


def test_a_file_that_cannot_be_written_makes_it_unready(node, monkeypatch):
    monkeypatch.setattr(readiness.os, "access", lambda *_: False)

    assert ask(node).json["reasons"] == ["read-only"]


def test_a_full_disk_makes_it_unready(node, monkeypatch):
    monkeypatch.setattr(readiness, "LEAST_FREE", shutil.disk_usage(node.settings.data_dir).total * 2)

    assert ask(node).json["reasons"] == ["disk"]


def test_many_who_ask_make_it_look_once_in_two_seconds(node, monkeypatch):
    looks = []
    faults = readiness.faults
    monkeypatch.setattr(readiness, "faults", lambda *given: looks.append(given) or faults(*given))
    client = node.app.test_client()

    assert {client.get("/readyz").status_code for _ in range(20)} == {200}
    assert len(looks) == 1
    node.clock.now += LOOK_SECONDS * 1_000_000
    client.get("/readyz")
    assert len(looks) == 2


def test_paused_links_are_a_persons_decision_and_no_fault(sqlite_database, tmp_path):
    node = an_exchange(sqlite_database, tmp_path)

    assert ask(node).status_code == 200


# --- metrics


def person(node, name="op"):
    with node.database.writing() as tx:
        people.add_person(tx, name, roles=["auditor"], actor="os:test", now=node.clock.now)
        text, _ = tokens.issue_token(tx, person=name, actor="os:test", now=node.clock.now)
    return text


def test_metrics_are_read_on_this_machine(node):
    found = ask(node, "/metrics")

    assert (found.status_code, found.content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert "stixnode_ready 1.0" in found.text


def test_the_state_of_each_link_is_among_them(sqlite_database, tmp_path):
    node = an_exchange(sqlite_database, tmp_path)
    node.resume()

    text = ask(node, "/metrics").text

    assert 'stixnode_link_open{link="south/indicators/out"} 1.0' in text
    assert 'stixnode_link_failures{link="south/indicators/in"} 0.0' in text


@pytest.mark.parametrize(
    "environ",
    [
        {"REMOTE_ADDR": "192.0.2.1"},
        {"REMOTE_ADDR": ""},
        {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {"HTTP_X_FORWARDED_PROTO": "https"},
        {"HTTP_FORWARDED": "for=127.0.0.1"},
        {"HTTP_VIA": "1.1 proxy"},
        {"HTTP_X_REAL_IP": "127.0.0.1"},
    ],
)
def test_for_others_there_is_nothing_at_that_address(node, environ):
    found = ask(node, "/metrics", environ_overrides=environ)
    nothing = ask(node, "/nothing", environ_overrides=environ)

    assert found.status_code == 404
    assert {**found.json, "error_id": ""} == {**nothing.json, "error_id": ""}


def test_a_person_reads_them_from_anywhere(node):
    header = {"Authorization": f"Bearer {person(node)}"}

    found = ask(node, "/metrics", headers=header, environ_overrides={"REMOTE_ADDR": "192.0.2.1"})

    assert found.status_code == 200


def test_no_account_reads_them_not_even_on_this_machine(node):
    soc = node.soc()

    for header in (f"Bearer {soc.token}", basic("soc", soc.token), "Bearer", "Bearer x"):
        assert ask(node, "/metrics", headers={"Authorization": header}).status_code == 404


def test_guesses_at_a_persons_token_are_slowed(sqlite_database, tmp_path):
    node = a_served(sqlite_database, tmp_path, limits={"failed_logins_per_minute": 2})
    client = node.app.test_client()
    header = {"Authorization": "Bearer x"}

    assert [client.get("/metrics", headers=header).status_code for _ in range(3)] == [404, 404, 429]


@pytest.mark.parametrize(
    ("server", "url"), [({"behind_proxy": ("192.0.2.9",)}, None), ({}, "https://north.example")]
)
def test_where_a_proxy_may_stand_in_front_this_machine_is_nobody(node, server, url):
    ours = replace(node.settings, server=replace(node.settings.server, **server))
    if url:
        ours = replace(ours, node=replace(ours.node, public_url=url))
    app = create_app(ours, node.database)
    app.extensions[EXTENSION] = replace(app.extensions[EXTENSION], now=node.clock)

    assert app.test_client().get("/metrics").status_code == 404
    header = {"Authorization": f"Bearer {person(node)}"}
    assert app.test_client().get("/metrics", headers=header).status_code == 200
    assert node.clock.now >= NOON


def test_a_database_that_hangs_holds_no_second_request(node, monkeypatch):
    looking, go_on = threading.Event(), threading.Event()
    look = readiness.faults

    def hang(*given):
        looking.set()
        assert go_on.wait(30)
        return look(*given)

    monkeypatch.setattr(readiness, "faults", hang)
    first = threading.Thread(target=ask, args=(node,))
    first.start()
    assert looking.wait(30)

    second = ask(node)

    go_on.set()
    first.join()
    assert (second.status_code, second.json["reasons"]) == (503, ["looking"])
