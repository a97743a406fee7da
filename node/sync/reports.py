"""What one round of one link did, in counters that add up.

Rule    Every object considered is counted in exactly one of the words beside it, so that nothing can be
        lost between two numbers; `check` asserts it. A round that ended early keeps what it did and says
        why it ended: `stopped` by a rule, or `error` from the other side.

Reads and writes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from node.errors import NodeError
from node.exchange import history
from node.exchange.ingress import Outcome


class Stop(StrEnum):
    """Why a round ended before there was nothing left to do."""

    CLOSED = "closed"  # paused, not in force, or the clock is in doubt: the detail says which
    TERMS_DIFFER = "terms_differ"
    NO_PROGRESS = "no_progress"
    RUN_LIMIT = "run_limit"
    NO_RIGHT = "no_right"
    UNCONFIRMED = "unconfirmed"
    INTERRUPTED = "interrupted"


@dataclass(slots=True)
class Ended:
    """The part that all reports share: whether and why the round ended early."""

    link: str
    stopped: Stop | None = None
    detail: str = ""
    remedy: str = ""
    error: NodeError | None = None
    warnings: list[str] = field(default_factory=list)
    named: dict[str, list[str]] = field(default_factory=dict)

    def name(self, outcome: str, ids: Iterable[str]) -> None:
        """Remember the first ids of an outcome."""
        known = self.named.setdefault(outcome, [])
        known += [each for each, _ in zip(ids, range(history.NAMED - len(known)), strict=False)]

    def stop(self, reason: Stop, detail: str, remedy: str) -> None:
        """The round ends here, and why."""
        self.stopped, self.detail, self.remedy = reason, detail, remedy

    def warn(self, sentence: str) -> None:
        """Something to tell the operator that did not end the round; each sentence once."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    @property
    def ended(self) -> bool:
        """Whether nothing more is to be done in this round."""
        return self.stopped is not None or self.error is not None

    @property
    def unfinished(self) -> bool:
        """Whether the round did not do its work and should be tried again later."""
        return self.error is not None or self.stopped not in (None, Stop.RUN_LIMIT, Stop.CLOSED)


@dataclass(slots=True)
class PullReport(Ended):
    """One pull: received = the sum of the eight outcomes.

    Args:
        pages: Pages fetched.
        received: Objects in them.
        outcomes: Outcome -> number.
        listed_again: Why the listing began at the start again; "" when it did not.
        bookmark: The partner's text up to which we have read; None before the first.
        overlap: Of the duplicates, those of which nothing was written: they were only listed again.
        arrival: The number of the arrival that they came as; None when nothing was written.
    """

    pages: int = 0
    received: int = 0
    overlap: int = 0
    arrival: int | None = None
    outcomes: Counter[str] = field(default_factory=Counter)
    listed_again: str = ""
    bookmark: str | None = None

    @property
    def moved(self) -> int:
        """Objects that changed what this node holds or has to decide."""
        return sum(self.outcomes[each] for each in ("stored", "restated", "quarantined"))

    @property
    def counts(self) -> dict[str, int]:
        """Counter -> number, without noughts."""
        return {name: number for name, number in self.outcomes.items() if number}

    @property
    def noteworthy(self) -> bool:
        """Whether it belongs into the history, beside how it ended."""
        other = sum(self.outcomes[each] for each in ("refused", "variant", "suppressed"))
        return self.moved + other > 0 or self.listed_again != ""

    def check(self) -> None:
        """Assert that the counters add up."""
        total = sum(self.outcomes[each.value] for each in Outcome)
        if self.received != total:
            raise AssertionError(f"{self.link}: received {self.received}, accounted for {total}")


@dataclass(slots=True)
class PushReport(Ended):
    """One push: considered = sent + unchanged + withheld + held + failed + unconfirmed.

    Args:
        batches: POSTs answered.
        considered: Objects that this round had to decide about or deliver.
        sent: The partner says it has them now.
        unchanged: The partner had them already.
        withheld: The agreement does not let them go; the ledger says why.
        held: Waiting for a second person.
        failed: The partner refused them or set them aside.
        unconfirmed: Nobody knows; they are tried or looked up again.
        new_session: Why everything is offered again; "" when it is not.
        uncounted: Of the unconfirmed, those that no transaction has counted yet.
    """

    batches: int = 0
    uncounted: int = 0
    considered: int = 0
    sent: int = 0
    unchanged: int = 0
    withheld: int = 0
    held: int = 0
    failed: int = 0
    unconfirmed: int = 0
    new_session: str = ""

    @property
    def moved(self) -> int:
        """Objects that crossed or changed their state."""
        return self.sent + self.failed

    @property
    def counts(self) -> dict[str, int]:
        """Counter -> number, without noughts."""
        counted = {name: int(getattr(self, name)) for name in history.CONSIDERED}
        return {name: number for name, number in counted.items() if number}

    @property
    def noteworthy(self) -> bool:
        """Whether it belongs into the history, beside how it ended."""
        return self.considered > 0 or self.new_session != ""

    def check(self) -> None:
        """Assert that the counters add up."""
        total = self.sent + self.unchanged + self.withheld + self.held + self.failed + self.unconfirmed
        if self.considered != total:
            raise AssertionError(f"{self.link}: considered {self.considered}, accounted for {total}")


@dataclass(slots=True)
class ServeReport(Ended):
    """One look at a flow that the partner fetches: the feed was advanced, nothing was sent.

    Args:
        considered: Rows examined that were not in the feed.
        entered: Offered now.
        withheld: Not offered; the ledger says why.
    """

    considered: int = 0
    entered: int = 0
    withheld: int = 0

    @property
    def moved(self) -> int:
        """Objects newly offered."""
        return self.entered

    @property
    def counts(self) -> dict[str, int]:
        """Counter -> number, without noughts."""
        counted = {"offered": self.entered, "withheld": self.withheld}
        return {name: number for name, number in counted.items() if number}

    @property
    def noteworthy(self) -> bool:
        """Whether it belongs into the history, beside how it ended."""
        return self.entered + self.withheld > 0

    def check(self) -> None:
        """A feed that was only advanced has no sums of its own."""


@dataclass(slots=True)
class PassiveReport(Ended):
    """A flow that the partner brings: nothing to do here."""

    @property
    def moved(self) -> int:
        """Nothing moves."""
        return 0

    @property
    def counts(self) -> dict[str, int]:
        """Nothing is counted."""
        return {}

    @property
    def noteworthy(self) -> bool:
        """Nothing to tell."""
        return False

    def check(self) -> None:
        """Nothing to add up."""


Report = PullReport | PushReport | ServeReport | PassiveReport
