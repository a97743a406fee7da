"""The client for one partner: whom it speaks to, with which secret, and what it makes of refusals."""

from __future__ import annotations

import base64
import io
import ssl

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from node.errors import ConfigError, NodeError, PartnerRefused, PartnerUnreachable
from node.sharing.links import PartnerBinding
from node.sync.client import Partner
from node.sync.connection import Line, Patience
from node.sync.refusals import Conflict, error_of, retry_after_seconds
from tests.support.builders import NOON
from tests.support.certificates import a_certificate
from tests.support.partner import COLLECTION, Canned, simulated_partner
from tests.support.served import HeldClock


def a_client(api_root, **changes):
    return Partner(PartnerBinding("west", kind="taxii", api_root=api_root, **changes), now=HeldClock())


def with_secret(west, tmp_path, secret="first"):
    file = tmp_path / "password"
    file.write_text(secret + "\n", encoding="utf-8")
    return a_client(west.api_root, username="north", password_file=str(file)), file


def said(west):
    kind, _, encoded = west.requests[-1].headers["authorization"].partition(" ")
    return kind, base64.b64decode(encoded).decode()


def test_the_secret_is_read_from_its_file_at_each_use(west, tmp_path):
    client, file = with_secret(west, tmp_path)
    client.collection(COLLECTION)
    assert said(west) == ("Basic", "north:first")
    file.write_text("second", encoding="utf-8")
    client.collection(COLLECTION)
    assert said(west) == ("Basic", "north:second")
    client.close()


def test_a_secret_that_cannot_be_read_is_named_and_nothing_is_asked(west, tmp_path):
    client, file = with_secret(west, tmp_path)
    file.unlink()
    with pytest.raises(ConfigError, match="password for west"):
        client.collection(COLLECTION)
    assert west.requests == []


def test_netrc_and_proxies_of_the_environment_play_no_part(west, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login spy password spy\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9/")
    client = a_client(west.api_root)
    client.collection(COLLECTION)
    assert "authorization" not in west.requests[-1].headers
    client.close()


def test_no_cookie_is_kept(west):
    client = a_client(west.api_root)
    west.answer_next(Canned(headers={"Set-Cookie": "track=1"}))
    client.collection(COLLECTION)
    client.collection(COLLECTION)
    assert "cookie" not in west.requests[-1].headers
    client.close()


def test_the_secret_does_not_follow_a_redirect_to_another_server(west, tmp_path):
    """T-CLI-18."""
    client, _ = with_secret(west, tmp_path)
    with simulated_partner() as other:
        west.answer_next(Canned(307, b"", {"Location": other.api_root}))
        with pytest.raises(PartnerRefused, match="redirect"):
            client.collection(COLLECTION)
        assert other.requests == []
    client.close()


@pytest.mark.parametrize("place", ["../../x", "a/b", "", "a\nb"])
def test_an_id_of_a_collection_cannot_leave_the_collections(west, place):
    client = a_client(west.api_root)
    with pytest.raises(PartnerRefused):
        client.collection(place)
    assert west.requests == []


def test_a_status_id_cannot_leave_the_api_root(west):
    """T-CLI-20."""
    client = a_client(west.api_root)
    client.status("../../other?x=1#y")
    assert west.requests[-1].path == "/api/status/..%2F..%2Fother%3Fx%3D1%23y/"
    client.close()


@pytest.mark.parametrize(
    "root", ["http://exchange.west.example/api/", "ftp://x/", "west", "https://a:b@west.example/"]
)
def test_an_address_that_would_leak_the_secret_is_refused(root):
    """T-CLI-4, T-CLI-19: HTTPS but for this machine."""
    with pytest.raises(ConfigError):
        a_client(root)


@pytest.mark.parametrize(
    "root", ["https://west.example/api", "http://localhost:1/api/", "http://[::1]:1/api/"]
)
def test_https_and_this_machine_are_fine(root):
    a_client(root).close()


def test_a_partner_without_an_address_is_refused_with_what_to_write():
    with pytest.raises(ConfigError, match="api_root"):
        a_client(None)


def test_nobody_listening_is_unreachable():
    client = a_client("http://127.0.0.1:9/api/")
    with pytest.raises(PartnerUnreachable, match="no usable answer"):
        client.collection(COLLECTION)
    client.close()


def test_a_server_that_hangs_up_before_answering_is_unreachable(west):
    client = a_client(west.api_root)
    west.answer_next(Canned(body=b"{}" * 50, how="cut"))
    with pytest.raises(PartnerUnreachable):
        client.collection(COLLECTION)
    client.close()


def test_a_plain_server_behind_an_https_address_is_unreachable(west, tmp_path):
    client = a_client(f"https://127.0.0.1:{west.port}/api/")
    with pytest.raises(PartnerUnreachable):
        client.collection(COLLECTION)
    client.close()


def test_a_certificate_authority_file_that_is_none_is_unusable(west, tmp_path):
    (tmp_path / "ca.pem").write_text("not a certificate", encoding="utf-8")
    client = a_client(f"https://127.0.0.1:{west.port}/api/", tls_ca=str(tmp_path / "ca.pem"))
    with pytest.raises(NodeError):
        client.collection(COLLECTION)
    client.close()


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 599, 408])
def test_what_may_pass_by_itself_is_unreachable(west, status):
    client = a_client(west.api_root)
    west.answer_next(Canned(status, b'{"title":"Later"}', {"Retry-After": "9"}))
    with pytest.raises(PartnerUnreachable) as caught:
        client.collection(COLLECTION)
    assert caught.value.retry_after_seconds == 9.0
    client.close()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 406, 410, 413, 415, 422])
