"""node/access/people.py: persons and their roles."""

import pytest

from node.access import accounts, people, tokens
from node.audit import log
from node.errors import UsageError
from node.store import catalog

NOW = 1_000


def test_a_person_is_found_by_name_and_by_token(database):
    with database.writing() as tx:
        added = people.add_person(tx, "op", ["approver", "operator"], actor="os:root", now=NOW)
        text, _ = tokens.issue_token(tx, person="op", actor="os:root", now=NOW)

        assert added.roles == ("operator", "approver")
        assert people.find_person(tx, "op") == added
        assert people.find_by_token(tx, text, now=NOW) == added
        assert people.list_people(tx) == [added]


def test_a_token_of_an_account_or_a_changed_or_expired_one_is_nobodys(database):
    with database.writing() as tx:
        people.add_person(tx, "op", ["admin"], actor="os:root", now=NOW)
        accounts.add_account(tx, "op", actor="os:root", now=NOW)
        of_account, _ = tokens.issue_token(tx, account="op", actor="os:root", now=NOW)
        ending, row = tokens.issue_token(tx, person="op", actor="os:root", now=NOW, expires=NOW + 5)

        assert people.find_by_token(tx, of_account, now=NOW) is None
        assert people.find_by_token(tx, ending, now=NOW + 4) is not None
        assert people.find_by_token(tx, ending, now=NOW + 5) is None
        assert people.find_by_token(tx, ending[:-1] + ("A" if ending[-1] != "A" else "B"), now=NOW) is None
        assert people.find_by_token(tx, row.token_id, now=NOW) is None
        assert people.find_by_token(tx, "", now=NOW) is None


@pytest.mark.parametrize(
    ("name", "roles"),
    [("Op", ["admin"]), ("", ["admin"]), ("op", []), ("op", ["root"]), ("taken", ["admin"])],
    ids=["capital", "empty", "no role", "unknown role", "taken"],
)
def test_a_person_that_cannot_be_is_refused(database, name, roles):
    with database.writing() as tx:
        people.add_person(tx, "taken", ["admin"], actor="os:root", now=NOW)

    with pytest.raises(UsageError), database.writing() as tx:
        people.add_person(tx, name, roles, actor="os:root", now=NOW)


def test_a_removed_person_has_no_token_left(database):
    with database.writing() as tx:
        people.add_person(tx, "op", ["admin"], actor="os:root", now=NOW)
        text, _ = tokens.issue_token(tx, person="op", actor="os:root", now=NOW)
        people.remove_person(tx, "op", actor="os:root", now=NOW)
        people.add_person(tx, "op", ["admin"], actor="os:root", now=NOW)

        assert people.find_by_token(tx, text, now=NOW) is None
        assert tokens.list_tokens(tx, person="op") == []


def test_a_person_that_is_not_there_cannot_be_removed(database):
    with pytest.raises(UsageError, match="'op'"), database.writing() as tx:
        people.remove_person(tx, "op", actor="os:root", now=NOW)


def test_every_change_is_in_the_log_and_makes_all_processes_ask_again(database):
    with database.writing() as tx:
        people.add_person(tx, "op", ["admin"], actor="os:root", now=NOW)
        people.remove_person(tx, "op", actor="os:root", now=NOW + 1)

        assert [(leaf.act, leaf.subject) for leaf in log.leaves(tx, limit=9)] == [
            ("person.remove", "person:op"),
            ("person.add", "person:op"),
        ]
        assert catalog.node_row(tx).accounts_generation == 2
