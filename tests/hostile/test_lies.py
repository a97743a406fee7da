"""A partner that says it has what it has not, sends us elsewhere, or is suddenly somebody else."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import sqlalchemy as sa

from node.errors import PartnerRefused, PartnerUnreachable
from node.exchange import feed_rows
from node.sync.reports import Stop
from tests.hostile.stand import GOOD, Stand
from tests.support.builders import NORTH_ID, an_id, an_indicator
from tests.support.certificates import a_certificate
from tests.support.partner import STATUS_ID, Canned, a_receiver, simulated_partner

OURS = [an_indicator(f"ours {n}", tlp="green", author=NORTH_ID) for n in range(5)]


def states(stand):
    with stand.north.database.reading() as tx:
        rows = tx.rows(sa.text("select state, count(*) from feed_row group by state"))
    return {feed_rows.STATE_NAMES[state]: count for state, count in rows}


def delivers(stand):
    """The partner behaves: everything of ours comes to lie there, once, and the round after is quiet."""
    stand.west.canned.clear()
    stand.west.post_style, stand.west.stores, stand.west.refuses = "complete", True, {}
    stand.west.__dict__.pop("answer", None)
    stand.north.clock.now += 3_600_000_000
    report = stand.round("out")
    again = stand.round("out")

    assert (report.error, report.stopped, report.failed, report.unconfirmed) == (None, None, 0, 0)
    assert (again.considered, again.moved) == (0, 0)
    assert sorted(one.id for one in stand.west.held) == sorted(json.loads(body)["id"] for body in OURS)
    assert states(stand) == {"settled": len(OURS)}
    assert stand.state("out").failures == 0


@pytest.mark.parametrize(
    ("style", "stores"),
    [
        pytest.param("complete", False, id="H33 yes to all and nothing kept"),
        pytest.param("liar", False, id="H32 counts without lists"),
        pytest.param("strangers", False, id="H32 words about ids that we did not send"),
        pytest.param("pending", False, id="PEER-24 pending for ever"),
        pytest.param("forgotten", False, id="PEER-24 a status that vanished"),
    ],
)
def test_a_word_that_the_manifest_does_not_bear_out_is_not_done(stand, west, style, stores):
    """H32, H33, PEER-24: unconfirmed, told as that, offered again, and done when it is there."""
    west.post_style, west.stores = style, stores
    stand.north.bring(*OURS)
    report = stand.round("out")

    assert (report.considered, report.sent, report.failed, report.unconfirmed) == (5, 0, 0, 5)
    assert report.stopped is Stop.UNCONFIRMED
    assert "has not confirmed 5 objects" in stand.state("out").last_error
    assert "settled" not in states(stand)
    delivers(stand)


def test_h33_the_report_says_that_the_manifest_says_otherwise(stand, west):
    """H33: in a sentence of its own."""
    west.stores = False
    stand.north.bring(*OURS)
    (warning,) = stand.round("out").warnings

    assert "its manifest has none of 5" in warning


@pytest.mark.parametrize("manner", ["no right to read", "no manifest", "a manifest in pages"])
def test_h33_a_manifest_that_says_nothing_contradicts_nothing(stand, west, manner):
    """H33: a drop box, and a server whose manifest has more than one page, are believed."""
    usual = west.answer

    def answer(asked):
        if asked.path.endswith("/manifest/"):
            return Canned(404) if manner == "no manifest" else Canned(body=b'{"more":true,"next":"1"}')
        return usual(asked)

    if manner == "no right to read":
        west.can_read = False
    else:
        west.answer = answer
    stand.north.bring(*OURS)
    report = stand.round("out")

    assert (report.error, report.sent, report.warnings) == (None, 5, [])


def test_h33_what_is_there_under_another_spelling_of_its_version_is_there(stand, west):
    """H33: some print milliseconds."""
    body = an_indicator("fine", tlp="green", author=NORTH_ID, modified="2026-11-20T08:00:00.123456Z")
    stand.north.bring(body)
    usual = west.answer

    def shortened(asked):
        answer = usual(asked)
        return (
            Canned(answer.status, answer.body.replace(b"123456Z", b"123Z"), answer.headers)
            if (asked.path.endswith("/manifest/"))
            else answer
        )

    west.answer = shortened

    assert stand.round("out").sent == 1


@pytest.mark.parametrize(
    "where", ["http://169.254.169.254/", "https://other.example/status/1/", "//other/", "/"]
)
def test_h32_the_address_of_a_status_is_ours_to_make(stand, west, where):
    """H9, H32: whatever url it names, it is asked for below the API root."""
    usual = west.answer
    west.post_style = "slow"

    def elsewhere(asked):
        answer = usual(asked)
        if asked.method != "POST":
            return answer
        return Canned(202, json.dumps({**json.loads(answer.body), "url": where, "href": where}).encode())

    west.answer = elsewhere
    stand.north.bring(*OURS)
    report = stand.round("out")

    assert (report.error, report.sent) == (None, 5)
    assert {one.path for one in west.requests if "status" in one.path} == {f"/api/status/{STATUS_ID}/"}


def test_h31_a_manifest_that_speaks_of_others_settles_nothing(stand, west):
    """H31, H32: records that were not asked for are passed over."""
    west.post_style, west.stores = "pending", False
    usual = west.answer
    record = {"id": an_id("indicator", "other"), "version": "2026-11-20T08:00:00.000Z", "date_added": "x"}

    def answer(asked):
        return (
            Canned(body=json.dumps({"objects": [record, 7, None, {}]}).encode())
            if (asked.path.endswith("/manifest/"))
            else usual(asked)
        )

    west.answer = answer
    stand.north.bring(*OURS)
    report = stand.round("out")

    assert (report.sent, report.unconfirmed) == (0, 5)
    delivers(stand)


@pytest.mark.parametrize(
    ("direction", "status"), [("in", 301), ("out", 302), ("in", 303), ("out", 307), ("in", 308)]
)
def test_h9_a_redirect_is_followed_in_no_direction(stand, west, direction, status):
    """H9, PEER-37: nothing is asked there, and the credential stays here."""
    stand.north.bring(*OURS)
    with simulated_partner() as other:
        report = stand.answered(Canned(status, b"", {"Location": other.api_root}), direction=direction)

        assert isinstance(report.error, PartnerRefused)
        assert "redirect" in stand.state(direction).last_error
        assert (other.requests, len(west.requests)) == ([], 1)
    stand.converges()


def test_h10_a_name_that_leads_to_another_machine_gets_nothing(sqlite_database, tmp_path):
    """H10, H38: it cannot show the certificate that was agreed, and no byte of ours reaches it."""
    agreed, context = a_certificate(tmp_path, "west")
    _, another = a_certificate(tmp_path, "other")
    password = tmp_path / "password"
    password.write_text("secret", encoding="utf-8")
    with simulated_partner(context) as west:
        west.hold(*GOOD)
        stand = Stand(a_receiver(sqlite_database, west, **wiring(west, agreed, password)), west)
        first = stand.round()
    with simulated_partner(another) as rebound:
        stand.north.binding = binding_of(stand.north.binding, rebound)
        second = stand.round()

        assert (first.error, first.outcomes) == (None, {"stored": len(GOOD)})
        assert isinstance(second.error, PartnerUnreachable)
        assert "certificate" in stand.state().last_error
        assert rebound.requests == []
    with simulated_partner(context) as west:
        west.hold(*GOOD)
        stand.west, stand.north.binding = west, binding_of(stand.north.binding, west)
        assert stand.round().error is None


def wiring(west, authority, password):
    return {
        "api_root": f"https://127.0.0.1:{west.port}/api/",
        "tls_ca": str(authority),
        "username": "north",
        "password_file": str(password),
    }


def binding_of(binding, partner):
    """The same partner, whose name now leads elsewhere."""
    return replace(binding, api_root=f"https://127.0.0.1:{partner.port}/api/")


REFUSALS = {
    "429 with seconds": (429, {"Retry-After": "120"}, 120),
    "PEER-29 429 with a date": (429, {"Retry-After": "Sat, 21 Nov 2026 12:03:00 GMT"}, 180),
    "429 for ever": (429, {"Retry-After": "99999999"}, 3_600),
    "503": (503, {"Retry-After": "60"}, 60),
}


@pytest.mark.parametrize("direction", ["in", "out"])
@pytest.mark.parametrize("how", REFUSALS)
def test_a_partner_that_asks_to_wait_is_waited_for(stand, west, direction, how):
    """PEER-29: as long as it asks, at most an hour; then everything crosses."""
    status, headers, seconds = REFUSALS[how]
    west.hold(*GOOD) if direction == "in" else stand.north.bring(*OURS)
    report = stand.answered(Canned(status, b"{}", headers), direction=direction)
    waits = (stand.state(direction).next_try - stand.north.clock()) / 1_000_000

    assert isinstance(report.error, PartnerUnreachable)
    assert (waits, len(west.requests)) == (seconds, 1)
    stand.converges() if direction == "in" else delivers(stand)


@pytest.mark.parametrize("status", [413, 422])
def test_a_batch_that_is_refused_is_divided_until_the_one_object_is_alone(stand, west, status):
    """One that the partner never takes fails by name, and keeps no other back."""
    usual = west.answer
    bad = json.loads(OURS[2])["id"]

    def answer(asked):
        return Canned(status) if asked.method == "POST" and bad.encode() in asked.body else usual(asked)

    west.answer = answer
    stand.north.bring(*OURS)
    report = stand.round("out")

    assert (report.sent, report.failed, report.unconfirmed) == (4, 1, 0)
    assert states(stand) == {"settled": 4, "failed": 1}


def test_415_is_told_with_what_to_ask_for(stand, west):
    """Nothing is settled, and nothing is lost: all of it goes when the partner takes it."""
    usual = west.answer
    west.answer = lambda asked: Canned(415) if asked.method == "POST" else usual(asked)
    stand.north.bring(*OURS)
    report = stand.round("out")

    assert isinstance(report.error, PartnerRefused)
    assert "TAXII 2.1" in report.error.remedy
    assert states(stand) == {"sent": 5}
    delivers(stand)
