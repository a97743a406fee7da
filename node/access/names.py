"""The names that accounts and persons may have: they stand in commands, addresses and log lines."""

from __future__ import annotations

import re

from node.errors import UsageError

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def checked_name(what: str, name: str) -> str:
    """The name, if it can be one.

    Args:
        what: What is named, for the message: `account`, `person` or `audience`.
        name: What somebody typed.

    Raises:
        UsageError: It has other characters or another length.
    """
    if _NAME.fullmatch(name) is None:
        raise UsageError(
            f"{name!r} cannot be the name of an {what}."
            if what[0] in "aeiou"
            else f"{name!r} cannot be the name of a {what}.",
            remedy="Use 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or a digit.",
        )
    return name
