"""How things stand: what works, what does not, and what waits for a person.

Rule    States and figures are those of `node/sync/standing.py`, told by time alone, so that a worker that is
        not running, and a partner that no longer fetches, are seen too. What a person should act on has the
        command to type; everything else is only told.

Reads   what `node/sync/standing.py` reads, what will end, alerts that were not taken, what readers have not
        read. Writes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from node.cli.printing import ago
from node.cli.readers import ReaderStanding, readers
from node.clock import local_time
from node.config import Settings
from node.exchange import fullness, quarantine, quotas
from node.sharing.links import Link
from node.store.database import Tx
from node.sync import alert_book, endings, withdraw
from node.sync.alert_book import Broken
from node.sync.health import FAULTS, Health
from node.sync.standing import WENT_BACK, duty_desk, standing_of

__all__ = ["WENT_BACK", "LinkStanding", "Need", "Standing", "standing"]

_COUNTS = {"waiting": "waiting", "refused": "refused there", "withheld": "withheld"}


@dataclass(frozen=True, slots=True)
class Need:
    """Something that a person should act on, and the command to begin with.

    Args:
        about: The link or partner it concerns; "" for the node.
        call: Whom to call there, where that may help.
    """

    text: str
    command: str
    about: str = ""
    call: str = ""


@dataclass(frozen=True, slots=True)
class LinkStanding:
    """One link: its word, and why.

    Args:
        figures: For scripts: waiting, handed over, refused there, withheld; moments in microseconds.
    """

    link: Link
    word: str
    text: str
    need: Need | None = None
    figures: dict[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """The whole node.

    Args:
        channels: The ways of alerting that do not take what they are given.
    """

    links: list[LinkStanding]
    readers: list[ReaderStanding]
    needs: list[Need]
    channels: list[Broken]


def standing(tx: Tx, settings: Settings, *, now: int) -> Standing:
    """How things stand.

    Args:
        tx: A reader.
        settings: The configuration.
        now: Microseconds.
    """
    desks = {one.name: duty_desk(one, now=now) for one in settings.partners}
    found: list[LinkStanding] = []
    for each in standing_of(tx, settings.links, now=now):
        health, name = each.health, each.link.name
        call = desks.get(each.link.partner, "") if health.state in FAULTS else ""
        need = Need(_told(health), health.command, name, call) if health.command else None
        found.append(LinkStanding(each.link, health.state, _line(health, each.figures), need, each.figures))
    broken = alert_book.broken(tx)
    needs = [
        *_grouped([each.need for each in found if each.need is not None]),
        *_limits(tx, desks, now),
        *_full(tx, settings, {each.need.command for each in found if each.need is not None}),
        *_quarantine(tx, now),
        *_withdrawals(tx, settings, desks, now),
        *_endings(tx, settings, now),
        *(
            Need(
                f"alerts by {one.channel} fail since {ago(one.since, now)}: {one.error}",
                "stixnode check --alerts",
            )
            for one in broken
        ),
    ]
    return Standing(found, readers(tx, now=now), needs, broken)


def _told(health: Health) -> str:
    return f"{health.text}: {health.detail}" if health.detail else health.text


def _line(health: Health, figures: dict[str, int | None]) -> str:
    counts = [f"{figures[key]:,} {name}" for key, name in _COUNTS.items() if figures.get(key)]
    return ", ".join([_told(health), *counts])


def _grouped(needs: Sequence[Need]) -> list[Need]:
    """What several links with one partner need alike is said once, of the partner."""
    alike: dict[tuple[str, str], list[Need]] = defaultdict(list)
    for need in needs:
        alike[need.about.partition("/")[0], need.command.partition("/")[0]].append(need)
    found: list[Need] = []
    for (partner, command), group in alike.items():
        first = group[0]
        if len(group) == 1:
            found.append(Need(f"{first.about}: {first.text}", first.command, first.about, first.call))
            continue
        same = len({each.text for each in group}) == 1
        count = f"{len(group)} links" if same else f"{len(group)} links, the first"
        found.append(Need(f"{partner}, {count}: {first.text}", command, partner, first.call))
    return found


def _limits(tx: Tx, desks: Mapping[str, str], now: int) -> list[Need]:
    return [
        Need(
            f"{one.partner} {quotas.told(one)} (oldest {ago(one.oldest, now)})",
            f"stixnode quarantine list {one.partner} --reason {one.reason}",
            call=desks.get(one.partner, ""),
        )
        for one in quotas.held_back(tx)
    ]


def _full(tx: Tx, settings: Settings, told: Collection[str]) -> list[Need]:
    """Partners of which nothing more is taken that would wait, but for those whose links say so."""
    one_each = {link.partner: link for link in settings.links if link.direction == "in"}
    return [
        Need(f"{problem} No more of it is taken that would wait.", command, partner)
        for partner, link in one_each.items()
        if (command := f"stixnode quarantine list {partner}") not in told
        and (problem := fullness.full(tx, link))
    ]


def _quarantine(tx: Tx, now: int) -> list[Need]:
    found = quarantine.waiting(tx)
    if not found:
        return []
    number, oldest = sum(each for each, _ in found.values()), min(at for _, at in found.values())
    return [Need(f"{number:,} in quarantine (oldest {ago(oldest, now)})", "stixnode quarantine list")]


def _withdrawals(tx: Tx, settings: Settings, desks: Mapping[str, str], now: int) -> list[Need]:
    return [
        Need(
            f"{withdraw.not_acknowledged(one)} (oldest {ago(one.oldest, now)})",
            "stixnode withdraw list --overdue",
            one.partner,
            desks.get(one.partner, ""),
        )
        for one in withdraw.overdue(tx, settings.links, settings.partners, now=now)
    ]


def _endings(tx: Tx, settings: Settings, now: int) -> list[Need]:
    certificate = settings.server.tls_certificate
    files = [] if certificate is None else [certificate]
    return [
        Need(endings.sentence(one, local_time(one.ends, settings.node.time_zone), now=now), one.command)
        for one in endings.endings(tx, settings.partners, files, now=now)
        if one.ends - now <= endings.SOON_DAYS * endings.DAY
    ]
