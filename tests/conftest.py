"""What holds for every test: the same searches each time, and nothing taken from the shell around them."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# A slow neighbour on the machine must not fail a test, and a failure must come again.
settings.register_profile("node", deadline=None, derandomize=True, max_examples=100)
settings.register_profile("long", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "node"))

pytest_plugins = ["tests.support.databases"]

FOREIGN = ("STIXNODE_", "PG")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _nothing_from_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration, a database or a proxy of the person who runs the tests plays no part in them."""
    for name in list(os.environ):
        if name.startswith(FOREIGN) or name.lower() in PROXIES:
            monkeypatch.delenv(name)
