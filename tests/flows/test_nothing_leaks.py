"""What may not go never appears in a byte that a partner receives.

North holds one object of each kind that must stay, every one with a word in its name and an id that
occur nowhere else. South pulls or is pushed to, and then asks for everything in every way that TAXII has.
A tap between the two looks for the words and the ids in all bytes that south was given.
"""

from __future__ import annotations

import json
import uuid

import pytest
from werkzeug.test import TestResponse

from node.access import accounts, tokens
from node.exchange import judging
from node.sharing import decisions
from node.store import catalog
from node.taxii.protocol import MEDIA_TYPE
from tests.support.builders import (
    LATER,
    NORTH_ID,
    SOUTH_ID,
    TLP_2,
    a_malware,
    a_marking_definition,
    a_relationship,
    a_sighting,
    an_id,
    an_indicator,
    an_ipv4,
)
from tests.support.served import Client, an_envelope
from tests.support.two_nodes import BOTH_PULL, BOTH_PUSH, two_nodes
from tests.support.wire_tap import WireTap

carriers = pytest.mark.parametrize("carry", [BOTH_PULL, BOTH_PUSH])

KINDS = (
    "amber",
    "red",
    "unmarked",
    "unknown-marking",
    "look-alike",
    "superseded",
    "superseded-elsewhere",
    "type-not-agreed",
    "other-collection",
    "refers-to-red",
)
STAYS_BY_RULE = {
    "_marking": {
        "amber",
        "red",
        "unmarked",
        "unknown-marking",
        "look-alike",
        "superseded",
        "superseded-elsewhere",
    },
    "_type": {"type-not-agreed"},
    "_references": {"refers-to-red"},
}
NOT_HELD = "marking-definition--ca11ab1e-0000-4000-8000-000000000001"


def word(kind: str) -> str:
    """What stands in the name of the secret object of a kind, and nowhere else."""
    return f"canary-{kind}-"


def secret_id(kind: str) -> str:
    type = {"type-not-agreed": "sighting", "refers-to-red": "relationship"}.get(kind, "indicator")
    return (
        f"{type}--ca11ab1e-{KINDS.index(kind):04d}-4000-8000-{uuid.uuid5(uuid.NAMESPACE_OID, kind).hex[:12]}"
    )


def a_secret(kind: str, **changes):
    return an_indicator(f"{word(kind)}{len(changes)}", id=secret_id(kind), author=NORTH_ID, **changes)


def is_green(**changes):
    return {"tlp": "green", **changes}


GOES = an_indicator("free-to-go", **is_green(author=NORTH_ID))
GOES_ID = json.loads(GOES)["id"]
LOOK_ALIKE = a_marking_definition(
    "TLP",
    id="marking-definition--ca11ab1e-0000-4000-8000-000000000002",
    definition={"statement": "TLP:GREEN"},
)
SECRETS = [
    a_secret("amber", tlp="amber"),
    a_secret("red", tlp="red"),
    a_secret("unmarked"),
    a_secret("unknown-marking", object_marking_refs=[NOT_HELD]),
    a_secret("look-alike", object_marking_refs=[json.loads(LOOK_ALIKE)["id"]]),
    a_secret("superseded", **is_green()),
    a_secret("superseded", tlp="amber", modified=LATER),
    a_secret("superseded-elsewhere", **is_green()),
    a_sighting(
        GOES_ID,
        id=secret_id("type-not-agreed"),
        description=word("type-not-agreed"),
        **is_green(author=NORTH_ID),
    ),
    a_relationship(
        secret_id("red"),
        GOES_ID,
        id=secret_id("refers-to-red"),
        description=word("refers-to-red"),
        **is_green(author=NORTH_ID),
    ),
]
ELSEWHERE = [
    a_secret("other-collection", **is_green()),
    a_secret("superseded-elsewhere", tlp="red", modified=LATER),
]
WORDS = [text for kind in KINDS for text in (word(kind), secret_id(kind).partition("--")[2])]


def leaking(databases, folder, carry):
    """Two nodes, a tap between them, and north with its secrets; nothing has been exchanged yet."""
    pair = two_nodes(databases, folder, flow_carry=carry)
    tap = WireTap()
    tap.listen(pair.north)
    tap.listen(pair.south)
    pair.north.bring(LOOK_ALIKE, GOES, *SECRETS)
    pair.north.bring(*ELSEWHERE, alias="techniques")
    return pair, tap


def rounds(pair, number=3):
    for _ in range(number):
        assert [report.error for report in pair.round() if report.error] == []


def as_partner(pair) -> Client:
    """South's own account at north, as its worker has it."""
    return Client(pair.north.app, "south-node", (pair.south.folder / "password").read_text(encoding="utf-8"))


