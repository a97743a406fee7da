"""Words made for a terminal, a log, a browser, a spreadsheet, a database, or a parser of patterns."""

from __future__ import annotations

import json
import logging
import time

import pytest
import sqlalchemy as sa

from tests.hostile.stand import GOOD
from tests.support.builders import NORTH_ID, an_id, an_indicator
from tests.support.partner import Canned

WORDS = {
    "H25 a script": "<script>alert(1)</script>",
    "H25 an image": '"><img src=x onerror=alert(1)>',
    "H27 colours": "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "H27 lines": "one\r\ntwo\u2028three",
    "H27 bidi": "\u202etxt.exe\u2066",
    "H27 a million letters": "x" * 1_000_000,
    "H39 SQL": "'); drop table object; --",
    "H39 a template": "{{7*7}}${7*7}%(x)s%n",
    "H39 a path": "../../../../etc/passwd\x00",
}


@pytest.mark.parametrize("how", WORDS)
def test_what_a_partner_writes_into_an_error_reaches_people_plain_and_short(stand, caplog, how):
    """H25, H27, H39: in the report, in what is noted of the link, and in the log."""
    with caplog.at_level(logging.DEBUG):
        body = json.dumps({"title": WORDS[how], "description": WORDS[how]}).encode()
        report = stand.answered(Canned(403, body))

    for text in (report.error.problem, report.error.remedy, stand.state().last_error, caplog.text):
        assert len(text) < 1_000
        assert all(line.isprintable() for line in text.split("\n"))
    assert "\x1b" not in str(stand.standing().health)
    stand.converges()


@pytest.mark.parametrize("how", WORDS)
def test_what_a_partner_writes_into_its_headers_reaches_people_plain_and_short(stand, how):
    """H25, H27: types, codings and places of redirects."""
    word = "".join(each for each in WORDS[how][:900] if each.isprintable() and each.isascii())
    answers = [
        Canned(body=b"{}", content_type=word),
        Canned(body=b"{}", headers={"Content-Encoding": word}),
        Canned(302, b"", {"Location": word}),
    ]
    for answer in answers:
        error = stand.answered(answer).error
        assert len(error.problem) < 400
        assert error.problem.isprintable()
    stand.converges()


@pytest.mark.parametrize("how", [each for each in WORDS if "million" not in each and "path" not in each])
def test_what_a_partner_writes_into_an_object_is_kept_and_does_nothing(stand, west, how):
    """H25, H39, PEER-35: the bytes are the bytes; no table is gone, no template is worked out."""
    body = an_indicator(
        "x",
        description=WORDS[how],
        external_references=[{"source_name": WORDS[how], "description": WORDS[how]}],
    )
    west.hold(body, *GOOD)
    report = stand.round()

    assert report.outcomes == {"stored": 1 + len(GOOD)}
    assert body in stand.held()
    assert stand.north.count("object") == 1 + len(GOOD)
    stand.converges()


def test_h11_no_address_in_an_object_is_ever_asked(stand, west):
    """H11: references, artifacts and schemas that lead back to the partner itself."""
    trap = f"http://127.0.0.1:{west.port}/trap"
    artifact = {
        "type": "artifact",
        "spec_version": "2.1",
        "id": an_id("artifact"),
        "url": trap,
        "hashes": {"MD5": "d41d8cd98f00b204e9800998ecf8427e"},
    }
    extension = {
        "type": "extension-definition",
        "spec_version": "2.1",
        "id": an_id("extension-definition"),
        "created": "2026-11-20T08:00:00.000Z",
        "modified": "2026-11-20T08:00:00.000Z",
        "created_by_ref": an_id("identity"),
        "name": "x",
        "schema": trap,
        "version": "1.0.0",
        "extension_types": ["property-extension"],
    }
    indicator = an_indicator("x", external_references=[{"source_name": "x", "url": trap}])
    west.hold(json.dumps(artifact).encode(), json.dumps(extension).encode(), indicator)
    stand.round()
    stand.round("out")

    assert indicator in stand.held()
    assert [one.path for one in west.requests if "trap" in one.path] == []


PATTERNS = {
    "H28 a thousand terms": " OR ".join(["[ipv4-addr:value = '192.0.2.1']"] * 1_000),
    "H28 as deep as ten thousand": "[" + "(" * 10_000 + "a:b = 1" + ")" * 10_000 + "]",
    "H28 an expression that backtracks": "[file:name MATCHES '(a+)+$']",
    "H28 as long as may be": "[file:name = '" + "a" * 900_000 + "']",
}


@pytest.mark.parametrize("mode", ["schema", "full"])
@pytest.mark.parametrize("how", PATTERNS)
def test_h28_a_pattern_costs_little_and_holds_nothing_up(stand, west, how, mode):
    """H28: it is never carried out; where patterns are read, one beyond all measure is set aside."""
    with stand.north.database.writing() as tx:
        tx.run(sa.text("update collection set validation = :mode"), mode=mode)
    west.hold(an_indicator("x", pattern=PATTERNS[how]), *GOOD)
    began = time.process_time()
    report = stand.round()

    assert time.process_time() - began < 10
    assert report.outcomes["stored"] + report.outcomes["quarantined"] == 1 + len(GOOD)
    assert set(GOOD) <= set(stand.held())


def test_h39_ids_of_a_partners_status_are_looked_for_and_nothing_else(stand, west):
    """H32, H39: whatever stands in its lists, only what was sent is settled, by its word."""
    stand.north.bring(an_indicator("ours", tlp="green", author=NORTH_ID))
    words = [{"id": word, "version": word, "message": word} for word in WORDS.values()]
    usual = west.answer

    def lying(asked):
        answer = usual(asked)
        if asked.method != "POST":
            return answer
        status = json.loads(answer.body)
        return Canned(202, json.dumps({**status, "failures": words, "pendings": [7, None, words]}).encode())

    west.answer = lying
    report = stand.round("out")

    assert (report.error, report.considered, report.sent) == (None, 1, 1)
