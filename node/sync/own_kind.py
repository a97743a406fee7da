"""What two nodes of our own kind tell each other with every request: history and terms.

Rule    Nothing crosses while the terms differ, and neither side guesses which of the two was signed.

Reads   epochs, through `exchange.egress`. Writes nothing.
"""

from __future__ import annotations

from node.errors import PartnerRefused
from node.exchange import egress
from node.sharing.links import Link
from node.store.catalog import Collection
from node.store.database import Tx
from node.sync.answers import CollectionFlags, FetchedPage
from node.sync.bookmarks import Bookmark
from node.sync.reports import Ended, Stop

EPOCH = "X-Exchange-Epoch"
TERMS = "X-Exchange-Terms"
BATCH = "X-Exchange-Batch"
HAVE = "X-Exchange-Have"


def headers_of(collection: Collection, link: Link) -> dict[str, str]:
    """The headers for one link: our epoch and the digest of the terms; none for other software."""
    if link.partner_kind != "stixnode":
        return {}
    return {EPOCH: egress.epoch_shown(collection, link), TERMS: link.terms_digest.hex()}


def have_of(bookmark: Bookmark | None) -> dict[str, str]:
    """The header that says what is stored here of the partner's feed: up to which date, in which epoch.

    A date asked after says less: whoever looks at a page, and keeps nothing of it, asks so too.
    """
    if bookmark is None or not bookmark.epoch:
        return {}
    return {HAVE: f"{bookmark.added_after};{bookmark.epoch}"}


def same_terms(report: Ended, link: Link, answer: FetchedPage | CollectionFlags) -> bool:
    """Whether an answer goes by our terms; when not, the round is stopped.

    Raises:
        PartnerRefused: The answer does not come from a stixnode.
    """
    if not answer.epoch:
        raise PartnerRefused(
            f"{link.partner} answers without {EPOCH}, so it does not speak as a stixnode.",
            remedy=f'Write kind = "taxii" under [partner.{link.partner}], or ask what stands between us.',
        )
    if answer.terms == link.terms_digest.hex():
        return True
    stop_for_terms(report, link, answer.terms)
    return False


def stop_if_closed(tx: Tx, report: Ended, link: Link, collection: Collection, *, now: int) -> bool:
    """Whether a round must end: its link is paused or not in force, or our clock is in doubt."""
    why = egress.closed_reason(tx, link, collection, now=now)
    if why is not None:
        opens = f"what a person closed opens with: stixnode resume {link.partner}"
        report.stop(Stop.CLOSED, why, f"Nothing crosses while that lasts; {opens}")
    return why is not None


def stop_for_terms(report: Ended, link: Link, theirs: str) -> None:
    """End a round because the two nodes hold different terms."""
    report.stop(
        Stop.TERMS_DIFFER,
        f"The terms of {link.terms.agreement} differ: ours are {link.terms_digest.hex()[:12]},"
        f" {link.partner}'s are {theirs[:12] or 'not told'}.",
        "Compare the agreement files of both nodes; both must be the one that was signed.",
    )
