"""All planted faults: `FAULTS` by name, and `planted` for a block with one of them."""

from __future__ import annotations

from tests.simulation import planted_doors, planted_rounds
from tests.simulation.planting import FAULTS, planted

__all__ = ["FAULTS", "planted", "planted_doors", "planted_rounds"]
