"""node/taxii/compression.py: gzip for those who ask for it, and the plain bytes for everybody else."""

import gzip

import pytest

from node.taxii.compression import LONGEST_HEADER, SHORTEST, compressed, wanted
from tests.support.builders import an_indicator
from tests.support.served import a_served


@pytest.mark.parametrize(
    "header",
    [
        "gzip",
        "GZIP",
        "x-gzip",
        "gzip, deflate",
        "deflate, gzip;q=1.0, *;q=0.5",
        "gzip ; q=0.001",
        "*",
        "identity;q=0, *;q=0.1",
        "identity;q=0.5, gzip",
        "gzip;q=0.5, identity;q=0.5",
        "br, gzip",
    ],
)
def test_who_takes_gzip_gets_it(header):
    assert wanted(header)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "identity",
        "deflate, br",
        "gzip;q=0",
        "gzip;q=0.000, *",
        "*;q=0",
        "identity, gzip;q=0.5",
        "gzip;q=2",
        "gzip;q=x",
        "gzip;q=",
        "gzip;q=-1",
        "notgzip",
        "identity;q=0",
        "gzip" + " " * LONGEST_HEADER,
    ],
)
def test_everybody_else_gets_the_plain_bytes(header):
    assert not wanted(header)


def test_the_same_body_gives_the_same_bytes():
    body = b'{"objects":[]}' * 500

    assert gzip.decompress(compressed(body)) == body
    assert compressed(body) == compressed(body)
    assert len(compressed(body)) < len(body) / 10


# --- in answers


@pytest.fixture
def node(sqlite_database, tmp_path):
    node = a_served(sqlite_database, tmp_path)
    node.admit([an_indicator(f"number {number}") for number in range(20)])
    return node


def test_a_page_in_gzip_is_the_same_page(node):
    soc = node.soc()

    plain = soc.get("indicators/objects/")
    packed = soc.get("indicators/objects/", headers={"Accept-Encoding": "gzip, deflate"})

    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) == len(packed.data) < len(plain.data)
    assert gzip.decompress(packed.data) == plain.data
    assert packed.content_type == plain.content_type
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept, Accept-Encoding, Authorization"


def test_what_is_short_or_an_error_goes_plain(node):
    soc = node.soc()
    asking = {"Accept-Encoding": "gzip"}

    for path in ("/api/", "nowhere/"):
        found = soc.get(path, headers=asking)
        assert len(found.data) < SHORTEST
        assert "Content-Encoding" not in found.headers
        assert found.json


def test_the_head_of_a_page_is_that_of_the_page_in_gzip_too(node):
    soc = node.soc()

    for asking in ({}, {"Accept-Encoding": "gzip"}):
        page = soc.send("GET", "indicators/objects/", headers=asking)
        head = soc.send("HEAD", "indicators/objects/", headers=asking)
        assert head.data == b""
        own = {"X-Request-Id"}
        assert {n: v for n, v in head.headers.items() if n not in own} == {
            n: v for n, v in page.headers.items() if n not in own
        }
