"""`stixnode import --medallion`: a file that stock medallion saved, and what can be wrong with one."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from node.clock import parse_taxii_time, taxii_time
from tests.cli.desk import INDICATORS, NEWER, OLD, Answer, Desk, a_bundle, moment, old_indicator
from tests.support.builders import a_marking_definition, an_id, an_ipv4
from tests.support.medallion_application import PASSWORD, USER, stock_application
from tests.support.served import an_envelope, basic

MEDIA = "application/taxii+json;version=2.1"
THEIRS = "91a7b528-80eb-42ed-a74d-c6fbd5a26116"
DAY = 86_400 * 1_000_000
SCO = an_ipv4()


def a_collection(title: str = "Indicators", stix_id: str = THEIRS, **more: Any) -> dict[str, Any]:
    """A collection as medallion's file has it, without objects."""
    rights = {"can_read": True, "can_write": True, "media_types": []}
    return {"id": stix_id, "title": title, **rights, "manifest": [], **more}


def held(*dated: tuple[bytes, str], title: str = "Indicators", stix_id: str = THEIRS) -> dict[str, Any]:
    """A collection with objects, each with its date."""
    objects = [json.loads(body) for body, _ in dated]
    manifest = [
        {
            "id": one["id"],
            "date_added": date,
            "version": one.get("modified", one.get("created", date)),
            "media_type": "application/stix+json;version=2.1",
        }
        for one, (_, date) in zip(objects, dated, strict=True)
    ]
    return a_collection(title, stix_id, objects=objects, manifest=manifest)


def a_file(*collections: dict[str, Any]) -> dict[str, Any]:
    """The content of a data file."""
    information = {"title": "medallion", "versions": [MEDIA], "max_content_length": 10_000_000}
    root = {"information": information, "status": [], "collections": list(collections)}
    return {"discovery": {"title": "medallion", "api_roots": ["api1"]}, "api1": root}


def saved_by_medallion(folder: Path, *posts: Sequence[bytes]) -> Path:
    """The file that stock medallion saves after these POSTs to its one collection."""
    path = folder / "medallion.json"
    path.write_text(json.dumps(a_file(a_collection())), encoding="utf-8")
    backend = {"module": "medallion.backends.memory_backend", "module_class": "MemoryBackend"}
    app = stock_application(backend | {"filename": str(path)})
    for bodies in posts:
        answer = app.test_client().post(
            f"/api1/collections/{THEIRS}/objects/",
            data=an_envelope(bodies),
            content_type=MEDIA,
            headers={"Accept": MEDIA, "Authorization": basic(USER, PASSWORD)},
        )
        assert answer.json["success_count"] == len(bodies), answer.text
    app.medallion_backend.save_data_to_file(str(path))  # type: ignore[attr-defined]
    return path


def imported(desk: Desk, content: Path | dict[str, Any], *more: str) -> Answer:
    """What the command does with a file, as lines of JSON."""
    path = content if isinstance(content, Path) else desk.write("data.json", json.dumps(content))
    return desk.run("import", "--medallion", str(path), *more, "--json")


def rows(desk: Desk) -> list[tuple[str, int, str, bytes]]:
    """(id, date, version, body) of all that the node holds, by date."""
    statement = 'select stix_id, added, version_text, body from "object" order by collection_id, added'
    with desk.open() as opened, opened.database.reading() as tx:
        return [(row[0], row[1], row[2], bytes(row[3])) for row in tx.rows(sa.text(statement))]


def ids_and_dates(desk: Desk) -> list[tuple[str, str]]:
    return [(stix_id, taxii_time(date)) for stix_id, date, _, _ in rows(desk)]


def numbered(*names: str | int) -> list[str]:
    return [an_id("indicator", name) for name in names]


