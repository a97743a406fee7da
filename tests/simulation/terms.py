"""What a site is told: its configuration and its agreements, read from real files.

Every pair of sites has an agreement of its own, so that a ring passes things on only where a grant says so.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from node.config import Settings, load_settings
from tests.simulation.acts import FOREIGN
from tests.simulation.sites import AUDIENCE, token_of
from tests.support.agreements import a_flow, a_party, agreement_text, toml_text
from tests.support.partner import COLLECTION

ENDED = datetime(2026, 11, 21, 11, 0, tzinfo=UTC)
TYPES = ["indicator", "observables", "relationship"]


class Told(NamedTuple):
    """What differs between configurations: see `acts.Plan`; `narrow` is a brake of our own."""

    names: tuple[str, ...]
    carry: tuple[tuple[str, str], ...]
    room: bool = False
    onward: bool = False
    keep_days: int = 0
    terms: str = "wide"
    narrow: bool = False

    @property
    def foreign(self) -> str:
        """The site that runs other software; "" if none does."""
        return "west" if self.names == FOREIGN else ""


@lru_cache(maxsize=512)
def settings_of(folder: Path, us: str, told: Told) -> Settings:
    """The settings of a site.

    Args:
        folder: Where its files go.
        us: Its name.
        told: What it is told.
    """
    others = [name for name in told.names if name != us]
    for other in others:
        text = _agreement(sorted((us, other)), told)
        (folder / f"with-{other}.toml").write_text(text, encoding="utf-8")
    (folder / "password").write_text(token_of(f"{us}-node"), encoding="utf-8")
    document = {
        "format": 1,
        "node": {"name": us, "title": us.title()},
        "limits": {"requests_per_second": 0, "concurrent_requests": 0, "failed_logins_per_minute": 0},
        "partner": {other: _partner(us, other, told) for other in others},
    }
    (folder / "config.toml").write_text(toml_text(document), encoding="utf-8")
    return load_settings(folder / "config.toml", {})


def _agreement(pair: list[str], told: Told) -> str:
    third = [name for name in told.names if name not in pair]
    flow = a_flow(
        givers=pair,
        types=["indicator"] if told.terms == "few types" else TYPES,
        max_tlp="green" if told.terms == "narrow" else "amber",
        carry={giver: how for giver, how in told.carry if giver in pair},
        either_may_edit=told.room,
        onward=third if told.onward else "none",
        keep_days=told.keep_days or None,
        audience=list(AUDIENCE),
    )
    changes: dict[str, Any] = {
        "id": f"AGR-{'-'.join(pair)}",
        "flow": [flow],
        "party": {name: a_party(name) for name in pair},
        "paper_signed": told.foreign in pair,
    }
    if told.terms == "ended":
        changes["ends"] = ENDED
    return agreement_text(**changes)


def _partner(us: str, other: str, told: Told) -> dict[str, object]:
    table: dict[str, object] = {
        "agreements": [f"with-{other}.toml"],
        "api_root": f"https://{other}.example/api/",
        "username": f"{us}-node",
        "password_file": "password",
    }
    if told.narrow:
        table["stricter"] = {"max_tlp_out": "green"}
    if other == told.foreign:
        table |= {"kind": "taxii", "their_ids": {"indicators": COLLECTION}}
    return table
