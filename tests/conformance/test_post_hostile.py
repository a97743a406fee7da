"""Bodies that are meant to break their reader: refused whole or object by object, not by halves (T-POST)."""

from __future__ import annotations

import pytest

from tests.conformance.endpoints import an_error, told
from tests.conformance.target import MT, ids
from tests.support.builders import an_id, an_indicator
from tests.support.served import an_envelope

BAD = an_id("indicator", "bad")
DEEP = 100_000


def bad(extra):
    """An indicator with a property more, as it is written."""
    return an_indicator("bad")[:-1] + b"," + extra + b"}"


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param(b'"name":"again"', id="T-POST-22 a property twice"),
        pytest.param(b'"x_a":{"b":1,"b":2}', id="T-POST-22 a property twice inside"),
        pytest.param(b'"x_a":[[{"b":1.5,"b":1.5}]]', id="T-POST-22 a property twice with floats"),
        pytest.param(b'"n\\u0061me":"again"', id="T-POST-22 a property twice, once escaped"),
        pytest.param(b'"x_a":NaN', id="T-POST-22 NaN"),
        pytest.param(b'"x_a":Infinity', id="T-POST-22 Infinity"),
        pytest.param(b'"x_a":-Infinity', id="T-POST-22 minus Infinity"),
        pytest.param(b'"x_a":1e400', id="T-POST-22 out of range"),
        pytest.param(b'"x_a":1' + b"0" * 5_000, id="T-POST-22 an integer without end"),
        pytest.param(b'"x_a":"\\ud800"', id="T-POST-22 half a surrogate pair"),
        pytest.param(b'"x_a":"\\udc00\\ud800"', id="T-POST-22 a pair the wrong way round"),
        pytest.param(b'"\\ud800":1', id="T-POST-22 half a pair in a name"),
        pytest.param(b'"x_a":"\\u0000"', id="T-POST-22 NUL"),
        pytest.param(b'"x_a":"\x00"', id="T-POST-22 a raw NUL"),
        pytest.param(b'"x_a":"\xff"', id="T-POST-22 not UTF-8"),
        pytest.param(b'"x_a":"\xc0\xaf"', id="T-POST-22 an overlong character"),
        pytest.param(b'"x_a":"\xed\xa0\x80"', id="T-POST-22 a surrogate in UTF-8"),
        pytest.param(b'"x_a":01', id="T-POST-22 a zero in front"),
        pytest.param(b'"x_a":+1', id="T-POST-22 a plus"),
        pytest.param(b'"x_a":1,', id="T-POST-22 a comma at the end"),
        pytest.param(b'"x_a":/* x */1', id="T-POST-22 a comment"),
        pytest.param(b"'x_a':1", id="T-POST-22 other quotes"),
        pytest.param(b'"x_a":"\t"', id="T-POST-22 a raw control character"),
        pytest.param(b'"x_a":' + b"[" * 1_000 + b"]" * 1_000, id="T-POST-21 a thousand lists"),
        pytest.param(b'"x_a":' + b'{"a":' * 1_000 + b"1" + b"}" * 1_000, id="T-POST-21 a thousand objects"),
        pytest.param(b'"x_a":' + b"[" * DEEP + b"]" * DEEP, id="T-POST-21 a hundred thousand lists"),
    ],
)
def test_an_object_that_readers_read_differently_is_never_stored(target, rw, extra):
    """T-POST-10: the request is 400 or this object alone fails, and what stands beside it is as told."""
    found = target.member.post(rw, [an_indicator(), bad(extra), an_indicator("two")])

    stored = ids(target.member.listed(rw.objects))
    if found.status_code == 202:
        assert found.json["failure_count"] == 1
        assert found.json["failures"][0]["id"] in (BAD, "unknown--index-1")
        assert stored == [an_id("indicator"), an_id("indicator", "two")]
    else:
        assert (told(found), stored) == (an_error(400), [])


