"""node/medallion_backend.py: stock medallion 3.0.0, its own views and loader, serving one recipient of ours.

Most tests call medallion's application in this process; one starts medallion as operators do.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from taxii2client.v21 import Collection, Server, as_pages
from werkzeug.test import TestResponse

from node import clock
from node.errors import ConfigError
from node.medallion_backend import NodeBackend
from node.stix.objects import read
from node.store.database import Database
from tests.support.agreements import a_flow
from tests.support.builders import (
    NORTH_ID,
    SOUTH_ID,
    an_id,
    an_identity,
    an_indicator,
    an_ipv4,
)
from tests.support.medallion_application import PASSWORD, USER, stock_application
from tests.support.medallion_server import MedallionPlace, wait_for
from tests.support.real_nodes import PAST, an_agreement_of_today
from tests.support.served import INDICATORS, TECHNIQUES, Served, a_served, an_envelope, basic, free_port

MEDIA = "application/taxii+json;version=2.1"
AFTER = "2024-03-02T08:00:00.000Z"
CANARY = "canary-of-the-amber-object"


def indicator(name: str | int = "one", **changes: Any) -> bytes:
    """An indicator of north with dates that every clock has passed."""
    dated = {"created": PAST, "modified": PAST, "valid_from": PAST, "tlp": "green", "author": NORTH_ID}
    return an_indicator(name, **{**dated, **changes})


@dataclass
class Asked:
    """medallion's application, as one of its users sees it."""

    app: Flask

    def get(self, path: str, **query: Any) -> TestResponse:
        """A GET below the API root; `match_type=` is `match[type]`."""
        named = {k.replace("match_", "match[") + "]" if "match" in k else k: v for k, v in query.items()}
        return self._send("GET", path, query_string=named)

    def post(self, objects: Sequence[bytes] = (), *, body: bytes | None = None) -> TestResponse:
        """Objects to the indicators."""
        sent = an_envelope(objects) if body is None else body
        return self._send("POST", f"collections/{INDICATORS}/objects/", data=sent, content_type=MEDIA)

    def delete(self, stix_id: str, **query: Any) -> TestResponse:
        """A DELETE of an indicator."""
        return self._send("DELETE", f"collections/{INDICATORS}/objects/{stix_id}/", query_string=query)

    def objects(self, **query: Any) -> TestResponse:
        """A page of the indicators."""
        return self.get(f"collections/{INDICATORS}/objects/", **query)

    def seen(self, **query: Any) -> list[str]:
        """The ids on a page of the indicators."""
        return [one["id"] for one in self.objects(**query).json.get("objects", [])]

    def walk(self, what: str = "objects/", **query: Any) -> list[Any]:
        """Every entry of a listing, page by page."""
        found: list[Any] = []
        token: dict[str, str] = {}
        for _ in range(100):
            page = self.get(f"collections/{INDICATORS}/{what}", **query, **token)
            assert page.status_code == 200, page.text
            found += page.json.get("versions", page.json.get("objects", []))
            if not page.json.get("more"):
                return found
            token = {"next": page.json["next"]}
        raise AssertionError("the walk does not end")

    def _send(self, method: str, path: str, **more: Any) -> TestResponse:
        headers = {"Accept": MEDIA, "Authorization": basic(USER, PASSWORD)}
        place = path if path.startswith("/") else f"/api/{path}"
        return self.app.test_client().open(place, method=method, headers=headers, **more)


