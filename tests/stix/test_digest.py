"""node/stix/digest.py: one digest for one content."""

import hashlib
import json
import math
import struct

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from node.stix.digest import canonical, canonical_without_floats, digest_of, digest_text, parse_digest_text

EVERY_CHARACTER = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_the_form_is_that_of_rfc_8785(value):
    assert canonical(value) == rfc8785.dumps(value)


@given(st.integers(0, 2**64 - 1))
def test_every_double_is_written_as_ecmascript_writes_it(bits):
    number = struct.unpack("<d", bits.to_bytes(8, "little"))[0]
    number = number if math.isfinite(number) else 0.0

    assert canonical([number]) == rfc8785.dumps([number])


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1.0, "1"),
        (-0.0, "0"),
        (1e21, "1e+21"),
        (1e20, "100000000000000000000"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e300, "1.5e+300"),
        (-123.456, "-123.456"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (333333333.33333329, "333333333.3333333"),
    ],
)
def test_a_float_has_the_shortest_form(number, text):
    assert canonical(number) == text.encode()


def test_every_character_is_escaped_as_rfc_8785_asks():
    assert canonical_without_floats(EVERY_CHARACTER) == rfc8785.dumps(EVERY_CHARACTER)
    assert canonical([EVERY_CHARACTER, 0.5]) == rfc8785.dumps([EVERY_CHARACTER, 0.5])


def test_keys_are_sorted_by_utf_16_units():
    value = {"\U0001f600": 1, "\ue000": 2, "a": 3}

    assert list(json.loads(canonical(value))) == ["a", "\U0001f600", "\ue000"]
    assert canonical_without_floats(value) == canonical(value)


@pytest.mark.parametrize("number", [2**53 + 1, 2**64, -(10**30), 10**399 + 7])
def test_integers_of_any_size_are_exact(number):
    assert canonical({"n": number}) == b'{"n":%d}' % number
    assert canonical({"n": number, "f": 0.5}) == b'{"f":0.5,"n":%d}' % number


def test_neighbouring_large_integers_differ():
    assert digest_of(9007199254740992) != digest_of(9007199254740993)


def test_a_whole_float_and_the_integer_are_one_content():
    assert digest_of({"n": 100.0}) == digest_of({"n": 100})


def test_the_order_of_properties_does_not_matter():
    assert digest_of({"a": 1, "b": [2, {"d": 1.5, "c": 2}]}) == digest_of(
        {"b": [2, {"c": 2, "d": 1.5}], "a": 1}
    )


def test_a_default_that_is_written_counts():
    """S-VER-8: decided otherwise in design.md section 13, where defaults are hashed."""
    assert digest_of({"revoked": False}) != digest_of({})


def test_true_and_one_are_not_one_content():
    assert digest_of([True]) != digest_of([1])


def test_the_digest_is_the_sha_256_of_the_form():
    assert digest_of({"b": 1, "a": "é"}) == hashlib.sha256('{"a":"é","b":1}'.encode()).digest()


@pytest.mark.parametrize("value", [math.nan, [math.inf], "\ud800", {"\udfff": 1.5}, {"a": ["\udfff", 1.5]}])
def test_what_has_no_form_is_refused(value):
    with pytest.raises(ValueError):  # noqa: PT011 - UnicodeEncodeError and our own
        digest_of(value)


@pytest.mark.parametrize("value", [{1: 1}, b"a", {"a": {2}}, (1, 2)])
def test_what_is_not_json_is_refused(value):
    with pytest.raises(TypeError):
        digest_of(value)


def test_the_text_of_a_digest_can_be_read_back():
    digest = digest_of({})

    assert digest_text(digest) == "d1:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert parse_digest_text(digest_text(digest)) == digest


@pytest.mark.parametrize(
    "text", ["", "d1:", "d2:" + "0" * 64, "d1:" + "0" * 63, "d1:" + "A" * 64, "0" * 64 + "\n"]
)
def test_another_text_is_no_digest(text):
    with pytest.raises(ValueError, match="is not a digest"):
        parse_digest_text(text)
