"""Collections: which there are, and what each account may do with them (T-COL)."""

from __future__ import annotations

import re
import uuid

import pytest

from tests.conformance.target import MT, RIGHTS
from tests.support.builders import an_id, an_indicator

KNOWN = {"id", "title", "description", "alias", "can_read", "can_write", "media_types"}
STIX_TYPE = re.compile(r"application/stix\+json(;version=\d\.\d)?")
OLD = (
    b'{"type":"malware","id":"malware--11111111-1111-4111-8111-111111111111","created":"2016-01-01T00:00:00.000Z",'
    b'"modified":"2016-01-01T00:00:00.000Z","name":"old","labels":["worm"]}'
)
NEVER = "d021ecc8-ab8e-41ab-815e-911c7e329f88"


def listing(caller):
    """The list of collections, by id."""
    found = caller.get(f"{caller.target.root}collections/")
    assert (found.status_code, found.headers["Content-Type"]) == (200, MT)
    return {one["id"]: one for one in found.json.get("collections", [])}


@pytest.fixture
def places(target):
    return [target.place(rights) for rights in ("rw", "r", "w", "none", "rw")]


def test_the_list_has_every_collection_that_the_account_sees(target, member, places):
    """T-COL-1: readable, writable and shown ones, and no hidden one."""
    hidden = target.place("hidden")
    found = listing(member)

    assert {place.id for place in places} <= set(found)
    assert hidden.id not in found


def test_without_a_collection_the_list_is_the_empty_object(fresh_target):
    """T-COL-1: `{}`, as for every empty list."""
    assert fresh_target.member.get(f"{fresh_target.root}collections/").json == {}


def test_the_list_is_ordered_by_id_each_time(target, member, places):
    """T-COL-2, I-X-1: ascending, as text."""
    first, second = (list(listing(member)) for _ in range(2))

    assert first == second == sorted(first)
    assert len(first) >= len(places)


def test_every_collection_has_what_it_must_have(member, places):
    """T-COL-3, T-COL-5: a random UUID, a title and two real booleans; nothing unknown."""
    found = listing(member)

    assert len(found) >= len(places)
    for one in found.values():
        assert (str(uuid.UUID(one["id"])), uuid.UUID(one["id"]).version) == (one["id"], 4)
        assert isinstance(one["title"], str)
        assert {type(one["can_read"]), type(one["can_write"])} == {bool}
        assert set(one) <= KNOWN


@pytest.mark.parametrize("rights", ["rw", "r", "w", "none"])
def test_the_flags_are_those_of_the_account_that_asks(target, member, rights):
    """T-COL-4: one collection, two accounts, two answers."""
    place = target.place(rights)

    flags = [
        tuple(listing(who)[place.id][flag] for flag in ("can_read", "can_write"))
        for who in (member, target.colleague)
    ]

    assert flags == [RIGHTS[rights], (True, True)]


def test_a_changed_right_is_shown_at_once(target, member, rw):
    """T-COL-4: in the list and in the resource."""
    target.allow(rw, write=False)

    assert listing(member)[rw.id]["can_write"] is member.get(rw.path).json["can_write"] is False


def test_media_types_name_all_that_the_collection_can_hold(target, member, rw):
    """T-COL-6: of STIX, with 2.0 where it holds STIX 2.0."""
    target.seed(rw, [OLD, an_indicator()])
    shown = listing(member)[rw.id]["media_types"]
    held = {one["media_type"] for one in member.listed(rw.manifest)}

    assert all(STIX_TYPE.fullmatch(one) for one in shown)
    assert held == {"application/stix+json;version=2.0", "application/stix+json;version=2.1"}
    assert held <= set(shown)


def test_no_two_collections_have_one_alias(member, places):
    """T-COL-7."""
    aliases = [one["alias"] for one in listing(member).values() if "alias" in one]

    assert len(aliases) == len(set(aliases)) >= len(places)


@pytest.mark.parametrize("below", ["", "objects/", "manifest/", "objects/{}/", "objects/{}/versions/"])
def test_an_alias_stands_wherever_an_id_does(target, member, rw, below):
    """T-COL-8: and answers the same, with the id in the body."""
    target.seed(rw, [an_indicator("c8")])
    below = below.format(an_id("indicator", "c8"))

    by_id, by_alias = member.get(rw.path + below), member.get(rw.by_alias + below)

    assert (by_alias.status_code, by_alias.json) == (200, by_id.json)
    assert below or by_alias.json["id"] == rw.id