@dataclass
class Stand:
    """A node of ours, and medallion in front of it for whatever recipient."""

    node: Served
    folder: Path
    open: list[NodeBackend]

    def backend(self, recipient: str) -> dict[str, object]:
        """The table `backend` of medallion's configuration."""
        config = str(self.folder / "config.toml")
        return {
            "module": "node.medallion_backend",
            "module_class": "NodeBackend",
            "config": config,
            "recipient": recipient,
        }

    def serve(self, recipient: str, *, page: int = 100) -> Asked:
        """Stock medallion, configured by its own functions."""
        app = stock_application(self.backend(recipient), page=page)
        self.open.append(app.medallion_backend)  # type: ignore[attr-defined]
        return Asked(app)

    def soc(self, name: str = "soc", *, page: int = 100, **rights: Any) -> Asked:
        """medallion for a SOC account that may read and write the indicators unless told otherwise."""
        given = {"read": ["indicators"], "write": ["indicators"], **rights}
        self.node.account(name, **given)
        return self.serve(name, page=page)

    def partner(self) -> Asked:
        """medallion for the account of south, whose links are open."""
        self.node.partner()
        return self.serve("south-node")

    def admit(self, *bodies: bytes) -> None:
        """Objects that our operator imports."""
        assert not [one for one in self.node.admit(bodies).results if one.failed]


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Callable[[Database], Stand]]:
    """Makes a stand over a database."""
    opened: list[NodeBackend] = []

    def made(database: Database) -> Stand:
        flow = {
            "collection": "indicators",
            "from": ["north", "south"],
            "types": ["indicator", "identity"],
            "max_tlp": "green",
            "unmarked": "clear",
            "carry": {"north": "pull", "south": "push"},
        }
        agreement = an_agreement_of_today(flow=[a_flow(**flow | {"givers": flow.pop("from")})])
        node = a_served(database, tmp_path, agreement=agreement, partner={"kind": "taxii"})
        node.clock.now = clock.now()
        text = node.settings.path.read_text(encoding="utf-8")
        if not database.url.startswith("sqlite"):
            # The servers of tests ask for no password, and one may not stand in this file.
            reached = database.url.replace(":***@", "@").replace("+psycopg", "")
            text = text.replace("postgresql://north@localhost/north", reached)
            node.settings.path.write_text(text, encoding="utf-8")
        return Stand(node, tmp_path, opened)

    yield made
    for each in opened:
        each.close()


def test_medallion_shows_our_root_and_what_the_recipient_may_do(database, stand):
    soc = stand(database).soc(write=[])

    assert soc.get("/taxii2/").json == {
        "title": "Cyber Centre North",
        "default": "/api/",
        "api_roots": ["/api/"],
    }
    assert soc.get("/api/").json["versions"] == [MEDIA]
    (one,) = soc.get("collections/").json["collections"]
    assert (one["id"], one["alias"], one["can_read"], one["can_write"]) == (
        INDICATORS,
        "indicators",
        True,
        False,
    )
    assert soc.get("collections/indicators/").json == one


def test_a_hidden_collection_is_an_unknown_one(database, stand):
    soc = stand(database).soc()

    hidden, unknown = (
        soc.get(f"collections/{name}/objects/") for name in (TECHNIQUES, TECHNIQUES[:-1] + "3")
    )

    assert hidden.status_code == unknown.status_code == 404
    assert hidden.json["description"].replace(TECHNIQUES, "") == unknown.json["description"].replace(
        TECHNIQUES[:-1] + "3", ""
    )
    assert soc.get("/other/").status_code == 404


def test_what_is_above_the_clearance_is_nowhere_to_be_found(database, stand):
    node = stand(database)
    node.admit(indicator(1), indicator(2, tlp="amber", description=CANARY))
    green, red = node.soc("green", clearance=1), node.soc("red", clearance=4)
    amber = an_id("indicator", 2)
    places = ["objects/", "manifest/", f"objects/{amber}/", f"objects/{amber}/versions/"]

    hidden = [green.get(f"collections/{INDICATORS}/{place}") for place in places]
    shown = [red.get(f"collections/{INDICATORS}/{place}") for place in places]

    assert [one.status_code for one in hidden] == [200, 200, 404, 404]
    assert [one.status_code for one in shown] == [200] * 4
    assert not any(CANARY in one.text for one in hidden)
    assert amber not in hidden[0].text + hidden[1].text
    assert CANARY in shown[0].text  # the control: to whom may see it, it is there
    assert green.delete(amber).status_code == 404
    assert amber in red.seen()


def test_a_walk_brings_every_object_once(database, stand):
    """W-6: `next` is no session, so the same page comes again; W-8: dates differ inside a POST."""
    node = stand(database)
    soc = node.soc(page=3)
    assert soc.post([indicator(n) for n in range(7)]).status_code == 202

    walked = [one["id"] for one in soc.walk()]
    first = soc.objects()
    again = [soc.objects(next=first.json["next"]).json for _ in range(2)]
    resumed = soc.objects(added_after=first.headers["X-TAXII-Date-Added-Last"])

    assert sorted(walked) == sorted(an_id("indicator", n) for n in range(7))
    assert again[0] == again[1]
    assert [one["id"] for one in resumed.json["objects"]] == walked[3:6]
    assert [one["id"] for one in soc.walk("manifest/")] == walked


