"""SQLite's file system for a folder, which writes down every call that changes something, in order.

SQLite sees an ordinary folder: reads, locks and shared memory are those of its own file system, and what
is written lands in real files, so that all its connections see it. What a power cut would leave of it is
told by `disk` from the calls alone. A sync of the real files would be for nothing, and is left out.

The names are safe when SQLite's own file system would sync the folder: at the first sync of a journal or
a write-ahead log that was opened to be made, and at a deletion that asks for it.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import apsw

from tests.torture.power.disk import Create, Cut, Delete, Sync, SyncFolder, Write

LOGS = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_SUPER_JOURNAL
WATCHED = LOGS | apsw.SQLITE_OPEN_MAIN_DB

_numbers = itertools.count(1)


class RecordingVFS(apsw.VFS):
    """A file system for the databases of one folder.

    Args:
        files: What lies there, with its content; each has its place as its number, as in `disk.Disk`.
        note: Is given every call after it was carried out.
    """

    def __init__(self, files: Mapping[str, bytes], note: Callable[[object], None]) -> None:
        self.name = f"recording-{next(_numbers)}"
        super().__init__(self.name, base="unix")
        self.note = note
        self._files = {name: number for number, name in enumerate(files)}
        self._next = itertools.count(len(files))

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        """An open file; one that was not there is now, under a name that is not safe."""
        if name is None or not flags[0] & WATCHED:
            return apsw.VFSFile("unix", name, flags)
        path = Path(name if isinstance(name, str) else name.filename())
        opened = RecordingFile(self, name, flags)
        if path.name not in self._files:
            self._files[path.name] = next(self._next)
            self.note(Create(path.name, self._files[path.name]))
        opened.number = self._files[path.name]
        return opened

    def xDelete(self, path: str, sync_folder: bool) -> None:
        """Remove a file."""
        super().xDelete(path, False)
        name = os.path.basename(path)
        if self._files.pop(name, None) is not None:
            self.note(Delete(name))
            if sync_folder:
                self.note(SyncFolder())


class RecordingFile(apsw.VFSFile):
    """An open file of a `RecordingVFS`."""

    number: int

    def __init__(self, vfs: RecordingVFS, name: Any, flags: list[int]) -> None:
        self._note = vfs.note
        self._folder_too = bool(flags[0] & LOGS and flags[0] & apsw.SQLITE_OPEN_CREATE)
        super().__init__("unix", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        """Write."""
        super().xWrite(data, offset)
        self._note(Write(self.number, offset, bytes(data)))

    def xTruncate(self, size: int) -> None:
        """Cut."""
        super().xTruncate(size)
        self._note(Cut(self.number, size))

    def xSync(self, flags: int) -> None:
        """Sync, and the folder with it the first time a log is synced."""
        self._note(Sync(self.number))
        if self._folder_too:
            self._folder_too = False
            self._note(SyncFolder())
