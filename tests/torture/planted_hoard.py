"""The program with a fault: a pull keeps what it has stored, as often as it has looked at it.

    python -m tests.torture.planted_hoard work --once --config FILE

For the control of test_flat_memory.py alone.
"""

from __future__ import annotations

from typing import Any

from node.cli.main import main
from node.sync import pull
from node.sync.answers import FetchedPage

LOOKS = 60

_kept: list[bytearray] = []
_take = pull._Store.take


def take_and_keep(store: Any, run: Any, page: FetchedPage) -> None:
    """What `pull._Store.take` must not be."""
    _kept.extend(bytearray(body) for body in page.bodies * LOOKS)
    _take(store, run, page)


if __name__ == "__main__":
    pull._Store.take = take_and_keep
    main()
