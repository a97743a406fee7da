"""Read a node as a SOC does: a plain TAXII client with an account, nothing of our own kind.

Reads   a server. Writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from node import clock
from node.sharing.links import PartnerBinding
from node.sync.client import Partner

PAGE = 1_000


@dataclass(slots=True)
class Reading:
    """What one collection showed: the exact bytes of every version, and in how many pages."""

    bodies: list[bytes] = field(default_factory=list)
    pages: int = 0


def read_collections(
    api_root: str, aliases: list[str], *, account: str, token: Path, authority: Path | None
) -> dict[str, Reading]:
    """alias -> what an account is shown of a collection, to the last page.

    Args:
        api_root: Address of the API root.
        aliases: Collections to read.
        account: Name of the account.
        token: File with its token.
        authority: The only issuer to trust.
    """
    binding = PartnerBinding(
        name=account,
        kind="taxii",
        api_root=api_root,
        username=account,
        password_file=str(token),
        tls_ca=str(authority) if authority else None,
    )
    client = Partner(binding, now=clock.now)
    try:
        return {alias: _read(client, alias) for alias in aliases}
    finally:
        client.close()


def _read(client: Partner, alias: str) -> Reading:
    found = Reading()
    position: str | None = None
    while True:
        page = client.objects_page(alias, added_after=None, next=position, limit=PAGE)
        found.bodies += page.bodies
        found.pages += 1
        position = page.next
        if not page.more or position is None:
            return found
