"""node/cli/find.py: find and explain as people and scripts use them."""

from __future__ import annotations

import json

from node.access import accounts
from node.clock import now
from node.exchange import ingress, quarantine
from node.exchange.ingress import Source
from node.store import catalog
from node.web import create_app
from tests.cli.desk import Desk, a_bundle, old_indicator
from tests.support.builders import NORTH_ID, an_id
from tests.support.served import an_envelope

ID = an_id("indicator")
VALUE = "evil.example"
HARMLESS = "hxxps://EVIL[.]example/a"


def with_indicator(desk: Desk, **changes: object) -> Desk:
    """South is the partner; one indicator of ours is here and was made ready for South."""
    given = {
        "pattern": "[url:value = 'https://evil.example/a']",
        "author": NORTH_ID,
        "tlp": "green",
        **changes,
    }
    desk.with_partner()
    desk.run("import", "indicators", "-", stdin=a_bundle(old_indicator(**given)))
    desk.run("resume", "south")
    return desk


def set_aside(desk: Desk) -> str:
    """South brought an object in our name that we never had; the name of its entry."""
    desk.with_partner()
    desk.run("resume", "south")
    with desk.open() as node:
        link = node.door.link("south/indicators/in")
        with node.database.writing() as tx:
            room = catalog.find_collection(tx, "indicators")
            assert room is not None
            locked = catalog.lock(tx, room.collection_id)
            bodies = [old_indicator("claims us", author=NORTH_ID)]
            source = Source("pull", "worker", link)
            ingress.admit(tx, node.door, locked, bodies, source, arrival_id=None, now=now())
        with node.database.reading() as tx:
            (entry,) = quarantine.entries(tx)
    return entry.entry


def test_a_value_that_was_made_harmless_is_found_in_local_time(desk: Desk):
    with_indicator(desk, confidence=70, valid_until="2090-01-01T00:00:00Z")
    with desk.open() as node, node.database.writing() as tx:
        room = catalog.find_collection(tx, "indicators")
        assert room is not None
        accounts.add_account(tx, "soc", actor="os:tester", now=now(), clearance=4)
        accounts.note_reading(tx, "soc", room.collection_id, now=now(), served=room.last_added)

    told = desk.run("find", HARMLESS).out.splitlines()

    assert told[0] == f"{HARMLESS} (https://evil.example/a): 1 object"
    assert told[2] == f"{ID}  Indicator one"
    assert told[3].startswith("  lies in    indicators: ours, GREEN, confidence 70, valid until 1 Jan 2090")
    assert told[4] == "  names it   url:value https://evil.example/a"
    assert ", import a-0001 " in told[5]
    assert told[6].startswith("  not yet    south/indicators/out: not examined")
    assert told[7].startswith("  read past  soc (indicators), asked last ")
    assert told[8].endswith(f" explain {ID}")


def test_what_is_withheld_has_its_remedy_beside_it(desk: Desk):
    with_indicator(desk, tlp="red")
    desk.run("sync", "south/indicators/out")

    told = desk.run("find", "https://evil.example/a").out

    assert "withheld   south/indicators/out: above_ceiling. " in told
    assert "max_tlp" in told
    assert "read past  by nobody of ours" in told


def test_json_tells_everything_in_utc(desk: Desk):
    with_indicator(desk)

    answer = desk.run("find", HARMLESS, "--json")

    (found,) = answer.of("object")
    assert found["id"] == ID
    assert found["owner"] == "local"
    assert found["versions"][0]["tlp"] == "GREEN"
    assert found["versions"][0]["arrival"]["kind"] == "import"
    assert found["versions"][0]["added"].endswith("Z")
    assert (found["given"], found["withheld"], found["read_past_by"]) == ([], [], [])
    assert answer.summary["objects"] == 1


def test_what_is_not_here_is_said_plainly_and_ends_with_0(desk: Desk):
    for what, said in (
        ("nothing[.]example", "Nothing here names nothing[.]example (looked for as nothing.example)."),
        (an_id("malware"), "Nothing is known of malware--"),
        ("0123456789abcdef", "If it is an error_id: what happened stands in the server's log, not here"),
    ):
        answer = desk.run("find", what)
        assert (answer.code, said in answer.out) == (0, True), answer.out
    assert desk.run("find", "nothing.example", "--json").summary["objects"] == 0
    assert desk.run("find", " ").code == 2


def test_an_entry_of_the_quarantine_is_found_by_its_name(desk: Desk):
    entry = set_aside(desk)

    told = desk.run("find", entry).out

    assert f"set aside  {entry} from south/indicators/in, waiting: " in told
    assert "lies in    no collection" in told


def test_the_status_of_a_post_is_told_by_its_id(desk: Desk):
    token = json.loads(
        desk.run("account", "add", "soc", "--write", "indicators", "--read", "indicators", "--json").out
    )["token"]
    with desk.open() as node:
        app = create_app(node.settings, node.database)
        answer = app.test_client().post(
            "/api/collections/596b9836-8aa7-49b3-8f23-4bd19d0b9e1a/objects/",
            data=an_envelope([old_indicator(), b'{"type":"indicator"}']),
            headers={
                "Authorization": f"Bearer {token}",
                "Content-Type": "application/taxii+json;version=2.1",
                "Accept": "application/taxii+json;version=2.1",
            },
        )

    told = desk.run("find", answer.json["id"]).out

    assert "It is the status of a POST by soc, " in told
    assert "1 succeeded, 1 failed." in told


def test_only_so_many_are_shown(desk: Desk):
    desk.run(
        "import",
        "indicators",
        "-",
        stdin=a_bundle(*(old_indicator(each, pattern="[a:b = 'common']") for each in range(3))),
    )

    told = desk.run("find", "common", "--limit", "1").out

    assert told.startswith("common: 3 objects")
    assert "These are the newest 1 of 3; --limit 3 shows more." in told


def test_explain_takes_a_value_and_tells_of_each_object_that_names_it(desk: Desk):
    desk.run(
        "import",
        "indicators",
        "-",
        stdin=a_bundle(*(old_indicator(each, pattern="[a:b = 'common']") for each in range(2))),
    )

    told = desk.run("explain", "COMMON").out

    assert told.count("Lies in indicators: version ") == 2
    assert all(an_id("indicator", each) in told for each in range(2))
    assert desk.run("explain", "common", "--json").summary["ids"] == [
        an_id("indicator", each) for each in (1, 0)
    ]


def test_the_quarantine_is_searched_by_value(desk: Desk):
    assert set_aside(desk) in desk.run("find", "indicator CLAIMS us").out
