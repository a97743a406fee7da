"""node/access/accounts.py: what a machine may read and write."""

import pytest

from node.access import accounts, tokens
from node.access.accounts import Grant
from node.audit import log
from node.errors import UsageError
from node.store import catalog
from node.store.catalog import Definition

NOW = 1_000
ACT = {"actor": "person:op", "now": NOW}


@pytest.fixture
def tx(database):
    """A transaction in which there are two collections and the account `soc`."""
    with database.writing() as tx:
        for number in (1, 2):
            definition = Definition(
                alias=f"c{number}", title=f"C{number}", id=f"{number}c0a2f7e-1d1f-4a55-8b7e-2f0b7d9c0b02"
            )
            catalog.add_collection(tx, definition, epoch="e")
        accounts.add_account(tx, "soc", **ACT, clearance=2, audience=["state-bodies", "banks"], expires=9_000)
        yield tx


def test_an_account_is_read_as_it_was_added(tx):
    soc = accounts.find_account(tx, "soc")

    assert soc == accounts.Account("soc", 2, ("banks", "state-bodies"), "", 9_000, NOW)
    assert accounts.list_accounts(tx) == [soc]
    assert accounts.find_account(tx, "absent") is None


def test_a_new_account_has_the_lowest_clearance_and_may_do_nothing(tx):
    plain = accounts.add_account(tx, "plain", **ACT)

    assert (plain.clearance, plain.audience, plain.partner) == (0, (), "")
    assert accounts.grants(tx, "plain") == {}
    assert accounts.grant_of(tx, "plain", 1) == Grant(1, can_read=False, can_write=False)


@pytest.mark.parametrize(
    "values",
    [
        {"name": "soc"},
        {"name": "SOC"},
        {"name": "a:b"},
        {"name": "-a"},
        {"name": "a" * 64},
        {"name": "a\n"},
        {"name": "a", "clearance": 5},
        {"name": "a", "clearance": -1},
        {"name": "a", "audience": ["State Bodies"]},
        {"name": "a", "expires": NOW},
    ],
    ids=str,
)
def test_an_account_that_cannot_be_is_refused_with_a_remedy(tx, values):
    with pytest.raises(UsageError) as refusal:
        accounts.add_account(tx, **values, **ACT)

    assert refusal.value.remedy


def test_rights_add_up_and_are_taken_one_by_one(tx):
    assert accounts.allow(tx, "soc", 1, read=True, **ACT) == Grant(1, can_read=True, can_write=False)
    assert accounts.allow(tx, "soc", 1, write=True, **ACT) == Grant(1, can_read=True, can_write=True)
    assert accounts.allow(tx, "soc", 2, read=True, **ACT) == Grant(2, can_read=True, can_write=False)
    assert accounts.deny(tx, "soc", 1, read=True, **ACT) == Grant(1, can_read=False, can_write=True)
    assert accounts.grants(tx, "soc") == {
        1: Grant(1, can_read=False, can_write=True),
        2: Grant(2, can_read=True, can_write=False),
    }
    assert accounts.grant_of(tx, "soc", 2).can_read is True


def test_an_account_from_which_all_was_taken_has_no_grant_left(tx):
    accounts.allow(tx, "soc", 1, read=True, **ACT)
    accounts.deny(tx, "soc", 1, read=True, write=True, **ACT)

    assert accounts.grants(tx, "soc") == {}


@pytest.mark.parametrize("act", [accounts.allow, accounts.deny])
@pytest.mark.parametrize(
    ("name", "number", "rights", "named"),
    [
        ("absent", 1, {"read": True}, "absent"),
        ("soc", 7, {"read": True}, "number 7"),
        ("soc", 1, {}, "Neither"),
    ],
    ids=["no account", "no collection", "no right"],
)
def test_a_right_that_cannot_be_changed_is_named(tx, act, name, number, rights, named):
    with pytest.raises(UsageError, match=named):
        act(tx, name, number, **rights, **ACT)


def test_the_account_of_a_partner_gets_no_grant(tx):
    accounts.add_account(tx, "south", **ACT, partner="south")

    with pytest.raises(UsageError, match="links"):
        accounts.allow(tx, "south", 1, read=True, **ACT)
    assert accounts.grants(tx, "south") == {}


def test_a_removed_account_leaves_no_token_grant_or_position_to_the_next_of_its_name(tx):
    accounts.allow(tx, "soc", 1, read=True, **ACT)
    accounts.note_reading(tx, "soc", 1, now=NOW, served=5)
    text, _ = tokens.issue_token(tx, account="soc", **ACT)

    removed = accounts.remove_account(tx, "soc", **ACT)
    accounts.add_account(tx, "soc", **ACT)

    assert removed.clearance == 2
    assert tokens.authenticate(tx, f"Bearer {text}", now=NOW) is None
    assert tokens.list_tokens(tx, account="soc") == []
    assert (accounts.grants(tx, "soc"), accounts.readings(tx)) == ({}, [])


def test_an_account_that_is_not_there_cannot_be_removed(tx):
    with pytest.raises(UsageError, match="absent"):
        accounts.remove_account(tx, "absent", **ACT)


def test_every_change_is_in_the_log_and_makes_all_processes_ask_again(tx):
    before = catalog.node_row(tx).accounts_generation
    accounts.allow(tx, "soc", 1, read=True, actor="person:op", now=NOW + 1)
    accounts.deny(tx, "soc", 1, read=True, actor="person:op", now=NOW + 2)
    accounts.remove_account(tx, "soc", actor="os:root", now=NOW + 3)

    assert [(leaf.act, leaf.actor, leaf.subject) for leaf in log.leaves(tx, limit=9)] == [
        ("account.remove", "os:root", "account:soc"),
        ("account.deny", "person:op", "account:soc"),
        ("account.allow", "person:op", "account:soc"),
        ("account.add", "person:op", "account:soc"),
    ]
    assert catalog.node_row(tx).accounts_generation == before + 3


def test_a_read_position_moves_on_and_never_back(tx):
    accounts.note_reading(tx, "soc", 1, now=10, served=500)
    accounts.note_reading(tx, "soc", 1, now=20, served=400)
    accounts.note_reading(tx, "soc", 2, now=15, served=0)

    assert accounts.readings(tx) == [
        accounts.Reading("soc", 1, 20, 500),
        accounts.Reading("soc", 2, 15, 0),
    ]
