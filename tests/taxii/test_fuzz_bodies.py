"""Bodies that no client sends: damaged, of any values, and heavy.

For every answer: no 5xx, nothing that the description does not have, TAXII to the letter (`complaints`).
Nothing is stored unless the answer is 202, what is stored is as it was sent, and memory is bounded.
`FUZZ=n` tries n of each, at random.
"""

from __future__ import annotations

import json
import re
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from node.errors import InvalidObject
from node.stix import envelope
from tests.support.builders import CREATED, an_id, an_indicator
from tests.support.fuzzing import DATABASES, FUZZ, complaints, examples
from tests.support.hostile import KNOWN, OBJECTS, SOUND, TOKENS, Here, cuts, damaged
from tests.support.served import an_envelope, an_exchange

pytestmark = pytest.mark.timeout(300 + FUZZ)


@pytest.fixture(params=DATABASES)
def here(request, tmp_path):
    return Here(an_exchange(request.getfixturevalue(f"{request.param}_database"), tmp_path))


# --- damaged

sound = st.lists(st.sampled_from(SOUND), min_size=1, max_size=3).map(an_envelope)
bodies = st.one_of(
    st.builds(damaged, sound, st.lists(cuts, min_size=1, max_size=4)),
    st.lists(st.sampled_from(TOKENS), max_size=8).map(b"".join),
    st.binary(max_size=60),
)


@examples(240)
@given(body=bodies, who=st.sampled_from(["soc", "soc", "south"]))
@example(body=b"", who="soc")
@example(body=b"\xef\xbb\xbf" + an_envelope(SOUND), who="soc")
def test_a_damaged_body_is_refused_or_stored_as_it_is(here, body, who):
    """T-POST-11, T-POST-13, T-POST-21, T-POST-22: whole or object by object, with words, and never half."""
    answer = here.post(body, who)

    stored = here.new()
    assert complaints(answer) == []
    assert answer.status in (202, 400, 413, 422)
    assert all(one in body for one in stored)
    if answer.status != 202:
        assert stored == []
    else:
        told = answer.json
        assert told["total_count"] == told["success_count"] + told["failure_count"]
        assert len(stored) <= told["total_count"]


