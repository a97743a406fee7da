"""node/cli/backups.py, restoring.py and checks.py: a node in one file, a node from one, and is it sound."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from node.audit import log
from node.cli import restored_config
from node.config import load_settings
from node.errors import ConfigError
from node.exchange import links
from node.store import backup_file, catalog, highwater
from node.store.database import Database
from tests.cli.desk import Desk, a_bundle, call, moment, old_indicator
from tests.support.agreements import a_flow

ROOT = Path(__file__).parents[2]
DAY = 86_400_000_000


def in_use(desk: Desk, number: int = 5) -> Desk:
    """The desk with some objects and a partner."""
    desk.write("secrets-south", "sn_the token at south")
    desk.with_partner(more='username = "north"\npassword_file = "secrets-south"', flow=[a_flow(carry="pull")])
    desk.write("b.json", a_bundle(*(old_indicator(n) for n in range(number))))
    assert desk.run("import", "indicators", str(desk.folder / "b.json")).code == 0
    assert desk.run("resume", "south").code == 0
    return desk


def backed_up(desk: Desk, name: str = "n.tar.gz") -> Path:
    target = desk.folder.parent / name
    answer = desk.run("backup", str(target))
    assert answer.code == 0, answer.err
    return target


def collections(desk: Desk):
    with desk.open() as opened, opened.database.reading() as tx:
        return {each.alias: each for each in catalog.collections(tx)}


def test_backup_writes_one_file_and_says_what_is_in_it(desk: Desk):
    in_use(desk)

    answer = desk.run("backup", str(desk.folder.parent))

    (target,) = desk.folder.parent.glob("north-*.tar.gz")
    assert answer.code == 0
    assert f"backup   {target}\n" in answer.out
    assert "5 objects as of" in answer.out
    assert f"check --read-data {target}" in answer.out
    assert target.stat().st_mode & 0o777 == 0o600


def test_backup_holds_everything_that_the_configuration_names(desk: Desk, tmp_path: Path):
    in_use(desk)
    (tmp_path / "outside.pem").write_text("an issuer", encoding="utf-8")
    desk.add_config(f'tls_ca = "{tmp_path / "outside.pem"}"\n')

    manifest = backup_file.verify(backed_up(desk))

    assert set(manifest.contents) == {
        "database.db",
        "files/config.toml",
        "files/AGR.toml",
        "files/secrets-south",
        f"elsewhere{tmp_path}/outside.pem",
    }
    assert (manifest.node, manifest.kind, manifest.tables["object"]) == ("north", "sqlite", 5)
    assert {each.alias: each.objects for each in manifest.collections}["indicators"] == 5


def test_backup_without_a_place_lies_in_the_data_folder_and_says_so(desk: Desk):
    answer = desk.run("backup")

    (target,) = (desk.folder / "backups").iterdir()
    assert str(target) in answer.out
    assert "copy it to another machine" in answer.err


def test_backup_as_json(desk: Desk):
    (found,) = in_use(desk).run("backup", "--json").of("backup")

    assert (found["objects"], found["missing"]) == (5, [])
    assert Path(found["file"]).stat().st_size == found["bytes"]


def test_backup_overwrites_nothing(desk: Desk):
    target = backed_up(desk)
    before = target.read_bytes()

    answer = desk.run("backup", str(target))

    assert (answer.code, target.read_bytes()) == (2, before)
    assert "is there already" in answer.err


def test_backup_tells_of_a_file_that_it_cannot_read_and_goes_on(desk: Desk):
    in_use(desk)
    (desk.folder / "secrets-south").unlink()

    answer = desk.run("backup")

    assert answer.code == 3
    assert f"{desk.folder / 'secrets-south'} cannot be read" in answer.err


def test_backup_is_an_act_in_the_audit_log(desk: Desk):
    target = backed_up(desk)

    with desk.open() as opened, opened.database.reading() as tx:
        (leaf,) = [each for each in log.leaves(tx, limit=20) if each.act == "backup"]
    assert leaf.details["file"] == str(target)


def test_backup_of_a_damaged_database_ends_with_12_and_leaves_no_file(desk: Desk):
    in_use(desk)
    path = desk.folder / "stixnode.db"
    content = bytearray(path.read_bytes())
    for page in range(3, len(content) // 4096):
        content[page * 4096 : page * 4096 + 512] = b"\x5a" * 512
    path.write_bytes(content)

    answer = desk.run("backup", str(desk.folder.parent / "n.tar.gz"))

    assert answer.code == 12
    assert "malformed" in answer.err
    assert not [each for each in desk.folder.parent.iterdir() if each != desk.folder]


def test_a_restored_node_has_everything_and_is_closed(desk: Desk, tmp_path: Path):
    file = backed_up(in_use(desk))

    answer = call("restore", str(file), str(tmp_path / "again"))

    again = Desk(tmp_path / "again", desk.token)
    assert answer.code == 0, answer.err
    assert "every link is paused" in answer.out
    assert f"stixnode --config {again.config} resume PARTNER" in answer.out
    assert again.config.read_bytes() == desk.config.read_bytes()
    assert (again.folder / "secrets-south").read_text(encoding="utf-8") == "sn_the token at south"
    assert (
        json.loads(again.run("export", "indicators").out)["objects"]
        == json.loads(desk.run("export", "indicators").out)["objects"]
    )
    with again.open() as opened, opened.database.reading() as tx:
        states = links.states(tx).values()
        (leaf,) = [each for each in log.leaves(tx, limit=20) if each.act == "restore"]
    assert all(each.paused and "restored from a backup" in each.pause_reason for each in states)
    assert leaf.details["backup"] == file.name
    assert {path.stat().st_mode & 0o077 for path in (again.folder, *again.folder.rglob("*"))} == {0}


def test_check_and_status_say_that_a_restored_node_waits_for_a_person(desk: Desk, tmp_path: Path):
    call("restore", str(backed_up(in_use(desk))), str(tmp_path / "again"))
    again = Desk(tmp_path / "again", desk.token)

    checked, status = again.run("check", "--read-data"), again.run("status")

    assert (checked.code, status.code) == (12, 7)
    assert "resume south" in checked.out
    assert "went back in time" in status.out
    assert again.run("resume", "south").code == 0
    assert again.run("check", "--read-data").code == 0


def test_a_restored_node_begins_a_new_history_above_every_mark(desk: Desk, tmp_path: Path):
    in_use(desk)
    backup = backed_up(desk)
    before, late = collections(desk)["indicators"], moment() + DAY
    highwater.note(desk.folder, before.id, late)  # given after the backup

    call("restore", str(backup), str(tmp_path / "again"))

    after = collections(Desk(tmp_path / "again", ""))["indicators"]
    assert after.epoch != before.epoch
    assert after.last_added == highwater.marks(tmp_path / "again")[after.id] == late


def test_marks_that_lie_where_the_old_folder_was_moved_to_are_found(desk: Desk, tmp_path: Path):
    backup, late = backed_up(in_use(desk)), moment() + DAY
    number = collections(desk)["indicators"].id
    highwater.note(desk.folder, number, late)
    desk.folder.rename(tmp_path / "broken")

    answer = call("restore", str(backup), str(desk.folder), "--old", str(tmp_path / "broken"))

    assert answer.code == 0
    assert collections(desk)["indicators"].last_added == late


def test_a_restore_without_the_old_marks_says_so(desk: Desk, tmp_path: Path):
    backup = backed_up(in_use(desk))
    desk.folder.rename(tmp_path / "broken")
    shutil.rmtree(tmp_path / "broken" / "highwater")

    assert "marks of the lost node were not found" in call("restore", str(backup), str(desk.folder)).err
    answer = call("restore", str(backup), str(tmp_path / "x"), "--old", str(tmp_path / "broken"))
    assert (answer.code, (tmp_path / "x").exists()) == (2, False)


@pytest.mark.parametrize("what", ["node", "file"])
def test_a_restore_refuses_a_place_where_something_is(desk: Desk, tmp_path: Path, what: str):
    backup = backed_up(desk)
    place = desk.folder if what == "node" else tmp_path / "there"
    if what == "file":
        place.mkdir()
        (place / "thing").write_text("mine", encoding="utf-8")
    before = sorted(place.iterdir())

    answer = call("restore", str(backup), str(place))

    assert answer.code == 2
    assert "is not empty" in answer.err
    assert "Try: " in answer.err
    assert sorted(place.iterdir()) == before


def test_an_empty_folder_is_taken(desk: Desk, tmp_path: Path):
    (tmp_path / "empty").mkdir()

    assert call("restore", str(backed_up(desk)), str(tmp_path / "empty")).code == 0
    assert call("status", "--config", str(tmp_path / "empty" / "config.toml")).code == 0


def test_a_damaged_backup_is_refused_before_anything_is_written(desk: Desk, tmp_path: Path):
    file = backed_up(in_use(desk))
    content = bytearray(file.read_bytes())
    content[len(content) // 3 : len(content) // 3 + 40] = b"\x5a" * 40
    file.write_bytes(content)
    before = sorted(tmp_path.rglob("*"))

    restored, checked = call("restore", str(file), str(tmp_path / "again")), call("check", str(file))

    assert (restored.code, checked.code) == (12, 12)
    assert "is no whole backup" in restored.err
    assert "is no whole backup" in checked.out
    assert sorted(tmp_path.rglob("*")) == before


def test_a_drill_never_touches_the_node_that_runs(desk: Desk, tmp_path: Path):
    data = tmp_path / "var"
    data.mkdir()
    shutil.move(desk.folder / "stixnode.db", data / "own.db")
    text = desk.config.read_text(encoding="utf-8").replace('#data_dir = "."', f'data_dir = "{data}"')
    desk.write("config.toml", text.replace("#url = ", f'url = "sqlite:///{data}/own.db" # '))
    file = backed_up(in_use(desk))
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}

    answer = call("restore", str(file), str(tmp_path / "drill"))

    settings = load_settings(tmp_path / "drill" / "config.toml", {})
    assert settings.database.url == f"sqlite:///{tmp_path / 'drill'}/stixnode.db"
    assert settings.data_dir == tmp_path / "drill"
    assert f"data_dir was {data}" in answer.err
    assert {path: path.read_bytes() for path in before} == before
    assert len(json.loads(Desk(tmp_path / "drill", "").run("export", "indicators").out)["objects"]) == 5


def test_what_lay_outside_is_kept_for_a_person_to_put_there(desk: Desk, tmp_path: Path):
    outside = tmp_path / "etc" / "issuer.pem"
    outside.parent.mkdir()
    outside.write_text("an issuer", encoding="utf-8")
    in_use(desk).add_config(f'tls_ca = "{outside}"\n')
    file = backed_up(desk)
    shutil.rmtree(outside.parent)

    answer = call("restore", str(file), str(tmp_path / "again"))

    kept = tmp_path / "again" / "elsewhere" / str(outside)[1:]
    assert f"{outside} is named in the configuration and not here: its copy is {kept}" in answer.err
    assert kept.read_text(encoding="utf-8") == "an issuer"


@pytest.mark.parametrize("before", ["sqlite", "postgresql"])
def test_a_node_moves_to_a_server_and_back(desk: Desk, tmp_path: Path, postgresql_server, before: str):
    name = postgresql_server.create("template0")
    url = postgresql_server.address(name).replace("postgres:@", "postgres@")
    secret = tmp_path / "secret"
    secret.write_text("any\n", encoding="ascii")
    try:
        file = backed_up(in_use(desk))
        answer = call(
            "restore", str(file), str(tmp_path / "pg"), "--database", url, "--password-file", str(secret)
        )
        server = Desk(tmp_path / "pg", desk.token)
        assert answer.code == 0, answer.err
        written = tomllib.loads(server.config.read_text(encoding="utf-8"))["database"]
        assert written == {"url": url, "password_file": str(secret)}
        assert not (server.folder / "stixnode.db").exists()
        assert server.run("resume", "south").code == 0
        assert server.run("check", "--read-data").code == 0
        again = call("restore", str(file), str(tmp_path / "second"), "--database", url)
        assert (again.code, (tmp_path / "second").exists()) == (2, False)
        assert "holds a node already" in again.err
        if before == "postgresql":
            back = backed_up(server, "back.tar.gz")
            assert backup_file.verify(back).kind == "postgresql"
            answer = call("restore", str(back), str(tmp_path / "back"), "--database", "sqlite:///stixnode.db")
            assert answer.code == 0, answer.err
            server = Desk(tmp_path / "back", desk.token)
            assert load_settings(server.config, {}).database.password_file is None
        assert len(json.loads(server.run("export", "indicators").out)["objects"]) == 5
    finally:
        postgresql_server.drop(name)


def test_the_environment_names_the_database_as_it_does_for_the_node(desk: Desk, tmp_path: Path):
    file = backed_up(desk)
    elsewhere = {"STIXNODE_NODE__DATA_DIR": str(tmp_path / "other")}

    named = call("restore", str(file), str(tmp_path / "a"), STIXNODE_DATABASE__URL="sqlite:///sub/own.db")
    warned = call("restore", str(file), str(tmp_path / "b"), **elsewhere)

    assert (tmp_path / "a" / "sub" / "own.db").is_file()
    assert call("status", "--config", str(tmp_path / "a" / "config.toml")).code == 0
    assert (named.code, warned.code) == (0, 0)
    assert "the environment names another data folder" in warned.err


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("format = 1\n", ("node", "data_dir")),
        ("[node]\nname = 'x'\n# [database]\n[database] # here\nurl = 'a'\n[limits]\n", ("database", "url")),
        ("[node]\nname = 'x'\n[limits]\npage_size = 3", ("node", "data_dir")),
        ("[database]\n#url = 'a'\n url='b' # old\n[partner.x]\nurl = 'c'\n", ("database", "url")),
        ("[database]\n", ("database", "password_file")),
    ],
)
def test_one_key_is_written_and_nothing_else_changes(text: str, change: tuple[str, str]):
    section, key = change
    wanted = tomllib.loads(text)
    wanted.setdefault(section, {})[key] = 'new "value" \\ д'

    found = restored_config.with_key(text, section, key, 'new "value" \\ д')

    assert tomllib.loads(found) == wanted
    assert re.findall("#.*old|# here", text) == [] or "# here" in found or "old" not in found


def test_a_form_that_cannot_be_changed_is_refused():
    with pytest.raises(ConfigError, match="cannot be changed here"):
        restored_config.with_key("database = {url = 'a'}\n", "database", "url", "b")


def test_check_reads_every_row_and_names_the_first_places(desk: Desk):
    in_use(desk, 30)
    assert desk.run("check", "--read-data").out.count("30 bodies and all that stands beside them: sound") == 1
    with closing(Database(f"sqlite:///{desk.folder / 'stixnode.db'}")) as database, database.writing() as tx:
        tx.run(sa.text("update object set digest = zeroblob(32)"))

    plain, reading = desk.run("check"), desk.run("check", "--read-data", "--json")

    found = [each for each in reading.of("finding") if each["name"] == "data"]
    assert (plain.code, reading.code) == (0, 12)
    assert len(found) == 21
    assert all("indicators: indicator--" in each["text"] for each in found[:-1])
    assert "more" in found[-1]["text"]
    assert "restore" in found[0]["remedy"]


def test_check_reads_every_row_of_a_backup_without_restoring_it(desk: Desk, tmp_path: Path):
    good = backed_up(in_use(desk))
    with closing(Database(f"sqlite:///{desk.folder / 'stixnode.db'}")) as database, database.writing() as tx:
        tx.run(sa.text("update object set revoked = true"))
    bad = backed_up(desk, "bad.tar.gz")
    before = sorted(tmp_path.rglob("*"))

    codes = [call("check", str(file), *more).code for file in (good, bad) for more in ((), ("--read-data",))]

    assert codes == [0, 0, 0, 12]
    assert sorted(tmp_path.rglob("*")) == before
    assert f"restore {good} DIR" in call("check", str(good)).out


def ended(folder: Path, numbers: list[int], *arguments: str) -> dict[int, tuple[int, int]]:
    """N -> how a command ended that was to be killed at its Nth act, and how many acts it made."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.killed", str(folder), ",".join(map(str, numbers)), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    lines = re.findall(r"(?m)^(\d+) (-?\d+) (\d+)$", done.stderr)
    assert len(lines) == len(numbers), done.stderr
    return {int(number): (int(code), int(acts)) for number, code, acts in lines}


