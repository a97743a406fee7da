"""What becomes of one arriving object: the table of arrivals, read from the top.

Pure: the object, what the node holds of its id, and who brings it go in; a `Verdict` comes out.
The door (`exchange/ingress.py`) gathers the situation and carries the verdict out, and the search
over histories in the tests runs this very function.

Two instants are one version when they name the same nanosecond. An object without an instant of its
own (an SCO) is identified by its digest alone, so other bytes are always a further version.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

import msgspec

LOCAL = "local"
NOBODY = ""
FUTURE_NANOSECONDS = 24 * 3600 * 1_000_000_000


class Outcome(StrEnum):
    """How an arriving object is counted; the eight always sum to what was received."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    RESTATED = "restated"
    VARIANT = "variant"
    ECHO = "echo"
    SUPPRESSED = "suppressed"
    REFUSED = "refused"
    QUARANTINED = "quarantined"


class Action(StrEnum):
    """What the door does to its tables."""

    STORE = "store"  # a version that was not held
    REPLACE = "replace"  # the new bytes take the key, the old ones go to the history
    KEEP = "keep"  # nothing changes
    NOTE_LOSER = "note_loser"  # nothing changes, and the arriving bytes go to the history
    SET_ASIDE = "set_aside"  # to the quarantine


class Verdict(msgspec.Struct, frozen=True):
    """The answer for one object: what to do, how to count it, and why in a word and a sentence."""

    action: Action
    outcome: Outcome
    reason: str = ""
    message: str = ""


class Version(msgspec.Struct, frozen=True):
    """One version held here.

    Args:
        spec_version: `2.0` or `2.1`.
        instant: Nanoseconds, or None for an object without one.
        digest: 32 bytes.
        revoked: The STIX property.
    """

    spec_version: str
    instant: int | None
    digest: bytes
    revoked: bool


class Arriving(msgspec.Struct, frozen=True):
    """The arriving object, as far as the table asks.

    Args:
        stix_id: Its id.
        version: Key, digest and `revoked`.
        claimant: Who speaks for its author: `local`, a partner, `""` for a public identity, None for
            nobody known.
    """

    stix_id: str
    version: Version
    claimant: str | None


class Situation(msgspec.Struct, frozen=True):
    """What the node knows of the arriving object's id.

    Args:
        held: Versions of the id in the collection; of many it is enough to name the one of the same key,
            a revoked one of the same spec version, and any.
        owner: Its owner row: `local`, a partner, `""` for nobody; None without an owner row.
        tombstone: Reason of the tombstone of exactly this key and digest, or None.
        released: Digests that we released of this key to the very link it arrives by.
        discarded: Whether a person discarded exactly this key and digest from this link before.
        stood_here: Whether versions of the id, no longer held, stood in the collection.
        withdrawn: Whether this node has withdrawn the object, so that only what is revoked comes in.
    """

    held: Collection[Version]
    owner: str | None
    tombstone: str | None = None
    released: Collection[bytes] = ()
    discarded: bool = False
    stood_here: bool = False
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Bringer:
    """Who brings it.

    Args:
        partner: The partner whose link it is; None for a local POST or an import.
        restate: `import --restate`: what is ours or nobody's may be replaced under its key.
        either_may_edit: The collection is a joint room: no ownership of what stands in it.
        accepted: A person let it out of the quarantine; it is not set aside again.
    """

    partner: str | None = None
    restate: bool = False
    either_may_edit: bool = False
    accepted: bool = False

    @property
    def name(self) -> str:
        """`local` or the partner's name, as in owner rows."""
        return LOCAL if self.partner is None else self.partner


def version_key(one: Version) -> tuple[str, int] | bytes:
    """What tells a version from the others of its id: spec version and instant, or its digest alone."""
    return one.digest if one.instant is None else (one.spec_version, one.instant)


def same_key(one: Version, other: Version) -> bool:
    """Whether two versions of one id are the same version."""
    return version_key(one) == version_key(other)


def owner_of_new(claimant: str | None, bringer: Bringer, *, observable: bool) -> str:
    """The owner of an id of which no version was ever held: design section 4, "Owner row"."""
    if observable:
        return NOBODY
    return bringer.name if claimant is None else claimant


def decide_arrival(arriving: Arriving, situation: Situation, bringer: Bringer, *, now: int) -> Verdict:
    """What becomes of one arriving object; the first row of the table that fits.

    Args:
        arriving: The object.
        situation: What is held and known of its id.
        bringer: Who brings it.
        now: Microseconds.
    """
    by_link = bringer.partner is not None
    if by_link and not bringer.accepted and situation.tombstone is not None:
        return _keep(Outcome.SUPPRESSED, situation.tombstone, "This node has removed exactly these bytes.")
    if situation.withdrawn and not arriving.version.revoked:
        return _keep(
            Outcome.REFUSED,
            "withdrawn",
            "The object was withdrawn, so only what is revoked comes in of it; what is right needs an id of"
            " its own.",
        )
    held = next((one for one in situation.held if same_key(one, arriving.version)), None)
    if held is not None and held.digest == arriving.version.digest:
        return _keep(Outcome.DUPLICATE, "", "Already held, byte for byte in meaning.")
    if by_link and situation.discarded and not bringer.accepted:
        return _keep(Outcome.QUARANTINED, "discarded", "A person here discarded exactly these bytes before.")
    if held is not None:
        return _same_key_other_digest(arriving, held, situation, bringer)
    if by_link and arriving.version.digest in situation.released:
        return _keep(Outcome.ECHO, "", "Our own rendition came back.")
    return _version_not_held(arriving, situation, bringer, now=now)


