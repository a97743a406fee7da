"""node/stix/faults.py: where in an object the fault is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.stix import faults
from node.stix.faults import Difference
from tests.support.builders import an_indicator

PLAIN = an_indicator()


def more(text: bytes) -> bytes:
    """The indicator with something written at its end, as it stands."""
    return PLAIN[:-1] + b"," + text + b"}"


def pointed_at(body: bytes) -> tuple[str, str]:
    """The JSON pointer of the fault, and what stands at its place."""
    found = faults.fault_of(body, "full")
    assert found is not None
    text = faults.laid_out(body)
    at = faults.place_of(text, found)
    return found.pointer, "" if at is None else text[at:].split("\n")[0]


@pytest.mark.parametrize(
    ("body", "pointer", "there"),
    [
        pytest.param(an_indicator(confidence="high"), "/confidence", '"high"', id="a property"),
        pytest.param(an_indicator(modified="yesterday"), "/modified", '"yesterday",', id="a date"),
        pytest.param(
            an_indicator(kill_chain_phases=[{"kill_chain_name": "a", "phase_name": 7}]),
            "/kill_chain_phases/0/phase_name",
            "7",
            id="inside a list",
        ),
        pytest.param(
            an_indicator(kill_chain_phases=[{}]), "/kill_chain_phases/0", "{}", id="a member that lacks"
        ),
        pytest.param(
            an_indicator(pattern="[ipv4-addr:value = 203.0.113.9]"),
            "/pattern",
            '.113.9]",',
            id="in a pattern",
        ),
        pytest.param(
            an_indicator(pattern="[file:name = 'a\"b' OR ]"),
            "/pattern",
            ']",',
            id="behind an escaped character",
        ),
        pytest.param(more(b'"pattern":"x"'), "/pattern", '"pattern": "x"', id="the second of two"),
        pytest.param(
            more(b'"x_a":{"b":1,"c":{"b":2,"b":3}}'), "/b", '"b": 3', id="the second of two, further in"
        ),
        pytest.param(more(b'"x_a":1e999'), "", "1e999", id="a number out of range"),
        pytest.param(more(b'"x_a":"\\ud800"'), "", '\\ud800"}', id="half a character"),
        pytest.param(more(b'"x_a":"\\u0000"'), "/x_a", '"\\u0000"', id="the character NUL"),
        pytest.param(more(b'"x/y":1'), "", "1", id="an unexpected property"),
        pytest.param(PLAIN[:-2], "", "", id="cut"),
        pytest.param(b"[1, 2, }", "", "}", id="no JSON"),
    ],
)
def test_the_place_of_a_fault_is_found(body: bytes, pointer: str, there: str):
    assert pointed_at(body) == (pointer, there)


def test_a_pointer_is_written_as_the_standard_has_it():
    assert faults.Fault("", ("a/b", "c~d", "0")).pointer == "/a~1b/c~0d/0"


def test_a_valid_object_has_no_fault():
    assert faults.fault_of(PLAIN, "full") is None


def test_what_only_the_whole_standard_forbids_is_no_fault_for_the_schemas():
    body = an_indicator(pattern="[ipv4-addr:value = 203.0.113.9]")

    assert faults.fault_of(body, "schema") is None
    assert faults.fault_of(body, "full") is not None


def test_what_lies_too_deep_to_be_laid_out_is_shown_as_it_is():
    body = more(b'"x_a":' + b"[" * 100_000 + b"]" * 100_000)

    assert pointed_at(body) == ("", "")
    assert faults.laid_out(body) == body.decode()


def test_differences_name_the_members_and_both_values():
    theirs = json.dumps(json.loads(PLAIN) | {"revoked": True, "pattern": "[a:b = 'c']"}).encode()

    found = faults.differences(PLAIN, theirs)

    assert [each.name for each in found] == ["pattern", "revoked"]
    assert found[1] == Difference("revoked", "", "True")
    assert faults.differences(PLAIN, PLAIN.replace(b",", b" ,")) == []


@given(st.one_of(st.binary(max_size=200), st.tuples(st.integers(0, len(PLAIN)), st.binary(max_size=9))))
def test_whatever_the_bytes_are_there_is_a_text_and_a_place_in_it(given: bytes | tuple[int, bytes]):
    body = given if isinstance(given, bytes) else PLAIN[: given[0]] + given[1] + PLAIN[given[0] :]
    text = faults.laid_out(body)
    found = faults.fault_of(body, "full")

    if found is not None:
        assert found.text
        at = faults.place_of(text, found)
        assert at is None or 0 <= at <= len(text)
