"""What to type where in the forms of the TAXII clients that SOC teams have.

Rule    A form is data: fields with their values, and what the client cannot do. Values come from the
        configuration and the account's rights; nothing is guessed. What a client cannot do is said in
        the form, because its own screen will not say it. Each client has a page in docs/clients with the
        same fields, held to this module by a test.

Reads and writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NO_COLLECTION = "none yet"


@dataclass(frozen=True, slots=True)
class Field:
    """One line of a client's form: its label there, and what to type.

    Args:
        value: With the names of `Facts` and of the collection in braces.
        hint: What to mind there.
    """

    label: str
    value: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class ClientKind:
    """A client: its form, and what it cannot do.

    Args:
        product: Its name, for people.
        place: Where its form is.
        fields: In the order of the form.
        notes: What it cannot do, and what follows from that.
        each: One form for each collection; else one for the account.
        writes: The collections of its form are those that it may write; else those it may read.
    """

    product: str
    place: str
    fields: tuple[Field, ...]
    notes: tuple[str, ...]
    each: bool = True
    writes: bool = False


@dataclass(frozen=True, slots=True)
class Granted:
    """A collection that the account may read or write."""

    alias: str
    id: str
    title: str
    can_read: bool
    can_write: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """What a form is filled from.

    Args:
        url: How the client reaches us, without a last slash.
        node: The node's title.
        name: The account.
        password: Where its token is: its place or a sentence, never the token itself.
        page_size: Objects on a page at most.
    """

    url: str
    node: str
    name: str
    password: str
    page_size: int
    collections: tuple[Granted, ...]


@dataclass(frozen=True, slots=True)
class FilledForm:
    """One form, filled, in the order of the client's screen.

    Args:
        collection: The alias of its collection; "" for one form for all.
    """

    collection: str
    fields: tuple[Field, ...]


_API_ROOT, _DISCOVERY = "{url}/api/", "{url}/taxii2/"
_NO_DELETE = "It learns of a withdrawn object by its revoked version, and of a deleted one not at all."

CLIENTS: dict[str, ClientKind] = {
    "opencti": ClientKind(
        "OpenCTI, its own TAXII feed reader",
        "Data > Ingestion > TAXII feeds > +",
        (
            Field("Name", "{node}: {title}"),
            Field("TAXII server URL", _API_ROOT, "the API root, not discovery"),
            Field("TAXII version", "2.1"),
            Field("TAXII Collection", "{id}"),
            Field("Authentication type", "Basic user / password"),
            Field("Username", "{name}"),
            Field("Password", "{password}"),
            Field("Import from date", "", "empty: everything"),
            Field("Verify SSL certificate", "yes", "it is off unless you turn it on"),
        ),
        (
            "It takes one page each run, of {page_size} objects, and waits while its queue is not empty.",
            "It cuts dates to milliseconds, so each run without news brings the last 1 to 100 objects again;"
            " they change nothing there.",
            "After a restore here, or when the account's clearance or audience changes in the middle of a"
            " walk, its stored cursor is refused with 400 at every run: use Reset state of the feed.",
            _NO_DELETE,
        ),
    ),
    "sentinel": ClientKind(
        "Microsoft Sentinel, connector Threat Intelligence - TAXII",
        "Data connectors > Threat Intelligence - TAXII > Open connector page",
        (
            Field("Friendly name (for server)", "{node}: {title}"),
            Field("API root URL", _API_ROOT),
            Field("Collection ID", "{id}"),
            Field("Username", "{name}"),
            Field("Password", "{password}"),
            Field("Import Indicators", "All available"),
            Field("Polling frequency", "Once an hour"),
        ),
        (
            "It reaches you from Microsoft's networks: our address must be public, with a certificate of a"
            " public CA, and a firewall must let Microsoft's addresses in.",
            "It has user and password only, no Bearer token, and no client certificate.",
            "It is made for indicators; what becomes of other types depends on its version.",
            "It may list what it has already, and charges for it again. There is no log of what it took:"
            " see `stixnode account check {name} {alias}`.",
            _NO_DELETE,
        ),
    ),
    "splunk": ClientKind(
        "Splunk Enterprise Security, TAXII 2.1 (from ES 8.2)",
        "Security content > Threat intelligence > sources > TAXII 2.1 feed",
        (
            Field("Name", "{alias}"),
            Field("URL", _API_ROOT),
            Field("Collection", "{id}"),
            Field("Username", "{name}"),
            Field("Password", "{password}"),
            Field("Interval", "3600 seconds"),
        ),
        (
            "Before ES 8.2 it reads TAXII 1.x only, which this node does not serve.",
            "Labels differ between its versions; the values do not. In Splunk Cloud the URL must be https.",
            "To send, its add-on CTIS TAXII takes {url}/taxii2/ as server base URL and posts a STIX bundle;"
            " give the account --write for that.",
            _NO_DELETE,
        ),
    ),
    "xsoar": ClientKind(
        "Cortex XSOAR, integration TAXII 2 Feed",
        "Settings > Integrations > TAXII 2 Feed > Add instance",
        (
            Field("Discovery Service URL", _DISCOVERY),
            Field("Username / API Key", "{name}"),
            Field("Password", "{password}"),
            Field("Collection Name To Fetch Indicators From", "{title}", "its title, letter by letter"),
            Field("Default API Root to use", "api"),
            Field("Incremental Feed", "no"),
            Field("Full Feed Fetch", "yes"),
            Field("Max STIX Objects Per Poll", "{page_size}", "it asks for 100 unless you change it"),
            Field("Trust any certificate (not secure)", "no"),
        ),
        (
            "Incremental, it goes on from the newest `modified` that it saw, not from our dates: it repeats"
            " much, and misses what is added before a `modified` that lies ahead of our clock. Full is safe.",
            "It finds the collection by its title: renaming it stops the feed.",
            "It knows the markings of TLP 1 only; what carries TLP 2 gets the colour that you choose there.",
            "It stops at the first page without objects, and takes only the types named in STIX Objects To"
            " Fetch. First Fetch Time limits also a full fetch: 1 year unless you change it.",
            _NO_DELETE,
        ),
    ),
    "misp": ClientKind(
        "MISP, TAXII servers (it pushes)",
        "Sync Actions > TAXII servers > Add TAXII server",
        (
            Field("Name", "{node}: {title}"),
            Field("Owner", "", "your organisation"),
            Field("Base URL", "{url}"),
            Field("API root", "api"),
            Field("API key", "base64 of {name}:TOKEN", "without a line end; TOKEN is {password}"),
            Field("Collection", "{id}"),
            Field("Filters", "", "what may leave, for example by tag"),
        ),
        (
            "MISP pushes events as STIX and shows what a collection holds; it does not take objects in.",
            "It sends all events of its filter at each push: what is here already counts as a duplicate.",
            "It does not look at the status of what it posted, and says Done when objects were refused:"
            " see `stixnode account check {name} {alias}` and the arrivals.",
            "An empty collection is an error on its screen, not an empty list.",
            "It has Basic only, written ready-made as API key. A CA of your own must be among those that its"
            " machine trusts.",
        ),
        writes=True,
    ),
    "curl": ClientKind(
        "curl, or any program of your own",
        "a terminal",
        (
            Field("discovery", _DISCOVERY),
            Field("API root URL", _API_ROOT),
            Field("collections", "{listed}"),
            Field("username", "{name}"),
            Field("password", "{password}"),
            Field("header", "Accept: application/taxii+json;version=2.1"),
            Field("header of a POST", "Content-Type: application/taxii+json;version=2.1"),
            Field("page size", "limit={page_size}", "at most"),
            Field("TLS", "--cacert FILE", "where a CA of your own signed our certificate"),
        ),
        (
            "The token works as password and as `Authorization: Bearer` too. Keep it in a file that curl"
            " reads (--config FILE): on the command line others see it.",
            "Go on with `next` while `more` is true; the next time with added_after set to the last"
            " X-TAXII-Date-Added-Last, letter by letter.",
        ),
        each=False,
    ),
}
KINDS = tuple(sorted(CLIENTS))


def filled(kind: str, facts: Facts) -> list[FilledForm]:
    """The forms of a client, one for each collection, or one for the account."""
    client = CLIENTS[kind]
    chosen = [one for one in facts.collections if (one.can_write if client.writes else one.can_read)]
    if not client.each:
        return [FilledForm("", _values(client.fields, _names(facts, None)))]
    return [FilledForm(one.alias, _values(client.fields, _names(facts, one))) for one in chosen]


def notes(kind: str, facts: Facts) -> list[str]:
    """What the client cannot do, and what stands in its way here."""
    client = CLIENTS[kind]
    wanted = "write" if client.writes else "read"
    found: list[str] = []
    if not any(one.can_write if client.writes else one.can_read for one in facts.collections):
        found.append(
            f"The account may {wanted} no collection yet:"
            f" stixnode account allow {facts.name} COLLECTION --{wanted}"
        )
    if not facts.url.startswith("https://"):
        found.append(
            f"{facts.url} reaches no further than this machine: set public_url and TLS before others connect."
        )
    names = _names(facts, facts.collections[0] if facts.collections else None)
    return [*found, *(text.format_map(names) for text in client.notes)]


def page_of(kind: str) -> str:
    """Where the page of a client is, from the top of the project."""
    return f"docs/clients/{kind}.md"


def _values(fields: Sequence[Field], names: dict[str, str]) -> tuple[Field, ...]:
    return tuple(
        Field(field.label, field.value.format_map(names), field.hint.format_map(names)) for field in fields
    )


def _names(facts: Facts, one: Granted | None) -> dict[str, str]:
    listed = ", ".join(f"{each.alias} {each.id}" for each in facts.collections if each.can_read)
    return {
        "url": facts.url,
        "node": facts.node,
        "name": facts.name,
        "password": facts.password,
        "page_size": str(facts.page_size),
        "listed": listed or NO_COLLECTION,
        "alias": one.alias if one else "COLLECTION",
        "id": one.id if one else NO_COLLECTION,
        "title": one.title if one else NO_COLLECTION,
    }
