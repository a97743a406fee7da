"""A partner of our own kind whose collection was made anew gets all of it again, without asking."""

import sqlalchemy as sa

from tests.flows.test_exchange import quiet
from tests.flows.test_restored import assert_sound, ids, ours
from tests.support.builders import NORTH_ID
from tests.support.two_nodes import BOTH_PUSH, two_nodes

_EMPTIED = ('"object"', "owner", "received", "arrival", "session_in")


def make_anew(centre, *, epoch="'anew ' || alias") -> None:
    with centre.database.writing() as tx:
        for table in _EMPTIED:
            tx.run(sa.text(f"delete from {table}"))
        tx.run(sa.text(f"update collection set last_added = 0, epoch = {epoch}"))


def test_a_collection_that_the_receiver_made_anew_is_filled_again_by_a_push(two_databases, tmp_path):
    pair = two_nodes(two_databases, tmp_path, flow_carry=BOTH_PUSH)
    pair.north.bring(*ours(NORTH_ID, "a", "b"))
    quiet(pair)

    make_anew(pair.south)
    assert pair.south.ids() == set()
    quiet(pair)

    assert pair.south.ids() == ids("a", "b")
    assert pair.south.bodies() == pair.north.bodies()
    assert_sound(pair.south)


def test_control_with_its_old_epoch_it_would_stay_empty(two_sqlite_databases, tmp_path):
    pair = two_nodes(two_sqlite_databases, tmp_path, flow_carry=BOTH_PUSH)
    pair.north.bring(*ours(NORTH_ID, "a", "b"))
    quiet(pair)

    make_anew(pair.south, epoch="epoch")
    for _ in range(3):
        pair.round()

    assert pair.south.ids() == set()
