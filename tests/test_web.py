"""node/web.py: the application answers everything in TAXII's words, and the server serves it."""

import contextlib
import http.client
import json
import logging
import shutil
import socket
import ssl
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme
from cryptography.hazmat.primitives import serialization as form
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.access import accounts, tokens
from node.config import load_settings
from node.errors import ConfigError, StoreBusy, StoreError
from node.exchange import egress, links
from node.store import catalog, highwater
from node.store.database import Database
from node.web import create_app, serve
from tests.support.builders import an_indicator
from tests.support.served import (
    INDICATORS,
    a_served,
    add_collections,
    an_envelope,
    an_exchange,
    basic,
    free_port,
    live_server,
    write_config,
)

MEDIA_TYPE = "application/taxii+json;version=2.1"
ONE = "indicators/objects/indicator--x/"


@pytest.fixture
def node(sqlite_database, tmp_path):
    return a_served(sqlite_database, tmp_path)


# --- routes


@pytest.mark.parametrize(
    "path",
    [
        "/taxii2",
        "/api",
        "/api/collections",
        f"/api/collections/{INDICATORS}",
        "indicators/objects",
        "indicators/manifest",
    ],
)
def test_a_path_without_its_last_slash_is_served_and_not_redirected_T_NET_2_W_79(node, path):
    soc = node.soc()

    assert soc.get(path).status_code == 200
    assert soc.get(path).data == soc.get(f"{path}/").data


def test_a_post_without_the_last_slash_is_served_T_NET_2(node):
    found = node.soc().send(
        "POST", "indicators/objects", headers={"Content-Type": MEDIA_TYPE}, data=an_envelope([an_indicator()])
    )

    assert found.status_code == 202


@pytest.mark.parametrize(
    "path", ["//api/", "/api//collections/", "/api/collections//objects/", "/api/../taxii2/", "/", "/x"]
)
def test_another_path_is_404_and_never_a_redirect_T_NET_3_T_ERR_9(node, path):
    found = node.soc().get(path)

    assert (found.status_code, found.content_type, found.json["http_status"]) == (404, MEDIA_TYPE, "404")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/taxii2/", "GET, HEAD"),
        ("/api/", "GET, HEAD"),
        ("/api/collections/", "GET, HEAD"),
        ("indicators/", "GET, HEAD"),
        ("indicators/manifest/", "GET, HEAD"),
        ("indicators/objects/", "GET, HEAD, POST"),
        (ONE, "DELETE, GET, HEAD"),
        (f"{ONE}versions/", "GET, HEAD"),
        ("/api/status/x/", "GET, HEAD"),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "TRACE"])
def test_another_method_is_told_which_are_served_T_POST_30_T_ERR_8(node, path, allowed, method):
    found = node.soc().send(method, path)

    assert (found.status_code, found.headers["Allow"], found.content_type) == (405, allowed, MEDIA_TYPE)


@pytest.mark.parametrize("path", ["/api/status/\xff\xfe/", "/api/status/\0/", "/\xc3(/"])
def test_a_broken_path_is_refused_T_ERR_10(node, path):
    found = node.soc().send("GET", "/", environ_overrides={"PATH_INFO": path})

    assert (found.status_code, found.content_type) == (400, MEDIA_TYPE)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "POST", "DELETE", "HEAD"]),
    path=st.lists(
        st.sampled_from(
            [
                "api",
                "taxii2",
                "collections",
                "indicators",
                "objects",
                "manifest",
                "status",
                "versions",
                "%00",
                "é",
                "..",
                "",
            ]
        )
        | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        max_size=7,
    ),
    query=st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
    | st.sampled_from(["limit=0", "next=x", "match[version]=all,all", "added_after=9999-12-31T23:59:59Z"]),
)
def test_nothing_that_is_asked_breaks_the_server(soc_of_fuzz, method, path, query):
    asked = "/" + "/".join(path)
    environ = {
        "PATH_INFO": asked.encode().decode("latin-1"),
        "QUERY_STRING": query.encode().decode("latin-1"),
    }

    found = soc_of_fuzz.send(method, "/", environ_overrides=environ)

    assert found.status_code < 500
    if found.status_code >= 400 and method != "HEAD":
        assert found.content_type == MEDIA_TYPE
        assert found.json["http_status"] == str(found.status_code)


@pytest.fixture
def soc_of_fuzz(node):
    node.admit([an_indicator()])
    return node.soc()


# --- errors


def broken(monkeypatch, error):
    def fail(*_args, **_more):
        raise error

    monkeypatch.setattr(egress, "read_bodies", fail)


