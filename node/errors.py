"""Every error this package raises on purpose, as one tree.

    NodeError
    ├── ConfigError             the configuration or an agreement cannot be used
    ├── UsageError              a command was called with something that is not there
    ├── Refused                 a right, a rule or an agreement says no
    ├── LockHeld                another run of the same work is under way     (retry helps)
    ├── StoreError              the database refused, or is damaged
    │   └── StoreBusy           another writer holds the lock                 (retry helps)
    ├── InvalidObject           a body that is not a STIX object we may keep
    └── PartnerError            the other node
        ├── PartnerUnreachable  no answer, 429, 5xx, a cut or late answer      (retry helps)
        └── PartnerRefused      401, 403, 404, 406, 413, 415, 422, or nonsense

A refusal by rule inside the door is not an error but a value (`Decision`, `Verdict`). The web
face chooses the HTTP status and `cli/main.py` the exit code; nothing here knows of either.
"""

from __future__ import annotations

from typing import ClassVar


class NodeError(Exception):
    """Something an operator can act on.

    Args:
        problem: What is wrong: one sentence that names the thing and its value.
        remedy: What to do now: an imperative sentence, or a command to run.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, problem: str, *, remedy: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy


class ConfigError(NodeError):
    """The configuration or an agreement cannot be used; `problem` names file, place and value."""


class UsageError(NodeError):
    """A command names something that does not exist here, or makes no sense as called."""


class Refused(NodeError):
    """A right, a rule or an agreement says no; asking again changes nothing."""


class LockHeld(NodeError):
    """Another run of the same work is under way."""

    retryable = True


class StoreError(NodeError):
    """The database refused what was asked, or is damaged."""


class StoreBusy(StoreError):
    """Another writer holds the lock for longer than we wait."""

    retryable = True


class InvalidObject(NodeError):
    """A body that is not a STIX object this node may keep.

    Args:
        problem: What is wrong with it, in one sentence.
        remedy: What its sender can do.
        object_id: The object's own id when it could be read, else None.
        place: The property that is wrong, as far as one is to blame.
    """

    def __init__(
        self, problem: str, *, remedy: str, object_id: str | None = None, place: tuple[str, ...] = ()
    ) -> None:
        super().__init__(problem, remedy=remedy)
        self.object_id = object_id
        self.place = place


class PartnerError(NodeError):
    """The other node did not do what we asked."""


class PartnerUnreachable(PartnerError):
    """No usable answer this time; nothing is known about what the other side did.

    Args:
        problem: What happened, naming the partner and the address.
        remedy: What to do if it lasts.
        retry_after_seconds: What the partner asked for in `Retry-After`, bounded by the caller.
    """

    retryable = True

    def __init__(self, problem: str, *, remedy: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(problem, remedy=remedy)
        self.retry_after_seconds = retry_after_seconds


class PartnerRefused(PartnerError):
    """The other node understood and said no; asking again as before will not help.

    Args:
        problem: What was refused, naming the partner and the resource.
        remedy: What to change or whom to ask.
        http_status: The status of the answer, or None when the answer itself was unusable.

    Attributes:
        by_rule: Whether an agreement or a pause on the other side says no, and not a missing right.
    """

    by_rule: bool = False

    def __init__(self, problem: str, *, remedy: str, http_status: int | None = None) -> None:
        super().__init__(problem, remedy=remedy)
        self.http_status = http_status