def test_what_stays_as_it_is_is_refused_with_a_remedy(west, status):
    """T-CLI-21: 401, 403, 404 and 406 are told to a person."""
    client = a_client(west.api_root)
    west.answer_next(Canned(status, b'{"title":"No","description":"Because"}'))
    with pytest.raises(PartnerRefused, match="No Because") as caught:
        client.collection(COLLECTION)
    assert caught.value.http_status == status
    assert caught.value.remedy
    client.close()


def test_a_conflict_carries_the_partners_word_and_details(west):
    client = a_client(west.api_root)
    west.answer_next(Canned(409, b'{"title":"Old","error_code":"session_old","details":{"have":3}}'))
    with pytest.raises(Conflict) as caught:
        client.collection(COLLECTION)
    assert (caught.value.code, caught.value.details) == ("session_old", {"have": 3})
    client.close()


def test_a_partners_words_reach_the_terminal_without_control_characters(west):
    client = a_client(west.api_root)
    west.answer_next(Canned(403, b'{"title":"\\u001b[31mred\\r\\nX"}'))
    with pytest.raises(PartnerRefused) as caught:
        client.collection(COLLECTION)
    assert caught.value.problem.isprintable()
    client.close()


def test_an_error_of_any_size_is_cut(west):
    client = a_client(west.api_root)
    west.answer_next(Canned(500, b"x" * 3_000_000))
    with pytest.raises(PartnerUnreachable) as caught:
        client.collection(COLLECTION)
    assert len(caught.value.problem) < 500
    client.close()


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("-5", 0.0),
        ("99999999", 3600.0),
        ("1e400", None),
        ("nan", None),
        ("soon", None),
        ("", None),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
        ("Sat, 21 Nov 2036 12:00:00 GMT", 3600.0),
        ("Sat, 21 Nov 2026 12:00:30 -0000", 30.0),
        ("Sat, 99 Nov 2026 12:00:30 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date_and_bounded(written, seconds):
    """T-CLI-17."""
    assert retry_after_seconds({"Retry-After": written}, now=NOON) == seconds


def test_the_headers_of_our_own_kind_are_believed_from_our_own_kind_alone():
    class Claims(HTTPAdapter):
        def send(self, request, *_, **__):
            headers = {
                "Content-Type": "application/taxii+json",
                "X-Exchange-Epoch": "e",
                "X-Exchange-Terms": "t",
            }
            raw = HTTPResponse(io.BytesIO(b"{}"), headers=headers, status=200, preload_content=False)
            return self.build_response(request, raw)

    for kind, epoch in (("taxii", ""), ("stixnode", "e")):
        binding = PartnerBinding("west", kind=kind, api_root="https://west.example/api/")
        client = Partner(binding, now=HeldClock(), transport=Claims())
        assert client.collection(COLLECTION).epoch == epoch
        client.close()


def test_a_request_can_be_ended_from_another_thread(west):
    client = Partner(
        PartnerBinding("west", kind="taxii", api_root=west.api_root),
        now=HeldClock(),
        patience=Patience(connect=1, read=30, whole=30),
    )
    held = west.answer

    def interrupt_then_hang(asked):
        client.interrupt()
        return held(asked)

    west.answer = interrupt_then_hang
    with pytest.raises(PartnerUnreachable):
        client.collection(COLLECTION)
    client.close()


def test_a_private_certificate_authority_is_trusted_when_it_is_named(tmp_path):
    file, context = a_certificate(tmp_path, "west")
    with simulated_partner(context) as west:
        client = a_client(f"https://127.0.0.1:{west.port}/api/", tls_ca=str(file))
        assert client.collection(COLLECTION).id == COLLECTION
        client.close()


def test_a_server_that_asks_who_connects_is_shown_our_certificate(tmp_path):
    """I-X-5, I-3.1.3: without one it lets nobody in."""
    file, context = a_certificate(tmp_path, "west")
    ours, _ = a_certificate(tmp_path, "north")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(ours)
    shown = {"tls_certificate": str(ours), "tls_private_key": str(tmp_path / "north.key")}
    with simulated_partner(context) as west:
        known = a_client(f"https://127.0.0.1:{west.port}/api/", tls_ca=str(file), **shown)
        assert known.collection(COLLECTION).id == COLLECTION
        known.close()
        unknown = a_client(f"https://127.0.0.1:{west.port}/api/", tls_ca=str(file))
        with pytest.raises(PartnerUnreachable):
            unknown.collection(COLLECTION)
        unknown.close()


def test_a_certificate_that_cannot_be_read_is_named_before_anything_is_sent(west, tmp_path):
    shown = {"tls_certificate": str(tmp_path / "gone.pem"), "tls_private_key": str(tmp_path / "gone.key")}
    client = a_client(west.api_root, **shown)
    with pytest.raises(ConfigError, match=r"gone\.pem"):
        client.collection(COLLECTION)
    assert west.requests == []
    client.close()


@pytest.mark.parametrize("key", ["of another", "junk", "with a password"])
def test_a_certificate_that_cannot_be_used_is_our_fault_and_not_the_partners(west, tmp_path, key):
    ours, _ = a_certificate(tmp_path, "north")
    a_certificate(tmp_path, "west")
    secret = load_pem_private_key((tmp_path / "north.key").read_bytes(), None)
    locked = secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    keys = {
        "of another": (tmp_path / "west.key").read_bytes(),
        "junk": b"no key\n",
        "with a password": locked,
    }
    (tmp_path / "given.key").write_bytes(keys[key])
    client = a_client(west.api_root, tls_certificate=str(ours), tls_private_key=str(tmp_path / "given.key"))
    with pytest.raises(ConfigError, match=r"given\.key, which we show .* cannot be used"):
        client.collection(COLLECTION)
    assert west.requests == []
    client.close()


@pytest.mark.parametrize("named", [True, False])
def test_a_certificate_of_another_authority_is_not_trusted(tmp_path, named):
    """T-CLI-4: there is no way to turn this off."""
    _, context = a_certificate(tmp_path, "west")
    other, _ = a_certificate(tmp_path, "other")
    with simulated_partner(context) as west:
        client = a_client(f"https://127.0.0.1:{west.port}/api/", tls_ca=str(other) if named else None)
        with pytest.raises(PartnerUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
            client.collection(COLLECTION)
        assert west.requests == []
        client.close()


def test_a_line_sends_nothing_to_another_server(west, tmp_path):
    """T-CLI-18, T-DISC-9: no credentials leave for a root elsewhere."""
    with simulated_partner() as other:
        line = Line(
            "west",
            west.api_root,
            username=None,
            password_file=None,
            tls_ca=None,
            transport=None,
            patience=Patience(),
            now=HeldClock(),
        )
        with pytest.raises(PartnerRefused, match="another server"):
            line.exchange("GET", other.api_root)
        line.close()
        assert other.requests == []


@pytest.mark.parametrize(("code", "by_rule"), [("link_closed", True), ("", False)])
def test_a_link_that_the_partner_closed_is_a_rule_and_no_missing_right(code, by_rule):
    body = b'{"title":"Closed","error_code":"%s"}' % code.encode()
    error = error_of("west", "GET x", 403, {}, body, now=NOON)
    assert (error.by_rule, "duty desk" in error.remedy) == (by_rule, by_rule)
