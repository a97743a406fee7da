"""node/taxii/exchange_headers.py: epochs, terms and numbered batches between nodes of our own kind."""

import pytest

from node.exchange import links, sessions
from node.taxii.protocol import API_ROOT
from tests.support.builders import NORTH_ID, SOUTH_ID, an_id, an_indicator
from tests.support.served import an_exchange

EPOCH, TERMS, BATCH = "X-Exchange-Epoch", "X-Exchange-Terms", "X-Exchange-Batch"


@pytest.fixture
def node(sqlite_database, tmp_path):
    served = an_exchange(sqlite_database, tmp_path)
    served.admit([an_indicator(n, author=NORTH_ID, tlp="green") for n in range(3)])
    return served


def a_batch(name="s"):
    return [an_indicator(name, author=SOUTH_ID, tlp="green")]


def push(south, batch, objects=None, *, epoch="e1", body=None):
    sent = a_batch() if objects is None else objects
    return south.post("indicators", sent, body=body, headers={BATCH: batch, EPOCH: epoch})


def session(node):
    with node.database.reading() as tx:
        return sessions.incoming(tx, "south/indicators/in")


# --- epoch and terms


@pytest.mark.parametrize("path", ["indicators/", "indicators/objects/", "indicators/manifest/"])
def test_every_answer_to_our_own_kind_carries_epoch_and_terms(node, path):
    found = node.partner().get(path)

    assert found.headers[TERMS] == node.settings.links[0].terms_digest.hex()
    assert len(found.headers[EPOCH]) >= 16


def test_the_answer_to_a_push_carries_the_epoch_that_its_quiet_round_sees(node):
    south = node.partner()

    assert push(south, "7;1").headers[EPOCH] == south.get("indicators/").headers[EPOCH]


def test_an_error_to_our_own_kind_carries_them_too(node):
    found = push(node.partner(), "7;2")

    assert (found.status_code, EPOCH in found.headers, TERMS in found.headers) == (409, True, True)


@pytest.mark.parametrize("who", ["soc", "foreign"])
def test_nobody_else_hears_or_says_them(sqlite_database, tmp_path, who):
    node = an_exchange(
        sqlite_database, tmp_path, partner={"kind": "taxii" if who == "foreign" else "stixnode"}
    )
    client = node.partner() if who == "foreign" else node.soc()
    said = {EPOCH: "e1", TERMS: "00", BATCH: "nonsense"}

    got, posted = (
        client.get("indicators/objects/", headers=said),
        client.post("indicators", a_batch(), headers=said),
    )

    assert (got.status_code, posted.status_code) == (200, 202)
    assert {EPOCH, TERMS} & {*got.headers.keys(), *posted.headers.keys()} == set()
    assert session(node) is None


@pytest.mark.parametrize("act", ["collection", "read", "post"])
def test_different_terms_stop_the_flow(node, act):
    south = node.partner()
    headers = {TERMS: "ab" * 32}
    found = {
        "collection": lambda: south.get("indicators/", headers=headers),
        "read": lambda: south.get("indicators/objects/", headers=headers),
        "post": lambda: south.post("indicators", a_batch(), headers=headers),
    }[act]()

    assert (found.status_code, found.json["error_code"]) == (409, "terms_differ")
    assert found.json["details"]["terms"] == found.headers[TERMS] == node.settings.links[0].terms_digest.hex()
    assert len(node.exported()) == 3


def test_the_same_terms_in_capitals_are_the_same(node):
    terms = node.settings.links[0].terms_digest.hex().upper()

    assert node.partner().get("indicators/objects/", headers={TERMS: terms}).status_code == 200


def test_a_partner_that_lost_its_history_is_offered_everything_again(node):
    south = node.partner()
    south.get("indicators/objects/", headers={EPOCH: "e1"})
    assert south.get("indicators/objects/", headers={EPOCH: "e1"}).json["objects"]

    again = south.get("indicators/objects/", headers={EPOCH: "e2"})

    assert [one["id"] for one in again.json["objects"]] == [an_id("indicator", n) for n in range(3)]
    with node.database.reading() as tx:
        assert links.states(tx)["south/indicators/out"].partner_epoch == "e2"


