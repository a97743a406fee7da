"""`stixnode account`: the machines that may ask, what each may read and write, and what it sees."""

from __future__ import annotations

from collections.abc import Iterable

import click

from node import clock
from node.access import accounts, tokens
from node.access.accounts import Account
from node.cli import account_check, client_forms
from node.cli.asked import Group, words
from node.cli.client_forms import Facts, Granted
from node.cli.context import Context, with_context
from node.cli.exits import DONE
from node.cli.printing import Value, ago, amount, utc
from node.cli.secret_files import new_secret
from node.errors import UsageError
from node.stix.markings import TLP, parse_tlp, tlp_name
from node.store import catalog
from node.store.database import Tx

_DAY = 86_400 * clock.MICROSECONDS
_AS_CLIENT = click.option(
    "--client", type=click.Choice(client_forms.KINDS), help="Print the filled form of that client."
)


@click.group(cls=Group)
def account() -> None:
    """Add, list, show, check and remove accounts of machines; allow and deny them collections."""


@account.command("add")
@click.argument("name")
@click.option("--clearance", metavar="TLP", help="The highest TLP it may see; else CLEAR.")
@click.option(
    "--audience", multiple=True, metavar="A", help="An audience of the agreements that it belongs to."
)
@click.option("--read", "reads", multiple=True, metavar="C,...", help="Collections it may read.")
@click.option("--write", "writes", multiple=True, metavar="C,...", help="Collections it may write.")
@click.option(
    "--partner", default="", metavar="P", help="The account of this partner: its rights are its links."
)
@click.option("--expires-days", type=click.IntRange(1), metavar="N", help="From then on it is refused.")
@click.option("--token-file", metavar="FILE", help="Write the token there (0600), show it nowhere.")
@_AS_CLIENT
@with_context
def add_account(
    context: Context,
    name: str,
    clearance: str | None,
    audience: tuple[str, ...],
    reads: tuple[str, ...],
    writes: tuple[str, ...],
    partner: str,
    expires_days: int | None,
    token_file: str | None,
    client: str | None,
) -> int:
    """Add an account, and give it a token."""
    if partner and client:
        raise _no_form(partner)
    level, now = _level(clearance or "clear"), clock.now()
    groups, actor = words(audience), context.actor
    expires = None if expires_days is None else now + expires_days * _DAY
    if partner:
        context.partner_links(partner)  # the partner is known
    with new_secret(token_file) as secret, context.database.writing() as tx:
        accounts.add_account(
            tx, name, actor=actor, now=now, clearance=level, audience=groups, partner=partner, expires=expires
        )
        _grant(context, tx, name, words(reads), words(writes), now=now)
        text, _ = tokens.issue_token(tx, account=name, actor=actor, now=now)
        secret.keep(text)
        place = "the token above" if secret.place is None else f"the token in {secret.place}"
        facts = None if client is None else _facts(context, tx, name, place)
    _warn_of_audience(context, groups)
    if clearance is None and not partner:
        context.out.notice("note: without --clearance it sees only what is CLEAR.")
    form: dict[str, Value] = {} if facts is None else {"client": _form_fields(client or "", facts)}
    context.out.only(account=name, **secret.fields(), **form)
    context.out.line(f"account  {name}, {_rights(partner, level)}")
    secret.show(context.out)
    if facts is None:
        context.out.next(f"stixnode account show {name}")
    else:
        _print_form(context, client or "", facts)
    return DONE


@account.command("list")
@with_context
def list_accounts(context: Context) -> int:
    """List the accounts, and when each has last read anything."""
    out, now = context.out, clock.now()
    with context.database.reading() as tx:
        known = accounts.list_accounts(tx)
        polls = {
            one.account: one.last_poll for one in sorted(accounts.readings(tx), key=lambda one: one.last_poll)
        }
    rows = [
        (
            one.name,
            _rights(one.partner, one.clearance),
            ", ".join(one.audience) or "-",
            ago(polls.get(one.name), now),
        )
        for one in known
    ]
    out.table(("ACCOUNT", "SEES", "AUDIENCE", "LAST READ"), rows)
    for one in known:
        out.record("account", **_fields(one), last_poll=utc(polls.get(one.name)))
    out.next(
        f"stixnode account show {known[0].name}" if known else "stixnode account add NAME --read COLLECTION"
    )
    return out.summary(DONE, accounts=len(known))


