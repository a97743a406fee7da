"""What a SOC account may see: its clearance and audience, and what they mean for the rows of the store.

Reads   table flow, through store.catalog; writes nothing
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from node.stix.markings import TLP, UNKNOWN
from node.store import catalog
from node.store.database import Tx
from node.store.objects import Held


@dataclass(frozen=True, slots=True)
class Reader:
    """A SOC account's eyes.

    Args:
        clearance: Highest TLP rank it may see; RED also sees unknown markings.
        audience: It sees what a flow brought if they share one of these; local rows go to all.
    """

    clearance: int
    audience: tuple[str, ...]


class Sight(NamedTuple):
    """What a reader may see, as the store has it: ranks up to this one, and rows of these flows.

    `flows` is None for all. It holds for as long as no flow is new and none has another audience.
    """

    rank: int
    flows: tuple[int, ...] | None


def sight(tx: Tx, reader: Reader) -> Sight:
    """What a SOC account may see of the rows that stand now."""
    rank = UNKNOWN if reader.clearance >= TLP.RED else reader.clearance
    brought = {number: audience for number, (_, audience) in catalog.flows(tx).items()}
    brought.pop(catalog.LOCAL_FLOW, None)  # local rows go to all
    seen = tuple(number for number, audience in brought.items() if set(audience) & set(reader.audience))
    return Sight(rank, None if len(seen) == len(brought) else seen)


def eyes(tx: Tx, reader: Reader) -> Callable[[Held], bool]:
    """Whether a SOC account may see a row: what it cannot see it cannot delete."""
    rank, flows = sight(tx, reader)
    return lambda row: row.effective_rank <= rank and (flows is None or row.flow_id in (0, *flows))
