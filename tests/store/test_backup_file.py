"""node/store/backup_file.py: a file that is whole or not there, and of which nothing is believed."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import tarfile

import msgspec
import pytest

from node.errors import StoreError, UsageError
from node.store import backup_file
from node.store.backup_file import Manifest

FILES = {
    "database.db": b"SQLite format 3\0" + bytes(range(256)) * 30,
    "files/config.toml": b"format = 1\n",
    "files/agreements/one.toml": b"# an agreement\n",
    "elsewhere/etc/secret": b"s3cret\n",
}
MANIFEST = Manifest(
    node="north",
    taken="2026-11-21T12:00:00.000000Z",
    tool="0.1.0",
    revision="0001",
    kind="sqlite",
    config="config.toml",
    folder="/etc/north",
    data_dir="/etc/north",
    collections=(),
    marks={},
    tables={},
)


def written(folder, files=FILES):
    content = folder / "content"
    for name, body in files.items():
        (content / name).parent.mkdir(parents=True, exist_ok=True)
        (content / name).write_bytes(body)
    target = folder / "north.tar.gz"
    backup_file.write(content, MANIFEST, folder / "draft", target)
    return target


def packed(path, members, manifest=None):
    """A tar in gzip of (name, body, type), behind a list of contents if one is given."""
    first = [] if manifest is None else [("manifest.json", msgspec.json.encode(manifest), tarfile.REGTYPE)]
    with gzip.open(path, "wb") as out, tarfile.open(fileobj=out, mode="w") as tar:
        for name, body, kind in [*first, *members]:
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = kind, len(body), "/etc/passwd"
            tar.addfile(member, io.BytesIO(body))
    return path


def listed(path):
    with gzip.open(path) as file, tarfile.open(fileobj=file) as tar:
        return msgspec.json.decode(tar.extractfile("manifest.json").read(), type=Manifest)


def plain(files=FILES):
    return [(name, body, tarfile.REGTYPE) for name, body in files.items()]


def test_what_went_in_comes_out(tmp_path):
    target = written(tmp_path)
    (tmp_path / "out").mkdir()

    backup_file.take_out(target, tmp_path / "out")

    found = {
        str(path.relative_to(tmp_path / "out")): path.read_bytes()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert found == FILES
    assert backup_file.verify(target).contents.keys() == FILES.keys()


def test_one_file_can_be_taken_out_alone(tmp_path):
    (tmp_path / "out").mkdir()

    backup_file.take_out(written(tmp_path), tmp_path / "out", only=["database.db"])

    assert os.listdir(tmp_path / "out") == ["database.db"]


def test_everything_is_readable_by_its_owner_alone(tmp_path):
    target = written(tmp_path)
    (tmp_path / "out").mkdir(mode=0o700)
    backup_file.take_out(target, tmp_path / "out")

    assert target.stat().st_mode & 0o777 == 0o600
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "out").rglob("*")} == {0}


def test_any_machine_can_look_into_it(tmp_path):
    with tarfile.open(written(tmp_path)) as tar:
        assert sorted(tar.getnames()) == sorted(["manifest.json", *FILES])
        assert tar.getnames()[0] == "manifest.json"


def test_every_changed_byte_that_changes_what_is_in_it_is_found(tmp_path):
    content = written(tmp_path).read_bytes()
    copy = tmp_path / "copy"
    found, same = 0, gzip.decompress(content)
    for place in range(0, len(content), max(1, len(content) // 300)):
        changed = content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]
        copy.write_bytes(changed)
        try:
            backup_file.verify(copy)
        except StoreError as cause:
            found += "is no whole backup" in cause.problem
        else:
            # Such as the hour in the head of gzip, or one of two ways to say that zeros follow.
            assert gzip.decompress(changed) == same
    assert found > 200


def test_a_backup_that_was_cut_is_refused(tmp_path):
    content = written(tmp_path).read_bytes()
    copy = tmp_path / "copy"
    for length in range(0, len(content), max(1, len(content) // 100)):
        copy.write_bytes(content[:length])
        with pytest.raises(StoreError, match="is no whole backup"):
            backup_file.verify(copy)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param([("files/more", b"x", tarfile.REGTYPE)], id="a file that is not listed"),
        pytest.param([("../../outside", b"x", tarfile.REGTYPE)], id="a name outside"),
        pytest.param([("database.db", FILES["database.db"], tarfile.REGTYPE)], id="a file twice"),
    ],
)
def test_what_is_not_listed_is_refused(tmp_path, change):
    manifest = listed(written(tmp_path))

    with pytest.raises(StoreError, match="not in its list"):
        backup_file.verify(packed(tmp_path / "bad", plain() + change, manifest))


@pytest.mark.parametrize("name", ["/etc/cron.d/x", "../x", "files/../../x", "bin/x"])
def test_a_name_that_leads_elsewhere_is_refused_even_if_it_is_listed(tmp_path, name):
    manifest = listed(written(tmp_path))
    bad = msgspec.structs.replace(
        manifest, contents={**manifest.contents, name: manifest.contents["files/config.toml"]}
    )
    more = [(name, FILES["files/config.toml"], tarfile.REGTYPE)]

    with pytest.raises(StoreError, match="no plain file"):
        backup_file.verify(packed(tmp_path / "bad", plain() + more, bad))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_nothing_but_plain_files_is_taken(tmp_path, kind):
    manifest = listed(written(tmp_path))
    members = [
        (name, b"" if name == "elsewhere/etc/secret" else body, kind if "secret" in name else tarfile.REGTYPE)
        for name, body in FILES.items()
    ]

    with pytest.raises(StoreError, match="is no whole backup"):
        backup_file.verify(packed(tmp_path / "bad", members, manifest))


def test_a_file_that_is_missing_is_named(tmp_path):
    manifest = listed(written(tmp_path))
    less = [each for each in plain() if each[0] != "files/config.toml"]

    with pytest.raises(StoreError, match=r"files/config.toml is missing"):
        backup_file.verify(packed(tmp_path / "bad", less, manifest))


def test_bytes_that_were_exchanged_are_found(tmp_path):
    manifest = listed(written(tmp_path))
    body = FILES["database.db"][::-1]

    with pytest.raises(StoreError, match=r"database.db in it is not what was written"):
        backup_file.verify(packed(tmp_path / "bad", plain({**FILES, "database.db": body}), manifest))


@pytest.mark.parametrize(
    ("change", "word"),
    [({"revision": "9999"}, "revision 9999"), ({"major": 2}, "form 2")],
)
def test_a_backup_of_a_newer_program_is_refused_with_the_remedy(tmp_path, change, word):
    manifest = msgspec.structs.replace(listed(written(tmp_path)), **change)

    with pytest.raises(StoreError, match=word) as refused:
        backup_file.verify(packed(tmp_path / "newer", plain(), manifest))
    assert refused.value.remedy.startswith("Install the stixnode")


@pytest.mark.parametrize(
    ("content", "packs"),
    [(b"", False), (b"hello", False), (b"no tar", True), (b"", True)],
    ids=["nothing", "text", "text in gzip", "nothing in gzip"],
)
def test_what_is_no_backup_is_refused(tmp_path, content, packs):
    path = tmp_path / "x"
    path.write_bytes(gzip.compress(content) if packs else content)

    with pytest.raises(StoreError, match="is no whole backup"):
        backup_file.verify(path)


def test_a_file_that_is_not_there_is_a_wrong_call(tmp_path):
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(UsageError, match="is no file"):
            backup_file.verify(path)


def test_a_failed_run_leaves_nothing(tmp_path):
    def fail():
        with backup_file.workplace(tmp_path) as work:
            (work / "half").write_bytes(b"x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path):
    killed = (
        "import os, sys; from pathlib import Path; from node.store import backup_file\n"
        "with backup_file.workplace(Path(sys.argv[1])) as work:\n"
        "    (work / 'half').write_bytes(b'x'); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", killed, str(tmp_path)], timeout=60, check=False)
    assert done.returncode == -9
    assert len(list(tmp_path.iterdir())) == 1

    with backup_file.workplace(tmp_path) as work:
        assert list(tmp_path.iterdir()) == [work]


def test_a_run_under_way_is_left_alone(tmp_path):
    with backup_file.workplace(tmp_path) as one, backup_file.workplace(tmp_path) as other:
        assert {one, other} == set(tmp_path.iterdir())
