"""Files that hold one secret: new, and readable by their owner alone."""

from __future__ import annotations

import os
from pathlib import Path

from node.errors import UsageError


def write_secret(path: str, secret: str) -> Path:
    """Write a secret to a new file, 0600; its absolute path.

    Raises:
        UsageError: There is such a file already, or it cannot be made.
    """
    place = Path(path).absolute()
    try:
        file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as cause:
        raise UsageError(
            f"The file {place} is there already.", remedy="Name a new file; nothing was changed."
        ) from cause
    except OSError as cause:
        raise UsageError(
            f"The file {place} cannot be made: {cause.strerror}.", remedy="Name another; nothing was changed."
        ) from cause
    with os.fdopen(file, "w", encoding="ascii") as out:
        out.write(f"{secret}\n")
        out.flush()
        os.fsync(out.fileno())
    return place


def drop_secret(place: Path | None) -> None:
    """Remove a secret's file again, when the act it belongs to did not come about."""
    if place is not None:
        place.unlink(missing_ok=True)
