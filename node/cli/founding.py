"""Found a node: its folder, its configuration, its database, its collections, its first person.

Rule    There is no default account, token or secret: everything secret is made here, at random, and the
        token of the first person is shown once. The configuration is put in its place last, so that a
        founding that broke off leaves no node that looks whole.

Writes  config.toml and the database in the folder; the token's file, if one is named
"""

from __future__ import annotations

import json
import os
import re
import secrets
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from node import web
from node.access import people, tokens
from node.audit import log
from node.cli.secret_files import Secret, new_secret
from node.config import Settings, load_settings, overrides
from node.errors import ConfigError, StoreError, UsageError
from node.sharing.partners import is_loopback, url_fault
from node.sharing.tables import is_name
from node.store import catalog, migrate
from node.store.database import Tx

CONFIG = "config.toml"
FIRST_ROLES = ("operator", "admin")


@dataclass(frozen=True, slots=True)
class Wish:
    """What the new node is to be.

    Args:
        folder: Where; made if need be.
        name: Its name in agreements.
        url: How others reach it; "" for a node that only this machine reaches.
        person: Name of the first person.
        token_file: Where to write that person's token; None to have it back.
        database: URL of the database; "" for a SQLite file in the folder.
        password_file: File with the database's password; None for a database without one.
    """

    folder: Path
    name: str
    url: str
    person: str
    token_file: str | None
    database: str = ""
    password_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Founded:
    """The node that was made.

    Args:
        secret: Where the first person's token is.
        open_folder: Others may look into the folder, which was there before and not empty.
    """

    config: Path
    settings: Settings
    collections: int
    secret: Secret
    open_folder: bool


def found(wish: Wish, *, environ: Mapping[str, str], actor: str, now: int) -> Founded:
    """Make the node.

    Args:
        wish: What it is to be.
        environ: Overrides of the configuration, such as another database; they are written into it.
        actor: Who does it, for the audit log.
        now: Microseconds.

    Raises:
        UsageError: There is a node already, or a value cannot be.
        ConfigError: An override or a definition of a collection cannot be used.
        StoreError: The database refused.
    """
    _check(wish)
    folder, given = wish.folder.absolute(), {**environ, **_asked(wish)}
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    before = os.umask(0o077)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            folder.chmod(0o700)
        draft = folder / f".{CONFIG}.new"
        draft.write_text(config_text(wish.name, wish.url), encoding="utf-8")
        try:
            settings = load_settings(draft, given)
            draft.write_text(_in_force(config_text(wish.name, wish.url), given), encoding="utf-8")
            number, secret = _fill(wish, settings, actor=actor, now=now)
            draft.rename(folder / CONFIG)
        except ConfigError as cause:  # the draft's name tells nobody anything
            problem = cause.problem.replace(draft.name, CONFIG)
            raise ConfigError(problem, remedy=cause.remedy) from cause
        finally:
            draft.unlink(missing_ok=True)
    except BaseException:
        with suppress(OSError):  # what is not empty stays
            for each in made:
                each.rmdir()
        raise
    finally:
        os.umask(before)
    seen = bool(folder.stat().st_mode & 0o077)
    return Founded(folder / CONFIG, settings, number, secret, open_folder=seen)


