"""What objects refer to is remembered; what may become stricter is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from node.exchange import egress
from node.exchange.references import References
from node.stix import objects
from node.store.database import Database
from node.store.objects import HeldBody
from tests.support.builders import LATER, a_malware, a_relationship, an_id, an_indicator
from tests.support.nodes import Node, a_node

ID, MALWARE, LINK = an_id("indicator"), an_id("malware"), an_id("relationship", "one")


def _end_is_tightened(node: Node) -> None:
    node.bring(a_malware(tlp="red", modified=LATER))


def _newer_version_elsewhere_is_stricter(node: Node) -> None:
    node.bring(a_relationship(ID, MALWARE, "one", tlp="red", modified=LATER), into="elsewhere")


STRICTER: list[Callable[[Node], None]] = [_end_is_tightened, _newer_version_elsewhere_is_stricter]


@pytest.fixture
def handed(database: Database) -> Node:
    """North, whose partner has read a relationship: whatever is remembered of it is remembered now."""
    north = a_node(database, collections=("indicators", "elsewhere"))
    north.bring(a_malware(tlp="green"), a_relationship(ID, MALWARE, "one", tlp="green"))
    assert LINK in served(north)
    return north


def served(node: Node) -> set[str]:
    return {record.stix_id for record in node.served().records}


@pytest.mark.parametrize("become_stricter", STRICTER)
def test_what_is_remembered_does_not_let_go_what_has_become_stricter(handed: Node, become_stricter):
    assert len(handed.door.references) > 0
    become_stricter(handed)
    assert LINK not in served(handed)


@pytest.mark.parametrize("become_stricter", STRICTER)
def test_whole_decisions_by_digest_would_let_it_go(handed: Node, become_stricter, monkeypatch):
    """The control: a memory of more than what the bytes say leaks, and the page above would show it."""
    judge, remembered = egress.judge, {}

    def judged(tx, door, link, candidates, **how):
        found = judge(tx, door, link, candidates, **how)
        keys = [one.row.held.digest for one in candidates]
        return [remembered.setdefault(key, one) for key, one in zip(keys, found, strict=True)]

    monkeypatch.setattr(egress, "judge", judged)
    # Only the leaving row's own judgement counts here, not the feed's, which would take it out before.
    monkeypatch.setattr(egress, "_advance_if_behind", lambda *_, **__: None)
    assert LINK in served(handed)
    become_stricter(handed)
    assert LINK in served(handed)


@pytest.mark.parametrize("become_stricter", STRICTER)
def test_a_row_that_has_not_been_taken_out_yet_is_judged_anew(handed: Node, become_stricter, monkeypatch):
    monkeypatch.setattr(egress, "_advance_if_behind", lambda *_, **__: None)
    become_stricter(handed)
    assert LINK not in served(handed)


def test_another_text_of_one_version_is_read_anew(north: Node):
    found = References()
    for end in ("one", "two"):
        north.bring(a_relationship(ID, an_id("malware", end), "one", tlp="green"), restate=True)
        body = a_relationship(ID, an_id("malware", end), "one", tlp="green")
        row = HeldBody(north.last(LINK), body)
        assert found.of(row) == found.of(row) == objects.references(body)
    assert len(found) == 2


def test_no_more_is_remembered_than_there_is_room_for(north: Node):
    north.bring(*(an_indicator(number, tlp="green") for number in range(40)))
    found = References(most_bytes=20 * 220)
    rows = [HeldBody(north.last(an_id("indicator", number)), an_indicator(number)) for number in range(40)]
    for row in rows:
        found.of(row)
    assert 10 <= len(found) <= 20
    none = References(most_bytes=0)
    none.of(rows[0])
    assert len(none) == 0
