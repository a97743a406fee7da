"""node/taxii/rights.py: who may do what with a collection, for every pair of rights and every act."""

import json

import pytest

from node.store.catalog import Definition
from tests.support.agreements import a_flow, agreement_text
from tests.support.builders import an_id, an_indicator
from tests.support.served import DEFINITIONS, INDICATORS, a_served, an_exchange

ONE = an_id("indicator")
OBJECT = f"indicators/objects/{ONE}/"
LISTED = "listed"
UNKNOWN = "5c1d2e3f-4a5b-4c6d-8e7f-9a0b1c2d3e4f"


@pytest.fixture
def node(sqlite_database, tmp_path):
    listed = Definition(alias=LISTED, title="Listed", id=INDICATORS.replace("2a", "3a"), listed=True)
    served = a_served(sqlite_database, tmp_path, definitions=[*DEFINITIONS, listed])
    served.admit([an_indicator()])
    return served


def rights(node, read, write):
    return node.account(read=["indicators"] * read, write=["indicators"] * write)


@pytest.mark.parametrize(
    "path", ["indicators/objects/", "indicators/manifest/", OBJECT, f"{OBJECT}versions/"]
)
@pytest.mark.parametrize(
    ("read", "write", "status"),
    [(1, 1, 200), (1, 0, 200), (0, 1, 403), (0, 0, 404)],
    ids=["rw", "r", "w", "none"],
)
def test_reading_needs_the_right_to_read_T_COL_15(node, path, read, write, status):
    assert rights(node, read, write).get(path).status_code == status


@pytest.mark.parametrize(
    ("read", "write", "status"),
    [(1, 1, 202), (1, 0, 403), (0, 1, 202), (0, 0, 404)],
    ids=["rw", "r", "w", "none"],
)
def test_posting_needs_the_right_to_write_T_POST_3(node, read, write, status):
    assert rights(node, read, write).post("indicators", [an_indicator("new")]).status_code == status


@pytest.mark.parametrize(
    ("read", "write", "status"),
    [(1, 1, 200), (1, 0, 403), (0, 1, 403), (0, 0, 404)],
    ids=["rw", "r", "w", "none"],
)
def test_deleting_needs_both_rights_T_DEL_1(node, read, write, status):
    assert rights(node, read, write).delete(OBJECT).status_code == status


@pytest.mark.parametrize(
    ("read", "write", "status"),
    [(1, 1, 200), (1, 0, 200), (0, 1, 200), (0, 0, 404)],
    ids=["rw", "r", "w", "none"],
)
def test_a_collection_without_rights_is_hidden_T_COL_12(node, read, write, status):
    assert rights(node, read, write).get("indicators/").status_code == status


@pytest.mark.parametrize("path", ["{}/", "{}/objects/", "{}/manifest/", f"{{}}/objects/{ONE}/"])
@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
def test_a_hidden_collection_answers_as_one_that_never_was(node, path, method):
    account = node.account()

    hidden, unknown = (account.send(method, path.format(name)) for name in ("indicators", UNKNOWN))

    assert hidden.status_code == unknown.status_code
    assert without_id(hidden) == without_id(unknown)
    own = {"X-Request-Id": ""}
    assert dict(hidden.headers) | own == dict(unknown.headers) | own


def test_a_listed_collection_says_403_where_a_hidden_one_says_404(node):
    account = node.account()

    assert account.get(f"{LISTED}/").json["can_read"] is False
    assert account.get(f"{LISTED}/objects/").status_code == 403
    assert account.post(LISTED, [an_indicator()]).status_code == 403
    assert account.delete(f"{LISTED}/objects/{ONE}/").status_code == 404


@pytest.mark.parametrize("name", ["", "nobody", "..", "%00", "INDICATORS", INDICATORS.upper(), "a" * 500])
def test_a_name_that_nobody_gave_is_404_T_COL_10(node, name):
    assert node.soc().get(f"{name}/objects/").status_code in ({400} if name == "%00" else {404})


def test_rights_are_asked_at_every_request(node):
    account = node.soc()
    assert account.get("indicators/objects/").status_code == 200

    node.deny("soc", "indicators", read=True)

    assert account.get("indicators/objects/").status_code == 403


@pytest.mark.parametrize("path", ["techniques/", "techniques/objects/"])
def test_a_partner_does_not_see_a_collection_without_a_link(sqlite_database, tmp_path, path):
    assert an_exchange(sqlite_database, tmp_path).partner().get(path).status_code == 404


def test_a_partner_may_do_what_it_carries_and_no_more(sqlite_database, tmp_path):
    # North brings what it gives, and fetches what south gives: south is never to act here.
    flow = a_flow(carry={"north": "push", "south": "pull"})
    node = a_served(
        sqlite_database,
        tmp_path,
        agreement=agreement_text(flow=[flow]),
        partner={"api_root": "https://south.example/api/"},
    )
    south = node.partner()

    shown = south.get("indicators/").json

    assert (shown["can_read"], shown["can_write"]) == (False, False)
    assert south.get("indicators/objects/").status_code == 403
    assert south.post("indicators", [an_indicator()]).status_code == 403


def test_a_partner_deletes_nothing(sqlite_database, tmp_path):
    node = an_exchange(sqlite_database, tmp_path)
    node.admit([an_indicator(tlp="green")])

    assert node.partner().delete(OBJECT).status_code == 403
    assert len(node.exported()) == 1


@pytest.mark.parametrize("act", ["read", "write"])
def test_a_paused_link_is_closed_with_its_reason(sqlite_database, tmp_path, act):
    node = an_exchange(sqlite_database, tmp_path)
    south = node.partner()
    node.pause(reason="water in the machine room")

    found = south.get("indicators/objects/") if act == "read" else south.post("indicators", [an_indicator()])

    assert (found.status_code, found.json["error_code"]) == (403, "link_closed")
    assert "water in the machine room" in found.json["title"]
    assert node.exported() == []


def test_a_new_link_is_closed_until_somebody_opens_it(sqlite_database, tmp_path):
    node = an_exchange(sqlite_database, tmp_path)
    node.admit([an_indicator(tlp="green")])

    assert node.account("south-node", partner="south").get("indicators/objects/").status_code == 403


@pytest.mark.parametrize(
    ("moment", "status"),
    [
        (1_795_211_999_999_999, 403),
        (1_795_212_000_000_000, 200),
        (1_827_611_999_999_999, 200),
        (1_827_612_000_000_000, 403),
    ],
    ids=["before", "first moment", "last moment", "the end"],
)
def test_nothing_crosses_outside_the_agreement(sqlite_database, tmp_path, moment, status):
    node = an_exchange(sqlite_database, tmp_path)
    south = node.partner()
    node.clock.now = moment

    assert south.get("indicators/objects/").status_code == status


def test_nothing_crosses_while_the_clock_is_in_doubt(sqlite_database, tmp_path):
    node = an_exchange(sqlite_database, tmp_path)
    south = node.partner()
    node.admit([an_indicator(tlp="green")])
    node.clock.now -= 601 * 1_000_000

    assert south.get("indicators/objects/").status_code == 403
    assert south.post("indicators", [an_indicator()]).status_code == 403


def without_id(answer):
    return {name: value for name, value in json.loads(answer.data).items() if name != "error_id"}
