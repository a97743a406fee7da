"""One life of a node: from when its power comes on to when it goes, written down once, call by call.

What the node does is the same up to the call during which the power fails. So one run is enough for
every instant: `power_cuts` goes through what was written down and gives what each cut would leave.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from node.store import highwater
from node.store.database import Database
from tests.torture.power import disk
from tests.torture.power.books import Offered, content
from tests.torture.power.disk import Create, Delete, Disk, Sync, Write
from tests.torture.power.driver import Connection, Driver
from tests.torture.power.promises import Begun, Committed, Marked, Promises
from tests.torture.power.vfs import RecordingVFS

DATABASE = "stixnode.db"
LOG = f"{DATABASE}-wal"
AFTER_COMMIT = "after a commit"
SELDOM = {"checkpoint": 0.2, "log begun again": 0.02, "names": 0.02}
"""Where a cut is worth more than its share of the calls, and the share of all cuts that it gets."""


@dataclass
class Life:
    """What happened on a disk.

    Args:
        files: What lay there in the beginning.
        before: What was promised by then.
        words: Calls of the disk, and what `promises` hears, in order.
        offered: What partners had offered by the end, by link.
        first: From here on the power may fail.
    """

    files: Mapping[str, bytes]
    before: Promises
    words: list[object] = field(default_factory=list)
    offered: dict[str, Offered] = field(default_factory=dict)
    first: int = 0


@dataclass(frozen=True)
class PowerCut:
    """What is found after the power failed during one call.

    Args:
        number: Which call.
        files: The database as it was found.
        promises: What was promised until then; must not be changed.
        under_way: The content after the next commit, which may be there already.
    """

    number: int
    files: Mapping[str, bytes]
    promises: Promises
    under_way: bytes | None


class Recorder:
    """Writes down the life of the database in a folder, from what lies there now.

    Args:
        folder: Holds the database.
        data_dir: Holds the high-water marks, which no disk of ours takes back.
        before: What was promised before.
    """

    def __init__(self, folder: Path, data_dir: Path, before: Promises) -> None:
        found = (path for path in sorted(folder.glob(f"{DATABASE}*")) if not path.name.endswith("-shm"))
        self.life = Life({path.name: path.read_bytes() for path in found}, before)
        self._data_dir = data_dir
        self._url = f"sqlite:///{folder / DATABASE}"
        self._vfs = RecordingVFS(self.life.files, self.note)
        self._driver = Driver(self._vfs.name, self._committed)
        self._opened: Database | None = None
        self._ended = False
        self._marks: Mapping[str, int] = {}

    def open(self) -> Database:
        """The database; if it is open, it is closed before."""
        self.close()
        self._opened = Database(self._url, driver=self._driver)
        return self._opened

    def close(self) -> None:
        """Close the database."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def end(self) -> None:
        """No more calls will come; what the end itself does is no part of this life."""
        if not self._ended:
            self._ended = True
            words, self.life.words = self.life.words, []
            self.close()
            self._vfs.unregister()
            self.life.words = words

    def note(self, word: object) -> None:
        """Write down what happened."""
        words = self.life.words
        if not (isinstance(word, Write) and words and isinstance(words[-1], Write)):
            marks = highwater.marks(self._data_dir)
            if marks != self._marks:
                self._marks = marks
                words.append(Marked(marks))
        words.append(word)

    def _committed(self, connection: Connection) -> None:
        self.note(Committed(content(connection.execute)))


def power_cuts(life: Life, numbers: Collection[int], seed: object) -> Iterator[PowerCut]:
    """What is left when the power fails during each of these calls, in their order."""
    under_way = Disk(life.files)
    promises = life.before.copy()
    commits = [word.content for word in life.words if isinstance(word, Committed)]
    done = 0
    for number, word in enumerate(life.words):
        if isinstance(word, disk.Call):
            under_way.carry_out(word)
        else:
            promises.hear(word)
            done += isinstance(word, Committed)
        if number in numbers:
            files = under_way.after_power_cut(random.Random(f"{seed} {number}"))
            yield PowerCut(number, files, promises, commits[done] if done < len(commits) else None)


def places(life: Life) -> dict[str, list[int]]:
    """The calls during which the power may fail, by what goes on there."""
    database = list(life.files).index(DATABASE) if DATABASE in life.files else None
    found: dict[str, list[int]] = {place: [] for place in ("any", AFTER_COMMIT, *SELDOM)}
    logs: dict[int, int] = {}  # file -> how often it was begun
    committed = False
    for number, word in enumerate(life.words):
        match word:
            case Create(name, file) if name == LOG:
                logs[file] = 0
            case Write(file, 0, _) if file in logs:
                logs[file] += 1
        committed |= isinstance(word, Committed)
        if number < life.first or not isinstance(word, disk.Call):
            continue
        found["any"].append(number)
        if committed:
            found[AFTER_COMMIT].append(number)
            committed = False
        match word:
            case Create() | Delete():
                found["names"].append(number)
            case Write(file) | Sync(file) if file == database:
                found["checkpoint"].append(number)
            case Write(file, 0, _) if logs.get(file, 0) > 1:
                found["log begun again"].append(number)
    return found


def drawn(life: Life, count: int, chance: random.Random) -> list[int]:
    """Calls at which to let the power fail: most anywhere, the others where it is rarely tried."""
    at = places(life)
    chosen: set[int] = set()
    for name, share in {AFTER_COMMIT: 0.2, **SELDOM}.items():
        for number in chance.choices(at[name], k=max(1, int(count * share))) if at[name] else ():
            chosen.add(at["any"][min(at["any"].index(number) + chance.randrange(3), len(at["any"]) - 1)])
    rest = [number for number in at["any"] if number not in chosen]
    return sorted(chosen | set(chance.sample(rest, max(0, min(len(rest), count - len(chosen))))))


def in_last_act(life: Life, chance: random.Random) -> int:
    """A call of the act that was the last."""
    begun = max(number for number, word in enumerate(life.words) if isinstance(word, Begun))
    return chance.choice([number for number in places(life)["any"] if number > begun])


def lay_down(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put the files of a database where another may lie."""
    for path in folder.glob(f"{DATABASE}*"):
        path.unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)


def lay_down_marks(data_dir: Path, marks: Mapping[str, int]) -> None:
    """Put these high-water marks where others may lie."""
    shutil.rmtree(data_dir / highwater.FOLDER, ignore_errors=True)
    for name, mark in marks.items():
        highwater.note(data_dir, name, mark)
