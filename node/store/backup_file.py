"""One file that holds a whole node: a list of contents, the database, the files of its configuration.

    manifest.json          what is in it, with lengths and digests; first, so that all else can be checked
    database.db            see `backup`
    files/config.toml      the configuration and what it names, by their places in its folder
    elsewhere/etc/...      what it names outside its folder, by their absolute paths

It is a tar in gzip, so that any machine can look into it. Nothing is believed of a file before all of it
was read and agrees with the list; nothing else than listed, plain files with plain names is taken out.

Rule    A file is written under another name, forced to the disk, and renamed: it is never half.
Reads and writes: such files, and a working folder beside them that a killed run leaves to the next.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO, Final

import msgspec

from node.clock import MICROSECONDS, parse_taxii_time
from node.errors import StoreError, UsageError
from node.store import migrate

FORMAT: Final = "stixnode.backup"
MAJOR: Final = 1
MANIFEST: Final = "manifest.json"
DATABASE: Final = "database.db"
FILES: Final = "files"
ELSEWHERE: Final = "elsewhere"
NAME_END: Final = ".tar.gz"

_LONGEST_MANIFEST: Final = 16 * 1024 * 1024
_BLOCK: Final = 1024 * 1024
_WORK: Final = (".stixnode-", ".partial")

Seen = Callable[[str, Iterator[bytes]], None]


class Content(msgspec.Struct, frozen=True):
    """One file in a backup: its length, and its SHA-256 in hexadecimal."""

    bytes: int
    sha256: str


class Kept(msgspec.Struct, frozen=True):
    """One collection as it is in a backup; `last_added` in microseconds."""

    id: str
    alias: str
    epoch: str
    last_added: int
    objects: int


class Manifest(msgspec.Struct, frozen=True):
    """What is in a backup.

    Args:
        node: Its name in agreements.
        taken: When, as a TAXII timestamp.
        tool: Version of the program that wrote it.
        revision: Of the tables.
        kind: Of the database it was taken from: `sqlite` or `postgresql`.
        config: The configuration's name in its folder.
        folder: Where that folder was.
        data_dir: Where the node's data folder was.
        collections: What they held.
        marks: Collection -> its high-water mark, in microseconds.
        tables: Table -> rows.
        contents: File in the backup -> what it must be.
    """

    node: str
    taken: str
    tool: str
    revision: str
    kind: str
    config: str
    folder: str
    data_dir: str
    collections: tuple[Kept, ...]
    marks: dict[str, int]
    tables: dict[str, int]
    contents: dict[str, Content] = {}
    format: str = FORMAT
    major: int = MAJOR
    minor: int = 0


class _Head(msgspec.Struct):
    format: str
    major: int


@contextmanager
def workplace(beside: Path) -> Iterator[Path]:
    """A folder of our own for the length of the block; what killed runs left there is removed first.

    Args:
        beside: The folder in which the result is to lie, so that a rename can put it there.
    """
    start, end = _WORK
    for left in beside.glob(f"{start}*{end}"):
        with suppress(OSError), _held(left):
            shutil.rmtree(left)
    place = Path(tempfile.mkdtemp(prefix=start, suffix=end, dir=beside))
    try:
        with _held(place):
            yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def write(folder: Path, manifest: Manifest, draft: Path, target: Path) -> Manifest:
    """Make a backup of everything in a folder, and put it in its place.

    Args:
        folder: What goes in, under the names that it has there.
        manifest: All but the contents.
        draft: A name on the same disk as the target.
        target: Where it goes; replaced if it is there.

    Returns:
        The list of contents as it was written.
    """
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    contents = {name: _content(folder / name) for name in names}
    manifest = msgspec.structs.replace(manifest, contents=contents)
    listed = folder / MANIFEST
    listed.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
    with _new(draft) as file:
        with (
            gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=file, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
        ):
            for name in (MANIFEST, *names):
                with (folder / name).open("rb") as content:
                    member = tarfile.TarInfo(name)
                    member.mtime = parse_taxii_time(manifest.taken) // MICROSECONDS
                    member.size, member.mode = os.fstat(content.fileno()).st_size, 0o600
                    tar.addfile(member, content)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(target)
    sync_folder(target.parent)
    return manifest


def verify(path: Path) -> Manifest:
    """The contents of a backup, all of which were read and are what the list says.

    Raises:
        StoreError: It is cut, changed, no backup at all, or of a newer program.
    """
    return _read(path, _pass_over)


def take_out(path: Path, folder: Path, only: Collection[str] | None = None) -> Manifest:
    """Write what a backup holds into a folder, and check all of it once more on the way.

    Args:
        path: Was verified.
        folder: Empty; everything in it can be read by its owner alone.
        only: These of its files alone.
    """

    def seen(name: str, blocks: Iterator[bytes]) -> None:
        if only is not None and name not in only:
            _pass_over(name, blocks)
            return
        place = folder / name
        make_folder(place.parent)
        with _new(place) as file:
            for block in blocks:
                file.write(block)

    return _read(path, seen)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are not there, for their owner alone."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700)


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Force everything below a folder to the disk, and its names."""
    for path in folder.rglob("*"):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    sync_folder(folder)


