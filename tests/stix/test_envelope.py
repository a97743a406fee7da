"""node/stix/envelope.py: objects in and out of their containers, byte for byte."""

import json
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import InvalidObject
from node.stix.envelope import join, salvage, split, split_stream
from tests.support.builders import a_malware, an_id, an_indicator, an_ipv4

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)
spaces = st.text(" \t\r\n", max_size=3)
ODD = b'{"id" : "x", "n":1.50, "e":1e5,"s":"\\u00e9 \xe2\x80\xa8 ]}, {[ \\" \\\\"}'


def pieces(body, size):
    return [body[at : at + size] for at in range(0, len(body), size)]


def a_bundle(*bodies, head=b'"type":"bundle","id":"bundle--1",', tail=b""):
    return b"{" + head + b'"objects":[' + b",".join(bodies) + b"]" + tail + b"}"


def both(body):
    """The two cutters must agree on every container."""
    whole = split(body)
    assert list(split_stream(pieces(body, 7))) == whole
    return whole


@given(
    st.lists(st.tuples(values, st.booleans(), st.sampled_from([None, 1])), max_size=5),
    spaces,
    st.integers(1, 40),
)
def test_every_entry_comes_out_as_the_bytes_it_went_in(entries, space, size):
    bodies = [
        json.dumps(value, ensure_ascii=escaped, indent=indent).encode() for value, escaped, indent in entries
    ]
    gap = space.encode()
    body = gap + b'{"more":false,' + gap + b'"objects"' + gap + b":" + gap + b"["
    body += (gap + b"," + gap).join(bodies) + gap + b"]" + gap + b',"x":[1,{}]' + gap + b"}" + gap

    assert split(body) == bodies
    assert list(split_stream(pieces(body, size))) == bodies


def test_spacing_escapes_and_number_forms_are_kept():
    """S-VER-7"""
    assert both(a_bundle(ODD, an_indicator(), ODD)) == [ODD, an_indicator(), ODD]


def test_what_was_joined_is_split_into_the_same_bodies():
    bodies = [an_indicator(1), ODD, an_ipv4()]

    assert both(join(bodies, more=True, next='a"b')) == bodies


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b' { "more" : false } ',
        b'{"type":"bundle","id":"bundle--1"}',
        b'{"objects":[]}',
        b'{"objects": [ ] }',
    ],
)
def test_a_container_without_objects_has_none(body):
    assert both(body) == []


def test_entries_that_are_no_objects_are_handed_on_as_they_are():
    assert both(b'{"objects":[1, "a" ,null,[2],-1.5e3]}') == [b"1", b'"a"', b"null", b"[2]", b"-1.5e3"]


def test_the_list_may_come_before_the_type():
    assert both(b'{"objects":[{"a":1}],"type":"bundle"}') == [b'{"a":1}']


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"[]",
        b"1",
        b'"objects"',
        b"{",
        b'{"objects":[',
        b'{"objects":[{"a":1}',
        b'{"objects":[{"a":1}]',
        b'{"objects":[{"a":1},]}',
        b'{"objects":[,{"a":1}]}',
        b'{"objects":[{"a":1} {"a":2}]}',
        b'{"objects":[{"a":1}]}}',
        b'{"objects":[]} {}',
        b'{"objects":[],"objects":[]}',
        b'{"objects":[1],"obj\\u0065cts":[2]}',
        b'{"objects":[],"more":true,"more":false}',
        b'{"more":1,"more":12,"objects":[]}',
        b'{"objects":null}',
        b'{"objects":1}',
        b'{"objects":"[]"}',
        b'{"objects":[],"next":nul}',
        b'{"objects":[],"next":"\xff"}',
        b'{"objects":[] "next":"a"}',
        b"{objects:[]}",
        b'{"objects":[{"a":1}],"type":"report"}',
        b"\xef\xbb\xbf{}",
    ],
)
def test_what_is_no_container_is_refused_by_both_cutters(body):
    with pytest.raises(InvalidObject) as refusal:
        split(body)
    assert refusal.value.remedy
    with pytest.raises(InvalidObject):
        list(split_stream([body]))


def test_bytes_that_are_not_utf_8_are_refused_even_inside_an_object():
    with pytest.raises(InvalidObject, match="utf-8"):
        split(a_bundle(b'{"a":"\xff"}'))


def test_a_single_object_is_not_taken_for_an_empty_envelope():
    with pytest.raises(InvalidObject, match="its type is"):
        split(an_indicator())


def test_an_object_nested_too_deep_does_not_take_the_others_with_it():
    deep = b"[" * 100_000 + b"]" * 100_000

    assert split(a_bundle(an_indicator(), deep)) == [an_indicator(), deep]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n\n \n"])
def test_lines_of_objects_are_cut_at_line_ends(end):
    text = b"\n".join([an_indicator(), b"", b'  {"a":"\xe2\x80\xa8\xc2\x85"}\r', an_ipv4()]) + end

    assert list(split_stream(pieces(text, 50))) == [
        an_indicator(),
        b'{"a":"\xe2\x80\xa8\xc2\x85"}',
        an_ipv4(),
    ]


def test_a_file_with_one_object_over_several_lines_is_that_object():
    body = json.dumps(json.loads(an_indicator()), indent=2).encode()

    assert list(split_stream([body, b"\n"])) == [body]


