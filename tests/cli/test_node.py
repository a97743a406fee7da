"""node/cli/node.py and founding.py: a node is founded, looked at and run."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import tomllib
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from node import __version__, config_keys
from node.cli.founding import config_text
from node.config import load_settings
from node.sharing.partners import PartnerKeys, StricterKeys
from node.store import catalog, highwater
from tests.cli.desk import Desk, a_bundle, call, old_indicator
from tests.support.agreements import a_flow

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"


def test_init_makes_a_node_with_collections_and_a_person(tmp_path):
    answer = call("init", str(tmp_path / "north"), "--name", "north", "--person", "op")

    assert answer.code == 0
    assert "database with 5 collections and no objects" in answer.out
    assert "person op (operator, admin)" in answer.out
    assert len(re.findall(r"sn_[a-z2-7]{10}_[\w-]{43}", answer.out)) == 1
    desk = Desk(tmp_path / "north", "")
    with desk.open() as opened, opened.database.reading() as tx:
        node = catalog.node_row(tx)
        collections = catalog.collections(tx)
    assert opened.settings.node.name == "north"
    assert len(node.secret) == 32
    assert len({one.epoch for one in collections}) == 5


def test_init_keeps_the_folder_to_its_owner(tmp_path):
    call("init", str(tmp_path / "north"))

    modes = {
        path.name: path.stat().st_mode & 0o777
        for path in [tmp_path / "north", *(tmp_path / "north").iterdir()]
    }
    assert modes == {"north": 0o700, "config.toml": 0o600, "stixnode.db": 0o600}


def test_two_nodes_share_no_secret(tmp_path):
    found = []
    for name in ("a", "b"):
        call("init", str(tmp_path / name))
        with Desk(tmp_path / name, "").open() as opened, opened.database.reading() as tx:
            found.append((catalog.node_row(tx), {one.epoch for one in catalog.collections(tx)}))

    (first, epochs), (second, others) = found
    assert first.secret != second.secret
    assert first.instance != second.instance
    assert epochs & others == set()


def test_init_with_json_is_one_object(tmp_path):
    answer = call("init", str(tmp_path / "n"), "--person", "op", "--json")

    made = json.loads(answer.out)
    assert sorted(made) == ["config", "person", "token"]
    assert (made["config"], made["person"]) == (str(tmp_path / "n" / "config.toml"), "op")


def test_init_writes_the_token_to_a_file_and_shows_it_nowhere(tmp_path):
    place = tmp_path / "op.token"

    answer = call("init", str(tmp_path / "n"), "--token-file", str(place), "--person", "op", "--json")

    token = place.read_text(encoding="ascii").strip()
    assert json.loads(answer.out)["token_file"] == str(place)
    assert token.startswith("sn_")
    assert token not in answer.out + answer.err
    assert place.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--name", "Not A Name"], "cannot name a node"),
        (["--name", "local"], "cannot name a node"),
        (["--url", "http://exchange.north.example"], "http without TLS"),
        (["--url", "https://exchange.north.example/path"], "a path in it"),
        (["--person", "Op Erator"], "cannot be the name of a person"),
    ],
)
def test_init_refuses_what_cannot_be_and_leaves_no_node(tmp_path, arguments, problem):
    answer = call("init", str(tmp_path / "n"), *arguments)

    assert answer.code == 2
    assert problem in answer.err
    assert "Try: " in answer.err
    assert not (tmp_path / "n" / "config.toml").exists()


def test_init_refuses_a_folder_with_a_node(desk: Desk):
    before = desk.config.read_bytes()

    answer = call("init", str(desk.folder))

    assert answer.code == 2
    assert answer.err.startswith("There is a node already")
    assert desk.config.read_bytes() == before


def test_init_refuses_a_database_with_a_node(desk: Desk):
    desk.config.unlink()

    answer = call("init", str(desk.folder))

    assert answer.code == 2
    assert "holds a node already" in answer.err
    assert not desk.config.exists()


def test_init_leaves_an_existing_token_file_alone(tmp_path):
    place = tmp_path / "there"
    place.write_text("mine", encoding="ascii")

    answer = call("init", str(tmp_path / "n"), "--token-file", str(place))

    assert answer.code == 2
    assert place.read_text(encoding="ascii") == "mine"
    assert call("init", str(tmp_path / "n")).code == 0


def test_the_written_configuration_shows_every_key():
    text = config_text("north", "https://exchange.north.example")
    shapes = [
        config_keys.NodeKeys, config_keys.ExchangeKeys, config_keys.ServerKeys, config_keys.DatabaseKeys,
        config_keys.Limits, PartnerKeys, StricterKeys,
    ]  # fmt: skip
    keys = {key for shape in shapes for key in shape.__struct_fields__}

    assert {key for key in keys if not re.search(rf"(?m)^#?(\[partner\.\w+\.)?{key}\b", text)} == set()


def test_the_commented_keys_of_the_written_configuration_are_the_defaults(tmp_path):
    text = config_text("north", "")
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    as_it_is = load_settings(path, {})
    own, partner = re.sub(r"(?m)^#(?=\w+ = )", "", text).split("# One table for each partner")
    path.write_text(own, encoding="utf-8")

    assert load_settings(path, {}) == as_it_is
    assert tomllib.loads(own)["limits"]["page_size"] == 1000
    written = tomllib.loads(partner.partition("\n")[2].replace("#[", "["))["partner"]["south"]
    stricter = msgspec.convert(written.pop("stricter"), StricterKeys)
    assert (msgspec.convert(written, PartnerKeys), stricter) == (PartnerKeys(their_ids={}), StricterKeys())


def test_a_loopback_url_is_where_the_node_listens(tmp_path):
    call("init", str(tmp_path / "n"), "--url", "http://127.0.0.1:8123")

    settings = load_settings(tmp_path / "n" / "config.toml", {})
    assert settings.server.listen == (("127.0.0.1", 8123),)
    assert settings.node.public_url == "http://127.0.0.1:8123"


def test_a_url_that_others_see_says_what_is_still_to_do(tmp_path):
    answer = call("init", str(tmp_path / "n"), "--url", "https://exchange.north.example")

    assert answer.code == 0
    assert "only after you set listen and the TLS files" in answer.err


def test_version_says_what_it_is():
    assert call("--version").out == f"stixnode {__version__}\n"
    assert call("version").out.startswith(f"stixnode {__version__} (Python ")
    assert call("version", "--json").of("stixnode")[0]["version"] == __version__


def test_init_writes_what_is_in_force_into_the_configuration(tmp_path):
    environ = {
        "STIXNODE_SERVER__LISTEN": "127.0.0.1:8123,127.0.0.1:8124",
        "STIXNODE_DATABASE__URL": 'sqlite:///a "b" \\1.db',
        "STIXNODE_NODE__EXERCISE": "true",
        "STIXNODE_LIMITS__PAGE_SIZE": "50",
    }

    call("init", str(tmp_path / "n"), **environ)

    config = tmp_path / "n" / "config.toml"
    assert load_settings(config, {}) == load_settings(config, environ)
    assert load_settings(config, {}).limits.page_size == 50


def test_init_on_postgresql_writes_url_and_password_file(tmp_path, postgresql_server):
    name = postgresql_server.create("template0")
    secret = tmp_path / "secret"
    secret.write_text("any\n", encoding="ascii")
    try:
        url = postgresql_server.address(name).replace("postgres:@", "postgres@")
        answer = call("init", str(tmp_path / "n"), "--database", url, "--password-file", str(secret))
        assert answer.code == 0, answer.err
        found = tomllib.loads((tmp_path / "n" / "config.toml").read_text(encoding="utf-8"))["database"]
        assert found == {"url": url, "password_file": str(secret)}
        assert call("status", "--config", str(tmp_path / "n" / "config.toml")).code == 0
    finally:
        postgresql_server.drop(name)


@pytest.mark.parametrize(
    ("url", "code", "remedy"),
    [
        ("postgresql://nobody@127.0.0.1:1/x", 5, "Start the database server"),
        ("postgresql://op:secret@127.0.0.1:1/x", 2, "password_file"),
    ],
)
def test_an_init_that_fails_leaves_no_folder(tmp_path, url: str, code: int, remedy: str):
    answer = call("init", str(tmp_path / "a" / "n"), "--database", url)

    assert answer.code == code
    assert remedy in answer.err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_user_that_the_database_does_not_take_ends_with_4_and_names_the_key(tmp_path, postgresql_server):
    url = postgresql_server.address("postgres").replace("postgres:@", "stranger@")

    answer = call("init", str(tmp_path / "n"), "--database", url)

    assert answer.code == 4
    assert "password_file in [database]" in answer.err.splitlines()[-1]


# check


def test_a_sound_node_passes_the_check(desk: Desk):
    answer = desk.run("check", "--json")

    assert answer.code == 0
    names = [line["name"] for line in answer.of("finding")]
    assert names == ["configuration", "database", "durability", *["collection"] * 5, "history"]
    assert all(line["ok"] for line in answer.of("finding"))
    assert "synchronous=FULL" in answer.of("finding")[2]["text"]


def test_the_check_names_agreements_and_their_words(desk: Desk):
    desk.with_partner()

    text = next(
        line["text"] for line in desk.run("check", "--json").of("finding") if line["name"] == "agreement"
    )

    assert re.match(r"AGR-2026-01 revision 1, in force, .* terms [0-9a-f]{4} [0-9a-f]{4} [0-9a-f]{4}$", text)


def test_a_wrong_key_fails_the_check_with_2(desk: Desk):
    desk.add_config("\n[alert]\n")

    answer = desk.run("check")

    assert answer.code == 2
    assert "FAIL  configuration" in answer.out
    assert "Try: " in answer.out


def test_an_empty_database_fails_the_check_with_2(desk: Desk):
    (desk.folder / "stixnode.db").unlink()

    answer = desk.run("check")

    assert answer.code == 2
    assert "is empty" in answer.out


def test_a_database_that_went_back_fails_the_check_with_12_and_is_left_as_it_is(desk: Desk):
    with desk.open() as opened, opened.database.reading() as tx:
        before = catalog.collections(tx)
    highwater.note(desk.folder, before[0].id, 4_000_000_000_000_000)

    answer = desk.run("check")

    assert answer.code == 12
    assert f"the database went back in time: {before[0].alias}" in answer.out
    assert desk.run("check").code == 12


def test_links_paused_by_a_rollback_name_the_command_that_opens_them(desk: Desk):
    desk.with_partner()
    desk.run("resume", "south")
    with desk.open() as opened, opened.database.reading() as tx:
        before = catalog.collections(tx)
    highwater.note(desk.folder, before[0].id, before[0].last_added + 1_000_000)

    shown, round_, checked = desk.run("status"), desk.run("sync"), desk.run("check")

    command = f"stixnode --config {desk.config} resume south"
    assert [each.out.splitlines()[-1] for each in (shown, round_, checked)] == [f"next     {command}"] * 3
    assert (shown.code, round_.code, checked.code) == (7, 6, 12)
    desk.run("resume", "south")
    assert desk.run("check").code == 0


def test_a_collection_that_a_link_needs_fails_the_check(desk: Desk):
    desk.with_partner(flow=[a_flow("case-9")])

    answer = desk.run("check")

    assert answer.code == 2
    assert "there is no collection case-9" in answer.out


def test_an_ended_agreement_fails_the_checks_with_6(desk: Desk):
    now = datetime.now(UTC).replace(microsecond=0)
    desk.with_partner(starts=now - timedelta(days=9), ends=now - timedelta(days=1))

    assert desk.run("check").code == 6
    answer = desk.run("agreement", "check")
    assert (answer.code, answer.out[:5]) == (6, "ENDED")


def test_the_next_command_after_a_rollback_begins_a_new_history(desk: Desk):
    desk.with_partner()
    desk.run("resume", "south")
    with desk.open() as opened, opened.database.reading() as tx:
        before = catalog.collections(tx)
    highwater.note(desk.folder, before[0].id, before[0].last_added + 1_000_000)

    answer = desk.run("status", "--json")

    assert answer.code == 7
    assert any("went back in time" in line["text"] for line in answer.of("need"))


# running


def test_the_server_and_the_worker_run_together_and_stop_together(desk: Desk):
    port = _free_port()
    desk.write("config.toml", config_text("north", f"http://127.0.0.1:{port}"))
    desk.with_partner()
    process = subprocess.Popen(
        [sys.executable, "-m", "node", "run", "--config", str(desk.config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    seen: list[str] = []
    try:
        while not (any("serving" in line for line in seen) and any("working" in line for line in seen)):
            seen.append(process.stderr.readline())
            assert seen[-1], seen  # it ended
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
            assert json.load(answer) == {"status": "ok"}
    finally:
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=30)

    log = "".join(seen) + rest
    assert process.returncode == 0, log
    assert f"serving http://127.0.0.1:{port}\n" in log
    assert "working on 2 links of north" in log
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_run_ends_when_a_part_of_it_ends(desk: Desk):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        desk.write("config.toml", config_text("north", f"http://127.0.0.1:{port}"))
        done = subprocess.run(
            [sys.executable, "-m", "node", "run", "--config", str(desk.config)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 2
    assert "`stixnode serve` ended with exit code" in done.stderr
    assert "Try: " in done.stderr


def test_serving_to_others_without_tls_is_refused(desk: Desk):
    answer = desk.run("serve", "--host", "0.0.0.0", "--port", "8001")

    assert answer.code == 2
    assert "there is no TLS" in answer.err


def test_work_once_does_one_round_and_ends(desk: Desk):
    desk.with_partner(flow=[{"collection": "indicators", "from": ["north"], "types": ["indicator"]}])
    desk.run("import", "indicators", "-", stdin=a_bundle(old_indicator()))
    desk.run("resume", "south")

    answer = desk.run("work", "--once", "--json")

    assert answer.code == 0
    assert [(line["link"], line["entered"]) for line in answer.of("offer")] == [("south/indicators/out", 1)]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
