"""What `config.toml` says of one partner: where it is, where its flows lie here, and our own brakes on it.

Reads and writes nothing; `partners.py` reads the tables [partner.NAME] into these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from node.sharing.agreements import Agreement
from node.stix.markings import TLP

PartnerKind = Literal["stixnode", "taxii"]


@dataclass(frozen=True, slots=True)
class Stricter:
    """Our own brakes on one partner; they only take away from the agreement.

    Args:
        max_new_in_per_day, max_new_bytes_in_per_day: What more of the partner's objects, or of their bytes,
            is written here in one UTC day waits for a person; 0 is no limit.
        max_revoked_percent_in_per_day: So much of what we hold from it may the partner revoke in one UTC
            day; more waits for a person; 0 is no limit.
        max_quarantine_objects, max_quarantine_bytes: While so much of the partner's waits in quarantine,
            nothing of it is taken that would have to wait too; 0 is no limit.
    """

    max_tlp_out: TLP = TLP.RED
    public_objects: Literal["accept", "refuse"] = "accept"
    max_new_in_per_day: int = 0
    max_new_bytes_in_per_day: int = 0
    max_revoked_percent_in_per_day: int = 0
    max_quarantine_objects: int = 0
    max_quarantine_bytes: int = 0


@dataclass(frozen=True, slots=True)
class PartnerBinding:
    """Where a partner is and where its flows lie here, from `[partner.NAME]` of the configuration.

    Args:
        api_root: URL that ends in `/`; None when only the partner carries.
        password_file: Path of the file with our password or token there; None with no `username`.
        tls_ca: Path of the only issuer trusted for it; None for the public ones.
        tls_certificate, tls_private_key: Paths of what we show to a server that asks who connects; both
            or neither.
        store_in: flow -> alias of our collection for what comes in, where it is not the flow's name.
        their_ids: flow -> id of the partner's collection, where it is not ours.
    """

    name: str
    kind: PartnerKind = "stixnode"
    api_root: str | None = None
    username: str | None = None
    password_file: str | None = None
    tls_ca: str | None = None
    tls_certificate: str | None = None
    tls_private_key: str | None = None
    agreements: tuple[Agreement, ...] = ()
    paused: bool = False
    store_in: Mapping[str, str] = field(default_factory=dict)
    their_ids: Mapping[str, str] = field(default_factory=dict)
    stricter: Stricter = Stricter()
