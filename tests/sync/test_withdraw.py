"""A withdrawal between two real nodes: it arrives, is acknowledged, and is final; overdue is told by time."""

from __future__ import annotations

import pytest

from node.exchange import acknowledging, taking_back, withdrawals
from node.exchange.acknowledging import Told
from node.exchange.taking_back import Order
from node.exchange.withdrawals import Withdrawal
from node.sync import own_kind, withdraw
from tests.support.builders import NORTH_ID, an_id, an_indicator, an_ipv4
from tests.support.two_nodes import BOTH_PULL, BOTH_PUSH, TYPES, Centre, two_nodes

ID = an_id("indicator")
OURS = an_indicator(tlp="green", author=NORTH_ID)
HOUR = 3_600 * 1_000_000


def take_back(node: Centre, *ids: str) -> None:
    with node.database.reading() as tx:
        chosen = taking_back.choose(tx, ids)
    order = Order("person:op", "A test address was taken for an attack.", NORTH_ID)
    taking_back.withdraw(node.door, chosen.targets, order, now=node.clock)


def told(node: Centre) -> list[Told]:
    with node.database.reading() as tx:
        found = acknowledging.standings(tx, node.door.links, withdrawals.newest(tx))
    return [each for one in found for each in one.told]


@pytest.fixture
def pair(request, two_databases, tmp_path):
    """North has an object that south holds too."""
    found = two_nodes(two_databases, tmp_path, flow_carry=request.param, flow_types=[*TYPES, "note"])
    found.north.bring(OURS, an_ipv4(tlp="green"))
    for _ in range(2):
        found.round()
    assert len(found.south.ids()) == 2
    return found


@pytest.mark.parametrize("pair", [BOTH_PULL, BOTH_PUSH], indirect=True)
def test_a_withdrawal_is_open_until_the_partner_has_stored_it(pair):
    (address,) = pair.north.ids() - {ID}
    take_back(pair.north, ID, address)
    assert [one.open for one in told(pair.north)] == [True, True]
    pair.round()
    pair.round()

    assert [(one.open, one.text) for one in told(pair.north)] == [(False, "acknowledged")] * 2
    assert b'"revoked":true' in b"".join(pair.south.bodies())
    assert any(each.startswith("note--") for each in pair.south.ids())


@pytest.mark.parametrize("pair", [BOTH_PULL], indirect=True)
def test_a_page_that_was_handed_over_is_not_acknowledged_before_it_is_stored(pair):
    """Somebody at south looks at the page, and at the one after it, and keeps nothing."""
    take_back(pair.north, ID)
    pair.tick()
    client = pair.south.client()
    page = client.objects_page("indicators", added_after=None, next=None, limit=100)
    client.objects_page("indicators", added_after=page.last, next=None, limit=100)
    client.close()

    assert [(one.open, one.text) for one in told(pair.north)] == [(True, "handed over, not confirmed yet")]


@pytest.mark.parametrize("pair", [BOTH_PULL], indirect=True)
def test_what_is_said_to_be_stored_counts_in_the_same_history_only(pair):
    take_back(pair.north, ID)
    pair.tick()
    client = pair.south.client()
    page = client.objects_page("indicators", added_after=None, next=None, limit=100)
    for epoch, open_ in (("another", True), (page.epoch, False)):
        headers = {own_kind.HAVE: f"{page.last};{epoch}"}
        client.objects_page("indicators", added_after=page.last, next=None, limit=100, headers=headers)
        assert [one.open for one in told(pair.north)] == [open_]
    client.close()


@pytest.mark.parametrize("pair", [BOTH_PULL], indirect=True)
def test_after_it_was_acknowledged_a_round_writes_nothing_but_state_rows(pair):
    take_back(pair.north, ID)
    for _ in range(3):
        pair.round()
    before = [each.tables(without=["link", "reading"]) for each in (pair.north, pair.south)]
    pair.round()

    assert [each.tables(without=["link", "reading"]) for each in (pair.north, pair.south)] == before


@pytest.mark.parametrize("pair", [BOTH_PUSH], indirect=True)
def test_a_third_node_that_posts_it_again_is_refused_with_the_reason(pair):
    """PEER-27: cti-taxii2#38; south stands for whoever got the object from elsewhere."""
    take_back(pair.north, ID)
    client = pair.south.client()
    again = an_indicator(tlp="green", author=NORTH_ID, description="as it came from elsewhere")
    status = client.add_objects("indicators", b'{"objects":[' + again + b"]}")
    client.close()

    assert [(one.stix_id, "withdrawn" in one.message) for one in status.failures] == [(ID, True)]


@pytest.mark.parametrize("pair", [BOTH_PUSH], indirect=True)
def test_what_was_not_given_yet_is_not_given_any_more(pair):
    fresh = an_indicator("fresh", tlp="green", author=NORTH_ID)
    pair.north.bring(fresh)
    take_back(pair.north, an_id("indicator", "fresh"))
    pair.round()

    assert fresh not in pair.south.bodies()


@pytest.mark.parametrize("pair", [BOTH_PULL], indirect=True)
def test_many_later_withdrawals_hide_none_that_is_overdue(pair, monkeypatch):
    monkeypatch.setattr(withdraw, "AT_ONCE", 100)
    take_back(pair.north, ID)
    at = pair.clock.now + 1
    more = [
        Withdrawal(an_id("indicator", n), at + n, "revoked", "person:op", "wrong", "") for n in range(1_001)
    ]
    with pair.north.database.writing() as tx:
        withdrawals.put(tx, more)
    with pair.north.database.reading() as tx:
        found = withdraw.overdue(
            tx, pair.north.door.links, pair.north.settings.partners, now=pair.clock.now + 25 * HOUR
        )

    assert [(one.partner, one.objects) for one in found] == [("south", 1)]


@pytest.mark.parametrize("pair", [BOTH_PULL], indirect=True)
@pytest.mark.parametrize(("later", "objects"), [(23, 0), (25, 1)])
def test_what_is_not_acknowledged_in_time_is_overdue(pair, later: int, objects: int):
    take_back(pair.north, ID)
    with pair.north.database.reading() as tx:
        found = withdraw.overdue(
            tx, pair.north.door.links, pair.north.settings.partners, now=pair.clock.now + later * HOUR
        )

    assert sum(one.objects for one in found) == objects


def test_a_server_of_another_kind_that_fetched_has_confirmed_nothing(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path)
    text = (pair.north.folder / "config.toml").read_text(encoding="utf-8")
    text = text.replace("[partner.south]", '[partner.south]\nkind = "taxii"')
    (pair.north.folder / "config.toml").write_text(text, encoding="utf-8")
    pair.north.restart()
    pair.north.bring(OURS)
    client = pair.south.client()
    client.objects_page("indicators", added_after=None, next=None, limit=100)
    take_back(pair.north, ID)
    pair.tick()
    client.objects_page("indicators", added_after=None, next=None, limit=100)
    client.close()

    assert [(one.open, one.text) for one in told(pair.north)] == [
        (False, "fetched; their server confirms nothing")
    ]
