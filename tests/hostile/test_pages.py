"""Pages that never end, lead in circles, or are none: a round ends, says why, and the next one goes on."""

from __future__ import annotations

import itertools
import json
import threading

import pytest
from taxii2client.v21 import Collection, as_pages

from node.errors import PartnerRefused, PartnerUnreachable
from node.sync.connection import Patience
from node.sync.listing import Limits
from node.sync.reports import Stop
from tests.hostile.bombs import DATES, head, raw
from tests.hostile.stand import GOOD, page
from tests.support.partner import COLLECTION, MEDIA, Canned

SHORT = Patience(connect=5, read=5, whole=0.3)


def test_h1_fresh_objects_without_end_end_with_the_run_and_the_next_goes_on(stand, west):
    """H1: at the limit of the run, with all that came stored, and no failure noted."""
    west.next_style = "endless"
    first = stand.round(limits=Limits(pages=5))
    second = stand.round(limits=Limits(pages=5))

    assert (first.stopped, second.stopped) == (Stop.RUN_LIMIT, Stop.RUN_LIMIT)
    assert "there is more" in first.detail
    assert len(stand.held()) == first.outcomes["stored"] + second.outcomes["stored"] == 20
    assert stand.state().failures == 0
    stand.converges()


def test_h2_the_same_next_again_and_again_is_left_and_told(stand, west):
    """H2, PEER-7: two requests, and `status` says why."""
    west.hold(*GOOD[:3])
    west.next_style = "same"
    report = stand.round()

    assert (report.stopped, len(west.pages_asked())) == (Stop.NO_PROGRESS, 2)
    assert "the same page" in stand.state().last_error
    assert stand.state().next_try > stand.north.clock()
    stand.converges()


def test_h3_more_without_a_way_on_is_left_and_told(stand, west):
    """H3: neither `next` nor dates; what came is kept and the bookmark does not move."""
    west.hold(*GOOD)
    west.page_most, west.next_style, west.date_headers = 2, "none", False
    report = stand.round()

    assert (report.stopped, len(stand.held()), stand.bookmark()) == (Stop.NO_PROGRESS, 2, None)
    assert "there is more" in stand.state().last_error
    stand.converges()


@pytest.mark.parametrize("word", ["x" * 4_097, "\\r\\n" * 3_000], ids=["long", "long in escapes"])
def test_h4_a_next_beyond_all_measure_is_not_used(stand, west, word):
    """H4: one request, nothing stored."""
    body = b'{"more":true,"next":"' + word.encode() + b'","objects":[' + GOOD[0] + b"]}"
    report = stand.answered(Canned(body=body))

    assert isinstance(report.error, PartnerRefused)
    assert (len(west.requests), stand.held(), stand.bookmark()) == (1, [], None)
    assert len(stand.state().last_error) < 300
    stand.converges()


@pytest.mark.parametrize(
    "word", ["1&match[id]=x", "1\r\nX-Evil: 1", "../../status/", "#", "?a=b", "\x00", "ⅷ", "%0d%0a", " "]
)
def test_h4_a_next_of_any_text_stays_one_parameter(stand, west, word):
    """H4: it is sent back encoded, as what it is."""
    report = stand.answered(page(GOOD[0], more=True, next=word), page(GOOD[1]))
    second = west.pages_asked()[1]

    assert report.error is None
    assert second.query["next"] == [word]
    assert second.path == west.pages_asked()[0].path
    assert set(second.query) == {"next", "limit", "match[version]", "match[spec_version]"}
    assert "x-evil" not in second.headers
    stand.converges()


def test_h5_an_answer_larger_than_we_take_is_asked_for_in_smaller_ones(stand, west):
    """H5: and what cannot be had in any size is told as that, with nothing stored."""
    west.hold(*GOOD)
    small = stand.round(patience=Patience(most_bytes=1_000))
    limits = [int(one.query["limit"][0]) for one in west.pages_asked()]

    assert (small.error, len(stand.held())) == (None, len(GOOD))
    assert limits[:5] == [1000, 250, 62, 15, 3]
    none = stand.answered(*[page(GOOD[0]) for _ in range(6)], patience=Patience(most_bytes=10))
    assert "more than 10 bytes" in none.error.problem
    stand.converges()


@pytest.mark.parametrize(
    ("coding", "status"),
    [("gzip", 200), ("x-gzip", 500), ("br", 302), ("zstd", 200), ("gzip, gzip", 500)],
)
def test_h6_a_coding_is_refused_before_a_byte_of_the_body_is_read(stand, coding, status):
    """H6: in a good answer, a redirect, or an error; the body that is announced never comes."""
    line = f"Content-Encoding: {coding}"
    report = stand.answered(raw(head(line, "Content-Length: 999", "Location: /api/", status=f"{status} X")))

    assert isinstance(report.error, PartnerRefused)
    assert "which we did not ask for" in stand.state().last_error
    assert stand.held() == []


def slowly(piece):
    """A piece again and again with pauses, until nobody listens."""
    never = threading.Event()
    for _ in range(200):
        yield piece
        never.wait(0.05)


