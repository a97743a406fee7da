"""node/sync/endings.py: what will end by itself, and when that is told."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from node.access import accounts, tokens
from node.clock import MICROSECONDS
from node.sharing.links import PartnerBinding
from node.sync.endings import DAY, days_of_notice, endings, sentence
from tests.support.agreements import an_agreement
from tests.support.builders import NOON
from tests.support.certificates import a_certificate


def an_account(tx, name: str, *ends: int | None, expires: int | None = None) -> None:
    accounts.add_account(tx, name, actor="os:test", now=NOON - 90 * DAY, expires=expires)
    for each in ends:
        tokens.issue_token(tx, account=name, actor="os:test", now=NOON - 90 * DAY, expires=each)


def names(tx, now: int = NOON) -> list[str]:
    return [each.name for each in endings(tx, (), (), now=now)]


@pytest.mark.parametrize(
    ("days", "notice"), [(31, None), (30, 30), (15, 30), (14, 14), (4, 14), (3, 3), (1, 3), (0, 0), (-9, 0)]
)
def test_notices_are_due_thirty_fourteen_and_three_days_before(days: int, notice: int | None):
    assert days_of_notice(NOON + days * DAY, now=NOON) == notice


def test_an_account_ends_with_its_last_token(database):
    with database.writing() as tx:
        an_account(tx, "soon", NOON + DAY, NOON + 5 * DAY)
        an_account(tx, "renewed", NOON + DAY, NOON + 300 * DAY)
        an_account(tx, "lasting", NOON + DAY, None)
        an_account(tx, "without-token")
        found = endings(tx, (), (), now=NOON)

    assert [(each.name, each.ends) for each in found] == [("account soon", NOON + 5 * DAY)]


def test_an_account_ends_with_its_own_date_though_its_token_lasts(database):
    with database.writing() as tx:
        an_account(tx, "guest", None, expires=NOON + 10 * DAY)

        assert names(tx) == ["account guest"]


def test_an_account_that_ended_long_ago_is_not_spoken_of(database):
    with database.writing() as tx:
        an_account(tx, "guest", NOON - DAY)

        assert names(tx) == ["account guest"]
        assert names(tx, NOON + 40 * DAY) == []


def test_an_agreement_that_has_ended_stays_told(sqlite_database):
    agreement = an_agreement()
    south = PartnerBinding("south", agreements=(agreement,))
    with sqlite_database.reading() as tx:
        before = endings(tx, [south], (), now=agreement.ends - 31 * DAY)
        soon = endings(tx, [south, south], (), now=agreement.ends - 30 * DAY)
        after = endings(tx, [south], (), now=agreement.ends + 300 * DAY)

    assert (before, [each.name for each in soon]) == ([], ["agreement AGR-2026-01"])
    assert (
        sentence(after[0], "then", now=agreement.ends) == "agreement AGR-2026-01 ended then; nothing crosses"
    )


def test_a_certificate_is_read_from_its_file_and_one_that_cannot_be_is_left_to_check(
    sqlite_database, tmp_path: Path
):
    file, _ = a_certificate(tmp_path, "north")
    (tmp_path / "broken.pem").write_text("nothing")
    now = int(datetime.now(UTC).timestamp()) * MICROSECONDS
    with sqlite_database.reading() as tx:
        found = endings(tx, (), [file, tmp_path / "broken.pem", tmp_path / "nowhere.pem"], now=now)

    assert [each.name for each in found] == ["certificate north.pem"]
    assert 28 * DAY < found[0].ends - now < 30 * DAY