@account.command("show")
@click.argument("name")
@_AS_CLIENT
@with_context
def show_account(context: Context, name: str, client: str | None) -> int:
    """Show one account: what to type into its client, what it may do, how far it has read."""
    out, now = context.out, clock.now()
    with context.database.reading() as tx:
        one = _account(tx, name)
        if client is not None:
            if one.partner:
                raise _no_form(one.partner)
            lost = f"its token, shown once; when it is lost: stixnode token rotate --account {name}"
            facts = _facts(context, tx, name, lost)
            out.record("client", **_form_fields(client, facts))
            _print_form(context, client, facts)
            return out.summary(DONE)
        grants, held = accounts.grants(tx, name), tokens.list_tokens(tx, account=name)
        collections = {each.collection_id: each for each in catalog.collections(tx)}
        readings = {each.collection_id: each for each in accounts.readings(tx) if each.account == name}
    url = context.settings.node.public_url
    out.table(
        ("", ""),
        [
            ("API root URL", f"{url}/api/"),
            ("discovery", f"{url}/taxii2/"),
            ("username", name),
            ("password", "its token; it works as Bearer too"),
            ("sees", _rights(one.partner, one.clearance)),
            ("audience", ", ".join(one.audience) or "none: only what our own people brought"),
            ("expires", context.local(one.expires) if one.expires else "never"),
            ("tokens", amount(len(held), "token")),
        ],
    )
    rows: list[tuple[str, ...]] = []
    for number, each in sorted(collections.items()):
        reading, grant = readings.get(number), grants.get(number)
        if grant is None and reading is None:
            continue
        may = [
            word
            for word, yes in (("read", grant and grant.can_read), ("write", grant and grant.can_write))
            if yes
        ]
        polled = None if reading is None else reading.last_poll
        rows.append((each.alias, each.id, " and ".join(may) or "by its links", ago(polled, now)))
        fields: dict[str, Value] = {"alias": each.alias, "id": each.id, "may": may, "last_poll": utc(polled)}
        out.record("grant", **fields, last_served=utc(reading.last_served or None) if reading else None)
    out.table(("COLLECTION", "ID", "MAY", "LAST READ"), rows)
    out.record("account", **_fields(one), api_root=f"{url}/api/", tokens=len(held))
    out.next(
        f"stixnode account check {name} {rows[0][0] if rows else 'COLLECTION'}",
        f"stixnode account show {name} --client {'|'.join(client_forms.KINDS)}",
        f"stixnode account allow {name} COLLECTION --read",
        f"stixnode token rotate --account {name}",
    )
    return out.summary(DONE)


@account.command("check")
@click.argument("name")
@click.argument("collection")
@click.argument("stix_id", metavar="[ID]", required=False)
@with_context
def check_account(context: Context, name: str, collection: str, stix_id: str | None) -> int:
    """Say what an account sees of a collection, or of one object in it, and why not the rest."""
    with context.database.reading() as tx:
        one, room = _account(tx, name), context.collection(tx, collection)
        if one.partner:
            account_check.check_partner(context, tx, one, room, stix_id, now=clock.now())
        else:
            account_check.check_reader(context, tx, one, room, stix_id, now=clock.now())
    return context.out.summary(DONE, account=name, collection=room.alias)


@account.command("remove")
@click.argument("name")
@with_context
def remove_account(context: Context, name: str) -> int:
    """Remove an account with its tokens; its next request is refused."""
    actor = context.actor
    context.database.retrying(lambda tx: accounts.remove_account(tx, name, actor=actor, now=clock.now()))
    context.out.line(f"{name} is removed; its next request is refused.")
    context.out.next("stixnode account list")
    return context.out.summary(DONE, account=name)


@account.command("allow")
@click.argument("name")
@click.argument("collection")
@click.option("--read", is_flag=True, help="It may read.")
@click.option("--write", is_flag=True, help="It may write.")
@with_context
def allow(context: Context, name: str, collection: str, read: bool, write: bool) -> int:
    """Allow an account to read or write a collection."""
    return _change(context, name, collection, read=read, write=write, give=True)


@account.command("deny")
@click.argument("name")
@click.argument("collection")
@click.option("--read", is_flag=True, help="Only reading is taken.")
@click.option("--write", is_flag=True, help="Only writing is taken.")
@with_context
def deny(context: Context, name: str, collection: str, read: bool, write: bool) -> int:
    """Take from an account what it may do with a collection: both, unless one is named."""
    both = not (read or write)
    return _change(context, name, collection, read=read or both, write=write or both, give=False)


