"""`stixnode doctor`: our own node, and a partner; what is well in few lines, what is not with its fix."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from node.audit import log
from node.cli import doctor_node
from node.clock import now
from node.exchange import links
from node.store import catalog
from tests.cli.desk import both_carried_by_north, call, fetched_by_south
from tests.support.builders import an_indicator
from tests.support.certificates import a_certificate
from tests.support.medallion_server import medallion_server
from tests.support.partner import COLLECTION, Canned, simulated_partner
from tests.support.real_nodes import bring, past_indicators, two_real_nodes
from tests.support.served import free_port, live_server


@pytest.fixture
def _nothing_listens(desk):
    """The port of the desk's node is its own."""
    text = desk.config.read_text(encoding="utf-8")
    port = free_port()
    desk.write("config.toml", text.replace('#listen = ["127.0.0.1:8000"]', f'listen = ["127.0.0.1:{port}"]'))


def with_west(desk, west, *, kind="taxii", more=""):
    """The desk's node has the simulated partner as its partner south, and its links are open."""
    binding = f'kind = "{kind}"\nusername = "north"\npassword_file = "pw"\n{more}'
    desk.write("pw", "a secret").chmod(0o600)
    desk.with_partner(
        api_root=west.api_root,
        more=f'{binding}\n[partner.south.their_ids]\nindicators = "{COLLECTION}"',
        flow=both_carried_by_north(),
        paper_signed=True,
    )
    opened(desk)
    return desk


def opened(desk):
    """Its links are open."""
    with desk.open() as node, node.database.writing() as tx:
        links.set_paused(tx, None, paused=False, reason="", now=now())


def state_of(answer):
    """Mark of each finding, by what was looked at; of several the last."""
    return {each["what"]: each["state"] for each in answer.of("finding")}


# --- our own node


@pytest.mark.usefixtures("_nothing_listens")
def test_a_node_without_a_server_is_told_what_to_run(desk):
    answer = desk.run("doctor")

    assert answer.code == 5
    assert "FAIL  server" in answer.out
    assert f"stixnode --config {desk.config} run" in answer.out
    assert "nobody will be told" in answer.out
    assert "stixnode --config" in answer.out.splitlines()[-1]


@pytest.mark.usefixtures("_nothing_listens")
def test_our_own_node_is_looked_at_without_putting_anything_right(desk):
    """A look changes no file, and makes no row for a new link."""
    desk.with_partner(flow=both_carried_by_north())
    before = {each.name: each.read_bytes() for each in desk.folder.iterdir() if each.is_file()}

    found = state_of(desk.run("doctor", "--json"))

    after = {each.name: each.read_bytes() for each in desk.folder.iterdir() if each.is_file()}
    assert {name for name in before if after[name] != before[name] and not name.endswith("-shm")} == set()
    assert found["configuration"] == found["database"] == found["disk"] == "ok"
    assert found["alerts"] == found["backup"] == "warn"


def test_a_configuration_that_is_wrong_is_the_only_thing_told(desk):
    desk.add_config("\n[nonsense]\n")

    answer = desk.run("doctor")

    assert (answer.code, "FAIL  configuration" in answer.out, "skip" in answer.out) == (7, True, True)


@pytest.mark.usefixtures("_nothing_listens")
def test_a_clock_behind_our_newest_object_is_told(desk):
    with desk.open() as node, node.database.writing() as tx:
        (first, *_) = catalog.collections(tx)
        catalog.renew_epoch(tx, first.collection_id, epoch="later", at_least=now() + 3_600 * 1_000_000)

    answer = desk.run("doctor")

    assert (answer.code, "FAIL  clock" in answer.out, "timedatectl" in answer.out) == (7, True, True)


@pytest.mark.usefixtures("_nothing_listens")
def test_a_certificate_for_another_name_is_told(desk):
    a_certificate(desk.folder, "server", address="192.0.2.9")
    text = desk.config.read_text(encoding="utf-8")
    for key, value in (("tls_certificate", "server.pem"), ("tls_private_key", "server.key")):
        text = text.replace(f'#{key} = ""', f'{key} = "{value}"', 1)
    desk.write("config.toml", text)

    found = desk.run("doctor", "--json")

    assert state_of(found)["certificate"] == "fail"
    assert "192.0.2.9" in next(each["text"] for each in found.of("finding") if each["what"] == "certificate")


@pytest.mark.usefixtures("_nothing_listens")
@pytest.mark.parametrize(("free", "mark"), [(100 * 1024**2, "fail"), (1024**3, "warn"), (10**12, "ok")])
def test_a_full_disk_is_told(desk, monkeypatch, free, mark):
    monkeypatch.setattr(doctor_node.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))

    assert state_of(desk.run("doctor", "--json"))["disk"] == mark