def test_a_malformed_epoch_is_refused(node):
    assert node.partner().get("indicators/objects/", headers={EPOCH: "a b"}).status_code == 400


# --- numbered batches


def test_a_batch_is_applied_once_however_often_it_comes(node):
    south = node.partner()

    first = push(south, "7;1")
    node.clock.now += 1_000_000
    again = push(south, "7;1")

    assert (first.status_code, again.status_code, first.data) == (202, 202, again.data)
    assert (session(node).started, session(node).have, session(node).epoch) == (7, 1, "e1")


def test_batches_follow_one_on_the_other(node):
    south = node.partner()

    found = [push(south, f"7;{n}", a_batch(f"s{n}")).status_code for n in (1, 2, 3)]

    assert (found, session(node).have) == ([202, 202, 202], 3)


@pytest.mark.parametrize(
    ("batch", "code"),
    [
        ("7;4", "batch_out_of_order"),
        ("7;1", "batch_out_of_order"),
        ("6;1", "session_old"),
        ("8;2", "session_unknown"),
    ],
    ids=["a gap", "an earlier one", "an older session", "the middle of a new session"],
)
def test_a_batch_out_of_step_is_told_where_we_are(node, batch, code):
    south = node.partner()
    for n in (1, 2):
        push(south, f"7;{n}", a_batch(f"s{n}"))

    found = push(south, batch, a_batch("other"))

    assert (found.status_code, found.json["error_code"]) == (409, code)
    assert found.json["details"] == {"have": 2, "started": 7}
    assert len(node.exported()) == 5


def test_a_session_of_another_epoch_is_another_session(node):
    south = node.partner()
    push(south, "7;1")

    found = push(south, "7;2", a_batch("two"), epoch="e2")

    assert (found.status_code, found.json["error_code"]) == (409, "session_old")


def test_a_newer_session_begins_again_at_one(node):
    south = node.partner()
    push(south, "7;1")

    found = push(south, "8;1", epoch="e2")

    assert (found.status_code, found.json["success_count"]) == (202, 1)
    assert (session(node).started, session(node).have, session(node).epoch) == (8, 1, "e2")


def test_the_first_batch_of_an_unknown_session_must_be_its_first(node):
    found = push(node.partner(), "7;2")

    assert (found.json["error_code"], found.json["details"]) == ("session_unknown", {"have": 0, "started": 0})


@pytest.mark.parametrize("body", [b"{}", b'{"objects":[]}'])
def test_an_empty_batch_keeps_its_number(node, body):
    south = node.partner()

    found = push(south, "7;1", body=body)

    assert (found.status_code, found.json["total_count"], session(node).have) == (202, 0, 1)
    assert south.get(f"{API_ROOT}status/{found.json['id']}/").status_code == 200


def test_an_empty_envelope_without_a_number_is_refused(node):
    assert node.partner().post("indicators", body=b"{}").status_code == 422


@pytest.mark.parametrize("batch", ["7", "7;0", "a;b", "-7;1", "7;1;1", f"{'9' * 30};1", "7; 1"])
def test_a_malformed_number_is_refused(node, batch):
    assert push(node.partner(), batch).status_code == 400
    assert session(node) is None


def test_a_batch_that_is_refused_whole_does_not_count(node):
    south = node.partner()

    assert push(south, "7;1", body=b"nonsense").status_code == 400
    assert session(node) is None
    assert push(south, "7;1").json["success_count"] == 1


def test_another_account_of_the_partner_hears_the_same_status(node):
    first = push(node.partner(), "7;1")

    again = push(node.partner("south-two"), "7;1")

    assert (again.status_code, again.data) == (202, first.data)


def test_a_repeated_batch_whose_status_is_gone_is_told_to_begin_again(node):
    south = node.partner()
    push(south, "7;1")
    node.clock.now += 8 * 24 * 3600 * 1_000_000
    node.soc().post("indicators", [an_indicator("other")])

    found = push(south, "7;1")

    assert (found.status_code, found.json["error_code"]) == (409, "status_expired")
