"""Two real nodes exchange in both directions, go quiet, and converge after faults."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from node.sync.reports import Stop
from node.web import create_app
from tests.support.builders import (
    LATER,
    NORTH_ID,
    SOUTH_ID,
    a_malware,
    a_relationship,
    an_id,
    an_indicator,
    an_ipv4,
)
from tests.support.two_nodes import BOTH_PULL, BOTH_PUSH, an_exchange_text, renew_history, two_nodes

OURS = {"north": NORTH_ID, "south": SOUTH_ID}
carriers = pytest.mark.parametrize("carry", [BOTH_PULL, BOTH_PUSH])


def ours(name: str, n: int = 3, **changes):
    return [an_indicator(f"{name} {k}", author=OURS[name], **{"tlp": "green", **changes}) for k in range(n)]


def settle(pair, rounds: int = 3):
    for _ in range(rounds):
        reports = pair.round()
        assert [report.error for report in reports if report.error] == []
        assert [report.detail for report in reports if report.stopped] == []
    return reports


@carriers
def test_both_hold_what_either_imported(two_databases, tmp_path, carry):
    pair = two_nodes(two_databases, tmp_path, flow_carry=carry)
    north, south = ours("north"), ours("south")
    pair.north.bring(*north)
    pair.south.bring(*south)
    settle(pair)
    assert pair.north.bodies() == pair.south.bodies()
    assert set(pair.north.bodies()) == {*north, *south}


@carriers
def test_a_further_round_moves_nothing_and_writes_only_the_state_rows(two_databases, tmp_path, carry):
    """N-SYNC-5."""
    pair = two_nodes(two_databases, tmp_path, flow_carry=carry)
    pair.north.bring(*ours("north"), an_ipv4())
    pair.south.bring(*ours("south"), a_malware("m", tlp="clear", author=SOUTH_ID))
    settle(pair)
    before = [pair.north.tables(without=["link", "reading"]), pair.south.tables(without=["link", "reading"])]
    asked = len(pair.north.wire.asked), len(pair.south.wire.asked)
    reports = pair.round()
    assert [report.moved for report in reports] == [0] * 4
    assert [
        pair.north.tables(without=["link", "reading"]),
        pair.south.tables(without=["link", "reading"]),
    ] == before
    assert (len(pair.north.wire.asked), len(pair.south.wire.asked)) == (asked[0] + 1, asked[1] + 1)


@carriers
def test_an_object_that_came_from_a_partner_does_not_go_back(two_databases, tmp_path, carry):
    """N-SYNC-5."""
    pair = two_nodes(two_databases, tmp_path, flow_carry=carry)
    pair.north.bring(*ours("north"))
    settle(pair)
    with pair.south.database.reading() as tx:
        rows = tx.rows(sa.text("select count(*) from feed_row where link = 'north/indicators/out'"))
    assert rows[0][0] == 0


@carriers
def test_amber_stays_here_under_a_green_ceiling(two_databases, tmp_path, carry):
    pair = two_nodes(two_databases, tmp_path, flow_carry=carry)
    pair.north.bring(*ours("north", 1), an_indicator("secret", tlp="amber", author=NORTH_ID))
    settle(pair)
    assert pair.south.ids() == {an_id("indicator", "north 0")}


def test_a_push_counts_what_it_withholds(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path, flow_carry=BOTH_PUSH)
    pair.north.bring(*ours("north", 2), an_indicator("secret", tlp="amber", author=NORTH_ID))
    (report,) = pair.north.sync("out")
    assert (report.considered, report.sent, report.withheld, report.failed) == (3, 2, 1, 0)


@carriers
def test_a_new_version_follows_the_old(two_databases, tmp_path, carry):
    pair = two_nodes(two_databases, tmp_path, flow_carry=carry)
    pair.north.bring(an_indicator("x", tlp="green", author=NORTH_ID))
    settle(pair)
    pair.north.bring(an_indicator("x", tlp="green", author=NORTH_ID, modified=LATER))
    settle(pair)
    assert pair.north.bodies() == pair.south.bodies()
    assert len(pair.south.bodies()) == 2


@carriers
def test_a_restated_version_replaces_the_partners_copy(two_databases, tmp_path, carry):
    pair = two_nodes(two_databases, tmp_path, flow_carry=carry)
    pair.north.bring(an_indicator("x", tlp="green", author=NORTH_ID, description="first"))
    settle(pair)
    second = an_indicator("x", tlp="green", author=NORTH_ID, description="second")
    pair.north.bring(second, restate=True)
    settle(pair)
    assert pair.south.bodies() == pair.north.bodies() == [second]


@carriers
def test_observables_without_a_version_converge(two_databases, tmp_path, carry):
    pair = two_nodes(two_databases, tmp_path, flow_carry=carry, flow_unmarked="clear")
    pair.north.bring(an_ipv4("198.51.100.7"))
    pair.north.bring(an_ipv4("198.51.100.7", x_seen_by="north"))
    settle(pair)
    assert len(pair.south.bodies()) == 2
    assert sorted(pair.north.bodies()) == sorted(pair.south.bodies())


def test_two_objects_that_a_status_cannot_tell_apart_go_in_two_batches(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path, flow_carry=BOTH_PUSH, flow_unmarked="clear")
    pair.north.bring(an_ipv4("198.51.100.7"))
    pair.north.bring(an_ipv4("198.51.100.7", x_seen_by="north"))
    (report,) = pair.north.sync("out")
    assert (report.batches, report.sent) == (2, 2)


@carriers
def test_a_foreign_edit_is_set_aside_and_not_offered_again(two_databases, tmp_path, carry):
    pair = two_nodes(two_databases, tmp_path, flow_carry=carry)
    edit = an_indicator("never held by north", tlp="green", author=NORTH_ID)
    pair.south.bring(edit)
    settle(pair)
    assert pair.north.ids() == set()
    with pair.north.database.reading() as tx:
        assert tx.rows(sa.text("select state, reason from quarantine"))[0] == ("waiting", "foreign_edit")


def test_a_set_aside_object_is_final_for_its_bytes(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path, flow_carry=BOTH_PUSH)
    pair.south.bring(an_indicator("claims", tlp="green", author=NORTH_ID))
    (first,) = pair.south.sync("out")
    (second,) = pair.south.sync("out")
    assert (first.failed, second.considered) == (1, 0)


def test_a_lost_answer_is_asked_for_again_and_applied_once(two_databases, tmp_path):
    """T-CLI-17, N-SYNC-14."""
    pair = two_nodes(two_databases, tmp_path, flow_carry=BOTH_PUSH)
    pair.north.bring(*ours("north"))
    pair.north.wire.lost_answers = 1
    (lost,) = pair.north.sync("out")
    assert (lost.considered, lost.unconfirmed) == (3, 3)
    assert lost.error is not None
    assert len(pair.south.bodies()) == 3
    arrivals = len(pair.south.tables()["arrival"])
    pair.tick()
    (again,) = pair.north.sync("out")
    assert (again.sent, again.unconfirmed) == (3, 0)
    assert len(pair.south.tables()["arrival"]) == arrivals


def test_what_was_restated_meanwhile_is_left_out_of_the_resend(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path, flow_carry=BOTH_PUSH)
    pair.north.bring(an_indicator("x", tlp="green", author=NORTH_ID, description="first"))
    pair.north.wire.lost_answers = 1
    pair.north.sync("out")
    second = an_indicator("x", tlp="green", author=NORTH_ID, description="second")
    pair.north.bring(second, restate=True)
    sent: list[bytes] = []
    pair.north.wire.before = lambda request: sent.append(request.body) if request.method == "POST" else None
    settle(pair)
    assert sent[0] == b"{}"
    assert json.loads(sent[1])["objects"][0]["description"] == "second"
    assert pair.south.bodies() == [second]


def test_what_may_no_longer_go_is_left_out_of_the_resend(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path, flow_carry=BOTH_PUSH)
    pair.north.bring(*ours("north", 1), a_malware("m", tlp="green", author=NORTH_ID))

    def never_arrives(request):
        if request.method == "POST":
            raise ConnectionResetError("the line broke before the request")

    pair.north.wire.before = never_arrives
    pair.north.sync("out")
    pair.north.wire.before = lambda _request: None
    pair.agree(flow_carry=BOTH_PUSH, flow_types=["indicator"])
    settle(pair)
    assert pair.south.ids() == {an_id("indicator", "north 0")}


@carriers
def test_a_widened_agreement_brings_what_was_withheld(two_databases, tmp_path, carry):
    pair = two_nodes(two_databases, tmp_path, flow_carry=carry)
    pair.north.bring(an_indicator("amber", tlp="amber", author=NORTH_ID))
    settle(pair)
    assert pair.south.ids() == set()
    pair.agree(flow_carry=carry, flow_max_tlp="amber")
    settle(pair)
    assert pair.south.ids() == {an_id("indicator", "amber")}


@carriers
def test_a_narrowed_agreement_keeps_back_what_comes_later(two_databases, tmp_path, carry):
    pair = two_nodes(two_databases, tmp_path, flow_carry=carry)
    pair.north.bring(*ours("north", 1))
    settle(pair)
    pair.agree(flow_carry=carry, flow_max_tlp="clear")
    pair.north.bring(an_indicator("later", tlp="green", author=NORTH_ID))
    settle(pair)
    assert pair.south.ids() == {an_id("indicator", "north 0")}


@carriers
def test_different_terms_carry_nothing_and_say_so(two_databases, tmp_path, carry):
    pair = two_nodes(two_databases, tmp_path, flow_carry=carry)
    pair.north.bring(*ours("north", 1))
    pair.south.bring(*ours("south", 1))
    pair.south.restart(an_exchange_text(flow_carry=carry, flow_keep_days=10))
    reports = [*pair.north.sync(), *pair.south.sync()]
    carried = [report for report in reports if report.link.endswith("/in") == (carry == BOTH_PULL)]
    assert [report.stopped for report in carried] == [Stop.TERMS_DIFFER] * 2
    assert pair.north.ids() == {an_id("indicator", "north 0")}
    assert pair.south.ids() == {an_id("indicator", "south 0")}
    assert (
        "differ"
        in pair.south.state(
            "north/indicators/in" if carry == BOTH_PULL else "north/indicators/out"
        ).last_error
    )


@carriers
def test_terms_that_are_equal_again_let_everything_through(two_databases, tmp_path, carry):
    pair = two_nodes(two_databases, tmp_path, flow_carry=carry)
    pair.north.bring(*ours("north", 1))
    pair.south.restart(an_exchange_text(flow_carry=carry, flow_keep_days=10))
    pair.round()
    pair.south.restart(an_exchange_text(flow_carry=carry))
    settle(pair)
    assert pair.south.ids() == {an_id("indicator", "north 0")}


@carriers
def test_who_only_serves_knows_of_different_terms_until_they_are_equal_again(two_databases, tmp_path, carry):
    pair = two_nodes(two_databases, tmp_path, flow_carry=carry)
    served = "north/indicators/out" if carry == BOTH_PULL else "north/indicators/in"
    pair.south.restart(an_exchange_text(flow_carry=carry, flow_keep_days=10))
    pair.round()
    told = pair.south.state(served).other_terms
    assert told == pair.north.door.partner_links("south")[0].terms_digest.hex()
    pair.south.restart(an_exchange_text(flow_carry=carry))
    pair.round()
    assert pair.south.state(served).other_terms == ""


@carriers
def test_a_receiver_that_lost_its_objects_gets_them_again(two_databases, tmp_path, carry):
    pair = two_nodes(two_databases, tmp_path, flow_carry=carry)
    pair.north.bring(*ours("north"))
    settle(pair)
    lose_everything(pair.south)
    settle(pair)
    assert len(pair.south.bodies()) == 3


@carriers
def test_a_giver_with_a_new_history_is_listed_again(two_databases, tmp_path, carry):
    pair = two_nodes(two_databases, tmp_path, flow_carry=carry)
    pair.north.bring(*ours("north"))
    settle(pair)
    renew_history(pair.north, "restored")
    reports = pair.round()
    assert [report.error for report in reports if report.error] == []
    settle(pair, 2)
    assert pair.north.bodies() == pair.south.bodies()
    if carry == BOTH_PULL:
        (again,) = [report for report in reports if report.link == "north/indicators/in"]
        assert again.listed_again
        assert again.outcomes["duplicate"] == 3


def test_a_giver_that_lost_its_objects_gets_its_own_back_as_foreign_edits(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path)
    pair.north.bring(*ours("north"))
    settle(pair)
    lose_everything(pair.north)
    settle(pair)
    assert len(pair.south.bodies()) == 3


def test_a_session_that_the_partner_forgot_begins_anew(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path, flow_carry=BOTH_PUSH)
    pair.north.bring(*ours("north"))
    settle(pair)
    with pair.south.database.writing() as tx:
        tx.run(sa.text("delete from session_in"))
    pair.north.bring(an_indicator("more", tlp="green", author=NORTH_ID))
    (report,) = pair.north.sync("out")
    assert report.error is None
    assert report.new_session
    assert pair.north.bodies() == pair.south.bodies()
    settle(pair)


def test_our_own_new_history_begins_a_session_before_the_partner_must_refuse(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path, flow_carry=BOTH_PUSH)
    pair.north.bring(*ours("north"))
    settle(pair)
    renew_history(pair.north, "restored")
    pair.north.bring(an_indicator("more", tlp="green", author=NORTH_ID))
    (report,) = pair.north.sync("out")
    assert report.error is None
    assert 409 not in [status for _, _, status in pair.north.wire.asked]


def test_a_forgotten_session_also_lists_again_what_the_partner_offers(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path, flow_carry={"north": "push", "south": "pull"})
    pair.north.bring(*ours("north"))
    pair.south.bring(*ours("south"))
    settle(pair)
    with pair.south.database.writing() as tx:
        tx.run(sa.text("delete from session_in"))
    pair.north.bring(an_indicator("more", tlp="green", author=NORTH_ID))
    pair.north.sync("out")
    (listed,) = pair.north.sync("in")
    assert listed.outcomes["duplicate"] == 3


def test_a_paused_link_moves_nothing_on_either_side(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path)
    pair.north.bring(*ours("north"))
    with pair.south.database.writing() as tx:
        tx.run(sa.text("update link set paused = true, pause_reason = 'for the test'"))
    (closed,) = pair.south.sync("in")
    assert closed.stopped is Stop.CLOSED
    assert "paused" in closed.detail
    assert pair.south.wire.asked == []
    pair.south.resume()
    with pair.north.database.writing() as tx:
        tx.run(sa.text("update link set paused = true, pause_reason = 'for the test'"))
    (refused,) = pair.south.sync("in")
    assert refused.error.by_rule
    assert "paused" in refused.error.problem
    assert pair.south.ids() == set()


def test_new_links_are_paused_until_a_person_resumes_them(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path)
    with pair.south.database.writing() as tx:
        tx.run(sa.text("delete from link"))
    pair.south.app = create_app(pair.south.settings, pair.south.database)
    (report,) = pair.south.sync("in")
    assert report.stopped is Stop.CLOSED


def test_a_relationship_goes_when_its_ends_do(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path)
    malware = a_malware("m", tlp="green", author=NORTH_ID)
    indicator = an_indicator("i", tlp="green", author=NORTH_ID)
    relation = a_relationship(an_id("indicator", "i"), an_id("malware", "m"), tlp="green", author=NORTH_ID)
    pair.north.bring(relation, indicator, malware)
    settle(pair)
    assert len(pair.south.ids()) == 3


def test_rapid_updates_on_both_sides_go_quiet_and_end_equal(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path)
    for n in range(10):
        for name, centre in (("north", pair.north), ("south", pair.south)):
            centre.bring(
                an_indicator(name, tlp="green", author=OURS[name], modified=f"2026-11-20T09:00:{n:02d}.000Z")
            )
        pair.round()
    settle(pair)
    assert pair.north.bodies() == pair.south.bodies()
    assert len(pair.north.bodies()) == 20


def test_many_objects_cross_in_many_pages_and_batches(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path, flow_carry={"north": "pull", "south": "push"})
    pair.north.bring(*ours("north", 2300))
    pair.south.bring(*ours("south", 1100))
    (pulled,) = pair.south.sync("in")
    (pushed,) = pair.south.sync("out")
    assert (pulled.pages, pulled.outcomes["stored"]) == (3, 2300)
    assert (pushed.batches, pushed.sent) == (2, 1100)
    assert pair.north.bodies() == pair.south.bodies()


def lose_everything(centre) -> None:
    """The database is put back to before the first exchange, as a restore from an old backup does."""
    with centre.database.writing() as tx:
        for table in (
            '"object"',
            "owner",
            "received",
            "arrival",
            "bookmark",
            "session_in",
            "session_out",
            "feed",
            "feed_row",
        ):
            tx.run(sa.text(f"delete from {table}"))
        tx.run(sa.text("update link set partner_epoch = ''"))
    renew_history(centre, f"{centre.name} restored")
