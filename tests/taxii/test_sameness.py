"""What an account may not know is answered like what does not exist: the same statements, the same bytes.

The statements that the database carries out are written down while a request runs; their texts, their number
and their order must not tell a hidden thing from one that was never there. Only ids of requests may differ.
"""

from __future__ import annotations

import re
from contextlib import contextmanager

import pytest

from node.access import accounts, people, tokens
from node.exchange import egress
from node.store.tx import Tx
from node.taxii import statuses
from tests.support.builders import an_id, an_indicator
from tests.support.served import INDICATORS, TECHNIQUES, a_served, an_exchange, basic

NOWHERE = "7f3c2b1a-9d8e-4f70-8a1b-2c3d4e5f6071"  # an id that was never given
NOBODY = "sn_aaaaaaaaaa_" + "a" * 43
BODY = {"Content-Type": "application/taxii+json;version=2.1"}


@pytest.fixture
def carried_out(monkeypatch):
    """Gives the texts of the statements that run inside `with carried_out() as texts`."""
    texts: list[str] = []

    def written(name):
        method = getattr(Tx, name)

        def carry(self, statement, *given, **values):
            text = self._words(statement)[0] if name != "insert" else f"insert {statement.name}"
            texts.append(text)
            return method(self, statement, *given, **values)

        monkeypatch.setattr(Tx, name, carry)

    for each in ("rows", "run", "many", "insert"):
        written(each)

    @contextmanager
    def recording():
        texts.clear()
        yield texts

    return recording


class Compared:
    """Asks the same thing in two ways, and compares everything that could tell them apart."""

    def __init__(self, carried_out):
        self._carried_out = carried_out

    def seen(self, client, method, path, **more):
        """An answer without its own id, and the statements that it took."""
        with self._carried_out() as texts:
            found = client.send(method, path, **more)
        own = found.headers.pop("X-Request-Id")
        body = found.data.replace(own.encode(), b"ID")
        return found.status_code, sorted(found.headers.items()), body, tuple(texts)


@pytest.fixture
def compared(carried_out):
    return Compared(carried_out)


def endpoints(collection, object_id="indicator--00000000-0000-4000-8000-000000000001"):
    """Every request that names a collection."""
    return [
        ("GET", f"{collection}/", {}),
        ("GET", f"{collection}/objects/", {}),
        ("HEAD", f"{collection}/objects/", {}),
        ("GET", f"{collection}/manifest/", {}),
        ("GET", f"{collection}/objects/{object_id}/", {}),
        ("GET", f"{collection}/objects/{object_id}/versions/", {}),
        ("GET", f"{collection}/objects/", {"query_string": {"limit": "x"}}),
        ("GET", f"{collection}/objects/", {"headers": {"Accept": "text/html"}}),
        ("POST", f"{collection}/objects/", {"headers": BODY, "data": b'{"objects":[{}]}'}),
        ("POST", f"{collection}/objects/", {"headers": {"Content-Type": "text/html"}, "data": b"x"}),
        ("DELETE", f"{collection}/objects/{object_id}/", {}),
    ]


def told_apart(compared, client, hidden, nowhere):
    """The requests, of two lists of alike ones, whose answers or statements differ."""
    found = []
    for (method, path, more), (_, other, _) in zip(hidden, nowhere, strict=True):
        if compared.seen(client, method, path, **more) != compared.seen(client, method, other, **more):
            found.append((method, path, more))
    return found


# --- collections


def test_a_hidden_collection_is_one_that_never_was(database, tmp_path, compared):
    """T-OBJ-5, T-POST-3, T-DEL-1, T-ERR-6, T-ERR-7: unknown and not allowed are one answer."""
    node = a_served(database, tmp_path)
    node.admit([an_indicator()], "techniques")
    soc = node.soc()
    compared.seen(soc, "GET", "/api/")  # from here on the process remembers the account

    for hidden, nowhere in ((TECHNIQUES, NOWHERE), ("techniques", "no-such-name")):
        assert told_apart(compared, soc, endpoints(hidden), endpoints(nowhere)) == []
        for method, path, more in endpoints(hidden):
            found = compared.seen(soc, method, path, **more)
            assert (found[0], len(found[3]) >= 1) == (404, True)


