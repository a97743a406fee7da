"""How a fault is planted: put in place of a function of the product, for the length of a block.

Nothing in the product knows of it. The faults themselves are in `planted_doors` (what comes in, what leaves,
and the books) and `planted_rounds` (what is carried).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

Fault = Callable[[ExitStack], None]
FAULTS: dict[str, Fault] = {}


def fault(plant: Fault) -> Fault:
    """Enter a fault under its name, in words."""
    FAULTS[plant.__name__.replace("_", " ")] = plant
    return plant


def put(stack: ExitStack, place: Any, name: str, fault: Any) -> None:
    """Put a fault in place of something, until the stack ends."""
    stack.enter_context(patch.object(place, name, fault))


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The product with one fault."""
    with ExitStack() as stack:
        FAULTS[name](stack)
        yield
