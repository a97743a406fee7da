"""What comes in, by each way: checked alike, kept to the byte, bounded, and whole or not at all."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from node.store import schema
from node.store.tx import Tx
from tests.support.builders import SOUTH_ID, an_indicator, an_ipv4
from tests.support.served import a_served, an_envelope
from tests.support.ways_in import WAYS

GREEN = {"tlp": "green", "author": SOUTH_ID}
FIRST, SECOND = an_indicator("first", **GREEN), an_indicator("second", **GREEN)


def with_property(text, name="odd"):
    """An indicator with one more property, as it is written."""
    return an_indicator(name, **GREEN)[:-1] + b"," + text + b"}"


# --- the same check by every way

HOSTILE = {
    "a property twice": b'"name":"again"',
    "a property twice inside": b'"x_odd":[{"b":1,"b":2}]',
    "a property twice, once escaped": b'"n\\u0061me":"again"',
    "NaN": b'"x_odd":NaN',
    "out of range": b'"x_odd":1e400',
    "half a surrogate pair": b'"x_odd":"\\ud800"',
    "NUL": b'"x_odd":"\\u0000"',
    "a raw NUL": b'"x_odd":"\x00"',
    "not UTF-8": b'"x_odd":"\xff"',
    "deep": b'"x_odd":' + b"[" * 1_000 + b"1" + b"]" * 1_000,
    "an integer without end": b'"x_odd":1' + b"0" * 5_000,
    "no moment": b'"valid_until":"yesterday"',
    "a marking that is none": b'"granular_markings":[{"marking_ref":"x"}]',
}


@pytest.mark.parametrize("fault", HOSTILE)
@pytest.mark.parametrize("way", WAYS)
def test_what_readers_read_differently_enters_by_no_way(sqlite_database, tmp_path, way, fault):
    """T-POST-22, T-POST-21: the batch is refused with words, or this object alone, and nothing breaks."""
    bad = with_property(HOSTILE[fault])

    told = WAYS[way](sqlite_database, tmp_path, [FIRST, bad, SECOND], {})

    assert bad not in told.held
    if told.whole:
        assert told.held == ()
    else:
        assert (told.refused, told.held) == (1, (FIRST, SECOND))


@pytest.mark.parametrize("way", WAYS)
def test_what_is_sound_enters_by_every_way(sqlite_database, tmp_path, way):
    """The control of the test above: without a fault nothing is refused."""
    told = WAYS[way](sqlite_database, tmp_path, [FIRST, SECOND], {})

    assert (told.whole, told.refused, told.held) == (False, 0, (FIRST, SECOND))


SPELLINGS = [
    b'"x_odd":123456789012345678901234567890123456789',
    b'"x_odd":-9007199254740993',
    b'"x_odd":1.0',
    b'"x_odd":1E+2',
    b'"x_odd":-0.0',
    b'"x_odd":0.1000000000000000055511151231257827',
    b'"x_odd" : [ 1 ,2 ]',
    b'"x_odd":"\\u00e9\\/\\ud83d\\ude00"',
    b'"x_odd":"caf\xc3\xa9"',
    b'"confidence":1' + b"0" * 1,
]


@pytest.mark.parametrize("way", WAYS)
def test_a_number_and_a_text_stay_as_they_are_spelled(database, tmp_path, way):
    """T-POST-23, N-SYNC-7: byte for byte, big integers too, by every way and on both databases."""
    bodies = [with_property(text, at) for at, text in enumerate(SPELLINGS)]

    told = WAYS[way](database, tmp_path, bodies, {})

    assert (told.refused, told.held) == (0, tuple(bodies))


# --- sizes

MOST = 2_048


def of_length(length, name="long"):
    """An indicator of exactly so many bytes."""
    short = an_indicator(name, description="", **GREEN)
    return an_indicator(name, description="x" * (length - len(short)), **GREEN)


@pytest.mark.parametrize(
    ("length", "refused"),
    [
        pytest.param(MOST - 1, 0, id="below"),
        pytest.param(MOST, 0, id="at"),
        pytest.param(MOST + 1, 1, id="above"),
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_an_object_may_be_as_long_as_configured_and_no_longer(
    sqlite_database, tmp_path, way, length, refused
):
    """A longer one is refused by itself, and its neighbours are stored."""
    long = of_length(length)
    assert len(long) == length

    limits = {"max_object_bytes": MOST, "max_content_length": 16 * MOST}
    told = WAYS[way](sqlite_database, tmp_path, [FIRST, long, SECOND], limits)

    assert (told.whole, told.refused) == (False, refused)
    assert told.held == ((FIRST, SECOND) if refused else (FIRST, long, SECOND))


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
@pytest.mark.parametrize(("extra", "status"), [(-1, 202), (0, 202), (1, 413), (100_000, 413)])
def test_a_body_may_be_as_long_as_configured_and_no_longer(sqlite_database, tmp_path, extra, status, chunked):
    """T-POST-17, T-POST-18: of a longer one nothing is stored, whether its length was said or not."""
    node = a_served(
        sqlite_database, tmp_path, limits={"max_content_length": 8_192, "max_object_bytes": 8_192}
    )
    body = an_envelope([FIRST])
    body += b" " * (8_192 + extra - len(body))
    unsaid = {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}

    found = node.soc().send(
        "POST",
        "indicators/objects/",
        headers={"Content-Type": "application/taxii+json"},
        data=body,
        environ_overrides=unsaid if chunked else {},
    )

    assert (found.status_code, len(node.exported())) == (status, status == 202)


def test_the_longest_object_of_the_default_limits_is_stored(sqlite_database, tmp_path):
    """A megabyte, which is what an operator gets who configures nothing."""
    node = a_served(sqlite_database, tmp_path)
    most = node.settings.limits.max_object_bytes
    bodies = [of_length(most, "a"), of_length(most + 1, "b")]

    found = node.soc().post("indicators", bodies)

    assert (found.json["success_count"], found.json["failure_count"]) == (1, 1)
    assert node.exported() == bodies[:1]


# --- one transaction


def everything(database):
    """Every row of every table."""
    with database.reading() as tx:
        return {
            table.name: sorted(map(repr, tx.rows(sa.select(*table.columns))))
            for table in schema.metadata.sorted_tables
        }


class Plant(RuntimeError):
    """A fault that no code expects."""


def planted(monkeypatch, at):
    """Let everything break after so many writing statements; counts them."""
    seen = []

    def breaking(name):
        plain = getattr(Tx, name)

        def called(self, *given, **more):
            found = plain(self, *given, **more)
            seen.append(name)
            if len(seen) == at:
                raise Plant
            return found

        return called

    for name in ("run", "many", "insert"):
        monkeypatch.setattr(Tx, name, breaking(name))
    return seen


ENVELOPE = [an_indicator("late"), an_ipv4(), b"3", an_indicator(revoked=True)]


def test_a_post_is_one_transaction(database, tmp_path, monkeypatch):
    """T-POST-25: broken after any of its statements it leaves nothing, and the same again is stored whole."""
    node = a_served(database, tmp_path)
    soc = node.soc()
    soc.post("indicators", [an_indicator()])
    before = everything(database)
    broken = 0

    while True:
        with monkeypatch.context() as patch:
            seen = planted(patch, broken + 1)
            found = soc.post("indicators", ENVELOPE)
        if found.status_code == 202:
            break
        broken += 1
        assert (found.status_code, len(seen)) == (500, broken)
        assert everything(database) == before

    assert broken >= 6  # else the plant missed the statements it was made for
    assert (len(seen), found.json["success_count"], found.json["failure_count"]) == (broken, 2, 2)
    assert everything(database) != before
    assert len(node.exported()) == 3


def test_ten_thousand_objects_are_one_transaction_too(database, tmp_path, monkeypatch):
    """T-POST-25: one arrival, a status that names each, increasing dates; of a broken one nothing."""
    node = a_served(database, tmp_path)
    soc = node.soc()
    bodies = [an_ipv4(f"10.{n // 2500}.{n // 50 % 50}.{n % 50}") for n in range(10_000)]
    before = everything(database)
    with monkeypatch.context() as patch:
        planted(patch, 4)
        broken = soc.post("indicators", bodies)
    assert (broken.status_code, everything(database) == before) == (500, True)

    found = soc.post("indicators", bodies).json

    assert (found["total_count"], found["success_count"], len(found["successes"])) == (10_000,) * 3
    with database.reading() as tx:
        dates = [
            row[0] for row in tx.rows(sa.select(schema.object_.c.added).order_by(schema.object_.c.added))
        ]
        arrivals = tx.rows(sa.select(schema.object_.c.arrival_id).distinct())
    assert (len(set(dates)), len(arrivals)) == (10_000, 1)
    assert found["successes"][0]["version"] < found["successes"][-1]["version"]


def test_whoever_posts_the_same_at_the_same_time_succeeds_and_one_is_stored(database, tmp_path):
    """T-POST-27: two clients, one row, both told of success."""
    node = a_served(database, tmp_path)
    clients = [node.account(f"soc{n}", write=["indicators"]) for n in range(4)]
    start = threading.Barrier(4)

    def post(client):
        start.wait(30)
        return client.post("indicators", [an_indicator(), an_ipv4()]).json

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(post, clients))

    assert [(one["success_count"], one["failure_count"]) for one in found] == [(2, 0)] * 4
    assert len({one["successes"][1]["version"] for one in found}) == 1
    assert sorted(node.exported()) == sorted([an_indicator(), an_ipv4()])