def test_a_collection_outside_a_partners_links_is_one_that_never_was(sqlite_database, tmp_path, compared):
    node = an_exchange(sqlite_database, tmp_path)
    node.admit([an_indicator()], "techniques")
    south = node.partner()
    compared.seen(south, "GET", "/api/")

    assert told_apart(compared, south, endpoints("techniques"), endpoints("no-such-name")) == []
    assert compared.seen(south, "GET", "techniques/objects/")[0] == 404


def test_the_comparison_tells_a_visible_collection_from_a_hidden_one(sqlite_database, tmp_path, compared):
    """Control: what may be seen differs in its statements and in its bytes."""
    node = a_served(sqlite_database, tmp_path)
    soc = node.soc()

    seen = compared.seen(soc, "GET", "indicators/objects/")
    hidden = compared.seen(soc, "GET", "techniques/objects/")

    assert seen[3] != hidden[3]
    assert seen[:3] != hidden[:3]


# --- objects


def of_one_object(object_id):
    """Every request that names one object of a collection that may be read and written."""
    one = f"indicators/objects/{object_id}/"
    return [
        ("GET", one, {}),
        ("HEAD", one, {}),
        ("GET", one, {"query_string": {"match[version]": "all"}}),
        ("GET", f"{one}versions/", {}),
        ("GET", "indicators/objects/", {"query_string": {"match[id]": object_id}}),
        ("GET", "indicators/manifest/", {"query_string": {"match[id]": object_id}}),
        ("DELETE", one, {}),
    ]


HIDDEN_OBJECT, NEVER_OBJECT = an_id("indicator", "hidden"), an_id("indicator", "never")


def test_an_object_above_the_clearance_is_one_that_never_was(database, tmp_path, compared):
    """T-OID-2, T-ERR-6: a clearance hides that an object is held, and costs the same."""
    node = a_served(database, tmp_path)
    node.admit([an_indicator("hidden", tlp="red")])
    soc = node.account("soc", read=["indicators"], write=["indicators"], clearance=1)
    compared.seen(soc, "GET", "indicators/objects/")  # notes the reading, which is done once a minute

    assert told_apart(compared, soc, of_one_object(HIDDEN_OBJECT), of_one_object(NEVER_OBJECT)) == []
    assert node.exported() != []


def test_an_object_that_is_not_offered_is_one_that_never_was(database, tmp_path, compared):
    node = an_exchange(database, tmp_path)
    node.admit([an_indicator("hidden", tlp="red"), an_indicator("given", tlp="green")])
    south = node.partner()
    south.get("indicators/objects/")  # the feed is examined once, whoever asks first

    assert told_apart(compared, south, of_one_object(HIDDEN_OBJECT), of_one_object(NEVER_OBJECT)) == []


def test_a_planted_look_at_what_is_held_is_found(sqlite_database, tmp_path, compared, monkeypatch):
    """Control: one statement more where the object is held tells it apart."""
    node = a_served(sqlite_database, tmp_path)
    node.admit([an_indicator("hidden", tlp="red")])
    soc = node.account("soc", read=["indicators"], clearance=1)
    holds = egress.holds

    def looks_twice(tx, door, collection, object_id, **more):
        if object_id == HIDDEN_OBJECT:
            holds(tx, door, collection, object_id, **more)
        return holds(tx, door, collection, object_id, **more)

    monkeypatch.setattr(egress, "holds", looks_twice)
    hidden = compared.seen(soc, "GET", f"indicators/objects/{HIDDEN_OBJECT}/")
    never = compared.seen(soc, "GET", f"indicators/objects/{NEVER_OBJECT}/")

    assert hidden[:3] == never[:3]
    assert hidden[3] != never[3]


# --- statuses


