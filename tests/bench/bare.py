"""The floors of the server: a bare Flask application, without authentication, rules or TAXII.

It reads the very rows that the node serves, by key, on a connection held open, and joins them; nothing
that serves objects with Flask can do less.

    /bare/empty             two bytes
    /bare/page?after=N      the next 1,000 rows of the collection
    /bare/prebuilt          as many bytes as the first page, made beforehand
    /bare/cpu               processor seconds of this process, and the requests it has answered
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, Response, request
from sqlalchemy.engine import make_url

PAGE = 1_000
_PAGE = 'select body, added from "object" where collection_id = {0} and added > {0} order by added limit 1000'
_SQLITE, _POSTGRESQL = _PAGE.format("?"), _PAGE.format("%s")

Read = Callable[[int], list[tuple[bytes, int]]]


def bare_app(url: str | None, collection_id: int = 1) -> Flask:
    """The application.

    Args:
        url: Address of the database that the node serves from; None for an application without one.
        collection_id: Of the collection that is paged.
    """
    app = Flask("bare", static_folder=None)
    read = (lambda _after: []) if url is None else _reader(url, collection_id)
    prebuilt = _joined(read(0)) if url is not None else b"x" * 2_000_000

    @app.get("/bare/empty")
    def empty() -> Response:
        return Response(b"{}", content_type="application/json")

    @app.get("/bare/page")
    def page() -> Response:
        rows = read(int(request.args["after"]))
        last = str(rows[-1][1]) if rows else ""
        return Response(_joined(rows), content_type="application/json", headers={"X-Last": last})

    @app.get("/bare/prebuilt")
    def same() -> Response:
        return Response(prebuilt, content_type="application/json")

    @app.get("/bare/cpu")
    def cpu() -> Response:
        return Response(f"{time.process_time()} {counted.requests}")

    counted = Counted(app)
    app.extensions["counted"] = counted
    return app


class Counted:
    """A WSGI application beside the bare one, whose requests are counted; `/bare/` goes to the bare one."""

    def __init__(self, bare: Flask) -> None:
        self.bare = bare
        self.ours: Any = bare
        self.requests = 0

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        """WSGI."""
        if environ["PATH_INFO"].startswith("/bare/"):
            return self.bare.wsgi_app(environ, start)
        self.requests += 1
        found: Iterable[bytes] = self.ours.wsgi_app(environ, start)
        return found


def _joined(rows: list[tuple[bytes, int]]) -> bytes:
    return b'{"more":true,"objects":[' + b",".join([body for body, _ in rows]) + b"]}"


def _reader(url: str, collection_id: int) -> Read:
    held = threading.local()
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        import pysqlite3  # noqa: PLC0415  only the driver that is measured is loaded

        def read_sqlite(after: int) -> list[tuple[bytes, int]]:
            if not hasattr(held, "connection"):
                held.connection = pysqlite3.connect(parsed.database)
                held.connection.execute("pragma cache_size=-16000")
            return held.connection.execute(_SQLITE, (collection_id, after)).fetchall()  # type: ignore[no-any-return]

        return read_sqlite
    import psycopg  # noqa: PLC0415

    def read_postgresql(after: int) -> list[tuple[bytes, int]]:
        if not hasattr(held, "connection"):
            held.connection = psycopg.connect(url, autocommit=True, prepare_threshold=0)
        with held.connection.cursor(binary=True) as cursor:
            return cursor.execute(_POSTGRESQL, (collection_id, after)).fetchall()  # type: ignore[no-any-return]

    return read_postgresql
