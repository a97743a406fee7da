"""The web application, and the server that runs it.

Rule: everything that goes wrong, in our code or in the framework, is answered as a TAXII error
resource and logged under its `error_id`, which is the request's id, without bodies, queries or secrets.
The database is opened in the worker process, after it has started. Nothing but loopback is served
without TLS, unless our own proxy stands in front.

Reads   the settings, the TLS files
Writes  rows for new links; a new history, with every link paused, when the database went back;
        the folder of shared counts
"""

from __future__ import annotations

import logging
import os
import re
import resource
import secrets
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, request
from werkzeug.exceptions import MethodNotAllowed, NotFound

from node import clock, metrics
from node.audit import log
from node.config import Settings, load_settings
from node.errors import ConfigError
from node.exchange import links
from node.exchange.door import Door
from node.sharing.partners import is_loopback
from node.store import highwater, migrate
from node.store.database import Database, Tx
from node.taxii import books, compression, discovery, logs, objects, openapi, posts, statuses
from node.taxii.cache import Sheets
from node.taxii.face import EXTENSION, Face, answer, guard, release
from node.taxii.failing import refusal_of
from node.taxii.health import Health
from node.taxii.observing import REQUEST_ID, ROUTE, Observed, log_failure
from node.taxii.protocol import RequestRefused, error_body
from node.taxii.rates import Rates
from node.taxii.reach import Reach
from node.taxii.reopening import Reopening
from node.taxii.uploads import Uploads

