"""North's machine: its folder, its disk, and the lives it has on it, one after the other.

    machine = Machine(template, folder, seed=1)
    life = machine.live(120)        the first life, written down
    machine.power_comes_back(cut)   on what a power cut in its last act left
    life = machine.live(60)         goes on there

The acts follow from the seed. The ids of statuses and leaves are random as always, so that the pages of two
runs are not the same; what a power cut of one of them leaves follows from its seed and its number.
"""

from __future__ import annotations

import random
import shutil
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa

from node.store.database import Database
from tests.torture.power import lives
from tests.torture.power.lives import Life, PowerCut, Recorder
from tests.torture.power.promises import Content, Promises
from tests.torture.power.verdict import found_objects, state_of
from tests.torture.power.work import Work, the_pair

_OFFERED = sa.text("select offered_at, stix_id, digest from feed_row where link = 'north/indicators/out'")


class Machine:
    """North's machine, and its partner south, whose power stays on.

    Args:
        template: A database that is migrated and has the node's row.
        folder: An empty one, for everything.
        seed: Of what it does.
    """

    def __init__(self, template: Path, folder: Path, seed: int) -> None:
        self.home, self._disk = folder / "north", folder / "disk"
        self._disk.mkdir()
        shutil.copyfile(template, self._disk / lives.DATABASE)
        shutil.copyfile(template, folder / "south.db")
        self._south = Database(f"sqlite:///{folder / 'south.db'}")
        start = Promises(states=[self._read()[1]])
        self._recorder = Recorder(self._disk, self.home, start)
        pair, token = the_pair(self._recorder.open(), self._south, folder)
        pair.north.database = self._recorder.open()  # closed in between: what was founded is out of the log
        pair.north.restart()
        self._recorder.life.first = len(self._recorder.life.words)
        self._work = Work(pair, token, self._recorder.open, self._recorder.note, random.Random(seed))

    def live(self, acts: int) -> Life:
        """The life in which the node does so much; it ends with the power on."""
        self._work.acts(acts)
        self._recorder.end()
        life = self._recorder.life
        with self._south.reading() as tx:
            listing = [(date, stix_id, bytes(digest)) for date, stix_id, digest in tx.rows(_OFFERED)]
        life.offered = {"south/indicators/in": listing}
        return life

    def power_comes_back(self, cut: PowerCut) -> None:
        """Begin the next life on what a power cut left during the last act of the one before."""
        lives.lay_down(self._disk, cut.files)
        lives.lay_down_marks(self.home, cut.promises.marks)
        found, state = self._read()
        self._work.power_came_back(found)
        self._recorder = Recorder(self._disk, self.home, cut.promises.settled(found, state))
        self._work.note, self._work.reopen = self._recorder.note, self._recorder.open
        self._work.open_again()

    def _read(self) -> tuple[Content, bytes]:
        """What lies on the disk: the objects, and everything."""
        with TemporaryDirectory() as aside:
            for path in self._disk.iterdir():
                shutil.copyfile(path, Path(aside, path.name))
            with (
                closing(Database(f"sqlite:///{aside}/{lives.DATABASE}")) as database,
                database.reading() as tx,
            ):
                return found_objects(tx), state_of(tx)

    def close(self) -> None:
        """Close what is open."""
        self._recorder.end()
        self._south.close()