def test_what_stock_medallion_saved_comes_with_its_dates(desk: Desk, tmp_path: Path):
    posts = [[old_indicator(1), SCO, old_indicator(2)], [old_indicator(1, modified=NEWER)]]
    path = saved_by_medallion(tmp_path, *posts)
    (theirs,) = json.loads(path.read_text())["api1"]["collections"]
    dates = [parse_taxii_time(line["date_added"]) for line in theirs["manifest"]]

    answer = imported(desk, path)

    (line,) = answer.of("imported")
    assert answer.code == 0, answer.out + answer.err
    assert (line["collection"], line["dates"], line["read"], line["stored"]) == ("indicators", "kept", 4, 4)
    assert (answer.summary["collections"], answer.summary["stored"]) == (1, 4)
    ours = rows(desk)
    assert dates[0] == dates[1] == dates[2] < dates[3]  # a POST gives all its objects one date
    assert [date for _, date, _, _ in ours] == [dates[0], dates[0] + 10, dates[0] + 20, dates[3]]
    assert [stix_id for stix_id, *_ in ours[3:]] == numbered(1)


def test_what_medallion_notes_inside_objects_is_taken_out(desk: Desk, tmp_path: Path):
    path = saved_by_medallion(tmp_path, [SCO])
    assert "_date_added" in path.read_text()

    imported(desk, path)

    ((stix_id, date, version, body),) = rows(desk)
    assert json.loads(body) == json.loads(SCO)
    assert (stix_id, version) == (json.loads(SCO)["id"], taxii_time(date))  # match[version] finds it still


def test_a_name_that_stands_twice_is_refused_beside_medallions_note_too(desk: Desk):
    twice = old_indicator(1)[:-1] + b',"name":"a","name":"b","_date_added":"%s"}' % OLD.encode()
    text = json.dumps(a_file(a_collection(objects=["HERE"]))).encode().replace(b'"HERE"', twice)

    answer = desk.run("import", "--medallion", str(desk.write("data.json", text.decode())), "--json")

    assert (answer.code, rows(desk)) == (3, [])
    assert "occurs twice" in answer.of("refused")[0]["message"]


def test_a_second_run_is_all_duplicates(desk: Desk, tmp_path: Path):
    path = saved_by_medallion(tmp_path, [old_indicator(1)], [old_indicator(2), SCO])
    imported(desk, path)
    before = rows(desk)

    answer = imported(desk, path)

    assert (answer.code, answer.summary["duplicate"]) == (0, 3)
    assert rows(desk) == before


def test_dates_are_new_in_a_collection_that_is_not_empty(desk: Desk):
    desk.run("import", "indicators", "-", stdin=a_bundle(old_indicator("ours")))
    began = moment()

    answer = imported(desk, a_file(held((old_indicator(1), OLD))))

    assert answer.of("imported")[0]["dates"] == "new"
    assert rows(desk)[1][1] > began


def test_dates_are_new_where_all_was_deleted(desk: Desk):
    """A collection whose objects are gone has readers that passed their dates."""
    imported(desk, a_file(held((old_indicator(1), OLD))))
    with desk.open() as opened, opened.database.writing() as tx:
        tx.run(sa.text('delete from "object"'))

    assert imported(desk, a_file(held((old_indicator(2), NEWER)))).of("imported")[0]["dates"] == "new"


def test_dates_decide_the_order_and_ties_are_spread(desk: Desk):
    dated = [(old_indicator(3), NEWER), (old_indicator(1), OLD), (old_indicator(2), OLD)]

    imported(desk, a_file(held(*dated)))

    assert ids_and_dates(desk) == [
        (numbered(1)[0], "2020-01-01T00:00:00.000000Z"),
        (numbered(2)[0], "2020-01-01T00:00:00.000010Z"),
        (numbered(3)[0], "2020-01-02T00:00:00.000000Z"),
    ]


def test_ties_that_run_into_the_next_date_push_it_on(desk: Desk):
    close = "2020-01-01T00:00:00.000005Z"

    imported(desk, a_file(held((old_indicator(1), OLD), (old_indicator(2), OLD), (old_indicator(3), close))))

    assert [date[-7:] for _, date in ids_and_dates(desk)] == ["000000Z", "000010Z", "000020Z"]


def test_no_date_lies_in_the_future(desk: Desk):
    ahead = taxii_time(moment() + 30 * DAY)

    imported(desk, a_file(held((old_indicator(1), ahead), (old_indicator(2), OLD))))

    assert [stix_id for stix_id, _ in ids_and_dates(desk)] == numbered(2, 1)
    assert rows(desk)[-1][1] <= moment()


