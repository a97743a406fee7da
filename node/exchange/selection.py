"""What a recipient asks for: TAXII's filters as values, and how they choose among versions.

Source: TAXII 2.1 section 3.4 (filtering), section 3.4.1 (match fields).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from node.sharing.admission import flags_of


@dataclass(frozen=True, slots=True)
class Versions:
    """`match[version]`: the default is the last one.

    Args:
        first: The oldest.
        last: The newest.
        every: All of them.
        instants: Explicit versions in nanoseconds.
    """

    first: bool = False
    last: bool = True
    every: bool = False
    instants: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Selection:
    """What to read of a collection or a feed.

    Args:
        limit: Records at most.
        after: Microseconds: only what was added later (the greater of `added_after` and `next`).
        ids: Only these ids.
        types: Only these types.
        versions: Which versions of an id.
        spec_versions: Only these; None for the highest that each id has.
    """

    limit: int
    after: int | None = None
    ids: tuple[str, ...] | None = None
    types: tuple[str, ...] | None = None
    versions: Versions = Versions()
    spec_versions: tuple[str, ...] | None = None


class Versioned(Protocol):
    """A row that has a place among the versions of its id."""

    @property
    def spec_version(self) -> str: ...  # noqa: D102

    @property
    def version(self) -> int: ...  # noqa: D102

    @property
    def revoked(self) -> bool: ...  # noqa: D102


V = TypeVar("V", bound=Versioned)


def chosen(
    rows: Sequence[V], versions: Versions, spec_versions: Iterable[str] | None, *, every_spec: bool = False
) -> list[V]:
    """The rows of one id that a selection names.

    The spec version is chosen first, then the version within it (T-OBJ-64).

    Args:
        rows: All rows of one id that the recipient may see.
        versions: Which versions.
        spec_versions: Only these; None for the highest.
        every_spec: None in `spec_versions` means all of them, as for a deletion.
    """
    if not rows:
        return []
    flags = flags_of([(row.spec_version, row.version, row.revoked) for row in rows])
    wanted = None if spec_versions is None else set(spec_versions)
    found: list[V] = []
    for row, its in zip(rows, flags, strict=True):
        if wanted is None and not every_spec and not its.is_newest_spec:
            continue
        if wanted is not None and row.spec_version not in wanted:
            continue
        if (
            versions.every
            or (versions.last and its.is_last)
            or (versions.first and its.is_first)
            or row.version in versions.instants
        ):
            found.append(row)
    return found
