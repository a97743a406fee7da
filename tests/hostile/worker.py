"""A worker in a process of its own, so that its memory is its own.

    python -m tests.hostile.worker DATABASE ADDRESS [MOST_NEW_IN_A_DAY MOST_IN_QUARANTINE]

Each line on stdin is the direction of one round; each line on stdout is what became of it, with the peak
of the process's memory so far. The first line on stdout says that it is ready.
"""

from __future__ import annotations

import json
import sys
import threading
from types import SimpleNamespace
from typing import Any, cast

from node.sharing.links import Stricter
from node.store.database import Database
from node.sync import worker
from node.sync.connection import Patience
from node.sync.listing import Limits
from tests.support.builders import NORTH_ID, an_indicator
from tests.support.partner import SimulatedPartner, a_receiver

OURS = [an_indicator(f"ours {n}", tlp="green", author=NORTH_ID) for n in range(3)]


def main(path: str, address: str, most_new: str = "0", most_aside: str = "0") -> None:
    """Do one round for each line until stdin ends."""
    database = Database(f"sqlite:///{path}")
    brakes = Stricter(max_new_in_per_day=int(most_new), max_quarantine_objects=int(most_aside))
    north = a_receiver(database, cast(SimulatedPartner, SimpleNamespace(api_root=address)), stricter=brakes)
    north.bring(*OURS)
    _say({"memory": _peak_bytes()})
    for line in sys.stdin:
        (report,) = worker.sync_once(
            north.door,
            [north.link(line.strip())],
            lambda _name: north.client(Patience(whole=20)),
            holder="worker",
            now=north.clock,
            pause=north.pause,
            limits=Limits(pages=50),
        )
        _say(
            {
                "memory": _peak_bytes(),
                "threads": threading.active_count(),
                "error": None if report.error is None else report.error.problem,
                "stopped": report.stopped,
                "outcomes": dict(getattr(report, "outcomes", {})),
            }
        )
    database.close()


def _peak_bytes() -> int:
    # Not getrusage: at the start of a program Linux hands down the peak of whoever started it.
    with open("/proc/self/status", encoding="ascii") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def _say(words: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
