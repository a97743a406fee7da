"""What will end by itself: agreements, certificates, and the ways in that accounts have.

Rule    Told 30, 14 and 3 days before, once each; what has ended is told as that. An account ends with its
        own date, or when the last of its tokens does: one that was renewed in time is no news.

Reads   agreements, certificate files, accounts, tokens. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from node.access import accounts, tokens
from node.clock import MICROSECONDS, duration
from node.sharing.agreements import Agreement
from node.sharing.links import PartnerBinding
from node.store.database import Tx

DAY = 86_400 * MICROSECONDS
NOTICE_DAYS = (3, 14, 30)
SOON_DAYS = 14
PAST_DAYS = 30  # for so long an account that has ended is still spoken of


@dataclass(frozen=True, slots=True)
class Ending:
    """Something that ends.

    Args:
        name: What it is, as `agreement AGR-2026-01`.
        ends: The first moment without it, in microseconds.
        then: What follows from it, as `nothing crosses`.
        command: What to do about it.
    """

    name: str
    ends: int
    then: str
    command: str


def endings(
    tx: Tx, partners: Sequence[PartnerBinding], certificates: Sequence[Path], *, now: int
) -> list[Ending]:
    """All that ends within 30 days or has ended, the first to end first."""
    found = [*_agreements(partners), *_certificates(certificates), *_accounts(tx, now)]
    near = [each for each in found if each.ends - now <= NOTICE_DAYS[-1] * DAY]
    return sorted(near, key=lambda each: (each.ends, each.name))


def days_of_notice(ends: int, *, now: int) -> int | None:
    """Which notice is due: 30, 14 or 3 days before, 0 when it has ended, None when it is far."""
    if now >= ends:
        return 0
    return next((days for days in NOTICE_DAYS if ends - now <= days * DAY), None)


def sentence(one: Ending, when: str, *, now: int) -> str:
    """What to say of it.

    Args:
        one: What ends.
        when: `ends` as people read it.
        now: Microseconds.
    """
    if now >= one.ends:
        return f"{one.name} ended {when}; {one.then}"
    return f"{one.name} ends in {duration((one.ends - now) // MICROSECONDS)}, {when}; then {one.then}"


def _agreements(partners: Sequence[PartnerBinding]) -> Iterator[Ending]:
    known: dict[str, Agreement] = {one.id: one for partner in partners for one in partner.agreements}
    for one in known.values():
        name, command = f"agreement {one.id}", f"stixnode agreement show {one.id}"
        yield Ending(name, one.ends, "nothing crosses", command)


def _certificates(files: Sequence[Path]) -> Iterator[Ending]:
    for file in files:
        try:
            ends = min(
                int(each.not_valid_after_utc.timestamp()) * MICROSECONDS
                for each in x509.load_pem_x509_certificates(file.read_bytes())
            )
        except (OSError, ValueError):
            continue  # `stixnode check` says what is wrong with it
        yield Ending(f"certificate {file.name}", ends, "no client trusts this node", "stixnode check")


def _accounts(tx: Tx, now: int) -> Iterator[Ending]:
    last = tokens.last_ends(tx)
    for one in accounts.list_accounts(tx):
        if one.name not in last:
            continue
        ends = min(filter(None, (one.expires, last[one.name])), default=None)
        if ends is not None and ends > now - PAST_DAYS * DAY:
            command = f"stixnode token rotate --account {one.name}"
            yield Ending(f"account {one.name}", ends, "it gets no answer", command)
