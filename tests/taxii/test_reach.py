"""What a partner of our own kind may try here: it leaves no trace, and goes nowhere but where we say."""

from __future__ import annotations

import io
import json

import pytest
import requests
import sqlalchemy as sa
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from node.store import schema
from node.taxii.protocol import MEDIA_TYPE
from node.taxii.reach import EXTENSION, REACH, TRIAL
from tests.support.builders import SOUTH_ID, an_indicator
from tests.support.served import a_served, an_envelope, an_exchange

OURS = "https://exchange.south.example/api/"
BODY = {"Content-Type": MEDIA_TYPE}
INDICATOR = an_indicator("tried", author=SOUTH_ID, tlp="green")


class Elsewhere(BaseAdapter):
    """Stands in for the network: notes what is asked, and answers with a fixed resource."""

    def __init__(self, status=200):
        super().__init__()
        self.asked, self.status = [], status

    def send(self, request, **_):
        self.asked.append(request.url)
        raw = HTTPResponse(
            io.BytesIO(b'{"collections":[{},{}]}'),
            headers={"Content-Type": MEDIA_TYPE},
            status=self.status,
            preload_content=False,
        )
        response = requests.Response()
        response.status_code, response.headers, response.raw = self.status, raw.headers, raw
        return response

    def close(self):
        return


def a_node(database, folder, **partner):
    """North, which has an address of south, and what stands in for the network."""
    (folder / "password").write_text("secret of ours", encoding="utf-8")
    keys = {"api_root": OURS, "username": "north-node", "password_file": "password", **partner}
    node = an_exchange(database, folder, partner=keys)
    node.app.extensions[EXTENSION].transport = elsewhere = Elsewhere()
    return node, elsewhere


def everything(node):
    """Every row of every table, as far as a try could leave something; read positions and accounts aside."""
    with node.database.reading() as tx:
        return {
            table.name: sorted(repr(row) for row in tx.rows(sa.select(table)))
            for table in schema.metadata.sorted_tables
            if not table.name.startswith(("account", "token", "reading"))
        }


def tried(client, path, *objects, body=None):
    """The answer to a try."""
    return client.send("POST", path, headers=BODY, data=an_envelope(objects) if body is None else body)


# --- reach


def test_it_asks_the_address_that_we_have_for_the_partner_and_tells_what_came_of_it(
    sqlite_database, tmp_path
):
    node, elsewhere = a_node(sqlite_database, tmp_path)

    found = tried(node.partner(), REACH, body=b'{"api_root":"https://evil.example/"}')

    assert elsewhere.asked == [f"{OURS}collections/"]
    assert found.status_code == 200
    told = json.loads(found.data)
    assert (told["reached"], told["api_root"], told["collections"]) == (True, OURS, 2)


def test_a_refusal_is_told_with_its_status_and_without_our_secret(sqlite_database, tmp_path):
    node, elsewhere = a_node(sqlite_database, tmp_path)
    elsewhere.status = 401

    told = json.loads(tried(node.partner(), REACH, body=b"{}").data)

    assert (told["reached"], told["status"]) == (False, 401)
    assert "secret of ours" not in json.dumps(told)


def test_what_is_wrong_in_our_own_files_is_not_told(sqlite_database, tmp_path):
    node, elsewhere = a_node(sqlite_database, tmp_path)
    (tmp_path / "password").unlink()

    found = tried(node.partner(), REACH, body=b"{}")

    assert (json.loads(found.data)["reached"], elsewhere.asked) == (False, [])
    assert str(tmp_path) not in found.text


def test_it_tries_once_in_ten_seconds(sqlite_database, tmp_path):
    node, elsewhere = a_node(sqlite_database, tmp_path)
    south = node.partner()
    tried(south, REACH, body=b"{}")
    again = tried(south, REACH, body=b"{}")
    node.clock.now += 10 * 1_000_000
    later = tried(south, REACH, body=b"{}")

    assert [again.status_code, later.status_code, len(elsewhere.asked)] == [429, 200, 2]
    assert again.headers["Retry-After"] == "10"


