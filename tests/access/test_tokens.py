"""node/access/tokens.py: how a request shows whose it is."""

import base64
import hashlib
import re

import pytest
import sqlalchemy as sa

from node.access import accounts, people, tokens
from node.access.tokens import Credentials, Principal, authenticate, issue_token, make_token
from node.audit import log
from node.errors import UsageError
from node.store import catalog
from node.store.database import Database

NOW = 1_000
ACT = {"actor": "os:root", "now": NOW}
SOC = Principal("soc", "", 2, ("banks",))


@pytest.fixture
def tx(database):
    """A transaction in which there is the account `soc`."""
    with database.writing() as tx:
        accounts.add_account(tx, "soc", **ACT, clearance=2, audience=["banks"], expires=9_000)
        yield tx


def basic(name: str, password: str, *, scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


def test_a_token_is_made_of_its_parts_and_kept_as_the_hash_of_all_of_it():
    text, token_id, kept = make_token(lambda count: bytes(range(count)))

    assert text == "sn_aaaqeayeau_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    assert token_id == "aaaqeayeau"
    assert kept == hashlib.sha256(text.encode()).digest()


def test_two_tokens_have_nothing_in_common():
    (one, one_id, _), (two, two_id, _) = make_token(), make_token()

    assert re.fullmatch("sn_[a-z2-7]{10}_[A-Za-z0-9_-]{43}", one)
    assert one_id != two_id
    assert one[14:] != two[14:]


def test_the_text_of_a_token_is_kept_nowhere(tx):
    text, row = issue_token(tx, account="soc", **ACT)

    (kept,) = tx.rows(sa.text("select secret_hash from token"))
    assert bytes(kept[0]) == hashlib.sha256(text.encode()).digest()
    assert tokens.list_tokens(tx, account="soc") == [row]
    assert text[14:] not in repr(log.leaves(tx, limit=9)) + repr(row)


@pytest.mark.parametrize(
    "header",
    [
        lambda text: f"Bearer {text}",
        lambda text: f"bearer  {text} ",
        lambda text: f"BEARER {text}",
        lambda text: basic("soc", text),
        lambda text: basic("soc", text, scheme="basic"),
        lambda text: basic("soc", text, scheme="bAsIc"),
    ],
    ids=["bearer", "spaces", "capitals", "basic", "lower case", "mixed case"],
)
def test_a_token_is_taken_as_bearer_and_as_password(tx, header):
    text, _ = issue_token(tx, account="soc", **ACT)

    assert authenticate(tx, header(text), now=NOW) == SOC


def other_end(text: str) -> str:
    return text[:-1] + ("A" if text[-1] != "A" else "B")


@pytest.mark.parametrize(
    "header",
    [
        lambda text: None,
        lambda text: "",
        lambda text: "Bearer",
        lambda text: text,
        lambda text: f"Digest {text}",
        lambda text: f"Bearer {other_end(text)}",
        lambda text: f"Bearer {text[:-1]}",
        lambda text: f"Bearer {text}A",
        lambda text: f"Bearer {text.upper()}",
        lambda text: f"Bearer {text[3:13]}",
        lambda text: f"Bearer {text[:13]}",
        lambda text: f"Bearer {make_token()[0]}",
        lambda text: f"Bearer {text} {text}",
        lambda text: basic("soc", other_end(text)),
        lambda text: basic("soc", f"{text}:"),
        lambda text: basic("other", text),
        lambda text: basic("", text),
        lambda text: basic("SOC", text),
        lambda text: basic("soc", ""),
        lambda text: basic(text, ""),
        lambda text: "Basic " + base64.b64encode(text.encode()).decode(),
        lambda text: f"Basic {text}",
        lambda text: "Basic " + base64.b64encode(b"soc:\xff").decode(),
        lambda text: "Basic " + base64.b64encode(f"soc:{text}".encode()).decode() + "!",
        lambda text: "Basic \u00e9",
        lambda text: "Bearer \udcff",
        lambda text: f"Bearer {text}" + " " * 5_000,
        lambda text: basic("soc' or '1'='1", text),
    ],
    ids=range(28),
)
def test_anything_else_is_nobody(tx, header):
    text, _ = issue_token(tx, account="soc", **ACT)

    assert authenticate(tx, header(text), now=NOW) is None
    assert Credentials().authenticate(tx, header(text), now=NOW) is None


def test_a_password_may_contain_colons_and_any_letter_without_an_error(tx):
    assert authenticate(tx, basic("soc", "pass:wörd:日本"), now=NOW) is None


def test_a_token_ends_at_its_moment(tx):
    text, _ = issue_token(tx, account="soc", **ACT, expires=5_000)

    assert authenticate(tx, f"Bearer {text}", now=4_999) == SOC
    assert authenticate(tx, f"Bearer {text}", now=5_000) is None


def test_a_token_ends_with_its_account(tx):
    text, _ = issue_token(tx, account="soc", **ACT)

    assert authenticate(tx, f"Bearer {text}", now=8_999) == SOC
    assert authenticate(tx, f"Bearer {text}", now=9_000) is None


def test_the_token_of_a_person_opens_nothing_by_http(tx):
    people.add_person(tx, "soc", ["admin"], **ACT)
    text, _ = issue_token(tx, person="soc", **ACT)

    assert authenticate(tx, f"Bearer {text}", now=NOW) is None
    assert authenticate(tx, basic("soc", text), now=NOW) is None


def test_a_partners_account_says_whose_it_is(tx):
    accounts.add_account(tx, "south-node", **ACT, partner="south")
    text, _ = issue_token(tx, account="south-node", **ACT)

    assert authenticate(tx, f"Bearer {text}", now=NOW) == Principal("south-node", "south", 0, ())


def test_an_account_may_have_two_tokens_so_that_one_can_be_changed(tx):
    old, row = issue_token(tx, account="soc", **ACT)
    new, _ = issue_token(tx, account="soc", **ACT)

    assert tokens.remove_token(tx, row.token_id, **ACT) == row
    assert authenticate(tx, f"Bearer {old}", now=NOW) is None
    assert authenticate(tx, f"Bearer {new}", now=NOW) == SOC


@pytest.mark.parametrize(
    "values",
    [{"account": "absent"}, {"person": "soc"}, {"account": "soc", "expires": NOW}],
    ids=["no account", "no person", "expired"],
)
def test_a_token_that_cannot_be_is_refused(tx, values):
    with pytest.raises(UsageError):
        issue_token(tx, **values, **ACT)


@pytest.mark.parametrize("values", [{}, {"account": "soc", "person": "soc"}], ids=["nobody", "two"])
def test_a_token_belongs_to_one(tx, values):
    with pytest.raises(ValueError, match="either"):
        issue_token(tx, **values, **ACT)


def test_a_token_that_is_not_there_cannot_be_removed(tx):
    with pytest.raises(UsageError, match="abc"):
        tokens.remove_token(tx, "abc", **ACT)


def test_tokens_given_and_removed_are_in_the_log(tx):
    _, row = issue_token(tx, account="soc", actor="os:root", now=NOW + 1)
    tokens.remove_token(tx, row.token_id, actor="person:op", now=NOW + 2)

    assert [(leaf.act, leaf.actor, leaf.details) for leaf in log.leaves(tx, limit=2)] == [
        ("token.remove", "person:op", {"token": row.token_id}),
        ("token.add", "os:root", {"token": row.token_id}),
    ]
    assert catalog.node_row(tx).accounts_generation == 3


class Counting:
    """A transaction that counts its queries."""

    def __init__(self, tx):
        self.tx = tx
        self.queries = 0

    def row(self, statement, **values):
        self.queries += 1
        return self.tx.row(statement, **values)


def test_a_credential_is_looked_up_by_one_query_and_remembered_with_one_for_the_generation(tx):
    text, _ = issue_token(tx, account="soc", **ACT)
    counting, credentials = Counting(tx), Credentials()

    assert authenticate(counting, f"Bearer {text}", now=NOW) == SOC
    assert counting.queries == 1
    assert credentials.authenticate(counting, f"Bearer {text}", now=NOW) == SOC
    assert counting.queries == 3
    assert credentials.authenticate(counting, f"Bearer {text}", now=NOW) == SOC
    assert counting.queries == 4
    state = tokens.generation(tx)
    assert credentials.authenticate(counting, f"Bearer {text}", now=NOW, state=state) == SOC
    assert counting.queries == 4


@pytest.mark.parametrize("act", ["token", "account", "clearance"])
def test_what_another_process_changes_holds_at_the_next_request(database, act):
    credentials = Credentials()
    with database.writing() as tx:
        accounts.add_account(tx, "soc", **ACT)
        text, row = issue_token(tx, account="soc", **ACT)
    with database.reading() as tx:
        assert credentials.authenticate(tx, f"Bearer {text}", now=NOW) is not None

    other = Database(database.url)
    with other.writing() as tx:
        if act == "token":
            tokens.remove_token(tx, row.token_id, **ACT)
        else:
            accounts.remove_account(tx, "soc", **ACT)
        if act == "clearance":
            accounts.add_account(tx, "soc", **ACT, clearance=4)
    other.close()

    with database.reading() as tx:
        assert credentials.authenticate(tx, f"Bearer {text}", now=NOW) is None
    assert len(credentials) == 0


def test_a_remembered_credential_ends_at_its_moment(tx):
    text, _ = issue_token(tx, account="soc", **ACT, expires=5_000)
    credentials = Credentials()

    assert credentials.authenticate(tx, f"Bearer {text}", now=4_999) == SOC
    assert credentials.authenticate(tx, f"Bearer {text}", now=5_000) is None


def test_a_database_of_another_history_is_asked_again(tx):
    text, _ = issue_token(tx, account="soc", **ACT)
    credentials = Credentials()
    assert credentials.authenticate(tx, f"Bearer {text}", now=NOW) == SOC

    # After a fail-over the number of the generation may come a second time.
    tx.run(sa.text("delete from token"))
    catalog.renew_node(tx, instance="another", secret=b"", server_identity="")

    assert credentials.authenticate(tx, f"Bearer {text}", now=NOW) is None


def test_what_is_remembered_is_bounded_and_holds_no_header(tx):
    credentials = Credentials(remembered=3)
    texts = [issue_token(tx, account="soc", **ACT)[0] for _ in range(5)]
    for text in texts:
        assert credentials.authenticate(tx, f"Bearer {text}", now=NOW) == SOC
        assert credentials.authenticate(tx, f"Bearer {other_end(text)}", now=NOW) is None

    assert len(credentials) == 3
    assert not any(text[14:] in repr(vars(credentials)) for text in texts)