def _same_key_other_digest(
    arriving: Arriving, held: Version, situation: Situation, bringer: Bringer
) -> Verdict:
    theirs, by_link = arriving.version, bringer.partner is not None
    if bringer.either_may_edit and by_link:
        if _stands(theirs, held):
            return Verdict(
                Action.REPLACE, Outcome.RESTATED, "tie", "Of two texts of one version this one stands."
            )
        return Verdict(
            Action.NOTE_LOSER, Outcome.VARIANT, "tie", "Of two texts of one version the held one stands."
        )
    if bringer.accepted or (by_link and situation.owner == bringer.partner):
        return Verdict(Action.REPLACE, Outcome.RESTATED, "restated", "Its owner restated this version.")
    if bringer.restate and situation.owner in (LOCAL, NOBODY):
        if bringer.either_may_edit and not _stands(theirs, held):
            return _keep(
                Outcome.REFUSED,
                "tie",
                "In a joint room the held text of this version stands on both nodes; give the object a newer"
                " `modified`.",
            )
        if situation.owner == NOBODY and held.revoked and not theirs.revoked:
            return _keep(
                Outcome.REFUSED,
                "revoked_stands",
                "The held text of this version is revoked, and of a public object the revoked text stands on"
                " every node.",
            )
        return Verdict(Action.REPLACE, Outcome.RESTATED, "restated", "Restated by us.")
    if not by_link:
        return _keep(
            Outcome.REFUSED,
            "version_exists",
            "This version is held with different content; give the object a newer `modified`.",
        )
    if theirs.digest in situation.released:
        return _keep(Outcome.ECHO, "", "Our own rendition came back.")
    if situation.owner == NOBODY and theirs.revoked and not held.revoked:
        return Verdict(
            Action.REPLACE,
            Outcome.RESTATED,
            "revoked_stands",
            "Of two texts of one version the revoked one stands.",
        )
    return _keep(Outcome.VARIANT, "variant", "This version is held with different content; ours stands.")


def _version_not_held(arriving: Arriving, situation: Situation, bringer: Bringer, *, now: int) -> Verdict:
    partner, owner = bringer.partner, situation.owner
    # A room shares what is in it, not every id: what never stood there is its owner's alone.
    shared = bringer.either_may_edit and bool(situation.held or situation.stood_here or owner is None)
    if partner is not None and not bringer.accepted:
        if _in_the_future(arriving, now):
            return _aside(
                "future_timestamp", "Its `created` or `modified` is more than 24 hours ahead of our clock."
            )
        if not shared:
            if owner is None and arriving.claimant == LOCAL:
                return _aside("foreign_edit", "It names us as its author, and we never had it.")
            if owner not in (None, NOBODY, partner):
                whose = "ours" if owner == LOCAL else f"{owner}'s"
                return _aside(
                    "foreign_edit", f"The object is {whose}; only its owner may bring another version."
                )
    if partner is None:
        if _in_the_future(arriving, now):
            return _keep(
                Outcome.REFUSED,
                "future_timestamp",
                "Its `created` or `modified` is more than 24 hours ahead of this node's clock.",
            )
        if situation.tombstone is not None:
            return Verdict(Action.STORE, Outcome.STORED, "", "Held again: it had been removed here.")
        if owner not in (None, NOBODY, LOCAL) and not shared:
            return _keep(
                Outcome.REFUSED,
                "not_owner",
                f"The object is {owner}'s; only its owner may bring another version.",
            )
        if any(one.revoked and one.spec_version == arriving.version.spec_version for one in situation.held):
            return _keep(
                Outcome.REFUSED, "revoked", "The object is revoked; a revoked object has no further versions."
            )
    return Verdict(Action.STORE, Outcome.STORED)


def _in_the_future(arriving: Arriving, now: int) -> bool:
    limit = now * 1000 + FUTURE_NANOSECONDS
    return (arriving.version.instant or 0) > limit  # `created` is never later than `modified`


def _stands(theirs: Version, ours: Version) -> bool:
    if theirs.revoked != ours.revoked:
        return theirs.revoked
    return theirs.digest < ours.digest


def _keep(outcome: Outcome, reason: str, message: str) -> Verdict:
    return Verdict(Action.KEEP, outcome, reason, message)


def _aside(reason: str, message: str) -> Verdict:
    return Verdict(Action.SET_ASIDE, Outcome.QUARANTINED, reason, message)


class Flags(msgspec.Struct, frozen=True):
    """Which of an id's versions answer `first`, `last` and the default spec version."""

    is_first: bool
    is_last: bool
    is_newest_spec: bool


ALONE = Flags(is_first=True, is_last=True, is_newest_spec=True)
"""The flags of an id's only version."""


def flags_of(versions: Collection[tuple[str, int, bool]]) -> list[Flags]:
    """The flags of all versions of one id in one collection.

    Once an id has a revoked version, the newest revoked one is its last, for ever: STIX 2.1 section 3.6
    allows no version after a revocation, and a late one must not undo it.

    Args:
        versions: (spec_version, position in version order, revoked) of each.

    Returns:
        Flags in the same order.
    """
    if len(versions) == 1:
        return [ALONE]
    newest_spec = max(spec for spec, _, _ in versions)
    first: dict[str, int] = {}
    last: dict[str, tuple[bool, int]] = {}
    for spec, place, revoked in versions:
        first[spec] = min(place, first.get(spec, place))
        last[spec] = max((revoked, place), last.get(spec, (revoked, place)))
    return [
        Flags(place == first[spec], (revoked, place) == last[spec], spec == newest_spec)
        for spec, place, revoked in versions
    ]
