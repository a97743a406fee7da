"""node/sharing/links.py: the links that follow from agreements and bindings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.config_keys import MITRE
from node.errors import ConfigError, UsageError
from node.sharing.links import Link, PartnerBinding, Stricter, derive_links, find_links, parties_of
from node.stix.markings import TLP
from tests.support.agreements import (
    WEST_ID,
    a_flow,
    a_party,
    an_agreement,
    links_of,
    links_of_north,
    links_of_south,
)
from tests.support.builders import NORTH_ID, SOUTH_ID

FIVE = [a_flow(name) for name in ("a", "b", "c", "d", "e")]


def the(links: tuple[Link, ...], name: str) -> Link:
    return next(link for link in links if link.name == name)


def south(**changes: object) -> PartnerBinding:
    return replace(
        PartnerBinding("south", agreements=(an_agreement(flow=[a_flow(), a_flow("b")]),)), **changes
    )


def north_and_west() -> PartnerBinding:
    parties = {"north": a_party("north"), "west": a_party("west")}
    agreement = an_agreement(id="AGR-W", party=parties, flow=[a_flow(givers=["north", "west"])])
    return PartnerBinding("west", agreements=(agreement,))


def test_five_flows_both_ways_are_ten_links_at_each_side():
    assert len(links_of_north(flow=FIVE)) == 10
    assert len(links_of_south(flow=FIVE)) == 10


def test_what_is_out_for_one_side_is_in_for_the_other():
    north, other = (
        links_of_north(flow=[a_flow(givers=["north"])]),
        links_of_south(flow=[a_flow(givers=["north"])]),
    )

    assert [link.name for link in north] == ["south/indicators/out"]
    assert [link.name for link in other] == ["north/indicators/in"]
    assert north[0].terms == other[0].terms
    assert north[0].terms_digest == other[0].terms_digest


@pytest.mark.parametrize(
    ("carry", "north_out", "north_in", "south_out", "south_in"),
    [
        ("pull", "them", "us", "them", "us"),
        ("push", "us", "them", "us", "them"),
        ({"north": "push", "south": "pull"}, "us", "us", "them", "them"),
    ],
    ids=["pull", "push", "north does both"],
)
def test_each_flow_has_one_carrier(
    carry: object, north_out: str, north_in: str, south_out: str, south_in: str
):
    flows = [a_flow(carry=carry)]
    carriers = {
        link.name: link.carrier for link in (*links_of_north(flow=flows), *links_of_south(flow=flows))
    }

    assert carriers == {
        "south/indicators/out": north_out,
        "south/indicators/in": north_in,
        "north/indicators/out": south_out,
        "north/indicators/in": south_in,
    }


def test_store_in_moves_what_comes_in_and_not_what_goes_out():
    links = links_of("north", south(store_in={"indicators": "from-south"}))

    assert the(links, "south/indicators/in").collection == "from-south"
    assert the(links, "south/indicators/out").collection == "indicators"


def test_their_ids_name_the_partners_collection():
    links = links_of("north", south(their_ids={"indicators": "91a7"}))

    assert the(links, "south/indicators/out").remote == "91a7"
    assert the(links, "south/b/out").remote is None


def test_stricter_lowers_what_goes_out_and_not_what_comes_in():
    links = links_of("north", south(stricter=Stricter(max_tlp_out=TLP.CLEAR)))

    assert the(links, "south/indicators/out").terms.max_tlp is TLP.CLEAR
    assert {terms.max_tlp for terms in the(links, "south/indicators/out").sibling_terms} == {TLP.CLEAR}
    assert the(links, "south/indicators/in").terms.max_tlp is TLP.GREEN


def test_stricter_never_widens():
    links = links_of("north", south(stricter=Stricter(max_tlp_out=TLP.RED)))

    assert the(links, "south/indicators/out").terms.max_tlp is TLP.GREEN


def test_public_objects_may_be_refused():
    assert links_of("north", south())[0].public_objects
    assert not links_of("north", south(stricter=Stricter(public_objects="refuse")))[0].public_objects


def test_sibling_terms_are_those_of_all_out_flows_to_the_partner():
    links = links_of("north", south(), north_and_west())

    assert [each.flow for each in the(links, "south/indicators/out").sibling_terms] == ["b", "indicators"]
    assert [each.flow for each in the(links, "west/indicators/out").sibling_terms] == ["indicators"]


def test_onward_of_an_in_flow_is_a_grant_of_the_third_partys_out_flow():
    agreement = an_agreement(flow=[a_flow(onward=["west"]), a_flow("b")])
    links = links_of("north", PartnerBinding("south", agreements=(agreement,)), north_and_west())

    assert the(links, "south/indicators/in").onward == ("west",)
    assert the(links, "west/indicators/out").granted_by == (("south", "indicators"),)
    assert the(links, "south/indicators/out").granted_by == ()


def test_what_we_grant_onward_is_no_grant_to_us():
    agreement = an_agreement(flow=[a_flow(givers=["north"], onward=["west"])])
    links = links_of("north", PartnerBinding("south", agreements=(agreement,)), north_and_west())

    assert the(links, "west/indicators/out").granted_by == ()


def test_a_third_party_of_the_agreement_makes_no_link_without_a_binding():
    parties = {name: a_party(name) for name in ("north", "south", "west")}
    agreement = an_agreement(party=parties, flow=[a_flow(givers=["north", "south", "west"])])
    links = links_of("north", PartnerBinding("south", agreements=(agreement,)))

    assert [link.name for link in links] == ["south/indicators/in", "south/indicators/out"]


# What is refused.


def test_two_agreements_cannot_carry_one_flow():
    other = an_agreement(id="AGR-2027-01")

    with pytest.raises(ConfigError, match="AGR-2026-01 and indicators of AGR-2027-01"):
        links_of("north", PartnerBinding("south", agreements=(an_agreement(), other)))


def test_two_flows_cannot_come_into_one_collection():
    with pytest.raises(ConfigError, match="collection b has two flows in"):
        links_of("north", south(store_in={"indicators": "b"}))


def test_two_flows_cannot_have_one_collection_of_theirs():
    with pytest.raises(ConfigError, match="their collection 91a7 has two flows"):
        links_of("north", south(their_ids={"indicators": "91a7", "b": "91a7"}))


def test_an_agreement_that_does_not_name_us_is_refused():
    with pytest.raises(ConfigError, match="does not name east"):
        links_of("east", south())


def test_an_agreement_that_does_not_name_the_partner_is_refused():
    with pytest.raises(ConfigError, match="does not name west"):
        links_of("north", PartnerBinding("west", agreements=(an_agreement(),)))


def test_two_files_under_one_agreement_id_are_refused():
    parties = {"north": a_party("north"), "west": a_party("west")}
    other = an_agreement(party=parties, flow=[a_flow(givers=["west"])])

    with pytest.raises(ConfigError, match="both called AGR-2026-01"):
        links_of("north", south(), PartnerBinding("west", agreements=(other,)))


@pytest.mark.parametrize("table", ["store_in", "their_ids"])
def test_a_binding_for_a_flow_that_nobody_agreed_is_refused(table: str):
    with pytest.raises(ConfigError, match="no agreement with this partner") as caught:
        links_of("north", south(**{table: {"indicator": "x"}}))

    assert "indicators" in caught.value.remedy


def test_a_binding_without_an_agreement_makes_no_link():
    assert links_of("north", south(agreements=(), store_in={"indicators": "x"})) == ()


# The policy digest: what makes withheld objects due again.


def digests(links: tuple[Link, ...]) -> dict[str, bytes]:
    return {link.name: link.policy_digest for link in links}


DECIDES_NOTHING = {
    "duty phone": {"party": {"north": a_party("north", duty_phone="+1"), "south": a_party("south")}},
    "revision": {"revision": 7},
    "title": {"title": "another"},
    "audience": {"flow": [a_flow(audience=["others"])]},
    "keep_days": {"flow": [a_flow(keep_days=1)]},
    "every_seconds": {"flow": [a_flow(every_seconds=1)]},
    "carry": {"flow": [a_flow(carry="push")]},
}


@pytest.mark.parametrize("changes", DECIDES_NOTHING.values(), ids=DECIDES_NOTHING)
def test_the_policy_digest_does_not_count(changes: dict[str, object]):
    assert digests(links_of_north(**changes)) == digests(links_of_north())


DECIDES = {
    "max_tlp": ({"max_tlp": "red"}, {"in", "out"}),
    "types": ({"types": ["indicator"]}, {"in", "out"}),
    "unmarked": ({"unmarked": "clear"}, {"out"}),
    "either_may_edit": ({"either_may_edit": True}, {"in"}),
}


@pytest.mark.parametrize(("changes", "expected"), DECIDES.values(), ids=DECIDES)
def test_the_policy_digest_counts_what_the_decisions_of_that_direction_read(
    changes: dict[str, object], expected: set[str]
):
    before, after = digests(links_of_north()), digests(links_of_north(flow=[a_flow(**changes)]))

    assert {name.rsplit("/")[-1] for name in before if before[name] != after[name]} == expected


def test_the_policy_digest_of_an_out_link_counts_its_siblings():
    before = the(links_of_north(flow=[a_flow(), a_flow("b")]), "south/indicators/out")
    after = the(links_of_north(flow=[a_flow(), a_flow("b", max_tlp="clear")]), "south/indicators/out")

    assert before.policy_digest != after.policy_digest


def test_the_policy_digest_of_an_out_link_counts_grants_of_others():
    granting = PartnerBinding(
        "south", agreements=(an_agreement(flow=[a_flow(onward=["west"]), a_flow("b")]),)
    )
    before = the(links_of("north", south(), north_and_west()), "west/indicators/out")
    after = the(links_of("north", granting, north_and_west()), "west/indicators/out")

    assert before.policy_digest != after.policy_digest


def test_the_policy_digest_counts_our_brakes():
    before = digests(links_of("north", south()))
    after = digests(links_of("north", south(stricter=Stricter(TLP.CLEAR, "refuse"))))

    assert not set(before.values()) & set(after.values())


def test_the_policy_digest_of_an_in_link_counts_who_speaks_for_whom():
    parties = parties_of("north", (south(),), (WEST_ID,), (MITRE,))
    before, after = digests(links_of("north", south())), digests(derive_links("north", (south(),), parties))

    assert before["south/indicators/in"] != after["south/indicators/in"]
    assert before["south/indicators/out"] == after["south/indicators/out"]


# Who speaks for whom.


def test_an_identity_is_claimed_by_us_a_partner_the_public_or_nobody():
    parties = parties_of("north", (south(),), (WEST_ID,), (MITRE,))

    assert parties.claimant(NORTH_ID) == "local"
    assert parties.claimant(WEST_ID) == "local"
    assert parties.claimant(SOUTH_ID) == "south"
    assert parties.claimant(MITRE) == ""
    assert parties.claimant("identity--00000000-0000-4000-8000-000000000000") is None
    assert parties.claimant(None) is None


@pytest.mark.parametrize(
    ("ours", "public"),
    [((SOUTH_ID,), ()), ((), (SOUTH_ID,)), ((MITRE,), (MITRE,)), ((SOUTH_ID.upper(),), ())],
)
def test_an_identity_that_two_claim_is_refused(ours: tuple[str, ...], public: tuple[str, ...]):
    with pytest.raises(ConfigError, match="both claim it"):
        parties_of("north", (south(),), [each.replace("IDENTITY", "identity") for each in ours], public)


def test_an_identity_claimed_twice_by_one_party_is_no_conflict():
    assert parties_of("north", (south(),), (NORTH_ID,), ()).ours == {NORTH_ID}


# Names as operators write them.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("south", ["south/b/in", "south/b/out", "south/indicators/in", "south/indicators/out"]),
        ("south/indicators", ["south/indicators/in", "south/indicators/out"]),
        ("south/indicators/in", ["south/indicators/in"]),
    ],
)
def test_a_link_is_named_by_partner_flow_and_direction(text: str, expected: list[str]):
    assert [link.name for link in find_links(links_of("north", south()), text)] == expected


@pytest.mark.parametrize(
    "text", ["", "sou", "south/", "south/indicators/out/more", "indicators", "south/indicators/up"]
)
def test_a_name_that_fits_no_link_is_answered_with_those_that_exist(text: str):
    with pytest.raises(UsageError) as caught:
        find_links(links_of("north", south()), text)

    assert "south/indicators/in" in caught.value.remedy


def test_a_node_without_links_says_where_they_come_from():
    with pytest.raises(UsageError) as caught:
        find_links((), "south")

    assert "agreement" in caught.value.remedy
