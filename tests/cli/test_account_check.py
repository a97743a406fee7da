"""node/cli/account_check.py: why an account sees what it sees, in words and as JSON."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from node.access import accounts, tokens
from node.store import catalog
from tests.cli.desk import OLD, Desk, a_bundle, fetched_by_south, moment, old_indicator
from tests.support.builders import NORTH_ID, an_id, an_indicator

DAY = 86_400 * 1_000_000


def an_old(name: str, **changes: object) -> bytes:
    return an_indicator(name, created=OLD, modified=OLD, valid_from=OLD, **changes)


@pytest.fixture
def filled(desk: Desk) -> Desk:
    """Three indicators, and an account that reads up to GREEN."""
    odd = ["marking-definition--11111111-2222-4333-8444-555555555555"]
    bodies = [an_old("green", tlp="green"), an_old("red", tlp="red"), an_old("odd", object_marking_refs=odd)]
    desk.run("import", "indicators", "-", stdin=a_bundle(*bodies))
    desk.run("account", "add", "soc", "--clearance", "green", "--read", "indicators")
    return desk


def the(answer, kind: str) -> dict[str, object]:
    (found,) = answer.of(kind)
    return found


def test_what_is_hidden_is_counted_by_its_cause(filled: Desk):
    answer = filled.run("account", "check", "soc", "indicators", "--json")

    assert answer.code == 0
    share = the(answer, "share")
    assert (share["seen"], share["total"], share["looked_at"]) == (1, 3, 3)
    assert [(one["cause"], one.get("marking"), one["objects"]) for one in answer.of("hidden")] == [
        ("clearance", "RED", 1),
        ("unknown_marking", None, 1),
    ]
    assert the(answer, "reading")["not_read"] == 1
    text = filled.run("account", "check", "soc", "indicators").out
    assert "1 above its clearance: 1 RED" in text
    assert "1 of 3 objects (newest versions)" in text


def test_what_a_partner_brought_for_others_is_hidden_by_audience(desk: Desk):
    desk.with_partner(flow=fetched_by_south())
    with desk.open() as node, node.database.writing() as tx:
        collection = catalog.find_collection(tx, "indicators")
        assert collection is not None
        flow = catalog.flow_number(tx, "AGR-2026-01/indicators/south", ["state-bodies"])
    desk.run("import", "indicators", "-", stdin=a_bundle(an_old("a"), an_old("b")))
    with desk.open() as node, node.database.writing() as tx:
        tx.run(
            sa.text('update "object" set flow_id = :f where stix_id = :i'),
            f=flow,
            i=an_id("indicator", "a"),
        )
    desk.run("account", "add", "soc", "--read", "indicators")

    hidden = the(desk.run("account", "check", "soc", "indicators", "--json"), "hidden")
    assert (hidden["cause"], hidden["flow"], hidden["objects"]) == (
        "audience",
        "AGR-2026-01/indicators/south",
        1,
    )
    one = desk.run("account", "check", "soc", "indicators", an_id("indicator", "a")).out
    assert "brought it, for state-bodies; the account has no audience" in one


def test_a_right_that_is_missing_is_said_with_what_gives_it(filled: Desk):
    answer = filled.run("account", "check", "soc", "sightings")

    assert answer.code == 0
    assert "soc may neither read nor write sightings." in answer.out
    assert "404, as if there were none" in answer.out
    assert "account allow soc sightings --read" in answer.out
    filled.run("account", "allow", "soc", "sightings", "--write")
    assert "403" in filled.run("account", "check", "soc", "sightings").out


def test_an_expired_account_and_expired_tokens_are_said(filled: Desk):
    filled.run("account", "add", "late", "--read", "indicators", "--expires-days", "1")
    with filled.open() as node, node.database.writing() as tx:
        for token in tokens.list_tokens(tx, account="soc"):
            tokens.remove_token(tx, token.token_id, actor="os:test", now=moment())
        tokens.issue_token(tx, account="soc", actor="os:test", now=moment() - 3 * DAY, expires=moment() - DAY)
        tx.run(sa.text("update account set expires = :e where name = 'late'"), e=moment() - DAY)

    assert (
        "Its tokens have all expired: every request is 401."
        in filled.run("account", "check", "soc", "indicators").out
    )
    assert (
        "The account has expired: every request is 401."
        in filled.run("account", "check", "late", "indicators").out
    )


def test_how_far_it_has_read_is_said(filled: Desk):
    with filled.open() as node, node.database.writing() as tx:
        collection = catalog.find_collection(tx, "indicators")
        assert collection is not None
        number, newest = collection.collection_id, collection.last_added
        accounts.note_reading(tx, "soc", number, now=moment(), served=newest)
    done = filled.run("account", "check", "soc", "indicators", "--json")
    assert (the(done, "reading")["not_read"], the(done, "reading")["exact"]) == (0, True)

    filled.run(
        "import", "indicators", "-", stdin=a_bundle(an_old("more", tlp="clear"), an_old("dark", tlp="red"))
    )
    late = filled.run("account", "check", "soc", "indicators", "--json")

    assert the(late, "reading")["not_read"] == 1
    assert "not yet read  1 object, the oldest for" in filled.run("account", "check", "soc", "indicators").out


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("green", "seen, what it gets"),
        ("red", "HIDDEN: it counts as RED, and the account sees up to GREEN"),
        ("odd", "HIDDEN: a marking of it cannot be judged here; only clearance RED sees such objects"),
        ("nowhere", "is not in indicators."),
    ],
)
def test_one_object_is_explained_version_by_version(filled: Desk, name, said):
    answer = filled.run("account", "check", "soc", "indicators", an_id("indicator", name))

    assert (answer.code, said in answer.out) == (0, True), answer.out
    assert filled.run("account", "check", "soc", "indicators", an_id("indicator", name), "--json").code == 0


def test_a_partner_is_shown_its_links_and_why_they_are_closed(desk: Desk):
    desk.with_partner(flow=fetched_by_south())
    desk.run("account", "add", "south", "--partner", "south")
    desk.run("import", "indicators", "-", stdin=a_bundle(old_indicator(author=NORTH_ID)))
    closed = desk.run("account", "check", "south", "indicators")
    desk.run("resume", "south")
    desk.run("sync")
    opened = desk.run("account", "check", "south", "indicators", "--json")

    assert "south/indicators/out: CLOSED; south fetches it, so it may read here." in closed.out
    assert "nothing crosses before" in closed.out
    assert (the(opened, "link")["open"], the(opened, "link")["feed"]) == (True, {"waiting": 1})
    wanted = desk.run("account", "check", "south", "indicators", an_id("indicator", "one"))
    assert wanted.code == 0
    assert "Lies in indicators" in wanted.out
    assert "no agreement" in desk.run("account", "check", "south", "techniques").out.lower()


@pytest.mark.parametrize(
    "arguments",
    [
        ("nobody", "indicators"),
        ("soc", "nowhere"),
        ("soc", "indicators", "not-an-id"),
    ],
)
def test_what_does_not_exist_is_refused_with_a_remedy(filled: Desk, arguments):
    answer = filled.run("account", "check", *arguments)

    assert answer.code == 2
    assert "\nTry: " in answer.err