def test_what_breaks_is_a_plain_500_logged_without_what_it_held_T_ERR_6(node, monkeypatch, caplog):
    broken(monkeypatch, RuntimeError("select secret from body"))

    found = node.soc().get("indicators/objects/")

    assert (found.status_code, found.content_type) == (500, MEDIA_TYPE)
    assert "secret" not in found.text + caplog.text
    assert found.json["error_id"] in caplog.text
    assert "RuntimeError" in caplog.text


def test_a_busy_database_asks_to_come_again(node, monkeypatch):
    broken(monkeypatch, StoreBusy("locked", remedy="wait"))

    found = node.soc().get("indicators/objects/")

    assert (found.status_code, found.headers["Retry-After"]) == (503, "5")


def test_a_refused_database_is_503(node, monkeypatch):
    broken(monkeypatch, StoreError("disk full", remedy="wait"))

    assert node.soc().get("indicators/objects/").status_code == 503


def test_every_error_is_logged_under_its_id_and_without_the_query(node, caplog):
    caplog.set_level(logging.INFO, "node.taxii.observing")

    found = node.soc().get("indicators/objects/", limit="secret")

    assert found.json["error_id"] in caplog.text
    assert "secret" not in caplog.text


def test_the_health_of_the_server_is_asked_without_an_account(node):
    assert node.app.test_client().get("/healthz").json == {"status": "ok"}


def test_answers_over_tls_ask_to_stay_on_tls_T_NET_11(sqlite_database, tmp_path):
    node = a_served(sqlite_database, tmp_path)
    ours = replace(node.settings, node=replace(node.settings.node, public_url="https://north.example"))
    app = create_app(ours, sqlite_database)

    assert app.test_client().get("/taxii2/").headers["Strict-Transport-Security"] == "max-age=31536000"


# --- the start


def test_a_database_without_tables_is_refused(bare_sqlite_database, tmp_path):
    config = load_settings(write_config(tmp_path, bare_sqlite_database.url), {})

    with pytest.raises(StoreError, match="empty"):
        create_app(config, bare_sqlite_database)


def test_new_links_get_a_row_and_are_paused(database, tmp_path):
    node = an_exchange(database, tmp_path)

    with database.reading() as tx:
        states = links.states(tx)

    assert {name: state.paused for name, state in states.items()} == {
        link.name: True for link in node.settings.links
    }


def test_a_database_that_went_back_pauses_every_link(database, tmp_path):
    node = an_exchange(database, tmp_path)
    node.admit([an_indicator(tlp="green")])
    south = node.partner()
    epoch = south.get("indicators/objects/").headers["X-Exchange-Epoch"]
    highwater.note(node.settings.data_dir, INDICATORS, node.clock.now + 3_600_000_000)

    again = create_app(node.settings, database)

    with database.reading() as tx:
        assert all(state.paused for state in links.states(tx).values())
        collection = catalog.find_collection(tx, "indicators")
    assert collection.epoch != "epoch-indicators"
    assert collection.last_added >= node.clock.now + 3_600_000_000
    assert epoch != egress.epoch_shown(collection, node.settings.links[1])
    assert again.test_client().get("/healthz").status_code == 200


def test_serving_others_without_tls_is_refused(node):
    with pytest.raises(ConfigError, match="no TLS") as refusal:
        serve(node.settings, "192.0.2.1", 8000, 1)

    assert "tls_certificate" in refusal.value.remedy


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("-----BEGIN RSA PRIVATE KEY-----\n", "RSA"),
        ("-----BEGIN ENCRYPTED PRIVATE KEY-----\n", "ENCRYPTED"),
        ("x", "no private key"),
    ],
)
def test_a_key_that_the_server_cannot_read_is_refused_with_the_command(node, tmp_path, text, word):
    key = tmp_path / "key.pem"
    key.write_text(text)
    server = replace(node.settings.server, tls_certificate=key, tls_private_key=key)

    with pytest.raises(ConfigError, match=word) as refusal:
        serve(replace(node.settings, server=server), "127.0.0.1", 8000, 1)

    assert "openssl pkcs8 -topk8" in refusal.value.remedy


# --- the real server


@pytest.fixture
def config(_sqlite_template, tmp_path):
    """A node with one account and no process that has its database open."""
    shutil.copyfile(_sqlite_template, tmp_path / "north.db")
    database = Database(f"sqlite:///{tmp_path / 'north.db'}")
    add_collections(database)
    with database.writing() as tx:
        accounts.add_account(tx, "soc", actor="os:test", now=1, clearance=4)
        accounts.allow(tx, "soc", 1, read=True, write=True, actor="os:test", now=1)
        token, _ = tokens.issue_token(tx, account="soc", actor="os:test", now=1)
    database.close()
    (tmp_path / "token").write_text(token)
    return write_config(tmp_path, database.url)


