"""The real STIX that lies beside the project: read from there, never copied into it."""

from __future__ import annotations

import gzip
from pathlib import Path

from node.stix.envelope import split

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "data"
"""Beside the repository; its README.md says where the objects come from and on what terms."""


def playbooks() -> list[bytes]:
    """All 8,035 STIX 2.0 objects of the adversary playbooks, with real indicators."""
    return split(gzip.decompress((FOLDER / "playbooks-stix20.json.gz").read_bytes()))


def attack(every: int = 1) -> list[bytes]:
    """Each `every`-th of the 24,771 STIX 2.1 objects of ATT&CK Enterprise, from the first."""
    return split(gzip.decompress((FOLDER / "attack-enterprise.json.gz").read_bytes()))[::every]
