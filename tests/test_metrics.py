"""node/metrics.py: what is counted, under labels that are ours, and its text."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from node import metrics
from node.metrics import Gauge, Metrics, present


@pytest.fixture(autouse=True)
def _counts_of_its_own():
    counted = present.begin()
    yield
    present.resume(counted)


def lines(found, word):
    return [line for line in found.text().decode().splitlines() if word in line and line[0] != "#"]


def count(found, **changes):
    given = {
        "route": "/api/",
        "method": "GET",
        "status": 200,
        "seconds": 0.003,
        "sent": 10,
        "presented": True,
    }
    found.request(**{**given, **changes})


def test_a_request_counts_under_its_route_method_and_status():
    found = Metrics()

    count(found)
    count(found)
    count(found, status=404)

    assert sorted(lines(found, "stixnode_requests_total")) == [
        'stixnode_requests_total{method="GET",route="/api/",status="200"} 2.0',
        'stixnode_requests_total{method="GET",route="/api/",status="404"} 1.0',
    ]
    assert lines(found, "stixnode_answer_bytes_total") == ["stixnode_answer_bytes_total 30.0"]


def test_the_time_to_an_answer_falls_into_buckets():
    found = Metrics()

    count(found, seconds=0.003)

    assert 'stixnode_request_seconds_bucket{le="0.0025",route="/api/"} 0.0' in lines(found, "_bucket")
    assert 'stixnode_request_seconds_bucket{le="0.005",route="/api/"} 1.0' in lines(found, "_bucket")


def test_what_the_request_moved_and_cost_is_counted_with_it():
    found = Metrics()
    present.objects_out, present.outcomes = 7, {"stored": 2, "duplicate": 1}
    present.statements, present.statement_seconds = 3, 0.25
    present.lock_seconds, present.commit_seconds = 0.5, 0.75

    count(found)

    assert lines(found, "objects_out") == ["stixnode_objects_out_total 7.0"]
    assert sorted(lines(found, "objects_in")) == [
        'stixnode_objects_in_total{outcome="duplicate"} 1.0',
        'stixnode_objects_in_total{outcome="stored"} 2.0',
    ]
    assert sorted(lines(found, "database_seconds")) == [
        'stixnode_database_seconds_total{part="commit"} 0.75',
        'stixnode_database_seconds_total{part="lock"} 0.5',
        'stixnode_database_seconds_total{part="statement"} 0.25',
    ]


def test_objects_of_a_request_that_failed_did_not_come_in():
    found = Metrics()
    present.outcomes = {"stored": 2}

    count(found, status=503)

    assert lines(found, "objects_in") == []
    assert lines(found, "stixnode_failures") == ["stixnode_failures_total 1.0"]


@pytest.mark.parametrize(
    ("status", "presented", "expected"),
    [(401, True, (1, 0, 0)), (401, False, (0, 0, 0)), (429, True, (0, 1, 0)), (500, True, (0, 0, 1))],
)
def test_failed_logins_slowed_requests_and_failures_have_counts_of_their_own(status, presented, expected):
    found = Metrics()

    count(found, status=status, presented=presented)

    words = ("login_failures_total", "slowed_requests_total", "stixnode_failures_total")
    assert tuple(float(lines(found, word)[0].split()[-1]) for word in words) == expected


def test_gauges_of_the_moment_stand_beside_the_counts():
    text = (
        Metrics().text([Gauge("link_open", "Open.", ("link",), [(("south/a/in",), 1), (("b",), 0)])]).decode()
    )

    assert 'stixnode_link_open{link="south/a/in"} 1.0' in text
    assert 'stixnode_link_open{link="b"} 0.0' in text
    assert "process_resident_memory_bytes" in text


def test_work_within_work_is_counted_apart():
    present.statements = 5

    outer = present.begin()
    present.statements += 1
    inner = present.statements
    present.resume(outer)

    assert (inner, present.statements) == (1, 5)


def test_each_thread_counts_for_itself():
    present.statements = 5
    seen = []

    other = threading.Thread(target=lambda: seen.append(present.statements))
    other.start()
    other.join()

    assert seen == [0]


ONE_PROCESS = (
    "from node.metrics import Metrics\n"
    "found = Metrics()\n"
    "found.request(route='/api/', method='GET', status=200, seconds=0.1, sent=1, presented=False)\n"
    "print(found.text().decode())\n"
)


def run(environ):
    root = Path(__file__).parents[1]
    return subprocess.run(
        [sys.executable, "-c", ONE_PROCESS], env=environ, cwd=root, capture_output=True, text=True, check=True
    ).stdout


def test_processes_that_share_their_counts_show_the_sum_and_begin_at_nothing(tmp_path, monkeypatch):
    monkeypatch.delenv(metrics.SHARED, raising=False)
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "counter_1.db").write_bytes(b"of a server that is gone")

    metrics.share(folder)
    environ = dict(os.environ)
    metrics.keep_apart()
    run(environ)
    found = run(environ)

    assert 'stixnode_requests_total{method="GET",route="/api/",status="200"} 2.0' in found
    assert 'status="200"} 1.0' in run(dict(os.environ))