THREADS, BODIES = 32, 24  # requests, and among them bodies on their way in, that a process works on at once
HEADER_MILLISECONDS = 15_000  # for all headers of a request, and between two requests of a connection
CONNECTIONS, SPARE_FILES = 4_096, 256
BUFFER_BYTES = 64 * 1024  # the longest headers
KEPT_ALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
ANNOUNCED = "STIXNODE_ANNOUNCED"
START_TRIES, START_PAUSE = 600, 0.05
ORPHAN_SECONDS = 0.5

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
    ours = _face(settings, database)
    app = Flask(__name__, static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    # Clients drop their credentials on any redirect, so no path is redirected to another form of it.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.extensions[EXTENSION] = ours
    for part in (discovery, objects, posts, statuses, books, openapi):
        app.register_blueprint(part.blueprint)
    counts = metrics.Metrics()
    Health(counts, alone=_is_alone(settings)).register(app)
    Reach(settings.partners).register(app)
    app.before_request(Reopening(app, lambda moved: _face(settings, moved)).look)
    app.before_request(_refuse_broken_request)
    app.teardown_request(release)
    app.register_error_handler(Exception, _failed)
    app.after_request(lambda response: guard(_packed(response), secure=ours.secure))
    app.wsgi_app = Observed(app.wsgi_app, counts, Uploads(BODIES))  # type: ignore[method-assign]
    return app


def _face(settings: Settings, database: Database) -> Face:
    limits = settings.limits
    return Face(
        door=prepare(settings, database),
        now=clock.now,
        title=settings.node.title,
        public_url=settings.node.public_url,
        max_content_length=limits.max_content_length,
        page_size=limits.page_size,
        most=limits.page_size,
        secure=settings.server.tls_certificate is not None or settings.node.public_url.startswith("https://"),
        rates=Rates(limits.requests_per_second, limits.concurrent_requests, limits.failed_logins_per_minute),
        sheets=Sheets(limits.page_cache_bytes),
    )


def app_factory() -> Flask:
    """The application of one server process, from the file that $STIXNODE_CONFIG names."""
    # Until the server has set its own: the parent's answer to a stop would let this process run on.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    settings = load_settings(Path(os.environ["STIXNODE_CONFIG"]), os.environ)
    logs.to_stderr(requests=settings.server.log_requests)
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
    found = highwater.recover(
        database,
        settings.data_dir,
        now=clock.now(),
        new_id=lambda: secrets.token_hex(16),
        new_secret=lambda: secrets.token_bytes(32),
        then=lambda tx, found: _pause_all(tx, settings, found),
    )
    if found.new_history:
        _log.warning("the database began a new history, and every link is paused; see: stixnode status")
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
    what = "is on another server, and perhaps " if found.other_server and not found.behind else ""
    reason = f"the database {what}went back in time; see what is missing, then run stixnode resume"
    links.set_paused(tx, None, paused=True, reason=reason, now=clock.now())
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
    from granian.http import HTTP1Settings  # noqa: PLC0415
    from granian.log import LogLevels  # noqa: PLC0415

    shown = f"[{host}]" if ":" in host else host
    _check_port(host, port, shown)
    if workers > 1:
        metrics.share(settings.data_dir / "metrics" / f"{host.replace(':', '.')}-{port}")
    else:
        metrics.keep_apart()
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
            http1_settings=HTTP1Settings(
                header_read_timeout=HEADER_MILLISECONDS, max_buffer_size=BUFFER_BYTES
            ),
            backpressure=_connections(),
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
        # In this order: a worker that is not listening yet would make its listener after the look.
        if _is_open(host, parts.port or 0) and _let_go_of_the_gone(parts.port or 0):
            sys.stderr.write(f"serving {address}\n")
            sys.stderr.flush()
            time.sleep(1)  # the port may have been another worker's, and ours came later
            _let_go_of_the_gone(parts.port or 0)
            return
        time.sleep(START_PAUSE)


def _end_with_parent(parent: int) -> None:
    # Nobody would stop a worker whose parent was killed, and it would hold the port against the next server.
    while os.getppid() == parent:
        time.sleep(ORPHAN_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def _is_open(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


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


def _refuse_broken_request() -> None:
    environ, rule = request.environ, request.url_rule
    environ[ROUTE] = "-" if rule is None else rule.rule
    expected = environ.get("HTTP_EXPECT")
    if expected is not None and expected.strip().lower() != "100-continue" and rule is not None:
        raise RequestRefused(
            "Nothing but 100-continue can be expected here.",
            remedy="Send the request without Expect.",
            status=417,
        )
    raw = environ.get("PATH_INFO", "").encode("latin-1", "replace")
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
    if isinstance(request.routing_exception, NotFound) and not request.path.endswith("/"):
        # Without its last slash the router does not see that an address is served to other methods.
        adapter = current_app.create_url_adapter(request)
        allowed = [] if adapter is None else list(adapter.allowed_methods(f"{request.path}/"))
        if allowed:
            raise MethodNotAllowed(allowed)


def _packed(response: Response) -> Response:
    """The answer, in gzip where that was asked for and is worth it."""
    if not compression.wanted(request.environ.get("HTTP_ACCEPT_ENCODING")) or response.status_code != 200:
        return response
    body = response.get_data()
    if len(body) >= compression.SHORTEST and "Content-Encoding" not in response.headers:
        response.set_data(compression.compressed(body))
        response.headers["Content-Encoding"] = compression.CODING
    return response


def _failed(error: Exception) -> Response:
    refusal = refusal_of(error)
    request_id = request.environ[REQUEST_ID]
    if refusal.status >= 500:
        log_failure(request_id, refusal.status, request.environ, error)
    return answer(error_body(refusal, request_id), refusal.status, refusal.headers)


def _is_alone(settings: Settings) -> bool:
    """Whether no proxy can stand in front: then a client's address is the client's."""
    server = settings.server
    passed_on = settings.node.public_url.startswith("https://") and server.tls_certificate is None
    return not server.behind_proxy and not passed_on


def _connections() -> int:
    """How many connections a process holds at once: idle ones cost a file each, and no thread."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(64, min(CONNECTIONS, files - SPARE_FILES))


def _let_go_of_the_gone(port: int) -> bool:
    """Let connections end whose other side has vanished; whether this process listens at the port.

    What is accepted inherits it from the listener. The server has no setting for it, and would wait for
    the rest of a body until it is restarted.
    """
    found = False
    for name in os.listdir("/dev/fd"):
        try:
            listener = socket.socket(fileno=int(name))
        except OSError:
            continue  # not a socket
        try:
            if listener.getsockname()[1:2] == (port,):
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                for option, value in KEPT_ALIVE.items():
                    if hasattr(socket, option):
                        listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
                found = True
        except OSError:
            continue
        finally:
            listener.detach()
    return found
