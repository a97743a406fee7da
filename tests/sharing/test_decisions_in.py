"""node/sharing/decisions.py, the way in: what is stored, and what is set aside."""

from __future__ import annotations

from typing import Any

import pytest

from node.sharing.decisions import Decision, Facts, Reason, decide_ingress
from node.stix.markings import NO_TLP, TLP, UNKNOWN
from tests.support.agreements import a_link, some_facts
from tests.support.builders import NOON


def ingress(subject: Facts, *, now: int = NOON, **terms: Any) -> Decision:
    return decide_ingress(subject, a_link("in", terms=terms), now=now)


def test_a_green_object_comes_in_under_a_green_ceiling():
    assert ingress(some_facts()).allowed


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        (some_facts(type="campaign"), Reason.TYPE_NOT_AGREED),
        (some_facts(rank=TLP.AMBER), Reason.ABOVE_CEILING),
        (some_facts(collection="others"), Reason.NOT_IN_FLOW),
    ],
)
def test_what_was_not_agreed_does_not_come_in(subject: Facts, reason: Reason):
    decision = ingress(subject)

    assert (decision.allowed, decision.reason) == (False, reason)
    assert decision.detail.endswith(".")
    assert decision.remedy.endswith(".")


@pytest.mark.parametrize("rank", [NO_TLP, UNKNOWN])
def test_what_the_sender_judged_comes_in_whatever_we_make_of_its_marking(rank: int):
    assert ingress(some_facts(rank=rank), max_tlp=TLP.CLEAR).allowed


def test_an_older_version_is_not_refused_for_what_the_object_is_now():
    assert ingress(some_facts(rank=TLP.GREEN, owner_rank=TLP.RED)).allowed


@pytest.mark.parametrize(
    "subject",
    [some_facts(type="marking-definition"), some_facts(type="identity", companion=True)],
    ids=["marking", "organisation"],
)
def test_companions_come_in_whatever_types_say(subject: Facts):
    assert ingress(subject).allowed


def test_the_identity_of_a_person_needs_its_type_agreed():
    assert ingress(some_facts(type="identity")).reason is Reason.TYPE_NOT_AGREED


def test_nothing_comes_in_after_the_end():
    assert ingress(some_facts(), now=a_link("in").terms.ends).reason is Reason.NOT_IN_FORCE


def test_nothing_comes_in_by_a_link_that_leads_out():
    assert decide_ingress(some_facts(), a_link(), now=NOON).reason is Reason.NOT_IN_FLOW
