"""What a full run found (`make torture`): the figures that tests told, after the last line of dots."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

SIZES = ("POWER", "KILLS", "CUTS", "OBJECTS")


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Tells a figure, which comes out also where tests run in other processes."""
    return lambda figure: record_property("figure", figure)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures, where somebody asked for more than the sample."""
    if not any(name in os.environ for name in SIZES):
        return
    for report in terminalreporter.getreports("passed"):
        for name, figure in report.user_properties:
            if name == "figure" and report.when == "call":
                terminalreporter.write_line(str(figure))
