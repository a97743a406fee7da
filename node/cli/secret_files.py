"""A new token: shown once, or written to a new file that its owner alone can read.

Rule    The file is written inside the transaction that makes the token, and removed again when the
        transaction comes to nothing: there is neither a token that nobody has nor a file for no token.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.cli.printing import Printer, Value
from node.errors import UsageError


class Secret:
    """Where one new token goes.

    Args:
        path: The file named with --token-file; None to show the token.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self.text = ""
        self.place: Path | None = None

    def keep(self, text: str) -> None:
        """Take the token, and write it to the file, if one was named.

        Raises:
            UsageError: There is such a file already, or it cannot be made.
        """
        self.text = text
        if self._path is not None:
            self.place = _written(Path(self._path).absolute(), text)

    def fields(self) -> dict[str, Value]:
        """For JSON: `token`, or `token_file` when it is in a file."""
        return {"token": self.text} if self.place is None else {"token_file": str(self.place)}

    def show(self, out: Printer) -> None:
        """Say where the token is, or what it is."""
        if self.place is None:
            out.line(f"token    {self.text}")
            out.line("         shown this once, kept nowhere; whoever has it is taken for its owner")
        else:
            out.line(f"token    in {self.place}, shown to nobody")


@contextmanager
def new_secret(path: str | None) -> Iterator[Secret]:
    """A `Secret` for a block that makes its token; its file does not outlive a failure of the block."""
    secret = Secret(path)
    try:
        yield secret
    except BaseException:
        if secret.place is not None:
            secret.place.unlink(missing_ok=True)
        raise


def _written(place: Path, text: str) -> Path:
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
        out.write(f"{text}\n")
        out.flush()
        os.fsync(out.fileno())
    return place
