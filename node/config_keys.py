"""The keys of `config.toml`: their kinds, their defaults, and what to write when one is wrong.

Rule    A key stands here only if this version does what it says; those of later versions are listed
        as `later` and refused. "" is the same as leaving a key out. `config.example.toml` shows
        every key, and a test compares its commented lines with the defaults here.

Reads and writes nothing. The keys of [partner.NAME] are in `sharing/partners.py`, those of
[alerts] in `sync/alert_settings.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from node.sharing.tables import Section
from node.sync.alert_settings import ALERTS

FORMAT = 1
MITRE = "identity--c78cb6e5-0c4b-4611-8297-d1b8b55e40b5"


class FileKeys(msgspec.Struct, forbid_unknown_fields=True):
    """The tables of the file."""

    format: int
    node: dict[str, Any] = {}
    exchange: dict[str, Any] = {}
    server: dict[str, Any] = {}
    database: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    alerts: dict[str, Any] = {}
    partner: dict[str, Any] = {}


class NodeKeys(msgspec.Struct, forbid_unknown_fields=True):
    """The keys of [node]; data_dir is relative to the file."""

    name: str
    title: str = ""
    public_url: str = ""
    data_dir: str = "."
    time_zone: str = "UTC"
    exercise: bool = False
    identities: list[str] = []


class ExchangeKeys(msgspec.Struct, forbid_unknown_fields=True):
    """The keys of [exchange]."""

    public_identities: list[str] = msgspec.field(default_factory=lambda: [MITRE])


class ServerKeys(msgspec.Struct, forbid_unknown_fields=True):
    """The keys of [server]; paths are relative to the file."""

    listen: list[str] = msgspec.field(default_factory=lambda: ["127.0.0.1:8000"])
    tls_certificate: str = ""
    tls_private_key: str = ""
    tls_minimum: Literal["1.2", "1.3"] = "1.2"
    behind_proxy: list[str] = []
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    log_requests: bool = True


class DatabaseKeys(msgspec.Struct, forbid_unknown_fields=True):
    """The keys of [database]; a SQLite file is relative to data_dir."""

    url: str = "sqlite:///stixnode.db"
    password_file: str = ""


class Limits(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The keys of [limits]: how much one account may ask of us; 0 turns one of the first three off."""

    requests_per_second: Annotated[int, Meta(ge=0)] = 200
    concurrent_requests: Annotated[int, Meta(ge=0)] = 8
    failed_logins_per_minute: Annotated[int, Meta(ge=0)] = 10
    max_content_length: Annotated[int, Meta(ge=1024)] = 104_857_600
    max_object_bytes: Annotated[int, Meta(ge=1024)] = 1_048_576
    page_size: Annotated[int, Meta(ge=1, le=10_000)] = 1000
    page_cache_bytes: Annotated[int, Meta(ge=0)] = 67_108_864


FILE = Section(
    FileKeys,
    mistakes={
        "partners": "Write one table [partner.NAME] for each.",
        "agreements": "Write it in [partner.NAME].",
    },
    later=frozenset({"backup"}),
)
_IDENTITIES = 'Write a list of ids such as ["identity--2f1b6c7a-54c6-4b0e-9d0a-3f6f4a1f0a01"].'
NODE = Section(
    NodeKeys,
    help={
        "name": "Write the name that the agreements use for us, such as north.",
        "title": "Write one line of text.",
        "public_url": "Write https://HOST, as others reach this node, without a path.",
        "time_zone": "Write an IANA name such as Europe/Helsinki.",
        "identities": _IDENTITIES,
    },
)
EXCHANGE = Section(ExchangeKeys, help={"public_identities": _IDENTITIES})
SERVER = Section(
    ServerKeys,
    help={
        "listen": 'Write a list of addresses with ports, such as ["0.0.0.0:443"] or ["[::1]:8000"].',
        "tls_certificate": "Write tls_certificate and tls_private_key, or our own proxy in behind_proxy.",
        "behind_proxy": 'Write a list of addresses or networks, such as ["10.0.0.5"].',
        "workers": "Write a whole number from 1 to 64.",
        "log_requests": "Write true or false.",
    },
    mistakes={"host": "Write listen.", "port": "Write listen.", "trust_proxy": "Write behind_proxy."},
)
DATABASE = Section(
    DatabaseKeys,
    help={"url": "Write sqlite:///FILE or postgresql://USER@HOST/NAME, with the password in password_file."},
    mistakes={"password": "Write password_file; a secret never stands in this file."},
)
LIMITS = Section(Limits)
OVERRIDABLE = {"node": NODE, "server": SERVER, "database": DATABASE, "limits": LIMITS, "alerts": ALERTS}