def ask_for_everything(client: Client) -> int:
    """Every way to read, filtered in every way; how many answers there were."""
    filters: list[dict[str, object]] = [{}, {"added_after": "1970-01-01T00:00:00Z"}, {"limit": 1}]
    filters += [{"match_version": each} for each in ("all", "first", "last", "first,last", LATER)]
    filters += [{"match_spec_version": each} for each in ("2.1", "2.0,2.1")]
    filters += [
        {"match_type": each} for each in ("indicator", "sighting", "relationship,indicator", "identity")
    ]
    filters += [{"match_id": secret_id(kind), "match_version": "all"} for kind in KINDS]
    answers: list[TestResponse] = []
    for alias in ("indicators", "techniques"):
        for place in ("objects/", "manifest/"):
            answers += [client.get(f"{alias}/{place}", **each) for each in filters]
        for kind in KINDS:
            path = f"{alias}/objects/{secret_id(kind)}/"
            answers += [
                client.get(path),
                client.get(path, match_version="all"),
                client.get(f"{path}versions/"),
            ]
            answers.append(client.delete(path))
        answers.append(client.get(f"{alias}/"))
        answers.append(client.get(f"{alias}/objects/", added_after="yesterday"))
        answers.append(client.get(f"{alias}/objects/", next="bm9uc2Vuc2U="))
        answers.append(client.send("PUT", f"{alias}/objects/"))
    answers += [client.get(path) for path in ("/taxii2/", "/api/", "/api/collections/", "/api/nothing/")]
    answers.append(client.get(f"/api/status/{uuid.uuid4()}/"))
    return len(answers)


def listed(client: Client) -> list[str]:
    return [entry["id"] for entry in client.walk("indicators/objects/", limit=1, match_version="all")]


@carriers
def test_no_byte_of_what_must_stay_reaches_a_partner(two_databases, tmp_path, carry):
    """N-SYNC-15: decided before anything is sent."""
    pair, tap = leaking(two_databases, tmp_path, carry)
    rounds(pair)
    assert ask_for_everything(as_partner(pair)) > 150
    rounds(pair)
    assert tap.seen(WORDS, "south") == {}
    assert tap.seen(["free-to-go"], "south"), "the tap is blind: what may go was not seen either"
    assert pair.south.ids() == {GOES_ID}


@pytest.mark.parametrize("removed", [*STAYS_BY_RULE, "all"])
@carriers
def test_control_the_tap_sees_what_goes_when_a_guard_is_removed(
    two_sqlite_databases, tmp_path, carry, removed, monkeypatch
):
    if removed == "all":
        monkeypatch.setattr(judging, "decide_egress", lambda *_, **__: decisions.ALLOWED)
    else:
        monkeypatch.setattr(decisions, removed, lambda *_: None)
    pair, tap = leaking(two_sqlite_databases, tmp_path, carry)
    pair.round()
    seen = {kind for kind in KINDS if tap.seen([word(kind)], "south")}
    expected = STAYS_BY_RULE.get(removed, set().union(*STAYS_BY_RULE.values()))
    assert expected <= seen
    assert "other-collection" not in seen  # a feed walks its own collection only: no rule can let this go


def test_control_the_tap_sees_what_a_stricter_version_supersedes_when_owner_rows_are_not_asked(
    two_sqlite_databases, tmp_path, monkeypatch
):
    facts_of = judging.facts_of
    monkeypatch.setattr(judging, "facts_of", lambda held, _owners, **more: facts_of(held, {}, **more))
    pair, tap = leaking(two_sqlite_databases, tmp_path, BOTH_PULL)
    pair.round()
    assert set(tap.seen([word("superseded"), word("superseded-elsewhere")], "south")) == {
        word("superseded"),
        word("superseded-elsewhere"),
    }
    assert tap.seen([word("amber")], "south") == {}


@carriers
def test_pages_of_one_object_give_a_partner_its_feed_and_nothing_else(two_sqlite_databases, tmp_path, carry):
    pair, tap = leaking(two_sqlite_databases, tmp_path, carry)
    pair.north.bring(an_indicator("second", **is_green(author=NORTH_ID)))
    rounds(pair, 1)
    client = as_partner(pair)
    if carry == BOTH_PULL:
        assert len(listed(client)) == 2
    else:
        assert client.get("indicators/objects/").status_code == 403  # it is brought to them
    assert tap.seen(WORDS, "south") == {}


def test_an_object_that_stays_answers_as_one_that_never_was(two_sqlite_databases, tmp_path):
    pair, _ = leaking(two_sqlite_databases, tmp_path, BOTH_PULL)
    rounds(pair, 1)
    client = as_partner(pair)
    for tail in ("", "versions/"):
        answers = [client.get(f"indicators/objects/{secret_id(kind)}/{tail}") for kind in KINDS]
        never = client.get(f"indicators/objects/indicator--{uuid.UUID(int=5)}/{tail}")
        assert {answer.status_code for answer in answers} == {never.status_code} == {404}
        assert {without_error_id(answer) for answer in answers} == {without_error_id(never)}


