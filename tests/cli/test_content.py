"""node/cli/content.py: files come in and go out, collections are added and shown."""

from __future__ import annotations

import gzip
import json

import pytest

from node.audit import log
from node.cli.importing import STEP_OBJECTS
from node.exchange import arrivals
from tests.cli.desk import INDICATORS, NEWER, Desk, a_bundle, old_indicator
from tests.support.builders import SOUTH_ID, an_identity, an_ipv4
from tests.support.data import FOLDER, playbooks


def test_a_bundle_is_imported(desk: Desk):
    answer = desk.run("import", "indicators", "-", stdin=a_bundle(old_indicator(1), old_indicator(2)))

    assert answer.code == 0
    assert "2 objects read into indicators: 2 stored" in answer.out
    assert answer.out.splitlines()[-2].startswith("next ")


@pytest.mark.parametrize(
    "content",
    [
        b'{"objects":[' + old_indicator(1) + b"," + old_indicator(2) + b"]}",
        old_indicator(1) + b"\n\n" + old_indicator(2) + b"\n",
        gzip.compress(a_bundle(old_indicator(1), old_indicator(2))),
        gzip.compress(old_indicator(1) + b"\n") + gzip.compress(old_indicator(2) + b"\n"),
    ],
    ids=["envelope", "lines", "bundle in gzip", "two gzip members"],
)
def test_every_form_of_a_file_is_taken(desk: Desk, content: bytes):
    path = desk.write("objects.json", content)

    assert desk.run("import", "indicators", str(path), "--json").summary["stored"] == 2


def test_a_second_import_is_all_duplicates(desk: Desk):
    desk.run("import", "indicators", "-", stdin=a_bundle(old_indicator()))

    answer = desk.run("import", "indicators", "-", "--json", stdin=a_bundle(old_indicator()))

    assert (answer.code, answer.summary["duplicate"]) == (0, 1)


def test_the_real_playbooks_are_stored_but_for_twelve_refused_by_name(desk: Desk):
    answer = desk.run("import", "indicators", str(FOLDER / "playbooks-stix20.json.gz"), "--json")

    refused, summary = answer.of("refused"), answer.summary
    assert answer.code == 3
    assert (summary["read"], summary["stored"], summary["refused"]) == (8_035, 8_023, 12)
    assert len({line["id"] for line in refused}) == 12
    assert all(
        line["id"].startswith("identity--") and "identity_class" in line["message"] for line in refused
    )
    numbers = {line["number"]: line["id"] for line in refused}
    bodies = playbooks()
    assert {number: json.loads(bodies[number - 1])["id"] for number in numbers} == numbers


def test_what_was_imported_is_exported_byte_for_byte(desk: Desk):
    bodies = [
        old_indicator("кирилиця", confidence=50),
        old_indicator(1).replace(b'":"', b'" :  "'),
        an_ipv4(tlp="green"),
    ]
    desk.run("import", "indicators", "-", stdin=b"\n".join(bodies))

    answer = desk.run("export", "indicators")

    assert answer.code == 0
    assert all(body in answer.raw for body in bodies)
    bundle = json.loads(answer.raw)
    assert (bundle["type"], len(bundle["objects"])) == ("bundle", 3)


def test_an_empty_collection_is_a_bundle_without_objects(desk: Desk):
    assert sorted(json.loads(desk.run("export", "indicators").raw)) == ["id", "type"]


def test_an_export_to_a_file_can_be_imported_again(desk: Desk):
    desk.run("import", "indicators", "-", stdin=a_bundle(old_indicator(1), old_indicator(2)))
    target = desk.folder / "out.json"

    answer = desk.run("export", "indicators", "--out", str(target), "--json")

    assert answer.summary == {"type": "summary", "collection": "indicators", "objects": 2, "exit": 0}
    assert target.stat().st_mode & 0o777 == 0o600
    assert desk.run("import", "techniques", str(target), "--json").summary["stored"] == 2


def test_an_export_with_json_needs_a_file(desk: Desk):
    answer = desk.run("export", "indicators", "--json")

    assert answer.code == 2
    assert "--out FILE" in json.loads(answer.err)["remedy"]


def test_an_object_comes_after_what_it_names_over_the_whole_file(desk: Desk):
    author = an_identity(created="2020-01-01T00:00:00.000Z", modified="2020-01-01T00:00:00.000Z", tlp="green")
    others = [old_indicator(number) for number in range(STEP_OBJECTS + 1)]

    answer = desk.run("import", "indicators", "-", "--json", stdin=b"\n".join([*others, author]))

    assert answer.summary["stored"] == STEP_OBJECTS + 2
    first = json.loads(desk.run("export", "indicators").raw)["objects"][0]
    assert first["type"] == "identity"


def test_an_import_is_one_arrival_whatever_its_size(desk: Desk):
    others = [old_indicator(number) for number in range(STEP_OBJECTS + 1)]

    number = desk.run("import", "indicators", "-", "--json", stdin=b"\n".join(others)).summary["arrival"]

    with desk.open() as opened, opened.database.reading() as tx:
        (arrival,) = arrivals.recent(tx)
    assert (arrival.arrival_id, arrival.kind, arrival.counts) == (
        number,
        "import",
        {"stored": STEP_OBJECTS + 1},
    )
    assert arrival.actor.startswith("os:")


