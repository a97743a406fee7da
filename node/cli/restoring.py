"""Make a node again from a backup: folder, configuration, database, a new history, closed links.

Rule    All of the backup is read and compared before anything is written; everything is made in a working
        folder beside the target and comes to its place by one rename, so that a restore that breaks off
        leaves nothing that looks whole. On PostgreSQL the one commit comes right before the rename.
        The node lies in its new folder alone, wherever it lay: a drill never touches the node that runs.

Reads   a backup, the high-water marks of the node that was lost
Writes  a node's folder, and its database
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from node.audit import log
from node.cli.restored_config import Plan, planned
from node.cli.standing import WENT_BACK
from node.config import load_settings
from node.errors import ConfigError, UsageError
from node.exchange import feed_rows, links
from node.store import backup as copies
from node.store import backup_file, catalog, highwater, migrate
from node.store.backup_file import DATABASE, ELSEWHERE, FILES, Manifest
from node.store.database import Database, Tx


@dataclass(frozen=True, slots=True)
class Wish:
    """What to restore, and where.

    Args:
        file: The backup.
        folder: Where the node goes, absolute; empty or not there.
        database: URL of another database than before; "" for the same.
        password_file: File with its password; None for the one that the configuration names.
        old: Data folder of the node that was lost; None for where it was.
    """

    file: Path
    folder: Path
    database: str = ""
    password_file: Path | None = None
    old: Path | None = None


@dataclass(frozen=True, slots=True)
class Restored:
    """The node that was made; `notes` are for a person to read."""

    config: Path
    database: str
    manifest: Manifest
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Beginning:
    """What is done in the transaction in which the new history begins."""

    wish: Wish
    manifest: Manifest
    marks: Mapping[str, int]
    data_dir: Path
    actor: str
    now: int

    def __call__(self, tx: Tx, server_identity: str) -> None:
        dates = copies.begin_anew(
            tx,
            server_identity=server_identity,
            marks=self.marks,
            now=self.now,
            new_id=lambda: secrets.token_hex(16),
            new_secret=lambda: secrets.token_bytes(32),
        )
        why = f"the database {WENT_BACK}: restored from a backup of {self.manifest.taken}"
        reason = f"{why}; see what is missing, then run stixnode resume"
        links.set_paused(tx, None, paused=True, reason=reason)
        above = {each.collection_id: dates[each.id] for each in catalog.collections(tx)}
        for name in links.states(tx):
            feed = feed_rows.held(tx, name)
            if feed is not None:
                last = max(feed.last_offered, above.get(feed.collection_id, 0))
                feed_rows.save(tx, feed._replace(last_offered=last))
        details: log.Details = {"backup": self.wish.file.name, "taken": self.manifest.taken}
        node = f"node:{self.manifest.node}"
        log.record(tx, now=self.now, actor=self.actor, act="restore", subject=node, details=details)
        for uuid, last in dates.items():
            highwater.note(self.data_dir, uuid, last)


def restored(wish: Wish, *, environ: Mapping[str, str], actor: str, now: int) -> Restored:
    """Make the node.

    Args:
        wish: What and where.
        environ: May name the database, as it may for the node itself.
        actor: Who does it, for the audit log.
        now: Microseconds.

    Raises:
        UsageError: There is something where the node should go.
        StoreError: The backup is not whole or of a newer program, or the database refused.
        ConfigError: The configuration in it cannot be read.
    """
    _refuse_a_full_folder(wish.folder)
    manifest = backup_file.verify(wish.file)
    marks, notes = _marks(manifest, wish.old)
    with backup_file.workplace(wish.folder.parent) as work:
        content = work / "content"
        content.mkdir(mode=0o700)
        backup_file.take_out(wish.file, content)
        home = content / FILES
        plan = planned(
            home / manifest.config,
            was=Path(manifest.folder),
            folder=wish.folder,
            database=wish.database,
            password_file=wish.password_file,
            environ=environ,
        )
        (home / manifest.config).write_text(plan.text, encoding="utf-8")
        notes += [*plan.notes, *_put_elsewhere(content, home, wish.folder)]
        data_dir = home / plan.data_dir
        backup_file.make_folder(data_dir)
        beginning = _Beginning(wish, manifest, marks, data_dir, actor, now)
        if plan.file is None:
            _fill(content / DATABASE, plan, home, beginning)
        else:
            _place(content / DATABASE, home / plan.file, beginning)
            backup_file.sync_tree(home)
        _put(home, wish.folder)
    notes += _still_to_do(wish.folder / manifest.config, plan, wish.folder, environ)
    url = plan.url if plan.file is None else f"sqlite:///{wish.folder / plan.file}"
    return Restored(wish.folder / manifest.config, url, manifest, tuple(notes))


def _refuse_a_full_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder.", remedy="Choose another name.")
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(
            f"{folder} is not empty.",
            remedy="Name a folder that is not there yet, or move this one away and name it with --old.",
        )
    if not folder.parent.is_dir():
        raise UsageError(f"There is no folder {folder.parent}.", remedy="Make it, or name another.")
    if folder.is_mount() or not os.access(folder.parent, os.W_OK | os.X_OK):
        raise UsageError(
            f"{folder} cannot be put in its place as a whole: it is a mount, or its parent is not ours.",
            remedy="Name a new folder inside one that you may write to.",
        )


def _marks(manifest: Manifest, old: Path | None) -> tuple[dict[str, int], list[str]]:
    """The highest date known of each collection: in the backup, and beside the database that was lost."""
    beside: dict[str, int] = {}
    with suppress(PermissionError):
        beside = highwater.marks(old or Path(manifest.data_dir))
    if old is not None and not beside:
        raise UsageError(
            f"There are no high-water marks in {old}.",
            remedy=f"Name the data folder of the node that was lost; {highwater.FOLDER}/ is in it.",
        )
    found = {uuid: max(mark, beside.get(uuid, 0)) for uuid, mark in manifest.marks.items()}
    return found, [] if beside else ["the high-water marks of the lost node were not found; the clock counts"]


def _put_elsewhere(content: Path, home: Path, folder: Path) -> list[str]:
    """Keep what the configuration names outside its folder inside of it, for a person to put there."""
    apart = content / ELSEWHERE
    if not apart.exists():
        return []
    inside = sorted(path.relative_to(apart) for path in apart.rglob("*") if path.is_file())
    apart.rename(home / ELSEWHERE)
    return [
        f"/{name} is named in the configuration and not here: its copy is {folder / ELSEWHERE / name}"
        for name in inside
        if not Path("/", name).exists()
    ]


def _place(copy: Path, target: Path, beginning: _Beginning) -> None:
    """Make the copy the node's database."""
    with closing(Database(f"sqlite:///{copy}")) as database:
        migrate.migrate(database)
        with database.writing() as tx:
            beginning(tx, "")
    backup_file.make_folder(target.parent)
    copy.rename(target)