def spread(acts: int, number: int) -> list[int]:
    return sorted({1 + (acts - 1) * each // (number - 1) for each in range(number)})


def test_a_backup_that_is_killed_leaves_nothing_half(desk: Desk, tmp_path: Path):
    in_use(desk)
    place = tmp_path / "out"
    place.mkdir()
    command = ["--config", str(desk.config), "backup", str(place / "{n}.tar.gz")]
    acts = ended(tmp_path, [0], *command)[0][1]
    assert acts > 10

    killed = ended(tmp_path, spread(acts, 12), *command)

    assert {code for code, _ in killed.values()} == {-9}
    whole = [number for number in killed if (place / f"{number}.tar.gz").exists()]
    for number in whole:
        backup_file.verify(place / f"{number}.tar.gz")
    assert 0 <= len(whole) < len(killed)
    assert desk.run("backup", str(place / "last.tar.gz")).code == 0
    assert {path.name for path in place.iterdir()} == {f"{n}.tar.gz" for n in [0, *whole]} | {"last.tar.gz"}
    assert desk.run("check", "--read-data").code == 0


def test_a_restore_that_is_killed_leaves_nothing_half(desk: Desk, tmp_path: Path):
    file = backed_up(in_use(desk))
    place = tmp_path / "out"
    place.mkdir()
    command = ["restore", str(file), str(place / "{n}")]
    acts = ended(tmp_path, [0], *command)[0][1]

    killed = ended(tmp_path, spread(acts, 14), *command)

    assert {code for code, _ in killed.values()} == {-9}
    whole = [number for number in [0, *killed] if (place / str(number)).exists()]
    assert 0 < len(whole) < len(killed)
    for number in whole:
        again = Desk(place / str(number), "")
        assert again.run("resume", "south").code == 0
        assert again.run("check", "--read-data").code == 0
    assert call("restore", str(file), str(place / "last")).code == 0
    assert {path.name for path in place.iterdir()} == {*map(str, whole), "last"}


def test_a_restore_to_a_server_that_is_killed_leaves_no_folder_for_an_empty_database(
    desk: Desk, tmp_path: Path, postgresql_server
):
    file = backed_up(in_use(desk))
    place = tmp_path / "out"
    place.mkdir()
    url = postgresql_server.address("killed_{n}").replace("postgres:@", "postgres@")
    command = ["restore", str(file), str(place / "{n}"), "--database", url]
    made: list[int] = []

    def run(numbers: list[int]) -> dict[int, tuple[int, int]]:
        for number in numbers:
            postgresql_server.run(f"create database killed_{number} template template0")
            made.append(number)
        return ended(tmp_path, numbers, *command)

    try:
        acts = run([0])[0][1]
        killed = run([acts - 6, acts - 4])  # committed and not yet in its place; in its place
        assert {code for code, _ in killed.values()} == {-9}
        for number in made:
            again = [each.replace("{n}", str(number)) for each in command]
            if not (place / str(number)).exists():
                answer = call(*again)
                assert answer.code == 0 or "holds a node already" in answer.err
            if (place / str(number)).exists():
                assert Desk(place / str(number), "").run("resume", "south").code == 0
                assert Desk(place / str(number), "").run("check", "--read-data").code == 0
    finally:
        for number in made:
            postgresql_server.drop(f"killed_{number}")
