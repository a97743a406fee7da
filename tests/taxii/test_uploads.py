"""node/taxii/uploads.py: a body has time, but not for ever, and bodies leave room for readers."""

import io

import pytest

from node.taxii.protocol import RequestRefused
from node.taxii.uploads import PATIENCE_SECONDS, PIECE, SLOWEST, Uploads


class Dripping:
    """A body whose every piece takes so long; seconds pass on its own clock alone."""

    def __init__(self, body, seconds):
        self.left = io.BytesIO(body)
        self.seconds = seconds
        self.now = 1.0

    def __call__(self):
        return self.now

    def read(self, size):
        self.now += self.seconds
        return self.left.read(size)


def read_all(upload, size=1 << 20):
    pieces = []
    while piece := upload.read(size):
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("size", [1, 100, PIECE, PIECE + 1, 1 << 20])
def test_a_body_comes_whole_whatever_is_asked_at_once(size):
    body = bytes(range(256)) * 9

    assert read_all(Uploads(1).of(io.BytesIO(body)), size) == body


def test_no_more_is_read_than_was_asked():
    upload = Uploads(1).of(io.BytesIO(b"abcdef"))

    assert [upload.read(4), upload.read(4), upload.read(4)] == [b"abcd", b"ef", b""]


def test_a_body_that_comes_too_slowly_is_refused_while_it_comes():
    drip = Dripping(b"x" * 100 * PIECE, seconds=PATIENCE_SECONDS / 2)

    with pytest.raises(RequestRefused) as refusal:
        read_all(Uploads(1, drip).of(drip))

    assert refusal.value.status == 408
    assert drip.left.tell() <= 4 * PIECE


def test_a_long_body_has_as_long_as_its_length_needs():
    drip = Dripping(b"x" * 1000 * PIECE, seconds=PIECE / SLOWEST)  # much longer than the patience, in all

    assert len(read_all(Uploads(1, drip).of(drip))) == 1000 * PIECE
    assert drip.now > 3 * PATIENCE_SECONDS


def test_one_body_too_many_is_asked_to_come_again():
    uploads = Uploads(2)
    under_way = [uploads.of(io.BytesIO(b"x" * 9)) for _ in range(2)]
    for each in under_way:
        each.read(1)

    with pytest.raises(RequestRefused) as refusal:
        uploads.of(io.BytesIO(b"x")).read(1)

    assert (refusal.value.status, refusal.value.headers["Retry-After"]) == (503, "5")
    under_way[0].close()
    assert uploads.of(io.BytesIO(b"x")).read(1) == b"x"


def test_a_body_gives_its_place_back_once():
    uploads = Uploads(1)

    for _ in range(3):
        upload = uploads.of(io.BytesIO(b"x"))
        assert read_all(upload) == b"x"
        upload.close()
        upload.close()


def test_a_request_whose_body_is_not_read_takes_no_place():
    uploads = Uploads(1)

    unread = [uploads.of(io.BytesIO(b"x")) for _ in range(5)]
    for each in unread:
        each.close()

    assert uploads.of(io.BytesIO(b"y")).read(1) == b"y"