@pytest.mark.parametrize(
    ("body", "statuses"),
    [
        pytest.param(b"[" * DEEP, (400, 422), id="T-POST-21 lists without end"),
        pytest.param(b"[" * DEEP + b"]" * DEEP, (400, 422), id="T-POST-21 lists"),
        pytest.param(b'{"objects":' + b"[" * DEEP, (400, 422), id="T-POST-21 in the list of objects"),
        pytest.param(b'{"a":' * DEEP, (400, 422), id="T-POST-21 objects without end"),
        pytest.param(
            b'{"x":' + b"[" * DEEP + b"]" * DEEP + b',"objects":[' + an_indicator() + b"]}",
            (400, 422),
            id="T-POST-21 beside the objects",
        ),
        pytest.param(
            b"\xef\xbb\xbf" + an_envelope([an_indicator()]), (400,), id="T-POST-22 a byte order mark"
        ),
        pytest.param(an_envelope([an_indicator()]).decode().encode("utf-16"), (400,), id="T-POST-22 UTF-16"),
        pytest.param(b'{"x":NaN,"objects":[' + an_indicator() + b"]}", (400,), id="T-POST-22 NaN beside"),
        pytest.param(
            b'{"objects":[' + an_indicator() + b'],"objects":[]}', (400, 422), id="T-POST-22 objects twice"
        ),
        pytest.param(an_envelope([an_indicator()]) * 2, (400,), id="T-POST-22 two envelopes"),
        pytest.param(b"objects=" + an_envelope([an_indicator()]), (400,), id="T-POST-22 a form"),
        pytest.param(b"\x00" * 100, (400,), id="T-POST-22 NUL"),
        pytest.param(bytes(range(256)) * 40, (400,), id="T-POST-22 every byte"),
        pytest.param(b"\x1f\x8b\x08" + b"\x00" * 50, (400,), id="T-POST-20 compressed and not said"),
        pytest.param(b'"' + b"a" * 900_000 + b'"', (400, 422), id="T-POST-21 one long text"),
        pytest.param(b'{"objects":[' + b"," * 10_000 + b"]}", (400,), id="T-POST-22 commas"),
    ],
)
def test_a_body_that_readers_read_differently_is_refused_whole(target, rw, body, statuses):
    found = target.member.post(rw, body=body)

    assert found.status_code in statuses
    assert told(found) == an_error(found.status_code)
    assert target.member.get(rw.objects).json == {}


@pytest.mark.parametrize("length", [0, 5, 100_000])
def test_a_body_of_another_length_than_announced_stores_nothing(target, rw, length):
    """T-POST-11: cut on the way, or with something behind it."""
    found = target.member.send(
        "POST",
        rw.objects,
        headers={"Content-Type": MT},
        data=an_envelope([an_indicator()]),
        environ_overrides={"CONTENT_LENGTH": str(length), "wsgi.input_terminated": True},
    )

    assert (found.status_code, target.member.get(rw.objects).json) == (400, {})


@pytest.mark.parametrize("length", ["-1", "1e3", "abc", "9" * 30, "0x10"])
def test_a_length_that_is_none_is_refused(target, rw, length):
    """T-POST-17: 400, or 413 where it is read as a number, and never 500."""
    found = target.member.send(
        "POST",
        rw.objects,
        headers={"Content-Type": MT},
        data=an_envelope([an_indicator()]),
        environ_overrides={"CONTENT_LENGTH": length},
    )

    assert found.status_code in (400, 413)
    assert told(found) == an_error(found.status_code)
    assert target.member.get(rw.objects).json == {}


def test_many_entries_that_are_none_are_each_told(target, rw):
    """T-POST-13, T-STAT-6: the lists are not cut."""
    entries = [b"1", b"{}", b'"x"', b"[[]]", b"null"] * 60

    found = target.member.post(rw, entries).json

    assert (found["total_count"], found["failure_count"], len(found["failures"])) == (300, 300, 300)
    assert [one["id"] for one in found["failures"]] == [f"unknown--index-{n}" for n in range(300)]
