"""One page ahead: what is fetched while its caller works, and what becomes of it."""

from __future__ import annotations

import threading

import pytest

from node.errors import PartnerUnreachable
from node.sync.ahead import Ahead


class Shelf:
    """Pages that may be held back until they are let go."""

    def __init__(self, held: bool = False) -> None:
        self.asked: list[int] = []
        self.begun = threading.Event()
        self.gone = threading.Event()
        if not held:
            self.gone.set()

    def fetch(self, place: int) -> str:
        self.asked.append(place)
        self.begun.set()
        assert self.gone.wait(30)
        if place < 0:
            raise PartnerUnreachable(f"No answer at {place}.", remedy="Wait.")
        return f"page {place}"

    def interrupt(self) -> None:
        self.gone.set()


def test_a_page_that_was_begun_is_not_asked_for_again():
    shelf = Shelf()
    pages = Ahead(shelf.fetch, shelf.interrupt)

    pages.begin(2)

    assert pages.take(2) == "page 2"
    assert shelf.asked == [2]


def test_a_page_is_fetched_while_its_caller_works():
    shelf = Shelf(held=True)
    pages = Ahead(shelf.fetch, shelf.interrupt)

    pages.begin(2)

    assert shelf.begun.wait(30)  # and we are here
    shelf.gone.set()
    assert pages.take(2) == "page 2"


def test_another_place_than_the_one_begun_is_fetched_for_itself():
    shelf = Shelf()
    pages = Ahead(shelf.fetch, shelf.interrupt)

    pages.begin(2)

    assert pages.take(3) == "page 3"
    assert shelf.asked == [2, 3]


def test_a_page_is_given_once():
    shelf = Shelf()
    pages = Ahead(shelf.fetch, shelf.interrupt)
    pages.begin(2)
    pages.take(2)

    assert pages.take(2) == "page 2"
    assert shelf.asked == [2, 2]


def test_a_fault_is_raised_where_the_page_is_taken():
    shelf = Shelf()
    pages = Ahead(shelf.fetch, shelf.interrupt)

    pages.begin(-1)

    with pytest.raises(PartnerUnreachable, match="No answer at -1"):
        pages.take(-1)


def test_closing_ends_what_is_under_way():
    shelf = Shelf(held=True)
    pages = Ahead(shelf.fetch, shelf.interrupt)
    pages.begin(2)

    pages.close()

    assert not [one for one in threading.enumerate() if one.name == "stixnode-ahead"]
