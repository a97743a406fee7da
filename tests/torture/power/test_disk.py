"""tests/torture/power/disk.py: what the model keeps, and what it may not."""

from __future__ import annotations

import random

import pytest

from tests.torture.power.disk import SECTOR, Call, Create, Cut, Delete, Disk, Sync, SyncFolder, Write

OLD, NEW = b"o" * (4 * SECTOR), b"n" * (2 * SECTOR)


def found(*calls: Call, tries: int = 300) -> list[dict[str, bytes]]:
    """What was found after power cuts that followed these calls, on a disk with a file `a` of old bytes."""
    disk = Disk({"a": OLD})
    for call in calls:
        disk.carry_out(call)
    return [disk.after_power_cut(random.Random(number)) for number in range(tries)]


def test_what_was_synced_is_there():
    assert found(Write(0, 100, NEW), Sync(0)) == [{"a": OLD[:100] + NEW + OLD[100 + len(NEW) :]}] * 300


def test_what_was_not_synced_is_gone_kept_or_torn_sector_by_sector():
    ends = {each["a"] for each in found(Write(0, 0, NEW))}

    assert {OLD, NEW + OLD[len(NEW) :]} < ends
    assert OLD[:SECTOR] + NEW[SECTOR:] + OLD[len(NEW) :] in ends, "the later sector alone"
    assert any(0 < end[:SECTOR].count(b"n") < SECTOR for end in ends), "part of a sector"


def test_bytes_beside_those_written_stay_as_they_were():
    for end in found(Write(0, 700, b"n" * 10)):
        assert end["a"][:700] + end["a"][710:] == OLD[:700] + OLD[710:]


def test_a_later_write_may_be_kept_without_the_one_before():
    ends = {
        each["a"][:SECTOR] + each["a"][-SECTOR:] for each in found(*(Write(0, at, NEW) for at in (0, 1024)))
    }

    assert OLD[:SECTOR] + NEW[:SECTOR] in ends


def test_a_file_that_grew_may_have_a_hole():
    ends = {each["a"] for each in found(Write(0, len(OLD), NEW))}

    assert OLD + bytes(SECTOR) + NEW[:SECTOR] in ends


def test_a_cut_happened_or_did_not():
    assert {each["a"] for each in found(Cut(0, SECTOR))} == {OLD, OLD[:SECTOR]}
    assert {each["a"] for each in found(Cut(0, SECTOR), Sync(0))} == {OLD[:SECTOR]}


@pytest.mark.parametrize("folder_too", [False, True])
def test_the_name_of_a_new_file_is_safe_when_its_folder_was_synced(folder_too):
    calls = [Create("b", 1), Write(1, 0, NEW), Sync(1), *[SyncFolder()] * folder_too]

    assert {each.get("b") for each in found(*calls)} == ({NEW} if folder_too else {NEW, None})


@pytest.mark.parametrize("folder_too", [False, True])
def test_a_file_is_gone_for_good_when_its_folder_was_synced(folder_too):
    calls = [Delete("a"), *[SyncFolder()] * folder_too]

    assert {each.get("a") for each in found(*calls)} == ({None} if folder_too else {OLD, None})


def test_the_disk_goes_on_as_it_was_after_a_look_at_what_a_cut_would_leave():
    disk = Disk({"a": OLD})
    disk.carry_out(Write(0, 0, NEW))
    first = [disk.after_power_cut(random.Random(number)) for number in range(20)]

    assert [disk.after_power_cut(random.Random(number)) for number in range(20)] == first