@pytest.mark.parametrize("manifest", [[], [{"id": an_id("indicator", 1), "date_added": "soon"}]])
def test_an_object_without_a_date_comes_last_with_a_new_one(desk: Desk, manifest: list[Any]):
    began = moment()
    collection = held((old_indicator(1), OLD), (old_indicator(2), NEWER))
    collection["manifest"] = [*manifest, collection["manifest"][1]]

    answer = imported(desk, a_file(collection))

    assert answer.of("imported")[0]["undated"] == 1
    assert [stix_id for stix_id, _ in ids_and_dates(desk)] == numbered(2, 1)
    assert rows(desk)[1][1] >= began


def test_a_version_that_is_laxer_than_the_one_before_does_not_cost_the_others_their_dates(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    """What the strict version hid becomes visible again, so it moves behind the lax one, and no further."""
    monkeypatch.setattr("node.cli.importing_medallion.STEP_OBJECTS", 1)
    third, fourth = "2020-01-03T00:00:00.000Z", "2020-01-04T00:00:00.000Z"
    first = old_indicator(1)
    strict = old_indicator(1, modified=NEWER, tlp="amber")
    lax = old_indicator(1, modified=third)
    other = old_indicator(2)

    imported(desk, a_file(held((first, OLD), (strict, NEWER), (lax, third), (other, fourth))))

    assert [(version, taxii_time(date)[8:]) for _, date, version, _ in rows(desk)] == [
        (NEWER, "02T00:00:00.000000Z"),
        (third, "03T00:00:00.000000Z"),
        (OLD, "03T00:00:00.000010Z"),
        (OLD, "04T00:00:00.000000Z"),
    ]


def test_steps_do_not_cost_dates(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    """Only the row whose marking came after it moves: it becomes visible at the end of the import."""
    monkeypatch.setattr("node.cli.importing_medallion.STEP_OBJECTS", 1)
    began = moment()
    definition = a_marking_definition("terms", created=OLD)
    marked = old_indicator(1, tlp=None, object_marking_refs=[an_id("marking-definition", "terms")])
    later = "2020-01-03T00:00:00.000Z"
    dated = [(marked, OLD), (definition, NEWER), (old_indicator(2), later), (old_indicator(3), later)]

    imported(desk, a_file(held(*dated)))

    *kept, moved = rows(desk)
    assert [stix_id for stix_id, *_ in kept] == [an_id("marking-definition", "terms"), *numbered(2, 3)]
    assert [taxii_time(date) for _, date, _, _ in kept] == [
        "2020-01-02T00:00:00.000000Z",
        "2020-01-03T00:00:00.000000Z",
        "2020-01-03T00:00:00.000010Z",
    ]
    assert moved[0] == numbered(1)[0]
    assert moved[1] >= began


def test_a_marking_in_the_same_step_costs_no_date(desk: Desk):
    definition = a_marking_definition("terms", created=OLD)
    marked = old_indicator(1, tlp=None, object_marking_refs=[an_id("marking-definition", "terms")])

    imported(desk, a_file(held((marked, OLD), (definition, NEWER))))

    assert [date for _, date in ids_and_dates(desk)] == [
        "2020-01-01T00:00:00.000000Z",
        "2020-01-02T00:00:00.000000Z",
    ]


def test_what_is_not_valid_is_refused_by_name_and_the_rest_comes(desk: Desk):
    wrong = old_indicator(2, pattern=7)

    collection = held((old_indicator(1), OLD), (wrong, OLD))
    collection["objects"].append({})

    answer = imported(desk, a_file(collection))

    assert answer.code == 3
    assert (answer.summary["stored"], answer.summary["refused"]) == (1, 2)
    refused = answer.of("refused")
    assert [(one["number"], one["collection"]) for one in refused] == [(2, "indicators"), (3, "indicators")]
    assert refused[0]["id"] == an_id("indicator", 2)


@pytest.mark.parametrize(
    ("collection", "more"),
    [
        pytest.param(held((old_indicator(), OLD), title="x", stix_id=INDICATORS), (), id="by id"),
        pytest.param(held((old_indicator(), OLD), title="indicators"), (), id="by alias as title"),
        pytest.param(held((old_indicator(), OLD), title="x") | {"alias": "indicators"}, (), id="by alias"),
        pytest.param(held((old_indicator(), OLD), title="x"), ("--map", "x=indicators"), id="by --map title"),
        pytest.param(
            held((old_indicator(), OLD), title="x"),
            ("--map", f"api1/{THEIRS}={INDICATORS}"),
            id="by --map root and id",
        ),
    ],
)
def test_a_collection_finds_its_place(desk: Desk, collection: dict[str, Any], more: tuple[str, ...]):
    answer = imported(desk, a_file(collection), *more)

    assert answer.code == 0, answer.err
    assert answer.of("imported")[0]["collection"] == "indicators"


def test_a_collection_without_a_place_stops_everything(desk: Desk):
    strange = held((old_indicator(2), OLD), title="High Value Indicators", stix_id=THEIRS[:-1] + "7")

    answer = imported(desk, a_file(held((old_indicator(1), OLD)), strange))

    error = json.loads(answer.err)
    assert answer.code == 2
    assert "High Value Indicators" in error["problem"]
    assert "--map 'High Value Indicators=ALIAS'" in error["remedy"]
    assert rows(desk) == []


def test_named_collections_alone_are_filled(desk: Desk):
    strange = held((old_indicator(2), OLD), title="High Value Indicators", stix_id=THEIRS[:-1] + "7")

    answer = imported(desk, a_file(held((old_indicator(1), OLD)), strange), "indicators")

    assert (answer.code, answer.summary["left_out"]) == (0, [THEIRS[:-1] + "7"])
    assert len(rows(desk)) == 1


def test_two_of_theirs_may_go_into_one_of_ours_in_the_order_of_their_dates(desk: Desk):
    other = held((old_indicator(2), OLD), title="x", stix_id=THEIRS[:-1] + "7")

    answer = imported(desk, a_file(held((old_indicator(1), NEWER)), other), "--map", "x=indicators")

    (line,) = answer.of("imported")
    assert (line["read"], [one["title"] for one in line["theirs"]]) == (2, ["Indicators", "x"])
    assert [stix_id for stix_id, _ in ids_and_dates(desk)] == numbered(2, 1)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--map", "nothing=indicators"), "no collection 'nothing'"),
        (("--map", "indicators"), "not of the form THEIRS=OURS"),
        (("--map", "Indicators=nowhere"), "nowhere"),
        (("techniques",), "Nothing in the file goes into techniques"),
    ],
)
def test_a_wrong_mapping_is_told_and_nothing_is_stored(desk: Desk, arguments: tuple[str, ...], problem: str):
    answer = imported(desk, a_file(held((old_indicator(), OLD))), *arguments)

    assert answer.code == 2
    assert problem in json.loads(answer.err)["problem"]
    assert rows(desk) == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no data file"),
        (b"{", "no data file"),
        (b'{"api1": {"collections": [{"id": 7}]}}', "no data file"),
        (b'{"api1": {"collections": [{"id": "x", "objects": [{"n": NaN}]}]}}', "no data file"),
        (a_bundle(old_indicator()), "no API root with collections"),
        (gzip.compress(json.dumps(a_file(a_collection())).encode())[:-9], "breaks off"),
    ],
    ids=["empty", "cut", "another form", "NaN", "a bundle", "cut gzip"],
)
def test_a_bad_file_is_refused_whole(desk: Desk, content: bytes, problem: str):
    answer = imported(desk, desk.write("bad.json", content))

    error = json.loads(answer.err)
    assert answer.code == 2
    assert "bad.json" in error["problem"]
    assert problem in error["problem"]
    assert error["remedy"].startswith("Nothing was stored.")


def test_a_packed_file_is_read_too(desk: Desk):
    path = desk.write(
        "data.json.gz", gzip.compress(json.dumps(a_file(held((old_indicator(), OLD)))).encode())
    )

    assert imported(desk, path).summary["stored"] == 1


def test_a_map_without_a_medallion_file_is_a_wrong_call(desk: Desk):
    answer = desk.run("import", "indicators", "-", "--map", "a=b", stdin=b"")

    assert answer.code == 2
    assert "--map goes with --medallion" in answer.err


def test_people_are_told_what_went_where(desk: Desk):
    path = desk.write("data.json", json.dumps(a_file(held((old_indicator(), OLD)))))

    answer = desk.run("import", "--medallion", str(path))

    assert "Indicators: 1 object read into indicators: 1 stored" in answer.out
    assert "dates are those of medallion" in answer.out
    assert answer.out.splitlines()[-2].startswith("next ")
