"""The web application, and the server that runs it.

Rule: everything that goes wrong, in our code or in the framework, is answered as a TAXII error
resource and logged under its `error_id`, without bodies, queries or secrets. The database is opened
in the worker process, after it has started. Nothing but loopback is served without TLS, unless our
own proxy stands in front.

Reads   the settings, the TLS files
Writes  rows for new links; a new history, with every link paused, when the database went back
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from urllib.parse import urlsplit

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from node import clock
from node.audit import log
from node.config import Settings, load_settings
from node.errors import ConfigError, NodeError, StoreBusy
from node.exchange import links
from node.exchange.door import Door
from node.sharing.partners import is_loopback
from node.store import catalog, highwater, migrate
from node.store.database import Database, Tx
from node.taxii import discovery, objects, posts, statuses
from node.taxii.face import EXTENSION, Face, answer, face, guard, release
from node.taxii.protocol import DISCOVERY, RequestRefused, error_body, title_of
from node.taxii.rates import Rates

THREADS = 32
ANNOUNCED = "STIXNODE_ANNOUNCED"
START_TRIES, START_PAUSE = 600, 0.05

_log = logging.getLogger(__name__)
_BEGIN_KEY = re.compile(r"-----BEGIN ([A-Z ]*)PRIVATE KEY-----")
_LOGGING = {
    "handlers": {
        "console": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr"},
        "access": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr"},
    },
    "formatters": {},
}


def create_app(settings: Settings, database: Database) -> Flask:
    """The application over an open database; its links have rows, and a lost history is dealt with.

    Args:
        settings: The node's configuration.
        database: Opened in this process; the caller closes it.

    Raises:
        StoreError: The database does not have the tables of this program.
    """
    door = prepare(settings, database)
    app = Flask(__name__, static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    # Clients drop their credentials on any redirect, so no path is redirected to another form of it.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    limits = settings.limits
    ours = Face(
        door=door,
        now=clock.now,
        title=settings.node.title,
        public_url=settings.node.public_url,
        max_content_length=limits.max_content_length,
        page_size=limits.page_size,
        most=limits.page_size,
        secure=settings.server.tls_certificate is not None or settings.node.public_url.startswith("https://"),
        rates=Rates(limits.requests_per_second, limits.concurrent_requests, limits.failed_logins_per_minute),
    )
    app.extensions[EXTENSION] = ours
    for part in (discovery, objects, posts, statuses):
        app.register_blueprint(part.blueprint)
    app.add_url_rule("/healthz", view_func=_healthz)
    app.before_request(_refuse_broken_path)
    app.teardown_request(release)
    app.register_error_handler(Exception, _failed)
    app.after_request(lambda response: guard(response, secure=ours.secure))
    return app


def app_factory() -> Flask:
    """The application of one server process, from the file that $STIXNODE_CONFIG names."""
    settings = load_settings(Path(os.environ["STIXNODE_CONFIG"]), os.environ)
    app = create_app(settings, open_database(settings))
    if ANNOUNCED in os.environ:
        threading.Thread(target=_announce, args=(os.environ[ANNOUNCED],), daemon=True).start()
    return app


def open_database(settings: Settings) -> Database:
    """The database that the settings name."""
    file = settings.database.password_file
    try:
        password = None if file is None else file.read_text(encoding="utf-8").strip()
    except OSError as cause:
        raise ConfigError(
            f"The password file {file} cannot be read: {cause.strerror}.",
            remedy="Correct [database] password_file, or the rights of the file.",
        ) from cause
    return Database(settings.database.url, password=password)


def prepare(settings: Settings, database: Database) -> Door:
    """The door, with a row for each link; a database that went back begins a new history first."""
    migrate.check_current(database)
    highwater.recover(
        database,
        settings.data_dir,
        now=clock.now(),
        new_id=lambda: secrets.token_hex(16),
        new_secret=lambda: secrets.token_bytes(32),
        then=lambda tx, found: _pause_all(tx, settings, found),
    )
    database.retrying(lambda tx: links.ensure(tx, settings.links))
    return Door(
        database=database,
        parties=settings.parties,
        links=settings.links,
        max_object_bytes=settings.limits.max_object_bytes,
        highwater=settings.data_dir,
    )


def _pause_all(tx: Tx, settings: Settings, found: highwater.Recovery) -> None:
    """A new history: nothing crosses before a person has looked."""
    links.ensure(tx, settings.links)
    reason = "the database went back in time; see what is missing, then run stixnode resume"
    links.set_paused(tx, None, paused=True, reason=reason)
    details: log.Details = {"behind": list(found.behind), "other_server": found.other_server}
    log.record(tx, now=clock.now(), actor="node", act="history.new", subject="node", details=details)


def serve(settings: Settings, host: str, port: int, workers: int) -> None:
    """Serve until a signal says to stop.

    Args:
        settings: The node's configuration; the workers read its file again.
        host: Address to listen on.
        port: Port to listen on.
        workers: Processes.

    Raises:
        ConfigError: No TLS where others reach us, or TLS files that cannot be used.
        StoreError: The database cannot be used.
    """
    certificate, key = settings.server.tls_certificate, settings.server.tls_private_key
    if not is_loopback(host) and certificate is None and not settings.server.behind_proxy:
        raise ConfigError(
            f"{host} is reached by others, and there is no TLS.",
            remedy="Set tls_certificate and tls_private_key in [server], or behind_proxy for our own proxy.",
        )
    if certificate is not None and key is not None:
        _check_key(key)
    database = open_database(settings)
    try:
        prepare(settings, database)
    finally:
        database.close()  # workers begin as copies of this process and must find nothing open
    # The server is loaded only where it serves: workers of tests and other commands do without it.
    from granian import Granian  # noqa: PLC0415
    from granian.constants import HTTPModes, Interfaces, SSLProtocols  # noqa: PLC0415
    from granian.log import LogLevels  # noqa: PLC0415

    shown = f"[{host}]" if ":" in host else host
    _check_port(host, port, shown)
    os.environ["STIXNODE_CONFIG"] = str(settings.path)
    os.environ[ANNOUNCED] = f"{'http' if certificate is None else 'https'}://{shown}:{port}"
    older = settings.server.tls_minimum == "1.2"
    try:
        server = Granian(
            "node.web:app_factory",
            address=host,
            port=port,
            interface=Interfaces.WSGI,
            workers=workers,
            blocking_threads=THREADS,
            http=HTTPModes.http1,
            websockets=False,
            log_level=LogLevels.error,
            log_dictconfig=_LOGGING,
            ssl_cert=certificate,
            ssl_key=key,
            ssl_protocol_min=SSLProtocols.tls12 if older else SSLProtocols.tls13,
            workers_kill_timeout=10,
            factory=True,
        )
    except OSError as cause:
        raise ConfigError(
            f"The TLS certificate {certificate} and key {key} cannot be used: {cause.strerror or cause}.",
            remedy="Check that both can be read and belong together.",
        ) from cause
    server.serve()


def _check_port(host: str, port: int, shown: str) -> None:
    # The server's sockets share a port with whoever else shares it; a second server must not go unseen.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as cause:
            raise ConfigError(
                f"Cannot serve on {shown}:{port}: {cause.strerror or cause}.",
                remedy="Choose another port, or stop what listens there.",
            ) from cause


def _announce(address: str) -> None:
    # Workers begin to listen after the application is made; only an open port is worth announcing.
    parts = urlsplit(address)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(parts.hostname or "", parts.hostname or "")  # noqa: S104
    for _ in range(START_TRIES):
        try:
            socket.create_connection((host, parts.port or 0), timeout=1).close()
        except OSError:
            time.sleep(START_PAUSE)
        else:
            sys.stderr.write(f"serving {address}\n")
            sys.stderr.flush()
            return


def _check_key(key: Path) -> None:
    try:
        match = _BEGIN_KEY.search(key.read_text(encoding="ascii", errors="replace"))
    except OSError as cause:
        raise ConfigError(
            f"The TLS key {key} cannot be read: {cause.strerror}.", remedy="Check its path and its rights."
        ) from cause
    if match is None or match[1]:
        kind = "no private key" if match is None else f"a private key of the form {match[1].strip()}"
        raise ConfigError(
            f"{key} holds {kind}; the server reads PKCS#8 without a password.",
            remedy=f"Run: openssl pkcs8 -topk8 -nocrypt -in {key} -out {key}.p8, and name the new file.",
        )


def _healthz() -> Response:
    with face().door.database.reading() as tx:
        catalog.node_row(tx)
    return Response(b'{"status":"ok"}', content_type="application/json")


def _refuse_broken_path() -> None:
    raw = request.environ.get("PATH_INFO", "").encode("latin-1", "replace")
    try:
        broken = "\0" in raw.decode()
    except UnicodeDecodeError:
        broken = True
    if broken:
        raise RequestRefused(
            "The path is not UTF-8 text without NUL.", remedy="Encode the path as UTF-8.", status=400
        )
    if b"//" in raw:
        raise NotFound


def _failed(error: Exception) -> Response:
    refusal = _refusal(error)
    error_id = secrets.token_hex(8)
    place = request.url_rule.rule if request.url_rule is not None else "-"
    if refusal.status >= 500:
        # Messages of the database carry what was bound, so only places are written.
        where = "".join(traceback.format_tb(error.__traceback__))
        _log.error(
            "%s %d %s %s %s\n%s", error_id, refusal.status, request.method, place, type(error).__name__, where
        )
    else:
        _log.info("%s %d %s %s", error_id, refusal.status, request.method, place)
    return answer(error_body(refusal, error_id), refusal.status, refusal.headers)


def _refusal(error: Exception) -> RequestRefused:
    if isinstance(error, RequestRefused):
        return error
    if isinstance(error, StoreBusy):
        return RequestRefused(
            "The database is busy.",
            remedy="Nothing was stored. Send the request again in a few seconds.",
            status=503,
            headers={"Retry-After": "5"},
        )
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        return RequestRefused(
            f"The method {request.method[:20]} is not served here.",
            remedy=f"This address serves {allowed}.",
            status=405,
            headers={"Allow": allowed},
        )
    if isinstance(error, HTTPException) and error.code is not None and error.code < 500:
        return RequestRefused(
            "There is nothing at this address." if error.code == 404 else f"{title_of(error.code)}.",
            remedy=f"Begin with the discovery resource at {DISCOVERY}.",
            status=error.code,
        )
    status = 503 if isinstance(error, NodeError) else 500
    return RequestRefused(
        "The server could not carry out this request.",
        remedy="Try again later. If it lasts, give the error_id to the operator of this server.",
        status=status,
        headers={"Retry-After": "60"} if status == 503 else {},
    )
