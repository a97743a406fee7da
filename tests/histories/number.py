"""How many histories are run: `make histories HISTORIES=100000` for a search that takes a night."""

from __future__ import annotations

import os

# In the suite a sample; each failing one is shortened and printed with its seed.
HISTORIES = int(os.environ.get("HISTORIES", "50"))