@pytest.mark.parametrize(
    "query",
    [
        pytest.param({"added_after": "yesterday"}, id="W-9: added_after"),
        pytest.param({"match_version": "zzz"}, id="W-9: version"),
        pytest.param({"next": "made-up"}, id="a token that nobody gave"),
    ],
)
def test_what_is_malformed_is_refused_as_a_taxii_error(sqlite_database, stand, query):
    answer = stand(sqlite_database).soc().objects(**query)

    assert answer.status_code == 400
    assert answer.content_type == MEDIA
    assert answer.json["http_status"] == "400"


def test_a_token_holds_for_its_own_walk_alone(sqlite_database, stand):
    """W-5: without `limit` it holds; W-7: with other filters it does not."""
    node = stand(sqlite_database)
    node.admit(*(indicator(n) for n in range(3)))
    token = node.soc(page=1).objects(match_type="indicator").json["next"]

    assert node.serve("soc").objects(match_type="indicator", next=token).status_code == 200
    assert node.serve("soc").objects(next=token).status_code == 400
    assert node.soc("low", clearance=0).objects(match_type="indicator", next=token).status_code == 400


def test_filters_choose_ids_types_and_versions(database, stand):
    node = stand(database)
    node.admit(indicator(1), indicator(1, modified=AFTER), indicator(2), an_ipv4())
    soc = node.soc()
    one = an_id("indicator", 1)

    assert soc.seen(match_id=one) == [one]
    assert len(soc.seen(match_type="ipv4-addr,indicator")) == 3
    assert len(soc.seen(match_version="all", match_id=one)) == 2
    assert soc.objects(match_version="first", match_id=one).json["objects"][0]["modified"] == PAST
    assert soc.get(f"collections/{INDICATORS}/objects/{one}/").json["objects"][0]["modified"] == AFTER
    assert soc.walk(f"objects/{one}/versions/") == [PAST, AFTER]
    assert soc.objects(match_spec_version="2.0").json == {}


def test_served_objects_keep_their_digest(database, stand):
    body = indicator(description='\u00fc \U0001f600 \\ "', x_number=12345678901234567890123, x_float=1.50)
    node = stand(database)
    node.admit(body)

    answer = node.soc().objects()

    (printed,) = json.loads(answer.text)["objects"]
    assert read(json.dumps(printed).encode()).digest == read(body).digest


def test_a_posted_object_is_there_and_its_status_too(database, stand):
    """W-11: what is held already counts as a success; W-12: one that is not valid fails alone."""
    node = stand(database)
    soc = node.soc()
    soc.post([indicator(1)])
    broken = b'{"type":"indicator"}'

    answer = soc.post([indicator(1), broken, indicator(2)])
    status = answer.json

    assert answer.status_code == 202
    assert (status["success_count"], status["failure_count"]) == (2, 1)
    assert soc.get(f"status/{status['id']}/").json == status
    assert sorted(soc.seen()) == sorted([an_id("indicator", 1), an_id("indicator", 2)])
    assert node.soc("other").get(f"status/{status['id']}/").status_code == 404
    with database.reading() as tx:
        (arrival, *_) = tx.rows(sa.text("select kind, actor, source from arrival order by arrival_id"))
    assert tuple(arrival) == ("post", "account:soc", "medallion")


def test_two_spellings_of_an_instant_are_one_version(sqlite_database, stand):
    """W-13, W-14: and other bytes under it fail by name."""
    soc = stand(sqlite_database).soc()
    soc.post([indicator(1)])
    spelled, other = PAST.replace(".000Z", ".0Z"), indicator(1, description="other")

    same = soc.post([indicator(1, modified=spelled)])
    changed = soc.post([other])

    assert len(soc.seen(match_version="all")) == 1
    assert same.json["total_count"] == 1
    assert changed.json["failure_count"] == 1
    assert changed.json["failures"][0]["id"] == an_id("indicator", 1)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"objects": []}', 422),
        (b'{"type": "indicator", "id": "x"}', 422),
        (b"[1, 2]", 422),
        (b'{"objects": [{"x": NaN}]}', 400),
        (b'{"objects": [{"x": "\\ud800"}]}', 400),
        (b'{"objects": ' + b"[" * 400 + b"]" * 400 + b"}", 202),
    ],
)
def test_what_medallions_parser_lets_through_ours_judges(sqlite_database, stand, body, status):
    node = stand(sqlite_database)
    soc = node.soc()

    answer = soc.post(body=body)

    assert answer.status_code == status, answer.text
    assert answer.content_type == MEDIA
    assert answer.json.get("success_count", 0) == 0
    assert node.node.exported() == []


