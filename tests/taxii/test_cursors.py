"""node/taxii/cursors.py: a token says where the walk stands, and cannot be bent."""

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.taxii.cursors import Scope, make_next, read_next
from node.taxii.protocol import RequestRefused

SECRET = b"s" * 32
SCOPE = Scope(place="collection", epoch="e1", filters=b"f", visibility="4 ")


def refusal_of(token, scope=SCOPE, secret=SECRET):
    with pytest.raises(RequestRefused) as refusal:
        read_next(token, scope, secret)
    return refusal.value


@given(st.integers(-(2**63), 2**63 - 1))
def test_the_position_comes_back(position):
    assert read_next(make_next(position, SCOPE, SECRET), SCOPE, SECRET) == position


@pytest.mark.parametrize(
    "other",
    [
        replace(SCOPE, place="another"),
        replace(SCOPE, epoch="e2"),
        replace(SCOPE, filters=b"g"),
        replace(SCOPE, visibility="0 "),
    ],
    ids=["place", "epoch", "filters", "visibility"],
)
def test_a_token_holds_for_its_own_walk_alone(other):
    assert refusal_of(make_next(1, SCOPE, SECRET), other).status == 400


def test_a_token_of_another_key_is_refused():
    assert refusal_of(make_next(1, SCOPE, SECRET), secret=b"t" * 32).status == 400


@given(st.integers(0, 47), st.integers(1, 255))
def test_a_token_with_any_byte_changed_is_refused_T_PAGE_9(at, change):
    raw = bytearray(base64.urlsafe_b64decode(make_next(1_795_262_400_000_000, SCOPE, SECRET)))
    raw[at] ^= change

    assert refusal_of(base64.urlsafe_b64encode(bytes(raw)).decode()).status == 400


@given(st.text(max_size=90))
def test_text_that_is_no_token_is_refused_T_PAGE_9(text):
    assert refusal_of(text).status == 400


def test_the_refusal_says_how_to_start_again():
    assert "added_after" in refusal_of("x").remedy
    other = refusal_of(make_next(1_795_262_400_000_000, SCOPE, SECRET), replace(SCOPE, filters=b"g"))
    assert "added_after=2026-11-21T12:00:00.000000Z" in other.remedy


def test_after_a_restore_the_collection_is_to_be_read_from_the_start():
    refusal = refusal_of(make_next(1, SCOPE, SECRET), replace(SCOPE, epoch="e2"))

    assert (refusal.code, "from the start" in refusal.remedy) == ("other_epoch", True)
