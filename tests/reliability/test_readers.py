"""Readers never block a writer, and never see half a checkpoint."""

import errno
import logging
import os
from pathlib import Path

import pytest

from slangmod.commands.rewinding import good_checkpoint
from slangmod.errors import RunError
from slangmod.files import REPLACED
from slangmod.training import checkpoint
from slangmod.training.checkpoint import (
    checkpoint_path,
    load_checkpoint,
    newest_sound,
    problems_of,
    step_of,
)
from slangmod.training.course import Course, Refuge
from tests.reliability.states import bits, changed, saver_of, state_at


def saving(folder: Path, times: int) -> None:
    """Save one state after the other, removing all but the newest and the best."""
    saver = saver_of(folder, keep=1)
    state = state_at(1)
    for step in range(2, times + 2):
        state.counters.step = step
        saver.save(state)


def saving_again(folder: Path, times: int) -> None:
    """Save one step again and again, each time with other weights."""
    saver = saver_of(folder, keep=1)
    state = state_at(1)
    for _ in range(times):
        saver.save(changed(state))


def read(folder: Path) -> int:
    """Load the newest checkpoint; -> its step. One removed meanwhile is let go."""
    state = state_at(1)
    while True:
        path = newest_sound(folder)
        try:
            load_checkpoint(path, state)
        except Exception:
            assert not path.exists()
            continue
        return state.counters.step


def read_while_saving(folder: Path, times: int, caplog) -> int:
    saver_of(folder).save(state_at(1))
    child = os.fork()
    if not child:
        try:
            saving(folder, times)
        finally:
            os._exit(0)
    reads, last = 0, 0
    with caplog.at_level(logging.WARNING):
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            step = read(folder)
            assert step >= last
            last = step
            reads += 1
    assert read(folder) == times + 1
    assert not caplog.records
    whole = state_at(1)
    load_checkpoint(newest_sound(folder), whole)
    expected = state_at(1)
    expected.counters.step = times + 1
    assert bits(whole) == bits(expected)
    return reads


def test_readers_see_whole_checkpoints(tmp_path, promise, caplog) -> None:
    promise("R12", read_while_saving(tmp_path / "checkpoints", 20, caplog))


@pytest.mark.slow
def test_readers_see_whole_checkpoints_during_200_saves(tmp_path, promise, caplog):
    promise("R12", read_while_saving(tmp_path / "checkpoints", 200, caplog))


def look_while_saving_again(folder: Path, times: int, caplog) -> int:
    saver_of(folder).save(state_at(1))
    child = os.fork()
    if not child:
        try:
            saving_again(folder, times)
        finally:
            os._exit(0)
    looks = 0
    with caplog.at_level(logging.WARNING):
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            assert step_of(newest_sound(folder)) == 1
            looks += 1
    assert not caplog.records
    return looks


@pytest.mark.parametrize("times", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_readers_find_a_checkpoint_that_is_replaced(tmp_path, promise, caplog, times):
    promise("R12", look_while_saving_again(tmp_path / "checkpoints", times, caplog))


def test_one_that_was_due_is_seen_while_it_is_replaced(tmp_path) -> None:
    saver = saver_of(tmp_path, keep=9)
    for step in (1, 2, 3):
        saver.save(state_at(step))
    due = checkpoint_path(tmp_path, 2)
    due = due.rename(due.with_name(REPLACED + due.name))
    assert good_checkpoint(tmp_path, Course(refuges=[Refuge(2, 2)]), 9) == due


def test_a_folder_that_hides_what_is_in_it_does_not_keep_a_reader_for_ever(
    tmp_path, monkeypatch
) -> None:
    saver_of(tmp_path).save(state_at(1))
    stat = os.stat

    def refuse(path, **words):
        if isinstance(path, str | Path) and "step-" in str(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return stat(path, **words)

    monkeypatch.setattr("os.stat", refuse)
    monkeypatch.setattr("os.lstat", refuse)
    with pytest.raises(RunError, match="Permission denied"):
        newest_sound(tmp_path)


def test_a_folder_is_not_taken_for_one_whose_number_it_has_got(
    tmp_path, monkeypatch, promise
) -> None:
    path = checkpoint_path(tmp_path, 1)
    path.mkdir()
    looks = 0

    def replaced_once(*_: object) -> list[str]:
        nonlocal looks
        looks += 1
        if looks > 1:
            return ["seen of one"]
        os.utime(path, ns=(1, 1))  # as another folder of the same number would have
        return ["seen of two at once"]

    monkeypatch.setattr(checkpoint, "problems_in", replaced_once)
    assert problems_of(path) == ["seen of one"]
    promise("R12", 1)
