"""docs/reaching.md: what it tells operators to publish is what the standard asks for, and what we serve."""

from __future__ import annotations

import re

from node.taxii.protocol import API_ROOT, DISCOVERY
from tests.architecture.reading import ROOT

RECORD = re.compile(
    r"^_(?P<service>[a-z0-9]+)\._(?P<protocol>tcp|udp)\.(?P<domain>[a-z.]+)\. \d+ IN SRV "
    r"(?P<priority>\d+) (?P<weight>\d+) (?P<port>\d+) (?P<target>[a-z.]+)\.$",
    re.MULTILINE,
)


def page():
    return (ROOT / "docs" / "reaching.md").read_text(encoding="utf-8")


def test_the_record_of_dns_is_that_of_the_standard():
    """T-NET-10: service taxii2 over TCP, and a target where discovery is at /taxii2/."""
    (record,) = RECORD.finditer(page())

    assert (record["service"], record["protocol"]) == ("taxii2", "tcp")
    assert f"https://{record['target']}{DISCOVERY}" in page()
    assert record["target"].endswith(record["domain"])


def test_the_addresses_are_those_that_are_served():
    """T-DISC-1: at the root of the host."""
    assert f".example{DISCOVERY}`" in page()
    assert f".example{API_ROOT}`" in page()
