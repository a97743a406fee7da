"""A real medallion 3.0.0 as partner: pulled from and pushed to by the real worker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from taxii2client.v21 import Collection, as_pages

from tests.support.agreements import a_flow
from tests.support.builders import NORTH_ID, SOUTH_ID, an_indicator
from tests.support.medallion_server import MedallionPlace, medallion_server
from tests.support.real_nodes import (
    PAST,
    RealNode,
    an_agreement_of_today,
    bring,
    found_real_node,
    past_indicators,
    work_once,
)
from tests.support.served import INDICATORS

HELD, OURS, PAGE = 250, 30, 20


@pytest.fixture(scope="module")
def exchange(_sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory):
    """North, with 30 objects of its own, and medallion with 250, which is where south should be."""
    folder = tmp_path_factory.mktemp("medallion")
    with medallion_server(folder, past_indicators(SOUTH_ID, HELD), page=PAGE) as place:
        flow = a_flow(types=["indicator", "identity"], carry={"north": "push", "south": "pull"})
        binding = {
            "kind": "taxii",
            "agreements": ["agreement.toml"],
            "api_root": place.api_root,
            "username": place.user,
            "password_file": "password",
            "their_ids": {"indicators": INDICATORS},
        }
        north = RealNode("north", folder / "north", 1)
        agreement = an_agreement_of_today(flow=[flow], paper_signed=True)
        found_real_node(_sqlite_template, north, {"south": binding}, agreement)
        (north.folder / "password").write_text(place.password, encoding="utf-8")
        mine = [
            an_indicator(
                f"mine {n}", author=NORTH_ID, created=PAST, modified=PAST, valid_from=PAST, tlp="green"
            )
            for n in range(OURS)
        ]
        bring(north, mine)
        yield north, place, [work_once(north) for _ in range(3)]


def listed(place: MedallionPlace) -> list[tuple[str, str]]:
    """(id, version) of everything in medallion's manifest, as taxii2-client pages through it."""
    url = f"{place.api_root}collections/{place.collection}/"
    collection = Collection(url, user=place.user, password=place.password)
    entries = [
        entry for page in as_pages(collection.get_manifest, per_request=PAGE) for entry in page["objects"]
    ]
    collection.close()
    return [(entry["id"], entry["version"]) for entry in entries]


def held(north: RealNode) -> list[tuple[str, str]]:
    with north.opened() as database, database.reading() as tx:
        return [tuple(row) for row in tx.rows(sa.text('select stix_id, version_text from "object"'))]


def names_of(bodies: list[bytes]) -> set[tuple[str, str]]:
    values = [json.loads(body) for body in bodies]
    return {(value["id"], value["modified"]) for value in values}


def test_the_worker_pulls_all_of_it_in_many_pages(exchange):
    north, _, (first, *_) = exchange
    (pull,) = first.of("pull")
    assert first.code == 0, first
    assert (pull["received"], pull["stored"]) == (HELD, HELD)
    assert pull["pages"] >= HELD // PAGE
    assert names_of(past_indicators(SOUTH_ID, HELD)) <= set(held(north))


def test_the_worker_pushes_all_of_ours_and_only_ours(exchange):
    _, place, (first, *_) = exchange
    (push,) = first.of("push")
    assert (push["sent"], push["withheld"], push["failed"], push["unconfirmed"]) == (OURS, HELD, 0, 0)
    assert push["considered"] == OURS + HELD  # what came from there does not go back
    there = listed(place)
    assert len(there) == len(set(there)) == HELD + OURS


def test_both_sides_hold_the_same_versions_once(exchange):
    north, place, _ = exchange
    here = held(north)
    assert sorted(here) == sorted(listed(place))
    assert len(here) == HELD + OURS


def test_further_rounds_move_nothing(exchange):
    _, _, (_, second, third) = exchange
    for ended in (second, third):
        assert ended.code == 0, ended
        assert ended.of("summary")[0]["moved"] == 0
        assert ended.of("push")[0]["considered"] == 0


def test_a_duplicate_that_medallion_reports_as_failure_is_no_failure(exchange):
    north, place, _ = exchange
    forget_what_was_delivered(north)
    again = work_once(north)
    (push,) = again.of("push")
    assert again.code == 0, again
    assert (push["considered"], push["unchanged"], push["failed"]) == (OURS, OURS, 0)
    assert len(listed(place)) == HELD + OURS


def test_control_medallion_does_report_the_duplicates_as_failures(exchange):
    _, place, _ = exchange
    url = f"{place.api_root}collections/{place.collection}/"
    collection = Collection(url, user=place.user, password=place.password)
    status = collection.add_objects({"objects": [json.loads(past_indicators(SOUTH_ID, 1)[0])]})
    collection.close()
    assert (status.success_count, status.failure_count) == (0, 1)


def forget_what_was_delivered(north: RealNode) -> None:
    """As after a restore from before the first push: all of it is offered once more."""
    with north.opened() as database, database.writing() as tx:
        tx.run(sa.text("update feed_row set state = 0"))