DRIPS = {
    "H8 a body byte by byte": Canned(body=b'{"objects":[]}' + b" " * 5_000, how="drip"),
    "H8 nothing at all": Canned(how="silent"),
    "H8 a head that does not end": raw(b"HTTP/1.1 200 OK\r\n", slowly(b"X-A: b\r\n")),
    "H8 the word 100 again and again": raw(itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n")),
    "H8 chunks without end": raw(head("Transfer-Encoding: chunked"), itertools.repeat(b"1\r\n \r\n")),
    "H8, PEER-28 one byte": raw(b"H"),
}


@pytest.mark.parametrize("how", DRIPS)
def test_h8_an_answer_that_does_not_come_to_its_end_is_given_up(stand, west, how):
    """H8, PEER-28: after the deadline at the latest, as one failure, with a later time for the next try."""
    report = stand.answered(DRIPS[how], patience=SHORT)

    assert isinstance(report.error, PartnerUnreachable)
    assert "no usable answer" in stand.state().last_error
    assert (stand.state().failures, stand.held(), stand.bookmark()) == (1, [], None)
    stand.converges()


BROKEN = {
    "a length too long": raw(head("Content-Length: 99"), b'{"objects":[]}'),
    "a chunk without a size": raw(head("Transfer-Encoding: chunked"), b"zz\r\n{}\r\n"),
    "chunks that break off": raw(head("Transfer-Encoding: chunked"), b"5\r\n{}"),
    "no status": raw(b"hello\r\n\r\n"),
    "a body to the end of the connection that breaks off": raw(head(), b'{"objects":[' + GOOD[0]),
}


@pytest.mark.parametrize("how", BROKEN)
def test_an_answer_that_breaks_off_stores_nothing(stand, how):
    """Also one whose length is told by the end of the connection alone."""
    report = stand.answered(BROKEN[how])

    assert isinstance(report.error, PartnerUnreachable)
    assert (stand.held(), stand.bookmark()) == ([], None)
    stand.converges()


NO_PAGES = {
    "H30 a page for people": Canned(body=b"<html>We are cleaning</html>", content_type="text/html"),
    "H30 that page as TAXII": Canned(body=b"<html>We are cleaning</html>"),
    "H30 a page as text": Canned(body=page(GOOD[0]).body, content_type="text/html"),
    "H30 a page of no type": Canned(body=page(GOOD[0]).body, content_type=None),
    "H30 a list": Canned(body=b"[" + GOOD[0] + b"]"),
    "H30 null": Canned(body=b"null"),
    "H30 nothing": Canned(body=b""),
    "H30 in UTF-16": Canned(body=page(GOOD[0]).body.decode().encode("utf-16")),
    "H30 a byte order mark": Canned(body=b"\xef\xbb\xbf" + page(GOOD[0]).body),
    "H30 two lists of objects": Canned(body=b'{"objects":[' + GOOD[0] + b'],"objects":[]}'),
    "H30 204": raw(f"HTTP/1.1 204 No Content\r\nContent-Type: {MEDIA}\r\n\r\n".encode()),
}


@pytest.mark.parametrize("how", NO_PAGES)
def test_h30_what_is_not_a_page_is_no_answer(stand, how):
    """H30: 200 says nothing."""
    report = stand.answered(NO_PAGES[how])

    assert isinstance(report.error, PartnerUnreachable)
    assert "nothing was stored" in report.error.problem
    assert (stand.held(), stand.bookmark(), stand.state().failures) == ([], None, 1)
    stand.converges()


def test_a_run_of_failures_is_a_state_that_a_person_sees(stand, west):
    """H30: three in a row are called failing, with the cause; one good round ends that."""
    for _ in range(3):
        stand.answered(NO_PAGES["H30 a page for people"])
    told = stand.standing().health

    assert told.state.value == "failing"
    assert "text/html" in stand.state().last_error
    stand.converges()


def test_the_dates_of_a_page_cannot_move_the_bookmark_back(stand, west):
    """H31: nor does text that is no date, or one of any length."""
    west.hold(*GOOD)
    stand.round()
    before = stand.bookmark()
    for text in ("2001-01-01T00:00:00.000000Z", "2" * 100, "\x01"):
        answer = raw(head(f"X-TAXII-Date-Added-Last: {text}", "Content-Length: 2"), b"{}")
        assert stand.answered(answer).error is None
        assert stand.bookmark() == before
    assert DATES.startswith("X-TAXII")
    stand.converges()


def test_control_the_pages_of_the_library_go_on_for_ever(west):
    """H2, H3: so our own walk is needed; the same page is asked for as long as somebody takes it."""
    west.hold(*GOOD)
    west.page_most, west.next_style, west.date_headers = 2, "none", False
    collection = Collection(f"{west.api_root}collections/{COLLECTION}/")
    pages = list(itertools.islice(as_pages(collection.get_objects, per_request=2), 7))
    collection.close()

    assert len({json.dumps(each, sort_keys=True) for each in pages}) == 1
    assert len(west.pages_asked()) == 7
