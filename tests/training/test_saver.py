"""Saving: in the background, again after a refusal, and never without the best."""

import errno
import logging
import threading

import pytest
import torch

from slangmod.errors import RunError
from slangmod.files import REPLACED
from slangmod.training import checkpoint, disk, saver
from slangmod.training.checkpoint import (
    list_checkpoints,
    load_checkpoint,
    newest_sound,
    save_checkpoint,
)
from slangmod.training.saver import Saver
from tests.reliability.states import bits, loaded, saver_of, state_at


class Refusing:
    """Writes checkpoints unless it refuses; can be made to wait."""

    def __init__(self, monkeypatch) -> None:
        self.refuses = False
        self.begun: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.write = checkpoint.write_checkpoint
        monkeypatch.setattr("os.fsync", lambda _: None)
        monkeypatch.setattr(saver, "write_checkpoint", self)

    def __call__(self, folder, snapshot):
        self.begun.append(snapshot.step)
        self.gate.wait(10)
        if self.refuses:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.write(folder, snapshot)


@pytest.fixture
def door(monkeypatch) -> Refusing:
    return Refusing(monkeypatch)


def steps_in(folder) -> list[int]:
    return sorted(checkpoint.step_of(path) for path in list_checkpoints(folder))


def test_the_first_of_a_run_must_be_written(tmp_path, door) -> None:
    door.refuses = True
    with pytest.raises(RunError, match="nothing has been trained yet"):
        saver_of(tmp_path).save(state_at(0))


def test_on_error_stop_ends_the_run(tmp_path, door) -> None:
    one = saver_of(tmp_path, stop=True)
    one.save(state_at(0))
    door.refuses = True
    with pytest.raises(RunError, match=r"no space left.*on_error = 'stop'"):
        one.save(state_at(1))
    assert steps_in(tmp_path) == [0]


@pytest.mark.parametrize("background", [False, True])
def test_the_best_that_was_refused_is_written_before_anything_newer(
    tmp_path, door, background
) -> None:
    one = saver_of(tmp_path, background=background)
    one.save(state_at(0))
    door.refuses = True
    state = state_at(3)
    best = bits(state)
    one.save(state)
    one.wait()
    with torch.no_grad():
        state.model.weight.add_(1.0)  # training goes on
    state.counters.step = 5
    one.save(state)
    assert steps_in(tmp_path) == [0]
    door.refuses = False
    one.save(state)
    assert steps_in(tmp_path) == [3, 5]
    assert loaded(tmp_path) == bits(state)
    again = state_at(1)
    load_checkpoint(checkpoint.checkpoint_path(tmp_path, 3), again)
    assert bits(again) == best


def test_all_that_will_be_needed_is_held_until_it_can_be_written(
    tmp_path, door
) -> None:
    needed = {0}
    one = saver_of(tmp_path, keep=1, needed=lambda _: needed)
    one.save(state_at(0))
    door.refuses = True
    for step in (1, 2, 3, 4):
        needed |= {step}
        one.save(state_at(step, best=2))
        needed -= {step - 2}
    door.refuses = False
    one.settle()
    assert steps_in(tmp_path) == [0, 2, 3, 4]
    assert door.begun[-3:] == [2, 3, 4]
    one.abandon_after(3)
    one.settle()
    assert steps_in(tmp_path) == [0, 2, 3]


def test_one_that_is_no_longer_best_is_let_go(tmp_path, door) -> None:
    one = saver_of(tmp_path)
    one.save(state_at(0))
    door.refuses = True
    one.save(state_at(3))
    one.save(state_at(4))
    door.refuses = False
    one.save(state_at(5, best=4))
    assert steps_in(tmp_path) == [4, 5]


def test_a_refused_one_is_tried_again_after_a_minute(tmp_path, door) -> None:
    now = [0.0]
    one = saver_of(tmp_path, clock=lambda: now[0])
    one.save(state_at(0))
    assert not one.due_again()
    door.refuses = True
    one.save(state_at(1))
    now[0] = 59.0
    assert not one.due_again()
    now[0] = 60.0
    assert one.due_again()
    door.refuses = False
    one.save(state_at(2))
    assert not one.due_again()


def test_what_is_written_behind_training_is_what_was_there_then(tmp_path, door):
    one = saver_of(tmp_path, background=True)
    state = state_at(2)
    one.save(state)
    door.gate.clear()
    state.counters.step = 3
    before = bits(state)
    one.save(state)
    with torch.no_grad():
        state.model.weight.zero_()
    for entries in state.optimizer.state.values():
        entries["exp_avg"].zero_()
    assert steps_in(tmp_path) == [2]
    door.gate.set()
    one.wait()
    assert loaded(tmp_path) == before


def test_one_is_under_way_at_most(tmp_path, door) -> None:
    one = saver_of(tmp_path, background=True)
    one.save(state_at(1))
    door.gate.clear()
    one.save(state_at(2))
    seen: list[list[int]] = []
    timer = threading.Timer(0.2, lambda: (seen.append([*door.begun]), door.gate.set()))
    timer.start()
    one.save(state_at(3))  # waits for the second
    timer.join()
    assert seen == [[1, 2]]
    one.wait()
    assert steps_in(tmp_path) == [3]