def test_without_an_address_of_the_partner_nothing_is_asked(sqlite_database, tmp_path):
    node = an_exchange(sqlite_database, tmp_path)
    node.app.extensions[EXTENSION].transport = elsewhere = Elsewhere()

    told = json.loads(tried(node.partner(), REACH, body=b"{}").data)

    assert (told["reached"], told["api_root"], elsewhere.asked) == (False, "", [])


@pytest.mark.parametrize("path", [REACH, f"{TRIAL}indicators/"])
def test_for_everybody_else_there_is_nothing_here(sqlite_database, tmp_path, path):
    node, elsewhere = a_node(sqlite_database, tmp_path, kind="taxii")
    nowhere = "/exchange/nothing/"

    for client in (node.soc(), node.partner()):
        found, none = tried(client, path, INDICATOR), tried(client, nowhere, INDICATOR)
        assert found.status_code == 404
        assert _without_id(found) == _without_id(none)
    assert node.app.test_client().post(path).status_code == 401
    assert elsewhere.asked == []


def _without_id(found):
    return {name: value for name, value in found.json.items() if name != "error_id"}


# --- trial


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request):
    """A database of each kind."""
    return request.getfixturevalue(f"{request.param}_database")


def test_a_trial_says_what_a_post_would_and_leaves_no_trace(database, tmp_path):
    node = an_exchange(database, tmp_path)
    south = node.partner()
    before = everything(node)

    found = tried(south, f"{TRIAL}indicators/", INDICATOR)

    assert everything(node) == before
    # The control: the same object by a POST is there, and its status is the same.
    posted = south.post("indicators", [INDICATOR])
    assert everything(node) != before
    assert (found.status_code, posted.status_code) == (200, 202)
    assert _counts(found) == _counts(posted) == (1, 1, 0)


def _counts(found):
    return tuple(found.json[f"{name}_count"] for name in ("total", "success", "failure"))


def test_an_object_that_would_be_set_aside_is_told_as_that(sqlite_database, tmp_path):
    node = an_exchange(sqlite_database, tmp_path)
    red = an_indicator("red", author=SOUTH_ID, tlp="red")
    south = node.partner()
    before = everything(node)

    found = tried(south, f"{TRIAL}indicators/", red)

    assert (_counts(found), everything(node)) == ((1, 0, 1), before)


@pytest.mark.parametrize(
    ("prepare", "headers", "status"),
    [
        (lambda node: node.pause(), {}, 403),
        (lambda node: None, {"X-Exchange-Terms": "00" * 32}, 409),
        (lambda node: None, {"Content-Type": "text/plain"}, 415),
        (lambda node: None, {"Accept": "text/html"}, 406),
    ],
    ids=["a closed link", "other terms", "another type", "another answer"],
)
def test_what_closes_a_post_closes_a_trial(sqlite_database, tmp_path, prepare, headers, status):
    node = an_exchange(sqlite_database, tmp_path)
    south = node.partner()
    prepare(node)

    found = south.send(
        "POST", f"{TRIAL}indicators/", headers={**BODY, **headers}, data=an_envelope([INDICATOR])
    )

    assert found.status_code == status


def test_one_object_is_judged_at_a_time(sqlite_database, tmp_path):
    south = an_exchange(sqlite_database, tmp_path).partner()

    assert tried(south, f"{TRIAL}indicators/", INDICATOR, an_indicator("two")).status_code == 422
    assert tried(south, f"{TRIAL}indicators/", body=b" " * 70_000).status_code == 413


def test_a_node_without_partners_serves_the_addresses_too(sqlite_database, tmp_path):
    node = a_served(sqlite_database, tmp_path)

    assert tried(node.soc(), REACH, body=b"{}").status_code == 404
