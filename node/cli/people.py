"""`stixnode person` and `token`: who acts at this node, and the tokens of persons and accounts."""

from __future__ import annotations

import click

from node import clock
from node.access import accounts, people, tokens
from node.access.tokens import Token
from node.cli.asked import Group, words
from node.cli.context import Context, with_context
from node.cli.exits import DONE
from node.cli.printing import Value, amount, utc
from node.cli.secret_files import new_secret
from node.errors import UsageError

_DAY = 86_400 * clock.MICROSECONDS
_TOKEN_FILE = "Write the new token there (0600), show it nowhere."  # noqa: S105 - a sentence
_EXPIRES = "From then on it is refused."


@click.group(cls=Group)
def token() -> None:
    """Add, list, rotate and remove tokens of accounts and persons."""


@token.command("add")
@click.option("--account", "account_name", metavar="NAME", help="Whose it is: an account's.")
@click.option("--person", metavar="NAME", help="Whose it is: a person's.")
@click.option("--expires-days", type=click.IntRange(1), metavar="N", help=_EXPIRES)
@click.option("--token-file", metavar="FILE", help=_TOKEN_FILE)
@with_context
def add_token(
    context: Context,
    account_name: str | None,
    person: str | None,
    expires_days: int | None,
    token_file: str | None,
) -> int:
    """Give an account or a person one more token."""
    return _issue(context, account_name, person, expires_days, token_file, alone=False)


@token.command("rotate")
@click.option("--account", "account_name", metavar="NAME", help="Whose they are: an account's.")
@click.option("--person", metavar="NAME", help="Whose they are: a person's.")
@click.option("--expires-days", type=click.IntRange(1), metavar="N", help=_EXPIRES)
@click.option("--token-file", metavar="FILE", help=_TOKEN_FILE)
@with_context
def rotate(
    context: Context,
    account_name: str | None,
    person: str | None,
    expires_days: int | None,
    token_file: str | None,
) -> int:
    """Give an account or a person a new token, and remove all its others at once."""
    return _issue(context, account_name, person, expires_days, token_file, alone=True)


@token.command("list")
@with_context
def list_tokens(context: Context) -> int:
    """List all tokens by their ids; the tokens themselves are kept nowhere."""
    out = context.out
    with context.database.reading() as tx:
        found = [
            each for one in accounts.list_accounts(tx) for each in tokens.list_tokens(tx, account=one.name)
        ]
        found += [each for one in people.list_people(tx) for each in tokens.list_tokens(tx, person=one.name)]
    rows = [
        (
            one.token_id,
            _whose(one),
            context.local(one.created),
            context.local(one.expires) if one.expires else "never",
        )
        for one in found
    ]
    out.table(("TOKEN", "OF", "MADE", "EXPIRES"), rows)
    for one in found:
        owner: dict[str, Value] = {"account": one.account, "person": one.person}
        out.record("token", id=one.token_id, **owner, created=utc(one.created), expires=utc(one.expires))
    out.next("stixnode token remove TOKEN")
    return out.summary(DONE, tokens=len(found))


@token.command("remove")
@click.argument("token_id", metavar="TOKEN")
@with_context
def remove_token(context: Context, token_id: str) -> int:
    """Remove one token, by the id that `token list` shows; the next request with it is refused."""
    actor = context.actor
    gone = context.database.retrying(
        lambda tx: tokens.remove_token(tx, token_id, actor=actor, now=clock.now())
    )
    context.out.line(f"{token_id} of {_whose(gone)} is removed; the next request with it is refused.")
    context.out.next("stixnode token list")
    return context.out.summary(DONE, token=token_id)


@click.group(cls=Group)
def person() -> None:
    """Add and list the people who act at this node."""


@person.command("add")
@click.argument("name")
@click.option("--role", multiple=True, required=True, metavar="R,...", help=f"Of {', '.join(people.ROLES)}.")
@click.option("--token-file", metavar="FILE", help=_TOKEN_FILE)
@with_context
def add_person(context: Context, name: str, role: tuple[str, ...], token_file: str | None) -> int:
    """Add a person with one or more roles, and give them a token."""
    actor, now = context.actor, clock.now()
    with new_secret(token_file) as secret, context.database.writing() as tx:
        added = people.add_person(tx, name, words(role), actor=actor, now=now)
        text, _ = tokens.issue_token(tx, person=name, actor=actor, now=now)
        secret.keep(text)
    context.out.only(person=name, **secret.fields())
    context.out.line(f"person   {name} ({', '.join(added.roles)})")
    secret.show(context.out)
    context.out.next("stixnode person list")
    return DONE


@person.command("list")
@with_context
def list_people(context: Context) -> int:
    """List the people and their roles."""
    out = context.out
    with context.database.reading() as tx:
        known = people.list_people(tx)
    out.table(
        ("PERSON", "ROLES", "SINCE"),
        [(one.name, ", ".join(one.roles), context.local(one.created)) for one in known],
    )
    for one in known:
        out.record("person", name=one.name, roles=list(one.roles), created=utc(one.created))
    out.next("stixnode person add NAME --role approver")
    return out.summary(DONE, people=len(known))


def _issue(
    context: Context,
    account_name: str | None,
    person: str | None,
    expires_days: int | None,
    token_file: str | None,
    *,
    alone: bool,
) -> int:
    if (account_name is None) == (person is None):
        raise UsageError("Whose token is it?", remedy="Give either --account NAME or --person NAME.")
    actor, now = context.actor, clock.now()
    expires = None if expires_days is None else now + expires_days * _DAY
    with new_secret(token_file) as secret, context.database.writing() as tx:
        old = tokens.list_tokens(tx, account=account_name, person=person) if alone else []
        for each in old:
            tokens.remove_token(tx, each.token_id, actor=actor, now=now)
        text, made = tokens.issue_token(
            tx, account=account_name, person=person, actor=actor, now=now, expires=expires
        )
        secret.keep(text)
    owner: dict[str, Value] = {"person": person} if account_name is None else {"account": account_name}
    context.out.only(**owner, id=made.token_id, removed=len(old), **secret.fields())
    context.out.line(f"token of {_whose(made)}, id {made.token_id}; {amount(len(old), 'older one')} removed")
    secret.show(context.out)
    context.out.next("stixnode token list")
    return DONE


def _whose(one: Token) -> str:
    return f"account {one.account}" if one.account is not None else f"person {one.person}"
