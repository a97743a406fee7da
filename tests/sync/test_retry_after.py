"""T12: 429 and 503 with any `Retry-After`, wherever a round meets them: obeyed within bounds, or not at all.

What is nonsense counts as nothing said; what is more than an hour counts as an hour.
"""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from node.errors import PartnerUnreachable
from node.exchange import links
from node.sync import rounds
from node.sync.refusals import LONGEST_WAIT_SECONDS, retry_after_seconds
from tests.support.builders import NOON, NORTH_ID, an_indicator
from tests.support.partner import SECOND, Canned

HTML = b"<!DOCTYPE html><html><body>Back soon</body></html>"
OURS = [an_indicator(n, tlp="green", author=NORTH_ID) for n in range(3)]
# where the round meets it -> its direction, and which request
PLACES = {
    "the page of a pull": ("in", lambda asked: asked.path.endswith("/objects/")),
    "the collection before a push": ("out", lambda asked: asked.path.count("/") == 4),
    "the POST": ("out", lambda asked: asked.method == "POST"),
    "the poll of a status": ("out", lambda asked: "/status/" in asked.path),
    "the manifest": ("out", lambda asked: asked.path.endswith("/manifest/")),
}
# what is written -> seconds from now
WRITTEN = {
    "5": 5,
    "120": 120,
    "Sat, 21 Nov 2026 12:03:00 GMT": 180,
    "Saturday, 21-Nov-26 12:03:00 GMT": 180,
    "Sat, 21 Nov 2026 11:00:00 GMT": 5,
    "Fri, 31 Dec 9999 23:59:59 GMT": 3_600,
    "-1": 5,
    "0": 5,
    "99999999": 3_600,
    "9" * 500: 3_600,
    "in a moment": 5,
    "\N{LATIN SMALL LETTER E WITH ACUTE}": 5,
    "": 5,
    "30, 40": 40,
    "40, 30": 40,
    "soon, 30": 30,
}


def meets(north, west, place, refusal):
    """The report of a round that meets a refusal, and when the next one is due."""
    direction, here = PLACES[place]
    usual = west.answer
    west.answer = lambda asked: refusal if here(asked) else usual(asked)
    if "poll" in place:
        west.post_style = "pending"
    if "manifest" in place:
        west.refuses = {f"indicator--{n}": "no" for n in range(3)} | {one_id(OURS[0]): "not wanted"}
    north.bring(*OURS)
    client = north.client()
    report = rounds.carry(north.door, north.link(direction), client, now=north.clock, pause=north.pause)
    client.close()
    with north.database.reading() as tx:
        state = links.state(tx, north.link(direction).name)
    return report, state.next_try


def one_id(body: bytes) -> str:
    return body.partition(b'"id":"')[2].partition(b'"')[0].decode()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("status", [429, 503])
def test_what_a_partner_asks_is_obeyed_wherever_it_asks(north, west, place, status):
    """T12, T-CLI-17."""
    report, next_try = meets(north, west, place, Canned(status, headers={"Retry-After": "120"}))

    assert isinstance(report.error, PartnerUnreachable)
    assert next_try == north.clock() + 120 * SECOND


@pytest.mark.parametrize("written", WRITTEN)
def test_whatever_is_written_the_wait_is_within_bounds(north, west, written):
    """T12: seconds, a date, the past, for ever, nonsense, nothing, twice."""
    report, next_try = meets(north, west, "the page of a pull", Canned(503, b"{}", {"Retry-After": written}))

    assert isinstance(report.error, PartnerUnreachable)
    assert next_try - north.clock() == WRITTEN[written] * SECOND


@pytest.mark.parametrize("place", PLACES)
def test_a_page_of_html_is_no_other_answer(north, west, place):
    """T12, T13."""
    refusal = Canned(503, HTML, {"Retry-After": "60"}, content_type="text/html")
    report, next_try = meets(north, west, place, refusal)

    assert next_try == north.clock() + 60 * SECOND
    assert "<" not in report.error.problem


def test_two_headers_are_read_as_the_longer_one(north, west):
    def raw(out):
        out.write(b"HTTP/1.1 503 Busy\r\nRetry-After: 30\r\nRetry-After: 90\r\nContent-Length: 0\r\n\r\n")

    _, next_try = meets(north, west, "the page of a pull", Canned(raw=raw))

    assert next_try == north.clock() + 90 * SECOND


@pytest.mark.parametrize("failures", [1, 8])
def test_our_own_back_off_is_never_cut_short(failures):
    """A partner that always says one second is not asked every second."""
    assert rounds.wait_after("west/indicators/in", failures, 1.0) == rounds.wait_after(
        "west/indicators/in", failures, None
    )


@given(
    st.text()
    | st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,3} [A-Z][a-z]{2} [0-9]{1,6} [0-9:]{0,9} [+-]?[0-9A-Z]{0,9}")
)
@example("Sat, 21 Nov 2026 12:00:30 +99999999")
@example("Sat, 21 Nov 99999 12:00:30 GMT")
@example(",")
@example("-" * 1000)
def test_no_text_is_more_than_an_hour_or_an_error(text):
    found = retry_after_seconds({"Retry-After": text}, now=NOON)

    assert found is None or 0.0 <= found <= LONGEST_WAIT_SECONDS
