"""One page ahead: fetch what comes next while the present page is stored.

Rule    At most one request is under way, and at most one page waits. Whoever asks for another place than
        the one that was fetched gets that place: what nobody asked for is thrown away. A fault of the
        partner is raised where the page is taken, as if it were fetched there.

Reads   nothing but what its `fetch` brings; writes nothing
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

_PAUSE = 0.05

Place = TypeVar("Place")
Page = TypeVar("Page")


class Ahead(Generic[Place, Page]):
    """Pages of one walk, the next one fetched while its caller works.

    Args:
        fetch: The page at a place; called from one thread at a time.
        interrupt: Ends a fetch that is under way, from another thread.
    """

    def __init__(self, fetch: Callable[[Place], Page], interrupt: Callable[[], None]) -> None:
        self._fetch = fetch
        self._interrupt = interrupt
        self._thread: threading.Thread | None = None
        self._place: Place | None = None
        self._page: Page | None = None
        self._fault: BaseException | None = None

    def begin(self, place: Place) -> None:
        """Start to fetch a page; one that was fetched before is thrown away."""
        self._join()
        self._place, self._page, self._fault = place, None, None
        self._thread = threading.Thread(target=self._run, args=(place,), name="stixnode-ahead", daemon=True)
        self._thread.start()

    def take(self, place: Place) -> Page:
        """The page at a place, and whatever its fetch raises."""
        self._join()
        begun, page, fault = self._place, self._page, self._fault
        self._place, self._page, self._fault = None, None, None
        if begun != place:
            return self._fetch(place)
        if fault is not None:
            raise fault
        assert page is not None  # a fetch ends with a page or a fault
        return page

    def close(self) -> None:
        """End what is under way; its page is thrown away."""
        while self._thread is not None and self._thread.is_alive():
            self._interrupt()  # again and again: it may be between two connections
            self._thread.join(_PAUSE)
        self._join()
        self._place, self._page, self._fault = None, None, None

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self, place: Place) -> None:
        try:
            self._page = self._fetch(place)
        except BaseException as cause:  # noqa: BLE001  it is raised again where the page is taken
            self._fault = cause
