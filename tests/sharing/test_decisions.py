"""node/sharing/decisions.py, the way out: what goes, and why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.sharing.decisions import (
    Decision,
    End,
    Facts,
    Reason,
    decide_content,
    decide_egress,
    permitted_by_any,
)
from node.sharing.links import Link
from node.stix.markings import NO_TLP, OFFICIAL, TLP, UNKNOWN
from tests.support.agreements import a_link, some_facts, some_terms
from tests.support.builders import NOON, an_id

LADDER = (NO_TLP, *TLP, UNKNOWN)
LEVELS = st.sampled_from(list(TLP))


def no_grant(partner: str) -> bool:
    return False


def egress(
    subject: Facts | None = None,
    link: Link | None = None,
    *,
    now: int = NOON,
    brought_by: tuple[str, ...] = (),
    brought_in_present_epoch: bool = False,
    entering: bool = True,
    ends: tuple[End, ...] = (),
    onward_granted: Callable[[str], bool] = no_grant,
) -> Decision:
    return decide_egress(
        subject or some_facts(),
        link or a_link(),
        now=now,
        brought_by=brought_by,
        brought_in_present_epoch=brought_in_present_epoch,
        entering=entering,
        ends=ends,
        onward_granted=onward_granted,
    )


def a_withheld_end(**changes: Any) -> End:
    return End(**{"id": an_id("malware"), "held": True, "from_partner": False, "permitted": False, **changes})


def breaks(partner: str) -> bool:
    raise KeyError(partner)


WITHHELD: Mapping[Reason, Mapping[str, Any]] = {
    Reason.NOT_IN_FORCE: {"now": a_link().terms.ends},
    Reason.NOT_IN_FLOW: {"subject": some_facts(collection="others")},
    Reason.WITHDRAWN: {"subject": some_facts(withdrawn=True)},
    Reason.TYPE_NOT_AGREED: {"subject": some_facts(type="campaign")},
    Reason.UNKNOWN_MARKING: {"subject": some_facts(rank=UNKNOWN)},
    Reason.UNMARKED: {"subject": some_facts(rank=NO_TLP, owner_rank=NO_TLP)},
    Reason.ABOVE_CEILING: {"subject": some_facts(rank=TLP.AMBER)},
    Reason.BACK_TO_ORIGIN: {"subject": some_facts(origin="south")},
    Reason.BROUGHT_BY_PARTNER: {"brought_by": ("south",), "brought_in_present_epoch": True},
    Reason.EDITED_HERE: {"subject": some_facts(edited=True)},
    Reason.ONWARD_NOT_GRANTED: {"subject": some_facts(origin="west"), "brought_by": ("west",)},
    Reason.WAITS_FOR_REFERENCE: {"ends": (a_withheld_end(),)},
    Reason.ERROR: {"subject": some_facts(origin="west"), "onward_granted": breaks},
}


def test_a_green_object_of_ours_goes_under_a_green_ceiling():
    assert egress() == Decision(True, None, "", "")


@pytest.mark.parametrize("reason", list(Reason), ids=str)
def test_every_reason_withholds_with_a_sentence_and_a_remedy(reason: Reason):
    decision = egress(**WITHHELD[reason])

    assert (decision.allowed, decision.reason) == (False, reason)
    assert decision.detail.endswith(".")
    assert decision.remedy.endswith(".")


@pytest.mark.parametrize("reason", list(Reason)[:-1], ids=str)
def test_the_first_failure_is_the_reason(reason: Reason):
    order = [each for each in Reason if each is not Reason.ERROR]
    later = order[order.index(reason) :]
    subject: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for each in reversed(later):
        for key, value in WITHHELD[each].items():
            if key == "subject":
                subject |= {name: getattr(value, name) for name in Facts.__slots__
                            if getattr(value, name) != getattr(some_facts(), name)}  # fmt: skip
            else:
                others[key] = value

    assert egress(some_facts(**subject), **others).reason is reason


# In force.


@pytest.mark.parametrize(
    ("moment", "allowed"),
    [("starts", True), ("starts-1", False), ("ends-1", True), ("ends", False)],
)
def test_nothing_goes_before_the_start_or_from_the_end(moment: str, allowed: bool):
    terms = a_link().terms
    name, _, earlier = moment.partition("-")

    assert egress(now=getattr(terms, name) - int(earlier or 0)).allowed is allowed


def test_nothing_goes_by_a_link_that_leads_in():
    assert egress(link=a_link("in")).reason is Reason.NOT_IN_FLOW


# Type, marking, ceiling.


@pytest.mark.parametrize("ceiling", list(TLP), ids=lambda level: level.name)
@pytest.mark.parametrize("rank", list(TLP), ids=lambda level: level.name)
def test_what_is_marked_goes_up_to_the_ceiling_and_no_further(rank: TLP, ceiling: TLP):
    decision = decide_content(some_facts(rank=rank, owner_rank=None), some_terms(max_tlp=ceiling))

    assert decision.allowed is (rank <= ceiling)
    assert decision.reason is (None if rank <= ceiling else Reason.ABOVE_CEILING)


def test_amber_under_a_green_ceiling_names_the_key_to_change():
    decision = decide_content(some_facts(rank=TLP.AMBER), some_terms())

    assert decision.detail == "It is AMBER, and flow indicators in AGR-2026-01 goes up to GREEN."
    assert "Raise max_tlp of flow indicators in AGR-2026-01" in decision.remedy


def test_an_unknown_marking_never_goes_even_under_a_red_ceiling():
    assert (
        decide_content(some_facts(rank=UNKNOWN), some_terms(max_tlp=TLP.RED)).reason is Reason.UNKNOWN_MARKING
    )
    assert (
        decide_content(some_facts(owner_rank=UNKNOWN), some_terms(max_tlp=TLP.RED)).reason
        is Reason.UNKNOWN_MARKING
    )


@pytest.mark.parametrize("rank", [-2, 6, 99])
def test_a_rank_that_is_not_on_the_ladder_never_goes(rank: int):
    assert not decide_content(some_facts(rank=rank), some_terms(max_tlp=TLP.RED, unmarked=TLP.CLEAR)).allowed


def test_an_old_green_version_of_an_object_that_is_amber_now_is_withheld():
    assert (
        decide_content(some_facts(rank=TLP.GREEN, owner_rank=TLP.AMBER), some_terms()).reason
        is Reason.ABOVE_CEILING
    )


def test_an_old_amber_version_of_an_object_that_is_green_now_is_withheld():
    assert (
        decide_content(some_facts(rank=TLP.AMBER, owner_rank=TLP.GREEN), some_terms()).reason
        is Reason.ABOVE_CEILING
    )


def test_an_observable_is_judged_by_its_own_marking_alone():
    address = some_facts(id=an_id("ipv4-addr"), type="ipv4-addr", observable=True, owner_rank=None)

    assert decide_content(address, some_terms()).allowed


@pytest.mark.parametrize("unmarked", list(TLP), ids=lambda level: level.name)
def test_no_tlp_counts_as_the_level_that_the_flow_names(unmarked: TLP):
    decision = decide_content(some_facts(rank=NO_TLP, owner_rank=NO_TLP), some_terms(unmarked=unmarked))

    assert decision.allowed is (unmarked <= TLP.GREEN)


def test_an_unmarked_version_of_a_marked_object_is_withheld_where_unmarked_is():
    assert (
        decide_content(some_facts(rank=NO_TLP, owner_rank=TLP.GREEN), some_terms()).reason is Reason.UNMARKED
    )
    assert (
        decide_content(some_facts(rank=TLP.GREEN, owner_rank=NO_TLP), some_terms()).reason is Reason.UNMARKED
    )


def test_of_an_unmarked_row_and_a_marked_object_the_stricter_decides():
    terms = some_terms(unmarked=TLP.AMBER)

    assert decide_content(some_facts(rank=NO_TLP, owner_rank=TLP.GREEN), terms).reason is Reason.ABOVE_CEILING


def test_a_companion_needs_no_agreed_type_and_no_marking():
    author = some_facts(type="identity", rank=NO_TLP, owner_rank=NO_TLP, companion=True)

    assert decide_content(author, some_terms(types=("indicator",))).allowed


def test_a_companion_is_held_to_its_own_marking():
    author = some_facts(type="identity", rank=TLP.RED, owner_rank=TLP.RED, companion=True)

    assert decide_content(author, some_terms()).reason is Reason.ABOVE_CEILING
    assert (
        decide_content(some_facts(rank=UNKNOWN, companion=True), some_terms()).reason
        is Reason.UNKNOWN_MARKING
    )
    assert decide_content(
        some_facts(rank=NO_TLP, owner_rank=TLP.RED, companion=True), some_terms()
    ).reason is (Reason.ABOVE_CEILING)


def test_a_statement_that_is_no_companion_needs_its_type_agreed():
    assert (
        decide_content(some_facts(type="marking-definition"), some_terms()).reason is Reason.TYPE_NOT_AGREED
    )


def test_one_flow_that_permits_is_enough():
    closed, open_ = some_terms(max_tlp=TLP.CLEAR), some_terms()

    assert permitted_by_any(some_facts(), (closed, open_))
    assert not permitted_by_any(some_facts(), (closed,))
    assert not permitted_by_any(some_facts(), ())


@given(LEVELS, LEVELS, LEVELS, LEVELS, st.booleans())
def test_raising_a_rank_never_lets_out_what_was_withheld(
    low: TLP, high: TLP, owner: TLP, ceiling: TLP, swap: bool
):
    def allowed(rank: int) -> bool:
        one = some_facts(rank=owner, owner_rank=rank) if swap else some_facts(rank=rank, owner_rank=owner)
        return decide_content(one, some_terms(max_tlp=ceiling)).allowed

    low, high = min(low, high), max(low, high)
    assert allowed(low) or not allowed(high)


@given(st.sampled_from(LADDER), st.sampled_from(LADDER), LEVELS, LEVELS, st.none() | LEVELS, st.booleans())
def test_lowering_a_ceiling_never_lets_out_what_was_withheld(
    rank: int, owner: int, low: TLP, high: TLP, unmarked: TLP | None, companion: bool
):
    subject = some_facts(rank=rank, owner_rank=owner, companion=companion)
    narrow = decide_content(subject, some_terms(max_tlp=min(low, high), unmarked=unmarked))
    wide = decide_content(subject, some_terms(max_tlp=max(low, high), unmarked=unmarked))

    assert wide.allowed or not narrow.allowed


@given(st.sampled_from(LADDER), st.sampled_from(LADDER), LEVELS, LEVELS)
def test_no_tlp_is_judged_exactly_as_the_level_it_counts_as(
    rank: int, owner: int, unmarked: TLP, ceiling: TLP
):
    terms = some_terms(max_tlp=ceiling, unmarked=unmarked)
    counted = some_facts(
        rank=unmarked if rank == NO_TLP else rank, owner_rank=unmarked if owner == NO_TLP else owner
    )

    assert (
        decide_content(some_facts(rank=rank, owner_rank=owner), terms).allowed
        is decide_content(counted, terms).allowed
    )


# Origin, and passing on.


def test_what_the_partner_brought_goes_again_by_a_row_that_is_in_the_feed_already():
    assert egress(brought_by=("south",), brought_in_present_epoch=True, entering=False).allowed


def test_what_the_partner_brought_in_an_earlier_epoch_goes():
    assert egress(brought_by=("south",), brought_in_present_epoch=False).allowed


def test_back_to_its_origin_it_never_goes_not_even_by_a_row_in_the_feed():
    assert egress(some_facts(origin="south"), entering=False).reason is Reason.BACK_TO_ORIGIN


def test_a_third_partys_object_goes_where_its_terms_grant_it():
    asked: list[str] = []

    def grants(partner: str) -> bool:
        asked.append(partner)
        return True

    assert egress(some_facts(origin="west"), brought_by=("west", "east"), onward_granted=grants).allowed
    assert asked == ["east", "west"]


def test_every_partner_that_ever_brought_it_has_to_grant():
    decision = egress(
        some_facts(origin="west"),
        brought_by=("west", "east"),
        onward_granted=lambda partner: partner == "west",
    )

    assert decision.reason is Reason.ONWARD_NOT_GRANTED
    assert decision.detail.startswith("east brought it")


def test_its_origin_has_to_grant_even_if_the_list_of_bringers_lost_it():
    assert egress(some_facts(origin="west"), brought_by=()).reason is Reason.ONWARD_NOT_GRANTED


def test_our_own_object_that_another_partner_brought_too_needs_its_grant():
    assert egress(brought_by=("west",)).reason is Reason.ONWARD_NOT_GRANTED


def test_an_answer_that_is_merely_truthy_is_no_grant():
    decision = egress(some_facts(origin="west"), onward_granted=lambda partner: "none")  # type: ignore[arg-type,return-value]

    assert decision.reason is Reason.ONWARD_NOT_GRANTED


def test_the_tlp_definitions_belong_to_nobody():
    definition = some_facts(id=next(iter(OFFICIAL)), type="marking-definition", companion=True, origin="west")

    assert egress(definition, brought_by=("west",)).allowed


# References.


@pytest.mark.parametrize(
    "changes",
    [{"held": False}, {"from_partner": True}, {"permitted": True}],
    ids=["not held here", "the partner brought it", "it may go by some flow"],
)
def test_an_end_holds_nothing_back_when(changes: dict[str, bool]):
    assert egress(ends=(a_withheld_end(**changes),)).allowed


def test_it_waits_for_the_end_that_may_not_go():
    decision = egress(ends=(a_withheld_end(permitted=True), a_withheld_end(id=an_id("malware", "two"))))

    assert decision.waits_for == an_id("malware", "two")
    assert f"stixnode explain {an_id('malware', 'two')} south/indicators/out" in decision.remedy


# Errors.


def test_a_fault_in_the_rules_withholds_and_says_so():
    decision = egress(some_facts(origin="west"), onward_granted=breaks)

    assert decision.reason is Reason.ERROR
    assert "KeyError" in decision.detail


def test_facts_that_make_no_sense_withhold():
    assert egress(some_facts(rank=None)).reason is Reason.ERROR
