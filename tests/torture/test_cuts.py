"""A message between two nodes is cut after any of its bytes: the next round brings everything, once.

    CUTS=1 python -m pytest tests/torture/test_cuts.py

cuts after every byte up to 2 KiB and after every 64th from there, instead of after every 97th and at the
borders. The message is the answer to a pull, the request of a push, or the other one of each; it ends, is
reset, or looks whole, because its length was changed or taken out on the way.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from node.errors import PartnerUnreachable
from node.exchange import feed_rows, sessions
from node.store.database import Tx
from node.sync import answers, batches
from node.sync.connection import Answer
from tests.support.fault_proxy import FINE, Fault, always, first
from tests.torture.badly import BROUGHT, Pair, a_bad_pair

STEP = int(os.environ.get("CUTS", "97"))
FINE_UP_TO, COARSE = 2_048, 64
SPARSER = 7 if STEP < 10 else 20  # so much fewer of the ways that differ little from the first
METHOD = {"pull": "GET", "push": "POST"}
CARRIES = {"pull": "answer", "push": "request"}
WAYS: dict[str, dict[str, Any]] = {
    "ends": {},
    "reset": {"reset": True},
    "looks whole": {"length": "right"},
    "no length": {"length": "missing"},
}

_bring = batches._bring

pytestmark = pytest.mark.timeout(1800 if STEP < 10 else 200)


@pytest.fixture(scope="module", params=["pull", "push"])
def pair(request: pytest.FixtureRequest, _sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory):
    """Two nodes that serve for all cuts of one way of carrying."""
    with a_bad_pair(_sqlite_template, tmp_path_factory.mktemp("cut"), request.param) as made:
        yield made


def places(size: int, head: int, step: int) -> list[int]:
    """Where a message is cut: every `step`th byte, and around its borders."""
    found = set(range(0, min(size, FINE_UP_TO), step)) | set(range(0, size, max(step, COARSE)))
    return sorted(found | {head - 1, head + 1, size - 1} & set(range(size)))


def sizes_of(pair: Pair, message: str) -> tuple[int, int]:
    """Of a message that brings something new, and of its headers."""
    pair.proxy.script = always(FINE)
    pair.bring()
    pair.proxy.passed.clear()
    assert pair.round().error is None
    (found,) = [each for each in pair.proxy.passed if each.method == METHOD[pair.carry]]
    if message == "request":
        return found.request, found.request_head
    return found.answer, found.answer_head


def cut_after_each(pair: Pair, message: str, step: int, **how: Any) -> Iterator[int]:
    """Cut a message at each place; tells the places at which the round failed."""
    for place in places(*sizes_of(pair, message), step):
        names = pair.bring()
        pair.proxy.script = first(METHOD[pair.carry], Fault(**{f"cut_{message}": place, **how}))
        failed = pair.round()
        there = pair.taker.holds(names)
        assert there in (0, BROUGHT), f"half of it came after a cut at {place}"
        assert failed.error is not None or there == BROUGHT, f"cut at {place}, and nobody noticed"
        again = pair.round()
        assert again.error is None, f"after a cut at {place}: {again.error}"
        assert pair.taker.holds(names) == BROUGHT, f"not there after a cut at {place}"
        if failed.error is not None:
            yield place


@pytest.mark.parametrize("message", ["answer", "request"])
@pytest.mark.parametrize("how", WAYS)
def test_a_message_cut_after_any_byte_costs_one_round_and_nothing_else(pair, message, how, tell):
    """T7, T11."""
    every = how == "ends" and message == CARRIES[pair.carry]
    found = list(cut_after_each(pair, message, STEP if every else STEP * SPARSER, **WAYS[how]))
    assert found
    pair.converged()
    tell(f"{pair.carry}, {message} {how}: {len(found)} rounds failed, 0 not converged")


def believing(partner: str, answer: Answer) -> tuple[str | None, bool, list[bytes]]:
    """What `answers._cut` must not be: it takes of a page what can be read of it."""
    text, entries = answer.body.decode(), []
    at = text.find("[") + 1
    with suppress(ValueError):
        while at:
            _, end = json.JSONDecoder().raw_decode(text, at)
            entries.append(text[at:end].encode())
            at = end + 1
    return None, False, entries


def settling(*batch: Any) -> bool:
    """What `batches._bring` must not be: a batch is settled whatever came back."""
    delivery, keys, items, silent = batch
    try:
        return _bring(delivery, keys, items, silent)
    except PartnerUnreachable:

        def settle(tx: Tx) -> None:
            feed_rows.settle(tx, delivery.link.name, keys, feed_rows.SETTLED)
            sessions.settle_batch(tx, delivery.link.name)

        delivery.door.database.retrying(settle)
        raise


def test_control_a_client_that_believes_what_was_cut_is_found(pair, monkeypatch):
    monkeypatch.setattr(answers, "_cut", believing)
    monkeypatch.setattr(batches, "_bring", settling)
    with pytest.raises(AssertionError, match=r"half of it came|nobody noticed|not there"):
        list(cut_after_each(pair, CARRIES[pair.carry], COARSE, length="right"))
