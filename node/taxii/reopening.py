"""Begin anew when the database's address leads to another server than before, without a restart.

Rule: once one request has met another server, nothing is answered from what this process remembers. The
next request opens the database as a start does, which begins a new history if one is due, and takes
a new face; what comes meanwhile is told to ask again in a few seconds, and so is all while that fails;
`/readyz` alone then says why.

Reads   whether the database has moved. Writes what a start writes, through who opens it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import nullcontext, suppress

from flask import Flask, request

from node.errors import NodeError, StoreBusy
from node.store.database import Database
from node.taxii.face import EXTENSION, Face
from node.taxii.logs import FIELDS

READY = "/readyz"

_log = logging.getLogger(__name__)


class Reopening:
    """The face of an application, made anew when its database has moved.

    Args:
        app: Where the face is.
        made: Makes a face over an open database, as at a start.
    """

    def __init__(self, app: Flask, made: Callable[[Database], Face]) -> None:
        self._app = app
        self._made = made
        self._lock = threading.Lock()

    def look(self) -> None:
        """Before each request: see that its face is over the database of today.

        Raises:
            StoreBusy: Another request is opening it just now.
            NodeError: It cannot be opened.
        """
        if not self._face.door.database.has_moved:
            return
        with suppress(NodeError) if request.path == READY else nullcontext():
            self._open()

    def _open(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise StoreBusy("The database is being opened anew.", remedy="Ask again in a few seconds.")
        try:
            before = self._face.door.database
            if before.has_moved:
                self._begin_anew(before)
        finally:
            self._lock.release()

    @property
    def _face(self) -> Face:
        found: Face = self._app.extensions[EXTENSION]
        return found

    def _begin_anew(self, before: Database) -> None:
        database = before.again()
        try:
            made = self._made(database)
        except BaseException:
            database.close()
            raise
        self._app.extensions[EXTENSION] = made
        before.close()
        text = "the database is on another server, or was restarted: everything was opened anew"
        _log.warning(text, extra={FIELDS: {"what": "database", "message": text}})