def _read(path: Path, seen: Seen) -> Manifest:
    try:
        with path.open("rb") as file, gzip.GzipFile(fileobj=file) as packed:
            try:
                with tarfile.open(fileobj=packed, mode="r|") as tar:
                    manifest = _members(path, tar, seen)
            finally:
                # At its end gzip compares its checksum: what was wrong before may follow from that.
                while packed.read(_BLOCK):
                    pass
    except (IsADirectoryError, FileNotFoundError) as cause:
        raise UsageError(
            f"{path} is no file.", remedy="Name a backup: the file that stixnode backup wrote."
        ) from cause
    except (gzip.BadGzipFile, EOFError, zlib.error, tarfile.TarError) as cause:
        raise _damaged(path, f"it cannot be unpacked ({cause})") from cause
    return manifest


def _members(path: Path, tar: tarfile.TarFile, seen: Seen) -> Manifest:
    first = tar.next()
    if first is None or first.name != MANIFEST or not first.isreg() or first.size > _LONGEST_MANIFEST:
        raise _damaged(path, "it does not begin with a list of contents")
    manifest = _manifest(path, b"".join(_blocks(tar, first)))
    wanted = dict(manifest.contents)
    while (member := tar.next()) is not None:
        content = wanted.pop(member.name, None)
        if content is None or not member.isreg() or not _is_plain(member.name):
            raise _damaged(path, f"it holds {member.name[:200]!r}, which is not in its list or no plain file")
        blocks = _Measured(_blocks(tar, member))
        seen(member.name, iter(blocks))
        if (blocks.length, blocks.hashed.hexdigest()) != (content.bytes, content.sha256):
            raise _damaged(path, f"{member.name} in it is not what was written")
    if wanted:
        raise _damaged(path, f"{min(wanted)} is missing in it")
    return manifest


class _Measured:
    """Blocks, measured while they pass."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self.hashed = hashlib.sha256()
        self.length = 0

    def __iter__(self) -> Iterator[bytes]:
        for block in self._blocks:
            self.hashed.update(block)
            self.length += len(block)
            yield block


def _pass_over(_name: str, blocks: Iterator[bytes]) -> None:
    for _ in blocks:
        pass


def _manifest(path: Path, text: bytes) -> Manifest:
    try:
        head = msgspec.json.decode(text, type=_Head)
        if head.format != FORMAT:
            raise _damaged(path, f"it is a {head.format!r}")
        if head.major > MAJOR:
            raise _newer(path, f"form {head.major}")
        manifest = msgspec.json.decode(text, type=Manifest)
    except msgspec.MsgspecError as cause:
        raise _damaged(path, f"its list of contents cannot be read ({cause})") from cause
    if manifest.revision not in migrate.REVISIONS:
        raise _newer(path, f"revision {manifest.revision}")
    if DATABASE not in manifest.contents or f"{FILES}/{manifest.config}" not in manifest.contents:
        raise _damaged(path, "database or configuration are not in its list")
    return manifest


def _blocks(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    content: IO[bytes] | None = tar.extractfile(member)
    while content is not None and (block := content.read(_BLOCK)):
        yield block


def _content(path: Path) -> Content:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Content(file.tell(), digest)


def _is_plain(name: str) -> bool:
    parts = PurePosixPath(name).parts
    known = parts and parts[0] in (DATABASE, FILES, ELSEWHERE)
    return bool(known) and not name.startswith("/") and ".." not in parts and "\0" not in name


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a folder against other runs; OSError if one has it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _new(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _damaged(path: Path, what: str) -> StoreError:
    return StoreError(
        f"{path} is no whole backup: {what}.",
        remedy="Use another backup; stixnode check BACKUP tells whether one is whole.",
    )


def _newer(path: Path, what: str) -> StoreError:
    return StoreError(
        f"{path} has {what}, which this program does not know.",
        remedy="Install the stixnode that wrote it, or a newer one.",
    )
