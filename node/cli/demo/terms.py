"""The agreement of the demonstration: the same text at both nodes.

Reads and writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from node.clock import MICROSECONDS, taxii_time
from node.sharing.flows import DOMAIN_TYPES

AGREEMENT = "DEMO-2026-01"
AUDIENCE = "state-bodies"
IDENTITIES = {
    "north": "identity--2f1b6c7a-54c6-4b0e-9d0a-3f6f4a1f0a01",
    "south": "identity--8c0a2f7e-1d1f-4a55-8b7e-2f0b7d9c0b02",
}


def agreement_text(names: Sequence[str], *, now: int, paper_signed: bool = False) -> str:
    """The agreement of the demonstration: every STIX type, five collections, north carries both ways.

    Args:
        names: The parties.
        now: Microseconds; it began yesterday and ends in a year.
        paper_signed: Whether one of the parties is no stixnode.
    """
    types = json.dumps([*sorted(DOMAIN_TYPES), "observables", "x-mitre-*"])
    starts, ends = (taxii_time(now + days * 86_400 * MICROSECONDS)[:19] + "Z" for days in (-1, 365))
    parties = "\n".join(
        _PARTY.format(name=name, title=name.capitalize(), identity=IDENTITIES[name]) for name in names
    )
    paper = "paper_signed = true\n" if paper_signed else ""
    return _AGREEMENT.format(
        id=AGREEMENT, starts=starts, ends=ends, parties=parties, paper=paper, types=types, audience=AUDIENCE
    )


_PARTY = """\
[party.{name}]
organisation = "Cyber Centre {title}"
unit = "Exchange desk"
speaks_for = ["{identity}"]
duty_phone = "+000 00 000 00 00"
duty_email = "duty@{name}.example"
duty_hours = "24/7"
"""
_AGREEMENT = """\
# The agreement of the demonstration: the same file at both nodes.
format = 1
id = "{id}"
revision = 1
title = "Exchange between two nodes of this machine"
legal_basis = "A demonstration"
starts = {starts}
ends = {ends}
{paper}
{parties}
[every_flow]
types = {types}
max_tlp = "green"
unmarked = "clear"
audience = ["{audience}"]
carry = {{ north = "push", south = "pull" }}

# What North gives without a marking stays at North; what South gives so counts as public.
[[flow]]
collection = "indicators"
from = ["north"]
max_tlp = "amber"
unmarked = "withhold"
carry = "push"

[[flow]]
collection = "indicators"
from = ["south"]
max_tlp = "amber"
carry = "pull"

[[flow]]
collection = "techniques"
from = ["north", "south"]

[[flow]]
collection = "best-practices"
from = ["north", "south"]
max_tlp = "clear"

[[flow]]
collection = "legal-reference"
from = ["north", "south"]
max_tlp = "clear"

[[flow]]
collection = "sightings"
from = ["north", "south"]
unmarked = "withhold"
"""
