"""A node that a SOC, a partner and nobody ask hostile things, and the damage done to what they send."""

from __future__ import annotations

import sqlalchemy as sa
from hypothesis import strategies as st

from node.store import schema
from node.taxii.protocol import MEDIA_TYPE
from tests.support.builders import LATER, a_malware, an_indicator, an_ipv4
from tests.support.fuzzing import ask
from tests.support.served import basic

OBJECTS = b"/api/collections/indicators/objects/"
KNOWN = [an_indicator(each, tlp="green") for each in range(7)]


class Here:
    """A node with some objects, and how each kind of client speaks to it."""

    def __init__(self, node):
        self.node, self.app = node, node.app
        soc, south = node.soc(), node.partner()
        assert soc.post("indicators", KNOWN).status_code == 202
        assert len(south.walk("indicators/objects/", limit=2)) == len(KNOWN)
        self.who = {
            one: {"Authorization": basic(c.name, c.token)} for one, c in (("soc", soc), ("south", south))
        }
        self.digest = south.get("indicators/objects/").headers["X-Exchange-Terms"]
        self.seen = self.rows()

    def ask(self, method, path, who="soc", headers=None, **more):
        """A request by one of them, or by nobody ("")."""
        given = {"Accept": MEDIA_TYPE, **self.who.get(who, {}), **(headers or {})}
        return ask(self.app, method, path, headers=given, **more)

    def post(self, body, who="soc", **headers):
        """A body to the indicators."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("POST", OBJECTS, who, {"Content-Type": MEDIA_TYPE, **named}, body=body)

    def rows(self):
        """Every stored body, of objects, of what was replaced, and of what is set aside."""
        with self.node.database.reading() as tx:
            return {
                bytes(row[0])
                for table in (schema.object_, schema.object_history, schema.quarantine)
                for row in tx.rows(sa.select(table.c.body))
            }

    def new(self):
        """What has been stored since this was asked before."""
        before, self.seen = self.seen, self.rows()
        assert before <= self.seen  # nothing went or changed
        return sorted(self.seen - before)


TOKENS = [
    *(
        b'"',
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\x00",
        b"\xff",
        b"\xc3",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
    ),
    *(b"1e400", b"-0", b"01", b"NaN", b"Infinity", b"1" + b"0" * 5_000, b"1E-999999999", b"0.1" * 3),
    *(
        b'"\\ud800"',
        b'"\\u0000"',
        b'"\\udc00\\ud800"',
        b"null",
        b"true",
        b'"id":',
        b'"objects":[',
        b'"type":"bundle",',
    ),
    *(
        b"[" * 3_000,
        b'{"a":' * 3_000,
        b"[[1]]",
        b'"more":true,',
        b"\xf4\x90\x80\x80",
        b"\xe2\x80\xa8",
        b"\t\r\n ",
    ),
    *(b'"modified":"9999-12-31T23:59:59.999999999Z",', b'"revoked":true,', b'"spec_version":"2.0",'),
]
SOUND = [
    an_indicator("new", tlp="green"),
    an_ipv4(),
    a_malware("\u00e9\U0001f600"),
    an_indicator(0, modified=LATER),
]
cuts = st.tuples(
    st.sampled_from(("put", "change", "drop", "repeat", "end")),
    st.integers(0, 10_000),
    st.integers(1, 40),
    st.one_of(st.sampled_from(TOKENS), st.binary(min_size=1, max_size=4)),
)


def damaged(body, damages):
    """A body after some damage."""
    for kind, at, length, text in damages:
        at %= len(body) + 1
        if kind == "put":
            body = body[:at] + text + body[at:]
        elif kind == "change":
            body = body[:at] + text + body[at + len(text) :]
        elif kind == "drop":
            body = body[:at] + body[at + length :]
        elif kind == "repeat":
            body = body[: at + length] + body[at:]
        else:
            body = body[:at]
    return body
