"""The way to a server: name, connection, TLS; each fault ends the look and has its fix."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager

import pytest

from node import clock
from node.sync import doctor_line
from node.sync.doctor_line import Place, look_at_line
from tests.support.certificates import a_certificate
from tests.support.doctor_cases import a_case, looked
from tests.support.partner import a_receiver, simulated_partner
from tests.support.served import free_port


def a_place(url, **changes):
    """A server of south."""
    return Place(url, "south", "[partner.south]", **changes)


def last(place):
    """The last thing found, which is the one that failed if one did."""
    return list(look_at_line(place, now=clock.now()))[-1]


def test_a_name_without_an_address_is_a_failure_of_the_network():
    found = last(a_place("https://no..such.example/"))

    assert (found.what, found.mark, found.kind) == ("DNS", "FAIL", "network")
    assert "getent hosts no..such.example" in found.fix


def test_a_port_where_nobody_listens_is_told_from_a_host_that_is_silent():
    found = last(a_place(f"https://127.0.0.1:{free_port()}/"))

    assert (found.what, found.mark, found.kind) == ("TCP", "FAIL", "network")
    assert "nothing listens" in found.fix


def test_plain_http_to_this_machine_is_all_there_is_to_look_at():
    with simulated_partner() as west:
        assert (last(a_place(west.api_root)).what, west.requests) == ("TLS", [])


def test_a_certificate_of_the_issuer_that_we_know_is_well(tmp_path):
    issuer, context = a_certificate(tmp_path, "south")
    with simulated_partner(context) as west:
        found = last(a_place(f"https://127.0.0.1:{west.port}/", tls_ca=str(issuer)))

    assert found.mark == "ok"
    assert found.text == "TLS 1.3, certificate 28 days, issued by 'south'"


def test_a_certificate_that_ends_soon_is_a_warning(tmp_path):
    issuer, context = a_certificate(tmp_path, "south", days=5)
    with simulated_partner(context) as west:
        found = last(a_place(f"https://127.0.0.1:{west.port}/", tls_ca=str(issuer)))

    assert (found.mark, "3 days" in found.text, "renew" in found.fix) == ("warn", True, True)


@pytest.mark.parametrize(
    ("issued", "known", "words", "fix"),
    [
        ({}, False, "which this machine does not know", "tls_ca in [partner.south]"),
        ({"began_days_ago": 9, "days": 5}, True, "the certificate ended", "install a new certificate"),
        ({"began_days_ago": -2}, True, "not valid before", "Compare our clock"),
        ({"address": "192.0.2.7"}, True, "is for 192.0.2.7, not for 127.0.0.1", "api_root"),
    ],
    ids=["an unknown issuer", "ended", "not yet valid", "another name"],
)
def test_each_fault_of_a_certificate_is_told_by_its_name(tmp_path, issued, known, words, fix):
    issuer, context = a_certificate(tmp_path, "south", **issued)
    with simulated_partner(context) as west:
        found = last(a_place(f"https://127.0.0.1:{west.port}/", tls_ca=str(issuer) if known else None))

    assert (found.what, found.mark, found.kind) == ("TLS", "FAIL", "person")
    assert words in found.text
    assert fix in found.fix


def test_an_issuer_other_than_the_one_named_is_no_reason_to_name_it(tmp_path):
    """Nobody is told to trust what was shown, if another issuer was agreed before."""
    _, context = a_certificate(tmp_path, "south")
    other, _ = a_certificate(tmp_path, "other")
    with simulated_partner(context) as west:
        found = last(a_place(f"https://127.0.0.1:{west.port}/", tls_ca=str(other)))

    assert ("stands between us" in found.fix, "tls_ca in" in found.fix) == (True, False)


def test_a_port_without_tls_is_told():
    with simulated_partner() as west:
        found = last(a_place(f"https://127.0.0.1:{west.port}/"))

    assert (found.mark, "does not speak TLS" in found.text) == ("FAIL", True)


def test_files_of_ours_that_cannot_be_used_are_our_own_fault(tmp_path):
    with simulated_partner() as west:
        found = last(a_place(f"https://127.0.0.1:{west.port}/", tls_ca=str(tmp_path / "none.pem")))

    assert (found.mark, "stixnode check" in found.fix) == ("FAIL", True)


@contextmanager
def silent():
    """The port of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []
        thread = threading.Thread(target=lambda: taken.append(server.accept()[0]), daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(5)
        for each in taken:
            each.close()


def test_a_server_that_never_answers_the_handshake_does_not_hold_us(monkeypatch):
    monkeypatch.setattr(doctor_line, "HANDSHAKE_SECONDS", 0.3)
    with silent() as port:
        found = last(a_place(f"https://127.0.0.1:{port}/"))

    assert (found.what, found.mark, found.kind) == ("TLS", "FAIL", "network")


def test_nothing_is_asked_of_a_server_whose_certificate_is_not_taken(sqlite_database, tmp_path):
    """No credential leaves, and that the rest was not looked at is said."""
    _, context = a_certificate(tmp_path, "south")
    with simulated_partner(context) as west:
        node = a_receiver(sqlite_database, west, api_root=f"https://127.0.0.1:{west.port}/api/")

        found = looked(a_case(node))

        assert (found["TLS"].mark, found["the rest"].mark) == ("FAIL", "skip")
        assert west.requests == []
