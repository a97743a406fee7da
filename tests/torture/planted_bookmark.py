"""The program with a fault: the bookmark is written in a transaction of its own, before the objects.

    python -m tests.torture.planted_bookmark work --once --config FILE

For the control of test_kill.py alone. The gap is held open, so that the first kills find it.
"""

from __future__ import annotations

import time
from typing import Any

from node.cli.main import main
from node.sync import bookmarks, pull
from node.sync.answers import FetchedPage

GAP_SECONDS = 0.1

_take = pull._Store.take


def bookmark_first(store: Any, run: Any, page: FetchedPage) -> None:
    """What `pull._Store.take` must not be."""
    mark = pull._mark_after(run, page, run.now())
    if mark is not None:
        store.door.database.retrying(lambda tx: bookmarks.advance(tx, run.link.name, mark))
        time.sleep(GAP_SECONDS)
    _take(store, run, page)


if __name__ == "__main__":
    pull._Store.take = bookmark_first
    main()