def _grant(
    context: Context, tx: Tx, name: str, reads: Iterable[str], writes: Iterable[str], *, now: int
) -> None:
    for word, read in [*((each, True) for each in reads), *((each, False) for each in writes)]:
        number = context.collection(tx, word).collection_id
        accounts.allow(tx, name, number, read=read, write=not read, actor=context.actor, now=now)


def _change(context: Context, name: str, collection: str, *, read: bool, write: bool, give: bool) -> int:
    actor, change = context.actor, accounts.allow if give else accounts.deny

    def work(tx: Tx) -> accounts.Grant:
        number = context.collection(tx, collection).collection_id
        return change(tx, name, number, read=read, write=write, actor=actor, now=clock.now())

    grant = context.database.retrying(work)
    may = [word for word, yes in (("read", grant.can_read), ("write", grant.can_write)) if yes]
    context.out.line(f"{name} may now {' and '.join(may) or 'neither read nor write'} {collection}.")
    context.out.record("grant", account=name, collection=collection, may=may)
    context.out.next(f"stixnode account show {name}")
    return context.out.summary(DONE)


def _facts(context: Context, tx: Tx, name: str, password: str) -> Facts:
    grants, settings = accounts.grants(tx, name), context.settings
    return Facts(
        url=settings.node.public_url,
        node=settings.node.title,
        name=name,
        password=password,
        page_size=settings.limits.page_size,
        collections=tuple(
            Granted(each.alias, each.id, each.title, grant.can_read, grant.can_write)
            for each in catalog.collections(tx)
            if (grant := grants.get(each.collection_id)) is not None
        ),
    )


def _form_fields(client: str, facts: Facts) -> dict[str, Value]:
    return {
        "client": client,
        "product": client_forms.CLIENTS[client].product,
        "place": client_forms.CLIENTS[client].place,
        "forms": [
            {
                "collection": form.collection,
                "fields": [
                    {"label": each.label, "value": each.value, "hint": each.hint} for each in form.fields
                ],
            }
            for form in client_forms.filled(client, facts)
        ],
        "notes": client_forms.notes(client, facts),
        "page": client_forms.page_of(client),
    }


def _print_form(context: Context, client: str, facts: Facts) -> None:
    out, kind = context.out, client_forms.CLIENTS[client]
    out.line(f"client   {kind.product}: {kind.place}")
    for form in client_forms.filled(client, facts):
        if form.collection:
            out.line(f"{form.collection}:")
        rows = [
            (each.label, f"{each.value}{each.hint and f'  ({each.hint})'}".strip()) for each in form.fields
        ]
        out.table(("", ""), rows, indent=2)
    for text in client_forms.notes(client, facts):
        out.line(f"note: {text}")
    out.line(f"More: {client_forms.page_of(client)}")
    readable = next((each.alias for each in facts.collections if each.can_read), "COLLECTION")
    out.next(f"stixnode account check {facts.name} {readable}")


def _no_form(partner: str) -> UsageError:
    return UsageError(
        f"The account of the partner {partner} is used by its node or server, not by a client with a form.",
        remedy="Leave --client out; the partner puts the token into the password_file of its [partner.NAME].",
    )


def _account(tx: Tx, name: str) -> Account:
    found = accounts.find_account(tx, name)
    if found is None:
        raise UsageError(f"There is no account {name!r}.", remedy="stixnode account list shows who is there.")
    return found


def _level(text: str) -> TLP:
    try:
        return parse_tlp(text)
    except ValueError as cause:
        raise UsageError(
            f"{text!r} is no TLP.", remedy="Use clear, green, amber, amber+strict or red."
        ) from cause


def _warn_of_audience(context: Context, groups: Iterable[str]) -> None:
    known = {each for link in context.settings.links for each in link.audience}
    for group in groups:
        if group not in known:
            context.out.notice(
                f"note: no agreement here names the audience {group}, so it opens nothing yet."
            )


def _rights(partner: str, clearance: int) -> str:
    return f"partner {partner}: what its links allow" if partner else f"up to {tlp_name(clearance)}"


def _fields(one: Account) -> dict[str, Value]:
    return {
        "name": one.name,
        "clearance": tlp_name(one.clearance),
        "audience": list(one.audience),
        "partner": one.partner,
        "expires": utc(one.expires),
        "created": utc(one.created),
    }
