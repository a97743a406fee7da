"""node/taxii/cache.py: the memory keeps within its bytes, and gives what still stands."""

from __future__ import annotations

from node.taxii import cache
from node.taxii.cache import OVERHEAD, Key, Sheet, Sheets

MOST = 1 << 20


def a_key(number: int) -> Key:
    return Key("objects", "instance", "epoch", 1, 0, 0, number, 10, b"", "", None)


def a_sheet(size: int = 1_000, *, more: bool = True) -> Sheet:
    return Sheet(b"x" * size, {}, more, 1, 1, newest=7)


def test_what_was_not_asked_for_longest_goes_first():
    sheets = Sheets(10 * (1_000 + OVERHEAD))
    for number in range(10):
        sheets.keep(a_key(number), a_sheet())
    assert sheets.find(a_key(0), 7) is not None

    sheets.keep(a_key(10), a_sheet())

    assert sheets.find(a_key(0), 7) is not None
    assert sheets.find(a_key(1), 7) is None
    assert len(sheets) == 10


def test_the_bytes_never_pass_the_bound_and_are_counted_back():
    sheets = Sheets(100_000)
    for number in range(500):
        sheets.keep(a_key(number % 40), a_sheet(number * 40))
        if number % 3 == 0:
            sheets.packed(a_key(number % 40), a_sheet(2_000))
        assert sheets.size <= 100_000
    assert sheets.size == sum(each.size for each in sheets._sheets.values())


def test_packing_pushes_out_others_rather_than_pass_the_bound(monkeypatch):
    monkeypatch.setattr(cache, "compressed", lambda body: body)
    sheets = Sheets(8 * (2_000 + OVERHEAD))
    held = [a_sheet(2_000) for _ in range(8)]
    for number, sheet in enumerate(held):
        sheets.keep(a_key(number), sheet)

    assert sheets.packed(a_key(7), held[7]) == held[7].body
    assert sheets.size <= 8 * (2_000 + OVERHEAD)
    assert sheets.find(a_key(7), 7) is held[7]
    assert sheets.find(a_key(0), 7) is None


def test_a_page_that_is_not_full_needs_the_same_last_position():
    sheets = Sheets(MOST)
    sheets.keep(a_key(1), a_sheet(more=False))
    sheets.keep(a_key(2), a_sheet(more=True))

    assert sheets.find(a_key(1), 7) is not None
    assert sheets.find(a_key(1), 8) is None
    assert sheets.find(a_key(2), 8) is not None


def test_a_page_that_would_push_out_most_others_is_not_kept():
    sheets = Sheets(10_000)
    sheets.keep(a_key(1), a_sheet(5_000))
    assert len(sheets) == 0
