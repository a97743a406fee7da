"""`stixnode collection`: how much a collection asks of its objects, and what it has kept nevertheless."""

from __future__ import annotations

import pytest

from tests.cli.desk import Desk, a_bundle
from tests.support.builders import CREATED, an_indicator

NO_SCHEMA = an_indicator("no schema", pattern=None)
NO_ORDER = an_indicator("no order", valid_until=CREATED)


def imported(desk: Desk, validation: str):
    desk.run("collection", "add", "strict", "--title", "Strict", "--validation", validation)
    return desk.run("import", "strict", "-", "--json", stdin=a_bundle(an_indicator(), NO_SCHEMA, NO_ORDER))


@pytest.mark.parametrize(("validation", "stored"), [("structure", 3), ("schema", 2), ("full", 1)])
def test_a_collection_asks_as_much_as_its_validation_says(desk: Desk, validation: str, stored: int):
    assert imported(desk, validation).summary["stored"] == stored


def test_what_full_refuses_is_told_with_its_place(desk: Desk):
    refused = {line["message"].partition(":")[0] for line in imported(desk, "full").of("refused")}

    assert refused == {'"pattern" is a required property', "valid_until"}


def test_flagged_objects_are_counted(desk: Desk):
    imported(desk, "structure")

    assert "structure, 1 object flagged" in desk.run("collection", "show", "strict").out
    (shown,) = desk.run("collection", "show", "strict", "--json").of("collection")
    assert shown["flagged"] == 1


def test_without_flagged_objects_nothing_is_said_of_them(desk: Desk):
    imported(desk, "schema")

    assert "object flagged" not in desk.run("collection", "show", "strict").out


def test_another_word_is_refused(desk: Desk):
    answer = desk.run("collection", "add", "strict", "--title", "Strict", "--validation", "strictest")

    assert answer.code == 2
    assert "'structure', 'schema', 'full'" in answer.err
