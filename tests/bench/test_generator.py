"""tests/bench/generator.py: the same objects each time, and none that a node would refuse."""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import chain

from node.stix.objects import read
from node.stix.validation import read_checked
from tests.bench.generator import TYPES, objects

SUM_OF_3000 = "2826ee465ff42bdd727efc817ba132647db777942f48edb0c686cd22ff56d7db"


def test_the_first_objects_are_always_the_same():
    assert hashlib.sha256(b"\n".join(chain(*objects(3_000)))).hexdigest() == SUM_OF_3000


def test_a_block_needs_none_of_the_blocks_before_it():
    assert list(objects(3_000, start=2_000)) == list(objects(3_000))[2:]


def test_another_seed_gives_other_objects():
    assert next(objects(1_000, seed=2)) != next(objects(1_000))


def test_every_object_passes_the_schemas_and_every_type_is_there():
    kinds: Counter[str] = Counter()
    for body in chain(*objects(3_000)):
        one, fault = read_checked(body, "schema")
        assert not fault, body
        kinds[one.type] += 1
    assert tuple(sorted(kinds)) == TYPES


def test_some_objects_are_later_versions_of_others():
    keys = [(one.id, one.version) for one in map(read, chain(*objects(3_000)))]

    assert len(set(keys)) == 3_000
    assert 100 < 3_000 - len({stix_id for stix_id, _ in keys}) < 300