def test_a_bundle_is_taken_like_an_envelope(sqlite_database, stand):
    soc = stand(sqlite_database).soc()
    head = b'{"type":"bundle","id":"bundle--5d0092c5-5f74-4287-9642-33f4c354e56d","objects":['

    assert soc.post(body=head + indicator(1) + b"]}").json["success_count"] == 1


def test_deleting_takes_every_version_and_leaves_a_tombstone(database, stand):
    """W-16."""
    node = stand(database)
    node.admit(indicator(1), indicator(1, modified=AFTER), indicator(2))
    soc, one = node.soc(), an_id("indicator", 1)

    assert soc.delete(one).status_code == 200
    assert soc.get(f"collections/{INDICATORS}/objects/{one}/").status_code == 404
    assert soc.delete(one).status_code == 404
    assert soc.seen(match_version="all") == [an_id("indicator", 2)]
    with database.reading() as tx:
        assert tx.row(sa.text("select count(*) from tombstone")) == (2,)


def test_rights_are_those_of_the_account_now(database, stand):
    node = stand(database)
    node.admit(indicator(1))
    soc = node.soc()

    node.node.deny("soc", "indicators", write=True)
    refused = [soc.post([indicator(2)]), soc.delete(an_id("indicator", 1))]
    node.node.deny("soc", "indicators", read=True)

    assert [one.status_code for one in refused] == [403, 403]
    assert soc.objects().status_code == 404
    assert len(node.node.exported()) == 1


def test_an_account_that_is_gone_reads_no_more(database, stand):
    node = stand(database)
    node.admit(indicator(1))
    soc = node.soc()
    with database.writing() as tx:
        tx.run(sa.text("update account set expires = 1"))

    assert soc.objects().status_code == 403
    assert soc.post([indicator(2)]).status_code == 403


def test_an_account_that_became_a_partners_reads_no_more(database, stand):
    node = stand(database)
    node.admit(indicator(1))
    soc = node.soc()
    with database.writing() as tx:
        tx.run(sa.text("update account set partner = 'south'"))

    assert soc.objects().status_code == 403


def test_a_partner_reads_its_feed_and_nothing_else(database, stand):
    node = stand(database)
    author = an_identity(id=NORTH_ID, created=PAST, modified=PAST, tlp="green")
    amber = indicator("amber", tlp="amber", description=CANARY)
    node.admit(author, indicator(1), amber, an_ipv4(tlp="green"))

    partner = node.partner()
    pages = [partner.objects(), partner.get(f"collections/{INDICATORS}/manifest/")]
    single = partner.get(f"collections/{INDICATORS}/objects/{an_id('indicator', 'amber')}/")
    all_of_it = node.soc().objects()

    assert sorted(partner.seen()) == sorted([NORTH_ID, an_id("indicator", 1)])
    assert single.status_code == 404
    assert not any(CANARY in one.text or "ipv4-addr" in one.text for one in (*pages, single))
    assert CANARY in all_of_it.text  # the control: it is held, and may be read by our own
    assert "ipv4-addr" in all_of_it.text
    with database.reading() as tx:
        sent = tx.rows(sa.text("select stix_id from feed_row where state <> 0"))
    assert {row[0] for row in sent} == {NORTH_ID, an_id("indicator", 1)}