def without_error_id(answer: TestResponse) -> str:
    return json.dumps({key: value for key, value in answer.json.items() if key != "error_id"})


@carriers
def test_what_has_gone_out_is_served_no_more_once_a_stricter_version_stands(two_databases, tmp_path, carry):
    pair, tap = leaking(two_databases, tmp_path, carry)
    rounds(pair, 1)
    here = as_partner(pair)
    pair.north.bring(
        an_indicator("canary-turned", id=GOES_ID, author=NORTH_ID, tlp="red", modified=LATER),
        alias="techniques",
    )
    since = tap.mark()
    ask_for_everything(here)
    rounds(pair)
    assert tap.seen(["free-to-go", "canary-turned"], "south", since=since) == {}


@carriers
def test_what_was_offered_but_not_yet_sent_stays_once_a_stricter_version_stands(
    two_databases, tmp_path, carry
):
    pair, tap = leaking(two_databases, tmp_path, carry)
    pair.north.bring(an_indicator("canary-turned", **is_green(author=NORTH_ID)))
    if carry == BOTH_PULL:
        pair.north.sync("out")  # the feed is advanced; nobody has fetched it
    else:
        pair.north.wire.before = unreachable
        pair.north.sync("out")
        pair.north.wire.before = lambda _request: None
    strict = an_indicator("canary-strict", id=an_id("indicator", "canary-turned"), tlp="red", modified=LATER)
    pair.north.bring(strict)
    rounds(pair)
    ask_for_everything(as_partner(pair))
    assert tap.seen(["canary-turned", "canary-strict"], "south") == {}


def unreachable(request):
    raise ConnectionResetError("the line broke before the request")


def test_a_status_tells_a_partner_nothing_of_what_it_collides_with(two_databases, tmp_path):
    pair, tap = leaking(two_databases, tmp_path, BOTH_PUSH)
    rounds(pair, 1)
    client = as_partner(pair)
    attempts = [
        an_indicator(f"attempt {kind}", id=secret_id(kind), **is_green(author=author), **changes)
        for kind in KINDS
        if secret_id(kind).startswith("indicator")
        for author in (NORTH_ID, SOUTH_ID)
        for changes in ({}, {"modified": LATER}, {"modified": "2026-11-20T10:00:00.000Z"})
    ]
    since = tap.mark()
    answer = client.post("indicators", attempts)
    assert answer.status_code == 202, answer.text
    again = client.get(f"/api/status/{answer.json['id']}/")
    assert again.json == answer.json
    client.post("indicators", body=b'{"objects": [' + attempts[0])
    client.post("indicators", body=an_envelope([b"{}"]), headers={"Content-Type": "text/plain"})
    assert len(tap.given_to("south", since=since)) == 4
    # The ids are the partner's own words here; the names are ours alone.
    assert tap.seen([word(kind) for kind in KINDS], "south", since=since) == {}
    rounds(pair)
    assert tap.seen([word(kind) for kind in KINDS], "south") == {}


@carriers
def test_only_soc_accounts_of_the_audience_see_what_a_flow_brought(two_sqlite_databases, tmp_path, carry):
    pair, tap = leaking(two_sqlite_databases, tmp_path, carry)
    pair.south.bring(a_malware("south-own", tlp="clear", author=SOUTH_ID), an_ipv4())
    rounds(pair)
    inside = soc_account(pair.south, "inside", ["state-bodies"])
    outside = soc_account(pair.south, "outside", [])
    for client in (inside, outside):
        since = tap.mark()
        ask_for_everything(client)
        listed(client)
        given = b"".join(one.answer for one in tap.exchanged[since:])
        assert b"south-own" in given
        assert (b"free-to-go" in given) == (client is inside)
        assert (GOES_ID.encode() in given) == (client is inside)


def soc_account(centre, name, audience) -> Client:
    with centre.database.writing() as tx:
        accounts.add_account(
            tx,
            name,
            actor="os:test",
            now=centre.clock.now,
            clearance=4,
            audience=audience,
            partner="",
            expires=None,
        )
        text, _ = tokens.issue_token(tx, account=name, actor="os:test", now=centre.clock.now)
        found = catalog.find_collection(tx, "indicators")
        accounts.allow(
            tx, name, found.collection_id, read=True, write=False, actor="os:test", now=centre.clock.now
        )
    return Client(centre.app, name, text, {"Accept": MEDIA_TYPE})


def test_the_words_that_are_looked_for_stand_in_what_north_holds(two_sqlite_databases, tmp_path):
    pair, _ = leaking(two_sqlite_databases, tmp_path, BOTH_PULL)
    everything = b"".join(pair.north.bodies()).decode()
    assert [text for text in WORDS if text not in everything] == []
    assert TLP_2["red"] in everything