def test_what_is_refused_is_named_with_its_reason_and_the_rest_is_stored(desk: Desk):
    bodies = [b'{"type":"indicator"}', old_indicator(1), b"[1]", old_indicator(2, pattern=7)]

    answer = desk.run("import", "indicators", "-", "--json", stdin=a_bundle(*bodies))

    assert (answer.code, answer.summary["stored"], answer.summary["refused"]) == (3, 1, 3)
    names = [line["id"] for line in answer.of("refused")]
    assert names[0] == "object 1 of the file"
    assert names[1] == "object 3 of the file"
    assert names[2].startswith("indicator--")
    assert all(line["message"] for line in answer.of("refused"))


def test_people_see_the_first_twenty_refused_and_json_all(desk: Desk):
    bundle = a_bundle(*[old_indicator(number, pattern=7) for number in range(25)])

    seen = desk.run("import", "indicators", "-", stdin=bundle).out
    lines = desk.run("import", "indicators", "-", "--json", stdin=bundle).of("refused")

    assert "refused, the first 20 of 25:" in seen
    assert seen.count("  indicator--") == 20
    assert len(lines) == 25


def test_what_a_refused_object_is_called_cannot_act_on_the_terminal(desk: Desk):
    body = old_indicator(1, pattern_type="\x1b[31m", indicator_types="\x1b]0;x")

    assert "\x1b" not in desk.run("import", "indicators", "-", stdin=a_bundle(body)).out


def test_another_text_of_a_version_is_refused_and_restated_on_request(desk: Desk):
    desk.run("import", "indicators", "-", stdin=a_bundle(old_indicator()))
    other = a_bundle(old_indicator(description="corrected"))

    refused = desk.run("import", "indicators", "-", "--json", stdin=other)
    restated = desk.run("import", "indicators", "-", "--restate", "--json", stdin=other)

    assert (refused.code, refused.of("refused")[0]["reason"]) == (3, "version_exists")
    assert (restated.code, restated.summary["restated"]) == (0, 1)


def test_an_object_of_a_partner_is_refused(desk: Desk):
    desk.with_partner()
    theirs = a_bundle(old_indicator(1, author=SOUTH_ID))
    desk.run("import", "indicators", "-", stdin=theirs)

    answer = desk.run(
        "import",
        "indicators",
        "-",
        "--json",
        stdin=a_bundle(old_indicator(1, author=SOUTH_ID, modified=NEWER)),
    )

    assert [line["reason"] for line in answer.of("refused")] == ["not_owner"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"hello", "begins with"),
        (a_bundle(old_indicator())[:-20], "Object 1 of the stream"),
        (gzip.compress(a_bundle(old_indicator()))[:-12], "damaged or breaks off"),
    ],
    ids=["empty", "text", "cut bundle", "cut gzip"],
)
def test_a_broken_file_stores_nothing(desk: Desk, content: bytes, problem: str):
    answer = desk.run("import", "indicators", "-", stdin=content)

    assert answer.code == 2
    assert answer.err.startswith("-: ")
    assert problem in answer.err
    assert "\nTry: " in answer.err
    assert desk.run("collection", "show", "indicators", "--json").of("collection")[0]["objects"] == 0


def test_the_order_of_a_file_leaves_no_files_behind(desk: Desk):
    desk.run("collection", "list")
    before = sorted(path.name for path in desk.folder.iterdir())

    desk.run("import", "indicators", "-", stdin=a_bundle())

    after = sorted(path.name for path in desk.folder.iterdir())
    assert [name for name in after if not name.startswith("stixnode.db-")] == [
        name for name in before if not name.startswith("stixnode.db-")
    ]


def test_an_unknown_collection_names_the_nearest(desk: Desk):
    answer = desk.run("import", "indicator", "-", stdin=a_bundle())

    assert (answer.code, answer.err.splitlines()[-1]) == (2, "Try: Did you mean indicators?")


# collections


def test_a_collection_is_added_and_shown(desk: Desk):
    answer = desk.run(
        "collection", "add", "case-7", "--title", "Case 7", "--keep-days", "30", "--listed", "--json"
    )

    added = answer.of("collection")[0]
    assert (answer.code, added["alias"], added["keep_days"], added["listed"]) == (0, "case-7", 30, True)
    shown = desk.run("collection", "show", added["id"]).out
    assert "Case 7" in shown
    assert "30 days" in shown
    with desk.open() as opened, opened.database.reading() as tx:
        assert log.leaves(tx, limit=1)[0].act == "collection.add"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["indicators", "--title", "Other"], "The alias 'indicators' belongs"),
        (["other", "--title", "Indicators"], "The title 'Indicators' belongs"),
        (["other", "--title", "Other", "--id", INDICATORS], "The id"),
        (["Other", "--title", "Other"], "alias 'Other' is not"),
    ],
)
def test_a_collection_that_cannot_be_is_refused(desk: Desk, arguments, problem):
    answer = desk.run("collection", "add", *arguments)

    assert answer.code == 2
    assert problem in answer.err


def test_the_list_shows_every_collection_and_the_next_command(desk: Desk):
    answer = desk.run("collection", "list")

    assert [line.split()[0] for line in answer.out.splitlines()[1:-1]] == [
        "best-practices", "indicators", "legal-reference", "sightings", "techniques",
    ]  # fmt: skip
    assert answer.out.splitlines()[-1] == (
        f"next     stixnode --config {desk.config} collection show best-practices"
    )


def test_json_says_moments_in_utc_and_people_read_their_own_zone(desk: Desk):
    desk.write(
        "config.toml", desk.config.read_text().replace('#time_zone = "UTC"', 'time_zone = "Asia/Tokyo"')
    )
    desk.run("import", "indicators", "-", stdin=a_bundle(old_indicator()))

    assert " JST" in desk.run("collection", "show", "indicators").out
    assert (
        desk.run("collection", "show", "indicators", "--json").of("collection")[0]["last_added"].endswith("Z")
    )