def headers_of(config, **more):
    token = (config.parent / "token").read_text()
    return {"Authorization": basic("soc", token), "Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE, **more}


def ask(address, method, path, body=None, **headers):
    with contextlib.closing(http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)) as connection:
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def raw(address, text):
    """The status line of the answer to bytes as they are; the sending side is closed after them."""
    with socket.create_connection((urlsplit(address).hostname, urlsplit(address).port), timeout=10) as plug:
        plug.sendall(text)
        plug.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := plug.recv(65536):
            answer += piece
    return answer.partition(b"\r\n")[0], answer


def test_the_real_server_posts_and_reads_and_refuses_broken_bodies(config):
    envelope = an_envelope([an_indicator()])
    with live_server(config) as address:
        objects = f"/api/collections/{INDICATORS}/objects/"
        head = "".join(f"{name}: {value}\r\n" for name, value in headers_of(config).items())
        start = f"POST {objects} HTTP/1.1\r\nHost: x\r\n{head}Connection: close\r\n"

        cut = raw(address, f"{start}Content-Length: 5000\r\n\r\n".encode() + envelope)
        unended = raw(
            address,
            f"{start}Transfer-Encoding: chunked\r\n\r\n{len(envelope):x}\r\n".encode() + envelope[:-1],
        )
        stored_then = ask(address, "GET", objects, **headers_of(config))
        compressed = ask(
            address, "POST", objects, envelope, **headers_of(config, **{"Content-Encoding": "gzip"})
        )
        chunked = ask(address, "POST", objects, iter([envelope[:9], envelope[9:]]), **headers_of(config))
        found = ask(address, "GET", objects, **headers_of(config))
        head_of = ask(address, "HEAD", objects, **headers_of(config))

    assert not cut[0].startswith(b"HTTP/1.1 2")
    assert not unended[0].startswith(b"HTTP/1.1 2")
    assert stored_then == (200, b"{}")
    assert compressed[0] == 415
    assert (chunked[0], json.loads(chunked[1])["success_count"]) == (202, 1)
    assert found == (200, b'{"more":false,' + envelope[1:])
    assert head_of == (200, b"")


def test_a_chunked_body_over_the_limit_is_413_and_not_cut(config):
    text = config.read_text().replace(
        "[limits]", "[limits]\nmax_content_length = 4096\nmax_object_bytes = 4096"
    )
    config.write_text(text)
    with live_server(config) as address:
        objects = f"/api/collections/{INDICATORS}/objects/"
        pieces = iter([an_envelope([an_indicator()]), b" " * 8192])
        refused = ask(address, "POST", objects, pieces, **headers_of(config))
        found = ask(address, "GET", objects, **headers_of(config))

    assert refused[0] == 413
    assert found == (200, b"{}")


def test_two_workers_over_tls_share_one_database_and_their_counts(config):
    folder = config.parent
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "chain.pem"))
    (folder / "key.pem").write_bytes(pkcs8(folder / "chain.pem"))
    keys = '[server]\ntls_certificate = "chain.pem"\ntls_private_key = "key.pem"'
    config.write_text(config.read_text().replace("[server]", keys))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    seen = []
    with live_server(config, workers=2) as address:
        for _ in range(10):
            connection = http.client.HTTPSConnection(urlsplit(address).netloc, timeout=10, context=context)
            connection.request("GET", "/api/collections/", headers=headers_of(config))
            answer = connection.getresponse()
            seen.append((answer.status, answer.headers["Strict-Transport-Security"]))
            answer.read()
            connection.close()
        connection = http.client.HTTPSConnection(urlsplit(address).netloc, timeout=10, context=context)
        connection.request("GET", "/metrics")
        counts = connection.getresponse().read().decode()
        connection.close()

    assert address.startswith("https://127.0.0.1:")
    assert seen == [(200, "max-age=31536000")] * 10
    assert 'stixnode_requests_total{method="GET",route="/api/collections/",status="200"} 10.0' in counts


def test_a_port_that_is_taken_is_said_so(config):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code = (
            "import sys; from pathlib import Path\n"
            "from node.config import load_settings; from node.errors import ConfigError\n"
            "from node.web import serve\n"
            "try: serve(load_settings(Path(sys.argv[1]), {}), '127.0.0.1', int(sys.argv[2]), 1)\n"
            "except ConfigError as error: print(error.problem, error.remedy)\n"
        )
        found = subprocess.run(
            [sys.executable, "-c", code, str(config), str(port)],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[1],
            timeout=60,
        )

    assert f"127.0.0.1:{port}" in found.stdout, found
    assert "another port" in found.stdout


def test_a_free_port_is_one_that_can_be_had():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", free_port()))


def pkcs8(path):
    key = form.load_pem_private_key(path.read_bytes(), None)
    return key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