def config_text(name: str, url: str) -> str:
    """A configuration with every key: ours filled in, the others as comments with their defaults."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    listen = '#listen = ["127.0.0.1:8000"]'
    if url and is_loopback(host):
        port = parts.port or (443 if parts.scheme == "https" else 80)
        listen = f"listen = {_quoted_list(f'[{host}]:{port}' if ':' in host else f'{host}:{port}')}"
    shown_url = f"public_url = {_quoted(url)}" if url else '#public_url = ""'
    return _TEXT.format(name=_quoted(name), public_url=shown_url, listen=listen)


def _asked(wish: Wish) -> dict[str, str]:
    """The options that overrule the environment, as the environment would say them."""
    asked: dict[str, str] = {}
    if wish.database:
        asked["STIXNODE_DATABASE__URL"] = wish.database
    if wish.password_file is not None:
        asked["STIXNODE_DATABASE__PASSWORD_FILE"] = str(wish.password_file.absolute())
    return asked


def _in_force(text: str, environ: Mapping[str, str]) -> str:
    """The configuration with the overrides written in, so that the node is the same without them."""
    for section, key, value in overrides(environ, []):
        head, opened, rest = text.partition(f"\n[{section}]")
        own, following, tail = rest.partition("\n[")
        line = f"{key} = {json.dumps(value, ensure_ascii=False)}".replace("\\", "\\\\")
        own = re.sub(rf"(?m)^#?{key} = .*$", line, own, count=1)
        text = head + opened + own + following + tail
    return text


def _check(wish: Wish) -> None:
    place = wish.folder / CONFIG
    if place.exists():
        raise UsageError(
            f"There is a node already: {place.absolute()}.",
            remedy=f"Choose another folder, or use it: stixnode --config {place} status",
        )
    if wish.folder.exists() and not wish.folder.is_dir():
        raise UsageError(f"{wish.folder} is no folder.", remedy="Choose another name.")
    if not is_name(wish.name):
        raise UsageError(
            f"{wish.name!r} cannot name a node.",
            remedy="Use the name of the agreements: small letters, digits, '.', '_' and '-', such as north.",
        )
    if wish.url:
        fault = url_fault(wish.url) or ("a path in it" if urlsplit(wish.url).path.strip("/") else None)
        if fault:
            raise UsageError(
                f"{wish.url!r} is {fault}." if fault.startswith("not") else f"{wish.url!r} has {fault}.",
                remedy="Write https://HOST, as others reach this node.",
            )


def _fill(wish: Wish, settings: Settings, *, actor: str, now: int) -> tuple[int, Secret]:
    """Tables, node, collections, person; the number of collections, and where the token is."""
    database = web.open_database(settings)
    try:
        migrate.migrate(database)
        identity = database.server_identity()
        definitions = catalog.load_definitions()
        with new_secret(wish.token_file) as secret, database.writing() as tx:
            _refuse_a_node(tx, database.url)
            instance, key = secrets.token_hex(16), secrets.token_bytes(32)
            catalog.create_node(tx, instance=instance, secret=key, server_identity=identity)
            for each in definitions:
                own = each.id or str(uuid.uuid4())
                catalog.add_collection(tx, each, epoch=secrets.token_hex(16), new_id=own)
            people.add_person(tx, wish.person, FIRST_ROLES, actor=actor, now=now)
            token, _ = tokens.issue_token(tx, person=wish.person, actor=actor, now=now)
            details: log.Details = {"collections": len(definitions), "person": wish.person}
            log.record(
                tx, now=now, actor=actor, act="init", subject=f"node:{settings.node.name}", details=details
            )
            secret.keep(token)
    finally:
        database.close()
    return len(definitions), secret


def _refuse_a_node(tx: Tx, url: str) -> None:
    try:
        catalog.node_row(tx)
    except StoreError:
        return
    raise UsageError(
        f"The database {url} holds a node already.",
        remedy="Bring back its config.toml; if an init broke off here, remove the database and try again.",
    )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _quoted_list(*texts: str) -> str:
    return json.dumps(list(texts), ensure_ascii=False)


_TEXT = """\
# config.toml of this node: who we are, where we listen, where our partners are.
#
# Nothing in here decides what may cross: that stands in the agreements, which all parties sign.
# A key that stixnode does not know stops it, and so does one that this version does not enforce.
# A line that begins with #key shows the default. Paths are relative to the folder of this file.
# No secret stands in here, only the paths of files that hold one; keep those readable to stixnode alone.
format = 1

