"""The configuration: `config.toml` and the agreements it names, as one frozen value.

Rule    The file wires and may only tighten; what may cross stands in the agreements. A key that is
        not known, or not yet enforced, stops the node. No secret stands in it, only paths of files
        that hold one. `STIXNODE_SECTION__KEY` overrides a key of [node], [server], [database], [limits]
        and [alerts], and of nothing else, so that no environment can widen what crosses.

Reads   The file, the agreements it names, and the environment it is given. Writes nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_origin
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec

from node.config_keys import (
    DATABASE,
    EXCHANGE,
    FILE,
    FORMAT,
    LIMITS,
    NODE,
    OVERRIDABLE,
    SERVER,
    DatabaseKeys,
    ExchangeKeys,
    Limits,
    NodeKeys,
    ServerKeys,
)
from node.errors import ConfigError
from node.sharing.agreements import Agreement, load_agreement
from node.sharing.links import Link, Parties, PartnerBinding, derive_links, parties_of
from node.sharing.partners import is_loopback, read_partner, url_fault
from node.sharing.tables import (
    Problem,
    Section,
    is_identity,
    is_name,
    nearest,
    read_keys,
    read_toml,
    refuse,
    report_missing,
    wrong_value,
)
from node.sync.alert_settings import AlertSettings, read_alerts

SYSTEM_CONFIG = Path("/etc/stixnode/config.toml")


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """Who we are.

    Args:
        public_url: How others reach us, without a slash at the end.
        time_zone: IANA name, for what people read.
        exercise: Every screen says so.
        identities: Identities that are ours beside those of the agreements.
    """

    name: str
    title: str
    public_url: str
    time_zone: str
    exercise: bool
    identities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where the server listens: (host, port) pairs, TLS files, our own proxy's addresses; what it logs."""

    listen: tuple[tuple[str, int], ...]
    tls_certificate: Path | None
    tls_private_key: Path | None
    tls_minimum: Literal["1.2", "1.3"]
    behind_proxy: tuple[str, ...]
    workers: int
    log_requests: bool = True


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """Where the database is: a `sqlite:///` URL with an absolute path, or a `postgresql://` one."""

    url: str
    password_file: Path | None


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the node is told; paths are absolute.

    Args:
        path: The file itself.
        links: What follows from the agreements, sorted by name.
        parties: Who speaks for which identity.
    """

    path: Path
    data_dir: Path
    node: NodeSettings
    public_identities: tuple[str, ...]
    server: ServerSettings
    database: DatabaseSettings
    partners: tuple[PartnerBinding, ...]
    limits: Limits
    links: tuple[Link, ...]
    parties: Parties
    alerts: AlertSettings


def find_config(option: str | None, environ: Mapping[str, str]) -> Path:
    """The configuration to use: `--config`, `./config.toml`, `$STIXNODE_CONFIG`, then the system's.

    Args:
        option: What was given with --config, if anything.
        environ: The environment.

    Raises:
        ConfigError: There is no such file. A place that was named is never passed over in silence.
    """
    named = environ.get("STIXNODE_CONFIG", "")
    places = [("--config", Path(option))] if option else [("here", Path("config.toml"))]
    if not option:
        places.append(("STIXNODE_CONFIG", Path(named)) if named else ("the system", SYSTEM_CONFIG))
    for _, place in places:
        if place.is_file():
            return place.absolute()
    looked = ", ".join(f"{place} ({why})" for why, place in places)
    if not option and not named:
        looked += ", STIXNODE_CONFIG (not set)"
    raise ConfigError(
        f"No configuration was found; looked at {looked}.",
        remedy="Run `stixnode init DIR` to make one, or name one with --config FILE.",
    )


def load_settings(path: Path, environ: Mapping[str, str]) -> Settings:
    """The settings in a file, with the environment's overrides.

    Raises:
        ConfigError: The file, an agreement or an override cannot be used; every problem that was
            found is named with its place.
    """
    path = path.absolute()
    file = path.name
    try:
        tables = read_toml(path.read_text(encoding="utf-8"), file)
    except (OSError, UnicodeDecodeError) as cause:
        raise ConfigError(
            f"{path} cannot be read: {cause}.", remedy="Check the path and its rights."
        ) from cause
    problems: list[Problem] = []
    if tables.get("format") != FORMAT:
        text = f"this version reads format {FORMAT}, the file says {tables.get('format', 'nothing')!r}"
        refuse([Problem(f"{file}, format", text, f"Write format = {FORMAT} as the first line.")])
    top = read_keys(tables, FILE, f"{file},", problems)
    for section, key, value in overrides(environ, problems):
        top.setdefault(section, {})[key] = value
    server = _server(top.get("server", {}), file, path.parent, problems)
    node, data_dir = _node(top.get("node", {}), server, file, path.parent, problems)
    public = _exchange(top.get("exchange", {}), file, problems)
    database = _database(top.get("database", {}), file, path.parent, data_dir, problems)
    limits = Limits(**read_keys(top.get("limits", {}), LIMITS, f"{file}, [limits]", problems))
    if limits.max_object_bytes > limits.max_content_length:
        text = "it is more than max_content_length, so no object of that size could arrive"
        problems.append(Problem(f"{file}, [limits] max_object_bytes", text, "Make it smaller."))
    alerts = read_alerts(top.get("alerts", {}), file, path.parent, problems)
    load = _agreement_files(path.parent, problems)
    bindings = tuple(
        read_partner(name, table, file, path.parent, load, problems)
        for name, table in sorted(top.get("partner", {}).items())
    )
    if node.name in top.get("partner", {}):
        text = "this is our own name"
        problems.append(
            Problem(f"{file}, [partner.{node.name}]", text, "Name the partner as the agreement does.")
        )
    refuse(problems)
    try:
        parties = parties_of(node.name, bindings, node.identities, public)
        links = derive_links(node.name, bindings, parties)
    except ConfigError as cause:
        problem = "\n".join(f"{file}, {line}" for line in cause.problem.split("\n"))
        raise ConfigError(problem, remedy=cause.remedy) from cause
    _check_reach(bindings, links, file)
    return Settings(path, data_dir, node, public, server, database, bindings, limits, links, parties, alerts)


def overrides(environ: Mapping[str, str], problems: list[Problem]) -> list[tuple[str, str, Any]]:
    """(section, key, value) for each `STIXNODE_SECTION__KEY`; lists are written with commas."""
    found: list[tuple[str, str, Any]] = []
    for variable in sorted(environ):
        section, _, key = variable.removeprefix("STIXNODE_").lower().partition("__")
        if not variable.startswith("STIXNODE_") or not key:
            continue
        if section not in OVERRIDABLE:
            text = f"[{section}] cannot be set from the environment"
            remedy = f"Unset it; the environment may set {', '.join(sorted(OVERRIDABLE))} only."
            problems.append(Problem(variable, text, remedy))
            continue
        fields = {each.encode_name: each for each in msgspec.structs.fields(OVERRIDABLE[section].shape)}
        if key not in fields:
            guess = nearest(key, fields) or ", ".join(sorted(fields))
            text = f"[{section}] has no key {key}"
            problems.append(
                Problem(variable, text, f"Did you mean STIXNODE_{section.upper()}__{guess.upper()}?")
            )
            continue
        written: object = environ[variable]
        if get_origin(fields[key].type) is list:
            written = [each.strip() for each in environ[variable].split(",") if each.strip()]
        try:
            found.append((section, key, msgspec.convert(written, fields[key].type, strict=False)))
        except msgspec.ValidationError as cause:
            problems.append(
                wrong_value(f"{variable},", key, environ[variable], str(cause), OVERRIDABLE[section])
            )
    return found


def _node(
    table: object, server: ServerSettings, file: str, folder: Path, problems: list[Problem]
) -> tuple[NodeSettings, Path]:
    where = f"{file}, [node]"
    values = read_keys(table, NODE, where, problems)
    report_missing(table, NODE, where, problems)
    keys = NodeKeys(**{"name": "", **values})
    if "name" in values and not is_name(keys.name):
        problems.append(wrong_value(where, "name", keys.name, "not a name for a party", NODE))
    if not keys.title.isprintable():
        problems.append(wrong_value(where, "title", keys.title, "not a line of printable text", NODE))
    try:
        ZoneInfo(keys.time_zone)
    except (KeyError, ValueError, OSError):
        problems.append(wrong_value(where, "time_zone", keys.time_zone, "not a time zone", NODE))
    _check_identities(keys.identities, where, "identities", NODE, problems)
    url = keys.public_url.rstrip("/")
    if url:
        fault = url_fault(url) or ("a path in it" if urlsplit(url).path else None)
        if fault:
            problems.append(wrong_value(where, "public_url", keys.public_url, fault, NODE))
    elif server.behind_proxy or not all(is_loopback(host) for host, _ in server.listen):
        text = "the key is missing, and others reach this node by an address that it cannot know"
        problems.append(Problem(f"{where} public_url", text, NODE.help["public_url"]))
    else:
        host, port = server.listen[0]
        scheme = "https" if server.tls_certificate else "http"
        url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    node = NodeSettings(
        keys.name,
        keys.title or keys.name,
        url,
        keys.time_zone,
        keys.exercise,
        tuple(sorted(set(keys.identities))),
    )
    return node, Path(folder, keys.data_dir)


def _server(table: object, file: str, folder: Path, problems: list[Problem]) -> ServerSettings:
    where = f"{file}, [server]"
    keys = ServerKeys(**read_keys(table, SERVER, where, problems))
    listen: list[tuple[str, int]] = []
    for written in keys.listen:
        address = _address(written)
        if address is None:
            problems.append(wrong_value(where, "listen", written, "not an address with a port", SERVER))
        else:
            listen.append(address)
    if not keys.listen:
        problems.append(wrong_value(where, "listen", keys.listen, "no address", SERVER))
    for written in keys.behind_proxy:
        try:
            ipaddress.ip_network(written)
        except ValueError:
            problems.append(wrong_value(where, "behind_proxy", written, "not an address or network", SERVER))
    if bool(keys.tls_certificate) != bool(keys.tls_private_key):
        text = "one of tls_certificate and tls_private_key is missing"
        problems.append(Problem(where, text, SERVER.help["tls_certificate"]))
    open_to = [host for host, _ in listen if not is_loopback(host)]
    if open_to and not keys.tls_certificate and not keys.behind_proxy:
        text = f"{open_to[0]} is reached by others, and there is no TLS"
        problems.append(Problem(f"{where} listen", text, SERVER.help["tls_certificate"]))
    return ServerSettings(
        listen=tuple(listen) or (("127.0.0.1", 8000),),
        tls_certificate=_file(folder, keys.tls_certificate),
        tls_private_key=_file(folder, keys.tls_private_key),
        tls_minimum=keys.tls_minimum,
        behind_proxy=tuple(keys.behind_proxy),
        workers=keys.workers,
        log_requests=keys.log_requests,
    )


def _address(text: str) -> tuple[str, int] | None:
    host, colon, port = text.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host if ":" not in host else ""
    if not colon or not host or not (port.isascii() and port.isdecimal() and 1 <= int(port) <= 65_535):
        return None
    return host, int(port)


def _exchange(table: object, file: str, problems: list[Problem]) -> tuple[str, ...]:
    where = f"{file}, [exchange]"
    keys = ExchangeKeys(**read_keys(table, EXCHANGE, where, problems))
    _check_identities(keys.public_identities, where, "public_identities", EXCHANGE, problems)
    return tuple(sorted(set(keys.public_identities)))


def _check_identities(
    written: Sequence[str], where: str, key: str, section: Section, problems: list[Problem]
) -> None:
    for identity in written:
        if not is_identity(identity):
            problems.append(wrong_value(where, key, identity, "not the id of an identity", section))


def _database(
    table: object, file: str, folder: Path, data_dir: Path, problems: list[Problem]
) -> DatabaseSettings:
    where = f"{file}, [database]"
    keys = DatabaseKeys(**read_keys(table, DATABASE, where, problems))
    url, fault = _database_url(keys.url, data_dir)
    if fault:
        # The value may hold a password, so it is not shown.
        problems.append(Problem(f"{where} url", fault, DATABASE.help["url"]))
    if keys.password_file and url.startswith("sqlite"):
        problems.append(Problem(f"{where} password_file", "SQLite has no password", "Take the key out."))
    return DatabaseSettings(url, _file(folder, keys.password_file))


def _database_url(text: str, data_dir: Path) -> tuple[str, str | None]:
    """The URL with an absolute path, and what is wrong with it, if anything."""
    if text.startswith("sqlite:"):
        place = text.removeprefix("sqlite:///")
        if place == text or not place or place.startswith(":") or "?" in place:
            return text, "not the URL of a SQLite file"
        return f"sqlite:///{data_dir / place}", None
    try:
        parts = urlsplit(text)
        password, _ = parts.password, parts.port
    except ValueError:
        return text, "not a URL"
    if parts.scheme != "postgresql" or not parts.path.strip("/"):
        return text, "neither a SQLite file nor a PostgreSQL database"
    if password is not None or "password=" in parts.query.lower():
        return text, "it holds a password, and a secret never stands in this file"
    return text, None


def _agreement_files(folder: Path, problems: list[Problem]) -> Callable[[str, str], Agreement | None]:
    """A loader that reads each file once and turns its errors into problems of the configuration."""
    loaded: dict[Path, Agreement | None] = {}

    def load(written: str, place: str) -> Agreement | None:
        path = folder / written
        if path not in loaded:
            try:
                loaded[path] = load_agreement(path)
            except ConfigError as cause:
                loaded[path] = None
                problems.append(Problem(place, cause.problem.removesuffix("."), cause.remedy))
        return loaded[path]

    return load


def _check_reach(bindings: Sequence[PartnerBinding], links: Sequence[Link], file: str) -> None:
    problems: list[Problem] = []
    for binding in bindings:
        ours = [link.name for link in links if link.partner == binding.name and link.carrier == "us"]
        if ours and binding.api_root is None:
            text = f"the key is missing, and we are the carrier of {ours[0]}"
            remedy = "Write the URL of their API root, or agree that they carry."
            problems.append(Problem(f"{file}, [partner.{binding.name}] api_root", text, remedy))
    refuse(problems)


def _file(folder: Path, written: str) -> Path | None:
    return folder / written if written else None