def test_a_mistake_in_the_background_is_raised_where_training_is(
    tmp_path, door, monkeypatch
) -> None:
    one = saver_of(tmp_path, background=True)
    one.save(state_at(1))

    def breaks(*_: object) -> None:
        raise ValueError("a mistake")

    monkeypatch.setattr(saver, "write_checkpoint", breaks)
    one.save(state_at(2))
    with pytest.raises(ValueError, match="a mistake"):
        one.wait()


def test_nothing_is_saved_that_counts_rows_which_are_not_there(tmp_path, door):
    error = [None]
    one = saver_of(tmp_path, sync=lambda: error[0])
    one.save(state_at(1))
    error[0] = OSError(errno.EIO, "Input/output error", "steps.csv")
    one.save(state_at(2))
    assert steps_in(tmp_path) == [1]
    with pytest.raises(OSError, match=r"steps\.csv"):
        one.insist(state_at(2))
    error[0] = None
    one.insist(state_at(2))
    assert steps_in(tmp_path) == [2]


def test_the_one_resumed_from_stays(tmp_path, door) -> None:
    saver_of(tmp_path).save(state_at(1))
    one = saver_of(tmp_path, spared=1)
    for step in (2, 3, 4):
        one.save(state_at(step))
    assert steps_in(tmp_path) == [1, 4]


def test_later_ones_that_could_not_be_read_neither_count_nor_go(tmp_path, door) -> None:
    before = saver_of(tmp_path, keep=9)
    for step in (1, 8, 9):
        before.save(state_at(step))
    one = saver_of(tmp_path, keep=1, spared=1)
    for step in (2, 3):
        one.save(state_at(step))
        assert steps_in(tmp_path) == [1, step, 8, 9]


def test_the_best_of_each_that_stays_stays_too(tmp_path, door) -> None:
    one = saver_of(tmp_path, keep=2)
    for step, best in ((1, 1), (2, 1), (3, 1), (4, 4)):
        one.save(state_at(step, best))
    assert steps_in(tmp_path) == [1, 3, 4]


def test_one_of_steps_that_were_taken_back_gives_way(tmp_path, door) -> None:
    save_checkpoint(tmp_path, state_at(2), {})
    other = state_at(3)
    other.counters.step = 2
    save_checkpoint(tmp_path, other, {})
    assert loaded(tmp_path) != bits(state_at(2))
    again = state_at(1)
    load_checkpoint(newest_sound(tmp_path), again)
    assert torch.equal(again.model.weight, other.model.weight)


def test_little_room_is_told_once_and_none_is_not_tried(
    tmp_path, door, monkeypatch, caplog
) -> None:
    free = [10**9]
    monkeypatch.setattr(saver, "room_at", lambda _: free[0])
    monkeypatch.setattr(disk, "room_at", lambda _: free[0])
    one = saver_of(tmp_path)
    size = saver.take(state_at(1), {}).size
    free[0] = size + size // 2
    with caplog.at_level(logging.WARNING):
        one.save(state_at(1))
        one.save(state_at(2))
    assert [r.getMessage().count("make room for two") for r in caplog.records] == [1]
    free[0] = size // 2
    caplog.clear()
    one.save(state_at(3))
    (record,) = caplog.records
    assert "no space left on device" in record.getMessage()
    assert f"{size // 2} bytes free" in record.getMessage()
    assert steps_in(tmp_path) == [2]


def test_what_the_disk_garbles_is_noticed_before_anything_is_removed(
    tmp_path, door, monkeypatch, caplog
) -> None:
    one = saver_of(tmp_path)
    one.save(state_at(1))

    def garbles(folder, files):
        weights = folder / "model.safetensors"
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
        return found(folder, files)

    found = checkpoint.misread
    monkeypatch.setattr(checkpoint, "misread", garbles)
    one.save(state_at(2))
    assert steps_in(tmp_path) == [1]
    assert "model.safetensors: what was written cannot be read back" in caplog.text


def test_who_quits_at_once_does_not_wait_for_the_disk(tmp_path, door) -> None:
    one = saver_of(tmp_path, spared=0, background=True)
    door.gate.clear()
    with pytest.raises(KeyboardInterrupt), one:
        one.save(state_at(1))
        raise KeyboardInterrupt
    assert not steps_in(tmp_path)
    door.gate.set()
    one.wait()


def test_a_saver_leaves_no_thread_behind(tmp_path, door) -> None:
    with Saver(
        tmp_path, {}, keep=1, sync=lambda: None, background=True, spared=0
    ) as one:
        door.gate.clear()
        one.save(state_at(1))
        door.gate.set()
    assert steps_in(tmp_path) == [1]
    assert not [t for t in threading.enumerate() if t.name == "checkpoint"]


@pytest.fixture
def halfway(tmp_path, door):
    """What a disk leaves that lets the best be renamed, and not another take its place.

    Nor the best have its name again.
    """
    one = saver_of(tmp_path, keep=1)
    one.save(state_at(0))
    one.save(state_at(5, best=0))
    best = checkpoint.checkpoint_path(tmp_path, 0)
    best.rename(best.with_name(REPLACED + best.name))
    return one


def test_what_was_refused_to_be_replaced_has_its_name_before_it_is_looked_for(
    halfway,
) -> None:
    halfway.settle()
    assert sorted(path.name for path in halfway.folder.iterdir()) == [
        "step-000000000",
        "step-000000005",
    ]


def test_nor_is_the_best_removed_as_long_as_it_has_another_name(halfway) -> None:
    checkpoint.prune_checkpoints(halfway.folder, 1, (), 5)
    assert steps_in(halfway.folder) == [0, 5]