def test_the_status_of_another_account_is_one_that_never_was(database, tmp_path, compared):
    """T-STAT-14: ids of statuses cannot be probed."""
    node = a_served(database, tmp_path)
    soc, other = node.soc(), node.soc("other")
    status_id = soc.post("indicators", [an_indicator()]).json["id"]
    compared.seen(other, "GET", "/api/")

    known = compared.seen(other, "GET", f"/api/status/{status_id}/")

    assert known == compared.seen(other, "GET", f"/api/status/{statuses.new_id()}/")
    assert known[0] == 404
    assert soc.get(f"/api/status/{status_id}/").status_code == 200


# --- strangers


EVERYWHERE = ["/taxii2/", "/api/", "/api/collections/", "/api/status/x/", f"/api/collections/{INDICATORS}/"]


def strangers(node):
    """Headers that show nobody, each for another reason."""
    soc, gone = node.account("soc", read=["indicators"]), node.account("gone")
    ended = node.account("ended", expires=node.clock.now + 1)
    with node.database.writing() as tx:
        given = {"actor": "os:test", "now": node.clock.now}
        short, _ = tokens.issue_token(tx, account="soc", expires=node.clock.now + 1, **given)
        removed, row = tokens.issue_token(tx, account="soc", **given)
        tokens.remove_token(tx, row.token_id, **given)
        accounts.remove_account(tx, "gone", **given)
        people.add_person(tx, "op", roles=["operator"], **given)
        persons, _ = tokens.issue_token(tx, person="op", **given)
    node.clock.now += 1
    wrong = soc.token[:-1] + ("A" if soc.token[-1] != "A" else "B")
    return {
        "an account that never was": basic("nobody", NOBODY),
        "a token that never was": basic("soc", NOBODY),
        "a wrong secret": basic("soc", wrong),
        "a wrong secret as bearer": f"Bearer {wrong}",
        "the token of another": basic("nobody", soc.token),
        "a token that has expired": basic("soc", short),
        "an account that has expired": basic("ended", ended.token),
        "an account that was removed": basic("gone", gone.token),
        "a token that was removed": basic("soc", removed),
        "a person at the command line": f"Bearer {persons}",
    }


def test_every_stranger_is_told_and_costs_the_same(database, tmp_path, compared):
    """T-DISC-10, T-ERR-6: who has no right learns not why."""
    node = a_served(database, tmp_path)
    client = node.account("asking")
    headers = strangers(node)

    for path in EVERYWHERE:
        seen = {
            why: compared.seen(client, "GET", path, headers={"Authorization": header})
            for why, header in headers.items()
        }
        assert {why for why, found in seen.items() if found != seen["an account that never was"]} == set()
        assert seen["a wrong secret"][0] == 401


def test_a_stranger_learns_nothing_of_what_there_is(sqlite_database, tmp_path, compared):
    node = a_served(sqlite_database, tmp_path)
    node.admit([an_indicator()])
    client = node.account("asking")
    header = {"Authorization": basic("soc", NOBODY)}

    def answers(name):
        found = []
        for method, path, more in endpoints(name):
            given = {**more, "headers": {**more.get("headers", {}), **header}}
            found.append(compared.seen(client, method, path, **given))
        return found

    assert answers("indicators") == answers("no-such-name")


@pytest.mark.parametrize("header", ["", "Basic", "Basic !!", "Bearer x", "Basic c29j"])
def test_a_header_that_cannot_be_read_has_the_same_answer(sqlite_database, tmp_path, compared, header):
    node = a_served(sqlite_database, tmp_path)
    client = node.account("asking")

    known = compared.seen(client, "GET", "/api/", headers={"Authorization": basic("soc", NOBODY)})
    found = compared.seen(client, "GET", "/api/", headers={"Authorization": header})

    assert found[:3] == known[:3]


def test_a_good_token_after_bad_ones_is_let_in(sqlite_database, tmp_path, compared):
    """Control: the comparison sees who is let in."""
    node = a_served(sqlite_database, tmp_path)
    client = node.account("asking")

    good = compared.seen(client, "GET", "/api/")

    assert good[0] == 200
    assert re.match(rb'\{"title"', good[2])
