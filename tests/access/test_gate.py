"""node/access/gate.py: one statement says who asks, for what, and with which right."""

import pytest
import sqlalchemy as sa

from node.access import accounts, gate, tokens
from node.access.tokens import Credentials
from node.errors import StoreError
from node.store import catalog, owners
from node.store.catalog import Definition
from node.store.database import Tx

ID = "2a4f1c6e-0b53-4b0f-8d4e-6a1f3c9d7e01"
NOW = 5_000


@pytest.fixture
def number(database):
    with database.writing() as tx:
        added = catalog.add_collection(
            tx, Definition(alias="indicators", title="Indicators", id=ID), epoch="epoch"
        )
        accounts.add_account(tx, "soc", actor="os:test", now=1, clearance=2)
        accounts.allow(tx, "soc", added.collection_id, read=True, actor="os:test", now=1)
    return added.collection_id


@pytest.fixture
def token(database, number):
    with database.writing() as tx:
        return tokens.issue_token(tx, account="soc", actor="os:test", now=1)[0]


@pytest.fixture
def asked(monkeypatch):
    """Every statement that is read."""
    found = []
    rows = Tx.rows

    def counted(tx, statement, **values):
        found.append(str(statement))
        return rows(tx, statement, **values)

    monkeypatch.setattr(Tx, "rows", counted)
    return found


def entered(database, credentials, token, name, now=NOW):
    with database.reading() as tx:
        return gate.enter(tx, credentials, f"Bearer {token}", name, now=now)


@pytest.mark.parametrize("name", ["indicators", ID])
def test_a_collection_is_found_by_alias_and_by_id(database, token, number, name):
    found = entered(database, Credentials(), token, name)

    assert found.principal.account == "soc"
    assert found.gate.collection == catalog_row(database)
    assert (found.gate.grant.collection_id, found.gate.grant.can_read, found.gate.grant.can_write) == (
        number,
        True,
        False,
    )


def catalog_row(database):
    with database.reading() as tx:
        return catalog.find_collection(tx, "indicators")


@pytest.mark.parametrize("name", ["nowhere", ID.replace("2a", "3a"), "", "INDICATORS"])
def test_a_name_that_nobody_gave_finds_nothing(database, token, name):
    found = entered(database, Credentials(), token, name)

    assert (found.gate.collection, found.gate.grant) == (None, None)


def test_a_known_account_takes_one_statement(database, token, asked):
    credentials = Credentials()
    entered(database, credentials, token, "indicators")
    asked.clear()

    assert entered(database, credentials, token, "indicators") is not None
    assert len(asked) == 1


def test_hidden_and_unknown_collections_take_the_same_statements(database, token, asked):
    credentials = Credentials()
    with database.writing() as tx:
        accounts.deny(tx, "soc", 1, read=True, actor="os:test", now=2)
    entered(database, credentials, token, None)
    taken = []
    for name in ("indicators", "nowhere"):
        asked.clear()
        entered(database, credentials, token, name)
        taken.append(list(asked))

    assert taken[0] == taken[1]


def test_unknown_tokens_and_wrong_secrets_take_the_same_statements(database, token, asked):
    taken = []
    for text in (token[:-5] + "aaaaa", f"sn_{'a' * 10}_{'a' * 43}"):
        asked.clear()
        assert entered(database, Credentials(), text, "indicators") is None
        taken.append(list(asked))

    assert taken[0] == taken[1]


def test_the_grant_is_that_of_the_account_also_at_its_first_request(database, token):
    credentials = Credentials()
    first, second = (entered(database, credentials, token, "indicators") for _ in range(2))

    assert first.gate.grant == second.gate.grant
    assert first.gate.grant.can_read


def test_a_right_that_is_taken_is_gone_at_the_next_request(database, token):
    credentials = Credentials()
    assert entered(database, credentials, token, "indicators").gate.grant.can_read
    with database.writing() as tx:
        accounts.deny(tx, "soc", 1, read=True, actor="os:test", now=2)

    assert not entered(database, credentials, token, "indicators").gate.grant.can_read


def test_an_account_that_is_removed_is_nobody_at_the_next_request(database, token):
    credentials = Credentials()
    assert entered(database, credentials, token, "indicators") is not None
    with database.writing() as tx:
        accounts.remove_account(tx, "soc", actor="os:test", now=2)

    assert entered(database, credentials, token, "indicators") is None


def test_it_says_that_rows_wait_to_be_ranked_again(database, token):
    assert not entered(database, Credentials(), token, "indicators").gate.ranking
    with database.writing() as tx:
        owners.add_task(tx, "id", "indicator--x", now=3)

    assert entered(database, Credentials(), token, "indicators").gate.ranking


def test_a_flow_that_is_new_or_read_by_others_moves_the_generation_of_flows(database, token):
    def moved(audience, keep_days=0):
        before = entered(database, Credentials(), token, None).gate.flows
        with database.writing() as tx:
            catalog.flow_number(tx, "AGR/indicators/south", audience, keep_days=keep_days)
        return entered(database, Credentials(), token, None).gate.flows - before

    assert [moved(["banks"]), moved(["banks"]), moved(["banks", "state"])] == [1, 0, 1]


def test_a_database_without_a_node_says_so(database, token):
    with database.writing() as tx:
        tx.run(sa.text("delete from node"))

    with pytest.raises(StoreError, match="no node was created"):
        entered(database, Credentials(), token, "indicators")
