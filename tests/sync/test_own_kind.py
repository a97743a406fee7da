"""What two nodes of our own kind tell each other, and what is made of an answer that does not."""

from __future__ import annotations

import pytest

from node.errors import PartnerRefused
from node.store.catalog import Collection
from node.sync.answers import CollectionFlags
from node.sync.own_kind import EPOCH, TERMS, headers_of, same_terms
from node.sync.reports import PullReport, Stop
from tests.support.agreements import a_link

LINK = a_link("in")


def flags(**changes):
    said = {"epoch": "e", "terms": LINK.terms_digest.hex(), **changes}
    return CollectionFlags("id", "title", can_read=True, can_write=True, **said)


def a_collection(epoch="epoch-1"):
    return Collection(1, "id", "indicators", "Indicators", "", "schema", 0, False, epoch, 0, 0, 0)


def test_equal_terms_let_the_round_go_on():
    report = PullReport(LINK.name)
    assert same_terms(report, LINK, flags())
    assert report.stopped is None


@pytest.mark.parametrize("terms", ["", "00" * 32])
def test_other_terms_stop_the_round_although_the_partner_answered(terms):
    report = PullReport(LINK.name)
    assert not same_terms(report, LINK, flags(terms=terms))
    assert report.stopped is Stop.TERMS_DIFFER
    assert LINK.terms.agreement in report.detail


def test_an_answer_without_an_epoch_does_not_come_from_a_stixnode():
    with pytest.raises(PartnerRefused, match="does not speak as a stixnode"):
        same_terms(PullReport(LINK.name), LINK, flags(epoch=""))


def test_our_own_kind_is_told_history_and_terms_and_others_nothing():
    told = headers_of(a_collection(), LINK)
    assert set(told) == {EPOCH, TERMS}
    assert told[TERMS] == LINK.terms_digest.hex()
    assert headers_of(a_collection(), a_link("in", partner_kind="taxii")) == {}


def test_another_history_or_another_policy_is_another_epoch():
    shown = {
        headers_of(a_collection(), LINK)[EPOCH],
        headers_of(a_collection("epoch-2"), LINK)[EPOCH],
        headers_of(a_collection(), a_link("in", policy_digest=b"other"))[EPOCH],
    }
    assert len(shown) == 3