@pytest.mark.usefixtures("_nothing_listens")
def test_each_partner_has_one_line_from_our_books(desk):
    desk.with_partner(flow=fetched_by_south())
    opened(desk)

    answer = desk.run("doctor")

    (line,) = [each for each in answer.out.splitlines() if each[6:].startswith("south ")]
    assert line.startswith(("FAIL", "warn", "wait", "ok"))
    assert state_of(desk.run("doctor", "--json"))["worker"] == "skip"  # we carry nothing


# --- a partner


def test_a_partner_that_is_well_ends_with_0_and_few_lines(desk):
    with simulated_partner() as west:
        west.hold(*(an_indicator(each, tlp="green") for each in range(4)))
        answer = with_west(desk, west).run("doctor", "south")

    assert answer.code == 0, answer.out
    assert "nothing failed" in answer.out
    assert "a secret" not in answer.out


def test_a_credential_that_is_not_taken_ends_with_4_and_the_number_to_call(desk):
    with simulated_partner() as west:
        west.answer = lambda _asked: Canned(401)
        answer = with_west(desk, west).run("doctor", "south")

    assert answer.code == 4
    assert "duty +000 11 111 11 11, 24/7" in answer.out
    assert str(desk.folder / "pw") in answer.out
    assert "a secret" not in answer.out


def test_a_partner_out_of_reach_ends_with_5(desk):
    gone = SimpleNamespace(api_root=f"http://127.0.0.1:{free_port()}/api/")

    answer = with_west(desk, gone).run("doctor", "south", "--json")

    assert (answer.code, state_of(answer)["TCP"], answer.summary["fail"]) == (5, "fail", 1)


def test_a_right_that_is_missing_ends_with_7(desk):
    with simulated_partner() as west:
        west.can_write = False
        answer = with_west(desk, west).run("doctor", "south", "--json")

    assert (answer.code, state_of(answer)["rights indicators/out"]) == (7, "fail")


def test_a_canary_that_was_left_stands_in_the_audit_log(desk):
    with simulated_partner() as west:
        answer = with_west(desk, west).run("doctor", "south", "--canary", "--json")
        (posted,) = west.posts()

    assert answer.code == 0
    with desk.open() as node, node.database.reading() as tx:
        (leaf,) = [each for each in log.leaves(tx, limit=50) if each.act == "canary"]
    assert (leaf.subject, leaf.details["object"]) == ("south", posted[0])


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (("doctor", "suth"), "Did you mean south?"),
        (("doctor", "--canary"), "stixnode doctor PARTNER --canary"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_does(desk, words, remedy):
    desk.with_partner(flow=both_carried_by_north())

    answer = desk.run(*words)

    assert (answer.code, remedy in answer.err.replace(f"--config {desk.config} ", "")) == (2, True)


# --- whole


def test_medallion_pages_honestly_and_the_canary_comes_back_and_goes(desk, tmp_path):
    bodies = [an_indicator(each, tlp="green") for each in range(6)]
    with medallion_server(tmp_path, bodies, page=50) as place:
        desk.write("pw", place.password).chmod(0o600)
        binding = f'kind = "taxii"\nusername = "{place.user}"\npassword_file = "pw"\n'
        binding += f'[partner.south.their_ids]\nindicators = "{place.collection}"'
        desk.with_partner(
            api_root=place.api_root, more=binding, flow=both_carried_by_north(), paper_signed=True
        )
        opened(desk)
        answer = desk.run("doctor", "south", "--canary", "--json", "--all")

    assert answer.code == 0, answer.out
    canary = [each for each in answer.of("finding") if each["what"].startswith("canary")]
    assert [each["state"] for each in canary] == ["ok", "ok"]
    assert "deleted there again" in canary[-1]["text"]
    assert state_of(answer)["paging indicators/in"] == "ok"


def test_two_real_nodes_over_the_network_are_well(_sqlite_template, tmp_path):  # noqa: PT019
    """The whole way: processes, sockets, and the trial of an object that leaves nothing."""
    north, south = two_real_nodes(_sqlite_template, tmp_path, giver="north", carry="push")
    author = next(iter(north.settings.parties.ours))
    bring(north, past_indicators(author, 2))
    with live_server(south.config, port=south.port):
        answer = call("--config", str(north.config), "doctor", "south", "--json")

    assert answer.code == 0, answer.out
    found = state_of(answer)
    assert found["canary indicators/out"] == found["terms AGR-2026-01"] == found["clock"] == "ok"
    assert found["they reach us"] == "skip"  # south carries nothing, so it has no address of ours
    with south.opened() as database, database.reading() as tx:
        assert all(one.last_added == 0 for one in catalog.collections(tx))