def test_objects_are_added_and_deleted_by_alias_too(member, rw):
    """T-COL-8."""
    posted = member.post(f"{rw.by_alias}objects/", [an_indicator("c8")])
    gone = member.delete(f"{rw.by_alias}objects/{an_id('indicator', 'c8')}/")

    assert (posted.status_code, gone.status_code) == (202, 200)
    assert member.get(rw.objects).json == {}


@pytest.mark.parametrize("name", [NEVER, NEVER.upper(), "nothing", "1" * 300, "%20", "'--", "*"])
@pytest.mark.parametrize("below", ["", "objects/", "manifest/"])
def test_an_unknown_name_is_not_found(target, member, name, below):
    """T-COL-10: whatever it looks like."""
    found = member.get(f"{target.root}collections/{name}/{below}")

    assert (found.status_code, found.headers["Content-Type"]) == (404, MT)


@pytest.mark.parametrize("who", ["stranger", "impostor"])
def test_collections_ask_who_you_are(target, rw, who):
    """T-COL-11: 401, for the list, for one, and for one that never was."""
    caller = getattr(target, who)

    paths = [f"{target.root}collections/", rw.path, rw.by_alias, f"{target.root}collections/{NEVER}/"]

    assert [caller.get(path).status_code for path in paths] == [401] * 4


def test_a_collection_without_rights_is_shown_where_the_operator_lists_it(target, member):
    """T-COL-12: with both flags false."""
    place = target.place("none")
    one = member.get(place.path)

    assert one.status_code == 200
    assert (one.json["can_read"], one.json["can_write"]) == (False, False)
    assert listing(member)[place.id] == one.json


def test_a_hidden_collection_answers_as_one_that_never_was(target, member):
    """T-COL-12: the same bytes, but for the id of the error, on every endpoint."""
    hidden = target.place("hidden")
    for below in ("", "objects/", "manifest/", f"objects/{an_id('indicator')}/"):
        answers = [
            member.get(f"{target.root}collections/{name}/{below}")
            for name in (hidden.id, hidden.alias, NEVER)
        ]
        assert {one.status_code for one in answers} == {404}
        assert len({(one.json["title"], one.json["description"]) for one in answers}) == 1


def test_one_collection_is_its_entry_of_the_list(member, places):
    """T-COL-13."""
    listed = listing(member)

    assert all(member.get(place.path).json == listed[place.id] for place in places)


def test_what_a_collection_does_not_have_is_left_out(member, places):
    """T-COL-14: no null, no empty text."""
    found = listing(member)

    assert len(found) >= len(places)
    for one in found.values():
        assert None not in one.values()
        assert "" not in one.values()


READING = ("objects/", "manifest/", "objects/{}/", "objects/{}/versions/")


@pytest.mark.parametrize(
    ("rights", "reads", "posts", "deletes"),
    [("rw", 200, 202, 200), ("r", 200, 403, 403), ("w", 403, 202, 403), ("none", 403, 403, 404)],
)
def test_the_flags_say_what_is_answered(target, member, rights, reads, posts, deletes):
    """T-COL-15: reading covers objects, one object, manifest and versions; deleting needs both."""
    place = target.place(rights)
    target.seed(place, [an_indicator("c15")])
    one = an_id("indicator", "c15")

    assert {member.get(place.path + below.format(one)).status_code for below in READING} == {reads}
    assert member.post(place, [an_indicator("c15 more")]).status_code == posts
    assert member.delete(place.object(one)).status_code == deletes


def test_an_object_may_be_in_several_collections(target, member):
    """N-SYNC-12: each has its own date of it, and one that is deleted stays in the other."""
    here, there = target.place("rw"), target.place("rw")
    body = an_indicator("s12")
    target.seed(here, [body])
    target.later(hours=1)
    target.seed(there, [an_indicator("s12 before"), body])
    dates = [member.listed(place.manifest)[-1]["date_added"] for place in (here, there)]

    assert dates[0] < dates[1]
    assert member.delete(here.object(an_id("indicator", "s12"))).status_code == 200
    assert member.get(here.object(an_id("indicator", "s12"))).status_code == 404
    assert member.get(there.object(an_id("indicator", "s12"))).status_code == 200
