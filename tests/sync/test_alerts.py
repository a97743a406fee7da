"""node/sync/alerts.py: each fault is told once, again after a while, and once when it is over."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from node import clock
from node.access import accounts, tokens
from node.exchange import links
from node.sharing.links import PartnerBinding
from node.store.database import Database
from node.sync import alert_book, alerts, worker
from node.sync.alert_book import Told
from node.sync.alert_messages import Event, Message
from node.sync.alerts import Desk, Fault, due, over
from node.sync.channels import NotTaken
from node.sync.leases import lease
from node.sync.worker import Worker
from tests.support.agreements import a_flow, a_party, an_agreement
from tests.support.builders import NOON
from tests.support.nodes import Node, a_node

MINUTE = 60 * 1_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
IN = "south/indicators/in"


@dataclass
class Box:
    """A channel that keeps what it is given, or takes nothing."""

    name: str = "mail"
    broken: bool = False
    got: list[Message] = field(default_factory=list)

    def give(self, message: Message, *, now: int) -> tuple[str, ...]:
        if self.broken:
            raise NotTaken(f"The {self.name} is away.", remedy="Wait.")
        self.got.append(message)
        return ()

    def events(self) -> list[tuple[Event, str]]:
        return [(each.event, each.key) for each in self.got]


@dataclass
class Scene:
    """A node that only pulls, its alerts, and a clock."""

    node: Node
    desk: Desk
    now: int = NOON
    beats: int = 0

    @property
    def database(self) -> Database:
        return self.node.database

    def write(self, work: Callable[..., object]) -> None:
        with self.database.writing() as tx:
            work(tx)

    def works(self, *names: str) -> None:
        for name in names or [each.name for each in self.desk.links]:
            self.write(lambda tx, name=name: links.note_success(tx, name, now=self.now, new=False))

    def fails(self, name: str = IN, *, times: int = 3, error: str = "south answered x with 503.") -> None:
        for _ in range(times):
            self.write(
                lambda tx: links.note_failure(
                    tx, name, now=self.now, error=error, next_try=self.now + 60 * DAY
                )
            )

    def turn(self, minutes: int = 1) -> None:
        self.now += minutes * MINUTE
        alerts.turn(self.desk, now=lambda: self.now)

    def broken(self) -> list[str]:
        with self.database.reading() as tx:
            return [each.channel for each in alert_book.broken(tx)]

    def told(self) -> list[Told]:
        with self.database.reading() as tx:
            return alert_book.told(tx)


def a_scene(database: Database, *channels: Box, repeat_minutes: int = 60, **changes: object) -> Scene:
    flow = [a_flow(each, givers=["south"], every_seconds=86_400) for each in ("indicators", "techniques")]
    party = {"north": a_party("north"), "south": a_party("south", time_zone="Europe/Helsinki")}
    agreement = an_agreement(flow=flow, party=party)
    node = a_node(database, collections=("indicators", "techniques"), flow=flow, party=party)
    desk = Desk(
        database=database,
        links=node.door.links,
        partners=(PartnerBinding("south", agreements=(agreement,)),),
        certificates=(),
        channels=channels,
        beat=None,
        zone="UTC",
        holder="test",
        repeat_minutes=repeat_minutes,
    )
    scene = Scene(node, replace(desk, **changes))
    scene.works()
    return scene


def test_a_fault_is_told_once_over_many_turns_and_once_when_it_is_over(database):
    box = Box()
    scene = a_scene(database, box, repeat_minutes=0)
    scene.fails()
    for _ in range(8):
        scene.turn()
    assert box.events() == [(Event.FAULT, "partner:south")]
    scene.works()
    for _ in range(3):
        scene.turn()

    assert box.events()[1:] == [(Event.OVER, "partner:south")]
    assert scene.told() == []


def test_a_worker_that_forgot_what_it_told_would_be_caught(sqlite_database, monkeypatch):
    monkeypatch.setattr(alert_book, "tell", lambda *_, **__: None)
    box = Box()
    scene = a_scene(sqlite_database, box, repeat_minutes=0)
    scene.fails()
    for _ in range(3):
        scene.turn()

    assert len(box.got) == 3


def test_nothing_is_told_or_written_while_all_is_well(database):
    box = Box()
    scene = a_scene(database, box)
    scene.turn()

    assert (box.got, scene.told(), scene.broken()) == ([], [], [])


def test_a_fault_that_lasts_is_told_again_after_the_agreed_minutes(database):
    box = Box()
    scene = a_scene(database, box, repeat_minutes=60)
    scene.fails()
    for _ in range(13):
        scene.turn(10)

    assert [each.event for each in box.got] == [Event.FAULT, Event.AGAIN, Event.AGAIN]


def test_one_failure_that_may_pass_is_not_told(sqlite_database):
    box = Box()
    scene = a_scene(sqlite_database, box)
    scene.fails(times=1)
    scene.turn()

    assert box.got == []


def test_a_fault_that_grows_is_told_again_and_one_that_shrinks_is_not(database):
    box = Box()
    scene = a_scene(database, box)
    scene.fails()
    scene.turn()
    scene.fails("south/techniques/in")
    scene.turn()
    scene.turn()
    scene.works("south/techniques/in")
    scene.turn()

    assert [each.event for each in box.got] == [Event.FAULT, Event.MORE]
    assert box.got[1].about == ("south/indicators/in failing", "south/techniques/in failing")


def test_an_alert_names_the_link_and_whom_to_call_and_no_word_of_the_partner(sqlite_database):
    box = Box()
    scene = a_scene(sqlite_database, box)
    scene.fails(error="south answered GET https://s/ with 503 (indicator--1 [url:value = 'secret']).")
    scene.turn()

    (told,) = box.got
    assert told.text.startswith("south/indicators/in: FAILING, 3 failures in a row, last worked 60 s ago")
    assert "secret" not in repr(told)
    assert (told.call, told.command) == (
        "+000 11 111 11 11, 24/7, 14:01 there",
        "call the duty desk of south",
    )


def test_what_a_person_closed_is_over_and_said_to_be_closed(sqlite_database):
    box = Box()
    scene = a_scene(sqlite_database, box)
    scene.fails()
    scene.turn()
    scene.write(lambda tx: links.set_paused(tx, "south", paused=True, reason="a drill", now=scene.now))
    scene.turn()

    assert box.got[1].text.startswith("closed here; it was: south/indicators/in: FAILING")


def test_a_database_that_went_back_is_an_alarm(sqlite_database):
    box = Box()
    scene = a_scene(sqlite_database, box)
    reason = "the database went back in time; see what is missing"
    scene.write(lambda tx: links.set_paused(tx, None, paused=True, reason=reason, now=scene.now))
    scene.turn()

    assert "PAUSED, the database went back in time" in box.got[0].text
    assert box.got[0].command == "stixnode resume south"


def test_a_channel_that_was_away_is_told_later_what_lasts_and_the_other_is_told_once(database):
    mail, hook = Box("mail", broken=True), Box("webhook")
    scene = a_scene(database, mail, hook, repeat_minutes=0)
    scene.fails()
    for _ in range(4):
        scene.turn()
    assert (scene.broken(), mail.got) == (["mail"], [])
    assert hook.events() == [(Event.FAULT, "partner:south")]
    scene.turn(5)
    assert hook.events()[1:] == [(Event.FAULT, "channel:mail")]
    mail.broken = False
    scene.turn()
    scene.turn()

    assert scene.broken() == []
    assert mail.events() == [(Event.FAULT, "partner:south")]
    assert hook.events()[2:] == [(Event.OVER, "channel:mail")]


def test_a_channel_that_missed_all_says_that_it_works_again(sqlite_database):
    box = Box(broken=True)
    scene = a_scene(sqlite_database, box)
    scene.fails()
    scene.turn()
    scene.works()
    scene.turn()
    assert scene.broken() == ["mail"]
    box.broken = False
    scene.turn()
    scene.turn()

    assert [each.text for each in box.got] == ["alerts by mail are taken again"]
    assert scene.broken() == []


def test_the_heart_beats_while_somebody_can_be_told(sqlite_database):
    box = Box()
    scene = a_scene(sqlite_database, box)

    def beat() -> None:
        scene.beats += 1

    scene.desk = replace(scene.desk, beat=beat)
    scene.turn()
    box.broken = True
    scene.fails()
    scene.turn()
    scene.turn()
    assert scene.beats == 1
    box.broken = False
    scene.turn()

    assert scene.beats == 2


def test_a_heartbeat_that_is_not_answered_is_noted_until_it_is(sqlite_database):
    def deaf() -> None:
        raise NotTaken("The heartbeat answered 500.", remedy="Wait.")

    box = Box()
    scene = a_scene(sqlite_database, box, beat=deaf)
    scene.turn()
    assert scene.broken() == ["heartbeat"]
    scene.turn(6)
    assert box.events() == [(Event.FAULT, "channel:heartbeat")]
    scene.desk = replace(scene.desk, beat=lambda: None)
    scene.turn()

    assert scene.broken() == []


def test_while_another_worker_tells_nothing_is_told_twice(database):
    box = Box()
    scene = a_scene(database, box)
    scene.fails()
    with lease(database, "alerts", "another", now=lambda: scene.now):
        scene.turn(0)
        assert box.got == []
    scene.turn(0)

    assert len(box.got) == 1


def test_the_end_of_an_agreement_is_told_four_times_and_a_new_one_ends_it_in_silence(database):
    box = Box()
    agreement = an_agreement()
    scene = a_scene(database, box, links=(), partners=(PartnerBinding("south", agreements=(agreement,)),))
    scene.now = agreement.ends - 40 * DAY
    for _ in range(42):
        scene.turn(24 * 60)
    said = [each.text.split(",")[0].split(";")[0] for each in box.got]
    assert [each.event for each in box.got] == [Event.NOTICE] * 4
    assert said[:3] == [f"agreement AGR-2026-01 ends in {days} days" for days in (30, 14, 3)]
    assert "ended" in said[3]
    scene.desk = replace(scene.desk, partners=())
    scene.turn()

    assert (len(box.got), scene.told()) == (4, [])


def test_the_end_of_an_account_is_told(sqlite_database):
    box = Box()
    scene = a_scene(sqlite_database, box)

    def work(tx) -> None:
        accounts.add_account(tx, "soc", actor="os:test", now=NOON)
        tokens.issue_token(tx, account="soc", actor="os:test", now=NOON, expires=NOON + 2 * DAY)

    scene.write(work)
    scene.turn()

    assert [each.text.split(",")[0] for each in box.got] == ["account soc ends in 47 h"]


@pytest.mark.parametrize(("minutes", "told"), [(5, 0), (20, 1)])
def test_partners_are_given_some_minutes_to_come_back_after_a_start(sqlite_database, minutes: int, told: int):
    box = Box()
    flow = [a_flow(givers=["north"])]
    node = a_node(sqlite_database, flow=flow)
    with sqlite_database.writing() as tx:
        accounts.add_account(tx, "south", actor="os:test", now=NOON - 90 * DAY, partner="south")
    desk = Desk(
        sqlite_database, node.door.links, (), (), (box,), None, "UTC", "test", started=NOON - minutes * MINUTE
    )
    alerts.turn(desk, now=lambda: NOON)

    assert len(box.got) == told


def test_the_worker_tends_alerts_again_and_again_whatever_goes_wrong(sqlite_database, monkeypatch):
    monkeypatch.setattr(worker, "TEND_SECONDS", 0.01)
    monkeypatch.setattr(worker, "FIRST_LOOK_SECONDS", 0.01)
    thrice, calls = threading.Event(), []

    def tend() -> None:
        calls.append(1)
        if len(calls) == 3:
            thrice.set()
        raise ZeroDivisionError

    node = a_node(sqlite_database)
    it = Worker(replace(node.door, links=()), lambda _: None, "test", clock.now, tend=tend)
    thread = threading.Thread(target=it.run)
    thread.start()
    seen = thrice.wait(60)
    it.stop()
    thread.join(60)

    assert seen
    assert not thread.is_alive()


A_FAULT = Fault("partner:south", ("a failing",), "failing", "why", "do")


@pytest.mark.parametrize(
    ("about", "told_at", "event"),
    [
        (("a failing",), NOON - HOUR, [Event.AGAIN]),
        (("a failing",), NOON - HOUR + 1, []),
        (("a stale",), NOON - 1, [Event.MORE]),
        (("a failing", "b failing"), NOON - 1, []),
    ],
    ids=["lasts", "told lately", "another state", "was greater"],
)
def test_what_a_channel_knows_decides_what_it_is_told(
    about: tuple[str, ...], told_at: int, event: list[Event]
):
    told = [Told("partner:south", "mail", about, NOON - DAY, told_at, "why")]

    assert [each for each, _ in due([A_FAULT], told, now=NOON, repeat_minutes=60)] == event
    assert over([A_FAULT], told) == []
    assert over([], told) == told
