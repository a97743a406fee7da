"""Bombs: whatever comes, one worker that lives through all of it stays below 250 MiB, and goes on."""

from __future__ import annotations

import itertools

import pytest

from tests.hostile.bombs import MIB, chunked, gzipped, head, of_size, raw
from tests.hostile.processes import MOST, Worker
from tests.support.builders import an_indicator
from tests.support.partner import Canned, simulated_partner

PAGE = 15 * MIB
GOOD = [an_indicator(n) for n in range(5)]
LARGE = an_indicator("large", description="x" * (MIB - 1000))
OTHER = an_indicator("other", description="y" * (MIB - 1000))
LONG = b'{"type":"indicator","id":"indicator--2d086da7-4bdc-4f91-900e-d77486753710","x":"'
DIGITS = b'{"type":"indicator","n":' + b"9" * 5_000 + b"}"


def endless(piece):
    """An answer that says no length and never ends."""
    body = chunked(itertools.chain([b'{"objects":['], itertools.repeat(piece)))
    return raw(head("Transfer-Encoding: chunked"), body)


def listing(filling, size, after=b"{}]}"):
    return of_size(b'{"objects":[', filling, after, size)


def properties(count):
    pairs = b",".join(b'"p%d":%d' % (n, n) for n in range(count))
    return Canned(body=b'{"objects":[{"type":"indicator",' + pairs + b"}]}")


def coded(coding, status=200, headers=None):
    return Canned(status, gzipped(31 * MIB), {"Content-Encoding": coding, **(headers or {})})


def in_pages():
    """A small page, and two that are as large as they may be."""
    first = b'{"more":true,"next":"1","objects":[' + GOOD[0] + b"]}"
    second = of_size(b'{"more":true,"next":"2","objects":[', LARGE + b",", GOOD[1] + b"]}", PAGE)
    third = of_size(b'{"objects":[', OTHER + b",", GOOD[2] + b"]}", PAGE)
    return [Canned(body=first), second, third]


# To which direction it is answered, what, and words of what becomes of it.
BOMBS = {
    # A page that is too large is asked for with a smaller limit, down to one object.
    "H5 an object without end": (
        "in",
        lambda: [endless(b"x" * 65_536) for _ in range(6)],
        "more than 16777216 bytes",
    ),
    "H5 an object of 1 GB": (
        "in",
        lambda: [raw(head("Content-Length: 1000000000"), LONG)] * 6,
        "more than 16777216 bytes",
    ),
    "H5 ten million objects": ("in", lambda: [listing(b"{},", PAGE)], "more than 50,000 entries"),
    "H5 a hundred thousand objects": ("in", lambda: [listing(b"{},", 390_000)], "more than 50,000 entries"),
    "H5 pages as large as they may be": ("in", in_pages, "'stored': 5"),
    "H5 one object of 15 MB": (
        "in",
        lambda: [of_size(b'{"objects":[' + LONG, b"x", b'"}]}', PAGE)],
        "'quarantined': 1",
    ),
    "H5 half a million properties": ("in", lambda: [properties(500_000)], "'refused': 1"),
    "H5 an envelope of a million properties": (
        "in",
        lambda: [of_size(b"{", b'"a":1,', b'"b":1}', 8 * MIB)],
        "beside its objects",
    ),
    "H5 ten million lists beside the objects": (
        "in",
        lambda: [of_size(b'{"x":[', b"[],", b'[]],"objects":[]}', PAGE)],
        "beside its objects",
    ),
    "H4 a next of ten million lists": (
        "in",
        lambda: [of_size(b'{"more":true,"next":[', b"[],", b"[]]}", PAGE)],
        "it was not used",
    ),
    "H4 a next of 10 MB": (
        "in",
        lambda: [of_size(b'{"more":true,"next":"', b"x", b'"}', 10 * MIB)],
        "it was not used",
    ),
    "H7 a hundred thousand levels": (
        "in",
        lambda: [of_size(b'{"objects":[', b"[", b"", 100_000)],
        "not a TAXII envelope",
    ),
    "H7 integers of 5,000 digits": ("in", lambda: [listing(DIGITS + b",", 5 * MIB)], "'refused': 1"),
    "H6 gzip": ("in", lambda: [coded("gzip")], "we did not ask for"),
    "H6 in an error": ("in", lambda: [coded("br", 500)], "we did not ask for"),
    "H6 in a redirect": ("in", lambda: [coded("zstd", 302, {"Location": "/api/"})], "we did not ask for"),
    "H8 headers without end": (
        "in",
        lambda: [
            raw(b"HTTP/1.1 200 OK\r\n", (b"X-%d: %s\r\n" % (n, b"x" * 60_000) for n in itertools.count()))
        ],
        "100 headers",
    ),
    "H8 one header without end": (
        "in",
        lambda: [raw(b"HTTP/1.1 200 OK\r\nX:", itertools.repeat(b"x" * 65_536))],
        "header line",
    ),
    "H5 a collection of ten million lists": (
        "out",
        lambda: [of_size(b'{"id":[', b"[],", b"[]]}", PAGE)],
        "more than 500,000 values",
    ),
    "H5 an error without end": (
        "in",
        lambda: [
            raw(head("Transfer-Encoding: chunked", status="500 X"), chunked(itertools.repeat(b"x" * 65_536)))
        ],
        "with 500",
    ),
}


def sent_by(_report, west):
    """How many objects have reached the partner."""
    return sum(len(ids) for ids in west.posts())


@pytest.fixture
def hit(sqlite_database):
    path = sqlite_database.url.removeprefix("sqlite:///")
    with simulated_partner() as west:
        worker = Worker(path, west.api_root)
        yield west, worker
        worker.end()


def test_no_bomb_takes_more_memory_than_a_worker_may_have(hit):
    """H1, H4, H5, H6, H7, H8: one process takes all of them, then what a sound partner offers."""
    west, worker = hit
    found = {}
    for name, (direction, bomb, words) in BOMBS.items():
        west.answer_next(*bomb())
        found[name] = worker.round(direction)
        west.canned.clear()
        told = f"{found[name]['error']} {found[name]['outcomes']}"
        assert words in told, f"{name}: {told}"
    west.next_style = "endless"
    endless = worker.round("in")
    west.next_style = "offset"
    west.hold(*GOOD)
    after = worker.round("in")

    assert {name: one["memory"] // MIB for name, one in found.items() if one["memory"] >= MOST} == {}
    assert (endless["stopped"], after["memory"] < MOST, after["threads"]) == ("run_limit", True, 1)
    assert (after["error"], after["stopped"]) == (None, None)
    assert (after["outcomes"]["stored"], after["outcomes"].get("duplicate", 0)) == (2, 3)
    assert sent_by(worker.round("out"), west) == 3


def test_control_the_memory_of_a_worker_that_reads_everything_is_seen(hit):
    """An answer within all limits is in the measure."""
    west, worker = hit
    before = worker.start
    west.answer_next(of_size(b'{"objects":[' + LONG, b"x", b'"}]}', PAGE))

    assert worker.round("in")["memory"] - before > 2 * PAGE
