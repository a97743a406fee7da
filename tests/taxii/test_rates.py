"""node/taxii/rates.py: a limit slows the one who reaches it, and nobody else."""

import pytest

from node.taxii.protocol import RequestRefused
from node.taxii.rates import Rates

SECOND = 1_000_000


def ask(rates, account, now):
    with rates.admit(account, now=now):
        return True


def refused(call):
    with pytest.raises(RequestRefused) as refusal:
        call()
    assert int(refusal.value.headers["Retry-After"]) >= 1
    return refusal.value.status == 429


def test_an_account_has_so_many_requests_in_a_second():
    rates = Rates(requests_per_second=3)

    assert [ask(rates, "soc", 0) for _ in range(3)] == [True] * 3
    assert refused(lambda: ask(rates, "soc", 0))
    assert ask(rates, "other", 0)
    assert ask(rates, "soc", SECOND)


def test_an_account_has_so_many_requests_at_once():
    rates = Rates(concurrent_requests=1)

    with rates.admit("soc", now=0):
        assert refused(lambda: ask(rates, "soc", 0))
        assert ask(rates, "other", 0)
    assert ask(rates, "soc", 0)


def test_failed_logins_are_slowed_for_a_minute():
    rates = Rates(failed_logins_per_minute=2)

    assert [rates.failed("192.0.2.1", now=0) for _ in range(2)] == [None, None]
    assert refused(lambda: rates.failed("192.0.2.1", now=0))
    assert rates.failed("192.0.2.2", now=0) is None
    assert rates.failed("192.0.2.1", now=60 * SECOND) is None


def test_zero_is_no_limit():
    rates = Rates()

    assert all(ask(rates, "soc", 0) for _ in range(1000))
    assert [rates.failed("192.0.2.1", now=0) for _ in range(100)] == [None] * 100


def test_a_clock_that_goes_back_locks_nobody_out():
    rates = Rates(requests_per_second=1, failed_logins_per_minute=1)
    ask(rates, "soc", 100 * SECOND)
    rates.failed("192.0.2.1", now=100 * SECOND)

    assert refused(lambda: ask(rates, "soc", 0))
    assert ask(rates, "soc", SECOND)
    assert rates.failed("192.0.2.1", now=0) is None