def test_what_a_partner_posts_enters_by_its_link(database, stand):
    node = stand(database)
    node.admit(indicator("ours"))
    partner = node.partner()
    theirs = indicator("theirs", author=SOUTH_ID)
    forged = indicator("forged", author=NORTH_ID)

    status = partner.post([theirs, forged]).json

    assert (status["success_count"], status["failure_count"]) == (1, 1)
    # About its own object only: neither whose it is here nor what is held.
    assert [one.get("message") for one in status["failures"]] == ["set_aside: a person here will look at it"]
    assert [one.get("message") for one in status["successes"]] == [None]
    with database.reading() as tx:
        rows = tx.rows(sa.text('select stix_id, origin from "object" order by added'))
        (quarantined,) = tx.rows(sa.text("select stix_id from quarantine"))
    assert [tuple(row) for row in rows] == [
        (an_id("indicator", "ours"), "local"),
        (an_id("indicator", "theirs"), "south"),
    ]
    assert quarantined[0] == an_id("indicator", "forged")
    assert partner.delete(an_id("indicator", "theirs")).status_code == 403
    assert partner.get(f"status/{status['id']}/").json == status


def test_a_stopped_partner_gets_and_brings_nothing(database, stand):
    node = stand(database)
    node.admit(indicator(1))
    partner = node.partner()
    assert partner.seen() == [an_id("indicator", 1)]

    node.node.pause(reason="they were broken into")
    answers = [partner.objects(), partner.post([indicator("x", author=SOUTH_ID)])]

    assert [one.status_code for one in answers] == [403, 403]
    assert "they were broken into" in answers[0].json["description"]
    assert len(node.node.exported()) == 1


def test_a_partner_that_runs_stixnode_is_not_served(sqlite_database, stand):
    node = stand(sqlite_database)
    node.node.partner()
    config = node.folder / "config.toml"
    config.write_text(config.read_text(encoding="utf-8").replace('"taxii"', '"stixnode"'), encoding="utf-8")

    with pytest.raises(ConfigError, match="runs stixnode"):
        NodeBackend(**node.backend("south-node"))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"recipient": None}, "'recipient' of medallion's backend is missing"),
        ({"recipient": "nobody"}, "no account 'nobody'"),
        ({"filename": "x.json"}, "'filename' of medallion's backend is unknown"),
        ({"config": "elsewhere.toml"}, "cannot be read"),
    ],
)
def test_a_wrong_configuration_is_told(sqlite_database, stand, change, problem):
    node = stand(sqlite_database)
    node.node.account("soc")
    given = {name: value for name, value in (node.backend("soc") | change).items() if value is not None}

    with pytest.raises(ConfigError, match=problem):
        NodeBackend(**given)


def test_nothing_of_the_inside_is_told_when_a_call_fails(sqlite_database, stand):
    soc = stand(sqlite_database).soc()
    with sqlite_database.writing() as tx:
        tx.run(sa.text("drop table account_grant"))

    answer = soc.objects()

    assert answer.status_code in (500, 503)
    assert answer.content_type == MEDIA
    assert "account_grant" not in answer.text
    assert "sql" not in answer.text.lower()


def test_medallion_as_operators_start_it_serves_taxii2_client(sqlite_database, stand, tmp_path):
    """W-1, W-2: taxii2-client sends the one spelling of the media type that medallion takes."""
    node = stand(sqlite_database)
    node.admit(*(indicator(n) for n in range(5)))
    node.node.soc("soc")
    settings = {
        "backend": node.backend("soc"),
        "users": {USER: PASSWORD},
        "taxii": {"max_page_size": 2},
    }
    config = tmp_path / "medallion.json"
    config.write_text(json.dumps(settings), encoding="utf-8")
    place = MedallionPlace(free_port(), user=USER, password=PASSWORD)
    log = tmp_path / "medallion.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "medallion.scripts.run", str(config), "--port", str(place.port)],
            cwd=Path(__file__).parents[1],
            stdout=said,
            stderr=said,
        )
        try:
            wait_for(process, place, log)
            server = Server(
                f"http://127.0.0.1:{place.port}/taxii2/", user=place.user, password=place.password
            )
            root = server.default
            (listed,) = root.collections
            collection = Collection(listed.url, user=place.user, password=place.password)
            pages = list(as_pages(collection.get_objects, per_request=2))
            status = collection.add_objects({"objects": [json.loads(indicator("new"))]})
            collection.close()
            server.close()
        finally:
            process.terminate()
            process.wait(15)

    assert [len(page["objects"]) for page in pages] == [2, 2, 1]
    assert (status.status, status.success_count) == ("complete", 1)
    assert len(node.node.exported()) == 6