def test_an_observed_data_object_of_stix_2_0_is_no_container():
    body = b'{"type":"observed-data","objects":{"0":{"type":"file"}}}'

    assert list(split_stream([body, b"\n", body])) == [body, body]


@pytest.mark.parametrize("line", [a_bundle(an_ipv4()), join([an_ipv4()])])
def test_a_container_among_lines_is_refused(line):
    with pytest.raises(InvalidObject, match=r"Object 3 .* a bundle or an envelope on a line of its own"):
        list(split_stream([an_indicator() + b"\n" + an_malware_line() + line]))


def an_malware_line():
    return a_malware() + b"\n"


def test_two_objects_on_one_line_are_refused():
    with pytest.raises(InvalidObject, match="is followed on its line by"):
        list(split_stream([an_indicator() + b" " + an_ipv4()]))


@pytest.mark.parametrize("size", [1, 100, 10_000_000])
@pytest.mark.parametrize("kind", ["bundle", "lines"])
def test_an_object_that_is_too_long_is_refused_by_its_number(kind, size):
    bodies = [an_indicator(1), an_indicator(2), an_indicator(3, description="x" * 2000)]
    text = a_bundle(*bodies) if kind == "bundle" else b"\n".join(bodies)
    cut = split_stream(pieces(text, size), max_object_bytes=1500)

    assert [next(cut), next(cut)] == bodies[:2]
    with pytest.raises(InvalidObject, match="Object 3 of the stream is longer than 1,500 bytes"):
        next(cut)


def test_a_first_line_that_is_too_long_is_refused():
    with pytest.raises(InvalidObject, match="Object 1 of the stream is longer than 1,500 bytes"):
        list(split_stream([an_indicator(description="x" * 2000)], max_object_bytes=1500))


def test_a_stream_is_cut_with_one_object_in_memory():
    body = an_indicator(description="x" * 10_000)

    def stream():
        yield b'{"type":"bundle","objects":[' + body
        for _ in range(3000):
            yield b"," + body
        yield b"]}"

    tracemalloc.start()
    count = sum(1 for _ in split_stream(stream()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert count == 3001
    assert peak < 2_000_000


def test_what_came_before_a_break_was_handed_on():
    cut = split_stream([a_bundle(an_indicator(1), an_indicator(2))[:-40]])

    assert next(cut) == an_indicator(1)
    with pytest.raises(InvalidObject, match="breaks off"):
        next(cut)


@pytest.mark.parametrize(
    "entry",
    [b'"' + b"x" * 900_000 + b'"', b'"' + b'\\"' * 400_000 + b'"', b"[" * 400_000 + b"]" * 400_000,
     b"[" + b'"a",' * 200_000 + b"1]", b"1" * 900_000],
    ids=["string", "escapes", "depth", "strings", "digits"],
)  # fmt: skip
def test_a_long_entry_costs_time_in_proportion(entry):
    started = time.process_time()

    assert list(split_stream(pieces(b'{"objects":[' + entry + b"]}", 1000))) == [entry]
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, b"{}"),
        ({"more": True}, b'{"more":true}'),
        ({"more": True, "next": "abc"}, b'{"more":true,"next":"abc"}'),
        ({"next": 'a"\n'}, b'{"next":"a\\"\\n"}'),
    ],
)
def test_an_empty_envelope_leaves_out_what_has_no_value(arguments, text):
    assert join([], **arguments) == text


def test_an_envelope_has_its_properties_in_the_order_of_the_standard():
    assert join([b'{"a":1}'], more=True, next="n") == b'{"more":true,"next":"n","objects":[{"a":1}]}'
    assert join([b'{"a":1}', b'{"b":2}']) == b'{"objects":[{"a":1},{"b":2}]}'


def test_joining_leaves_the_given_list_alone():
    bodies = [an_indicator(), a_malware()]
    join(bodies)

    assert bodies == [an_indicator(), a_malware()]
    assert an_id("indicator").encode() in join(bodies)


@pytest.mark.parametrize("text", [b'{"type":"bundle"', b'{"more":false', b'{"type":"bundle","id":"x"', b"{"])
def test_a_container_that_breaks_off_before_its_list_is_refused(text):
    with pytest.raises(InvalidObject, match="breaks off"):
        list(split_stream([text]))


def test_what_can_be_read_of_an_envelope_is_cut_although_an_entry_is_no_json():
    body = b'{"more":true,"objects":[{"a":NaN},{"a":[1]}, 7 ,{"b":"\xff"}],"next":"2"}'
    members, bodies = salvage(body, most=10)

    assert bodies == [b'{"a":NaN}', b'{"a":[1]}', b"7", b'{"b":"\xff"}']
    assert (members["more"], members["next"]) == (b"true", b'"2"')


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'{"objects":[{"a":1}', b'{"objects":[],"objects":[]}']
)
def test_what_is_no_envelope_is_not_salvaged(body):
    with pytest.raises(InvalidObject):
        salvage(body, most=10)


def test_no_more_entries_are_salvaged_than_are_taken():
    assert len(salvage(b'{"objects":[1,2,3,4,5]}', most=2)[1]) == 3
