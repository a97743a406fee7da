"""`stixnode sync`, `pull` and `push`: rounds done now."""

from __future__ import annotations

import click

from node.cli.asked import Command
from node.cli.context import Context, with_context
from node.cli.partner_rounds import print_rounds, run_rounds


@click.command(cls=Command)
@click.argument("link", required=False)
@with_context
def sync(context: Context, link: str | None) -> int:
    """Do one round now of all links, or of LINK: south, south/indicators or south/indicators/in.

    What we carry is pulled and pushed; what the partner fetches is made ready.
    """
    return print_rounds(context.out, run_rounds(context, context.links(link)))


@click.command(cls=Command)
@click.argument("link", required=False)
@with_context
def pull(context: Context, link: str | None) -> int:
    """Fetch now what partners offer, on all incoming links or on LINK."""
    return print_rounds(context.out, run_rounds(context, context.links(link, "in")))


@click.command(cls=Command)
@click.argument("link", required=False)
@with_context
def push(context: Context, link: str | None) -> int:
    """Bring partners now what they are due, on all outgoing links or on LINK."""
    return print_rounds(context.out, run_rounds(context, context.links(link, "out")))
