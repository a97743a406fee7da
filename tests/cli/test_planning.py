"""node/cli/planning.py: what would cross, what would come of a file, and the limits that hold and ask."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.cli.desk import Desk, a_bundle, both_carried_by_north, fetched_by_south, old_indicator
from tests.support.agreements import a_flow, agreement_text
from tests.support.builders import NORTH_ID, SOUTH_ID, a_relationship, an_id
from tests.support.partner import COLLECTION, Canned, simulated_partner


@pytest.fixture
def partner():
    with simulated_partner() as found:
        yield found


def exchanging(desk: Desk, partner, stricter: str = "") -> Desk:
    more = f'kind = "taxii"\n[partner.south.their_ids]\nindicators = "{COLLECTION}"'
    more += f"\n[partner.south.stricter]\n{stricter}"
    desk.with_partner(api_root=partner.api_root, more=more, paper_signed=True, flow=both_carried_by_north())
    desk.run("resume", "south")
    return desk


def theirs(number: int) -> list[bytes]:
    return [old_indicator(f"theirs {n}", author=SOUTH_ID) for n in range(number)]


_NAMES = sa.text("select name from sqlite_master where type = 'table'")


def tables(desk: Desk) -> dict[str, int]:
    with desk.open() as node, node.database.reading() as tx:
        names = [row[0] for row in tx.rows(_NAMES)]
        return {name: hash(tuple(map(repr, tx.rows(sa.text(f'select * from "{name}"'))))) for name in names}


def test_a_plan_shows_what_would_cross_and_why_not_and_changes_nothing(desk: Desk, partner):
    partner.hold(old_indicator("theirs", author=SOUTH_ID))
    ours = [
        old_indicator(1, author=NORTH_ID),
        old_indicator(2, author=NORTH_ID, tlp="red"),
        old_indicator(3, tlp=None),
    ]
    exchanging(desk, partner).run("import", "indicators", "-", stdin=a_bundle(*ours))

    answer = desk.run("plan", "--json")
    again = desk.run("plan", "--json")

    assert answer.code == 0
    assert answer.out == again.out
    inward, outward = answer.of("plan")
    assert (inward["link"], inward["goes"]) == ("south/indicators/in", 1)
    assert (outward["link"], outward["goes"]) == ("south/indicators/out", 1)
    withheld = {line["reason"]: line["remedy"] for line in answer.of("step") if line["outcome"] == "withheld"}
    assert sorted(withheld) == ["above_ceiling", "unmarked"]
    assert all(withheld.values())
    assert partner.posts() == []


def test_a_plan_after_a_round_still_shows_what_is_withheld(desk: Desk, partner):
    ours = [old_indicator(1, author=NORTH_ID), old_indicator(2, author=NORTH_ID, tlp="red")]
    exchanging(desk, partner).run("import", "indicators", "-", stdin=a_bundle(*ours))
    desk.run("sync")

    shown = desk.run("plan", "south/indicators/out").out

    assert "0 would go, 1 already there, 1 withheld" in shown
    assert "above_ceiling" in shown


def test_a_plan_counts_what_waits_for_a_partner_who_fetches(desk: Desk):
    desk.with_partner(flow=fetched_by_south())
    desk.run("import", "indicators", "-", stdin=a_bundle(old_indicator(author=NORTH_ID)))
    desk.run("resume", "south")

    before = desk.run("plan").out
    desk.run("sync")

    assert "1 would go, 0 already there, 0 withheld" in before
    assert "1 would go, 0 already there, 0 withheld" in desk.run("plan").out


def test_a_plan_tells_of_a_partner_that_does_not_answer(desk: Desk, partner):
    exchanging(desk, partner)
    partner.answer_next(Canned(503))

    answer = desk.run("plan", "south/indicators/in", "--json")

    assert answer.code == 5
    assert json.loads(answer.out.splitlines()[1])["type"] == "failure"


def test_a_plan_that_finds_no_way_on_says_why_and_ends_as_the_round_would(desk: Desk, partner):
    exchanging(desk, partner)
    partner.next_style = "empty"

    answer = desk.run("plan", "south/indicators/in")

    assert answer.code == desk.run("pull").code == 5
    assert "empty pages" in answer.out
    assert "\n  Try: " in answer.out


def test_the_exit_code_says_on_request_that_something_would_move(desk: Desk, partner):
    partner.hold(*theirs(1))
    exchanging(desk, partner)

    assert desk.run("plan").code == 0
    assert desk.run("plan", "--detailed-exitcode").code == 10
    desk.run("sync")
    assert desk.run("plan", "--detailed-exitcode").code == 0


def test_what_waits_for_a_reference_is_told_apart_with_its_name(desk: Desk, partner):
    red = old_indicator("red", author=NORTH_ID, tlp="red")
    about = a_relationship(an_id("indicator", "red"), an_id("malware", "x"), tlp="green", author=NORTH_ID)
    flow = [a_flow(types=["indicator", "relationship"], carry={"north": "push", "south": "pull"})]
    desk.with_partner(api_root=partner.api_root, flow=flow)
    desk.run("import", "indicators", "-", stdin=a_bundle(red, about))

    shown = desk.run("plan", "south/indicators/out").out

    assert "0 would go, 0 already there, 1 wait, 1 withheld" in shown
    assert f"1 wait, waits_for_reference: It refers to {an_id('indicator', 'red')}" in shown


def test_a_plan_names_the_agreement_and_offers_to_open_what_is_closed(desk: Desk, partner):
    exchanging(desk, partner).run("stop", "south")

    lines = desk.run("plan", "south/indicators/out").out.splitlines()

    assert lines[1] == "  AGR-2026-01 r1, flow indicators"
    assert lines[-1].endswith("resume south")


class TestLimits:
    def test_a_plan_says_before_that_a_limit_would_hold_some_back(self, desk: Desk, partner):
        partner.page_most = 2
        partner.hold(*theirs(5))
        exchanging(desk, partner, "max_new_in_per_day = 3")

        answer = desk.run("plan")
        (inward,) = [line for line in desk.run("plan", "--json").of("plan") if line["direction"] == "in"]

        assert answer.code == 6
        assert "5 objects offered, 3 would come in, 2 would be set aside" in answer.out
        assert "south may bring 3 new objects a day, 0 so far" in answer.out
        assert answer.out.splitlines()[-1].endswith("resume south --allow-new 2")
        assert (inward["goes"], inward["limited"], inward["most_today"]) == (3, 2, 3)

    def test_the_round_does_as_planned_and_status_says_whom_to_ask(self, desk: Desk, partner):
        partner.page_most = 2
        partner.hold(*theirs(5))
        exchanging(desk, partner, "max_new_in_per_day = 3")

        done = desk.run("sync", "--json")
        status = desk.run("status")

        assert done.code == 3
        assert (done.of("pull")[0]["stored"], done.of("pull")[0]["quarantined"]) == (3, 2)
        assert status.code == 7
        assert "south brought more than we take in a day: 2 wait" in status.out
        assert "quarantine list south --reason daily_limit" in status.out

    def test_what_a_person_allows_comes_in_by_the_next_round_or_a_retry(self, desk: Desk, partner):
        partner.hold(*theirs(5))
        exchanging(desk, partner, "max_new_in_per_day = 3").run("sync")

        allowed = desk.run("resume", "south", "--allow-new", "2")
        retried = desk.run("quarantine", "retry", "--reason", "daily_limit")

        assert (allowed.code, retried.code) == (0, 0)
        assert "south may bring 2 new objects beyond its limit until" in allowed.out
        assert "quarantine retry --reason daily_limit" in allowed.out
        assert "2 stored" in retried.out
        assert "wait" not in desk.run("status").out.partition("our readers")[0].replace(
            "waits for a person  n", ""
        )

    def test_explain_says_what_would_let_it_in(self, desk: Desk, partner):
        partner.hold(*theirs(2))
        exchanging(desk, partner, "max_new_in_per_day = 1").run("sync")

        (aside,) = desk.run("quarantine", "list", "--json").of("entry")
        told = desk.run("explain", aside["id"]).out

        assert "1 new objects (max_new_in_per_day)" in told
        assert "resume south --allow-new N" in told

    def test_the_default_is_five_thousand(self, desk: Desk, partner):
        exchanging(desk, partner)

        assert "south may bring 5,000 new objects a day, 0 so far" in desk.run("plan").out

    def test_with_nought_there_is_no_limit_to_speak_of(self, desk: Desk, partner):
        exchanging(desk, partner, "max_new_in_per_day = 0")

        assert "may bring" not in desk.run("plan").out


class TestFiles:
    BODIES = (
        old_indicator(1, author=NORTH_ID),
        old_indicator(2, author=NORTH_ID, tlp="red"),
        old_indicator(3, author=NORTH_ID, tlp=None),
        old_indicator(4, author=SOUTH_ID),
        old_indicator(5, author=NORTH_ID, pattern=7),
    )

    def file(self, desk: Desk, *bodies: bytes) -> str:
        return str(desk.write("some.json", a_bundle(*(bodies or self.BODIES))))

    def test_a_file_is_judged_for_whom_it_would_be_given_to(self, desk: Desk, partner):
        answer = exchanging(desk, partner).run("plan", "south/indicators/out", "--file", self.file(desk))

        assert answer.code == 0
        assert "2 would go, 0 already there, 2 withheld, 1 would be refused" in answer.out
        assert "above_ceiling" in answer.out
        assert "unmarked" in answer.out
        assert "1 would be refused, invalid" in answer.out
        assert answer.out.splitlines()[-1].endswith(f"import indicators {desk.folder}/some.json")

    def test_and_as_if_the_partner_brought_it(self, desk: Desk, partner):
        answer = exchanging(desk, partner).run("plan", "south/indicators/in", "--file", self.file(desk))

        assert "5 objects in the file, 1 would come in, 4 would be set aside" in answer.out
        assert (
            "3 would be set aside, foreign_edit: It names us as its author, and we never had it."
            in answer.out
        )
        assert "(q-" not in answer.out
        assert partner.requests == []

    def test_nothing_is_written(self, desk: Desk, partner):
        exchanging(desk, partner)
        desk.run("status")
        before = tables(desk)
        desk.run("plan", "--file", self.file(desk))

        assert tables(desk) == before

    def test_what_the_file_says_is_what_happens_once_it_is_imported(self, desk: Desk, partner):
        exchanging(desk, partner)
        planned = desk.run("plan", "south/indicators/out", "--file", self.file(desk), "--json").of("step")
        desk.run("import", "indicators", self.file(desk))
        desk.run("push")

        went = {stix_id for ids in partner.posts() for stix_id in ids}
        assert went == {step["stix_id"] for step in planned if step["goes"]}
        again = desk.run("plan", "south/indicators/out", "--file", self.file(desk)).out
        assert "0 would go, 2 already there, 2 withheld, 1 would be refused" in again

    def test_a_limit_holds_for_a_file_too(self, desk: Desk, partner):
        exchanging(desk, partner, "max_new_in_per_day = 1")

        answer = desk.run("plan", "south/indicators/in", "--file", self.file(desk, *theirs(3)))

        assert answer.code == 6
        assert "3 objects in the file, 1 would come in, 2 would be set aside" in answer.out

    @pytest.mark.parametrize("form", ["bundle", "envelope", "lines", "gzip"])
    def test_every_form_of_a_file_is_read(self, desk: Desk, partner, form: str):
        one, other = theirs(2)
        text = {
            "bundle": a_bundle(one, other),
            "envelope": b'{"objects":[' + one + b"," + other + b"]}",
            "lines": one + b"\n" + other,
            "gzip": gzip.compress(a_bundle(one, other)),
        }[form]

        answer = exchanging(desk, partner).run("plan", "south/indicators/in", "--file", "-", stdin=text)

        assert "2 objects in the file, 2 would come in" in answer.out

    def test_a_file_that_breaks_off_is_refused(self, desk: Desk, partner):
        answer = exchanging(desk, partner).run("plan", "--file", "-", stdin=a_bundle(*theirs(2))[:-5])

        assert answer.code == 2
        assert "Try: Give a bundle" in answer.err


class TestStricterTerms:
    def offered(self, desk: Desk, number: int) -> None:
        desk.with_partner(flow=fetched_by_south())
        bodies = [old_indicator(n, author=NORTH_ID, tlp="green") for n in range(number)]
        desk.run("import", "indicators", "-", stdin=a_bundle(*bodies))
        desk.run("resume", "south")
        desk.run("sync")

    def narrower(self, desk: Desk) -> str:
        today = datetime.now(UTC).replace(microsecond=0)
        text = agreement_text(
            starts=today - timedelta(days=1),
            ends=today + timedelta(days=300),
            revision=2,
            flow=[a_flow(givers=["north"], max_tlp="clear")],
        )
        return str(desk.write("r2.toml", text))

    def test_a_check_of_a_revision_says_what_it_would_take_out(self, desk: Desk):
        self.offered(desk, 25)

        answer = desk.run("agreement", "check", self.narrower(desk))

        assert answer.code == 0
        assert (
            "CAREFUL, south/indicators/out: of 25 offered now 25 would be taken out; 0 more would go"
            in answer.out
        )

    def test_few_objects_are_told_without_alarm(self, desk: Desk):
        self.offered(desk, 3)

        (loss,) = desk.run("agreement", "check", self.narrower(desk), "--json").of("loss")

        assert (loss["offered_now"], loss["taken_out"], loss["large"]) == (3, 3, False)

    def test_the_same_terms_take_nothing_out(self, desk: Desk):
        self.offered(desk, 3)

        assert desk.run("agreement", "check", "--json").of("loss") == []

    def test_a_plan_under_stricter_terms_says_it_and_holds_nothing(self, desk: Desk):
        self.offered(desk, 25)
        desk.write("AGR.toml", Path(self.narrower(desk)).read_bytes())

        shown = desk.run("plan").out
        desk.run("sync")

        assert "CAREFUL: 25 of the 25 that south is offered would be taken out" in shown
        assert "25 would be taken out, above_ceiling" in shown
        assert "0 would go, 0 already there, 25 withheld" in desk.run("plan").out
