"""Raw bytes where a client puts text: queries, headers, tokens and paths, as no client writes them.

For every answer: no 5xx, nothing that the description does not have, TAXII to the letter (`complaints`).
Nothing is stored unless the answer is 202, and what is stored reads back as it was sent. `FUZZ=n` tries n of
each, at random.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from node.taxii.protocol import MEDIA_TYPE
from tests.support.builders import CREATED, an_id
from tests.support.fuzzing import DATABASES, FUZZ, complaints, examples
from tests.support.hostile import KNOWN, OBJECTS, Here, cuts, damaged
from tests.support.served import INDICATORS, an_envelope, an_exchange

pytestmark = pytest.mark.timeout(300 + FUZZ)


@pytest.fixture(params=DATABASES)
def here(request, tmp_path):
    return Here(an_exchange(request.getfixturevalue(f"{request.param}_database"), tmp_path))


# --- queries

PARAMETERS = [
    "limit",
    "added_after",
    "next",
    "match[id]",
    "match[type]",
    "match[version]",
    "match[spec_version]",
]
VALUES = [
    *("1", "0", "-1", "1e3", "+1", "\u0661", "\u00b2", "9" * 5_000, "1.5", "0x1", " 1", "1 ", "1_0"),
    *(
        CREATED,
        "2026-11-20T08:00:00Z",
        "2026-02-30T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59.9Z",
    ),
    *(
        "2026-11-20T08:00:60Z",
        "2026-11-20t08:00:00z",
        "\u0662026-11-20T08:00:00Z",
        "2026-W01-1T00:00:00Z",
        "",
    ),
    *(
        "all",
        "first",
        "last",
        "first,last",
        "all,last",
        "last,last",
        "2.1",
        "2.0,2.1",
        "2.1.1",
        "99999.1",
        ",",
        ",,",
    ),
    *(
        "indicator",
        "indicator,malware",
        "a b",
        "a," * 3_000,
        an_id("indicator"),
        "%",
        "\x00",
        "\ud7ff",
        "\u3000",
    ),
    *("'", "' or 1=1 --", "x" * 10_000, "\u202e", "[]", "null", "\x1c", "\x85", "__proto__", "{}"),
]
values = st.one_of(st.sampled_from(VALUES).map(lambda one: quote(one).encode()), st.binary(max_size=12))
pairs = st.tuples(
    st.one_of(
        st.sampled_from(PARAMETERS).map(str.encode),
        st.sampled_from(PARAMETERS).map(lambda one: quote(one).encode()),
        st.binary(max_size=8),
        st.sampled_from([b"match[", b"match[]", b"match[foo]", b"match", b"LIMIT", b"%", b"limit%00"]),
    ),
    st.sampled_from([b"=", b"=", b"=", b"", b"=="]),
    values,
).map(b"".join)
queries = st.one_of(
    st.lists(pairs, max_size=4).map(b"&".join),
    st.lists(pairs, max_size=3).map(b";".join),
    st.binary(max_size=40),
    st.integers(60_000, 70_000).map(lambda length: b"match[id]=" + b"x" * length),
)
LISTINGS = [
    (b"GET", OBJECTS),
    (b"GET", b"/api/collections/indicators/manifest/"),
    (b"GET", OBJECTS + an_id("indicator", 0).encode() + b"/"),
    (b"GET", OBJECTS + an_id("indicator", 0).encode() + b"/versions/"),
    (b"HEAD", OBJECTS),
    (b"GET", b"/api/collections/"),
    (b"GET", b"/taxii2/"),
    (b"DELETE", OBJECTS + b"indicator--none/"),
]


@examples(400)
@given(query=queries, where=st.sampled_from(LISTINGS), who=st.sampled_from(["soc", "south", ""]))
@example(query=b"limit=\xd9\xa1", where=LISTINGS[0], who="soc")
def test_a_query_of_any_bytes_is_read_or_refused(here, query, where, who):
    """T-OBJ-7, T-OBJ-9, T-OBJ-34, T-ERR-10: 400 with words, never 500, never what was not asked for."""
    method, path = where

    answer = here.ask(method.decode(), path, who, query=query)

    assert complaints(answer) == []
    if not who:
        assert answer.status == 401
    elif method == b"GET":
        assert answer.status in (200, 400, 404, 414)
    assert here.new() == []


# --- headers

TEXTS = [
    *(
        "",
        " ",
        ",",
        ";",
        ";;",
        '"',
        "\\",
        "*",
        "*/*",
        "*/*;q=0",
        "a/b;q=nan",
        "/",
        "q=1",
        '";"',
        "x" * 10_000,
    ),
    *(
        MEDIA_TYPE,
        "application/taxii+json",
        "application/json",
        f"{MEDIA_TYPE};q=1e9",
        f"{MEDIA_TYPE};charset=x",
    ),
    *(
        "Basic",
        "Basic ",
        "Basic =",
        "Basic OjoO",
        "Basic /w==",
        "Bearer",
        "Bearer x",
        "Digest a=b",
        "Negotiate",
    ),
    *(
        "gzip",
        "gzip;q=0.5",
        "identity;q=0",
        "br, *",
        "chunked",
        "100-continue",
        "200-ok",
        "-1",
        "1e9",
        "\u0661",
    ),
    *("0", "1;1", "1;0", "0;1", "1;" + "9" * 18, "9" * 19 + ";1", "1;1;1", "a;b", "epoch 1", "f" * 64),
]
HEADERS = [
    *("Accept", "Content-Type", "Authorization", "Accept-Encoding", "X-Request-Id", "User-Agent", "Range"),
    *(
        "X-Exchange-Epoch",
        "X-Exchange-Terms",
        "X-Exchange-Batch",
        "If-None-Match",
        "Content-Encoding",
        "Expect",
    ),
    *(
        "Host",
        "Forwarded",
        "X-Forwarded-For",
        "Cookie",
        "Transfer-Encoding",
        "Content-Length",
        "Origin",
        "Accept-Charset",
    ),
]
texts = st.one_of(
    st.sampled_from(TEXTS).map(str.encode),
    st.binary(max_size=20).map(lambda raw: re.sub(rb"[\r\n\0]", b"?", raw)),
    st.lists(st.sampled_from(TEXTS), min_size=2, max_size=4).map(lambda many: ",".join(many).encode()),
)
requests = st.sampled_from([("GET", OBJECTS), ("POST", OBJECTS), ("GET", b"/taxii2/"), ("GET", b"/metrics")])


@examples(500)
@given(
    headers=st.dictionaries(st.sampled_from(HEADERS), texts, max_size=4),
    request=requests,
    who=st.sampled_from(["soc", "south", "south", ""]),
)
@example(headers={"Authorization": b"Basic /w=="}, request=("GET", OBJECTS), who="")
def test_headers_of_any_bytes_are_read_or_refused(here, headers, request, who):
    """T-MT-13, T-POST-18, T-ERR-4: whatever stands in a header, as a partner and as nobody."""
    method, path = request
    body = an_envelope([KNOWN[0]]) if method == "POST" else None
    given = {"Content-Type": MEDIA_TYPE, **headers} if body else headers

    answer = here.ask(method, path, who, given, body=body)

    assert complaints(answer) == []
    if not who and path != b"/metrics":
        assert answer.status in (401, 417)
    assert here.new() == []


# --- tokens


def pages(here, who):
    """(the token of the first page, what is behind it) for one of them."""
    first = here.ask("GET", OBJECTS, who, query=b"limit=3").json
    return first["next"]


@pytest.mark.parametrize("who", ["soc", "south"])
def test_a_token_with_any_bit_flipped_is_refused(here, who):
    """T-PAGE-9: every single bit, of every character."""
    token = pages(here, who).encode()
    taken = []
    for at in range(len(token)):
        for bit in range(8):
            flipped = token[:at] + bytes([token[at] ^ 1 << bit]) + token[at + 1 :]
            answer = here.ask("GET", OBJECTS, who, query=b"next=" + quote(flipped).encode())
            assert complaints(answer) == []
            taken += [flipped] * (answer.status != 400)

    assert taken == []
    assert here.ask("GET", OBJECTS, who, query=b"next=" + token).status == 200


@examples(300)
@given(
    damages=st.lists(cuts, min_size=1, max_size=3), who=st.sampled_from(["soc", "south"]), other=st.booleans()
)
def test_a_damaged_token_is_refused(here, damages, who, other):
    """T-PAGE-8, T-PAGE-9: and so is that of the other account, and of another place."""
    token = pages(here, who).encode()
    sent = damaged(token, damages)
    asker = {"soc": "south", "south": "soc"}[who] if other else who

    answer = here.ask("GET", OBJECTS, asker, query=b"next=" + quote(sent).encode())

    assert complaints(answer) == []
    if sent and (sent != token or other):
        assert answer.status in (400, 414)


@pytest.mark.parametrize(
    "spelled",
    [
        pytest.param(lambda token: token.replace("-", "+").replace("_", "/"), id="the other alphabet"),
        pytest.param(lambda token: token + "=", id="padded"),
        pytest.param(lambda token: token + "\n", id="with a line end"),
        pytest.param(lambda token: f" {token}", id="with a space"),
        pytest.param(lambda token: token.swapcase(), id="in other letters"),
    ],
)
def test_a_token_has_one_spelling(here, spelled):
    """T-PAGE-9: what was not given is not taken, though it might be read as the same bytes."""
    found = {pages(here, who) for who in ("soc", "south")}
    assert all(len(urlsafe_b64decode(one)) == 48 for one in found)
    for token in found:
        sent = spelled(token)
        answer = here.ask("GET", OBJECTS, "soc", query=b"next=" + quote(sent, safe="").encode())
        assert sent == token or answer.status == 400


# --- paths

segments = st.one_of(
    st.sampled_from(
        [b"api", b"taxii2", b"collections", b"indicators", b"objects", b"manifest", b"status", b"versions"]
    ),
    st.sampled_from(
        [INDICATORS.encode(), an_id("indicator", 0).encode(), b"..", b".", b"", b"%2e%2e", b"%2F", b"a%2Fb"]
    ),
    st.sampled_from(
        [
            b"%00",
            b"%",
            b"%zz",
            b"%ff",
            b"%C0%AF",
            b"%ED%A0%80",
            b"x" * 9_000,
            b"<name>",
            b"*",
            b"%20",
            b";a=b",
        ]
    ),
    st.sampled_from(
        [b"healthz", b"readyz", b"metrics", b"openapi.json", b"INDICATORS", b"\xd9\xa1", b"'", b"%0d%0aa:b"]
    ),
    st.binary(max_size=6).map(lambda raw: quote(raw).encode()),
)
paths = st.one_of(
    st.lists(segments, max_size=7).map(lambda many: b"/" + b"/".join(many)),
    st.tuples(segments, st.sampled_from([b"", b"/"])).map(lambda two: OBJECTS + b"".join(two)),
    st.tuples(segments, st.sampled_from([b"", b"/objects/", b"/manifest"])).map(
        lambda t: b"/api/collections/" + b"".join(t)
    ),
    st.binary(max_size=20).map(lambda raw: b"/" + raw),
)
methods = st.sampled_from(
    ["GET", "GET", "GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "TRACE", "x", ""]
)


@examples(500)
@given(path=paths, method=methods, who=st.sampled_from(["soc", "south", ""]))
@example(path=b"/api/collections/indicators/objects/%2E%2E/", method="GET", who="soc")
@example(path=b"*", method="OPTIONS", who="")
def test_a_path_of_any_bytes_is_an_address_or_none(here, path, method, who):
    """T-NET-3, T-ERR-9, T-ERR-10: nothing is made into another address; all that is none is 404."""
    answer = here.ask(method, path, who, body=b"" if method == "POST" else None)

    assert complaints(answer) == []
    assert here.new() == []


@pytest.mark.parametrize("slash", ["/", ""], ids=["with", "without"])
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        pytest.param("DELETE", "/api/collections/indicators/objects", "GET, HEAD, POST", id="objects"),
        pytest.param("POST", "/api/collections/indicators/objects/x", "DELETE, GET, HEAD", id="an object"),
        pytest.param("PUT", "/taxii2", "GET, HEAD", id="discovery"),
    ],
)
def test_a_method_that_an_address_has_not_is_refused_with_and_without_the_last_slash(
    here, method, path, allowed, slash
):
    """T-ERR-8, T-NET-2: found here: without the slash it was 404, as if there were no such address."""
    answer = here.ask(method, f"{path}{slash}".encode())

    assert (answer.status, answer.headers.get("allow")) == (405, allowed)
