"""How far an account has read, as `node/taxii` notes it: where a walk ends, and what says nothing of it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from node.access import accounts
from tests.support.builders import NOON, an_id, an_indicator
from tests.support.served import a_served, an_exchange

MINUTE = 60_000_000


@pytest.fixture
def node(sqlite_database, tmp_path):
    served = a_served(sqlite_database, tmp_path, limits={"page_size": 2})
    served.admit([an_indicator(number) for number in range(7)])
    return served


def served_up_to(node) -> int | None:
    """The position of the one account that has read something, after NOON."""
    with node.database.reading() as tx:
        found = accounts.readings(tx)
    return found[0].last_served - NOON if found else None


def test_a_walk_is_noted_where_it_begins_and_where_it_ends(node):
    soc = node.soc()
    first = soc.get("indicators/objects/").json
    assert served_up_to(node) == 10

    page = soc.get("indicators/objects/", next=first["next"]).json
    assert served_up_to(node) == 10, "not each page"
    while page.get("more"):
        page = soc.get("indicators/objects/", next=page["next"]).json

    assert served_up_to(node) == 60


def test_a_reader_who_sees_less_than_is_there_is_at_the_end_too(node):
    node.admit([an_indicator("dark", tlp="red")])
    soc = node.account("soc", read=["indicators"], clearance=1)

    soc.walk("indicators/objects/")

    assert served_up_to(node) == 70


def test_an_empty_poll_of_a_reader_who_is_at_the_end_keeps_it_there(node):
    soc = node.soc()
    soc.walk("indicators/objects/")
    node.clock.now += MINUTE

    assert soc.get("indicators/objects/", added_after="2026-11-21T12:00:00.000060Z").json == {}
    assert served_up_to(node) == 60


@pytest.mark.parametrize("path", ["objects/{}/", "objects/{}/versions/", "objects/?match[id]={}"])
def test_a_single_object_says_nothing_of_how_far_an_account_has_read(node, path):
    soc = node.soc()
    assert soc.send("GET", f"indicators/{path.format(an_id('indicator', 6))}").status_code == 200

    assert served_up_to(node) == -NOON


def test_a_date_that_lies_ahead_says_nothing_of_how_far_an_account_has_read(node):
    assert node.soc().get("indicators/objects/", added_after="2999-01-01T00:00:00Z").json == {}

    assert served_up_to(node) == -NOON


def test_a_partner_is_at_the_last_date_of_its_feed_that_it_was_served(sqlite_database, tmp_path):
    north = an_exchange(sqlite_database, tmp_path)
    north.admit([an_indicator(number, tlp="green") for number in range(3)])
    south = north.partner()
    page = south.get("indicators/objects/")

    assert len(page.json["objects"]) == 3
    with north.database.reading() as tx:
        (reading,) = accounts.readings(tx)
    assert page.headers["X-TAXII-Date-Added-Last"].endswith(f"{reading.last_served % 1_000_000:06d}Z")


def test_a_page_is_served_although_it_cannot_be_noted(node):
    with node.database.writing() as tx:
        tx.run(sa.text("drop table reading"))

    assert len(node.soc().walk("indicators/objects/")) == 7
