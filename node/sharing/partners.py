"""The tables [partner.NAME] of the configuration, read into bindings.

Rule    A binding says where a partner is and where its flows lie here. It holds no secret, only the
        path of the file with one, and sends that secret over TLS or to this very machine.

Reads and writes nothing; the caller loads the agreement files.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from node.sharing.agreements import Agreement
from node.sharing.links import PartnerBinding, PartnerKind, Stricter
from node.sharing.tables import Problem, Section, is_name, read_keys, wrong_value
from node.stix.markings import TLP, parse_tlp


class PartnerKeys(msgspec.Struct, forbid_unknown_fields=True):
    """The keys of [partner.NAME]; "" is the same as leaving the key out."""

    kind: PartnerKind = "stixnode"
    api_root: str = ""
    username: str = ""
    password_file: str = ""
    tls_ca: str = ""
    tls_certificate: str = ""
    tls_private_key: str = ""
    agreements: list[str] = []
    paused: bool = False
    store_in: dict[str, str] = {}
    their_ids: dict[str, str] = {}
    stricter: dict[str, Any] = {}


_MOST = 1_000_000_000


class StricterKeys(msgspec.Struct, forbid_unknown_fields=True):
    """The keys of [partner.NAME.stricter]."""

    max_tlp_out: str = "red"
    public_objects: Literal["accept", "refuse"] = "accept"
    max_new_in_per_day: Annotated[int, Meta(ge=0, le=_MOST)] = 5_000
    max_new_bytes_in_per_day: Annotated[int, Meta(ge=0)] = 1_073_741_824
    max_revoked_percent_in_per_day: Annotated[int, Meta(ge=0, le=100)] = 20
    max_quarantine_objects: Annotated[int, Meta(ge=0, le=_MOST)] = 10_000
    max_quarantine_bytes: Annotated[int, Meta(ge=0)] = 1_073_741_824


_SECRET = "Write password_file; a secret never stands in this file."  # noqa: S105 - a sentence
_PARTNER = Section(
    PartnerKeys,
    help={
        "kind": 'Write "stixnode" or "taxii".',
        "api_root": "Write the URL of their API root, such as https://exchange.south.example/api/.",
        "username": "Write username and password_file, or neither.",
        "tls_certificate": "Write tls_certificate and tls_private_key, or neither.",
        "agreements": 'Write a list of files, such as ["agreements/AGR-2026-01.toml"].',
        "store_in": "Write flow = the alias of our collection.",
        "their_ids": "Write flow = the id of their collection.",
    },
    mistakes={"url": "Write api_root.", "password": _SECRET, "token": _SECRET, "enabled": "Write paused."},
    later=frozenset({"card", "networks"}),
)
_STRICTER = Section(
    StricterKeys,
    help={
        "max_tlp_out": "Write clear, green, amber, amber+strict or red.",
        "public_objects": 'Write "accept" or "refuse".',
        "max_new_in_per_day": f"Write a whole number of objects from 0 to {_MOST}; 0 is no limit.",
        "max_new_bytes_in_per_day": "Write a whole number of bytes; 0 is no limit.",
        "max_revoked_percent_in_per_day": "Write a whole number from 0 to 100; 0 is no limit.",
        "max_quarantine_objects": f"Write a whole number of objects from 0 to {_MOST}; 0 is no limit.",
        "max_quarantine_bytes": "Write a whole number of bytes; 0 is no limit.",
    },
    mistakes={
        "max_tlp": "Write max_tlp_out.",
        "tlp_ceiling": "Write max_tlp_out.",
        "max_pull_objects": "Write max_new_in_per_day.",
    },
    later=frozenset({"second_person", "never_send", "never_block"}),
)


def read_partner(
    name: str,
    table: object,
    file: str,
    folder: Path,
    load: Callable[[str, str], Agreement | None],
    problems: list[Problem],
) -> PartnerBinding:
    """The binding of one partner; meaningless when a problem was appended.

    Args:
        table: What stands under [partner.NAME].
        file: What error messages call the configuration.
        folder: Where the configuration lies; relative paths begin there.
        load: (path as written, place for problems) -> agreement, or None when it had a problem.
        problems: Everything that is wrong is appended here.
    """
    where = f"{file}, [partner.{name}]"
    if not is_name(name):
        text = "this cannot name a partner"
        problems.append(Problem(where, text, "Write the name that the agreement uses for that party."))
    keys = PartnerKeys(**read_keys(table, _PARTNER, where, problems))
    if keys.api_root:
        fault = url_fault(keys.api_root)
        if fault:
            problems.append(wrong_value(where, "api_root", keys.api_root, fault, _PARTNER))
    if bool(keys.username) != bool(keys.password_file):
        text = "one of username and password_file is missing"
        problems.append(Problem(where, text, _PARTNER.help["username"]))
    if bool(keys.tls_certificate) != bool(keys.tls_private_key):
        text = "one of tls_certificate and tls_private_key is missing"
        problems.append(Problem(where, text, _PARTNER.help["tls_certificate"]))
    for flow, alias in keys.store_in.items():
        if not is_name(alias):
            text = f"{flow} = {alias!r} is not an alias of a collection"
            problems.append(Problem(f"{where} store_in", text, _PARTNER.help["store_in"]))
    for flow, remote in keys.their_ids.items():
        if not remote or not remote.isprintable() or set(remote) & set("/?# "):
            text = f"{flow} = {remote!r} is not the id of a collection"
            problems.append(Problem(f"{where} their_ids", text, _PARTNER.help["their_ids"]))
    loaded = [load(written, f"{where} agreements") for written in keys.agreements]
    return PartnerBinding(
        name=name,
        kind=keys.kind,
        api_root=f"{keys.api_root.rstrip('/')}/" if keys.api_root else None,
        username=keys.username or None,
        password_file=_path(folder, keys.password_file),
        tls_ca=_path(folder, keys.tls_ca),
        tls_certificate=_path(folder, keys.tls_certificate),
        tls_private_key=_path(folder, keys.tls_private_key),
        agreements=tuple(agreement for agreement in loaded if agreement is not None),
        paused=keys.paused,
        store_in=keys.store_in,
        their_ids=keys.their_ids,
        stricter=_stricter(keys.stricter, f"{file}, [partner.{name}.stricter]", problems),
    )


def url_fault(text: str) -> str | None:
    """What is wrong with the address of a node, or None: https, or http to this machine alone."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "not a URL"
    if parts.scheme not in ("http", "https") or not host:
        return "not a URL that begins with https://"
    if parts.username is not None or parts.password is not None:
        return "an account or password in it"
    if parts.query or parts.fragment:
        return "a query or fragment in it"
    if parts.scheme == "http" and not is_loopback(host):
        return "http without TLS to another machine"
    return None


def is_loopback(host: str) -> bool:
    """Whether a host, by name or address, is this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _stricter(table: Mapping[str, Any], where: str, problems: list[Problem]) -> Stricter:
    keys = StricterKeys(**read_keys(table, _STRICTER, where, problems))
    try:
        return Stricter(
            max_tlp_out=parse_tlp(keys.max_tlp_out),
            public_objects=keys.public_objects,
            max_new_in_per_day=keys.max_new_in_per_day,
            max_new_bytes_in_per_day=keys.max_new_bytes_in_per_day,
            max_revoked_percent_in_per_day=keys.max_revoked_percent_in_per_day,
            max_quarantine_objects=keys.max_quarantine_objects,
            max_quarantine_bytes=keys.max_quarantine_bytes,
        )
    except ValueError as cause:
        problems.append(wrong_value(where, "max_tlp_out", keys.max_tlp_out, str(cause), _STRICTER))
        return Stricter(max_tlp_out=TLP.CLEAR)


def _path(folder: Path, written: str) -> str | None:
    return str(folder / written) if written else None