json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(-(10**30), 10**30),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_categories=()), max_size=20),
        st.sampled_from([CREATED, an_id("indicator"), "\ud800", "\x00", "9" * 400, "\u2028"]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(
    [
        *("type", "id", "spec_version", "created", "modified", "created_by_ref", "revoked", "labels", "lang"),
        *("confidence", "external_references", "object_marking_refs", "granular_markings", "extensions"),
        *("name", "pattern", "pattern_type", "valid_from", "valid_until", "kill_chain_phases", "x_own"),
    ]
)


@examples(240)
@given(
    changes=st.dictionaries(names, json_values, min_size=1, max_size=3), who=st.sampled_from(["soc", "south"])
)
def test_any_value_of_any_property_is_stored_or_refused_by_name(here, changes, who):
    """T-POST-10, T-POST-13, T-POST-23: the neighbour is stored whatever stands in a property."""
    body = json.dumps({**json.loads(an_indicator("odd", tlp="green")), **changes}).encode()

    answer = here.post(an_envelope([KNOWN[0], body]), who)

    stored = here.new()
    assert complaints(answer) == []
    assert set(stored) <= {body}
    if answer.status != 202:  # half a surrogate pair is no text, so that the whole is no JSON
        assert answer.status == 400, answer.body
        assert re.search(rb"\\ud[89a-f]", body)
        assert stored == []
        return
    assert answer.json["total_count"] == 2
    if answer.json["failure_count"] == 0 and who == "soc" and stored:
        found = here.ask("GET", OBJECTS, query=b"match[version]=all&match[spec_version]=2.0,2.1")
        assert body in found.body


# --- memory

KILOBYTES = 1 << 18
LONG = an_indicator("odd")[:-1]
# What is worst in each way -> how many objects are taken of it.
HEAVY = {
    "brackets": (b"[" * KILOBYTES, 0),
    "braces": (b'{"a":' * (KILOBYTES // 5), 0),
    "an object of brackets": (an_envelope([b"[" * (KILOBYTES // 2) + b"]" * (KILOBYTES // 2)]), 1),
    "digits": (an_envelope([LONG + b',"x_n":' + b"1" * KILOBYTES + b"}"]), 1),
    "exponents": (an_envelope([LONG + b',"x_n":1e-' + b"9" * 1_000 + b"}"] * 100), 100),
    "escapes": (an_envelope([LONG + b',"x_s":"' + b"\\u0041" * (KILOBYTES // 6) + b'"}']), 1),
    "a long id": (an_envelope([b'{"id":"' + b"x" * KILOBYTES + b'"}']), 1),
    "a long type": (b'{"type":"' + b"x" * KILOBYTES + b'"}', 0),
    "a property again and again": (an_envelope([b"{" + b'"a":1,' * (KILOBYTES // 6) + b'"a":1}']), 1),
    "objects of no byte": (an_envelope([b"{}"] * 5_000), 5_000),
    "numbers for objects": (an_envelope([b"1"] * 5_000), 5_000),
    "more numbers than are taken": (an_envelope([b"1"] * 1_000_000), 0),
    "more objects than are taken": (an_envelope([b"{}"] * 1_000_000), 0),
    "more properties than are taken": (
        b'{"objects":[{}],"a' + b'":1,"'.join(b"%d" % n for n in range(900_000)) + b'":1}',
        0,
    ),
}
PER_BYTE, PER_OBJECT, BESIDE = 6, 3_000, 64 << 20  # bytes of memory


def peak_of(here, who, body):
    """(the answer to a body, how much memory it took at most)."""
    here.post(an_envelope([KNOWN[0]]), who)  # what is loaded or made once does not count
    tracemalloc.start()
    try:
        answer = here.post(body, who)
        return answer, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("heavy", HEAVY)
def test_memory_is_bounded_by_the_bytes_and_the_objects_that_are_taken(here, heavy):
    """T-POST-21: and not by how many objects or properties somebody can write into a body.

    Found here: a body of a hundred megabytes that held but `1,1,1` took more than six gigabytes.
    """
    body, taken = HEAVY[heavy]

    answer, peak = peak_of(here, "soc" if taken else "south", body)

    assert complaints(answer) == []
    assert (answer.json["total_count"] if answer.status == 202 else 0) == taken
    assert peak < PER_BYTE * len(body) + PER_OBJECT * taken + BESIDE


def test_a_reader_who_takes_too_much_memory_is_found(here, monkeypatch):
    """The control of the test above: the bound is below what cutting everything takes."""
    body, taken = HEAVY["more numbers than are taken"]
    monkeypatch.setattr(envelope, "_MANY", len(body))

    answer, peak = peak_of(here, "soc", body)

    assert answer.status == 413
    assert peak > PER_BYTE * len(body) + PER_OBJECT * taken + BESIDE


@pytest.mark.parametrize("space", [b"", b" \n"], ids=["dense", "with spaces"])
def test_a_body_with_many_commas_is_cut_as_any_other(monkeypatch, space):
    """The way that bounds memory gives the same objects, and refuses the same bodies."""
    objects = [LONG + b',"x_l":[' + b",".join([b"1"] * 50) + b"]}", b"{}", b"1", b'"a,b"']
    whole = b'{"x_a":{"b":[1,2]},"objects":[' + (b"," + space).join(objects) + space + b'],"more":false}'
    broken = [
        whole[:-1],
        whole + b"x",
        whole.replace(b'"more"', b'"x_a"'),
        whole.replace(b'"a,b"', b'"\xff"'),
    ]
    found = []
    for many in (10**9, 0):
        monkeypatch.setattr(envelope, "_MANY", many)
        found.append(envelope.split(whole, most=10))
        for each in broken:
            with pytest.raises(InvalidObject):
                envelope.split(each, most=10)
        assert len(envelope.split(an_envelope([b"1"] * 99), most=3)) > 3

    assert found == [objects, objects]
