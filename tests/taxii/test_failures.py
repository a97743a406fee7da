"""What a server says when it cannot serve, and what it does against those who try their luck."""

from __future__ import annotations

import hmac

import pytest

from node.access import tokens
from node.audit import log
from node.errors import StoreBusy, StoreError
from node.exchange import egress, ingress
from tests.support.builders import an_id, an_indicator
from tests.support.served import Client, a_served

MEDIA_TYPE = "application/taxii+json;version=2.1"


@pytest.fixture
def node(sqlite_database, tmp_path):
    return a_served(sqlite_database, tmp_path)


def breaking(error):
    """A function that does nothing else."""

    def fail(*_given, **_more):
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "status", "wait"),
    [
        pytest.param(RuntimeError("select secret"), 500, None, id="T-ERR-8, T-MT-17 500"),
        pytest.param(StoreError("secret: disk full", remedy="secret"), 503, "60", id="T-ERR-8 503"),
        pytest.param(StoreBusy("secret", remedy="secret"), 503, "5", id="T-ERR-8 503 busy"),
        pytest.param(MemoryError(), 500, None, id="T-ERR-8 out of memory"),
        pytest.param(RecursionError("secret"), 500, None, id="T-ERR-8 too deep"),
    ],
)
def test_a_server_that_breaks_says_so_in_our_words_and_no_more(node, monkeypatch, error, status, wait):
    """T-ERR-6: by reading and by writing."""
    soc = node.soc()
    monkeypatch.setattr(egress, "read_bodies", breaking(error))
    monkeypatch.setattr(ingress, "admit", breaking(error))

    for found in (soc.get("indicators/objects/"), soc.post("indicators", [an_indicator()])):
        assert (found.status_code, found.content_type) == (status, MEDIA_TYPE)
        assert (found.json["http_status"], found.headers.get("Retry-After")) == (str(status), wait)
        assert "secret" not in found.text


def test_an_account_that_asks_too_often_is_told_when_to_come_again(sqlite_database, tmp_path):
    """T-ERR-8, T-NET-15: 429 with Retry-After, for this account alone."""
    node = a_served(sqlite_database, tmp_path, limits={"requests_per_second": 2})
    hasty, other = node.soc(), node.account("other", read=["indicators"])

    found = [hasty.get("indicators/objects/") for _ in range(4)]

    assert [one.status_code for one in found] == [200, 200, 429, 429]
    assert (found[-1].content_type, found[-1].json["http_status"]) == (MEDIA_TYPE, "429")
    assert int(found[-1].headers["Retry-After"]) >= 1
    assert other.get("indicators/objects/").status_code == 200


def test_whoever_guesses_tokens_is_slowed_and_a_good_token_is_not(sqlite_database, tmp_path):
    """T-NET-15: 429 for the guesses of an address, whatever name they give."""
    node = a_served(sqlite_database, tmp_path, limits={"failed_logins_per_minute": 3})
    soc = node.soc()
    guesses = [Client(node.app, f"soc{n}", "sn_guess").get("/taxii2/").status_code for n in range(5)]

    assert guesses == [401, 401, 401, 429, 429]
    assert soc.get("/taxii2/").status_code == 200


def test_a_token_is_compared_in_a_time_that_does_not_tell(node, monkeypatch):
    """T-NET-15: digests of one length, by a comparison that looks at every byte."""
    soc = node.soc()
    compared = []

    def noted(one, other):
        compared.append((len(one), len(other)))
        return hmac.compare_digest(one, other)

    class Hmac:
        compare_digest = staticmethod(noted)

    monkeypatch.setattr(tokens, "hmac", Hmac)
    wrong = soc.token[:-1] + ("a" if soc.token[-1] != "a" else "b")

    assert Client(node.app, soc.name, wrong).get("/taxii2/").status_code == 401
    assert soc.get("/taxii2/").status_code == 200
    assert compared == [(32, 32), (32, 32)]


def test_who_wrote_and_who_deleted_is_kept(node):
    """T-NET-15: a leaf for each act, with the account."""
    soc = node.soc()
    node.clock.now += 1_000_000  # leaves of one moment have no order
    soc.post("indicators", [an_indicator()])
    soc.delete(f"indicators/objects/{an_id('indicator')}/")

    with node.database.reading() as tx:
        found = [(leaf.actor, leaf.subject) for leaf in log.leaves(tx, limit=2)]

    assert [actor for actor, _ in found] == ["account:soc"] * 2
