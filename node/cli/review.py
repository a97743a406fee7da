"""`stixnode undelete`: an object that was deleted here may come again."""

from __future__ import annotations

import click

from node import clock
from node.cli.asked import Command
from node.cli.context import Context, with_context
from node.cli.exits import DONE
from node.cli.printing import amount
from node.errors import UsageError
from node.exchange import removal, sessions
from node.sharing.links import Link
from node.store import catalog, owners
from node.store.database import Tx
from node.sync import bookmarks


@click.command(cls=Command)
@click.argument("stix_id", metavar="ID")
@with_context
def undelete(context: Context, stix_id: str) -> int:
    """Let an object come again that was deleted or erased here, from its partner or by import."""
    out, actor, door = context.out, context.actor, context.door

    def work(tx: Tx) -> tuple[list[owners.Tombstone], list[Link]]:
        lifted = removal.undelete(tx, stix_id, actor=actor, now=clock.now())
        numbers = {stone.collection_id for stone in lifted}
        aliases = {each.alias for each in catalog.collections(tx) if each.collection_id in numbers}
        again = [link for link in door.links if link.direction == "in" and link.collection in aliases]
        for link in again:
            bookmarks.forget(tx, link.name)
            sessions.forget_incoming(tx, link.name)
        return lifted, again

    lifted, again = context.database.retrying(work)
    if not lifted:
        raise UsageError(
            f"Nothing of {stix_id} was deleted here.", remedy=f"See where it is: stixnode explain {stix_id}"
        )
    out.line(f"{amount(len(lifted), 'version')} of {stix_id} may come again.")
    for link in again:
        if link.carrier == "us":
            out.line(
                f"{link.name} lists from the start in its next round; what is here already costs nothing."
            )
        else:
            out.line(f"{link.name}: it comes when {link.partner} next pushes something or lists again.")
    if any(stone.owner in ("", "local") for stone in lifted):
        out.line("An object of our own comes back by import: stixnode import COLLECTION FILE")
    out.record("undeleted", id=stix_id, versions=len(lifted), links=[link.name for link in again])
    fetched = any(link.carrier == "us" for link in again)
    out.next("stixnode sync" if fetched else "stixnode import COLLECTION FILE")
    return out.summary(DONE)
