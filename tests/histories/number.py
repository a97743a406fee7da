"""How many histories are run: `make histories HISTORIES=100000` for a search that takes a night."""

from __future__ import annotations

import os

# Read when the tests are collected: a test sees nothing of the shell's STIXNODE_ and HISTORIES stays as it is.
HISTORIES = int(os.environ.get("HISTORIES", "100"))