[node]
name = {name}
{public_url}
#title = ""                           # what TAXII clients see in discovery; without it, the name
#data_dir = "."                       # database and everything else that stixnode writes
#time_zone = "UTC"                    # for people, such as Europe/Helsinki; logs and --json stay in UTC
#exercise = false                     # true: every screen says EXERCISE
#identities = []                      # created_by_ref that are ours, beside those of the agreements

[exchange]
# Authors whose objects belong to nobody here: MITRE ATT&CK.
#public_identities = ["identity--c78cb6e5-0c4b-4611-8297-d1b8b55e40b5"]

[server]
# Anything but loopback needs the two TLS files, or behind_proxy.
{listen}
#tls_certificate = ""                 # such as tls/north.crt
#tls_private_key = ""                 # such as tls/north.key
#tls_minimum = "1.2"                  # or "1.3"
#behind_proxy = []                    # addresses of our own proxy, if TLS ends there
#workers = 1                          # processes that answer
#log_requests = true                  # a line on stderr for each request; false: for failures of ours only

[database]
#url = "sqlite:///stixnode.db"        # relative to data_dir; or postgresql://stixnode@db/stixnode
#password_file = ""                   # for PostgreSQL

[alerts]                              # who is told when something is wrong; docs/alerts.md
#mail_to = []                         # such as ["duty@north.example"]; then the next two are needed
#mail_from = ""                       # such as stixnode@north.example
#smtp_url = ""                        # smtps://HOST:465, or smtp://HOST:587 for STARTTLS; NAME@HOST to log in
#smtp_password_file = ""              # the password for that name
#webhook_url = ""                     # takes a POST of JSON for each alert
#webhook_secret_file = ""             # what it asks for, sent as Authorization: Bearer
#heartbeat_url = ""                   # asked every minute while all is well; its silence means us
#repeat_after_minutes = 60            # a fault that lasts is told again; 0 = never

[limits]                              # the first three are for each account; 0 = off
#requests_per_second = 200
#concurrent_requests = 8
#failed_logins_per_minute = 10
#max_content_length = 104857600       # bytes of one request; shown to TAXII clients
#max_object_bytes = 1048576           # bytes of one STIX object
#page_size = 1000                     # objects in one page, unless the client asks for fewer
#page_cache_bytes = 67108864          # memory of each process for pages served before; 0 = off

# One table for each partner, called as the agreement calls that party. Take the # away from what you need.
#[partner.south]
#kind = "stixnode"                    # "taxii" for any other TAXII 2.1 server
#api_root = ""                        # https://exchange.south.example/api/, where we fetch or bring
#username = ""                        # our account there ...
#password_file = ""                   # ... and the file with its password or token, such as secrets/south
#tls_ca = ""                          # trust only this issuer for them; leave out for a public one
#tls_certificate = ""                 # what we show to a server that asks who connects ...
#tls_private_key = ""                 # ... and its key, PKCS#8 without a password
#agreements = []                      # such as ["agreements/AGR-2026-01.toml"]; nothing crosses without
#paused = false                       # true: nothing in, nothing out, nothing served; links keep their place

#[partner.south.store_in]             # flow = our collection, where what comes in should lie apart
#[partner.south.their_ids]            # flow = the id of their collection, where it is not the same as ours
#[partner.south.stricter]             # our own brakes; they can only take away from the agreement
#max_tlp_out = "red"                  # nothing above this goes to them, whatever the agreement says
#public_objects = "accept"            # "refuse": they may not bring objects of [exchange] public_identities
#max_new_in_per_day = 5000            # more objects than this in a day (UTC) wait for a person; 0 = no limit
#max_new_bytes_in_per_day = 1073741824   # and so do more bytes of them
#max_revoked_percent_in_per_day = 20  # of what we hold from them: more revocations wait (20 objects never do)
#max_quarantine_objects = 10000       # while so many of theirs wait for a person, no more that would wait
#max_quarantine_bytes = 1073741824    # is taken; likewise for so many bytes; 0 = no limit
"""
