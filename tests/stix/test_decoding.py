"""node/stix/decoding.py: JSON that every reader understands alike, or a refusal."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import InvalidObject
from node.stix.decoding import MAX_DEPTH, decode, readable_id, shown
from node.stix.digest import canonical
from tests.support.builders import an_id, an_indicator

texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)
objects = st.dictionaries(texts, values, max_size=5)


def nested(levels, opening=b'{"a":', closing=b"}"):
    """Levels in all, the outermost object included."""
    return b'{"x":' + opening * (levels - 2) + b"{}" + closing * (levels - 2) + b"}"


@given(objects, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_what_was_encoded_is_decoded_with_its_canonical_form(value, ascii_only, indent):
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()

    assert decode(body) == (value, canonical(value))


@given(objects, texts, values, values, st.booleans(), st.booleans())
def test_a_key_that_occurs_twice_is_always_noticed(value, name, one, other, ascii_only, deep):
    """S-JSON-3: unique keys, in every mode of validation."""
    pairs = [
        json.dumps(key, ensure_ascii=ascii_only) + ": " + json.dumps(item) for key, item in value.items()
    ]
    twice = [json.dumps(name) + ":" + json.dumps(item) for item in (one, other)]
    text = "{" + ",".join([twice[0], *pairs, twice[1]]) + "}"
    body = f'{{"outer":[1,{text}]}}' if deep else text

    with pytest.raises(InvalidObject, match="occurs twice"):
        decode(body.encode())


def test_a_key_that_is_written_with_an_escape_is_the_same_key():
    with pytest.raises(InvalidObject, match="'name' occurs twice"):
        decode(rb'{"name":"a","\u006eame":"b"}')


def test_a_lost_key_cannot_hide_behind_an_escape_that_becomes_longer():
    with pytest.raises(InvalidObject, match="occurs twice"):
        decode(b'{"a":1e5,"b":1E5,"c":1E9,"c":1e9}')


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e400}',
        b'{"a":-1E+999}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\ud800 and more"}',
        b'{"a":"\\udc00\\ud800"}',
        b'{"\\ud800":1}',
        b'{"a":"\xff"}',
        b'{"\xed\xa0\x80":1}',
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b'{"a":01}',
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a":"\n"}',
        b"{} {}",
        b"{}x",
        b'{"a":' + b"7" * 5000 + b"}",
    ],
)
def test_what_is_not_json_in_utf_8_is_refused(body):
    """S-JSON-3: UTF-8, no NaN, no Infinity."""
    with pytest.raises(InvalidObject, match="is not JSON in UTF-8"):
        decode(body)


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"1", b"1.5", b"true"])
def test_what_is_not_an_object_is_refused(body):
    with pytest.raises(InvalidObject, match="not a JSON object"):
        decode(body)


@pytest.mark.parametrize(
    "body",
    [b'{"a":"x\\u0000"}', b'{"\\u0000":1}', b'{"a":[{"b":"\\\\\\u0000"}]}', b'{"a":"\\u0000","b":1.5}'],
)
def test_the_character_nul_is_refused(body):
    with pytest.raises(InvalidObject, match="character NUL"):
        decode(body)


def test_a_written_backslash_before_u0000_is_not_nul():
    assert decode(rb'{"a":"\\u0000"}')[0] == {"a": r"\u0000"}


def test_an_integer_of_400_digits_is_kept_exactly():
    digits = b"7" * 400

    assert decode(b'{"a":' + digits + b"}") == ({"a": int(digits)}, b'{"a":' + digits + b"}")


@pytest.mark.parametrize("brackets", [(b'{"a":', b"}"), (b"[", b"]")], ids=["objects", "lists"])
def test_the_last_level_is_taken_and_the_next_is_not(brackets):
    decode(nested(MAX_DEPTH, *brackets))

    with pytest.raises(InvalidObject, match="deeper than 64 levels"):
        decode(nested(MAX_DEPTH + 1, *brackets))


def test_many_brackets_on_few_levels_are_taken():
    body = json.dumps({"a": [[{}]] * 500, "text": "[" * 500}).encode()

    assert decode(body)[0]["text"] == "[" * 500


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_a_hundred_thousand_levels_are_refused_at_once(opening):
    started = time.process_time()

    with pytest.raises(InvalidObject, match="deeper than 64 levels"):
        decode(b'{"a":' + opening * 100_000)
    assert time.process_time() - started < 1


def test_a_body_at_the_limit_is_taken_and_a_longer_one_is_not():
    body = b'{"a":"' + b"x" * 92 + b'"}'
    decode(body, 100)

    with pytest.raises(InvalidObject, match="has 101 bytes, and at most 100 are taken"):
        decode(body + b" ", 100)


def test_a_refusal_names_the_object_when_its_id_can_be_read():
    body = an_indicator().replace(b'"pattern"', b'"x":1e400,"pattern"')

    with pytest.raises(InvalidObject) as refusal:
        decode(body)
    assert refusal.value.object_id == an_id("indicator")
    assert refusal.value.problem.startswith(an_id("indicator"))
    assert refusal.value.remedy


@pytest.mark.parametrize(
    "body", [b"", b"[", b'{"id":1}', b'{"id":"x"}', b'{"id":"<b>--"}', b'{"a":' + b"[" * 9999]
)
def test_an_id_that_cannot_be_shown_is_none(body):
    assert readable_id(body) is None


@pytest.mark.parametrize("value", ["x" * 500, "\x1b[31m\u202e" * 50, ["x"] * 500, 10**4000])
def test_a_value_is_shown_short_and_without_control_characters(value):
    text = shown(value)

    assert len(text) <= 80
    assert text.isprintable()
