"""Who may do what: every kind of right at every endpoint (section 16.2; T-OBJ, T-POST, T-DEL, I-X-3)."""

from __future__ import annotations

import pytest

from tests.conformance.endpoints import ONE, a_tour, an_error, told
from tests.conformance.target import MT
from tests.support.builders import LATER, an_indicator, an_ipv4

READING = ("GET objects", "GET manifest", "GET object", "GET versions")
OPEN = ("GET discovery", "GET root", "GET status", "GET collections")

#                     collection  reading  POST  DELETE
EXPECTED = {
    "rw": (200, 200, 202, 200),
    "r": (200, 200, 403, 403),
    "w": (200, 403, 202, 403),
    "none": (200, 403, 403, 404),
    "hidden": (404, 404, 404, 404),
}


def answers(target, caller, tour):
    """The status of every endpoint, the deletion last."""
    return {name: tour.ask(caller, name).status_code for name in tour.all}


def row(collection, reading, post, delete):
    """What `answers` gives for one line of the table."""
    return {
        **dict.fromkeys(OPEN, 200),
        "GET collection": collection,
        **dict.fromkeys(READING, reading),
        "POST objects": post,
        "DELETE object": delete,
    }


def a_tour_of(target, rights):
    """A collection of these rights with content, as far as anybody may put some there."""
    if rights != "hidden":
        return a_tour(target, rights)
    tour = a_tour(target)
    target.allow(tour.place, read=False, write=False)
    return tour


@pytest.mark.parametrize("rights", EXPECTED)
def test_what_an_account_may_do_follows_from_its_rights_alone(target, rights):
    """T-OBJ-5, T-POST-3, T-DEL-1, T-OID-6, T-VER-9, T-MAN-10, T-COL-15, T-COL-12, I-X-3: the table."""
    assert answers(target, target.member, a_tour_of(target, rights)) == row(*EXPECTED[rights])


@pytest.mark.parametrize("rights", EXPECTED)
@pytest.mark.parametrize("who", ["stranger", "impostor"])
def test_whoever_is_not_known_may_do_nothing(target, who, rights):
    """T-OBJ-6, T-POST-4, T-OID-6, T-COL-11, T-DISC-10: 401 everywhere, whatever the collection."""
    found = answers(target, getattr(target, who), a_tour_of(target, rights))

    assert found == dict.fromkeys(found, 401)


def test_an_account_without_any_right_sees_nothing(target):
    """T-ERR-7: to it a collection of others does not exist, and neither does their status."""
    found = answers(target, target.outsider, a_tour(target))

    assert found == {**row(404, 404, 404, 404), "GET status": 404}


@pytest.mark.parametrize("rights", ["r", "none"])
def test_the_right_to_write_is_asked_before_the_body_is_read(target, rights):
    """T-POST-3: what is no JSON at all gets 403 and not 400, and nothing is stored."""
    place = target.place(rights)
    target.seed(place, [an_indicator()])

    found = target.member.post(place, body=b"{")

    assert told(found) == an_error(403)


def test_a_refused_deletion_deletes_nothing(target):
    """T-DEL-1: three of the four lines of the table refuse, and the object stays."""
    for rights in ("r", "w", "none"):
        place = target.place(rights)
        target.seed(place, [an_indicator(), an_indicator(modified=LATER), an_ipv4()])
        target.member.delete(place.object(ONE))
        target.allow(place, read=True)
        assert len(target.member.listed(place.manifest, match_version="all")) == 3


def test_a_deletion_that_is_allowed_says_so_without_a_body(target, rw):
    """T-DEL-2: 200, our media type, no payload."""
    target.seed(rw, [an_indicator()])

    found = target.member.delete(rw.object(ONE))

    assert (found.status_code, found.headers["Content-Type"], found.data) == (200, MT, b"")


def test_a_right_that_is_taken_is_gone_at_once(target, rw):
    """T-COL-4: rights are those of the moment."""
    target.seed(rw, [an_indicator()])
    before = target.member.get(rw.objects).status_code

    target.allow(rw, read=False)

    assert (before, target.member.get(rw.objects).status_code) == (200, 403)