def _fill(copy: Path, plan: Plan, home: Path, beginning: _Beginning) -> None:
    """Fill the server's database from the copy; the folder is on the disk before that is committed."""
    with (
        closing(Database(f"sqlite:///{copy}")) as source,
        closing(Database(plan.url, password=plan.password)) as target,
    ):
        copies.refuse_a_node(target)
        migrate.migrate(source)
        identity = target.server_identity()

        def begin(tx: Tx) -> None:
            beginning(tx, identity)
            backup_file.sync_tree(home)

        copies.copy_in(source, target, then=begin)


def _put(home: Path, folder: Path) -> None:
    home.chmod(0o700)
    home.rename(folder)  # an empty folder of that name is replaced
    backup_file.sync_folder(folder.parent)


def _still_to_do(config: Path, plan: Plan, folder: Path, environ: Mapping[str, str]) -> list[str]:
    """What keeps the node from starting as it was restored, and what to look at."""
    notes = ["accounts, tokens and deletions are those of the backup: what was taken away since is back"]
    try:
        settings = load_settings(config, environ)
    except ConfigError as cause:
        return [*notes, f"the configuration cannot be used yet: {cause.problem}"]
    meant = plan.url if plan.file is None else f"sqlite:///{folder / plan.file}"
    if settings.database.url != meant:
        notes.append(f"the environment names another database, {settings.database.url}; unset it")
    if Path(os.path.normpath(settings.data_dir)) != Path(os.path.normpath(folder / plan.data_dir)):
        notes.append(f"the environment names another data folder, {settings.data_dir}; unset it")
    return notes
